"""A draft of a FHIR export: ready views as tables, and each quantity by itself, in one unit."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

from expectations.policy_file import PolicyFile, read_policy
from tasks.people.ingestion import people_source
from tests.deployments.test_draft_command import GIVEN, words
from tests.runs import say

PEOPLE = 60
SECRET = "Zyxwort"
ALLOWED = ("--legal-basis", "eu-gdpr:A9-2-j", "--safeguards", "S 1")
Resource = dict[str, Any]


def observe(patient: str, day: str, code: str, value: float, unit: str | None) -> Resource:
    """Give a measurement, whose unit may be text alone."""
    told = {"system": "http://unitsofmeasure.org", "code": unit} if unit else {"unit": "grams"}
    return {
        "resourceType": "Observation", "id": f"o-{patient}-{code}-{day}", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{patient}"}, "effectiveDateTime": f"{day}T08:00:00Z",
        "issued": f"{day}T09:00:00Z", "valueQuantity": {"value": value, **told},
    }  # fmt: skip


def make_resources() -> Iterator[Resource]:
    """Give made-up patients, their conditions, measurements in several units, and a consent."""
    drawn = random.Random(3)
    for number in range(PEOPLE):
        name, days = f"p{number}", [str(date(2024, 1, 2) + timedelta(drawn.randint(0, 300)))
                                    for _ in range(drawn.randint(2, 5))]  # fmt: skip
        yield {"resourceType": "Patient", "id": name, "gender": drawn.choice(["female", "male"]),
               "name": [{"family": SECRET}]}  # fmt: skip
        for kind in ("Consent", "CarePlan", "Goal"):
            yield {"resourceType": kind, "id": f"{kind}-{number}"}
        for day in days:
            snomed = {"system": "http://snomed.info/sct", "code": drawn.choice(["73211009", "38"])}
            yield {"resourceType": "Condition", "id": f"d-{name}-{day}", "onsetDateTime": day,
                   "code": {"coding": [snomed]}, "subject": {"reference": f"Patient/{name}"},
                   "recordedDate": day}  # fmt: skip
            yield observe(name, day, "718-7", 8 + 8 * drawn.random(), "g/dL")
            yield observe(name, day, "2160-0", drawn.random(), "mg/dL")
            yield observe(name, day, "1988-5", drawn.random(), None)
    yield observe("p1", "2024-03-01", "2160-0", 88, "umol/L")
    for number in range(9):
        yield observe(f"p{number}", "2024-03-01", "rare-1", number, "g")


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> PolicyFile:
    """Give the policy that is drafted of such an export."""
    place = tmp_path_factory.mktemp("drafted")
    (place / "export").mkdir()
    for one in make_resources():
        with (place / "export" / f"{one['resourceType']}.ndjson").open("a") as file:
            file.write(json.dumps(one) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        said = say("draft", "export", *GIVEN, *ALLOWED)
        assert said.status == 0, said.err
        assert SECRET not in words(said)
        checked = say("check", "export.yaml")
        assert checked.status == 0, checked.err
    return read_policy(str(place / "export.yaml"))


def test_ready_views_become_tables_about_the_patients(drafted: PolicyFile) -> None:
    """Known when they were recorded or issued; what the draft is sure of is read."""
    source = drafted.policy.source
    assert (source.person, source.zone) == ("patient", "UTC")
    named = {name: (table.at, table.known_at) for name, table in source.tables.items()}
    assert named["condition"] == ("onset", "recorded")
    assert named["lab_718_7"] == ("at", "issued")
    assert {"gender", "condition_count", "lab_718_7_mean_value"} <= {*drafted.policy.columns}
    assert {str(c.category) for n, c in drafted.policy.columns.items() if n != "gender"} == {
        "dpv-pd:Health"
    }


def test_each_quantity_has_one_unit(drafted: PolicyFile) -> None:
    """Values in others are left out and counted; without a unit, or of few people, none is read."""
    tables = drafted.policy.source.tables
    units = {
        name: (dict(one.unit.factors), one.unit.undeclared)
        for name, table in tables.items() for one in table.fields.values() if one.unit
    }  # fmt: skip
    assert units == {
        "lab_718_7": ({"g/dL": 1}, "refuse"), "lab_2160_0": ({"mg/dL": 1}, "leave-out"),
    }  # fmt: skip
    assert "rare" not in drafted.text
    assert SECRET not in drafted.text


def test_codes_are_no_numbers_and_what_else_is_there_is_said(drafted: PolicyFile) -> None:
    """A mean of SNOMED's codes means nothing; consents have a place of their own."""
    made = {name: rows.take for name, rows in drafted.policy.made_of_rows.items()}
    assert made.get("condition_distinct_snomed", "count-distinct") == "count-distinct"
    assert not any("mean" in name and "snomed" in name for name in made)
    assert "# Left out: `Consent`, since consents go under `basis.events`" in drafted.text
    assert "# Left out: `CarePlan`, `Goal`, since no ready view reads that" in drafted.text


def test_what_is_drafted_can_be_read(drafted: PolicyFile) -> None:
    """Each column has a value of somebody."""
    names = [drafted.policy.source_name(name) for name in drafted.policy.columns]
    read = people_source(drafted).read(["patient", *names], where=("patient", pa.array(["p1"])))
    assert read.num_rows == 1
    assert not [name for name in names if read.column(name).null_count]
