"""What may be told of a comparison: shares made of published counts, the rest in coarse steps.

An exact share of a known number of people is an exact count. So what is told of the people as they
are follows from published counts alone, and weighted shares are told by their distance from the
reference, in steps of as many people as are never told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from math import isinf
from typing import TYPE_CHECKING

from expectations.disclosure import Count, Disclosure, Published
from expectations.measures import standardized_difference
from expectations.population import Margin
from expectations.vocabulary import MISSING
from ledgers.evidence import JSON
from tasks.representation.comparison import ColumnShares, LabelShare, in_steps, wilson_interval

if TYPE_CHECKING:
    import pandas as pd

NOBODY = Count(0)


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """What is told of one label; None where a count is hidden, or nobody is weighted.

    `share` is of the people who have one of the margin's labels, `ratio` it over the reference's,
    between the ends of its 95 % interval. A missing value that has no share in the reference
    stands below the labels, with its number of people alone.
    """

    label: str
    people: str
    role: str
    share: float | None = None
    reference: float | None = None
    difference: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    weighted: float | None = None
    weighted_difference: float | None = None

    def body(self) -> dict[str, JSON]:
        """Give it as the evidence ledger keeps it."""
        return asdict(self)


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
) -> list[LabelFigures]:
    """Give what may be told of one column, label by label in the order of its margin."""
    labels = [counts.get(one.label, NOBODY) for one in shares.labels]
    total = disclosure.publish(add_counts(labels))
    rows = [
        tell_label(one, disclosure.publish(count), total, margin.role)
        for one, count in zip(shares.labels, labels, strict=True)
    ]
    if weighted is not None:
        rows = [
            add_weighted(row, one, shares.people, disclosure.threshold)
            for row, one in zip(rows, weighted.labels, strict=True)
        ]
    if MISSING in counts and MISSING not in margin.shares:
        rows.append(LabelFigures(MISSING, str(disclosure.publish(counts[MISSING])), margin.role))
    return rows


def tell_label(asked: LabelShare, people: Published, total: Published, role: str) -> LabelFigures:
    """Give what follows from a label's published count; nothing but words from a hidden one."""
    figures = LabelFigures(asked.label, str(people), role, reference=round(asked.reference, 4))
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
    figures: LabelFigures, weighted: LabelShare, people: float, threshold: int
) -> LabelFigures:
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
