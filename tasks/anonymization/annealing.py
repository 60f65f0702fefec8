"""Clusters that wander: tuples change places at random, ever less to the worse.

Trades that only gain end where no single one is left, though two together would gain. Here a swap
that loses is done as well, the more seldom the more it loses and the cooler it is (Kirkpatrick,
Gelatt and Vecchi, "Optimization by simulated annealing", 1983). A swap puts a near one of a tuple
into its cluster, in the place of another member, who goes where the near one came from.

Thousands of swaps that touch different clusters are weighed at once. Leaves are numbered along
their hierarchy, so that what a cluster shares follows from its least and greatest number in each
column. All counts are whole numbers: the same draws do the same on any machine.

Called by `tasks.anonymization.clusters`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.anonymization.cluster_growth import NEIGHBOURS
from tasks.anonymization.marks import UNIT, Flags, Floats, Marks
from tasks.anonymization.neighbours import find_neighbours
from tasks.anonymization.tuples import LEFT, Codes, Tuples

NEAR = 12
"""Neighbours that a tuple may call into its cluster: of 32, those behind were seldom taken."""
PASSES = 10
"""Over neighbours of neighbours: after ten, further ones change little."""
HEAT = 0.008
"""The first temperature, as a share of what a cluster keeps: four times as hot only destroys."""
BATCHES = 480
"""Batches of a step: some 24 swaps are weighed for each tuple, in about the time of a sweep."""
BATCH = 4
"""One swap at a time for so many clusters: of more, most would touch a cluster of another."""
LARGEST = 1_024
"""Labels of a column beyond which a coarser level stands for it: tables grow with its square."""
QUANTILES = 1 << 16
"""Equal steps of chance from which a swap's luck is drawn."""


@dataclass(frozen=True)
class Ranks:
    """Where each tuple's leaves stand along their hierarchies, and what two places share.

    `place` has the shape (tuples, 2 x columns): the places, and how far each is from `top`, so
    that the least of either tells the least and the greatest place. `worth` holds a square table
    for each column, one behind the other, from `start` on and `width` wide.
    """

    place: NDArray[np.unsignedinteger]
    worth: NDArray[np.int32]
    start: NDArray[np.int32]
    width: NDArray[np.int32]

    @classmethod
    def of(cls, tuples: Tuples) -> Ranks:
        """Number the leaves that occur."""
        places, tables = [], []
        importance = tuples.importance or (1.0,) * len(tuples.codes)
        columns = zip(tuples.codes, tuples.groups, tuples.levels(), importance, strict=True)
        for codes, groups, used, weight in columns:
            seen = np.unique(codes)
            labels = groups[used][:, seen]
            finest = next((n for n, row in enumerate(labels) if len(set(row)) <= LARGEST), None)
            # Not even the coarsest is short: what the column shares is not seen here.
            labels = np.zeros((1, len(seen)), np.int64) if finest is None else labels[finest:]
            # Sorted by the coarsest level first: whoever lies between two shares what they share.
            order = np.lexsort(labels)
            new = np.diff(labels[:, order], axis=1).any(axis=0)
            place = np.empty(len(groups[0]), dtype=np.int64)
            place[seen[order]] = np.concatenate([[0], np.cumsum(new)])
            places.append(place[codes])
            tables.append(_share(labels[:, order], np.append(True, new), weight))
        width = np.array([len(table) for table in tables], dtype=np.int32)
        start = np.cumsum([0, *(table.size for table in tables[:-1])]).astype(np.int32)
        kind = np.uint8 if width.max() <= 256 else np.uint16
        stands = np.array(places, dtype=kind).T
        both = np.concatenate([stands, np.iinfo(kind).max - stands], axis=1)
        return cls(both, np.concatenate([table.ravel() for table in tables]), start, width)

    def shared(self, boxes: NDArray[np.unsignedinteger]) -> Codes:
        """What clusters keep for each of their people, by the least places of their members."""
        columns = len(self.width)
        at = boxes[:, :columns].astype(np.int32)
        at *= self.width
        at += self.start + np.int32(np.iinfo(boxes.dtype).max)
        at -= boxes[:, columns:]
        return np.asarray(self.worth.take(at).sum(axis=1, dtype=np.int64))


def _share(labels: Codes, first: Flags, weight: float) -> NDArray[np.int32]:
    """What two leaves share, shape (leaves, leaves), of labels from the finest to the coarsest."""
    own = labels[:, first]
    table = np.zeros((own.shape[1],) * 2, dtype=np.int32)
    for low, high in itertools.pairwise(range(len(labels))):
        sizes = [np.bincount(labels[level])[own[level]] for level in (low, high)]
        gained = np.rint((sizes[1] - sizes[0]) * (weight / labels.shape[1] * UNIT)).clip(0)
        table += ((own[low] == own[low][:, None]) * gained).astype(np.int32)
    return table


@dataclass
class Crew:
    """Who is in which cluster: `member` has a row for each, filled up with its first tuple.

    Tuple t is `member[of[t], slot[t]]`; `kept` is what each cluster keeps.
    """

    of: Codes
    slot: Codes
    member: Codes
    size: Codes
    people: Codes
    kept: Codes

    @classmethod
    def sort(cls, of: Codes, people: Codes) -> Crew:
        """Put tuples, clusters numbered from 0 without gaps, into rows."""
        size = np.bincount(of)
        order, start = np.argsort(of, kind="stable"), np.cumsum(size) - size
        slot = np.empty_like(of)
        slot[order] = np.arange(len(of)) - np.repeat(start, size)
        member = np.repeat(order[start][:, None], size.max(), axis=1)
        member[of, slot] = np.arange(len(of))
        count = np.bincount(of, people).astype(np.int64)
        return cls(of.copy(), slot, member, size, count, np.zeros_like(count))


