"""Taking consent events from where people keep them into the ledger.

Nothing of a source is taken in unless every event is in order: what is wrong is told without a
value, and with the events' numbers at a terminal alone. People become keyed tokens here, and no
name goes further. It does not know what the events mean for a person, nor whether what they report
is true.

The ledger is only added to: whoever is taken off a list of objections, or out of a table of
answers, is still in the ledger. To end something takes an event that says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import SourceError
from expectations.policy.event_words import LONGEST_EVIDENCE, WORDED, tidy
from expectations.policy.identifiers import Normal
from expectations.policy.legal_basis import ConsentLedger, EventField, EventSource, Notice
from expectations.policy_file import PolicyFile
from ledgers.consent.events import BATCH, Batch, to_micros
from ledgers.home.keys import Keys
from tasks.consent.event_fields import digest_fields, read_fields, state_fields
from tasks.consent.event_rows import shape_rows
from tasks.consent.event_terms import (
    DAY,
    GIFTS,
    RIGHTS_ENDED,
    Agreed,
    BadRows,
    Times,
    Words,
    agree,
    read_times,
    read_words,
)
from tasks.people.person_keys import key_people
from tasks.sources.naming import canonical

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ledgers.consent.ledger import ConsentLedger as Ledger

PEOPLE: Final = (EventField.PERSON, EventField.GUARDIAN)
TIMES: Final = (EventField.AT, EventField.RECORDED_AT, EventField.EXPIRES_AT)


@dataclass(frozen=True, slots=True)
class Setting:
    """What a source is read with, whichever it is.

    `folder` is where relative paths start, `notices` are those that the policy declares, and
    after `now` nothing can have happened.
    """

    folder: Path
    notices: tuple[Notice, ...]
    keys: Keys = field(repr=False)
    now: datetime
    normal: tuple[Normal, ...] = ()
    """What is done to identifiers before they are compared."""


@dataclass(frozen=True, slots=True)
class Imported:
    """How many events of the source at `place` were new to the ledger, and how many were not."""

    place: str
    new: int
    repeated: int
    unchanged: bool = False
    """Whether all of it had been taken in before, and no event was looked at again."""


def import_events(file: PolicyFile, ledger: Ledger, keys: Keys, now: datetime) -> list[Imported]:
    """Take the events of every source that a policy names into the ledger, one after the other.

    Raises `SourceError` at the first source with something wrong; those before it stay taken in.
    """
    basis = file.policy.basis
    if not isinstance(basis, ConsentLedger):
        return []
    setting = Setting(file.folder, basis.notices, keys, now, file.policy.source.normalize)
    return [
        import_source(source, f"basis.events.{number}", ledger, setting)
        for number, source in enumerate(basis.events)
    ]


def import_source(source: EventSource, place: str, ledger: Ledger, setting: Setting) -> Imported:
    """Take the events of one source into the ledger, all or none; `place` names it in errors.

    Content that was taken in before, under the same mapping and notices, is skipped. Raises
    `SourceError` for events that are wrong, and for a notice that the ledger knows otherwise.
    """
    fields = read_source(source, place, setting)
    key = setting.keys.derive("digest")
    digest = digest_fields(fields, source, setting.notices, key, setting.normal)
    if ledger.imported(digest):
        return Imported(place, 0, fields.num_rows, unchanged=True)
    # Nothing is added to a ledger in which something is off, or a backup of it would be behind.
    ledger.verify()
    check_notices(setting.notices, ledger)
    appended = ledger.append(make_batch(fields, source, place, setting), place, digest)
    return Imported(place, appended.new, appended.repeated)


def read_source(source: EventSource, place: str, setting: Setting) -> pa.Table:
    """Read the fields of a source's events, in whatever form it holds them."""
    if source.fhir is None:
        return read_fields(source, place, setting.folder)
    from tasks.consent.fhir.telling import read_consents

    fields = read_consents(source, place, setting.folder, setting.notices, setting.now)
    return state_fields(fields, source)


def check_notices(notices: Sequence[Notice], ledger: Ledger) -> None:
    """Refuse a notice that says something else in the ledger, where events name it already.

    What people were shown does not change: else more than they agreed to could be declared later.
    """
    known = {one.notice for one in ledger.terms().values()}
    for number, notice in enumerate(notices):
        name = (notice.id, notice.version, notice.language)
        if any(
            one and (one.id, one.version, one.language) == name for one in known - {notice.terms}
        ):
            raise SourceError(
                f"basis.notices.{number}: in the consent ledger this version of the notice "
                "enumerates something else; declare what differs as another version, and say under "
                "`minimum_versions` if the earlier is not to count"
            )


