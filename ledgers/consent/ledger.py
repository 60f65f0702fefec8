"""The consent ledger: who said what, appended as it is learnt, never changed, and erasable.

A person is two numbers, the halves of a keyed token; what an event says besides is its terms. Of
an event the chain holds a salted commitment, the events' table payload and salt (see
`ledgers.consent.tables`). `erase` destroys the latter and leaves the former, so that the chain
still holds. What stays then, its place, its commitment and when it was erased, says nothing about
a person without the salt, not even to whoever holds the keys; it shows that the rest is whole,
which a controller needs to demonstrate consent (Art. 7(1) GDPR) and to defend claims (Art.
17(3)(e)). So an append puts its events into a random order: no neighbour tells whose was erased.
It takes at most a million at once, for some hundred bytes each of memory. Copies are not reached:
backups, other disks, and in Postgres dead rows until VACUUM.

The ledger knows nothing of what events mean. The order of its numbers decides nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from numpy.typing import NDArray

from expectations.disclosure import roughly
from expectations.errors import Refusal, SourceError
from expectations.policy.consent_terms import Terms, read_terms
from ledgers.consent.audit import check_import, check_tip, verify_ledger
from ledgers.consent.chain import (
    BLOCK,
    DIGEST,
    NO_RECORDING,
    Codes,
    Tip,
    digest_texts,
    make_records,
)
from ledgers.consent.events import (
    BATCH,
    STANDING_EVENTS,
    Appended,
    Batch,
    RecordedEvent,
    from_micros,
)
from ledgers.consent.packed_rows import SALT_BYTES, read_packed
from ledgers.consent.tables import (
    BLOCKS,
    ERASURES,
    EVENTS,
    IMPORTS,
    KEY,
    TERMS,
    Rows,
    find_commitment,
    find_import,
    find_repeated,
    find_tip,
    insert_events,
    is_person,
    lock,
    number_terms,
)
from ledgers.home.database import overwrite_deleted, snapshot, transaction
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.signed_heads import Head, Heads

__all__ = ["Appended", "Batch", "ConsentLedger", "Head", "RecordedEvent"]

PORTION: Final = 1 << 20
"""How many events are sorted together; the tables grow fastest in the order of tokens."""

NEVER: Final = 2**63 - 1
SCANNED: Final = {
    **{name: name for name in ("token_high", "token_low", "terms", "valid_from", "recorded_at")},
    "valid_until": f"COALESCE(valid_until, {NEVER})",
}


@dataclass(frozen=True, slots=True)
class ConsentLedger:
    """The consent ledger in an opened database, with its signed heads in the home.

    `append` and `erase` are one transaction each, one writer's turn; `scan` and `verify` keep
    nobody waiting. Each raises ServiceError if the database or the disk fails.
    """

    engine: sa.Engine
    home: Home
    keys: Keys

    def append(self, batch: Batch, source: str, digest: str | None = None) -> Appended:
        """Add the events of a batch, all or none; one that was stated before adds nothing.

        Equal are events of the same content, stated moment of recording or its absence included;
        where it is absent the ledger's clock stands in, which never runs backwards. `source` names
        where they are from, and no person; `digest` that of all its content, for `imported`.
        Raises SourceError if an event states a recording later than now, Refusal if the ledger
        does not meet its last signed head.
        """
        codes = Codes.derive(self.keys)
        with transaction(self.engine) as connection:
            start = self._turn(connection, codes)
            now = max(_now(), start.recorded_at)
            tip = append_batch(connection, codes, batch, start, now, source)
            new = tip.seq - start.seq
            repeated = batch.table.num_rows - new
            if digest is not None and find_import(connection, digest) is None:
                note_import(connection, codes, (digest, now, source, new, repeated))
        self._heads.sign(_head(tip))
        return Appended(new, repeated, _head(tip))

    def imported(self, digest: str) -> bool:
        """Tell whether a source of that content was taken in; Refusal if somebody forged that."""
        with snapshot(self.engine) as connection:
            row = find_import(connection, digest)
        if row is not None:
            check_import(Codes.derive(self.keys), row)
        return row is not None

    def terms(self) -> dict[int, Terms]:
        """Give all terms by their number, which events name; Refusal if one was changed."""
        with snapshot(self.engine) as connection:
            rows = connection.execute(sa.select(TERMS).order_by(TERMS.c.id)).all()
        return {row.id: _read_terms(row.id, row.text) for row in rows}

    def scan(self, *, upto: int | None = None) -> pa.Table:
        """Give every event that stands, all as of one moment, as `STANDING_EVENTS` lays it out.

        `upto` leaves out those with a higher number; rows come in no particular order.
        """
        with snapshot(self.engine) as connection:
            last = (find_tip(connection) or Codes.derive(self.keys).start()).seq
            pieces = read_packed(
                connection,
                "consent_events",
                SCANNED,
                where="seq <= :upto",
                rows=last,
                parameters={"upto": last if upto is None else upto},
            )
            tables = [_to_arrow(piece) for piece in pieces]
        return pa.concat_tables([STANDING_EVENTS.empty_table(), *tables])

    def history(self, token: tuple[int, int]) -> list[RecordedEvent]:
        """Give the events of one person that stand, by the moment they hold from."""
        query = (
            sa.select(EVENTS, TERMS.c.text)
            .join(TERMS, TERMS.c.id == EVENTS.c.terms)
            .where(is_person(token))
            .order_by(EVENTS.c.valid_from, EVENTS.c.recorded_at, EVENTS.c.seq)
        )
        codes = Codes.derive(self.keys)
        with snapshot(self.engine) as connection:
            rows = connection.execute(query).all()
        return [
            RecordedEvent(
                row.seq,
                _read_terms(row.terms, row.text),
                row.valid_from,
                row.recorded_at,
                row.valid_until,
                row.guardian_high is not None,
                codes.open_evidence(row.evidence),
            )
            for row in rows
        ]

    def erase(self, token: tuple[int, int]) -> int:
        """Destroy payload and salt of all events of one person; give how many there were.

        Their places in the chain stay, with a note (see the module). The same events, imported
        again, are recorded anew. Raises ServiceError where SQLite's log still holds what was
        erased, since another program reads it: erase again then.
        """
        codes = Codes.derive(self.keys)
        with transaction(self.engine) as connection:
            tip = self._turn(connection, codes)
            erased = erase_events(connection, codes, token, max(_now(), tip.recorded_at))
        if erased:
            self._heads.sign(_head(tip), erased)
        overwrite_deleted(self.engine)
        return len(erased)

    def head(self) -> Head:
        """Give the head; Refusal if the last signed one is not met, so that a cut tail shows."""
        signed = self._heads.last()
        with snapshot(self.engine) as connection:
            return _head(check_tip(connection, Codes.derive(self.keys), signed))

    def verify(self) -> Head:
        """Recompute every event, block and head; Refusal names the first event that is off."""
        # Read first, so that the database is at least as new.
        heads = self._heads.read()
        with snapshot(self.engine) as connection:
            return _head(verify_ledger(connection, Codes.derive(self.keys), heads))

    @property
    def _heads(self) -> Heads:
        return Heads(self.home, self.keys)

    def _turn(self, connection: sa.Connection, codes: Codes) -> Tip:
        """Wait for the ledger's lock and give its tip; sign the beginning of an empty one."""
        lock(connection)
        signed = self._heads.last()
        tip = check_tip(connection, codes, signed)
        if signed is None:
            self._heads.sign(_head(tip))
        return tip


def _read_terms(number: int, text: str) -> Terms:
    try:
        return read_terms(text)
    except ValueError:
        raise Refusal(
            "consent ledger",
            f"the terms of number {number} cannot be read: compare the ledger with a backup",
        ) from None


def _to_arrow(piece: NDArray[np.void]) -> pa.Table:
    """Turn packed rows into columns, and the sentinel of no end into null."""
    columns = {name: piece[name].astype(np.int64) for name in SCANNED}
    until = columns.pop("valid_until")
    return pa.table({**columns, "valid_until": pa.array(until, mask=until == NEVER)}).cast(
        STANDING_EVENTS
    )


def _head(tip: Tip) -> Head:
    at = from_micros(tip.recorded_at)
    return Head(tip.seq, tip.link.hex(), at.isoformat(timespec="microseconds"))


def _now() -> int:
    return time.time_ns() // 1000


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
