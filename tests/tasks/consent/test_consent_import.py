"""Consent events come in from what people have, in our words and times, all or none of a source."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import SourceError
from expectations.policy.consent_terms import NoticeTerms, Terms
from expectations.policy.legal_basis import ConsentColumn, EventField, EventSource, Notice
from expectations.policy.vocabulary import (
    Article6,
    Article9,
    Category,
    ConsentStatus,
    Indication,
    Purpose,
)
from expectations.policy_file import PolicyFile, parse_policy
from ledgers.consent.events import BATCH, Batch
from ledgers.consent.ledger import ConsentLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home, Settings
from ledgers.home.keys import Keys
from tasks.consent import events
from tasks.consent.event_fields import missing_fields
from tasks.consent.events import Imported, Setting, import_events, import_source
from tasks.people.person_keys import key_people
from tasks.sources import location_of
from tests.conftest import small_policy
from tests.tasks.consent.read_events import read_batch

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "Vxq7Kestrel"
RESEARCH = Purpose.SCIENTIFIC_RESEARCH
KEYS = Keys(Home(Path(), Settings()), bytes(32))
PLAIN = Notice(
    id="research",
    version=1,
    purposes=(RESEARCH, Purpose.MARKETING),
    categories=(Category.AGE, Category.GENDER, Category.HEALTH),
)
BROAD = Notice(
    id="broad",
    version=2,
    purposes=(Purpose.RESEARCH_AND_DEVELOPMENT,),
    categories=(Category.AGE,),
    covers_narrower=True,
)
Event = dict[str, Any]


def setting(folder: Path, *notices: Notice, now: datetime = NOW) -> Setting:
    """Give what sources in a folder are read with."""
    return Setting(folder, notices or (PLAIN, BROAD), KEYS, now)


def source(location: Mapping[str, str], **mapping: Any) -> EventSource:
    """Declare a source of events as a policy does."""
    return EventSource.model_validate_json(json.dumps({"location": location, **mapping}))


def written(folder: Path, text: str, **mapping: Any) -> EventSource:
    """Write events as CSV, or as JSON lines where the text begins with a brace."""
    name, kind = ("e.jsonl", "json-lines") if text.startswith("{") else ("e.csv", "csv")
    (folder / name).write_text(text, encoding="utf-8")
    return source({"kind": kind, "path": name}, **mapping)


def token(name: str) -> tuple[int, int]:
    """Give a person's token."""
    high, low = key_people(pa.chunked_array([[name]]), KEYS.derive("person")).token[0]
    return int(high), int(low)


def tell(batch: Batch) -> list[Event]:
    """Give the events of a batch as a person would tell them: terms, and times as they are read."""
    told = []
    for row in batch.table.to_pylist():
        event: Event = {"terms": batch.terms[row["terms"]]}
        event |= {key: row[key] for key in ("token_high", "token_low", "evidence")}
        event["guardian"] = (row["guardian_high"], row["guardian_low"])
        for key in ("valid_from", "recorded_at", "valid_until"):
            event[key] = None if row[key] is None else as_time(row[key])
        told.append(event)
    return told


