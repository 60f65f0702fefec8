"""Privacy measures of a table, computed from the table alone.

The independent check of anonymization: it shares no code with the steps that it judges, knows
neither plans nor hierarchies, and compares labels only for equality. A missing value counts as a
value, equal to any other missing one. k, l, t are measures of a release and not counts of people;
they say nothing about columns that are not named.

A class is the set of rows that share all named columns. A table without rows gets the worst value
of each measure, so that an empty release meets no requirement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray


def class_sizes(frame: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.int64]:
    """Count the rows of each class, in no particular order; without columns all rows are one."""
    return np.bincount(_classes(frame, columns)).astype(np.int64)


def k_anonymity(frame: pd.DataFrame, columns: Sequence[str]) -> int:
    """Give the size of the smallest class (Samarati and Sweeney 1998); 0 without rows."""
    return int(class_sizes(frame, columns).min(initial=len(frame)))


def uniqueness(frame: pd.DataFrame, columns: Sequence[str]) -> float:
    """Give the share of people, 0 to 1, who are alone in their class; 1 without rows."""
    return float((class_sizes(frame, columns) == 1).sum() / len(frame)) if len(frame) else 1.0


def distinct_l_diversity(frame: pd.DataFrame, columns: Sequence[str], sensitive: str) -> int:
    """Give the fewest distinct sensitive values in a class; 0 without rows.

    Machanavajjhala et al., "l-diversity: privacy beyond k-anonymity" (2006), section 4. Distinct
    values may still be alike in meaning, or one of them nearly certain.
    """
    group, _, _ = _pairs(frame, columns, sensitive)
    return int(np.bincount(group).min(initial=len(frame)))


def t_closeness(frame: pd.DataFrame, columns: Sequence[str], sensitive: str) -> float:
    """Give the largest distance, 0 to 1, between a class's and the table's sensitive values.

    Li et al., "t-closeness" (2007), section 4, with the equal ground distance: half the sum of the
    absolute differences of shares. Ordered values are treated as unordered. 1 without rows.
    """
    if not len(frame):
        return 1.0
    group, value, count = _pairs(frame, columns, sensitive)
    overall = np.bincount(value, count) / len(frame)
    share = count / np.bincount(group, count)[group]
    # Values that a class lacks differ by their overall share: all of it less those it has.
    present = np.abs(share - overall[value]) - overall[value]
    return float(np.max((np.bincount(group, present) + 1) / 2))


def standardized_difference(share_a: ArrayLike, share_b: ArrayLike) -> NDArray[np.float64]:
    """Give (a - b) / sqrt((a(1 - a) + b(1 - b)) / 2) for shares 0 to 1, element by element.

    Austin, "Balance diagnostics" (2009), section 2: a difference of shares in standard deviations,
    independent of sample size; 0.1 is the usual limit. 0 where both are the same constant,
    infinite where they are opposite ones.
    """
    a, b = np.asarray(share_a, dtype=float), np.asarray(share_b, dtype=float)
    deviation = np.sqrt((a * (1 - a) + b * (1 - b)) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(a == b, 0.0, (a - b) / deviation)


def _classes(frame: pd.DataFrame, columns: Sequence[str]) -> NDArray[np.int64]:
    """Number each row's class from 0."""
    if not columns:
        return np.zeros(len(frame), dtype=np.int64)
    grouped = frame.groupby(list(columns), dropna=False, observed=True, sort=False)
    return np.asarray(grouped.ngroup(), dtype=np.int64)


def _pairs(
    frame: pd.DataFrame, columns: Sequence[str], sensitive: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Give class, sensitive value and rows of each combination of the two that occurs."""
    group, value = _classes(frame, columns), _classes(frame, [sensitive])
    width = int(value.max(initial=0)) + 1
    pair, count = np.unique(group * width + value, return_counts=True)
    return pair // width, pair % width, count
