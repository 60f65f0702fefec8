"""What one column of a table looks like, told without any person's value.

A value is named only where LEAST rows share it. Rows are not people: where one person has many
rows, the table says so itself only if its key is looked at (`examination.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.expressions.expressions import ColumnType
from tasks.drafting.column_types import is_text, make_plain, tell_type
from tasks.drafting.rounding import choose_edges, round_outward
from tasks.drafting.singling_out import FEW
from tasks.sources.conversion import fit
from tasks.sources.naming import spell

LEAST: Final = 10
"""Rows that must share a value before it is named anywhere."""
MOST_WORDS: Final = 30
"""A text with more different values than this is read on a sample."""
MOST_LISTED: Final = 60
"""More words than this, as there are states in a country, are no list that a person reads."""
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
    there = pc.is_finite(values) if pa.types.is_floating(values.type) else pc.is_valid(values)
    if is_text(values):
        there = pc.and_(there, pc.match_substring_regex(values, r"\S"))
    there = pc.fill_null(there, fill_value=False)
    return Values(
        name, len(column), values.filter(there), counts.filter(there.combine_chunks()).to_numpy()
    )


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
    """Give a rounded range that holds every number, and rounded edges inside it."""
    if values.type not in NUMERIC or not len(values.counts):
        return None, None, ()
    numbers, counts = values.numbers, values.counts
    least = 1.0 if values.type is ColumnType.INTEGER else 0.0
    low, high = round_outward(numbers, counts, LEAST, least)
    return low, high, choose_edges(numbers, counts, LEAST, least)
