"""The release ledger: plans that were frozen, and what left under them, sealed.

A plan is frozen once per version of a policy, outlet and data period. It stands as long as the run
that fitted it may still release, or something left under it; a plan whose run was refused before
anything left makes way for the next. A release is recorded before its goods leave, and stands
unless its run was refused or failed without handing it over: so a crash in between leaves a
release on record that nobody saw, never one that was seen and is not on record.

Beside a release is kept, under a seal of its own, who was in it: each person by a number that is
made for this alone, and the number of their class. It is what later tables are crossed with, about
the same people whatever outlet or policy they leave by. It is personal data, so unlike all else it
is removed: when the policy's days are over, or a person is erased (`forget`, `rewrite`), which the
journal then says. Without it a release stands, and can no longer be crossed.

Other rows are appended, never changed. The content of each is sealed under a label that holds all
other columns, so that an edit of any shows; and each is named in the journal (`ledgers.journal`),
so that one that was removed, replaced or put in shows to whoever asks for a plan or a history. What
is sealed beside people are the plan's labels and the released rows with their counts: no key and no
name of a person, but whatever the policy releases, tokens included.
"""

from __future__ import annotations

import hmac
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from ledgers.home.database import overwrite_deleted, snapshot
from ledgers.home.keys import NONCE_BYTES, Keys
from ledgers.journal import Line, Pen, What, read_lines, recording, refuse, signed_head
from ledgers.signed_heads import SignedHead

