"""Private training spends the epsilon it says, on sums that one person moves as far as it says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.utils.estimator_checks import check_estimator

from expectations.errors import Refusal, UsageError
from expectations.privacy_loss import Gaussian, compose
from tasks.training import exact_sums, noise_samplers, private_model, sums
from tasks.training.exact_sums import SHARES, STEPS
from tasks.training.models import Encoding, ModelDeclaration, build_estimator
from tasks.training.private_logistic import PrivateLogisticRegression
from tasks.training.quality import evaluate
from tasks.training.whitened_descent import COUNT_STEPS

ENCODING = Encoding({"age": ["young", "old"]}, {"bmi": (15.0, 55.0)}, ["age"])
rows = arrays(np.float64, (5, 3), elements=st.floats(-1e9, 1e9))
targets = arrays(np.bool_, 5)
weights = arrays(np.float64, 4, elements=st.floats(-1e3, 1e3))
UNDECLARED = "it trains on labels other than the declared classes, which are not read from data"
EXCEPTIONS = {
    "check_classifier_data_not_an_array": UNDECLARED,
    "check_classifiers_classes": UNDECLARED,
    "check_classifier_not_supporting_multiclass": "it wants a ValueError where this refuses",
    "check_estimators_dtypes": UNDECLARED,
    "check_fit2d_1feature": UNDECLARED,
}


@dataclass
class Noiseless:
    """Stands in for the noise, adds none, and keeps what it was asked to hide."""

    sums: list[NDArray[np.int64]] = field(default_factory=list)
    deviations: list[float] = field(default_factory=list)

    def __call__(self, sums: NDArray[np.int64], deviation: float) -> NDArray[np.float64]:
        """Give the sums as they are."""
        self.sums.append(sums)
        self.deviations.append(deviation)
        return sums.astype(np.float64)


def make_people(count: int) -> tuple[pd.DataFrame, pd.Series]:
    """Half young, half old; the old and heavy have the condition."""
    people = np.arange(count)
    frame = pd.DataFrame(
        {"age": np.where(people % 2, "old", "young"), "bmi": 20.0 + people % 10 + 10 * (people % 2)}
    )
    return frame, pd.Series(people % 2)


def measure_delta(mu: float, epsilon: float) -> float:
    """Delta of a Gaussian mechanism of sensitivity/deviation mu (Balle & Wang 2018, theorem 8)."""

    def cdf(x: float) -> float:
        return math.erfc(-x / math.sqrt(2)) / 2

    return cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * cdf(-mu / 2 - epsilon / mu)


def length(values: NDArray[np.int64]) -> int:
    """Give the square of a vector's length, in whole numbers of any size."""
    return sum(int(value) ** 2 for value in values.ravel())


@settings(deadline=None)
@given(rows=rows, bound=st.floats(1e-3, 1e3))
def test_no_row_is_longer_than_its_bound(rows: NDArray[np.float64], bound: float) -> None:
    """Whatever the row, in whole steps it keeps to the bound without any tolerance."""
    made = exact_sums.shorten_rows(rows, bound).astype(np.int64)
    assert max(length(row) for row in made) <= STEPS**2


@settings(deadline=None)
@given(rows=rows, targets=targets, weights=weights, clip_norm=st.floats(1, STEPS))
def test_no_persons_gradient_is_longer_than_the_clip_norm(
    rows: NDArray[np.float64],
    targets: NDArray[np.bool_],
    weights: NDArray[np.float64],
    clip_norm: float,
) -> None:
    """The sum over one person alone keeps to the bound without any tolerance."""
    made = exact_sums.shorten_rows(rows, 2.0)
    alone = exact_sums.sum_gradients(made[:1], targets[:1], weights / STEPS, clip_norm)
    assert length(alone) <= (clip_norm * SHARES) ** 2


