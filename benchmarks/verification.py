"""How long it takes to verify and to audit a year of nightly runs.

    python benchmarks/verification.py [--policy NAME] [--runs N] [--home HOME] [--json]

Runs a policy once in a fresh home, and copies what that run left until there are N runs: its
evidence and charge by the ledgers' own code, so that chains, journal, heads and digests are as
N runs would have made them; its reports and packages; its rows and files in MLflow, under ids of
their own. What a copy does not have is a release of its own in the history of releases, and other
figures: each verification does the same work for it. One checkpoint is signed per run.

Then `tutela verify --all` and `tutela audit` run as processes of their own, as at night. Seconds by
the clock and of the processor. `--home` takes a home with one run
in place of a fresh one, and changes it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import sqlalchemy as sa

from ledgers.budget.ledger import BudgetLedger
from ledgers.budget.tables import append_event
from ledgers.checkpoints import name_checkpoint, take_checkpoint, write_canonical
from ledgers.evidence import EVIDENCE, JOURNALED, JSON, RUNS, Entry, EvidenceLedger
from ledgers.home.database import open_database, stamp
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.journal import Line, recording
from ledgers.leases import end_lease
from ledgers.vault.digests import digest_bytes, digest_in_run, digest_shown
from tasks.handover.shown import Shown, read_store

if TYPE_CHECKING:
    from ledgers.evidence import RunRecord
    from ledgers.journal import What

ROOT: Final = Path(__file__).parents[1]
LIMIT: Final = 60
"""Seconds that verifying a year of nights may take."""
TABLES: Final = {
    "runs": "run_uuid", "tags": "run_uuid", "params": "run_uuid", "metrics": "run_uuid",
    "latest_metrics": "run_uuid", "logged_models": "source_run_id",
}  # fmt: skip
"""Tables of MLflow in which a run's rows are, and the column that names it."""
OF_MODELS: Final = ("logged_model_metrics", "logged_model_params", "logged_model_tags")


class Took(NamedTuple):
    """What a command took."""

    seconds: float
    processor: float
    status: int


@dataclass(frozen=True, slots=True)
class Night:
    """The run that is copied, and by which words a copy differs from it."""

    record: RunRecord
    entries: Sequence[Entry]
    shown: Shown
    models: Mapping[str, bytes]
    """The file of each of its models."""
    words: Mapping[str, str]

    def other(self, text: str) -> str:
        """Give a text with the copy's own ids."""
        for old, new in self.words.items():
            text = text.replace(old, new)
        return text

    @property
    def run_id(self) -> str:
        """The id of the copy."""
        return self.words[self.record.run_id]


def run_once(place: Path, policy: str) -> Path:
    """Run a policy in a fresh home; give the home."""
    os.environ["TUTELA_HOME"] = str(place / "home")
    from deployments.run.notebook import run_here
    from deployments.servers.prefect_process import share
    from deployments.servers.prefect_server import make_home

    shared = share(make_home(None))
    try:
        run_here(policy, None, "all", progress=False)
    finally:
        os.close(shared)
    return place / "home"


def copy_nights(root: Path, runs: int) -> None:
    """Copy the last run of a home until there are so many."""
    home = Home.open(root)
    keys = Keys.open(home)
    ledger = EvidenceLedger(open_database(home), keys)
    record = ledger.runs()[-1]
    entries, store = ledger.entries(record.run_id), read_store(home)
    shown = next(one for one in store.runs if one.run == record.run_id)
    models = {m.name.partition(".")[2]: m for m in store.models if m.mlflow_run == shown.mlflow_run}
    files = {name: Path(m.place.removeprefix("file://")) for name, m in models.items()}
    contents = {name: (place / "model.skops").read_bytes() for name, place in files.items()}
    for number in range(2, runs + 1):
        words = {
            record.run_id: f"{record.run_id[:-8]}{number:08x}",
            shown.mlflow_run: uuid.uuid4().hex,
            **{place.parent.name: f"m-{uuid.uuid4().hex}" for place in files.values()},
        }
        night = Night(record, entries, shown, contents, words)
        copy_files(home, night, [Path(shown.place.removeprefix("file://")), *files.values()])
        with closing(sqlite3.connect(home.mlflow / "mlflow.db")) as connection:
            copy_rows(connection, night, number)
            connection.commit()
        copy_record(ledger, night, number)
        if failed := take_checkpoint(ledger.engine, keys):
            raise SystemExit(f"no checkpoint: {failed}")
    ledger.engine.dispose()


def copy_record(ledger: EvidenceLedger, night: Night, number: int) -> None:
    """Put a copy of the run on record, by the ledgers' own code."""
    facts = {**night.record.facts, "checkpoint": name_checkpoint(ledger.keys)}
    ledger.begin(night.run_id, night.record.policy, facts)
    charge(BudgetLedger(ledger.engine, ledger.keys), night)
    write_entries(ledger, night, number)


def write_entries(ledger: EvidenceLedger, night: Night, number: int) -> None:
    """Write all entries of a copy in one go, as `append` would one by one."""
    with recording(ledger.engine, ledger.keys) as pen:
        find = sa.select(RUNS).where(RUNS.c.run_id == night.run_id)
        run = pen.connection.execute(find).mappings().one()
        chain, rows = ledger._run_code(run), []  # noqa: SLF001  # the ledger's own links
        for entry in night.entries:
            body = change(entry, night, ledger.keys, number)
            row = {
                "run_id": night.run_id, "seq": entry.seq, "at": stamp(), "step": entry.step,
                "kind": entry.kind, "name": entry.name, "body": write_canonical(body).decode(),
                "sealed": entry.sealed,
            }  # fmt: skip
            chain = ledger._link(chain, row)  # noqa: SLF001  # as above
            rows.append({**row, "chain": chain})
            if entry.kind in JOURNALED:
                what = cast("What", entry.kind)
                pen.write(Line(what, entry.name, night.run_id, entry.seq, chain))
        pen.connection.execute(sa.insert(EVIDENCE), rows)
        end_lease(pen.connection, night.run_id)


