"""How well scores tell two sides apart, with intervals, and what could have been told at all.

Intervals speak of other people of the same kind, given the model that gave the scores. Where
several comparisons are made, each interval is widened so that all hold together at 95 %
(Bonferroni). Detectable is what a test at the same joint level finds in four of five cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.attack.contrast import tell_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

ERROR: Final = 0.05
POWER: Final = 0.8
FEWEST_FALSE: Final = 10
"""False positives to be expected at a rate that is reported: with fewer the rate is chance."""


@dataclass(frozen=True, slots=True)
class Separation:
    """An AUC (0.5 is chance, 1 is always right), its interval, and the smallest detectable one.

    `people` is how many are on the smaller side, each of whom moves the AUC by one part of them.
    """

    auc: float
    low: float
    high: float
    detectable: float
    people: float = inf

    def tell(self, limit: float = inf) -> tuple[float, float, float]:
        """Give the AUC and its interval as they may be told, see `Contrast.tell`."""
        return tell_interval((self.auc, self.low, self.high), self.people, limit)


@dataclass(frozen=True, slots=True)
class TruePositives:
    """The share of members found at a false-positive rate, its interval, the detectable share."""

    rate: float
    found: float
    low: float
    high: float
    detectable: float


def separate(
    positives: NDArray[np.float64], negatives: NDArray[np.float64], comparisons: int = 1
) -> Separation:
    """Give the AUC and its interval, one of `comparisons`; each side has at least two scores."""
    auc, error = estimate_auc(positives, negatives)
    margin = NormalDist().inv_cdf(1 - ERROR / comparisons / 2) * error
    return Separation(
        auc=auc,
        low=max(auc - margin, 0.0),
        high=min(auc + margin, 1.0),
        detectable=find_detectable_auc(in_tens(positives), in_tens(negatives), comparisons),
        people=min(len(positives), len(negatives)),
    )


def in_tens(people: NDArray[np.float64]) -> int:
    """Count people down to tens, so that what would be found does not tell how many they are."""
    return max(len(people) // 10 * 10, 2)


def estimate_auc(
    positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> tuple[float, float]:
    """Give the AUC and its standard error (DeLong, DeLong & Clarke-Pearson 1988), ties at half.

    By ranks (Sun & Xu 2014), in n log n. Each side has at least two scores.
    """
    m, n = len(positives), len(negatives)
    joint = _rank(np.concatenate([positives, negatives]))
    # a positive's share of negatives under it; a negative's share of positives above it
    wins = (joint[:m] - _rank(positives)) / n
    losses = 1 - (joint[m:] - _rank(negatives)) / m
    error = sqrt(wins.var(ddof=1) / m + losses.var(ddof=1) / n)
    return float(wins.mean()), error


def find_detectable_auc(positives: int, negatives: int, comparisons: int = 1) -> float:
    """Give the smallest AUC found with 80 % power by a one-sided 5 % test (Noether 1987).

    Infinite when no AUC up to 1 would be found. Uses the variance under chance, which is the
    larger one: the power is, if anything, understated.
    """
    error = sqrt((positives + negatives + 1) / (12 * positives * negatives))
    quantile = NormalDist().inv_cdf
    detectable = 0.5 + (quantile(1 - ERROR / comparisons) + quantile(POWER)) * error
    return detectable if detectable <= 1 else inf


def supports(rate: float, negatives: int) -> bool:
    """Say whether a false-positive rate can be measured on so many negatives."""
    return rate * negatives >= FEWEST_FALSE


def count_found(
    positives: NDArray[np.float64],
    negatives: NDArray[np.float64],
    rate: float,
    comparisons: int = 1,
) -> TruePositives:
    """Give the share of positives above the negatives' quantile at a rate that they support.

    The interval is exact, and wide, for it covers both that the quantile is estimated (order
    statistics) and the share above it (Clopper & Pearson 1934), each side of each at a quarter of
    the error. Ties count against the attack in the share and its lower end, for it in the upper.
    """
    from scipy.stats import beta, binom

    tail, m = ERROR / comparisons / 4, len(positives)
    ordered = np.sort(negatives)[::-1]
    fewest, most = (int(binom.ppf(q, len(ordered), rate)) for q in (tail, 1 - tail))
    surely = int((positives > ordered[fewest - 1]).sum()) if fewest else 0
    at_most = int((positives >= ordered[min(most, len(ordered) - 1)]).sum())
    return TruePositives(
        rate=rate,
        found=float((positives > ordered[int(rate * len(ordered))]).mean()),
        low=float(beta.ppf(tail, surely, m - surely + 1)) if surely else 0.0,
        high=float(beta.ppf(1 - tail, at_most + 1, m - at_most)) if at_most < m else 1.0,
        detectable=find_detectable_share(in_tens(positives), in_tens(ordered), rate, comparisons),
    )


def find_detectable_share(
    positives: int, negatives: int, rate: float, comparisons: int = 1
) -> float:
    """Give the smallest share of positives found, whose interval lies over the rate in 80 %.

    For a concave curve through the origin, as that of a likelihood ratio is; infinite when even
    all of them would not do.
    """
    from scipy.stats import beta, binom

    tail = ERROR / comparisons / 4
    needed = int(binom.isf(tail, positives, rate)) + 1
    fewest = int(binom.ppf(tail, negatives, rate))
    if needed > positives or not fewest:
        return inf
    share = float(beta.ppf(POWER, needed, positives - needed + 1)) * rate * negatives / fewest
    return share if share <= 1 else inf


def describe_found(found: TruePositives, fewest: float = inf) -> str:
    """Say which share of members is found at a false-positive rate, in steps of ten people's worth.

    `fewest` are the people on the smaller side: one of the others moves the share as much as one
    of the members, where the attack finds no more than by chance.
    """
    share, _, _ = tell_interval((found.found, found.low, found.high), fewest)
    return f"finds {100 * share:.0f} % of the members at {100 * found.rate:g} % false positives"


def _rank(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each score's rank from 1, ties at the mean of their ranks."""
    import pandas as pd

    return np.asarray(pd.Series(scores).rank(), dtype=np.float64)
