"""k-anonymity by local recoding of tables with too many vectors of levels to list.

With sixteen or more quasi-identifiers nearly all tuples are unique, and which vectors of levels
are worth anything follows from which tuples lie together. So clusters of k people are grown
(`cluster_growth`), made better by trades (`cluster_trades`) and by wandering (`annealing`), and put
into an order in which tuples find their own cluster first.

The search goes on for as many steps as are asked for, and the best classes so far stand after each.
Effort is counted in steps, since seconds depend on the machine and on who else is at work there.
Called by `tasks.anonymization.fitting`; knows no labels.

What a class keeps is counted as granularity: 1 - the share of the column's values under a label,
in whole units, whose sums are the same on every machine (`marks`).
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from expectations.errors import UsageError
from tasks.anonymization.annealing import PASSES, Annealing
from tasks.anonymization.cluster_growth import FEW_PASSES, grow
from tasks.anonymization.cluster_trades import improve
from tasks.anonymization.marks import Flags, Floats, Marks, project
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.tuples import (
    BLOCK,
    LEFT,
    Boxes,
    Classes,
    Codes,
    Tuples,
    Vector,
    find_corners,
)

STEPS = 1
"""Steps unless others are asked for: what follows gains less in the same time."""
SWEEPS = 2
"""Of trades, before clusters are first put into an order: a third gains less than the next step."""
CYCLES = 3
"""How often a round's clusters are traded and put into an order: a fourth time gains little."""
MOST_FITS = 64
"""Classes that a tuple fits, on average, beyond which an order is not worth its memory."""


@dataclass(frozen=True)
class Effort:
    """How long to search: `steps` after the first plan, or fewer once `seconds` are over.

    Seconds are the clock's, and looked at between steps alone: what they stop is what that many
    steps would have given.
    """

    steps: int = STEPS
    seconds: float | None = None

    def __post_init__(self) -> None:
        whole = isinstance(self.steps, Integral) and not isinstance(self.steps, bool)
        if not whole or self.steps < 0:
            raise UsageError("k-anonymity: steps are a whole number from 0")
        if self.seconds is not None and not (
            isinstance(self.seconds, Real) and 0 <= self.seconds < math.inf
        ):
            raise UsageError("k-anonymity: seconds are a number from 0, or None for no bound")


@dataclass(frozen=True)
class Crowd:
    """Some tuples of a table: their codes, their marks and place, their number in the requirement.

    The requirement is the whole table's.
    """

    tuples: Tuples
    marks: Marks
    points: Floats
    number: Codes
    requirement: Requirement

    @classmethod
    def of(cls, tuples: Tuples, requirement: Requirement) -> Crowd:
        """Take all tuples of a table."""
        marks = Marks.of(tuples, find_corners(tuples), requirement.k)
        return cls(tuples, marks, project(marks), np.arange(len(marks.id)), requirement)

    def where(self, members: Codes | Flags) -> Crowd:
        """Keep some of the tuples."""
        some = Tuples(
            self.tuples.codes[:, members], self.tuples.people[members], self.tuples.groups
        )
        marks, points = self.marks.where(members), self.points[members]
        return Crowd(some, marks, points, self.number[members], self.requirement)

    def keep(self, of: Codes) -> float:
        """What all classes keep together; who is at `LEFT` keeps nothing."""
        kept = of != LEFT
        if not kept.any():
            return 0.0
        number = np.unique(of[kept], return_inverse=True)[1]
        worth, people = self.marks.where(kept).kept(number)
        return float(worth @ people)

    def met(self, of: Codes) -> Flags:
        """Whether each cluster that has members meets the requirement; `LEFT` is none."""
        (kept,) = np.nonzero(of != LEFT)
        return self.requirement.met(self.number[kept], of[kept], int(of.max(initial=-1)) + 1)


