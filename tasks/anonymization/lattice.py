"""All vectors of generalization levels, and the groups of tuples that each would release together.

Used by the searches that list vectors (`cover`, `exchange`); where there are too many
to list, `clusters` finds classes in another way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tasks.anonymization.boxes import Codes
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.tuples import Losses, Tuples, combine, join_ranges


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
        levels, costs = tuples.levels(), tuples.costs
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
        return np.asarray(np.sum(parts, axis=0).round(9))


@dataclass(frozen=True)
class TupleGroups:
    """Tuples with equal labels: each group's cost and vector's number, and all members in a row."""

    cost: Losses
    vector: Codes
    length: Codes
    member: Codes

    @cached_property
    def start(self) -> Codes:
        """Where each group's members start."""
        return np.cumsum(self.length) - self.length

    def where(self, chosen: NDArray[np.bool_]) -> TupleGroups:
        """Keep some of the groups."""
        members = self.member[np.repeat(chosen, self.length)]
        return TupleGroups(self.cost[chosen], self.vector[chosen], self.length[chosen], members)

    def __add__(self, other: TupleGroups) -> TupleGroups:
        """Put the groups of both in a row."""
        return TupleGroups(
            np.concatenate([self.cost, other.cost]),
            np.concatenate([self.vector, other.vector]),
            np.concatenate([self.length, other.length]),
            np.concatenate([self.member, other.member]),
        )


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


def find_groups(
    lattice: Lattice, numbers: Codes, tuples: tuple[Codes, list[Codes]], requirement: Requirement
) -> TupleGroups:
    """Find the groups of these tuples at these vectors that meet the requirement by themselves."""
    rest, parts = tuples
    place, start = sort_by_labels(parts, lattice.vectors[numbers])
    length = np.diff(start, append=len(place))
    people = np.cumsum(requirement.people[rest][place])[start + length - 1]
    large = np.diff(people, prepend=0) >= requirement.k
    start, length = start[large], length[large]
    vector = numbers[start // len(rest)]
    member = rest[place[join_ranges(start, length)]]
    groups = TupleGroups(lattice.cost(vector, rest[place[start]]), vector, length, member)
    if not requirement.sensitive or not len(start):
        return groups
    number = np.repeat(np.arange(len(start)), length)
    return groups.where(requirement.met(member, number, len(start)))
