"""An audit of ε refuses a trainer that breaks its claim in one release, and says what it tried."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest

from expectations.policy.training import PrivateKind
from expectations.policy.vocabulary import CheckVerdict
from expectations.privacy_loss import Gaussian, Laplace, Mechanism, SampledGaussian, compose
from tasks.attack.epsilon_audit import (
    FALSE_ALARM,
    EpsilonAudit,
    audit_epsilon,
    convert_separation,
    describe_releases,
    judge_audit,
    lose_most,
    separate_epsilon,
)
from tasks.attack.model import RELEASED, audit_classifier
from tasks.attack.twins import make_binned
from tasks.training.private_boosting import PrivateBoosting
from tasks.training.private_logistic import PrivateLogisticRegression
from tests.broken_trainers import (
    FARTHER,
    HONEST,
    OTHERS,
    Broken,
    Trainer,
    lessen_noise,
    list_broken,
)
from tests.owned_draws import own_draws

DELTA = 1e-5
TABLE = (0.5, 1.0, 4.0, 8.0)
NIGHTLY = pytest.mark.nightly
SHORT: dict[PrivateKind, dict[str, int]] = {
    "private-logistic-regression": {"steps": 2},
    "private-linear-regression": {"steps": 2},
    "private-boosting": {"rounds": 2},
}
"""So few releases that an audit takes half a second."""
BROKEN = [*list_broken()]


@pytest.fixture(autouse=True)
def owned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a test draws of its own, so that it says the same every day."""
    own_draws(monkeypatch)


def audit(
    trainer: Trainer, kind: PrivateKind, epsilon: float = 1.0, **told: object
) -> EpsilonAudit:
    """Audit a trainer of few steps."""
    return audit_classifier(trainer(epsilon=epsilon, **SHORT[kind], **told), kind)


def verdict(found: EpsilonAudit, asked: float = 1.0) -> CheckVerdict:
    """Give the verdict alone."""
    return judge_audit(found, asked).verdict


@pytest.mark.parametrize("kind", HONEST)
@pytest.mark.parametrize("epsilon", [*(pytest.param(few, marks=NIGHTLY) for few in TABLE[:-2]),
                                     *TABLE[-2:]])  # fmt: skip
def test_an_honest_trainer_passes_and_almost_all_of_its_claim_is_seen(
    kind: PrivateKind, epsilon: float
) -> None:
    """Somebody made up loses 95 % of the claimed ε; half the noise in any release would show."""
    found = audit(HONEST[kind], kind, epsilon)
    assert (found.faults, verdict(found, epsilon)) == ((), CheckVerdict.PASSED)
    assert 0.95 * epsilon < found.lower_epsilon <= epsilon * (1 + 1e-3)
    assert min(found.reach, 1.0) > 0.9
    assert found.detectable_noise > 0.5


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("share", [pytest.param(0.0, marks=NIGHTLY), 0.5])
def test_the_noise_of_each_release_of_the_regression_is_tried(turn: int, share: float) -> None:
    """The number of people, the moments and each step's gradients; named where it is too little."""
    kind: PrivateKind = "private-logistic-regression"
    found = audit(lessen_noise(HONEST[kind], turn, share), kind)
    places = ("number of people", "second moments", "gradient sums (1", "gradient sums (2")
    (fault,) = found.faults
    assert fault.startswith(places[turn])
    assert "times the claimed noise" in fault
    assert verdict(found) is CheckVerdict.REFUSED


@pytest.mark.parametrize("turn", range(3))
@pytest.mark.parametrize("share", [pytest.param(0.0, marks=NIGHTLY), 0.5])
def test_the_noise_of_each_release_of_boosting_is_tried(turn: int, share: float) -> None:
    """The counts and each round's residuals."""
    kind: PrivateKind = "private-boosting"
    found = audit(lessen_noise(HONEST[kind], turn, share), kind)
    (fault,) = found.faults
    assert fault.startswith(("counts", "sums of residuals (1", "sums of residuals (2")[turn])
    assert verdict(found) is CheckVerdict.REFUSED


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: f"{one.kind}: {one.fault}")
def test_a_broken_promise_is_found_and_named(broken: Broken) -> None:
    """Whether noise repeats, a person counts for too much, or something goes another way."""
    with broken.while_it_trains():
        found = audit(broken.trainer, broken.kind)
    assert any(broken.shows in fault for fault in found.faults)
    assert verdict(found) is CheckVerdict.REFUSED


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("epsilon", [1.0, pytest.param(8.0, marks=NIGHTLY)])
def test_honest_trainers_of_classes_and_of_numbers_pass(other: str, epsilon: float) -> None:
    """Somebody made up loses almost all of the claim there too."""
    kind, trainer, told = OTHERS[other]
    found = audit(trainer, kind, epsilon, **told)
    assert (found.faults, verdict(found, epsilon)) == ((), CheckVerdict.PASSED)
    assert 0.9 * epsilon < found.lower_epsilon <= epsilon * (1 + 1e-3)
    assert min(found.reach, 1.0) > 0.9


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("turn", [pytest.param(0, marks=NIGHTLY), 1])
def test_a_release_of_classes_or_numbers_with_less_noise_is_found(other: str, turn: int) -> None:
    """None of it, or half: named where it is missing."""
    kind, trainer, told = OTHERS[other]
    for share in (0.0, 0.5):
        found = audit(lessen_noise(trainer, turn, share), kind, **told)
        (fault,) = found.faults
        assert fault.startswith(RELEASED[kind][turn])
        assert verdict(found) is CheckVerdict.REFUSED


