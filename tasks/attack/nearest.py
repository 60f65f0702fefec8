"""Which released rows are nearest to a person, whose values an attacker knows in some columns.

First come the rows whose labels cover the most of the known values: a recoding is truthful, so a
label that does not cover a value is no coarser form of it. Among those a row weighs by how likely
its labels stand for just these values, each label's values being equally likely.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.attack.released import ABSENT, Column, People, Release, distinct_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]

CELLS: Final = 20_000_000
"""How many pairs of a person and a released row are looked at together."""


@dataclass(frozen=True)
class Nearest:
    """The nearest rows of each person: pairs of a person and a row, and the pair's weight."""

    person: Codes
    row: Codes
    weight: NDArray[np.float64]


def find_nearest(release: Release, people: People, columns: Collection[int]) -> Nearest:
    """Find the nearest rows of each person by the values of some columns."""
    chosen, present = list(columns), np.flatnonzero(release.people)
    cells, number = distinct_columns(release.rows[chosen][:, present])
    known, person = distinct_columns(people.codes[chosen])
    if not cells.shape[1] or not known.shape[1]:
        nothing = np.zeros(0, dtype=np.int64)
        return Nearest(nothing, nothing, np.zeros(0))
    asked = [release.columns[at] for at in chosen]
    step = max(1, CELLS // cells.shape[1])
    starts = range(0, known.shape[1], step)
    found = [_search(asked, known[:, start : start + step], cells) for start in starts]
    who = np.concatenate([part[0] + start for start, part in zip(starts, found, strict=True)])
    cell, likely = (np.concatenate([part[n] for part in found]) for n in (1, 2))
    pair, row = _spread(cell, number)
    pair_of, one = _spread(who[pair], person)
    kept = pair[pair_of]
    rows = present[row[pair_of]]
    return Nearest(one, rows, likely[kept] * release.people[rows])


def _spread(group: Codes, number: Codes) -> tuple[Codes, Codes]:
    """Give every member of each group: the group's place in the list, and the member."""
    order = np.argsort(number, kind="stable")
    size = np.bincount(number, minlength=int(group.max(initial=-1)) + 1)
    start = np.cumsum(size) - size
    length = size[group]
    place = np.repeat(np.arange(len(group)), length)
    first = np.repeat(start[group] - np.cumsum(length) + length, length)
    return place, order[first + np.arange(len(place))]


def _search(
    columns: Sequence[Column], known: Codes, cells: Codes
) -> tuple[Codes, Codes, NDArray[np.float64]]:
    """Compare some combinations of values with every combination of labels at once.

    The score is a constant per column that fits, less the logarithms of the labels' widths, which
    never add up to the constant: the number of columns that fit decides first.
    """
    bonus = 1.0 + sum(float(np.log(np.maximum(column.width, 1)).max()) for column in columns)
    score = np.zeros((known.shape[1], cells.shape[1]), dtype=np.float32)
    for column, values, labels in zip(columns, known, cells, strict=True):
        score += _gains(column, values, bonus).take(labels, axis=1)
    fits = np.ceil(score.max(axis=1) / np.float32(bonus))
    who, cell = np.nonzero(score > ((fits - 1) * np.float32(bonus))[:, None])
    return who, cell, np.exp(score[who, cell].astype(np.float64) - fits[who] * bonus)


def _gains(column: Column, values: Codes, bonus: float) -> NDArray[np.float32]:
    """What each label adds to the score of each person, shape (people, labels)."""
    asked, person = np.unique(values, return_inverse=True)
    place = np.full(len(column.known) + 1, ABSENT)
    place[asked] = np.arange(len(asked))
    place[-1] = ABSENT
    label = np.repeat(np.arange(len(column.labels)), column.width)
    hit = place[column.member] != ABSENT
    gain = np.zeros((len(asked), len(column.labels)), dtype=np.float32)
    gain[place[column.member[hit]], label[hit]] = bonus - np.log(column.width[label[hit]])
    return gain[person.ravel()]
