"""Private training touches people only through sums, which may come from anywhere and be added."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from tasks.training import exact_sums, private_model
from tasks.training.exact_sums import SHARES, STEPS
from tasks.training.private_boosting import PrivateBoosting, PrivateBoostingRegressor
from tasks.training.private_linear import PrivateLinearRegression
from tasks.training.private_logistic import PrivateLogisticRegression
from tasks.training.private_model import PrivateModel
from tasks.training.sums import BinSums, RowsHere, RowSums

Floats = NDArray[np.float64]
PEOPLE, LABELS = 60, ("low", "middle", "high")


@dataclass(frozen=True)
class Together:
    """Several servers of sums, who hold different people: what they answer is added."""

    servers: Sequence[RowSums]

    @property
    def width(self) -> int:
        """All have rows of the same width."""
        return self.servers[0].width

    def count(self) -> NDArray[np.int64]:
        """Add up the people."""
        return np.sum([one.count() for one in self.servers], axis=0)

    def moments(self) -> NDArray[np.int64]:
        """Add up the moments."""
        return np.sum([one.moments() for one in self.servers], axis=0)

    def turn(self, directions: Floats) -> None:
        """Turn all rows."""
        for one in self.servers:
            one.turn(directions)

    def gradients(self, weights: Floats, clip_norm: float) -> NDArray[np.int64]:
        """Add up the gradients."""
        return np.sum([one.gradients(weights, clip_norm) for one in self.servers], axis=0)


def fixed_noise() -> Callable[[NDArray[np.int64], float], Floats]:
    """Give noise that is the same each time, of the deviation that is asked for."""
    draw = np.random.default_rng(4)
    return lambda sums, deviation: sums + np.rint(draw.normal(0, deviation, sums.shape))


def make_rows(seed: int) -> Floats:
    """Make up rows of three numbers."""
    return np.random.default_rng(seed).normal(size=(PEOPLE, 3))


LINEAR = {
    "yes or no": (PrivateLogisticRegression(steps=4), (0, 1)),
    "classes": (PrivateLogisticRegression(classes=LABELS, steps=4), LABELS),
    "numbers": (PrivateLinearRegression(target_range=(-3.0, 3.0), steps=4), (-4.0, 0.1, 2.5)),
}


@pytest.mark.parametrize("target", LINEAR)
@settings(max_examples=10)
@given(seed=st.integers(0, 99), cuts=st.sets(st.integers(1, PEOPLE - 1), max_size=4))
def test_linear_models_of_one_table_and_of_its_parts_are_the_same_to_the_last_bit(
    target: str, seed: int, cuts: set[int]
) -> None:
    """However the people are parted among servers, in whatever order, with the same noise."""
    model, outcomes = LINEAR[target]
    rows = make_rows(seed)
    answers = np.random.default_rng(seed).choice(np.array(outcomes), PEOPLE)
    order = np.random.default_rng(seed + 1).permutation(PEOPLE)
    whole, parted = type(model)(**model.get_params()), type(model)(**model.get_params())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(private_model, "add_noise_to_sums", fixed_noise())
        whole.fit(rows, answers)
        patch.setattr(private_model, "add_noise_to_sums", fixed_noise())
        parted.fit_sums(
            Together([_serve(parted, rows[part], answers[part])
                      for part in np.split(order, sorted(cuts))])
        )  # fmt: skip
    np.testing.assert_array_equal(whole.coef_, parted.coef_)
    np.testing.assert_array_equal(whole.intercept_, parted.intercept_)
    np.testing.assert_array_equal(whole.predict(rows), parted.predict(rows))


@dataclass(frozen=True)
class BinsTogether:
    """The same of people by bins."""

    servers: Sequence[BinSums]

    def counts(self) -> NDArray[np.int64]:
        """Add up the counts."""
        return np.sum([one.counts() for one in self.servers], axis=0)

    def residuals(self, scores: Floats, start: Floats) -> NDArray[np.int64]:
        """Add up the residuals."""
        return np.sum([one.residuals(scores, start) for one in self.servers], axis=0)


FEATURES = ((-9.0, -1.0, 0.0, 1.0, 9.0), (-9.0, 0.0, 9.0), (-9.0, 0.5, 9.0))
BOOSTED = {
    "yes or no": (PrivateBoosting(features=FEATURES, rounds=4), (0, 1)),
    "classes": (PrivateBoosting(classes=LABELS, features=FEATURES, rounds=4), LABELS),
    "numbers": (
        PrivateBoostingRegressor(target_range=(-3.0, 3.0), features=FEATURES, rounds=4),
        (-4.0, 0.1, 2.5),
    ),
}


@pytest.mark.parametrize("target", BOOSTED)
@settings(max_examples=10)
@given(seed=st.integers(0, 99), cuts=st.sets(st.integers(1, PEOPLE - 1), max_size=4))
def test_boosted_models_of_one_table_and_of_its_parts_are_the_same_to_the_last_bit(
    target: str, seed: int, cuts: set[int]
) -> None:
    """As linear ones are: also where a part has a single person, or none of a class."""
    model, outcomes = BOOSTED[target]
    rows = make_rows(seed)
    answers = np.random.default_rng(seed).choice(np.array(outcomes), PEOPLE)
    order = np.random.default_rng(seed + 1).permutation(PEOPLE)
    whole, parted = type(model)(**model.get_params()), type(model)(**model.get_params())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(private_model, "add_noise_to_sums", fixed_noise())
        whole.fit(rows, answers)
        patch.setattr(private_model, "add_noise_to_sums", fixed_noise())
        parts = [
            parted.serve(rows[part], parted.encode_target(answers[part]))
            for part in np.split(order, sorted(cuts))
        ]
        parted.fit_sums(BinsTogether(parts), rows.shape[1])
    np.testing.assert_array_equal(whole.intercept_, parted.intercept_)
    np.testing.assert_array_equal(np.concatenate(whole.shapes_), np.concatenate(parted.shapes_))
    np.testing.assert_array_equal(whole.predict(rows), parted.predict(rows))


@given(gaps=arrays(np.float64, (3, 4), elements=st.floats(-2, 2)), bound=st.floats(0.1, 1))
def test_nobodys_residuals_of_all_classes_together_are_longer_than_the_bound(
    gaps: Floats, bound: float
) -> None:
    """On the grid, and without any tolerance."""
    for residuals in (gaps, gaps[:, 0]):
        short = exact_sums.shorten_residuals(residuals, bound) * exact_sums.GRID
        assert (short % 1 == 0).all()
        longest = max(_length(one.astype(np.int64)) for one in short)
        assert longest <= Fraction(bound * exact_sums.GRID) ** 2


def _serve(model: PrivateModel, rows: Floats, answers: NDArray[np.generic]) -> RowSums:
    targets = model.encode_target(answers)
    return RowsHere.gather([rows], model.row_bound, targets, model.find_gaps)


def _length(values: NDArray[np.int64]) -> int:
    return sum(int(value) ** 2 for value in values.ravel())


rows = arrays(np.float64, (4, 3), elements=st.floats(-1e9, 1e9))


@given(
    rows=rows,
    weights=arrays(np.float64, (4, 3), elements=st.floats(-1e3, 1e3)),
    classes=arrays(np.intp, 4, elements=st.integers(0, 2)),
    numbers=arrays(np.float64, 4, elements=st.floats(-1, 1)),
    clip_norm=st.floats(1, STEPS),
)
def test_no_persons_part_of_a_gradient_of_classes_or_numbers_is_longer_than_the_clip_norm(
    rows: Floats, weights: Floats, classes: NDArray[np.intp], numbers: Floats, clip_norm: float
) -> None:
    """All columns of classes together keep to the bound, and so does whoever is far off."""
    made = exact_sums.shorten_rows(rows, 2.0)
    of_classes = exact_sums.sum_gradients(
        made[:1], classes[:1], weights / STEPS, clip_norm, exact_sums.gap_of_classes
    )
    of_numbers = exact_sums.sum_gradients(
        made[:1], numbers[:1], weights[:, 0] / STEPS, clip_norm, exact_sums.gap_of_numbers
    )
    assert max(_length(of_classes), _length(of_numbers)) <= Fraction(clip_norm * SHARES) ** 2


@given(scores=arrays(np.float64, (5, 4), elements=st.floats(-50, 50)), turn=st.integers(0, 4))
def test_the_gap_of_a_class_is_the_softmax_and_the_same_wherever_somebody_stands(
    scores: Floats, turn: int
) -> None:
    """By the textbook within the table's places; moved among others, bit by bit the same."""
    truth = np.zeros(5, dtype=np.intp)
    found = exact_sums.gap_of_classes(scores, truth)
    for row, gaps in zip(scores, found, strict=True):
        shares = [math.exp(one - max(row)) for one in row]
        expected = np.array(shares) / sum(shares) - np.eye(4)[0]
        np.testing.assert_allclose(gaps, expected, atol=2e-3)
    np.testing.assert_array_equal(
        exact_sums.gap_of_classes(np.roll(scores, turn, axis=0), truth), np.roll(found, turn, 0)
    )


