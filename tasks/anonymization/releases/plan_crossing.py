"""Two plans over the same people: which regions both describe, and what crossing them isolates.

Under another plan a table is cut into other classes. A union of old classes that is a union of new
ones can be counted in both tables, and so compared; the smallest such unions are the connected
parts of the graph between old and new classes, linked where somebody is in both. And whoever knows
that a person is in both tables knows both classes: the people in the crossing of the two are those
among whom the person is then looked for. That number cannot be bounded without recoding again: it
is measured, as if everybody who leaves now had been in the earlier table too.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Labels = tuple[str, ...]
NOBODY: Final = -1


@dataclass(frozen=True)
class PlanClasses:
    """The class of each person by its number in `labels`, shape (people,); -1 for none."""

    labels: tuple[Labels, ...]
    of: NDArray[np.int64]

    @classmethod
    def from_released(
        cls, released: pd.DataFrame, columns: Sequence[str], index: pd.Index
    ) -> PlanClasses:
        """Give the classes of the people of `index`; who is not released has none."""
        import pandas as pd

        codes = released.groupby(list(columns), observed=True, sort=False).ngroup().to_numpy()
        first = np.unique(codes, return_index=True)[1]
        texts = released[list(columns)].iloc[first].astype(str)
        of = pd.Series(codes, released.index).reindex(index, fill_value=NOBODY)
        return cls(tuple(texts.itertuples(index=False, name=None)), of.to_numpy(np.int64))


@dataclass(frozen=True)
class Crossing:
    """The classes of the same people under the new and the old plan."""

    new: PlanClasses
    old: PlanClasses

    def name_regions(
        self, new: Sequence[Labels], old: Sequence[Labels]
    ) -> tuple[list[Hashable], list[Hashable]]:
        """Give classes their regions; one that nobody links to the other plan is one of its own."""
        linked = (self.new.of != NOBODY) & (self.old.of != NOBODY)
        behind = len(self.new.labels)
        ends = np.column_stack([self.new.of[linked], self.old.of[linked] + behind])
        part = _connected(np.unique(ends, axis=0), behind + len(self.old.labels)).tolist()
        of_new = dict(zip(self.new.labels, part[:behind], strict=True))
        of_old = dict(zip(self.old.labels, part[behind:], strict=True))
        return (
            [of_new.get(labels, ("new", labels)) for labels in new],
            [of_old.get(labels, ("old", labels)) for labels in old],
        )

    def isolated(self, k: int, leaving: NDArray[np.bool_]) -> int:
        """Count the people, of those who are leaving, in crossings of fewer than k of them."""
        both = leaving & (self.new.of != NOBODY) & (self.old.of != NOBODY)
        crossed = self.new.of[both] * len(self.old.labels) + self.old.of[both]
        sizes = np.unique(crossed, return_counts=True)[1]
        return int(sizes[sizes < k].sum())


def _connected(ends: NDArray[np.int64], nodes: int) -> NDArray[np.int64]:
    """Give each node the smallest number of a node that it is connected with."""
    part = np.arange(nodes)
    while True:
        before = part.copy()
        least = part[ends].min(axis=1)
        np.minimum.at(part, ends[:, 0], least)
        np.minimum.at(part, ends[:, 1], least)
        part = part[part]
        if (part == before).all():
            return part
