"""A run's lineage for catalogues: valid by the specification, whole, and names alone."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry, Resource

from ledgers.evidence import JSON
from tasks.lineage.columns import masks
from tasks.lineage.events import write_events
from tests.recorded_runs import (
    GATHERED,
    HISTORY,
    PASSED,
    RELEASED,
    SERVED,
    MakeRun,
    Note,
    Recorded,
    failed_run,
    make_entries,
    make_policy,
    make_record,
    passed_run,
    refused_run,
)
from tests.runs import passed

SPECIFICATION = Path(__file__).parent / "openlineage"
OURS = Path(__file__).parents[3] / "docs" / "lineage"
Event = dict[str, Any]


@cache
def schemas() -> Registry[Any]:
    """Give the specification's schemas and our own, by their ids."""
    files = [*SPECIFICATION.glob("*.json"), *OURS.glob("*.schema.json")]
    found = [json.loads(file.read_text()) for file in files]
    return Registry[Any]().with_resources(
        (one["$id"], Resource.from_contents(one)) for one in found
    )


def refuse_invalid(value: object, schema: str) -> None:
    """Hold a value against the schema at an address; an unknown address is an error too."""
    Draft202012Validator({"$ref": schema}, registry=schemas()).validate(value)


def hold_facets(value: object) -> int:
    """Hold every facet in an event against the schema that it names; give how many there were."""
    if isinstance(value, list):
        return sum(map(hold_facets, value))
    if not isinstance(value, dict):
        return 0
    if "_schemaURL" in value:
        refuse_invalid(value, value["_schemaURL"])
        return 1
    return sum(map(hold_facets, value.values()))


def note_data(step: str, stage: str, columns: list[JSON], *parents: str) -> tuple[Note, Note]:
    """Give what is noted of a step and of what it gave."""
    body: dict[str, JSON] = {"stage": stage, "digest": f"{step:x<64}", "columns": columns}
    return ("duration", step, 0.5), ("dataset", step, body | {"parents": [*parents]})


def served_run() -> Recorded:
    """A run that read its people and their consent, treated them, and served both outlets."""
    entries = make_entries(
        *note_data("read_roster", "roster", ["p"]), *GATHERED, HISTORY,
        *note_data("collect", "selected", ["_record", "age"], "filter_consent"),
        *note_data("deidentify", "deidentified", ["_record", "age", "ill"], "collect"),
        *RELEASED, PASSED, ("approved", "ward", "a" * 64), *SERVED,
    )  # fmt: skip
    return make_record(None), make_policy(), entries


def tell(run: Recorded) -> list[Event]:
    """Give a run's events."""
    return [json.loads(line) for line in write_events(*run).splitlines()]


@pytest.mark.parametrize("run", [passed_run, served_run, refused_run, failed_run])
def test_events_are_valid_by_the_schemas_that_they_name(run: MakeRun) -> None:
    """The specification's, and our own of docs/lineage."""
    for event in tell(run()):
        refuse_invalid(event, event["schemaURL"])
        assert hold_facets(event)


def test_our_schemas_refuse_another_field() -> None:
    """So that a facet that changes needs another number."""
    facet = tell(refused_run())[-1]["run"]["facets"]["tutela_verdict"]
    with pytest.raises(ValidationError, match="more"):
        refuse_invalid(facet | {"more": 1}, facet["_schemaURL"])


@pytest.mark.parametrize(
    ("run", "end"), [(served_run, "COMPLETE"), (refused_run, "FAIL"), (failed_run, "FAIL")]
)
def test_each_run_and_step_starts_and_ends_once(run: MakeRun, end: str) -> None:
    """The run first and last, its steps between, and each of them of the same run."""
    events = tell(run())
    assert (events[0]["eventType"], events[-1]["eventType"]) == ("START", end)
    ids = [event["run"]["runId"] for event in events]
    assert ids[0] == ids[-1]
    assert all(ids.count(one) == 2 for one in ids)
    parents = [event["run"]["facets"]["parent"]["run"]["runId"] for event in events[1:-1]]
    assert set(parents) == {ids[0]}
    assert tell(run()) == events


