"""Nobody is read without a matching, current basis: the later answer counts, none means no."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import small_policy
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import SourceError
from expectations.policy_file import PolicyFile, parse_policy
from expectations.vocabulary import ConsentStatus, Purpose
from tasks.consent import (
    EVENT_COLUMNS,
    count_standings,
    decide,
    decide_by_answers,
    decide_by_events,
    digest_people,
    read_events,
    reasons,
)
from tasks.ingestion import ANSWER, RECORD, make_roster

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PURPOSE = Purpose.SCIENTIFIC_RESEARCH
Event = tuple[str, str, str, int, int | None]
"""Person, purpose, status, and days before now of the event and of its end."""


def as_time(days: int | None) -> str | None:
    """Write the moment so many days before now."""
    return None if days is None else (NOW - timedelta(days=days)).isoformat()


def stand(events: list[Event], *people: str, now: datetime = NOW) -> list[str]:
    """Give what each person's standing is under the events."""
    rows = [(who, what, status, as_time(at), as_time(end)) for who, what, status, at, end in events]
    table = pa.table(
        {
            name: pa.array([row[n] for row in rows], pa.string())
            for n, name in enumerate(EVENT_COLUMNS)
        }
    )
    frame = read_events(table, now, "events")
    return decide_by_events(pd.Series(people, dtype="str"), frame, PURPOSE, now).tolist()


def say(status: str, at: int, end: int | None = None, purpose: str = PURPOSE) -> Event:
    """Give an event of the person p."""
    return ("p", str(purpose), status, at, end)


@pytest.mark.parametrize(
    ("events", "standing"),
    [
        pytest.param([], "never asked", id="no-event"),
        pytest.param([say("given", 9)], "permitted", id="given"),
        pytest.param([say("given", 0)], "permitted", id="given-now"),
        pytest.param([say("refused", 9)], "refused", id="refused"),
        pytest.param([say("given", 9), say("withdrawn", 5)], "withdrawn", id="withdrawn"),
        pytest.param([say("withdrawn", 5), say("given", 9)], "withdrawn", id="out-of-order"),
        pytest.param([say("withdrawn", 9), say("given", 5)], "permitted", id="given-again"),
        pytest.param([say("given", 9), say("expired", 5)], "expired", id="said-to-be-expired"),
        pytest.param([say("given", 9, 1)], "expired", id="past-its-end"),
        pytest.param([say("given", 9, 0)], "expired", id="ends-now"),
        pytest.param([say("given", 9, -1)], "permitted", id="ends-tomorrow"),
        pytest.param([say("given", 9, 1), say("renewed", 2, -9)], "permitted", id="renewed"),
        pytest.param([say("given", 9, -9), say("renewed", 5, 1)], "expired", id="renewal-ended"),
        pytest.param([say("refused", 9, 1)], "refused", id="refusals-do-not-end"),
        pytest.param(
            [say("given", 9, purpose=Purpose.MARKETING)], "never asked", id="another-purpose"
        ),
        pytest.param(
            [say("given", 9), say("withdrawn", 5, purpose=Purpose.MARKETING)],
            "permitted",
            id="withdrawn-for-another-purpose",
        ),
        pytest.param([say("given", 5), say("withdrawn", 5)], "withdrawn", id="tie-recorded-later"),
        pytest.param([say("withdrawn", 5), say("given", 5)], "permitted", id="tie-given-later"),
    ],
)
def test_the_latest_event_for_the_purpose_decides(events: list[Event], standing: str) -> None:
    """Of one person's events for one purpose the latest counts, until its end."""
    assert stand(events, "p", "somebody else") == [standing, "never asked"]


def test_the_word_of_a_stranger_counts_for_nobody() -> None:
    """Whoever is not on the roster gives no consent for those who are."""
    stranger: Event = ("z", str(PURPOSE), "given", 5, None)
    assert stand([stranger], "p", "q") == ["never asked", "never asked"]


