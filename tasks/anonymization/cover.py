"""The search behind k-anonymity by local recoding, on integer codes; knows no labels and no files.

A class is a set of distinct tuples released under one vector of generalization levels. Classes are
found in an order: a tuple belongs to the first class that it fits, which is what makes a short
list of labels a complete plan. Called by `tasks.anonymization.search`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.anonymization.boxes import LEFT
from tasks.anonymization.requirement import Requirement

LISTABLE = 200_000
BLOCK = 1 << 16
"""Pairs of a vector and a tuple that are looked at together: they should fit a core's cache."""

Codes = NDArray[np.int64]
Losses = NDArray[np.float64]
Vector = tuple[int, ...]


@dataclass(frozen=True)
class Tuples:
    """Distinct tuples with weights.

    `codes` are leaf codes, shape (columns, tuples); `people` the weights; `groups` per column the
    group codes, shape (levels, leaves); `importance` how much a column's loss counts, 1 if absent.
    """

    codes: Codes
    people: Codes
    groups: tuple[Codes, ...]
    importance: tuple[float, ...] = ()

    def losses(self) -> list[Losses]:
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

    def costs(self) -> list[Losses]:
        """Each tuple's share of the loss in each column, shape (levels, tuples); sums to 0 to 1.

        Rounded, so that the noise of summing in another order breaks no tie.
        """
        weights = np.array(self.importance or [1.0] * len(self.codes))
        shares = weights / max(weights.sum(), 1e-12)
        return [
            (loss[:, codes] * share).round(9)
            for loss, codes, share in zip(self.losses(), self.codes, shares, strict=True)
        ]

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

    def parts(self) -> list[Codes]:
        """Group codes of the tuples per column, shape (levels, tuples)."""
        return [groups[:, codes] for codes, groups in zip(self.codes, self.groups, strict=True)]


@dataclass
class Classes:
    """Classes in the order in which they are tried: the class of each tuple, each one's vector."""

    of: Codes
    vectors: list[Vector] = field(default_factory=list)

    def add(self, members: Codes, vector: Vector) -> None:
        """Release these tuples together, after all classes so far."""
        self.of[members] = len(self.vectors)
        self.vectors.append(vector)


def combine(parts: Sequence[Codes], limit: int = 2**62) -> Codes:
    """Give each place an integer below `limit`, equal exactly where all parts are equal.

    The parts are arrays of one shape. `limit` may not be less than the number of places.
    """
    key, bound = np.zeros_like(parts[0]), 1
    for part in parts:
        size = int(part.max(initial=0)) + 1
        if bound > limit // size:
            number, distinct = pd.factorize(key.ravel())
            key, bound = number.reshape(key.shape), len(distinct)
        key, bound = key * size + part, bound * size
    return key


@dataclass(frozen=True)
class Lattice:
    """All vectors of levels, in the order in which they are looked at.

    `vectors` has the shape (vectors, columns); `bound` is what a vector costs its cheaper quarter
    of the tuples, about the least that any of its groups costs; `costs` as of `Tuples.costs`.
    """

    vectors: Codes
    bound: Losses
    costs: list[Losses]

    @classmethod
    def of(cls, tuples: Tuples) -> Lattice:
        """List the vectors, cheapest first."""
        levels, costs = tuples.levels(), tuples.costs()
        share = tuples.people / max(tuples.people.sum(), 1)
        bound = mean = np.zeros(1)
        for used, cost in zip(levels, costs, strict=True):
            near = np.quantile(cost[used], 0.25, axis=1) if cost.size else np.zeros(len(used))
            bound = np.add.outer(bound, near).ravel()
            mean = np.add.outer(mean, cost[used] @ share).ravel()
        grid = np.stack(np.meshgrid(*levels, indexing="ij"), axis=-1).reshape(-1, len(levels))
        order = np.lexsort((mean.round(6), bound.round(6)))
        return cls(grid[order], bound[order].round(6), costs)

    def cost(self, number: Codes, members: Codes) -> Losses:
        """What each tuple costs under the vector of that number."""
        steps = self.vectors[number].T
        parts = [cost[step, members] for cost, step in zip(self.costs, steps, strict=True)]
        return np.sum(parts, axis=0).round(9)


@dataclass(frozen=True)
class Groups:
    """Tuples with equal labels: each group's cost and vector's number, and all members in a row."""

    cost: Losses
    vector: Codes
    length: Codes
    member: Codes

    def where(self, chosen: NDArray[np.bool_]) -> Groups:
        """Keep some of the groups."""
        members = self.member[np.repeat(chosen, self.length)]
        return Groups(self.cost[chosen], self.vector[chosen], self.length[chosen], members)

    def __add__(self, other: Groups) -> Groups:
        """Put the groups of both in a row."""
        return Groups(
            np.concatenate([self.cost, other.cost]),
            np.concatenate([self.vector, other.vector]),
            np.concatenate([self.length, other.length]),
            np.concatenate([self.member, other.member]),
        )


