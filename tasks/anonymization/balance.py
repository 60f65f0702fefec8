"""A search for models that hold a class to the table's shares: splits, and then trades.

Splits (`tasks.anonymization.splits`) are greedy: a rest keeps as few of its parts as it needs, and
is then so far from the table that nothing more can be split from it. A trade gives up classes that
lean the other way. Their people fall back into that rest, lose some detail, and make it enough like
the table for more classes to be split from it than were given up.

Called by `tasks.anonymization.search`; knows no labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tasks.anonymization.boxes import LEFT, Codes
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.splits import Region, Splitter
from tasks.anonymization.tuples import Classes, Tuples

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
        tuples, classes = self.splitter.tuples, to_classes(self.splitter.tuples, regions)
        (kept,) = np.nonzero(classes.of != LEFT)
        of = classes.of[kept]
        next_ = classes.boxes(tuples).first(tuples.codes[:, kept], but=of)
        first, last = np.full(len(regions), len(regions)), np.full(len(regions), LEFT)
        np.minimum.at(first, of, next_)
        np.maximum.at(last, of, next_)
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
            if found and (trade is None or trade.saved <= found.saved):
                break
            found = trade if trade and trade.saved > 0 else found
        return found

    def judge(self, taker: Region, given: list[Region]) -> Trade | None:
        """Split a class that takes in the people of others, unless that has been tried."""
        everyone = frozenset([taker, *given])
        if everyone in self.tried:
            return None
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


def to_classes(tuples: Tuples, regions: list[Region]) -> Classes:
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
    return to_classes(tuples, regions)
