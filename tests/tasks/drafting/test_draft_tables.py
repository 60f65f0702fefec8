"""A draft of several tables: whose they are, when, what is made of them, and what is left out."""

from __future__ import annotations

import random
import sqlite3
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from expectations.errors import UsageError
from expectations.policy.legal_basis import ConsentLedger
from expectations.policy.locations import CsvFile
from expectations.policy_file import read_policy
from tasks.drafting.tables import Found, link, read_table
from tasks.sources import open_source
from tests.deployments.test_draft_command import GIVEN, words
from tests.runs import say

PEOPLE = 60
STAY = timedelta(days=3)


def made_tables() -> dict[str, pd.DataFrame]:
    """Patients, their stays in other spellings, laboratory values, wards and people's answers."""
    drawn = random.Random(4)
    names = [f"P{number:03d}" for number in range(PEOPLE)]
    rows = [
        (name, pd.Timestamp("2022-01-02") + timedelta(days=drawn.randint(0, 1200)))
        for name in names
        for _ in range(drawn.randint(1, 5))
    ]
    sodium = [drawn.choice(["sodium", "glucose"]) for _ in rows]
    return {
        "patients": pd.DataFrame({"patient_id": names, "age": [20 + n for n in range(PEOPLE)],
                                  "region": [drawn.choice("NS") for _ in names]}),
        "visits": pd.DataFrame({"patient_id": [f"{name.lower()} " for name, _ in rows],
                                "discharged": [f"{at + STAY:%Y-%m-%d}" for _, at in rows],
                                "admitted": [f"{at:%Y-%m-%d}" for _, at in rows],
                                "nights": [drawn.randint(1, 9) for _ in rows],
                                "note": [f"Zyxwort {n} came back" for n, _ in enumerate(rows)]}),
        "labs": pd.DataFrame({"patient": [name for name, _ in rows],
                              "issued": [at + timedelta(hours=30) for _, at in rows],
                              "taken": [at for _, at in rows], "test": sodium,
                              "value": [drawn.random() for _ in rows]}),
        "wards": pd.DataFrame({"ward": ["A", "B"], "beds": [3, 4]}),
        "answers": pd.DataFrame({"person": names, "status": "given", "at": "2024-01-01"}),
    }  # fmt: skip


def found(folder: Path, tables: dict[str, pd.DataFrame]) -> list[Found]:
    """Write them, and give them as they are read."""
    read = []
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
        place = CsvFile(kind="csv", path=str(folder / f"{name}.csv"))
        read.append(read_table(name, place, open_source(place, folder)))
    return read


def test_tables_are_linked_by_who_they_name_and_when(tmp_path: Path) -> None:
    """The roster, each table's own column and times, and how spellings differ."""
    linked = link(found(tmp_path, made_tables()))
    people = linked.people
    assert (people.person, people.normalize) == ("patient_id", ("strip", "casefold"))
    visits, labs = people.tables["visits"], people.tables["labs"]
    assert (visits.person, visits.at, visits.known_at) == ("patient_id", "admitted", None)
    assert (labs.person, labs.at, labs.known_at) == ("patient", "taken", "issued")
    assert {*visits.fields} == {"nights"}, "free text is of no use"
    assert people.index is not None
    assert str(people.index.date).endswith("-01")


def test_amounts_of_several_kinds_are_not_put_together(tmp_path: Path) -> None:
    """Of each kind that enough people have there is a column; of others none."""
    tables = made_tables()
    tables["labs"].loc[:3, "test"] = "rare"
    made = {
        name: take for name, take in link(found(tmp_path, tables)).made.items() if take.of == "labs"
    }
    assert {*made} == {"labs_count", "labs_mean_value_sodium", "labs_mean_value_glucose"}
    assert made["labs_mean_value_sodium"].where == "test = 'sodium'"
    assert {take.days_before for take in made.values()} == {365}


def test_a_column_of_units_is_asked_about(tmp_path: Path) -> None:
    """Of OMOP's measurements no value is read without one, since `check` would refuse it."""
    tables = made_tables()
    tables["labs"]["unit"] = ["mg", "g"] * (len(tables["labs"]) // 2) + ["g"] * (
        len(tables["labs"]) % 2
    )
    linked = link(found(tmp_path, tables))
    assert "in several units" in linked.asked["labs"]
    assert "unit" not in linked.asked["visits"]
    tables["labs"] = tables["labs"].rename(
        columns={"value": "value_as_number", "unit": "unit_concept_id"}
    )
    linked = link(found(tmp_path, tables))
    assert "each in a unit of their own" in linked.asked["labs"]
    assert "value_as_number" not in linked.people.tables["labs"].fields


