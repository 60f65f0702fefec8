"""k-anonymity by local recoding of tables with too many vectors of levels to list.

With sixteen or more quasi-identifiers nearly all tuples are unique, and which vectors of levels
are worth anything follows from which tuples lie together. So clusters of k people are grown
(`cluster_growth`), made better by trades (`cluster_trades`), and put into an order in which
tuples find their own cluster first. Called by `tasks.anonymization.search`; knows no labels.

What a class keeps is counted as granularity: 1 - the share of the column's values under a label.
Products of matrices round differently on other machines, so classes may differ there.
"""

from __future__ import annotations

import heapq

import numpy as np

from tasks.anonymization.boxes import LEFT, Boxes, Codes
from tasks.anonymization.cluster_growth import Floats, Marks, grow, project
from tasks.anonymization.cluster_trades import improve
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.tuples import Classes, Tuples, Vector, find_corners

ATTEMPTS = 5
"""How often those who fit no class are clustered again."""
BLOCK = 1024
MOST_FITS = 64
"""Classes that a tuple fits, on average, beyond which an order is not worth its memory."""


def cluster(tuples: Tuples, requirement: Requirement) -> Classes:
    """Find clusters, order them, and cluster those again who fit none that can stay.

    The same tuples in the same order give the same classes. Those who are left over are too few
    for a class of their own, or have too few sensitive values.
    """
    marks = Marks.of(tuples, find_corners(tuples), requirement.k)
    classes = Classes(np.full(len(marks.id), LEFT))
    for _ in range(ATTEMPTS):
        (rest,) = np.nonzero(classes.of == LEFT)
        found = _build(marks.where(rest), requirement, rest)
        if not (found != LEFT).any():
            break
        part = Tuples(tuples.codes[:, rest], tuples.people[rest], tuples.groups)
        place = _settle(_sort(part, marks.where(rest), found), part, requirement, rest)
        taken = place != LEFT
        number = np.unique(place[taken], return_inverse=True)[1]
        classes.of[rest[taken]] = number + len(classes.vectors)
        # Those who went elsewhere may have been the reason for a coarser label.
        members = Tuples(part.codes[:, taken], part.people[taken], part.groups)
        classes.vectors.extend(find_vectors(members, number))
    return classes


def _build(marks: Marks, requirement: Requirement, rest: Codes) -> Codes:
    """Cluster some tuples; gives each one's cluster, or `LEFT`."""
    of = np.full(len(marks.id), LEFT)
    if not marks.id.shape[1]:
        return np.where(np.bincount(marks.corner, marks.people)[marks.corner] >= marks.k, marks.corner, LEFT)
    points = project(marks)
    grown = grow(marks, points)
    (taken,) = np.nonzero(grown != LEFT)
    if not len(taken):
        return of
    number = np.unique(grown[taken], return_inverse=True)[1]
    some = marks.where(taken)
    number = improve(some, points[taken], number)
    of[taken] = _join_failing(some, points[taken], number, requirement, rest[taken])
    return of


def _join_failing(
    marks: Marks, points: Floats, of: Codes, requirement: Requirement, members: Codes
) -> Codes:
    """Join clusters that fail a model with the one nearest by, until all meet it or are alone."""
    while requirement.sensitive:
        clusters = int(of.max()) + 1
        (bad,) = np.nonzero(~requirement.met(members, of, clusters))
        size, corner = np.bincount(of), np.zeros(clusters, dtype=np.int64)
        corner[of] = marks.corner
        centre = np.array([np.bincount(of, axis) / size for axis in points.T]).T
        into = np.arange(clusters)
        for one in bad.tolist():
            if into[one] != one:
                continue
            (near,) = np.nonzero((corner == corner[one]) & (into == np.arange(clusters)))
            near = near[near != one]
            if len(near):
                far = ((centre[near] - centre[one]) ** 2).sum(axis=1)
                into[into == one] = near[far.argmin()]
        if (into == np.arange(clusters)).all():
            break
        of = np.unique(into[of], return_inverse=True)[1]
    return of


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
        for level in range(len(groups) - 1, -1, -1):
            label = groups[level][codes[order]]
            low, high = np.minimum.reduceat(label, start), np.maximum.reduceat(label, start)
            vector[low == high] = level
    return list(map(tuple, vectors.T.tolist()))


