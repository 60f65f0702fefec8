"""Clusters of k people where tuples are nearly all unique, grown among neighbours.

From every tuple a cluster is grown, whoever leaves the most in common next. It is greedy:
`cluster_trades` makes better what stands. Called by `tasks.anonymization.clusters`; knows no order
of classes and no privacy model beyond k.
"""

from __future__ import annotations

import numpy as np

from tasks.anonymization.marks import Flags, Floats, Marks
from tasks.anonymization.neighbours import ROWS, find_neighbours
from tasks.anonymization.tuples import Codes

NEIGHBOURS = 32
"""Tuples that a cluster is grown among, or twice k: more than it needs, as not all fit together."""
FEW_PASSES = 2
"""Over neighbours of neighbours: for a start, trades gain more in the time of further ones."""


def grow(marks: Marks, points: Floats, passes: int = FEW_PASSES) -> Codes:
    """Give each tuple the number of its cluster; every corner needs k people.

    From every tuple a cluster is grown among its neighbours, whoever leaves the most in common
    next. Those that keep most are taken, as far as they are disjoint; the rest grows again, and
    the few who are over join the cluster of a neighbour.
    """
    of = np.full(len(marks.id), -1)
    # k people who are all alike lose nothing, and need nobody.
    alone = np.flatnonzero(marks.people >= marks.k)
    of[alone] = np.arange(len(alone))
    rest = np.flatnonzero(of < 0)
    # Ends: the best offer of each pass is always taken, or there is none.
    while len(rest):
        kept, seed, member = _offer(marks, points, rest, passes)
        taken = _take_disjoint(of, kept, seed, member)
        if not taken:
            break
        rest = rest[of[rest] < 0]
    # Too few for a cluster of their own, or too far from each other.
    for one in rest.tolist():
        (others,) = np.nonzero((marks.corner == marks.corner[one]) & (of >= 0))
        of[one] = of[others[(points[others] @ points[one]).argmax()]]
    return np.unique(of, return_inverse=True)[1]


def _take_disjoint(of: Codes, kept: Floats, seed: Codes, member: Codes) -> int:
    """Number the offers that keep most and share no tuple with a better one; say how many."""
    number = before = int(of.max(initial=-1)) + 1
    for at in np.argsort(-kept.round(5), kind="stable").tolist():
        if of[seed[at]] >= 0:
            continue
        group = member[at]
        group = group[group >= 0]
        if (of[group] < 0).all():
            of[group] = of[seed[at]] = number
            number += 1
    return number - before


def _offer(marks: Marks, points: Floats, rest: Codes, passes: int) -> tuple[Floats, Codes, Codes]:
    """Grow a cluster from each of these tuples: what it keeps, its seed, the others (-1: none)."""
    # Of a corner's rest, fewer than k people can be no cluster.
    rest = rest[np.bincount(marks.corner[rest], marks.people[rest])[marks.corner[rest]] >= marks.k]
    some = marks.where(rest)
    most = max(NEIGHBOURS, 2 * marks.k)
    near, there = find_neighbours(some, points[rest], most, passes)
    kept = np.empty(len(rest), dtype=np.float32)
    chosen = np.empty(near.shape, dtype=bool)
    for start in range(0, len(rest), ROWS):
        rows = np.arange(start, min(start + ROWS, len(rest)))
        kept[rows], chosen[rows] = _grow_boxes(some, rows, near[rows], there[rows])
    full = kept >= 0
    return kept[full], rest[full], np.where(chosen, rest[near], -1)[full]


def _grow_boxes(marks: Marks, seed: Codes, near: Codes, there: Flags) -> tuple[Floats, Flags]:
    """Take the neighbour that leaves most in common until there are k people.

    Returns what each box keeps, -1 for one that stays too small, and which neighbours are in it.
    """
    same = marks.id[near] == marks.id[seed][:, None, :]
    box = marks.worth[marks.id[seed]]
    people = marks.people[seed].copy()
    chosen = ~there
    grows = (people < marks.k) & ~chosen.all(axis=1)
    # Ends: in each turn every box that grows takes one of its neighbours more.
    while grows.any():
        # What the box would still have in common with each neighbour.
        score = np.matmul(same, box[:, :, None])[:, :, 0]
        score[chosen] = -1
        best = score.argmax(axis=1)[grows]
        row = np.flatnonzero(grows)
        chosen[row, best] = True
        people[row] += marks.people[near[row, best]]
        box[row] *= same[row, best]
        grows = (people < marks.k) & ~chosen.all(axis=1)
    kept = np.where(people >= marks.k, box.sum(axis=1), np.float32(-1))
    return kept, chosen & there
