"""Nobody falls through because two sources spell them differently, or know them by two names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import PolicyError, SourceError
from expectations.policy.locations import ParquetFiles
from expectations.policy_file import read_policy
from ledgers.home.home import Home
from ledgers.vault.stages import Collected
from tasks.anonymization.releases.held_people import HeldPeople
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import collect, read_roster
from tasks.sources import open_source
from tasks.sources.identity import Identity, identify, read_names, resolve
from tests.conftest import Folder, counts, opened
from tests.tasks.people.test_people_tables import CHANGES, write_visits

NORMAL = ("  person: pid\n", "  person: pid\n  normalize: [strip, casefold]\n")
SAME = "  same_person: {location: {kind: csv, path: merged.csv}, other: old, kept: new}\n"
MERGED = ("  person: pid\n", NORMAL[1] + SAME)


def spell(name: str) -> str:
    """Spell a name as careless sources do."""
    return f" {name.upper()}" if int(name[1:]) % 2 else f"{name} "


def read_visits(folder: Folder, *changes: tuple[str, str]) -> tuple[dict[str, int], set[str]]:
    """Run a policy up to its people; give the counts, and who came back."""
    policy = folder.write(*CHANGES, *changes)
    with opened(policy) as run:
        collected = collect(filter_consent(read_roster()))
        rows = run.vault.load(collected, Collected).to_table().to_pylist()
        return counts(run), {row["_person"].strip() for row in rows if row["back"]}


def test_a_person_is_one_person_however_a_source_spells_them(home: Home, folder: Folder) -> None:
    """Consents, roster and further tables: each spells otherwise, and nothing changes."""
    assert home.vault.is_dir()
    write_visits(folder)
    expected = read_visits(folder)
    for event in folder.events:
        event["person"] = event["person"].upper()
    visits = folder.path / "visits.csv"
    head, *rows = visits.read_text("utf-8").splitlines()
    visits.write_text("\n".join([head, *(f" {row[0].upper()}{row[1:]}" for row in rows)]), "utf-8")
    found = read_visits(folder, NORMAL)
    assert (found[0]["people.permitted"], found[1]) == (
        expected[0]["people.permitted"],
        expected[1],
    )
    for person in folder.people:
        person["pid"] = spell(person["pid"])
    found = read_visits(folder, NORMAL)
    assert found[0]["people.permitted"] == expected[0]["people.permitted"]
    assert {name.lower() for name in found[1]} == expected[1]


def test_two_people_of_the_roster_who_become_one_are_an_error(home: Home, folder: Folder) -> None:
    """They are counted, not named."""
    assert home.vault.is_dir()
    folder.people[1]["pid"] = " P00"
    policy = folder.write(NORMAL)
    said = r"repeats another row's, by `source\.normalize`"
    with pytest.raises(SourceError, match=said) as raised, opened(policy):
        read_roster()
    assert "P00" not in str(raised.value)


def test_a_row_that_stands_twice_as_it_is_has_nothing_to_do_with_spelling(
    home: Home, folder: Folder
) -> None:
    """So nobody looks for the reason in `normalize`."""
    assert home.vault.is_dir()
    folder.people[1]["pid"] = "P00"
    folder.people[0]["pid"] = "P00"
    with pytest.raises(SourceError) as raised, opened(folder.write(NORMAL)):
        read_roster()
    assert "repeats another row's in fewer" in str(raised.value)


def test_a_withdrawal_that_came_before_the_policy_normalized_still_counts(
    home: Home, folder: Folder
) -> None:
    """The ledger knows it by the spelling of the roster."""
    assert home.vault.is_dir()
    for person in folder.people:
        person["pid"] = person["pid"].upper()
    for event in folder.events:
        event["person"] = event["person"].upper()
    folder.say("P12", "withdrawn", "2025-05-01T00:00:00Z")
    policy = folder.write()
    with opened(policy) as run:
        filter_consent(read_roster())
        before = counts(run)
    folder.events = folder.events[:-1]
    policy = folder.write(NORMAL)
    with opened(policy) as run:
        filter_consent(read_roster())
        assert counts(run)["people.permitted"] == before["people.permitted"]


def test_of_merged_identifiers_the_stricter_answer_holds(home: Home, folder: Folder) -> None:
    """Who withdrew by the old name is out; who never spoke by it is in; each by chains of names."""
    assert home.vault.is_dir()
    for old in ("a1", "b1"):
        folder.say(old, "withdrawn", "2020-05-01T00:00:00Z")
    (folder.path / "merged.csv").write_text("old,new\na1,P11\nb1,b2\nb2,p12\nc1,p13\n", "utf-8")
    policy = folder.write(MERGED)
    with opened(policy) as run:
        filter_consent(read_roster())
        assert counts(run)["people.permitted"] == 478 - 2


def test_who_is_not_on_the_roster_is_counted_and_their_withdrawals_warn(
    home: Home, folder: Folder
) -> None:
    """By any spelling; of few nobody is warned, since that would tell of one person."""
    assert home.vault.is_dir()
    write_visits(folder)
    for number in range(12):
        folder.say(f"gone{number}", "withdrawn", "2025-05-01T00:00:00Z")
    folder.say("P13 ", "given", "2025-05-01T00:00:00Z")
    with opened(folder.write(*CHANGES, NORMAL)) as run:
        filter_consent(read_roster())
        found, entries = counts(run), run.ledger.entries(run.id)
    assert (found["people.strangers.visits"], found["rows.nameless.visits"]) == (1, 0)
    assert found["people.strangers.consent events"] == 12
    (body,) = [one.body for one in entries if one.name == "unmatched withdrawals"]
    assert (body["verdict"], "12" in body["measured"]) == ("warned", False)
    folder.people += [{**folder.people[0], "pid": f"GONE{number}"} for number in range(3)]
    with opened(folder.write(*CHANGES, NORMAL)) as run:
        filter_consent(read_roster())
        assert counts(run)["people.strangers.consent events"] == 9
        assert "unmatched withdrawals" not in {e.name for e in run.ledger.entries(run.id)}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a,b\nb,c\nc,a", "merged in a circle"),
        ("a,b\na,c", "merged into several"),
        ("a,", "name nobody"),
    ],
)
def test_identifiers_that_cannot_be_merged_are_an_error(
    folder: Folder, rows: str, said: str
) -> None:
    """Nobody is named."""
    (folder.path / "merged.csv").write_text(f"old,new\n{rows}\n", "utf-8")
    source = read_policy(str(folder.write(MERGED))).policy.source
    with pytest.raises(SourceError, match=said):
        identify(source, folder.path)


def test_a_table_of_merged_identifiers_without_its_columns_is_an_error(
    home: Home, folder: Folder
) -> None:
    """Before anything is read."""
    assert home.vault.is_dir()
    (folder.path / "merged.csv").write_text("olden,new\n", "utf-8")
    policy = folder.write(MERGED)
    said = r"same_person\.other: the table has no column `old`; did you mean"
    with pytest.raises(PolicyError, match=said), opened(policy):
        read_roster()


def test_parquet_names_are_those_of_any_source(tmp_path: Path) -> None:
    """Of several files, in words or numbers."""
    for number, names in enumerate((["a", "b", None], ["b", "c"])):
        words = pa.array(names).dictionary_encode()
        pq.write_table(
            pa.table({"p": words, "n": range(len(names))}), tmp_path / f"{number}.parquet"
        )
    source = open_source(ParquetFiles(kind="parquet", path="*.parquet"), tmp_path)
    found = [
        sorted(read_names(source, column, "here").spelled.to_pylist()) for column in ("p", "n")
    ]
    assert found == [["a", "b", "c"], ["0", "1", "2"]]
    assert [read_names(source, column, "here").missing for column in ("p", "n")] == [1, 0]


@given(st.lists(st.integers(0, 9), max_size=9))
def test_a_chain_of_names_ends_at_the_last(parents: list[int]) -> None:
    """Held against following each name by hand."""
    table = {str(n): str(n + 1 + p) for n, p in enumerate(parents)}
    other = pa.array([*table], pa.large_string())
    read = pa.table({"other": other, "kept": pa.array([*table.values()], pa.large_string())})
    for name in table:
        last = name
        while last in table:
            last = table[last]
        found = Identity((), resolve(read)).name(pa.chunked_array([[name]]), "here")
        assert found.to_pylist() == [last]


def test_a_release_remembers_people_by_the_name_of_now() -> None:
    """Who was in it by two names stays twice, by the class of the kept name first."""
    held = HeldPeople(np.array([1, 5, 9], np.uint64), np.array([0, 1, 2]), 2, frozenset())
    found = held.renamed(np.array([[5, 1], [7, 9], [8, 3]], np.uint64))
    assert found.people.tolist() == [5, 5, 7]
    assert found.find(np.array([1, 5, 7, 9], np.uint64)).tolist() == [-1, 1, 2, -1]
