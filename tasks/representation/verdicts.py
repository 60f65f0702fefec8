"""Whether the people are like those who are meant, and whether weights did what they were made for.

A difference is judged in the exact figures of the people at hand; what is said of it is what may
be told. Weights meet the margins that they were told of by their making, so they are judged by
those that were held back: where one stays off, something else than the raked columns decides about
who is there. Which people that keeps out, and why, is not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Final

from expectations.checks import Check
from expectations.disclosure import TEN, in_steps, percent
from expectations.policy.population import Reference, Weighting
from expectations.policy.vocabulary import CheckVerdict
from tasks.account.published import AS_THEY_ARE, ONCE_WEIGHTED, WEIGHTS
from tasks.representation.comparison import ColumnShares, LabelShare, detectable_difference
from tasks.representation.raking import Missed, Raked, effective_share

if TYPE_CHECKING:
    from tasks.account.published import LabelShares

    Figures = Mapping[str, Sequence[LabelShares]]

MET: Final = 1e-5
"""The largest difference of a weighted share with which a raked margin counts as met."""


def judge_people(compared: Sequence[ColumnShares], told: Figures, reference: Reference) -> Check:
    """Judge the people as they are: every share of every margin."""
    return Check(
        name=AS_THEY_ARE,
        asked=ask(compared, reference),
        measured=measure(compared, told, reference),
        verdict=decide(compared, reference),
        power=say_power(compared, reference, 1.0),
        remedy="ask more of the people who are missing, weight those who are there "
        "(population.weighting), or allow more (reference.difference_at_most) with a reason",
    )


def judge_weighted(
    held_out: Sequence[ColumnShares], told: Figures, reference: Reference, effective: float
) -> Check:
    """Judge weighted people by the margins that the weighting was not told of."""
    if not held_out:
        return Check(
            name=ONCE_WEIGHTED,
            asked="margins held out from the weighting",
            measured="no margin was held out",
            verdict=CheckVerdict.INCONCLUSIVE,
            power="nothing: weights always meet the margins they are raked to",
            remedy="hold a margin out (role: hold-out)",
        )
    measured = measure(held_out, told, reference, weighted=True)
    verdict = decide(held_out, reference)
    if verdict is not CheckVerdict.PASSED:
        off = ", ".join(one.column for one in held_out if exceeding([one], reference))
        measured = f"weights could not close the gap of {off}: {measured}"
    return Check(
        name=ONCE_WEIGHTED,
        asked=f"{ask(held_out, reference)}, which were held out from the weighting",
        measured=measured,
        verdict=verdict,
        power=say_power(held_out, reference, effective),
        remedy="rake on what consent depends on as well, or ask more of the people who are "
        "missing: consent seems to depend on more than the raked columns, so results may be "
        "biased",
    )


def judge_weights(
    raked: Raked, met: Sequence[ColumnShares], told: Figures, asked: Weighting
) -> Check:
    """Judge weights by what they are, and by the shares that they give to the raked columns."""
    share, largest = effective_share(raked.weights), float(raked.weights.max())
    worst = max(abs(one.share - one.reference) for column in met for one in column.labels)
    kept = share >= asked.smallest_effective_share and largest <= asked.largest * (1 + MET)
    missed = bool(raked.missed) or worst > MET
    return Check(
        name=WEIGHTS,
        asked=f"weights of at most {asked.largest:g} that meet the margins of "
        f"{', '.join(column.column for column in met)} and leave at least "
        f"{percent(asked.smallest_effective_share)} of the people as effective sample size",
        measured=say_missed(raked.missed, told)
        if missed
        # A weight to two digits would tell how many people have the label that it is for.
        else f"largest weight under {ceil(largest + MET)}, margins met within {100 * worst:.4f} "
        "percentage points, effective sample size about "
        f"{percent(in_steps(share, len(raked.weights)))} of the people",
        verdict=CheckVerdict.REFUSED if missed or not kept else CheckVerdict.PASSED,
        power=f"a margin missed by {100 * MET:g} percentage points; every weight was looked at",
        remedy="merge labels that few people have, remove a margin, or allow larger weights "
        "(weighting.largest) or a smaller effective size with a reason",
    )


def say_missed(missed: Sequence[Missed], told: Figures) -> str:
    """Name the labels whose shares no weights within the bound give."""
    rows = {(column, row.label): row for column, rows in told.items() for row in rows}
    words = []
    for column, label in missed:
        row = rows[column, label]
        asked = (
            "" if row.reference is None else f", where the reference has {percent(row.reference)}"
        )
        words.append(f"{column} {label} ({row.people} people{asked})")
    return f"no such weights were found; the nearest miss {'; '.join(words)}"


def ask(compared: Sequence[ColumnShares], reference: Reference) -> str:
    """Say what is asked of some margins."""
    return (
        f"standardized differences of at most {reference.difference_at_most:g} from the "
        f"reference's shares of {', '.join(one.column for one in compared)}"
    )


def measure(
    compared: Sequence[ColumnShares],
    told: Figures,
    reference: Reference,
    *,
    weighted: bool = False,
) -> str:
    """Say how many shares differ more than is asked for, and which one most."""
    labels = sum(len(column.labels) for column in compared)
    more = len(exceeding(compared, reference))
    first = max(compared, key=lambda column: abs(column.farthest.difference))
    far = first.farthest
    row = next(row for row in told[first.column] if row.label == far.label)
    share, difference = (
        (row.weighted, row.weighted_difference) if weighted else (row.share, row.difference)
    )
    has = f"{row.people} people" if share is None else percent(share)
    size = "" if difference is None else f" (standardized difference {abs(difference):.2f})"
    differ = f"{more or 'none'} of {labels} shares differ{'s' * (more == 1)} more than allowed"
    return (
        f"{differ}; the farthest is {first.column} {far.label}: {has} here, "
        f"{percent(far.reference)} in the reference population{size}"
    )


def exceeding(compared: Sequence[ColumnShares], reference: Reference) -> list[LabelShare]:
    """Give the labels whose standardized differences are larger than the policy allows."""
    limit = reference.difference_at_most
    return [one for column in compared for one in column.labels if abs(one.difference) > limit]


def decide(compared: Sequence[ColumnShares], reference: Reference) -> CheckVerdict:
    """Give the verdict that the policy wants where a share differs more than it allows."""
    if not exceeding(compared, reference):
        return CheckVerdict.PASSED
    return CheckVerdict.WARNED if reference.when_exceeded == "warn" else CheckVerdict.REFUSED


def say_power(compared: Sequence[ColumnShares], reference: Reference, effective: float) -> str:
    """Say which difference would have been found, and which is more than chance."""
    people = min(column.people for column in compared) * effective // TEN * TEN
    return (
        f"any difference above {reference.difference_at_most:g} among these people; one of "
        f"{detectable_difference(people):.2f} or more would stand out from chance with 80 % power"
    )
