"""Generalization hierarchies: which coarser labels a value of one column may be released under.

A hierarchy is public knowledge: declared in a policy or read from an ARX file. It knows no person
and no counts. The one exception is marked: a hierarchy with `derived=True` lists the values of a
table, and whoever stores it must first drop those that stand for few people (`fitting.fit` does).
Terms follow Sweeney, "Achieving k-anonymity privacy protection using generalization and
suppression" (2002).

A value meets its label by spelling, whichever type its column has. A whole number has one spelling
(5 and 5.0 are "5"), and so has a day (a date and a midnight are "1969-12-31"). Everything else is
spelt as Python's `str` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import infer_dtype

from expectations.disclosure import roughly
from expectations.errors import UsageError
from expectations.policy.hierarchy_files import (
    ROOT,
    Fault,
    UnreadableError,
    find_faults,
    name_root,
    read_rows,
)
from expectations.policy.vocabulary import MISSING

__all__ = ["MISSING", "ROOT", "Hierarchy", "label_of", "number_labels", "read_all"]

EXAMPLES = 3
"""Leaves that a refusal names: enough to find the line at fault."""
WHOLE = 2.0**63
"""The first float that no 64-bit integer holds: from here on Python spells it digit by digit."""
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?"
_BELOW = re.compile(rf"(under |below |less than |< ?)(-?{_NUMBER})")
_FROM = re.compile(
    rf"(from )?(-?{_NUMBER})(?(1)|(?:\+| and (?:over|above|more|older)| or (?:over|more|older)))"
)
_BETWEEN = re.compile(
    rf"(?:from )?(?P<low>-?{_NUMBER})(?:(?: to (?P<under>under )?|(?<=\d)-)(?P<high>-?{_NUMBER}))?"
)


def label_of(value: object) -> str:
    """Spell one value that is not missing."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.tzinfo is None and value.time() == time():
        return str(value.date())
    return str(value)


def spell(values: pd.Index) -> NDArray[np.object_]:
    """Spell many values, none of them missing, as `label_of` does, without a loop over numbers."""
    if isinstance(values, pd.CategoricalIndex):
        return spell(values.categories)[values.codes]
    if isinstance(values.dtype, pd.StringDtype):
        return values.to_numpy(dtype=object)
    array = values.to_numpy()
    if array.dtype.kind in "iu":
        return array.astype(str).astype(object)
    if array.dtype.kind == "f":
        return _spell_floats(array.astype(np.float64))
    if array.dtype.kind == "M":
        return _spell_times(array)
    if all(type(value) is str for value in array):
        return array
    return np.array([label_of(value) for value in array], dtype=object)


def _spell_floats(numbers: NDArray[np.float64]) -> NDArray[np.object_]:
    """Spell whole numbers as integers, the rest by `str`."""
    whole = (np.floor(numbers) == numbers) & (np.abs(numbers) < WHOLE)
    labels = np.empty(len(numbers), dtype=object)
    labels[whole] = numbers[whole].astype(np.int64).astype(str)
    labels[~whole] = [label_of(number) for number in numbers[~whole].tolist()]
    return labels


def _spell_times(times: NDArray[np.datetime64]) -> NDArray[np.object_]:
    """Spell midnights as days, the rest by `str`."""
    days = times.astype("M8[D]")
    labels = np.datetime_as_string(days).astype(object)
    timed = days != times
    labels[timed] = [str(time) for time in pd.DatetimeIndex(times[timed])]
    return labels


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
        rows = self.levels if self.depth > 1 else tuple((*row, ROOT) for row in self.levels)
        if faults := find_faults(rows) if rows else []:
            told = [f"{fault}{self._quote(fault)}; {fault.fix}" for fault in faults]
            raise UsageError(f"hierarchy of column '{self.column}': {'. '.join(told)}")
        if self._rows is not self.levels and any(MISSING in row for row in self.levels):
            raise self._broken(
                f"calls a label above its leaves '{MISSING}', as missing values are",
                "rename it, or declare a leaf of that name under it",
            )

    def _quote(self, fault: Fault) -> str:
        """Name a few leaves with a fault, unless they come from people."""
        leaves = [row[0] for row in map(self.levels.__getitem__, fault.rows[:EXAMPLES]) if row]
        return "" if self.derived or not leaves else f" (leaf {', '.join(map(repr, leaves))})"

    def _broken(self, what: str, fix: str) -> UsageError:
        return UsageError(f"hierarchy of column '{self.column}' {what}; {fix}")

    @classmethod
    def from_table(cls, column: str, table: pd.DataFrame | str | Path) -> Hierarchy:
        """Read a table without header (or its ARX file, `;` between levels), one row per leaf.

        A missing leaf is "missing", and a last level of one other word is the root. The file may
        have a byte order mark and any line ends.
        """
        if isinstance(table, pd.DataFrame):
            rows = name_root(_spell_table(table))
        else:
            try:
                rows = read_rows(Path(table))
            except UnreadableError as error:
                raise UsageError(
                    f"hierarchy of column '{column}': {table}: {error}; name a file in UTF-8 with "
                    "one leaf per line and ';' between its levels"
                ) from None
        if rows and max(map(len, rows)) == 1:
            raise UsageError(
                f"hierarchy of column '{column}' has leaves but no level above them; write '*' "
                "behind each (in a file: after ';')"
            )
        return cls(column, tuple(rows))

    @classmethod
    def from_ordered(cls, column: str, labels: Iterable[str]) -> Hierarchy:
        """Merge neighbours of an ordered scale two by two, level by level, up to the root.

        Numeric bins merge into the bin that spans them ("40-49", "50-59" into "40-59"; "under 40",
        "40-49" into "under 50"; "80+" stays open), other categories into first~last ("Good~Fair").
        """
        leaves = list(labels)
        rows = [[leaf] for leaf in leaves]
        width = 2
        while width < len(leaves):
            for start in range(0, len(leaves), width):
                merged = leaves[start : start + width]
                label = span(merged[0], merged[-1], *leaves[start + width : start + width + 1])
                if len(merged) > 1 and label in leaves:
                    label = f"{merged[0]}~{merged[-1]}"  # it stands for something else already
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
                    f"hierarchy of column '{column}' groups {unknown[0]!r}, not a label of "
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
        above = list(zip(*self.levels, strict=True))[1:] if self.levels else [()]
        own = (ROOT if all(label == ROOT for label in level) else MISSING for level in above)
        return (*self.levels, (MISSING, *own))

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
        levels = zip(self.labels, zip(*self._rows, strict=True), strict=True)
        for level, (labels, there) in enumerate(levels):
            if len(labels) == len(there):  # each its own: a dictionary of a million is slow
                table[level, :-1] = np.arange(len(there))
            else:
                code = {label: number for number, label in enumerate(labels)}
                table[level, :-1] = [code[label] for label in there]
            table[level, -1] = labels.index(ROOT) if level and ROOT in labels else len(labels)
        return table

    @cached_property
    def _leaves(self) -> pd.Index:
        return pd.Index([row[0] for row in self._rows], dtype=object)

    def encode(self, values: pd.Series) -> NDArray[np.int64]:
        """Give each value's leaf code; raises `UsageError` with the count of unlisted values."""
        numbers, labels = number_labels(values)
        # The number -1 of a missing value picks the last entry.
        leaf = self._leaves.get_indexer(pd.Index(np.append(labels, MISSING), dtype=object))
        unlisted = leaf < 0
        leaf[unlisted] = len(self._rows)
        if not self.derived and (strangers := int(unlisted.sum())):
            raise self._broken(
                f"lacks {roughly(strangers)} of the column's values "
                f"({roughly(int(unlisted[numbers].sum()))} rows)",
                "add them to the hierarchy, or drop or bin the column first",
            )
        return np.asarray(leaf[numbers], dtype=np.int64)


