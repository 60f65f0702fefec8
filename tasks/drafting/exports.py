"""A FHIR export as tables of a draft: what ready views make of it, and each quantity by itself.

Values of different things, and in different units, do not go together. So the commonest codes of
observations are tables of their own, as a policy names them: told apart by `where`, in one unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import UsageError
from expectations.expressions.expressions import ColumnType
from expectations.policy.locations import FhirExport
from expectations.policy.many_rows import RowField
from expectations.policy.view_files import list_ready
from tasks.drafting.outcome import quoted
from tasks.drafting.profile import LEAST
from tasks.drafting.row_kinds import MOST_KINDS
from tasks.drafting.tables import Found, Linked
from tasks.sources.fhir.export import Export
from tasks.sources.fhir.source import FhirSource

Viewed: TypeAlias = tuple[str, FhirSource]
"""A ready view by its name, over an export."""
PERSON: Final = "patient"
KEYS: Final = frozenset(
    ("encounter", "condition", "observation", "request", "medication", "procedure")
)
SYSTEMS: Final = frozenset(("icd10", "snomed", "loinc", "atc", "rxnorm"))
"""Columns of the codes of one system, beside `code`."""
CALLED: Final = {"observation": "lab", "observation_component": "lab_part"}
"""Tables that are called otherwise than their view, whose name would say that they are of rows."""
MEASURED: Final = frozenset(("value", "unit", "bound", "comparator", "value_code"))
APART: Final = frozenset(
    ("condition_unconfirmed", "condition_refuted", "patient_links", "patient_links_seealso")
)
"""Ready views that somebody who wants them names."""
SPLIT: Final = (
    "Its values are tables of their own below, for the commonest codes of ten people or more with "
    "a unit of UCUM."
)
UNITS: Final = (
    "Values in another unit are left out, and the report says of how many people: give each its "
    "factor, and remove `undeclared`."
)


def open_views(folder: Path, data: str) -> list[Viewed]:
    """Open the ready views that fit an export; `UsageError` where it has no people.

    Moments are put on the calendar of UTC, which the policy says, and somebody decides.
    """
    resources = Export(folder, data).resources()
    if "Patient" not in resources:
        there = ", ".join(sorted(resources)) or "no resource"
        raise UsageError(
            f"{data} is a FHIR export without Patient: it has {there}; export Patient too"
        )
    views = [view for view in list_ready(resources) if view not in APART]
    places = [
        FhirExport(kind="fhir", path=str(folder.absolute()), view=view, zone="UTC")
        for view in views
    ]
    return [(CALLED.get(one.view, one.view), FhirSource(one, folder)) for one in places]


def read_export(views: Sequence[Viewed]) -> Iterator[Found]:
    """Read what views make of an export; what one measures is a table for each code."""
    for name, source in views:
        location, held = source.location, source.read(source.columns())
        told = _keep_telling(held)
        if PERSON not in told.column_names:
            continue  # nobody has any
        if not source.view.measured:
            yield Found(name, location, told, PERSON)
            continue
        rest = [column for column in told.column_names if column not in MEASURED]
        yield Found(name, location, told.select(rest), PERSON, asked=SPLIT)
        by = "loinc" if "loinc" in rest else "code"
        valued = held.filter(pc.is_valid(held["value"]))
        united = valued.filter(pc.is_valid(valued["unit"]))
        for code in _shared(united, by)[:MOST_KINDS]:
            yield from _measure(name, location, valued.filter(pc.equal(valued[by], code)), by)


def tell_left_out(linked: Linked, views: Sequence[Viewed]) -> Linked:
    """Name what else an export holds, of which no ready view is drafted."""
    read = {source.view.resource for _, source in views}
    there = Export(Path(views[0][1].location.path), "").resources() - read
    rest = sorted(there - {"Consent"})
    why = {"`, `".join(rest): "no ready view reads that; write one of your own"} if rest else {}
    if "Consent" in there:
        why["Consent"] = "consents go under `basis.events`; see docs/consent-exports.md"
    return replace(linked, left_out={**linked.left_out, **why})


def _measure(name: str, location: FhirExport, held: pa.Table, by: str) -> Iterator[Found]:
    """Give the rows of one code as a table, in the unit that most people have it in."""
    code = str(held[by][0])
    for unit in _shared(held, "unit")[:1]:
        own = held.filter(pc.equal(held["unit"], unit))
        mixed = own.num_rows < held.num_rows
        more = {"undeclared": "leave-out"} if mixed else {}
        told = {"type": ColumnType.NUMBER, "unit": {"from": "unit", "factors": {unit: 1}, **more}}
        fields = {by: RowField(type=ColumnType.TEXT), "value": RowField.model_validate(told)}
        kept = own.select([c for c in (PERSON, "at", "issued", "value") if c in own.column_names])
        where = f"{by} = {quoted(code)}"
        yield Found(f"{name}_{code}", location, kept, PERSON, where, fields, UNITS if mixed else "")


def _keep_telling(held: pa.Table) -> pa.Table:
    """Leave out keys of other things than people, what is never there, and what is there twice."""
    there = [name for name in held.column_names if held.column(name).null_count < held.num_rows]
    if "code" in there and any(held[name] == held["code"] for name in SYSTEMS & {*there}):
        there.remove("code")
    return held.select([name for name in there if name not in KEYS])


def _shared(held: pa.Table, column: str) -> list[str]:
    """Give the words of a column that ten people or more have, the commonest first."""
    pairs = held.select([column, PERSON]).drop_null().group_by(column, use_threads=False)
    counted = pairs.aggregate([(PERSON, "count_distinct")]).sort_by(
        [(f"{PERSON}_count_distinct", "descending"), (column, "ascending")]
    )
    many = counted.filter(pc.greater_equal(counted[f"{PERSON}_count_distinct"], LEAST))
    return [str(word) for word in many[column].to_pylist()]
