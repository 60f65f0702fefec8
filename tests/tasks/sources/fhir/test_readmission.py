"""The same hospital as FHIR gives the same columns as its plain tables do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from expectations.errors import SourceError
from expectations.policy_file import PolicyFile, read_policy
from tasks.people.ingestion import find_elements, find_missing, people_source

ROOT = Path(__file__).parents[4]
EXAMPLE = ROOT / "docs" / "fhir"
NUMBER = 300
SAME = {
    "sex": {"female": "F", "male": "M"},
    "smoking": {"266919005": "never", "8517006": "former", "77176002": "current"},
}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of the example with the export of some people."""
    folder = tmp_path_factory.mktemp("fhir")
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    made = [sys.executable, str(EXAMPLE / "make_export.py"), str(folder / "export")]
    subprocess.run([*made, str(NUMBER)], check=True)
    return folder / "readmission-fhir.yaml"


def read_rows(file: PolicyFile, people: list[str] | None) -> list[dict[str, object]]:
    """Read the policy's columns of some people, in their order."""
    import pyarrow as pa

    names = {name: file.policy.source_name(name) for name in file.policy.columns}
    where = ("patient", pa.array(people)) if people else None
    read = people_source(file).read(["patient", *names.values()], where=where)
    rows = [
        {name: SAME.get(name, {}).get(row[source], row[source]) for name, source in names.items()}
        | {"patient": row["patient"]}
        for row in read.to_pylist()
    ]
    return sorted(rows, key=lambda row: str(row["patient"]))


def test_an_export_gives_the_columns_that_plain_tables_give(example: Path) -> None:
    """To the last bit, of the people of the export."""
    from_fhir = read_rows(read_policy(str(example)), None)
    assert len(from_fhir) == NUMBER
    people = [str(row["patient"]) for row in from_fhir]
    assert from_fhir == read_rows(read_policy("readmission"), people)


def test_the_elements_that_are_read_are_named_for_the_record(example: Path) -> None:
    """Of each table, as paths from the resource; what only an unused column needs is not read."""
    found = dict(find_elements(read_policy(str(example))))
    assert [*found][:2] == ["source", "source.tables.discharges"]
    labs, measured = ({*found[f"source.tables.{name}"]} for name in ("labs", "haemoglobin"))
    assert {"Observation.valueQuantity.value", "Observation.code.coding.code"} <= measured
    assert not any("name" in element for element in found["source"])
    assert "Observation.valueQuantity.code" not in labs
    stays = {"Encounter.class.code", "Encounter.period.start"}
    assert [stays & {*found[f"source.tables.{name}"]} for name in ("stays", "discharges")] == [
        stays, set(),
    ]  # fmt: skip


def test_a_view_is_part_of_the_policy(example: Path) -> None:
    """A changed file is another digest; a wrong one is told with the policy's line."""
    before = read_policy(str(example)).sha256
    view = example.parent / "people.json"
    text = view.read_text(encoding="utf-8")
    try:
        view.write_text(text.replace("2025-01-01", "2024-06-01"), encoding="utf-8")
        assert read_policy(str(example)).sha256 != before
    finally:
        view.write_text(text, encoding="utf-8")


def test_mixed_units_are_told_by_table_and_column(example: Path) -> None:
    """Neither a value nor the unit that has no factor is told."""
    text = example.read_text(encoding="utf-8")
    mixed = example.with_name("mixed.yaml")
    assert "factors: {g/dL: 1, g/L: 0.1}" in text
    mixed.write_text(text.replace("{g/dL: 1, g/L: 0.1}", "{g/L: 0.1}"), encoding="utf-8")
    said = r"^source\.tables\.haemoglobin: the column 'unit': .* have a value of `value` in a unit"
    with pytest.raises(SourceError, match=said) as told:
        read_rows(read_policy(str(mixed)), None)
    assert not re.search(r"g/dL|mmol|\d\.\d", str(told.value))


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        (None, "unit: {from: unit, factors:"),
        ("value.ofType(Quantity).value", "{from: a column of your own view with the unit's code"),
        ("value.ofType(Quantity).value.where($this > 0).first()", "{from: a column of your own"),
        ("component.value.ofType(Quantity).value.first()", "{from: a column of your own"),
        ("value.ofType(integer)", ""),
    ],
)
def test_a_number_whose_rows_say_their_unit_needs_one(
    example: Path, path: str | None, fix: str
) -> None:
    """Of the ready views and of one's own; before anything of a person is read."""
    text = example.read_text(encoding="utf-8")
    field = "value: {type: number, unit: {from: unit, factors: {g/dL: 1, g/L: 0.1}}}"
    assert field in text
    text = text.replace(field, "value: {type: number}")
    if path:
        column = [{"name": name, "path": told} for name, told in (
            ("patient", "subject.getReferenceKey()"), ("at", "issued"), ("issued", "issued"),
            ("loinc", "code.coding.code.first()"), ("value", path),
        )]  # fmt: skip
        view = {"resource": "Observation", "select": [{"column": column}]}
        example.with_name("own.json").write_text(json.dumps(view), encoding="utf-8")
        start = text.index("    haemoglobin:\n")
        text = text[:start] + text[start:].replace("view: observation", "view: own.json", 1)
    unsaid = example.with_name("unsaid.yaml")
    unsaid.write_text(text, encoding="utf-8")
    file = read_policy(str(unsaid))
    found = find_missing(file, people_source(file).columns())
    assert [problem.path for problem in found] == ["source.tables.haemoglobin.fields.value"] * bool(
        fix
    )
    assert all(fix in problem.fix for problem in found)
