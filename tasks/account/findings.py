"""The evidence of one run, looked up by kind and name and read into the forms that are published.

The ledger keeps each entry's body as JSON, and it knows no form; the forms stand in
`tasks/account/published.py`. Sealed figures are not opened. A body that does not fit its form raises
pydantic's `ValidationError`: whoever wrote it and whoever reads it disagree, which is a defect.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from expectations.checks import Check
from ledgers.evidence import JSON, Entry
from tasks.account.published_people import Figure

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """The evidence of a run by kind and name; the latest entry of a name counts."""

    entries: Sequence[Entry]

    def bodies(self, kind: str) -> dict[str, JSON]:
        """Give the bodies of one kind by name, in the order in which they arose."""
        return {entry.name: entry.body for entry in self.entries if entry.kind == kind}

    def body(self, kind: str, name: str) -> dict[str, JSON]:
        """Give the fields of one entry; none when there is no such entry."""
        body = self.bodies(kind).get(name)
        return body if isinstance(body, dict) else {}

    def tables(self, prefix: str) -> dict[str, JSON]:
        """Give the tables whose names begin so, by the rest of the name."""
        return {
            name.removeprefix(prefix): body
            for name, body in self.bodies("table").items()
            if name.startswith(prefix)
        }

    def measures(self, prefix: str = "") -> dict[str, float | None]:
        """Give the measures whose names begin so, by the rest of the name."""
        found = {
            name.removeprefix(prefix): body
            for name, body in self.bodies("measure").items()
            if name.startswith(prefix) and not self._betrays_count(name)
        }
        return read(dict[str, float | None], found)

    def _betrays_count(self, measure: str) -> bool:
        """Whether a measure is the share of people whose number is hidden."""
        outlet, _, share = measure.removeprefix("privacy.").partition(".")
        left_out = self.body("count", f"people.{outlet}.suppressed")
        return share == "suppressed_share" and bool(left_out) and left_out["about"] is None

    def figure(self, name: str, label: str) -> Figure | None:
        """Give one published count of people, or None where it was not counted."""
        fields = self.body("count", name)
        return read(Figure, {"label": label, **fields}) if fields else None

    def figures(self, labels: Mapping[str, str]) -> tuple[Figure, ...]:
        """Give the published counts that are there, each under its label."""
        found = (self.figure(name, label) for name, label in labels.items())
        return tuple(figure for figure in found if figure)

    def checks(self) -> tuple[Check, ...]:
        """Give what every check found, in order; a name may stand for several outlets."""
        return tuple(read(Check, e.body) for e in self.entries if e.kind == "check")


def read(form: type[T], value: object) -> T:
    """Read JSON into a form."""
    return cast("T", adapt(cast("Hashable", form)).validate_python(value))


@cache
def adapt(form: Hashable) -> TypeAdapter[Any]:
    """Give pydantic's adapter of a form, made once."""
    return TypeAdapter(cast("Any", form))


def read_text(value: JSON) -> str | None:
    """Give a text, or None for anything else."""
    return value if isinstance(value, str) else None
