"""An audit of ε refuses a trainer whose noise or clipping is wrong, and says what it could see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, norm
from sklearn.linear_model import LogisticRegression

from expectations.errors import UsageError
from expectations.policy.vocabulary import CheckVerdict
from expectations.privacy_loss import (
    Bounded,
    Gaussian,
    Laplace,
    Mechanism,
    SampledGaussian,
    compose,
)
from tasks.attack import epsilon_audit
from tasks.attack import model as room
from tasks.attack.epsilon_audit import (
    Canaries,
    EpsilonAudit,
    Game,
    audit_epsilon,
    convert_separation,
    describe_bounds,
    describe_claim,
    describe_gaussian,
    give_columns,
    give_labels,
    guess_best,
    guess_right,
    judge_audit,
    refutes_in_one_run,
    repeats_itself,
    separate_epsilon,
)
from tasks.attack.model import EFFICIENCY, MEASURED, audit_classifier
from tasks.training import private_boosting, private_logistic
from tasks.training.private_boosting import PrivateBoosting
from tasks.training.private_logistic import PrivateLogisticRegression
from tests.owned_draws import own_draws

DELTA = 1e-5
TABLE = (0.5, 1.0, 3.0, 8.0)
Rows = NDArray[np.float64]


@pytest.fixture(autouse=True)
def fewer_canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half as many as an audit of a real trainer, of which less of the noise is seen.

    Coins and noise are the tests' own: an honest trainer would be refused in one of a hundred.
    """
    monkeypatch.setattr(epsilon_audit, "CANARIES", 1000)
    own_draws(monkeypatch)


@dataclass
class Trainer:
    """Twice the sum of rows of norm 1, clipped to 1/2, and noise: the plainest linear model."""

    noise: float
    clip: float = 0.5
    seed: int | None = None
    classes: Sequence[int] = (0, 1)
    weights: Rows = field(init=False)

    def fit(self, X: Rows, y: NDArray[np.generic]) -> Trainer:  # noqa: N803  # sklearn's
        """Sum the positive rows and add noise of `noise` times what one can move."""
        norms = np.linalg.norm(X, axis=1, keepdims=True)
        clipped = X * np.minimum(1, self.clip / np.maximum(norms, 1e-9))
        noise = np.random.default_rng(self.seed).normal(0, self.noise, X.shape[1])
        self.weights = 2 * clipped[y == 1].sum(0) + noise
        return self

    def predict_proba(self, X: Rows) -> Rows:  # noqa: N803  # sklearn's
        """Give probabilities far from saturation."""
        positive = 1 / (1 + np.exp(-X @ self.weights / 1000))
        return np.column_stack([1 - positive, positive])


class NotPrivate(LogisticRegression):  # type: ignore[misc]  # sklearn is untyped
    """The library's regression, with the labels that a private one declares."""

    classes = (0, 1)


def audit(
    trainer: Trainer, claimed: float, count: int = 250, efficiency: float = 0.9
) -> EpsilonAudit:
    """Audit the plain trainer against noise of `claimed`; its canaries lie apart as far as can."""
    few = Canaries(np.eye(count), np.zeros((count + 50, count)))
    return audit_epsilon(
        lambda: Trainer(trainer.noise, trainer.clip, trainer.seed),
        [Gaussian(claimed)],
        DELTA,
        canaries=few,
        additive=True,
        efficiency=efficiency,
    )


def find_noise(epsilon: float) -> float:
    """Give the noise of one Gaussian mechanism that is (epsilon, DELTA)-private."""
    return 1 / separate_epsilon(epsilon, DELTA)


def verdict(found: EpsilonAudit, asked: float) -> CheckVerdict:
    """Give the verdict alone."""
    return judge_audit(found, asked).verdict


@pytest.mark.parametrize("epsilon", TABLE)
def test_half_the_noise_is_refused_at_every_epsilon(epsilon: float) -> None:
    """The lower bound lies above the claim, and the check says so by name."""
    found = audit(Trainer(find_noise(epsilon) / 2), find_noise(epsilon))
    check = judge_audit(found, epsilon)
    assert (check.name, check.verdict) == ("audit of ε", CheckVerdict.REFUSED)
    assert found.refuted
    assert found.lower_epsilon > epsilon


