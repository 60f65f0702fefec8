"""Minimality: that a class was made coarser tells why, where a sensitive value was the reason.

Wong et al., "Minimality attack in privacy preserving data publishing" (2007). The algorithm is
public and makes nothing coarser without need; the attacker knows from elsewhere who is in a class
and what their uncovered values are. Where k people lie together one level below and were yet not
released so, those people must have broken the sensitive model: for distinct l-diversity they share
fewer than l values, so for l = 2 all have one value, which is known when only one value of the
class is frequent enough. A recoding may have had other reasons, which an attacker cannot tell
apart: what is reported is what is true of the people, and how much of what is deduced is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from expectations.checks import Check
from expectations.disclosure import Published
from expectations.measures.class_counts import RowClasses, ValueCounts, count_values
from expectations.measures.sensitive_measures import meets, reach
from expectations.policy.privacy_models import DistinctLDiversity, PrivacyModel
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.downcoding import part_labels
from tasks.attack.released import ABSENT, Coverage, People, Release
from tasks.attack.risk import tell

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Minimality:
    """Whose finer class was withheld for a sensitive column, person by person.

    Somebody's value is `deduced` where only one is frequent enough, and `certain` where that is
    true. A person may be withheld in one column and not in another.
    """

    withheld: NDArray[np.bool_]
    deduced: NDArray[np.bool_]
    certain: NDArray[np.bool_]

    @property
    def precision(self) -> float:
        """How many of those of whom a value is deduced have it, 0 to 1."""
        return float(self.certain.sum() / max(self.deduced.sum(), 1))


def find_withheld(
    release: Release,
    people: People,
    sensitive: pd.Series,
    models: Sequence[PrivacyModel],
    coverage: Coverage,
) -> Minimality:
    """Find the people whose class would have been finer but for a sensitive column.

    Every column of the release must be one over which k holds. `sensitive` are the people's values,
    in their order, and `models` what is asked of them. A finer class that meets the models was
    withheld for another reason and is none.
    """
    (there,) = np.nonzero(people.own != ABSENT)
    own, values = people.own[there], sensitive.iloc[there]
    counts = _count_values(own, values, len(release.people))
    binary = any(isinstance(one, DistinctLDiversity) and one.l == 2 for one in models)
    withheld, deduced, certain = (np.zeros(len(people.own), dtype=bool) for _ in range(3))
    for at in range(len(release.columns)):
        part = part_labels(release, at, coverage)[release.rows[at, own], people.codes[at, there]]
        width = len(release.columns[at].known)
        group, place, size = np.unique(own * width + part, return_inverse=True, return_counts=True)
        of = group // width
        large = (size >= release.k) & (size < release.people[of])
        broken = large.copy()
        broken[large] = _breaks(RowClasses(place, size), values, models, np.flatnonzero(large))
        told = large & binary & ((counts[of] >= size[:, None]).sum(axis=1) == 1)
        for flags, parts in ((withheld, broken), (deduced, told), (certain, told & broken)):
            flags[there] |= parts[place]
    return Minimality(withheld, deduced, certain)


def _count_values(own: Codes, values: pd.Series, classes: int) -> Codes:
    """Count each value in each released class, shape (classes, values)."""
    code, distinct = values.factorize(use_na_sentinel=False)
    width = max(len(distinct), 1)
    return np.bincount(own * width + code, minlength=classes * width).reshape(classes, width)


def _breaks(
    parts: RowClasses, values: pd.Series, models: Sequence[PrivacyModel], asked: Codes
) -> list[bool]:
    """Say of some parts, by number, whether one of the models forbids them by themselves."""
    counts = count_values(parts, values)
    end = np.append(counts.start, len(counts.count))
    return [
        any(
            not meets(
                model, reach(_single(counts, number, slice(*end[number : number + 2])), model)
            )
            for model in models
        )
        for number in asked
    ]


def _single(counts: ValueCounts, number: int, of: slice) -> ValueCounts:
    """Give the counts of one part, as if it were the only class."""
    value, count = counts.value[of], counts.count[of]
    first = np.zeros(1, dtype=np.int64)
    size = counts.size[number : number + 1]
    return ValueCounts(first, np.zeros_like(value), value, count, size, counts.share)


def judge_minimality(
    column: str, outlet: str, found: Minimality, people: Published, models: Sequence[PrivacyModel]
) -> Check:
    """Report whose sensitive value follows from the recoding; `people` is how many they are.

    `models` are those that the column is held to, by which classes were made coarser.
    """
    diverse = any("l-diversity" in model.kind for model in models)
    some = "the classes of some people" if found.withheld.any() else "no class"
    right = tell(found.precision, int(found.deduced.sum()))
    told = (
        f"; the value of {people} people follows, and is right for {right} of those for whom it "
        "seems to"
        if found.certain.any()
        else ""
    )
    return Check(
        name=f"minimality of {column} in {outlet}",
        asked="no class that is coarser because of this column, for whoever knows the rest",
        measured=f"{some} would be finer but for it{told}",
        verdict=CheckVerdict.WARNED if found.withheld.any() else CheckVerdict.PASSED,
        power="every class and column, one level below; only distinct l-diversity of 2 makes a "
        "value certain, other models make it likelier",
        remedy=f"ask for {'a larger l' if diverse else 'less'} of {column}, or leave it out",
        outlet=outlet,
    )
