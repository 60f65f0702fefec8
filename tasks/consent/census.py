"""How many people and events a consent ledger holds, published by the disclosure rule.

It says what was said, and nothing of where anybody stands: for that, see `snapshot`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from expectations.consent_terms import Terms
from expectations.disclosure import Disclosure, Published
from ledgers.consent_events import count_events

EVERYTHING: Final = "every purpose"
"""What an event is about that names neither a purpose nor a notice."""


@dataclass(frozen=True, slots=True)
class Row:
    """How many people said something of a purpose, and in how many events."""

    purpose: str
    status: str
    people: Published
    events: Published


@dataclass(frozen=True, slots=True)
class Census:
    """What a ledger holds; an event about several purposes is in the row of each.

    What too few people said has no row, since a hidden count would tell that somebody did. `first`
    and `last` are the months (UTC) in which the first and the last event began, None where people
    are too few.
    """

    people: Published
    events: Published
    rows: tuple[Row, ...]
    first: str | None
    last: str | None


def take_census(events: pa.Table, terms: Mapping[int, Terms], disclosure: Disclosure) -> Census:
    """Count what a ledger's `scan` gave, by purpose and status; `terms` are the ledger's."""
    numbers: dict[tuple[str, str], list[int]] = {}
    for number, one in terms.items():
        for purpose in name_purposes(one):
            numbers.setdefault((purpose, str(one.status)), []).append(number)
    said = events.column("terms")
    rows = (
        Row(*what, *publish(events.filter(pc.is_in(said, pa.array(some, pa.int32()))), disclosure))
        for what, some in sorted(numbers.items())
    )
    shown = tuple(row for row in rows if row.people.about is not None)
    people, number_of_events = publish(events, disclosure)
    first, last = (None, None) if people.about is None else find_months(events)
    return Census(people, number_of_events, shown, first, last)


def name_purposes(terms: Terms) -> tuple[str, ...]:
    """Name the purposes that an event is about."""
    if terms.purpose is not None:
        return (str(terms.purpose),)
    return tuple(map(str, terms.notice.purposes)) if terms.notice else (EVERYTHING,)


def publish(events: pa.Table, disclosure: Disclosure) -> tuple[Published, Published]:
    """Publish how many people some events are about, and how many events there are."""
    counted = count_events(None, events)
    return disclosure.publish(counted.people), disclosure.publish(counted.events)


def find_months(events: pa.Table) -> tuple[str, str]:
    """Give the months in which the first and the last event began; a day might tell a person."""
    ends = pc.min_max(events.column("valid_from")).as_py()
    first, last = (
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ends[end])
        for end in ("min", "max")
    )
    return f"{first:%Y-%m}", f"{last:%Y-%m}"
