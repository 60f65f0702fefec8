"""The examples: data that comes with the project, made on the fly and never written to disk.

They are asked by named columns like any other source, and know no policy that reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from expectations.errors import SourceError
from expectations.policy.locations import ExampleName
from tasks.sources.examples import hospital, notes, registry
from tasks.sources.examples.consent_history import EVENT
from tasks.sources.examples.nhanes import NhanesSource, make_consent
from tasks.sources.examples.table import MadeUpSource
from tasks.sources.source import Part, Source


def parts_of(name: ExampleName) -> Mapping[Part, Source]:
    """Give the tables that an example has."""
    match name:
        case "nhanes":
            consent = MadeUpSource("example 'nhanes', consent", EVENT, make_consent)
            return {"people": NhanesSource(), "consent": consent}
        case "nhanes-outcome":
            place, make = "example 'nhanes-outcome'", partial(make_consent, "outcome")
            return {
                "people": NhanesSource(place, "outcome"),
                "consent": MadeUpSource(f"{place}, consent", EVENT, make),
            }
        case "hospital":
            consent = MadeUpSource("example 'hospital', consent", EVENT, hospital.make_consent)
            return {"people": hospital.open_table("patients"), "consent": consent}
        case "hospital-stays" | "hospital-diagnoses" | "hospital-labs":
            return {"people": hospital.open_table(name.removeprefix("hospital-"))}
        case "notes":
            return {"people": MadeUpSource("example 'notes'", notes.PATIENT, notes.make_notes)}
        case "registry":
            place = "example 'registry'"
            return {
                "people": MadeUpSource(place, registry.PATIENT, registry.make_registry),
                "objections": MadeUpSource(
                    f"{place}, objections", registry.OBJECTION, registry.make_objections
                ),
            }


def open_example(name: ExampleName, part: Part) -> Source:
    """Give one table of an example; raise SourceError if the example has no such table."""
    parts = parts_of(name)
    if part not in parts:
        raise SourceError(f"example '{name}' has no {part}; it has {', '.join(parts)}")
    return parts[part]
