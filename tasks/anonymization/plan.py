"""A recoding as a value: which labels each class is released under, in the order of the first fit.

A plan is made by `tasks.anonymization.fitting` and applied to any partition of a table, now or
later. It holds no person and no count: only labels that the people of a class share, or the sets
of values that they have among them, and the hierarchies, without the values that no class shows.
It holds for the people it was fitted on: applied to others it only translates, and promises no k.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.errors import UsageError
from tasks.anonymization.hierarchies import ROOT, Hierarchy
from tasks.anonymization.tuples import LEFT, Boxes, Codes, OneLeaf, combine

_RANGE = re.compile(r"[\d.]+-[\d.]+")
"""What a value must not look like where sets are spelled: a range of two numbers."""
Labels = tuple[str, ...]
"""What a class shows of one column: a label of the hierarchy, or several leaves, sorted."""
JOINT = "~"
RUN = 3
"""From so many neighbouring numbers on, a set is spelled as a range."""
NUMERIC = frozenset("+-.0123456789")
UNREADABLE = (
    f"k-anonymity: in a set, a value that holds '{JOINT}', or reads as a range among numbers, "
    "would stand for others; spell it otherwise, or release a hierarchy's labels"
)


@dataclass(frozen=True)
class Plan:
    """An ordered list of classes: a row gets the labels of the first one that it fits.

    `hierarchies` are sorted by column, and each class names its labels in that order.
    """

    k: int
    hierarchies: tuple[Hierarchy, ...]
    classes: tuple[tuple[Labels, ...], ...]

    @property
    def columns(self) -> list[str]:
        """The quasi-identifiers, sorted by name."""
        return [hierarchy.column for hierarchy in self.hierarchies]

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Replace the quasi-identifiers by labels (as categories); rows without a class are absent.

        Index and order stay. Categories are the plan's, the same for every partition. Raises
        `UsageError` for a column that is absent or a value that its hierarchy lacks.
        """
        codes, row, _ = find_distinct(encode(frame, self.hierarchies))
        return self.release(frame, self._boxes.first(codes)[row])

    def release(self, frame: pd.DataFrame, place: Codes) -> pd.DataFrame:
        """Give rows the labels of their classes, by number; those at `LEFT` are absent."""
        kept = place != LEFT
        released: pd.DataFrame = frame.loc[kept].copy()
        for column, shown in zip(self.columns, self._shown, strict=True):
            names, of_class = shown
            released[column] = pd.Categorical.from_codes(of_class[place[kept]], names)
        return released

    @cached_property
    def members(self) -> dict[str, dict[str, Labels]]:
        """Per column and released label, the labels of the hierarchy that it stands for.

        Raises `UsageError` where two sets would read alike.
        """
        found = {}
        for at, hierarchy in enumerate(self.hierarchies):
            spell = Spelling.of(hierarchy)
            sets = dict.fromkeys(shown[at] for shown in self.classes)
            found[hierarchy.column] = {spell.name(labels): labels for labels in sets}
            if len(found[hierarchy.column]) < len(sets):
                raise UsageError(UNREADABLE)
        return found

    @cached_property
    def _shown(self) -> list[tuple[pd.Index, Codes]]:
        """Per column the released labels, sorted, and the place of each class's among them."""
        found = []
        for at, column in enumerate(self.columns):
            spelt = {labels: name for name, labels in self.members[column].items()}
            values = pd.Index([spelt[shown[at]] for shown in self.classes], dtype=str)
            # All labels of the plan, in use or not: categories must not tell who is in a partition.
            names = pd.Index(sorted(set(spelt.values())), dtype=str)
            found.append((names, names.get_indexer(values).astype(np.int64)))
        return found

    @cached_property
    def _boxes(self) -> Boxes:
        """Which classes each leaf fits."""
        return Boxes.of([self._takes(column) for column in range(len(self.hierarchies))])

    def _takes(self, column: int) -> NDArray[np.bool_] | OneLeaf:
        """Whether each class takes each leaf of a column, shape (leaves, classes)."""
        shown, hierarchy = [labels[column] for labels in self.classes], self.hierarchies[column]
        if hierarchy.depth == 1 and all(len(labels) == 1 for labels in shown):
            leaf = {label: code for code, label in enumerate(hierarchy.labels[0])}
            codes = np.array([leaf[label] for (label,) in shown], dtype=np.int64)
            return OneLeaf(codes, hierarchy.groups.shape[1])
        # Classes are many and their labels few: each label is looked up once.
        place = {labels: number for number, labels in enumerate(dict.fromkeys(shown))}
        marked = mark_leaves(hierarchy, list(place))
        return marked[np.array([place[labels] for labels in shown], dtype=np.int64)].T

    def describe(self, number: int) -> str:
        """Say what a class shows: its labels, and which columns it hides."""
        pairs = zip(self.columns, self.classes[number], strict=True)
        shown = {c: labels for c, labels in pairs if labels != (ROOT,)}
        spelt = {h.column: Spelling.of(h) for h in self.hierarchies}
        told = [f"{c} {spelt[c].name(labels)}" for c, labels in shown.items()]
        hidden = [column for column in self.columns if column not in shown]
        return (
            f"class {number + 1} of {len(self.classes)}: {', '.join(told) or 'nothing is shown'}"
            + (f"; {', '.join(hidden)} hidden" if told and hidden else "")
        )

    def to_json(self) -> str:
        """Write the plan; the same plan always gives the same text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote."""
        read = json.loads(text)
        hierarchies = tuple(
            Hierarchy(h["column"], tuple(map(tuple, h["levels"])), h["derived"])
            for h in read["hierarchies"]
        )
        classes = tuple(tuple(map(tuple, shown)) for shown in read["classes"])
        return cls(read["k"], hierarchies, classes)


