"""The ways out of a broken value rule, a small cohort, or people unlike those who are meant.

Nothing is measured anew: a limit that would hold is read off what the check tells already, at the
outer edge of the range in which it tells a share. So whoever sees the way learns nothing beside
the check. For rules about values themselves there is no such limit, since it would be a person's
value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import ceil
from typing import TYPE_CHECKING, Final

from expectations.checks import Check
from expectations.coherence.words import find_strays_of
from expectations.disclosure import TEN, Published
from expectations.errors import Refusal
from expectations.gx.suites import find_range
from expectations.gx.table_promises import Judged
from expectations.measures.measures import standardized_difference
from expectations.policy.outlets import TableOutlet
from expectations.policy.policy import MissingAtMost, Policy, Rule, ShareBetween
from expectations.policy.vocabulary import CheckVerdict
from tasks.account.exclusions import EXCLUSIONS
from tasks.account.published import AS_THEY_ARE, Way, WaysOut

if TYPE_CHECKING:
    import pandas as pd

    from tasks.account.published import LabelShares

SAME: Final = "Read from what the check shows; nothing else was measured"
MOST_REASONS: Final = 4


def find_rule_ways(
    frame: pd.DataFrame, policy: Policy, checks: Sequence[Check], threshold: int
) -> Iterator[WaysOut]:
    """Give for each broken rule about a share the limit that would hold.

    First the words that may be misspelt in what makes the column: a wider limit would hide that.
    """
    for rule, check in zip(policy.expectations, checks, strict=True):
        if check.verdict is not CheckVerdict.REFUSED:
            continue
        values = frame[rule.column]
        first = correct(rule, policy, values, threshold) if isinstance(rule, ShareBetween) else ()
        ways = (*first, *widen(rule, values, threshold))
        yield WaysOut(check.name, None, check.asked, check.measured, SAME, {}, ways)


def correct(rule: ShareBetween, policy: Policy, values: pd.Series, threshold: int) -> Iterator[Way]:
    """Name the words in what makes a rule's column that its rows may not have.

    Of a field without declared words, where the share that the check tells may be nobody's or
    everybody's. Nothing is told of a value.
    """
    ends = find_range(int((values.astype("str") == rule.value).sum()), len(values), threshold)
    extreme = ends is None or ends[0] == 0 or ends[1] == 1
    for one in find_strays_of(policy, rule.column):
        if not (one.declared or extreme):
            continue
        known = "not declared" if one.declared else "unknown here"
        change = f"{one.path}: correct '{one.word}'"
        if one.nearest:
            change = f"{one.path}: '{one.nearest}' instead of '{one.word}'"
        reached = f"{known} as a word of {one.column}; if no row has it, nobody meets it"
        yield Way(change, None, reached, {})


def widen(rule: Rule, values: pd.Series, threshold: int) -> Iterator[Way]:
    """Move a rule's limit out to the edge of the range that its share lies in."""
    total = len(values)
    match rule:
        case MissingAtMost():
            limits = find_range(int(values.isna().sum()), total, threshold)
            if limits:
                yield tell(f"{rule.column}: missing-at-most: share: {limits[1]:g}")
        case ShareBetween(value=value, low=low, high=high):
            limits = find_range(int((values.astype("str") == value).sum()), total, threshold)
            if limits:
                least, most = min(low, limits[0]), max(high, limits[1])
                yield tell(f"{rule.column}: share-between: low: {least:g}, high: {most:g}")
        case _:
            return


def tell(change: str) -> Way:
    """Give a wider rule as a way, which costs nothing but the rule."""
    return Way(change, holds=True, reached="passes for these people", cost={})


def find_judged_ways(
    refusal: Refusal, judged: Sequence[Judged], promised: TableOutlet, outlet: str
) -> Iterator[WaysOut]:
    """Give the k and the bounds that a made table has, where it has less than was promised."""
    broken = [one for one in judged if one.check.verdict is CheckVerdict.REFUSED]
    ways = [
        Way(f"k: {one.value:g}", True, one.check.measured, {})
        for one in broken
        if one.measure == "k" and one.value is not None and 2 <= one.value < promised.k
    ]
    if len(ways) == len(broken) and broken:
        check = broken[0].check
        yield WaysOut(refusal.check, outlet, check.asked, check.measured, SAME, {}, tuple(ways))