class Annealing:
    """The clusters of some tuples, at a temperature that a caller lowers."""

    def __init__(self, tuples: Tuples, marks: Marks, points: Floats) -> None:
        self.ranks, self.k, self.people = Ranks.of(tuples), marks.k, tuples.people
        # More than are taken: with fewer, neighbours of neighbours lead less far.
        near, there = find_neighbours(marks, points, max(NEIGHBOURS, 2 * marks.k), PASSES)
        # Nobody near: itself, who is no offer.
        near = np.where(there, near, np.arange(len(near))[:, None])
        self.near = near[:, : max(NEAR, 2 * marks.k)]

    def wander(self, of: Codes, coolness: tuple[float, float], seed: int) -> Codes:
        """Swap at temperatures from one share of the first one to another; gives the clusters.

        Who is at `LEFT` stays there.
        """
        # The seed is the step's number: the same step does the same.
        random = np.random.default_rng(seed)
        # Each of those left over is a cluster of its own, and such a one never swaps.
        alone = of == LEFT
        number = np.where(alone, np.arange(len(of)) + len(of), of)
        crew = Crew.sort(np.unique(number, return_inverse=True)[1], self.people)
        crew.kept = self._keep(crew.member, crew.size, crew.people)
        hottest = HEAT * float(crew.kept.sum()) / len(crew.size)
        # A swap's luck is exponential; its quantiles are drawn, since whole numbers draw alike.
        luck = -np.log((np.arange(QUANTILES) + 0.5) / QUANTILES)
        # A small table has few swaps to try.
        batches = min(BATCHES, len(of))
        for batch in range(batches):
            warm = coolness[0] + (coolness[1] - coolness[0]) * batch / batches
            self._swap(crew, np.rint(luck * (hottest * warm)).astype(np.int64), random)
        return np.where(alone, LEFT, crew.of)

    def _swap(self, crew: Crew, luck: Codes, random: np.random.Generator) -> None:
        """Weigh a batch of swaps that touch different clusters, and do those that are lucky."""
        into, out = self._draw(crew, random)
        one, other = crew.of[out], crew.of[into]
        people = self.people[into] - self.people[out]
        # Every cluster keeps k people, whatever its tuples weigh.
        able = (crew.people[one] + people >= self.k) & (crew.people[other] - people >= self.k)
        into, out, one, other, people = (part[able] for part in (into, out, one, other, people))
        row = np.arange(len(one))
        changed = [crew.member[one], crew.member[other]]
        changed[0][row, crew.slot[out]] = into
        changed[1][row, crew.slot[into]] = out
        kept = [
            self._keep(changed[0], crew.size[one], crew.people[one] + people),
            self._keep(changed[1], crew.size[other], crew.people[other] - people),
        ]
        gain = kept[0] + kept[1] - crew.kept[one] - crew.kept[other]
        done = gain > -luck[random.integers(0, QUANTILES, len(gain))]
        into, out, one, other, people = (part[done] for part in (into, out, one, other, people))
        crew.kept[one], crew.kept[other] = kept[0][done], kept[1][done]
        crew.people[one] += people
        crew.people[other] -= people
        crew.member[one, crew.slot[out]] = into
        crew.member[other, crew.slot[into]] = out
        crew.slot[into], crew.slot[out] = crew.slot[out], crew.slot[into]
        crew.of[into], crew.of[out] = one, other

    def _draw(self, crew: Crew, random: np.random.Generator) -> tuple[Codes, Codes]:
        """Draw pairs of a tuple that is called and one that leaves for it, in disjoint clusters."""
        many = -(-len(crew.size) // BATCH)
        caller = random.integers(0, len(crew.of), many)
        into = self.near[caller, random.integers(0, self.near.shape[1], many)]
        one, other = crew.of[caller], crew.of[into]
        # Not the caller: from one to size - 1 slots further on.
        size = crew.size[one]
        step = 1 + (random.random(many) * (size - 1)).astype(np.int64)
        out = crew.member[one, (crew.slot[caller] + step) % size]
        # The last that claims a cluster has it: whose two clusters are both its own may swap.
        number, claim = np.arange(many), np.empty(len(crew.size), dtype=np.int64)
        claim[one] = number
        claim[other] = number
        able = (claim[one] == number) & (claim[other] == number) & (one != other)
        # A tuple that is alone has k people of its own, and loses by anybody else.
        able &= (size > 1) & (crew.size[other] > 1)
        return into[able], out[able]

    def _keep(self, member: Codes, size: Codes, people: Codes) -> Codes:
        """What clusters of these members keep."""
        boxes = self.ranks.place[member[:, 0]]
        every = int(size.min(initial=0))
        for slot in range(1, member.shape[1]):
            if slot < every:
                np.minimum(boxes, self.ranks.place[member[:, slot]], out=boxes)
                continue
            # Few clusters are larger than the rest: only theirs are looked up.
            (large,) = np.nonzero(size > slot)
            boxes[large] = np.minimum(boxes[large], self.ranks.place[member[large, slot]])
        return self.ranks.shared(boxes) * people
