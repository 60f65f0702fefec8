"""The release ledger: plans that were frozen, and what left under them, sealed.

A plan is frozen once per version of a policy, outlet and data period. It stands as long as the run
that fitted it may still release, or something left under it; a plan whose run was refused before
anything left makes way for the next. A release is recorded before its goods leave, and stands
unless its run was refused or failed without handing it over: so a crash in between leaves a
release on record that nobody saw, never one that was seen and is not on record.

Rows are appended, never changed. The content of both is sealed under a label that holds all other
columns, so that an edit of any shows; a row that was removed past the triggers does not. What is
sealed are the plan's labels and the released rows with their counts: no key and no name of a
person, but whatever the policy releases, tokens included.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from ledgers.evidence import EVIDENCE
from ledgers.home.database import transaction
from ledgers.home.keys import Keys

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

    def is_under(self, plan: FrozenPlan) -> bool:
        """Whether it was made by this plan."""
        return (self.plan, self.version) == (plan.name, plan.version)


@dataclass(frozen=True, slots=True)
class ReleaseHistory:
    """The releases of one outlet that stand, oldest first, and the last number given to any."""

    standing: tuple[Release, ...]
    last: int


@dataclass(frozen=True, slots=True)
class ReleaseLedger:
    """Plans and releases in an opened database; every method is one transaction."""

    engine: sa.Engine
    keys: Keys

    def find_plan(self, name: PlanName) -> FrozenPlan | None:
        """Give the plan that stands for `name`, if one does."""
        with transaction(self.engine) as connection:
            return self._standing_plan(connection, name)

    def read_plan(self, name: PlanName, version: int) -> FrozenPlan | None:
        """Give one version of a plan, whether or not it stands; None if it never was."""
        query = _plans_of(name).where(PLANS.c.version == version)
        with transaction(self.engine) as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else self._open_plan(row)

    def freeze(self, name: PlanName, run_id: str, at: str, told: str, content: bytes) -> FrozenPlan:
        """Freeze a plan, unless one stands by now: of two runs that race, both get the first's."""
        with transaction(self.engine) as connection:
            _lock(connection)
            if (standing := self._standing_plan(connection, name)) is not None:
                return standing
            last = connection.scalar(_plans_of(name, sa.func.max(PLANS.c.version)))
            plan = FrozenPlan(name, (last or 0) + 1, run_id, at, told, content)
            row = _plan_row(plan)
            sealed = self._seal("release plan", row, content)
            connection.execute(sa.insert(PLANS), {**row, "sealed": sealed})
        return plan

    def history(self, policy: str, outlet: str) -> ReleaseHistory:
        """Give what was released of an outlet under any plan, to whomever."""
        of = sa.and_(RELEASES.c.policy == policy, RELEASES.c.outlet == outlet)
        query = sa.select(RELEASES).where(of, _stands(RELEASES)).order_by(RELEASES.c.seq)
        with transaction(self.engine) as connection:
            last = connection.scalar(sa.select(sa.func.max(RELEASES.c.seq)).where(of))
            rows = connection.execute(query).mappings().all()
        return ReleaseHistory(tuple(self._open_release(row) for row in rows), last or 0)

    def record(self, release: Release) -> bool:
        """Record a release as the next of its outlet; False if its number is taken by now."""
        row = _release_row(release)
        sealed = self._seal("release", row, release.content)
        of = sa.and_(RELEASES.c.policy == release.policy, RELEASES.c.outlet == release.plan.outlet)
        with transaction(self.engine) as connection:
            _lock(connection)
            last = connection.scalar(sa.select(sa.func.max(RELEASES.c.seq)).where(of)) or 0
            if release.seq != last + 1:
                return False
            connection.execute(sa.insert(RELEASES), {**row, "sealed": sealed})
        return True

    def _standing_plan(self, connection: sa.Connection, name: PlanName) -> FrozenPlan | None:
        """Give the newest plan of `name` if its run, or a release under it, stands."""
        newest = _plans_of(name).order_by(PLANS.c.version.desc()).limit(1)
        row = connection.execute(newest).mappings().first()
        if row is None:
            return None
        plan = self._open_plan(row)
        of_plan = [RELEASES.c[key] == row[key] for key in ("policy_sha256", "outlet", "period")]
        released = sa.select(RELEASES.c.seq).where(
            *of_plan, RELEASES.c.version == plan.version, _stands(RELEASES)
        )
        fitted = sa.select(PLANS.c.version).where(
            PLANS.c.run_id == plan.run_id, PLANS.c.version == plan.version, _stands(PLANS)
        )
        stands = connection.scalar(sa.select(sa.or_(sa.exists(released), sa.exists(fitted))))
        return plan if stands else None

    def _open_plan(self, row: sa.RowMapping) -> FrozenPlan:
        content = self._unseal("release plan", row)
        name = PlanName(row["policy_sha256"], row["outlet"], row["period"])
        return FrozenPlan(name, row["version"], row["run_id"], row["at"], row["fitted_on"], content)

    def _open_release(self, row: sa.RowMapping) -> Release:
        content = self._unseal("release", row)
        plan = PlanName(row["policy_sha256"], row["outlet"], row["period"])
        return Release(
            row["policy"], row["seq"], row["run_id"], row["recipient"], plan, row["version"],
            row["at"], content,
        )  # fmt: skip

    def _seal(self, what: str, row: Mapping[str, str | int], content: bytes) -> bytes:
        return self.keys.seal(zlib.compress(content), _label(what, row))

    def _unseal(self, what: str, row: sa.RowMapping) -> bytes:
        plain = {name: row[name] for name in row if name != "sealed"}
        return zlib.decompress(self.keys.unseal(bytes(row["sealed"]), _label(what, plain)))


def _label(what: str, row: Mapping[str, str | int]) -> str:
    """Name what is sealed by everything that stands beside it in clear."""
    return f"{what}:{json.dumps(row, sort_keys=True)}"


def _plans_of(name: PlanName, *wanted: sa.ColumnElement[int]) -> sa.Select[tuple[int]]:
    query: sa.Select[tuple[int]] = sa.select(*wanted) if wanted else sa.select(PLANS)
    return query.where(
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


def _stands(table: sa.Table) -> sa.ColumnElement[bool]:
    """Whether a row's run was not refused or failed, or handed this outlet over all the same."""
    decided = (
        sa.select(EVIDENCE.c.name)
        .where(EVIDENCE.c.run_id == table.c.run_id, EVIDENCE.c.kind == "decision")
        .order_by(EVIDENCE.c.seq.desc())
        .limit(1)
        .scalar_subquery()
    )
    handed_over = sa.exists().where(
        EVIDENCE.c.run_id == table.c.run_id,
        EVIDENCE.c.kind == "release",
        EVIDENCE.c.name == table.c.outlet,
    )
    return sa.or_(decided.is_(None), decided.not_in(["refused", "failed"]), handed_over)


def _lock(connection: sa.Connection) -> None:
    """Wait for one's turn to write; SQLite took its lock when the transaction began."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7846104)"))
