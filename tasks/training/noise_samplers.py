"""Gaussian noise from OpenDP's samplers, which draw from the operating system: never seeded.

Sums over people are whole numbers of grid steps, so the noise is the discrete Gaussian (Canonne,
Kamath & Steinke 2020), with nothing of it lost to floating point (Mironov 2012). At a deviation of
s steps its δ for a given ε is a sum in place of the continuous Gaussian's integral, of a function
with one kink: they differ by a share of O(1/s²) (the rectangle rule; the constant for the ε here is
under 10). Callers keep s above `FINEST`, where that is under 1e-7; most stay above 2^20.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

FINEST: Final = 2.0**14
"""The least deviation, in grid steps: discrete noise costs there what continuous noise does."""


def add_noise_to_sums(sums: NDArray[np.int64], deviation: float) -> NDArray[np.float64]:
    """Add Gaussian noise of `deviation` grid steps to each of `sums`, whatever their shape.

    Raises UsageError for a deviation under `FINEST`.
    """
    if not deviation >= FINEST:
        raise UsageError(f"noise: give a deviation of at least {FINEST:g} steps of the grid")
    drawn = _discrete_gaussian(deviation)(sums.ravel().tolist())
    return np.array(drawn, dtype=np.float64).reshape(sums.shape)


@lru_cache(maxsize=8)
def _discrete_gaussian(deviation: float) -> Callable[[list[int]], Sequence[int]]:
    import opendp.prelude as dp

    # OpenDP's name for measurements whose proof is published but not yet formally vetted
    dp.enable_features("contrib")
    measurement: Callable[[list[int]], Sequence[int]] = dp.m.make_gaussian(
        dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float), scale=deviation
    )
    return measurement
