"""How many rows a table's classes have, and how often each sensitive value occurs in them.

Every privacy measure is computed from these counts, and from nothing else of a table. A class is
the set of rows that are equal in all named columns; without columns all rows are one class. Labels
are compared for equality only. A missing value is a value, equal to any other missing one; cells of
several types in one column are compared as text, as a reader of the written table would.

A frame may stand for more rows than it has: `weights` says how many each of its rows stands for, so
that a database's group-by serves as well as the table. Knows no hierarchy and no anonymizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

LARGEST_NUMBER = 2**62
"""Below what int64 holds: from here on, combined codes are renumbered first."""


@dataclass(frozen=True, slots=True)
class RowClasses:
    """The class of each row of a frame, numbered from 0, and how many rows each class has."""

    number: Integers
    size: Integers

    @property
    def rows(self) -> int:
        """How many rows the table has."""
        return int(self.size.sum())


@dataclass(frozen=True, slots=True)
class ValueCounts:
    """How often each value of one column occurs in each class: what occurs, by class, by value.

    `start[i]` is the first entry of class i in `group`, `value` and `count`. Values are numbered in
    their order; `share` is each value's share of the table's rows, `size` each class's rows.
    """

    start: Integers
    group: Integers
    value: Integers
    count: Integers
    size: Integers
    share: Floats

    @property
    def shares(self) -> Floats:
        """The share of its class that each entry makes up."""
        return np.asarray(self.count / self.size[self.group], dtype=np.float64)


def classify(
    frame: pd.DataFrame, columns: Sequence[str], weights: Integers | None = None
) -> RowClasses:
    """Number the classes of a table and count their rows; classes are in no particular order."""
    number, count = np.zeros(len(frame), dtype=np.int64), 1
    for column in columns:
        code, width = _number_values(frame[column], ordered=False)
        if count * width > LARGEST_NUMBER:
            number, count = _renumber(number, count)
        number, count = number * width + code, count * width
    number, count = _renumber(number, count)
    size = np.bincount(number, weights, count)[:count].astype(np.int64)
    return RowClasses(number, size)


def count_values(
    classes: RowClasses, values: pd.Series, weights: Integers | None = None
) -> ValueCounts:
    """Count one column's values in each class.

    Values are in the order of an ordered category, of numbers, dates or text, a missing one last.
    """
    code, width = _number_values(values, ordered=True)
    cells = len(classes.size) * width
    key = classes.number * width + code
    if cells <= 4 * len(key) + 1024:
        every = np.bincount(key, weights, cells)
        cell = np.flatnonzero(every)
        count = every[cell].astype(np.int64)
    else:
        cell, place = np.unique(key, return_inverse=True)
        count = np.bincount(place, weights, len(cell)).astype(np.int64)
    group, value = np.divmod(cell, max(width, 1))
    start = np.searchsorted(group, np.arange(len(classes.size)))
    share = np.bincount(value, count, width) / max(classes.rows, 1)
    return ValueCounts(start, group, value, count, classes.size, share)


def _number_values(values: pd.Series, *, ordered: bool) -> tuple[Integers, int]:
    """Number the values that occur from 0, a missing one last; also give how many there are."""
    code, distinct = pd.factorize(_comparable(values))
    missing = code < 0
    found = len(distinct)
    if ordered:
        rank = np.empty(found, dtype=np.int64)
        rank[_argsort(distinct)] = np.arange(found)
        code = np.append(rank, found)[code]
    elif missing.any():
        code = np.where(missing, found, code)
    return code.astype(np.int64, copy=False), found + bool(missing.any())


def _comparable(values: pd.Series) -> pd.Series:
    """Give values that can be hashed and sorted: text in place of a mixture of types."""
    kinds = values.dtype
    cells = values if not isinstance(kinds, pd.CategoricalDtype) else kinds.categories
    mixed = cells.dtype == object and pd.api.types.infer_dtype(cells).startswith("mixed")
    return values.astype(object).map(str, na_action="ignore") if mixed else values


def _argsort(index: pd.Index) -> Integers:
    """Sort distinct values: ordered categories by their order, all others by themselves."""
    if isinstance(index, pd.CategoricalIndex):
        if index.ordered:
            return np.argsort(index.codes)
        index = index.astype(index.categories.dtype)
    return np.asarray(pd.Index(_comparable(pd.Series(index))).argsort(), dtype=np.int64)


def _renumber(number: Integers, count: int) -> tuple[Integers, int]:
    """Number from 0 those of the numbers below `count` that occur; also give how many occur."""
    if count <= 4 * len(number):
        occurs = np.zeros(count, dtype=bool)
        occurs[number] = True
        return (np.cumsum(occurs) - 1)[number], int(occurs.sum())
    code, distinct = pd.factorize(number)
    return code.astype(np.int64, copy=False), len(distinct)