@pytest.mark.parametrize("epsilon", TABLE)
def test_an_honest_trainer_passes_with_power_to_see_half_the_noise(epsilon: float) -> None:
    """Its lower bound keeps under the claim; less noise than 0.5 times would have been seen."""
    found = audit(Trainer(find_noise(epsilon)), find_noise(epsilon))
    assert verdict(found, epsilon) is CheckVerdict.PASSED


def test_an_honest_trainer_that_uses_all_of_its_claim_is_refused_in_one_of_a_hundred() -> None:
    """Of 200 audits of the least private trainer that the claim allows, not more than 9 err.

    More than that has a chance of 0.01 % at the stated 1 %.
    """
    noise = find_noise(1.0)
    wrong = sum(audit(Trainer(noise), noise, 60).refuted for _ in range(200))
    assert wrong <= 9


@pytest.mark.parametrize("epsilon", TABLE)
def test_gradients_that_are_twice_as_long_are_refused(epsilon: float) -> None:
    """A clip norm that is not kept shows as a claim that is not."""
    trainer = Trainer(find_noise(epsilon), clip=1.0)
    assert verdict(audit(trainer, find_noise(epsilon)), epsilon) is CheckVerdict.REFUSED


@pytest.mark.parametrize("epsilon", TABLE)
def test_no_noise_is_refused(epsilon: float) -> None:
    """At a claim of 8 as well."""
    found = audit(Trainer(0.0), find_noise(epsilon))
    assert verdict(found, epsilon) is CheckVerdict.REFUSED
    assert found.refuted
    assert found.repeats


def test_half_the_noise_of_the_private_regression_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a claim of 8, through whitening, momentum and the mean of the later steps."""
    generator = np.random.default_rng()

    def add_half(sums: NDArray[np.int64], deviation: float) -> Rows:
        return sums + generator.normal(0, deviation / 2, sums.shape)

    monkeypatch.setattr(private_logistic, "add_noise_to_sums", add_half)
    monkeypatch.setattr(epsilon_audit, "CANARIES", 500)
    found = audit_epsilon(
        lambda: PrivateLogisticRegression(epsilon=8.0, row_bound=4.0),
        PrivateLogisticRegression(epsilon=8.0).mechanisms(),
        DELTA,
        canaries=give_columns(),
        additive=True,
        efficiency=EFFICIENCY["private-logistic-regression"],
    )
    assert found.claimed_epsilon == pytest.approx(8.0, rel=1e-3)
    assert verdict(found, 8.0) is CheckVerdict.REFUSED


def test_noise_that_repeats_is_refused_although_its_scale_is_right() -> None:
    """Two trainings with the same noise cancel it."""
    found = audit(Trainer(find_noise(1.0), seed=7), find_noise(1.0))
    check = judge_audit(found, 1.0)
    assert found.repeats
    assert check.verdict is CheckVerdict.REFUSED
    assert "same model" in check.measured


def test_a_classifier_without_privacy_is_refused() -> None:
    """The library's own regression repeats itself."""
    assert repeats_itself(NotPrivate, give_columns(8, 60))


