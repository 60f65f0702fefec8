"""What a group of people must be to be released as one class: k people, and the privacy models.

A search asks it thousands of times about ever fewer tuples, so it counts only the tuples asked
about, and values only in groups that have k people. Only values that occur are counted: absent ones
follow from the sums.

Every model here is closed under union: two classes that meet it still meet it as one (each bounds a
convex distance, a share, or a concave diversity), which is what lets a search merge classes freely.
The reverse does not hold: a part of a class that meets a model may break it.

The models are defined in `expectations.policy.privacy_models`; the check of a release, which shares
no code with this module, is `expectations.measures.measures`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.policy.privacy_models import (
    AlphaK,
    BetaLikeness,
    DeltaDisclosure,
    DistinctLDiversity,
    EntropyLDiversity,
    PrivacyModel,
    RecursiveLDiversity,
    TCloseness,
    compares_with_the_table,
)
from tasks.anonymization.hierarchies import label_of
from tasks.anonymization.loss import PEOPLE
from tasks.anonymization.tuples import LEFT, Boxes, Codes, join_ranges

TOLERANCE = 1e-9
"""What differs by less is equal: a bound that is just reached holds, a strict one does not."""

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """How many people of each group have each value: only what occurs, by group, then by value.

    Group g's entries in `group`, `value` and `count` begin at `first[g]`.
    """

    group: Codes
    value: Codes
    count: Shares
    first: Codes

    def total(self, entries: Shares) -> Shares:
        """Sum a number of each entry by group."""
        return np.add.reduceat(entries, self.first)

    def worst(self, entries: Shares) -> Shares:
        """Take the largest number of each group's entries."""
        return np.maximum.reduceat(entries, self.first)

    def kinds(self) -> Codes:
        """How many values occur in each group."""
        return np.diff(self.first, append=len(self.group))

    def shares(self) -> Shares:
        """Each entry's share of its group."""
        return self.count / self.total(self.count)[self.group]


def holds(model: PrivacyModel, tally: Tally, table: Shares) -> NDArray[np.bool_]:
    """Whether each group meets one model."""
    match model:
        case DistinctLDiversity(l=least):
            return tally.kinds() >= least
        case EntropyLDiversity(l=least):
            share = tally.shares()
            # In natural logarithms on both sides; absent values add 0.
            return -tally.total(share * np.log(share)) >= math.log(least) - TOLERANCE
        case RecursiveLDiversity(c=factor, l=least):
            top, tail = _tails(tally, least)
            # Strict by definition: r1 < c (r_l + ... + r_m).
            return top < factor * tail - TOLERANCE
        case TCloseness(t=most, distance="equal"):
            return equal_distance(tally, table) <= most + TOLERANCE
        case TCloseness(t=most):
            return _ordered_distance(tally, table) <= most + TOLERANCE
        case BetaLikeness():
            most_of = _share_bound(model, table)[tally.value]
            return tally.worst(tally.shares() - most_of) <= TOLERANCE
        case DeltaDisclosure(delta=most):
            return _disclosed(tally, table) < most - TOLERANCE
        case AlphaK(alpha=most):
            return tally.worst(tally.shares()) <= most + TOLERANCE


def _tails(tally: Tally, least: int) -> tuple[Shares, Shares]:
    """Give r1 and r_l + ... + r_m of each group, its counts r sorted downward."""
    order = np.lexsort((-tally.count, tally.group))
    count = tally.count[order]
    rank = np.arange(len(count)) - tally.first[tally.group]
    return count[tally.first], tally.total(np.where(rank >= least - 1, count, 0.0))


def equal_distance(tally: Tally, table: Shares) -> Shares:
    """Measure the earth mover's distance with all values equally far apart, 0 to 1.

    Half the sum of |p - q|, which is the sum of what p has more than q: absent values add nothing.
    """
    return tally.total(np.maximum(tally.shares() - table[tally.value], 0.0))


