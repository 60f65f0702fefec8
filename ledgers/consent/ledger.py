"""The consent ledger: who said what, appended as it is learnt, never changed, and erasable.

A person is two numbers, the halves of a keyed token; what an event says besides is its terms. Of
an event the chain holds a salted commitment, a page payload and salt (see
`ledgers.consent.tables`). `erase` destroys the latter and leaves the former, so that the chain
still holds. What stays then, its place, its commitment and when it was erased, says nothing about
a person without the salt, not even to whoever holds the keys; it shows that the rest is whole,
which a controller needs to demonstrate consent (Art. 7(1) GDPR) and to defend claims (Art.
17(3)(e)). So an append puts its events into a random order: no neighbour tells whose was erased.
It takes at most four million at once, for some hundred bytes each of memory. Copies are not
reached: backups, other disks, and in Postgres dead rows until VACUUM.

The ledger knows nothing of what events mean. The order of its numbers decides nothing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from numpy.typing import NDArray

from expectations.disclosure import roughly
from expectations.errors import Refusal, SourceError
from expectations.policy.consent_terms import Terms, read_terms
from ledgers.acts import Acts
from ledgers.consent.audit import check_import, check_tip, refuse_put_back, verify_ledger
from ledgers.consent.chain import (
    BLOCK,
    DIGEST,
    NO_END,
    NO_GUARDIAN,
    NO_RECORDING,
    SALT_BYTES,
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
    pack_batch,
)
from ledgers.consent.pages import KnownTerms, Page, make_pages
from ledgers.consent.tables import (
    BLOCKS,
    ERASURES,
    IMPORTS,
    TERMS,
    find_commitment,
    find_import,
    find_pages,
    find_repeated,
    insert_page,
    is_person,
    lock,
    next_page,
    number_terms,
    read_terms_digests,
    replace_page,
)
from ledgers.home.database import overwrite_deleted, snapshot, transaction
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.journal import newest_moment
from ledgers.signed_heads import Head, Heads

__all__ = ["Appended", "Batch", "ConsentLedger", "Head", "RecordedEvent"]

PORTION: Final = 1 << 22
"""How many events are sorted together: a person's are in one page of each portion, or two."""
HISTORY_ORDER: Final = ("valid_from", "recorded_at", "seq")


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
            fresh: list[pa.Table] = []
            tell = fresh.append if self._acts.path else _forget
            tip = append_batch(connection, codes, batch, start, now, source, tell)
            new = tip.seq - start.seq
            repeated = batch.table.num_rows - new
            if digest is not None and find_import(connection, digest) is None:
                note_import(connection, codes, (digest, now, source, new, repeated))
            act = self._note_said(batch, fresh, source, tip) if new else 0
        self._heads.sign(_head(tip))
        self._acts.confirm(act)
        return Appended(new, repeated, _head(tip))

    def now(self) -> datetime:
        """Give this moment, or the newest on record where this machine's clock was set back.

        Nothing that was decided or said comes undone by a clock.
        """
        with snapshot(self.engine) as connection:
            said = connection.scalar(sa.select(sa.func.max(BLOCKS.c.recorded_at))) or 0
            noted = newest_moment(connection)
        known = [datetime.fromtimestamp(said / 1e6, UTC)]
        known += [datetime.fromisoformat(noted)] if noted else []
        return max(datetime.now(UTC), *known)

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

        Each is verified as it is read; Refusal names the first event that is off. `upto` leaves
        out those with a higher number; rows come in no particular order.
        """
        tables = [STANDING_EVENTS.empty_table()]

        def keep(rows: NDArray[np.void]) -> None:
            tables.append(_to_arrow(rows if upto is None else rows[rows["seq"] <= upto]))

        self._verify(keep)
        return pa.concat_tables(tables)

    def history(self, token: tuple[int, int]) -> list[RecordedEvent]:
        """Give the events of one person that stand, by the moment they hold from."""
        codes = Codes.derive(self.keys)
        with snapshot(self.engine) as connection:
            texts = {row.id: row.text for row in connection.execute(sa.select(TERMS))}
            found = [
                (page.rows[place], page.sealed_evidence()[place].as_py())
                for page in find_pages(connection, token)
                for place in np.flatnonzero(is_person(page.rows, token)).tolist()
            ]
        found.sort(key=lambda one: tuple(map(one[0].__getitem__, HISTORY_ORDER)))
        return [_recorded(row, texts, codes.open_evidence(sealed)) for row, sealed in found]

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
            act = self._acts.note("erased", json.dumps(token).encode()) if erased else 0
        if erased:
            self._heads.sign(_head(tip), erased)
            self._acts.confirm(act)
        overwrite_deleted(self.engine)
        return len(erased)

    def head(self) -> Head:
        """Give the head; Refusal if the last signed one is not met, so that a cut tail shows."""
        signed, apart = self._heads.last(), self._acts.last_mark("said")
        with snapshot(self.engine) as connection:
            tip = check_tip(connection, Codes.derive(self.keys), signed)
            refuse_put_back(connection, apart)
            return _head(tip)

    def verify(self) -> Head:
        """Check every event, block and head; Refusal names the first event that is off."""
        return self._verify(lambda _: None)

    def _verify(self, keep: Callable[[NDArray[np.void]], None]) -> Head:
        """Verify the ledger and hand over the rows of its events on the way."""
        # Read first, so that the database is at least as new.
        heads = self._heads.read()
        with snapshot(self.engine) as connection:
            return _head(verify_ledger(connection, Codes.derive(self.keys), heads, keep))

    @property
    def _heads(self) -> Heads:
        return Heads(self.engine, self.keys)

    @property
    def _acts(self) -> Acts:
        return Acts(self.keys)

    def _note_said(self, batch: Batch, fresh: list[pa.Table], source: str, tip: Tip) -> int:
        """Note what is new of a batch in the journal of acts, where there is one."""
        if not fresh:
            return 0
        packed = pack_batch(replace(batch, table=pa.concat_tables(fresh)), source)
        return self._acts.note("said", packed, {"seq": tip.seq, "link": tip.link.hex()})

    def _turn(self, connection: sa.Connection, codes: Codes) -> Tip:
        """Wait for the ledger's lock and give its tip; sign the beginning of an empty one."""
        lock(connection)
        signed = self._heads.last()
        tip = check_tip(connection, codes, signed)
        refuse_put_back(connection, self._acts.last_mark("said"))
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


