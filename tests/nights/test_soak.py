"""Many runs, four at a time, in one home: none is lost, nothing is left, and nothing grows.

How many is one number, as in `test_kills`: `SOAK=8 make nightly` makes eight on each database. By
day `tests/ledgers` tries writers that wait for each other.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import Folder
from tests.nights.test_kills import Killer, killer
from tests.postgres import closed_connections, server
from tests.runs import Place

__all__ = ["closed_connections", "killer", "server"]

ROOT: Final = Path(__file__).parents[2]
RUNS, AT_ONCE = 200, 4
CHILD: Final = "import tests.nights.test_soak as it; it.run_again_and_again()"
SETTLED: Final = 3
"""After so many runs a process has loaded what it needs."""
GROWTH: Final = 1.25
"""How much more memory the last run of a process may have needed than one of its first."""


def run_again_and_again() -> None:
    """Run a policy as often as the command line says; tell of files and memory after each run."""
    import warnings

    from deployments.servers.prefect_server import set_environment
    from flows.opening import Request, open_run, request
    from flows.training import serve
    from ledgers.home.home import Home

    warnings.simplefilter("ignore")
    policy, times = sys.argv[1:]
    set_environment(Home.open())
    for _ in range(int(times)):
        with open_run(request(Request(policy))) as run:
            serve(run)
        files = len(list(Path("/proc/self/fd").iterdir()))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        os.write(1, json.dumps([files, memory]).encode() + b"\n")


@pytest.mark.nightly
def test_many_runs_at_once_all_end_and_nothing_grows(killer: Killer, folder: Folder) -> None:
    """Each on record as it ended, and each model registered once."""
    place, policy = killer.place, folder.write()
    each = int(os.environ.get("SOAK", RUNS)) // AT_ONCE
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, str(policy), str(each)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for _ in range(AT_ONCE)
    ]  # fmt: skip
    told = [process.communicate() for process in begun]
    assert [process.returncode for process in begun] == [0] * AT_ONCE, told
    assert [run.verdict for run in place.runs] == ["passed"] * (each * AT_ONCE)
    assert len(place.models) == each * AT_ONCE
    assert place.waiting == []
    for said, _ in told:
        files, memory = zip(*map(json.loads, said.splitlines()), strict=True)
        assert max(files[SETTLED:], default=0) <= max(files[:SETTLED]) + 2, files
        assert max(memory[SETTLED:], default=0) <= GROWTH * max(memory[:SETTLED]), memory
    print(f"{size(place) / (each * AT_ONCE) / 1e6:.2f} MB of disk a run")  # noqa: T201 - told


def size(place: Place) -> int:
    """Give the bytes that a home takes."""
    return sum(path.stat().st_size for path in place.home.root.rglob("*") if path.is_file())