def test_a_step_that_refused_fails() -> None:
    """By name, though no seconds are on record of it."""
    (failed,) = [e for e in tell(refused_run())[:-1] if e["eventType"] == "FAIL"]
    assert failed["job"]["name"] == "visits.step"


def test_a_run_that_waits_for_mlflow_has_no_end_yet() -> None:
    """And names nothing that left."""
    record, policy, entries = served_run()
    waiting = [entry for entry in entries if entry.kind not in {"mlflow", "approved", "release"}]
    names = [event["job"]["name"] for event in tell((record, policy, waiting))]
    assert names.count("visits") == 1


def test_columns_are_traced_to_their_tables_with_masking() -> None:
    """A binned column masks, a computed one is traced to what it reads."""
    outputs = {one["name"]: one for one in tell(served_run())[-1]["outputs"]}
    assert set(outputs) == {"visits.ward", "visits.partner"}
    fields = outputs["visits.partner"]["facets"]["columnLineage"]["fields"]
    (age,), (ill,) = fields["age"]["inputFields"], fields["ill"]["inputFields"]
    assert (age["namespace"], age["name"], age["field"]) == ("tutela.csv", "visits.csv", "AgeYears")
    assert age["transformations"] == [
        {"type": "DIRECT", "subtype": "TRANSFORMATION", "description": "bin", "masking": True}
    ]
    assert (ill["field"], ill["transformations"][0]["masking"]) == ("lab", False)


def test_consent_is_an_indirect_filter() -> None:
    """Of every data set that people may be missing from, and so is who is eligible."""
    (partner,) = [o for o in tell(served_run())[-1]["outputs"] if o["name"] == "visits.partner"]
    filters = [
        (one["name"], how["type"], how["subtype"], how["description"])
        for one in partner["facets"]["columnLineage"]["dataset"]
        for how in one["transformations"]
    ]
    assert ("consents.csv", "INDIRECT", "FILTER", "consent events") in filters
    assert ("visits.csv", "INDIRECT", "FILTER", "eligibility") in filters


def test_purpose_basis_treatment_and_verdict_are_told() -> None:
    """In facets of our own."""
    last = tell(refused_run())[-1]
    assert last["job"]["facets"]["tutela_purpose"]["purpose"] == "dpv:ScientificResearch"
    assert last["job"]["facets"]["tutela_legalBasis"]["article9"] == "eu-gdpr:A9-2-a"
    verdict = last["run"]["facets"]["tutela_verdict"]
    assert (verdict["verdict"], verdict["refusedBy"]) == ("refused", "membership")
    assert last["outputs"] == []
    (ward, _) = tell(served_run())[-1]["outputs"]
    assert ward["facets"]["tutela_treatment"]["columns"]["age"]["treatment"] == "bin"


def test_names_alone_are_told() -> None:
    """No folder, no login, no count, no words of a check, and no address."""
    text = write_events(*served_run()) + write_events(*refused_run())
    for hidden in ("secret-folder", "me:pw", "4000", "3,100", "measured", "localhost", "privacy@"):
        assert hidden not in text


def test_a_treatment_that_leaves_values_does_not_mask() -> None:
    """Neither kept values nor declared words are said to be masked."""
    policy = make_policy()
    told = {name: masks(column.treatment) for name, column in policy.treated.items()}
    assert told == {"age": True, "sex": False, "lab": True, "ill": False}


def test_several_tables_a_person_are_several_inputs() -> None:
    """Each a data set of its own, and a column of many rows is an aggregation of its table."""
    place = passed("readmission").place
    (file,) = place.home.reports.glob("*.lineage.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    last = json.loads(file.read_text().splitlines()[-1])
    names = [one["name"] for one in last["inputs"]]
    assert len({*names}) == len(names) > 2
    assert '"subtype": "AGGREGATION"' in json.dumps(last["outputs"])
