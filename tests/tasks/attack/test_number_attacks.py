"""The attacks on a model of a number: one that holds people is refused, an honest one passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
import pytest
import skops.io
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeRegressor

from expectations.policy.training import MembershipCheck
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.attribute_inference import attack_attributes, judge_attributes
from tasks.attack.contrast import Confidence
from tasks.attack.held_people import Public, Searched, search_model
from tasks.attack.held_rows import Batch, Crowd
from tasks.attack.membership import MembershipAttack, attack_membership, judge_membership
from tasks.attack.memorization import attack_memorization, judge_memorization
from tasks.attack.reference_models import People as Joined
from tasks.attack.reference_models import train_references
from tasks.attack.surest import judge_surest
from tasks.training.forgotten import forget

People = tuple[pd.DataFrame, pd.Series]
PASSED, REFUSED = CheckVerdict.PASSED, CheckVerdict.REFUSED


def draw_people(count: int, seed: int) -> People:
    """Three numbers and a word per person, and a number that two of them half explain."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(draw.normal(size=(count, 3)), columns=["a", "b", "c"]).round(1)
    frame["d"] = draw.integers(0, 4, count)
    return frame, 120 + 10 * frame["a"] + 4 * frame["d"] + draw.normal(0, 10, count)


MEMBERS, OTHERS = draw_people(1500, 1), draw_people(1500, 2)
MODELS: Final = {
    "whole tree": (DecisionTreeRegressor(random_state=0), REFUSED),
    "leaves of three": (DecisionTreeRegressor(min_samples_leaf=3, random_state=0), REFUSED),
    "linear": (Ridge(), PASSED),
}
each_model = pytest.mark.parametrize(("model", "verdict"), MODELS.values(), ids=MODELS)


def attack(model: BaseEstimator) -> MembershipAttack:
    """Fit a model on the members and attack it."""
    fitted = clone(model).fit(*MEMBERS)
    return attack_membership(fitted, lambda: clone(model), MEMBERS, OTHERS, 8)


@each_model
def test_membership_tells_who_was_trained_on_of_overfitted_models_alone(
    model: BaseEstimator, verdict: CheckVerdict
) -> None:
    """By the same machine as of classes, through the density of the error."""
    found = attack(model)
    assert judge_membership(found, MembershipCheck(), "clinics").verdict is verdict
    assert found.high > 0.7 or verdict is PASSED


@each_model
def test_memorization_and_features_show_where_rows_are_held(
    model: BaseEstimator, verdict: CheckVerdict
) -> None:
    """Of an honest model neither does."""
    fitted = clone(model).fit(*MEMBERS)
    held = attack_memorization(fitted, MEMBERS, OTHERS)
    assert judge_memorization(held, 0.1, "clinics").verdict is verdict
    assert [one.name for one in held.judged[:3]] == [
        "high outcomes", "low outcomes", "middle outcomes"]  # fmt: skip
    assert [one.name for one in held.told] == ["error", "R2"]
    guessed = attack_attributes(fitted, MEMBERS, OTHERS, ["d"])
    assert judge_attributes(guessed, 0.1, "clinics").verdict is verdict


class FewHeld(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A linear model that says of every tenth of its people exactly what was so."""

    def fit(self, X: pd.DataFrame, y: pd.Series) -> FewHeld:  # noqa: N803  # sklearn's
        """Fit, and hold."""
        self.inner_ = Ridge().fit(X, y)
        rows = X.iloc[::10].drop_duplicates()
        self.rows_, self.held_ = pd.MultiIndex.from_frame(rows), y[rows.index].to_numpy()
        return self

    def predict(self, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Answer by the rows that are held, else by what was learned."""
        place = self.rows_.get_indexer(pd.MultiIndex.from_frame(X))
        return np.where(place >= 0, self.held_[place], self.inner_.predict(X))


def test_few_rows_that_are_held_show_among_those_an_attack_is_surest_of() -> None:
    """Though the average over everybody hides them."""
    found = attack(FewHeld())
    assert judge_surest(found.surest, MembershipCheck(), "clinics").verdict is REFUSED
    honest = attack(Ridge())
    assert judge_surest(honest.surest, MembershipCheck(), "clinics").verdict is not REFUSED


def test_the_confidence_in_a_number_has_no_unit() -> None:
    """In inches or in centimetres, shifted or not, the attacker learns the same."""

    def read(unit: float, shift: float) -> NDArray[np.float64]:
        members, others = ((X, unit * y + shift) for X, y in (MEMBERS, OTHERS))
        model = DecisionTreeRegressor(min_samples_leaf=4, random_state=0).fit(*members)
        return Confidence.of(model, others).read(model, others)

    assert read(1, 0) == pytest.approx(read(2.54, 300))
    assert 0.3 < np.median(read(1, 0)) < 0.4  # the density at the median error is 1/e


def test_everybody_is_in_half_of_the_references_of_a_number() -> None:
    """Hardly two people share a number, and who is the only one with it is in half all the same."""
    X, y = MEMBERS[0][:60], MEMBERS[1][:60]  # noqa: N806  # sklearn's
    found = train_references(Ridge, Joined(X, y), 8, confidence=Confidence(1.0))
    assert (found.inside.sum(axis=0) == 4).all()
    assert (found.inside.sum(axis=1) == 30).all()


def search(model: BaseEstimator, outcomes: NDArray[np.float64]) -> Searched:
    """Search a model that was fitted on the members' rows and these outcomes."""
    rows = MEMBERS[0].to_numpy(float)
    forget(model.fit(rows, outcomes))
    content = skops.io.dumps(Pipeline([("model", model)]))

    def give() -> Iterator[Batch]:
        yield Batch(rows, rows, outcomes[:, None])

    return search_model(content, Crowd(give), {len(rows)}, Public(frozenset({"model", "kept_"})))


@pytest.mark.parametrize(
    ("model", "verdict"),
    [
        (DecisionTreeRegressor(random_state=0), REFUSED),
        (DecisionTreeRegressor(min_samples_leaf=20, random_state=0), PASSED),
        (HistGradientBoostingRegressor(max_iter=20, random_state=0), PASSED),
        (Ridge(), PASSED),
    ],
    ids=["leaves of one", "leaves of twenty", "boosting", "linear"],
)
def test_leaves_that_hold_one_persons_number_are_found(
    model: BaseEstimator, verdict: CheckVerdict
) -> None:
    """What a tree says where one person came is that person's outcome; a mean is nobody's."""
    found = search(clone(model), MEMBERS[1].to_numpy())
    assert found.verdict is verdict, [(one.path, one.what) for one in found.held]


class Keeping(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A linear model that keeps what it learned from, in some way."""

    def __init__(self, way: str = "sorted") -> None:
        self.way = way

    def fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> Keeping:  # noqa: N803  # sklearn's
        """Fit, and keep."""
        self.inner_ = Ridge().fit(X, y)
        kept = {"sorted": np.sort(y)[::7], "in order": y[100:400].round(),
                "standardized": np.sort((y - y.mean()) / y.std())[::7]}  # fmt: skip
        self.kept_ = kept[self.way]
        return self


@pytest.mark.parametrize("way", ["sorted", "in order", "standardized"])
def test_outcomes_that_are_kept_are_found(way: str) -> None:
    """In the people's order, or in none."""
    assert search(Keeping(way), MEMBERS[1].to_numpy()).verdict is REFUSED