@settings(deadline=None)
@given(rows=rows, targets=targets, weights=weights, turn=st.integers(0, 99))
def test_without_a_person_every_sum_changes_by_their_part_exactly(
    rows: NDArray[np.float64], targets: NDArray[np.bool_], weights: NDArray[np.float64], turn: int
) -> None:
    """Moments and gradients of all are those of one and of the others, to the last step.

    Also of so many people that they are added up in several blocks, at other places in them.
    """
    many, labels = np.tile(rows, (500, 1)), np.tile(targets, 500)
    directions = np.linalg.qr(np.random.default_rng(turn).normal(size=(4, 4)))[0]
    parts = []
    for people in (slice(None), slice(0, 1), slice(1, None)):
        made = exact_sums.shorten_rows(many[people], 2.0)
        moments = exact_sums.sum_moments(made)
        exact_sums.turn_rows(made, directions)
        parts.append(
            (moments, exact_sums.sum_gradients(made, labels[people], weights / STEPS, 9e3))
        )
    for whole, one, others in zip(*parts, strict=True):
        np.testing.assert_array_equal(whole, one + others)


@settings(deadline=None)
@given(rows=rows, weights=weights)
def test_log_odds_are_exact_in_whatever_order_they_are_added(
    rows: NDArray[np.float64], weights: NDArray[np.float64]
) -> None:
    """Floating point gives what fractions give, so that no row's depend on where it stands."""
    made = exact_sums.shorten_rows(rows, 2.0).astype(np.float64)
    rounded = exact_sums.round_weights(weights / STEPS)
    for row, found in zip(made, made @ rounded, strict=True):
        assert found == sum(Fraction(a) * Fraction(b) for a, b in zip(row, rounded, strict=True))


def test_a_short_gradient_is_not_changed_beyond_the_grid() -> None:
    """Under the bound it is what the textbook says: the residual times the row, and the 1."""
    made = exact_sums.shorten_rows(np.array([[0.3, -0.4]]), 1.0)
    unit = math.sqrt(2) / STEPS
    sums = exact_sums.sum_gradients(made, np.array([False]), np.array([1.0, 1, 2]) * unit, STEPS)
    residual = 1 / (1 + math.exp(-(0.3 - 0.4 + 2)))
    expected = residual * np.array([0.3, -0.4, 1])
    np.testing.assert_allclose(sums * unit / SHARES, expected, atol=3e-4)


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 4.0])
def test_the_noise_is_the_least_that_the_analytic_gaussian_formula_asks(epsilon: float) -> None:
    """All releases together are one Gaussian mechanism: its delta is the one asked."""
    drawn = PrivateLogisticRegression(epsilon=epsilon).mechanisms()
    mu = 0.0
    for mechanism in drawn:
        assert isinstance(mechanism, Gaussian)
        mu += mechanism.count / mechanism.noise_multiplier**2
    assert measure_delta(math.sqrt(mu), epsilon) == pytest.approx(1e-5, rel=0.01)
    assert compose(drawn, 1e-5) <= epsilon