def _to_arrow(rows: NDArray[np.void]) -> pa.Table:
    """Turn rows into columns."""
    columns = {name: rows[name].astype(np.int64) for name in STANDING_EVENTS.names}
    no_end = rows["absent"] & NO_END != 0
    until = pa.array(columns["valid_until"], mask=no_end)
    return pa.table({**columns, "valid_until": until}).cast(STANDING_EVENTS)


def _recorded(row: np.void, texts: dict[int, str], evidence: str | None) -> RecordedEvent:
    """Write one row of a history out."""
    number, absent = int(row["terms"]), int(row["absent"])
    return RecordedEvent(
        int(row["seq"]),
        _read_terms(number, texts.get(number, "")),
        int(row["valid_from"]),
        int(row["recorded_at"]),
        None if absent & NO_END else int(row["valid_until"]),
        not absent & NO_GUARDIAN,
        evidence,
    )


def _head(tip: Tip) -> Head:
    at = from_micros(tip.recorded_at)
    return Head(tip.seq, tip.link.hex(), at.isoformat(timespec="microseconds"))


def _forget(_: pa.Table) -> None:
    """Keep nothing of what was appended: no journal of acts is named."""


def _now() -> int:
    return time.time_ns() // 1000


def append_batch(  # noqa: PLR0913, PLR0917 - where, what, after what, when, and from where
    connection: sa.Connection,
    codes: Codes,
    batch: Batch,
    tip: Tip,
    now: int,
    source: str,
    tell: Callable[[pa.Table], None],
) -> Tip:
    """Add what is new in a batch behind `tip`, tell of it, and give the new tip.

    Raises SourceError for events that state a recording later than `now`.
    """
    table = batch.table.select(BATCH.names).cast(BATCH)
    _refuse_later(table, now, source)
    texts = [terms.to_json() for terms in batch.terms]
    numbers, digests = number_terms(connection, texts), digest_texts(texts)
    for start in range(0, table.num_rows, PORTION):
        portion = table.slice(start, PORTION)
        pieces = (make_records(piece, digests) for piece in _pieces(portion))
        identities = np.concatenate([codes.identify(piece) for piece in pieces])
        new = _find_new(connection, portion.column("token_high").to_numpy(), identities, tip)
        events = NewEvents(portion.combine_chunks().take(new), identities[new], numbers, digests)
        tell(events.table)
        tip = _chain(connection, codes, events, tip, now, source)
    return tip


