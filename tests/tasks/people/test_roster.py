"""First the identifiers of everybody, then the named columns of the permitted, and no more."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import PolicyError, Refusal, SourceError
from expectations.policy.locations import Location
from ledgers.home.home import Home
from ledgers.vault.stages import Collected, Permitted, Roster
from tasks.consent.permission import filter_consent
from tasks.people import ingestion
from tasks.people.ingestion import (
    AGE,
    BORN,
    CATEGORIES,
    DRAW,
    PERSON,
    RECORD,
    SAMPLE,
    TOKEN,
    attach_keys,
    collect,
    make_roster,
    read_roster,
)
from tasks.sources import Source, open_source
from tasks.sources.naming import canonical
from tests.conftest import BASIS, Folder, counts, opened

ANSWERS = (BASIS, "kind: consent-column\n  column: unnamed\n  granted: [yes]")


@dataclass
class RecordingSource:
    """A source that writes down what it is asked for, and asks another."""

    inner: Source
    asked: list[tuple[list[str], list[str] | None]] = field(default_factory=list)

    def columns(self) -> tuple[str, ...]:
        """Give the header; no person's data is in it."""
        return self.inner.columns()

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Note the columns, and of whom."""
        self.asked.append((list(columns), where and sorted(where[1].to_pylist())))
        return self.inner.read(columns, where=where)


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], list[str] | None]]:
    """What every source of people is asked for, in order."""
    asked: list[tuple[list[str], list[str] | None]] = []

    def open_recording(location: Location, folder: object) -> RecordingSource:
        return RecordingSource(open_source(location, folder), asked)  # type: ignore[arg-type]  # passed on as it is

    monkeypatch.setattr(ingestion, "open_source", open_recording)
    return asked


def collect_all(folder: Folder, *changes: tuple[str, str]) -> pa.Table:
    """Run the first three steps, and give what they collected."""
    with opened(folder.write(*changes)) as run:
        collected = collect(filter_consent(read_roster()))
        return run.vault.load(collected, Collected).to_table()


def test_only_named_columns_of_the_permitted_are_read(
    home: Home, folder: Folder, recording: list[tuple[list[str], list[str] | None]]
) -> None:
    """Of the two who never consented the identifier alone was asked for, of nobody the rest."""
    assert home.vault.is_dir()
    folder.say("p03", "withdrawn", "2024-06-01T12:00:00Z")
    table = collect_all(folder)
    permitted = sorted({f"p{number:02d}" for number in range(480)} - {"p03", "p58", "p59"})
    assert recording == [(["pid"], None), (["pid", "age", "sex", "sugar"], permitted)]
    assert sorted(table[PERSON].to_pylist()) == permitted
    keys = {RECORD, DRAW, SAMPLE, CATEGORIES}
    assert set(table.column_names) == {PERSON, "age", "sex", "sugar", *keys}
    assert "Qblorp" not in str(table.to_pylist())


def test_a_consent_column_is_read_with_the_roster_and_goes_no_further(
    home: Home, folder: Folder, recording: list[tuple[list[str], list[str] | None]]
) -> None:
    """Beside the identifiers nothing but the answers is read of those who said no."""
    assert home.vault.is_dir()
    for number, person in enumerate(folder.people):
        person["unnamed"] = "yes" if number < 20 else "no"
    with opened(folder.write(ANSWERS)) as run:
        roster = read_roster()
        answered = run.vault.load(roster, Roster).schema.names
        permitted = run.vault.load(filter_consent(roster), Permitted).to_table()
    assert recording == [(["pid", "unnamed"], None)]
    assert set(answered) - set(permitted.column_names) == {ingestion.ANSWER, *TOKEN}
    assert permitted.num_rows == 20


def test_the_step_notes_who_is_left_out_and_why(home: Home, folder: Folder) -> None:
    """Each reason is noted, also one that nobody had, and all add up to the roster."""
    assert home.vault.is_dir()
    folder.say("p03", "withdrawn", "2024-06-01T12:00:00Z")
    with opened(folder.write()) as run:
        filter_consent(read_roster())
        found = counts(run)
    left_out = {name: n for name, n in found.items() if name.startswith("people.excluded.")}
    assert {name: number for name, number in left_out.items() if number} == {
        "people.excluded.never asked": 2,
        "people.excluded.withdrawn": 1,
    }
    assert left_out["people.excluded.refused"] == 0
    assert (found["people.roster"], found["people.permitted"]) == (480, 477)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        pytest.param(
            BORN,
            {"1990-01-31": date(1990, 1, 31), "": None, "31.1.1990": None, "1990-02-30": None},
            id="born",
        ),
        pytest.param(AGE, {"17": 17, "17.0": 17, "": None, "17.5": None, "-": None}, id="age"),
    ],
)
def test_what_tells_who_is_a_child_is_read_with_the_roster(
    home: Home,
    folder: Folder,
    recording: list[tuple[list[str], list[str] | None]],
    name: str,
    read: dict[str, object],
) -> None:
    """As a date or in whole years; what cannot be read so is unknown, and stops nothing."""
    assert home.vault.is_dir()
    folder.people = folder.people[: len(read)]
    for person, text in zip(folder.people, read, strict=True):
        person["unnamed"] = text
    minors = f"{BASIS}\n  minors: {{own_consent_from: 14, {name.strip('_')}: unnamed}}"
    with opened(folder.write((BASIS, minors))) as run:
        roster = run.vault.load(read_roster(), Roster).to_table()
    assert recording == [(["pid", "unnamed"], None)]
    assert roster[name].to_pylist() == list(read.values())
    assert set(roster.column_names) == {PERSON, RECORD, DRAW, SAMPLE, *TOKEN, name}


def test_a_column_of_ages_that_the_source_lacks_is_named(home: Home, folder: Folder) -> None:
    """By the part of the basis that asks for it."""
    assert home.vault.is_dir()
    for asked in ("born", "age"):
        minors = f"{BASIS}\n  minors: {{own_consent_from: 14, {asked}: birthday}}"
        with opened(folder.write((BASIS, minors))), pytest.raises(PolicyError) as found:
            read_roster()
        assert [p.path for p in found.value.problems] == [f"basis.minors.{asked}"]


def test_nobody_left_is_a_refusal_that_names_the_commonest_reason(
    home: Home, folder: Folder
) -> None:
    """Before any column of anybody was read."""
    assert home.vault.is_dir()
    another = ("purpose: dpv:ScientificResearch", "purpose: dpv:Marketing")
    asked = (
        "purposes: [dpv:ScientificResearch]",
        "purposes: [dpv:Marketing, dpv:ScientificResearch]",
    )
    with (
        opened(folder.write(another, asked)),
        pytest.raises(
            Refusal, match=r"nobody may be read for dpv:Marketing; .* never asked \(\d+ pe"
        ),
    ):
        filter_consent(read_roster())


def test_columns_that_the_source_lacks_are_named_with_the_nearest(
    home: Home, folder: Folder
) -> None:
    """All at once, by their place in the policy."""
    assert home.vault.is_dir()
    policy = folder.write(
        ("person: pid", "person: pidd"),
        ("sugar:\n    type", "sugar:\n    from: suger\n    type"),
        ("  age:\n    type", "  age:\n    from: xxxxxxxxxx\n    type"),
        (BASIS, ANSWERS[1].replace("unnamed", "answer")),
    )
    with opened(policy), pytest.raises(PolicyError) as found:
        read_roster()
    told = {problem.path: problem.fix for problem in found.value.problems}
    assert told == {
        "source.person": "did you mean `pid`?",
        "columns.sugar.from": "did you mean `sugar`?",
        "columns.age.from": "name one of its 6 columns",
        "basis.column": "name one of its 6 columns",
    }


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        pytest.param(["a", "", "c"], "it is missing in fewer than 10 rows", id="missing"),
        pytest.param(["a", "  ", " "], "it is missing in fewer than 10 rows", id="blank"),
        pytest.param(["a", "b", "a", "a"], "it repeats another row's in fewer", id="twice"),
        pytest.param(["Jose\u0301", "José"], "it repeats another row's in fewer", id="unicode"),
        pytest.param(["", "a", "a"], "missing in fewer than 10 rows and it repeats", id="both"),
        pytest.param([], "there is no row", id="empty"),
    ],
)
def test_a_roster_names_each_person_once(ids: list[str], said: str) -> None:
    """Else it is refused with counts, and nobody is named."""
    with pytest.raises(SourceError) as found:
        make_roster(pa.chunked_array([pa.array(ids, pa.string())]), b"k", "pid")
    assert said in str(found.value)
    assert "column 'pid' must name each person once" in str(found.value)
    assert "José" not in str(found.value)


def test_a_csv_with_a_repeated_person_stops_the_run(home: Home, folder: Folder) -> None:
    """Two rows of one person cannot be told apart, so none is read."""
    assert home.vault.is_dir()
    folder.people[1] = {**folder.people[1], "pid": "p00"}
    folder.people[2] = {**folder.people[2], "pid": ""}
    with (
        opened(folder.write()),
        pytest.raises(SourceError, match=r"missing in fewer .* repeats .* fewer"),
    ):
        read_roster()


def test_what_cannot_be_spelled_is_no_identifier() -> None:
    """It is refused by the column's name."""
    people = pa.chunked_array([pa.array([b"\xffKestrel"])])
    with pytest.raises(SourceError, match="column 'pid': it must hold text or numbers") as found:
        make_roster(people, b"k", "pid")
    assert "Kestrel" not in str(found.value)


