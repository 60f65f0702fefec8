"""Rows of several kinds, as tests of a laboratory are: their amounts, and in how many units.

A mean over milligrams and millimoles is a number, and means nothing: the draft asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from expectations.expressions.expressions import ColumnType
from tasks.drafting.profile import LEAST, Values
from tasks.drafting.signs import split_name
from tasks.sources.naming import canonical

MOST_KINDS: Final = 4
"""Kinds of rows of which each has columns of its own."""
KINDS: Final = frozenset(
    {"code", "test", "analyte", "parameter", "item", "measure", "type", "kind", "lab", "loinc"}
)
AMOUNTS: Final = frozenset({"value", "result", "amount", "level", "reading", "quantity", "price"})
UNITS: Final = frozenset({"unit", "units", "uom"})
SEVERAL: Final = (
    "in several units, so no mean is made: name the table once more for each such quantity, with "
    "`where`, and with `unit` and its factors (docs/tables.md, Units)."
)


def find_kinds(fields: Mapping[str, Values]) -> tuple[str | None, list[str]]:
    """Name the field that says of what kind a row's amounts are, and the fields of amounts."""
    kinds = next((name for name, values in fields.items() if _is_kind(values)), None)
    amounts = [name for name, values in fields.items() if _is_amount(values)]
    return (kinds if amounts else None), amounts


def find_unit(names: Iterable[str]) -> str | None:
    """Name the field that says in which unit an amount is; beside no amount it may be a ward."""
    return next((name for name in names if split_name(name)[0] & UNITS), None)


def list_shared(words: pa.ChunkedArray, person: pa.ChunkedArray) -> list[str]:
    """Give the commonest words, each of ten people or more."""
    said = pa.table({"word": words, "person": person})
    said = said.filter(pc.is_valid(said.column("word"))).group_by("word", use_threads=False)
    counted = said.aggregate([("person", "count_distinct")]).sort_by(
        [("person_count_distinct", "descending"), ("word", "ascending")]
    )
    many = counted.filter(pc.greater_equal(counted.column("person_count_distinct"), LEAST))
    return [str(word) for word in many.column("word").to_pylist()[:MOST_KINDS]]


def is_mixed(held: pa.Table, unit: str | None, kinds: str | None = None, kind: str = "") -> bool:
    """Whether rows are in several units: those of one kind, or all."""
    if unit is None:
        return False
    said = canonical(held.column(unit), unit)
    if kinds:
        said = said.filter(pc.equal(canonical(held.column(kinds), kinds), kind))
    return len(pc.unique(pc.drop_null(said))) > 1


def _is_kind(values: Values) -> bool:
    few = values.type is ColumnType.TEXT and 1 < len(values.counts) <= 10 * LEAST
    return few and bool(split_name(values.name)[0] & KINDS)


def _is_amount(values: Values) -> bool:
    number = values.type in {ColumnType.INTEGER, ColumnType.NUMBER}
    return number and bool(split_name(values.name)[0] & AMOUNTS)
