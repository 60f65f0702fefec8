"""How good a model of a number is on people it was not trained on, and what of it may be told.

All figures are averages over people, of errors in the target's unit, told in steps of ten people's
worth: what ten of them could change an average by at most. That is little where no error can be
large. So errors are counted up to a bound, the lowest of a few public parts of the declared range
beyond which fewer people are than counts are hidden under; those few count as if they were there.
For R², what guessing everybody's mean comes to is bounded in the same way.

There are no intervals of a single prediction here that were fitted to people: half-widths are
public parts of the declared range, and of each it is counted how many people's errors are within.
Counts within half-widths contain each other, as do those above public predictions, so they have no
sum that would tell how many people there are (`thresholds`).

Of weighted people, each counts as their share of the heaviest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from math import ceil, floor, log10, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from expectations.disclosure import CLASS, TEN, Count, Disclosure, Published
from tasks.account.measured import Difference, GroupErrors, PredictedRange, Within
from tasks.training.fairness import choose_shown, list_audited, name_groups
from tasks.training.quality import count_people, parts_of, seal_counts
from tasks.training.thresholds import bound_told, find_spread, find_width, widen

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    from expectations.policy.outcome import Number
    from ledgers.evidence import JSON
    from tasks.airlock.run import Desk
    from tasks.training.quality import Weights

    Figures = NDArray[np.float64]
    Mask = NDArray[np.bool_]

BOUNDS: Final = (1.0, 0.75, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.075, 0.05, 0.03, 0.02, 0.01)
"""Up to which parts of the declared range an error may be counted."""
WITHIN: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
"""Half-widths, as parts of the declared range, of which it is told how many errors are within."""
EDGES: Final = tuple(place / 10 for place in range(1, 10))
"""Parts of the declared range at which predictions are told apart."""
NORMAL: Final = 1.96
GROUPS: Final = "utility.errors."
"""What the table of a column's groups is called, before the column's name."""


class Predicted(NamedTuple):
    """What a model says of people whose number is known, within the declared range."""

    predicted: Figures
    actual: Figures
    weights: Weights | None = None

    @property
    def errors(self) -> Figures:
        """By how much each prediction is too high."""
        return self.predicted - self.actual

    def among(self, some: Mask) -> Predicted:
        """Give some of these people."""
        weights = None if self.weights is None else self.weights[some]
        return Predicted(self.predicted[some], self.actual[some], weights)


@dataclass(frozen=True, slots=True)
class Told:
    """An average as it may be told, with the ends of its 95 % interval, and its exact error."""

    value: float
    low: float
    high: float
    error: float
    step: float


@dataclass(frozen=True, slots=True)
class ToldNumber:
    """What may be told of a model of a number; R² is None where a step of it would be too wide."""

    mae: Told
    rmse: float
    bound: float
    r2: float | None = None
    r2_low: float | None = None
    r2_high: float | None = None


def predict_numbers(
    pipeline: Pipeline, rows: tuple[pd.DataFrame, pd.Series, Weights | None], outcome: Number
) -> Predicted:
    """Ask a fitted pipeline about people, some at a time; it says nothing beyond the range."""
    features, actual, weights = rows
    parts = [
        np.asarray(pipeline.predict(features.iloc[part]), float) for part in parts_of(features)
    ]
    predicted = np.clip(np.concatenate([np.zeros(0), *parts]), outcome.low, outcome.high)
    return Predicted(predicted, actual.to_numpy(dtype=float), weights)


def find_bound(sizes: Figures, people: Predicted, width: float, disclosure: Disclosure) -> float:
    """Give the lowest public bound beyond which there are fewer people than counts tell of."""
    kept = width
    for part in BOUNDS:
        beyond = count_people(people, sizes > part * width)
        if disclosure.publish(beyond).about is not None:
            break
        kept = part * width
    return kept


def tell_mean(figures: Figures, people: Predicted, least: int, bounds: tuple[float, float]) -> Told:
    """Tell an average over `least` people or more, of figures between two public bounds."""
    low, high = bounds
    kept = np.clip(figures, low, high)
    mean = float(np.average(kept, weights=people.weights))
    spread = float(np.average((kept - mean) ** 2, weights=people.weights))
    error, step = sqrt(spread / max(effective(people), 1)), (high - low) * TEN / max(least, TEN)
    return Told(
        min(max(low + round((mean - low) / step) * step, low), high),
        max(low + floor((mean - NORMAL * error - low) / step) * step, low),
        min(low + ceil((mean + NORMAL * error - low) / step) * step, high),
        error,
        step,
    )


def effective(people: Predicted) -> float:
    """Give how many equally weighted people would tell as much (Kish 1965)."""
    if people.weights is None:
        return float(len(people.actual))
    return float(people.weights.sum() ** 2 / (people.weights**2).sum())


def publish_everybody(people: Predicted, disclosure: Disclosure) -> Published:
    """Publish how many people there are, by weight."""
    return disclosure.publish(count_people(people, np.ones(len(people.actual), dtype=bool)))


def tell_number(people: Predicted, outcome: Number, disclosure: Disclosure) -> ToldNumber:
    """Give what may be told of people, of whom the caller has judged that they are enough."""
    width, sizes = outcome.high - outcome.low, np.abs(people.errors)
    least = publish_everybody(people, disclosure).least
    bound = find_bound(sizes, people, width, disclosure)
    squares = np.minimum(sizes, bound) ** 2
    off, square = (tell_mean(x, people, least, (0.0, top)) for x, top in
                   ((sizes, bound), (squares, bound**2)))  # fmt: skip
    away = np.abs(people.actual - np.average(people.actual, weights=people.weights))
    far = find_bound(away, people, width, disclosure)
    around = np.minimum(away, far) ** 2
    usual = tell_mean(around, people, least, (0.0, far**2))
    told = ToldNumber(off, sqrt(square.value), bound)
    if usual.value <= 0:
        return told
    # By the ratio's first order (Cochran 1977, section 2.11): how each person moves it.
    ratio = square.value / usual.value
    moved = (squares - ratio * around) / usual.value
    error = NORMAL * sqrt(float(np.average(moved**2, weights=people.weights)) / effective(people))
    step = square.step / usual.value + ratio * usual.step / usual.value
    if step > MOST_STEP:
        return told
    ends = (1 - ratio - error - step / 2, 1 - ratio + error + step / 2)
    low, high = floor(100 * ends[0]) / 100, min(ceil(100 * ends[1]) / 100, 1.0)
    return ToldNumber(off, told.rmse, bound, round(1 - ratio, 3), low, high)


MOST_STEP: Final = 0.5
"""A step of R² above which it would say hardly anything."""


def tell_within(people: Predicted, outcome: Number, disclosure: Disclosure) -> Iterator[Within]:
    """Tell how many errors are within each half-width, where enough people are between two."""
    whole = publish_everybody(people, disclosure)
    sizes, width = np.abs(people.errors), outcome.high - outcome.low
    counts = [count_people(people, sizes <= part * width) for part in WITHIN]
    told = [_publish(count, whole, disclosure) for count in counts]
    weight, before = effective(people) / len(people.actual), 0
    for part, count in zip(WITHIN, told, strict=True):
        if min(count - before, whole.middle - count) < _find_enough(whole, disclosure):
            continue
        before, share = count, count / whole.middle
        low, high = bound_told(share, whole.middle, weight, find_spread(whole))
        yield Within(_shorten(part * width), round(share, 2), low, high)


def _publish(count: Count, whole: Published, disclosure: Disclosure) -> int:
    return widen(disclosure.publish(count).middle, find_width(whole))


def _find_enough(whole: Published, disclosure: Disclosure) -> int:
    """Give how many people a difference of two counts must be of, so that nobody is alone in it."""
    step = find_width(whole)
    return max(CLASS, disclosure.threshold + 2 * TEN) + (0 if step == TEN else step)


def tell_ranges(
    people: Predicted, outcome: Number, bound: float, disclosure: Disclosure
) -> Iterator[PredictedRange]:
    """Tell how far off predictions are between public numbers, where enough people are."""
    whole, width = publish_everybody(people, disclosure), outcome.high - outcome.low
    above = [(outcome.low, whole.middle)]
    for edge in (outcome.low + part * width for part in EDGES):
        count = _publish(count_people(people, people.predicted > edge), whole, disclosure)
        if min(above[-1][1] - count, count) >= _find_enough(whole, disclosure):
            above.append((edge, count))
    for (low, count), (high, fewer) in pairwise([*above, (outcome.high, 0)]):
        first = low == outcome.low
        there = people.among((people.predicted <= high) & ((people.predicted > low) | first))
        least = max(count - fewer - find_width(whole), TEN)
        bias = tell_mean(there.errors, there, least, (-bound, bound))
        middle = tell_mean(there.predicted, there, least, (low, high))
        yield PredictedRange(
            _shorten(low), _shorten(high), round((count - fewer) / whole.middle, 2),
            *map(_shorten, (middle.value, bias.value, bias.low, bias.high)),
        )  # fmt: skip


def note_number(desk: Desk, people: Predicted, outcome: Number) -> None:
    """Note how good the model is on the test people, as it may be told; exact counts sealed."""
    disclosure = desk.run.disclosure
    found = tell_number(people, outcome, disclosure)
    figures = {
        "r2": found.r2, "r2_low": found.r2_low, "r2_high": found.r2_high,
        "mae": found.mae.value, "mae_low": found.mae.low, "mae_high": found.mae.high,
        "rmse": found.rmse, "error_at_most": found.bound,
        "range_low": outcome.low, "range_high": outcome.high,
    }  # fmt: skip
    for name, figure in figures.items():
        desk.measure(f"utility.{name}", None if figure is None else _shorten(figure))
    sizes, width = np.abs(people.errors), outcome.high - outcome.low
    exact = {f"{part:g}": count_people(people, sizes <= part * width) for part in (*WITHIN, 1.0)}
    within: list[JSON] = [asdict(one) for one in tell_within(people, outcome, disclosure)]
    ranged = tell_ranges(people, outcome, found.bound, disclosure)
    ranges: list[JSON] = [asdict(one) for one in ranged]
    desk.note("table", "utility.within", within, sealed=seal_counts(exact))
    desk.note("table", "utility.ranges", ranges)


def audit_numbers(desk: Desk, people: Predicted, outcome: Number, tested: pd.DataFrame) -> None:
    """Note the errors in each group of the columns that are there to be audited by.

    `tested` holds the same people, row by row.
    """
    disclosure = desk.run.disclosure
    width = outcome.high - outcome.low
    bound = find_bound(np.abs(people.errors), people, width, disclosure)
    for column, smallest in list_audited(desk):
        minimum = max(2 * CLASS, smallest)
        groups, differences = compare_errors(people, tested[column], minimum, bound, disclosure)
        body: list[JSON] = [asdict(group) for group in groups]
        desk.note("table", f"{GROUPS}{column}", body)
        for one in differences:
            for name in ("value", "low", "high"):
                suffix = "" if name == "value" else f"_{name}"
                desk.measure(f"fairness.{one.name}{suffix}.{column}", getattr(one, name))


def compare_errors(
    people: Predicted, groups: pd.Series, minimum: int, bound: float, disclosure: Disclosure
) -> tuple[list[GroupErrors], list[Difference]]:
    """Tell how far off predictions are in each group of enough people, and how far groups differ.

    `groups` is aligned with the people by position; people without a group are a group.
    """
    import pandas as pd

    names = name_groups(groups)
    sizes = pd.DataFrame({"people": np.ones(len(names))}).groupby(names).sum()
    bias, error, shown = dict[str, Told](), dict[str, Told](), []
    for name in choose_shown(sizes, minimum):
        some = people.among(names == name)
        whole = publish_everybody(some, disclosure)
        bias[name] = tell_mean(some.errors, some, whole.least, (-bound, bound))
        error[name] = tell_mean(np.abs(some.errors), some, whole.least, (0.0, bound))
        figures = (bias[name], error[name])
        shown.append(GroupErrors(name, str(whole), *(
            _shorten(end) for one in figures for end in (one.value, one.low, one.high)
        )))  # fmt: skip
    return shown, [*_differ("bias", bias), *_differ("error", error)]


def _differ(name: str, told: Mapping[str, Told]) -> Iterator[Difference]:
    """Give the largest difference of two groups' averages; of its interval all pairs hold."""
    pairs = list(combinations(told.values(), 2))
    if not pairs:
        return
    z = NormalDist().inv_cdf(1 - 0.025 / len(pairs))
    apart = [abs(one.value - other.value) for one, other in pairs]
    reach = [z * sqrt(one.error**2 + other.error**2) + (one.step + other.step) / 2
             for one, other in pairs]  # fmt: skip
    low = max(max(gap - width, 0.0) for gap, width in zip(apart, reach, strict=True))
    high = max(gap + width for gap, width in zip(apart, reach, strict=True))
    step = max(one.step for one in told.values())
    ends = floor(low / step) * step, ceil(high / step) * step
    yield Difference(name, *map(_shorten, (max(apart), *ends)))


def _shorten(figure: float) -> float:
    """Keep three digits of a figure that is told, and no part of a negative zero."""
    if not figure:
        return 0.0
    return round(figure, 2 - floor(log10(abs(figure)))) + 0.0
