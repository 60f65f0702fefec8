"""What may be told of a comparison: shares made of published counts, the rest in coarse steps.

An exact share of a known number of people is an exact count. So what is told of the people as they
are follows from published counts alone, and weighted shares are told by their distance from the
reference, in steps of as many people as are never told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import isinf
from typing import TYPE_CHECKING

from expectations.disclosure import Count, Disclosure, Published
from expectations.measures.measures import standardized_difference
from expectations.policy.population import Margin
from expectations.policy.vocabulary import MISSING
from tasks.account.published_people import LabelShares
from tasks.representation.comparison import ColumnShares, LabelShare, in_steps, wilson_interval

if TYPE_CHECKING:
    import pandas as pd

NOBODY = Count(0)


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
    share = min(people.about / total.about, 1.0)
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
