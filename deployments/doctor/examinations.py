"""The examinations of `tutela doctor`: each looks at one thing, and says what is wrong and its fix.

None prints a secret: addresses are shown without a login, and variables by their names.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from deployments.servers.prefect_process import read_note
from deployments.servers.prefect_server import answers_well, named_mlflow, set_environment
from expectations.errors import TutelaError
from ledgers.evidence import EVIDENCE, RUNS
from ledgers.home.database import open_database, snapshot
from ledgers.home.home import Home, own_policies, without_login
from ledgers.home.keys import Keys

LEAST_FREE: Final = 2 * 2**30
"""Bytes that a disk should have left: a run's tables, its model, and the servers' databases."""
SKEW: Final = timedelta(seconds=5)
"""How far two clocks may be apart: a request and a busy machine take no longer."""
PATIENCE: Final = 2.0
"""Seconds to wait for another writer of the ledger, whose transactions are short."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong, and what to do about it unless that says it."""

    what: str
    fix: str = ""


Found = Iterator[Fault]


@dataclass(frozen=True)
class Patient:
    """The home at a path, opened once for all examinations, if it can be."""

    root: Path

    @cached_property
    def home(self) -> Home:
        """The home; raises HomeError."""
        return Home.open(self.root)

    @cached_property
    def engine(self) -> sa.Engine:
        """Its ledgers; raises HomeError and ServiceError."""
        return open_database(self.home)


def examine(patient: Patient, look: Callable[[Patient], Found]) -> list[Fault]:
    """Make one examination; what keeps it from being made is its fault."""
    try:
        return list(look(patient))
    except TutelaError as error:
        return [Fault(str(error))]


def examine_versions(_patient: Patient) -> Found:
    """Hold what is installed against what tutela was tried with."""
    from packaging.requirements import Requirement

    for line in requires("tutela") or ():
        asked = Requirement(line)
        if asked.marker is not None and not asked.marker.evaluate({"extra": ""}):
            continue
        try:
            there = version(asked.name)
        except PackageNotFoundError:
            yield Fault(f"{asked.name} is not installed", f'pip install "{line}"')
            continue
        if not asked.specifier.contains(there, prereleases=True):
            yield Fault(
                f"{asked.name} {there} is installed, and tutela needs {asked.specifier}",
                f'pip install "{asked.name}{asked.specifier}", or install from requirements.lock',
            )


def examine_home(patient: Patient) -> Found:
    """Open the home: its parts, their owner, and its settings."""
    assert patient.home
    yield from ()


def examine_settings(patient: Patient) -> Found:
    """See that the folder of own policies is there, if one is named."""
    named, place = patient.home.settings.policies, own_policies()
    if named and place is not None and not place.is_dir():
        yield Fault(f"policies = {named} is no folder", f"Make {place}, or correct settings.toml")


def examine_permissions(patient: Patient) -> Found:
    """Look for files that other accounts may read or write, or that another account owns.

    Own policies aside, which their author writes as any file.
    """
    open_to_others, foreign = 0, 0
    for folder, folders, files in os.walk(patient.home.root):
        folders[:] = [name for name in folders if Path(folder, name) != own_policies()]
        for path in (folder, *(os.path.join(folder, name) for name in files)):  # noqa: PTH118 - many
            found = os.lstat(path)
            foreign += found.st_uid != os.geteuid()
            open_to_others += not stat.S_ISLNK(found.st_mode) and bool(found.st_mode & 0o077)
    root = patient.home.root
    if open_to_others:
        said = f"{open_to_others} file{'s' * (open_to_others > 1)} can be reached by other accounts"
        yield Fault(said, f"chmod -R go= {root}")
    if foreign:
        said = f"{foreign} file{'s' * (foreign > 1)} belong to another account"
        yield Fault(said, f"chown -R {os.geteuid()} {root}")


def examine_keys(patient: Patient) -> Found:
    """Open the keys, and say it where no passphrase protects them."""
    Keys.open(patient.home)
    yield from ()


def examine_variables(patient: Patient) -> Found:
    """See that nothing in the environment has libraries send or store what they should not."""
    set_environment(patient.home)
    yield from ()


def examine_disk(patient: Patient) -> Found:
    """See that there is room for what the next runs write."""
    free = shutil.disk_usage(patient.home.root).free
    if free < LEAST_FREE:
        yield Fault(
            f"{free / 2**30:.1f} GiB are free on the home's disk",
            f"Free space, to {LEAST_FREE / 2**30:.0f} GiB at least; `tutela maintain` removes what "
            "is due",
        )


