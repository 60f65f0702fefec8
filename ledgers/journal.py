"""The journal: one chain over what the other ledgers must not lose, its end signed in the home.

A line names an entry of another ledger by the code that it has there: a run that began, what was
decided of it and handed over, its verdict, a frozen plan, a release, a charge. It is written in
the transaction of what it names, and the end of the chain is then signed outside of the database
(`ledgers.signed_heads`). So an entry that was edited or taken out, and a whole run that is gone,
meet a line that says otherwise. Each ledger holds its entries against their lines as it is read.
What is written here is read back before it is committed, so that a trigger which rewrites or drops
it is met at once.

What was there before there was a journal got its lines by a migration, which has no keys: they are
without a link of their own, and the first line with one covers them. Until then each run that left
something in the home has to be among them, as one that was decided. What does not show: the newest
entries cut off together with their lines and the signed heads that name them, all that this version
wrote cut off so that the home passes for one from before, the whole home put back to an older
state, and what is written by whoever holds the home's keys.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from typing import Final, Literal, NoReturn, TypeAlias, get_args

import sqlalchemy as sa

from expectations.errors import Refusal, ServiceError
from ledgers.home.database import stamp, transaction
from ledgers.home.home import Home, find_traces
from ledgers.home.keys import Keys
from ledgers.signed_heads import FIRST, Head, Heads, SignedHead

What: TypeAlias = Literal[
    "begun", "decision", "intent", "release", "verdict", "plan", "released", "charge", "key",
    "people", "forgotten", "retention", "machine", "signer",
]  # fmt: skip
"""The kinds of entries that are named; no line is of another. `people` were in a release, and are
`forgotten` when what is remembered of them is removed; `retention` is what was removed or held. A
`machine` was invited, or joined; a `signer` is a person's key that was enrolled or ended."""
RETENTION: Final = "retention"
EVIDENCE_REMOVED: Final = "evidence"
"""The name of the line of a run whose evidence was removed, since its days were over."""
DECIDED: Final = ("decision", "verdict")
"""What a run that left a page or a table has a line of."""

HEADS: Final = FIRST
RUN_ID: Final = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")
KINDS: Final = frozenset(get_args(What))
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

    what: What
    name: str
    run_id: str
    place: int
    code: str
    """Of the named entry; empty where a migration wrote the line and could not know it."""

    @property
    def ends_evidence(self) -> bool:
        """Whether the evidence of its run was removed, as its policy says."""
        return (self.what, self.name) == (RETENTION, EVIDENCE_REMOVED)

    def names(self, code: str) -> bool:
        """Whether an entry with this code is the one that was named."""
        return not self.code or hmac.compare_digest(self.code, code)


@dataclass(slots=True)
class Pen:
    """Writes lines inside one transaction; `head` is what has to be signed after it."""

    connection: sa.Connection
    keys: Keys
    head: Head | None = None
    written: list[tuple[sa.Table, Mapping[str, object]]] = field(default_factory=list)

    def insert(self, table: sa.Table, row: Mapping[str, object]) -> None:
        """Insert a whole row of any ledger, to be read back before it is committed."""
        self.connection.execute(sa.insert(table), row)
        self.written.append((table, row))

    def check(self) -> None:
        """Read back what was inserted; ServiceError where it does not stand there as written."""
        for table, row in self.written:
            place = [column == row[column.name] for column in table.primary_key]
            found = self.connection.execute(sa.select(table).where(*place)).mappings().first()
            if found is None or dict(found) != row:
                raise ServiceError(
                    f"the ledger database changed a row of {table.name} as it was written, so "
                    "nothing was: take out the trigger or rule that did, then run again"
                )

    def write(self, line: Line) -> None:
        """Write the next line; Refusal where the end of the journal is not the signed one."""
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(sa.text("SELECT pg_advisory_xact_lock(7846106)"))
        end = self._end()
        seq, at = end.seq + 1, max(stamp(), end.at)
        link = _link(self.keys.derive("journal"), end.link, (seq, at, *astuple(line)))
        row = dict(zip(JOURNAL.c.keys(), [seq, at, *astuple(line), link], strict=True))
        self.insert(JOURNAL, row)
        self.head = Head(seq, link, at)

    def _end(self) -> Head:
        """Give the end of the chain; the first that is found without a signed head is signed."""
        newest = sa.select(JOURNAL).order_by(JOURNAL.c.seq.desc()).limit(1)
        row = self.connection.execute(newest).first()
        signed = signed_head(self.connection.engine, self.keys)
        if row is None or not row.link or signed is None:
            end = _read(self.connection, self.keys, signed)[1]
            if signed is None:
                _heads(self.connection.engine, self.keys).sign(end)
            return end
        if signed.seq > row.seq:
            _refuse_cut(row.seq, signed)
        return Head(row.seq, row.link, row.at)


def newest_moment(connection: sa.Connection) -> str:
    """Give when the newest line was written; empty where none was. It proves nothing."""
    query = sa.select(JOURNAL.c.at).order_by(JOURNAL.c.seq.desc()).limit(1)
    return connection.scalar(query) or ""