def find_cohort_ways(
    people: Published, reasons: Mapping[str, Published], policy: Policy
) -> Iterator[WaysOut]:
    """Give the smallest number that would surely hold, and why most people were left out.

    The published count may be up to ten above the exact one, so ten less is on the safe side.
    """
    ways = list[Way]()
    safe = 0 if people.about is None else people.about - TEN
    if safe >= max(people.threshold, TEN) and safe < policy.population.smallest:
        told = f"there are about {people} people"
        ways.append(Way(f"population: smallest: {safe}", True, told, {}))
    ways += list_reasons(reasons)
    about = "" if people.about is None else "about "
    yield WaysOut(
        "smallest cohort", None, f"at least {policy.population.smallest:,} people",
        f"{about}{people} people",
        "Counts are published ones; how many of those left out would consent is not known", {},
        tuple(ways),
    )  # fmt: skip


def list_reasons(reasons: Mapping[str, Published]) -> Iterator[Way]:
    """Say what can be done about most of those who were left out, as far as they are told."""
    told = [
        (count, reason, to_do)
        for reason, count in reasons.items()
        if count.about is not None and (to_do := EXCLUSIONS[reason].to_do)
    ]
    most = sorted(told, key=lambda item: -(item[0].about or 0))
    for count, reason, to_do in most[:MOST_REASONS]:
        yield Way(to_do, None, f"{count} people are “{reason}”", {})


def find_consent_ways(reasons: Mapping[str, Published], purpose: str) -> Iterator[WaysOut]:
    """Say why most people were left out where nobody is permitted."""
    yield WaysOut(
        "legal basis", None, f"somebody who may be read for {purpose}", "nobody",
        "Counts are published ones; each person has one reason, the first that applies", {},
        tuple(list_reasons(reasons)),
    )  # fmt: skip


def find_delivery_ways(checks: Sequence[Check]) -> Iterator[WaysOut]:
    """Say of each source that stopped arriving that a delivery lets the check pass."""
    for check in checks:
        place = check.asked.split()[0]
        again = Way(f"deliver {place} again", None, "passes once its events arrived", {})
        yield WaysOut(
            check.name, None, check.asked, check.measured,
            "A wider limit would pass too, and leave out who withdrew since the last delivery", {},
            (again,),
        )  # fmt: skip


def find_representation_ways(
    checks: Sequence[Check], told: Mapping[str, Sequence[LabelShares]], allowed: float
) -> Iterator[WaysOut]:
    """Give the difference that would surely hold, and the labels that are farthest off.

    Nothing where the people of a label are hidden: a limit would tell of their number. Nor of
    weights, which are judged otherwise.
    """
    check = next((one for one in checks if one.name == AS_THEY_ARE), None)
    rows = [(column, row) for column, some in told.items() for row in some if row.reference]
    bounds = [bound_difference(row) for _, row in rows]
    if check is None or None in bounds or not rows:
        return
    limit = ceil(20 * max(bound for bound in bounds if bound is not None)) / 20
    change = f"population: reference: difference_at_most: {limit:g}"
    ways = [Way(change, True, "passes for these people", {}), *list_far(rows, allowed)]
    yield WaysOut(check.name, None, check.asked, check.measured, SAME, {}, tuple(ways))


HALF_A_STEP: Final = 0.0005
"""How far off a share of three decimals may be; the reference's has four."""


def bound_difference(row: LabelShares) -> float | None:
    """Bound a label's difference by published counts, each within ten of the exact one.

    The shares are rounded as well, and may be off by half a step. None where the people of the
    label are hidden, or too few of all are there for a bound.
    """
    if not row.share or row.reference is None:
        return None
    people = int(row.people.replace(",", ""))
    most = people / max(row.share - HALF_A_STEP, HALF_A_STEP)
    least = people / (row.share + HALF_A_STEP)
    ends = (people - TEN) / (most + TEN), (people + TEN) / max(least - TEN, 1.0)
    if ends[0] <= 0 or ends[1] >= 1:
        return None
    meant = (max(row.reference - HALF_A_STEP, 0.0), min(row.reference + HALF_A_STEP, 1.0))
    return max(abs(float(standardized_difference(*pair))) for pair in product(ends, meant))


def list_far(rows: Sequence[tuple[str, LabelShares]], allowed: float) -> Iterator[Way]:
    """Name the labels that are farther off than is allowed, the farthest first."""
    far = [(abs(row.difference), column, row) for column, row in rows if row.difference]
    for size, column, row in sorted(far, key=lambda one: -one[0])[:MOST_REASONS]:
        if size > allowed:
            more = "more" if (row.difference or 0.0) < 0 else "fewer"
            told = f"difference {row.difference:+.2f}"
            yield Way(f"{more} people with {column} “{row.label}”", None, told, {})