def _ordered_distance(tally: Tally, table: Shares) -> Shares:
    """Measure the earth mover's distance along the order of the table's values, 0 to 1.

    The sum over values i of |P_i - Q_i|, both cumulated, over (values - 1). From one value that
    occurs to the next, P stays and Q rises, so that each stretch is two differences of Q's sums.
    """
    occurs = table > 0
    values = int(occurs.sum())
    if values < 2:
        return np.zeros(len(tally.first))
    below = np.cumsum(table[occurs])
    sums = np.concatenate([[0.0], np.cumsum(below)])
    start = np.minimum(np.cumsum(occurs) - 1, values - 1)[tally.value].clip(0)
    end = np.append(start[1:], values)
    end[np.append(tally.first[1:], len(end)) - 1] = values
    share = (
        np.cumsum(tally.count) - (np.cumsum(tally.count) - tally.count)[tally.first][tally.group]
    )
    share /= tally.total(tally.count)[tally.group]
    # Where Q overtakes P: before it the difference is P - Q, behind it Q - P.
    cross = np.clip(np.searchsorted(below, share), start, end)
    far = share * (2 * cross - start - end) + sums[end] + sums[start] - 2 * sums[cross]
    # Before the first value that occurs P is 0, and the distance is Q itself.
    distance: Shares = (tally.total(far) + sums[start[tally.first]]) / (values - 1)
    return distance


def _share_bound(model: BetaLikeness, table: Shares) -> Shares:
    """Give the largest share of each value in a class under beta-likeness."""
    if not model.enhanced:
        return np.asarray(table * (1 + model.beta))
    rarity = -np.log(table, where=table > 0, out=np.zeros_like(table))
    return np.asarray(table * (1 + np.minimum(model.beta, rarity)))


def _disclosed(tally: Tally, table: Shares) -> Shares:
    """Give the largest |ln(p / q)| of each group; infinite where a value of the table is absent."""
    known = table[tally.value]
    ratio = np.full(len(known), np.inf)
    np.log(tally.shares() / np.where(known > 0, known, 1.0), out=ratio, where=known > 0)
    return np.where(tally.kinds() < (table > 0).sum(), np.inf, tally.worst(np.abs(ratio)))


@dataclass(frozen=True)
class Sensitive:
    """The values of one sensitive column, in their order, as sparse counts per distinct tuple.

    Tuple i has the entries `start[i]` to `start[i + 1]` of `value` (its codes) and `people`.
    `share` is each value's share of the people of the table, the reference of t, beta and delta.
    """

    start: Codes
    value: Codes
    people: Codes
    share: Shares
    models: tuple[PrivacyModel, ...]

    def met(self, members: Codes, group: Codes, groups: int) -> NDArray[np.bool_]:
        """Whether each group, none of them empty, meets every model."""
        tally = self.tally(members, group, groups)
        held = [holds(model, tally, self.share) for model in self.models]
        return np.asarray(np.logical_and.reduce(held), dtype=np.bool_)

    def tally(self, members: Codes, group: Codes, groups: int) -> Tally:
        """Count the values of each group, none of them empty."""
        start = self.start[members]
        length = self.start[members + 1] - start
        entry = join_ranges(start, length)
        width = len(self.share)
        key = np.repeat(group, length) * width + self.value[entry]
        # Counting into every cell beats sorting as long as there are few cells for each entry.
        if groups * width <= 8 * len(key) + 1024:
            every = np.bincount(key, self.people[entry], groups * width)
            cell = np.flatnonzero(every)
            count: Shares = every[cell].astype(np.float64)
        else:
            # Too many values for a count of every cell: only those that occur.
            cell, place = np.unique(key, return_inverse=True)
            count = np.bincount(place, self.people[entry], len(cell)).astype(np.float64)
        of = cell // width
        return Tally(of, cell - of * width, count, np.searchsorted(of, np.arange(groups)))


