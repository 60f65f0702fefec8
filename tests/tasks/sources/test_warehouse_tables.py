"""Tables as a warehouse has them: joined by its own numbers, with periods of observation.

Above all those of OMOP, whose `person_id` each load may give anew.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
import pytest

from expectations.errors import SourceError
from expectations.policy.locations import SqlQuery
from expectations.policy.many_rows import FromRows
from expectations.policy.policy import PeopleSource
from tasks.people.ingestion import list_asked, spell_keys
from tasks.sources import people_tables
from tasks.sources.identity import find_changing_identifier
from tasks.sources.people_tables import PeopleTables, find_missing_fields, find_mixed_units
from tests.house.test_docs import ROOT, composed

Rows: TypeAlias = Sequence[Mapping[str, object]]
OMOP = Path(__file__).parent / "omop"
PEOPLE: Rows = (
    {"mrn": "A", "person_id": 1, "left": "2024-06-30"},
    {"mrn": "B", "person_id": 2, "left": "2024-06-30"},
)
LABS: Rows = (
    {"person_id": 1, "day": "2024-01-03", "test": "hb", "value": 130.0, "unit": "g/L"},
    {"person_id": 1, "day": "2024-01-04", "test": "na", "value": 9.0, "unit": "?"},
    {"person_id": 2, "day": "2024-01-05", "test": "hb", "value": 12.0, "unit": "g/dL"},
    {"person_id": 2, "day": "2024-03-05", "test": "hb", "value": 8.0, "unit": "g/dL"},
)
VALUE = {"type": "number", "unit": {"from": "unit", "factors": {"g/dL": 1, "g/L": 0.1}}}
FIELDS = {"test": {"type": "text"}, "value": VALUE}


def write(folder: Path, **tables: Rows) -> None:
    """Put tables into a database, in the place of those of an earlier load."""
    with closing(sqlite3.connect(folder / "w.db")) as database, database:
        for name, rows in tables.items():
            columns = ", ".join(rows[0])
            database.execute(f"DROP TABLE IF EXISTS {name}")
            database.execute(f"CREATE TABLE {name} ({columns})")
            marks = ", ".join("?" * len(rows[0]))
            database.executemany(
                f"INSERT INTO {name} VALUES ({marks})",  # noqa: S608  # our own words
                [tuple(row.values()) for row in rows],
            )


def at(table: str) -> dict[str, str]:
    """Say where a table is."""
    return {"kind": "sql", "url": "sqlite:///w.db", "table": table}


def open_tables(
    folder: Path, made: Mapping[str, Any], tables: Mapping[str, Any], **more: object
) -> PeopleTables:
    """Give the database as one source."""
    source = {"location": at("people"), "person": "mrn", "key": "person_id",
              "index": {"date": "2024-02-01"}, "tables": tables, **more}  # fmt: skip
    asked = {name: FromRows.model_validate(take, strict=False) for name, take in made.items()}
    return PeopleTables(PeopleSource.model_validate(source, strict=False), asked, folder)


HB = {"hb": {"take": "last", "of": "labs", "field": "value"}}
LABS_TABLE = {"labs": {"location": at("labs"), "at": "day", "fields": FIELDS,
                       "where": "test = 'hb'"}}  # fmt: skip


def test_rows_find_their_person_by_the_key_of_this_load(tmp_path: Path) -> None:
    """The next load may give one person's number to another."""
    for swapped in (False, True):
        number = {1: 2, 2: 1} if swapped else {1: 1, 2: 2}
        renumber = [[{**row, "person_id": number[int(str(row["person_id"]))]} for row in rows]
                    for rows in (PEOPLE, LABS)]  # fmt: skip
        write(tmp_path, people=renumber[0], labs=renumber[1])
        read = open_tables(tmp_path, HB, LABS_TABLE).read(["mrn", "hb"])
        assert dict(zip(*read.to_pydict().values(), strict=True)) == {"A": 13.0, "B": 12.0}


