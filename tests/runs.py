"""Whole runs inside one process: a home that is ready, the command line, a flow without Prefect.

Prefect's server takes longer to start than a run takes, and shows a run without deciding anything.
So `tutela run` is called here with its flow as a plain function and no server; whether Prefect
shows a run truly is tested elsewhere, with a server.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING
from unittest import mock

from deployments import cli
from deployments.servers.prefect_server import set_environment
from expectations.policy_file import PACKAGED
from ledgers.evidence import JSON, Entry, EvidenceLedger, RunRecord
from ledgers.home.database import open_database
from ledgers.home.founding import create_home
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tests.audits import audit_once
from tests.conftest import ROOT_KEY
from tests.shared_folder import copy_folder, make_once, own_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from flows.ending import Ending

TEXTS = """SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c
           WHERE t.type = 'table' AND (c.type LIKE '%CHAR%' OR c.type = 'TEXT')"""


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it said on its two channels."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Place:
    """A home in use by a test, and what is found there afterwards."""

    home: Home

    def tell(self, *words: str, **environment: str) -> Said:
        """Run `tutela` with the given words in this home; Prefect is left out."""
        with mock.patch.dict(os.environ):
            if words[0] not in {"run", "advise", "rehearse", "init"}:
                return say(*words, TUTELA_HOME=str(self.home.root), **environment)
            set_environment(self.home)
            with _without_prefect():
                return say(*words, TUTELA_HOME=str(self.home.root), **environment)

    @cached_property
    def keys(self) -> Keys:
        """The home's keys."""
        return Keys.open(self.home)

    @cached_property
    def ledger(self) -> EvidenceLedger:
        """The home's record."""
        return EvidenceLedger(open_database(self.home), self.keys)

    @property
    def runs(self) -> list[RunRecord]:
        """All runs on record, oldest first."""
        return self.ledger.runs()

    @property
    def last(self) -> RunOnRecord:
        """The run that was begun last."""
        return RunOnRecord(self, self.runs[-1])

    @cached_property
    def mlflow(self) -> MlflowClient:
        """A client of the home's MLflow store."""
        from mlflow import MlflowClient

        from tasks.handover.recording import tracking_uri

        return MlflowClient(tracking_uri(self.home))

    @property
    def models(self) -> list[ModelVersion]:
        """Every registered version of every model."""
        return list(self.mlflow.search_model_versions())

    @property
    def handed_over(self) -> tuple[set[str], set[str]]:
        """What recipients can have: versions of models by name and number, and released files."""
        files = {
            str(path.relative_to(self.home.releases)) for path in self.home.releases.rglob("*")
        }
        return {f"{model.name}/{model.version}" for model in self.models}, files

    @property
    def waiting(self) -> list[str]:
        """Names of what lies in vault and outbox; nothing, once a run is closed."""
        return sorted(
            p.name for place in (self.home.vault, self.home.outbox) for p in place.iterdir()
        )


@dataclass(frozen=True)
class RunOnRecord:
    """One run as its evidence tells it."""

    place: Place
    record: RunRecord

    @cached_property
    def entries(self) -> list[Entry]:
        """The run's evidence, oldest first."""
        return self.place.ledger.entries(self.record.run_id)

    def named(self, kind: str) -> dict[str, JSON]:
        """Give the bodies of one kind of evidence by name."""
        return {entry.name: entry.body for entry in self.entries if entry.kind == kind}

    def exact(self, name: str) -> int:
        """Open the sealed exact count of that name."""
        entry = next(e for e in self.entries if (e.kind, e.name) == ("count", name))
        found = self.place.ledger.unseal(entry)
        assert isinstance(found, int)
        return found

    @property
    def decision(self) -> dict[str, JSON]:
        """Give what was decided last: the verdict and why."""
        entry = next(e for e in reversed(self.entries) if e.kind == "decision")
        assert isinstance(entry.body, dict)
        return {"verdict": entry.name, **entry.body}

    @property
    def models(self) -> list[ModelVersion]:
        """The versions of models that this run registered."""
        shown = self.named("mlflow")["run"]
        assert isinstance(shown, dict)
        return [model for model in self.place.models if model.run_id == shown["run_id"]]

    @property
    def released(self) -> Path:
        """The folder of the run's released tables."""
        return self.place.home.releases / self.record.run_id