def test_times_are_compared_across_zones() -> None:
    """An hour later on the clock may be earlier in time."""
    rows = [
        ("p", str(PURPOSE), "withdrawn", "2026-01-01T12:00:00+00:00", None),
        ("p", str(PURPOSE), "given", "2026-01-01T13:00:00+05:00", None),
    ]
    table = pa.table(dict(zip(EVENT_COLUMNS, zip(*rows, strict=True), strict=True)))
    events = read_events(table, NOW, "events")
    people = pd.Series(["p"], dtype="str")
    assert decide_by_events(people, events, PURPOSE, NOW).tolist() == ["withdrawn"]


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Draw events of a few people in which no two of one person are at the same moment."""
    moments = draw(st.lists(st.integers(0, 500), unique=True, max_size=25))
    return [
        (
            draw(st.sampled_from("abcde")),
            str(draw(st.sampled_from([PURPOSE, PURPOSE, Purpose.MARKETING]))),
            str(draw(st.sampled_from(ConsentStatus))),
            at,
            draw(st.none() | st.integers(-300, 300)),
        )
        for at in moments
    ]


def may_read(person: str, events: list[Event]) -> bool:
    """Tell naively whether a person's last word for the purpose is a yes that has not ended."""
    answer, moment = False, 10**9
    for who, what, status, days, end in events:
        if who == person and what == PURPOSE and days <= moment:
            answer = status in {"given", "renewed"} and (end is None or end < 0)
            moment = days
    return answer


@given(histories())
def test_only_who_said_yes_last_is_permitted(events: list[Event]) -> None:
    """A loop over each person's events comes to the same, and none without a yes is in."""
    people = list("fabcd")  # f never said anything, and e is not asked for
    standings = dict(zip(people, stand(events, *people), strict=True))
    permitted = {person for person in people if standings[person] == "permitted"}
    assert permitted == {person for person in people if may_read(person, events)}
    said_yes = {who for who, what, status, *_ in events
                if what == PURPOSE and status in {"given", "renewed"}}  # fmt: skip
    assert permitted <= said_yes


@given(histories(), st.integers(0, 99))
def test_repeated_events_out_of_order_change_nothing(events: list[Event], seed: int) -> None:
    """A log that is delivered twice, and shuffled, says what it said."""
    twice = [*events, *events]
    random.Random(seed).shuffle(twice)
    assert stand(twice, *"abcdef") == stand(events, *"abcdef")


@given(histories(), st.sampled_from("abcde"))
def test_a_withdrawal_takes_out_that_person_alone(events: list[Event], person: str) -> None:
    """Whatever was said before; the standing of the others stays."""
    before = dict(zip("abcde", stand(events, *"abcde"), strict=True))
    ended: Event = (person, str(PURPOSE), "withdrawn", 0, None)
    after = dict(zip("abcde", stand([*events, ended], *"abcde"), strict=True))
    assert after == before | {person: "withdrawn"}


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        pytest.param("person", None, "it names no person", id="no-person"),
        pytest.param("person", "  ", "it names no person", id="blank-person"),
        pytest.param("purpose", "research", "its purpose is an unknown word; use dpv:", id="word"),
        pytest.param("status", "Given", "its status is an unknown word; use given,", id="status"),
        pytest.param("status", None, "its status is an unknown word", id="no-status"),
        pytest.param("at", "2026-01-01T12:00:00", "its `at` is no time with a zone", id="no-zone"),
        pytest.param("at", "2026-01-01", "its `at` is no time with a zone", id="day"),
        pytest.param("at", None, "its `at` is no time with a zone", id="no-time"),
        pytest.param("at", "2026-13-01T12:00:00Z", "its `at` is no time", id="no-such-month"),
        pytest.param("at", "2026-03-01T12:00:01Z", "it is recorded in the future", id="future"),
        pytest.param("expires_at", "soon", "its `expires_at` is no time", id="no-end"),
        pytest.param("expires_at", "2026-01-01", "its `expires_at` is no time", id="end-no-zone"),
    ],
)
def test_a_wrong_event_is_refused_by_its_number(column: str, value: str, said: str) -> None:
    """The place and the number of the event are told, and not who it is about."""
    good = {"person": "Kestrel", "purpose": str(PURPOSE), "status": "given",
            "at": "2026-01-01T12:00:00Z", "expires_at": None}  # fmt: skip
    rows = [good, {**good, column: value}, good]
    table = pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in EVENT_COLUMNS]))
    with pytest.raises(SourceError, match=r"basis.events.0: .*\n  event 2 \(1 in all\): ") as found:
        read_events(table, NOW, "basis.events.0")
    assert said in str(found.value)
    assert "Kestrel" not in str(found.value)
    assert str(value) not in str(found.value) or value is None or not value.strip()


