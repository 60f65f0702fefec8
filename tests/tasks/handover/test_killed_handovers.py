"""Runs that pass with a model and a table, killed at random moments of their last seconds."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tasks.handover.package import digest_package, read_package
from tests.conftest import Folder
from tests.runs import Place

if TYPE_CHECKING:
    from ledgers.home.home import Home

ROOT: Final = Path(__file__).parents[3]
RUNS: Final = 60
GIVE: Final = ("--status", "given", "--notice", "study", "--indication", "explicit")
CHILD: Final = "import tests.tasks.handover.test_killed_handovers as it; it.run_small()"


def run_small() -> None:
    """Run the policy that is named on the command line, without Prefect, and tell of each step."""
    import warnings

    from deployments.servers.prefect_server import set_environment
    from flows.opening import Request, open_run, request
    from flows.training import serve
    from ledgers.home.home import Home

    warnings.simplefilter("ignore")
    told = os.dup(1)
    set_environment(Home.open())

    def observe(title: str, event: str, _seconds: float) -> None:
        os.write(told, f"{event} {title}\n".encode())

    with open_run(request(Request(sys.argv[1], observe=observe))) as run:
        serve(run)


@dataclass
class Killer:
    """A place where runs are begun in processes of their own, and killed with all they started."""

    place: Place
    policy: Path
    seconds: float = 600.0
    """How long a run takes from when its goods are prepared, as far as is known."""

    def begin(self) -> subprocess.Popen[str]:
        """Begin a run, and return when its goods are being prepared."""
        begun = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(self.policy)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip
        assert begun.stdout is not None
        assert any(line.startswith("started Prepare the handover") for line in begun.stdout)
        return begun

    def kill(self, share: float) -> str | None:
        """Kill a run and all it started after a share of its end; give what it was at.

        None for one that ended first: it took less time than those before.
        """
        begun, start = self.begin(), time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            begun.wait(share * self.seconds)
            self.seconds = time.monotonic() - start
        with contextlib.suppress(ProcessLookupError):
            os.killpg(begun.pid, signal.SIGKILL)
        told, _ = begun.communicate()
        return (told.splitlines() or ["begun"])[-1] if begun.returncode else None


@pytest.fixture
def killer(home: Home, folder: Folder, tmp_path: Path) -> Killer:
    """A home with the small policy, whose temporary files lie where they can be looked at."""
    (tmp_path / "temporary").mkdir()
    os.environ |= {"TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": str(ROOT)}
    return Killer(Place(home), folder.write())


def find_faults(place: Place, run_id: str) -> list[str]:
    """Say what is not as it should be of a run that the next command finished."""
    run = next(one for one in place.runs if one.run_id == run_id)
    passed = run.verdict == "passed"
    client, home = place.mlflow, place.home
    experiments = [one.experiment_id for one in client.search_experiments()]
    shown = client.search_runs(experiments, f"tags.`tutela.run` = '{run_id}'")
    shown_as = {one.info.run_id for one in shown}
    models = client.search_logged_models(experiments)
    packages = list(home.releases.glob(f"{run_id}/*"))
    entries = place.ledger.entries(run_id)
    noted = [
        one.body["digest"] for one in entries if one.kind == "release" if isinstance(one.body, dict)
    ]
    digests = [digest_package(read_package(path)) for path in packages]
    stores = (home.mlflow, home.releases, home.reports)
    left = [path.name for store in stores for path in store.rglob("*.making")]
    expected = {
        "verdict": run.verdict in {"passed", "refused", "failed"},
        "runs in MLflow": len(shown) == 1,
        "versions": len([one for one in place.models if one.run_id in shown_as]) == passed,
        "logged models": len([one for one in models if one.source_run_id in shown_as]) == passed,
        "names of packages": [path.name for path in packages] == ["partner"] * passed,
        "content of packages": not passed or digests == noted[-1:],
        f"files that were being made: {left}": not left,
        f"goods that wait: {place.waiting}": not place.waiting,
    }
    return [name for name, true in expected.items() if not true]


@pytest.mark.nightly
def test_whenever_a_run_is_killed_in_its_last_seconds_all_is_there_once_or_not_at_all(
    killer: Killer, tmp_path: Path
) -> None:
    """Model, table, record and report; of every other, somebody withdraws before it is finished."""
    place, drawn = killer.place, random.Random(7)
    assert killer.kill(1) is None
    ended = Counter[tuple[str | None, str | None]]()
    faults: list[str] = []
    for number in range(RUNS):
        at = killer.kill(drawn.random())
        if number % 2:
            place.tell("consent", "withdraw", "p05", "--policy", str(killer.policy))
        said = place.tell("report")
        run = place.runs[-1]
        told = place.tell("report", run.run_id)
        if number % 2:
            place.tell("consent", "record", "p05", "--policy", str(killer.policy), *GIVE)
        wrong = find_faults(place, run.run_id)
        if (said.status, told.status) != (0, 0):
            wrong.append(f"report ended with {said.status} and {told.status}: {said.err}{told.err}")
        wrong += [str(path) for path in (tmp_path / "temporary").rglob("*.skops")]
        ended[at, run.verdict] += 1
        faults += [f"run {number} at {at}, {run.verdict}: {fault}" for fault in wrong]
    assert faults == [], ended
    assert sum(ended[at, verdict] for at, verdict in ended if at and verdict != "failed"), ended