def test_no_mean_is_made_of_several_units(tmp_path: Path) -> None:
    """Of a kind whose rows are in two units none; the draft names it. Others keep their mean."""
    tables = made_tables()
    labs = tables["labs"]
    labs["unit"] = ["mmol/L" if test == "sodium" or n % 3 else "mg/dL"
                    for n, test in enumerate(labs["test"])]  # fmt: skip
    linked = link(found(tmp_path, tables))
    labs_made = {name for name, take in linked.made.items() if take.of == "labs"}
    assert labs_made == {"labs_count", "labs_mean_value_sodium"}
    assert "Rows of glucose are in several units" in linked.asked["labs"]
    tables["labs"] = labs.drop(columns=["test"])
    linked = link(found(tmp_path, tables))
    assert {name for name, take in linked.made.items() if take.of == "labs"} == {"labs_count"}
    assert "Its rows are in several units" in linked.asked["labs"]


def test_answers_to_consent_are_known_by_their_words(tmp_path: Path) -> None:
    """Under a clinic's own headers; neither drugs that are given or refused, nor the roster's."""
    tables = made_tables()
    tables["patients"]["consent"] = ["given", "refused"] * (PEOPLE // 2)
    answers = tables.pop("answers")
    tables["consents"] = pd.DataFrame({
        "patient": answers["person"], "topic": "research",
        "event": ["withdrawn" if n % 9 == 0 else "given" for n in range(PEOPLE)],
        "event_at": "2024-01-01T09:00:00",
    })  # fmt: skip
    tables["doses"] = tables["consents"].drop(columns=["topic"]).sample(2 * PEOPLE, replace=True)
    linked = link(found(tmp_path, tables))
    (one,) = linked.consents
    assert linked.people.person == "patient_id"
    assert dict(one.columns) == {"person": "patient", "status": "event", "at": "event_at"}
    assert (list(one.others), one.zoned) == (["topic"], False)
    assert "consent events" in linked.left_out["consents"]
    assert "doses" in linked.people.tables


def test_drafted_answers_are_read_by_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mapping passes `check`, and the draft asks what the table does not say."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clinic").mkdir()
    tables = made_tables()
    tables["consents"] = tables.pop("answers").rename(
        columns={"person": "patient", "status": "event", "at": "event_at"}
    )
    for name, table in tables.items():
        table.to_csv(tmp_path / "clinic" / f"{name}.csv", index=False)
    consent = [word.replace("A6-1-e", "A6-1-a") for word in GIVEN]
    said = say(
        "draft", "clinic", *consent, "--legal-basis", "eu-gdpr:A9-2-a", "--to", "drafted.yaml"
    )
    assert said.status == 0, said.err
    assert "each run takes in the answers" in words(said)
    policy = read_policy("drafted.yaml").policy
    assert isinstance(policy.basis, ConsentLedger)
    (source,) = policy.basis.events
    assert dict(source.columns) == {"person": "patient", "status": "event", "at": "event_at"}
    assert (dict(source.stated), source.zone) == ({"notice": "notice"}, "UTC")
    assert "`indication`" in (tmp_path / "drafted.yaml").read_text("utf-8")


