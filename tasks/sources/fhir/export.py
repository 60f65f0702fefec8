"""A folder as a server's bulk export leaves it: NDJSON files, one resource a line, and a manifest.

Its first lines are looked at before anything is read: whether they are of R4, and one resource
each. Where a line later does not fit, the file is gone through once more to name it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from expectations.errors import SourceError
from tasks.sources.fhir.elements import IN_SQL, elements_of, is_resource
from tasks.sources.scan import write_text
from tasks.sources.source import explain_unreadable

MANIFEST: Final = "manifest.json"
FIRST: Final = 100
"""So many lines of each file are looked at before anything is read."""
LONGEST: Final = 16 * 2**20
"""More bytes a line may not have: DuckDB's own bound on an object."""
OTHER: Final = {
    "STU3": ("animal", "assertedDate", "comment", "context", "notDone", "definition", "related"),
    "R5": ("actualPeriod", "admission", "occurrenceDateTime", "participant", "reported"),
}  # fmt: skip
"""Elements by which resources of another version are told; no other name is shown."""


@dataclass(frozen=True)
class Export:
    """The files of an export; `place` is how the policy names the folder."""

    folder: Path
    place: str

    def files(self, resource: str) -> list[Path]:
        """Give the files of one resource; SourceError where there is none, or one is wrong."""
        found = [file for file, kind in self._held.items() if kind == resource]
        if not found:
            there = sorted({*self._held.values()})
            said = f"it has {', '.join(there)}" if there else "it has no .ndjson file"
            raise SourceError(f"{self.place}: no file holds {resource}; {said}")
        for file in found:
            self.check(file, resource, FIRST)
        return found

    def resources(self) -> set[str]:
        """Name the resources that its files hold."""
        return {*self._held.values()}

    def deleted(self) -> list[Path]:
        """Give the files that say what was deleted since an earlier export."""
        return [self._named(one) for one in self._manifest.get("deleted") or ()]

    def check(self, file: Path, resource: str, most: int | None = None) -> None:
        """Go through the lines of a file; raise SourceError at the first that does not fit."""
        try:
            with file.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    if most is not None and number > most:
                        return
                    if fault := find_fault(line, resource):
                        raise SourceError(f"{self.place}: {file.name}, line {number}: {fault}")
        except OSError as error:
            raise explain_unreadable(error, self.place, file) from None

    @cached_property
    def _manifest(self) -> dict[str, Any]:
        path = self.folder / MANIFEST
        try:
            if not path.is_file():
                return {}
            told = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise explain_unreadable(error, self.place, path) from None
        except ValueError:
            told = None
        if not isinstance(told, dict) or not isinstance(told.get("output"), list):
            raise SourceError(
                f"{self.place}: {MANIFEST} is no manifest of a bulk export, which names its files "
                "under `output`; save the server's answer there, or remove it"
            )
        return told

    def _named(self, said: object) -> Path:
        """Give the file that a manifest's entry means: the last part of its address."""
        url = said.get("url") if isinstance(said, dict) else None
        name = Path(unquote(urlsplit(str(url)).path)).name
        file = self.folder / name
        if not name or not file.is_file():
            raise SourceError(
                f"{self.place}: {MANIFEST} names {name or 'a file'}, which is not in the folder; "
                "download it under that name"
            )
        return file

    @cached_property
    def _held(self) -> dict[Path, str]:
        """Give each file with what it holds: as the manifest says, else as its first line."""
        if not self.folder.is_dir():
            raise SourceError(f"{self.place}: there is no such folder; check the path")
        if self._manifest:
            return {self._named(one): str(one.get("type")) for one in self._manifest["output"]}
        files = sorted(self.folder.glob("*.ndjson"))
        if not files and (whole := sorted(self.folder.glob("*.json"))):
            raise SourceError(
                f"{self.place}: it has {whole[0].name}, and no .ndjson file: a bulk export has one "
                "resource on each line, no Bundle"
            )
        return {file: kind for file in files if (kind := self._look(file))}

    def _look(self, file: Path) -> str:
        """Give the resource of a file's first line; nothing of an empty file."""
        try:
            with file.open("rb") as lines:
                first = next((line for line in lines if line.strip()), b"")
        except OSError as error:
            raise explain_unreadable(error, self.place, file) from None
        resource = _read_line(first).get("resourceType") if first else ""
        if resource is None or (resource and not is_resource(str(resource))):
            resource = ""
        if (first and not resource) or resource == "Bundle":
            fault = find_fault(first, str(resource)) or "is no resource of FHIR R4"
            raise SourceError(f"{self.place}: {file.name}, line 1: {fault}")
        return str(resource)


def find_fault(line: bytes, resource: str) -> str | None:
    """Say what is wrong with a line, without a value of it; nothing if it fits."""
    if not line.strip():
        return None
    if len(line) > LONGEST:
        return "has more than 16 MB, which no line may have"
    read = _read_line(line)
    if not read:
        return "is no whole JSON object; an export has one resource on each line, as UTF-8"
    kind = read.get("resourceType")
    if kind == "Bundle":
        return "is a Bundle; an export has one resource on each line, so take its entries apart"
    if kind != resource:
        return f"is no {resource}; a file of an export holds one kind of resource"
    unknown = [name for name in read if name.lstrip("_") not in elements_of(resource)]
    for version, names in OTHER.items():
        if told := sorted({*names} & {*unknown}):
            return f"has `{told[0]}`, as {version} has; export it as FHIR R4 (4.0.1)"
    if unknown:
        return "has an element that FHIR R4 (4.0.1) does not know; is it of another version?"
    odd = next(_find_odd(read, resource, resource), None)
    return f"`{odd}` is not as FHIR R4 (4.0.1) has it; is it of another version?" if odd else None


def _find_odd(held: dict[str, Any], kind: str, above: str) -> Iterator[str]:
    """Name elements that are a list, an object or a value where R4 has another."""
    known = elements_of(kind)
    for name in held.keys() & known.keys():
        part, value, path = known[name], held[name], f"{above}.{name}"
        if value is None or part.type == "FhirResource":
            continue
        if isinstance(value, list) != part.many:
            yield path
            continue
        for one in value if part.many else [value]:
            if one is not None and isinstance(one, dict) != (part.type not in IN_SQL):
                yield path
            elif isinstance(one, dict):
                yield from _find_odd(one, part.type, path)


def _read_line(line: bytes) -> dict[str, Any]:
    try:
        read = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def write_resources(files: Sequence[Path], columns: dict[str, str]) -> str:
    """Write the table of files' resources, of which only some elements are kept."""
    listed = ", ".join(write_text(str(file)) for file in files)
    told = ", ".join(f"{write_text(name)}: {write_text(kind)}" for name, kind in columns.items())
    return f"read_json([{listed}], format = 'newline_delimited', columns = {{{told}}})"


def write_deleted(files: Sequence[Path], resource: str) -> str:
    """Write a query for the ids of one resource that an export says are deleted."""
    kind = 'STRUCT(request STRUCT("method" VARCHAR, url VARCHAR))[]'
    found = write_resources(files, {"entry": kind})
    pattern = write_text(f"^(?:.*/)?{resource}/([^/?]+)$")
    return (
        f"SELECT regexp_extract(one.request.url, {pattern}, 1) FROM (SELECT unnest(entry) AS one "  # noqa: S608  # quoted
        f"FROM {found}) WHERE one.request.method = 'DELETE' AND one.request.url IS NOT NULL"
    )
