"""ViewDefinitions that a policy names: files beside it, or ready ones that come along.

A name that ends with `.json` is a file; any other is one of the ready views in
`expectations/views/`. A view is part of the policy: its text goes into the policy's digest.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

from expectations.errors import Problem, suggest
from expectations.policy.plain_yaml import Plain

READY: Final = Path(__file__).parent.parent / "views"
EDITIONS: Final = (
    "https://sql-on-fhir.org/ig/StructureDefinition/ViewDefinition",
    "http://hl7.org/fhir/uv/sql-on-fhir/StructureDefinition/ViewDefinition",
    "http://hl7.org/fhir/StructureDefinition/ViewDefinition",
)
"""The type of a view in SQL on FHIR 2.0, and two by which the ballot of 3.0 goes."""
R4: Final = ("4.0.0", "4.0.1", "R4", "4.0")


class UnreadableViewError(ValueError):
    """A view that cannot be taken from its file; its text says why."""


def put_views(plain: Plain, folder: Path) -> list[Problem]:
    """Put the text of each view into its location, and the policy's zone; gives what is wrong."""
    source = plain.get("source") if isinstance(plain, dict) else None
    zone = source.get("zone") if isinstance(source, dict) else None
    problems: list[Problem] = []
    for path, location in _locations(plain, ""):
        view = location.get("view")
        if not isinstance(view, str):
            continue  # the grammar says what it must be
        location.setdefault("zone", zone)
        try:
            location["definition"] = read_definition(view, folder)
        except UnreadableViewError as error:
            names = sorted(file.stem for file in READY.glob("*.json"))
            fix = suggest(view, names, "name a file that ends with .json, or a ready view")
            problems.append(Problem(f"{path}view", str(error), fix))
    return problems


def list_ready(resources: Collection[str]) -> list[str]:
    """Name the ready views of some resources."""
    files = sorted(READY.glob("*.json"))
    return [f.stem for f in files if json.loads(f.read_text("utf-8"))["resource"] in resources]


def read_definition(view: str, folder: Path) -> str:
    """Read a view's text; `UnreadableViewError` says why it cannot be used."""
    path = folder / view if view.endswith(".json") else READY / f"{view}.json"
    try:
        if path.parent == READY and not path.is_file():
            raise UnreadableViewError("is no ready view")
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableViewError(f"the view cannot be read ({error.strerror})") from None
    except ValueError as error:
        if isinstance(error, UnreadableViewError):
            raise
        raise UnreadableViewError("the view is no JSON in UTF-8") from None
    if not isinstance(said, dict) or "select" not in said or "resource" not in said:
        raise UnreadableViewError("is no ViewDefinition, which has `resource` and `select`")
    kind = said.get("resourceType", "ViewDefinition")
    if kind not in ("ViewDefinition", *EDITIONS):
        raise UnreadableViewError(
            "is no ViewDefinition of SQL on FHIR 2.0 or the 3.0 ballot; write its `resourceType` "
            "as one of these has it"
        )
    profiles = said.get("meta", {}).get("profile", []) if isinstance(said.get("meta"), dict) else []
    known = tuple(one.rpartition("/")[0] for one in EDITIONS)
    if any(not str(one).startswith(known) for one in profiles):
        raise UnreadableViewError("follows a profile of another edition than 2.0 and 3.0 ballot")
    versions = said.get("fhirVersion") or ["4.0.1"]
    if not {*R4} & {*(versions if isinstance(versions, list) else [versions])}:
        raise UnreadableViewError("is written for another version than FHIR R4")
    return json.dumps(said, sort_keys=True)


def _locations(plain: Plain, path: str) -> Iterator[tuple[str, dict[str, Plain]]]:
    """Give each place that is an export, with its path; the form is not checked yet."""
    if isinstance(plain, dict):
        if plain.get("kind") == "fhir":
            yield path, plain
        for name, inner in plain.items():
            yield from _locations(inner, f"{path}{name}.")
    elif isinstance(plain, list):
        for place, inner in enumerate(plain):
            yield from _locations(inner, f"{path}{place}.")
