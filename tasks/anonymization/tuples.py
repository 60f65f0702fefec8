"""What a search works on: distinct tuples of integer codes, and classes of them in their order.

A class is a set of distinct tuples released under one vector of generalization levels, or under
sets of values. Either way it is a box: per column the leaves that it takes, kept as bits. A tuple
belongs to the first box that it fits, which is what makes a short list of labels a complete plan.
Nothing here knows labels or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LEFT = -1
BLOCK = 1024
"""Tuples looked up at once, so that their rows of bits stay in a core's cache."""

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class OneLeaf:
    """What classes take of a column that is never made coarser: each of them a single leaf."""

    leaf: Codes
    leaves: int

    def pack(self) -> NDArray[np.uint8]:
        """Give the rows of bits without the table of all leaves and classes, eight times as large.

        There may be tens of thousands of both.
        """
        number = np.arange(len(self.leaf))
        bits = np.zeros((self.leaves, -(-len(number) // 8)), dtype=np.uint8)
        # `packbits` puts the first class of eight into the highest bit.
        np.bitwise_or.at(bits, (self.leaf, number >> 3), (128 >> (number & 7)).astype(np.uint8))
        return bits


@dataclass(frozen=True)
class Boxes:
    """Per column the classes that take each leaf, as a row of bits, shape (leaves, classes / 8)."""

    fits: tuple[NDArray[np.uint8], ...]

    @classmethod
    def of(cls, takes: Sequence[NDArray[np.bool_] | OneLeaf]) -> Boxes:
        """Pack, per column, whether each class takes each leaf, shape (leaves, classes)."""
        # Packed from a transposed array, rows would lie scattered, and each look-up cost tenfold.
        return cls(tuple(
            each.pack()
            if isinstance(each, OneLeaf)
            else np.packbits(np.ascontiguousarray(each), axis=1)
            for each in takes
        ))  # fmt: skip

    def first(self, codes: Codes, but: Codes | None = None) -> Codes:
        """Give each tuple, shape (columns, tuples), the first class that it fits, or `LEFT`.

        `but` is a class for each tuple that does not count. A block of tuples at a time.
        """
        place = np.full(codes.shape[1], LEFT)
        for start in range(0, codes.shape[1], BLOCK) if self.fits[0].size else ():
            block = codes[:, start : start + BLOCK]
            bits = self.fits[0][block[0]]
            for fit, leaf in zip(self.fits[1:], block[1:], strict=True):
                bits &= fit[leaf]
            row = np.arange(len(bits))
            if but is not None:
                own = but[start : start + BLOCK]
                # `packbits` puts the first class of eight into the highest bit.
                bits[row, own >> 3] &= ~(128 >> (own & 7)).astype(np.uint8)
            # The first byte that is not 0 holds the first class; only that one is unpacked.
            byte = (bits != 0).argmax(axis=1)
            first = np.unpackbits(bits[row, byte][:, None], axis=1)
            hit = first.any(axis=1)
            place[start : start + BLOCK][hit] = (byte * 8 + first.argmax(axis=1))[hit]
        return place


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
            seen = np.flatnonzero(np.bincount(codes))
            # Sizes in values of the data: what nobody has costs nobody detail.
            sizes = np.array(
                [np.bincount(row[seen], minlength=row.max() + 1)[row] for row in groups]
            )
            found.append((sizes - 1) / max(len(seen) - 1, 1))
        return found

    @cached_property
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

    def lose(self, classes: Classes) -> Losses:
        """What each tuple costs in its class; one that is left over costs 1."""
        own = np.ones(len(classes.of))
        (kept,) = np.nonzero(classes.of != LEFT)
        if len(kept):
            vectors = np.array(classes.vectors, dtype=np.int64)[classes.of[kept]]
            columns = zip(self.costs, vectors.T, strict=True)
            own[kept] = np.sum([cost[levels, kept] for cost, levels in columns], axis=0)
        return own

    def levels(self) -> list[list[int]]:
        """Per column the levels that tell fewer values of the data apart than the one below."""
        found = []
        for codes, groups in zip(self.codes, self.groups, strict=True):
            seen = np.flatnonzero(np.bincount(codes))
            distinct = [np.count_nonzero(np.bincount(row)) for row in groups[:, seen]]
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
    """Classes in the order in which they are tried: the class of each tuple, each one's vector.

    `steps` were made to find them, by a search that counts steps.
    """

    of: Codes
    vectors: list[Vector] = field(default_factory=list)
    steps: int = 0

    def add(self, members: Codes, vector: Vector) -> None:
        """Release these tuples together, after all classes so far."""
        self.of[members] = len(self.vectors)
        self.vectors.append(vector)

    def boxes(self, tuples: Tuples) -> Boxes:
        """Which leaves each class takes in each column; every class has members."""
        vectors = np.array(self.vectors, dtype=np.int64).reshape(-1, len(tuples.codes))
        (kept,) = np.nonzero(self.of != LEFT)
        # Any member stands for its class: all of them have its labels.
        one = np.empty(len(vectors), dtype=np.int64)
        one[self.of[kept]] = kept
        columns = zip(tuples.codes, tuples.groups, vectors.T, strict=True)
        return Boxes.of([
            OneLeaf(codes[one], group.shape[1])
            if len(group) == 1
            else group[v, codes[one]] == group[v].T
            for codes, group, v in columns
        ])  # fmt: skip

    def left(self, tuples: Tuples) -> float:
        """Share of people without a class."""
        return float(tuples.people[self.of == LEFT].sum() / max(tuples.people.sum(), 1))

    def renumber(self, place: Codes) -> Classes:
        """Put each tuple into the class of that number, or `LEFT`; classes left empty are gone."""
        kept, of = place != LEFT, np.full(len(place), LEFT)
        numbers, of[kept] = np.unique(place[kept], return_inverse=True)
        return Classes(of, [self.vectors[number] for number in numbers.tolist()], self.steps)


def combine(parts: Sequence[Codes], limit: int = 2**62) -> Codes:
    """Give each place an integer below `limit`, equal exactly where all parts are equal.

    The parts are arrays of one shape. `limit` may not be less than the number of places.
    """
    key, bound = np.zeros_like(parts[0]), 1
    for part in parts:
        size = int(part.max(initial=0)) + 1
        # Each part is a digit; where they no longer fit, the numbers so far are closed up.
        if bound > limit // size:
            number, distinct = pd.factorize(key.ravel())
            key, bound = number.reshape(key.shape), len(distinct)
        key, bound = key * size + part, bound * size
    return key


def common_vector(tuples: Tuples, members: Codes) -> Vector:
    """Find the finest levels at which all members have the same labels."""
    vector = []
    for codes, groups in zip(tuples.codes[:, members], tuples.groups, strict=True):
        labels = groups[:, codes]
        # Levels are nested: from the finest on which all agree, all agree upward.
        vector.append(int((labels == labels[:, :1]).all(axis=1).argmax()))
    return tuple(vector)


def find_corners(tuples: Tuples) -> Codes:
    """Number tuples by their coarsest labels: what pinned columns keep apart for good."""
    return combine(
        [
            groups[used[-1]][codes]
            for codes, groups, used in zip(
                tuples.codes, tuples.groups, tuples.levels(), strict=True
            )
        ]
    )


def join_ranges(start: Codes, length: Codes) -> Codes:
    """Put the places of these ranges in a row."""
    # The place in the whole row, moved by how far each range starts from where it is put.
    behind = np.cumsum(length)
    return np.repeat(start - behind + length, length) + np.arange(length.sum())