def test_a_regression_tells_three_classes_and_a_number_that_lie_apart() -> None:
    """Each class is said where it is likeliest; numbers are told within a tenth of their range."""
    people = np.random.default_rng(2).uniform(-1, 1, size=(6000, 2))
    classes = np.where(people[:, 0] > 0.3, "high", np.where(people[:, 1] > 0, "low", "middle"))
    model = PrivateLogisticRegression(classes=LABELS, epsilon=3.0).fit(people, classes)
    assert model.predict_proba(people).shape == (6000, 3)
    assert model.score(people, classes) > 0.85
    numbers = 20 + 5 * people[:, 0] - 3 * people[:, 1]
    guesses = (
        PrivateLinearRegression(target_range=(10.0, 30.0)).fit(people, numbers).predict(people)
    )
    assert np.abs(guesses - numbers).mean() < 1


def test_boosting_tells_three_classes_and_a_number_that_lie_apart() -> None:
    """A score for each class and bin, or one for each bin."""
    people = np.random.default_rng(2).uniform(size=(6000, 2))
    classes = np.where(people[:, 0] > 0.7, "high", np.where(people[:, 1] > 0.5, "low", "middle"))
    model = PrivateBoosting(classes=LABELS, epsilon=3.0).fit(people, classes)
    assert model.score(people, classes) > 0.85
    assert [shape.shape for shape in model.shapes_] == [(21, 3)] * 2
    numbers = 20 + 5 * people[:, 0] - 3 * people[:, 1]
    boosted = PrivateBoostingRegressor(target_range=(10.0, 30.0), epsilon=3.0).fit(people, numbers)
    assert np.abs(boosted.predict(people) - numbers).mean() < 1


def test_a_yes_or_no_model_comes_out_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded before there were other targets: the same noise gives the same model."""
    monkeypatch.setattr(private_model, "add_noise_to_sums", fixed_noise())
    people = make_rows(1)
    model = PrivateLogisticRegression(steps=4, epsilon=3.0).fit(people, people[:, 0] > 0)
    expected = [9.368873588054146, -4.133862126440871, -3.8674251363029226, 2.3653171]
    learned = [*model.coef_[0], *model.intercept_]
    assert learned == pytest.approx(expected, rel=1e-7)
