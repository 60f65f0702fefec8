"""FHIR resources in files: one on a line, or one Bundle; a resource is known by its line or entry.

What a line says is not understood here, and no fault quotes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from expectations.disclosure import roughly
from expectations.errors import SourceError
from tasks.sources.fhir.export import Export
from tasks.sources.source import explain_unreadable, name_places

Resource: TypeAlias = Mapping[str, Any]
LISTS: Final = ("searchset", "history", "collection")
"""The types of Bundles that hold what is on record, not what is to be done."""


@dataclass(frozen=True, slots=True)
class Line:
    """A resource, where it stands, and when a history says that it was deleted."""

    number: int
    resource: Resource
    deleted: object = None


@dataclass(slots=True)
class Faults:
    """What is wrong with a file's resources: each fault once, with the lines that have it."""

    place: str
    row: str = "line"
    _numbers: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def note(self, number: int, what: str, fix: str) -> None:
        """Keep a fault of a line; neither text holds a value of a person."""
        self._numbers.setdefault((what, fix), []).append(number)

    def refuse(self) -> None:
        """Raise one `SourceError` for all that was kept."""
        if not self._numbers:
            return
        counted = [(fault, sorted({*some})) for fault, some in self._numbers.items()]
        told = [
            f"  {roughly(len(some))} {self._rows}: {what}; {fix}" for (what, fix), some in counted
        ]
        places = [f"{name_places(self.row, some)}: {what}" for (what, _), some in counted]
        raise SourceError(
            "\n".join([f"{self.place}: some FHIR resources are wrong", *told]), "\n".join(places)
        )

    @property
    def _rows(self) -> str:
        """What rows are called."""
        return "entries" if self.row == "entry" else f"{self.row}s"


def read_resources(path: Path, faults: Faults) -> list[Line]:
    """Read the resources of a file of one a line, or of one Bundle."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise explain_unreadable(error, faults.place, path) from None
    except UnicodeError:
        raise SourceError(f"{faults.place}: the file is not UTF-8; save it as UTF-8") from None
    lines = text.split("\n")
    whole = None
    if (first := next(filter(str.strip, lines), None)) is not None:
        # A Bundle may be written over many lines, of which the first is no object.
        whole = _parse(text) if _parse(first) is None or len(lines) < 3 else None
    if isinstance(whole, dict) and whole.get("resourceType") == "Bundle":
        faults.row = "entry"
        return [*_read_bundle(whole, faults)]
    return [*_read_lines(lines, faults)]


def _parse(text: str) -> object:
    """Parse JSON; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read_lines(lines: Iterable[str], faults: Faults) -> Iterator[Line]:
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        read = _parse(text)
        if not isinstance(read, dict) or not isinstance(read.get("resourceType"), str):
            faults.note(number, "it is no FHIR resource", "write one resource on a line, as JSON")
        elif read["resourceType"] == "Bundle":
            fix = "give the Bundle as a file of its own, or one resource on a line"
            faults.note(number, "it is a Bundle among lines", fix)
        else:
            yield Line(number, read)


def _read_bundle(bundle: Resource, faults: Faults) -> Iterator[Line]:
    """Give the entries of a Bundle, and what a history says was deleted."""
    if bundle.get("type") not in LISTS:
        raise SourceError(
            f"{faults.place}: this type of Bundle says what is to be done, not what is on record; "
            f"give one of the types {', '.join(LISTS)}"
        )
    if any(link.get("relation") == "next" for link in _objects(bundle.get("link"))):
        raise SourceError(
            f"{faults.place}: the Bundle is one page of several, so what follows is missing; "
            "write the resources of all pages into one file, one on a line"
        )
    entries = _objects(bundle.get("entry"))
    names = {
        entry.get("fullUrl"): f"Patient/{entry['resource']['id']}"
        for entry in entries
        if isinstance(entry.get("fullUrl"), str)
        and isinstance(entry.get("resource"), dict)
        and entry["resource"].get("resourceType") == "Patient"
        and isinstance(entry["resource"].get("id"), str)
    }
    for number, entry in enumerate(entries, 1):
        resource = entry.get("resource")
        request = entry.get("request")
        if isinstance(request, dict) and request.get("method") == "DELETE":
            yield from _read_deletion(number, entry, request)
        elif isinstance(resource, dict) and isinstance(resource.get("resourceType"), str):
            yield Line(number, _resolve(resource, names))
        else:
            faults.note(number, "it holds no resource", "export the resources themselves")


def _read_deletion(number: int, entry: Resource, request: Resource) -> Iterator[Line]:
    """Give what a history says was deleted, as a resource of nothing but its name."""
    parts = str(request.get("url", "")).split("/")
    if len(parts) >= 2 and parts[-2] == "Consent":
        response = entry.get("response")
        when = response.get("lastModified") if isinstance(response, dict) else None
        yield Line(number, {"resourceType": "Consent", "id": parts[-1]}, when or "")


def mark_deleted(lines: Sequence[Line], folder: Path, place: str) -> list[Line]:
    """Give the lines with consents inactive that the manifest of their export says are deleted.

    Nothing says since when. Of one that has no line nobody knows whose it was, so it is refused.
    """
    gone = {name for file in Export(folder, place).deleted() for name in _list_deleted(file, place)}
    consents = (one.resource for one in lines if one.resource["resourceType"] == "Consent")
    known = {str(consent.get("id")) for consent in consents}
    if lost := len(gone - known):
        raise SourceError(
            f"{place}: the manifest says that {roughly(lost)} Consents were deleted that have no "
            "line, so that nothing says whose they were; add their lines of an earlier export, or "
            "take those that were never imported out of the list"
        )
    return [
        replace(one, resource={**one.resource, "status": "inactive"})
        if one.resource["resourceType"] == "Consent"
        and one.resource.get("status") == "active"
        and str(one.resource.get("id")) in gone
        else one
        for one in lines
    ]


def _list_deleted(file: Path, place: str) -> Iterator[str]:
    """Give the ids of consents that a file of Bundles says were deleted."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeError):
        raise SourceError(f"{place}: {file.name} cannot be read as UTF-8") from None
    for text in lines:
        bundle = _parse(text)
        entries = _objects(bundle.get("entry")) if isinstance(bundle, dict) else []
        for number, entry in enumerate(entries, 1):
            request = entry.get("request")
            if isinstance(request, dict) and request.get("method") == "DELETE":
                found = _read_deletion(number, entry, request)
                yield from (str(one.resource["id"]) for one in found)


def _resolve(resource: Resource, names: Mapping[Any, str]) -> Resource:
    """Give a resource whose patient is named as those in the same Bundle are."""
    found = dict(resource)
    for element in ("patient", "subject"):
        named = found.get(element)
        if isinstance(named, dict) and str(named.get("reference")) in names:
            found[element] = {**named, "reference": names[named["reference"]]}
    return found


def _objects(found: object) -> list[Resource]:
    """Give the objects of a list, if it is one."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
