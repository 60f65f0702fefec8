"""Linkability: two lists that share no column are joined through the released table.

Each of two parties knows half of the columns of the same people. Every person of the first list is
given the partner from the second who is likeliest by the released rows that are nearest to both
halves. Giomi et al. (2023), section 3.2, call a link found where both halves have the same nearest
row; here the lists themselves decide between partners, since on tables with many equal rows the
other rule finds few links even in a copy.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from tasks.attack.nearest import Nearest, find_nearest
from tasks.attack.released import People, Release

if TYPE_CHECKING:
    from numpy.typing import NDArray


def halve_columns(release: Release) -> tuple[list[int], list[int]]:
    """Deal the columns out to two parties, those with many values first, alternately."""
    order = sorted(
        range(len(release.columns)),
        key=lambda at: (-len(release.columns[at].known), release.columns[at].name),
    )
    return order[::2], order[1::2]


def link_people(release: Release, people: People) -> NDArray[np.float64]:
    """Try to link each person's two halves among these people.

    Gives 1 for the right partner found, 1/n where it is one of n equally likely ones, else 0.
    """
    first, second = halve_columns(release)
    one, two = find_nearest(release, people, first), find_nearest(release, people, second)
    size = people.count
    weight = _joint(release, one, two, size) / np.maximum(_total(two, size), 1e-300)
    best = weight.max(axis=1, initial=0.0)
    # Products of the same numbers in another order may differ in the last digits.
    ties = weight >= best[:, None] * (1 - 1e-9)
    found = ties[np.arange(size), np.arange(size)] & (best > 0)
    return np.asarray(found / np.maximum(ties.sum(axis=1), 1))


def _joint(release: Release, one: Nearest, two: Nearest, size: int) -> NDArray[np.float64]:
    """How likely a row nearest to one person's first half has another's second half."""
    shared = np.intersect1d(one.row, two.row)
    left, right = (_dense(half, shared, size) for half in (one, two))
    return left @ (right / np.maximum(release.people[shared], 1)).T


def _dense(half: Nearest, rows: Collection[int], size: int) -> NDArray[np.float64]:
    """Lay the weights of some rows out, shape (people, rows)."""
    chosen = np.asarray(rows)
    place = np.searchsorted(chosen, half.row)
    place = np.minimum(place, max(len(chosen) - 1, 0))
    hit = chosen[place] == half.row if len(chosen) else np.zeros(len(half.row), dtype=bool)
    table = np.zeros((size, len(chosen)))
    table[half.person[hit], place[hit]] = half.weight[hit]
    return table


def _total(half: Nearest, size: int) -> NDArray[np.float64]:
    """How likely each person's half is, over all rows."""
    return np.bincount(half.person, half.weight, size).astype(np.float64)
