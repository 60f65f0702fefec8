"""What the public rule of the recoding betrays: values that it made coarser, and why it did so.

Downcoding. Cohen, "Attacks on deidentification's defenses" (2022): whoever knows how an algorithm
chooses can undo part of its work. Two rules are attacked. Every row is released in the first class
that it fits, so a coarse class holds nobody who fits an earlier one; a class inside a coarser one
must be the earlier. And nothing is made coarser than k asks, so what lies apart one level below in
a column stayed together only because no part had k people. The deductions are sound for a recoding
that keeps those rules and not complete: a value is ruled out when a single earlier class holds all
that a class's row could then be. They do not hold for sets of values as labels, which are chosen
after the classes. Nothing else is known to the attacker here; one who knows which combinations
exist at all can rule out more.

Minimality. Wong et al., "Minimality attack in privacy preserving data publishing" (2007): that a
class was made coarser tells why, where a sensitive value was the reason. The attacker knows from
elsewhere who is in a class and what their uncovered values are. Where k people lie together one
level below and were yet not released so, those people must have broken the sensitive model: for
distinct l-diversity they share fewer than l values, so for l = 2 all have one value, which is known
when only one value of the class is frequent enough. A recoding may have had other reasons, which an
attacker cannot tell apart: what is reported is what is true of the people, and how much of what is
deduced is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.checks import Check
from expectations.disclosure import Published
from expectations.measures.class_counts import RowClasses, ValueCounts, count_values
from expectations.measures.sensitive_measures import meets, reach
from expectations.policy.privacy_models import DistinctLDiversity, PrivacyModel
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.released import ABSENT, Coverage, People, Release
from tasks.attack.risk import FEWEST, tell

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]
    Flags = NDArray[np.bool_]

ROUNDS: Final = 8
"""How often what was ruled out is used to rule out more; fewer find less, and nothing false."""
BLOCK: Final = 256
"""Classes that are held against all others at once, so that memory stays bounded."""


@dataclass(frozen=True)
class Boxes:
    """Classes as boxes: labels, shape (columns, classes), the values under each label, the order.

    `covers` are per column of shape (labels, values); `order` is None where only nesting tells it.
    """

    labels: Codes
    covers: tuple[Flags, ...]
    order: Codes | None

    @property
    def allowed(self) -> list[Flags]:
        """Which values each class's labels cover, per column of shape (classes, values)."""
        return [cover[labels] for cover, labels in zip(self.covers, self.labels, strict=True)]

    @cached_property
    def nesting(self) -> list[Flags]:
        """Whether each label lies in each other one, per column of shape (labels, labels)."""
        return [_within(cover, cover) for cover in self.covers]

    def comes_before(self, early: Codes, late: Codes) -> Flags:
        """Whether a class surely comes before another, pair by pair.

        Under first fit a class inside another one is the earlier of the two, or it would be empty.
        """
        if self.order is not None:
            return np.asarray(self.order[early] < self.order[late])
        nested: Flags = np.asarray(early != late)
        for within, labels in zip(self.nesting, self.labels, strict=True):
            nested &= within[labels[early], labels[late]]
        return nested


@dataclass(frozen=True)
class Downcoding:
    """What was ruled out: per column, shape (classes, values), which values are still possible.

    `narrowed` marks the cells of classes, shape (columns, classes), that lost a value; `split` the
    classes that surely hold from 1 to k - 1 people in each part of one label. `cells` is the share
    of released cells that are narrowed, 0 to 1, and `people` that of the people with such a cell.
    """

    possible: tuple[Flags, ...]
    narrowed: Flags
    split: Flags
    cells: float
    people: float


def downcode(
    release: Release, coverage: Coverage | None = None, order: Codes | None = None
) -> Downcoding:
    """Rule out values of a table that was made by first fit, cheapest first.

    Every column of the release must be one over which k holds: its distinct rows are the classes.
    `order` are their ranks in the plan, where the attacker has it; else only nested classes are
    known to be earlier. `coverage` names the labels between values and released labels.
    """
    covers = tuple(column.covers for column in release.columns)
    boxes = Boxes(release.rows, covers, order)
    possible = [flags.copy() for flags in boxes.allowed]
    active = np.arange(release.rows.shape[1])
    for _ in range(ROUNDS):
        # Only a class that lost a value can lose another because of it.
        active = rule_out(boxes, possible, active)
    narrowed = np.array(
        [(left != all_).any(axis=1) for left, all_ in zip(possible, boxes.allowed, strict=True)]
    )
    return _sum_up(release, tuple(possible), narrowed, _split(release, possible, coverage or {}))