def test_every_wrong_event_is_counted_and_the_first_are_numbered() -> None:
    """Of many, five are named; several rules are told at once."""
    columns = {name: ["x"] * 7 for name in EVENT_COLUMNS[:4]}
    with pytest.raises(SourceError) as found:
        read_events(pa.table(columns), NOW, "events")
    assert str(found.value).count("event 1, 2, 3, 4, 5, … (7 in all)") == 3


def test_missing_columns_of_events_are_named() -> None:
    """What an event has is told, too."""
    with pytest.raises(SourceError, match="events: the columns status, at are missing"):
        read_events(pa.table({"person": ["p"], "purpose": ["x"]}), NOW, "events")


def test_native_times_need_a_zone_as_well() -> None:
    """A moment of a database with a zone is taken to the microsecond, one without is refused."""
    at = datetime(2026, 1, 1, 12, 0, 0, 5)  # noqa: DTZ001  # the column's type has the zone
    columns = {"person": ["p"], "purpose": [str(PURPOSE)], "status": ["given"]}
    zoned = pa.table({**columns, "at": pa.array([at], pa.timestamp("ns", "Europe/Berlin"))})
    read = read_events(zoned, NOW, "events")["at"].iloc[0]
    assert read == pd.Timestamp("2026-01-01T12:00:00.000005Z")
    with pytest.raises(SourceError, match="no time with a zone"):
        read_events(pa.table({**columns, "at": pa.array([at], pa.timestamp("us"))}), NOW, "events")


def test_a_column_that_holds_no_words_is_refused() -> None:
    """It is named, and its content is not quoted."""
    table = pa.table({name: pa.array([b"\xffKestrel"]) for name in EVENT_COLUMNS})
    with pytest.raises(SourceError, match="events: the column 'person': it must hold") as found:
        read_events(table, NOW, "events")
    assert "Kestrel" not in str(found.value)


@pytest.mark.parametrize(
    ("answer", "standing"),
    [
        pytest.param("yes", "permitted", id="a-declared-yes"),
        pytest.param("Yes", "refused", id="another-spelling"),
        pytest.param("no", "refused", id="no"),
        pytest.param(None, "never asked", id="no-answer"),
    ],
)
def test_only_a_declared_yes_in_the_consent_column_is_one(answer: str, standing: str) -> None:
    """Anything else means no."""
    answers = pa.chunked_array([pa.array([answer], pa.large_string())])
    assert decide_by_answers(answers, ("yes",)).to_pylist() == [standing]


BASIS = "kind: consent\n  events: [{kind: csv, path: consent.csv}]"
OTHER = ("article_6: eu-gdpr:A6-1-a\n  article_9: eu-gdpr:A9-2-a",
         "article_6: eu-gdpr:A6-1-e\n  article_9: eu-gdpr:A9-2-j\n  assessment: DPIA")  # fmt: skip


def decide_for(folder: Path, basis: str, people: pa.Array, *more: tuple[str, str]) -> list[str]:
    """Decide for some people under another basis per person."""
    text = small_policy((BASIS, basis), *more)
    file = PolicyFile(parse_policy(text), text, folder / "p.yaml")
    roster = make_roster(pa.chunked_array([people]), b"k", "pid")
    if ANSWER not in roster.column_names:
        answers = pa.array(["yes", None, "no"][: len(people)], pa.large_string())
        roster = roster.append_column(ANSWER, answers)
    standings = decide(file, roster, NOW).to_pylist()
    assert set(standings) <= {"permitted", *reasons(file.policy.basis)}
    return list(standings)


def test_who_objected_is_left_out(tmp_path: Path) -> None:
    """The list may hold people who are not in the source, and nobody."""
    (tmp_path / "objections.csv").write_text("who\nb\nz\n\n")
    basis = "kind: opt-out\n  objections: {kind: csv, path: objections.csv}\n  person: who"
    found = decide_for(tmp_path, basis, pa.array(["a", "b", "c"]), OTHER)
    assert found == ["permitted", "objected", "permitted"]