def as_time(microseconds: int) -> datetime:
    """Give a moment in UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)


def read(folder: Path, text: str, *notices: Notice, **mapping: Any) -> list[Event]:
    """Write events, read them and tell them."""
    return tell(read_batch(written(folder, text, **mapping), "e", setting(folder, *notices)).batch)


def refuse(folder: Path, text: str, *notices: Notice, **mapping: Any) -> list[str]:
    """Give the lines that say what is wrong with events; none may hold a value of theirs."""
    with pytest.raises(SourceError) as caught:
        read_batch(written(folder, text, **mapping), "basis.events.0", setting(folder, *notices))
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value).splitlines()


def find_places(folder: Path, text: str, *notices: Notice) -> list[str]:
    """Give the lines that name to a terminal which events are wrong."""
    with pytest.raises(SourceError) as caught:
        read_batch(written(folder, text), "basis.events.0", setting(folder, *notices))
    assert SECRET not in caught.value.places
    return caught.value.places.splitlines()


def at(text: str) -> datetime:
    """Give a moment."""
    return datetime.fromisoformat(text)


# ---------------------------------------------------------------- mappings of what people have


def test_an_export_of_a_consent_management_platform(tmp_path: Path) -> None:
    """Types of transactions, purposes by name, local times, and an end where one is known."""
    text = (
        "DataSubjectIdentifier,PurposeName,PurposeVersion,TransactionType,InteractionDate,"
        "ExpiryDate,CollectionPoint,ReceiptId,Country\n"
        "p1,Research with health data,1,CONFIRMED,2025-02-03T10:11:12.967,2027-02-03T00:00:00,"
        "Web form,r-1,AT\n"
        "p2,Research with health data,1,NO_CONSENT,2025-02-03T10:11:12.96,,Web form,r-2,AT\n"
        "p1,Research with health data,1,WITHDRAWN,2025-07-01T08:00:00,,Portal,r-3,AT\n"
        "p3,Research with health data,1,PENDING,2025-02-03T10:11:12,,Web form,r-4,AT\n"
        "p4,Research with health data,1,EXPIRED,2025-02-03T10:11:12,,Web form,r-5,AT\n"
        "p5,Newsletter,1,EXTENDED,2025-02-03T10:11:12,,Web form,r-6,AT\n"
    )
    told = read(
        tmp_path,
        text,
        columns={
            "person": "DataSubjectIdentifier",
            "purpose": "PurposeName",
            "notice_version": "PurposeVersion",
            "status": "TransactionType",
            "at": "InteractionDate",
            "expires_at": "ExpiryDate",
            "method": "CollectionPoint",
            "evidence": "ReceiptId",
            "jurisdiction": "Country",
        },
        words={
            "purpose": {"Research with health data": str(RESEARCH), "Newsletter": "dpv:Marketing"},
            "status": {
                "CONFIRMED": "given",
                "NO_CONSENT": "refused",
                "WITHDRAWN": "withdrawn",
                "PENDING": "requested",
                "EXPIRED": "expired",
                "EXTENDED": "renewed",
            },
        },
        stated={"notice": "research"},
        zone="Europe/Vienna",
    )
    assert [str(event["terms"].status) for event in told] == [
        "given", "refused", "withdrawn", "requested", "expired", "renewed"]  # fmt: skip
    assert told[0] == {
        "terms": Terms(
            ConsentStatus.GIVEN,
            RESEARCH,
            notice=PLAIN.terms,
            method="Web form",
            jurisdiction="AT",
        ),
        "token_high": token("p1")[0],
        "token_low": token("p1")[1],
        "evidence": "r-1",
        "guardian": (None, None),
        "valid_from": at("2025-02-03T10:11:12.967+01:00"),
        "recorded_at": None,
        "valid_until": at("2027-02-03T00:00:00+01:00"),
    }
    assert told[2]["valid_from"] == at("2025-07-01T08:00:00+02:00")
    assert told[5]["terms"].purpose is Purpose.MARKETING


def test_preferences_as_fides_writes_them(tmp_path: Path) -> None:
    """One object a line, with what a person opted in to or out of by the key of a data use."""
    lines = [
        {"user_id": "p1", "preference": "opt_in", "key": "train_ai_system",
         "created_at": "2025-02-03T10:11:12.123456+00:00"},
        {"user_id": 2, "preference": "opt_out", "key": "train_ai_system",
         "created_at": "2025-02-03T10:11:12Z", "nested": {"more": SECRET}},
        {"user_id": "p3", "preference": "acknowledge", "key": "marketing.advertising",
         "created_at": "2025-02-03T10:11:12Z"},
    ]  # fmt: skip
    told = read(
        tmp_path,
        "".join(json.dumps(line) + "\n" for line in lines),
        columns={"person": "user_id", "status": "preference", "purpose": "key", "at": "created_at"},
        words={
            "status": {"opt_in": "given", "opt_out": "refused", "acknowledge": "deferred"},
            "purpose": {
                "train_ai_system": "dpv:ScientificResearch",
                "marketing.advertising": "dpv:Marketing",
            },
        },
        stated={"notice": "research", "indication": "explicit", "article_9": "eu-gdpr:A9-2-a"},
    )
    assert [event["terms"].status for event in told] == [
        ConsentStatus.GIVEN, ConsentStatus.REFUSED, ConsentStatus.DEFERRED]  # fmt: skip
    assert told[0]["terms"] == Terms(
        ConsentStatus.GIVEN,
        RESEARCH,
        notice=PLAIN.terms,
        article_9=Article9.EXPLICIT_CONSENT,
        indication=Indication.EXPLICIT,
    )
    assert (told[1]["token_high"], told[1]["token_low"]) == token("2")
    assert told[0]["valid_from"] == at("2025-02-03T10:11:12.123456Z")


def test_a_column_of_yes_and_no(tmp_path: Path) -> None:
    """An answer per person, on a day, where an empty cell is no answer."""
    told = read(
        tmp_path,
        "person,statistics_ok,at\np1,yes,2025-02-03\np2,no,2025-02-03\np3,,2025-02-03\n",
        columns={"status": "statistics_ok"},
        words={"status": {"yes": "given", "no": "refused", "": "unknown"}},
        stated={"purpose": str(RESEARCH), "notice": "research"},
        zone="Europe/Vienna",
    )
    assert [str(event["terms"].status) for event in told] == ["given", "refused", "unknown"]
    assert told[0]["valid_from"] == at("2025-02-03T00:00:00+01:00")


def test_a_list_of_people_who_objected(tmp_path: Path) -> None:
    """A list of names alone, with a moment that is stated for all of it."""
    told = read(
        tmp_path,
        "patient\n007\n7\n",
        columns={"person": "patient"},
        stated={"status": "objected", "at": "2025-02-03T12:00:00Z"},
    )
    assert [(event["token_high"], event["token_low"]) for event in told] == [
        token("007"), token("7")]  # fmt: skip
    assert {event["terms"] for event in told} == {Terms(ConsentStatus.OBJECTED)}
    assert {event["valid_from"] for event in told} == {at("2025-02-03T12:00:00Z")}


def test_a_query_of_a_database(tmp_path: Path) -> None:
    """What a join selects, with the database's numbers for words."""
    with sqlite3.connect(tmp_path / "d.db") as database:
        database.execute("create table person (id integer, mail text)")
        database.execute("create table answer (person integer, ok integer, said text)")
        database.executemany("insert into person values (?, ?)", [(1, SECRET), (2, SECRET)])
        database.executemany(
            "insert into answer values (?, ?, ?)",
            [(1, 1, "2025-02-03 10:11:12"), (2, 0, "2025-02-03 23:00:00")],
        )
    database.close()
    asked = source(
        {
            "kind": "sql-query",
            "url": "sqlite:///d.db",
            "query": "select p.id as person, a.ok as status, a.said as at\n"
            "from person p join answer a on a.person = p.id -- one a person",
        },
        words={"status": {"1": "given", "0": "refused"}},
        stated={"notice": "broad"},
        zone="UTC",
    )
    told = tell(read_batch(asked, "e", setting(tmp_path)).batch)
    assert [(e["terms"].status, e["valid_from"]) for e in told] == [
        (ConsentStatus.GIVEN, at("2025-02-03T10:11:12Z")),
        (ConsentStatus.REFUSED, at("2025-02-03T23:00:00Z")),
    ]
    assert (told[0]["token_high"], told[0]["token_low"]) == token("1")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_parquet_file_with_times_and_lists_of_its_own(unit: str, tmp_path: Path) -> None:
    """Timestamps in any unit, numbers for people, and a list of categories."""
    table = pa.table(
        {
            "person": pa.array([1.0, 2.0]),
            "status": pa.array(["given", "withdrawn"]).dictionary_encode(),
            "at": pa.array([at("2025-02-03T10:11:12+02:00")] * 2, pa.timestamp(unit, "Asia/Tokyo")),
            "expires_at": pa.array([date(2027, 1, 1), None]),
            "notice": ["research", None],
            "categories": [["dpv-pd:Health", "dpv-pd:Age"], None],
            "guardian": pa.array([3, None]),
            "article_6": ["eu-gdpr:A6-1-a", None],
        }
    )
    pq.write_table(table, tmp_path / "e.parquet")
    kept = source({"kind": "parquet", "path": "e.parquet"}, zone="UTC")
    first, second = tell(read_batch(kept, "e", setting(tmp_path)).batch)
    assert first["terms"] == Terms(
        ConsentStatus.GIVEN,
        categories=(Category.AGE, Category.HEALTH),
        notice=PLAIN.terms,
        article_6=Article6.CONSENT,
        by_guardian=True,
    )
    assert first["valid_from"] == at("2025-02-03T08:11:12Z")
    assert first["valid_until"] == at("2027-01-01T00:00:00Z")
    assert first["guardian"] == token("3")
    assert (first["token_high"], first["token_low"]) == token("1")
    assert second["terms"] == Terms(ConsentStatus.WITHDRAWN)