@given(st.lists(st.none() | st.text("ae\u0301\u00e9\u0323\u1e69 1"), max_size=6))
def test_identifiers_are_compared_in_their_composed_form(names: list[str | None]) -> None:
    """As Python composes them; what is blank is missing."""
    made = canonical(pa.chunked_array([pa.array(names, pa.string())]), "source").to_pylist()
    composed = [name and unicodedata.normalize("NFC", name) for name in names]
    assert made == [name if name and name.strip() else None for name in composed]


@pytest.mark.parametrize(
    "people",
    [
        pytest.param(pa.array([1, 2]), id="integers"),
        pytest.param(pa.array([1.0, 2.0]), id="floats"),
        pytest.param(pa.array(["1", "2"]).dictionary_encode(), id="words"),
    ],
)
def test_the_same_people_have_the_same_keys_in_any_type(people: pa.Array) -> None:
    """A number keeps its keys when the source becomes a file of text."""
    text = make_roster(pa.chunked_array([["1", "2"]]), b"k", "pid")
    assert make_roster(pa.chunked_array([people]), b"k", "pid").equals(text)


@given(st.lists(st.text(min_size=1).filter(str.strip), unique=True, min_size=1, max_size=6))
def test_keys_are_a_persons_own(names: list[str]) -> None:
    """They do not depend on who else is there, differ between homes, and never repeat."""
    try:
        roster = make_roster(pa.chunked_array([pa.array(names)]), b"k", "pid")
    except SourceError:  # two spellings of one name
        return
    alone = make_roster(pa.chunked_array([pa.array(names[:1])]), b"k", "pid")
    assert roster.slice(0, 1).equals(alone)
    other = make_roster(pa.chunked_array([pa.array(names)]), b"z", "pid")
    numbers = (RECORD, DRAW, SAMPLE, *TOKEN)
    keys = [key for made in (roster, other) for name in numbers for key in made[name].to_pylist()]
    assert len(set(keys)) == 2 * len(numbers) * len(names)
    assert roster.num_rows == len(names)


def permit(names: list[str]) -> pa.Table:
    """Give people who keep nothing back."""
    roster = make_roster(pa.chunked_array([names]), b"k", "pid")
    return roster.append_column(CATEGORIES, pa.array([0b111] * len(names), pa.uint32()))


@pytest.mark.parametrize("there", [["a"], ["a", "b", "c"], ["a", "a"], ["a", "z"]])
def test_a_source_that_changed_meanwhile_stops_the_run(there: list[str]) -> None:
    """Who vanished, came or was doubled between two readings is not guessed at."""
    permitted = permit(["a", "b"])
    with pytest.raises(SourceError, match="the people changed between the reading"):
        attach_keys(pa.table({PERSON: pa.array(there, pa.large_string())}), permitted)


def test_keys_are_put_beside_their_rows() -> None:
    """Whatever the order in which the source gives them."""
    permitted = permit(["a", "b"])
    collected = pa.table({PERSON: pa.array(["b", "a"], pa.large_string()), "age": [2, 1]})
    attached = attach_keys(collected, permitted)
    for name in (RECORD, DRAW, SAMPLE, CATEGORIES):
        assert attached[name].to_pylist() == permitted[name].to_pylist()[::-1]
