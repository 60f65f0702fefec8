"""A released table set up for attack: what left, what it was made from, and what was declared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from expectations.disclosure import Count, Published
from expectations.policy.outlets import TableOutlet
from expectations.policy.policy import Column
from expectations.policy.treatments import Token, public_labels
from expectations.policy.vocabulary import Identifiability
from ledgers.vault.stages import Checked, Selected, Validated
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened
from tasks.attack.released import Coverage, declare_coverage, spell
from tasks.people.ingestion import PERSON, RECORD

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Target:
    """A released table of one outlet and the people behind it, all indexed by their record keys.

    `released` and `originals` hold the outlet's columns after and before the recoding, `sources`
    the source's own values of identifiers and of columns that left as tokens.
    """

    desk: Desk
    name: str
    released: pd.DataFrame
    originals: pd.DataFrame
    sources: pd.DataFrame

    @classmethod
    def open(
        cls,
        desk: Desk,
        data: tuple[Opened[Checked], Opened[Validated], Opened[Selected]],
        name: str,
    ) -> Target:
        """Read what the attacks need and no other column."""
        table, rows, selected = data
        outlet = desk.policy.table_outlets[name]
        columns = [RECORD, *outlet.columns]
        wanted = [RECORD, PERSON, *_named_in_source(desk, outlet)]
        return cls(
            desk,
            name,
            table.frame(columns).set_index(RECORD),
            rows.frame(columns).set_index(RECORD),
            selected.frame(list(dict.fromkeys(wanted))).set_index(RECORD),
        )

    @property
    def outlet(self) -> TableOutlet:
        """What was declared of the table."""
        return self.desk.policy.table_outlets[self.name]

    @property
    def attacked(self) -> list[str]:
        """The columns that a recipient may link: all but those that the policy exempts."""
        return [*self.outlet.linkable, *self.outlet.sensitive]

    @property
    def secrets(self) -> list[str]:
        """The columns worth learning: sensitive ones, and those that point at nobody."""
        treated = self.desk.policy.treated
        return [
            column
            for column in self.attacked
            if column in self.outlet.sensitive
            or treated[column].identifiability is Identifiability.NONE
        ]

    @property
    def tokens(self) -> list[str]:
        """The columns that left as tokens of a column of the source."""
        return _tokens(self.desk, self.outlet)

    @property
    def identifiers(self) -> list[str]:
        """The columns of `sources` that name people."""
        return [PERSON, *_identifying(self.desk)]

    @cached_property
    def coverage(self) -> Coverage:
        """What the released labels stand for."""
        labels = {name: list(spell(self.released[name]).unique()) for name in self.outlet.columns}
        return declare_coverage(self.desk.policy, self.outlet, labels)

    @cached_property
    def undeclared(self) -> pd.DataFrame:
        """The released cells that hold no declared word, nor one that stands for some."""
        cells = self.released.astype(object)
        declared = {name: cells[name].isin(self._words(name)) for name in cells.columns}
        return cells.mask(pd.DataFrame(declared))

    def count(self, what: str, rows: NDArray[np.bool_]) -> Published:
        """Note how many people some rows of the released table belong to."""
        return self.desk.count(f"people.{self.name}.{what}", Count(int(rows.sum())))

    def _words(self, name: str) -> set[str]:
        """The words of one column that the policy declares."""
        policy = self.desk.policy
        labels = public_labels(policy.treated[name].treatment, policy.column_type(name))
        return {*(labels or ()), *self.coverage.get(name, ())}


def _tokens(desk: Desk, outlet: TableOutlet) -> list[str]:
    """Name the released columns that are tokens of a column of the source."""
    columns = desk.policy.columns
    return [
        name
        for name in outlet.columns
        if name in columns and isinstance(columns[name].treatment, Token)
    ]


def _identifying(desk: Desk) -> list[str]:
    """Name the source's columns that identify people."""
    return [
        name
        for name, column in desk.policy.columns.items()
        if isinstance(column, Column) and column.identifiability is Identifiability.IDENTIFIER
    ]


def _named_in_source(desk: Desk, outlet: TableOutlet) -> list[str]:
    """Name the columns of the source that the attacks compare with."""
    return [*_identifying(desk), *_tokens(desk, outlet)]
