"""How far the people selected are from the reference population, and what may be told of it.

Pure: it takes numbers of people (counted, published or weighted) and published shares, and knows
neither how weights were made nor who the people are. The reference's shares are taken as exact.

An exact share of a known number of people is an exact count. So what is told of the people as they
are follows from published counts alone, and weighted shares are told by their distance from the
reference, in steps of as many people as are never told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import isinf, sqrt
from typing import TYPE_CHECKING, Final

from expectations.disclosure import Count, Disclosure, Published, in_steps, rate
from expectations.measures.measures import standardized_difference
from expectations.policy.population import Margin
from expectations.policy.vocabulary import MISSING
from tasks.account.published import LabelShares

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


Z95: Final = 1.959964
"""The 97.5 % quantile of the normal distribution."""
POWER: Final = Z95 + 0.841621
"""With the 80 % quantile: what a two-sided 5 % test finds in four cases of five, in errors."""
NOBODY = Count(0)


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


def count_labels(frame: pd.DataFrame, column: str) -> dict[str, Count]:
    """Count the people of each label; without a value it is `missing`."""
    import pandas as pd

    sizes = frame.groupby(column, observed=True, dropna=False).size()
    names = [MISSING if pd.isna(label) else str(label) for label in sizes.index]
    return {name: Count(int(size)) for name, size in zip(names, sizes, strict=True)}


def add_counts(counts: Iterable[Count]) -> Count:
    """Give the count of all the people who were counted apart."""
    return Count(sum(count.exact for count in counts))


def tell_column(
    shares: ColumnShares,
    margin: Margin,
    counts: Mapping[str, Count],
    disclosure: Disclosure,
    weighted: ColumnShares | None = None,
) -> list[LabelShares]:
    """Give what may be told of one column, label by label in the order of its margin.

    A missing value that has no share in the reference stands below the labels.
    """
    labels = [counts.get(one.label, NOBODY) for one in shares.labels]
    total = disclosure.publish(add_counts(labels))
    rows = [
        tell_label(one, disclosure.publish(count), total)
        for one, count in zip(shares.labels, labels, strict=True)
    ]
    if weighted is not None:
        rows = [
            add_weighted(row, one, shares.people, disclosure.threshold)
            for row, one in zip(rows, weighted.labels, strict=True)
        ]
    if MISSING in counts and MISSING not in margin.shares:
        rows.append(tell_number(MISSING, disclosure.publish(counts[MISSING])))
    return rows


def tell_number(label: str, people: Published, reference: float | None = None) -> LabelShares:
    """Give a label with the number of its people alone, and its share in the reference."""
    return LabelShares(label, str(people), None, reference, *[None] * 6)


def tell_label(asked: LabelShare, people: Published, total: Published) -> LabelShares:
    """Give what follows from a label's published count; nothing but words from a hidden one."""
    figures = tell_number(asked.label, people, round(asked.reference, 4))
    if people.about is None or total.about is None:
        return figures
    share = rate(people, total)
    figures = replace(
        figures,
        share=round(share, 3),
        difference=tell_difference(share, asked.reference),
    )
    if asked.reference == 0:
        return figures
    low, high = wilson_interval(share, total.about)
    return replace(
        figures,
        ratio=round(share / asked.reference, 2),
        ratio_low=round(low / asked.reference, 2),
        ratio_high=round(high / asked.reference, 2),
    )


def add_weighted(
    figures: LabelShares, weighted: LabelShare, people: float, threshold: int
) -> LabelShares:
    """Add the weighted share, told in steps from the reference; not of a hidden label."""
    if figures.share is None:
        return figures
    distance = in_steps(weighted.share - weighted.reference, people, threshold)
    share = min(max(weighted.reference + distance, 0.0), 1.0)
    return replace(
        figures,
        weighted=round(share, 4),
        weighted_difference=tell_difference(share, weighted.reference),
    )


def tell_difference(share: float, reference: float) -> float | None:
    """Give a standardized difference to two digits; None where it is infinite, all against none."""
    difference = float(standardized_difference(share, reference))
    return None if isinf(difference) else round(difference, 2) + 0.0
