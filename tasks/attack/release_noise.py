"""Whether noise is what a trainer says: each release's scale and shape, and that none repeats.

Noise comes as one array a release, of shape (fits, values), over the deviation that was asked for:
honest noise is standard normal, every value of every fit fresh. The error allowed is parted evenly
among the four questions, and each question's among the releases, or pairs of them, that it is
asked of (Bonferroni): all together err in at most that share of audits of honest noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log, pi, sqrt
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

QUESTIONS: Final = 4
COMPARED: Final = 64
"""Values of each release that are compared with other releases' values, the first ones."""

Noise: TypeAlias = NDArray[np.float64]


def find_noise_faults(
    noise: Sequence[Noise], deviations: Sequence[float], false_alarm: float
) -> Iterator[tuple[int, str]]:
    """Give the place of each release whose noise is not as claimed, and in words what is wrong."""
    each = false_alarm / QUESTIONS / len(noise)
    for place, (drawn, deviation) in enumerate(zip(noise, deviations, strict=True)):
        if not has_scale(drawn, each):
            yield place, f"{measure_scale(drawn):.2f} times the claimed noise"
        elif not has_shape(drawn, each):
            yield place, "noise that is not Gaussian"
        elif repeats(np.rint(drawn * deviation), deviation, each):
            yield place, "the same noise again in another fit"
    for place, earlier in find_dependent(noise, false_alarm / QUESTIONS):
        yield place, f"noise that goes with that of release {earlier + 1}"


def measure_scale(drawn: Noise) -> float:
    """Give the noise's deviation as a multiple of the one that was asked for."""
    return float(np.sqrt(np.mean(drawn**2)))


def has_scale(drawn: Noise, false_alarm: float) -> bool:
    """Tell whether the noise is as long as it should be: its squares are a χ² of their number."""
    from scipy.stats import chi2

    low, high = chi2.ppf([false_alarm / 2, 1 - false_alarm / 2], drawn.size)
    return bool(low <= np.sum(drawn**2) <= high)


def find_least_scale(values: int, releases: int, false_alarm: float, power: float) -> float:
    """Give the share of the claimed noise that is told from all of it, with `power`."""
    from scipy.stats import chi2

    low = chi2.ppf(false_alarm / QUESTIONS / releases / 2, values)
    return sqrt(low / chi2.ppf(power, values))


def has_shape(drawn: Noise, false_alarm: float) -> bool:
    """Tell whether noise is Gaussian, by the farthest gap of its distribution (Massart 1990)."""
    from scipy.stats import norm

    below = norm.cdf(np.sort(drawn, axis=None))
    steps = np.arange(drawn.size + 1) / drawn.size
    gap = max((steps[1:] - below).max(), (below - steps[:-1]).max())
    return bool(gap <= sqrt(log(2 / false_alarm) / (2 * drawn.size)))


def repeats(steps: Noise, deviation: float, false_alarm: float) -> bool:
    """Tell whether more values are equal, to the step, than fresh noise has by chance.

    Two values of a deviation of many steps are equal with probability 1 / (2 √π deviation).
    """
    from scipy.stats import poisson

    equal = steps.size - len(np.unique(steps))
    expected = steps.size**2 / 2 / (2 * sqrt(pi) * deviation)
    return bool(equal and poisson.sf(equal - 1, expected) <= false_alarm)


def find_dependent(noise: Sequence[Noise], false_alarm: float) -> Iterator[tuple[int, int]]:
    """Give each release whose noise goes with an earlier one's, in one fit or the fit before.

    By the correlation of their first values about zero, of which fresh noise has Student's law.
    """
    from scipy.stats import t

    counts = np.array([min(drawn.shape[1], COMPARED) for drawn in noise])
    # of shape (releases, fits, values), 0 where a release has no value
    first = np.zeros((len(noise), len(noise[0]), counts.max()))
    for place, drawn in enumerate(noise):
        first[place, :, : counts[place]] = drawn[:, :COMPARED]
    there = np.arange(counts.max()) < counts[:, None]
    shared = np.minimum.outer(counts, counts) * first.shape[1]
    sizes, where = np.unique(shared, return_inverse=True)
    apart = t.isf(false_alarm / (4 * len(noise) ** 2), sizes - 1)
    limits = (apart / np.sqrt(sizes - 1 + apart**2))[where.reshape(shared.shape)]
    squares = (first**2).sum(1) @ there.T
    for before, pairs in ((0, np.tri(len(noise), k=-1, dtype=bool)), (1, np.ones_like(shared))):
        together = np.tensordot(first, np.roll(first, before, axis=1), axes=([1, 2], [1, 2]))
        found = (np.abs(together) > limits * np.sqrt(squares * squares.T)) & (pairs > 0)
        yield from ((int(place), int(earlier)) for place, earlier in np.argwhere(found))
