"""Tables about the same people, crossed: who may leave, and what a new plan has to keep apart.

Whoever has two tables and knows a person's class in each looks for them among the people in both
classes. So a class of a new table, crossed with those of every earlier table that its recipient
has, holds nobody or k people. Two things see to it. A new plan is fitted with the earlier classes
pinned: people are put together only with those who shared all their classes so far, as if what the
recipient knows of them were one more column that is never made coarser. And where a frozen plan is
used again, people in too small a crossing are held back.

Here too a person is a number, and a class is one. The judge is `expectations.measures.crossings`,
which shares no code with this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from expectations.policy.outlets import TableOutlet
from expectations.policy.privacy_models import PrivacyModel
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.releases.succession import Counts, MeetsModels, ask_models
from tasks.anonymization.tuples import combine

if TYPE_CHECKING:
    import pandas as pd

PINNED: Final = "_in "
"""How the column begins that stands for some earlier classes; no policy's column begins so."""
THREE_AT_A_TIME: Final = 10
"""Of so many earlier releases, the newest, every two are crossed with a new one."""
NOBODY: Final = -1


@dataclass(frozen=True)
class EarlierClasses:
    """An earlier release: the class of each person who may leave now, -1 for who was not in it."""

    name: str
    classes: Counts
    k: int
    sensitive: Mapping[str, Sequence[PrivacyModel]] = field(default_factory=dict)


def ask_beside(outlet: TableOutlet, earlier: Sequence[EarlierClasses]) -> TableOutlet:
    """Ask of an outlet's classes what some earlier releases ask too: each will be a crossing."""
    asked = {
        column: (*models, *(model for one in earlier for model in one.sensitive.get(column, ())))
        for column, models in outlet.sensitive.items()
    }
    least = max([outlet.k, *(one.k for one in earlier)])
    return outlet.model_copy(update={"k": least, "sensitive": asked})


def name_pin(names: Sequence[str]) -> str:
    """Name the column that stands for the classes of some earlier releases."""
    return PINNED + " ".join(names)


def releases_pinned(column: str) -> list[str]:
    """Name the releases that a column stands for; none for a column of the policy."""
    return column.removeprefix(PINNED).split(" ") if column.startswith(PINNED) else []


def pin_classes(
    frame: pd.DataFrame, earlier: Sequence[EarlierClasses], names: Sequence[str]
) -> pd.DataFrame:
    """Add the column of some earlier releases; one that is not known any more adds none."""
    import pandas as pd

    known = {one.name: one.classes for one in earlier}
    if not names or not known.keys() >= {*names}:
        return frame
    number, first = number_signs([known[name] for name in names])
    texts = [" ".join(str(known[name][at]) for name in names) for at in first.tolist()]
    return frame.assign(**{name_pin(names): pd.Series(texts, dtype=object).take(number).to_numpy()})


def list_pins(column: str, values: pd.Series) -> Hierarchy:
    """Pin the column to the classes that there are; they come from people."""
    return Hierarchy(column, tuple((text,) for text in sorted(values.unique())), derived=True)


def number_signs(classes: Sequence[Counts]) -> tuple[Counts, Counts]:
    """Number people by their earlier classes, and give somebody of each number."""
    key = combine([of + 1 for of in classes])
    _, first, number = np.unique(key, return_index=True, return_inverse=True)
    return number.astype(np.int64), first.astype(np.int64)


@dataclass(frozen=True)
class Cells:
    """The cell of each distinct row that may leave; cell 0 is nobody's, and always stands."""

    of: Counts
    k: int
    meets: MeetsModels

    def stand(self, counts: Counts) -> NDArray[np.bool_]:
        """Told how many of each distinct row leave, say of which rows the cell may stand."""
        people = np.bincount(self.of, counts)
        good = (people >= self.k) & self.meets(counts)[: len(people)]
        good[:1] = True
        return np.asarray(good[self.of])


@dataclass(frozen=True)
class Crossings:
    """All cells that rows may not be too few in, of two and of three releases."""

    cells: tuple[Cells, ...]

    @classmethod
    def among(
        cls,
        classes: Counts,
        earlier: Sequence[EarlierClasses],
        k: int,
        sensitive: tuple[pd.DataFrame, Mapping[str, Sequence[PrivacyModel]]],
    ) -> Crossings:
        """Cross the classes of distinct rows with those their people had in each earlier release.

        `sensitive` are the rows' values and the models asked of them now.
        """
        newest = range(max(0, len(earlier) - THREE_AT_A_TIME), len(earlier))
        places = [*((at,) for at in range(len(earlier))), *combinations(newest, 2)]
        return cls(tuple(
            _cross(classes, [earlier[at] for at in some], k, sensitive) for some in places
        ))  # fmt: skip

    def allows(self, counts: Counts) -> NDArray[np.bool_]:
        """Told how many of each distinct row leave, say which may."""
        allowed = np.ones(len(counts), dtype=bool)
        for cells in self.cells:
            allowed &= cells.stand(counts)
        return allowed


def _cross(
    classes: Counts,
    earlier: Sequence[EarlierClasses],
    k: int,
    sensitive: tuple[pd.DataFrame, Mapping[str, Sequence[PrivacyModel]]],
) -> Cells:
    there = np.logical_and.reduce([one.classes != NOBODY for one in earlier])
    cell = combine([classes, *(one.classes.clip(min=0) for one in earlier)])
    of = np.zeros(len(classes), dtype=np.int64)
    of[there] = np.unique(cell[there], return_inverse=True)[1] + 1
    values, now = sensitive
    asked = {
        column: [*models, *(model for one in earlier for model in one.sensitive.get(column, ()))]
        for column, models in now.items()
    }
    least = max([k, *(one.k for one in earlier)])
    return Cells(of, least, ask_models(values, of, asked))
