"""The retention ledger: what was removed because its days were over, and what is held and why.

A removal is noted before a byte goes, and noted as erased when none is left in reach; so what a
killed process left half removed is known, and finished by the next. A run's goods go first. When
its evidence goes too, its rows are deleted in the transaction that notes it, and what stays is kept
here: who decided what, of which policy, and the digests of what recipients may still hold.

Notes are appended, each named in the journal (`ledgers.journal`), by which a reader tells a run
that was removed from one that is gone. When a run is due is not known here.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal, TypeAlias, cast

import sqlalchemy as sa

from expectations.errors import UsageError
from ledgers.evidence import EVIDENCE, JSON, RUNS
from ledgers.home.database import snapshot, stamp
from ledgers.home.keys import Keys
from ledgers.journal import RETENTION, Line, Pen, read_lines, recording, refuse, signed_head

Act: TypeAlias = Literal["held", "lifted", "goods", "evidence", "erased", "restored"]
"""A hold, its end, the removal of goods or evidence, that nothing of the goods is left; and that
the whole home was restored from a backup."""

METADATA = sa.MetaData()
NOTES = sa.Table(
    "retention",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("what", sa.String(16), nullable=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("because", sa.Text, nullable=False),
    sa.Column("until", sa.String(32), nullable=False),
    sa.Column("kept", sa.Text, nullable=False),
)
KEPT: Final = ("decision", "release", "approved")
"""Kinds of evidence of which the body outlives it: verdict and reason, digests of goods."""


@dataclass(frozen=True, slots=True)
class Note:
    """What was done about a run, by whom and why; `until` is when a hold is looked at again."""

    seq: int
    at: str
    what: Act
    run_id: str
    who: str = ""
    because: str = ""
    until: str = ""
    kept: str = "null"

    @property
    def body(self) -> JSON:
        """What is kept of evidence that is gone, or remains elsewhere of goods that are."""
        return cast("JSON", json.loads(self.kept))


@dataclass(frozen=True, slots=True)
class RetentionLedger:
    """The notes in an opened database; every method is one transaction.

    Each raises Refusal where a note is not as it was written, or not there.
    """

    engine: sa.Engine
    keys: Keys

    def notes(self) -> list[Note]:
        """Give all notes, oldest first."""
        signed = signed_head(self.engine, self.keys)
        with snapshot(self.engine) as connection:
            lines = read_lines(connection, self.keys, signed)
            rows = connection.execute(sa.select(NOTES).order_by(NOTES.c.seq)).mappings().all()
        named = {line.place: line for line in lines if line.what == RETENTION}
        for row in rows:
            line = named.pop(row["seq"], None)
            if line is None or line.code != self._code(row):
                refuse(f"note {row['seq']} of what was removed and held is not as it was written")
        for place in named:
            refuse(f"note {place} of what was removed and held is gone")
        return [Note(**row) for row in rows]

    def hold(self, run_id: str, who: str, because: str, until: str) -> None:
        """Keep a run whatever its days, until somebody lifts it."""
        self._note([Note(0, "", "held", run_id, who, because, until)])

    def lift(self, run_id: str, who: str, because: str) -> None:
        """End a hold; UsageError where there is none."""
        if run_id not in holds(self.notes()):
            raise UsageError(f"run {run_id} is not held: see tutela hold")
        self._note([Note(0, "", "lifted", run_id, who, because)])

    def note_goods(self, due: Mapping[str, str]) -> None:
        """Note, before a byte goes, that the goods of runs are removed, each with its reason."""
        self._note([Note(0, "", "goods", run_id, because=why) for run_id, why in due.items()])

    def note_erased(self, remaining: Mapping[str, Sequence[str]]) -> None:
        """Note that nothing of the goods of runs is left in reach; with what remains elsewhere."""
        done = [
            Note(0, "", "erased", run_id, kept=json.dumps([*told]))
            for run_id, told in remaining.items()
        ]
        self._note(done)

    def note_restored(self, who: str, because: str, found: JSON) -> None:
        """Note that the home was restored, and what of the time since then was replayed."""
        self._note([Note(0, "", "restored", "", who, because, kept=json.dumps(found))])

    def remove_evidence(self, due: Mapping[str, str]) -> None:
        """Delete the evidence of runs, each with its reason, in the transaction that notes it."""
        with recording(self.engine, self.keys) as pen:
            for run_id, why in due.items():
                kept = json.dumps(_keep(pen.connection, run_id), sort_keys=True)
                self._write(pen, Note(0, "", "evidence", run_id, because=why, kept=kept))
                for table in (EVIDENCE, RUNS):
                    pen.connection.execute(sa.delete(table).where(table.c.run_id == run_id))

    def _note(self, notes: Collection[Note]) -> None:
        with recording(self.engine, self.keys) as pen:
            for note in notes:
                self._write(pen, note)

    def _write(self, pen: Pen, note: Note) -> None:
        if pen.connection.dialect.name == "postgresql":
            pen.connection.execute(sa.text("SELECT pg_advisory_xact_lock(7846109)"))
        last = pen.connection.scalar(sa.select(sa.func.max(NOTES.c.seq))) or 0
        row = {**asdict(note), "seq": last + 1, "at": stamp()}
        pen.insert(NOTES, row)
        pen.write(Line(RETENTION, note.what, note.run_id, last + 1, self._code(row)))

    def _code(self, row: Mapping[str, object] | sa.RowMapping) -> str:
        message = json.dumps([row[column.name] for column in NOTES.c]).encode()
        return hmac.digest(self.keys.derive("retention-notes"), message, "sha256").hex()


def holds(notes: Sequence[Note]) -> dict[str, Note]:
    """Give the holds that stand, by run."""
    found: dict[str, Note] = {}
    for note in notes:
        if note.what == "held":
            found[note.run_id] = note
        elif note.what == "lifted":
            found.pop(note.run_id, None)
    return found


def removed(notes: Sequence[Note], what: Act) -> dict[str, Note]:
    """Give what was removed, or erased, by run."""
    return {note.run_id: note for note in notes if note.what == what}


def _keep(connection: sa.Connection, run_id: str) -> JSON:
    """Gather what stays of a run while a recipient may hold what it handed over."""
    run = connection.execute(sa.select(RUNS).where(RUNS.c.run_id == run_id)).mappings().one()
    facts = json.loads(run["facts"])
    left = sa.select(EVIDENCE.c.kind, EVIDENCE.c.name, EVIDENCE.c.body).where(
        EVIDENCE.c.run_id == run_id, EVIDENCE.c.kind.in_(KEPT)
    )
    found = connection.execute(left.order_by(EVIDENCE.c.seq))
    return {
        "policy": run["policy"],
        "policy_sha256": facts.get("policy_sha256"),
        "started_at": run["started_at"],
        "evidence": [[kind, name, json.loads(body)] for kind, name, body in found],
    }