def examine_locks(patient: Patient) -> Found:
    """See whether another program holds the ledger for longer than a transaction takes."""
    if patient.home.settings.database_url is not None:
        query = sa.text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = "
            "'idle in transaction' AND now() - state_change > interval '1 minute'"
        )
        with snapshot(patient.engine) as connection:
            if connection.scalar(query):
                yield Fault(
                    "a connection holds the ledger database and does nothing",
                    "End its program; SELECT pid FROM pg_stat_activity WHERE state = 'idle in "
                    "transaction' names it",
                )
        return
    ledger = patient.home.ledger
    try:
        with closing(sqlite3.connect(ledger, timeout=PATIENCE, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        yield Fault(f"another program holds {ledger}", f"`fuser -v {ledger}` names it; end it")


def examine_ledgers(patient: Patient) -> Found:
    """Open the ledgers, bring their schema up to date, and have SQLite look at its file."""
    if patient.engine.dialect.name != "sqlite":
        return
    with snapshot(patient.engine) as connection:
        said = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if said != "ok":
        yield Fault("the ledger database is damaged", "Restore it from a backup (it is the record)")


def examine_clock(patient: Patient) -> Found:
    """Hold this machine's clock against the newest record, and against the database's."""
    with snapshot(patient.engine) as connection:
        newest = max(
            connection.scalar(sa.select(sa.func.max(column))) or ""
            for column in (RUNS.c.started_at, EVIDENCE.c.at)
        )
        there = None
        if connection.dialect.name == "postgresql":
            there = connection.scalar(sa.text("SELECT clock_timestamp()"))
    now = datetime.now(UTC)
    fix = "Set the clock, and have it kept (chrony, systemd-timesyncd)"
    if newest and datetime.fromisoformat(newest) > now + SKEW:
        yield Fault(f"it is behind the newest record, of {newest[:19]} UTC", fix)
    if there is not None and abs(there - now) > SKEW:
        yield Fault(f"it differs from the database's by {abs(there - now).seconds} s", fix)


def examine_servers(patient: Patient) -> Found:
    """Ask the servers that settings and variables name; the home's own start when needed."""
    home, mlflow = patient.home, named_mlflow(patient.home)
    url = home.settings.prefect_api_url
    for name, address, path, expected, variable in (
        ("Prefect", url, "/health", b"true", "PREFECT_API_URL"),
        ("MLflow", mlflow, "/health", b"OK", "MLFLOW_TRACKING_URI"),
    ):
        if address and not answers_well(f"{address}{path}", expected):
            yield Fault(
                f"no {name} answers at {without_login(address)}",
                f"Start that server, or correct {variable}, in the environment or settings.toml",
            )


def examine_processes(patient: Patient) -> Found:
    """Look for processes of this home that nobody uses any more."""
    home = patient.home
    note, there = read_note(home), dict(list_processes(home))
    for pid, (parent, words) in there.items():
        orphan = (
            ("deployments.servers.prefect_process" in words and (not note or note.pid != pid))
            or ("deployments.serving.flow_run" in words and parent not in there)
            or ("deployments.servers.mlflow_process" in words and parent == 1)
        )
        if orphan:
            yield Fault(f"process {pid} was left by a program that is gone", f"kill {pid}")


def list_processes(home: Home) -> Iterator[tuple[int, tuple[int, list[str]]]]:
    """Give the processes of this home: its own servers, worker and runs; by /proc, where it is."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if not any(
                word.startswith(("deployments.servers.", "deployments.serving.")) for word in words
            ):
                continue
            environment = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
            status = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        root = str(home.root)
        if root in words or f"TUTELA_HOME={root}" in environment:
            yield int(folder.name), (int(status[1]), words)


EXAMINATIONS: Final[dict[str, Callable[[Patient], Found]]] = {
    "versions": examine_versions,
    "home and settings": examine_home,
    "own policies": examine_settings,
    "permissions": examine_permissions,
    "keys": examine_keys,
    "telemetry and storage variables": examine_variables,
    "disk": examine_disk,
    "locks": examine_locks,
    "ledgers": examine_ledgers,
    "clock": examine_clock,
    "servers": examine_servers,
    "processes": examine_processes,
}
"""By title, in the order in which they are made: what others need comes first."""
