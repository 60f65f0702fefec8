"""What a column is taken for by the company it keeps: a table that is about people's health."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from expectations.policy.vocabulary import Category
from tasks.drafting.names import split_name
from tasks.drafting.signs import Found

# fmt: off
TIMES: Final = {
    "time", "futime", "ftime", "rtime", "stime", "dtime", "ptime", "survtime", "followup", "follow",
    "tte", "duration", "durat",
}
EVENTS: Final = {
    "status", "event", "cens", "censor", "censored", "death", "delta", "fustat", "dead", "died",
    "pstat",
}
# fmt: on
"""Whole names that together tell how long something took, and whether it came."""
MAYBE: Final = frozenset({"grade", "visit"})
"""Words that speak of health in a table about health, and of school, credit or a gym elsewhere."""


def see_context(found: Sequence[Found]) -> Iterator[Found]:
    """Take what is not known for health, in doubt, where the table seems to be about health."""
    medical = is_medical(found)
    for each in found:
        maybe = each.category is None or not MAYBE.isdisjoint(split_name(each.profile.name)[0])
        if medical and maybe and not each.consent and not (each.category and each.category.special):
            seen = (*each.seen, "the table seems to be about health")
            yield replace(each, category=Category.HEALTH, seen=seen, doubtful=True)
        else:
            yield each


def is_medical(found: Sequence[Found]) -> bool:
    """Tell whether a third of the known columns are of health, or the table follows up an event."""
    known = [each for each in found if each.category]
    health = [each for each in known if each.category is Category.HEALTH]
    names = {split_name(each.profile.name)[1] for each in found}
    followed = not names.isdisjoint(TIMES) and not names.isdisjoint(EVENTS)
    return followed or (len(health) >= 2 and 3 * len(health) >= len(known))
