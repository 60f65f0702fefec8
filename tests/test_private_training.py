"""Private training spends the epsilon it says, on gradients that are as short as it says."""

import math

import numpy as np
import opendp.prelude as dp
import pandas as pd
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from expectations.errors import Refusal, UsageError
from tasks.training import private
from tasks.training.models import (
    Encoding,
    ModelDeclaration,
    build_estimator,
    evaluate,
)
from tasks.training.private import PrivateLogisticRegression, calibrate_noise, clip_gradients

ENCODING = Encoding({"age": ["young", "old"]}, {"bmi": (15.0, 55.0)}, ["age"])
rows = arrays(np.float64, (4, 3), elements=st.floats(-1e6, 1e6))
residuals = arrays(np.float64, 4, elements=st.floats(-1, 1))


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


@settings(deadline=None)
@given(rows=rows, residuals=residuals, clip_norm=st.floats(1e-3, 100))
def test_no_persons_gradient_is_longer_than_the_clip_norm(
    rows: NDArray[np.float64], residuals: NDArray[np.float64], clip_norm: float
) -> None:
    """Whatever the row, the clipped gradient keeps to the bound without any tolerance."""
    clipped = clip_gradients(rows, residuals, clip_norm)
    assert all(math.hypot(*gradient) <= clip_norm for gradient in clipped)


@settings(deadline=None)
@given(rows=rows, residuals=residuals)
def test_the_sum_of_gradients_moves_by_one_persons_gradient_exactly(
    rows: NDArray[np.float64], residuals: NDArray[np.float64]
) -> None:
    """Rounding of the sum adds nothing: without a person it changes by their gradient."""
    clipped = clip_gradients(rows, residuals, 1.5)
    np.testing.assert_array_equal(clipped.sum(0) - clipped[1:].sum(0), clipped[0])


def test_a_short_gradient_is_not_changed_beyond_the_grid() -> None:
    """Clipping leaves a gradient under the bound as it is, within 1 / GRID."""
    clipped = clip_gradients(np.array([[0.3, -0.4]]), np.array([0.7]), 1.5)
    np.testing.assert_allclose(clipped, [[0.21, -0.28]], atol=1 / private.GRID)


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 4.0])
def test_the_noise_is_the_least_that_the_analytic_gaussian_formula_asks(epsilon: float) -> None:
    """Releases of one multiplier equal one Gaussian of root-many: its delta is the one asked."""
    multiplier = calibrate_noise(epsilon, 1e-5, 61)
    assert measure_delta(math.sqrt(61) / multiplier, epsilon) == pytest.approx(1e-5, rel=0.01)


def test_the_epsilon_spent_lies_under_opendps_own_bound() -> None:
    """OpenDP's zCDP of each release, composed and converted (Bun & Steinke), is above it."""
    multiplier = calibrate_noise(1.0, 1e-5, 61)
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=float, nan=False)), dp.l2_distance(T=float)
    mechanism = dp.m.make_gaussian(*space, scale=multiplier * 1.5)
    rho = 61 * mechanism.map(1.5)  # type: ignore[no-untyped-call]  # OpenDP leaves it untyped
    assert rho == pytest.approx(61 / (2 * multiplier**2))
    upper = rho + 2 * math.sqrt(rho * math.log(1e5))
    assert private.spend_epsilon(multiplier, 1e-5, 61) < upper


def test_every_look_at_the_data_is_a_release_that_was_accounted_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One count and `steps` gradient sums are released, each with the noise it was charged for."""
    released: list[float] = []

    def record(values: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
        released.append(deviation)
        return values

    monkeypatch.setattr(private, "add_noise", record)
    model = PrivateLogisticRegression(steps=5, clip_norm=2.0).fit([[0.0], [1.0]], [0, 1])
    assert released == [model.noise_multiplier_] + [2 * model.noise_multiplier_] * 5
    assert model.noise_multiplier_ == calibrate_noise(1.0, 1e-5, 6)
    assert model.epsilon_spent_ == pytest.approx(1.0, abs=1e-3)


def test_the_noise_has_the_deviation_it_was_asked_for() -> None:
    """The variance of 20,000 draws lies within six of its own standard errors (p < 1e-8)."""
    noise = private.add_noise(np.zeros(20_000), 3.0)
    assert abs(noise.var() / 9 - 1) < 6 * math.sqrt(2 / 20_000)
    assert abs(noise.mean()) < 6 * 3 / math.sqrt(20_000)


def test_the_noise_cannot_be_seeded() -> None:
    """Two trainings under the same seeds of numpy give different models."""
    drawn = []
    for _ in range(2):
        np.random.seed(1)  # noqa: NPY002  # the global seed is what must have no effect
        drawn.append(PrivateLogisticRegression().fit([[0.0], [1.0]], [0, 1]).coef_)
    assert not np.array_equal(drawn[0], drawn[1])


def test_the_classes_come_from_the_declaration_not_from_the_people() -> None:
    """Trained on people of one class, the model still knows both."""
    model = PrivateLogisticRegression(classes=("no", "yes")).fit([[0.0], [1.0]], ["no", "no"])
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.predict_proba([[0.5]]).shape == (1, 2)


def test_an_undeclared_class_is_refused_without_its_value() -> None:
    """The refusal says how many labels, not which."""
    with pytest.raises(Refusal, match="1 labels") as refusal:
        PrivateLogisticRegression().fit([[0.0], [1.0]], [0, 777])
    assert "777" not in str(refusal.value)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"epsilon": 0}, id="no-epsilon"),
        pytest.param({"epsilon": math.inf}, id="infinite-epsilon"),
        pytest.param({"delta": 0}, id="no-delta"),
        pytest.param({"steps": 0}, id="no-steps"),
        pytest.param({"clip_norm": math.inf}, id="no-bound"),
        pytest.param({"classes": (1, 1)}, id="one-class"),
    ],
)
def test_parameters_without_a_guarantee_are_refused(parameters: dict[str, float]) -> None:
    """Nothing is trained on a promise that cannot be kept."""
    with pytest.raises(UsageError, match="private training"):
        PrivateLogisticRegression(**parameters).fit([[0.0], [1.0]], [0, 1])  # type: ignore[arg-type]  # wrong on purpose


def test_a_private_model_learns_and_saves_nothing_but_its_release() -> None:
    """It separates 2,000 easy people, and its learned attributes are the released ones."""
    declaration = ModelDeclaration("private-logistic-regression", epsilon=1.0, delta=1e-5)
    people, target = make_people(2000)
    pipeline = build_estimator(declaration, ENCODING).fit(people, target)
    assert evaluate(pipeline, people, target).auc > 0.95
    learned = {name for name in vars(pipeline[-1]) if name.endswith("_")}
    released = {"coef_", "intercept_", "classes_", "noise_multiplier_", "epsilon_spent_"}
    assert learned == released | {"n_features_in_"}
    unknown = set(skops.io.get_untrusted_types(data=skops.io.dumps(pipeline)))
    assert unknown == {
        "tasks.training.encoding.DeclaredEncoder",
        "tasks.training.private.PrivateLogisticRegression",
    }


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
