"""Whether Prefect still has to be told of a flow run shows by its note, whoever was killed when."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.run.leftovers import has_leftovers
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.flow_runs import (
    end_flow_run,
    find_abandoned,
    forget,
    name_run,
    note_flow_run,
)
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tasks.handover.delivery import complete_runs

FLOW_RUN = "5f1a1b3c-0000-4000-8000-000000000000"
KILLED = """
import os, pathlib, signal, sys
from ledgers.home.flow_runs import name_run, note_flow_run
from ledgers.home.home import Home
note_flow_run(Home.open(pathlib.Path(sys.argv[1])), sys.argv[2])
if len(sys.argv) > 3:
    name_run(*sys.argv[2:])
os.kill(os.getpid(), signal.SIGKILL)
"""
HELD = """
import pathlib, sys
from ledgers.home.flow_runs import note_flow_run
from ledgers.home.home import Home
print(note_flow_run(Home.open(pathlib.Path(sys.argv[1])), sys.argv[2]), flush=True)
sys.stdin.read()
"""


def kill(home: Home, *run_id: str) -> None:
    """Note a flow run in a process of its own, which is killed then."""
    words = [sys.executable, "-c", KILLED, str(home.root), FLOW_RUN, *run_id]
    ended = subprocess.run(words, check=False, cwd=Path(__file__).parents[3])
    assert ended.returncode == -signal.SIGKILL


def test_a_flow_run_that_is_carried_out_is_left_to_its_process(home: Home) -> None:
    """And nothing of it stays, once Prefect knows how it ended."""
    note_flow_run(home, FLOW_RUN)
    name_run(FLOW_RUN, "run-1")
    assert find_abandoned(home) == {}
    assert not has_leftovers(home, Keys.open(home))
    end_flow_run(FLOW_RUN)
    end_flow_run(FLOW_RUN)
    assert find_abandoned(home) == {}


def test_a_flow_run_that_another_process_carries_out_is_left_to_it(home: Home) -> None:
    """Nobody waits for it, or the notes of all others would be held up meanwhile."""
    words = [sys.executable, "-c", HELD, str(home.root), FLOW_RUN]
    root = Path(__file__).parents[3]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as other:
        assert other.stdout
        other.stdout.readline()
        assert not note_flow_run(home, FLOW_RUN)
        assert find_abandoned(home) == {}


@pytest.mark.parametrize(
    ("verdict", "begun", "shown"),
    [("passed", True, "passed"), ("refused", True, "refused"), (None, False, "failed")],
    ids=["after it was closed as passed", "after it was refused", "before it began"],
)
def test_prefect_is_told_of_a_flow_run_whose_process_was_killed(
    verdict: str, begun: bool, shown: str, home: Home
) -> None:
    """Though no run is open on record, which alone would show a killed one."""
    keys = Keys.open(home)
    ledger = EvidenceLedger(open_database(home), keys)
    if begun:
        ledger.begin("run-1", "small", {})
        ledger.close("run-1", verdict)  # type: ignore[arg-type]  # one of a verdict's words
    kill(home, *["run-1"] * begun)
    assert has_leftovers(home, keys)
    (told,) = complete_runs(home, keys)
    assert (told.flow_run, told.verdict) == (FLOW_RUN, shown)
    forget(home, FLOW_RUN)
    assert not has_leftovers(home, keys)