def _sort(tuples: Tuples, marks: Marks, of: Codes) -> Boxes:
    """Put clusters into an order in which few lose so many tuples that they fail."""
    (kept,) = np.nonzero(of != LEFT)
    clusters = Classes(of.copy(), [])
    clusters.of[kept] = np.unique(of[kept], return_inverse=True)[1]
    clusters.vectors = find_vectors(tuples, clusters.of)
    worth, people = marks.where(kept).kept(clusters.of[kept])
    boxes = clusters.boxes(tuples)
    fits = find_fits(boxes, tuples.codes)
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
        bits = boxes.fits[0][block[0]]
        for fit, leaf in zip(boxes.fits[1:], block[1:], strict=True):
            bits &= fit[leaf]
        row, byte = np.nonzero(bits)
        pair, bit = np.nonzero(np.unpackbits(bits[row, byte][:, None], axis=1))
        tuples.append(row[pair] + start)
        classes.append(byte[pair] * 8 + bit)
    return np.concatenate(tuples), np.concatenate(classes)


def sort_classes(
    of: Codes, people: Codes, spare: Codes, worth: Codes, fits: tuple[Codes, Codes]
) -> Codes:
    """Order classes so that few tuples that a class cannot spare fit an earlier one.

    Always the class that takes fewest tuples from those not yet placed, of equals the one that
    keeps most; a class that has lost more people than it can spare goes to the end.
    """
    other = (of[fits[0]] != fits[1]) & (of[fits[0]] != LEFT)
    tuple_, class_ = fits[0][other], fits[1][other]
    classes = len(spare)
    cost = np.bincount(class_, minlength=classes).tolist()
    fits_of, takes = _lists(tuple_, class_, len(of)), _lists(class_, tuple_, classes)
    members = _lists(of[of != LEFT], np.flatnonzero(of != LEFT), classes)
    rank, spare = (-worth).tolist(), spare.tolist()
    heap = list(zip(cost, rank, range(classes), strict=True))
    heapq.heapify(heap)
    placed, done, free = [], [False] * classes, (of == LEFT).tolist()
    while heap:
        asked, _, one = heapq.heappop(heap)
        if done[one] or asked != cost[one]:
            continue
        done[one] = True
        placed.append(one)
        lost = [t for t in takes[one] if not free[t]]
        freed = [*members[one], *lost]
        for t in lost:
            owner = int(of[t])
            spare[owner] -= int(people[t])
            if spare[owner] < 0 and not done[owner]:
                done[owner] = True
                freed += members[owner]
        for t in freed:
            if not free[t]:
                free[t] = True
                for c in fits_of[t]:
                    cost[c] -= 1
                    if not done[c]:
                        heapq.heappush(heap, (cost[c], rank[c], c))
    failed = np.setdiff1d(np.arange(classes), placed)
    return np.append(placed, failed[np.argsort(-worth[failed], kind="stable")]).astype(np.int64)


def _lists(key: Codes, value: Codes, keys: int) -> list[list[int]]:
    """List the values of each key."""
    order = np.argsort(key, kind="stable")
    ends = np.cumsum(np.bincount(key, minlength=keys)).tolist()
    flat = value[order].tolist()
    return [flat[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def _settle(boxes: Boxes, tuples: Tuples, requirement: Requirement, rest: Codes) -> Codes:
    """Give each tuple the first class that it fits, of those that then meet the requirement."""
    place = boxes.first(tuples.codes)
    many = boxes.fits[0].shape[1] * 8
    while True:
        (kept,) = np.nonzero(place != LEFT)
        there = np.bincount(place[kept], minlength=many) > 0
        good = requirement.met(rest[kept], place[kept], many)
        if not (there & ~good).any():
            return place
        (moved,) = np.nonzero((place != LEFT) & ~good[place])
        boxes = Boxes(tuple(fit & np.packbits(good) for fit in boxes.fits))
        place[moved] = boxes.first(tuples.codes[:, moved])
