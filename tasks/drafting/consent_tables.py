"""Tables of people's answers to consent: which they are, and how a policy reads their columns.

It knows the words of the ledger alone. Whether a yes was for this purpose, or explicit, no table
tells: the draft asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from expectations.policy.event_words import translate
from expectations.policy.legal_basis import EventField
from expectations.policy.vocabulary import ConsentStatus
from tasks.drafting.column_types import is_text
from tasks.drafting.profile import count_values
from tasks.drafting.signs import read_name

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from expectations.policy.locations import Location

LEAST_FIELDS: Final = {EventField.PERSON, EventField.STATUS, EventField.AT}
ANSWERS: Final = {ConsentStatus.GIVEN, ConsentStatus.REFUSED, ConsentStatus.WITHDRAWN}
"""The words of which a column of answers has one at least."""
MOST_WORDS: Final = 20
"""Columns with more different words are no answers."""


@dataclass(frozen=True)
class ConsentTable:
    """Where answers lie, and how to read them."""

    location: Location
    columns: Mapping[EventField, str]
    """By field the table's own name of it, if it differs."""
    others: Sequence[str]
    """Columns that are read as no field."""
    says: frozenset[str]
    """The columns that are called as fields are."""
    zoned: bool
    """Whether its times name their zone."""

    def seen_from(self, seen: Callable[[Location], Location]) -> ConsentTable:
        """Give it with its location as a policy names it."""
        return replace(self, location=seen(self.location))


def has_events(name: str, held: pa.Table) -> bool:
    """Whether a table holds consent events: by its columns' names, or by its own and its words."""
    return {*held.column_names} >= LEAST_FIELDS or _status_column(name, held) is not None


def read_consents(
    name: str,
    location: Location,
    held: pa.Table,
    person: str | None,
    at: Mapping[str, bool],
) -> ConsentTable | None:
    """Say how to read a table of consent events; None where it is not clear who answered, or when.

    `at` holds its columns of dates or moments, the likeliest first, and whether each has a zone.
    """
    there = held.column_names
    moment = EventField.AT if EventField.AT in there else next(iter(at), None)
    status = EventField.STATUS if EventField.STATUS in there else _status_column(name, held)
    who = EventField.PERSON if EventField.PERSON in there else person
    if moment is None or status is None or who is None:
        return None
    own = {EventField.PERSON: who, EventField.STATUS: status, EventField.AT: moment}
    said = frozenset({*EventField} & {*there})
    return ConsentTable(
        location,
        {field: str(column) for field, column in own.items() if column != field},
        [column for column in there if column not in {*own.values(), *said}],
        said,
        at.get(moment, False),
    )


def _status_column(name: str, held: pa.Table) -> str | None:
    """Name the column of answers in a table that is called one of consents.

    Drugs are given, refused and withdrawn too, and a table of people may have a column of answers.
    """
    if not any(sign.consent for sign in read_name(name)):
        return None
    return next((column for column in held.column_names if _has_answers(column, held)), None)


def _has_answers(name: str, held: pa.Table) -> bool:
    column = held.column(name)
    if not is_text(column):
        return False
    words = count_values(name, column).distinct.to_pylist()
    if len(words) > MOST_WORDS:
        return False
    meant = {translate(EventField.STATUS, str(word), {}) for word in words}
    return None not in meant and bool(meant & ANSWERS)
