"""What one column of a table looks like, told in rounded figures without any person's value.

A value is named only where LEAST rows share it. Rows are not people: where one person has many
rows, the table says so itself only if its key is looked at (`examination`).

Ranges and edges of numbers are rounded to steps. A step is 1, 2 or 5 times a power of ten and about
a tenth of the range, so a bound has at most two significant digits of the range. No end of a range
is a number that few have. An edge inside it is a round number, chosen by the bounds alone and left
out where few rows would lie beside it: some person may have that very number, and it tells no more
of them than that there are rows on both sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.expressions.expressions import ColumnType
from tasks.drafting.column_types import is_text, make_plain, tell_type
from tasks.drafting.singling_out import FEW
from tasks.sources.conversion import fit
from tasks.sources.naming import spell

MOST_BINS: Final = 10
"""Equal steps are so wide that no more fit between the bounds."""
SMALLEST: Final = 0.05
"""The share of the rows that each bin holds at least; a smaller one is joined to the one below."""
LEAST: Final = 10
"""Rows that must share a value before it is named anywhere."""
MOST_WORDS: Final = 30
"""A text with more different values than this is read on a sample."""
MOST_LISTED: Final = 60
"""More words than this, as there are states in a country, are no list that a person reads."""
LARGEST: Final = 1e300
NUMERIC: Final = (ColumnType.INTEGER, ColumnType.NUMBER)
Counts: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Profile:
    """One column; holds no value of fewer than LEAST rows."""

    name: str
    """The source's own name."""
    type: ColumnType
    """What every value converts to."""
    rows: int
    missing: float
    """Share of rows without a value."""
    distinct: int
    """Number of different values."""
    alone: float
    """Share of rows whose value stands in fewer than 5 rows."""
    words: tuple[str, ...]
    """Values that LEAST rows or more share, most frequent first; () where there are more than 60,
    and for what names a person."""
    rare: int
    """How many values are held by fewer than LEAST rows each."""
    low: float | None
    """Below or at every number, rounded outward; None for what is no number or names a person."""
    high: float | None
    edges: tuple[float, ...]
    """Rounded numbers between low and high that part the rows into shares of some size."""


@dataclass(frozen=True)
class Values:
    """The different values of a column and how many rows hold each; it never leaves this folder."""

    name: str
    rows: int
    distinct: pa.ChunkedArray
    """Different values in the source's own type, none missing."""
    counts: Counts

    @cached_property
    def type(self) -> ColumnType:
        """What every value converts to."""
        return tell_type(self.distinct)

    @cached_property
    def texts(self) -> pa.Array:
        """The values as text, in the order of `distinct`."""
        return as_text(self.distinct)

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The values as numbers."""
        return np.asarray(fit(self.distinct, ColumnType.NUMBER).to_numpy(), np.float64)


def as_text(column: pa.ChunkedArray) -> pa.Array:
    """Give values as text; of a nested kind, which has none, as missing."""
    try:
        return spell(column).combine_chunks()
    except pa.ArrowException:
        return pa.nulls(len(column), pa.large_string())


def count_values(name: str, column: pa.ChunkedArray) -> Values:
    """Count each different value; blank text and NaN are none, nor is what has no text."""
    counted = pc.value_counts(make_plain(column))
    values, counts = pa.chunked_array([counted.field(0)]), counted.field(1)
    there = is_there(values)
    return Values(
        name, len(column), values.filter(there), counts.filter(there.combine_chunks()).to_numpy()
    )


def is_there(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Tell which of some plain values are neither missing, NaN, nor blank text."""
    there = pc.is_finite(values) if pa.types.is_floating(values.type) else pc.is_valid(values)
    if is_text(values):
        there = pc.and_(there, pc.match_substring_regex(values, r"\S"))
    return pc.fill_null(there, fill_value=False)


def make_profile(values: Values) -> Profile:
    """Describe a column by its counted values."""
    rows, counts = max(values.rows, 1), values.counts
    low, high, edges = describe_range(values)
    return Profile(
        name=values.name,
        type=values.type,
        rows=values.rows,
        missing=1 - float(counts.sum()) / rows,
        distinct=len(counts),
        alone=float(counts[counts < FEW].sum()) / rows,
        words=list_words(values),
        rare=int((counts < LEAST).sum()),
        low=low,
        high=high,
        edges=edges,
    )


def hide_values(profile: Profile) -> Profile:
    """Describe a column that names people: without words and range."""
    return replace(profile, words=(), low=None, high=None, edges=())


def count_people(profile: Profile, people: Values) -> Profile:
    """Describe a column again where each person's values are counted once.

    Words that too few people hold go, and the range holds every number as before.
    """
    low, high, edges = describe_range(people)
    counts = people.counts
    return replace(
        profile,
        alone=float(counts[counts < FEW].sum() / max(people.rows, 1)),
        words=list_words(people),
        rare=int((counts < LEAST).sum()),
        low=low,
        high=high,
        edges=edges,
    )