def charge(budget: BudgetLedger, night: Night) -> None:
    """Charge a copy's people as the run's were, whatever the ceiling: a year of it is above any."""
    with recording(budget.engine, budget.keys) as pen:
        book = budget._turn(pen)  # noqa: SLF001  # as `reserve`, without weighing the year
        for event in book.events:
            if event.run_id == night.record.run_id:
                book = append_event(pen, book, replace(event, run_id=night.run_id))
    budget._heads.sign(book.head)  # noqa: SLF001  # as above


def change(entry: Entry, night: Night, keys: Keys, number: int) -> JSON:
    """Give what a copy's record says in place of an entry: its own ids and digests."""
    body: JSON = json.loads(night.other(json.dumps(entry.body)))
    if entry.kind == "approved":
        digest = digest_bytes(keys.derive("digest"), night.models[entry.name])
        return digest_in_run(night.run_id, digest)
    if entry.kind == "mlflow" and isinstance(body, dict):
        sign = partial(digest_shown, keys, night.run_id)
        shown: JSON = {
            part: {name: sign(f"{part}\0{name}\0{night.other(value)}") for name, value in
                   values.items() if (part, name) != ("tags", "tutela.run")}
            for part, values in night.shown.parts.items()
        }  # fmt: skip
        models = body["models"]
        versions = dict.fromkeys(models, str(number)) if isinstance(models, dict) else {}
        return {**body, "shown": shown, "models": {**versions}, "model_version": str(number)}
    return body


def copy_files(home: Home, night: Night, artifacts: Sequence[Path]) -> None:
    """Copy what a run left in the home and among MLflow's artifacts."""
    for folder in (home.reports, home.releases):
        for path in folder.glob(f"{night.record.run_id}*"):
            copy = path.with_name(night.other(path.name))
            (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
    for path in artifacts:
        shutil.copytree(path, Path(night.other(str(path))))


def copy_rows(connection: sqlite3.Connection, night: Night, number: int) -> None:
    """Copy what MLflow's database has of a run, as a run of its own and the next versions."""
    run = night.shown.mlflow_run
    for table, column in TABLES.items():
        copy_table(connection, table, f"{column} = ?", run, night)
    of_run = "model_id IN (SELECT model_id FROM logged_models WHERE source_run_id = ?)"
    for table in OF_MODELS:
        copy_table(connection, table, of_run, run, night)
    versions = "(name, version) IN (SELECT name, version FROM model_versions WHERE run_id = ?)"
    for table in ("model_version_tags", "model_versions"):
        copy_table(connection, table, versions, run, night, version=number)
    ids = connection.execute(
        "SELECT input_uuid FROM inputs WHERE source_id = ? OR destination_id = ?", (run, run)
    ).fetchall()
    for (one,) in ids:
        own = replace(night, words={**night.words, one: uuid.uuid4().hex})
        for table in ("inputs", "input_tags"):
            copy_table(connection, table, "input_uuid = ?", one, own)


def copy_table(  # noqa: PLR0913, PLR0917 - which rows, and what becomes of them
    connection: sqlite3.Connection, table: str, where: str, value: str, night: Night,
    version: int | None = None,
) -> None:  # fmt: skip
    """Copy some rows of a table under other ids."""
    rows = connection.execute(f"SELECT * FROM {table} WHERE {where}", (value,))  # noqa: S608 - ours
    names = [one[0] for one in rows.description]
    marks = ", ".join("?" for _ in names)
    for row in rows.fetchall():
        new = [
            version if name == "version" and version else
            night.other(old) if isinstance(old, str) else old
            for name, old in zip(names, row, strict=True)
        ]  # fmt: skip
        connection.execute(f"INSERT INTO {table} VALUES ({marks})", new)  # noqa: S608 - as above


def measure(root: Path, *words: str) -> Took:
    """Run a command of tutela in a home, as its users do."""
    environment = {**os.environ, "TUTELA_HOME": str(root)}
    begun = time.monotonic()
    process = subprocess.Popen(
        [Path(sys.executable).with_name("tutela"), *words], cwd=ROOT, env=environment,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begun
    return Took(
        round(seconds, 1), round(used.ru_utime + used.ru_stime, 1), process.returncode
    )  # fmt: skip


def measure_all(root: Path) -> Iterator[tuple[str, Took]]:
    """Measure each command over all runs."""
    for words in (("verify", "--all"), ("audit",), ("runs",)):
        yield " ".join(["tutela", *words]), measure(root, *words)


def main() -> None:
    """Print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description="How long a year of nights takes to verify.")
    parser.add_argument("--policy", default="diabetes")
    parser.add_argument("--runs", type=int, default=365)
    parser.add_argument("--home", type=Path, help="a home with one run, which is changed")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = given.home or run_once(Path(place), given.policy)
        copy_nights(root, given.runs)
        found = dict(measure_all(root))
    if given.json:
        print(json.dumps({name: took._asdict() for name, took in found.items()}, indent=2))
        return
    print(f"{given.runs} runs of {given.policy}; verifying may take {LIMIT} s\n")
    print(f"{'':<24}{'seconds':>10}{'processor':>12}{'exit':>6}")
    for name, took in found.items():
        print(f"{name:<24}{took.seconds:>10}{took.processor:>12}{took.status:>6}")


if __name__ == "__main__":
    main()
