"""A table outlet's plan: which labels stay, and how its linkable columns are made coarser.

Fitted on one table of people and then frozen: applied to others it gives the same labels to the
same values, which is what makes two releases comparable. It promises k only of the people it was
fitted on; `tasks.anonymization.releases.succession` sees to the others. It holds labels of k or
more people and of common values, and the policy's own words: no person, no count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tasks.anonymization.fitting import histogram
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.loss import Measures, measure
from tasks.anonymization.plan import Plan
from tasks.anonymization.rare import Common, have_company, merge_rare, widen

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TablePlan:
    """A recoding, and the labels that stay of each column whose rare ones are merged."""

    recoding: Plan
    common: Mapping[str, Common]

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it reads."""
        return frozenset({*self.recoding.columns, *self.common})

    def hierarchies(self, frame: pd.DataFrame) -> dict[str, Hierarchy]:
        """Give the hierarchy by which each recoded column's loss is measured."""
        return {
            hierarchy.column: widen(frame[hierarchy.column], self.common[hierarchy.column])
            if hierarchy.column in self.common
            else hierarchy
            for hierarchy in self.recoding.hierarchies
        }

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give the rows that the plan has a class for, recoded; index and order stay.

        Raises `UsageError` where the frame lacks a column, or a declared hierarchy a value of it.
        """
        merged = merge_rare(frame, self.common)
        return self.recoding.apply(merged[have_company(merged, self.common)])

    def measure(self, frame: pd.DataFrame, released: pd.DataFrame) -> Measures:
        """Measure what became of a frame's people, those left out included."""
        columns = self.recoding.columns
        # A label that nobody has any more may be missing from what the data's labels are under.
        shown = {column: released[column].cat.remove_unused_categories() for column in columns}
        return measure(
            histogram(released.assign(**shown), columns), histogram(frame, columns),
            self.hierarchies(frame), self.recoding.members,
        )  # fmt: skip

    def to_bytes(self) -> bytes:
        """Write the plan; the same plan gives the same bytes."""
        common = {column: asdict(found) for column, found in self.common.items()}
        body = {"recoding": self.recoding.to_json(), "common": common}
        return json.dumps(body, ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> TablePlan:
        """Read what `to_bytes` wrote."""
        read = json.loads(content)
        common = {
            column: Common(tuple(found["stays"]), found["label"], found["at_least"])
            for column, found in read["common"].items()
        }
        return cls(Plan.from_json(read["recoding"]), common)
