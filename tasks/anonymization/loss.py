"""What a recoding reached and what it cost, measured on histograms of distinct tuples.

For the person who chooses hierarchies. The check that a release is k-anonymous is not here but in
`expectations.measures.measures`, which shares no code with the recoding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.plan import mark_leaves

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

PEOPLE = "_people"


@dataclass(frozen=True)
class Measures:
    """What a recoding reached and cost.

    `loss` is Iyengar's per column (2002): leaves of the hierarchy under the released label, from 0
    (none but itself) to 1 (all), averaged over people; `ncp` the mean over columns of the same
    with only the data's values as leaves. A suppressed person costs 1 in every column.
    `discernibility` is the mean size of a released person's class: Bayardo and Agrawal, "Data
    privacy through optimal k-anonymization" (2005), section 2.1, by person and without those who
    are suppressed.
    """

    k: int
    suppressed: float
    classes: int
    loss: Mapping[str, float]
    ncp: float
    discernibility: float


def measure(
    released: pd.DataFrame,
    histogram: pd.DataFrame,
    hierarchies: Mapping[str, Hierarchy],
    members: Mapping[str, Mapping[str, Sequence[str]]],
) -> Measures:
    """Compare a histogram with what a plan made of it, under hierarchies of what it was made from.

    `members` are per column and released label the labels that it stands for (`Plan.members`).
    """
    columns = sorted(hierarchies)
    people = histogram[PEOPLE].to_numpy()
    kept = released[PEOPLE].to_numpy()
    # Not 1 - the share kept, which is off in its last digits.
    lost = float((people.sum() - kept.sum()) / people.sum()) if len(people) else 0.0
    sizes = released.groupby(columns, observed=True)[PEOPLE].sum()
    loss, penalty = {}, []
    for column in columns:
        label, categories = released[column].cat.codes, released[column].cat.categories
        weight = np.bincount(label, kept, len(categories)) / max(people.sum(), 1)
        hierarchy, values = hierarchies[column], histogram[column]
        declared, seen = _widths(hierarchy, values, [members[column][name] for name in categories])
        loss[column] = float(lost + weight @ declared)
        penalty.append(lost + weight @ seen)
    return Measures(
        k=int(sizes.min()) if len(sizes) else 0,
        suppressed=lost,
        classes=len(sizes),
        loss=MappingProxyType(loss),
        ncp=float(np.mean(penalty)),
        discernibility=float((sizes.astype(float) ** 2).sum() / max(sizes.sum(), 1)),
    )


def _widths(
    hierarchy: Hierarchy, values: pd.Series, labels: Sequence[Sequence[str]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loss of each label, 0 to 1, with all declared leaves, and with those in the data only."""
    seen = np.bincount(hierarchy.encode(values), minlength=hierarchy.groups.shape[1]) > 0
    declared = seen | (np.arange(len(seen)) < len(hierarchy.levels))
    marked = mark_leaves(hierarchy, [tuple(each) for each in labels])
    found = []
    for counted in (declared, seen):
        leaves = marked[:, counted].sum(axis=1)
        found.append(np.maximum(leaves - 1, 0) / max(counted.sum() - 1, 1))
    return found[0], found[1]
