"""What the leak scanner can look into: base64 runs, compressed streams, archives, tables.

Each opener takes the whole container in memory and yields named lists of byte pieces. It runs no
pickle, view or macro, and sets no limit on size: it is for what this project wrote itself.
What it does not know: keys (encrypted Parquet and zip raise) and formats without a magic number.
"""

from __future__ import annotations

import binascii
import bz2
import io
import lzma
import re
import sqlite3
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

Pieces = Iterator[tuple[str, list[bytes]]]
BROKEN = (
    OSError, EOFError, RuntimeError, ValueError, NotImplementedError, zlib.error, lzma.LZMAError,
    zstandard.ZstdError, sqlite3.Error, tarfile.TarError, zipfile.BadZipFile, duckdb.Error,
    pa.ArrowException,
)  # fmt: skip

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"
IN_ALPHABET = bytes(byte in ALPHABET for byte in range(256))
FORTY = b"\x01" * 40
RUN = re.compile(rb"(?:[\w+/-]{76}\r?\n)+[\w+/-]*|(?:[\w+/-]{64}\r?\n)+[\w+/-]*|[\w+/-]{40,}")
STANDARD = bytes.maketrans(b"-_", b"+/")


def decode_runs(data: bytes) -> Iterator[bytes]:
    """Decode runs of at least 40 base64 characters, also when wrapped as MIME or PEM wraps them."""
    # JSON writes a line break as two characters, of which the second would count as base64.
    data = data.replace(rb"\n", b"\n")
    inside = data.translate(IN_ALPHABET)  # looking for forty 1s is much faster than the expression
    position = 0
    while (position := inside.find(FORTY, position)) >= 0:
        run = RUN.match(data, position)
        if run is None:
            raise AssertionError("the mask and the expression disagree on what base64 is")
        position = run.end()
        text = run.group().translate(STANDARD, b"\r\n")
        text = text[:-1] if len(text) % 4 == 1 else text
        yield binascii.a2b_base64(text + b"=" * (-len(text) % 4))


def recognize(data: bytes) -> str | None:
    """Name the container that the bytes begin, or None."""
    if data.startswith(MAGIC_NUMBERS):
        return next(kind for magic, kind in MAGIC.items() if data.startswith(magic))
    if data[8:12] == b"DUCK":
        return "duckdb"
    return "tar" if data[257:262] == b"ustar" else None


class _Decompressor(Protocol):
    """What the decompressors of zlib, bz2, lzma and zstandard have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _decompress(make: Callable[[], _Decompressor], data: bytes) -> Pieces:
    """Unpack streams one after another; what came out of a truncated one is searched as well."""
    content: list[bytes] = []
    ended = True
    try:
        while ended and data:
            stream = make()
            content.append(stream.decompress(data))
            ended, data = stream.eof, stream.unused_data
    except BROKEN:
        ended = False
    yield "content", [b"".join(content)]
    if not ended:
        raise EOFError


def _members_of_zip(data: bytes) -> Pieces:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            yield name, [archive.read(name)]


def _members_of_tar(data: bytes) -> Pieces:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            if content := archive.extractfile(member):
                yield member.name, [content.read()]


def _columns(data: bytes) -> Pieces:
    with pq.ParquetFile(pa.BufferReader(data)) as file:
        yield from _columns_of(file.iter_batches())


def _columns_of(batches: Iterable[pa.RecordBatch]) -> Pieces:
    for batch in batches:
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            yield name, list(_flatten(column.to_pylist()))


def read_rows(data: bytes, log: bytes = b"") -> Pieces:
    """Read the tables of a copy of a SQLite database, with its write-ahead log when given."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        copy.write_bytes(data)
        Path(folder, "copy-wal").write_bytes(log)
        with closing(sqlite3.connect(copy)) as database:
            database.text_factory = bytes
            database.execute("PRAGMA trusted_schema=OFF")
            tables = database.execute("SELECT name FROM sqlite_schema WHERE type='table'")
            for (name,) in tables.fetchall():
                quoted = name.decode().replace('"', '""')
                rows = database.execute(f'SELECT * FROM "{quoted}"')  # noqa: S608  a name, quoted
                while some := rows.fetchmany(5000):
                    yield name.decode(), list(_flatten(some))


def _tables_of_duckdb(data: bytes) -> Pieces:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        copy.write_bytes(data)
        with duckdb.connect(copy, read_only=True) as database:
            tables = "SELECT schema_name, table_name FROM duckdb_tables()"
            for schema, table in database.execute(tables).fetchall():
                yield from _columns_of(database.table(f'"{schema}"."{table}"').to_arrow_reader())


def _flatten(values: Iterable[object]) -> Iterator[bytes]:
    """Yield every leaf of nested rows, lists and mappings as bytes; numbers as Python says them."""
    for value in values:
        if isinstance(value, bytes):
            yield value
        elif isinstance(value, dict):
            yield from _flatten(value.items())
        elif isinstance(value, list | tuple):
            yield from _flatten(value)
        elif value is not None:
            yield str(value).encode("utf-8", "surrogatepass")


MAGIC = {
    b"SQLite format 3\x00": "sqlite",
    b"PAR1": "parquet",
    b"PARE": "encrypted parquet",
    b"PK\x03\x04": "zip",
    b"\x1f\x8b\x08": "zlib",
    b"x\x01": "zlib",
    b"x\x5e": "zlib",
    b"x\x9c": "zlib",
    b"x\xda": "zlib",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
}
MAGIC_NUMBERS = tuple(MAGIC)
OPENERS: dict[str, Callable[[bytes], Pieces]] = {
    "sqlite": read_rows,
    "parquet": _columns,
    "encrypted parquet": _columns,
    "zip": _members_of_zip,
    "tar": _members_of_tar,
    "duckdb": _tables_of_duckdb,
    "zlib": partial(_decompress, partial(zlib.decompressobj, 47)),  # 47: zlib and gzip, by header
    "zstd": partial(_decompress, lambda: zstandard.ZstdDecompressor().decompressobj()),
    "bz2": partial(_decompress, bz2.BZ2Decompressor),
    "xz": partial(_decompress, lzma.LZMADecompressor),
}