def test_every_look_at_the_data_is_a_release_that_was_accounted_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A count, moments and `steps` sums are released, each with the noise it is charged for."""
    noise = Noiseless()
    asked: list[float] = []

    def spy(
        rows: NDArray[np.float32],
        targets: NDArray[np.bool_],
        weights: NDArray[np.float64],
        clip_norm: float,
        find_gaps: exact_sums.FindGaps,
    ) -> NDArray[np.int64]:
        asked.append(clip_norm)
        return exact_sums.sum_gradients(rows, targets, weights, clip_norm, find_gaps)

    monkeypatch.setattr(private_model, "add_noise_to_sums", noise)
    monkeypatch.setattr(sums, "sum_gradients", spy)
    model = PrivateLogisticRegression(steps=5).fit([[0.0, 1], [1, 0], [1, 1]], [0, 1, 1])
    assert [sums.shape for sums in noise.sums] == [(1,), (6,)] + [(3,)] * 5
    sensitivities = [COUNT_STEPS, STEPS**2] + [clip_norm * SHARES for clip_norm in asked]
    multipliers = np.array(noise.deviations) / sensitivities
    drawn = [one for one in model.mechanisms() if isinstance(one, Gaussian)]
    charged = [one.noise_multiplier for one in drawn for _ in range(one.count)]
    np.testing.assert_allclose(multipliers, charged, rtol=1e-12)
    assert model.epsilon_spent_ == pytest.approx(1.0, abs=1e-3)
    assert compose([Gaussian(model.noise_multiplier_)], 1e-5) == pytest.approx(1.0, abs=1e-3)


def test_a_person_moves_count_and_moments_by_what_their_noise_is_scaled_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The longest row, and a mean one: nobody is counted twice."""
    for person in ([1e9, -1e9], [1.0, 1.0]):
        noise = Noiseless()
        monkeypatch.setattr(private_model, "add_noise_to_sums", noise)
        for people in (np.eye(2)[[1] * 3], np.vstack([np.eye(2)[[1] * 3], person])):
            PrivateLogisticRegression(steps=1).fit(people, np.zeros(len(people)))
        assert noise.sums[3] - noise.sums[0] == COUNT_STEPS
        moved = length(noise.sums[4] - noise.sums[1])
        assert 0.4 * STEPS**4 < moved <= STEPS**4


def test_the_noise_has_the_deviation_it_was_asked_for() -> None:
    """The variance of 20,000 draws lies within six of its own standard errors (p < 1e-8)."""
    deviation = 3e9
    noise = noise_samplers.add_noise_to_sums(np.zeros(20_000, dtype=np.int64), deviation)
    assert abs(noise.var() / deviation**2 - 1) < 6 * math.sqrt(2 / 20_000)
    assert abs(noise.mean()) < 6 * deviation / math.sqrt(20_000)


def test_noise_so_fine_that_its_grid_would_show_is_refused() -> None:
    """Discrete noise of few steps is not the Gaussian that is accounted for."""
    with pytest.raises(UsageError, match="at least 16384 steps"):
        noise_samplers.add_noise_to_sums(np.zeros(2, dtype=np.int64), 16_383.0)


@pytest.mark.parametrize(("epsilon", "mu"), [(0.1, 0.03), (1.0, 0.27), (8.0, 1.5), (20.0, 3.3)])
def test_at_the_finest_grid_discrete_noise_costs_what_continuous_noise_does(
    epsilon: float, mu: float
) -> None:
    """Delta summed over the steps themselves is the Gaussian's to one part in 10^7."""
    deviation = noise_samplers.FINEST
    moved = round(mu * deviation)
    steps = np.arange(-14 * deviation, 14 * deviation + 1)
    weights = np.exp(-((steps / deviation) ** 2) / 2)
    loss = (2 * steps * moved + moved**2) / (2 * deviation**2)
    above = loss > epsilon
    delta = (weights[above] * -np.expm1(epsilon - loss[above])).sum() / weights.sum()
    assert delta == pytest.approx(measure_delta(moved / deviation, epsilon), rel=1e-7)


def test_samplers_of_many_deviations_are_not_all_kept() -> None:
    """Each training has deviations of its own, and a server trains for ever."""
    for turn in range(20):
        noise_samplers.add_noise_to_sums(np.zeros(1, dtype=np.int64), 1e6 + turn)
    assert noise_samplers._discrete_gaussian.cache_info().currsize <= 8


def test_the_noise_cannot_be_seeded() -> None:
    """Two trainings under the same seeds of numpy give different models."""
    drawn = []
    for _ in range(2):
        np.random.seed(1)  # noqa: NPY002  # the global seed is what must have no effect
        drawn.append(PrivateLogisticRegression().fit([[0.0], [1.0]], [0, 1]).coef_)
    assert not np.array_equal(drawn[0], drawn[1])


