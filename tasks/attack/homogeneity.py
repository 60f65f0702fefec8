"""What a class of equal people, or a set of values, tells about each of its people.

Classes: an attacker who finds the class of a person learns what its people have in common, whatever
k is. Machanavajjhala et al., "l-diversity: privacy beyond k-anonymity" (2007), section 2, and Li et
al., "t-closeness" (2007), section 3. The attacker knows the shares of the whole table beforehand.

Sets: a set `a~b` is made of the values that a class has, so each value that it names is somebody's.
A class of n people whose set names m values has from 1 to n - m + 1 people of each; where m is n,
exactly one. Whoever knows the class of a person and who else is in it can tell the rest apart. No
value of a set can be ruled out by the order in which classes were made, for somebody has it:
`downcoding` finds nothing there.

What follows from several classes together is not found here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.checks import Check
from expectations.disclosure import Published
from expectations.policy.privacy_models import PrivacyModel, say_stricter
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.released import Release
from tasks.attack.risk import tell

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


SURE: Final = 0.9
"""From which share on somebody's value counts as all but known."""


@dataclass(frozen=True)
class Homogeneity:
    """Of one sensitive column: whose value is known, all but known, and the largest gain.

    `known` and `sure` mark rows; a row is `sure` whose value has a share over 0.9 in its class and
    not in the table. `gain` is the largest rise of a value's share from the table to a class, 0 to
    1, and tells of the shares of one class; `ratio` the largest such factor. Not `able` to find
    anything is who knows no column, and where everybody has the same value.
    """

    known: NDArray[np.bool_]
    sure: NDArray[np.bool_]
    gain: float
    ratio: float
    able: bool


def find_homogeneous(frame: pd.DataFrame, known: Sequence[str], sensitive: str) -> Homogeneity:
    """Compare one column's shares in each class of the columns that an attacker knows.

    Without known columns everybody is in one class, of which nothing new is learned.
    """
    import pandas as pd

    if not len(frame):
        nobody = np.zeros(0, dtype=bool)
        return Homogeneity(nobody, nobody, 0.0, 1.0, able=False)
    value, distinct = pd.factorize(frame[sensitive], use_na_sentinel=False)
    group = np.zeros(len(frame), dtype=np.int64)
    if known:
        grouped = frame.groupby(list(known), dropna=False, observed=True, sort=False)
        group = np.asarray(grouped.ngroup(), dtype=np.int64)
    overall = np.bincount(value) / len(frame)
    # One number for each pair of a class and a value.
    cell, place, people = np.unique(
        group * len(distinct) + value, return_inverse=True, return_counts=True
    )
    share = people / np.bincount(group)[cell // len(distinct)]
    before = overall[cell % len(distinct)]
    # Of a value that all people of the table have, no class tells anything new.
    alone = (share == 1) & (before < 1)
    sure = (share > SURE) & (before <= SURE)
    return Homogeneity(
        known=alone[place],
        sure=sure[place],
        gain=float((share - before).max()),
        ratio=float((share / before).max()),
        able=bool(known) and len(distinct) > 1,
    )


def describe_classes(found: Homogeneity, people: tuple[Published, Published]) -> str:
    """Say how many are in classes that share a value, or nearly; that nobody is where it is so."""
    nearly = f"in a class where more than {SURE:.0%} share one, unlike in the table"
    if found.known.any():
        return f"{people[0]} people are in a class that shares one value; {people[1]} are {nearly}"
    if found.sure.any():
        return f"no class shares one value, but {people[1]} people are {nearly}"
    return (
        f"no class shares one value, and in none more than {SURE:.0%} share one that is rarer in "
        "the table"
    )


def judge_homogeneity(
    column: str,
    outlet: str,
    found: Homogeneity,
    people: tuple[Published, Published],
    models: Sequence[PrivacyModel],
) -> Check:
    """Report a column's homogeneity; `people` are how many are known, and all but known.

    `models` are those that the column is held to already.
    """
    told = found.known.any() or found.sure.any()
    nothing = CheckVerdict.PASSED if found.able else CheckVerdict.INCONCLUSIVE
    gain = 100 * float(tell(found.gain, len(found.known)))
    return Check(
        name=f"homogeneity of {column} in {outlet}",
        asked="no class in which everybody shares the value",
        measured=f"{describe_classes(found, people)}; a value is up to {gain:.0f} percentage "
        "points more common in a class than in the whole table, which one would guess by without "
        "it",
        verdict=CheckVerdict.WARNED if told else nothing,
        power="a single class; every row was checked"
        if found.able
        else "nothing: the attacker knows no other column, or all people share one value",
        remedy=f"ask for {say_stricter(models)} of {column}, or leave it out"
        if models
        else "name the column under `sensitive` with l-diversity or t-closeness, or leave it out",
        outlet=outlet,
    )


@dataclass(frozen=True)
class SetMembers:
    """Classes, shape (classes,), in which some set has only values of fewer than k people each.

    `single` are those of them where each value of a set is exactly one person's.
    """

    few: NDArray[np.bool_]
    single: NDArray[np.bool_]


def count_members(release: Release) -> SetMembers:
    """Bound how many people have each value of each set.

    Every column of the release must be one over which k holds: its distinct rows are the classes.
    """
    named = np.array([
        column.width[labels] for column, labels in zip(release.columns, release.rows, strict=True)
    ])  # fmt: skip
    # Each of the other values is at least one person's; so many are left for this one at most.
    few = (named > 1) & (release.people - named + 1 < release.k)
    return SetMembers(few.any(axis=0), (few & (named == release.people)).any(axis=0))


def judge_sets(outlet: str, found: SetMembers, people: Published) -> Check:
    """Report sets that tell of few people; `people` is how many are the only one of a value."""
    told = bool(found.few.any())
    return Check(
        name=f"sets of {outlet}",
        asked="no set with a value of fewer than k people of its class",
        measured=f"in {100 * found.few.mean():.0f} % of the classes each value of a set belongs to "
        f"fewer than k people; {people} people are the only one of their class with a value, so "
        "whoever knows the values of the others learns theirs"
        if told
        else "every value of every set belongs to at least k people",
        verdict=CheckVerdict.WARNED if told else CheckVerdict.PASSED,
        power="a single class; what follows from several classes together is not found",
        remedy="release labels of hierarchies (`output: hierarchy`), or raise k",
        outlet=outlet,
    )
