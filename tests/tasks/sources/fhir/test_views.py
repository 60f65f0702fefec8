"""Views do what the public tests of SQL on FHIR ask for; those tests lie beside, with licence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tasks.sources.fhir.compilation import Need
from tasks.sources.fhir.views import View, ViewError, read_view

CASES = Path(__file__).parent / "conformance"


def _cases() -> Iterator[Any]:
    for file in sorted(CASES.glob("*.json")):
        told = json.loads(file.read_text(encoding="utf-8"))
        for test in told["tests"]:
            if "shareable" in test["tags"]:
                yield pytest.param(told["resources"], test, id=f"{file.stem}: {test['title']}")


def read_resources(view: View, path: Path) -> str:
    """Write the table of a file's resources, as `export` does."""
    columns = ", ".join(f"'{name}': '{one.write()}'" for name, one in view.need.parts.items())
    held = f"read_json('{path}', format = 'newline_delimited', columns = {{{columns}}})"
    return f"(SELECT * FROM {held} WHERE \"resourceType\" = '{view.resource}')"  # noqa: S608  # of our own words


def _run(said: Any, resources: list[Any], folder: Path) -> list[dict[str, Any]]:
    view = read_view(said)
    file = folder / "resources.ndjson"
    same = [one for one in resources if one["resourceType"] == view.resource]  # as exports do
    file.write_text("".join(json.dumps(one) + "\n" for one in same), encoding="utf-8")
    found = duckdb.sql(view.write(read_resources(view, file)))
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def _key(row: dict[str, Any]) -> str:
    told = {n: v for n, v in row.items() if v not in (None, [])}
    whole = {n: int(v) if isinstance(v, float) and v.is_integer() else v for n, v in told.items()}
    return json.dumps(whole, sort_keys=True)


@pytest.mark.parametrize(("resources", "test"), [*_cases()])
def test_a_view_passes_a_public_test(resources: list[Any], test: Any, tmp_path: Path) -> None:
    """Rows may come in any order; missing and empty are alike."""
    if test.get("expectError"):
        with pytest.raises((ViewError, duckdb.Error)):
            _run(test["view"], resources, tmp_path)
        return
    found = _run(test["view"], resources, tmp_path)
    if "expectColumns" in test:
        assert [*found[0]] == test["expectColumns"]
    if "expectCount" in test:
        assert len(found) == test["expectCount"]
    if "expect" in test:
        assert sorted(map(_key, found)) == sorted(map(_key, test["expect"]))


def test_all_public_tests_that_are_shareable_are_asked() -> None:
    """Of 134, eleven are experimental."""
    assert len([*_cases()]) == 123


def test_only_elements_that_a_view_names_are_read() -> None:
    """An element that no path names is not kept by the parser."""
    view = read_view({
        "resource": "Patient",
        "select": [{"column": [{"name": "city", "path": "address.first().city"}]}],
    })  # fmt: skip
    assert view.elements == ("Patient.resourceType", "Patient.id", "Patient.address.city")
    assert isinstance(view.need, Need)