# ---------------------------------------------------------------- terms, against a plain loop

HEADER = ("person", "status", "purpose", "categories", "notice", "notice_version", "language",
          "indication", "method", "guardian", "at")  # fmt: skip
TWICE = (
    PLAIN,
    PLAIN.model_copy(update={"language": "de"}),
    BROAD,
    BROAD.model_copy(update={"version": 3, "covers_narrower": False}),
)


RULE = re.compile(r"event ([\d, ]+?)(, …)? \(\d+ in all\): \S")
"""How a broken rule is told."""


@st.composite
def rows(draw: st.DrawFn) -> list[str]:
    """Draw the cells of one event; many do not fit together."""
    return [
        draw(st.sampled_from("abc")),
        draw(st.sampled_from(["given", "given", "renewed", "withdrawn"])),
        draw(st.sampled_from(["", *map(str, (RESEARCH, Purpose.MARKETING))])),
        draw(st.sampled_from(["", *["dpv-pd:Age"] * 3, "dpv-pd:Health, dpv-pd:Age"])),
        draw(st.sampled_from(["", "research", "broad", "broad", "other"])),
        draw(st.sampled_from(["", "1", "2", "3"])),
        draw(st.sampled_from(["", "en", "de"])),
        draw(st.sampled_from(["", "explicit"])),
        draw(st.sampled_from(["", "portal"])),
        draw(st.sampled_from(["", "g"])),
        "2025-02-03T10:00:00Z",
    ]


def judge(row: list[str]) -> Terms | None:
    """Say naively what the cells of one event mean; None where they do not fit together."""
    cell = dict(zip(HEADER, row, strict=True))
    notice: NoticeTerms | None = None
    if cell["notice"]:
        fitting = [
            n.terms for n in TWICE
            if n.id == cell["notice"]
            and (not cell["notice_version"] or int(cell["notice_version"]) == n.version)
            and (not cell["language"] or cell["language"] == n.language)
        ]  # fmt: skip
        if len(fitting) != 1:
            return None
        notice = fitting[0]
    categories = [word for word in cell["categories"].split(", ") if word]
    if cell["status"] in {"given", "renewed"}:
        if notice is None or not categories or not cell["purpose"]:
            return None
        named = cell["purpose"] in notice.purposes
        below = cell["purpose"] == RESEARCH and "dpv:ResearchAndDevelopment" in notice.purposes
        if not named and not (below and notice.covers_narrower):
            return None
        if any(word not in notice.categories for word in categories):
            return None
    return Terms(
        ConsentStatus(cell["status"]),
        Purpose(cell["purpose"]) if cell["purpose"] else None,
        tuple(Category(word) for word in categories),
        notice,
        indication=Indication.EXPLICIT if cell["indication"] else None,
        method=cell["method"] or None,
        by_guardian=bool(cell["guardian"]),
    )


def as_csv(lines: Iterable[list[str]]) -> str:
    """Write events."""
    return "".join(",".join(f'"{cell}"' for cell in line) + "\n" for line in [[*HEADER], *lines])


