"""The evidence ledger: every run and what it found, appended as it arises, never changed.

It is the record; Prefect and MLflow are views of it. Bodies hold measures, disclosed counts,
digests and durations, never a person's value: the ledger cannot tell, its callers must. Exact
figures go into `sealed`, readable with the home's keys only. Where machines share the database, the
one that has a run's lease (`ledgers.leases`) writes of it.

Each entry carries an HMAC over itself and the one before, so an entry that was edited, removed
or put in between shows to whoever reads the run. That a run began, what was decided of it, each
table that left and its verdict are named in the journal too (`ledgers.journal`): so a newest entry
that was cut off shows, and a run that was removed or put in. Runs are read by it, and `runs`
refuses a record that is not as it was written. What does not show is said there; of a run under
way, its last other entries too.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn, TypeAlias, cast

import sqlalchemy as sa

from expectations.errors import ServiceError, UsageError
from ledgers.home.database import snapshot, stamp, transaction
from ledgers.home.keys import Keys
from ledgers.home.machine import name_machine
from ledgers.journal import (
    DECIDED,
    EVIDENCE_REMOVED,
    HEADS,
    JOURNAL,
    RETENTION,
    Line,
    Pen,
    What,
    newest_moment,
    read_lines,
    recording,
    refuse,
    signed_head,
)
from ledgers.leases import (
    Lease,
    end_lease,
    grant,
    lock_lease,
    read_leases,
    refuse_lapsed,
    refuse_taken,
)

JSON: TypeAlias = "str | int | float | bool | list[JSON] | dict[str, JSON] | None"
Verdict: TypeAlias = Literal["passed", "refused", "failed", "pending"]

METADATA = sa.MetaData()
RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("policy", sa.Text, nullable=False),
    sa.Column("started_at", sa.String(32), nullable=False),
    sa.Column("facts", sa.Text, nullable=False),
)
EVIDENCE = sa.Table(
    "evidence",
    METADATA,
    sa.Column("run_id", sa.String(64), sa.ForeignKey("runs.run_id"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=True),
    sa.Column("chain", sa.String(64), nullable=False),
)

INTENT: Final = "intent"
"""The kind of the entry after which something of a run can have left."""
JOURNALED: Final = ("decision", INTENT, "release", "verdict")
"""The kinds of entries that are named in the journal: what became of a run, and what left."""
BEGUN: Final = "begun"
OPEN: Final = frozenset({None, "pending"})
"""The verdicts of a run that has no end yet."""
CHAINED: Final = tuple(column.name for column in EVIDENCE.c if column.name != "chain")


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of evidence; `at` is UTC in ISO 8601, `sealed` opens with `unseal`."""

    run_id: str
    seq: int
    at: str
    step: str
    kind: str
    name: str
    body: JSON
    sealed: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run with its latest verdict; None while it is under way, or if it was killed."""

    run_id: str
    policy: str
    started_at: str
    facts: dict[str, JSON]
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class EvidenceLedger:
    """The append-only ledger in an opened database; every method is one transaction."""

    engine: sa.Engine
    keys: Keys

    def begin(self, run_id: str, policy: str, facts: Mapping[str, JSON]) -> None:
        """Record that `run_id` started; ServiceError if that id is taken, Refusal as `runs`."""
        self.runs()
        with recording(self.engine, self.keys) as pen:
            # Not before what is on record: a clock that was set back would shorten its days.
            started = max(stamp(), newest_moment(pen.connection))
            row = {"run_id": run_id, "policy": policy, "started_at": started, "facts": _text(facts)}
            pen.insert(RUNS, row)
            grant(pen.connection, self.keys, run_id)
            pen.write(Line(BEGUN, policy, run_id, 0, _begun_code(self._begun_key(), row)))

    def append(  # noqa: PLR0913 - one argument per column of the record
        self, run_id: str, step: str, kind: str, name: str, body: JSON, *, sealed: JSON = None
    ) -> None:
        """Write one entry through to the disk; `sealed` is encrypted before it is stored.

        Raises ServiceError for a run that never began, was closed for good, or that another machine
        has taken.
        """
        blob = None if sealed is None else self.keys.seal(_text(sealed).encode(), "evidence")
        row = {"run_id": run_id, "step": step, "kind": kind, "name": name, "body": _text(body)}
        with recording(self.engine, self.keys) as pen:
            self._insert(pen, row, blob)

    def close(self, run_id: str, verdict: Verdict, body: JSON = None) -> None:
        """Append the verdict; only "pending" may be followed by more entries and a last one."""
        self.append(run_id, "run", "verdict", verdict, body)

    def intend(self, run_id: str, step: str) -> None:
        """Note, once, that a run begins to hand over, if this machine still has its lease.

        Lease and note are one transaction, so that nothing leaves of a run that another machine
        may close. Raises ServiceError as `append`, and where the lease was lost.
        """
        row = {"run_id": run_id, "step": step, "kind": INTENT, "name": "hand over", "body": "null"}
        with recording(self.engine, self.keys) as pen:
            refuse_lapsed(pen.connection, self.keys, run_id)
            if run_id not in _intended(pen.connection, run_id):
                self._insert(pen, row, None)

    def hold(self, run_id: str) -> None:
        """Raise ServiceError where this machine lost its lease on a run that hands nothing over."""
        with transaction(self.engine) as connection:
            refuse_lapsed(connection, self.keys, run_id)

    def take(self, run: RunRecord) -> None:
        """Take the lease of a run, to finish it; ServiceError where another machine alone may."""
        with transaction(self.engine) as connection:
            lease = lock_lease(connection, run.run_id)
            others = lease is not None and lease.machine != name_machine(self.keys)
            if others and self._is_elsewhere(run, lease, _intended(connection, run.run_id)):
                raise ServiceError("another machine has it")
            grant(connection, self.keys, run.run_id)

    def entries(self, run_id: str) -> list[Entry]:
        """Give the evidence of `run_id`, oldest first, as `verify`; empty for an unknown run."""
        rows = self._read(run_id) or []
        shown = [{name: row[name] for name in row if name != "chain"} for row in rows]
        return [Entry(**row | {"body": json.loads(row["body"])}) for row in shown]

    def unseal(self, entry: Entry) -> JSON:
        """Open the exact figures of `entry`; None if it has none, ServiceError if changed."""
        if entry.sealed is None:
            return None
        return cast("JSON", json.loads(self.keys.unseal(entry.sealed, "evidence")))

    def runs(self) -> list[RunRecord]:
        """Give all runs, oldest first, each with its latest verdict.

        Refusal names the first that is gone or was put in, or whose entries are not the journal's.
        """
        signed = signed_head(self.engine, self.keys)
        query = sa.select(RUNS).order_by(RUNS.c.started_at, RUNS.c.run_id)
        with snapshot(self.engine) as connection:
            lines = read_lines(connection, self.keys, signed)
            rows = connection.execute(query).mappings().all()
            lost = connection.execute(_LOST).first()
            if signed is None and signed_head(self.engine, self.keys) is None:
                self._check_older(connection, rows, lines)
        self._check_begun(rows, lines)
        if lost:
            place = f"entry {lost.place} ({lost.what}: {lost.name})"
            refuse(f"{place} of run {lost.run_id} was changed or taken out")
        verdicts = {line.run_id: line.name for line in lines if line.what == "verdict"}
        return [
            RunRecord(
                row["run_id"], row["policy"], row["started_at"], json.loads(row["facts"]),
                cast("Verdict | None", verdicts.get(row["run_id"])),
            )
            for row in rows
        ]  # fmt: skip

    def pick(self, wanted: Sequence[tuple[str, str]]) -> dict[str, list[Entry]]:
        """Give some entries of all runs, by run and oldest first; quick where there are many runs.

        What is wanted are pairs of a kind and a pattern of names (`LIKE`). Each entry is checked by
        its link to the one before it, and ServiceError names one that was changed. That one was
        taken out does not show here, as it does where a run is read.
        """
        before = EVIDENCE.alias("before")
        joined = sa.and_(before.c.run_id == EVIDENCE.c.run_id, before.c.seq == EVIDENCE.c.seq - 1)
        chosen = [sa.and_(EVIDENCE.c.kind == k, EVIDENCE.c.name.like(n)) for k, n in wanted]
        query = sa.select(EVIDENCE, before.c.chain.label("last")).outerjoin(before, joined)
        query = query.where(sa.or_(*chosen)).order_by(EVIDENCE.c.run_id, EVIDENCE.c.seq)
        with snapshot(self.engine) as connection:
            runs = {run["run_id"]: run for run in connection.execute(sa.select(RUNS)).mappings()}
            rows = connection.execute(query).mappings().all()
        found: dict[str, list[Entry]] = {}
        for row in rows:
            last = row["last"] or self._run_code(runs[row["run_id"]])
            if not hmac.compare_digest(self._link(last, row), row["chain"]):
                raise ServiceError(
                    f"entry {row['seq']} of run {row['run_id']}, or the one before it, was "
                    "changed: compare the record with a backup of the ledger"
                )
            shown = {name: row[name] for name in (*CHAINED, "sealed")}
            entry = Entry(**shown | {"body": json.loads(row["body"])})
            found.setdefault(entry.run_id, []).append(entry)
        return found

    def find(self, prefix: str) -> RunRecord:
        """Give the one run whose id begins with `prefix`; UsageError for none or several."""
        found = [run for run in self.runs() if run.run_id.startswith(prefix)]
        if not prefix or not found:
            if prefix and (gone := self._find_removed(prefix)):
                raise UsageError(
                    f"the evidence of run {gone.run_id} was removed on {gone.at[:10]}, as its "
                    "policy says; its charges and releases stay on record"
                )
            raise UsageError(f"no run begins with '{prefix}': check the id")
        if len(found) > 1:
            raise UsageError(f"{len(found)} runs begin with '{prefix}': give more of the id")
        return found[0]

    def _find_removed(self, prefix: str) -> sa.Row[tuple[str, str]] | None:
        """Give the run whose id begins so, and when its evidence was removed; None if none was."""
        gone = sa.select(JOURNAL.c.run_id, JOURNAL.c.at).where(_REMOVED)
        with snapshot(self.engine) as connection:
            named = JOURNAL.c.run_id.startswith(prefix, autoescape=True)
            return connection.execute(gone.where(named)).first()

    def elsewhere(self, runs: Sequence[RunRecord]) -> frozenset[str]:
        """Give those runs of which only another machine can tell whether they still go on.

        By their leases, where machines share a database; else by what a run says of its machine.
        """
        with snapshot(self.engine) as connection:
            leases, intended = read_leases(connection), _intended(connection)
        there = (
            run.run_id for run in runs if self._is_elsewhere(run, leases.get(run.run_id), intended)
        )
        return frozenset(there)

    def _is_elsewhere(self, run: RunRecord, lease: Lease | None, intended: set[str]) -> bool:
        """Whether a run is another machine's.

        One of which something lies in this home is this machine's, as it is where a container with
        another name goes on with its folder. One whose lease lapsed is anybody's, unless something
        can have left: that is for the machine that has its outbox.
        """
        named, me, here = run.facts.get("machine"), name_machine(self.keys), self._lies_here(run)
        if lease is None:
            return named not in {None, me} and not here
        if lease.lives:
            return lease.machine != me or not here
        left = run.run_id in intended or run.verdict is not None
        return lease.machine != me and not here and left

    def _lies_here(self, run: RunRecord) -> bool:
        home = self.keys.home
        left = [home.vault / run.run_id, home.releases / run.run_id]
        left += [*home.outbox.glob(f"{run.run_id}-*"), home.reports / f"{run.run_id}.html"]
        return any(path.exists() for path in left)

    def verify(self, run_id: str) -> None:
        """Recompute the chain of `run_id`; ServiceError names the first entry that is off.

        Refusal where the journal is not as it was written.
        """
        if self._read(run_id) is None:
            _refuse_unknown(run_id)

    def _read(self, run_id: str) -> Sequence[sa.RowMapping] | None:
        """Give the checked rows of a run; None where nothing says that there was such a run."""
        signed = signed_head(self.engine, self.keys)
        with snapshot(self.engine) as connection:
            run = _find_run(connection, run_id)
            rows = connection.execute(_entries_of(run_id)).mappings().all()
            lines = read_lines(connection, self.keys, signed, since=run_id)
        named = {one.place: one for one in lines if one.run_id == run_id and one.what in JOURNALED}
        if run is None and any(one.run_id == run_id and one.ends_evidence for one in lines):
            return None
        if run is None:
            if rows or named:
                _refuse_unknown(run_id)
            return None
        key, chain = self._chain_key(), self._run_code(run)
        for seq, row in enumerate(rows, start=1):
            chain = _link(key, chain, row)
            line = named.pop(seq, None)
            off = row["seq"] != seq or not hmac.compare_digest(chain, row["chain"])
            if off or (line is not None and line.code != chain):
                raise ServiceError(
                    f"the record of run {run_id} was changed at or before entry {seq} of "
                    f"{len(rows)}: compare it with a backup of the ledger"
                )
        for place, line in named.items():
            raise ServiceError(
                f"entry {place} of run {run_id} ({line.what}: {line.name}) was taken out: compare "
                "the record with a backup of the ledger"
            )
        return rows

    def _check_begun(self, rows: Sequence[sa.RowMapping], lines: Sequence[Line]) -> None:
        """Refuse runs that did not begin here, that are gone, or that began otherwise."""
        begun, key = {one.run_id: one for one in lines if one.what == BEGUN}, self._begun_key()
        removed = {one.run_id for one in lines if one.ends_evidence}
        for row in rows:
            line = begun.pop(row["run_id"], None)
            if line is None:
                refuse(f"run {row['run_id']} is there, but did not begin in this home")
            if not line.names(_begun_code(key, row)):
                refuse(f"the beginning of run {row['run_id']} was changed")
        for run_id in begun.keys() - removed:
            refuse(f"run {run_id} is gone")

    def _check_older(
        self, connection: sa.Connection, runs: Sequence[sa.RowMapping], lines: Sequence[Line]
    ) -> None:
        """Refuse what was put in or cut in a record that passes for one from before the journal.

        No run of this version is there, and none that was decided without a chain of entries,
        which cannot be made up without the home's keys.
        """
        decided = {line.run_id for line in lines if line.what in DECIDED}
        first = connection.execute(sa.select(EVIDENCE).where(EVIDENCE.c.seq == 1)).mappings()
        entries = {entry["run_id"]: entry for entry in first}
        for run in runs:
            if "machine" in json.loads(run["facts"]):
                refuse(f"{HEADS}.jsonl is missing from the home, though it was written before")
            entry = entries.get(run["run_id"])
            if entry is None and run["run_id"] not in decided:
                continue
            if entry is None or self._link(self._run_code(run), entry) != entry["chain"]:
                refuse(f"the beginning of run {run['run_id']} was changed")

    def _begun_key(self) -> bytes:
        return self.keys.derive("begun-runs")

    def _insert(self, pen: Pen, row: dict[str, str], sealed: bytes | None) -> None:
        """Chain `row` to the last entry of its run and insert it; a verdict ends the lease."""
        refuse_taken(pen.connection, self.keys, row["run_id"])
        query = _entries_of(row["run_id"]).order_by(None).order_by(EVIDENCE.c.seq.desc())
        last = pen.connection.execute(query.limit(1)).mappings().first()
        if last and last["kind"] == "verdict" and last["name"] != "pending":
            raise ServiceError(f"run {row['run_id']} is closed: start a new run")
        if last:
            chain, before = last["chain"], last["at"]
        else:
            run = _find_run(pen.connection, row["run_id"]) or _refuse_unknown(row["run_id"])
            chain, before = self._run_code(run), run["started_at"]
        seq = last["seq"] + 1 if last else 1
        whole = {**row, "seq": seq, "at": max(stamp(), before), "sealed": sealed}
        link = self._link(chain, whole)
        pen.insert(EVIDENCE, {**whole, "chain": link})
        if row["kind"] in JOURNALED:
            what = cast("What", row["kind"])
            pen.write(Line(what, row["name"], row["run_id"], seq, link))
        if row["kind"] == "verdict":
            end_lease(pen.connection, row["run_id"])

    def _run_code(self, run: sa.RowMapping) -> str:
        """Give the code of a run's own row, to which its first entry is chained."""
        return _code(self._chain_key(), "", [run[column.name] for column in RUNS.c])

    def _link(self, chain: str, row: sa.RowMapping | Mapping[str, str | bytes | int | None]) -> str:
        return _link(self._chain_key(), chain, row)

    def _chain_key(self) -> bytes:
        return self.keys.derive("evidence-chain")


