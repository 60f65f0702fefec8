"""The events in the pages of a ledger as a passing table, a row each, to be read and tampered with.

Written from the layout alone: nothing of the ledger's own code is used.
"""

from __future__ import annotations

import sqlite3
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa

ROW = struct.Struct(">11q16s")
"""seq, token (two), identity, valid from, recorded at, valid until, guardian (two), absent, terms,
salt."""
TABLE = (
    "CREATE TEMP TABLE consent_events (token_high, token_low, identity, seq, terms, valid_from, "
    "recorded_at, valid_until, guardian_high, guardian_low, evidence, salt)"
)
MOST = 1_000_000
"""More rows than a page has, so that a row's number is its page and its place there."""

Page = tuple[int, bytes, bytes | None]
"""Number, rows, evidence."""
Written = tuple[int, int, int, bytes | None, bytes]
"""Low, high, events, evidence, rows."""


def lay_out(connection: sqlite3.Connection, pages: Iterable[Page]) -> None:
    """Make `consent_events` of some pages."""
    connection.execute(TABLE)
    for number, packed, evidence in pages:
        rows = list(ROW.iter_unpack(packed))
        sealed = [None] * len(rows) if evidence is None else read(evidence)
        for place, row in enumerate(rows):
            seq, high, low, identity, begun, recorded, until, *guardian, absent, terms, salt = row
            values = (
                *(number * MOST + place, high, low, identity, seq, terms, begun, recorded),
                *(None if absent & 1 else until,),
                *((None, None) if absent & 2 else guardian),
                *(sealed[place], salt),
            )
            connection.execute(
                "INSERT INTO consent_events (rowid, token_high, token_low, identity, seq, terms, "
                "valid_from, recorded_at, valid_until, guardian_high, guardian_low, evidence, salt)"
                " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
                values,
            )


def find_changed(
    connection: sqlite3.Connection, pages: Iterable[Page]
) -> Iterator[tuple[int, Written]]:
    """Give the pages whose events are others by now, as they are to be written."""
    found = defaultdict(list)
    for rowid, *row in connection.execute("SELECT rowid, * FROM consent_events ORDER BY 2, 3, 4"):
        found[rowid // MOST].append(row)
    for number, before, evidence in pages:
        rows = found[number]
        packed, sealed = b"".join(map(pack, rows)), [row[10] for row in rows]
        old = [None] * len(rows) if evidence is None else read(evidence)
        if (packed, sealed) != (before, old):
            low, high = (rows[0][0], rows[-1][0]) if rows else (0, 0)
            yield number, (low, high, len(rows), write(sealed), packed)


def pack(row: Sequence[object]) -> bytes:
    """Write a row of `consent_events` as it lies in a page."""
    high, low, identity, seq, terms, begun, recorded, until, guardian, guardian_low, _, salt = row
    absent = (until is None) * 1 + (guardian is None) * 2
    numbers = (until or 0, guardian or 0, guardian_low or 0, absent, terms)
    return ROW.pack(seq, high, low, identity, begun, recorded, *numbers, salt)


def read(evidence: bytes) -> list[bytes | None]:
    """Read a page's column of sealed references."""
    column: list[bytes | None] = pa.ipc.open_stream(evidence).read_all().column(0).to_pylist()
    return column


def write(sealed: list[bytes | str | None]) -> bytes | None:
    """Write a page's column of sealed references."""
    if not any(one is not None for one in sealed):
        return None
    plain = [one.encode() if isinstance(one, str) else one for one in sealed]
    table = pa.table({"evidence": pa.array(plain, pa.binary())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())