def test_a_load_while_tables_are_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or rows would be other people's."""
    write(tmp_path, people=PEOPLE, labs=LABS)
    take = people_tables.take_together

    def load(*args: Any) -> pa.Table:
        write(tmp_path, people=[{**row, "person_id": 3} for row in PEOPLE])
        return take(*args)

    monkeypatch.setattr(people_tables, "take_together", load)
    with pytest.raises(SourceError, match=r"source\.key: .* changed while tables were read"):
        open_tables(tmp_path, HB, LABS_TABLE).read(["hb"])


@pytest.mark.parametrize(("keys", "said"), [([1, None], "is missing"), ([1, 1], "repeats")])
def test_a_key_is_one_persons(keys: list[int | None], said: str) -> None:
    """Of nobody else, and everybody has one."""
    with pytest.raises(SourceError, match=said):
        spell_keys(pa.chunked_array([keys]), "person_id")


def test_rows_that_are_none_of_a_table_are_judged_by_nobody(tmp_path: Path) -> None:
    """Neither their unit nor their number; with another condition the same rows are refused."""
    write(tmp_path, people=PEOPLE, labs=LABS)
    assert open_tables(tmp_path, HB, LABS_TABLE).read(["hb"]).to_pydict() == {"hb": [13.0, 12.0]}
    every = {"labs": {**LABS_TABLE["labs"], "where": "value > 0 or value is missing"}}
    with pytest.raises(SourceError, match="a unit that has no factor"):
        open_tables(tmp_path, HB, every).read(["hb"])


PERIODS = {"observed": {"location": at("observed"), "at": "start", "until": "stop"},
           "deaths": {"location": at("deaths"), "at": "died"}, **LABS_TABLE}  # fmt: skip
LATER = {"any": {"take": "count", "of": "labs", "days_after": 60}}


@pytest.mark.parametrize(
    ("periods", "died", "known"),
    [
        ([("2023-01-01", "2024-12-31")], None, True),
        ([("2023-01-01", "2024-03-01")], None, False),
        ([("2023-01-01", "2024-01-31"), ("2024-02-02", "2024-12-31")], None, False),
        ([("2024-02-01", "2024-12-31")], None, True),
        ([("2023-01-01", "2024-03-01")], "2024-03-01", True),
        ([("2023-01-01", "2024-03-01")], "2024-03-02", False),
        ([("2023-01-01", "2024-03-01")], "2024-01-02", False),
    ],
    ids=["to the end", "left", "not at the index", "from the index", "died", "died unobserved",
         "died before"],
)  # fmt: skip
def test_what_comes_later_is_known_of_who_was_observed(
    periods: list[tuple[str, str]], died: str | None, known: bool, tmp_path: Path
) -> None:
    """In the period of the index to its end, and for good after a death within it."""
    rows = [{"person_id": 2, "start": start, "stop": stop} for start, stop in periods]
    write(tmp_path, people=PEOPLE, labs=LABS, observed=rows,
          deaths=[{"person_id": 2, "died": died}])  # fmt: skip
    follow = {"periods": "observed", "closed_by": "deaths"}
    tables = open_tables(tmp_path, LATER, PERIODS, followed_until=follow)
    assert tables.read(["any"]).to_pydict() == {"any": [None, 1 if known else None]}


def test_periods_of_observation_that_overlap_are_refused(tmp_path: Path) -> None:
    """They contradict each other."""
    rows = [{"person_id": 1, "start": "2023-01-01", "stop": stop} for stop in ("2024-03-01",) * 2]
    write(tmp_path, people=PEOPLE, labs=LABS, observed=rows)
    tables = open_tables(tmp_path, LATER, PERIODS, followed_until={"periods": "observed"})
    with pytest.raises(SourceError, match=r"source\.tables\.observed: .* overlap another"):
        tables.read(["any"])


def read_table(name: str) -> list[dict[str, str]]:
    """Read one of their tables."""
    return [*csv.DictReader((OMOP / f"{name}.csv").read_text("utf-8").splitlines())]


def omop(folder: Path) -> None:
    """Put the 28 people into a database."""
    tables = {file.stem: read_table(file.stem) for file in OMOP.glob("*.csv")}
    write(folder, people=tables.pop("person"), **tables)


