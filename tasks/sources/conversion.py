"""From what a source holds, often text, to the types that the policy declares.

It knows types and nothing of meaning. Numbers follow the decimal syntax of XML Schema 1.1 with an
exponent (part 2, 3.3.5) and are finite; dates are ISO 8601 calendar dates. Blank text is missing,
except in a text column. A number without a fractional part is an integer as long as a double holds
it exactly (below 2**53); longer digits are names of things, and are declared as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, assert_never

import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import roughly
from expectations.errors import SourceError
from expectations.expressions.expressions import ColumnType
from tasks.sources.naming import spell

Column: TypeAlias = "pa.ChunkedArray"

_EXACT = 2**53
"""Doubles hold every integer below this exactly (IEEE 754)."""
TRUE = ("true", "yes", "1", "1.0")
FALSE = ("false", "no", "0", "0.0")
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_EXPECTED = {
    ColumnType.NUMBER: "finite numbers",
    ColumnType.INTEGER: "whole numbers below 2**53",
    ColumnType.TEXT: "text, numbers or dates",
    ColumnType.BOOLEAN: f"one of {', '.join(TRUE + FALSE)}",
    ColumnType.DATE: "dates such as 2024-01-31",
}


def convert(table: pa.Table, types: Mapping[str, ColumnType]) -> pa.Table:
    """Give the columns that `types` names, each in the Arrow type of what is declared.

    number is float64, integer int64, boolean bool, date date32, text large_string. Raises one
    SourceError that names every column with values that do not fit, and how many.
    """
    fitted, problems = {}, []
    for name, declared in types.items():
        column = table.column(name)
        # Let go of where nobody else holds it: all columns twice would be the most of a run.
        table = table.drop_columns(name)
        fitted[name] = fit(column, declared)
        lost = fitted[name].null_count - _count_missing(column, declared)
        if lost:
            problems.append(
                f"column '{name}': {roughly(lost)} values are not {_EXPECTED[declared]}"
            )
    if problems:
        raise SourceError(
            "\n".join([*problems, "correct these values in the source, or declare another type"])
        )
    return pa.table(fitted)


def fit(column: Column, declared: ColumnType) -> Column:
    """Give the column in its declared type; a value that does not fit becomes missing."""
    match declared:
        case ColumnType.NUMBER:
            return _fit_number(column)
        case ColumnType.INTEGER:
            return _fit_integer(column)
        case ColumnType.TEXT:
            return _spell(column)
        case ColumnType.BOOLEAN:
            return _fit_boolean(column)
        case ColumnType.DATE:
            return _fit_date(column)
    assert_never(declared)


def _count_missing(column: Column, declared: ColumnType) -> int:
    """Count what is rightly missing: nulls, NaN among doubles, and blanks in text to be parsed."""
    if pa.types.is_floating(column.type):
        return int(column.null_count + (pc.sum(pc.is_nan(column)).as_py() or 0))
    if declared is ColumnType.TEXT or not _is_text(column):
        return int(column.null_count)
    blank = pc.equal(pc.binary_length(pc.utf8_trim_whitespace(_spell(column))), 0)
    return int(column.null_count + (pc.sum(blank).as_py() or 0))


def _fit_number(column: Column) -> Column:
    number = _parse_number(column) if _is_text(column) else _cast_number(column)
    return pc.if_else(pc.is_finite(number), number, None)


def _parse_number(column: Column) -> Column:
    text = _spell(column)
    try:
        return pc.cast(text, pa.float64())
    except pa.ArrowInvalid:  # it stops at the first misfit, so the others are found by pattern
        text = pc.utf8_trim_whitespace(text)
        fits = pc.match_substring_regex(text, _NUMBER)
        return pc.cast(pc.if_else(fits, text, None), pa.float64())


def _cast_number(column: Column) -> Column:
    if column.type == pa.int64():
        exact = pc.and_(pc.less(column, _EXACT), pc.greater(column, -_EXACT))
        column = pc.if_else(exact, column, None)
    elif column.type == pa.uint64():
        column = pc.if_else(pc.less(column, pa.scalar(_EXACT, pa.uint64())), column, None)
    try:
        return pc.cast(column, pa.float64())
    except pa.ArrowException:
        return _nothing(column, pa.float64())


def _fit_integer(column: Column) -> Column:
    if pa.types.is_integer(column.type) and column.type != pa.uint64():
        return pc.cast(column, pa.int64())
    number = _fit_number(column)
    whole = pc.and_(pc.equal(pc.floor(number), number), pc.less(pc.abs(number), _EXACT))
    return pc.cast(pc.if_else(whole, number, None), pa.int64())


def _fit_boolean(column: Column) -> Column:
    if pa.types.is_boolean(column.type):
        return column
    words = pc.utf8_lower(pc.utf8_trim_whitespace(_spell(column)))
    position = pc.index_in(words, pa.array([*TRUE, *FALSE], words.type))
    return pc.less(position, len(TRUE))


def _fit_date(column: Column) -> Column:
    """Give dates; of a moment only midnight without a time zone is one, as no other has one day."""
    if pa.types.is_date(column.type):
        return pc.cast(column, pa.date32())
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        midnight = pc.equal(pc.floor_temporal(column, unit="day"), column)
        return pc.cast(pc.if_else(midnight, column, None), pa.date32())
    return _parse_date(column) if _is_text(column) else _nothing(column, pa.date32())


def _parse_date(column: Column) -> Column:
    text = pc.utf8_trim_whitespace(_spell(column))
    moment = pc.strptime(text, format="%Y-%m-%d", unit="s", error_is_null=True)
    # strptime makes 2 March of 30 February, so only a date that is spelt back alike was one.
    same = pc.equal(pc.strftime(moment, format="%Y-%m-%d"), text)
    return pc.cast(pc.if_else(same, moment, None), pa.date32())


def _spell(column: Column) -> Column:
    try:
        return spell(column)
    except pa.ArrowException:
        return _nothing(column, pa.large_string())


def _is_text(column: Column) -> bool:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _nothing(column: Column, kind: pa.DataType) -> Column:
    return pa.chunked_array([pa.nulls(len(column), kind)])
