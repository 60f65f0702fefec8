"""The journal: one chain over what the other ledgers must not lose, its end signed in the home.

A line names an entry of another ledger by the code that it has there: a run that began, what was
decided of it and handed over, its verdict, a frozen plan, a release, a charge. It is written in
the transaction of what it names, and the end of the chain is then signed outside of the database
(`ledgers.signed_heads`). So an entry that was edited or taken out, and a whole run that is gone,
meet a line that says otherwise. Each ledger holds its entries against their lines as it is read.

What was there before there was a journal got its lines by a migration, which has no keys: they are
without a link of their own, and the first line with one covers them. What does not show: the newest
entries cut off together with their lines and the signed heads that name them, all that this version
wrote cut off so that the home passes for one from before, the whole home put back to an older
state, and what is written by whoever holds the home's keys.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Final, NoReturn

import sqlalchemy as sa

from expectations.errors import Refusal
from ledgers.home.database import stamp, transaction
from ledgers.home.home import find_traces
from ledgers.home.keys import Keys
from ledgers.signed_heads import Head, Heads, SignedHead

HEADS: Final = "evidence-heads"
METADATA = sa.MetaData()
JOURNAL = sa.Table(
    "journal",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("link", sa.String(64), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Line:
    """What is named: of which kind, by what name, of which run, at which place in its ledger."""

    what: str
    name: str
    run_id: str
    place: int
    code: str
    """Of the named entry; empty where a migration wrote the line and could not know it."""

    def names(self, code: str) -> bool:
        """Whether an entry with this code is the one that was named."""
        return not self.code or hmac.compare_digest(self.code, code)


@dataclass(slots=True)
class Pen:
    """Writes lines inside one transaction; `head` is what has to be signed after it."""

    connection: sa.Connection
    keys: Keys
    head: Head | None = None

    def write(self, line: Line) -> None:
        """Write the next line; Refusal where the end of the journal is not the signed one."""
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(sa.text("SELECT pg_advisory_xact_lock(7846106)"))
        end = self._end()
        seq, at = end.seq + 1, stamp()
        link = _link(self.keys.derive("journal"), end.link, (seq, at, *astuple(line)))
        row = dict(zip(JOURNAL.c.keys(), [seq, at, *astuple(line), link], strict=True))
        self.connection.execute(sa.insert(JOURNAL), row)
        self.head = Head(seq, link, at)

    def _end(self) -> Head:
        """Give the end of the chain; the first that is found without a signed head is signed."""
        newest = sa.select(JOURNAL).order_by(JOURNAL.c.seq.desc()).limit(1)
        row = self.connection.execute(newest).first()
        signed = signed_head(self.keys)
        if row is None or not row.link or signed is None:
            end = _read(self.connection, self.keys, signed)[1]
            if signed is None:
                _heads(self.keys).sign(end)
            return end
        if signed.seq > row.seq:
            _refuse_cut(row.seq, signed)
        return Head(row.seq, row.link, row.at)


@contextmanager
def recording(engine: sa.Engine, keys: Keys) -> Iterator[Pen]:
    """Commit all or nothing, as `transaction`, and sign the journal's end if a line was written.

    What ends the process in between leaves lines beyond the last head, which the next one covers.
    """
    with transaction(engine) as connection:
        pen = Pen(connection, keys)
        yield pen
    if pen.head is not None:
        _heads(keys).sign(pen.head)


def signed_head(keys: Keys) -> SignedHead | None:
    """Give the head to be met; read it before a transaction that reads lines begins to see."""
    return _heads(keys).last()


def read_lines(connection: sa.Connection, keys: Keys, signed: SignedHead | None) -> list[Line]:
    """Give all lines; Refusal where the chain is broken, or the signed head is not met."""
    return _read(connection, keys, signed)[0]


def refuse(what: str) -> NoReturn:
    """Refuse to go on with a record that is not as it was written."""
    raise Refusal("evidence ledger", f"{what}; restore the ledger database from a backup")


def _read(
    connection: sa.Connection, keys: Keys, signed: SignedHead | None
) -> tuple[list[Line], Head]:
    """Read and check everything; give the lines and the end of the chain."""
    key, end, chained = keys.derive("journal"), Head(0, "", ""), False
    lines: list[Line] = []
    for seq, at, *named, link in connection.execute(sa.select(JOURNAL).order_by(JOURNAL.c.seq)):
        line, before = Line(*named), end
        end = Head(before.seq + 1, _link(key, before.link, (seq, at, *named)), at)
        chained |= bool(link)
        if seq != end.seq or (chained and not hmac.compare_digest(link, end.link)):
            refuse(f"line {end.seq} of its journal, or one before it, was changed or taken out")
        if signed is not None and seq == signed.seq and end.link != signed.link:
            refuse(f"line {seq} of its journal differs from the one that was signed")
        lines.append(line)
    if signed is not None and signed.seq > end.seq:
        _refuse_cut(end.seq, signed)
    if signed is None and chained:
        refuse(f"{HEADS}.jsonl is missing from the home, so that nobody knows the last entry")
    if signed is None and not lines and (traces := find_traces(keys.home)):
        refuse(f"it is empty, though {' and '.join(traces)} in the home say that there were runs")
    return lines, end


def _refuse_cut(last: int, signed: SignedHead) -> NoReturn:
    refuse(f"lines {last + 1} to {signed.seq} of its journal were signed and are gone")


def _link(key: bytes, before: str, row: tuple[str | int, ...]) -> str:
    return hmac.digest(key, json.dumps([before, *row]).encode(), "sha256").hex()


def _heads(keys: Keys) -> Heads:
    return Heads(keys.home, keys, HEADS)
