"""How many people it takes to find a model that holds the rows of a few of them.

An attack ranks people, those first whom it is surest of. If it cannot tell who was trained on, the
top of its list holds as large a share of those who were trained on as of others. How much larger a
share must be before that is no chance follows from the numbers of people alone, so `check` can say
it before anything is read. In closed form, without a statistics library: `check` starts fast.
"""

from __future__ import annotations

from math import ceil, inf, log, log1p, sqrt
from typing import Final

from expectations.policy.training import FOUND_AT_MOST

ERROR: Final = 0.01
"""How often a model that keeps the limit exactly may be accused; over all comparisons together."""
ENDS: Final = (1, 3, 10)
"""A list ends with its first, third and tenth of the others: few, so that few held rows show."""
ATTACKS: Final = 4
"""Rankings that are compared, each at every end."""
HELD: Final = 0.1
"""The share of its people of whom a model may be certain unnoticed before a cohort is small."""
_POWER: Final = 0.8416
"""The normal quantile of a power of 80 %."""
_SPARE: Final = 0.9
"""People whom a split drawn by lot, and rounding down to tens, leave of those expected."""


def find_fewest(members: int, others: int, limit: float, comparisons: int) -> int:
    """Give how many members must stand above all others before `limit` is certainly exceeded.

    Were members `limit` times as likely to be there, each would come before the first of the others
    with a chance of `limit * members` in `limit * members + others`.
    """
    return ceil(log(comparisons / ERROR) / log1p(others / (limit * members)))


def find_detectable(
    members: int, others: int, limit: float = FOUND_AT_MOST, comparisons: int = ATTACKS * len(ENDS)
) -> float:
    """Give the share of members of whom a model must be certain to be found with 80 % power.

    Infinite where even all would not do. By the score interval of the share (Wilson 1927).
    """
    fewest = find_fewest(members, others, limit, comparisons)
    if fewest > members:
        return inf
    share, part = (fewest - 0.5) / members, _POWER**2 / members
    spread = _POWER * sqrt(share * (1 - share) / members + part / (4 * members))
    return (share + part / 2 + spread) / (1 + part)


def is_small(members: int, others: int, limit: float = FOUND_AT_MOST) -> bool:
    """Whether a model could be certain of a tenth of its people, and no attack would find it.

    Of whole tens of people, so that the answer does not turn at a single person.
    """
    inside, outside = (max(number // 10 * 10, 2) for number in (members, others))
    return find_detectable(inside, outside, limit) > HELD


def find_enough(test_share: float, limit: float = FOUND_AT_MOST) -> int:
    """Give the number of people, to two digits, from which on a cohort so split is not small."""
    people = 20
    while True:
        inside, outside = (int(_SPARE * share * people) for share in (1 - test_share, test_share))
        if not is_small(inside, outside, limit):
            return people
        people += 10 ** (len(str(people)) - 2)