@dataclass(frozen=True)
class Requirement:
    """`k` people, and per sensitive column its models, over distinct tuples with `people` each."""

    k: int
    people: Codes
    sensitive: tuple[Sensitive, ...] = ()

    @classmethod
    def from_histogram(
        cls,
        histogram: pd.DataFrame,
        number: Codes,
        k: int,
        sensitive: Mapping[str, Sequence[PrivacyModel]],
    ) -> Requirement:
        """Count from one row per distinct (quasi-identifiers, sensitive values), as `_people`.

        `number` is each row's tuple, 0 to the number of tuples - 1. A column with no models asks
        nothing. All rows are the table that t, beta and delta refer to; see `within`.
        """
        weight = histogram[PEOPLE].to_numpy(dtype=np.int64)
        tuples = int(number.max(initial=-1)) + 1
        people = np.bincount(number, weight, tuples).astype(np.int64)
        columns = (
            _count(histogram[column], number, weight, (tuples, tuple(models)))
            for column, models in sorted(sensitive.items())
            if models
        )
        return cls(k, people, tuple(columns))

    @property
    def compares(self) -> bool:
        """Whether a model holds each class to the shares of the table."""
        models = (model for column in self.sensitive for model in column.models)
        return any(map(compares_with_the_table, models))

    def met(self, members: Codes, group: Codes, groups: int) -> NDArray[np.bool_]:
        """Whether each group of tuples, as one class, has k people and meets every model.

        `members` are tuples, `group` the number of each one's group, below `groups`. A group
        without people meets nothing.
        """
        # The cheap question first: most groups a search asks about are too small.
        good = np.bincount(group, self.people[members], groups) >= max(self.k, 1)
        for column in self.sensitive:
            (asked,) = np.nonzero(good)
            if len(asked):
                among = good[group]
                number = np.cumsum(good) - 1
                good[asked] = column.met(members[among], number[group[among]], len(asked))
        return good

    def within(self, members: Codes) -> Requirement:
        """Refer t, beta and delta to these tuples only: the table that is left when others go."""
        kept = np.zeros(len(self.people), dtype=bool)
        kept[members] = True
        columns = []
        for column in self.sensitive:
            entry = np.repeat(kept, np.diff(column.start))
            columns.append(replace(column, share=_shares(column, entry)))
        return replace(self, sensitive=tuple(columns))


def settle(boxes: Boxes, codes: Codes, requirement: Requirement) -> Codes:
    """Give each tuple the first class that it fits, of those that then meet the requirement.

    Classes that do not are given up, all at once, until none is left that does not: their tuples
    go on to later ones, or to `LEFT`.
    """
    many = boxes.fits[0].shape[1] * 8
    while True:
        place = boxes.first(codes)
        (kept,) = np.nonzero(place != LEFT)
        bad = ~requirement.met(kept, place[kept], many)
        # A class without people meets nothing, and does no harm: it may be a filler of the last
        # byte.
        bad[np.bincount(place[kept], minlength=many) == 0] = False
        if not bad.any():
            return place
        boxes = Boxes(tuple(fit & np.packbits(~bad) for fit in boxes.fits))


def _shares(column: Sensitive, entry: NDArray[np.bool_]) -> Shares:
    """Each value's share of the people of some entries."""
    count = np.bincount(column.value[entry], column.people[entry], len(column.share))
    return np.asarray(count / max(count.sum(), 1), dtype=np.float64)


def _count(
    values: pd.Series, number: Codes, people: Codes, asked: tuple[int, tuple[PrivacyModel, ...]]
) -> Sensitive:
    """Count one column's values per tuple."""
    tuples, models = asked
    # In order, since the ordered distance of t-closeness takes neighbours for near.
    code, width = rank_values(values)
    # A histogram may list combinations of no people.
    some = people > 0
    cell, place = np.unique((number * width + code)[some], return_inverse=True)
    count = np.bincount(place, people[some], len(cell)).astype(np.int64)
    start = np.searchsorted(cell, np.arange(tuples + 1) * width)
    share = np.bincount(code, people, width) / max(people.sum(), 1)
    return Sensitive(start, cell % max(width, 1), count, share, models)


def rank_values(values: pd.Series) -> tuple[Codes, int]:
    """Number values in their order, a missing one last; also give how many numbers there are.

    The order is that of an ordered category, of numbers and of dates, and else that of Python's
    `sorted`. Values of types that do not compare are told apart and ordered by their labels.
    """
    code, distinct = pd.factorize(values)
    rank = _ranks(pd.Index(distinct))
    known = int(rank.max(initial=-1)) + 1
    # A missing value's code is -1, which picks the last place.
    return np.append(rank, known)[code], known + bool((code < 0).any())


def _ranks(distinct: pd.Index) -> Codes:
    """Number distinct values, none of them missing, in their order."""
    if isinstance(distinct, pd.CategoricalIndex):
        if distinct.ordered:
            return np.unique(distinct.codes, return_inverse=True)[1]
        distinct = distinct.astype(distinct.categories.dtype)
    if distinct.dtype != object:
        return _places(distinct.argsort())
    found = distinct.tolist()
    try:
        return _places(sorted(range(len(found)), key=found.__getitem__))
    except TypeError:
        return np.unique([label_of(value) for value in found], return_inverse=True)[1]


def _places(order: Sequence[int] | Codes) -> Codes:
    """Turn an order (which value stands at each place) into each value's place."""
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank
