"""Whom the policy may read: each person's legal basis, decided before any of their data is read.

Default deny: of two answers the later counts, an unknown person has given none, and every person
who is left out has one first reason. The decision is as of one moment. It knows consent events,
one answer per person, or a list of objections; it does not know whether a consent was informed.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import Count
from expectations.errors import Refusal, SourceError
from expectations.policy import Basis, ConsentColumn, ConsentLedger, OptOutList, OtherBasis
from expectations.policy_file import PolicyFile
from expectations.vocabulary import ConsentStatus, Purpose
from ledgers.stages import Permitted, Roster
from tasks.ingestion import ANSWER, DRAW, PERSON, RECORD, canonical
from tasks.run import Desk
from tasks.sources import Source, open_source
from tasks.step import Opened, step

PERMITTED: Final = "permitted"
NEVER_ASKED: Final = "never asked"
EVENT_COLUMNS: Final = ("person", "purpose", "status", "at", "expires_at")
ZONE: Final = r"(?:Z|[+-]\d\d:?\d\d)$"
REASONS: Final = {
    ConsentStatus.GIVEN: PERMITTED,
    ConsentStatus.RENEWED: PERMITTED,
    ConsentStatus.REFUSED: "refused",
    ConsentStatus.WITHDRAWN: "withdrawn",
    ConsentStatus.EXPIRED: "expired",
}


def decide_by_events(
    people: pd.Series[str], events: pd.DataFrame, purpose: Purpose, now: datetime
) -> pd.Series[str]:
    """Give each person's standing for one purpose, as of `now`; `people` are each named once.

    `events` is what `read_events` gives. The latest event counts; of two at the same moment the
    one recorded later. A consent whose end has come is expired.
    """
    reasons = tuple(dict.fromkeys((*REASONS.values(), NEVER_ASKED)))
    place = {reason: n for n, reason in enumerate(reasons)}
    statuses = events["status"].astype("category").cat
    meant = [place[REASONS[ConsentStatus(word)]] for word in statuses.categories]
    codes = np.array(meant, dtype=np.int8)[statuses.codes]
    over = (codes == place[PERMITTED]) & (events["expires_at"] <= pd.Timestamp(now))
    codes = np.where(over, place[REASONS[ConsentStatus.EXPIRED]], codes)
    found = np.full(len(people), place[NEVER_ASKED])
    of_purpose = np.flatnonzero((events["purpose"] == str(purpose)).to_numpy())
    times = events["at"].dt.tz_localize(None).to_numpy()[of_purpose]
    in_order = of_purpose[np.argsort(times, kind="stable")]
    whose = pc.index_in(pa.array(events["person"]), value_set=pa.array(people))
    person = whose.fill_null(-1).to_numpy()[in_order]
    # Of several events that are written to one person's place, the last stays.
    found[person[person >= 0]] = codes[in_order[person >= 0]]
    return pd.Series(pd.Categorical.from_codes(found, pd.Index(reasons)), index=people.index)


def decide_by_answers(answers: pa.ChunkedArray, granted: tuple[str, ...]) -> pa.Array:
    """Give each person's standing from one answer per person; anything but a yes means no."""
    yes = pc.fill_null(pc.is_in(answers, pa.array(granted, answers.type)), False)
    silent = pc.if_else(pc.is_null(answers), NEVER_ASKED, "refused")
    return pc.if_else(yes, PERMITTED, silent)


def read_events(table: pa.Table, now: datetime, place: str) -> pd.DataFrame:
    """Check the consent events of one place and give them with times in UTC.

    Raises `SourceError` with every rule that is broken, by the number of the event (from 1).
    """
    lacking = [name for name in EVENT_COLUMNS[:4] if name not in table.column_names]
    if lacking:
        raise SourceError(
            f"{place}: the columns {', '.join(lacking)} are missing; an event has "
            f"{', '.join(EVENT_COLUMNS)}"
        )
    frame = pd.DataFrame(
        {
            "person": texts(table, "person", place),
            "purpose": words(table, "purpose", place),
            "status": words(table, "status", place),
        }
    )
    problems = list(word_problems(frame))
    for name in ("at", "expires_at"):
        frame[name], bad = moments(table, name, place)
        unset = bad | frame[name].isna() if name == "at" else bad
        fix = "write it like 2026-01-31T12:00:00+01:00"
        problems += rule(f"its `{name}` is no time with a zone", unset, fix)
    late = frame["at"] > pd.Timestamp(now)
    problems += rule("it is recorded in the future", late, "correct its time")
    if problems:
        raise SourceError(f"{place}: some consent events are wrong\n" + "\n".join(problems))
    return frame


def texts(table: pa.Table, name: str, place: str) -> pd.Series[str]:
    """Give a column of events as text; one that is absent is missing."""
    if name not in table.column_names:
        return pd.Series([None] * table.num_rows, dtype="str")
    found = canonical(table.column(name), f"{place}: the column '{name}'")
    series: pd.Series[str] = found.to_pandas()
    return series.astype("str")


def words(table: pa.Table, name: str, place: str) -> pd.Series[str]:
    """Give a column of few different words, as categories."""
    encoded = pc.dictionary_encode(table.column(name)).combine_chunks()
    known = canonical(pa.chunked_array([encoded.dictionary]), f"{place}: the column '{name}'")
    series: pd.Series[str] = pa.DictionaryArray.from_arrays(
        encoded.indices, known.combine_chunks()
    ).to_pandas()
    return series


