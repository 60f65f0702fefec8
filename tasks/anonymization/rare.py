"""Labels that few people share become one label; data-dependent, so for tables only.

Which labels stay is decided once, when a plan is fitted, and frozen with it. "Few" is fewer than a
number of the table's people. If the one label itself would stand for fewer, the next rarest join
it until it does not. That a label was rare shows in the table; whose it was does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from expectations.policy.outlets import Rare, TableOutlet
from expectations.policy.vocabulary import MISSING
from tasks.anonymization.hierarchies import ROOT, Hierarchy, label_of

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


def have_company(merged: pd.DataFrame, common: Mapping[str, Common]) -> NDArray[np.bool_]:
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


def widen(values: pd.Series, found: Common) -> Hierarchy:
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
