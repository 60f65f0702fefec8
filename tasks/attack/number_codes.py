"""Numbers as the search of a model's file compares them: by their first binary digits, hashed.

What was rounded on the way, to a lesser precision or by scaling back and forth, has the same code.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes: TypeAlias = NDArray[np.uint64]
    Figures: TypeAlias = NDArray[np.float64]
    Places: TypeAlias = NDArray[np.int64]

HALF, SINGLE, DOUBLE, EXACT = 10, 12, 16, 40
"""Binary digits by which numbers of a precision are compared: what is left of them, whatever was
rounded on the way; of one number by itself, most of what double precision has."""
ODD, OTHER_ODD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
SEED: Final = 20261201
"""It seeds no noise that protects anybody."""


def read_codes(values: NDArray[np.generic], digits: int) -> Codes:
    """Give each number by its sign, its exponent and its first binary digits, rounded."""
    figures = values.astype(np.float64)
    # One zero, and one number that is none.
    figures = np.where(np.isnan(figures), np.nan, figures + 0.0)
    bits = np.ascontiguousarray(figures).view(np.uint64)
    shift = np.uint64(52 - digits)
    half = (np.uint64(1) << (shift - np.uint64(1))) - np.uint64(1)
    return (bits + half + ((bits >> shift) & np.uint64(1))) >> shift


def find_digits(values: NDArray[np.generic]) -> int:
    """Say by how many digits numbers are compared: as the precision has that they fit in."""
    figures = values.astype(np.float64)
    for kind, digits in ((np.float16, HALF), (np.float32, SINGLE)):
        with np.errstate(over="ignore", invalid="ignore"):
            if np.array_equal(figures.astype(kind).astype(np.float64), figures, equal_nan=True):
                return digits
    return DOUBLE


def mix(codes: Codes) -> Codes:
    """Spread codes over 64 bits."""
    with np.errstate(over="ignore"):
        mixed = (codes + np.uint64(1)) * ODD
        mixed ^= mixed >> np.uint64(29)
        mixed *= OTHER_ODD
        return mixed ^ (mixed >> np.uint64(32))


@cache
def draw_weights(width: int) -> list[np.uint64]:
    """Draw what spread codes are multiplied with, by their places in a row: odd numbers."""
    drawn = np.random.default_rng(SEED).integers(0, 2**64, width, dtype=np.uint64)
    return list(drawn | np.uint64(1))


def hash_rows(codes: Codes) -> Codes:
    """Give one number for each row."""
    made = np.zeros(len(codes), dtype=np.uint64)
    for place, weight in enumerate(draw_weights(codes.shape[1])):
        made += mix(codes[:, place]) * weight
    return made


def hash_windows(codes: Codes, width: int, starts: Places) -> Codes:
    """Give the number that `hash_rows` would give of each run of codes from a start."""
    made = np.zeros(len(starts), dtype=np.uint64)
    mixed = mix(codes)
    for place, weight in enumerate(draw_weights(width)):
        made += mixed[starts + place] * weight
    return made


def keep_long(values: NDArray[np.generic]) -> Figures:
    """Keep the numbers that have many digits, as no step, share or place of a label has."""
    figures = values.astype(np.float64)
    figures = figures[np.isfinite(figures)]
    bits = np.ascontiguousarray(figures).view(np.uint64)
    kept: Figures = figures[bits & np.uint64((1 << 32) - 1) != 0]
    return kept
