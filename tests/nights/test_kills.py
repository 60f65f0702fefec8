"""Runs that pass with a model and a table, killed at random moments, on SQLite and on Postgres.

How many of a night's kills are made is one number: `KILLS=10 make nightly` makes ten on each.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from deployments.servers.prefect_server import set_environment
from ledgers.budget.ledger import BudgetLedger
from ledgers.consent.ledger import ConsentLedger
from ledgers.home.home import Home
from tasks.handover.package import digest_package, read_package
from tests.conftest import Folder
from tests.flows.test_budget_flow import PRIVATE
from tests.nights.counter import note
from tests.postgres import closed_connections, server
from tests.runs import Place

__all__ = ["closed_connections", "server"]

ROOT: Final = Path(__file__).parents[2]
NIGHT: Final = {"sqlite": 200, "postgres": 60}
"""How many runs are killed of a night, unless `KILLS` says another number."""
GIVE: Final = ("--status", "given", "--notice", "study", "--indication", "explicit")
ENOUGH: Final = ("epsilon: 10, delta: 1e-5", "epsilon: 20, delta: 1e-5")
"""A ceiling for a night: under the policy's own, its fiftieth private run would be refused."""
FIRST, LAST = "Read the roster", "Prepare the handover"
"""The steps from which on a run is killed: its first one, and the first of handing over."""
CHILD: Final = "import tests.nights.test_kills as it; it.run_small()"


def run_small() -> None:
    """Run the policy that is named on the command line, without Prefect, and tell of each step."""
    import warnings

    from flows.opening import Request, open_run, request
    from flows.training import serve

    warnings.simplefilter("ignore")
    told = os.dup(1)
    set_environment(Home.open())

    def observe(title: str, event: str, _seconds: float) -> None:
        os.write(told, f"{event} {title}\n".encode())

    with open_run(request(Request(sys.argv[1], observe=observe))) as run:
        serve(run)


@dataclass
class Killer:
    """A place where runs are begun in processes of their own, and killed."""

    place: Place
    seconds: dict[tuple[Path, str], float] = field(default_factory=dict)
    """How long a run of a policy takes from a step on, once one of them has ended by itself."""

    def begin(self, policy: Path, step: str) -> subprocess.Popen[str]:
        """Begin a run, and return when it has come to a step."""
        begun = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(policy)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip
        assert begun.stdout is not None
        assert any(line.startswith(f"started {step}") for line in begun.stdout)
        return begun

    def kill(self, policy: Path, step: str, share: float) -> str | None:
        """Kill a run after a share of what follows a step; give what it was at.

        None for one that ended first: it took less time than those before.
        """
        begun, start = self.begin(policy, step), time.monotonic()
        known = self.seconds.get((policy, step))
        with contextlib.suppress(subprocess.TimeoutExpired):
            begun.wait(None if known is None else share * known)
            self.seconds[policy, step] = time.monotonic() - start
        begun.kill()
        told, _ = begun.communicate()
        assert outlived(begun.pid) == [], "a process went on without the one that began it"
        return (told.splitlines() or ["begun"])[-1] if begun.returncode else None


def outlived(session: int) -> list[int]:
    """Give the processes of a killed one's session that are still there after a while."""
    left: list[int] = []
    for _ in range(300):
        left = [
            int(path.name) for path in Path("/proc").glob("[0-9]*") if of_session(path, session)
        ]
        if not left:
            break
        time.sleep(0.1)
    return left


def of_session(process: Path, session: int) -> bool:
    """Whether a process lives and belongs to a session, by what the system says of it."""
    with contextlib.suppress(OSError):
        state, _, _, belongs = (process / "stat").read_text().rpartition(")")[2].split()[:4]
        return int(belongs) == session and state != "Z"
    return False


@pytest.fixture(params=["sqlite", "postgres"])
def killer(request: pytest.FixtureRequest, template_home: Path, tmp_path: Path) -> Killer:
    """A home whose runs' temporary files lie where they can be looked at."""
    if request.param == "postgres":
        home = request.getfixturevalue("server").make_home(template_home, tmp_path / "home")
    else:
        shutil.copytree(template_home, tmp_path / "home")
        home = Home.open(tmp_path / "home")
    os.environ["TUTELA_HOME"] = str(home.root)
    set_environment(home)
    (tmp_path / "temporary").mkdir()
    os.environ |= {"TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": str(ROOT)}
    return Killer(Place(home))


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
def test_whenever_a_run_is_killed_all_is_there_once_or_not_at_all(
    killer: Killer, folder: Folder, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Model, table, record, report, events and charges; of every other somebody withdraws first.

    Every second is killed while it hands over, every third trains a model that people are charged
    for.
    """
    place, drawn = killer.place, random.Random(7)
    (tmp_path / "private").mkdir()
    plain, private = folder.write(), Folder(tmp_path / "private", folder.people, folder.events)
    policies = (plain, plain, private.write(*PRIVATE, ENOUGH))
    ended = Counter[tuple[str | None, str | None]]()
    faults, told = [], 0
    kills = int(os.environ.get("KILLS", NIGHT[request.node.callspec.params["killer"]]))
    for number in range(kills):
        policy, step = policies[number % 3], (FIRST, LAST)[number % 2]
        at = killer.kill(policy, step, drawn.random())
        if number % 2:
            place.tell("consent", "withdraw", "p05", "--policy", str(policy))
        said = place.tell("report")
        run = place.runs[-1]
        shown = place.tell("report", run.run_id)
        if number % 2:
            place.tell("consent", "record", "p05", "--policy", str(policy), *GIVE)
            told += 2
        wrong = find_faults(place, run.run_id)
        if (said.status, shown.status) != (0, 0):
            wrong.append(
                f"report ended with {said.status} and {shown.status}: {said.err}{shown.err}"
            )
        wrong += [str(path) for path in (tmp_path / "temporary").rglob("*.skops")]
        ended[at, run.verdict] += 1
        faults += [f"run {number} at {at}, {run.verdict}: {fault}" for fault in wrong]
        note(request.node.name, number + 1, kills, len(faults))
    assert faults == [], ended
    assert sum(ended[at, verdict] for at, verdict in ended if at and verdict != "failed"), ended
    assert events_on_record(place) >= len(folder.events) + told
    assert_all_charged(place, policies[2])


def events_on_record(place: Place) -> int:
    """Count the events of a ledger of consent that holds what was written there."""
    return ConsentLedger(place.ledger.engine, place.home, place.keys).verify().seq


def assert_all_charged(place: Place, policy: Path) -> None:
    """Hold what people were charged against the models that left: never less."""
    standing = {
        charge.run_id
        for charge in BudgetLedger(place.ledger.engine, place.keys).history()
        if charge.state == "committed"
    }
    text = policy.read_text(encoding="utf-8")
    passed = {
        run.run_id
        for run in place.runs
        if run.verdict == "passed" and run.facts["policy_text"] == text
    }
    assert passed <= standing