def make_batch(fields: pa.Table, source: EventSource, place: str, setting: Setting) -> Batch:
    """Give the events that `read_fields` read; one `SourceError` for all that is wrong in them."""
    rows = shape_rows(fields, source, place)
    fields, bad = rows.fields, BadRows(place, numbers=rows.numbers)
    now = to_micros(setting.now)
    people = _read_people(fields, bad, setting.normal)
    words = _read_words(fields, source, bad)
    days = _count_days(words.pop(EventField.DURATION_DAYS, None), fields.num_rows)
    by_guardian = pc.is_valid(people[EventField.GUARDIAN]).to_numpy()
    agreed = agree(words, by_guardian, [notice.terms for notice in setting.notices], bad)
    times = _read_times(fields, source, now, bad)
    evidence = _read_evidence(fields, bad)
    # All rules were looked at by now: who mends the source is told of everything at once.
    bad.refuse()
    key = setting.keys.derive("person")
    tokens = {one: _make_tokens(names, key) for one, names in people.items()}
    table = {
        "token_high": tokens[EventField.PERSON][0],
        "token_low": tokens[EventField.PERSON][1],
        "terms": pa.array(agreed.places.astype(np.int32)),
        "valid_from": _begin(times[EventField.AT], agreed, now),
        "recorded_at": _settle(times[EventField.RECORDED_AT], agreed, now),
        "valid_until": _find_end(times, days),
        "guardian_high": tokens[EventField.GUARDIAN][0],
        "guardian_low": tokens[EventField.GUARDIAN][1],
        "evidence": evidence,
    }
    return Batch(pa.table(table, schema=BATCH), agreed.terms)


def _read_people(
    fields: pa.Table, bad: BadRows, normal: Sequence[Normal]
) -> dict[EventField, pa.ChunkedArray]:
    """Give the names of persons and guardians, in the one spelling in which names are compared."""
    names = {one: _read_names(fields, one, bad.place, normal) for one in PEOPLE}
    person, guardian = names.values()
    bad.note(pc.is_null(person).to_numpy(), "it has no person", "add its person")
    same = pc.fill_null(pc.equal(person, guardian), False).to_numpy()
    bad.note(same, "its guardian is the person", "leave the guardian out, or correct it")
    return names


def _read_names(
    fields: pa.Table, one: EventField, place: str, normal: Sequence[Normal] = ()
) -> pa.ChunkedArray:
    if one not in fields.column_names:
        return pa.chunked_array([pa.nulls(fields.num_rows, pa.large_string())])
    return canonical(fields.column(str(one)), f"{place}: the column of `{one}`", normal)


def _read_words(fields: pa.Table, source: EventSource, bad: BadRows) -> dict[EventField, Words]:
    """Give the words of each field that is there."""
    return {
        one: read_words(fields.column(str(one)), one, tidy(source.words.get(one, {})), bad)
        for one in WORDED
        if one in fields.column_names
    }


def _count_days(duration: Words | None, events: int) -> NDArray[np.int64]:
    """Give each event's duration in days, 0 where it has none."""
    if duration is None:
        return np.zeros(events, dtype=np.int64)
    return np.array([int(word or 0) for word in duration.ours], dtype=np.int64)[duration.places]


def _read_times(
    fields: pa.Table, source: EventSource, now: int, bad: BadRows
) -> dict[EventField, Times]:
    """Give the times of each field; `now` is in microseconds since 1970 UTC."""
    zone = None if source.zone is None else ZoneInfo(source.zone)
    nothing = pa.chunked_array([pa.nulls(fields.num_rows, pa.timestamp("us", "UTC"))])
    times = {}
    for one in TIMES:
        column = fields.column(str(one)) if one in fields.column_names else nothing
        stated = one in source.stated
        form = None if stated or source.fhir is not None else source.time_format
        times[one] = read_times(column, str(one), zone, bad, form)
    bad.note(~times[EventField.AT].there, "its `at` is missing", "add when it happened")
    known = (times[EventField.AT], times[EventField.RECORDED_AT])
    late = np.any([one.there & (one.first > now) for one in known], axis=0)
    bad.note(late, "it is recorded in the future", "correct its time")
    return times


def _read_evidence(fields: pa.Table, bad: BadRows) -> pa.ChunkedArray:
    """Give each event's reference to its evidence, which is short."""
    found = _read_names(fields, EventField.EVIDENCE, bad.place)
    long = pc.fill_null(pc.greater(pc.utf8_length(found), LONGEST_EVIDENCE), False).to_numpy()
    what = f"its evidence is longer than {LONGEST_EVIDENCE} characters"
    bad.note(long, what, "say where the evidence is, not what it says")
    return found.cast(pa.string())


def _settle(times: Times, agreed: Agreed, now: int) -> pa.Array:
    """Give one moment per event, null where there is none.

    Of those that a time can mean, a gift takes the first, and all else the last that has come: a
    policy choice.
    """
    moments = np.where(agreed.have(GIFTS), times.first, np.minimum(times.last, now))
    return pa.array(moments, mask=~times.there)


def _begin(times: Times, agreed: Agreed, now: int) -> pa.Array:
    """Give the moment from which each event holds; a right has ended when its last day is over."""
    return pc.if_else(
        pa.array(agreed.have(RIGHTS_ENDED)), pa.array(times.last), _settle(times, agreed, now)
    )


def _find_end(times: Mapping[EventField, Times], days: NDArray[np.int64]) -> pa.Array:
    """Give the moment at which each event ends of itself: the earlier of end date and duration."""
    end, begin = times[EventField.EXPIRES_AT], times[EventField.AT].first
    never = np.iinfo(np.int64).max
    dated = np.where(end.there, end.first, never)
    ends = np.minimum(dated, np.where(days > 0, begin + days * DAY, never))
    return pa.array(ends, mask=ends == never)


def _make_tokens(names: pa.ChunkedArray, key: bytes) -> tuple[pa.Array, pa.Array]:
    """Give the halves of each name's token, null where nobody is named; a name is keyed once."""
    encoded = names.combine_chunks().dictionary_encode()
    tokens = key_people(pa.chunked_array([encoded.dictionary]), key).token
    high, low = (pa.array(half).take(encoded.indices) for half in tokens.T)
    return high, low