METADATA = sa.MetaData()
PLANS = sa.Table(
    "release_plans",
    METADATA,
    sa.Column("policy_sha256", sa.String(64), primary_key=True),
    sa.Column("outlet", sa.Text, primary_key=True),
    sa.Column("period", sa.String(16), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("fitted_on", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)
RELEASES = sa.Table(
    "releases",
    METADATA,
    sa.Column("policy", sa.Text, primary_key=True),
    sa.Column("outlet", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("recipient", sa.Text, nullable=False),
    sa.Column("policy_sha256", sa.String(64), nullable=False),
    sa.Column("period", sa.String(16), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

PEOPLE = sa.Table(
    "release_people",
    METADATA,
    sa.Column("policy", sa.Text, primary_key=True),
    sa.Column("outlet", sa.Text, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("run_id", sa.String(64), nullable=False),
    sa.Column("until", sa.String(32), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

PLAN: Final = "plan"
RELEASED: Final = "released"
HELD: Final = "people"
"""What lines of the journal name: rows of each table, by their names there."""
TABLES: Final[Mapping[What, sa.Table]] = {PLAN: PLANS, RELEASED: RELEASES, HELD: PEOPLE}
LABELS: Final[Mapping[What, str]] = {
    PLAN: "release plan", RELEASED: "release", HELD: "people of release",
}  # fmt: skip
"""What each is called where it is sealed."""


@dataclass(frozen=True, slots=True)
class PlanName:
    """What a plan is for: one version of a policy, one of its outlets, one data period."""

    policy_sha256: str
    outlet: str
    period: str


@dataclass(frozen=True, slots=True)
class FrozenPlan:
    """A plan, and on whom it was fitted: the run, the moment (UTC, ISO 8601), a told count."""

    name: PlanName
    version: int
    run_id: str
    at: str
    fitted_on: str
    """How many people, by the disclosure rule."""
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Release:
    """What left, or was about to: the `seq`-th of one outlet of one policy, under one plan."""

    policy: str
    seq: int
    run_id: str
    recipient: str
    plan: PlanName
    version: int
    """Of the plan."""
    at: str
    content: bytes = field(repr=False)
    people: bytes | None = field(default=None, repr=False)
    """Who was in it and in which class; None where that was not kept, or is forgotten."""
    until: str = ""
    """When `people` are to be forgotten (UTC, ISO 8601)."""

    @property
    def name(self) -> str:
        """Its name in this home, as the journal has it, and its number."""
        return f"{self.policy}/{self.plan.outlet}/{self.seq}"

    def is_under(self, plan: FrozenPlan) -> bool:
        """Whether it was made by this plan."""
        return (self.plan, self.version) == (plan.name, plan.version)


@dataclass(frozen=True, slots=True)
class ReleaseHistory:
    """The releases of one outlet that stand, oldest first, and the last number given to any."""

    standing: tuple[Release, ...]
    last: int


@dataclass(frozen=True, slots=True)
class _Known:
    """The rows without what they seal, each as the journal names it, and what it says of runs."""

    plans: Sequence[sa.RowMapping]
    releases: Sequence[sa.RowMapping]
    decided: Mapping[str, str]
    handed_over: frozenset[tuple[str, str]]

    def stands(self, row: sa.RowMapping) -> bool:
        """Whether a row's run was not refused or failed, or handed its outlet over all the same."""
        refused = self.decided.get(row["run_id"]) in {"refused", "failed"}
        return not refused or (row["run_id"], row["outlet"]) in self.handed_over


@dataclass(frozen=True, slots=True)
class ReleaseLedger:
    """Plans and releases in an opened database; every method is one transaction.

    Each raises Refusal where a row is not as it was written, or not there.
    """

    engine: sa.Engine
    keys: Keys

    def find_plan(self, name: PlanName) -> FrozenPlan | None:
        """Give the plan that stands for `name`, if one does."""
        signed = signed_head(self.engine, self.keys)
        with snapshot(self.engine) as connection:
            return self._standing_plan(connection, self._read(connection, signed), name)

    def read_plan(self, name: PlanName, version: int) -> FrozenPlan | None:
        """Give one version of a plan, whether or not it stands; None if it never was."""
        query = _plans_of(name).where(PLANS.c.version == version)
        with snapshot(self.engine) as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else self._open_plan(row)

    def freeze(  # noqa: PLR0913, PLR0917  # what a plan is, and what it follows
        self, name: PlanName, run_id: str, at: str, told: str, content: bytes, after: int = 0
    ) -> FrozenPlan:
        """Freeze a plan, unless one stands by now: of two runs that race, both get the first's.

        One up to version `after` is no longer one that can be used.
        """
        with recording(self.engine, self.keys) as pen:
            _lock(pen.connection)
            known = self._read(pen.connection, signed_head(self.engine, self.keys))
            standing = self._standing_plan(pen.connection, known, name)
            if standing is not None and standing.version > after:
                return standing
            last = max((row["version"] for row in known.plans if _is_of(row, name)), default=0)
            plan = FrozenPlan(name, last + 1, run_id, at, told, content)
            self._insert(pen, PLAN, _plan_row(plan), content)
        return plan

    def history(self, policy: str, outlet: str) -> ReleaseHistory:
        """Give what was released of an outlet under any plan, to whomever."""
        signed = signed_head(self.engine, self.keys)
        with snapshot(self.engine) as connection:
            known = self._read(connection, signed)
            own = [one for one in known.releases if (one.policy, one.outlet) == (policy, outlet)]
            standing = self._open_releases(connection, [one for one in own if known.stands(one)])
        return ReleaseHistory(standing, max((row["seq"] for row in own), default=0))

    def standing(self) -> tuple[tuple[Release, ...], int]:
        """Give every release that stands, of any policy and outlet, oldest first.

        Also how many there ever were, which `record` compares.
        """
        signed = signed_head(self.engine, self.keys)
        with snapshot(self.engine) as connection:
            known = self._read(connection, signed)
            rows = [one for one in known.releases if known.stands(one)]
            return self._open_releases(connection, rows), len(known.releases)

    def forget(self, now: str) -> int:
        """Remove who was in releases where that is due; say of how many releases."""
        due = sa.select(PEOPLE).where(PEOPLE.c.until <= now)
        return self._rewrite(due, lambda _: None)

    def rewrite(self, change: Callable[[bytes], bytes]) -> int:
        """Put what is known of a release's people anew where a change makes it another."""
        done = self._rewrite(sa.select(PEOPLE), change)
        if done:
            overwrite_deleted(self.engine)
        return done

    def _rewrite(
        self, query: sa.Select[tuple[object, ...]], change: Callable[[bytes], bytes | None]
    ) -> int:
        done = 0
        with recording(self.engine, self.keys) as pen:
            _lock(pen.connection)
            rows = pen.connection.execute(query).mappings().all()
            if rows:
                self._read(pen.connection, signed_head(self.engine, self.keys))
            for row in rows:
                before = self._unseal(LABELS[HELD], row)
                after = change(before)
                if after == before:
                    continue
                plain = {name: row[name] for name in row if name != "sealed"}
                same = [column == row[column.name] for column in PEOPLE.primary_key]
                pen.connection.execute(sa.delete(PEOPLE).where(*same))
                if after is None:
                    pen.write(Line("forgotten", *_place_line(HELD, plain), ""))
                else:
                    self._insert(pen, HELD, plain, after)
                done += 1
        return done

    def record(self, release: Release, seen: int | None = None) -> bool:
        """Record a release as the next of its outlet; False if its number is taken by now.

        False too where there are more releases than the `seen` that it was judged beside. Refusal
        where its plan was never frozen: no later release could be compared with it.
        """
        row = _release_row(release)
        of = sa.and_(RELEASES.c.policy == release.policy, RELEASES.c.outlet == release.plan.outlet)
        with recording(self.engine, self.keys) as pen:
            _lock(pen.connection)
            last = pen.connection.scalar(sa.select(sa.func.max(RELEASES.c.seq)).where(of)) or 0
            if release.seq != last + 1:
                return False
            known = self._read(pen.connection, signed_head(self.engine, self.keys))
            if seen is not None and seen != len(known.releases):
                return False
            ours = [plan for plan in known.plans if _is_of(plan, release.plan)]
            if not any(plan["version"] == release.version for plan in ours):
                name, _ = _name_row(PLAN, row)
                refuse(f"{_say(PLAN, name, release.version)} was never frozen, so nothing leaves")
            self._insert(pen, RELEASED, row, release.content)
            if release.people is not None:
                self._insert(pen, HELD, _people_row(release), release.people)
        return True

    def _read(self, connection: sa.Connection, signed: SignedHead | None) -> _Known:
        """Read both tables and the journal, and hold them against each other."""
        lines = read_lines(connection, self.keys, signed)
        named: dict[tuple[What, str, int], Line] = {}
        for one in lines:
            if one.what == "forgotten":
                named.pop((HELD, one.name, one.place), None)
            else:
                named[one.what, one.name, one.place] = one
        found: dict[What, Sequence[sa.RowMapping]] = {}
        for what, table in TABLES.items():
            plain = [column for column in table.c if column.name != "sealed"]
            nonce = sa.func.substr(table.c.sealed, 1, NONCE_BYTES).label("nonce")
            found[what] = connection.execute(sa.select(*plain, nonce)).mappings().all()
            for row in found[what]:
                name, place = _name_row(what, row)
                line = named.pop((what, name, place), None)
                if line is None or not line.names(self._code(row, bytes(row["nonce"]))):
                    refuse(f"{_say(what, name, place)} is not the one that was recorded")
        for what, name, place in named:
            if what in found:
                refuse(f"{_say(what, name, place)} is gone")
        decided = {line.run_id: line.name for line in lines if line.what == "decision"}
        handed = frozenset((line.run_id, line.name) for line in lines if line.what == "release")
        return _Known(found[PLAN], found[RELEASED], decided, handed)

    def _insert(self, pen: Pen, what: What, row: Mapping[str, str | int], content: bytes) -> None:
        """Seal a row's content, insert it, and name it in the journal."""
        sealed = self.keys.seal(zlib.compress(content), _label(LABELS[what], row))
        pen.insert(TABLES[what], {**row, "sealed": sealed})
        code = self._code(row, sealed[:NONCE_BYTES])
        pen.write(Line(what, *_place_line(what, row), code))

    def _code(self, row: Mapping[str, str | int] | sa.RowMapping, nonce: bytes) -> str:
        """Give the code of a row; which content goes with a nonce, its seal says."""
        plain = {name: row[name] for name in row if name != "nonce"}
        message = json.dumps([plain, nonce.hex()], sort_keys=True).encode()
        return hmac.digest(self.keys.derive("release-codes"), message, "sha256").hex()

    def _standing_plan(
        self, connection: sa.Connection, known: _Known, name: PlanName
    ) -> FrozenPlan | None:
        """Give the newest plan of `name` if its run, or a release under it, stands."""
        made = [row for row in known.plans if _is_of(row, name)]
        if not made:
            return None
        newest = max(made, key=lambda row: row["version"])
        under = [row for row in known.releases if _is_of(row, name)]
        same = [row for row in under if row["version"] == newest["version"]]
        if not any(known.stands(row) for row in (newest, *same)):
            return None
        query = _plans_of(name).where(PLANS.c.version == newest["version"])
        return self._open_plan(connection.execute(query).mappings().one())

    def _open_plan(self, row: sa.RowMapping) -> FrozenPlan:
        content = self._unseal(LABELS[PLAN], row)
        name = PlanName(row["policy_sha256"], row["outlet"], row["period"])
        return FrozenPlan(name, row["version"], row["run_id"], row["at"], row["fitted_on"], content)

    def _open_releases(
        self, connection: sa.Connection, rows: Sequence[sa.RowMapping]
    ) -> tuple[Release, ...]:
        """Open some rows' releases and who was in them, oldest first."""
        names = ("policy", "outlet", "seq")
        wanted = {tuple(row[name] for name in names) for row in rows}
        by = (RELEASES.c.at, RELEASES.c.policy, RELEASES.c.outlet, RELEASES.c.seq)
        opened = []
        for row in connection.execute(sa.select(RELEASES).order_by(*by)).mappings():
            if tuple(row[name] for name in names) in wanted:
                same = [PEOPLE.c[name] == row[name] for name in names]
                people = connection.execute(sa.select(PEOPLE).where(*same)).mappings().first()
                opened.append(self._open_release(row, people))
        return tuple(opened)

    def _open_release(self, row: sa.RowMapping, people: sa.RowMapping | None) -> Release:
        content = self._unseal(LABELS[RELEASED], row)
        plan = PlanName(row["policy_sha256"], row["outlet"], row["period"])
        return Release(
            row["policy"], row["seq"], row["run_id"], row["recipient"], plan, row["version"],
            row["at"], content,
            None if people is None else self._unseal(LABELS[HELD], people),
            "" if people is None else people["until"],
        )  # fmt: skip

    def _unseal(self, what: str, row: sa.RowMapping) -> bytes:
        plain = {name: row[name] for name in row if name != "sealed"}
        return zlib.decompress(self.keys.unseal(bytes(row["sealed"]), _label(what, plain)))


def _label(what: str, row: Mapping[str, str | int]) -> str:
    """Name what is sealed by everything that stands beside it in clear."""
    return f"{what}:{json.dumps(row, sort_keys=True)}"


def _name_row(what: str, row: Mapping[str, str | int] | sa.RowMapping) -> tuple[str, int]:
    """Give the name and the place by which the journal names a row."""
    if what == PLAN:
        return f"{row['policy_sha256']}/{row['outlet']}/{row['period']}", int(row["version"])
    return f"{row['policy']}/{row['outlet']}", int(row["seq"])


def _say(what: str, name: str, place: int) -> str:
    if what == HELD:
        return f"who was in release {place} of {name}"
    return f"{'frozen plan' if what == PLAN else 'release'} {place} of {name}"


def _place_line(what: What, row: Mapping[str, str | int]) -> tuple[str, str, int]:
    """Give what a line says of a row: its name, its run and its place."""
    name, place = _name_row(what, row)
    return name, str(row["run_id"]), place


def _is_of(row: sa.RowMapping, name: PlanName) -> bool:
    return (row["policy_sha256"], row["outlet"], row["period"]) == (
        name.policy_sha256,
        name.outlet,
        name.period,
    )


def _plans_of(name: PlanName) -> sa.Select[tuple[object, ...]]:
    return sa.select(PLANS).where(
        PLANS.c.policy_sha256 == name.policy_sha256,
        PLANS.c.outlet == name.outlet,
        PLANS.c.period == name.period,
    )


def _plan_row(plan: FrozenPlan) -> dict[str, str | int]:
    return {
        "policy_sha256": plan.name.policy_sha256,
        "outlet": plan.name.outlet,
        "period": plan.name.period,
        "version": plan.version,
        "run_id": plan.run_id,
        "at": plan.at,
        "fitted_on": plan.fitted_on,
    }


def _release_row(release: Release) -> dict[str, str | int]:
    return {
        "policy": release.policy,
        "outlet": release.plan.outlet,
        "seq": release.seq,
        "run_id": release.run_id,
        "recipient": release.recipient,
        "policy_sha256": release.plan.policy_sha256,
        "period": release.plan.period,
        "version": release.version,
        "at": release.at,
    }


def _people_row(release: Release) -> dict[str, str | int]:
    return {
        "policy": release.policy,
        "outlet": release.plan.outlet,
        "seq": release.seq,
        "run_id": release.run_id,
        "until": release.until,
    }


def _lock(connection: sa.Connection) -> None:
    """Wait for one's turn to write; SQLite took its lock when the transaction began."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7846104)"))