def test_an_audit_of_few_canaries_is_inconclusive_and_says_what_it_could_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With 5 canaries nothing is found, and nothing is called passed."""
    monkeypatch.setattr(epsilon_audit, "CANARIES", 5)
    found = audit(Trainer(find_noise(1.0)), find_noise(1.0), 5)
    check = judge_audit(found, 1.0)
    assert check.verdict is CheckVerdict.INCONCLUSIVE
    assert found.detectable_noise < 0.5


def test_a_claim_above_what_the_policy_asks_is_refused() -> None:
    """Noise for ε = 3 does not keep a promise of 1, whatever the canaries say."""
    found = audit(Trainer(find_noise(3.0)), find_noise(3.0))
    assert verdict(found, 1.0) is CheckVerdict.REFUSED


def test_an_audit_that_cannot_be_played_is_refused_as_usage() -> None:
    """More canaries than other people give no game."""
    one = Canaries(np.eye(1), np.zeros((5, 1)))
    with pytest.raises(UsageError, match="audit of ε"):
        audit_epsilon(
            lambda: Trainer(1.0),
            [Gaussian(1.0)],
            DELTA,
            canaries=one,
            additive=True,
            efficiency=1.0,
        )


def test_without_independence_the_bound_is_weaker_and_the_verdict_inconclusive() -> None:
    """The same honest trainer, asked as if its canaries depended on one another."""
    found = audit_epsilon(
        lambda: Trainer(find_noise(1.0)),
        [Gaussian(find_noise(1.0))],
        DELTA,
        canaries=give_columns(100, 150),
        additive=False,
        efficiency=0.0,
    )
    assert verdict(found, 1.0) is CheckVerdict.INCONCLUSIVE
    assert found.group == 1


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_half_the_noise_that_hides_behind_inefficient_canaries_is_not_passed(share: float) -> None:
    """Nor is honest noise: of canaries that tell half of what they could, nothing is known.

    With the guesses alone, half the noise would look as honest noise does and be passed.
    """
    noise = find_noise(1.0)
    found = audit(Trainer(share * noise, clip=0.25), noise, efficiency=0.5)
    assert verdict(found, 1.0) is CheckVerdict.INCONCLUSIVE


def test_canaries_that_are_less_efficient_than_is_supposed_lower_the_power() -> None:
    """Parameters that hide them show in the guesses, however good they are elsewhere."""
    found = audit(Trainer(find_noise(1.0), clip=0.2), find_noise(1.0))
    assert found.detectable_noise < 0.5
    assert verdict(found, 1.0) is CheckVerdict.INCONCLUSIVE


def test_noise_for_one_feature_where_a_person_is_in_four_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The twin has four, so noise without the root of their number is half of what it takes."""
    monkeypatch.setattr(private_boosting.Training, "terms", 1)
    found = audit_classifier(PrivateBoosting(epsilon=8.0), "private-boosting")
    assert verdict(found, 8.0) is CheckVerdict.REFUSED
    assert found.refuted