@contextmanager
def recording(engine: sa.Engine, keys: Keys) -> Iterator[Pen]:
    """Commit all or nothing, as `transaction`, and sign the journal's end if a line was written.

    What ends the process in between leaves lines beyond the last head, which the next one covers.
    """
    with transaction(engine) as connection:
        pen = Pen(connection, keys)
        yield pen
        pen.check()
    if pen.head is not None:
        _heads(engine, keys).sign(pen.head)


def signed_head(engine: sa.Engine, keys: Keys) -> SignedHead | None:
    """Give the head to be met; read it before a transaction that reads lines begins to see."""
    return _heads(engine, keys).last()


def read_lines(
    connection: sa.Connection, keys: Keys, signed: SignedHead | None, since: str | None = None
) -> list[Line]:
    """Give all lines; Refusal where the chain is broken, or the signed head is not met.

    For the lines of one run, read `since` its id: from its first line on, which is no less sure.
    """
    return _read(connection, keys, signed, since)[0]


def refuse(what: str) -> NoReturn:
    """Refuse to go on with a record that is not as it was written."""
    raise Refusal("evidence ledger", f"{what}; restore the ledger database from a backup")


def _read(
    connection: sa.Connection, keys: Keys, signed: SignedHead | None, since: str | None = None
) -> tuple[list[Line], Head]:
    """Read and check everything, or what follows a run's beginning; give lines and the end."""
    key, end = keys.derive("journal"), _find_start(connection, signed, since)
    lines, chained = [], bool(end.link)
    query = sa.select(JOURNAL).where(JOURNAL.c.seq > end.seq).order_by(JOURNAL.c.seq)
    for seq, at, *named, link in connection.execute(query):
        line, before = Line(*named), end
        end = Head(before.seq + 1, _link(key, before.link, (seq, at, *named)), at)
        chained |= bool(link)
        if seq != end.seq or (chained and not hmac.compare_digest(link, end.link)):
            refuse(f"line {end.seq} of its journal, or one before it, was changed or taken out")
        if signed is not None and seq == signed.seq and end.link != signed.link:
            refuse(f"line {seq} of its journal differs from the one that was signed")
        if line.what not in KINDS:
            refuse(f"line {seq} of its journal is of a kind that is never written")
        lines.append(line)
    if signed is not None and signed.seq > end.seq:
        _refuse_cut(end.seq, signed)
    if signed is None and chained and signed_head(connection.engine, keys) is None:
        refuse(f"{HEADS}.jsonl is missing from the home, so that nobody knows the last entry")
    if signed is None:
        _check_traces(keys.home, lines)
    return lines, end


def _find_start(connection: sa.Connection, signed: SignedHead | None, since: str | None) -> Head:
    """Give the line before a run's first, if the chain from there on reaches a signed head.

    Links cannot be made without the keys, so of what follows nothing can be missing or edited. A
    run none of whose lines is found may have lost them: then all is read.
    """
    beginning = Head(0, "", "")
    if signed is None or since is None:
        return beginning
    first = sa.select(sa.func.min(JOURNAL.c.seq)).where(JOURNAL.c.run_id == since)
    query = sa.select(JOURNAL).where(JOURNAL.c.seq == first.scalar_subquery() - 1)
    row = connection.execute(query).first()
    if row is None or not row.link or row.seq >= signed.seq:
        return beginning
    return Head(row.seq, row.link, row.at)


def _check_traces(home: Home, lines: Sequence[Line]) -> None:
    """Refuse lines that nobody signed where they lack a run that left something in the home."""
    begun = {line.run_id for line in lines if line.what == "begun"}
    if not begun and (traces := find_traces(home)):
        refuse(f"it is empty, though {' and '.join(traces)} in the home say that there were runs")
    decided = {line.run_id for line in lines if line.what in DECIDED}
    # Goods wait in the outbox before their run is decided.
    for place, known in ((home.releases, decided), (home.reports, decided), (home.outbox, begun)):
        for path in place.iterdir():
            run_id = RUN_ID.match(path.name)
            if run_id and run_id[0] not in known:
                refuse(f"{path} is of a run that is gone")


def find_run_traces(home: Home) -> frozenset[str]:
    """Give the runs that left a page, a package or goods; read it before a transaction begins."""
    places = (home.releases, home.reports, home.outbox)
    found = (RUN_ID.match(path.name) for place in places for path in place.iterdir())
    return frozenset(run_id[0] for run_id in found if run_id)


def _refuse_cut(last: int, signed: SignedHead) -> NoReturn:
    refuse(f"lines {last + 1} to {signed.seq} of its journal were signed and are gone")


def _link(key: bytes, before: str, row: tuple[str | int, ...]) -> str:
    return hmac.digest(key, json.dumps([before, *row]).encode(), "sha256").hex()


def _heads(engine: sa.Engine, keys: Keys) -> Heads:
    return Heads(engine, keys, HEADS)
