"""Which classes a tuple fits: per column the leaves that each class takes, as bits.

A plan is an ordered list of such boxes, of labels or of sets of values; a tuple belongs to the
first that it fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEFT = -1
BLOCK = 1024

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Boxes:
    """Per column the classes that take each leaf, as a row of bits, shape (leaves, classes / 8)."""

    fits: tuple[NDArray[np.uint8], ...]

    @classmethod
    def of(cls, takes: Sequence[NDArray[np.bool_]]) -> Boxes:
        """Pack, per column, whether each class takes each leaf, shape (leaves, classes)."""
        # Packed from a transposed array, rows would lie scattered, and each look-up cost tenfold.
        return cls(tuple(np.packbits(np.ascontiguousarray(each), axis=1) for each in takes))

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
                bits[row, own >> 3] &= ~(128 >> (own & 7)).astype(np.uint8)
            byte = (bits != 0).argmax(axis=1)
            first = np.unpackbits(bits[row, byte][:, None], axis=1)
            hit = first.any(axis=1)
            place[start : start + BLOCK][hit] = (byte * 8 + first.argmax(axis=1))[hit]
        return place
