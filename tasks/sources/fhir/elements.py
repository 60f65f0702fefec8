"""Which elements FHIR R4 (4.0.1) knows: of each type their types, and whether there may be several.

Of primitives it says what JSON holds: a text (`s`), a number (`n`), a truth value (`b`).
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

TEXT, NUMBER, TRUTH = "s", "n", "b"
IN_SQL: Final = {TEXT: "VARCHAR", NUMBER: "DOUBLE", TRUTH: "BOOLEAN"}


class Element(NamedTuple):
    """The type of an element, and whether there may be several of it."""

    type: str
    many: bool


@cache
def _read() -> dict[str, str]:
    text = files("tasks.sources.fhir").joinpath("r4.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


@cache
def elements_of(kind: str) -> dict[str, Element]:
    """Give the elements of a type or resource by name; none of what R4 does not know."""
    pairs = (one.split(":") for one in _read().get(kind, "").split())
    return {name: Element(said.rstrip("*"), said.endswith("*")) for name, said in pairs}


def is_resource(kind: str) -> bool:
    """Say whether R4 knows a resource of that name."""
    return "resourceType" in elements_of(kind)
