"""How much of a table's detail a recoding left, in the measures of the literature.

Every measure needs to know which of a column's values a released label stands for: its cover. All
are measures of a whole release and tell of no person; none says whether the table is good enough
for a use that is not named (for a model, see `tasks.training.tradeoff`). The loss that the search
itself counts is in `tasks.anonymization.loss`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from tasks.anonymization.hierarchies import Hierarchy

if TYPE_CHECKING:
    import pandas as pd

Cover = Mapping[str, frozenset[str]]
"""Per label the values that it stands for."""

QUERIES: Final = 500
SELECTED: Final = 0.5
"""The share of a column's values that a query asks for, as in LeFevre et al. (2006)."""
FLOOR: Final = 0.001
"""Errors are relative to at least this share of the people (Xiao and Tao 2006, section 6)."""


@dataclass(frozen=True)
class Detail:
    """One column as it was and as it is released.

    `values` are all that the column can hold, `before` the number of each row's value, shape
    (people,), `after` that of each released row's label, shape (released,), and `share` what a
    label tells of each value: 1 / (number of values it stands for), shape (labels, values).
    """

    values: tuple[str, ...]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    share: NDArray[np.float64]


def find_cover(
    hierarchy: Hierarchy, values: Iterable[str], members: Mapping[str, Iterable[str]]
) -> Cover:
    """Say which leaves each label stands for: a value for itself, a released one as a plan says.

    `members` are per released label the labels of the hierarchy that it names (`Plan.members`).
    """
    leaves: dict[str, set[str]] = {}
    for level in range(hierarchy.depth):
        for leaf, group in enumerate(hierarchy.groups[level, :-1]):
            label = hierarchy.labels[level][group]
            leaves.setdefault(label, set()).add(hierarchy.labels[0][leaf])
    cover = {value: frozenset((value,)) for value in (*values, *hierarchy.labels[0])}
    for label, named in members.items():
        cover[label] = frozenset().union(*(leaves.get(one, {one}) for one in named))
    return cover


def compare_column(before: pd.Series, after: pd.Series, cover: Cover) -> Detail:
    """Line up a column's values and its released labels; every value must be under some label."""
    import pandas as pd

    values = pd.Index(sorted(frozenset().union(*cover.values())), dtype=str)
    labels = pd.Index(sorted(cover), dtype=str)
    share = np.zeros((len(labels), len(values)))
    for number, label in enumerate(labels):
        members = values.get_indexer(pd.Index(sorted(cover[label])))
        share[number, members] = 1 / len(members)
    return Detail(
        tuple(values),
        values.get_indexer(pd.Index(before.astype(str))).astype(np.int64),
        labels.get_indexer(pd.Index(after.astype(str))).astype(np.int64),
        share,
    )


def measure_granularity(columns: Sequence[Detail], people: int) -> float:
    """Give 1 - the mean share of a column's values that a released label stands for, 0 to 1.

    Iyengar, "Transforming data to satisfy privacy constraints" (2002), turned so that more is
    better; a person left out counts as all values.
    """
    kept = []
    for column in columns:
        width = (column.share > 0).sum(axis=1) / max(len(column.values), 1)
        kept.append(float((1 - width)[column.after].sum() / max(people, 1)))
    return float(np.mean(kept)) if kept else 0.0


def measure_query_error(columns: Sequence[Detail], people: int) -> float | None:
    """Give the median relative error of counts asked of the release, 0 to infinity.

    Each of 500 queries asks how many people have, in two columns, one of half the values. The
    answer from the release takes a label as any of its values alike (LeFevre et al. 2006, section
    5.4). The queries are the same for the same columns. None with fewer than two columns.
    """
    if len(columns) < 2 or not people:
        return None
    draw = np.random.default_rng(2006)
    errors = np.empty(QUERIES)
    for query in range(QUERIES):
        true, guess = np.ones(people), np.ones(len(columns[0].after))
        for at in draw.choice(len(columns), 2, replace=False):
            wanted = _draw_values(draw, len(columns[at].values))
            true *= wanted[columns[at].before]
            guess *= (columns[at].share @ wanted)[columns[at].after]
        errors[query] = abs(guess.sum() - true.sum()) / max(true.sum(), FLOOR * people)
    return float(np.median(errors))


def _draw_values(draw: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Mark about half of a column's values, at least one."""
    wanted = np.zeros(count)
    wanted[draw.choice(count, max(1, round(SELECTED * count)), replace=False)] = 1
    return wanted
