"""Which versions of a resource follow one another, and when one took the place of the one before.

An export holds each resource once, as it is now; a history Bundle holds its versions, and a
Provenance may say when one came about. Where neither does, nothing is known of an earlier state.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tasks.consent.fhir.dates import Moment
from tasks.consent.fhir.files import Line, Resource
from tasks.consent.fhir.provisions import MeaninglessError, Reading, list_objects
from tasks.consent.fhir.resources import State, Told, understand


@dataclass(frozen=True, slots=True)
class Version:
    """What a resource said from a moment on; the first said it from its own date on."""

    told: Told
    since: Moment | None = None
    until: Moment | None = None
    """When the next one took its place."""


def order_versions(lines: Sequence[Line], reading: Reading) -> list[Line]:
    """Give the versions of one resource, the first first; equal ones once."""
    if len(lines) == 1:
        return [*lines]
    different = {json.dumps([one.resource, one.deleted], sort_keys=True): one for one in lines}
    dated = [(_read_change(one, reading), one) for one in different.values()]
    if len({moment.first for moment, _ in dated}) < len(dated):
        raise MeaninglessError(
            "it is there twice, and nothing says which is later",
            "give each version its `meta.lastUpdated`, or export each resource once",
        )
    return [line for _, line in sorted(dated, key=lambda one: one[0].first)]


def tell_versions(
    lines: Sequence[Line], reading: Reading, noted: Sequence[Moment]
) -> list[Version]:
    """Say what each version of one resource says; `noted` are the moments of its Provenances."""
    found: list[Version] = []
    for number, line in enumerate(lines):
        if line.deleted is not None:
            if not found:
                what = "it was deleted, and no version of it is given"
                raise MeaninglessError(what, "give its history whole")
            over = replace(found[-1].told, state=State.OVER, root=None)
            found.append(Version(over, _read_change(line, reading)))
            continue
        told = understand(line.resource, reading)
        if told is None:
            if found:  # what it says now is not ours
                over = replace(found[-1].told, state=State.OVER, root=None)
                found.append(Version(over, _read_change(line, reading)))
            continue
        since = _read_change(line, reading) if number else _find_end(told, noted)
        found.append(Version(told, since))
    if found and found[-1].told.state is State.NEVER_WAS:
        # It never was, in whatever version.
        never = [replace(one.told, state=State.NEVER_WAS, root=None) for one in found]
        return [Version(told) for told in never]
    ends = [one.since for one in found[1:]]
    ended = [replace(one, until=end) for one, end in zip(found, ends, strict=False)]
    return [*ended, *found[len(ends) :]]


def _find_end(told: Told, noted: Sequence[Moment]) -> Moment | None:
    """Give when something came to an end: the earliest of what is noted since it was made."""
    later = [moment for moment in noted if moment.first >= told.made.first]
    return min(later) if told.state in {State.OVER, State.REFUSED} and later else None


def _read_change(line: Line, reading: Reading) -> Moment:
    if line.deleted is not None:
        return reading.read_moment(line.deleted)
    meta = line.resource.get("meta")
    if not isinstance(meta, dict) or meta.get("lastUpdated") is None:
        raise MeaninglessError(
            "it is there twice, and nothing says which is later",
            "give each version its `meta.lastUpdated`, or export each resource once",
        )
    return reading.read_moment(meta["lastUpdated"])


def read_provenances(lines: Iterable[Line], reading: Reading) -> Mapping[str, list[Moment]]:
    """Give the moments of Provenances by the resource, or the version of it, that they name."""
    found: dict[str, list[Moment]] = {}
    for line in lines:
        period = line.resource.get("occurredPeriod")
        begun = period.get("start") if isinstance(period, dict) else None
        when = line.resource.get("occurredDateTime") or begun or line.resource.get("recorded")
        for target in list_objects(line.resource.get("target")):
            named = target.get("reference")
            if isinstance(named, str) and when is not None:
                found.setdefault(_shorten(named), []).append(reading.read_moment(when))
    return found


def find_noted(resource: Resource, provenances: Mapping[str, list[Moment]]) -> list[Moment]:
    """Give the moments that are noted of a resource as it is now."""
    name = f"Consent/{resource.get('id')}"
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return provenances.get(f"{name}/_history/{version}") or provenances.get(name) or []


def _shorten(reference: str) -> str:
    """Give a reference without the server that it begins with."""
    place = reference.rfind("Consent/")
    return reference[max(place, 0) :]
