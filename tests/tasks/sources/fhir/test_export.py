"""A folder of an export as a source: what is read of it, and what is said where it is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from expectations.errors import SourceError
from expectations.policy.locations import FhirExport
from tasks.sources.fhir.source import FhirSource
from tasks.sources.identity import Identity, Strangers, count_strangers

Resource = Mapping[str, Any]


def write(folder: Path, name: str, *resources: Resource | str) -> None:
    """Write one file of an export."""
    lines = [one if isinstance(one, str) else json.dumps(one) for one in resources]
    (folder / f"{name}.ndjson").write_text("\n".join(lines) + "\n", encoding="utf-8")


def open_export(folder: Path, view: str, zone: str | None = "Europe/Berlin") -> FhirSource:
    """Open what a ready view makes of it."""
    return FhirSource(FhirExport(kind="fhir", path="export", view=view, zone=zone), folder.parent)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Give an empty folder for one."""
    folder = tmp_path / "export"
    folder.mkdir()
    return folder


def patient(key: str, /, **more: Any) -> Resource:
    """Give a patient."""
    return {"resourceType": "Patient", "id": key, **more}


def observation(number: int, **more: Any) -> Resource:
    """Give an observation of haemoglobin."""
    return {
        "resourceType": "Observation", "id": f"o{number}", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2024-05-01T23:30:00Z", **more,
    }  # fmt: skip


def quantity(value: float, **more: Any) -> Resource:
    """Give a value in g/dL of UCUM."""
    return {"value": value, "system": "http://unitsofmeasure.org", "code": "g/dL", **more}


def rows(folder: Path, view: str, *columns: str) -> list[tuple[Any, ...]]:
    """Read some columns of a view."""
    return [tuple(row.values()) for row in open_export(folder, view).read(columns).to_pylist()]


def test_a_bound_is_kept_apart_from_values_and_a_unit_is_said_by_code(export: Path) -> None:
    """What was entered in error is not there at all."""
    write(
        export, "Observation",
        observation(1, valueQuantity=quantity(9.5, unit="grams")),
        observation(2, valueQuantity=quantity(5, comparator="<")),
        observation(3, valueQuantity={"value": 7, "unit": "g/dL"}),
        observation(4, valueQuantity=quantity(3), status="entered-in-error"),
    )  # fmt: skip
    found = rows(export, "observation", "loinc", "value", "unit", "comparator", "bound")
    assert found == [
        ("718-7", 9.5, "g/dL", None, None),
        ("718-7", None, "g/dL", "<", 5),
        ("718-7", 7, None, None, None),
    ]


def test_suspected_and_refuted_conditions_are_other_tables(export: Path) -> None:
    """Of which nothing is said counts as confirmed."""
    said: list[str | None] = [None, "confirmed", "provisional", "refuted", "entered-in-error"]
    write(export, "Condition", *(
        {"resourceType": "Condition", "id": f"c{number}", "subject": {"reference": "Patient/p1"},
         **({"verificationStatus": {"coding": [{"code": one}]}} if one else {})}
        for number, one in enumerate(said)
    ))  # fmt: skip
    assert rows(export, "condition", "condition") == [("c0",), ("c1",)]
    assert rows(export, "condition_unconfirmed", "condition") == [("c2",)]
    assert rows(export, "condition_refuted", "condition") == [("c3",)]


def test_moments_stand_on_the_calendar_of_the_zone_and_partial_dates_at_their_end(
    export: Path,
) -> None:
    """A moment with an offset needs to know on which calendar it stands."""
    told = ["2024-05-01T23:30:00Z", "2024-05-01", "2024-02", "2023", "2024-05-01T10:00:00.5-04:00"]
    write(export, "Observation", *(
        observation(number, effectiveDateTime=one) for number, one in enumerate(told)
    ))  # fmt: skip
    assert [str(at) for (at,) in rows(export, "observation", "at")] == [
        "2024-05-02 01:30:00", "2024-05-01 00:00:00", "2024-02-29 00:00:00",
        "2023-12-31 00:00:00", "2024-05-01 16:00:00.500000",
    ]  # fmt: skip
    with pytest.raises(SourceError, match="add `zone: Europe/Berlin`"):
        open_export(export, "observation", None).read(["at"])
    write(export, "Patient", patient("p1", birthDate="1950-02"), patient("p2"))
    assert rows(export, "patient", "birth_date") == [(date(1950, 2, 28),), (None,)]


