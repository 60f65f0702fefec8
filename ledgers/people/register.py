"""The register of people's keys: which are enrolled, and by whose signatures that changed.

The first keys are pinned once, with a recovery key that lies offline. From then on a change needs
the signatures of more than half of those enrolled, or of the recovery key. Each act is a row that
the journal names (`ledgers.journal`), so one that was edited, taken out or put in shows. Names of
people are not kept here: a key is named by its fingerprint.

What does not show here: that the first keys were not those whom somebody elsewhere trusts. Who
verifies compares them with a list of their own (`tutela verify --signers`).
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

import sqlalchemy as sa

from expectations.errors import UsageError
from ledgers.checkpoints import public_key
from ledgers.home.database import snapshot, stamp
from ledgers.home.keys import Keys
from ledgers.journal import Line, Pen, read_lines, recording, refuse, signed_head
from ledgers.people.signature import PublicKey, read_public
from ledgers.people.statement import Request, Signed

Act: TypeAlias = Literal["pinned", "recovery", "enrolled", "retired", "lost"]
Change: TypeAlias = Literal["enrol", "retire", "lose"]
DONE: Final[Mapping[str, Act]] = {"enrol": "enrolled", "retire": "retired", "lose": "lost"}
ENDS: Final = frozenset({"retired", "lost"})
NAMED: Final = "signer"
"""What a line of the journal names by number and code: an act of this register."""
METADATA = sa.MetaData()
SIGNERS = sa.Table(
    "signers",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("signed", sa.Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class KeyAct:
    """What became of a key, and the signed statements by which it did; `at` is UTC, ISO 8601."""

    seq: int
    at: str
    what: Act
    key: PublicKey
    signed: tuple[Signed, ...] = ()


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The keys that count, by fingerprint, since when; and the recovery key, if there is one."""

    keys: Mapping[str, PublicKey]
    since: Mapping[str, str]
    recovery: PublicKey | None
    last: int
    """The number of the newest act."""

    @property
    def majority(self) -> int:
        """How many signatures a change needs."""
        return len(self.keys) // 2 + 1


