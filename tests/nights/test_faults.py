"""Faults against real processes: `tutela run` with Prefect's own server, and what is left then.

Whatever breaks in the middle, the record says how the run ended, Prefect says the same, and nothing
left twice. By day the same promises are tried inside one process (`tests/tasks/handover`,
`tests/flows`, `tests/ledgers/home/test_flow_runs.py`).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from deployments.servers.prefect_process import read_note, share
from deployments.servers.prefect_server import set_environment
from ledgers.home.home import Home
from tests.conftest import Folder
from tests.nights.counter import note
from tests.postgres import Postgres, closed_connections, server
from tests.runs import Place

__all__ = ["closed_connections", "server"]
pytestmark = pytest.mark.nightly

ROOT: Final = Path(__file__).parents[2]
KILLS: Final = 60
"""How many runs are killed of a night, as `KILLS` of `test_kills` says otherwise."""
STATES: Final = """
import json, os, pathlib, sys
from deployments.servers import prefect_server
from ledgers.home.home import Home
home = Home.open()
prefect_server.set_environment(home)
prefect_server.ensure_server(home, progress=lambda _: None)
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    runs = client.read_flow_runs()
    if len(sys.argv) > 1:
        from prefect.states import Cancelled
        for run in runs:
            client.set_flow_run_state(run.id, Cancelled(), force=True)
    print(json.dumps({str(run.id): run.state_name for run in runs}))
"""
SHOWN: Final = {
    "passed": {"Completed"},
    "refused": {"Refused"},
    "failed": {"Crashed", "Failed", "Cancelled"},
}
"""How Prefect may show a run by its verdict; that one failed can have several names there."""


@dataclass(frozen=True)
class Beside:
    """A home, in which commands are processes of their own."""

    place: Place
    policy: Path

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start Python beside this process."""
        return subprocess.Popen(
            [sys.executable, *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | environment,
        )  # fmt: skip

    def run(self) -> subprocess.Popen[str]:
        """Run the policy, and return at once."""
        return self.start("-m", "deployments.cli", "run", str(self.policy))

    def report(self) -> None:
        """Let the next command finish what there is."""
        told = self.start("-m", "deployments.cli", "report")
        said, failed = told.communicate()
        assert told.returncode == 0, said + failed

    def wait_for(self, step: str, run: subprocess.Popen[str]) -> None:
        """Return when a run has done a step."""
        while run.poll() is None:
            runs = self.place.runs
            entries = self.place.ledger.entries(runs[-1].run_id) if runs else []
            if any(entry.kind == "duration" and entry.step == step for entry in entries):
                return
            time.sleep(0.1)
        raise AssertionError(run.communicate())

    def states(self, *words: str) -> dict[str, str]:
        """Give how Prefect shows each flow run; with a word, cancel all first."""
        asked = self.start("-c", STATES, *words)
        said, failed = asked.communicate()
        assert asked.returncode == 0, failed
        found: dict[str, str] = json.loads(said)
        return found

    def noted(self) -> dict[str, str | None]:
        """Give the verdict on record by flow run."""
        found = {}
        for run in self.place.runs:
            for entry in self.place.ledger.entries(run.run_id):
                if entry.kind == "prefect" and isinstance(entry.body, dict):
                    found[str(entry.body["id"])] = run.verdict
        return found

    def assert_once(self) -> None:
        """Hold what left against the record: once for each run that passed, and nothing waits."""
        passed = [run.run_id for run in self.place.runs if run.verdict == "passed"]
        assert len(self.place.models) == len(passed)
        assert sorted(path.name for path in self.place.home.releases.iterdir()) == sorted(passed)
        assert self.place.waiting == []
        assert {run.verdict for run in self.place.runs} <= {"passed", "refused", "failed"}

    def assert_agreed(self) -> None:
        """Hold what Prefect shows against the record; a flow run without a run has crashed."""
        noted = self.noted()
        for flow_run, state in self.states().items():
            verdict = noted.get(flow_run, "failed")
            assert state in SHOWN[str(verdict)], (flow_run, state, verdict)


def take_place(home: Home, folder: Folder) -> Beside:
    """Take a home for the processes of a test."""
    os.environ["TUTELA_HOME"] = str(home.root)
    os.environ["PYTHONPATH"] = str(ROOT)
    set_environment(home)
    return Beside(Place(home), folder.write())


@pytest.fixture
def beside(template_home: Path, folder: Folder, tmp_path: Path) -> Iterator[Beside]:
    """A home with its ledgers in a file; its Prefect server ends with the test."""
    shutil.copytree(template_home, tmp_path / "home")
    found = take_place(Home.open(tmp_path / "home"), folder)
    user = share(found.place.home)
    yield found
    os.close(user)


def test_a_database_that_restarts_in_the_middle_of_a_run_is_waited_for(
    server: Postgres, template_home: Path, folder: Folder, tmp_path: Path
) -> None:
    """The run passes, unless it was just reading or writing, which then is why it failed."""
    found = take_place(server.make_home(template_home, tmp_path / "home"), folder)
    run = found.run()
    found.wait_for("collect", run)
    server.control("-m", "fast", "restart")
    said, failed = run.communicate()
    assert run.returncode == 0 or "the ledger database failed with" in failed, said + failed
    found.report()
    found.assert_once()
    assert (found.place.runs[0].verdict == "passed") == (run.returncode == 0)


def test_a_prefect_server_that_ends_in_the_middle_of_a_run_takes_nothing_along(
    beside: Beside,
) -> None:
    """The record says how the run ended; the next command brings Prefect to say the same."""
    run = beside.run()
    beside.wait_for("collect", run)
    note = read_note(beside.place.home)
    assert note is not None
    os.kill(note.pid, signal.SIGKILL)
    run.communicate()
    beside.report()
    beside.assert_once()
    beside.assert_agreed()


def test_a_run_that_is_cancelled_in_prefect_is_shown_as_it_ended(beside: Beside) -> None:
    """Prefect ends no process that no worker began: the run goes on, and Prefect is told."""
    run = beside.run()
    beside.wait_for("collect", run)
    assert set(beside.states("cancel")) == set(beside.noted())
    run.communicate()
    beside.report()
    beside.assert_once()
    beside.assert_agreed()


def test_whenever_a_run_is_killed_prefect_says_what_the_record_says(beside: Beside) -> None:
    """At any moment from the start of its process to its end."""
    drawn, start = random.Random(11), time.monotonic()
    first = beside.run()
    said, failed = first.communicate()
    assert first.returncode == 0, said + failed
    seconds = time.monotonic() - start
    kills = int(os.environ.get("KILLS", KILLS))
    for number in range(kills):
        run = beside.run()
        with_time(run, drawn.random() * seconds)
        run.kill()
        run.communicate()
        beside.report()
        beside.assert_agreed()
        note("killed under Prefect", number + 1, kills, 0)
    beside.assert_once()


def with_time(run: subprocess.Popen[str], seconds: float) -> None:
    """Leave a process so much time, or less if it ends."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and run.poll() is None:
        time.sleep(0.05)