def cluster(tuples: Tuples, requirement: Requirement, effort: Effort | None = None) -> Classes:
    """Give the best classes of the steps that are made: of more steps, never worse ones.

    The same tuples in the same order give the same classes after the same number of steps. Those
    who are left over are too few for a class of their own, or have too few sensitive values.
    """
    best = Classes(np.full(tuples.codes.shape[1], LEFT))
    if not len(best.of):
        return best
    effort, began = effort or Effort(), monotonic()
    crowd, most, made = Crowd.of(tuples, requirement), -1.0, 0
    # Ends: each turn is a step, and their number is bounded.
    for made, classes in enumerate(_find(crowd)):
        # No step is sure to gain: an order puts tuples into classes that did not choose them.
        if classes and (kept := crowd.keep(classes.of)) > most:
            best, most = classes, kept
        late = effort.seconds is not None and monotonic() - began >= effort.seconds
        if made >= effort.steps or late:
            break
    best.steps = made
    return best


def _find(crowd: Crowd) -> Iterator[Classes | None]:
    """Find classes, a step at a time and without end; a step that only prepares gives none.

    Between rounds `free` are clusters that no order has damaged. Each round lets them wander twice
    as long as the last, since whoever has waited that long can wait as long again, and makes
    classes of what they come to.
    """
    # The second time from nearer neighbours: where wandering begins is seen in where it ends.
    for passes in (FEW_PASSES, PASSES):
        free = _grow(crowd, passes)
        for sweep in range(SWEEPS):
            free = _trade(crowd, free, sweep)
        yield _arrange(crowd, free)
    annealing, step = Annealing(crowd.tuples, crowd.marks, crowd.points), 1
    for round_ in itertools.count():
        parts = 2**round_
        for part in range(parts):
            step += 1
            # From hot to cold over the whole round.
            coolness = (1 - part / parts, 1 - (part + 1) / parts)
            free = annealing.wander(free, coolness, step)
            yield None
        # The clusters themselves go on from here, and not from the classes made of them.
        of = free = _trade(crowd, free, step)
        for _ in range(CYCLES):
            classes = _arrange(crowd, of)
            yield classes
            step += 1
            of = _trade(crowd, classes.of, step)


def _trade(crowd: Crowd, of: Codes, sweep: int) -> Codes:
    """Make clusters of classes better again; those at `LEFT` stay there."""
    (kept,) = np.nonzero(of != LEFT)
    better = np.full(len(of), LEFT)
    if len(kept):
        some = crowd.where(kept)
        number = np.unique(of[kept], return_inverse=True)[1]
        better[kept] = _join_failing(some, improve(some.marks, some.points, number, sweep))
    return better


def _grow(crowd: Crowd, passes: int) -> Codes:
    """Cluster all whose corner has k people; gives each one's cluster, or `LEFT`."""
    marks = crowd.marks
    of = np.full(len(marks.id), LEFT)
    # A corner of fewer than k people can hold no class, whatever is tried.
    able = np.bincount(marks.corner, marks.people)[marks.corner] >= max(marks.k, 1)
    if able.any():
        some = crowd.where(able)
        of[able] = grow(some.marks, some.points, passes)
    return of


def _arrange(crowd: Crowd, of: Codes) -> Classes:
    """Put clusters into an order, and cluster those again who fit none that can stay."""
    classes = Classes(np.full(len(of), LEFT))
    part, rest = crowd, np.arange(len(of))
    while (of != LEFT).any():
        place = _settle(_sort(part, of), part)
        # Those who are placed are out of the way for the rest, which grows clusters of its own.
        taken = place != LEFT
        if not taken.any():
            break
        number = np.unique(place[taken], return_inverse=True)[1]
        classes.of[rest[taken]] = number + len(classes.vectors)
        # Those who went elsewhere may have been the reason for a coarser label.
        classes.vectors.extend(find_vectors(part.where(taken).tuples, number))
        (rest,) = np.nonzero(classes.of == LEFT)
        part = crowd.where(rest)
        of = _trade(part, _grow(part, FEW_PASSES), 0)
    return classes