@dataclass(frozen=True, slots=True)
class Register:
    """The acts in an opened database; every method is one transaction.

    Each raises Refusal where an act is not as it was written, or not there.
    """

    engine: sa.Engine
    keys: Keys

    def acts(self) -> list[KeyAct]:
        """Give all acts, oldest first."""
        signed = signed_head(self.engine, self.keys)
        with snapshot(self.engine) as connection:
            return self._read(connection, [
                line for line in read_lines(connection, self.keys, signed) if line.what == NAMED
            ])  # fmt: skip

    def enrolled(self) -> Enrolled:
        """Give the keys that count now."""
        return count_keys(self.acts())

    def pin(self, first: Sequence[PublicKey], recovery: PublicKey | None) -> None:
        """Enrol the first keys; UsageError where some were, or one is given twice."""
        given = [*first, *([recovery] if recovery else [])]
        if not first or len({key.fingerprint for key in given}) != len(given):
            raise UsageError("give at least one key, and each once")
        with recording(self.engine, self.keys) as pen:
            if self._last(pen):
                raise UsageError(
                    "the first keys are pinned already: tutela signers enrol KEY.pub asks those "
                    "enrolled to take in another"
                )
            if recovery is not None:
                self._write(pen, "recovery", recovery)
            for key in first:
                self._write(pen, "pinned", key)

    def ask(self, change: Change, key: PublicKey, until: str) -> Request:
        """Give the request to change the register as it is now; UsageError for an idle one."""
        now = self.enrolled()
        if not now.keys:
            raise UsageError("no key is enrolled yet: tutela signers pin KEY.pub…")
        if (key.fingerprint in now.keys) == (change == "enrol"):
            word = "is enrolled already" if change == "enrol" else "is not enrolled"
            raise UsageError(f"{key.fingerprint} {word}: see tutela signers")
        if change != "enrol" and len(now.keys) == 1:
            raise UsageError("this is the last enrolled key: enrol another before it goes")
        home = public_key(self.keys)
        return Request.about("keys", home, until, change=change, key=key.line, after=now.last)

    def change(self, signed: Sequence[Signed]) -> KeyAct:
        """Change the register as enough people signed; UsageError where they are too few."""
        if not signed:
            raise UsageError("give the signed statements, one file of each person")
        request = signed[0].request
        with recording(self.engine, self.keys) as pen:
            lines = read_lines(
                pen.connection, self.keys, signed_head(self.engine, self.keys)
            )  # fmt: skip
            acts = self._read(pen.connection, [one for one in lines if one.what == NAMED])
            refuse_few(count_keys(acts), signed, public_key(self.keys))
            change = cast("Change", request.said["change"])
            key = read_public(str(request.said["key"]))
            return self._write(pen, DONE[change], key, signed)

    def _write(self, pen: Pen, what: Act, key: PublicKey, signed: Sequence[Signed] = ()) -> KeyAct:
        if pen.connection.dialect.name == "postgresql":
            pen.connection.execute(sa.text("SELECT pg_advisory_xact_lock(7846111)"))
        act = KeyAct(self._last(pen) + 1, stamp(), what, key, tuple(signed))
        row = {
            "seq": act.seq,
            "at": act.at,
            "what": what,
            "key": key.line,
            "signed": json.dumps([one.to_said() for one in signed]),
        }
        pen.insert(SIGNERS, row)
        pen.write(Line(NAMED, what, "", act.seq, self._code(row)))
        return act

    @staticmethod
    def _last(pen: Pen) -> int:
        return pen.connection.scalar(sa.select(sa.func.max(SIGNERS.c.seq))) or 0

    def _read(self, connection: sa.Connection, lines: Sequence[Line]) -> list[KeyAct]:
        rows = connection.execute(sa.select(SIGNERS).order_by(SIGNERS.c.seq)).mappings().all()
        if len(rows) != len(lines):
            refuse("an act of the register of people's keys is gone, or was put in")
        for row, line in zip(rows, lines, strict=True):
            if row["seq"] != line.place or not line.names(self._code(row)):
                refuse(f"act {row['seq']} of the register of people's keys was changed")
        return [
            KeyAct(
                row["seq"], row["at"], row["what"], read_public(row["key"]),
                tuple(map(Signed.from_said, json.loads(row["signed"]))),
            )
            for row in rows
        ]  # fmt: skip

    def _code(self, row: Mapping[str, object] | sa.RowMapping) -> str:
        message = json.dumps([row[column.name] for column in SIGNERS.c]).encode()
        return hmac.digest(self.keys.derive("signers"), message, "sha256").hex()


def count_keys(acts: Sequence[KeyAct]) -> Enrolled:
    """Say which keys count after some acts."""
    keys: dict[str, PublicKey] = {}
    since: dict[str, str] = {}
    recovery = None
    for act in acts:
        name = act.key.fingerprint
        if act.what == "recovery":
            recovery = act.key
        elif act.what in ENDS:
            keys.pop(name, None)
        else:
            keys[name], since[name] = act.key, act.at
    return Enrolled(keys, since, recovery, acts[-1].seq if acts else 0)


def refuse_few(now: Enrolled, signed: Sequence[Signed], home: str) -> None:
    """Raise UsageError unless enough people approve one change of the register as it is."""
    request = signed[0].request
    if any(one.request.digest != request.digest for one in signed):
        raise UsageError("these statements answer different requests: give those of one")
    if request.subject != "keys" or request.said.get("home") != home:
        raise UsageError("this request is not about the keys of this home")
    if request.said.get("after") != now.last or request.said.get("change") not in DONE:
        raise UsageError("the register has changed since this was asked: ask anew")
    if request.until < stamp():
        raise UsageError("this request has lapsed: ask anew")
    approve = {one.key.fingerprint for one in signed if one.statement.answer == "approve"}
    if now.recovery is not None and now.recovery.fingerprint in approve:
        return
    counted = approve & now.keys.keys()
    if len(counted) < now.majority:
        raise UsageError(
            f"{len(counted)} of {len(now.keys)} enrolled keys approve this; {now.majority} must, "
            "or the recovery key alone"
        )
