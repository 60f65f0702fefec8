"""The search behind k-anonymity by local recoding, on integer codes; knows no labels and no files.

A class is a set of distinct tuples released under one vector of generalization levels. Classes are
found in an order: a tuple belongs to the first class that it fits, which is what makes a short
list of labels a complete plan. Called by `tasks.anonymization.recoding` only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LISTABLE = 200_000
LEFT = -1

Codes = NDArray[np.int64]
Vector = tuple[int, ...]


@dataclass(frozen=True)
class Tuples:
    """Distinct tuples with weights.

    `codes` are leaf codes, shape (columns, tuples); `people` the weights; `groups` per column the
    group codes, shape (levels, leaves).
    """

    codes: Codes
    people: Codes
    groups: tuple[Codes, ...]

    def losses(self) -> list[NDArray[np.float64]]:
        """Loss of each leaf's label per column, shape (levels, leaves), from 0 (itself) to 1 (all).

        (values of the data under the label - 1) / (values of the data - 1): the normalized
        certainty penalty of Xu et al., "Utility-based anonymization using local recoding" (2006).
        """
        found = []
        for codes, groups in zip(self.codes, self.groups, strict=True):
            seen = np.unique(codes)
            sizes = np.array(
                [np.bincount(row[seen], minlength=row.max() + 1)[row] for row in groups]
            )
            found.append((sizes - 1) / max(len(seen) - 1, 1))
        return found

    def levels(self) -> list[list[int]]:
        """Per column the levels that tell fewer values of the data apart than the one below."""
        found = []
        for codes, groups in zip(self.codes, self.groups, strict=True):
            distinct = [len(np.unique(row)) for row in groups[:, np.unique(codes)]]
            found.append(
                [
                    level
                    for level, count in enumerate(distinct)
                    if level == 0 or count < distinct[level - 1]
                ]
            )
        return found


@dataclass
class Classes:
    """Classes in the order in which they are tried: the class of each tuple, each one's vector."""

    of: Codes
    vectors: list[Vector] = field(default_factory=list)

    def add(self, members: Codes, vector: Vector) -> None:
        """Release these tuples together, after all classes so far."""
        self.of[members] = len(self.vectors)
        self.vectors.append(vector)


def combine(parts: list[Codes]) -> Codes:
    """Give each tuple an integer, equal exactly where all parts are equal."""
    key, bound = np.zeros(len(parts[0]), dtype=np.int64), 1
    for part in parts:
        size = int(part.max(initial=0)) + 1
        if bound > 2**62 // size:
            key, distinct = pd.factorize(key)
            bound = len(distinct)
        key, bound = key * size + part, bound * size
    return key


def search(tuples: Tuples, k: int) -> Classes:
    """Find classes of k or more people with little loss.

    Exhaustive over the lattice's vectors by `cover`; a lattice of more than 200,000 vectors is not
    listed but descended by `descend`, which loses more (on Adult's eight columns 0.093 for 0.055)
    and slow: 6,000 distinct tuples of 24 columns took some 4 seconds of one core.
    """
    levels = tuples.levels()
    listable = math.prod(map(len, levels)) <= LISTABLE
    return cover(tuples, k, levels) if listable else descend(tuples, k, levels)


def cover(tuples: Tuples, k: int, levels: list[list[int]]) -> Classes:
    """Cheapest-first cover.

    From the vector with the least average loss on, tuples not yet released are grouped by their
    labels at that vector; groups of k or more are released under it, the rest goes on. What no
    vector could release (fewer than k people, or a pinned value that is too rare) is `LEFT`.
    """
    classes = Classes(np.full(tuples.codes.shape[1], LEFT))
    rest = np.arange(tuples.codes.shape[1])
    people, parts = tuples.people, _parts(tuples, rest)
    for vector in _by_loss(tuples, levels):
        if people.sum() < k:
            break
        key = combine([part[level] for part, level in zip(parts, vector, strict=True)])
        group, distinct = pd.factorize(key)
        large = np.bincount(group, people, len(distinct)) >= k
        hit = large[group]
        if hit.any():
            number = np.cumsum(large) - 1
            classes.of[rest[hit]] = number[group[hit]] + len(classes.vectors)
            classes.vectors.extend([vector] * int(large.sum()))
            stay = np.flatnonzero(~hit)
            rest, people = rest[stay], people[stay]
            parts = [part.take(stay, axis=1) for part in parts]
    return classes


def _parts(tuples: Tuples, which: Codes) -> list[Codes]:
    """Group codes of some tuples per column, shape (levels, tuples)."""
    return [
        groups[:, codes[which]] for codes, groups in zip(tuples.codes, tuples.groups, strict=True)
    ]


def _by_loss(tuples: Tuples, levels: list[list[int]]) -> Iterator[Vector]:
    """All vectors of levels, cheapest first by their average loss over the people."""
    mean = []
    for codes, loss, used in zip(tuples.codes, tuples.losses(), levels, strict=True):
        weight = np.bincount(codes, tuples.people, loss.shape[1])
        mean.append((loss @ weight)[used])
    vectors = list(itertools.product(*levels))
    total = np.array([0.0])
    for column in mean:
        total = np.add.outer(total, column).ravel()
    # Rounded, so that the noise of summing in another order breaks no tie.
    return (vectors[place] for place in np.argsort(total.round(6), kind="stable"))


