"""The tables of the consent ledger, and how rows go in and come out.

`consent_terms` holds each terms' text once; `consent_blocks` the chain: a commitment for each
event, whatever became of it; `consent_events` what can be destroyed: payload and salt;
`consent_erasures` which were; `consent_imports` what was taken in whole. Moments are microseconds
since 1970 UTC. Every function works inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from ledgers.consent.chain import (
    DIGEST_BYTES,
    NO_END,
    NO_GUARDIAN,
    RECORD,
    Tip,
)

METADATA = sa.MetaData()
TERMS = sa.Table(
    "consent_terms",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False, unique=True),
)
BLOCKS = sa.Table(
    "consent_blocks",
    METADATA,
    sa.Column("first_seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("link", sa.LargeBinary, nullable=False),
    sa.Column("commitments", sa.LargeBinary, nullable=False),
)
EVENTS = sa.Table(
    "consent_events",
    METADATA,
    sa.Column("token_high", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("token_low", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("identity", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("terms", sa.Integer, nullable=False),
    sa.Column("valid_from", sa.BigInteger, nullable=False),
    sa.Column("recorded_at", sa.BigInteger, nullable=False),
    sa.Column("valid_until", sa.BigInteger),
    sa.Column("guardian_high", sa.BigInteger),
    sa.Column("guardian_low", sa.BigInteger),
    sa.Column("evidence", sa.LargeBinary),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
ERASURES = sa.Table(
    "consent_erasures",
    METADATA,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("code", sa.LargeBinary, nullable=False),
)
IMPORTS = sa.Table(
    "consent_imports",
    METADATA,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("new", sa.BigInteger, nullable=False),
    sa.Column("repeated", sa.BigInteger, nullable=False),
    sa.Column("code", sa.LargeBinary, nullable=False),
)

PIECE: Final = 8_192
"""How many rows are turned into Python objects at once."""
KEY: Final = ("token_high", "token_low", "identity")
NUMBERS: Final[Mapping[str, str]] = {
    "seq": "seq",
    "token_high": "token_high",
    "token_low": "token_low",
    "identity": "identity",
    "valid_from": "valid_from",
    "recorded_at": "recorded_at",
    "valid_until": "COALESCE(valid_until, 0)",
    "guardian_high": "COALESCE(guardian_high, 0)",
    "guardian_low": "COALESCE(guardian_low, 0)",
    "absent": f"CASE WHEN valid_until IS NULL THEN {NO_END} ELSE 0 END"
    f" + CASE WHEN guardian_high IS NULL THEN {NO_GUARDIAN} ELSE 0 END",
    "terms": "terms",
}
"""The numbers of a row of `consent_events`, in SQL, as they stand in its record."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Events on their way in: records, and beside them what the record holds as a digest only."""

    records: NDArray[np.void]
    terms: NDArray[np.int32]
    evidence: pa.ChunkedArray

    def take(self, places: NDArray[np.int64]) -> Rows:
        """Give some of the events, in the order of `places`."""
        evidence = self.evidence
        # Taking from a column of nulls only would cost as much as from one of texts.
        if evidence.null_count == len(evidence):
            evidence = evidence.slice(0, len(places))
        else:
            evidence = evidence.take(pa.array(places))
        # As words, since numpy copies a record's fields one by one.
        words = self.records.view(np.int64).reshape(len(self.records), -1)
        records = words.take(places, axis=0).view(RECORD).reshape(-1)
        return Rows(records, self.terms[places], evidence)


