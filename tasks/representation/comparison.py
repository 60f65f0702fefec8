"""How far the people selected are from the population that is meant, label by label.

Pure: it takes numbers of people (counted, published or weighted) and published shares, and knows
neither how weights were made nor who the people are. The reference's shares are taken as exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Final

from expectations.disclosure import find_step
from expectations.measures.measures import standardized_difference
from expectations.policy.population import Margin
from expectations.policy.vocabulary import MISSING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

Z95: Final = 1.959964
"""The 97.5 % quantile of the normal distribution."""
POWER: Final = Z95 + 0.841621
"""With the 80 % quantile: what a two-sided 5 % test finds in four cases of five, in errors."""


@dataclass(frozen=True, slots=True)
class LabelShare:
    """One label's share of the people beside its share in the reference.

    `difference` is the standardized difference (Austin 2009): the shares' difference in standard
    deviations, which the number of people does not change.
    """

    label: str
    share: float
    reference: float
    difference: float


@dataclass(frozen=True, slots=True)
class ColumnShares:
    """The labels of one column, in the order of the margin, and how many people have one."""

    column: str
    labels: tuple[LabelShare, ...]
    people: float

    @property
    def drift(self) -> float:
        """The share of the people who would need another label for all shares to be met, 0 to 1.

        Half the sum of the absolute differences: the index of dissimilarity (Duncan & Duncan
        1955), known as total variation distance. Unlike a population stability index or a
        relative entropy it has a meaning in people, and a label without anybody does not make it
        infinite.
        """
        return sum(abs(one.share - one.reference) for one in self.labels) / 2

    @property
    def farthest(self) -> LabelShare:
        """The label whose standardized difference is the largest."""
        return max(self.labels, key=lambda one: abs(one.difference))


def compare_column(column: str, people: Mapping[str, float], margin: Margin) -> ColumnShares:
    """Compare how many people have each label with the margin's shares.

    Only the margin's labels count: who has none of them (a missing value, where `missing` has no
    share) is neither in the shares nor in their total.
    """
    counted = {label: float(people.get(label, 0.0)) for label in margin.shares}
    total, whole = sum(counted.values()), sum(margin.shares.values())
    labels = []
    for label, asked in margin.shares.items():
        share, reference = counted[label] / max(total, 1e-9), asked / whole
        difference = float(standardized_difference(share, reference))
        labels.append(LabelShare(label, share, reference, difference))
    return ColumnShares(column, tuple(labels), total)


def add_up_labels(
    values: pd.Series, weights: NDArray[np.float64] | NDArray[np.uint64]
) -> dict[str, float]:
    """Add up the people's weights by label; who has no value counts as `missing`."""
    import pandas as pd

    sums = pd.Series(weights, index=values.index).groupby(values, observed=True, dropna=False).sum()
    return {MISSING if pd.isna(label) else str(label): sums[label] for label in sums.index}


def wilson_interval(share: float, people: float) -> tuple[float, float]:
    """Give the 95 % interval of a share of so many people (Wilson 1927), within 0 to 1."""
    if people <= 0:
        return 0.0, 1.0
    square = Z95**2 / people
    middle = (share + square / 2) / (1 + square)
    margin = Z95 * sqrt(share * (1 - share) / people + square / (4 * people)) / (1 + square)
    return max(middle - margin, 0.0), min(middle + margin, 1.0)


def detectable_difference(people: float) -> float:
    """Give the standardized difference that so many people tell from chance with 80 % power.

    By a two-sided 5 % test of one share against a known one, whose error is 1 / sqrt(people) in
    standard deviations, whatever the share.
    """
    return POWER / sqrt(max(people, 1e-9))


def in_steps(share: float, people: float, threshold: int) -> float:
    """Round a share of people to steps that stand for `threshold` of them or more.

    With all its digits it would be an exact count, and in steps made for the number of people it
    would tell that number.
    """
    step = find_step(people, threshold)
    return round(1e3 * share / step) * step / 1e3
