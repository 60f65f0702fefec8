"""Labels of tuples that are nearly all unique, laid out so that likeness is an inner product.

What a cluster of tuples keeps is the sum of what its members have in common: per column the finest
label that all of them share. `Marks` numbers the labels; `project` places tuples in so few numbers
that whole tables can be looked through.

All is counted in whole numbers, kept in single precision: sums of whole numbers below 2^24 are
exact there, in whatever order a processor adds them up. So a search by products of matrices finds
the same on another machine. Called by the modules of clusters; knows no clusters but as numbers.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.anonymization.tuples import Codes, Tuples

UNIT = 1 << 16
"""What all detail of one column is worth: that of 255 columns sums below 2^24."""
DIMENSIONS = 48
"""Axes of the projection: neighbours are looked for in so few numbers, not in all labels."""
SAMPLE = 8_000
WIDEST = 800
"""Tuples and labels that the projection is made from."""
FINEST = 1 << 10
"""Steps of an axis: a tuple's some hundred labels, added up, are far below 2^24."""
FARTHEST = 511
"""Largest place on an axis: a product over 48 axes is then below 2^24."""

Ids = NDArray[np.int32]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Marks:
    """The labels of each tuple below the coarsest, numbered over all columns and levels.

    `id` has the shape (tuples, marks), at least one mark; `worth` is what sharing the label of that
    number gains over sharing only the next coarser one: a share of the column's values, times its
    importance, in whole units. Tuples of different `corner` can never be put together.
    """

    id: Ids
    worth: Floats
    people: Floats
    corner: Codes
    k: int

    @classmethod
    def of(cls, tuples: Tuples, corner: Codes, k: int) -> Marks:
        """Number the labels of all used levels."""
        # One mark that all share and that is worth nothing: there may be no other.
        ids, worth, offset = [np.zeros(tuples.codes.shape[1])], [np.zeros(1, np.float32)], 1
        importance = tuples.importance or (1.0,) * len(tuples.codes)
        columns = zip(tuples.codes, tuples.groups, tuples.levels(), importance, strict=True)
        for codes, groups, used, weight in columns:
            seen = np.unique(codes)
            sizes = [np.bincount(row[seen], minlength=row.max() + 1)[row] for row in groups]
            for low, high in itertools.pairwise(used):
                gained = np.zeros(int(groups[low].max()) + 1, dtype=np.float32)
                # Granularity: the share of the column's values that the coarser label would add.
                gained[groups[low]] = np.rint(
                    (sizes[high] - sizes[low]) * (weight / len(seen) * UNIT)
                )
                ids.append(groups[low][codes] + offset)
                worth.append(gained.clip(0))
                offset += len(gained)
        id_ = np.array(ids, dtype=np.int32).T
        return cls(
            np.ascontiguousarray(id_),
            np.concatenate(worth),
            tuples.people.astype(np.float32),
            corner,
            k,
        )

    def where(self, members: Codes | Flags) -> Marks:
        """Keep some of the tuples."""
        people, corner = self.people[members], self.corner[members]
        return Marks(self.id[members], self.worth, people, corner, self.k)

    def kept(self, of: Codes) -> tuple[NDArray[np.float64], Codes]:
        """What each cluster's labels keep, and its people; clusters are numbered without gaps."""
        order = np.argsort(of, kind="stable")
        size = np.bincount(of)
        start = np.cumsum(size) - size
        ids = self.id[order]
        # All members share a label where the least and the greatest number are the same.
        low = np.minimum.reduceat(ids, start, axis=0)
        agree = low == np.maximum.reduceat(ids, start, axis=0)
        people = np.bincount(of, self.people).astype(np.int64)
        return (agree * self.worth[low]).sum(axis=1, dtype=np.float64).round(5), people


def project(marks: Marks) -> Floats:
    """Place tuples so that inner products come near to what two of them would keep together.

    The principal axes of the labels' one-hot code, found on a sample, shape (tuples, axes), the
    one that matters most first; whole numbers.
    """
    sample = marks.id[:: max(1, len(marks.id) // SAMPLE)]
    share = np.bincount(sample.ravel(), minlength=len(marks.worth)) / len(sample)
    widest = np.argsort(-marks.worth * share, kind="stable")[:WIDEST]
    coded = _one_hot(marks, sample, widest)
    # With roots, the product of two tuples is the worth of the labels that they share.
    root = np.sqrt(marks.worth[widest].astype(np.float64))
    # Counts are whole numbers, and so exact. Not centred: the product itself is to be kept.
    _, axes = np.linalg.eigh((coded.T @ coded) * np.outer(root, root))
    axes = axes[:, ::-1][:, :DIMENSIONS]
    # An axis has no direction of its own: its largest entry decides.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    axes *= root[:, None]
    # Rounded here, so that what follows is exact and last digits of the axes are of no account.
    axes = np.rint(axes * (FINEST / max(np.abs(axes).max(initial=0), 1e-9))).astype(np.float32)
    starts = range(0, len(marks.id), SAMPLE)
    blocks = [_one_hot(marks, marks.id[at : at + SAMPLE], widest) @ axes for at in starts]
    points = np.concatenate(blocks)
    coarser = max(float(np.abs(points).max(initial=0)) / FARTHEST, 1.0)
    return np.trunc(points / np.float32(coarser))


def _one_hot(marks: Marks, ids: Ids, widest: Codes) -> Floats:
    """Which labels each tuple has, in a column for each of the widest."""
    place = np.full(len(marks.worth), len(widest), dtype=np.int32)
    place[widest] = np.arange(len(widest))
    coded = np.zeros((len(ids), len(widest) + 1), dtype=np.float32)
    np.put_along_axis(coded, place[ids], np.float32(1), axis=1)
    return coded[:, :-1]