@pytest.mark.parametrize(
    ("people", "listed"),
    [
        pytest.param(pa.array(["Jose\u0301", "b"]), pa.array(["José"]), id="unicode"),
        pytest.param(pa.array([12.0, 13.0]), pa.array(["12"]), id="number-and-text"),
        pytest.param(pa.array(["12", "13"]), pa.array([12.0]), id="text-and-number"),
    ],
)
def test_one_person_is_one_however_they_are_written(
    people: pa.Array, listed: pa.Array, tmp_path: Path
) -> None:
    """An objection in another spelling of the same name or number is one all the same."""
    pq.write_table(pa.table({"who": listed}), tmp_path / "o.parquet")
    basis = "kind: opt-out\n  objections: {kind: parquet, path: o.parquet}\n  person: who"
    assert decide_for(tmp_path, basis, people, OTHER) == ["objected", "permitted"]


def test_a_withdrawal_in_another_spelling_counts(tmp_path: Path) -> None:
    """A consent by one spelling of a name is withdrawn by the other; all places count."""
    (tmp_path / "a.csv").write_text(
        f"person,purpose,status,at\nJose\u0301,{PURPOSE},given,2026-01-01T00:00:00Z\n"
    )
    (tmp_path / "b.csv").write_text(
        f"person,purpose,status,at\nJosé,{PURPOSE},withdrawn,2026-01-02T00:00:00Z\n"
    )
    places = "{kind: csv, path: a.csv}, {kind: csv, path: b.csv}"
    basis = f"kind: consent\n  events: [{places}]"
    assert decide_for(tmp_path, basis, pa.array(["Jose\u0301", "b"])) == [
        "withdrawn",
        "never asked",
    ]


def test_a_place_without_events_says_nothing(tmp_path: Path) -> None:
    """An empty ledger permits nobody."""
    pq.write_table(pa.table({n: pa.array([], pa.string()) for n in EVENT_COLUMNS}),
                   tmp_path / "e.parquet")  # fmt: skip
    basis = "kind: consent\n  events: [{kind: parquet, path: e.parquet}]"
    assert decide_for(tmp_path, basis, pa.array(["a"])) == ["never asked"]


def test_another_basis_covers_everybody(tmp_path: Path) -> None:
    """Nobody is asked, and nobody is left out."""
    found = decide_for(tmp_path, "kind: other-basis", pa.array(["a", "b"]), OTHER)
    assert found == ["permitted", "permitted"]


def test_a_consent_column_is_read_by_its_words(tmp_path: Path) -> None:
    """The policy says which words mean yes."""
    basis = "kind: consent-column\n  column: answer\n  granted: [yes]"
    found = decide_for(tmp_path, basis, pa.array(["a", "b", "c"]))
    assert found == ["permitted", "never asked", "refused"]


@given(st.lists(st.sampled_from(["permitted", "refused", "withdrawn", "expired"]), max_size=30))
def test_the_reasons_add_up_to_the_total(standings: list[str]) -> None:
    """Every person has one standing, in the counts and in the cell keys."""
    records = pa.array(np.arange(1, len(standings) + 1, dtype=np.uint64) * np.uint64(2**59))
    counts = count_standings(pa.table({RECORD: records}), pa.array(standings, pa.string()))
    assert sum(count.exact for count in counts.values()) == len(standings)
    total = sum(count.cell_key for count in counts.values()) % 2**64
    assert total == sum(records.to_pylist()) % 2**64


@given(st.lists(st.integers(0, 2**64 - 1), unique=True, min_size=1, max_size=9), st.randoms())
def test_a_snapshot_names_a_set_of_people(records: list[int], order: object) -> None:
    """In whatever order; one person fewer is another snapshot, and so is another key."""
    shuffled = sorted(records, key=lambda _: order.random())  # type: ignore[attr-defined]  # Hypothesis's
    digest = digest_people(np.array(records, dtype=np.uint64), b"k")
    assert digest == digest_people(np.array(shuffled, dtype=np.uint64), b"k")
    assert digest != digest_people(np.array(records[1:], dtype=np.uint64), b"k")
    assert digest != digest_people(np.array(records, dtype=np.uint64), b"l")