def test_the_classes_come_from_the_declaration_not_from_the_people() -> None:
    """Trained on people of one class, which must not be told, the model still knows both."""
    model = PrivateLogisticRegression(classes=("no", "yes")).fit([[0.0], [1.0]], ["no", "no"])
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.predict_proba([[0.5]]).shape == (1, 2)


def test_an_undeclared_class_is_refused_without_its_value() -> None:
    """The refusal says about how many labels, not which."""
    with pytest.raises(Refusal, match="fewer than 10 labels") as refusal:
        PrivateLogisticRegression().fit([[0.0], [1.0]], [0, 777])
    assert "777" not in str(refusal.value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_rows_that_are_not_finite_are_refused_before_anything_is_drawn(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """scikit-learn's own error, and no noise was spent."""
    noise = Noiseless()
    monkeypatch.setattr(private_model, "add_noise_to_sums", noise)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        PrivateLogisticRegression().fit([[0.0], [value]], [0, 1])
    assert noise.sums == []


@pytest.mark.parametrize("shape", [(3, 40), (50, 2), (1, 1)])
def test_constant_features_and_fewer_people_than_features_train(shape: tuple[int, int]) -> None:
    """Neither is told, as that would tell of people: the model is finite, and mostly noise."""
    labels = np.arange(shape[0]) % 2
    model = PrivateLogisticRegression().fit(np.ones(shape), labels)
    assert np.isfinite(model.predict_proba(np.ones(shape))).all()


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"epsilon": 0}, id="no-epsilon"),
        pytest.param({"epsilon": -1}, id="negative-epsilon"),
        pytest.param({"epsilon": 20.1}, id="epsilon-that-protects-nobody"),
        pytest.param({"epsilon": math.nan}, id="epsilon-not-a-number"),
        pytest.param({"delta": 0}, id="no-delta"),
        pytest.param({"delta": 1}, id="all-of-delta"),
        pytest.param({"steps": 0}, id="no-steps"),
        pytest.param({"steps": 2.5}, id="half-a-step"),
        pytest.param({"steps": True}, id="steps-of-yes"),
        pytest.param({"steps": "forty"}, id="steps-in-words"),
        pytest.param({"row_bound": "far"}, id="bound-in-words"),
        pytest.param({"row_bound": math.inf}, id="no-bound"),
        pytest.param({"row_bound": 0}, id="bound-of-nothing"),
        pytest.param({"classes": (1, 1)}, id="one-class"),
        pytest.param({"classes": (1, 2, 1)}, id="the-same-class-twice"),
        pytest.param({"classes": tuple(range(21))}, id="more-classes-than-twenty"),
    ],
)
def test_parameters_without_a_guarantee_are_refused(parameters: dict[str, float]) -> None:
    """Nothing is trained on a promise that cannot be kept, nor charged for it."""
    model = PrivateLogisticRegression(**parameters)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(UsageError, match="private training"):
        model.fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(UsageError, match="private training"):
        model.mechanisms()


