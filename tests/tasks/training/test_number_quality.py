"""What is told of a model of a number: averages in steps that nobody moves by themselves."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from expectations.disclosure import Disclosure
from expectations.policy.outcome import Number
from tasks.training.number_quality import (
    Predicted,
    compare_errors,
    find_bound,
    predict_numbers,
    tell_number,
    tell_ranges,
    tell_within,
)

RULE: Final = Disclosure(b"k" * 32)
PRESSURE: Final = Number(70, 230)


def draw(count: int = 6_000, seed: int = 1, noise: float = 12.0) -> Predicted:
    """People with a number, of which a model explains a good half."""
    generator = np.random.default_rng(seed)
    predicted = generator.normal(125, 15, count)
    actual = predicted + noise * generator.standard_t(6, count)
    return Predicted(predicted.clip(70, 230), actual.clip(70, 230))


@pytest.mark.parametrize("count", [400, 6_000, 50_000])
def test_figures_are_those_of_everybody_up_to_their_steps(count: int) -> None:
    """And their intervals hold them."""
    people = draw(count)
    found = tell_number(people, PRESSURE, RULE)
    exact = mean_absolute_error(people.actual, people.predicted)
    assert found.mae.value == pytest.approx(exact, abs=found.mae.step)
    assert found.mae.low <= exact <= found.mae.high
    rmse = root_mean_squared_error(people.actual, people.predicted)
    assert found.rmse == pytest.approx(rmse, abs=10 * found.bound**2 / count / rmse)
    r2 = r2_score(people.actual, people.predicted)
    assert found.r2 is not None
    assert found.r2_low is not None
    assert found.r2_high is not None
    assert found.r2_low < r2 < found.r2_high
    assert found.r2 == pytest.approx(r2, abs=0.25 if count < 1_000 else 0.05)


def test_errors_are_bounded_where_hardly_anybody_is_beyond() -> None:
    """By public parts of the range; ten people who are far off are counted as they are."""
    people = draw(1_000)
    sizes = np.abs(people.errors)
    bound = find_bound(sizes, people, 160, RULE)
    assert bound in {160 * part for part in (0.2, 0.25, 0.3, 0.4)}
    assert (sizes > bound).sum() < 10
    people.actual[:20] = 230
    people.predicted[:20] = 70
    assert find_bound(np.abs(people.errors), people, 160, RULE) == 160


def test_a_model_that_guesses_the_mean_explains_nothing() -> None:
    """And one that is worse says so."""
    people = draw()
    mean = np.full(len(people.actual), people.actual.mean())
    found = tell_number(Predicted(mean, people.actual), PRESSURE, RULE)
    assert found.r2 == pytest.approx(0, abs=0.02)
    worse = tell_number(Predicted(mean + 20, people.actual), PRESSURE, RULE)
    assert worse.r2 is not None
    assert worse.r2 < -0.5


def test_where_everybody_has_the_same_number_there_is_no_r2() -> None:
    """Nothing is there to be explained."""
    same = np.full(500, 120.0)
    assert tell_number(Predicted(same, same), PRESSURE, RULE).r2 is None


def test_half_widths_are_public_and_their_shares_hold() -> None:
    """Each is a part of the declared range; the share of people within is in its interval."""
    people = draw()
    told = list(tell_within(people, PRESSURE, RULE))
    assert {one.error for one in told} <= {1.6, 3.2, 8.0, 16.0, 32.0, 48.0}
    assert len(told) >= 4
    for one in told:
        share = (np.abs(people.errors) <= one.error).mean()
        assert one.low <= share <= one.high
        assert one.share == pytest.approx(share, abs=0.02)
    assert [one.share for one in told] == sorted(one.share for one in told)


def test_a_bias_among_high_predictions_shows_there() -> None:
    """Ranges are public, and none has few people."""
    people = draw()
    actual = people.actual - np.where(people.predicted > 134, 8, 0)
    shifted = Predicted(people.predicted, actual)
    told = list(tell_ranges(shifted, PRESSURE, 48, RULE))
    high = next(one for one in told if one.low == 134)
    usual = next(one for one in told if one.high == 134)
    assert high.bias_low > 5
    assert usual.bias_low < 0.5
    assert usual.bias_high > 0
    assert min(one.share for one in told) * 6_000 >= 40


def test_a_group_whose_numbers_are_missed_shows() -> None:
    """With how far off its predictions are, and in which direction; a small group is left out."""
    people = draw()
    names = np.resize(["north", "south"], len(people.actual)).astype(object)
    names[:60] = "few"
    actual = people.actual + np.where(names == "south", 10, 0)
    shifted = Predicted(people.predicted, actual)
    groups, apart = compare_errors(shifted, pd.Series(names), 100, 48, RULE)
    assert [one.group for one in groups] == ["south"] or [one.group for one in groups] == ["north"]
    names[:60] = "north"
    actual = people.actual + np.where(names == "south", 10, 0)
    groups, apart = compare_errors(
        Predicted(people.predicted, actual), pd.Series(names), 100, 48, RULE
    )
    south = next(one for one in groups if one.group == "south")
    assert south.bias == pytest.approx(-10, abs=1.5)
    assert south.bias_high < -8
    assert {one.name: one.low > 0 for one in apart} == {"bias": True, "error": True}


def test_groups_that_are_alike_are_not_told_apart() -> None:
    """Eight of them, drawn by lot."""
    people = draw()
    names = pd.Series(np.random.default_rng(3).integers(0, 8, len(people.actual)).astype(str))
    _, apart = compare_errors(people, names, 100, 48, RULE)
    assert [one.low for one in apart] == [0, 0]


def test_weighted_people_count_as_their_share_of_the_heaviest() -> None:
    """Whoever weighs double moves a mean as two would."""
    people = draw(2_000)
    twice = np.resize([1.0, 2.0], 2_000)
    found = tell_number(people._replace(weights=twice), PRESSURE, RULE)
    exact = np.average(np.abs(people.errors), weights=twice)
    assert found.mae.low <= exact <= found.mae.high
    plain = tell_number(people, PRESSURE, RULE)
    assert found.mae.step > plain.mae.step


def test_predictions_beyond_the_range_count_as_its_ends() -> None:
    """The range is public, and so no figure tells of a number beyond it."""

    class Model:
        """Says anything."""

        def predict(self, X: pd.DataFrame) -> np.ndarray:  # noqa: N803  # sklearn's
            """Give the column."""
            return X["x"].to_numpy(float)

    people = pd.DataFrame({"x": [-1e9, 100, 1e9]}), pd.Series([80.0, 90.0, 100.0]), None
    assert predict_numbers(Model(), people, PRESSURE).predicted.tolist() == [70, 100, 230]  # type: ignore[arg-type]


def test_who_comes_or_leaves_moves_few_figures() -> None:
    """As of the other kinds of model: of those who leave one by one, hardly any figure changes."""
    people = draw(2_000)
    before, changed = told(people), 0
    for gone in range(60):
        after = told(people.among(np.arange(2_000) != gone))
        changed += sum(one != other for one, other in zip(before, after, strict=True))
    assert changed / 60 <= 3


def told(people: Predicted) -> list[object]:
    """List all that is told of some people."""
    found = tell_number(people, PRESSURE, RULE)
    within, ranges = tell_within(people, PRESSURE, RULE), tell_ranges(people, PRESSURE, 48, RULE)
    parts = [found.mae.value, found.mae.low, found.mae.high, found.rmse, found.r2, found.r2_low]
    rows = [(one.error, one.share, one.low, one.high) for one in within]
    rows += [(one.low, one.share, one.predicted, one.bias, one.bias_low, one.bias_high)
             for one in ranges]  # type: ignore[misc]  # fmt: skip
    return [*parts, *(figure for row in rows for figure in row)]
