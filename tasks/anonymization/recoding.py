"""k-anonymity by local recoding: rows of one class share all their quasi-identifiers' labels.

Plans are made on the weighted histogram of distinct tuples, which any engine produces with one
group-by, and applied to any partition. A plan holds for the people it was fitted on: applied to
other rows it only translates, and promises no k. It reads everybody, so it may stand before a
released table but never before a differentially private trainer. Nothing here checks itself: the
independent check is `expectations.measures`. The search is in `tasks.anonymization.cover`.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.disclosure import bound_share
from expectations.errors import Refusal, UsageError
from tasks.anonymization.cover import LEFT, Classes, Codes, Tuples, Vector, combine, rescue, search
from tasks.anonymization.hierarchies import Hierarchy, label_of, read_all
from tasks.anonymization.loss import PEOPLE, Measures, measure

BLOCK = 1024


@dataclass(frozen=True)
class Rule:
    """The classes released under one vector of levels, each by its labels, column by column."""

    vector: Vector
    classes: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Plan:
    """An ordered list of rules: a row gets the labels of the first class that it fits.

    Holds no person and no count, only labels that k or more people share (of hierarchies taken
    from data too) and the declared hierarchies.
    """

    k: int
    hierarchies: tuple[Hierarchy, ...]
    rules: tuple[Rule, ...]

    @property
    def columns(self) -> list[str]:
        """The quasi-identifiers, sorted by name."""
        return [hierarchy.column for hierarchy in self.hierarchies]

    def apply(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Replace the quasi-identifiers by labels (as categories); rows without a class are absent.

        Index and order stay. Categories are the plan's, the same for every partition. Raises
        `UsageError` for a column that is absent or a value that its hierarchy lacks.
        """
        codes, row = _distinct(_encode(frame, self.hierarchies))
        place = self._assign(codes)[row]
        kept = place != LEFT
        released: pd.DataFrame = frame.loc[kept].copy()
        labels = list(zip(*(labels for rule in self.rules for labels in rule.classes), strict=True))
        for column, values in zip(self.columns, labels or [()] * len(self.columns), strict=True):
            categories = pd.Index(sorted(set(values)), dtype=str)
            of_class = categories.get_indexer(pd.Index(values, dtype=str))
            released[column] = pd.Categorical.from_codes(of_class[place[kept]], categories)
        return released

    def _assign(self, codes: Codes) -> Codes:
        """Give each tuple, shape (columns, tuples), the number of the first class that it fits.

        Per column and leaf the classes that the leaf fits are a row of bits; the rows of a
        tuple's leaves are intersected, a block of tuples at a time.
        """
        fits = [self._fits(column) for column in range(len(self.hierarchies))]
        place = np.full(codes.shape[1], LEFT)
        for start in range(0, codes.shape[1], BLOCK) if self.rules else ():
            block = codes[:, start : start + BLOCK]
            bits = np.bitwise_and.reduce([fit[leaf] for fit, leaf in zip(fits, block, strict=True)])
            byte = (bits != 0).argmax(axis=1)
            first = np.unpackbits(bits[np.arange(len(bits)), byte][:, None], axis=1)
            hit = first.any(axis=1)
            place[start : start + BLOCK][hit] = (byte * 8 + first.argmax(axis=1))[hit]
        return place

    def _fits(self, column: int) -> NDArray[np.uint8]:
        """Which classes each leaf of a column fits, as bits, shape (leaves, classes / 8)."""
        hierarchy, fits = self.hierarchies[column], []
        for rule in self.rules:
            level = rule.vector[column]
            code = {label: number for number, label in enumerate(hierarchy.labels[level])}
            wanted = np.array([code[labels[column]] for labels in rule.classes])
            fits.append(hierarchy.groups[level][:, None] == wanted)
        return np.packbits(np.concatenate(fits, axis=1), axis=1) if fits else np.empty((0, 0), "u1")

    def to_json(self) -> str:
        """Write the plan; the same plan always gives the same text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote."""
        read = json.loads(text)
        return cls(
            read["k"],
            tuple(
                Hierarchy(h["column"], _tuples(h["levels"]), h["derived"])
                for h in read["hierarchies"]
            ),
            tuple(Rule(tuple(r["vector"]), _tuples(r["classes"])) for r in read["rules"]),
        )


