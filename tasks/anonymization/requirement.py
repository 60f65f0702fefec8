"""What a group of people must be to be released as one class: k people, and the privacy models.

A search asks it thousands of times about ever fewer tuples, so it counts only the tuples asked
about, and values only in groups that have k people. The models are defined in
`expectations.policy.privacy_models`; the check of a release, which shares no code with this module, is
`expectations.measures.measures`. Every model here is closed under union: two classes that meet it still
meet it as one (each bounds a convex distance, a share, or a concave diversity), which is what lets
a search merge classes freely. The reverse does not hold: a part of a class that meets a model may
break it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.policy.privacy_models import PrivacyModel, compares_with_the_table
from tasks.anonymization.boxes import LEFT, Boxes
from tasks.anonymization.distributions import Codes, Shares, Tally, holds
from tasks.anonymization.hierarchies import label_of
from tasks.anonymization.loss import PEOPLE
from tasks.anonymization.tuples import join_ranges


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
    code, width = rank_values(values)
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