def say(*words: str, **environment: str) -> Said:
    """Run `tutela` with the given words and variables, and take back what it sets."""
    with _channel() as out, _channel() as err:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            mock.patch.dict(os.environ, environment),
            mock.patch.object(sys, "argv", ["tutela", *words]),
        ):
            status = _status()
        return Said(status, _text(out), _text(err))


@cache
def shared_place() -> Place:
    """Give this process's home that tests share which break nothing there; each may write."""
    return make_place(own_folder("writable") / "home")


@cache
def passed(policy: str) -> RunOnRecord:
    """Give the run of an example policy, made once for the workers of all tests, to be read alone.

    It has a home of its own, whose keys are those of every place. A test that writes there takes
    a copy: `copy_place(passed(policy).place, path)`.
    """

    def run(folder: Path) -> None:
        said = make_place(folder / "home").tell("run", policy)
        assert said.status == 0, said.err

    return Place(Home.open(make_once(policy, run) / "home")).last


def make_place(path: Path) -> Place:
    """Make a home at a path, as a copy of one that nothing was run in: all have the same keys."""
    shutil.copytree(fresh_home(), path)
    return Place(Home.open(path))


def copy_place(place: Place, path: Path) -> Place:
    """Copy a home with all that was run in it, so that a test may write there."""
    copy_folder(place.home.root, path)
    old, new = str(place.home.root), str(path)
    with contextlib.closing(sqlite3.connect(path / "mlflow" / "mlflow.db")) as connection:
        # MLflow writes whole paths, in many tables.
        for table, column in connection.execute(TEXTS).fetchall():
            change = f'UPDATE "{table}" SET "{column}" = replace("{column}", ?, ?)'  # noqa: S608
            connection.execute(f'{change} WHERE instr("{column}", ?)', [old, new, old])
        connection.commit()
    return Place(Home.open(path))


def fresh_home() -> Path:
    """Give a home in which nothing was run, to be copied."""
    return make_once("fresh", _make_fresh)


def _make_fresh(folder: Path) -> None:
    """Make a home whose MLflow store is ready: making that takes longer than a small run."""
    from tasks.handover.recording import make_store

    home = create_home(folder)
    (home.keys / "root.key").write_bytes(ROOT_KEY)
    make_store(home)


def changed_policy(folder: Path, *changes: tuple[str, str], of: str = "diabetes") -> Path:
    """Write an example policy with some of its text changed, each where it stands once."""
    text = (PACKAGED / f"{of}.yaml").read_text(encoding="utf-8")
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {of}.yaml"
        text = text.replace(old, new)
    path = folder / f"{of}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def raised(flow: Callable[..., Ending]) -> Callable[..., None]:
    """Raise what the state that a flow ends in carries, as Prefect does to whoever calls it."""

    def call(*given: object, **named: object) -> None:
        if (ended := flow(*given, **named)) is not None:
            raise ended.data

    return call


@contextlib.contextmanager
def _without_prefect() -> Iterator[None]:
    """Let `tutela run` call the flows' own functions, and start no server; `init` neither.

    What a run only tells, and what other tests try, is made shorter: the audit of twins, and what
    the table would keep at many other k.
    """
    from deployments.run import launch
    from deployments.servers import prefect_server
    from flows import advice, training

    train, release = raised(training.train_and_release.fn), raised(training.release_tables.fn)
    with (
        mock.patch.multiple(training, train_and_release=train, release_tables=release),
        mock.patch.object(advice, "advise_on_columns", raised(advice.advise_on_columns.fn)),
        mock.patch.object(prefect_server, "spawn"),
        mock.patch("tasks.attack.model.audit_classifier", audit_once),
        mock.patch("tasks.training.tradeoff.OTHER_K", (50,)),
        mock.patch.multiple(
            launch,
            start_server=mock.DEFAULT,
            wait_for_server=mock.DEFAULT,
            leave_server=mock.DEFAULT,
        ),
    ):
        yield


@contextlib.contextmanager
def _channel() -> Iterator[IO[str]]:
    """Give a file that stands for a terminal; progress asks for a descriptor."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        yield file


def _text(channel: IO[str]) -> str:
    channel.flush()
    channel.seek(0)
    return channel.read()


def _status() -> int:
    """Run the command line and give its exit status."""
    try:
        cli.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