@pytest.mark.parametrize(("other", "fault", "breaking"), FARTHER, ids=lambda one: str(one)[:24])
def test_a_person_who_moves_a_release_of_classes_or_numbers_too_far_is_found(
    other: str, fault: str, breaking: Callable[[], AbstractContextManager[object]]
) -> None:
    """By classes that are clipped one by one, or numbers that are added up besides."""
    kind, trainer, told = OTHERS[other]
    with breaking():
        found = audit(trainer, kind, **told)
    assert any("one person moves it" in said for said in found.faults), fault
    assert verdict(found) is CheckVerdict.REFUSED


@pytest.mark.nightly
@pytest.mark.parametrize("epsilon", TABLE)
@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: f"{one.kind}: {one.fault}")
def test_a_broken_promise_is_found_in_the_usual_training(broken: Broken, epsilon: float) -> None:
    """With all steps and rounds, at every ε."""
    with broken.while_it_trains():
        found = audit_classifier(broken.trainer(epsilon=epsilon), broken.kind)
    assert any(broken.shows in fault for fault in found.faults)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", HONEST)
def test_of_a_hundred_audits_of_an_honest_trainer_none_finds_a_fault(
    kind: PrivateKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One would have a chance of one in a hundred at the stated error."""
    for seed in range(100):
        with monkeypatch.context() as patch:
            own_draws(patch, seed)
            assert audit(HONEST[kind], kind).faults == ()
    assert FALSE_ALARM <= 1e-4


def test_a_person_who_loses_more_than_is_claimed_shows_in_the_bound() -> None:
    """Without noise everything; with a fraction of it, more than the claim."""
    kind: PrivateKind = "private-logistic-regression"
    assert audit(lessen_noise(HONEST[kind], 1, 0.0), kind).lower_epsilon == math.inf
    assert audit(lessen_noise(HONEST[kind], 1, 0.5), kind).lower_epsilon > 1.2


def test_a_claim_above_what_the_policy_asks_is_refused() -> None:
    """Noise for ε = 3 does not keep a promise of 1, however honest it is."""
    found = audit(PrivateLogisticRegression, "private-logistic-regression", 3.0)
    assert verdict(found, 3.0) is CheckVerdict.PASSED
    assert verdict(found, 1.0) is CheckVerdict.REFUSED


def test_what_two_fits_cannot_be_compared_of_passes_nobody() -> None:
    """Of a trainer that draws its people, as a network does, noise alone is tried."""
    crowd = make_binned([3, (0.0, 0.5, 1.0)])
    model = PrivateBoosting(features=crowd.features, rounds=2)
    found = audit_epsilon(model, crowd, RELEASED["private-boosting"], sampled=True)
    check = judge_audit(found, 1.0)
    assert check.verdict is CheckVerdict.INCONCLUSIVE
    assert "could not be tried" in check.measured
    assert found.faults == ()


def test_no_release_that_is_claimed_may_be_missing() -> None:
    """What is claimed and never drawn would have been charged, and tells of another code."""

    class Claims(PrivateLogisticRegression):
        """Claims a step more than it makes."""

        def mechanisms(self) -> tuple[Mechanism, ...]:
            """Say one too many."""
            *others, steps = super().mechanisms()
            assert isinstance(steps, Gaussian)
            return (*others, Gaussian(steps.noise_multiplier, steps.count + 1))

    (fault,) = audit(Claims, "private-logistic-regression").faults
    assert fault == "a fit makes 4 releases, where 5 are claimed"


@pytest.mark.parametrize("kind", HONEST)
def test_a_twin_is_seen_and_the_model_that_leaves_is_not(kind: PrivateKind) -> None:
    """A class by itself: what is audited keeps nothing and is as it was."""
    model = HONEST[kind](epsilon=1.0, **SHORT[kind])
    audit_classifier(model, kind)
    assert vars(model).keys() == model.get_params().keys()
    assert "_release" not in vars(type(model))


def test_a_check_tells_what_was_released_and_what_would_have_been_found() -> None:
    """By name and number, with the power of each release."""
    check = judge_audit(audit(PrivateBoosting, "private-boosting"), 1.0, "clinic")
    assert (check.name, check.outlet) == ("audit of ε", "clinic")
    assert "counts of people by bin and 2 sums of residuals" in check.measured
    assert "of each release" in check.power
    assert "0.01 % of audits" in check.power


@pytest.mark.parametrize("epsilon", TABLE)
def test_epsilon_of_a_gaussian_is_the_accountants(epsilon: float) -> None:
    """The closed form and the privacy loss distribution agree, sharing no code."""
    separation = separate_epsilon(epsilon, DELTA)
    assert compose([Gaussian(1 / separation)], DELTA) == pytest.approx(epsilon, rel=1e-3)
    assert convert_separation(separation, DELTA) == pytest.approx(epsilon, abs=1e-4)


def test_no_noise_has_no_finite_epsilon() -> None:
    """What a person moves over none of it is infinite, and what they do not move is nothing."""
    assert convert_separation(math.inf, DELTA) == math.inf
    assert convert_separation(0.0, DELTA) == pytest.approx(0, abs=1e-5)
    noise = [np.zeros((3, 1)), np.ones((3, 1))]
    claims = [Gaussian(2.0), Gaussian(4.0)]
    moved = np.array([[0.0, 1.0], [0.0, 0.5]])
    assert lose_most(moved, claims, noise, {0: "none"}) == 0.25
    assert lose_most(moved[:, ::-1], claims, noise, {0: "none"}) == math.inf


def test_releases_are_named_as_often_as_they_are_made() -> None:
    """One by its name, several by their number."""
    claims = (Gaussian(1.0), SampledGaussian(1.0, 0.1, 7), Laplace(1.0))
    assert describe_releases(claims, ("one", "sums", "last")) == "one, 7 sums and last"
    assert describe_releases(claims[1:2], ("sums",)) == "7 sums"
