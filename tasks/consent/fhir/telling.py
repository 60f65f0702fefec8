"""From what FHIR Consent resources say to the rows of a source of consent events.

A gift is ordered among other answers by the first moment at which it can have been made, and counts
from the last: so it is told as a gift that is over at once, and a renewal of it, which whatever was
said in between takes back. What takes back is told at the first moment and at the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

import pyarrow as pa

from expectations.errors import SourceError
from expectations.policy.fhir_consent import FhirNotice
from expectations.policy.legal_basis import EventField, EventSource, Notice
from expectations.policy.locations import JsonLines
from expectations.policy.vocabulary import Category, ConsentStatus, Purpose
from ledgers.consent.events import to_micros
from tasks.consent.fhir.files import Faults, Line, read_resources
from tasks.consent.fhir.provisions import (
    EVER,
    Cell,
    MeaninglessError,
    Reading,
    Rule,
    find_boundaries,
    with_broader,
)
from tasks.consent.fhir.resources import State, Told, understand

Stretches: TypeAlias = tuple[tuple[int, int], ...]
"""When something is permitted: from, and until."""
ROWS: Final = pa.schema(
    [
        *((str(field), pa.string()) for field in (
            EventField.PERSON, EventField.STATUS, EventField.PURPOSE, EventField.CATEGORIES,
            EventField.NOTICE, EventField.NOTICE_VERSION, EventField.LANGUAGE, EventField.GUARDIAN,
        )),
        (str(EventField.AT), pa.timestamp("us", "UTC")),
        (str(EventField.EXPIRES_AT), pa.timestamp("us", "UTC")),
    ]
)  # fmt: skip
BACKWARDS: Final = {
    State.ASKED: ConsentStatus.REQUESTED,
    State.REFUSED: ConsentStatus.REFUSED,
    State.OVER: ConsentStatus.WITHDRAWN,
    State.NEVER_WAS: ConsentStatus.INVALIDATED,
    State.UNKNOWN: ConsentStatus.UNKNOWN,
}
"""What a state that gives nothing is told as."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a resource; without words it is about all that the notice enumerates."""

    status: ConsentStatus
    at: int
    until: int | None = None
    purpose: Purpose | None = None
    categories: tuple[Category, ...] = ()


def read_consents(
    source: EventSource, place: str, folder: Path, notices: Sequence[Notice], now: datetime
) -> pa.Table:
    """Read the Consent resources of a source as events, under the fields' own names.

    What begins later than `now` is not told yet. Raises one `SourceError` for a file's faults.
    """
    assert source.fhir is not None
    if not isinstance(source.location, JsonLines):
        raise SourceError(f"{place}: FHIR resources are read from a file of kind json-lines")
    path = folder / source.location.path
    faults = Faults(f"{place} ({source.location.path})")
    zone = None if source.zone is None else ZoneInfo(source.zone)
    lines = [
        line for line in read_resources(path, faults)
        if line.resource["resourceType"] == "Consent"
    ]  # fmt: skip
    rows = [*_tell_lines(lines, Reading(source.fhir, zone), notices, to_micros(now), faults)]
    faults.refuse()
    return pa.Table.from_pylist(rows, ROWS)


def _tell_lines(
    lines: Iterable[Line],
    reading: Reading,
    notices: Sequence[Notice],
    now: int,
    faults: Faults,
) -> Iterator[Mapping[str, object]]:
    for line in lines:
        try:
            told = understand(line.resource, reading)
            if told is None:
                continue
            cells = list_cells(told.notice, notices)
            yield from (write_row(told, event) for event in tell(told, cells, now))
        except MeaninglessError as error:
            faults.note(line.number, error.what, error.fix)


def list_cells(named: FhirNotice, notices: Sequence[Notice]) -> list[Cell]:
    """Give each purpose and category that the declared notice enumerates."""
    found = {
        (purpose, category)
        for notice in notices
        if notice.id == named.notice
        and named.version in {None, notice.version}
        and named.language in {None, notice.language}
        for purpose in notice.purposes
        for category in notice.categories
    }
    if not found:
        raise MeaninglessError(
            "its notice is not declared", "declare it under the policy's `notices`"
        )
    return sorted(found)


