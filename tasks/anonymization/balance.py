"""The search for models that hold a class to the table's shares: splits, and then trades.

Where a class must look like the table (t-closeness, beta-likeness, delta-disclosure), the cheapest
cover goes wrong: it releases small groups that lean one way, until what is left leans the other
way so far that nothing can be made of it. Here everybody starts in one class, which is the table
and so meets such a model, and classes are split only into parts that all meet the requirement:
those that do by themselves, and one rest, which takes in parts that bring it back to the table.
Nobody is left over who could be released. The splits are greedy, as top-down specialization is
(Fung et al., "Top-down specialization for information and privacy preservation", 2005), but each
class is split in its own way, and by two columns at once where that saves more.

A greedy rest keeps as few of its parts as it needs, and is then so far from the table that nothing
more can be split from it. A trade gives up classes that lean the other way. Their people fall back
into that rest, lose some detail, and make it enough like the table for more classes to be split
from it than were given up.

Called by `tasks.anonymization.fitting`; knows no labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.anonymization.requirement import Requirement, equal_distance
from tasks.anonymization.tuples import (
    LEFT,
    Classes,
    Codes,
    Losses,
    Tuples,
    Vector,
    combine,
    common_vector,
)

THRIFT = 1 / 3
"""How much it counts against a split that its parts are further from the table than the whole."""
MOST_SPLITS = 128
"""Ways to split one class that are tried: by each column, and by those two that could save most."""
LEAST_GAIN = 1e-6
"""In people's loss: less than this is rounding."""


