"""Keyed digests of plain content: equal content has equal digests, whatever its layout.

A plain hash of a small table would confirm a guess and outlive an erasure, so each digest is an
HMAC-SHA256 (RFC 2104). Row order, column order, names and types count; chunks, slices, what
lies under a null, and the order, width and unused values of a dictionary do not. Floating point
counts by its bits: 0.0 and -0.0 differ.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from expectations.errors import VaultError

if TYPE_CHECKING:
    import pyarrow as pa

    from ledgers.home.keys import Keys


def digest_bytes(key: bytes, data: bytes) -> str:
    """Give the digest of `data` in 64 hex digits."""
    return hmac.new(key, b"bytes\0" + data, hashlib.sha256).hexdigest()


def digest_in_run(run_id: str, digest: str) -> str:
    """Give what a run shows of a lasting digest: equal within the run, and never across runs.

    Two runs whose digests were equal would tell that nobody came or left. Who holds the lasting
    digest can derive this one and compare; 64 hex digits.
    """
    return hashlib.sha256(f"{run_id}\0{digest}".encode()).hexdigest()


def digest_written(keys: Keys, content: bytes) -> str:
    """Give the digest of a page: a plain one would confirm a guess of what it tells."""
    return hmac.digest(keys.derive("written-files"), content, "sha256").hex()


def digest_shown(keys: Keys, run_id: str, value: str) -> str:
    """Give the digest by which a run's record knows a value that MLflow shows, in 32 hex digits."""
    return hmac.digest(keys.derive("shown"), f"{run_id}\0{value}".encode(), "sha256").hex()[:32]


def digest_table(key: bytes, table: pa.Table) -> str:
    """Give the digest of `table` in 64 hex digits; VaultError for a nested column."""
    code = hmac.new(key, b"table\0", hashlib.sha256)
    code.update(table.num_rows.to_bytes(8, "little"))
    for name, column in zip(table.column_names, table.columns, strict=True):
        _add_text(code, name)
        _add_column(code, name, column)
    return code.hexdigest()


def _add_text(code: hmac.HMAC, text: str) -> None:
    encoded = text.encode()
    code.update(len(encoded).to_bytes(8, "little") + encoded)


def _add_column(code: hmac.HMAC, name: str, column: pa.ChunkedArray) -> None:
    """Add one column: its type, which rows are null, then the values that are not."""
    import pyarrow as pa

    array = _whole(column)
    if pa.types.is_dictionary(array.type) and array.dictionary.null_count:
        array = array.dictionary_decode().dictionary_encode()
    if pa.types.is_dictionary(array.type):
        _add_text(code, f"dictionary of {array.type.value_type}")
    else:
        _add_text(code, str(array.type))
    code.update(array.null_count.to_bytes(8, "little"))
    if array.null_count:
        code.update(array.is_valid().cast(pa.uint8()).buffers()[1])
        array = array.drop_null()
    if pa.types.is_dictionary(array.type):
        values, indices = _canonical(array)
        code.update(len(values).to_bytes(8, "little"))
        _add_values(code, name, values)
        _add_values(code, name, indices)
    elif not pa.types.is_null(array.type):
        _add_values(code, name, array)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """Give a column as one array; its chunks may carry dictionaries of their own."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.unify_dictionaries()
    whole = column.combine_chunks()
    if not isinstance(whole, pa.ChunkedArray):
        return whole
    return whole.chunk(0) if whole.num_chunks else pa.array([], column.type)


def _canonical(array: pa.DictionaryArray) -> tuple[pa.Array, pa.Array]:
    """Give the values in use in order of appearance, and 32-bit indices into them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    used = array.indices.unique()
    values = array.dictionary.take(used).unique()
    places = pc.index_in(array.dictionary, value_set=values)
    return values, pc.take(places, array.indices).cast(pa.int32())


def _add_values(code: hmac.HMAC, name: str, array: pa.Array) -> None:
    """Add values without nulls by their bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        array = array.cast(pa.large_binary())
        kind = array.type
    if pa.types.is_boolean(kind):
        array = array.cast(pa.uint8())
        kind = array.type
    if pa.types.is_nested(kind):
        raise VaultError(f"column '{name}' has the nested type {kind}: flatten it into columns")
    if not len(array):
        return
    buffers = array.buffers()
    if len(buffers) == 3:
        _add_values(code, name, pc.binary_length(array))
        offset_bytes = 8 if kind in (pa.large_string(), pa.large_binary()) else 4
        first, last = _bounds(buffers[1], array.offset, len(array), offset_bytes)
        code.update(memoryview(buffers[2] or b"")[first:last])
    else:
        width = kind.bit_width // 8
        code.update(memoryview(buffers[1])[array.offset * width :][: len(array) * width])


def _bounds(offsets: pa.Buffer, start: int, length: int, width: int) -> tuple[int, int]:
    """Read where the first value begins and the last one ends in the bytes of a text column."""
    view = memoryview(offsets)
    ends = (view[place * width :][:width] for place in (start, start + length))
    first, last = (int.from_bytes(end, "little") for end in ends)
    return first, last
