"""How few people share a class in each of several tables, for whoever has all of them.

Who knows that a person is in two tables, and the person's class in each, looks for them among the
people who are in both of these classes: the cell of the crossing. A cell is of people, not of rows,
so it is counted over the people that the tables have in common, each by a number that is the same
in all of them. Every two tables are crossed, and of the newest ones every three.

The judge of a release measures by this alone. How rows were chosen is not known here, nor are
labels, values or recipients. What more than three tables show together is not measured, and neither
is who is in one table and not in another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.measures.sensitive_measures import judge
from expectations.policy.privacy_models import PrivacyModel

NEWEST: Final = 10
"""Of how many earlier tables every two are crossed with a new one: 45 pairs, seconds for a
million people."""


@dataclass(frozen=True)
class PeopleInClasses:
    """The people of one table, their numbers rising, the class of each, and the k asked there."""

    people: NDArray[np.uint64]
    classes: NDArray[np.int64]
    k: int
    sensitive: Mapping[str, Sequence[PrivacyModel]] = field(default_factory=dict)


@dataclass(frozen=True)
class Cells:
    """Who of a table is in some other tables too, as places in it, and the cell of each of them."""

    who: NDArray[np.intp]
    cell: NDArray[np.int64]
    others: tuple[PeopleInClasses, ...]


def cross(table: PeopleInClasses, others: Sequence[PeopleInClasses]) -> Iterator[Cells]:
    """Cross a table with each other one, and with every two of the last `NEWEST`."""
    met = [_meet(table, other) for other in others]
    newest = range(max(0, len(others) - NEWEST), len(others))
    for places in [*((at,) for at in range(len(others))), *combinations(newest, 2)]:
        both = np.logical_and.reduce([met[at] >= 0 for at in places])
        (who,) = np.nonzero(both)
        if not len(who):
            continue
        cell = table.classes[who].astype(np.int64)
        for at in places:
            # Numbered anew each time, so that no product of classes grows past 64 bits.
            step = int(met[at].max()) + 1
            cell = np.unique(cell * step + met[at][who], return_inverse=True)[1]
        yield Cells(who, cell, tuple(others[at] for at in places))


def _meet(table: PeopleInClasses, other: PeopleInClasses) -> NDArray[np.int64]:
    """Give the class in another table of each person of a table; -1 for who is not in it."""
    if not len(other.people):
        return np.full(len(table.people), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(other.people, table.people), len(other.people) - 1)
    there = other.people[place] == table.people
    return np.where(there, other.classes[place].astype(np.int64), -1)


def find_singled_out(
    table: PeopleInClasses, others: Sequence[PeopleInClasses]
) -> NDArray[np.bool_]:
    """Mark the people of a table who share a cell with fewer than k people, themselves included.

    k is the largest that any of the crossed tables asks.
    """
    marked = np.zeros(len(table.people), dtype=bool)
    for cells in cross(table, others):
        k = max(table.k, *(other.k for other in cells.others))
        small = np.bincount(cells.cell) < k
        marked[cells.who[small[cells.cell]]] = True
    return marked


def breaks_models(
    table: PeopleInClasses,
    others: Sequence[PeopleInClasses],
    values: Mapping[str, NDArray[np.int64]],
) -> bool:
    """Say whether a cell does not meet what any of the tables asks of a sensitive column.

    `values` are numbers of the table's own values by column; models that compare a class with the
    whole table belong to one table and are left out by who gives `sensitive`.
    """
    if not values:
        return False
    for cells in cross(table, others):
        asked = {
            column: [m for one in (table, *cells.others) for m in one.sensitive.get(column, ())]
            for column in values
        }
        frame = pd.DataFrame({name: codes[cells.who] for name, codes in values.items()})
        found = judge(frame.assign(_cell=cells.cell), ["_cell"], asked)
        if not all(judgement.met for judgement in found):
            return True
    return False