def list_words(values: Values) -> tuple[str, ...]:
    """Give the values that LEAST rows or more hold, most frequent first; none if there are many."""
    shared = np.flatnonzero(values.counts >= LEAST)
    if len(shared) > MOST_LISTED:
        return ()
    order = shared[np.argsort(-values.counts[shared], kind="stable")]
    return tuple(text for text in values.texts.take(pa.array(order)).to_pylist() if text)


def describe_range(values: Values) -> tuple[float | None, float | None, tuple[float, ...]]:
    """Give a rounded range that holds every number, and rounded edges inside it.

    None where a number is so large that what is rounded outward of it is none any more.
    """
    if values.type not in NUMERIC or not len(values.counts):
        return None, None, ()
    numbers, counts = values.numbers, values.counts
    if np.abs(numbers).max() > LARGEST:
        return None, None, ()
    least = 1.0 if values.type is ColumnType.INTEGER else 0.0
    low, high = round_outward(numbers, counts, LEAST, least)
    return low, high, choose_edges(low, high, numbers, counts, least)


def round_outward(
    numbers: NDArray[np.float64], counts: NDArray[np.int64], least: int, finest: float = 0.0
) -> tuple[float, float]:
    """Give multiples of a step at or beyond the lowest and highest number; none is below `finest`.

    A number that fewer than `least` rows hold is no bound, but for 0, below which most quantities
    do not go.
    """
    low, high = float(numbers.min()), float(numbers.max())
    step = max(choose_step(max(high - low, least_width(numbers)) or 1.0), finest)
    few = set(numbers[counts < least].tolist()) - {0.0}
    first, last = math.floor(low / step), math.ceil(high / step)
    while _multiple(first, step) > low or _multiple(first, step) in few:
        first -= 1
    while _multiple(last, step) < high or _multiple(last, step) in few:
        last += 1
    return _multiple(first, step), _multiple(last, step)


def least_width(numbers: NDArray[np.float64]) -> float:
    """Give the width below which multiples of a step would be written alike, in ten digits."""
    return float(np.abs(numbers).max()) * 1e-7


def choose_step(width: float) -> float:
    """Give the smallest of 1, 2 or 5 times a power of ten that is a twentieth of the width."""
    tenth = math.floor(math.log10(width)) - 2
    steps = (float(f"{digit}e{power}") for power in range(tenth, tenth + 3) for digit in (1, 2, 5))
    return next(step for step in steps if step * 20 >= width)


def choose_edges(
    low: float, high: float, numbers: NDArray[np.float64], counts: NDArray[np.int64], finest: float
) -> tuple[float, ...]:
    """Give round numbers between the bounds, with `SMALLEST` of the rows or more between each two.

    Equal steps of 1, 2 or 5 times a power of ten; where one of them would hold more than half of
    the rows, as of incomes, 1, 2 and 5 times each power of ten. Never where the rows lie: a
    quantile is told by everybody's numbers, and means nothing to who reads the model.
    """
    equal = list_multiples(low, high, finest)
    held = count_between(equal, numbers, counts)
    if held.max() > counts.sum() / 2 and len(series := list_series(low, high, finest)) > 1:
        equal = series
    least = max(LEAST, int(SMALLEST * counts.sum()))
    edges: list[float] = []
    before, total = 0, int(counts.sum())
    for edge in equal:
        under = int(counts[numbers < edge].sum())
        if under - before >= least and total - under >= least:
            edges.append(edge)
            before = under
    return tuple(edges)


def list_multiples(low: float, high: float, finest: float) -> list[float]:
    """List the multiples of a round step inside the bounds, as few as `MOST_BINS` bins have."""
    if not low < high:
        return []
    step = max(choose_step(20 * (high - low) / MOST_BINS), finest)
    first, last = math.floor(low / step) + 1, math.ceil(high / step)
    return [_multiple(times, step) for times in range(first, last)]


def list_series(low: float, high: float, finest: float) -> list[float]:
    """List 1, 2 and 5 times each power of ten inside the bounds, down to a thousandth of them."""
    if high <= 0:
        return []
    top = math.ceil(math.log10(high))
    found = (
        _multiple(digit, 10.0**power) for power in range(top - 4, top + 1) for digit in (1, 2, 5)
    )
    return [edge for edge in found if max(low, finest) < edge < high]


def count_between(
    edges: list[float], numbers: NDArray[np.float64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count the rows in each interval that the edges make."""
    places = np.searchsorted(np.array(edges), numbers, side="right")
    return np.bincount(places, counts, len(edges) + 1).astype(np.int64)


def _multiple(times: int, step: float) -> float:
    """Give a multiple of the step as it is written, without the dust of binary fractions."""
    return float(f"{times * step:.10g}")