@pytest.mark.parametrize(
    ("reference", "key"),
    [
        ("Patient/p1", "p1"),
        ("Patient/p1/_history/3", "p1"),
        ("https://host.example/fhir/Patient/p1", "p1"),
        ("urn:uuid:8d2f", "8d2f"),
        ("Group/p1", None),
        ("Patient?identifier=4711", None),
        ("#p1", None),
    ],
)
def test_every_form_of_a_reference_gives_the_key(
    export: Path, reference: str, key: str | None
) -> None:
    """What names no patient is nobody."""
    write(export, "Observation", observation(1, subject={"reference": reference}))
    assert rows(export, "observation", "patient") == [(key,)]


def test_only_rows_of_those_who_are_asked_for_are_given(export: Path) -> None:
    """Nobody else's rows leave the engine."""
    others = [observation(n, subject={"reference": f"Patient/p{n}"}) for n in range(4)]
    write(export, "Observation", *others)
    found = open_export(export, "observation").read(
        ["observation"], where=("patient", pa.array(["p1", "p3", "p9"]))
    )
    assert found.column("observation").to_pylist() == ["o1", "o3"]


def test_what_an_export_says_is_deleted_is_not_there(export: Path) -> None:
    """The manifest names files by the last part of their address."""
    write(export, "1", patient("p1"), patient("p2"))
    entry = {"request": {"method": "DELETE", "url": "Patient/p2"}}
    write(export, "gone", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    (export / "manifest.json").write_text(json.dumps({
        "output": [{"type": "Patient", "url": "https://host.example/files/1.ndjson"}],
        "deleted": [{"type": "Bundle", "url": "https://host.example/files/gone.ndjson"}],
    }))  # fmt: skip
    assert rows(export, "patient", "patient") == [("p1",)]


def test_an_entry_about_nothing_deletes_nothing(export: Path) -> None:
    """Without an address, of another method, of another resource, or of no entry at all."""
    write(export, "1", patient("p1"), patient("p2"))
    said: list[Resource] = [
        {"request": {"method": "DELETE"}}, {"request": {"method": "GET", "url": "Patient/p1"}},
        {"request": {"method": "DELETE", "url": "Group/p1"}}, {},
    ]  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "transaction"}
    write(export, "gone", {**bundle, "entry": said}, bundle)
    (export / "manifest.json").write_text(json.dumps({
        "output": [{"type": "Patient", "url": "https://host.example/files/1.ndjson"}],
        "deleted": [{"type": "Bundle", "url": "https://host.example/files/gone.ndjson"}],
    }))  # fmt: skip
    assert rows(export, "patient", "patient") == [("p1",), ("p2",)]


def test_rows_that_name_nobody_are_counted_and_refused_if_all_do(export: Path) -> None:
    """A group's observation is nobody's; a column of no keys is a mistake."""
    of = ["Patient/p1", "Patient/p2", "Patient/p2", "Group/g", f"Patient?identifier={SECRET}"]
    made = [observation(n, subject={"reference": one}) for n, one in enumerate(of)]
    people = pa.chunked_array([pa.array(["p1"])])

    def count() -> Strangers:
        source = open_export(export, "observation")
        return count_strangers(source, "patient", people, Identity(), "source.tables.labs")

    write(export, "Observation", *made)
    assert count() == Strangers(people=1, nameless=2)
    write(export, "Observation", *made[3:])
    said = r"source\.tables\.labs: the column 'patient': no row names a person \(from Observation"
    with pytest.raises(SourceError, match=said + r"\.ndjson, line 1 on\)") as told:
        count()
    assert SECRET not in str(told.value)


def test_a_file_that_the_manifest_names_and_nobody_downloaded_is_missed(export: Path) -> None:
    """Half an export is no export."""
    write(export, "1", patient("p1"))
    names = [{"type": "Patient", "url": f"https://host.example/{n}.ndjson"} for n in (1, 2)]
    (export / "manifest.json").write_text(json.dumps({"output": names}))
    with pytest.raises(SourceError, match=r"names 2\.ndjson, which is not in the folder"):
        open_export(export, "patient").columns()