@dataclass(frozen=True)
class Recoded:
    """A k-anonymous table, what it cost, and the plan that made it."""

    frame: pd.DataFrame
    measures: Measures
    plan: Plan


def k_anonymize(
    frame: pd.DataFrame,
    quasi_identifiers: Sequence[str],
    k: int,
    *,
    hierarchies: Mapping[str, Hierarchy | pd.DataFrame | str | Path] | None = None,
    max_suppressed: float = 0.0,
) -> Recoded:
    """Generalize the quasi-identifiers until every row shares them with at least k - 1 others.

    A column without a hierarchy keeps a value or loses it whole (`*`). At most the share
    `max_suppressed` of rows is left out. Raises `Refusal` when that cannot be reached.

    k-anonymity hides who a row is among those columns. It does not hide what all k rows of a class
    have in common, and says nothing about columns that are not named.
    """
    _check_columns(frame, quasi_identifiers)
    declared = read_all(hierarchies or {}, quasi_identifiers)
    found = {
        column: declared[column] if column in declared else _values(frame, column)
        for column in quasi_identifiers
    }
    tuples = histogram(frame, quasi_identifiers)
    plan = fit(tuples, found, k, max_suppressed)
    return Recoded(plan.apply(frame), measure(plan.apply(tuples), tuples, found), plan)


