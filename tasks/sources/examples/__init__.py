"""The examples: data that comes with the project, made on the fly and never written to disk.

They are asked by named columns like any other source, and know no policy that reads them.
"""

from __future__ import annotations

from functools import partial

from expectations.errors import SourceError
from tasks.sources.examples import notes, registry
from tasks.sources.examples.consent_history import EVENT
from tasks.sources.examples.nhanes import NhanesSource, make_consent
from tasks.sources.examples.table import MadeUpSource
from tasks.sources.source import Part, Source

_PARTS: dict[tuple[str, str], Source] = {
    ("nhanes", "people"): NhanesSource(),
    ("nhanes", "consent"): MadeUpSource("example 'nhanes', consent", EVENT, make_consent),
    ("nhanes-outcome", "people"): NhanesSource("example 'nhanes-outcome'", "outcome"),
    ("nhanes-outcome", "consent"): MadeUpSource(
        "example 'nhanes-outcome', consent", EVENT, partial(make_consent, "outcome")
    ),
    ("notes", "people"): MadeUpSource("example 'notes'", notes.PATIENT, notes.make_notes),
    ("registry", "people"): MadeUpSource(
        "example 'registry'", registry.PATIENT, registry.make_registry
    ),
    ("registry", "objections"): MadeUpSource(
        "example 'registry', objections", registry.OBJECTION, registry.make_objections
    ),
}


def open_example(name: str, part: Part) -> Source:
    """Give one table of an example; raise SourceError if the example has no such table."""
    if (name, part) not in _PARTS:
        held = ", ".join(which for example, which in _PARTS if example == name)
        raise SourceError(f"example '{name}' has no {part}; it has {held}")
    return _PARTS[name, part]
