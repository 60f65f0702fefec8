"""How the consent ledger is written: events come in, each once, or payloads are destroyed.

It works inside the caller's transaction, which holds the ledger's lock. New events are numbered
at random, chained and inserted, at most a million at once, for some hundred bytes each of memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from expectations.disclosure import roughly
from expectations.errors import SourceError
from ledgers.consent.chain import (
    BLOCK,
    DIGEST,
    NO_RECORDING,
    Codes,
    Tip,
    digest_texts,
    make_records,
)
from ledgers.consent.events import BATCH, Batch
from ledgers.consent.packed_rows import SALT_BYTES
from ledgers.consent.tables import (
    BLOCKS,
    ERASURES,
    EVENTS,
    IMPORTS,
    KEY,
    Rows,
    find_commitment,
    find_repeated,
    insert_events,
    is_person,
    number_terms,
)

PORTION: Final = 1 << 20
"""How many events are sorted together; the tables grow fastest in the order of tokens."""


def append_batch(  # noqa: PLR0913, PLR0917 - where, what, after what, when, and from where
    connection: sa.Connection, codes: Codes, batch: Batch, tip: Tip, now: int, source: str
) -> Tip:
    """Add what is new in a batch behind `tip` and give the new tip.

    Raises SourceError for events that state a recording later than `now`.
    """
    table = batch.table.select(BATCH.names).cast(BATCH)
    _refuse_later(table, now, source)
    texts = [terms.to_json() for terms in batch.terms]
    numbers, digests = number_terms(connection, texts), digest_texts(texts)
    for start in range(0, table.num_rows, PORTION):
        portion = table.slice(start, PORTION)
        records = make_records(portion, digests)
        terms = numbers[portion.column("terms").to_numpy()]
        rows = _keep_one_of_each(Rows(records, terms, portion.column("evidence")), codes, now)
        if tip.seq and (repeated := find_repeated(connection, rows.records)).any():
            rows = rows.take(np.flatnonzero(~repeated))
        tip = _chain(connection, codes, rows, tip, now, source)
    return tip


def note_import(
    connection: sa.Connection, codes: Codes, note: tuple[str, int, str, int, int]
) -> None:
    """Note that a source was taken in: digest, moment, source, how many were new and repeated."""
    values = (*note, codes.attest("import", *note))
    connection.execute(sa.insert(IMPORTS), dict(zip(IMPORTS.columns.keys(), values, strict=True)))


def erase_events(
    connection: sa.Connection, codes: Codes, token: tuple[int, int], now: int
) -> list[int]:
    """Destroy payload and salt of one person's events; note and give their numbers."""
    query = sa.select(EVENTS.c.seq).where(is_person(token)).order_by(EVENTS.c.seq)
    erased = list(connection.scalars(query))
    for seq in erased:
        code = codes.attest("erasure", seq, now, find_commitment(connection, seq))
        connection.execute(sa.insert(ERASURES), {"seq": seq, "at": now, "code": code})
    connection.execute(sa.delete(EVENTS).where(is_person(token)))
    return erased


def _refuse_later(table: pa.Table, now: int, source: str) -> None:
    later: int = pc.sum(pc.greater(table.column("recorded_at"), now)).as_py() or 0
    if later:
        raise SourceError(
            f"{source}: {roughly(later)} events state that they were recorded later than now: "
            "correct the source, its time zone, or this machine's clock"
        )


def _keep_one_of_each(rows: Rows, codes: Codes, now: int) -> Rows:
    """Put events into the order of tokens, without repetitions, and fill in the clock."""
    records = rows.records
    records["identity"] = codes.identify(records)
    unstated = records["absent"] & NO_RECORDING != 0
    records["recorded_at"][unstated] = now
    records["absent"] &= ~NO_RECORDING
    keys = [records[name].astype(np.int64) for name in KEY]
    order = np.lexsort(keys[::-1])
    first = np.ones(len(order), np.bool_)
    first[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    return rows.take(order[first])


def _chain(  # noqa: PLR0913, PLR0917 - as above
    connection: sa.Connection, codes: Codes, rows: Rows, tip: Tip, now: int, source: str
) -> Tip:
    """Give the events numbers in a random order, and salts; write blocks and events."""
    records, count = rows.records, len(rows.records)
    places = np.argsort(np.frombuffer(os.urandom(8 * count), np.uint64))
    records["seq"] = tip.seq + 1 + places
    records["salt"] = np.frombuffer(os.urandom(SALT_BYTES * count), f"V{SALT_BYTES}")
    commitments = np.empty(count, DIGEST)
    commitments[places] = codes.commit(records)
    for block in _blocks(commitments):
        first, last = tip.seq + 1, tip.seq + len(block) // DIGEST.itemsize
        link = codes.link(tip.link, first, last, now, source, block)
        values = {"first_seq": first, "last_seq": last, "recorded_at": now, "source": source}
        connection.execute(sa.insert(BLOCKS), {**values, "link": link, "commitments": block})
        tip = Tip(last, link, now)
    insert_events(connection, replace(rows, evidence=codes.seal_evidence(rows.evidence)))
    return tip


def _blocks(commitments: np.ndarray) -> Iterator[bytes]:
    for start in range(0, len(commitments), BLOCK):
        yield commitments[start : start + BLOCK].tobytes()
