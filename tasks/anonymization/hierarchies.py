"""Generalization hierarchies: which coarser labels a value of one column may be released under.

A hierarchy is public knowledge: declared in a policy or read from an ARX file. It knows no person
and no counts. The one exception is marked: a hierarchy with `derived=True` lists the values of a
table, and whoever stores it must first drop those that stand for few people (`recoding.fit` does).
Read by `tasks.anonymization.recoding`; terms follow Sweeney, "Achieving k-anonymity privacy
protection using generalization and suppression" (2002).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from expectations.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

ROOT = "*"
MISSING = "missing"
_RANGE = re.compile(r"(?P<low>\d+(?:\.\d+)?)(?:-(?P<high>\d+(?:\.\d+)?)|(?P<open>\+))?")


@dataclass(frozen=True)
class Hierarchy:
    """The labels of one column, from each leaf up to the root.

    `levels` holds one tuple per leaf: the leaf itself first, the root `*` last, all of one length
    and nested. A single level means that the column is pinned: never generalized. Missing values
    are a leaf of their own, labelled "missing", under the root only, unless a leaf of that name is
    declared. `derived` says that the leaves were taken from data; values it does not list are then
    no error and can only be released under the root. Raises `UsageError` when a rule is broken.
    """

    column: str
    levels: tuple[tuple[str, ...], ...]
    derived: bool = False

    def __post_init__(self) -> None:
        if not (self.derived if not self.levels else self.levels[0]):
            raise self._broken("has no labels", "declare at least one")
        if len({len(row) for row in self.levels}) > 1:
            raise self._broken("has leaves of unequal depth", "give every leaf the same levels")
        leaves = [row[0] for row in self.levels]
        if len(set(leaves)) < len(leaves):
            twice = next(leaf for leaf in leaves if leaves.count(leaf) > 1)
            raise self._broken(f"declares {twice!r} more than once", "keep one row per leaf")
        if self.depth > 1 and any(row[-1] != ROOT for row in self.levels):
            raise self._broken("does not end in '*' for every leaf", "add a last level of '*'")
        self._check_nesting()

    def _check_nesting(self) -> None:
        """Each label stands for one set of leaves, wherever it occurs, and has one parent."""
        covered: dict[str, frozenset[int]] = {}
        for level in range(self.depth):
            members: dict[str, set[int]] = {}
            parents: dict[str, str] = {}
            for leaf, row in enumerate(self._rows):
                members.setdefault(row[level], set()).add(leaf)
                above = row[min(level + 1, self.depth - 1)]
                if parents.setdefault(row[level], above) != above:
                    raise self._broken(
                        f"puts {row[level]!r} under more than one label of the next level",
                        "nest every level in the next",
                    )
            for label, leaves in members.items():
                if covered.setdefault(label, frozenset(leaves)) != leaves:
                    raise self._broken(
                        f"uses {label!r} on two levels for different values", "rename one of them"
                    )

    def _broken(self, what: str, fix: str) -> UsageError:
        return UsageError(f"hierarchy of column '{self.column}' {what}; {fix}")

    @classmethod
    def from_table(cls, column: str, table: pd.DataFrame | str | Path) -> Hierarchy:
        """Read a table without header (or its ARX file, `;` between levels), one row per leaf."""
        if not isinstance(table, str | Path):
            return cls(column, tuple(tuple(map(str, row)) for row in table.to_numpy().tolist()))
        try:
            with Path(table).open(encoding="utf-8-sig", newline="") as file:
                rows = [tuple(row) for row in csv.reader(file, delimiter=";") if row]
        except OSError as error:
            raise UsageError(
                f"hierarchy of column '{column}': {table} cannot be read ({type(error).__name__}); "
                "name a file with one leaf per line and ';' between its levels"
            ) from None
        return cls(column, tuple(rows))

    @classmethod
    def from_ordered(cls, column: str, labels: Iterable[str]) -> Hierarchy:
        """Merge neighbours of an ordered scale two by two, level by level, up to the root.

        Numeric bins merge into the bin that spans them ("40-49", "50-59" into "40-59"; "80+" stays
        open), other categories into first~last ("Good~Fair").
        """
        leaves = list(labels)
        rows = [[leaf] for leaf in leaves]
        width = 2
        while width < len(leaves):
            for start in range(0, len(leaves), width):
                merged = leaves[start : start + width]
                label = _span(merged[0], merged[-1])
                for row in rows[start : start + width]:
                    row.append(label)
            width *= 2
        return cls(column, tuple((*row, ROOT) for row in rows))

    @classmethod
    def from_levels(
        cls, column: str, labels: Iterable[str], levels: Sequence[Mapping[str, Iterable[str]]]
    ) -> Hierarchy:
        """Take declared groupings, finest first: each maps a label to its members.

        A member is a label of the level below or a leaf; what no group names keeps its label.
        """
        rows = [[label] for label in labels]
        for level in levels:
            parent: dict[str, str] = {}
            for label, members in level.items():
                for member in members:
                    if parent.setdefault(member, label) != label:
                        raise UsageError(
                            f"hierarchy of column '{column}' puts {member!r} in two groups of one "
                            "level; keep it in one"
                        )
            known = {row[0] for row in rows} | {row[-1] for row in rows}
            if unknown := sorted(set(parent) - known):
                raise UsageError(
                    f"hierarchy of column '{column}' groups {unknown[0]!r}, which is no label of "
                    "the level below; declare it or correct its spelling"
                )
            for row in rows:
                row.append(parent.get(row[-1], parent.get(row[0], row[-1])))
        return cls(column, tuple((*row, ROOT) for row in rows))

    @classmethod
    def flat(cls, column: str, labels: Iterable[str], *, derived: bool = False) -> Hierarchy:
        """Release a value as it is or not at all (`*`)."""
        return cls(column, tuple((label, ROOT) for label in labels), derived)

    @classmethod
    def pinned(cls, column: str, labels: Iterable[str]) -> Hierarchy:
        """Never generalize: a person whose value is too rare can only be suppressed."""
        return cls(column, tuple((label,) for label in labels))

    @property
    def depth(self) -> int:
        """Number of levels, the leaf's included."""
        return len(self.levels[0]) if self.levels else 2

    @cached_property
    def _rows(self) -> tuple[tuple[str, ...], ...]:
        """The declared rows, and the missing value's own where none is declared."""
        if any(row[0] == MISSING for row in self.levels):
            return self.levels
        own = (MISSING,) * max(1, self.depth - 1) + (ROOT,) * (self.depth > 1)
        return (*self.levels, own)

    @cached_property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """Per level its distinct labels; a label's position is its group code."""
        return tuple(tuple(dict.fromkeys(level)) for level in zip(*self._rows, strict=True))

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """Group codes, shape (depth, leaves + 1).

        The last leaf stands for every unlisted value: a group of its own below the root.
        """
        table = np.empty((self.depth, len(self._rows) + 1), dtype=np.int64)
        for level, labels in enumerate(self.labels):
            code = {label: number for number, label in enumerate(labels)}
            table[level, :-1] = [code[row[level]] for row in self._rows]
            table[level, -1] = code.get(ROOT, len(labels)) if level else len(labels)
        return table

    def encode(self, values: pd.Series) -> NDArray[np.int64]:
        """Give each value's leaf code; raises `UsageError` with the count of unlisted values."""
        import pandas as pd

        numbers, distinct = pd.factorize(values, use_na_sentinel=True)
        code = {row[0]: number for number, row in enumerate(self._rows)}
        unlisted = len(self._rows)
        leaf = [code.get(label_of(value), unlisted) for value in distinct]
        # The sentinel -1 of a missing value picks the last entry.
        codes = np.array([*leaf, code[MISSING]], dtype=np.int64)[numbers]
        if not self.derived and (strangers := leaf.count(unlisted)):
            rows = int((codes == unlisted).sum())
            raise self._broken(
                f"lacks {strangers} of the column's values ({rows} rows)",
                "add them to the hierarchy, or drop or bin the column first",
            )
        return codes