def _join_failing(crowd: Crowd, of: Codes) -> Codes:
    """Join clusters that fail a model with the nearest one, until all meet it or are alone.

    Clusters are numbered from 0 without gaps; those that fail in the end are `LEFT`.
    """
    # Models are closed under union (`requirement`): two that meet them stay good when joined, and a
    # failing one is joined until it meets them or has its corner to itself.
    while crowd.requirement.sensitive:
        into = _find_partners(crowd, of, np.flatnonzero(~crowd.met(of)))
        if (into == np.arange(len(into))).all():
            break
        of = np.unique(into[of], return_inverse=True)[1]
    return np.where(crowd.met(of)[of], of, LEFT)


def _find_partners(crowd: Crowd, of: Codes, failing: Codes) -> Codes:
    """Give each cluster the one that it joins: failing ones the nearest in their corner."""
    size = np.bincount(of)
    corner = np.zeros(len(size), dtype=np.int64)
    corner[of] = crowd.marks.corner
    centre = np.array([np.bincount(of, axis) / size for axis in crowd.points.T]).T
    into = np.arange(len(size))
    for one in failing.tolist():
        near = np.flatnonzero((corner == corner[one]) & (into == np.arange(len(size))))
        near = near[near != one]
        # A cluster that another has joined meanwhile waits: what it then is has not been judged.
        if into[one] == one and len(near):
            far = ((centre[near] - centre[one]) ** 2).sum(axis=1)
            into[into == one] = near[far.argmin()]
    return into


def find_vectors(tuples: Tuples, of: Codes) -> list[Vector]:
    """Find the finest levels at which the members of each class have the same labels.

    `of` numbers the classes from 0 without gaps; a tuple at `LEFT` is in none.
    """
    (kept,) = np.nonzero(of != LEFT)
    order = kept[np.argsort(of[kept], kind="stable")]
    size = np.bincount(of[kept])
    start = np.cumsum(size) - size
    vectors = np.zeros((len(tuples.codes), len(size)), dtype=np.int64)
    for vector, codes, groups in zip(vectors, tuples.codes, tuples.groups, strict=True):
        # From the coarsest to the finest: the last level at which all agree is the one that stays.
        for level in range(len(groups) - 1, -1, -1):
            label = groups[level][codes[order]]
            low, high = np.minimum.reduceat(label, start), np.maximum.reduceat(label, start)
            vector[low == high] = level
    return list(map(tuple, vectors.T.tolist()))


def _sort(crowd: Crowd, of: Codes) -> Boxes:
    """Put clusters into an order in which few lose so many tuples that they fail."""
    tuples, marks = crowd.tuples, crowd.marks
    (kept,) = np.nonzero(of != LEFT)
    clusters = Classes(of.copy(), [])
    clusters.of[kept] = np.unique(of[kept], return_inverse=True)[1]
    clusters.vectors = find_vectors(tuples, clusters.of)
    worth, people = marks.where(kept).kept(clusters.of[kept])
    boxes = clusters.boxes(tuples)
    fits = find_fits(boxes, tuples.codes)
    # Then nearly all fit nearly everything, and an order by what classes keep does as well.
    if len(fits[0]) > MOST_FITS * len(of):
        order = np.argsort(-worth, kind="stable")
    else:
        order = sort_classes(clusters.of, tuples.people, people - marks.k, worth, fits)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    clusters.of[kept] = place[clusters.of[kept]]
    clusters.vectors = [clusters.vectors[number] for number in order.tolist()]
    return clusters.boxes(tuples)