@dataclass(frozen=True, eq=False)
class Region:
    """Tuples that will be released at a vector of levels, or finer.

    `known` is what vectors saved, at most, in the region that this one is the rest of. A part of
    it seldom saves more, so this is taken as a bound.
    """

    members: Codes
    vector: Vector
    known: Mapping[Vector, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """A way to split a region: the finer vector, each member's part, and which parts go alone."""

    vector: Vector
    part: Codes
    alone: NDArray[np.bool_]

    def regions(self, region: Region, known: Mapping[Vector, float]) -> list[Region]:
        """Give the rest, if there is one, and then the parts that go alone."""
        alone = self.alone[self.part]
        rest = [Region(region.members[~alone], region.vector, known)]
        parts = np.flatnonzero(self.alone)[::-1]
        found = [Region(region.members[self.part == part], self.vector) for part in parts]
        # The rest lies lowest on the stack: parts are tried before it, and stand before it in the
        # plan.
        return found if alone.all() else rest + found


@dataclass(frozen=True)
class Splitter:
    """How the regions of a table are split; `levels`, `parts` and `costs` are those of `tuples`."""

    tuples: Tuples
    requirement: Requirement
    levels: list[list[int]]
    parts: list[Codes]
    costs: list[Losses]

    def start(self) -> list[Region]:
        """Put people together as coarsely as they can be, where that meets the requirement."""
        # Pinned columns have no level above their values: they keep people apart even here.
        top = tuple(used[-1] for used in self.levels)
        labels = [part[level] for part, level in zip(self.parts, top, strict=True)]
        group, distinct = pd.factorize(combine(labels))
        met = self.requirement.met(np.arange(len(group)), group, len(distinct))
        return [Region(np.flatnonzero(group == number), top) for number in np.flatnonzero(met)]

    def split(self, region: Region) -> list[Region]:
        """Split a region until nothing is gained; in the order in which a tuple is tried.

        Parts come before the rest of what they were split from: so each tuple is in the first
        that it fits, since no member of a rest has the labels of a part that went alone.
        """
        found, waiting = [], [region]
        while waiting:
            last = waiting.pop()
            known = dict(last.known)
            # What members share after a split may be finer than what the split gave them.
            region = Region(last.members, common_vector(self.tuples, last.members))
            if split := self.best(region, known):
                waiting += split.regions(region, known)
            else:
                found.append(region)
        return found

    def best(self, region: Region, known: dict[Vector, float]) -> Split | None:
        """Find the split that saves most for how far it moves people, and note what all save."""
        found, least = None, LEAST_GAIN
        if self.tuples.people[region.members].sum() < 2 * self.requirement.k:
            return None
        far = self.distance(region.members, np.zeros_like(region.members))
        offers = [(min(bound, known.get(v, bound)), v) for bound, v in self.offers(region)]
        for bound, vector in sorted(offers, key=lambda offer: -round(offer[0], 6)):
            # Sorted by what each can save at most: no later one can save more than has been found.
            if bound <= least:
                break
            most, split = self.judge(region, vector, least, far)
            if split:
                found, least = split, most
            if most > 0:  # what saved nothing may, once others are gone
                known[vector] = most
        return found

    def offers(self, region: Region) -> Iterator[tuple[float, Vector]]:
        """List the vectors that are finer in one or two columns, each with the most it can save."""
        people = self.requirement.people[region.members]
        single: list[tuple[float, int, int]] = []
        for column, own in enumerate(region.vector):
            weight = self.costs[column][:, region.members] @ people
            finer = [level for level in self.levels[column] if level < own]
            single += [(float(weight[own] - weight[level]), column, level) for level in finer]
        # Losses add up over columns: a pair saves at most what its two columns do.
        pairs = [
            (one[0] + two[0], (one[1:], two[1:]))
            for one, two in combinations(single, 2)
            if one[1] != two[1]
        ]
        pairs.sort(key=lambda pair: -round(pair[0], 6))
        several = pairs[: max(0, MOST_SPLITS - len(single))]
        for bound, steps in [(bound, (step,)) for bound, *step in single] + several:
            vector = list(region.vector)
            for column, level in steps:
                vector[column] = level
            yield bound, tuple(vector)

    def judge(
        self, region: Region, vector: Vector, least: float, far: float
    ) -> tuple[float, Split | None]:
        """Say what a vector saves in a region, at most, and how, if that scores above `least`.

        `far` is the distance of the region as it is.
        """
        members, people = region.members, self.requirement.people[region.members]
        # In all other columns the members have the same labels already.
        changed = [at for at, level in enumerate(vector) if level != region.vector[at]]
        part, distinct = pd.factorize(
            combine([self.parts[at][vector[at], members] for at in changed])
        )
        saved = sum(
            self.costs[at][region.vector[at], members] - self.costs[at][vector[at], members]
            for at in changed
        )
        gain: Losses = np.bincount(part, saved * people, len(distinct)).astype(np.float64)
        good = self.requirement.met(members, part, len(distinct)) & (gain > LEAST_GAIN)
        if (most := float(gain[good].sum())) <= least:
            return most, None
        alone = self.spare(members, part, good, gain)
        if (score := float(gain[alone].sum())) <= least:
            return score, None
        # Distance is not forbidden but dear: what leans now is hard to split later.
        moved = self.distance(members, np.where(alone[part], part, len(distinct))) - far
        score /= (1 + max(moved, 0.0)) ** THRIFT
        return score, Split(vector, part, alone) if score > least else None

    def spare(
        self, members: Codes, part: Codes, good: NDArray[np.bool_], gain: Losses
    ) -> NDArray[np.bool_]:
        """Leave to the rest as few good parts as it needs to meet the requirement."""
        # Without a rest there is nothing to bring back to the table.
        if good.all():
            return good
        counterweights = self.counterweights(members, part, good, gain)
        # Parts join the rest in turn: bad ones at 0, counterweights one by one, the others never.
        turn = np.zeros(len(good), dtype=np.int64)
        turn[good] = len(good)
        turn[counterweights] = np.arange(1, len(counterweights) + 1)
        turn = np.where(turn > len(counterweights), len(counterweights) + 1, turn)

        def enough(taken: int) -> bool:
            rest = members[turn[part] <= taken]
            return bool(self.requirement.met(rest, np.zeros_like(rest), 1)[0])

        # Doubling and then halving, as if one counterweight more never did harm: a guess that saves
        # nearly all questions, and what it finds was asked about.
        low, high = -1, 0
        while high < len(counterweights) and not enough(high):
            low, high = high, min(2 * high + 1, len(counterweights))
        if high == len(counterweights) and not enough(high):
            return np.zeros_like(good)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle, high)
        return turn > high

    def counterweights(
        self, members: Codes, part: Codes, good: NDArray[np.bool_], gain: Losses
    ) -> Codes:
        """Sort good parts that lean against the rest by what they bring it for what they save."""
        lean = np.zeros(len(good))
        for column in self.requirement.sensitive:
            tally = column.tally(members, part, len(good))
            among = ~good[tally.group]
            rest = np.bincount(tally.value[among], tally.count[among], len(column.share))
            excess = rest / max(rest.sum(), 1) - column.share
            # So that a part which looks like the table leans neither way.
            excess -= excess @ column.share
            lean += np.bincount(tally.group, tally.count * excess[tally.value], len(good))
        (able,) = np.nonzero(good & (lean < 0))
        return able[np.argsort((lean[able] / gain[able]).round(9), kind="stable")]

    def distance(self, members: Codes, part: Codes) -> float:
        """How many people's values would have to be others for each part to be like the table."""
        number, distinct = pd.factorize(part)
        far = 0.0
        for column in self.requirement.sensitive:
            tally = column.tally(members, number, len(distinct))
            far += float(equal_distance(tally, column.share) @ tally.total(tally.count))
        return far


