"""The key ledger: what makes tokens and moves dates, a key per purpose that can end.

Each key is 32 random bytes, sealed at rest (AES-256-GCM, NIST SP 800-38D) under a key of the
home's root, with purpose and version authenticated; the root lies under the passphrase where
there is one, so that a new passphrase leaves these rows as they are. A purpose has versions: the
newest serves, the older ones still read what they made. To destroy a version overwrites its sealed
bytes; as they were random, nothing derives them again. What is left: backups of the home or of
the database, which the root key opens, and on Postgres dead rows until it is vacuumed.

One exception: before this ledger, tokens came of a key derived from the root (`token:PURPOSE`). A
home that made some keeps that key as version 1, "brought over", so that they stay the same; whoever
holds the root key can derive it again though it was destroyed. Rotate it first.

The history is append-only, each entry an HMAC over itself and the one before, and named in the
journal (`ledgers.journal`): an entry that was changed, taken out or cut off shows, so that a
backup's key is not taken for one that was never destroyed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn, TypeAlias

import sqlalchemy as sa

from expectations.errors import ServiceError, UsageError
from ledgers.acts import Acts
from ledgers.evidence import EVIDENCE, RUNS
from ledgers.home.database import overwrite_deleted, stamp, transaction
from ledgers.home.keys import KEY_BYTES, Keys
from ledgers.journal import Line, Pen, read_lines, recording, signed_head

What: TypeAlias = Literal["created", "brought over", "rotated", "destroyed", "revealed"]
NAMED: Final = "key"
"""What a line of the journal names by number and link: an entry of the history."""
MADE: Final[tuple[What, ...]] = ("created", "brought over", "rotated")

METADATA = sa.MetaData()
DATA_KEYS = sa.Table(
    "data_keys",
    METADATA,
    sa.Column("purpose", sa.Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("wrapped", sa.LargeBinary, nullable=False),
)
HISTORY = sa.Table(
    "key_history",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("chain", sa.String(64), nullable=False),
)


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """What became of one version of a purpose's key; `at` is UTC in ISO 8601."""

    seq: int
    at: str
    purpose: str
    version: int
    what: What


@dataclass(frozen=True, slots=True)
class DataKey:
    """One version of a purpose's key, in memory; it never leaves the process."""

    purpose: str
    version: int
    secret: bytes = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys do not leave the process: hand on a purpose instead")