def confirm(
    found: Downcoding, release: Release, people: People, coverage: Coverage | None = None
) -> Downcoding:
    """Keep only the deductions that are true of the people behind the table.

    Whoever attacks cannot know which those are where the recoding kept other rules than these.
    """
    (there,) = np.nonzero(people.own != ABSENT)
    own, narrowed = people.own[there], found.narrowed.copy()
    alike = np.zeros(len(release.people), dtype=bool)
    for at, column in enumerate(release.columns):
        value = people.codes[at, there]
        narrowed[at, own[~found.possible[at][own, value]]] = False
        part = _part_labels(release, at, coverage or {})[release.rows[at, own], value]
        group, size = np.unique(own * len(column.known) + part, return_counts=True)
        of = group // len(column.known)
        largest = np.zeros(len(alike), dtype=np.int64)
        np.maximum.at(largest, of, size)
        number = _count_parts(release, found.possible[at], at, coverage or {})
        every = np.bincount(of, minlength=len(alike)) == number
        alike |= every & (number > 1) & (largest < release.k)
    return _sum_up(release, found.possible, narrowed, found.split & alike)


def _sum_up(
    release: Release, possible: tuple[Flags, ...], narrowed: Flags, split: Flags
) -> Downcoding:
    """Weigh what was found by people."""
    people = release.people / max(release.people.sum(), 1)
    cells, any_cell = narrowed.mean(axis=0) @ people, narrowed.any(axis=0) @ people
    return Downcoding(possible, narrowed, split, float(cells), float(any_cell))


def rule_out(boxes: Boxes, possible: list[Flags], active: Codes) -> Codes:
    """Take values away that one earlier class would have held; give the classes that lost some."""
    changed = np.zeros(boxes.labels.shape[1], dtype=bool)
    for begin in range(0, len(active), BLOCK):
        block = active[begin : begin + BLOCK]
        inside = [
            _within(left[block], cover).take(labels, axis=1)
            for left, cover, labels in zip(possible, boxes.covers, boxes.labels, strict=True)
        ]
        # Inside in all columns but one: in that one, whoever has a value that the earlier class
        # covers would have been released there.
        late, early = np.nonzero(np.sum(inside, axis=0, dtype=np.int16) == len(inside) - 1)
        before = boxes.comes_before(early, block[late])
        late, early = late[before], early[before]
        for at, flags in enumerate(inside):
            mine = ~flags[late, early]
            held = boxes.covers[at][boxes.labels[at, early[mine]]]
            changed[_take_away(possible[at], block[late[mine]], held)] = True
    return np.flatnonzero(changed)


def _take_away(possible: Flags, classes: Codes, held: Flags) -> Codes:
    """Take values from classes, but never the last: then the rules were not kept."""
    lost = np.zeros_like(possible)
    np.logical_or.at(lost, classes, held)
    lost &= possible
    lost[(lost == possible).all(axis=1)] = False
    possible &= ~lost
    return np.flatnonzero(lost.any(axis=1))


def _within(inner: Flags, outer: Flags) -> Flags:
    """Whether each inner set lies in each outer one, shape (inner, outer)."""
    # A product of 0 and 1 counts what lies beyond; float32 because that has a fast product.
    beyond = inner.astype(np.float32) @ (~outer).astype(np.float32).T
    return np.asarray(beyond == 0)


def _split(release: Release, possible: list[Flags], coverage: Coverage) -> Flags:
    """Mark the classes that are too large for any part, one level below in a column, to be empty.

    No part has k people, or it would have been released by itself.
    """
    found = np.zeros(release.rows.shape[1], dtype=bool)
    for at in range(len(release.columns)):
        number = _count_parts(release, possible[at], at, coverage)
        found |= (number > 1) & (release.people > (number - 1) * (release.k - 1))
    return found


