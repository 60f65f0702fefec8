"""What can go wrong between Prefect and the process of a flow run, with real ones.

Two processes get one flow run, and one is cancelled on Prefect's pages while a worker has it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from deployments.servers.prefect_process import share
from deployments.servers.prefect_server import set_environment
from ledgers.budget.ledger import BudgetLedger
from ledgers.home.home import Home
from tests.conftest import make_folder
from tests.deployments.test_serving import find_names
from tests.flows.test_budget_flow import PRIVATE
from tests.nights.test_faults import Beside
from tests.nights.test_kills import assert_all_charged
from tests.runs import Place

pytestmark = pytest.mark.nightly

ROOT: Final = Path(__file__).parents[2]
COMMAND: Final = "from deployments.cli import main; main()"
ASK: Final = """
import os, sys
from deployments.servers import prefect_server
from ledgers.home.home import Home
home = Home.open()
prefect_server.set_environment(home)
prefect_server.ensure_server(home, progress=lambda _: None)
from prefect.client.orchestration import get_client
from prefect.states import Cancelling
with get_client(sync_client=True) as client:
    if len(sys.argv) > 1:
        client.set_flow_run_state(sys.argv[1], Cancelling())
    else:
        (made,) = client.read_deployments()
        print(client.create_flow_run_from_deployment(made.id).id, os.environ["PREFECT_API_URL"])
"""
"""Start a flow run of the one deployment, or cancel one as Prefect's pages do."""


@dataclass(frozen=True)
class Served(Beside):
    """A home with a schedule for a private model, which may spend some."""

    def ask(self, *words: str) -> list[str]:
        """Ask Prefect's server, which the test keeps alive."""
        asked = self.start("-c", ASK, *words)
        said, failed = asked.communicate()
        assert asked.returncode == 0, failed
        return said.split()

    def states(self, *words: str) -> dict[str, str]:
        """Give how Prefect shows each flow run that somebody started."""
        found = super().states(*words)
        return {flow_run: name for flow_run, name in found.items() if name != "Scheduled"}

    def schedule(self) -> None:
        """Make the deployment; it is run by hand alone."""
        far = ("--cron", "0 0 1 1 *", "--runs", "9")
        made = self.start("-c", COMMAND, "schedule", "small", *far)
        said, failed = made.communicate()
        assert made.returncode == 0, said + failed

    def carry_out(self, flow_run: str, url: str) -> subprocess.Popen[str]:
        """Begin a process for a flow run, as a worker does."""
        return self.start(
            "-m", "deployments.serving.flow_run",
            PREFECT__FLOW_RUN_ID=flow_run, PREFECT_API_URL=url,
        )  # fmt: skip

    def assert_charged_once(self) -> None:
        """Hold the charges that stand against the models that left."""
        charges = BudgetLedger(self.place.ledger.engine, self.place.keys).history()
        standing = [one.run_id for one in charges if one.state == "committed"]
        assert len(standing) == len(self.place.models)


@pytest.fixture
def served(template_home: Path, tmp_path: Path) -> Iterator[Served]:
    """The policy is the home's own; its schedule is far off, and it runs when a test says so."""
    shutil.copytree(template_home, tmp_path / "home")
    home = Home.open(tmp_path / "home")
    os.environ |= {"TUTELA_HOME": str(home.root), "PYTHONPATH": str(ROOT)}
    set_environment(home)
    (home.root / "policies").mkdir()
    policy = make_folder(home.root / "policies").write(*PRIVATE)
    user = share(home)
    found = Served(Place(home), policy)
    found.schedule()
    yield found
    os.close(user)


def wait_for(ask: Callable[[], object], seconds: int = 300) -> None:
    """Ask until something is so; a slow machine is given minutes."""
    for _ in range(seconds * 5):
        if ask():
            return
        time.sleep(0.2)
    raise AssertionError("it never came")


def carries_out(flow_run: str) -> list[int]:
    """Give the processes that have a flow run in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"PREFECT__FLOW_RUN_ID={flow_run}".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def read_clear(home: Home) -> list[Path]:
    """Give the files of a home that hold a person's name, beside those that a test put there."""
    places = [place for place in home.root.iterdir() if place.name != "policies"]
    return [path for place in places if place.is_dir() for path in find_names(place)]


@pytest.mark.parametrize("after", [None, "collect"], ids=["at one moment", "in the middle"])
def test_a_flow_run_that_two_processes_get_is_carried_out_once(
    served: Served, after: str | None
) -> None:
    """The other leaves it alone, whichever comes second; nobody is charged twice."""
    flow_run, url = served.ask()
    first = served.carry_out(flow_run, url)
    if after:
        served.wait_for(after, first)
    second = served.carry_out(flow_run, url)
    said = [one.communicate() for one in (first, second)]
    assert [one.returncode for one in (first, second)] == [0, 0], said
    assert str(said).count("another process carries out flow run") == 1
    assert [run.verdict for run in served.place.runs] == ["passed"]
    served.assert_once()
    served.assert_charged_once()
    served.assert_agreed()


@pytest.mark.parametrize("step", ["collect", "train"])
def test_a_flow_run_that_is_cancelled_under_a_worker_ends(served: Served, step: str) -> None:
    """Its process too; nothing readable is left, Prefect and the record agree, the next passes."""
    home = served.place.home
    worker = served.start("-m", "deployments.serving.worker", str(home.root))
    flow_run, _ = served.ask()
    served.wait_for(step, worker)
    served.ask(flow_run)
    wait_for(lambda: not carries_out(flow_run))
    assert read_clear(home) == []
    served.report()
    assert [run.verdict for run in served.place.runs] == ["failed"]
    assert served.states() == {flow_run: "Cancelled"}
    served.ask()
    wait_for(lambda: served.place.runs[-1].verdict == "passed")
    worker.terminate()
    worker.communicate()
    served.report()
    served.assert_once()
    assert_all_charged(served.place, served.policy)
    served.assert_agreed()