@dataclass(frozen=True, slots=True)
class KeyLedger:
    """The keys of all purposes in an opened database; every method is one transaction."""

    engine: sa.Engine
    keys: Keys

    def use(self, purpose: str) -> DataKey:
        """Give the newest key of `purpose`; one that was never seen gets its first.

        Raises ServiceError if that key was destroyed, or is missing though it is on record.
        """
        with recording(self.engine, self.keys) as pen:
            connection = pen.connection
            _lock(connection)
            own = _of(purpose, self._history(connection))
            if not own:
                return self._first(pen, purpose)
            version = _newest(own)
            if gone := _ended(own, version):
                raise ServiceError(
                    f"the key of {purpose} was destroyed on {gone.at[:10]}, so that its tokens "
                    f"cannot be made again: tutela keys rotate {purpose} begins with a new one, "
                    "whose tokens match no earlier ones"
                )
            return self._read(connection, purpose, version)

    def read(self, purpose: str) -> list[DataKey]:
        """Give every version that was not destroyed, the newest first.

        Raises UsageError for a purpose without a key, ServiceError if one is missing.
        """
        with transaction(self.engine) as connection:
            own = self._known(connection, purpose)
            left = [n for n in range(_newest(own), 0, -1) if not _ended(own, n)]
            return [self._read(connection, purpose, version) for version in left]

    def rotate(self, purpose: str) -> int:
        """Begin a new version, which all later tokens use; gives its number."""
        with recording(self.engine, self.keys) as pen:
            version = _newest(self._known(pen.connection, purpose)) + 1
            return self._store(pen, purpose, version, os.urandom(KEY_BYTES), "rotated")

    def destroy(self, purpose: str, version: int | None = None) -> list[int]:
        """Overwrite one version, or all; gives their numbers. Once more does no harm.

        Raises UsageError for a version that never was, ServiceError while another program keeps
        the old bytes in SQLite's log.
        """
        apart, acts = Acts(self.keys), []
        with recording(self.engine, self.keys) as pen:
            own = self._known(pen.connection, purpose)
            if version is not None and not 1 <= version <= _newest(own):
                raise UsageError(f"{purpose} has no version {version}: see tutela keys list")
            meant = [version] if version else list(range(1, _newest(own) + 1))
            for number in meant:
                if not _ended(own, number):
                    self._note(pen, purpose, number, "destroyed")
                    acts.append(apart.note("destroyed", json.dumps([purpose, number]).encode()))
                    row = DATA_KEYS.c.purpose == purpose, DATA_KEYS.c.version == number
                    pen.connection.execute(sa.update(DATA_KEYS).where(*row).values(wrapped=b""))
        for act in acts:
            apart.confirm(act)
        overwrite_deleted(self.engine)
        return meant

    def note_revealed(self, purpose: str, versions: Iterable[int]) -> None:
        """Record that tokens made by these versions are about to be read back."""
        with recording(self.engine, self.keys) as pen:
            _lock(pen.connection)
            for version in versions:
                self._note(pen, purpose, version, "revealed")

    def history(self) -> list[KeyEvent]:
        """Give all that became of the keys, oldest first; ServiceError if it was changed."""
        with transaction(self.engine) as connection:
            return self._history(connection)

    def _known(self, connection: sa.Connection, purpose: str) -> list[KeyEvent]:
        _lock(connection)
        own = _of(purpose, self._history(connection))
        if not own:
            raise UsageError(f"no run has made a key for '{purpose}': see tutela keys list")
        return own

    def _first(self, pen: Pen, purpose: str) -> DataKey:
        """Make a purpose's first key: the derived one, where tokens were made of it."""
        connection = pen.connection
        used = EVIDENCE.c.kind == "key", EVIDENCE.c.name == purpose
        if connection.execute(sa.select(EVIDENCE.c.run_id).where(*used).limit(1)).first():
            raise ServiceError(
                f"the key of {purpose} is missing from the ledger database with its history, "
                "though a run used it: restore the database from a backup"
            )
        secret, what = os.urandom(KEY_BYTES), MADE[0]
        if _made_tokens(connection, purpose):
            secret, what = self.keys.derive(f"token:{purpose}"), MADE[1]
        self._store(pen, purpose, 1, secret, what)
        return DataKey(purpose, 1, secret)

    def _store(self, pen: Pen, purpose: str, version: int, secret: bytes, what: What) -> int:
        wrapped = self.keys.seal(secret, _label(purpose, version))
        row = {"purpose": purpose, "version": version, "wrapped": wrapped}
        pen.connection.execute(sa.insert(DATA_KEYS), row)
        self._note(pen, purpose, version, what)
        return version

    def _read(self, connection: sa.Connection, purpose: str, version: int) -> DataKey:
        row = DATA_KEYS.c.purpose == purpose, DATA_KEYS.c.version == version
        wrapped = connection.scalar(sa.select(DATA_KEYS.c.wrapped).where(*row))
        if not wrapped:
            raise ServiceError(
                f"version {version} of the key of {purpose} is missing from the ledger database, "
                "though it is recorded and was not destroyed: restore the database from a backup"
            )
        return DataKey(purpose, version, self.keys.unseal(wrapped, _label(purpose, version)))

    def _note(self, pen: Pen, purpose: str, version: int, what: What) -> None:
        newest = sa.select(HISTORY.c.seq, HISTORY.c.chain).order_by(HISTORY.c.seq.desc()).limit(1)
        last = pen.connection.execute(newest).first()
        event = KeyEvent(last.seq + 1 if last else 1, stamp(), purpose, version, what)
        chain = self._link(last.chain if last else "", event)
        values = [event.seq, event.at, event.purpose, event.version, event.what, chain]
        names = [column.name for column in HISTORY.c]
        pen.connection.execute(sa.insert(HISTORY), dict(zip(names, values, strict=True)))
        pen.write(Line(NAMED, what, "", event.seq, chain))

    def _history(self, connection: sa.Connection) -> list[KeyEvent]:
        events: list[KeyEvent] = []
        links = [chain := ""]
        for row in connection.execute(sa.select(HISTORY).order_by(HISTORY.c.seq)):
            event = KeyEvent(row.seq, row.at, row.purpose, row.version, row.what)
            chain = self._link(chain, event)
            if event.seq != len(events) + 1 or not hmac.compare_digest(chain, row.chain):
                raise ServiceError(
                    f"the history of the keys was changed at or before entry {len(events) + 1}: "
                    "compare the ledger database with a backup"
                )
            events.append(event)
            links.append(chain)
        for line in read_lines(connection, self.keys, signed_head(self.engine, self.keys)):
            if line.what == NAMED and links[line.place : line.place + 1] != [line.code]:
                raise ServiceError(
                    f"entry {line.place} of the history of the keys ({line.name}) is gone: restore "
                    "the ledger database from a backup"
                )
        return events

    def _link(self, chain: str, event: KeyEvent) -> str:
        values = [chain, event.seq, event.at, event.purpose, event.version, event.what]
        key = self.keys.derive("key-history")
        return hmac.new(key, json.dumps(values).encode(), hashlib.sha256).hexdigest()


def _lock(connection: sa.Connection) -> None:
    """Wait for one's turn to write; SQLite took its lock when the transaction began."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7846103)"))


def _label(purpose: str, version: int) -> str:
    return f"data-key:{purpose}:{version}"


def _of(purpose: str, events: Sequence[KeyEvent]) -> list[KeyEvent]:
    return [event for event in events if event.purpose == purpose]


def _newest(own: Sequence[KeyEvent]) -> int:
    return max(event.version for event in own)


def _ended(own: Sequence[KeyEvent], version: int) -> KeyEvent | None:
    """Give the entry that says that a version was destroyed, if there is one."""
    ends = (e for e in own if e.version == version and e.what == "destroyed")
    return next(ends, None)


def _made_tokens(connection: sa.Connection, purpose: str) -> bool:
    """Whether a run made tokens for `purpose` before there was a key ledger.

    Its policy says so in the form that people write: `purpose:` on a line of its own. Asked only
    of a purpose without history, which a run that makes tokens now has.
    """
    treated = sa.select(EVIDENCE.c.run_id).where(
        EVIDENCE.c.step == "deidentify", EVIDENCE.c.kind == "dataset"
    )
    texts = (
        str(json.loads(facts).get("policy_text", ""))
        for facts in connection.scalars(sa.select(RUNS.c.facts).where(RUNS.c.run_id.in_(treated)))
    )
    meant = re.compile(rf"^purpose:\s*[\"']?{re.escape(purpose)}[\"']?\s*(#.*)?$", re.MULTILINE)
    token = re.compile(r"kind:\s*[\"']?token\b")
    return any(meant.search(text) and token.search(text) for text in texts)
