"""Who is at work on a run: a lease in the database, by the database's clock.

Machines that share a ledger database cannot see each other's processes. So whoever begins a run, or
finishes one, has a lease on it and renews it while the process lives. A lease that lapsed is lost,
also by a machine that merely stood still, and is not renewed: what that machine writes next of the
run is refused as soon as another one has taken it, and it begins to hand nothing over.

SQLite is one machine's, whose vault tells by its locks who lives: there nothing is leased. What a
run is, and whether anything of it can have left, is not known here. Nothing protects these rows:
whoever writes to the database can end a run's lease, as he can end the run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from expectations.errors import ServiceError
from ledgers.home.database import transaction
from ledgers.home.keys import Keys
from ledgers.home.machine import name_machine

LASTS: Final = 120.0
"""Seconds: longer than a database takes to restart, and not so long that nobody waits for it."""
RENEWED: Final = 15.0
"""Seconds between two renewals: several may fail before the lease lapses."""

METADATA = sa.MetaData()
LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column("run_id", sa.String(64), primary_key=True),
    sa.Column("machine", sa.String(32), nullable=False),
    sa.Column("until", sa.Double, nullable=False),
)
NOW: Final = sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Double)


@dataclass(frozen=True, slots=True)
class Lease:
    """Which machine has a run, and whether it still does by the database's clock."""

    machine: str
    lives: bool


def read_leases(connection: sa.Connection) -> dict[str, Lease]:
    """Give all leases by run."""
    if not _is_shared(connection):
        return {}
    found = connection.execute(sa.select(LEASES.c.run_id, LEASES.c.machine, LEASES.c.until > NOW))
    return {run_id: Lease(machine, lives) for run_id, machine, lives in found}


def lock_lease(connection: sa.Connection, run_id: str) -> Lease | None:
    """Give a run's lease, which nobody else changes until this transaction ends."""
    if not _is_shared(connection):
        return None
    query = sa.select(LEASES.c.machine, LEASES.c.until).where(LEASES.c.run_id == run_id)
    row = connection.execute(query.with_for_update()).first()
    # By the clock as it is once the row is ours, which can take its time.
    return (
        None
        if row is None
        else Lease(row[0], bool(connection.scalar(sa.select(sa.literal(row[1]) > NOW))))
    )


def grant(connection: sa.Connection, keys: Keys, run_id: str) -> None:
    """Give this machine the lease of a run, whoever had it; the caller has locked it."""
    if not _is_shared(connection):
        return
    connection.execute(sa.delete(LEASES).where(LEASES.c.run_id == run_id))
    row = {"run_id": run_id, "machine": name_machine(keys), "until": NOW + LASTS}
    connection.execute(sa.insert(LEASES).values(row))


def end_lease(connection: sa.Connection, run_id: str) -> None:
    """Let a lease lapse now."""
    if _is_shared(connection):
        ended = sa.update(LEASES).where(LEASES.c.run_id == run_id)
        connection.execute(ended.values(until=NOW))


def refuse_taken(connection: sa.Connection, keys: Keys, run_id: str) -> None:
    """Raise `ServiceError` where another machine has taken a run, which may not be written to."""
    query = sa.select(LEASES.c.machine).where(LEASES.c.run_id == run_id).with_for_update()
    machine = connection.scalar(query) if _is_shared(connection) else None
    if machine is not None and machine != name_machine(keys):
        raise ServiceError(
            f"another machine has taken run {run_id}, since this one did not answer for more than "
            f"{LASTS:.0f} s. Nothing more is handed over from here: run the policy again"
        )


def refuse_lapsed(connection: sa.Connection, keys: Keys, run_id: str) -> None:
    """Raise `ServiceError` unless this machine's lease on a run lives, until the transaction ends.

    Without a lease, as on SQLite, nothing is refused.
    """
    refuse_taken(connection, keys, run_id)
    lease = lock_lease(connection, run_id)
    if lease is not None and not lease.lives:
        raise ServiceError(
            f"this machine did not answer for more than {LASTS:.0f} s, so it lost its hold on run "
            f"{run_id}, and nothing was handed over: the next tutela command here asks for consent "
            "again and completes the run"
        )


@contextmanager
def renewed(engine: sa.Engine, keys: Keys, run_id: str) -> Iterator[None]:
    """Renew a lease meanwhile, in a thread of its own, until it is lost or ends."""
    if engine.dialect.name != "postgresql":
        yield
        return
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(engine, keys, run_id, done), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()


def _renew(engine: sa.Engine, keys: Keys, run_id: str, done: threading.Event) -> None:
    mine = (LEASES.c.run_id == run_id) & (LEASES.c.machine == name_machine(keys))
    longer = sa.update(LEASES).where(mine, LEASES.c.until > NOW).values(until=NOW + LASTS)
    while not done.wait(RENEWED):
        # A database that is away for a moment is asked again.
        with suppress(ServiceError), transaction(engine) as connection:
            if not connection.execute(longer).rowcount:
                return


def _is_shared(connection: sa.Connection) -> bool:
    return connection.dialect.name == "postgresql"
