"""Which type every value of a column converts to, by the conversion that runs use.

A type is proposed only if `tasks.sources.conversion` loses no value by it. Digits with a leading
zero (codes, postcodes) and those too long for a double are names of things, so they stay text.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from expectations.expressions.expressions import ColumnType
from tasks.sources.conversion import FALSE, TRUE, fit

SAMPLE: Final = 1000
"""Values on which a type is tried before it is tried on all."""
_NAMING: Final = r"^\s*[+-]?(0\d+|\d{16,})\s*$"
ORDER: Final = (ColumnType.DATE, ColumnType.INTEGER, ColumnType.NUMBER)


def tell_type(values: pa.ChunkedArray) -> ColumnType:
    """Give the narrowest type to which all of these different values convert; text if none."""
    if not len(values):
        return ColumnType.TEXT
    if is_boolean(values):
        return ColumnType.BOOLEAN
    if is_text(values) and pc.any(pc.match_substring_regex(values, _NAMING)).as_py():
        return ColumnType.TEXT
    for proposed in ORDER:
        if _fits(values.slice(0, SAMPLE), proposed) and _fits(values, proposed):
            return proposed
    return ColumnType.TEXT


def make_plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Give a column whose values can be compared: decoded, and missing where they have no text."""
    if pa.types.is_dictionary(column.type):
        return pc.cast(column, column.type.value_type)
    if pa.types.is_nested(column.type) or isinstance(column.type, pa.BaseExtensionType):
        return pa.chunked_array([pa.nulls(len(column), pa.large_string())])
    return column


def is_boolean(values: pa.ChunkedArray) -> bool:
    """Tell whether both a yes and a no occur, and nothing else."""
    if len(values) > len(TRUE + FALSE) * 4 or pa.types.is_boolean(values.type):
        return bool(pa.types.is_boolean(values.type))
    fitted = fit(values, ColumnType.BOOLEAN)
    return bool(fitted.null_count == 0 and len(pc.unique(fitted)) == 2)


def is_text(values: pa.ChunkedArray) -> bool:
    """Tell whether the source holds text."""
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))


def share_that_fits(values: pa.ChunkedArray, proposed: ColumnType) -> float:
    """Give the share of the first different values that convert."""
    sample = values.slice(0, SAMPLE)
    return 1 - float(fit(sample, proposed).null_count) / max(len(sample), 1)


def _fits(values: pa.ChunkedArray, proposed: ColumnType) -> bool:
    return bool(fit(values, proposed).null_count == 0)
