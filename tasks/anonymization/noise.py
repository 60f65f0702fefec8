"""Noise on numbers, so that one value is ε-locally differentially private per run.

A number is moved into public bounds and onto a public grid, and OpenDP adds discrete Laplace noise
(Canonne, Kamath and Steinke 2020) scaled to the whole range: whoever sees the result can hardly
tell which of two values it came of (local model: Duchi, Jordan and Wainwright 2013). The grid, of
2^20 steps or whole numbers, keeps the noise exact where floating point would not be (Mironov
2012). Protected is the value, not that it is missing: what is missing or not a number stays so.
Noise is fresh in every run, and results may lie beyond the bounds; every run spends ε again.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from expectations.errors import UsageError

STEPS: Final = 2**20
"""Steps of the grid between the bounds of numbers with fractions."""


def add_noise(values: pa.ChunkedArray, low: float, high: float, epsilon: float) -> pa.Array:
    """Clip to the bounds and add Laplace noise of scale (high - low) / ε; integers stay integers.

    Raises UsageError for integers between whose bounds there are not two.
    """
    whole = pa.types.is_integer(values.type)
    numbers = values.cast(pa.float64()).combine_chunks().fill_null(math.nan).to_numpy()
    known = ~np.isnan(numbers)
    if whole:
        low, high = math.ceil(low), math.floor(high)
        if low >= high:
            raise UsageError("noise: the bounds hold fewer than two whole numbers; widen them")
    steps = high - low if whole else STEPS
    unit = (high - low) / steps
    placed = np.rint((np.clip(numbers[known], low, high) - low) / unit).astype(np.int64)
    made = np.zeros(len(numbers), np.int64 if whole else np.float64)
    made[known] = low + unit * sample_around(placed, steps / epsilon)
    return pa.array(made, mask=~known)


def sample_around(places: NDArray[np.int64], scale: float) -> NDArray[np.int64]:
    """Add discrete Laplace noise of `scale` to each whole number, from OpenDP's own randomness."""
    import opendp.prelude as dp

    if len(places) == 0:
        return places
    dp.enable_features("contrib")
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    return np.array(dp.m.make_laplace(domain, dp.l1_distance(T="i64"), scale)(places), np.int64)