def test_replaced_records_lead_to_those_that_replaced_them(export: Path) -> None:
    """By choice also those who refer to each other, to the smaller of the two keys."""

    def link(kind: str, other: str) -> Resource:
        return {"type": kind, "other": {"reference": f"Patient/{other}"}}

    write(
        export, "Patient",
        patient("a", link=[link("replaced-by", "b")]), patient("b", link=[link("replaces", "c")]),
        patient("d", link=[link("seealso", "e")]), patient("e", link=[link("seealso", "d")]),
    )  # fmt: skip
    replaced = {("a", "b"), ("c", "b")}
    assert {*rows(export, "patient_links", "other", "kept")} == replaced
    assert {*rows(export, "patient_links_seealso", "other", "kept")} == {*replaced, ("e", "d")}
    assert rows(export, "patient", "patient") == [("b",), ("d",), ("e",)]


SECRET = "Mustermann"
"""A value that no message may hold."""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"resourceType": "Bundle", "entry": []}'], "line 1: is a Bundle"),
        (["{", '"resourceType": "Patient"', "}"], "line 1: is no whole JSON object"),
        ([patient("p1"), {"resourceType": "Group", "id": "g"}], "line 2: is no Patient"),
        ([patient("p1", animal={"species": {}})], "line 1: has `animal`, as STU3 has"),
        ([patient("p1", **{SECRET: 1})], "line 1: has an element that FHIR R4 .* does not know"),
        ([patient("p1", name={"family": SECRET})], "line 1: `Patient.name` is not as FHIR R4"),
    ],
)
def test_what_is_no_export_of_r4_is_told_from_the_first_lines(
    export: Path, lines: list[Any], said: str
) -> None:
    """Before anything is read, and without a value."""
    write(export, "Patient", *lines)
    with pytest.raises(SourceError, match=rf"export: Patient\.ndjson, {said}") as told:
        open_export(export, "patient").columns()
    assert SECRET not in str(told.value)


def test_a_broken_line_in_the_middle_is_named_by_its_number(export: Path) -> None:
    """Where the engine stopped, the file is gone through to name the line."""
    whole = [json.dumps(patient(f"p{number}", gender="female")) for number in range(3000)]
    whole[1999] = whole[1999][:-9] + SECRET
    write(export, "Patient", *whole)
    with pytest.raises(SourceError, match=r"Patient\.ndjson, line 2000: is no whole") as told:
        open_export(export, "patient").read(["gender"])
    assert SECRET not in str(told.value)


def test_a_class_that_is_a_list_is_told_as_another_version(export: Path) -> None:
    """Past the first lines too."""
    stay = {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "IMP"}}
    write(export, "Encounter", *[stay] * 200, {**stay, "class": [{"code": "IMP"}]})
    with pytest.raises(SourceError, match=r"line 201: `Encounter\.class` is not as FHIR R4"):
        open_export(export, "encounter").read(["class"])


def test_an_export_without_the_resource_says_what_it_has(export: Path) -> None:
    """An empty table is not mistaken for people without rows."""
    write(export, "Patient", patient("p1"))
    with pytest.raises(SourceError, match="no file holds Observation; it has Patient"):
        open_export(export, "observation").columns()


def test_a_date_that_is_none_is_an_error_without_the_value(export: Path) -> None:
    """What the engine says would hold it."""
    write(export, "Patient", patient("p1", birthDate=SECRET, deceasedDateTime="2024"))
    with pytest.raises(SourceError, match="a value of `birth_date` cannot be read") as told:
        open_export(export, "patient").read(["patient", "deceased", "birth_date"])
    assert SECRET not in str(told.value)


def test_a_line_that_is_too_long_is_named_by_its_number(export: Path) -> None:
    """The parser holds a line whole, and not more than that."""
    write(export, "Patient", *[patient("p1")] * 200, patient("p2", gender="x" * 34_000_000))
    with pytest.raises(SourceError, match=r"Patient\.ndjson, line 201: has more than 16 MB"):
        open_export(export, "patient").read(["gender"])