def read_all(
    hierarchies: Mapping[str, Hierarchy | pd.DataFrame | str | Path], columns: Sequence[str]
) -> dict[str, Hierarchy]:
    """Read hierarchies given in any of their forms; each must be of a quasi-identifier."""
    if strangers := sorted(set(hierarchies) - set(columns)):
        raise UsageError(
            f"k-anonymity: hierarchy for '{strangers[0]}', which is no quasi-identifier; "
            "name the column among them or drop its hierarchy"
        )
    found = {
        column: given if isinstance(given, Hierarchy) else Hierarchy.from_table(column, given)
        for column, given in hierarchies.items()
    }
    for column, hierarchy in found.items():
        if hierarchy.column != column:
            raise UsageError(
                f"k-anonymity: the hierarchy given for '{column}' is for column "
                f"'{hierarchy.column}'; give each column its own"
            )
    return found


def label_of(value: object) -> str:
    """Spell a value as hierarchies do: whole floats as integers, the rest by `str`."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _span(first: str, last: str) -> str:
    """Name the merge of two neighbours, or of one that has no partner left."""
    if first == last:
        return first
    low, high = _RANGE.fullmatch(first), _RANGE.fullmatch(last)
    if low is None or high is None or low["open"]:
        return f"{first}~{last}"
    return f"{low['low']}+" if high["open"] else f"{low['low']}-{high['high'] or high['low']}"
