"""Whether the sources of consent events still arrive: a feed that stopped tells of no withdrawal.

What counts is when a source was last delivered whole, not how new its newest event is: on a quiet
day nobody answers. A file says it by its time of change, which whoever can write it can set, and
which a copy of an old file renews; a delivery that is recorded where it was sent from says more. It
is not known whether what was delivered is all that there was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from expectations.checks import Check, refuse_failed
from expectations.errors import SourceError, carrying
from expectations.policy.legal_basis import ConsentLedger, EventSource
from expectations.policy.locations import (
    CsvFile,
    ExampleData,
    FhirExport,
    JsonLines,
    ParquetFiles,
    SqlQuery,
    SqlTable,
)
from expectations.policy.spans import read_span
from expectations.policy.vocabulary import CheckVerdict
from expectations.policy_file import PolicyFile
from ledgers.consent.events import from_micros
from tasks.consent.event_terms import BadRows, read_times
from tasks.sources import open_source
from tasks.sources.source import explain_unreadable

AHEAD: Final = timedelta(minutes=5)
"""How far a delivery may lie in the future: clocks differ, and no more is believed."""
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Delivered:
    """When a source was last delivered whole, None where that is not on record, and its limit."""

    place: str
    at: datetime | None
    limit: str


@dataclass(frozen=True, slots=True)
class StaleConsent:
    """Sources of consent events of which the last delivery is too old, as checks."""

    checks: tuple[Check, ...]


def find_deliveries(file: PolicyFile) -> list[Delivered]:
    """Say when each source that must be fresh was last delivered; to be asked before it is read.

    What arrives while it is read then counts the next time.
    """
    basis = file.policy.basis
    return [
        Delivered(place, find_delivery(source, place, file.folder), source.not_older_than)
        for place, source in (
            (f"basis.events.{number}", source)
            for number, source in enumerate(
                basis.events if isinstance(basis, ConsentLedger) else ()
            )
        )
        if source.not_older_than is not None
    ]


def find_delivery(source: EventSource, place: str, folder: Path) -> datetime | None:
    """Give the moment of a source's last complete delivery; None where none is on record."""
    if source.delivery is not None:
        return _read_delivery(source, f"{place}.delivery", folder)
    match source.location:
        case CsvFile(path=path) | FhirExport(path=path) | JsonLines(path=path):
            files = [folder / path]
        case ParquetFiles():
            from tasks.sources.parquet_files import ParquetSource

            files = ParquetSource(source.location, folder).files
        case SqlTable() | SqlQuery() | ExampleData():
            return None
        case _:
            assert_never(source.location)
    try:
        latest = max(file.stat().st_mtime for file in files)
    except OSError as error:
        raise explain_unreadable(error, place, files[0]) from None
    return datetime.fromtimestamp(latest, UTC)


def _read_delivery(source: EventSource, place: str, folder: Path) -> datetime | None:
    """Read the latest of the moments at which a delivery was complete, in the stricter reading."""
    assert source.delivery is not None
    name, bad = source.delivery.column, BadRows(place, "delivery")
    opened = open_source(source.delivery.location, folder, "consent")
    if name not in opened.columns():
        raise SourceError(f"{place}.column: the source has no column `{name}`; name its own")
    zone = None if source.zone is None else ZoneInfo(source.zone)
    times = read_times(opened.read([name]).column(name), name, zone, bad)
    bad.refuse()
    return from_micros(int(times.first[times.there].max())) if times.there.any() else None


def judge_deliveries(found: Sequence[Delivered], now: datetime) -> list[Check]:
    """Judge each delivery by the limit that the policy sets; ages are told in whole hours."""
    return [_judge(one, now) for one in found]


def _judge(one: Delivered, now: datetime) -> Check:
    limit = read_span(one.limit)
    assert limit is not None, "the grammar allows no other"
    age = None if one.at is None else now - one.at
    fresh = age is not None and age >= -AHEAD and age <= limit
    return Check(
        "fresh consent",
        f"{one.place} delivered within {one.limit}",
        say_age(age, fresh=fresh),
        CheckVerdict.PASSED if fresh else CheckVerdict.REFUSED,
        "a delivery that is an hour older than the limit",
        "find out why it stopped arriving, deliver it again, and run again",
    )


def say_age(age: timedelta | None, *, fresh: bool) -> str:
    """Say how long ago a delivery was, in whole hours: at most so many, or at least."""
    if age is None:
        return "no complete delivery is on record"
    if age < -AHEAD:
        return "the last delivery lies in the future, so a clock is wrong"
    hours = max(age, timedelta()) // HOUR + fresh
    bound, plural = ("under" if fresh else "over"), ("" if hours == 1 else "s")
    return f"the last delivery was {bound} {hours} hour{plural} ago"


def refuse_stale(checks: Sequence[Check]) -> None:
    """Raise `Refusal` that names every source of which the last delivery is too old."""
    stale = tuple(check for check in checks if check.verdict is CheckVerdict.REFUSED)
    with carrying(StaleConsent(stale)):
        refuse_failed(stale)
