"""What a set of values tells that a label does not: each value that it names is somebody's.

A set `a~b` is made of the values that a class has, so a class of n people whose set names m values
has from 1 to n - m + 1 people of each; where m is n, exactly one. Whoever knows the class of a
person and who else is in it can tell the rest apart. No value of a set can be ruled out by the
order in which classes were made, for somebody has it: `downcoding` finds nothing there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from expectations.checks import Check
from expectations.disclosure import Published
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.released import Release

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
    few = (named > 1) & (release.people - named + 1 < release.k)
    return SetMembers(few.any(axis=0), (few & (named == release.people)).any(axis=0))


def judge_sets(outlet: str, found: SetMembers, people: Published) -> Check:
    """Report sets that tell of few people; `people` is how many are the only one of a value."""
    told = bool(found.few.any())
    return Check(
        name=f"sets of {outlet}",
        asked="no set that names values of fewer than k people of a class",
        measured=f"{found.few.mean():.0%} of the classes have a set whose values are of 1 to "
        f"k - 1 people each; {people} people are the only one of a value in their class"
        if told
        else "no set tells",
        verdict=CheckVerdict.WARNED if told else CheckVerdict.PASSED,
        power="a single class; what follows from several classes together is not found",
        remedy="release labels of hierarchies (`output: hierarchy`), or raise k",
        outlet=outlet,
    )