@pytest.mark.parametrize("target", ["back", "visits.nights > 3"])
def test_a_target_that_lies_ahead_is_told_how_it_is_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """No draft writes one, and the message names the page that does."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clinic").mkdir()
    for name, table in made_tables().items():
        table.to_csv(tmp_path / "clinic" / f"{name}.csv", index=False)
    said = say("draft", "clinic", *GIVEN, "--target", target)
    assert said.status == 2
    assert "docs/draft.md, An outcome after the index" in " ".join(said.err.split())


def test_of_who_has_one_row_at_most_its_values_are_taken(tmp_path: Path) -> None:
    """A count of none or one would be taken for a yes or no."""
    tables = made_tables()
    tables["visits"] = tables["visits"].drop_duplicates("patient_id").iloc[:40]
    made = link(found(tmp_path, tables)).made
    assert made["visits_nights"].take == "last"
    assert "visits_count" not in made


def test_tables_of_one_day_each_are_looked_back_on(tmp_path: Path) -> None:
    """As an extract has them: the day after the last of them, and over more than the last year."""
    tables = made_tables()
    tables["visits"]["admitted"] = "2022-01-02"
    tables["labs"]["taken"] = pd.Timestamp("2026-01-01T09:00")
    tables["labs"]["issued"] = pd.Timestamp("2026-01-01T10:00")
    linked = link(found(tmp_path, tables))
    assert linked.people.index is not None
    assert linked.people.index.date == "2026-01-02"
    windows = {take.of: take.days_before for take in linked.made.values()}
    assert windows == {"visits": None, "labs": None}


def test_what_is_not_clear_is_left_out_and_why_is_said(tmp_path: Path) -> None:
    """Whose rows, or when they took place; consent events are no rows of people's lives."""
    tables = made_tables()
    tables["visits"] = tables["visits"].drop(columns=["admitted", "discharged"])
    linked = link(found(tmp_path, tables))
    left_out = linked.left_out
    assert "names the people" in left_out["wards"]
    assert "when a row took place" in left_out["visits"]
    assert "consent events" in left_out["answers"]
    assert len(linked.consents) == 1


def test_without_a_table_of_people_there_is_no_draft(tmp_path: Path) -> None:
    """It says what is missing."""
    with pytest.raises(UsageError, match="names each of its people once"):
        link(found(tmp_path, {"visits": made_tables()["visits"]}))


@pytest.mark.parametrize("kind", ["folder", "database"])
def test_a_folder_or_a_database_is_drafted_to_a_policy_that_passes_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Its tables are named as the policy finds them; nobody's value is in it."""
    monkeypatch.chdir(tmp_path)
    tables, data = made_tables(), "clinic"
    if kind == "folder":
        (tmp_path / "clinic" / "labs").mkdir(parents=True)
        tables.pop("labs").to_parquet(tmp_path / "clinic" / "labs" / "1.parquet")
        for name, table in tables.items():
            table.to_csv(tmp_path / "clinic" / f"{name}.csv", index=False)
    else:
        data = "sqlite:///clinic.db"
        with sqlite3.connect("clinic.db") as connection:
            for name, table in tables.items():
                table.to_sql(name, connection, index=False)
        connection.close()
    said = say("draft", data, *GIVEN, "--to", "drafted.yaml", "--accept",
               "labs_count,visits_count=dpv-pd:Behavioral")  # fmt: skip
    assert said.status == 0, said.err
    assert "labs_count" in words(said)
    text = (tmp_path / "drafted.yaml").read_text("utf-8")
    assert "Zyxwort" not in text
    assert "Left out: `wards`" in text
    assert {*read_policy("drafted.yaml").policy.source.tables} == {"visits", "labs"}
    assert say("check", "drafted.yaml").status == 0


def test_tables_that_are_joined_by_a_databases_number_keep_the_identifier_that_lasts(
    tmp_path: Path,
) -> None:
    """The roster is the table of that name; the number joins, and the text is the person."""
    ids, drawn = [*range(1, PEOPLE + 1)], random.Random(5)
    days = [f"2024-{1 + n % 12:02}-03" for n in range(3 * PEOPLE)]
    tables = {
        "observation_period": pd.DataFrame({"person_id": ids, "start_date": "2022-01-01",
                                            "end_date": days[:PEOPLE]}),
        "person": pd.DataFrame({"person_id": ids, "gender_concept_id": 8507,
                                "person_source_value": [f"MRN{7 * n:05}" for n in ids]}),
        "visit_occurrence": pd.DataFrame({"visit_occurrence_id": range(3 * PEOPLE),
                                          "person_id": [drawn.choice(ids) for _ in days],
                                          "visit_start_date": days}),
    }  # fmt: skip
    linked = link(found(tmp_path, tables))
    people = linked.people
    assert isinstance(people.location, CsvFile)
    assert (Path(people.location.path).stem, people.person, people.key) == (
        "person", "person_source_value", "person_id",
    )  # fmt: skip
    assert "visit_occurrence_count" in linked.made
    assert not [name for name, take in linked.made.items() if (take.field or "").endswith("_id")]
    assert "followed_until" in linked.left_out["observation_period"]