def moments(
    table: pa.Table, name: str, place: str
) -> tuple[pd.Series[pd.Timestamp], pd.Series[bool]]:
    """Give a column of times in UTC, and which of those given are no time with a zone."""
    column = table.column(name) if name in table.column_names else None
    if column is not None and pa.types.is_timestamp(column.type):
        naive = column.type.tz is None
        zoned = column.cast(pa.timestamp("us", "UTC"), safe=False).to_pandas()
        return zoned, zoned.notna() & naive
    given = texts(table, name, place)
    zoned = given.where(given.str.contains(ZONE, regex=True, na=False))
    parsed = pd.to_datetime(zoned, format="ISO8601", utc=True, errors="coerce")
    return parsed, given.notna() & parsed.isna()


def word_problems(frame: pd.DataFrame) -> Iterator[str]:
    """Name the events without a person, or with an unknown word."""
    yield from rule("it names no person", frame["person"].isna(), "add its person")
    known = {"purpose": [*map(str, Purpose)], "status": [*map(str, ConsentStatus)]}
    for column, words in known.items():
        unknown = ~frame[column].isin(words)
        yield from rule(f"its {column} is an unknown word", unknown, f"use {', '.join(words)}")


def rule(what: str, broken: pd.Series[bool], fix: str) -> Iterator[str]:
    """Word a broken rule with the numbers of the first events that break it."""
    numbers = (np.flatnonzero(broken.to_numpy()) + 1).tolist()
    if numbers:
        first = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
        yield f"  event {first} ({len(numbers):,} in all): {what}; {fix}"


def read_known(source: Source) -> pa.Table:
    """Read the columns of events that are there."""
    there = source.columns()
    return source.read([name for name in EVENT_COLUMNS if name in there])


def decide(file: PolicyFile, roster: pa.Table, now: datetime) -> pa.Array:
    """Give each person's standing under the policy's basis, in the roster's order."""
    policy, folder, people = file.policy, file.folder, roster.column(PERSON)
    match policy.basis:
        case ConsentLedger(events=places):
            parts = [
                read_events(
                    read_known(open_source(place, folder, "consent")), now, f"basis.events.{n}"
                )
                for n, place in enumerate(places)
            ]
            events = pd.concat(parts, ignore_index=True)
            names = canonical(people, "roster").to_pandas().astype("str")
            return pa.array(decide_by_events(names, events, policy.purpose, now))
        case ConsentColumn(granted=granted):
            return decide_by_answers(roster.column(ANSWER), granted)
        case OptOutList(objections=place, person=column):
            listed = open_source(place, folder, "objections").read([column]).column(column)
            names = canonical(listed, f"basis.objections: the column '{column}'")
            objected = pc.is_in(canonical(people, "roster"), names.combine_chunks())
            return pc.if_else(objected, "objected", PERMITTED)
        case OtherBasis():
            return pa.array([PERMITTED] * roster.num_rows)


def reasons(basis: Basis) -> tuple[str, ...]:
    """Name every reason for which a person can be left out, whether or not anybody is."""
    match basis:
        case ConsentLedger():
            return (NEVER_ASKED, *dict.fromkeys(r for r in REASONS.values() if r != PERMITTED))
        case ConsentColumn():
            return (NEVER_ASKED, "refused")
        case OptOutList():
            return ("objected",)
        case OtherBasis():
            return ()


def count_standings(roster: pa.Table, standings: pa.Array) -> dict[str, Count]:
    """Count the people of each standing."""
    keys = pd.DataFrame({"key": roster.column(RECORD).to_numpy(), "of": standings.to_pandas()})
    groups = keys.groupby("of")["key"]
    return {
        str(name): Count(len(group), int(np.sum(group.to_numpy(), dtype=np.uint64)))
        for name, group in groups
    }


def digest_people(record: np.ndarray[tuple[int], np.dtype[np.uint64]], key: bytes) -> str:
    """Give a keyed digest of a set of people, whatever their order; 64 hex digits."""
    return hmac.digest(key, np.sort(record).tobytes(), "sha256").hex()


@step("Keep whom the legal basis covers", gives=Permitted)
def filter_consent(desk: Desk, roster: Opened[Roster]) -> pa.Table:
    """Decide each person's legal basis as of now, and keep those who have one."""
    people = roster.table()
    standings = decide(desk.run.file, people, desk.run.now)
    counts = count_standings(people, standings)
    kept = people.filter(pc.equal(standings, PERMITTED)).select([PERSON, RECORD, DRAW])
    nobody = Count(0, 0)
    # Every reason is told, lest its absence say that nobody had it.
    shown = {
        name: desk.count(f"people.excluded.{name}", counts.get(name, nobody))
        for name in reasons(desk.policy.basis)
    }
    desk.count("people.permitted", counts.get(PERMITTED, nobody))
    snapshot = digest_people(kept.column(RECORD).to_numpy(), desk.key("digest"))
    desk.note("snapshot", "consent", snapshot)
    if kept.num_rows == 0:
        most = max(counts, key=lambda name: counts[name].exact)
        raise Refusal(
            "legal basis",
            f"nobody is left for {desk.policy.purpose}; most were left out because: {most} "
            f"({shown[most]} people); check the purpose, and what people were asked",
        )
    return kept