def cover(tuples: Tuples, requirement: Requirement) -> Classes:
    """Cheapest-first cover.

    From the vector with the least loss on, tuples not yet released are grouped by their labels;
    a group that meets the requirement is released when its turn comes: when no later vector can
    have cheaper ones. What no vector could release (fewer than k people, or a pinned value that
    is too rare) is `LEFT`. A group that is too small never grows again, so each is seen once.
    """
    lattice, rest = Lattice.of(tuples), np.arange(tuples.codes.shape[1])
    classes, held, seen = Classes(np.full(len(rest), LEFT)), None, 0
    parts, vectors = tuples.parts(), lattice.vectors
    while seen < len(vectors) and tuples.people[rest].sum() >= requirement.k:
        numbers = np.arange(seen, min(seen + max(1, BLOCK // len(rest)), len(vectors)))
        seen += len(numbers)
        found = _find_groups(lattice, numbers, (rest, parts), requirement)
        found = found if held is None else held + found
        due = found.cost <= (lattice.bound[seen] if seen < len(vectors) else np.inf)
        _release(found.where(due), lattice, classes, requirement)
        held = found.where(~due)
        stay = np.flatnonzero(classes.of[rest] == LEFT)
        rest, parts = rest[stay], [part.take(stay, axis=1) for part in parts]
    return classes


def sort_by_labels(parts: Sequence[Codes], vectors: Codes) -> tuple[Codes, Codes]:
    """Sort the tuples of `parts`, once per vector, by their labels and then by their place.

    Returns the places, vector after vector, and where each group of equal labels starts.
    """
    places = parts[0].shape[1]
    bits = places.bit_length()
    key = _label_keys(parts, vectors, 2**62 >> bits)
    key <<= bits
    key |= np.arange(places)
    key.sort(axis=1)
    flat = key.ravel()
    place = flat & ((1 << bits) - 1)
    flat >>= bits
    new = np.empty(len(flat), dtype=bool)
    np.not_equal(flat[1:], flat[:-1], out=new[1:])
    new[::places] = True
    return place, np.flatnonzero(new)


def _label_keys(parts: Sequence[Codes], vectors: Codes, limit: int) -> Codes:
    """Number the labels of each tuple at each vector, shape (vectors, tuples)."""
    sizes = [int(part.max()) + 1 for part in parts]
    if math.prod(sizes) > limit:
        labels = [part[level] for part, level in zip(parts, vectors.T, strict=True)]
        return combine(labels, limit)
    key = np.zeros((len(vectors), parts[0].shape[1]), dtype=np.int64)
    scale = 1
    for part, level, size in zip(parts, vectors.T, sizes, strict=True):
        key += (part * scale)[level]
        scale *= size
    return key


def _find_groups(
    lattice: Lattice, numbers: Codes, tuples: tuple[Codes, list[Codes]], requirement: Requirement
) -> Groups:
    """Find the groups of these tuples at these vectors that meet the requirement by themselves."""
    rest, parts = tuples
    place, start = sort_by_labels(parts, lattice.vectors[numbers])
    length = np.diff(start, append=len(place))
    people = np.cumsum(requirement.people[rest][place])[start + length - 1]
    large = np.diff(people, prepend=0) >= requirement.k
    start, length = start[large], length[large]
    vector = numbers[start // len(rest)]
    member = rest[place[_spans(start, length)]]
    groups = Groups(lattice.cost(vector, rest[place[start]]), vector, length, member)
    if not requirement.sensitive or not len(start):
        return groups
    number = np.repeat(np.arange(len(start)), length)
    return groups.where(requirement.met(member, number, len(start)))


def _spans(start: Codes, length: Codes) -> Codes:
    """Put the ranges of these starts and lengths in a row."""
    behind = np.cumsum(length)
    return np.repeat(start - behind + length, length) + np.arange(length.sum())


def _release(
    groups: Groups, lattice: Lattice, classes: Classes, requirement: Requirement
) -> None:
    """Release groups, cheapest first; a later one keeps only members that no earlier one took.

    All groups whose members are claimed by no earlier undecided group are decided at once.
    """
    order = np.lexsort((groups.vector, groups.cost))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    group, member = np.repeat(rank, groups.length), groups.member
    first = np.empty(len(classes.of), dtype=np.int64)
    open_ = classes.of[member] == LEFT
    while open_.any():
        group, member = group[open_], member[open_]
        people = requirement.people[member]
        first[member] = len(order)
        np.minimum.at(first, member, group)
        claimed = np.bincount(group, people * (first[member] == group), len(order))
        full = np.bincount(group, people, len(order))
        small = full < requirement.k
        sure = (claimed == full)[group]
        met = requirement.met(member[sure], group[sure], len(order))
        number = np.cumsum(met) - 1 + len(classes.vectors)
        taken = sure & met[group]
        classes.of[member[taken]] = number[group[taken]]
        vectors = lattice.vectors[groups.vector[order[met]]]
        classes.vectors.extend(map(tuple, vectors.tolist()))
        open_ = ~sure & ~small[group] & (classes.of[member] == LEFT)


def common_vector(tuples: Tuples, members: Codes) -> Vector:
    """Find the finest levels at which all members have the same labels."""
    vector = []
    for codes, groups in zip(tuples.codes[:, members], tuples.groups, strict=True):
        labels = groups[:, codes]
        vector.append(int((labels == labels[:, :1]).all(axis=1).argmax()))
    return tuple(vector)
