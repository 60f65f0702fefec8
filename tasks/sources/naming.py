"""How a value that names a person is compared: as text, in one spelling whatever its type.

A database may hold a person's number as 12, a Parquet file as 12.0, a consent list as the text
'12'; all three name the same person. The text '012' names another.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import SourceError

if TYPE_CHECKING:
    from expectations.policy.identifiers import Normal


def spell(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Give a column as large text; numbers in the shortest that names them, dates as ISO 8601.

    NaN is missing. Raises a pyarrow.ArrowException for bytes that are not UTF-8, for nested types
    and for UUIDs in Arrow's own type; its text may quote a value.
    """
    if isinstance(column.type, pa.BaseExtensionType):
        raise pa.ArrowNotImplementedError(str(column.type))
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    text = pc.cast(column, pa.large_string())
    if pa.types.is_decimal(column.type) and column.type.scale > 0:
        text = pc.replace_substring_regex(text, r"\.?0+$", "")
    return text


def canonical(
    people: pa.ChunkedArray, place: str, normal: Collection[Normal] = ()
) -> pa.ChunkedArray:
    """Give identifiers as they are compared: numbers in one spelling, Unicode NFC, blank missing.

    `normal` is what a policy says besides about spellings that name the same person. Raises
    `SourceError` where the column at `place` holds what cannot be spelled.
    """
    try:
        names = spell(people)
    except pa.ArrowException:  # its text may quote a value
        raise SourceError(f"{place}: it must hold text or numbers; name another column") from None
    names = pc.utf8_trim_whitespace(names) if "strip" in normal else names
    if is_ascii(names):
        names = pc.ascii_lower(names) if "casefold" in normal else names
    else:
        # Not by pyarrow, whose utf8_normalize decomposes whatever form it is asked for (25.0).
        folded = "casefold" in normal
        composed = [name and _compose(name, folded=folded) for name in names.to_pylist()]
        names = pa.chunked_array([pa.array(composed, pa.large_string())])
    blank = pc.or_(pc.equal(names, ""), pc.utf8_is_space(names))
    return pc.if_else(blank, None, names)


def is_ascii(names: pa.Array | pa.ChunkedArray) -> bool:
    """Tell whether no name holds anything but ASCII, of which each has one form in Unicode."""
    return pc.all(pc.string_is_ascii(names)).as_py() is not False


def _compose(name: str, *, folded: bool) -> str:
    if folded:  # canonical caseless matching (Unicode 16, 3.13, D145)
        name = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFC", name)


def spell_values(values: pa.Array, like: pa.DataType) -> pa.Array:
    """Give texts, once each, as values that a column of type `like`, cast to theirs, may equal.

    Texts that spell no number are left out for a numeric column; for any other column the texts
    themselves are given, and the column is to become text.
    """
    text = pc.unique(pc.drop_null(pc.cast(values, pa.string())))
    if pa.types.is_integer(like) and like != pa.uint64():
        return _integers(text)
    if pa.types.is_floating(like) or (pa.types.is_decimal(like) and like.scale > 0):
        plain = pc.match_substring_regex(text, r"^-?\d+(\.\d+)?(e[+-]\d+)?$")
        number = pc.cast(pc.filter(text, plain), pa.float64())
        return pc.filter(number, pc.equal(pc.cast(number, pa.string()), pc.filter(text, plain)))
    return pc.cast(text, like) if pa.types.is_large_string(like) else text


def _integers(text: pa.Array) -> pa.Array:
    """Give the 64-bit integers among texts that spell one as a database would."""
    plain = pc.match_substring_regex(text, r"^(0|-?[1-9]\d{0,18})$")
    # By way of a wider type, since 19 digits may be too many and a failed cast quotes the text.
    wide = pc.cast(pc.filter(text, plain), pa.decimal128(20, 0))
    fits = pc.and_(
        pc.greater_equal(wide, pa.scalar(-(2**63), wide.type)),
        pc.less(wide, pa.scalar(2**63, wide.type)),
    )
    return pc.cast(pc.filter(wide, fits), pa.int64())