@pytest.mark.parametrize("kind", EFFICIENCY)
def test_honest_canaries_are_as_efficient_as_is_supposed(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within chance, at the lowest ε for which a least efficiency is stated, where it is least.

    And so an honest trainer passes with power to see half the noise.
    """
    monkeypatch.setattr(epsilon_audit, "CANARIES", 2000)
    epsilon = MEASURED[0]
    make = {"private-boosting": PrivateBoosting}.get(kind, PrivateLogisticRegression)
    found = audit_classifier(make(epsilon=epsilon), kind)
    most = norm.ppf(found.right / found.canaries)
    claimed = separate_epsilon(epsilon, DELTA) * found.group / 2
    assert most / claimed > EFFICIENCY[kind] - 0.1
    assert found.detectable_noise >= 0.5


@pytest.mark.parametrize("epsilon", [0.3, 12.0])
def test_where_no_efficiency_was_measured_nothing_passes(
    epsilon: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the range of ε the canaries may tell less; a finding is still one."""
    seen = []
    monkeypatch.setattr(room, "audit_epsilon", lambda *_, **named: seen.append(named["efficiency"]))
    audit_classifier(PrivateLogisticRegression(epsilon=epsilon), "private-logistic-regression")
    assert seen == [0.0]
    blind = audit(Trainer(find_noise(1.0)), find_noise(1.0), efficiency=0.0)
    assert blind.detectable_noise == 0
    assert verdict(blind, 1.0) is not CheckVerdict.PASSED


@pytest.mark.parametrize(
    ("model", "kind", "known"),
    [
        (
            PrivateLogisticRegression(1.0, 1e-6, ("n", "y"), 9.0),
            "private-logistic-regression",
            True,
        ),
        (PrivateBoosting(1.0, 1e-6, ("n", "y"), [3]), "private-boosting", True),
        (PrivateLogisticRegression(1.0, steps=2), "private-logistic-regression", False),
        (PrivateBoosting(1.0, rounds=2), "private-boosting", False),
    ],
)
def test_efficiency_is_known_of_the_usual_training_alone(
    model: PrivateBoosting, kind: str, monkeypatch: pytest.MonkeyPatch, *, known: bool
) -> None:
    """Whatever is promised, and of whatever rows; what was not measured counts for nothing."""
    seen = []
    monkeypatch.setattr(room, "audit_epsilon", lambda *_, **named: seen.append(named["efficiency"]))
    audit_classifier(model, kind)
    assert seen == [EFFICIENCY[kind] if known else 0.0]


def test_half_the_noise_over_two_steps_is_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps tell less of the canaries, so that half the noise looks like the whole of it."""
    generator = np.random.default_rng()

    def add_half(sums: NDArray[np.int64], deviation: float) -> Rows:
        return sums + generator.normal(0, deviation / 2, sums.shape)

    monkeypatch.setattr(private_logistic, "add_noise_to_sums", add_half)
    monkeypatch.setattr(epsilon_audit, "CANARIES", 2000)
    model = PrivateLogisticRegression(epsilon=1.0, steps=2)
    found = audit_classifier(model, "private-logistic-regression")
    assert verdict(found, 1.0) is not CheckVerdict.PASSED


def test_labels_of_ones_own_are_spread_over_the_other_people() -> None:
    """Each canary's label is also that of as many others, in every column."""
    canaries = give_labels(5, 50)
    assert canaries.rows[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert (canaries.others == canaries.others[:, :1]).all()
    assert canaries.others.shape == (50, 4)
    assert np.bincount(canaries.others[:, 0].astype(int)).tolist() == [10] * 5


def test_the_guess_is_right_where_scores_separate() -> None:
    """In above the mean (2.1), out below it: wrong for the last two."""
    included = np.array([True, False, True, False])
    assert guess_right(np.array([3.0, 1.0, 2.0, 2.4]), included) == 2


@pytest.mark.parametrize("epsilon", TABLE)
def test_epsilon_of_a_gaussian_is_the_accountants(epsilon: float) -> None:
    """The closed form and the privacy loss distribution agree, sharing no code."""
    noise = find_noise(epsilon)
    assert compose([Gaussian(noise)], DELTA) == pytest.approx(epsilon, rel=1e-3)
    assert convert_separation(1 / noise, DELTA) == pytest.approx(epsilon, abs=1e-4)


def test_a_groups_claim_is_that_of_a_gaussian_as_many_times_apart() -> None:
    """Exactly for Gaussians; read from the accountant, the curve lies under it and near."""
    exact = describe_claim([Gaussian(4.0, 4)], DELTA, 3)
    assert exact(0.8) == pytest.approx(norm.cdf(norm.ppf(0.8) - 1.5))
    sampled = describe_claim([SampledGaussian(2.0, 1.0, 1)], DELTA, 3)
    assert 0 <= sampled(0.8) <= exact(0.8) + 1e-6
    assert sampled(0.8) > 0.1


def test_one_guess_is_as_good_as_the_textbook_says() -> None:
    """Of pure ε: randomized response; of a Gaussian: half its separation."""
    assert guess_best(describe_bounds([(1.0, 0.0)])) == pytest.approx(
        math.e / (1 + math.e), abs=1e-3
    )
    assert guess_best(describe_gaussian(2.0)) == pytest.approx(norm.cdf(1.0), abs=1e-3)


@pytest.mark.parametrize("claim", [Bounded(1.0, DELTA), Laplace(1.0), SampledGaussian(2.0, 0.1, 5)])
def test_claims_of_any_kind_have_a_curve(claim: Mechanism) -> None:
    """It is below the diagonal, above zero at certainty, and falls with the group."""
    one, two = (describe_claim([claim], DELTA, group) for group in (1, 2))
    for share in (0.1, 0.5, 0.9):
        assert two(share) <= one(share) <= share
    assert one(1.0) > 0.99


def test_the_bound_of_one_run_holds_for_all_who_are_right_together() -> None:
    """A mechanism that tells everybody's coin at once, with probability δ, is not refuted.

    For every number right it is weaker than the count of independent guesses, and for pure ε the
    two agree (Steinke, Nasr and Jagielski 2023), within a few.
    """
    assert not refutes_in_one_run(describe_bounds([(0.0, 0.02)]), 100, 100, 0.01)
    assert refutes_in_one_run(describe_bounds([(0.0, 0.005)]), 100, 100, 0.01)
    pure = describe_bounds([(1.0, 0.0)])
    dependent = Game(500, independent=False, false_alarm=0.01).find_critical(pure)
    assert dependent is not None
    assert dependent >= binom.isf(0.01, 500, math.e / (1 + math.e))
    independent = Game(500, independent=True, false_alarm=0.01).find_critical(
        describe_gaussian(0.5)
    )
    weaker = Game(500, independent=False, false_alarm=0.01).find_critical(describe_gaussian(0.5))
    assert independent is not None
    assert weaker is not None
    assert independent < weaker


def test_too_few_canaries_refute_nothing() -> None:
    """Even all of three right is likely enough."""
    game = Game(3, independent=True, false_alarm=0.01)
    assert game.find_critical(describe_gaussian(1.0)) is None
    assert game.bound_separation(3) == 0.0
