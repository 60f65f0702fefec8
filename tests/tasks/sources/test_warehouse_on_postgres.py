"""A warehouse on Postgres: schemas, days and decimals in its own types, and an account that reads.

A server has to start, so these are for the night; `test_warehouse_tables` has the same by day.
"""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from expectations.errors import SourceError
from expectations.policy.many_rows import FromRows
from expectations.policy.policy import PeopleSource
from expectations.policy_file import PolicyFile, parse_policy
from tasks.people.ingestion import find_missing, people_source
from tasks.sources.people_tables import PeopleTables
from tests.house.test_docs import GUIDE, ROOT, put_in, read_part, snippets
from tests.postgres import Postgres, server

__all__ = ["server"]
pytestmark = pytest.mark.nightly

TABLES = """
CREATE SCHEMA cdm;
CREATE TABLE cdm.person (person_id bigint, person_source_value text, year_of_birth int);
INSERT INTO cdm.person VALUES (7, 'A', 1950), (8, 'B', 1960);
CREATE TABLE cdm.measurement (person_id bigint, measurement_concept_id int, measurement_date date,
  value_as_number numeric(9, 2), unit_concept_id int);
INSERT INTO cdm.measurement VALUES (7, 3000963, '2024-01-03', 130, 8636),
  (8, 3000963, '2024-01-03', 12.5, 8713), (8, 3019550, '2024-01-04', 9, 0);
CREATE TABLE cdm.observation_period (person_id bigint, begun date, ended date);
INSERT INTO cdm.observation_period VALUES (7, '2023-01-01', '2024-12-31'),
  (8, '2023-01-01', '2024-02-02');
CREATE TABLE cdm.salary (person_id bigint);
CREATE ROLE reader LOGIN;
GRANT USAGE ON SCHEMA cdm TO reader;
GRANT SELECT ON cdm.person, cdm.measurement, cdm.observation_period TO reader;
"""
MADE = {
    "hb": {"take": "last", "of": "labs", "field": "value"},
    "later": {"take": "count", "of": "labs", "days_after": 30},
}


def open_tables(address: str, measurement: str = "cdm.measurement") -> PeopleTables:
    """Give the warehouse as one source, by the account that may only read."""
    url = address.replace("://tutela@", "://reader@")
    place = {"kind": "sql", "url": url}
    value = {"from": "value_as_number", "type": "number",
             "unit": {"from": "unit_concept_id", "factors": {"8713": 1, "8636": 0.1}}}  # fmt: skip
    source = {
        "location": {**place, "table": "cdm.person"},
        "person": "person_source_value", "key": "person_id", "index": {"date": "2024-02-01"},
        "followed_until": {"periods": "observed"},
        "tables": {
            "labs": {"location": {**place, "table": measurement}, "at": "measurement_date",
                     "where": "test = '3000963'",
                     "fields": {"test": {"from": "measurement_concept_id", "type": "text"},
                                "value": value}},
            "observed": {"location": {**place, "table": "cdm.observation_period"}, "at": "begun",
                         "until": "ended"},
        },
    }  # fmt: skip
    made = {name: FromRows.model_validate(one, strict=False) for name, one in MADE.items()}
    return PeopleTables(PeopleSource.model_validate(source, strict=False), made, Path())


def test_tables_of_a_schema_are_read_by_an_account_that_reads(server: Postgres) -> None:
    """In Postgres's own types; what the account may not read is refused without a value."""
    address = server.make_database()
    with psycopg.connect(address.replace("+psycopg", "")) as made:
        made.execute(TABLES)
    read = open_tables(address).read(["person_source_value", "hb", "later"])
    assert sorted(map(tuple, read.to_pandas().fillna(-1).to_numpy())) == [
        ("A", 13.0, 0.0), ("B", 12.5, -1.0),
    ]  # fmt: skip
    with pytest.raises(SourceError, match="refused to read it"):
        open_tables(address, "cdm.salary").read(["hb"])


PAGE = ROOT / "docs" / "warehouse.md"
CLINIC = """
CREATE SCHEMA mart;
CREATE SCHEMA identity;
CREATE TABLE mart.patient (patient_sk bigint, age int, district text, left_club text,
  statistics_ok text);
INSERT INTO mart.patient VALUES (1, 40, 'North', 'no', 'yes'), (2, 50, 'South', 'yes', 'yes');
CREATE TABLE identity.mrn_of_patient (patient_sk bigint, mrn text);
INSERT INTO identity.mrn_of_patient VALUES (1, 'M-1'), (2, 'M-2');
CREATE TABLE mart.visit (patient_sk bigint, entered date, hall_name text);
INSERT INTO mart.visit VALUES (1, '2025-06-01', 'north'), (1, '2025-06-02', 'south'),
  (2, '2025-12-31', 'north');
"""


def test_the_page_about_warehouses_holds_on_postgres(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its query, its rights and its policy, by the account that it makes."""
    address = server.make_database()
    (rights,) = snippets(PAGE, "sql")
    assert "CREATE ROLE tutela LOGIN" in rights, "the server's own account has that name"
    with psycopg.connect(address.replace("+psycopg", "")) as made:
        made.execute(CLINIC)
        made.execute(rights.replace("tutela", "clinic_reader"))
    monkeypatch.setenv("DB_USER", "clinic_reader")
    monkeypatch.setenv("DB_PASSWORD", "…")
    (part,) = snippets(PAGE, "yaml part")
    place = "postgresql+psycopg://$DB_USER:$DB_PASSWORD@warehouse/clinic"
    assert part.count(place) == 2
    part = part.replace(place, address.replace("://tutela@", "://$DB_USER:$DB_PASSWORD@"))
    (whole,) = snippets(GUIDE, "yaml")
    text = json.dumps(put_in(read_part(whole), read_part(part)))
    file = PolicyFile(parse_policy(text), text, tmp_path / "clinic.yaml")
    source = people_source(file)
    assert find_missing(file, source.columns()) == []
    read = source.read(["member_id", file.policy.source_name("visits_last_year")])
    assert {*zip(*read.to_pydict().values(), strict=True)} == {("M-1", 1), ("M-2", 0)}
