"""Two machines on one Postgres: who is at work on a run, and who may end it.

Each has a home of its own with the same keys. A machine is known by its host's name, which stands
for it here; one that freezes is a process that is stopped. Needs what `tests.postgres` needs.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa

from deployments.run.leftovers import has_leftovers
from deployments.runs.screen import choose_rows
from expectations.errors import ServiceError
from ledgers import leases
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.invitation import invite, join
from tasks.handover.delivery import complete_runs
from tests.conftest import Folder, opened
from tests.postgres import Postgres, closed_connections, server
from tests.runs import Place

__all__ = ["closed_connections", "server"]

ROOT: Final = Path(__file__).parents[2]
OWN_PROCESS: Final = "import tests.nights.test_two_machines as it; it.run_and_stand_still()"
MODEL: Final = "small.clinic"


@dataclass(frozen=True)
class Machines:
    """Two homes on one database: `here` is this process's, `there` the other machine's."""

    here: Place
    there: Place

    def lapse(self) -> None:
        """Let all leases lapse, as time does."""
        with open_database(self.here.home).begin() as connection:
            connection.execute(sa.update(leases.LEASES).values(until=leases.NOW - 1))

    def finish_there(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Finish on the other machine what it takes for left; give what it says."""
        with monkeypatch.context() as patch:
            patch.setattr(platform, "node", lambda: "there")
            return [done.said for done in complete_runs(self.there.home, self.there.keys)]


@pytest.fixture
def machines(
    server: Postgres, template_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Machines:
    """Two machines, neither of which has run anything; both show their runs in one MLflow store."""
    from deployments.servers.prefect_server import set_environment

    here = server.make_home(template_home, tmp_path / "here")
    there = join(*invite(open_database(here), here, Keys.open(here)), tmp_path / "there")
    monkeypatch.setenv("TUTELA_HOME", str(here.root))
    set_environment(here)
    return Machines(Place(here), Place(there))


def run_and_stand_still() -> None:
    """Run the policy named on the command line in a process of its own, and stop it on the way.

    It stops itself, as a machine that freezes: in its own hand-over, before the lease is asked
    about or after the intent is noted.
    """
    import warnings

    from deployments.servers.prefect_server import set_environment
    from flows.opening import Request, open_run, request
    from flows.training import serve
    from ledgers.evidence import EvidenceLedger
    from tasks.handover import delivery

    warnings.simplefilter("ignore")
    policy, moment = sys.argv[1:]
    set_environment(Home.open())
    what, name = (
        (delivery, "begin_registering") if moment == "after" else (EvidenceLedger, "intend")
    )
    whole = getattr(what, name)

    def frozen(*given: object) -> object:
        os.kill(os.getpid(), signal.SIGSTOP)
        return whole(*given)

    setattr(what, name, frozen)
    with open_run(request(Request(policy))) as run:
        ended = serve(run)
    os.write(1, (ended.message or "passed").encode() if ended else b"passed")


def begin_and_freeze(machines: Machines, policy: Path, moment: str) -> subprocess.Popen[str]:
    """Begin a run here in a process of its own, and return when it stands still."""
    begun = subprocess.Popen(
        [sys.executable, "-c", OWN_PROCESS, str(policy), moment],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"TUTELA_HOME": str(machines.here.home.root), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    _, status = os.waitpid(begun.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), begun.communicate()
    return begun


def wake(frozen: subprocess.Popen[str]) -> str:
    """Let a process go on, and give what it said in the end."""
    frozen.send_signal(signal.SIGCONT)
    said, failed = frozen.communicate()
    return said + failed


def handed_over(machines: Machines) -> tuple[list[str], list[str]]:
    """Give which models are registered, and which tables lie in either home."""
    homes = (machines.here.home, machines.there.home)
    tables = [path.name for home in homes for path in home.releases.rglob("*.csv")]
    return [model.name for model in machines.here.models], tables


def test_a_live_run_of_another_machine_is_left_to_it(
    machines: Machines, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its lease, also where both machines have the same name, as copies of one often do."""
    with opened(folder.write()) as run:
        for name in ("there", platform.node()):
            monkeypatch.setattr(platform, "node", lambda name=name: name)
            there = machines.there
            assert not has_leftovers(there.home, there.keys)
            assert complete_runs(there.home, there.keys) == []
            assert choose_rows(there.home, there.keys)[0].elsewhere
        assert [one.verdict for one in machines.here.runs] == [None]
        run.ledger.append(run.id, "run", "measure", "one", 1)


def test_a_run_whose_machine_is_gone_is_closed_by_the_other(
    machines: Machines, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its lease lapsed; what its own machine then writes of it is refused."""
    with opened(folder.write()) as run:
        machines.lapse()
        (said,) = machines.finish_there(monkeypatch)
        assert said.endswith("now closed as failed")
        with pytest.raises(ServiceError, match=r"another machine has taken run"):
            run.ledger.append(run.id, "run", "measure", "one", 1)
    assert [one.verdict for one in machines.here.runs] == ["failed"]


@pytest.mark.parametrize("taken", [True, False], ids=["closed meanwhile", "left alone"])
def test_a_machine_that_freezes_past_its_lease_hands_nothing_over_when_it_wakes(
    taken: bool, machines: Machines, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stood still after its run had passed. Its goods leave later at most, and once."""
    frozen = begin_and_freeze(machines, folder.write(), "before")
    assert machines.finish_there(monkeypatch) == []
    machines.lapse()
    if taken:
        (closed,) = machines.finish_there(monkeypatch)
        assert closed.endswith("now closed as failed")
    said = wake(frozen)
    assert ("another machine has taken run" if taken else "lost its hold on run") in said
    assert handed_over(machines) == ([], [])
    completed = complete_runs(machines.here.home, machines.here.keys)
    assert len(completed) == (not taken)
    assert handed_over(machines) == (([], []) if taken else ([MODEL], ["partner.csv"]))
    assert machines.here.waiting == []
    assert [one.verdict for one in machines.here.runs] == ["failed" if taken else "passed"]


def test_a_run_that_began_to_hand_over_is_left_to_the_machine_that_has_its_goods(
    machines: Machines, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it stands still; it goes on and registers its model once."""
    frozen = begin_and_freeze(machines, folder.write(), "after")
    machines.lapse()
    assert machines.finish_there(monkeypatch) == []
    assert wake(frozen) == "passed"
    assert handed_over(machines) == ([MODEL], ["partner.csv"])
    assert [one.verdict for one in machines.here.runs] == ["passed"]


def test_a_killed_run_is_finished_by_its_own_machine_at_once(
    machines: Machines, folder: Folder
) -> None:
    """Its lease still lives, but its vault says that its process does not."""
    frozen = begin_and_freeze(machines, folder.write(), "before")
    frozen.kill()
    frozen.communicate()
    (done,) = complete_runs(machines.here.home, machines.here.keys)
    assert done.said.rstrip(";").partition(";")[0].endswith("now closed as passed")
    assert handed_over(machines) == ([MODEL], ["partner.csv"])
