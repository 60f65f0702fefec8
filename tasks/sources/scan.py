"""Parquet files as DuckDB scans them: in SQL, the types that `conversion` and `moments` give.

A column is written for SQL where both give the same for every value; `None` where they might not,
and then Arrow converts it. A value that does not fit ends the query, so that Arrow words it.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from expectations.expressions.expressions import ColumnType
from tasks.sources.parquet_files import ParquetSource

_EXACT: Final = 2**53
_DIGITS: Final = 15
"""Whole numbers of so many digits are exact as doubles, and so is their division by a power."""
_MISFIT: Final = "error('a value does not fit')"


def write_scan(source: ParquetSource) -> str | None:
    """Write the table of a source's files; None where DuckDB would read a name as a pattern."""
    names = [str(path) for path in source.files]
    if any(set("*?[]{}") & set(name) for name in names):
        return None
    listed = ", ".join(write_text(name) for name in names)
    return f"read_parquet([{listed}], hive_partitioning = false)"


def write_text(text: str) -> str:
    """Write a text as SQL does."""
    return "'" + text.replace("'", "''") + "'"


def can_name(kind: pa.DataType) -> bool:
    """Say whether values of a type are spelled alike from DuckDB and from Arrow."""
    return _is_text(kind) or (pa.types.is_integer(kind) and kind != pa.uint64())


def write_names(table: str, kind: pa.DataType) -> str:
    """Write a table of names as what a column of a type that `can_name` is compared with."""
    if _is_text(kind):
        return table
    number = "TRY_CAST(name AS BIGINT)"  # 12 is spelled '12', and '012' names another
    return f"(SELECT * REPLACE ({number} AS name) FROM {table} WHERE {number}::VARCHAR = name)"  # noqa: S608  # of our own words


def write_moment(column: str, kind: pa.DataType) -> str | None:
    """Write a column as moments on the calendar, to the microsecond."""
    if pa.types.is_date32(kind):
        return f"{column}::TIMESTAMP"
    if not pa.types.is_timestamp(kind) or kind.tz is not None:
        return None
    if kind.unit == "ns":  # towards zero, as Arrow does
        return f"make_timestamp(epoch_ns({column}) // 1000)"
    return f"{column}::TIMESTAMP"


def write_value(column: str, kind: pa.DataType, declared: ColumnType) -> str | None:
    """Write a column in its declared type."""
    match declared:
        case ColumnType.NUMBER:
            return _write_number(column, kind)
        case ColumnType.INTEGER:
            return _write_integer(column, kind)
        case ColumnType.TEXT:
            return f"{column}::VARCHAR" if can_name(kind) else None
        case ColumnType.BOOLEAN:
            return column if pa.types.is_boolean(kind) else None
        case ColumnType.DATE:
            return _write_date(column, kind)


def _write_number(column: str, kind: pa.DataType) -> str | None:
    if pa.types.is_float64(kind) or pa.types.is_float32(kind):
        number = f"{column}::DOUBLE + 0"  # so that there is one zero
        fits = f"WHEN isfinite({column}) THEN {number} WHEN isnan({column}) THEN NULL"
        return f"CASE {fits} WHEN {column} IS NOT NULL THEN {_MISFIT}::DOUBLE END"
    if kind == pa.int64():
        fits = f"abs({column}::HUGEINT) < {_EXACT}"
        return f"CASE WHEN {fits} THEN {column}::DOUBLE WHEN NOT {fits} THEN {_MISFIT}::DOUBLE END"
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return f"{column}::DOUBLE"
    if pa.types.is_decimal128(kind) and kind.precision <= _DIGITS and 0 <= kind.scale <= _DIGITS:
        whole = f"({column}::DECIMAL(38, {kind.scale}) * {10**kind.scale})::BIGINT"
        return f"{whole}::DOUBLE * 1e-{kind.scale} + 0"  # as Arrow does, to the last bit
    return None


def _write_integer(column: str, kind: pa.DataType) -> str | None:
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return f"{column}::BIGINT"
    if pa.types.is_float64(kind):
        fits = f"floor({column}) = {column} AND abs({column}) < {_EXACT}"
        missing = f"WHEN isnan({column}) THEN NULL WHEN {column} IS NULL THEN NULL"
        return f"CASE {missing} WHEN {fits} THEN {column}::BIGINT ELSE {_MISFIT}::BIGINT END"
    return None


def _write_date(column: str, kind: pa.DataType) -> str | None:
    if pa.types.is_date32(kind):
        return column
    if pa.types.is_timestamp(kind) and kind.tz is None and kind.unit != "ns":
        fits = f"date_trunc('day', {column}) = {column}"
        return f"CASE WHEN {fits} THEN {column}::DATE WHEN NOT {fits} THEN {_MISFIT}::DATE END"
    return None


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