def _link(
    key: bytes, chain: str, row: sa.RowMapping | Mapping[str, str | bytes | int | None]
) -> str:
    return _code(key, chain, [row[name] for name in CHAINED])


def _code(key: bytes, chain: str, values: list[str | int | bytes | None]) -> str:
    plain = [value.hex() if isinstance(value, bytes) else value for value in values]
    return hmac.digest(key, json.dumps([chain, *plain]).encode(), "sha256").hex()


def _intended(connection: sa.Connection, run_id: str | None = None) -> set[str]:
    """Give the runs that began to hand over, or the one, if it did."""
    query = sa.select(EVIDENCE.c.run_id).where(EVIDENCE.c.kind == INTENT)
    if run_id is not None:
        query = query.where(EVIDENCE.c.run_id == run_id)
    return {*connection.scalars(query)}


def _find_run(connection: sa.Connection, run_id: str) -> sa.RowMapping | None:
    return connection.execute(sa.select(RUNS).where(RUNS.c.run_id == run_id)).mappings().first()


def _refuse_unknown(run_id: str) -> NoReturn:
    raise ServiceError(f"run {run_id} is not on the record: it has to begin first")


def _begun_code(key: bytes, run: Mapping[str, str] | sa.RowMapping) -> str:
    """Give the code of a run's own row; its long facts are last, and not quoted once more."""
    short = json.dumps([run["run_id"], run["policy"], run["started_at"]])
    return hmac.digest(key, f"{short}\n{run['facts']}".encode(), "sha256").hex()


