"""Ranges and edges of numbers, rounded to steps.

A step is 1, 2 or 5 times a power of ten and about a tenth of the range, so a bound has at most two
significant digits of the range. No end of a range is a number that few have. An edge inside it is a
multiple of a step near a fifth of the rows: where numbers are as coarse as the step (ages), some
person may have that very number, and it tells no more of them than the fifth does.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

SHARES: Final = (0.2, 0.4, 0.6, 0.8)
"""Where edges are looked for: the fifths of the rows."""


def round_outward(
    numbers: NDArray[np.float64], counts: NDArray[np.int64], least: int, finest: float = 0.0
) -> tuple[float, float]:
    """Give multiples of a step at or beyond the lowest and highest number; none is below `finest`.

    A number that fewer than `least` rows hold is no bound, but for 0, below which most quantities
    do not go.
    """
    low, high = float(numbers.min()), float(numbers.max())
    step = max(choose_step(max(high - low, least_width(numbers)) or 1.0), finest)
    few = set(numbers[counts < least].tolist()) - {0.0}
    first, last = math.floor(low / step), math.ceil(high / step)
    while _multiple(first, step) > low or _multiple(first, step) in few:
        first -= 1
    while _multiple(last, step) < high or _multiple(last, step) in few:
        last += 1
    return _multiple(first, step), _multiple(last, step)


def least_width(numbers: NDArray[np.float64]) -> float:
    """Give the width below which multiples of a step would be written alike, in ten digits."""
    return float(np.abs(numbers).max()) * 1e-7


def choose_step(width: float) -> float:
    """Give the smallest of 1, 2 or 5 times a power of ten that is a twentieth of the width."""
    tenth = math.floor(math.log10(width)) - 2
    steps = (float(f"{digit}e{power}") for power in range(tenth, tenth + 3) for digit in (1, 2, 5))
    return next(step for step in steps if step * 20 >= width)


def choose_edges(
    numbers: NDArray[np.float64], counts: NDArray[np.int64], least: int, finest: float = 0.0
) -> tuple[float, ...]:
    """Give multiples of a step near the fifths, with `least` rows or more between each two."""
    order = np.argsort(numbers)
    ordered, reached = numbers[order], np.cumsum(counts[order])
    total = int(reached[-1])
    fifths = ordered[np.searchsorted(reached, [share * total for share in SHARES])]
    spread = float(fifths[-1] - fifths[0]) or float(ordered[-1] - ordered[0])
    if spread == 0:
        return ()
    step = max(choose_step(max(spread, least_width(numbers))), finest)
    edges: list[float] = []
    before = 0
    for edge in sorted({_multiple(round(float(fifth) / step), step) for fifth in fifths}):
        position = int(np.searchsorted(ordered, edge))
        under = int(reached[position - 1]) if position else 0
        if under - before >= least and total - under >= least:
            edges.append(edge)
            before = under
    return tuple(edges)


def _multiple(times: int, step: float) -> float:
    """Give a multiple of the step as it is written, without the dust of binary fractions."""
    return float(f"{times * step:.10g}")
