"""ViewDefinitions that a policy names: files beside it, or ready ones that come along.

A name that ends with `.json` is a file; any other is one of the ready views in
`expectations/views/`. A view is part of the policy: its text goes into the policy's digest.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Final

from expectations.errors import suggest
from expectations.policy.hierarchy_files import UnreadableError

READY: Final = Path(__file__).parent.parent / "views"
EDITIONS: Final = (
    "https://sql-on-fhir.org/ig/StructureDefinition/ViewDefinition",
    "http://hl7.org/fhir/uv/sql-on-fhir/StructureDefinition/ViewDefinition",
    "http://hl7.org/fhir/StructureDefinition/ViewDefinition",
)
"""The type of a view in SQL on FHIR 2.0, and two by which the ballot of 3.0 goes."""
R4: Final = ("4.0.0", "4.0.1", "R4", "4.0")


def list_ready(resources: Collection[str]) -> list[str]:
    """Name the ready views of some resources."""
    files = sorted(READY.glob("*.json"))
    return [f.stem for f in files if json.loads(f.read_text("utf-8"))["resource"] in resources]


def read_definition(view: str, folder: Path) -> str:
    """Read a view's text; `UnreadableError` says why it cannot be used."""
    path = folder / view if view.endswith(".json") else READY / f"{view}.json"
    try:
        if path.parent == READY and not path.is_file():
            names = sorted(file.stem for file in READY.glob("*.json"))
            fix = suggest(view, names, "name a file that ends with .json, or a ready view")
            raise UnreadableError("is no ready view", fix)
        said = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableError(f"the view cannot be read ({error.strerror})") from None
    except ValueError as error:
        if isinstance(error, UnreadableError):
            raise
        raise UnreadableError("the view is no JSON in UTF-8") from None
    if not isinstance(said, dict) or "select" not in said or "resource" not in said:
        raise UnreadableError("is no ViewDefinition, which has `resource` and `select`")
    kind = said.get("resourceType", "ViewDefinition")
    if kind not in ("ViewDefinition", *EDITIONS):
        raise UnreadableError(
            "is no ViewDefinition of SQL on FHIR 2.0 or the 3.0 ballot; write its `resourceType` "
            "as one of these has it"
        )
    profiles = said.get("meta", {}).get("profile", []) if isinstance(said.get("meta"), dict) else []
    known = tuple(one.rpartition("/")[0] for one in EDITIONS)
    if any(not str(one).startswith(known) for one in profiles):
        raise UnreadableError("follows a profile of another edition than 2.0 and 3.0 ballot")
    versions = said.get("fhirVersion") or ["4.0.1"]
    if not {*R4} & {*(versions if isinstance(versions, list) else [versions])}:
        raise UnreadableError("is written for another version than FHIR R4")
    return json.dumps(said, sort_keys=True)