def _entries_of(run_id: str) -> sa.Select[tuple[object, ...]]:
    return sa.select(EVIDENCE).where(EVIDENCE.c.run_id == run_id).order_by(EVIDENCE.c.seq)


_REMOVED = sa.and_(JOURNAL.c.what == RETENTION, JOURNAL.c.name == EVIDENCE_REMOVED)
_NAMED = sa.and_(EVIDENCE.c.run_id == JOURNAL.c.run_id, EVIDENCE.c.seq == JOURNAL.c.place)
_LOST = (
    sa.select(JOURNAL.c.run_id, JOURNAL.c.what, JOURNAL.c.name, JOURNAL.c.place)
    .outerjoin(EVIDENCE, _NAMED)
    .where(
        JOURNAL.c.what.in_(JOURNALED),
        JOURNAL.c.run_id.not_in(sa.select(JOURNAL.c.run_id).where(_REMOVED).correlate(None)),
        sa.or_(EVIDENCE.c.chain.is_(None), EVIDENCE.c.chain != JOURNAL.c.code),
    )
    .order_by(JOURNAL.c.seq)
    .limit(1)
)
"""The first entry of which the journal says something else."""


def _text(value: JSON | Mapping[str, JSON]) -> str:
    """Write JSON in one fixed form: sorted names, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