def mark_leaves(hierarchy: Hierarchy, shown: Sequence[Labels]) -> NDArray[np.bool_]:
    """Mark the leaves that labels stand for, shape (shown, leaves + 1), the last for unlisted."""
    place: dict[str, tuple[int, int]] = {}
    for level, labels in enumerate(hierarchy.labels):
        for code, label in enumerate(labels):
            # A label on several levels stands for the same leaves on each, and its finest is the
            # first.
            place.setdefault(label, (level, code))
    marked = np.zeros((len(shown), hierarchy.groups.shape[1]), dtype=bool)
    found = [(row, *place[label]) for row, labels in enumerate(shown) for label in labels]
    # Sets name leaves by the thousand: those are marked in one go.
    leaves = [(row, code) for row, level, code in found if not level]
    if leaves:
        rows, codes = np.array(leaves).T
        marked[rows, codes] = True
    for row, level, code in found:
        if level:
            marked[row] |= hierarchy.groups[level] == code
    return marked


@dataclass(frozen=True)
class Spelling:
    """How sets of a column's labels are written: the rank of each number, and words in use."""

    ranks: Mapping[str, int]
    taken: frozenset[str]

    @classmethod
    def of(cls, hierarchy: Hierarchy) -> Spelling:
        """Rank the leaves that are numbers; the hierarchy's coarser labels are in use."""
        leaves = [leaf for leaf in hierarchy.labels[0] if _as_number(leaf) is not None]
        ranks = {leaf: rank for rank, leaf in enumerate(sort_labels(leaves))}
        return cls(ranks, frozenset(label for level in hierarchy.labels for label in level))

    def name(self, labels: Labels) -> str:
        """Join sorted labels by `~`; three or more neighbouring numbers as `low-high`.

        Not as a range where the hierarchy has a label of that name, which may mean others. Raises
        `UsageError` for a value that itself reads as a set, among others.
        """
        if len(labels) > 1 and any(map(self._misread, labels)):
            raise UsageError(UNREADABLE)
        runs: list[list[str]] = []
        for label in labels:
            before = self.ranks.get(runs[-1][-1]) if runs else None
            if before is not None and self.ranks.get(label) == before + 1:
                runs[-1].append(label)
            else:
                runs.append([label])
        return JOINT.join(part for run in runs for part in self._spell(run))

    def _misread(self, label: str) -> bool:
        return JOINT in label or bool(self.ranks and _RANGE.fullmatch(label))

    def _spell(self, run: list[str]) -> list[str]:
        spelt = f"{run[0]}-{run[-1]}"
        return [spelt] if len(run) >= RUN and spelt not in self.taken else run


def sort_labels(labels: Iterable[str]) -> Labels:
    """Sort numbers by their size and before other labels, those by their spelling."""
    numbers, words = [], []
    for label in labels:
        number = _as_number(label)
        if number is None:
            words.append(label)
        else:
            numbers.append((number, label))
    return (*(label for _, label in sorted(numbers)), *sorted(words))


def _as_number(label: str) -> float | None:
    # Asked first, since an exception for each of a million words takes seconds.
    if label[:1] not in NUMERIC:
        return None
    try:
        number = float(label)
    except ValueError:
        return None
    # `nan` and `inf` are words here: they have no place among numbers.
    return number if np.isfinite(number) else None


def encode(frame: pd.DataFrame, hierarchies: Sequence[Hierarchy]) -> Codes:
    """Leaf codes of a frame's rows, shape (columns, rows)."""
    check_columns(frame, [hierarchy.column for hierarchy in hierarchies])
    return np.array([hierarchy.encode(frame[hierarchy.column]) for hierarchy in hierarchies])


def find_distinct(codes: Codes) -> tuple[Codes, Codes, Codes]:
    """Distinct tuples in the order of their codes, which of them each row is, and a row of each."""
    number, keys = pd.factorize(combine(list(codes)))
    first = np.empty(len(keys), dtype=np.int64)
    # Of several assignments to one place the last one stays: backwards, that is the first row.
    first[number[::-1]] = np.arange(len(number))[::-1]
    # By codes and not by where rows stand: their order must not change a plan.
    order = np.lexsort(codes[:, first])
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    example = first[order]
    return codes[:, example], rank[number], example


def check_columns(
    frame: pd.DataFrame, columns: Sequence[str], what: str = "quasi-identifiers"
) -> None:
    """Refuse a list of columns that is empty, repeats one, or names one the frame lacks."""
    if isinstance(columns, str) or not all(isinstance(column, str) for column in columns):
        raise UsageError(f"k-anonymity: name the {what} as a list of names, each of them text")
    if not columns or len(set(columns)) < len(columns):
        raise UsageError(f"k-anonymity: name at least one of the {what}, and each only once")
    if absent := [column for column in columns if column not in frame.columns]:
        raise UsageError(
            f"k-anonymity: the table has no column {', '.join(map(repr, absent))}; "
            f"correct the {what}"
        )
    if twice := [column for column in columns if list(frame.columns).count(column) > 1]:
        raise UsageError(
            f"k-anonymity: the table has column {', '.join(map(repr, twice))} more than once; "
            "rename one of them"
        )
