"""How far apart two shares of people, of several, may be: intervals that hold for all at once.

Pure arithmetic; of whom the shares are is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import sqrt
from statistics import NormalDist
from typing import TypeAlias

Rate: TypeAlias = tuple[float, float]
"""A share of people, 0 to 1, and of how many people it is one."""


def bound_largest_difference(families: Sequence[Sequence[Rate]]) -> tuple[float, float]:
    """Bound the largest difference of two rates of one family with 95 % confidence.

    Every pair has its interval (Newcombe 1998, method 10, of Wilson's) at a level that holds for
    all pairs at once (Bonferroni), since which two differ most is seen only in the data.
    """
    pairs = [pair for family in families for pair in combinations(family, 2)]
    z = NormalDist().inv_cdf(1 - 0.025 / len(pairs))
    bounds = [_bound_difference(one, other, z) for one, other in pairs]
    return max(low for low, _ in bounds), max(high for _, high in bounds)


def _bound_difference(one: Rate, other: Rate, z: float) -> tuple[float, float]:
    """Bound |p - q| by Newcombe's interval of p - q."""
    (q, m), (p, n) = sorted((one, other))
    (p_low, p_high), (q_low, q_high) = _bound_rate(p, n, z), _bound_rate(q, m, z)
    low = p - q - sqrt((p - p_low) ** 2 + (q_high - q) ** 2)
    high = p - q + sqrt((p_high - p) ** 2 + (q - q_low) ** 2)
    return max(low, 0.0), max(high, -low)


def _bound_rate(rate: float, size: float, z: float) -> tuple[float, float]:
    """Give Wilson's interval (1927) of a rate."""
    middle = (rate + z**2 / (2 * size)) / (1 + z**2 / size)
    reach = z / (1 + z**2 / size) * sqrt(rate * (1 - rate) / size + z**2 / (4 * size**2))
    return max(middle - reach, 0.0), min(middle + reach, 1.0)