def lock(connection: sa.Connection) -> None:
    """Wait for one's turn to write; SQLite took its lock when the transaction began."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7846102)"))


def find_tip(connection: sa.Connection) -> Tip | None:
    """Give the end of the chain as it stands, unchecked; None if it has no block."""
    query = sa.select(BLOCKS.c.last_seq, BLOCKS.c.link, BLOCKS.c.recorded_at)
    last = connection.execute(query.order_by(BLOCKS.c.first_seq.desc()).limit(1)).first()
    return None if last is None else Tip(last.last_seq, bytes(last.link), last.recorded_at)


def find_link(connection: sa.Connection, seq: int) -> bytes | None:
    """Give the link of the block that ends with `seq`; None if none does."""
    query = sa.select(BLOCKS.c.link, BLOCKS.c.last_seq).where(BLOCKS.c.first_seq <= seq)
    found = connection.execute(query.order_by(BLOCKS.c.first_seq.desc()).limit(1)).first()
    return bytes(found.link) if found and found.last_seq == seq else None


def find_commitment(connection: sa.Connection, seq: int) -> bytes:
    """Give the commitment of one event; empty if no block holds it."""
    offset = (seq - BLOCKS.c.first_seq) * DIGEST_BYTES + 1
    query = sa.select(sa.func.substr(BLOCKS.c.commitments, sa.cast(offset, sa.Integer), 32))
    query = query.where(BLOCKS.c.first_seq <= seq).order_by(BLOCKS.c.first_seq.desc()).limit(1)
    return bytes(connection.scalar(query) or b"")


def find_import(connection: sa.Connection, digest: str) -> sa.Row[tuple[object, ...]] | None:
    """Give the note that a source of that content was taken in, if there is one."""
    return connection.execute(sa.select(IMPORTS).where(IMPORTS.c.digest == digest)).first()


def is_person(token: tuple[int, int]) -> sa.ColumnElement[bool]:
    """Give the condition that an event is of one person."""
    return sa.and_(EVENTS.c.token_high == token[0], EVENTS.c.token_low == token[1])


def number_terms(connection: sa.Connection, texts: Sequence[str]) -> NDArray[np.int32]:
    """Give the number of each of the terms, new ones added."""
    known = {row.text: row.id for row in connection.execute(sa.select(TERMS))}
    new = [text for text in dict.fromkeys(texts) if text not in known]
    first = max(known.values(), default=0) + 1
    known |= {text: number for number, text in enumerate(new, start=first)}
    if new:
        connection.execute(sa.insert(TERMS), [{"id": known[text], "text": text} for text in new])
    return np.array([known[text] for text in texts], np.int32)


def find_repeated(connection: sa.Connection, records: NDArray[np.void]) -> NDArray[np.bool_]:
    """Say of each event, in order of its token, whether it stands in the ledger already."""
    repeated = np.zeros(len(records), np.bool_)
    # An identity is taken of the whole token, so half of it finds the rows.
    names = ("token_high", "identity")
    columns = [records[name].tolist() for name in names]
    connection.exec_driver_sql(
        "CREATE TEMPORARY TABLE consent_stated "
        "(place INTEGER PRIMARY KEY, token_high BIGINT, identity BIGINT)"
    )
    stated = zip(range(len(records)), *columns, strict=True)
    _insert_many(connection, "consent_stated", ("place", *names), stated)
    same = " AND ".join(f"e.{name} = s.{name}" for name in names)
    found = connection.exec_driver_sql(
        "SELECT s.place FROM consent_stated s "  # noqa: S608 - constants
        f"WHERE EXISTS (SELECT 1 FROM consent_events e WHERE {same})"
    )
    repeated[[row[0] for row in found]] = True
    connection.exec_driver_sql("DROP TABLE consent_stated")
    return repeated


def insert_events(connection: sa.Connection, rows: Rows) -> None:
    """Insert events that are not there yet, which is fastest in the order of their tokens."""
    for start in range(0, len(rows.records), PIECE):
        piece = slice(start, start + PIECE)
        records, absent = rows.records[piece], rows.records["absent"][piece]
        _insert_many(
            connection,
            "consent_events",
            EVENTS.columns.keys(),
            zip(
                *(records[name].tolist() for name in (*KEY, "seq")),
                rows.terms[piece].tolist(),
                *(records[name].tolist() for name in ("valid_from", "recorded_at")),
                _or_none(records["valid_until"], absent & NO_END),
                _or_none(records["guardian_high"], absent & NO_GUARDIAN),
                _or_none(records["guardian_low"], absent & NO_GUARDIAN),
                rows.evidence.slice(start, PIECE).to_pylist(),
                records["salt"].tolist(),
                strict=True,
            ),
        )


def _insert_many(
    connection: sa.Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[tuple[object, ...]],
) -> None:
    """Insert plain tuples; a mapping per row would cost more than the insertion itself."""
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    with closing(connection.connection.cursor()) as cursor:
        if connection.dialect.name == "sqlite":
            # One row after the other, so that they stay in the processor's cache; FAIL, since the
            # transaction is undone anyway, and SQLite then need not copy every page before.
            statement = f"INSERT OR FAIL INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - constants
            cursor.executemany(statement, rows)  # type: ignore[arg-type]  # any iterable will do
        else:
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)


def _or_none(values: NDArray[np.int64], absent: NDArray[np.int64]) -> list[int | None]:
    plain: list[int | None] = values.tolist()
    if absent.any():
        return [None if gone else value for value, gone in zip(plain, absent.tolist(), strict=True)]
    return plain
