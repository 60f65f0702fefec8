"""How the values of groups of people are spread, and whether that meets a privacy model.

Only values that occur are counted: absent ones follow from the sums. Called by
`tasks.anonymization.requirement`; the models' definitions are in `expectations.policy.privacy_models`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expectations.policy.privacy_models import (
    AlphaK,
    BetaLikeness,
    DeltaDisclosure,
    DistinctLDiversity,
    EntropyLDiversity,
    PrivacyModel,
    RecursiveLDiversity,
    TCloseness,
)

TOLERANCE = 1e-9
"""What differs by less is equal: a bound that is just reached holds, a strict one does not."""

Codes = NDArray[np.int64]
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Tally:
    """How many people of each group have each value: only what occurs, by group, then by value.

    Group g's entries in `group`, `value` and `count` begin at `first[g]`.
    """

    group: Codes
    value: Codes
    count: Shares
    first: Codes

    def total(self, entries: Shares) -> Shares:
        """Sum a number of each entry by group."""
        return np.add.reduceat(entries, self.first)

    def worst(self, entries: Shares) -> Shares:
        """Take the largest number of each group's entries."""
        return np.maximum.reduceat(entries, self.first)

    def kinds(self) -> Codes:
        """How many values occur in each group."""
        return np.diff(self.first, append=len(self.group))

    def shares(self) -> Shares:
        """Each entry's share of its group."""
        return self.count / self.total(self.count)[self.group]


def holds(model: PrivacyModel, tally: Tally, table: Shares) -> NDArray[np.bool_]:
    """Whether each group meets one model."""
    match model:
        case DistinctLDiversity(l=least):
            return tally.kinds() >= least
        case EntropyLDiversity(l=least):
            share = tally.shares()
            return -tally.total(share * np.log(share)) >= math.log(least) - TOLERANCE
        case RecursiveLDiversity(c=factor, l=least):
            top, tail = _tails(tally, least)
            return top < factor * tail - TOLERANCE
        case TCloseness(t=most, distance="equal"):
            return equal_distance(tally, table) <= most + TOLERANCE
        case TCloseness(t=most):
            return ordered_distance(tally, table) <= most + TOLERANCE
        case BetaLikeness():
            most_of = share_bound(model, table)[tally.value]
            return tally.worst(tally.shares() - most_of) <= TOLERANCE
        case DeltaDisclosure(delta=most):
            return _disclosed(tally, table) < most - TOLERANCE
        case AlphaK(alpha=most):
            return tally.worst(tally.shares()) <= most + TOLERANCE


def _tails(tally: Tally, least: int) -> tuple[Shares, Shares]:
    """Give r1 and r_l + ... + r_m of each group, its counts r sorted downward."""
    order = np.lexsort((-tally.count, tally.group))
    count = tally.count[order]
    rank = np.arange(len(count)) - tally.first[tally.group]
    return count[tally.first], tally.total(np.where(rank >= least - 1, count, 0.0))


def equal_distance(tally: Tally, table: Shares) -> Shares:
    """Measure the earth mover's distance with all values equally far apart, 0 to 1.

    Half the sum of |p - q|, which is the sum of what p has more than q: absent values add nothing.
    """
    return tally.total(np.maximum(tally.shares() - table[tally.value], 0.0))


def ordered_distance(tally: Tally, table: Shares) -> Shares:
    """Measure the earth mover's distance along the order of the table's values, 0 to 1.

    The sum over values i of |P_i - Q_i|, both cumulated, over (values - 1). From one value that
    occurs to the next, P stays and Q rises, so that each stretch is two differences of Q's sums.
    """
    occurs = table > 0
    values = int(occurs.sum())
    if values < 2:
        return np.zeros(len(tally.first))
    below = np.cumsum(table[occurs])
    sums = np.concatenate([[0.0], np.cumsum(below)])
    start = np.minimum(np.cumsum(occurs) - 1, values - 1)[tally.value].clip(0)
    end = np.append(start[1:], values)
    end[np.append(tally.first[1:], len(end)) - 1] = values
    share = (
        np.cumsum(tally.count) - (np.cumsum(tally.count) - tally.count)[tally.first][tally.group]
    )
    share /= tally.total(tally.count)[tally.group]
    cross = np.clip(np.searchsorted(below, share), start, end)
    far = share * (2 * cross - start - end) + sums[end] + sums[start] - 2 * sums[cross]
    # Before the first value that occurs P is 0, and the distance is Q itself.
    distance: Shares = (tally.total(far) + sums[start[tally.first]]) / (values - 1)
    return distance


def share_bound(model: BetaLikeness, table: Shares) -> Shares:
    """Give the largest share of each value in a class under beta-likeness."""
    if not model.enhanced:
        return np.asarray(table * (1 + model.beta))
    rarity = -np.log(table, where=table > 0, out=np.zeros_like(table))
    return np.asarray(table * (1 + np.minimum(model.beta, rarity)))


def _disclosed(tally: Tally, table: Shares) -> Shares:
    """Give the largest |ln(p / q)| of each group; infinite where a value of the table is absent."""
    known = table[tally.value]
    ratio = np.full(len(known), np.inf)
    np.log(tally.shares() / np.where(known > 0, known, 1.0), out=ratio, where=known > 0)
    return np.where(tally.kinds() < (table > 0).sum(), np.inf, tally.worst(np.abs(ratio)))
