"""A table outlet's plan: which labels stay, and how its linkable columns are made coarser.

Fitted on one table of people and then frozen: applied to others it gives the same labels to the
same values, which is what makes two releases comparable. It promises k only of the people it was
fitted on; `tasks.anonymization.releases.succession` sees to the others. It holds labels of k or
more people and of common values, and the policy's own words: no person, no count. Where tables of
several outlets go to one recipient it is over the columns of all of them, and each shows its own;
and it keeps apart who was in different classes of what that recipient has, by numbers of classes.

Before recoding, labels that few people share become one label. "Few" is fewer than a number of the
table's people, so this depends on the data and is for tables only. If the one label itself would
stand for fewer, the next rarest join it until it does not. That a label was rare shows in the
table; whose it was does not.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from expectations.policy.outlets import Rare, TableOutlet
from expectations.policy.vocabulary import MISSING
from tasks.anonymization.fitting import histogram
from tasks.anonymization.hierarchies import ROOT, Hierarchy, label_of
from tasks.anonymization.loss import Measures, measure
from tasks.anonymization.plan import Plan

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Common:
    """The labels of a column that stay, sorted; all others become `label`."""

    stays: tuple[str, ...]
    label: str
    at_least: int


def find_common(frame: pd.DataFrame, outlet: TableOutlet) -> dict[str, Common]:
    """Find the labels that stay of each column that the outlet has a `rare` rule for."""
    return {
        column: Common(choose_labels(frame[column], rule), rule.label, rule.at_least)
        for column, how in outlet.columns.items()
        if isinstance(how, Rare)
        # A linkable label of fewer than k could not leave, and a plan shall not hold it.
        for rule in (how.model_copy(update={"at_least": max(how.at_least, outlet.k)}),)
    }


def choose_labels(values: pd.Series, rule: Rare) -> tuple[str, ...]:
    """Give the labels of enough people, without those that join the other label to fill it."""
    sizes = spell_labels(values).value_counts().to_dict()
    other, stays = sizes.pop(rule.label, 0), []
    # Rarest first, so that the other label is full before a common one is looked at.
    for people, label in sorted((people, str(label)) for label, people in sizes.items()):
        if people < rule.at_least or 0 < other < rule.at_least:
            other += people
        else:
            stays.append(label)
    return tuple(sorted(stays))


def merge_rare(frame: pd.DataFrame, common: Mapping[str, Common]) -> pd.DataFrame:
    """Put the other label for all that does not stay."""
    merged = frame.copy()
    for column, found in common.items():
        labels = spell_labels(frame[column])
        labels = labels.where(labels.isin(found.stays), found.label)
        merged[column] = labels.mask(labels == MISSING, None)
    return merged


def _have_company(merged: pd.DataFrame, common: Mapping[str, Common]) -> NDArray[np.bool_]:
    """Tell of each person whether their labels are shared by enough people of this table.

    All are, where the labels that stay were found in this very table.
    """
    enough = np.ones(len(merged), dtype=bool)
    for column, found in common.items():
        labels = spell_labels(merged[column])
        enough &= labels.map(labels.value_counts()).to_numpy() >= found.at_least
    return enough


@dataclass(frozen=True)
class Company:
    """What keeps, of distinct rows, those whose labels enough of the people who leave share.

    `of` are per merged column the label of each distinct row, numbered, and how many it needs.
    """

    of: tuple[tuple[NDArray[np.int64], int], ...]

    @classmethod
    def among(cls, rows: pd.DataFrame, common: Mapping[str, Common]) -> Company:
        """Number the labels of some distinct rows, whose labels are merged."""
        import pandas as pd

        labels = {column: pd.factorize(spell_labels(rows[column]))[0] for column in common}
        return cls(tuple((labels[column], found.at_least) for column, found in common.items()))

    def allows(self, counts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Told how many of each distinct row leave, say which may."""
        allowed = np.ones(len(counts), dtype=bool)
        for label, at_least in self.of:
            allowed &= (np.bincount(label, counts) >= at_least)[label]
        return allowed


def _widen(values: pd.Series, found: Common) -> Hierarchy:
    """Give the hierarchy by which the loss of a merged column is measured: of the data's labels."""
    labels = set(spell_labels(values))
    if labels - {found.label} - set(found.stays):
        # As a leaf of its own it would be a part of itself.
        labels.discard(found.label)
    rows = ((leaf, leaf if leaf in found.stays else found.label, ROOT) for leaf in sorted(labels))
    return Hierarchy(str(values.name), tuple(rows), derived=True)


def spell_labels(values: pd.Series) -> pd.Series:
    """Spell values as labels, missing ones included."""
    import pandas as pd

    number, distinct = pd.factorize(values)
    labels = np.array([*map(label_of, distinct), MISSING], dtype=object)
    return pd.Series(labels[number], index=values.index, name=values.name, dtype=object)


@dataclass(frozen=True)
class TablePlan:
    """A recoding, and the labels that stay of each column whose rare ones are merged."""

    recoding: Plan
    common: Mapping[str, Common]

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it reads."""
        return frozenset({*self.recoding.columns, *self.common})

    def hierarchies(
        self, frame: pd.DataFrame, columns: Collection[str] | None = None
    ) -> dict[str, Hierarchy]:
        """Give the hierarchy by which each recoded column's loss is measured, or some columns'."""
        return {
            hierarchy.column: _widen(frame[hierarchy.column], self.common[hierarchy.column])
            if hierarchy.column in self.common
            else hierarchy
            for hierarchy in self.recoding.hierarchies
            if columns is None or hierarchy.column in columns
        }

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Give the rows that the plan has a class for, recoded; index and order stay.

        Raises `UsageError` where the frame lacks a column, or a declared hierarchy a value of it.
        """
        merged = merge_rare(frame, self.common)
        return self.recoding.apply(merged[_have_company(merged, self.common)])

    def measure(
        self, frame: pd.DataFrame, released: pd.DataFrame, some: Sequence[str] | None = None
    ) -> Measures:
        """Measure what became of a frame's people, those left out included, in some columns."""
        columns = list(some or self.recoding.columns)
        # A label that nobody has any more may be missing from what the data's labels are under.
        shown = {column: released[column].cat.remove_unused_categories() for column in columns}
        return measure(
            histogram(released.assign(**shown), columns), histogram(frame, columns),
            self.hierarchies(frame, columns), self.recoding.members,
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
