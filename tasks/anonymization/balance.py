"""A search from the coarsest class down, for models that hold a class to the table's shares.

Where a class must look like the table (t-closeness, beta-likeness, delta-disclosure), the cheapest
cover goes wrong: it releases small groups that lean one way, until what is left leans the other
way so far that nothing can be made of it. Here everybody starts in one class, which is the table
and so meets such a model, and groups are carved out of it, and of each other, only while what
stays behind meets the requirement too. Nobody is left over who could be released.

Called by `tasks.anonymization.cover.search`; knows no labels. Greedy: the best first vector is not
always the one that saves the most (on Adult the best of 60 gained one hundredth more).
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.anonymization.boxes import LEFT, Codes
from tasks.anonymization.tuples import Classes, Tuples, Vector, combine
from tasks.anonymization.requirement import Requirement

MOST_VECTORS = 512
LEAST_GAIN = 1e-4
"""Share of the people's loss below which a vector is not worth its classes."""


@dataclass
class Carving:
    """A partition in the making: each tuple's class, its vector's rank by loss, and its loss."""

    tuples: Tuples
    requirement: Requirement
    lattice: Lattice
    of: Codes
    rank: Codes
    loss: NDArray[np.float64]
    classes: list[int]

    @classmethod
    def start(cls, tuples: Tuples, requirement: Requirement) -> Carving:
        """Put people together as coarsely as they can be; groups that fail are left."""
        lattice = Lattice.of(tuples)
        top = len(lattice.vectors) - 1
        number, distinct = pd.factorize(lattice.label(top))
        every = np.arange(len(number))
        good = requirement.met(every, number, len(distinct))
        of = np.where(good, np.cumsum(good) - 1, LEFT)[number]
        loss = np.where(of == LEFT, 1.0, lattice.lose(top))
        rank = np.where(of == LEFT, top + 1, top)
        return cls(tuples, requirement, lattice, of, rank, loss, [top] * int(good.sum()))

    def offer(self, rank: int) -> Offer:
        """Find the groups that a vector could release by themselves, those that save most first."""
        people, (able,) = self.tuples.people, np.nonzero(self.rank > rank)
        saved = (self.loss - self.lattice.lose(rank))[able] * people[able]
        group, distinct = pd.factorize(self.lattice.label(rank)[able])
        gain = np.bincount(group, saved, len(distinct))
        good = self.requirement.met(able, group, len(distinct)) & (gain > 0)
        (found,) = np.nonzero(good)
        found = found[np.argsort(-gain[found].round(6), kind="stable")]
        place = np.full(len(distinct), LEFT)
        place[found] = np.arange(len(found))
        hit = good[group]
        return Offer(rank, able[hit], place[group[hit]], gain[found])

    def take(self, offer: Offer) -> float:
        """Release the groups that those who stay can spare; give the loss that it saved."""
        taken = np.zeros(len(offer.gain), dtype=bool)
        waiting = [np.arange(len(offer.gain))]
        while waiting:
            some = waiting.pop()
            taken[some] = True
            if len(some) and not self.spares(offer.members[taken[offer.group]]):
                taken[some] = False
                if len(some) > 1:
                    waiting += [some[len(some) // 2 :], some[: len(some) // 2]]
        goes = taken[offer.group]
        members = offer.members[goes]
        self.of[members] = (np.cumsum(taken) - 1 + len(self.classes))[offer.group[goes]]
        self.rank[members] = offer.rank
        self.loss[members] = self.lattice.lose(offer.rank)[members]
        self.classes += [offer.rank] * int(taken.sum())
        return float(offer.gain[taken].sum())

    def spares(self, members: Codes) -> bool:
        """Whether every class still meets the requirement, or is empty, without these tuples."""
        touched = np.zeros(len(self.classes) + 1, dtype=bool)
        touched[self.of[members]] = True
        touched[LEFT] = False
        stays = touched[self.of]
        stays[members] = False
        rest = np.flatnonzero(stays)
        number, distinct = pd.factorize(self.of[rest])
        return bool(self.requirement.met(rest, number, len(distinct)).all())

    def result(self) -> Classes:
        """Number the classes that have members by the loss of their vectors: the order of fit."""
        used = np.unique(self.of[self.of != LEFT])
        ranks = np.array(self.classes, dtype=np.int64)[used]
        order = np.argsort(ranks, kind="stable")
        place = np.full(len(self.classes) + 1, LEFT)
        place[used[order]] = np.arange(len(used))
        return Classes(place[self.of], [self.lattice.vectors[rank] for rank in ranks[order]])


@dataclass(frozen=True)
class Offer:
    """Groups of one vector: their tuples, each one's group, and what each group would save."""

    rank: int
    members: Codes
    group: Codes
    gain: NDArray[np.float64]


def balance(tuples: Tuples, requirement: Requirement) -> Classes:
    """Carve classes out of the coarsest one, the vector that saves the most loss first.

    Takes at most some 500 vectors: columns with many levels lose the least different ones. A
    tuple only ever moves to a cheaper vector, and with all of its group, so the classes in the
    order of their vectors' loss are found again by the first fit.
    """
    carving = Carving.start(tuples, requirement)
    enough = LEAST_GAIN * tuples.people.sum()
    # What a vector saves seldom grows while others take from it, so an old figure is a bound.
    queue = [(-np.inf, rank) for rank in range(len(carving.lattice.vectors) - 1)]
    while queue:
        _, rank = heapq.heappop(queue)
        offer = carving.offer(rank)
        bound = float(offer.gain.sum())
        if bound < enough:
            continue
        if queue and bound < -queue[0][0]:
            heapq.heappush(queue, (-bound, rank))
        elif (gain := carving.take(offer)) >= enough:
            heapq.heappush(queue, (-gain / 2, rank))
    return carving.result()


@dataclass(frozen=True)
class Lattice:
    """Some vectors of levels, cheapest first, the coarsest last; what each does to each tuple.

    `labels` and `losses` hold per column the tuples' group codes and losses, (levels, tuples).
    """

    vectors: list[Vector]
    labels: list[Codes]
    losses: list[NDArray[np.float64]]

    @classmethod
    def of(cls, tuples: Tuples) -> Lattice:
        """List the vectors of a table, thinned to `MOST_VECTORS` where there are more."""
        pairs = list(zip(tuples.codes, tuples.groups, tuples.losses(), strict=True))
        labels = [groups[:, codes] for codes, groups, _ in pairs]
        losses = [loss[:, codes] for codes, _, loss in pairs]
        mean = [loss @ tuples.people for loss in losses]
        levels = _thin(tuples.levels(), mean)
        vectors = list(itertools.product(*levels))
        total = np.array([0.0])
        for column, used in zip(mean, levels, strict=True):
            total = np.add.outer(total, column[used]).ravel()
        # Rounded, so that the noise of summing in another order breaks no tie.
        order = np.argsort(total.round(6), kind="stable").tolist()
        return cls([vectors[place] for place in order], labels, losses)

    def label(self, rank: int) -> Codes:
        """Number each tuple by its labels at a vector."""
        steps = zip(self.labels, self.vectors[rank], strict=True)
        return combine([labels[level] for labels, level in steps])

    def lose(self, rank: int) -> NDArray[np.float64]:
        """Mean loss of each tuple's labels at a vector, 0 to 1."""
        steps = zip(self.losses, self.vectors[rank], strict=True)
        return np.asarray(sum(loss[level] for loss, level in steps) / len(self.losses))


def _thin(levels: list[list[int]], mean: list[NDArray[np.float64]]) -> list[list[int]]:
    """Take levels out, the least different from the one below first, never the first and last."""
    kept = [list(used) for used in levels]
    while math.prod(map(len, kept)) > MOST_VECTORS:
        steps = [
            (mean[column][high] - mean[column][low], column, high)
            for column, used in enumerate(kept)
            for low, high in itertools.pairwise(used[:-1])
        ]
        if not steps:
            break
        _, column, level = min(steps)
        kept[column].remove(level)
    return kept