def tell(told: Told, cells: Sequence[Cell], now: int) -> Iterator[Event]:
    """Give the events that a resource comes to."""
    if told.made.first > now:
        raise MeaninglessError("it was made in the future", "correct its date")
    ends = sorted({told.made.first, min(told.made.last, now)})
    if told.root is None:
        yield from (Event(BACKWARDS[told.state], at) for at in ends)
        return
    found = {cell: find_stretches(told.root, cell, told.made.last) for cell in cells}
    given = {cell for cell, stretches in found.items() if stretches}
    taken = [*(cell for cell in cells if cell not in given), *list_beyond(told.root, cells)]
    for cell in taken:
        mixed = any(one in given for one in cells if one != cell and _is_below(one, cell))
        # Or what ends the broader would end the narrower, which was given at the same moment.
        moments = [told.made.first - 1] if mixed else ends
        yield from (Event(ConsentStatus.REFUSED, at, None, cell[0], (cell[1],)) for at in moments)
    groups: dict[tuple[Purpose, Stretches], list[Category]] = {}
    for cell in sorted(given):
        groups.setdefault((cell[0], found[cell]), []).append(cell[1])
    for (purpose, stretches), categories in groups.items():
        for status, at, until in _give(stretches, told.made.first, now):
            yield Event(status, at, until, purpose, tuple(categories))


def _give(
    stretches: Stretches, made: int, now: int
) -> Iterator[tuple[ConsentStatus, int, int | None]]:
    """Give the gift, and its renewals, by which something is permitted in some stretches."""
    begin, end = stretches[0]
    at_once = begin == made
    yield ConsentStatus.GIVEN, made, _until(end) if at_once else made
    for begin, end in stretches[1:] if at_once else stretches:
        if begin <= now:
            yield ConsentStatus.RENEWED, begin, _until(end)


def _until(moment: int) -> int | None:
    return None if moment >= EVER else moment


def find_stretches(root: Rule, cell: Cell, since: int) -> Stretches:
    """Find when provisions permit something, from a moment on."""
    moments = sorted({since, *(one for one in find_boundaries(root) if one > since)})
    found: list[tuple[int, int]] = []
    for begin, end in zip(moments, [*moments[1:], EVER], strict=True):
        if not root.decide(cell, begin):
            continue
        follows = bool(found) and found[-1][1] == begin
        found.append((found.pop()[0] if follows else begin, end))
    return tuple(found)


def list_beyond(root: Rule, cells: Sequence[Cell]) -> list[Cell]:
    """Give what is denied by name and is neither among some cells nor above one.

    What is above one is denied with it.
    """
    purposes, categories = ({one[n] for one in cells} for n in (0, 1))
    found = {
        (purpose, category)
        for rule in root.walk()
        if not rule.permits
        for some in rule.scopes
        for scope in some
        for purpose in scope.purposes or purposes
        for category in scope.categories or categories
    }
    return sorted(one for one in found if not any(_is_below(cell, one) for cell in cells))


def _is_below(cell: Cell, other: Cell) -> bool:
    """Whether a cell is another, or below it."""
    return other[0] in {*with_broader(cell[0])} and other[1] in {*with_broader(cell[1])}


def write_row(told: Told, event: Event) -> Mapping[str, object]:
    """Write an event as a row of a source."""
    notice = told.notice
    whole = event.purpose is None
    return {
        EventField.PERSON: told.person,
        EventField.STATUS: str(event.status),
        EventField.PURPOSE: None if whole else str(event.purpose),
        EventField.CATEGORIES: None if whole else "|".join(event.categories),
        EventField.NOTICE: notice.notice,
        EventField.NOTICE_VERSION: None if notice.version is None else str(notice.version),
        EventField.LANGUAGE: notice.language,
        EventField.GUARDIAN: told.guardian,
        EventField.AT: event.at,
        EventField.EXPIRES_AT: event.until,
    }