def test_it_keeps_scikit_learns_conventions_but_for_named_exceptions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every exception is one that fails; without noise, which is fresh in every fit."""
    monkeypatch.setattr(private_model, "add_noise_to_sums", Noiseless())
    model = PrivateLogisticRegression(epsilon=20)
    results = check_estimator(model, on_skip=None, expected_failed_checks=EXCEPTIONS)
    excused = {result["check_name"] for result in results if result["status"] == "xfail"}
    assert excused == set(EXCEPTIONS)


@pytest.mark.parametrize("epsilon", [0.5, 8.0])
def test_whitening_learns_what_lies_along_small_directions(epsilon: float) -> None:
    """Of two features that hardly differ, it is their difference that tells the class."""
    rng = np.random.default_rng(7)
    common, apart = rng.normal(size=(2, 20_000))
    people = np.column_stack([common + apart / 8, common - apart / 8])
    labels = (apart > 0).astype(int)
    model = PrivateLogisticRegression(epsilon=epsilon, row_bound=4).fit(people, labels)
    assert model.score(people, labels) > 0.93


def test_a_private_model_learns_and_saves_nothing_but_its_release() -> None:
    """It separates 2,000 easy people, and its learned attributes are the released ones."""
    declaration = ModelDeclaration("private-logistic-regression", epsilon=1.0, delta=1e-5)
    people, target = make_people(2000)
    pipeline = build_estimator(declaration, ENCODING).fit(people, target)
    assert evaluate(pipeline, people, target).auc > 0.95
    learned = {name for name in vars(pipeline[-1]) if name.endswith("_")}
    released = {"coef_", "intercept_", "classes_", "clip_norm_"}
    public = {"adjacency_", "n_features_in_", "noise_multiplier_", "epsilon_spent_"}
    assert learned == released | public
    unknown = set(skops.io.get_untrusted_types(data=skops.io.dumps(pipeline)))
    assert unknown == {
        "tasks.training.encoding.DeclaredEncoder",
        "tasks.training.served_model.DeclaredColumns",
        "tasks.training.private_logistic.PrivateLogisticRegression",
    }


@pytest.mark.parametrize(
    "kind", ["private-logistic-regression", "private-boosting", "private-network"]
)
def test_no_parameter_overrules_what_is_promised(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what the encoder knows of its rows: the rest of the parameters is free."""
    monkeypatch.setattr("tasks.training.private_descent.require_torch", lambda: None)
    given = {"delta": 0.5, "epsilon": 19.0, "row_bound": 1e-3, "features": [1]}
    taken = {"private-logistic-regression": "row_bound", "private-boosting": "features"}
    kept = {name: given[name] for name in ("delta", "epsilon", taken.get(kind, "delta"))}
    found = build_estimator(ModelDeclaration(kind, kept, 1.0, 1e-5), ENCODING)[-1].get_params()
    assert (found["epsilon"], found["delta"]) == (1.0, 1e-5)
    assert found.get("row_bound", 2.0) > 1
    assert found.get("features", [2, 0]) != [1]


@pytest.mark.parametrize(
    "kind",
    ["logistic-regression", "gradient-boosting", "sklearn.ensemble.RandomForestClassifier"],
)
def test_a_model_without_noise_must_not_claim_epsilon(kind: str) -> None:
    """Every kind trains; none but the private one takes an epsilon."""
    people, target = make_people(60)
    pipeline = build_estimator(ModelDeclaration(kind), ENCODING).fit(people, target)
    assert evaluate(pipeline, people, target).auc == 1.0
    with pytest.raises(UsageError, match="not differentially private"):
        build_estimator(ModelDeclaration(kind, epsilon=1.0, delta=1e-5), ENCODING)


@pytest.mark.parametrize(
    "declaration",
    [
        pytest.param(ModelDeclaration("gradient-bosting"), id="misspelt"),
        pytest.param(ModelDeclaration("os.getcwd"), id="not-a-class"),
        pytest.param(ModelDeclaration("sklearn.linear_model.Ridge"), id="not-a-classifier"),
        pytest.param(ModelDeclaration("sklearn.svm.LinearSVC"), id="no-probability"),
        pytest.param(ModelDeclaration("private-logistic-regression"), id="no-epsilon"),
        pytest.param(ModelDeclaration("logistic-regression", {"trees": 3}), id="parameter"),
    ],
)
def test_a_model_that_cannot_be_built_is_refused(declaration: ModelDeclaration) -> None:
    """The refusal names the declared kind."""
    with pytest.raises(UsageError, match=declaration.kind):
        build_estimator(declaration, ENCODING)


def test_quality_is_not_given_for_people_of_one_class() -> None:
    """Without both classes there is no AUC, and none is made up."""
    people, target = make_people(60)
    pipeline = build_estimator(ModelDeclaration("logistic-regression"), ENCODING)
    pipeline.fit(people, target)
    with pytest.raises(Refusal, match="one class"):
        evaluate(pipeline, people[target == 1], target[target == 1])