MOST_TRADES = 16
"""Trades that are made: most of what can be saved is saved by the first two or three."""
MOST_TAKERS = 2
"""Classes that are offered others' people before each trade: those that lose most."""
MANY = (4, 8, 2)
"""How many classes are given up at once, in the order of trial: two seldom save what four do."""
LEAST_SAVED = 5e-4
"""Loss that a trade has to save, as a share of what all people could lose."""


@dataclass(frozen=True)
class Trade:
    """Classes that are given up, the one that takes their people in, and its parts thereafter."""

    given: frozenset[Region]
    taker: Region
    parts: list[Region]
    saved: float

    def apply(self, regions: list[Region]) -> list[Region]:
        """Put the parts in the place of what they were made from."""
        kept = [region for region in regions if region not in self.given]
        place = kept.index(self.taker)
        return kept[:place] + self.parts + kept[place + 1 :]


@dataclass(frozen=True)
class Trader:
    """How classes are traded; what has been tried once is not tried again."""

    splitter: Splitter
    tried: set[frozenset[Region]] = field(default_factory=set)

    def run(self, regions: list[Region]) -> list[Region]:
        """Trade as long as that saves loss."""
        for _ in range(MOST_TRADES):
            # Found one at a time: the second taker is tried only where the first has no trade.
            trade = next(self.find(regions), None)
            if trade is None:
                break
            regions = trade.apply(regions)
        return regions

    def find(self, regions: list[Region]) -> Iterator[Trade]:
        """Find trades that pay, first for the class that loses most."""
        fall = self.fall(regions)
        lost = np.array([self.lose(region, region) for region in regions]).round(6)
        takers = [number for number in np.argsort(-lost, kind="stable") if (fall == number).any()]
        least = LEAST_SAVED * self.splitter.tuples.people.sum()
        for number in takers[:MOST_TAKERS]:
            givers = [regions[giver] for giver in np.flatnonzero(fall == number)]
            trade = self.best(regions[number], self.counterweights(regions[number], givers))
            if trade and trade.saved > least:
                yield trade

    def fall(self, regions: list[Region]) -> Codes:
        """Say which class would take in all people of each, were it given up; `LEFT` if none."""
        tuples, classes = self.splitter.tuples, _to_classes(self.splitter.tuples, regions)
        (kept,) = np.nonzero(classes.of != LEFT)
        of = classes.of[kept]
        next_ = classes.boxes(tuples).first(tuples.codes[:, kept], but=of)
        first, last = np.full(len(regions), len(regions)), np.full(len(regions), LEFT)
        np.minimum.at(first, of, next_)
        np.maximum.at(last, of, next_)
        # A class whose people would fall into several others stays: a trade weighs a single taker.
        return np.where(first == last, first, LEFT)

    def lose(self, region: Region, at: Region) -> float:
        """What the people of a region lose at the vector of another."""
        costs, members = self.splitter.costs, region.members
        own = sum(cost[level, members] for cost, level in zip(costs, at.vector, strict=True))
        return float(own @ self.splitter.tuples.people[members])

    def counterweights(self, taker: Region, givers: list[Region]) -> list[Region]:
        """Sort classes that would help another by what they lose in it for what they bring it.

        They bring it people, of whom fewer have the values that it has too many of.
        """
        everyone = [taker, *givers]
        members = np.concatenate([region.members for region in everyone])
        group = np.repeat(np.arange(len(everyone)), [len(region.members) for region in everyone])
        bring = np.zeros(len(everyone))
        for column in self.splitter.requirement.sensitive:
            tally = column.tally(members, group, len(everyone))
            share, own = tally.shares(), tally.group == 0
            much = np.zeros(len(column.share), dtype=bool)
            much[tally.value[own]] = share[own] > column.share[tally.value[own]]
            over = tally.total(np.where(much[tally.value], tally.count, 0.0))
            people = tally.total(tally.count)
            bring += people * over[0] / people[0] - over
        lost = [self.lose(giver, taker) - self.lose(giver, giver) for giver in givers]
        return _rank(givers, np.array(lost), bring[1:])

    def best(self, taker: Region, counterweights: list[Region]) -> Trade | None:
        """Give up as many counterweights as `MANY` says, in turn, until that saves less."""
        found: Trade | None = None
        for many in MANY:
            trade = (
                self.judge(taker, counterweights[:many]) if many <= len(counterweights) else None
            )
            # A trial costs a split: the first number that saves less than the one before ends them.
            if found and (trade is None or trade.saved <= found.saved):
                break
            found = trade if trade and trade.saved > 0 else found
        return found

    def judge(self, taker: Region, given: list[Region]) -> Trade | None:
        """Split a class that takes in the people of others, unless that has been tried."""
        everyone = frozenset([taker, *given])
        if everyone in self.tried:
            return None
        # Regions never change, and the taker is the last of its set: tried once, the outcome is
        # known.
        self.tried.add(everyone)
        members = np.sort(np.concatenate([region.members for region in everyone]))
        parts = self.splitter.split(Region(members, taker.vector))
        before = sum(self.lose(region, region) for region in [taker, *given])
        saved = before - sum(self.lose(part, part) for part in parts)
        return Trade(everyone - {taker}, taker, parts, saved)


def _rank(
    givers: list[Region], lost: NDArray[np.float64], bring: NDArray[np.float64]
) -> list[Region]:
    """Leave out who brings nothing, and sort the others by what they lose for what they bring."""
    able = np.flatnonzero(bring > 0)
    order = able[np.argsort((lost[able] / bring[able]).round(9), kind="stable")]
    return [givers[number] for number in order]


def _to_classes(tuples: Tuples, regions: list[Region]) -> Classes:
    """Make classes of regions, in their order; who is in none is left over."""
    classes = Classes(np.full(len(tuples.people), LEFT))
    for region in regions:
        classes.add(region.members, region.vector)
    return classes


def balance(tuples: Tuples, requirement: Requirement) -> Classes:
    """Split the coarsest classes as long as that saves loss, then trade; who fails is left over.

    Trades are for models that compare a class with the table: no other needs rests so large.
    """
    splitter = Splitter(tuples, requirement, tuples.levels(), tuples.parts(), tuples.costs)
    regions = [part for region in splitter.start() for part in splitter.split(region)]
    if requirement.compares:
        regions = Trader(splitter).run(regions)
    return _to_classes(tuples, regions)
