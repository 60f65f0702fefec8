"""How many people and events a consent ledger holds, published by the disclosure rule.

It says what was said, and nothing of where anybody stands: for that, see `snapshot`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import Count, Disclosure, Published
from expectations.policy.consent_terms import Terms
from tasks.consent.snapshot import write_moment
from tasks.people.ingestion import TOKEN

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
    and `last` are months (UTC), see `find_months`; None where people are too few.
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
    first, last = (None, None)
    if people.about is not None:
        first, last = find_months(events, disclosure.threshold)
    return Census(people, number_of_events, shown, first, last)


def name_purposes(terms: Terms) -> tuple[str, ...]:
    """Name the purposes that an event is about."""
    if terms.purpose is not None:
        return (str(terms.purpose),)
    return tuple(map(str, terms.notice.purposes)) if terms.notice else (EVERYTHING,)


def publish(events: pa.Table, disclosure: Disclosure) -> tuple[Published, Published]:
    """Publish how many people some events are about, and how many events there are."""
    people = events.select(list(TOKEN)).group_by(list(TOKEN)).aggregate([])
    return disclosure.publish(Count(people.num_rows)), disclosure.publish(Count(events.num_rows))


def find_months(events: pa.Table, few: int) -> tuple[str, str]:
    """Give from which to which month people spoke, the first and the last `few` left aside.

    The very first and last would each be a moment of one person.
    """
    spoken = pa.TableGroupBy(events, list(TOKEN)).aggregate(
        [("valid_from", "min"), ("valid_from", "max")]
    )
    first = np.sort(spoken.column("valid_from_min").to_numpy())[few - 1]
    last = np.sort(spoken.column("valid_from_max").to_numpy())[-few]
    return write_moment(int(first))[:7], write_moment(int(last))[:7]
