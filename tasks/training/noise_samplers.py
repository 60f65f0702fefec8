"""Gaussian noise from OpenDP's samplers, which draw from the operating system: never seeded.

Sums over people are whole numbers of grid steps, so the noise is the discrete Gaussian (Canonne,
Kamath & Steinke 2020), with nothing of it lost to floating point (Mironov 2012). Its privacy curve
is that of the continuous Gaussian but for a factor of 1 ± exp(-2π²s²) at a deviation of s steps:
callers keep s above `FINEST`, where that is 1 in every arithmetic.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

FINEST: Final = 2.0**10
"""The least deviation, in grid steps, at which discrete and continuous noise are the same."""


def add_noise_to_sums(sums: NDArray[np.int64], deviation: float) -> NDArray[np.float64]:
    """Add Gaussian noise of `deviation` grid steps to each of `sums`, whatever their shape.

    Raises UsageError for a deviation under `FINEST`.
    """
    if not deviation >= FINEST:
        raise UsageError(f"noise: give a deviation of at least {FINEST:g} steps of the grid")
    drawn = _discrete_gaussian(deviation)(sums.ravel().tolist())
    return np.array(drawn, dtype=np.float64).reshape(sums.shape)


def add_noise(values: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Add Gaussian noise of standard deviation `deviation` to each value, by OpenDP's sampler."""
    return np.array(_gaussian(deviation)(values.tolist()))


@cache
def _discrete_gaussian(deviation: float) -> Callable[[list[int]], Sequence[int]]:
    import opendp.prelude as dp

    # OpenDP's name for measurements whose proof is published but not yet formally vetted
    dp.enable_features("contrib")
    measurement: Callable[[list[int]], Sequence[int]] = dp.m.make_gaussian(
        dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float), scale=deviation
    )
    return measurement


@cache
def _gaussian(deviation: float) -> Callable[[list[float]], Sequence[float]]:
    import opendp.prelude as dp

    dp.enable_features("contrib")
    measurement: Callable[[list[float]], Sequence[float]] = dp.m.make_gaussian(
        dp.vector_domain(dp.atom_domain(T=float, nan=False)),
        dp.l2_distance(T=float),
        scale=deviation,
    )
    return measurement