def _count_parts(release: Release, possible: Flags, at: int, coverage: Coverage) -> Codes:
    """Count the parts, one level below, in which each class can have people by one column."""
    parts = _part_labels(release, at, coverage)[release.rows[at]]
    group = np.where(possible, parts, -1)
    number, value = np.nonzero(group >= 0)
    pairs = np.unique(number * possible.shape[1] + group[number, value])
    return np.bincount(pairs // possible.shape[1], minlength=len(possible))


def _part_labels(release: Release, at: int, coverage: Coverage) -> Codes:
    """Give the part, one level below a released label, that each value is in: (labels, values).

    Parts are the widest declared sets inside the label, single values where there is none; -1 for
    values that the label does not cover.
    """
    column = release.columns[at]
    covers, declared = column.covers, list(_declared(release, at, coverage))
    parts = np.full(covers.shape, -1)
    for label, cover in enumerate(covers):
        parts[label, cover] = np.flatnonzero(cover)
        # The widest last: it overwrites the parts that lie inside it.
        for flags in sorted(declared, key=lambda one: int(one.sum())):
            if (cover | ~flags).all() and flags.sum() < cover.sum():
                parts[label, flags] = np.flatnonzero(flags)[0]
    return parts


def _declared(release: Release, at: int, coverage: Coverage) -> Iterator[Flags]:
    """Give the declared sets of a column's values."""
    import pandas as pd

    column = release.columns[at]
    for members in coverage.get(column.name, {}).values():
        codes = column.known.get_indexer(pd.Index(sorted(members), dtype=str))
        flags = np.zeros(len(column.known), dtype=bool)
        flags[codes[codes >= 0]] = True
        if flags.any():
            yield flags


def judge_downcoding(outlet: str, found: Downcoding, people: float) -> Check:
    """Report what was ruled out; `people` is a bound on the share of those it concerns."""
    told = found.narrowed.any() or found.split.any()
    return Check(
        name=f"downcoding of {outlet}",
        asked="no released cell that the recoding's public rule narrows down",
        measured="whoever knows how the table was made can exclude values that a label covers: for "
        f"at most {100 * people:.1f} % of the people it then says more of them than it shows. In "
        f"{100 * found.split.mean():.0f} % of the classes each finer label within one surely has "
        "fewer than k people. Whoever knows the labels alone can exclude nothing"
        if told
        else "whoever knows how the table was made can exclude no value that a label covers",
        verdict=CheckVerdict.WARNED if told else CheckVerdict.PASSED,
        power="a single cell, by comparing each two classes; not what follows from three or more, "
        "or from knowing which combinations exist",
        remedy="raise k, or declare fewer levels",
        outlet=outlet,
    )


@dataclass(frozen=True)
class Minimality:
    """Whose finer class was withheld for a sensitive column, person by person.

    Somebody's value is `deduced` where only one is frequent enough, and `certain` where that is
    true; `common` where it is the commonest of all people, which is guessed without the table. A
    person may be withheld in one column and not in another.
    """

    withheld: NDArray[np.bool_]
    deduced: NDArray[np.bool_]
    certain: NDArray[np.bool_]
    common: NDArray[np.bool_]

    @property
    def by_guess(self) -> float:
        """How many of those of whom a value is deduced have the commonest one, 0 to 1."""
        return float((self.common & self.deduced).sum() / max(self.deduced.sum(), 1))

    @property
    def precision(self) -> float:
        """Of how many of those deduced the whole finer class has that value, 0 to 1."""
        return float(self.certain.sum() / max(self.deduced.sum(), 1))


def find_withheld(
    release: Release,
    people: People,
    sensitive: pd.Series,
    models: Sequence[PrivacyModel],
    coverage: Coverage,
) -> Minimality:
    """Find the people whose class would have been finer but for a sensitive column.

    Every column of the release must be one over which k holds. `sensitive` are the people's values,
    in their order, and `models` what is asked of them. A finer class that meets the models was
    withheld for another reason and is none.
    """
    (there,) = np.nonzero(people.own != ABSENT)
    own, values = people.own[there], sensitive.iloc[there]
    counts = _count_values(own, values, len(release.people))
    binary = any(isinstance(one, DistinctLDiversity) and one.l == 2 for one in models)
    withheld, deduced, certain = (np.zeros(len(people.own), dtype=bool) for _ in range(3))
    for at in range(len(release.columns)):
        part = _part_labels(release, at, coverage)[release.rows[at, own], people.codes[at, there]]
        width = len(release.columns[at].known)
        group, place, size = np.unique(own * width + part, return_inverse=True, return_counts=True)
        of = group // width
        large = (size >= release.k) & (size < release.people[of])
        broken = large.copy()
        broken[large] = _breaks(RowClasses(place, size), values, models, np.flatnonzero(large))
        told = large & binary & ((counts[of] >= size[:, None]).sum(axis=1) == 1)
        for flags, parts in ((withheld, broken), (deduced, told), (certain, told & broken)):
            flags[there] |= parts[place]
    code = sensitive.factorize(use_na_sentinel=False)[0]
    return Minimality(withheld, deduced, certain, code == np.bincount(code, minlength=1).argmax())


def _count_values(own: Codes, values: pd.Series, classes: int) -> Codes:
    """Count each value in each released class, shape (classes, values)."""
    code, distinct = values.factorize(use_na_sentinel=False)
    width = max(len(distinct), 1)
    return np.bincount(own * width + code, minlength=classes * width).reshape(classes, width)


def _breaks(
    parts: RowClasses, values: pd.Series, models: Sequence[PrivacyModel], asked: Codes
) -> list[bool]:
    """Say of some parts, by number, whether one of the models forbids them by themselves."""
    counts = count_values(parts, values)
    end = np.append(counts.start, len(counts.count))
    return [
        any(
            not meets(
                model, reach(_single(counts, number, slice(*end[number : number + 2])), model)
            )
            for model in models
        )
        for number in asked
    ]


def _single(counts: ValueCounts, number: int, of: slice) -> ValueCounts:
    """Give the counts of one part, as if it were the only class."""
    value, count = counts.value[of], counts.count[of]
    first = np.zeros(1, dtype=np.int64)
    size = counts.size[number : number + 1]
    return ValueCounts(first, np.zeros_like(value), value, count, size, counts.share)


def say_guessed(found: Minimality, people: Published) -> str:
    """Say how often guesses by the coarsening are right, and how often those without the table."""
    guesses = int(found.deduced.sum())
    about = "" if people.about is None else "about "
    tried = (
        "; tried: to guess their value from that, knowing how the table was made and everybody's "
        f"other values. The guess is right for {about}{people} people"
    )
    if guesses < FEWEST:
        return f"{tried}; too few are guessed to say how often it would be without the table"
    right, blind = (float(tell(one, guesses)) for one in (found.precision, found.by_guess))
    more = round(100 * (right - blind))
    meaning = (
        f"the coarsening makes such a guess right {more} percentage points more often"
        if more > 0
        else "to know how the table was made helps such a guess no more than the commonest value"
    )
    return (
        f"{tried}, {100 * right:.0f} % of all whose value is guessed so; the commonest value, "
        f"guessed without the table, is right for {100 * blind:.0f} % of them. So {meaning}"
    )


def judge_minimality(
    column: str, outlet: str, found: Minimality, people: Published, models: Sequence[PrivacyModel]
) -> Check:
    """Report whose sensitive value follows from the recoding; `people` is how many they are.

    `models` are those that the column is held to, by which classes were made coarser.
    """
    diverse = any("l-diversity" in model.kind for model in models)
    some = (
        "some classes were made coarser because of it, which whoever knows the rest can see"
        if found.withheld.any()
        else "no class was made coarser because of it"
    )
    return Check(
        name=f"minimality of {column} in {outlet}",
        asked="no class made coarser because of this column",
        measured=some + (say_guessed(found, people) if found.certain.any() else ""),
        verdict=CheckVerdict.WARNED if found.withheld.any() else CheckVerdict.PASSED,
        power="a single class, one level below; a value becomes certain only under distinct "
        "l-diversity of 2, else likelier",
        remedy=f"ask for {'a larger l' if diverse else 'less'} of {column}, or leave it out",
        outlet=outlet,
    )
