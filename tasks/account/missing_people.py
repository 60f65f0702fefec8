"""Who is missing, in words: why people were left out, and which groups that leaves too few.

The sentences are made of a `Summary`'s published figures, for whoever reads a run in a minute. That
somebody is missing has other causes than consent too, which are not told apart: who is in the
source at all, who is eligible, whom a sample or a cap takes.

A gap, a group with too few or too many people beside the reference population, is found in
published figures, where a check judged the exact ones. So where that check passed there is none,
whatever rounding makes of a difference; and a group whose number is hidden counts with the least
difference that it can have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import copysign, inf
from typing import TYPE_CHECKING, Final

from expectations.disclosure import percent
from expectations.measures.measures import standardized_difference
from expectations.policy.vocabulary import MISSING, CheckVerdict
from tasks.account.published import AS_THEY_ARE, ONCE_WEIGHTED, WEIGHTS

if TYPE_CHECKING:
    from expectations.checks import Check
    from tasks.account.published import ComparedColumn, Figure, LabelShares, Representation, Summary

JUDGED: Final = (AS_THEY_ARE, WEIGHTS, ONCE_WEIGHTED)
"""The checks of how the people compare with those who are meant."""
SAID: Final = 3
"""The most gaps that are told in sentences."""


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
        return f"no {speak(column)} recorded"
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


def split_hidden(figures: Sequence[Figure]) -> tuple[list[Figure], list[Figure]]:
    """Part the figures that are told from those that are hidden."""
    told = [figure for figure in figures if figure.about is not None]
    return told, [figure for figure in figures if figure.about is None]


def say_hidden(hidden: Sequence[Figure]) -> str:
    """Name hidden figures in one line, as `fewer than 10 each, perhaps none: expired, unknown`."""
    each = " each" if len(hidden) > 1 else ""
    return f"{hidden[0].text}{each}, perhaps none: {', '.join(figure.label for figure in hidden)}"


def list_told(summary: Summary) -> list[Gap]:
    """Give the gaps that are told in words: of two labels that share a column, one is enough."""
    found = summary.representation
    return [] if found is None else leave_out_complements(found, list_gaps(summary))


def say_missing(summary: Summary) -> Iterator[str]:
    """Say who is under-represented and who over, the farthest first."""
    found = summary.representation
    if found is None:
        return
    gaps = list_told(summary)
    allowed = f"a standardized difference of at most {found.difference_at_most:g}"
    check = find_check(summary, AS_THEY_ARE)
    yield from (say_gap(gap) for gap in gaps[:SAID])
    if rest := [gap.name for gap in gaps[SAID:]]:
        yield f"Also outside the limit ({allowed}): people with {join(rest)}."
    elif not gaps and check and check.verdict is not CheckVerdict.PASSED:
        yield f"Some group is outside the limit ({allowed}): {check.measured}."
    elif not gaps:
        yield f"Every compared group is as frequent as in the reference population ({allowed})."


def say_gap(gap: Gap) -> str:
    """Say how one group compares."""
    meant = f"{percent(gap.row.reference or 0)} of the reference population"
    if gap.share is None:
        return f"People with {gap.name} are under-represented: {gap.row.people} were used, {meant}."
    way = "under" if gap.difference < 0 else "over"
    used = f"{percent(gap.share)} of those used"
    return f"People with {gap.name} are {way}-represented: {used}, {meant}."


def say_weighting(summary: Summary) -> Iterator[str]:
    """Say what weights mended, what they could not, and what they cost."""
    found = summary.representation
    if found is None:
        return
    if found.effective_sample_share is None:
        yield "Nobody was weighted, so whatever was made from these people has the same gaps."
        return
    weights = find_check(summary, WEIGHTS)
    if weights is not None and weights.verdict is not CheckVerdict.PASSED:
        yield f"The weights could not be used: {weights.measured}."
        return
    raked = [speak(column.column) for column in found.columns if column.role == "rake"]
    told = "its published shares" if len(raked) == 1 else "their published shares"
    yield f"Weights bring {join(raked)} to {told}, by construction."
    yield from say_held_out(summary, found)
    lost = 1 - found.effective_sample_share
    yield f"They cost as much precision as {percent(lost)} fewer people would."


def say_weights(summary: Summary) -> str:
    """Say in one sentence how far people are without and with weights; nothing without any."""
    found = summary.representation
    if found is None or found.effective_sample_share is None:
        return ""
    check = find_check(summary, WEIGHTS)
    if check is not None and check.verdict is not CheckVerdict.PASSED:
        return f"could not be used: {check.measured}"
    kept = f"effective sample size {percent(found.effective_sample_share)} of the people"
    before, after = measure_gaps(found.columns), measure_weighted(held_out(found))
    if not after:
        return f"they meet their margins, and no margin was held out to judge them; {kept}"
    return (
        f"largest difference without weights: {say_farthest(before)}; with weights, in held-out "
        f"margins: {say_farthest(after)}; {kept}"
    )


def say_farthest(gaps: Sequence[Gap]) -> str:
    """Name the farthest label with its standardized difference, and which way it points."""
    gap = max(gaps, key=lambda one: (abs(one.difference), -one.difference))
    size = f"{abs(gap.difference):.2f}"
    way = "" if float(size) == 0 else ", too few" if gap.difference < 0 else ", too many"
    return f"{gap.name} ({size}{way})"


def say_held_out(summary: Summary, found: Representation) -> Iterator[str]:
    """Say how weighted people compare in the margins that were held out."""
    check = find_check(summary, ONCE_WEIGHTED)
    if check is None:
        return
    if check.verdict is CheckVerdict.INCONCLUSIVE:
        yield "No margin was held out, so nothing shows whether weights close any other gap."
    elif check.verdict is CheckVerdict.PASSED:
        yield say_mended(summary, found)
    else:
        left = leave_out_complements(found, list_unmended(summary))
        yield from [say_unmended(gap) for gap in left[:SAID]] or [
            f"Weights could not close every gap: {check.measured}."
        ]
        yield (
            "So consent seems to depend on more than the raked columns, and what was learned from "
            "these people may be biased."
        )


def say_unmended(gap: Gap) -> str:
    """Say what weighting left of a gap."""
    meant = f"{percent(gap.row.reference or 0)} of the reference population"
    left = f"{percent(gap.share or 0)} once weighted"
    return f"Weights could not close the gap of {gap.name}: {left}, {meant}."


def say_mended(summary: Summary, found: Representation) -> str:
    """Say which gaps closed of which the weighting was not told, or that there had been none."""
    names = [column.column for column in held_out(found)]
    gaps = leave_out_complements(found, list_mended(summary))
    if mended := [gap.name for gap in gaps if gap.column in names]:
        return f"They also closed the gap of {join(mended)}, which was held out."
    told = join([speak(name) for name in names])
    return f"Held out: {told}. There was no gap before weighting, and there is none after."


def say_inclusion(summary: Summary) -> Iterator[str]:
    """Say which groups of eligible people are there the least and the most, column by column."""
    for column in summary.inclusion.columns if summary.inclusion else ():
        rates = [(rate.rate, rate.label) for rate in column.rates if rate.rate is not None]
        if len(rates) > 1:
            (least, low), (most, high) = min(rates), max(rates)
            yield (
                f"Of the eligible people with {name_people(column.column, low)}, {percent(least)} "
                f"are used; of those with {name_people(column.column, high)}, {percent(most)}."
            )


def join(names: Sequence[str]) -> str:
    """Name things in a row, as `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