CONDITIONS = {
    "conditions": {
        "location": at("condition_occurrence"),
        "at": "condition_start_date",
        "fields": {"concept": {"from": "condition_concept_id", "type": "text"}},
    }
}


def test_columns_of_omop_are_what_a_loop_makes(tmp_path: Path) -> None:
    """Of each of the 28 people, by the identifier that lasts."""
    omop(tmp_path)
    made = {"before": {"take": "count", "of": "conditions"}}
    tables = open_tables(tmp_path, made, CONDITIONS, person="person_source_value",
                         index={"date": "2015-01-01"})  # fmt: skip
    read = tables.read(["person_source_value", "before"]).to_pydict()
    rows, people = read_table("condition_occurrence"), read_table("person")
    for person in people:
        own = [row for row in rows if row["person_id"] == person["person_id"]]
        number = sum(row["condition_start_date"] < "2015-01-01" for row in own)
        place = read["person_source_value"].index(person["person_source_value"])
        assert read["before"][place] == number
    assert len(people) == len(read["before"]) == 28


@pytest.mark.parametrize(
    ("person", "location", "refused"),
    [
        ("person_id", at("people"), True),
        ("person_id", {"kind": "sql-query", "url": "sqlite:///w.db",
                       "query": "SELECT person_id FROM people"}, True),
        ("person_source_value", at("people"), False),
    ],
)  # fmt: skip
def test_nobody_is_known_by_omops_person_id(
    person: str, location: dict[str, str], refused: bool, tmp_path: Path
) -> None:
    """Also where a query hides the roster's other columns."""
    omop(tmp_path)
    source = PeopleSource.model_validate(
        {"location": location, "person": person, "index": {"date": "2015-01-01"},
         "tables": CONDITIONS}, strict=False,
    )  # fmt: skip
    problems = [*find_changing_identifier(source, tmp_path)]
    assert [problem.path for problem in problems] == ["source.person"] * refused
    if not refused:
        (missing,) = find_missing_fields(source, tmp_path)
        assert "say `key: person_id` under source" in missing.fix


@pytest.mark.parametrize(
    ("unit", "refused"),
    [(None, True), ({"from": "unit_concept_id", "factors": {"8713": 1}}, False)],
)
def test_measurements_of_omop_need_a_unit(
    tmp_path: Path, unit: dict[str, object] | None, refused: bool
) -> None:
    """Each row says its own, so that numbers of several would be mixed."""
    row = {"person_id": 1, "measurement_date": "2024-01-03", "value_as_number": 13.0,
           "unit_concept_id": 8713}  # fmt: skip
    write(tmp_path, people=PEOPLE, labs=[row])
    value = {"from": "value_as_number", "type": "number", **({"unit": unit} if unit else {})}
    table = {"location": at("labs"), "at": "measurement_date", "fields": {"hb": value}}
    source = open_tables(tmp_path, HB, {"labs": table}).source
    found = [*find_mixed_units(source, tmp_path)]
    assert [problem.path for problem in found] == ["source.tables.labs.fields.hb"] * refused
    assert all("{from: unit_concept_id, factors:" in problem.fix for problem in found)


def test_the_query_of_the_page_about_warehouses_gives_the_columns_of_its_policy() -> None:
    """By day in another dialect; `test_warehouse_on_postgres` has the whole page."""
    page = ROOT / "docs" / "warehouse.md"
    (policy,) = composed(page)
    location = policy.source.location
    assert isinstance(location, SqlQuery)
    with duckdb.connect() as engine:
        engine.execute(
            "CREATE SCHEMA mart; CREATE SCHEMA identity;"
            "CREATE TABLE mart.patient (patient_sk INT, age INT, district TEXT, left_club TEXT,"
            "statistics_ok TEXT);"
            "CREATE TABLE identity.mrn_of_patient (patient_sk INT, mrn TEXT)"
        )
        there = engine.sql(location.query).columns
    assert {*there} == list_asked(policy) - {*policy.made_of_rows}
