"""Who is missing, in words: why people were left out, and whom that leaves out more than others.

The sentences are made of a `Summary`'s published figures, for whoever reads a run in a minute. That
somebody is missing has other causes than consent too, which are not told apart: who is in the
source at all, who is eligible, whom a sample or a cap takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from expectations.disclosure import percent
from expectations.policy.vocabulary import CheckVerdict
from tasks.account.gaps import (
    Gap,
    find_check,
    held_out,
    leave_out_complements,
    list_gaps,
    list_mended,
    list_unmended,
    measure_gaps,
    measure_weighted,
    name_people,
    speak,
)
from tasks.account.published_people import AS_THEY_ARE, ONCE_WEIGHTED, WEIGHTS

if TYPE_CHECKING:
    from tasks.account.published import Summary
    from tasks.account.published_people import Figure, Representation

JUDGED: Final = (AS_THEY_ARE, WEIGHTS, ONCE_WEIGHTED)
"""The checks of how the people compare with those who are meant."""
SAID: Final = 3
"""The most gaps that are told in sentences."""


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
    allowed = f"a standardized difference of {found.difference_at_most:g}"
    check = find_check(summary, AS_THEY_ARE)
    yield from (say_gap(gap) for gap in gaps[:SAID])
    if rest := [gap.name for gap in gaps[SAID:]]:
        yield f"Farther than the policy allows ({allowed}) are also people with {join(rest)}."
    elif not gaps and check and check.verdict is not CheckVerdict.PASSED:
        yield f"Some group differs more than the policy allows ({allowed}): {check.measured}."
    elif not gaps:
        yield (
            "Every group that was compared is as frequent as in the population meant, within what "
            f"the policy allows ({allowed})."
        )


def say_gap(gap: Gap) -> str:
    """Say how one group compares."""
    meant = f"{percent(gap.row.reference or 0)} of the population meant"
    if gap.share is None:
        return f"Of people with {gap.name} there are {gap.row.people}, where they are {meant}."
    way = "under" if gap.difference < 0 else "over"
    used = f"{percent(gap.share)} of those who were used"
    return f"People with {gap.name} are {way}-represented: {used}, {meant}."


def say_weighting(summary: Summary) -> Iterator[str]:
    """Say what weights mended, what they could not, and what they cost."""
    found = summary.representation
    if found is None:
        return
    if found.effective_sample_share is None:
        yield "Nobody was weighted for it: what was made of these people has the same gaps."
        return
    weights = find_check(summary, WEIGHTS)
    if weights is not None and weights.verdict is not CheckVerdict.PASSED:
        yield f"The weights could not be used: {weights.measured}."
        return
    raked = [speak(column.column) for column in found.columns if column.role == "rake"]
    told = "its published shares" if len(raked) == 1 else "their published shares"
    yield f"Weights bring {join(raked)} to {told}, which is what they are made for."
    yield from say_held_out(summary, found)
    lost = 1 - found.effective_sample_share
    yield f"They cost precision as if {percent(lost)} fewer people had been there."


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
        return f"they meet what they are made of, and nothing was held back from them; {kept}"
    return (
        f"farthest off without them {say_farthest(before)}; with them, of what they were not told, "
        f"{say_farthest(after)}; {kept}"
    )


def say_farthest(gaps: Sequence[Gap]) -> str:
    """Name the farthest label with its standardized difference."""
    gap = max(gaps, key=lambda one: (abs(one.difference), -one.difference))
    return f"{gap.name} ({gap.difference:+.2f})"


def say_held_out(summary: Summary, found: Representation) -> Iterator[str]:
    """Say how weighted people compare in what the weighting was not told of."""
    check = find_check(summary, ONCE_WEIGHTED)
    if check is None:
        return
    if check.verdict is CheckVerdict.INCONCLUSIVE:
        yield "Nothing was held back from them, so nothing shows whether they mend anything else."
    elif check.verdict is CheckVerdict.PASSED:
        yield say_mended(summary, found)
    else:
        left = leave_out_complements(found, list_unmended(summary))
        yield from [say_unmended(gap) for gap in left[:SAID]] or [
            f"Weighting could not mend everything: {check.measured}."
        ]
        yield (
            "So consent seems to depend on more than the weights are made of, and what was learned "
            "from these people may be biased."
        )


def say_unmended(gap: Gap) -> str:
    """Say what weighting left of a gap."""
    meant = f"{percent(gap.row.reference or 0)} of the population meant"
    left = f"{percent(gap.share or 0)} once weighted"
    return f"Weighting could not mend {gap.name}: {left}, {meant}."


def say_mended(summary: Summary, found: Representation) -> str:
    """Say which gaps closed of which the weighting was not told, or that there had been none."""
    names = [column.column for column in held_out(found)]
    gaps = leave_out_complements(found, list_mended(summary))
    if mended := [gap.name for gap in gaps if gap.column in names]:
        return f"They mended {join(mended)} as well, of which they were not told."
    told = join([speak(name) for name in names])
    return f"Of {told} they were not told: alike before, and still alike once weighted."


def say_inclusion(summary: Summary) -> Iterator[str]:
    """Say which groups of eligible people are there the least and the most, column by column."""
    for column in summary.inclusion.columns if summary.inclusion else ():
        rates = [(rate.rate, rate.label) for rate in column.rates if rate.rate is not None]
        if len(rates) > 1:
            (least, low), (most, high) = min(rates), max(rates)
            yield (
                f"Of the eligible people with {name_people(column.column, low)}, {percent(least)} "
                f"are there; of those with {name_people(column.column, high)}, {percent(most)}."
            )


def join(names: Sequence[str]) -> str:
    """Name things in a row, as `a, b and c`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
