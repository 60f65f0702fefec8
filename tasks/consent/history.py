"""One person's history: where it leaves them under a policy, and what a withdrawal takes back.

It reads no source: a person's age is not known here, so nobody is asked for a guardian.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pyarrow as pa

from expectations.policy.consent_terms import Terms
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Category, ConsentStatus
from ledgers.consent.events import STANDING_EVENTS, RecordedEvent
from tasks.consent.judgement import COVERED, STANDING, Moment, settle
from tasks.consent.meaning import (
    ENDS,
    IDLE,
    RIGHTS,
    Standing,
    above,
    answer,
    decides_right,
    is_open_to_objection,
    understand,
)
from tasks.consent.standing import asks_ledger, read_masks

GIFTS: Final = (ConsentStatus.GIVEN, ConsentStatus.RENEWED)
ENDING: Final = {status for status, standing in ENDS.items() if standing not in IDLE}


@dataclass(frozen=True, slots=True)
class Stance:
    """Where somebody stands under a policy, and which of its categories their consent covers."""

    standing: Standing
    categories: tuple[Category, ...]


def find_stance(policy: Policy, history: Sequence[RecordedEvent], moment: Moment) -> Stance:
    """Say where a person's history leaves them at a moment.

    Under another basis than consent BY_SELF means that the ledger bars nothing.
    """
    terms = dict(enumerate(dict.fromkeys(event.terms for event in history)))
    meaning = understand(policy, terms)
    found = settle(lay_out(history, terms), meaning, moment)
    if not found.num_rows:
        return Stance(Standing.NEVER_ASKED if asks_ledger(policy) else Standing.BY_SELF, ())
    mask = int(read_masks(policy, meaning)[found.column(COVERED)[0].as_py()])
    names = policy.categories
    covered = tuple(name for n, name in enumerate(names) if mask >> n & 1)
    return Stance(Standing(found.column(STANDING)[0].as_py()), covered)


def lay_out(history: Sequence[RecordedEvent], terms: dict[int, Terms]) -> pa.Table:
    """Give one person's events as a scan of the ledger gives them, with numbers of `terms`."""
    numbers = {one: number for number, one in terms.items()}
    rows = [
        {
            "token_high": 0,
            "token_low": 0,
            "terms": numbers[event.terms],
            "valid_from": event.valid_from,
            "recorded_at": event.recorded_at,
            "valid_until": event.valid_until,
        }
        for event in history
    ]
    return pa.Table.from_pylist(rows, STANDING_EVENTS)


def find_answers(policy: Policy, terms: Terms) -> dict[str, tuple[Category, ...]]:
    """Say what an event answers under a policy: each answer with the categories it is about.

    It is empty where the event says nothing: it is about another purpose, category or basis. A
    right is about no category.
    """
    found: dict[str, tuple[Category, ...]] = {}
    for category in policy.categories:
        said = answer(policy, terms, category)
        if said is not None:
            found[said.label] = (*found.get(said.label, ()), category)
    objection, restriction = RIGHTS
    counted = {*restriction, *(objection if is_open_to_objection(policy) else ())}
    if terms.status in counted and decides_right(policy, terms):
        found[terms.status.replace("-", " ")] = ()
    return found


def find_ended(
    history: Sequence[RecordedEvent], ending: Terms, moment: Moment
) -> list[RecordedEvent]:
    """Give the gifts that an event ends, wholly or in part: those not over and not ended before."""
    return [
        gift
        for place, gift in enumerate(history)
        if gift.terms.status in GIFTS
        and ends(ending, gift.terms, any)
        and (gift.valid_until is None or gift.valid_until > moment.valid_at)
        and not any(
            later.terms.status in ENDING and ends(later.terms, gift.terms, all)
            for later in history[place:]
        )
    ]


def ends(ending: Terms, gift: Terms, how: Callable[[Iterable[bool]], bool]) -> bool:
    """Whether an event ends what a gift covers: `any` of its purposes and categories, or `all`."""
    (purposes, categories), (given, covered) = scope(ending), scope(gift)
    narrower = gift.notice is not None and gift.notice.covers_narrower and how is any
    below = narrower and any({*above(one)} & {*given} for one in purposes)
    return (how(reach(purposes, given)) or below) and how(reach(categories, covered))


def scope(terms: Terms) -> tuple[Sequence[StrEnum], Sequence[StrEnum]]:
    """Give the purposes and categories that an event names, else its notice; none means all."""
    notice = terms.notice
    purposes = (terms.purpose,) if terms.purpose else notice.purposes if notice else ()
    return purposes, terms.categories or (notice.categories if notice else ())


def reach(named: Sequence[StrEnum], given: Sequence[StrEnum]) -> Iterator[bool]:
    """Say of each word given whether it, or one above it, is named; no name means every word."""
    for one in given:
        yield not named or bool({one, *above(one)} & {*named})
