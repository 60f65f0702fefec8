"""From what FHIR Consent resources say to the rows of a source of consent events.

A gift is ordered among other answers by the first moment at which it can have been made, and counts
from the last: so it is told as a gift that is over at once, and a renewal of it, which whatever was
said in between takes back. What takes back is told at the first moment and at the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
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
from tasks.consent.fhir.dates import Moment
from tasks.consent.fhir.files import Faults, Line, mark_deleted, read_resources
from tasks.consent.fhir.histories import (
    Version,
    find_noted,
    order_versions,
    read_provenances,
    tell_versions,
)
from tasks.consent.fhir.provisions import (
    EVER,
    Cell,
    Days,
    MeaninglessError,
    Reading,
    Rule,
    find_boundaries,
    with_broader,
)
from tasks.consent.fhir.resources import State, Told

Stretches: TypeAlias = tuple[tuple[int, int], ...]
"""When something is permitted: from, and until."""
ROWS: Final = pa.schema(
    [
        *((str(field), pa.string()) for field in (
            EventField.PERSON, EventField.STATUS, EventField.PURPOSE, EventField.CATEGORIES,
            EventField.NOTICE, EventField.NOTICE_VERSION, EventField.LANGUAGE, EventField.GUARDIAN,
            EventField.DATA_FROM, EventField.DATA_UNTIL,
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
    days: Days | None = None


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
    lines = mark_deleted(read_resources(path, faults), path.parent, faults.place)
    rows = [*_tell_lines(lines, Reading(source.fhir, zone), notices, to_micros(now), faults)]
    faults.refuse()
    return pa.Table.from_pylist(rows, ROWS)


def _tell_lines(
    lines: Sequence[Line],
    reading: Reading,
    notices: Sequence[Notice],
    now: int,
    faults: Faults,
) -> Iterator[Mapping[str, object]]:
    """Give the rows of all resources; what is wrong with one goes to `faults`."""
    kinds: dict[str, list[Line]] = {}
    for line in lines:
        kinds.setdefault(line.resource["resourceType"], []).append(line)
    provenances: Mapping[str, list[Moment]] = {}
    try:
        provenances = read_provenances(kinds.get("Provenance", ()), reading)
    except MeaninglessError as error:
        for line in kinds["Provenance"]:
            faults.note(line.number, error.what, error.fix)
    resources: dict[object, list[Line]] = {}
    for line in kinds.get("Consent", ()):
        name = line.resource.get("id")  # without one a resource has no other version
        resources.setdefault(name if isinstance(name, str) else line.number, []).append(line)
    for some in resources.values():
        try:
            ordered = order_versions(some, reading)
            noted = find_noted(ordered[0].resource, provenances)
            versions = tell_versions(ordered, reading, noted)
            for version in versions:
                cells = list_cells(version.told.notice, notices)
                for event in tell(version, cells, now):
                    yield write_row(version.told, event)
        except MeaninglessError as error:
            for line in some:
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


def tell(version: Version, cells: Sequence[Cell], now: int) -> Iterator[Event]:
    """Give the events that a version of a resource comes to."""
    told, since = version.told, version.since
    if told.made.first > now:
        raise MeaninglessError("it was made in the future", "correct its date")
    # What takes back does so when it came about, where that is known, else from the start.
    from_start = since is None or told.state in {State.NEVER_WAS, State.ASKED}
    changed = told.made if from_start or since is None else since
    ends = sorted({min(changed.first, now), min(changed.last, now)})
    if told.root is None:
        yield from (Event(BACKWARDS[told.state], at) for at in ends)
        return
    begin = max(told.made.last, changed.last)
    found = {cell: find_gift(told.root, cell, begin) for cell in cells}
    given = {cell for cell, (stretches, _) in found.items() if stretches}
    taken = [*(cell for cell in cells if cell not in given), *list_beyond(told.root, cells)]
    for cell in taken:
        mixed = any(one in given for one in cells if one != cell and _is_below(one, cell))
        # Or what ends the broader would end the narrower, which was given at the same moment.
        moments = [told.made.first - 1] if mixed else ends
        yield from (Event(ConsentStatus.REFUSED, at, None, cell[0], (cell[1],)) for at in moments)
    # What begins after the next version took over is for that one to tell.
    end = now if version.until is None else min(now, version.until.first - 1)
    groups: dict[tuple[Purpose, Stretches, Days | None], list[Category]] = {}
    for cell in sorted(given):
        groups.setdefault((cell[0], *found[cell]), []).append(cell[1])
    for (purpose, stretches, days), categories in groups.items():
        for status, at, until in _give(stretches, told.made.first, end):
            yield Event(status, at, until, purpose, tuple(categories), days)


def _give(
    stretches: Stretches, made: int, latest: int
) -> Iterator[tuple[ConsentStatus, int, int | None]]:
    """Give the gift, and its renewals, by which something is permitted in some stretches."""
    begin, end = stretches[0]
    at_once = begin == made
    yield ConsentStatus.GIVEN, made, _until(end) if at_once else made
    for begin, end in stretches[1:] if at_once else stretches:
        if begin <= latest:
            yield ConsentStatus.RENEWED, begin, _until(end)


def _until(moment: int) -> int | None:
    return None if moment >= EVER else moment


def find_gift(root: Rule, cell: Cell, since: int) -> tuple[Stretches, Days | None]:
    """Find when provisions permit something, and of which days the data: of all, or of the most."""
    named = {rule.days for rule in root.walk() if rule.days}
    periods = sorted((one for one in named if one[0] <= one[1]), key=_count_days)
    for days in (None, *periods[::-1]):
        if stretches := find_stretches(root, cell, since, days):
            return stretches, days
    return (), None


def _count_days(days: Days) -> int:
    first, last = map(date.fromisoformat, days)
    return (last - first).days


def find_stretches(root: Rule, cell: Cell, since: int, days: Days | None) -> Stretches:
    """Find when provisions permit something of some days, from a moment on."""
    moments = sorted({since, *(one for one in find_boundaries(root) if one > since)})
    found: list[tuple[int, int]] = []
    for begin, end in zip(moments, [*moments[1:], EVER], strict=True):
        if not root.decide(cell, begin, days):
            continue
        follows = bool(found) and found[-1][1] == begin
        found.append((found.pop()[0] if follows else begin, end))
    return tuple(found)


def list_beyond(root: Rule, cells: Sequence[Cell]) -> list[Cell]:
    """Give what is denied by name and is neither among some cells nor above one.

    What is above one is denied with it.
    """
    purposes = {purpose for purpose, _ in cells}
    categories = {category for _, category in cells}
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
        EventField.DATA_FROM: event.days and event.days[0],
        EventField.DATA_UNTIL: event.days and event.days[1],
        EventField.AT: event.at,
        EventField.EXPIRES_AT: event.until,
    }
