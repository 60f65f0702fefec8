"""Membership inference within groups: whether a model keeps most people's secret and not a group's.

Every group of an audit column is attacked by itself, its members against its own non-members, with
intervals that hold together over all groups of all columns. A group with fewer people on either
side than the smallest cohort is not attacked, nor named: its figures would be about single people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.contrast import join_verdicts
from tasks.attack.separation import Separation, separate

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class GroupSeparation:
    """How well an attack told one group's members from its non-members."""

    column: str
    group: str
    separation: Separation

    def verdict(self, limit: float) -> CheckVerdict:
        """Judge against the largest AUC that is allowed.

        Refused where the group leaks more than the limit for certain (the whole interval is over
        it); without power, or where neither is certain, inconclusive. Less strict than for
        everybody, as many small groups would each have their bad luck.
        """
        found = self.separation
        if found.low > limit:
            return CheckVerdict.REFUSED
        if found.high <= limit and found.detectable <= limit:
            return CheckVerdict.PASSED
        return CheckVerdict.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class AttackedGroups:
    """Every group that was attacked, by column and label, and how many were too small for it."""

    attacked: tuple[GroupSeparation, ...] = ()
    too_small: int = 0

    def find_worst(self, limit: float) -> GroupSeparation | None:
        """Give the group that may leak most, of those that are refused if there are any."""
        return max(
            self.attacked,
            key=lambda one: (one.separation.low > limit, one.separation.high),
            default=None,
        )

    def verdict(self, limit: float) -> CheckVerdict:
        """Refused if any group is; passed if all are, of at least one; else inconclusive."""
        return join_verdicts(group.verdict(limit) for group in self.attacked)


def separate_groups(
    scores: NDArray[np.float64], member: NDArray[np.bool_], columns: pd.DataFrame, smallest: int
) -> AttackedGroups:
    """Attack each group with at least `smallest` people (2 or more) on either side.

    `scores`, `member` and the rows of `columns` are aligned by position. People without a label
    form the group "missing".
    """
    groups = list(_find_groups(columns))
    large = [
        (column, label, people)
        for column, label, people in groups
        if min((people & member).sum(), (people & ~member).sum()) >= max(smallest, 2)
    ]
    attacked = tuple(
        GroupSeparation(
            column,
            label,
            # As many comparisons as groups of all columns, so that the intervals hold together.
            separate(scores[people & member], scores[people & ~member], len(large)),
        )
        for column, label, people in large
    )
    return AttackedGroups(attacked, len(groups) - len(large))


def _find_groups(columns: pd.DataFrame) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Give each column's labels in their order, with who has them."""
    for column in columns:
        values = columns[column].astype(object).where(columns[column].notna(), "missing")
        for label in sorted(values.unique(), key=str):
            yield str(column), str(label), (values == label).to_numpy()


def describe_group(worst: GroupSeparation, limit: float = inf) -> str:
    """Name the worst group and its figures, in steps of ten of its people's worth."""
    auc, low, high = worst.separation.tell(limit)
    return f"worst: {worst.column} {worst.group}, AUC {auc:.2f} ({low:.2f} to {high:.2f})"