@dataclass(frozen=True)
class Steps:
    """Every (column, level) that a tree may step down to, its groups numbered through.

    `place` gives per column, step and leaf the group's number; `column` and `drop` per group its
    column and the loss that one person saves by stepping down to it.
    """

    place: Codes
    column: Codes
    drop: NDArray[np.float64]

    @classmethod
    def of(cls, tuples: Tuples, levels: list[list[int]]) -> Steps:
        """Number the groups of all steps but the coarsest."""
        shape = (len(levels), max(map(len, levels)), max(g.shape[1] for g in tuples.groups))
        place, columns, drops = np.zeros(shape, dtype=np.int64), [np.zeros(0, np.int64)], []
        for at, (groups, loss) in enumerate(zip(tuples.groups, tuples.losses(), strict=True)):
            for step, (near, far) in enumerate(itertools.pairwise(levels[at])):
                place[at, step, : groups.shape[1]] = groups[near] + sum(map(len, columns))
                drop = np.zeros(groups[near].max() + 1)
                drop[groups[near]] = loss[far] - loss[near]
                columns.append(np.full(len(drop), at))
                drops.append(drop)
        return cls(place, np.concatenate(columns), np.concatenate([*drops, np.zeros(0)]))

    def best(self, tuples: Tuples, k: int, members: Codes, steps: Codes) -> int | None:
        """Choose the column whose next step saves a node's people the most, if any can step."""
        able = np.flatnonzero(steps)
        groups = self.place[able[:, None], steps[able, None] - 1, tuples.codes[able][:, members]]
        people = np.tile(tuples.people[members], len(able))
        count = np.bincount(groups.ravel(), people, len(self.column))
        large, width = count >= k, len(steps)
        small = np.bincount(self.column, count * ~large, width)
        # With a remainder of fewer than k the smallest child must stay.
        order = np.argsort(np.where(large, count, np.inf), kind="stable")
        least = order[np.unique(self.column[order], return_index=True)[1]]
        large[least[((small > 0) & (small < k))[self.column[least]]]] = False
        saved = np.bincount(self.column, count * large * self.drop, width)
        gain = np.where(np.bincount(self.column, large, width) > 0, saved, -1)
        return int(gain.argmax()) if gain.max() >= 0 else None


def descend(tuples: Tuples, k: int, levels: list[list[int]]) -> Classes:
    """Top-down specialization into a tree, for lattices too large to list.

    Each node splits on the column whose next finer level saves the most loss in children of k or
    more people; small children stay together under the labels that they have in common.
    """
    every = np.arange(tuples.codes.shape[1])
    top = np.array([len(used) - 1 for used in levels])
    able, found = Steps.of(tuples, levels), []
    nodes = [
        (members, top)
        for members in _split(_corner(tuples, levels), every)
        if tuples.people[members].sum() >= k
    ]
    while nodes:
        members, steps = nodes.pop()
        column = able.best(tuples, k, members, steps)
        if column is None:
            found.append(members)
            continue
        stay, children = _specialize(
            tuples, k, members, (column, levels[column][steps[column] - 1])
        )
        finer = steps - (np.arange(len(steps)) == column)
        nodes.extend((child, finer) for child in children)
        if len(stay):
            found.append(stay)
    classes = Classes(np.full(len(every), LEFT))
    # A node's remainder fits no class below the node, so those must be tried first.
    for members in reversed(found):
        classes.add(members, common_vector(tuples, members))
    return classes


def _corner(tuples: Tuples, levels: list[list[int]]) -> Codes:
    """Number tuples by their coarsest labels: what pinned columns keep apart for good."""
    return combine(
        [
            groups[used[-1]][codes]
            for codes, groups, used in zip(tuples.codes, tuples.groups, levels, strict=True)
        ]
    )


def _split(key: Codes, members: Codes) -> list[Codes]:
    """Part the members by their key."""
    group, distinct = pd.factorize(key)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=len(distinct)))[:-1]
    return np.split(members[order], ends)


def _specialize(
    tuples: Tuples, k: int, members: Codes, to: tuple[int, int]
) -> tuple[Codes, list[Codes]]:
    """Part a node at one (column, level) into those who stay and its children of k or more.

    Fewer than k may not stay alone: the smallest child then stays with them.
    """
    column, level = to
    group, distinct = pd.factorize(tuples.groups[column][level][tuples.codes[column, members]])
    count = np.bincount(group, tuples.people[members], len(distinct))
    large = count >= k
    if large.any() and 0 < count[~large].sum() < k:
        large[np.where(large, count, np.inf).argmin()] = False
    goes = large[group]
    return members[~goes], _split(group[goes], members[goes])


def common_vector(tuples: Tuples, members: Codes) -> Vector:
    """Find the finest levels at which all members have the same labels."""
    vector = []
    for codes, groups in zip(tuples.codes[:, members], tuples.groups, strict=True):
        labels = groups[:, codes]
        vector.append(int((labels == labels[:, :1]).all(axis=1).argmax()))
    return tuple(vector)


def rescue(tuples: Tuples, classes: Classes) -> None:
    """Let what is left over join the last class that pinned columns allow, under common labels.

    Afterwards only those are left who share their pinned values with fewer than k people. The
    last such class is taken because its members fit no class after it.
    """
    corner = _corner(tuples, tuples.levels())
    for value in np.unique(corner[classes.of == LEFT]):
        here = np.flatnonzero(corner == value)
        last = classes.of[here].max()
        if last != LEFT:
            members = here[np.isin(classes.of[here], (last, LEFT))]
            classes.add(members, common_vector(tuples, members))