def number_labels(values: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Number a column's values, -1 where one is missing; also give each number's label.

    Values that are spelt alike may have two numbers. Values of mixed types are told apart by
    their labels: Python holds True and 1 for the same.
    """
    if values.dtype == object and infer_dtype(values) not in ("string", "empty"):
        known = values.notna().to_numpy()
        spelt = np.full(len(values), None, dtype=object)
        spelt[known] = spell(pd.Index(values.to_numpy()[known], dtype=object))
        values = pd.Series(spelt, dtype=object)
    numbers, distinct = pd.factorize(values)
    return numbers.astype(np.int64), spell(pd.Index(distinct))


def _spell_table(table: pd.DataFrame) -> list[tuple[str, ...]]:
    """Spell the cells of a hierarchy as its values will be; a missing one above a leaf is empty."""
    rows = table.astype(object).to_numpy().tolist()
    gone = table.isna().to_numpy().tolist()
    return [
        tuple(
            ("" if level else MISSING) if absent else label_of(cell)
            for level, (cell, absent) in enumerate(zip(row, lacks, strict=True))
        )
        for row, lacks in zip(rows, gone, strict=True)
    ]


def read_all(
    hierarchies: Mapping[str, Hierarchy | pd.DataFrame | str | Path], columns: Sequence[str]
) -> dict[str, Hierarchy]:
    """Read hierarchies given in any of their forms; each must be of a quasi-identifier."""
    forms = Hierarchy | pd.DataFrame | str | Path
    if not isinstance(hierarchies, Mapping) or not all(
        isinstance(given, forms) for given in hierarchies.values()
    ):
        raise UsageError(
            "k-anonymity: hierarchies map columns to a table without header (leaf first, '*' last) "
            "or to the path of such a file"
        )
    if strangers := sorted(set(hierarchies) - set(columns)):
        raise UsageError(
            f"k-anonymity: hierarchy for '{strangers[0]}', which is not a quasi-identifier; "
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


def span(first: str, last: str, after: str = "") -> str:
    """Name the merge of neighbours, or of one that has no partner left; `after` follows them.

    Intervals of numbers read as one interval, in the words of those at its ends.
    """
    if first == last:
        return first
    low, high = _BETWEEN.fullmatch(first), _BETWEEN.fullmatch(last)
    if below := _BELOW.fullmatch(first):
        following = _BETWEEN.fullmatch(after) or _FROM.fullmatch(after)
        bound = high["high"] if high and high["under"] else following and _find_low(following)
        return f"{below[1]}{bound}" if bound and high else f"{first}~{last}"
    if not low or _FROM.fullmatch(first):
        return f"{first}~{last}"
    if upward := _FROM.fullmatch(last):
        return f"{last[: upward.start(2)]}{low['low']}{last[upward.end(2) :]}"
    end = high and (high["high"] or high["low"])
    if not high or not end or _size(low["low"]) > _size(end):
        return f"{first}~{last}"
    if high["under"]:
        joint = " to under "
    else:
        joint = " to " if " to " in first + last or low["low"].startswith("-") else "-"
    return f"{'from ' if low['low'].startswith('-') else ''}{low['low']}{joint}{end}"


def _find_low(found: re.Match[str]) -> str:
    """Give the number that an interval begins with."""
    return found.groupdict().get("low") or str(found[2])


def _size(number: str) -> float:
    return float(number.replace(",", ""))