@given(lines=st.lists(rows(), max_size=12))
def test_terms_are_those_of_a_plain_reading(
    lines: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Event by event, a loop over cells comes to the same terms, and to the same bad rows."""
    folder = tmp_path_factory.mktemp("import")
    right = [judge(line) for line in lines]
    good = [line for line, terms in zip(lines, right, strict=True) if terms is not None]
    told = read(folder, as_csv(good), *TWICE)
    assert [event["terms"] for event in told] == [terms for terms in right if terms is not None]
    wrong = {n for n, terms in enumerate(right, 1) if terms is None}
    if wrong:
        said = [RULE.match(line) for line in find_places(folder, as_csv(lines), *TWICE)]
        numbers = [{*map(int, found[1].split(", "))} for found in said if found]
        assert len(numbers) == len(said)
        assert set().union(*numbers) <= wrong
        if not any(found and found[2] for found in said):
            assert set().union(*numbers) == wrong


# ---------------------------------------------------------------- words

GIFT = "person,status,at,notice\np1,{},2025-02-03T10:00:00Z,research\n"


@pytest.mark.parametrize(
    ("cell", "words", "expected"),
    [
        ("dpv-pd:Age", {}, ["dpv-pd:Age"]),
        ("dpv-pd:Age dpv-pd:Health", {}, ["dpv-pd:Age", "dpv-pd:Health"]),
        ("dpv-pd:Health;dpv-pd:Age|dpv-pd:Age", {}, ["dpv-pd:Age", "dpv-pd:Health"]),
        ("Health data, AGE", {"Health data": "dpv-pd:Health", "AGE": "dpv-pd:Age"},
         ["dpv-pd:Age", "dpv-pd:Health"]),
        ("AGE dpv-pd:Health", {"AGE": "dpv-pd:Age"}, ["dpv-pd:Age", "dpv-pd:Health"]),
        ("basic", {"basic": "dpv-pd:Age, dpv-pd:Gender"}, ["dpv-pd:Age", "dpv-pd:Gender"]),
        ("", {"": "all"}, []),
        ("everything", {"everything": "all"}, []),
        ("Größe", {"Gro\u0308ße": "dpv-pd:Age"}, ["dpv-pd:Age"]),
    ],
    ids=["one", "space", "others", "phrase", "mixed", "several", "empty", "all", "composed"],
)  # fmt: skip
def test_categories_are_several_words_in_one_cell(
    cell: str, words: dict[str, str], expected: list[str], tmp_path: Path
) -> None:
    """They stand apart by space, comma, semicolon or bar; a word of theirs may hold spaces."""
    text = f'person,status,at,notice,categories\np1,given,2025-02-03T10:00:00Z,research,"{cell}"\n'
    (event,) = read(tmp_path, text, words={"categories": words})
    assert [*event["terms"].categories] == expected


@pytest.mark.parametrize("column", ["purpose", "categories"])
def test_an_empty_cell_gives_nothing_unless_the_policy_says_what_it_stands_for(
    column: str, tmp_path: Path
) -> None:
    """Who gives consent to nothing that is named has given none; a policy choice."""
    text = f"person,status,at,notice,{column}\np1,given,2025-02-03T10:00:00Z,research,\n"
    said = refuse(tmp_path, text)
    assert said[1:] == [
        (
            f"  fewer than 10 events: it gives consent without a {column}; add it, or say under "
            f'`words.{column}` that "" stands for `all`'
        )
    ]
    (event,) = read(tmp_path, text, words={column: {"": "all"}})
    assert (event["terms"].purpose, event["terms"].categories) == (None, ())
    (event,) = read(tmp_path, text.replace("given", "withdrawn"))
    assert (event["terms"].purpose, event["terms"].categories) == (None, ())


def test_an_empty_list_of_categories_is_not_all_of_them(tmp_path: Path) -> None:
    """A list that names none is another answer than no list."""
    line = {"person": "p1", "status": "given", "at": "2025-02-03T10:00:00Z", "notice": "research"}
    (_, said) = refuse(tmp_path, json.dumps({**line, "categories": []}) + "\n",
                       words={"categories": {"": "all"}})  # fmt: skip
    assert said.startswith(
        "  fewer than 10 events: its category is an unknown word; use dpv-pd:Age"
    )


def test_our_own_words_need_no_mapping(tmp_path: Path) -> None:
    """A mapping adds words and takes none away."""
    text = GIFT.format("given") + GIFT.format("ok").partition("\n")[2]
    told = read(tmp_path, text, words={"status": {"ok": "given"}})
    assert [event["terms"].status for event in told] == [ConsentStatus.GIVEN] * 2


def test_blanks_around_a_word_do_not_count(tmp_path: Path) -> None:
    """Files are padded."""
    (event,) = read(tmp_path, GIFT.format(" ok  "), words={"status": {"ok": "given"}})
    assert event["terms"].status is ConsentStatus.GIVEN


# ---------------------------------------------------------------- times


def moments(folder: Path, times: list[str], status: str, zone: str | None) -> list[datetime]:
    """Read when events of one status hold from."""
    text = "person,status,at,notice\n" + "".join(f"p,{status},{t},research\n" for t in times)
    return [event["valid_from"] for event in read(folder, text, zone=zone)]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-02-03T10:11:12Z", "2025-02-03T10:11:12Z"),
        ("2025-02-03 10:11:12Z", "2025-02-03T10:11:12Z"),
        ("2025-02-03T10:11Z", "2025-02-03T10:11:00Z"),
        ("2025-02-03T10:11:12.5+05:30", "2025-02-03T04:41:12.500000Z"),
        ("2025-02-03T10:11:12-0800", "2025-02-03T18:11:12Z"),
        ("2025-02-03T10:11:12+01", "2025-02-03T09:11:12Z"),
        ("2025-02-03T10:11:12.1234567Z", "2025-02-03T10:11:12.123456Z"),
        ("  2025-02-03T10:11:12Z ", "2025-02-03T10:11:12Z"),
        ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
        ("2025-02-03T10:11:12", "2025-02-03T09:11:12Z"),
        ("2025-07-03T10:11:12.000001", "2025-07-03T08:11:12.000001Z"),
        ("2025-02-03", "2025-02-02T23:00:00Z"),
    ],
)
def test_a_time_is_read_in_every_form_of_the_standard(
    text: str, moment: str, tmp_path: Path
) -> None:
    """Alone, and in a column that also holds the other forms, a time is the same moment."""
    assert moments(tmp_path, [text], "given", "Europe/Vienna") == [at(moment)]
    mixed = [text, "2025-02-03T10:11:12", "2025-02-03T10:11:12Z"]
    assert moments(tmp_path, mixed, "given", "Europe/Vienna")[0] == at(moment)


@given(times=st.lists(st.datetimes(min_value=datetime(1000, 1, 1)), min_size=1, max_size=9))  # noqa: DTZ001
def test_both_readers_of_text_agree(
    times: list[datetime], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A column of one kind, and the same among others, mean the same; the oracle is Python."""
    folder = tmp_path_factory.mktemp("times")
    texts = [f"{time.isoformat()}Z" for time in times if time.replace(tzinfo=UTC) <= NOW]
    expected = [at(text) for text in texts]
    assert moments(folder, texts, "given", "UTC") == expected
    mixed = moments(folder, [*texts, "2025-02-03T10:11:12"], "given", "UTC")
    assert mixed[:-1] == expected


@pytest.mark.parametrize(
    ("zone", "twice", "first", "last"),
    [
        ("Europe/Vienna", "2025-10-26T02:30:00", "00:30", "01:30"),
        ("Europe/Dublin", "2025-10-26T01:30:00", "00:30", "01:30"),
        ("America/New_York", "2025-11-02T01:30:00", "05:30", "06:30"),
        ("Australia/Lord_Howe", "2025-04-06T01:45:00", "14:45", "15:15"),
    ],
)
def test_an_hour_that_came_twice_is_read_as_what_permits_less(
    zone: str, twice: str, first: str, last: str, tmp_path: Path
) -> None:
    """A gift is taken for the earlier, a withdrawal for the later; so it is never behind a gift."""
    (gift,) = moments(tmp_path, [twice], "given", zone)
    (end,) = moments(tmp_path, [twice], "withdrawn", zone)
    assert (f"{gift:%H:%M}", f"{end:%H:%M}") == (first, last)
    for moment in (gift, end):
        assert moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == datetime.fromisoformat(
            twice
        )


@pytest.mark.parametrize(
    ("status", "gifts"),
    [("given", True), ("renewed", True), ("objection-ended", False), ("restriction-ended", False),
     ("withdrawn", False), ("objected", False), ("restricted", False), ("unknown", False)],
)  # fmt: skip
def test_a_day_is_its_first_moment_for_a_gift_and_its_last_for_all_else(
    status: str, gifts: bool, tmp_path: Path
) -> None:
    """Whoever withdrew on a day is out, whatever they gave in its course; a policy choice.

    What ends a right permits, so that the right holds throughout its last day.
    """
    expected = "2025-02-03T00:00:00+01:00" if gifts else "2025-02-03T23:59:59.999999+01:00"
    for text in ("2025-02-03", "2025-02-03 00:00:00"):
        assert moments(tmp_path, [text], status, "Europe/Vienna") == [at(expected)]


def test_who_withdraws_today_has_withdrawn(tmp_path: Path) -> None:
    """The last moment of a day that is not over is now."""
    assert moments(tmp_path, ["2026-03-01"], "withdrawn", "UTC") == [NOW]


def test_a_right_that_ends_today_holds_until_the_day_is_over(tmp_path: Path) -> None:
    """Where it began on the day of its end, for ever: nobody knows which was first."""
    assert moments(tmp_path, ["2026-03-01"], "restriction-ended", "UTC") == [
        at("2026-03-01T23:59:59.999999Z")
    ]


def test_a_day_may_begin_without_its_midnight(tmp_path: Path) -> None:
    """Where clocks go forward at midnight, the day begins an hour later."""
    (gift,) = moments(tmp_path, ["2018-11-04"], "given", "America/Sao_Paulo")
    (end,) = moments(tmp_path, ["2018-11-03"], "withdrawn", "America/Sao_Paulo")
    assert gift == at("2018-11-04T03:00:00Z")
    assert gift - end == timedelta(microseconds=1)


def test_an_hour_that_never_was_is_a_bad_row(tmp_path: Path) -> None:
    """A zone that is not the file's own would show so."""
    text = GIFT.format("given").replace("2025-02-03T10:00:00Z", "2025-03-30T02:30:00")
    assert refuse(tmp_path, text, zone="Europe/Vienna")[1:] == [
        (
            "  fewer than 10 events: its `at` is an hour that does not exist in Europe/Vienna "
            "(clocks went forward); correct it, or `zone`"
        )
    ]


@pytest.mark.parametrize("ever", ["9999-12-31", "9999-12-31T23:59:59", "0001-01-01T00:00:00"])
@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles"])
def test_a_time_at_the_end_of_the_calendar_is_read(ever: str, zone: str, tmp_path: Path) -> None:
    """What programs write for never, or for none, breaks nothing."""
    text = f"person,status,at,expires_at\np1,withdrawn,2025-02-03T10:00:00Z,{ever}\n"
    (event,) = read(tmp_path, text, zone=zone)
    assert event["valid_until"].year in {1, 2, 9998, 9999}


def test_fine_fractions_leave_room_for_far_years(tmp_path: Path) -> None:
    """Ten-millionths of a second in one row do not make another row's year 9999 unreadable."""
    fine, far = "2025-06-01T10:11:12.1234567Z", "9999-12-31T00:00:00Z"
    line = "p,withdrawn,2025-02-03T10:00:00Z,"
    told = read(tmp_path, f"person,status,at,expires_at\n{line}{fine}\n{line}{far}\n")
    assert [event["valid_until"] for event in told] == [
        at("2025-06-01T10:11:12.123456Z"), at(far)]  # fmt: skip


@pytest.mark.parametrize(
    ("expires_at", "days", "end"),
    [
        ("", "", None),
        ("2025-03-01T00:00:00Z", "", "2025-03-01T00:00:00Z"),
        ("", "10", "2025-02-13T10:00:00Z"),
        ("2025-03-01T00:00:00Z", "10", "2025-02-13T10:00:00Z"),
        ("2025-02-04T00:00:00Z", "10", "2025-02-04T00:00:00Z"),
        ("2025-02-04", "", "2025-02-03T23:00:00Z"),
        ("2025-10-26T02:30:00", "", "2025-10-26T00:30:00Z"),
    ],
)
def test_an_event_ends_at_the_earlier_of_end_and_duration(
    expires_at: str, days: str, end: str | None, tmp_path: Path
) -> None:
    """Of an unclear end the earliest counts."""
    text = (
        "person,status,at,notice,expires_at,duration_days\n"
        f"p1,given,2025-02-03T10:00:00Z,research,{expires_at},{days}\n"
    )
    (event,) = read(tmp_path, text, zone="Europe/Vienna")
    assert event["valid_until"] == (end and at(end))


def test_the_source_may_say_when_it_was_recorded(tmp_path: Path) -> None:
    """What it leaves open is for the ledger's clock."""
    text = (
        "person,status,at,recorded_at\np1,withdrawn,2025-02-03T10:00:00Z,2025-02-04T10:00:00Z\n"
        "p1,withdrawn,2025-02-03T10:00:00Z,\n"
    )
    assert [event["recorded_at"] for event in read(tmp_path, text)] == [
        at("2025-02-04T10:00:00Z"), None]  # fmt: skip


# ---------------------------------------------------------------- bad rows

COLUMNS = ("person", "status", "at", "purpose", "categories", "notice", "notice_version",
           "recorded_at", "expires_at", "duration_days", "article_6", "article_9", "indication",
           "language", "method", "guardian", "evidence")  # fmt: skip
FINE = {
    "person": "p1", "status": "given", "at": "2025-02-03T10:00:00Z", "purpose": str(RESEARCH),
    "categories": "dpv-pd:Age", "notice": "research"}  # fmt: skip
UNDECLARED = "its notice is not declared"
BAD: list[tuple[dict[str, str], str]] = [
    ({"person": ""}, "it has no person; add its person"),
    ({"status": f"given {SECRET}"}, "its status is an unknown word; use requested, deferred"),
    ({"status": "givn"}, "its status is an unknown word; did you mean given? use requested"),
    ({"status": ""}, "its status is missing; add it, or say under `words.status`"),
    ({"purpose": SECRET}, "its purpose is an unknown word; use dpv:AcademicResearch"),
    ({"categories": f"dpv-pd:Age {SECRET}"}, "its category is an unknown word; use dpv-pd:Age"),
    ({"categories": ";"}, "its category is an unknown word"),
    ({"article_6": "A6-1-a"}, "its article_6 is an unknown word; did you mean eu-gdpr:A6-1-a?"),
    ({"article_9": SECRET}, "its article_9 is an unknown word"),
    ({"indication": "silence"}, "its indication is an unknown word"),
    ({"method": SECRET * 10}, "its method is longer than 100 characters"),
    ({"notice_version": "v1"}, "its notice_version is not a whole number from 1"),
    ({"duration_days": "0"}, "its duration_days is not a whole number from 1"),
    ({"duration_days": "-3"}, "its duration_days is not a whole number from 1"),
    ({"at": ""}, "its `at` is missing; add when it happened"),
    (
        {"at": "2025-02-03T10:00:00"},
        "its `at` is not a time with a zone; write it like 2026-01-31T",
    ),
    ({"at": "2025-02-03"}, "its `at` is not a time with a zone"),
    ({"at": "2025-02-30T10:00:00Z"}, "its `at` is not a time with a zone"),
    ({"at": f"{SECRET}Z"}, "its `at` is not a time with a zone"),
    ({"at": "1738576800"}, "its `at` is not a time with a zone"),
    ({"at": "2026-03-01T12:00:01Z"}, "it is recorded in the future; correct its time"),
    ({"recorded_at": "2026-03-01T12:00:01Z"}, "it is recorded in the future"),
    ({"recorded_at": "soon"}, "its `recorded_at` is not a time with a zone"),
    ({"expires_at": "never"}, "its `expires_at` is not a time with a zone"),
    ({"evidence": "x" * 201}, "its evidence is longer than 200 characters"),
    ({"guardian": "p1"}, "its guardian is the person; leave the guardian out"),
    ({"notice": ""}, "it gives consent without a notice; name its column under `columns.notice`"),
    (
        {"notice": SECRET},
        f"{UNDECLARED}; the policy's `notices` are: research 1 (en), broad 2 (en)",
    ),
    ({"notice_version": "2"}, UNDECLARED),
    ({"language": "de"}, UNDECLARED),
    ({"purpose": "dpv:Personalisation"}, "its notice does not name its purpose"),
    ({"purpose": "dpv:ResearchAndDevelopment"}, "its notice does not name its purpose"),
    ({"categories": "dpv-pd:Contact"}, "its notice does not name its categories"),
]


def cells(*events: Mapping[str, str]) -> str:
    """Write events of which each is fine but for what is given."""
    lines = [",".join({**FINE, **event}.get(name, "") for name in COLUMNS) for event in events]
    return "\n".join([",".join(COLUMNS), *lines]) + "\n"


@pytest.mark.parametrize(("change", "said"), BAD)
def test_a_bad_row_is_told_by_its_rule_and_never_by_its_value(
    change: dict[str, str], said: str, tmp_path: Path
) -> None:
    """The rule is named, and the remedy; the rows about it are fine."""
    lines = refuse(tmp_path, cells({}, change, {}))
    assert lines[0] == "basis.events.0: some consent events are wrong"
    assert len(lines) == 2, lines
    assert lines[1].startswith(f"  fewer than 10 events: {said}"), lines[1]


def test_every_rule_that_is_broken_is_told_once_with_the_first_rows(tmp_path: Path) -> None:
    """One error for all: each rule once, how many there are, and for a terminal five numbers."""
    events = [{}, {"status": SECRET}, *[{"person": ""}] * 7, {"at": "x", "person": ""}]
    assert find_places(tmp_path, cells(*events)) == [
        "event 3, 4, 5, 6, 7, … (8 in all): it has no person",
        "event 2 (1 in all): its status is an unknown word",
        "event 10 (1 in all): its `at` is not a time with a zone",
    ]
    assert refuse(tmp_path, cells(*events)) == [
        "basis.events.0: some consent events are wrong",
        "  fewer than 10 events: it has no person; add its person",
        (
            "  fewer than 10 events: its status is an unknown word; use "
            f"{', '.join(ConsentStatus)}, or say under `words.status` what it stands for"
        ),
        (
            "  fewer than 10 events: its `at` is not a time with a zone; write it like "
            "2026-01-31T12:00:00+01:00, or name the source's `zone`"
        ),
    ]


@pytest.mark.parametrize("status", ["refused", "withdrawn", "objected", "restricted", "unknown"])
def test_what_gives_nothing_needs_no_notice(status: str, tmp_path: Path) -> None:
    """To withdraw is as easy as can be: no notice, no purpose, no category is asked for."""
    text = f"person,status,at\np1,{status},2025-02-03T10:00:00Z\n"
    assert [event["terms"] for event in read(tmp_path, text)] == [Terms(ConsentStatus(status))]


def test_what_gives_nothing_may_go_beyond_its_notice(tmp_path: Path) -> None:
    """A withdrawal counts though its notice never enumerated what is withdrawn."""
    text = cells({"status": "withdrawn", "purpose": "dpv:Personalisation",
                  "categories": "dpv-pd:Contact"})  # fmt: skip
    (event,) = read(tmp_path, text)
    assert event["terms"].purpose is Purpose.PERSONALISATION


def test_a_broader_purpose_covers_a_narrower_only_if_the_notice_says_so(tmp_path: Path) -> None:
    """The same event is fine under the one notice, and a bad row under the other."""
    text = cells({"notice": "broad"})
    assert read(tmp_path, text)[0]["terms"].purpose is RESEARCH
    silent = BROAD.model_copy(update={"covers_narrower": False})
    assert "its notice does not name its purpose" in refuse(tmp_path, text, silent)[1]


def test_of_several_versions_the_event_must_name_one(tmp_path: Path) -> None:
    """By version, or by language; the only one that fits need not be named further."""
    other = PLAIN.model_copy(update={"version": 2, "language": "de"})
    assert "its notice is declared more than once" in refuse(tmp_path, cells({}), PLAIN, other)[1]
    (event,) = read(tmp_path, cells({"notice_version": "2"}), PLAIN, other)
    assert event["terms"].notice == other.terms
    named = GIFT.format("given").replace("\np1", ",language\np1").replace("h\n", "h,en\n")
    (event,) = read(tmp_path, named, PLAIN, other)
    assert event["terms"].notice == PLAIN.terms


def test_a_column_of_many_words_is_no_column_of_words(tmp_path: Path) -> None:
    """Notes about people, mapped by mistake, would become terms that no erasure reaches."""
    lines = "".join(f"p,withdrawn,2025-02-03T10:00:00Z,{SECRET}{n}\n" for n in range(1001))
    said = refuse(tmp_path, f"person,status,at,remark\n{lines}", columns={"method": "remark"})
    assert said == [
        (
            "basis.events.0: the column of `method` holds more than 1,000 different words, so it "
            "does not say method; name another under `columns.method`"
        )
    ]


@pytest.mark.parametrize(
    "column",
    [pa.array([b"\xffKestrel"]), pa.array([{"a": SECRET}]), pa.array([[SECRET]])],
    ids=["bytes", "object", "list"],
)
@pytest.mark.parametrize("name", ["person", "at", "status", "evidence"])
def test_a_column_of_a_kind_that_no_field_has_is_named(
    name: str, column: pa.Array, tmp_path: Path
) -> None:
    """What Arrow says of it, values included, goes no further."""
    held = {key: pa.array([value]) for key, value in FINE.items()} | {name: column}
    pq.write_table(pa.table(held), tmp_path / "e.parquet")
    with pytest.raises(SourceError, match=f"`{name}`.* must hold text") as caught:
        read_batch(source({"kind": "parquet", "path": "e.parquet"}), "e", setting(tmp_path))
    assert "Kestrel" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


# ---------------------------------------------------------------- columns


def test_all_columns_that_are_lacking_are_told_at_once() -> None:
    """By path of the policy, with what was perhaps meant."""
    mapped = source(
        {"kind": "csv", "path": "e.csv"}, columns={"person": "pid"}, stated={"method": "paper"}
    )
    problems = missing_fields(mapped, "basis.events.1", ("pidd", "method", "status"))
    assert [(p.path, p.what, p.fix) for p in problems] == [
        ("basis.events.1.columns.person", "the source has no column `pid`", "did you mean `pidd`?"),
        ("basis.events.1", "the source has no column `at`, which every event needs",
         "name its own under `columns.at`"),
        ("basis.events.1.stated.method", "it is stated, but the source has a column `method`",
         "take it out, or let the source call that column otherwise"),
    ]  # fmt: skip


def test_a_column_that_is_lacking_refuses_the_source(tmp_path: Path) -> None:
    """Before anything is read of a person."""
    said = refuse(tmp_path, f"person,status\n{SECRET},given\n", columns={"notice": "form"})
    assert [line.partition(":")[0] for line in said] == [
        "basis.events.0.columns.notice", "basis.events.0"]  # fmt: skip


def test_what_is_stated_never_stands_against_a_column(tmp_path: Path) -> None:
    """A column `status` that says withdrawn is not read as given because the policy says so."""
    text = GIFT.format("withdrawn")
    (said,) = refuse(tmp_path, text, stated={"status": "given"})
    assert said.startswith("basis.events.0.stated.status: it is stated, but the source has a col")


def test_no_other_column_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that no field has is never asked for."""
    from tasks.sources.csv_file import CsvSource

    asked: list[str] = []
    real = CsvSource.read

    def spy(self: CsvSource, columns: Any, **more: Any) -> pa.Table:
        asked.extend(columns)
        return real(self, columns, **more)

    monkeypatch.setattr(CsvSource, "read", spy)
    text = f"person,status,at,mail,state\np1,x,2025-02-03T10:00:00Z,{SECRET},withdrawn\n"
    read(tmp_path, text, columns={"status": "state"})
    assert sorted(asked) == ["at", "person", "state"]


def test_a_source_without_an_event_is_fine(tmp_path: Path) -> None:
    """A header alone is an empty batch."""
    assert read(tmp_path, "person,status,at,notice,categories,expires_at\n", zone="UTC") == []


def test_one_person_has_one_token_whatever_the_type(tmp_path: Path) -> None:
    """12 in one file is 12.0 in another and the text 12 in a third; a blank at the end is not."""
    tokens = set()
    for held in (pa.array([12]), pa.array([12.0]), pa.array(["12"])):
        table = {"person": held, "status": ["withdrawn"], "at": [NOW]}
        pq.write_table(pa.table(table), tmp_path / "e.parquet")
        kept = source({"kind": "parquet", "path": "e.parquet"})
        (event,) = tell(read_batch(kept, "e", setting(tmp_path)).batch)
        tokens.add((event["token_high"], event["token_low"]))
    assert tokens == {token("12")}


def test_the_batch_has_the_columns_that_the_ledger_takes(tmp_path: Path) -> None:
    """Names, types and what may be missing."""
    table = read_batch(written(tmp_path, cells({}, {})), "e", setting(tmp_path)).batch.table
    assert table.schema == BATCH
    needed = [field.name for field in BATCH if not field.nullable]
    assert [table[name].null_count for name in needed] == [0] * len(needed)


@pytest.mark.parametrize("index", [pa.uint8(), pa.int8(), pa.int32()])
def test_columns_may_be_dictionaries(index: pa.DataType, tmp_path: Path) -> None:
    """Categories of a data frame, with missing values, and as many as their index can count."""
    times = [f"2025-02-03T10:11:{n % 60:02d}.{n:03d}Z" for n in range(128)]
    kind = pa.dictionary(index, pa.string())
    table = pa.table(
        {
            "person": pa.array(["p"] * 128 + ["q"]).cast(kind),
            "status": pa.array(["withdrawn"] * 129).cast(kind),
            "purpose": pa.array([None, str(RESEARCH)] * 64 + [None]).cast(kind),
            "at": pa.array([*times, times[0]]).cast(kind),
            "recorded_at": pa.array([*times, None]).cast(kind),
        }
    )
    pq.write_table(table, tmp_path / "e.parquet")
    kept = source({"kind": "parquet", "path": "e.parquet"})
    told = tell(read_batch(kept, "e", setting(tmp_path)).batch)
    assert [event["valid_from"] for event in told] == [at(text) for text in [*times, times[0]]]
    assert [event["recorded_at"] for event in told] == [*map(at, times), None]
    assert [event["terms"].purpose for event in told[:2]] == [None, RESEARCH]


# ---------------------------------------------------------------- digest, and into the ledger


@dataclass
class Memory:
    """A ledger that remembers what it was handed."""

    batches: list[tuple[str, int]] = field(default_factory=list)
    digests: set[str | None] = field(default_factory=set)
    held: dict[int, Terms] = field(default_factory=dict)

    def terms(self) -> dict[int, Terms]:
        """Give the terms of all batches."""
        return self.held

    def imported(self, digest: str) -> bool:
        """Whether a digest was handed in."""
        return digest in self.digests

    def verify(self) -> None:
        """Find nothing off."""

    def append(self, batch: Batch, source: str, digest: str | None = None) -> Any:
        """Take a batch, all of it new."""
        self.batches.append((source, batch.table.num_rows))
        self.digests.add(digest)
        self.held |= {len(self.held) + n: terms for n, terms in enumerate(batch.terms)}
        return Imported(source, batch.table.num_rows, 0)


def policy_file(folder: Path) -> PolicyFile:
    """Give a policy with two sources of events, a.csv and b.csv, both in order."""
    for name, number in (("a", 3), ("b", 1)):
        (folder / f"{name}.csv").write_text(cells(*[{}] * number), encoding="utf-8")
    policy = parse_policy(small_policy())
    places = [source({"kind": "csv", "path": f"{name}.csv"}) for name in "ab"]
    basis = policy.basis.model_copy(update={"events": tuple(places), "notices": (PLAIN,)})
    return PolicyFile(policy.model_copy(update={"basis": basis}), "", folder / "p.yaml")


def take_in(folder: Path, memory: Memory) -> list[Imported]:
    """Import what the policy of a folder names."""
    return import_events(policy_file(folder), cast("ConsentLedger", memory), KEYS, NOW)


def test_every_source_of_a_policy_is_taken_in_under_its_place(tmp_path: Path) -> None:
    """In the policy's order, each as one batch."""
    memory = Memory()
    assert take_in(tmp_path, memory) == [
        Imported("basis.events.0", 3, 0), Imported("basis.events.1", 1, 0)]  # fmt: skip
    assert memory.batches == [("basis.events.0", 3), ("basis.events.1", 1)]


def test_an_unchanged_source_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No event of it is looked at again, and no person keyed."""
    memory = Memory()
    take_in(tmp_path, memory)
    monkeypatch.setattr(events, "make_batch", None)
    assert take_in(tmp_path, memory) == [
        Imported("basis.events.0", 0, 3, unchanged=True),
        Imported("basis.events.1", 0, 1, unchanged=True),
    ]
    assert len(memory.batches) == 2


def test_a_source_that_has_grown_adds_what_is_new(tmp_path: Path, home: Home) -> None:
    """In the ledger itself: an event that was stated before, here or elsewhere, adds nothing."""
    engine, keys = open_database(home), Keys.open(home)
    ledger, file = ConsentLedger(engine, home, keys), policy_file(tmp_path)
    assert import_events(file, ledger, keys, NOW) == [
        Imported("basis.events.0", 1, 2), Imported("basis.events.1", 0, 1)]  # fmt: skip
    (tmp_path / "b.csv").write_text(cells({}, {"status": "withdrawn"}), encoding="utf-8")
    assert import_events(file, ledger, keys, NOW) == [
        Imported("basis.events.0", 0, 3, unchanged=True),
        Imported("basis.events.1", 1, 1),
    ]
    name = key_people(pa.chunked_array([["p1"]]), keys.derive("person")).token[0].tolist()
    told = [str(event.terms.status) for event in ledger.history((name[0], name[1]))]
    assert sorted(told) == ["given", "withdrawn"]
    engine.dispose()


def test_a_policy_without_sources_of_events_takes_in_none(tmp_path: Path) -> None:
    """A consent column is read with the people."""
    file = policy_file(tmp_path)
    column = ConsentColumn(kind="consent-column", column="ok", granted=("yes",))
    other = replace(file, policy=file.policy.model_copy(update={"basis": column}))
    assert import_events(other, cast("ConsentLedger", Memory()), KEYS, NOW) == []


def test_a_file_of_which_one_row_in_a_hundred_is_bad_gives_the_ledger_nothing(
    tmp_path: Path,
) -> None:
    """All or none of a source; what stood before it in the policy stays."""
    file, memory = policy_file(tmp_path), Memory()
    spoilt = [{"person": ""} if n % 100 == 0 else {} for n in range(500)]
    (tmp_path / "b.csv").write_text(cells(*spoilt), encoding="utf-8")
    with pytest.raises(SourceError, match=r"^basis.events.1: .*\n.* 10 events: it has no"):
        import_events(file, cast("ConsentLedger", memory), KEYS, NOW)
    assert memory.batches == [("basis.events.0", 3)]


def test_one_more_file_comes_in_by_the_mapping_of_a_source(tmp_path: Path) -> None:
    """Another location under the same words, named by its own place."""
    mapped = written(tmp_path, GIFT.format("ok"), words={"status": {"ok": "given"}})
    (tmp_path / "more.csv").write_text(GIFT.format("ok") * 1, encoding="utf-8")
    more = mapped.model_copy(update={"location": location_of("more.csv")})
    found = import_source(more, "more.csv", cast("ConsentLedger", Memory()), setting(tmp_path))
    assert found == Imported("more.csv", 1, 0)


@pytest.mark.parametrize("change", ["categories", "purposes", "covers_narrower"])
def test_a_notice_that_events_name_is_not_changed_afterwards(change: str, tmp_path: Path) -> None:
    """Nobody agreed to what is added to a notice once they have answered."""
    memory = cast("ConsentLedger", Memory())
    mapped = written(tmp_path, cells({}))
    import_source(mapped, "e", memory, setting(tmp_path, BROAD, PLAIN))
    more = {"categories": (*PLAIN.categories, Category.GENETIC), "covers_narrower": True,
            "purposes": (*PLAIN.purposes, Purpose.PERSONALISATION)}  # fmt: skip
    other = PLAIN.model_copy(update={change: more[change]})
    with pytest.raises(SourceError, match=r"^basis.notices.1: .*declare what differs as another v"):
        import_source(mapped, "e", memory, setting(tmp_path, BROAD, other))
    second = other.model_copy(update={"version": 2})
    mapped = mapped.model_copy(update={"stated": {EventField.LANGUAGE: "en"}})
    (tmp_path / "e.csv").write_text(cells({"notice_version": "2"}).replace("language", "x"))
    assert import_source(mapped, "e", memory, setting(tmp_path, PLAIN, second)).new == 1


def digest(folder: Path, text: str, *notices: Notice, **mapping: Any) -> str:
    """Give the digest of a source."""
    return read_batch(written(folder, text, **mapping), "e", setting(folder, *notices)).digest


def test_a_digest_names_content_mapping_and_notices(tmp_path: Path) -> None:
    """What changes the events that come of it changes the digest, and nothing else does."""
    text = cells({}, {"person": "p2"})
    same = digest(tmp_path, text)
    (tmp_path / "elsewhere").mkdir()
    assert same == digest(tmp_path / "elsewhere", text)
    later = setting(tmp_path, now=NOW + timedelta(days=1))
    assert same == read_batch(written(tmp_path, text), "x", later).digest
    others = [
        digest(tmp_path, cells({}, {"person": "p3"})),
        digest(tmp_path, cells({}, {"person": "p2", "method": "portal"})),
        digest(tmp_path, text, zone="UTC"),
        digest(tmp_path, text, words={"status": {"x": "given"}}),
        digest(tmp_path, text, PLAIN),
        digest(
            tmp_path, text.replace("indication,", "indikation,"), stated={"indication": "explicit"}
        ),
    ]
    assert len({same, *others}) == len(others) + 1


def test_a_digest_is_keyed(tmp_path: Path) -> None:
    """Without the home's key nobody can try out contents."""
    text = cells({})
    other = replace(setting(tmp_path), keys=Keys(Home(Path(), Settings()), bytes(31) + b"1"))
    assert read_batch(written(tmp_path, text), "e", other).digest != digest(tmp_path, text)