def histogram(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Count the people of each distinct tuple, one row per tuple and the count in `people`."""
    _check_columns(frame, columns)
    if PEOPLE in columns:
        raise UsageError(f"k-anonymity: rename column '{PEOPLE}', the histogram counts under it")
    grouped = frame.groupby(list(columns), dropna=False, observed=True, sort=False)
    return grouped.size().rename(PEOPLE).reset_index()


def fit(
    histogram: pd.DataFrame,
    hierarchies: Mapping[str, Hierarchy],
    k: int,
    max_suppressed: float = 0.0,
) -> Plan:
    """Find a plan under which every class has k or more people.

    1. cover all tuples, cheapest generalization first; 2. if more than `max_suppressed` (a share
    of people) is left over, let it join other classes; 3. refuse if it is still more, naming the
    pinned columns responsible. Orders of rows and columns change nothing.
    """
    if k < 1 or not 0 <= max_suppressed <= 1:
        raise UsageError(
            "k-anonymity: k is a whole number from 1 and max_suppressed a share 0 to 1"
        )
    ordered = tuple(hierarchies[column] for column in sorted(hierarchies))
    _check_columns(histogram, [*hierarchies, PEOPLE])
    codes, row = _distinct(_encode(histogram, ordered))
    people = np.bincount(row, histogram[PEOPLE], codes.shape[1]).astype(np.int64)
    tuples = Tuples(codes, people, tuple(hierarchy.groups for hierarchy in ordered))
    classes = search(tuples, k)
    if _left(tuples, classes) > max_suppressed:
        rescue(tuples, classes)
    if (reached := _left(tuples, classes)) > max_suppressed:
        raise Refusal("k-anonymity", _unreachable(tuples, ordered, k, (reached, max_suppressed)))
    rules = _rules(tuples, classes, ordered)
    return Plan(k, tuple(_publishable(at, h, rules) for at, h in enumerate(ordered)), rules)


def _encode(frame: pd.DataFrame, hierarchies: Sequence[Hierarchy]) -> Codes:
    """Leaf codes of a frame's rows, shape (columns, rows)."""
    _check_columns(frame, [hierarchy.column for hierarchy in hierarchies])
    return np.array([hierarchy.encode(frame[hierarchy.column]) for hierarchy in hierarchies])


def _distinct(codes: Codes) -> tuple[Codes, Codes]:
    """Distinct tuples in the order of their codes, and which of them each row is."""
    number, keys = pd.factorize(combine(list(codes)))
    first = np.empty(len(keys), dtype=np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]
    order = np.lexsort(codes[:, first])
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return codes[:, first[order]], rank[number]


def _rules(tuples: Tuples, classes: Classes, hierarchies: Sequence[Hierarchy]) -> tuple[Rule, ...]:
    """Put labels on the classes that have members, consecutive ones of one vector together."""
    numbers, member = np.unique(classes.of, return_index=True)
    labelled: list[tuple[Vector, tuple[str, ...]]] = []
    for number, leaves in zip(numbers.tolist(), tuples.codes[:, member].T.tolist(), strict=True):
        if number != LEFT:
            vector = classes.vectors[number]
            steps = zip(hierarchies, vector, leaves, strict=True)
            labels = tuple(h.labels[level][h.groups[level, leaf]] for h, level, leaf in steps)
            labelled.append((vector, labels))
    runs = itertools.groupby(labelled, key=lambda one: one[0])
    return tuple(Rule(vector, tuple(labels for _, labels in run)) for vector, run in runs)


def _publishable(place: int, hierarchy: Hierarchy, rules: Iterable[Rule]) -> Hierarchy:
    """Drop from a hierarchy that lists a table's values all those that no class is released by."""
    if not hierarchy.derived:
        return hierarchy
    shown = {labels[place] for rule in rules for labels in rule.classes}
    return replace(hierarchy, levels=tuple(row for row in hierarchy.levels if row[0] in shown))


def _left(tuples: Tuples, classes: Classes) -> float:
    """Share of people without a class."""
    return float(tuples.people[classes.of == LEFT].sum() / max(tuples.people.sum(), 1))


def _unreachable(
    tuples: Tuples, hierarchies: Sequence[Hierarchy], k: int, shares: tuple[float, float]
) -> str:
    """Say why no plan exists: each pinned column, and what leaving it out would give."""
    pinned = [at for at, hierarchy in enumerate(hierarchies) if hierarchy.depth == 1]
    effects, people = [], int(tuples.people.sum())
    for out in pinned:
        others = [tuples.codes[at] for at in pinned if at != out]
        group = pd.factorize(combine(others))[0] if others else np.zeros_like(tuples.people)
        rare = (np.bincount(group, tuples.people) < k)[group]
        share = tuples.people[rare].sum() / people
        bound = _percent(bound_share(share, people))
        effects.append(f"without '{hierarchies[out].column}' up to {bound}")
    return (
        f"up to {_percent(bound_share(shares[0], people))} of the people cannot be in a class "
        f"of {k}, "
        f"at most {_percent(shares[1])} may be left out; "
        + (
            f"leave out or coarsen a column that is never generalized ({', '.join(effects)})"
            if pinned
            else f"there are fewer than {k} people in all; lower k, or widen the population"
        )
    )


def _percent(share: float) -> str:
    """Round up, so that a share that is not zero never reads as zero."""
    return f"{math.ceil(share * 1_000 - 1e-9) / 10:.1f} %"


def _values(frame: pd.DataFrame, column: str) -> Hierarchy:
    """Take a flat hierarchy from a column's own values."""
    labels = {label_of(value) for value in frame[column].dropna().unique()}
    return Hierarchy.flat(column, sorted(labels), derived=True)


def _check_columns(frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a list of columns that is empty, repeats one, or names one the frame lacks."""
    if not columns or len(set(columns)) < len(columns):
        raise UsageError("k-anonymity: name at least one quasi-identifier, and each only once")
    if absent := [column for column in columns if column not in frame.columns]:
        raise UsageError(
            f"k-anonymity: the table has no column {', '.join(map(repr, absent))}; "
            "correct the quasi-identifiers"
        )


def _tuples(rows: Iterable[Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Turn JSON's lists of lists back."""
    return tuple(map(tuple, rows))
