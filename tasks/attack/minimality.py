"""Minimality: that a class was made coarser tells why, where a sensitive value was the reason.

Wong et al., "Minimality attack in privacy preserving data publishing" (2007). The algorithm is
public and makes nothing coarser without need; the attacker knows from elsewhere who is in a class
and what their uncovered values are. Where k people lie together one level below and were yet not
released so, those people must have broken the sensitive model: for distinct l-diversity they share
fewer than l values, so for l = 2 all have one value, which is known when only one value of the
class is frequent enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from expectations.checks import Check
from expectations.disclosure import Published
from expectations.vocabulary import CheckVerdict
from tasks.attack.downcoding import part_labels
from tasks.attack.released import ABSENT, Coverage, People, Release

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Minimality:
    """Whose finer class was withheld, and whose sensitive value follows, person by person.

    A person may be withheld in one column and not in another.
    """

    withheld: NDArray[np.bool_]
    certain: NDArray[np.bool_]


def find_withheld(
    release: Release, people: People, sensitive: Codes, distinct: int | None, coverage: Coverage
) -> Minimality:
    """Find the people whose class would have been finer but for a sensitive column.

    Every column of the release must be one over which k holds. `sensitive` are codes from 0 of each
    person's value, `distinct` the l of distinct l-diversity, or None for other models, of which
    nothing certain follows.
    """
    (there,) = np.nonzero(people.own != ABSENT)
    own, secret = people.own[there], sensitive[there]
    counts = np.zeros((len(release.people), int(secret.max(initial=0)) + 1), dtype=np.int64)
    np.add.at(counts, (own, secret), 1)
    withheld, certain = (np.zeros(len(people.own), dtype=bool) for _ in range(2))
    for at in range(len(release.columns)):
        part = part_labels(release, at, coverage)[release.rows[at, own], people.values[at, there]]
        group, place, size = np.unique(
            own * len(release.columns[at].known) + part, return_inverse=True, return_counts=True
        )
        of = group // len(release.columns[at].known)
        large = (size >= release.k) & (size < release.people[of])
        enough = (counts[of] >= size[:, None]).sum(axis=1)
        withheld[there] |= large[place]
        certain[there] |= (large & (enough == 1))[place] & (distinct == 2)
    return Minimality(withheld, certain)


def judge_minimality(column: str, outlet: str, found: Minimality, people: Published) -> Check:
    """Report whose sensitive value follows from the recoding; `people` is how many they are."""
    some = "the classes of some people" if found.withheld.any() else "no class"
    told = f"; the value of {people} people follows" if found.certain.any() else ""
    return Check(
        name=f"minimality of {column} in {outlet}",
        asked="no class that is coarser because of this column, for whoever knows the rest",
        measured=f"{some} would be finer but for it{told}",
        verdict=CheckVerdict.WARNED if found.withheld.any() else CheckVerdict.PASSED,
        power="every class and column, one level below; only distinct l-diversity of 2 makes a "
        "value certain, other models make it likelier",
        remedy="ask for a larger l, or leave the column out",
        outlet=outlet,
    )
