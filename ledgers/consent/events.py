"""Consent events on their way into the ledger and out of it.

Moments are microseconds since 1970 UTC. A person is two numbers, the halves of a keyed token.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa

from expectations.policy.consent_terms import Terms, read_terms
from ledgers.signed_heads import Head

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
BATCH: Final = pa.schema(
    [
        pa.field("token_high", pa.int64(), nullable=False),
        pa.field("token_low", pa.int64(), nullable=False),
        pa.field("terms", pa.int32(), nullable=False),
        pa.field("valid_from", pa.int64(), nullable=False),
        pa.field("recorded_at", pa.int64()),
        pa.field("valid_until", pa.int64()),
        pa.field("guardian_high", pa.int64()),
        pa.field("guardian_low", pa.int64()),
        pa.field("evidence", pa.string()),
    ]
)
"""The columns of a batch; without `recorded_at` the ledger's clock says when."""

STANDING_EVENTS: Final = pa.schema(
    [
        ("token_high", pa.int64()),
        ("token_low", pa.int64()),
        ("terms", pa.int32()),
        ("valid_from", pa.int64()),
        ("recorded_at", pa.int64()),
        ("valid_until", pa.int64()),
    ]
)
"""The columns of a scan; `terms` is the ledger's number of them."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events to append, as `BATCH` lays them out; `terms` there is a place in `terms` here."""

    table: pa.Table
    terms: tuple[Terms, ...]


def pack_batch(batch: Batch, source: str) -> bytes:
    """Write a batch, with where it is from."""
    texts = json.dumps([source, [terms.to_json() for terms in batch.terms]])
    table = batch.table.replace_schema_metadata({"terms": texts})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return zlib.compress(sink.getvalue().to_pybytes(), 1)


def unpack_batch(packed: bytes) -> tuple[Batch, str]:
    """Read what `pack_batch` wrote."""
    table = pa.ipc.open_stream(zlib.decompress(packed)).read_all()
    source, texts = json.loads(table.schema.metadata[b"terms"])
    return Batch(table.cast(BATCH), tuple(map(read_terms, texts))), source


@dataclass(frozen=True, slots=True)
class Appended:
    """How many events were new and how many stood there already, and the head after that."""

    new: int
    repeated: int
    head: Head


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One event of one person, as it stands in the ledger."""

    seq: int
    terms: Terms
    valid_from: int
    recorded_at: int
    valid_until: int | None
    has_guardian: bool
    evidence: str | None


def to_micros(moment: datetime) -> int:
    """Give a moment, which must have a zone, in microseconds since 1970 UTC."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    """Give the moment, in UTC, so many microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)
