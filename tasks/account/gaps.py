"""Which groups of people are too few or too many, beside the population that is meant.

A gap is found in published figures, where a check judged the exact ones. So where that check
passed there is none, whatever rounding makes of a difference; and a group whose number is hidden
counts with the least difference that it can have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import copysign, inf
from typing import TYPE_CHECKING

from expectations.measures.measures import standardized_difference
from expectations.policy.vocabulary import MISSING, CheckVerdict
from tasks.account.published_people import AS_THEY_ARE, ONCE_WEIGHTED, WEIGHTS

if TYPE_CHECKING:
    from expectations.checks import Check
    from tasks.account.published import Summary
    from tasks.account.published_people import ComparedColumn, LabelShares, Representation


@dataclass(frozen=True, slots=True)
class Gap:
    """One label whose people are too few or too many.

    `share` is as it is before or after weighting; None where the number is hidden, and the
    difference is then at least so large.
    """

    column: str
    row: LabelShares
    share: float | None
    difference: float

    @property
    def name(self) -> str:
        """Call the people by their label."""
        return name_people(self.column, self.row.label)


def name_people(column: str, label: str) -> str:
    """Call the people of one label of a column."""
    if label == MISSING:
        return f"no {speak(column)} on record"
    return f"{speak(column)} “{label}”"


def speak(column: str) -> str:
    """Read a column's name as words."""
    return column.replace("_", " ")


def list_gaps(summary: Summary) -> list[Gap]:
    """Give the labels that differ more than the policy allows, the farthest first."""
    found, check = summary.representation, find_check(summary, AS_THEY_ARE)
    if found is None or (check and check.verdict is CheckVerdict.PASSED):
        return []
    return list_beyond(found, measure_gaps(found.columns))


def list_unmended(summary: Summary) -> list[Gap]:
    """Give the labels that still differ once weighted, of those the weighting was not told of."""
    found, check = summary.representation, find_check(summary, ONCE_WEIGHTED)
    if found is None or check is None or check.verdict is CheckVerdict.PASSED:
        return []
    return list_beyond(found, measure_weighted(held_out(found)))


def list_mended(summary: Summary) -> list[Gap]:
    """Give the labels whose gap usable weights close, whether they were told of it or not."""
    check = find_check(summary, WEIGHTS)
    if check is None or check.verdict is not CheckVerdict.PASSED:
        return []
    left = {(gap.column, gap.row.label) for gap in list_unmended(summary)}
    return [
        gap
        for gap in list_gaps(summary)
        if gap.row.weighted is not None and (gap.column, gap.row.label) not in left
    ]


def list_beyond(found: Representation, gaps: Sequence[Gap]) -> list[Gap]:
    """Keep those that are farther than the policy allows, the farthest first, too few before."""
    beyond = [gap for gap in gaps if abs(gap.difference) > found.difference_at_most]
    return sorted(beyond, key=lambda gap: (-abs(gap.difference), gap.difference))


def find_check(summary: Summary, name: str) -> Check | None:
    """Give the check of a name; None where it was not made."""
    return next((check for check in summary.checks if check.name == name), None)


def held_out(found: Representation) -> list[ComparedColumn]:
    """Give the columns that a weighting is not told of."""
    return [column for column in found.columns if column.role == "hold-out"]


def measure_gaps(columns: Sequence[ComparedColumn]) -> list[Gap]:
    """Give the difference of every label that is compared; of a hidden one, the least it can be."""
    gaps = []
    for column in columns:
        people = sum(read_number(row) for row in column.labels if row.share is not None)
        for row in column.labels:
            if row.reference is None:
                continue
            difference = row.difference
            if row.share is None:
                difference = bound_difference(row.reference, read_number(row) / max(people, 1))
            elif difference is None:  # as it is where all have a label that nobody should
                difference = copysign(inf, row.share - row.reference)
            gaps.append(Gap(column.column, row, row.share, difference))
    return gaps


def measure_weighted(columns: Sequence[ComparedColumn]) -> list[Gap]:
    """Give the difference of every label once weighted; nothing is known of a hidden one."""
    return [
        Gap(column.column, row, row.weighted, row.weighted_difference)
        for column in columns
        for row in column.labels
        if row.weighted_difference is not None
    ]


def bound_difference(reference: float, most: float) -> float:
    """Give the difference that a label surely has whose hidden share is `most` at most."""
    return 0.0 if most >= reference else round(float(standardized_difference(most, reference)), 2)


def read_number(row: LabelShares) -> int:
    """Read a published number of people, or the one below which it is hidden."""
    return int("".join(digit for digit in row.people if digit.isdigit()))


def leave_out_complements(found: Representation, gaps: Sequence[Gap]) -> list[Gap]:
    """Of two labels that share a column, keep the one of whom there are too few."""
    pairs = {
        column.column
        for column in found.columns
        if sum(row.reference is not None for row in column.labels) == 2
    }
    few = {gap.column for gap in gaps if gap.difference < 0}
    return [g for g in gaps if g.difference < 0 or g.column not in pairs & few]
