"""A policy's private model from end to end: declared, charged as declared, trained, served."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from expectations.policy.policy import Policy
from expectations.policy_file import parse_policy
from expectations.privacy_loss import compose
from tasks.people.population import TEST
from tasks.training.encoding import DeclaredEncoder
from tasks.training.models import build_estimator, declare_encoding, declare_loss, declare_model
from tasks.training.private_network import draw_start
from tasks.training.quality import evaluate
from tasks.training.train import fit_model, load_model, save_model, split_rows
from tests.conftest import BUDGET, small_policy
from tests.expectations.coherence.test_many_rows_coherence import policy_with

SUGAR = (
    "use: [derivation]\n    treatment: {kind: drop}",
    "use: [derivation, feature]\n    treatment: {kind: clip, low: 4, high: 9}",
)
CROSSES = "crosses: [[age, sex]]"
PROMISE = "promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}"
KINDS = ["private-logistic-regression", "private-boosting"]


def policy(kind: str, crosses: str = CROSSES, epsilon: float = 8) -> Policy:
    """Give the small policy with a private model of a labelled cross and a clipped number."""
    promise = f"promise: {{kind: differential-privacy, epsilon: {epsilon}, delta: 1e-5}}"
    return parse_policy(
        small_policy(
            SUGAR,
            ("{model: logistic-regression}", f"{{model: {kind}, {crosses}}}"),
            ("recipient: Clinic", f"recipient: Clinic\n    {promise}"),
        )
    )


def people(count: int = 3000) -> pd.DataFrame:
    """Give people whose illness follows age, sex and sugar; every fifth told no sugar."""
    draw = np.random.default_rng(3)
    old, woman, sugar = (
        draw.random(count) < 0.5,
        draw.random(count) < 0.5,
        draw.uniform(3, 10, count),
    )
    odds = 4.0 * (old ^ woman) + (sugar - 6.5) - 2
    return pd.DataFrame(
        {
            "age": pd.Series(np.where(old, "65+", "18-34"), dtype="string"),
            "sex": pd.Series(np.where(woman, "f", "m"), dtype="string"),
            "sugar": pd.Series(np.where(np.arange(count) % 5, sugar, np.nan), dtype="Float64"),
            "sick": np.where(draw.random(count) < 1 / (1 + np.exp(-odds)), "yes", "no"),
            TEST: np.arange(count) % 4 == 0,
        }
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_private_model_learns_from_labels_crosses_and_numbers_that_miss(kind: str) -> None:
    """It tells who is sick far better than chance, and is served as it was trained."""
    asked = policy(kind)
    training, testing = split_rows(people(), asked)
    model = fit_model(training, asked)
    assert evaluate(model, *testing).auc > 0.7
    served = load_model(save_model(model))
    np.testing.assert_array_equal(
        served.predict_proba(testing.features), model.predict_proba(testing.features)
    )
    assert model.classes_.tolist() == ["no", "yes"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epsilon", [0.5, 8])
def test_what_is_charged_beforehand_is_what_the_training_spends(kind: str, epsilon: float) -> None:
    """Declared from the policy alone; the fitted model says the same, within the promise."""
    asked = policy(kind, epsilon=epsilon)
    charged = compose(declare_loss(asked), 1e-5)
    training, _ = split_rows(people(500), asked)
    spent = fit_model(training, asked)[-1].epsilon_spent_
    assert spent == pytest.approx(charged, rel=1e-6)
    assert 0.9 * epsilon < charged <= epsilon * (1 + 1e-6)


def test_what_is_charged_does_not_hang_on_how_many_rows_count() -> None:
    """A promise holds for a person with all rows, be there one or thousands."""

    def charged(most: str) -> float:
        changes = (
            ("      at: start\n", f"      at: start\n{most}"),
            ("{model: logistic-regression}", "{model: private-logistic-regression}"),
            ("recipient: Clinic", f"recipient: Clinic\n    {PROMISE}"),
            ("attacks:\n", f"{BUDGET}attacks:\n"),
        )
        return compose(declare_loss(parse_policy(policy_with(*changes))), 1e-5)

    assert charged("") == charged("      most: 1\n") == charged("      most: 9999\n")


def test_a_cross_is_read_by_the_kind_that_needs_it() -> None:
    """Regression reads each combination, and so tells what age and sex say only together."""
    names = {
        crosses: set(
            _encoder(policy("private-logistic-regression", crosses)).get_feature_names_out()
        )
        for crosses in (CROSSES, "crosses: []")
    }
    added = names[CROSSES] - names["crosses: []"]
    # four ages and two sexes, and missing of each
    assert len(added) == 5 * 3
    assert "age × sex=65+ × f" in added
    trees = _encoder(policy("private-boosting"))
    assert list(trees.get_feature_names_out()) == ["age", "sex", "sugar"]
    aucs = {}
    for crosses in names:
        asked = policy("private-logistic-regression", crosses)
        training, testing = split_rows(people(), asked)
        aucs[crosses] = evaluate(fit_model(training, asked), *testing).auc
    assert aucs[CROSSES] > aucs["crosses: []"] + 0.05


def test_the_bound_of_a_row_counts_the_cross() -> None:
    """Noise is for the longest row that can be; a cross makes rows longer."""
    asked = policy("private-logistic-regression")
    pipeline = build_estimator(declare_model(asked), declare_encoding(asked))
    rows = pipeline[1].transform(split_rows(people(200), asked)[0].features)
    assert pipeline[-1].row_bound == pipeline[1].row_bound
    assert np.linalg.norm(rows, axis=1).max() <= pipeline[-1].row_bound
    assert (
        pipeline[-1].row_bound
        > _encoder(policy("private-logistic-regression", "crosses: []")).row_bound
    )


def _encoder(asked: Policy) -> DeclaredEncoder:
    found = build_estimator(declare_model(asked), declare_encoding(asked))[1]
    assert isinstance(found, DeclaredEncoder)
    return found


def test_a_layer_as_wide_as_the_features_is_drawn_as_a_later_one() -> None:
    """The first weights are smaller than those of layers behind; width alone tells no layer."""
    first, second, last, linear = draw_start(100, (100, 100))
    assert first[:-1].std() == pytest.approx(0.3, rel=0.1)
    assert second[:-1].std() == pytest.approx(0.1, rel=0.1)
    assert (last.shape, linear.shape) == ((101, 1), (101, 1))