@dataclass(frozen=True, slots=True)
class NewEvents:
    """Events that the ledger does not hold, in the order of tokens, each with its identity.

    Column `terms` of `table` is a place in `numbers`, the ledger's, and in `digests`.
    """

    table: pa.Table
    identities: NDArray[np.int64]
    numbers: NDArray[np.int64]
    digests: NDArray[np.void]

    def cut(self) -> Iterator[tuple[slice, pa.Table]]:
        """Give some at a time, as many as a block has, with their place."""
        place = 0
        for piece in _pieces(self.table):
            yield slice(place, place := place + piece.num_rows), piece


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
    terms, erased = read_terms_digests(connection), []
    for page in find_pages(connection, token):
        gone = is_person(page.rows, token)
        for seq in (numbers := page.rows["seq"][gone].tolist()):
            code = codes.attest("erasure", seq, now, find_commitment(connection, seq))
            connection.execute(sa.insert(ERASURES), {"seq": seq, "at": now, "code": code})
        if numbers:
            replace_page(connection, _without(page, gone, codes, terms))
            erased += numbers
    return sorted(erased)


def _without(page: Page, gone: NDArray[np.bool_], codes: Codes, terms: KnownTerms) -> Page:
    """Give a page without some of its rows, sealed again if it was as it had been sealed."""
    commitments = codes.commit(page.rebuild(codes, terms))
    kept = page.without(gone)
    if page.code is None or page.seal(codes, commitments, terms) != page.code:
        return kept
    return replace(kept, code=kept.seal(codes, commitments[~gone], terms))


def _refuse_later(table: pa.Table, now: int, source: str) -> None:
    later: int = pc.sum(pc.greater(table.column("recorded_at"), now)).as_py() or 0
    if later:
        raise SourceError(
            f"{source}: {roughly(later)} events state that they were recorded later than now: "
            "correct the source, its time zone, or this machine's clock"
        )


def _pieces(table: pa.Table) -> Iterator[pa.Table]:
    """Cut a table: a block's records fit into memory that is used again for the next."""
    for start in range(0, table.num_rows, BLOCK):
        yield table.slice(start, BLOCK)


def _find_new(
    connection: sa.Connection, tokens: NDArray[np.int64], identities: NDArray[np.int64], tip: Tip
) -> NDArray[np.int64]:
    """Give the places of events, in the order of tokens, that are new; one of each."""
    # An identity is taken of the whole token, so half of it is enough to sort by.
    order = np.lexsort((identities, tokens))
    first = np.ones(len(order), np.bool_)
    keys = (tokens[order], identities[order])
    first[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    order = order[first]
    if tip.seq:
        order = order[~find_repeated(connection, tokens[order], identities[order])]
    return order


def _chain(  # noqa: PLR0913, PLR0917 - as above
    connection: sa.Connection, codes: Codes, events: NewEvents, tip: Tip, now: int, source: str
) -> Tip:
    """Give the events numbers in a random order, and salts; write pages and blocks."""
    count, known = len(events.identities), read_terms_digests(connection)
    places = np.argsort(np.frombuffer(os.urandom(8 * count), np.uint64))
    commitments = np.empty(count, DIGEST)
    for where, piece in events.cut():
        records = make_records(piece, events.digests)
        records["seq"], records["identity"] = tip.seq + 1 + places[where], events.identities[where]
        _state_recording(records, now)
        salts = os.urandom(SALT_BYTES * len(records))
        records["salt"] = np.frombuffer(salts, f"V{SALT_BYTES}")
        committed = commitments[places[where]] = codes.commit(records)
        terms = events.numbers[piece.column("terms").to_numpy()]
        evidence = codes.seal_evidence(piece.column("evidence"))
        for page, those in make_pages(records, terms, evidence, next_page(connection)):
            code = page.seal(codes, committed[those], known)
            insert_page(connection, replace(page, code=code))
    for block in _blocks(commitments):
        first, last = tip.seq + 1, tip.seq + len(block) // DIGEST.itemsize
        link = codes.link(tip.link, first, last, now, source, block)
        values = {"first_seq": first, "last_seq": last, "recorded_at": now, "source": source}
        connection.execute(sa.insert(BLOCKS), {**values, "link": link, "commitments": block})
        tip = Tip(last, link, now)
    return tip


def _state_recording(records: NDArray[np.void], now: int) -> None:
    """Let the ledger's clock say when an event was recorded that does not."""
    unstated = records["absent"] & NO_RECORDING != 0
    if unstated.any():
        records["recorded_at"][unstated] = now
        records["absent"] &= ~NO_RECORDING


def _blocks(commitments: np.ndarray) -> Iterator[bytes]:
    for start in range(0, len(commitments), BLOCK):
        yield commitments[start : start + BLOCK].tobytes()
