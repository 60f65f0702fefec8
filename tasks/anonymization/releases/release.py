"""Choosing who is in a release: by the frozen plan, and by what was released before.

Pure functions on frames; `successive_releases` gives them the ledger's memory. What the choice
protects, and what it does not, is said in `succession`.

A release under another plan cuts the table into other classes. A union of old classes that is a
union of new ones can be counted in both tables, and so compared; the smallest such unions are the
connected parts of the graph between old and new classes, linked where somebody is in both. Who is
in two classes at once, for whoever has both tables, is bounded by `crossings`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from expectations.errors import UsageError
from expectations.policy.outlets import TableOutlet
from tasks.anonymization.loss import PEOPLE
from tasks.anonymization.releases.crossings import (
    NOBODY,
    Crossings,
    EarlierClasses,
    number_signs,
)
from tasks.anonymization.releases.decoys import count_decoys, draw_decoys
from tasks.anonymization.releases.succession import (
    Allows,
    Comparison,
    CountedRows,
    Counts,
    MeetsModels,
    compare,
    hold_back,
    number_classes,
    release_again,
)
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.table_plan import Company, TablePlan
from tasks.people.ingestion import RECORD

if TYPE_CHECKING:
    import pandas as pd


Labels = tuple[str, ...]
SIGN: Final = "_sign"
"""A column beside the released ones while rows are chosen: who shared all earlier classes."""


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


@dataclass(frozen=True)
class Past:
    """What a recipient has: under the same plan, oldest first, and under others."""

    same: tuple[CountedRows, ...] = ()
    others: tuple[tuple[CountedRows, TablePlan], ...] = ()
    names: Mapping[str, str] | None = None
    """Per released column that stays the same for the same people, the name to compare it by."""
    crossed: tuple[EarlierClasses, ...] = ()
    """The earlier classes of the people who may leave now, in their order."""

    def series(self, present: CountedRows) -> list[list[CountedRows]]:
        """Give the tables of each plan in their order, with the people there are now at the end."""
        found: dict[int, list[CountedRows]] = {}
        for rows, plan in self.others:
            found.setdefault(id(plan), []).append(rows)
        return [*found.values(), [*self.same, present]]


@dataclass(frozen=True)
class Choice:
    """Who may leave, and how it was found."""

    frame: pd.DataFrame
    """The rows that leave, recoded; a subset of the people, in their order."""
    classed: int
    """How many people the plan has a class for."""
    present: CountedRows
    """The rows of those people."""
    last: Comparison | None
    """With the newest release under the same plan."""
    apart: int
    """How many releases under other plans could not be compared at all."""


@dataclass(frozen=True)
class Search:
    """What decides how many of each distinct row may leave.

    `same` are the releases under the same plan, oldest first, `crossed` those under others.
    """

    present: CountedRows
    outlet: TableOutlet
    same: tuple[Comparison, ...]
    crossed: tuple[Comparison, ...]
    asked: tuple[MeetsModels, Allows]
    secret: bytes

    def settle(self, decoys: Counts, *, together: bool) -> Counts:
        """Search, and search beside what was found as well, until no more is found.

        Each time it found more people, so it ends; else the same people again might give another
        release. What is found is asked what a later run would ask of it. `together`: as many
        classes grow beside each release as its decoys ask for, or none.
        """
        same = tuple(self._ask_company(one) if together else one for one in self.same)
        leaving = self._find(same, decoys)
        while leaving.any() and (same or self.crossed):
            found = compare(
                self.present, _show(self.present.keep(leaving)), sensitive=self.outlet.sensitive
            )
            more = self._find((*same, self._ask_company(found) if together else found), decoys)
            if more.sum() <= leaving.sum():
                break
            leaving = more
        return leaving

    def _ask_company(self, one: Comparison) -> Comparison:
        company = 1 + int(count_decoys(int(one.released.sum()), self.outlet.k))
        return replace(one, company=company)

    def _find(self, same: Sequence[Comparison], decoys: Counts) -> Counts:
        there = replace(self.present, counts=self.present.counts - decoys)
        draw = np.random.default_rng(int.from_bytes(self.secret))
        comparisons = (*reversed(same), *self.crossed)
        counts = hold_back(there, self.outlet.k, comparisons, self.asked, draw)
        return release_again(self.present, counts, same[-1], self.asked[1]) if same else counts


def choose_rows(
    frame: pd.DataFrame, outlet: TableOutlet, plan: TablePlan, past: Past, secret: bytes
) -> Choice:
    """Apply a plan, and leave out whom it cannot hide, now or beside an earlier release.

    `secret` decides who is left out beside whom; the same gives the same again. Of people whose
    rows are alike those with the smallest record keys leave, so that it is the same ones every
    time.
    """
    recoded = plan.apply(frame)
    names = past.names or {column: column for column in outlet.columns}
    present, number, crossed = _count_kinds(frame, recoded, outlet, past, names)
    record = recoded[RECORD].to_numpy()
    others = [
        found
        for rows, other in past.others
        if (found := cross_plans(frame, recoded, (present, outlet), (rows, other))) is not None
    ]
    kinds = recoded.iloc[_find_first(number, len(present.counts))]
    own = {column: found for column, found in plan.common.items() if column in outlet.columns}
    company = Company.among(kinds, own)
    values = kinds[list(outlet.sensitive)].reset_index(drop=True)
    classes = number_classes(present)
    crossings = Crossings.among(classes, crossed, outlet.k, (values, outlet.sensitive))

    def allows(counts: Counts) -> NDArray[np.bool_]:
        return company.allows(counts) & crossings.allows(counts)

    asked = (judge_models(kinds, present, outlet), allows)
    same = tuple(_compare_all(present, past.same, outlet))
    search = Search(present, outlet, same, tuple(others), asked, secret)
    lots = draw_decoys(record, past.series(present), outlet.k, secret)
    leaving = leave_room(search, (lots, number), len(frame))
    kept = recoded.loc[_first_of_each(record, number, leaving)]
    apart = len(past.others) - len(others)
    return Choice(kept, len(recoded), present, same[-1] if same else None, apart)


def _count_kinds(
    frame: pd.DataFrame,
    recoded: pd.DataFrame,
    outlet: TableOutlet,
    past: Past,
    names: Mapping[str, str],
) -> tuple[CountedRows, Counts, list[EarlierClasses]]:
    """Count rows apart that show the same, where their people had other classes before.

    Gives the rows, which one each person has, and each row's earlier classes.
    """
    if not past.crossed:
        return *CountedRows.from_frame(recoded, names, outlet.linkable), []
    place = frame.index.get_indexer(recoded.index)
    sign, _ = number_signs([one.classes[place] for one in past.crossed])
    present, number = CountedRows.from_frame(
        recoded.assign(**{SIGN: sign}), {**names, SIGN: SIGN}, outlet.linkable
    )
    of = place[_find_first(number, len(present.counts))]
    return present, number, [replace(one, classes=one.classes[of]) for one in past.crossed]


def _show(rows: CountedRows) -> CountedRows:
    """Take off what no recipient sees of rows."""
    return replace(rows, columns=tuple(name for name in rows.columns if name != SIGN))


def leave_room(
    search: Search, drawn: tuple[Sequence[NDArray[np.bool_]], Counts], people: int
) -> Counts:
    """Say how many of each row leave; with fewer decoys where too many would be left out by them.

    `drawn` are the lots of decoys and the distinct row of each of those of the `people` that have
    one.
    """
    (lots, number), kinds = drawn, len(search.present.counts)
    fewer = [(lots[:-1], True)] if lots else []
    for some, together in ((lots, True), *fewer, ([], False)):
        gone = np.any(some, axis=0) if some else np.zeros(len(number), dtype=bool)
        decoys = np.bincount(number[gone], minlength=kinds).astype(np.int64)
        leaving = search.settle(decoys, together=together)
        if people - leaving.sum() <= search.outlet.max_suppressed * people:
            break
    return leaving


def cross_plans(
    frame: pd.DataFrame,
    recoded: pd.DataFrame,
    now: tuple[CountedRows, TableOutlet],
    earlier: tuple[CountedRows, TablePlan],
) -> Comparison | None:
    """Compare with a release under another plan over the regions that both plans describe.

    None where the people there are now lack a column or a label that the other plan knows.
    """
    (present, outlet), (rows, plan) = now, earlier
    if not plan.columns <= set(frame.columns):
        return None
    try:
        before = plan.apply(frame)
    except UsageError:
        return None
    crossing = Crossing(
        PlanClasses.from_released(recoded, outlet.linkable, frame.index),
        PlanClasses.from_released(before, rows.linkable, frame.index),
    )
    groups = crossing.name_regions(present.select(outlet.linkable), rows.select(rows.linkable))
    return compare(present, rows, groups, outlet.sensitive)


def judge_models(kinds: pd.DataFrame, present: CountedRows, outlet: TableOutlet) -> MeetsModels:
    """Give what says of each class whether the outlet's sensitive columns allow it.

    `kinds` holds one row of each distinct kind, in the order of `present`.
    """
    of = number_classes(present)
    classes = int(of.max(initial=-1)) + 1
    if not outlet.sensitive:
        return lambda _: np.ones(classes, dtype=bool)
    values = kinds[list(outlet.sensitive)].reset_index(drop=True)
    every = np.arange(classes)

    def meets(counts: Counts) -> NDArray[np.bool_]:
        histogram = values.assign(**{PEOPLE: counts})
        asked = Requirement.from_histogram(histogram, of, outlet.k, outlet.sensitive)
        return asked.met(every, every, classes)

    return meets


def _find_first(number: Counts, kinds: int) -> Counts:
    """Give the place of the first row of each kind."""
    first = np.zeros(kinds, dtype=np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]
    return first


def _compare_all(
    present: CountedRows, released: Sequence[CountedRows], outlet: TableOutlet
) -> list[Comparison]:
    """Line up each release under the same plan with the rows that are there now, oldest first."""
    return [compare(present, rows, sensitive=outlet.sensitive) for rows in _distinct(released)]


def _distinct(releases: Sequence[CountedRows]) -> list[CountedRows]:
    """Leave out what was released again later, and need not be compared twice."""
    return list({rows.to_bytes(): rows for rows in reversed(releases)}.values())[::-1]


def _first_of_each(
    record: NDArray[np.uint64], number: Counts, leaving: Counts
) -> NDArray[np.bool_]:
    """Mark as many of each distinct row as leave, by rising record key."""
    order = np.lexsort((record, number))
    place = np.empty(len(number), dtype=np.int64)
    starts = np.searchsorted(number[order], np.arange(len(leaving)))
    place[order] = np.arange(len(number)) - starts[number[order]]
    marked: NDArray[np.bool_] = place < leaving[number]
    return marked