def find_fits(boxes: Boxes, codes: Codes) -> tuple[Codes, Codes]:
    """Find all pairs of a tuple and a class that it fits; two columns, sorted by tuple."""
    tuples, classes = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, codes.shape[1], BLOCK):
        block = codes[:, start : start + BLOCK]
        # A class takes a tuple if it takes its leaf in every column: an `and` of bits, 8 classes
        # each.
        bits = boxes.fits[0][block[0]]
        for fit, leaf in zip(boxes.fits[1:], block[1:], strict=True):
            bits &= fit[leaf]
        row, byte = np.nonzero(bits)
        pair, bit = np.nonzero(np.unpackbits(bits[row, byte][:, None], axis=1))
        tuples.append(row[pair] + start)
        classes.append(byte[pair] * 8 + bit)
    return np.concatenate(tuples), np.concatenate(classes)


def sort_classes(
    of: Codes, people: Codes, spare: Codes, worth: NDArray[np.float64], fits: tuple[Codes, Codes]
) -> Codes:
    """Order classes so that few tuples that a class cannot spare fit an earlier one.

    Always the class that takes fewest tuples from those not yet placed, of equals the one that
    keeps most; a class that has lost more people than it can spare goes to the end.
    """
    other = (of[fits[0]] != fits[1]) & (of[fits[0]] != LEFT)
    tuple_, class_ = fits[0][other], fits[1][other]
    classes = len(spare)
    # How many tuples of classes not yet placed a class would take, were it placed next.
    cost = np.bincount(class_, minlength=classes).tolist()
    fits_of, takes = _lists(tuple_, class_, len(of)), _lists(class_, tuple_, classes)
    members = _lists(of[of != LEFT], np.flatnonzero(of != LEFT), classes)
    rank, spare = (-worth).tolist(), spare.tolist()
    heap = list(zip(cost, rank, range(classes), strict=True))
    heapq.heapify(heap)
    placed, done, free = [], [False] * classes, (of == LEFT).tolist()
    while heap:
        asked, _, one = heapq.heappop(heap)
        # Costs only fall, and each fall is a new entry: one of another cost is out of date.
        if done[one] or asked != cost[one]:
            continue
        done[one] = True
        placed.append(one)
        lost = [t for t in takes[one] if not free[t]]
        freed = [*members[one], *lost]
        for t in lost:
            owner = int(of[t])
            # Who is taken by an earlier class is lost to its own, which fails once below k.
            spare[owner] -= int(people[t])
            if spare[owner] < 0 and not done[owner]:
                done[owner] = True
                freed += members[owner]
        for c in _let_go(freed, free, fits_of):
            cost[c] -= 1
            if not done[c]:
                heapq.heappush(heap, (cost[c], rank[c], c))
    failed = np.setdiff1d(np.arange(classes), placed)
    return np.append(placed, failed[np.argsort(-worth[failed], kind="stable")]).astype(np.int64)


def _let_go(freed: list[int], free: list[bool], fits_of: list[list[int]]) -> Iterator[int]:
    """Mark tuples that no class has to keep any more; give the classes that they fit."""
    for one in freed:
        if not free[one]:
            free[one] = True
            yield from fits_of[one]


def _lists(key: Codes, value: Codes, keys: int) -> list[list[int]]:
    """List the values of each key."""
    order = np.argsort(key, kind="stable")
    ends = np.cumsum(np.bincount(key, minlength=keys)).tolist()
    flat = value[order].tolist()
    return [flat[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _settle(boxes: Boxes, crowd: Crowd) -> Codes:
    """Give each tuple the first class that it fits, of those that then meet the requirement."""
    codes = crowd.tuples.codes
    place = boxes.first(codes)
    while True:
        good = crowd.met(place)
        (moved,) = np.nonzero((place != LEFT) & ~np.append(good, True)[place])
        if not len(moved):
            return place
        # Only those whose class went look on: for all others the first that they fit is still
        # there.
        stays = np.ones(boxes.fits[0].shape[1] * 8, dtype=bool)
        stays[place[moved]] = False
        boxes = Boxes(tuple(fit & np.packbits(stays) for fit in boxes.fits))
        place[moved] = boxes.first(codes[:, moved])
