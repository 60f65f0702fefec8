"""A home serves its schedules by itself, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar
from unittest import mock
from uuid import uuid4

import pytest

from deployments.doctor.examinations import list_processes
from deployments.servers import parent
from deployments.servers.parent import PARENT
from deployments.serving import supervisor, worker
from deployments.serving.status import see_waiting
from deployments.serving.supervisor import Part, end, serve_all, start_worker
from deployments.serving.worker import LOCK, close_left, is_serving
from expectations.errors import ServiceError
from ledgers.home.home import Home, Settings
from ledgers.home.keys import Keys
from ledgers.outbox import Outbox
from ledgers.vault.vault import Vault
from tests.conftest import make_folder, small_policy

T = TypeVar("T")
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
FOLLOWER = """
import sys, time
from deployments.servers.prefect_process import launch
from pathlib import Path
child = [sys.executable, "-c", '''
import time
from deployments.servers.parent import end_with_parent
end_with_parent()
time.sleep(600)
''']
print(launch(child, Path(sys.argv[1]), {}, new_session=False).pid, flush=True)
time.sleep(600)
"""
COMMAND = "from deployments.cli import main; main()"


@pytest.fixture
def bare(tmp_path: Path) -> Home:
    """What serving needs of a home, without a server."""
    (tmp_path / "prefect").mkdir()
    return Home(tmp_path, Settings())


def waited(ask: Callable[[], T | None], seconds: int = 300) -> T:
    """Ask until there is an answer; a slow machine is given minutes."""
    for _ in range(seconds * 5):
        if found := ask():
            return found
        time.sleep(0.2)
    raise AssertionError("it never came")


def lives(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    """Also where that one was killed, and could ask nothing of it."""
    words = [sys.executable, "-c", FOLLOWER, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout
        child = int(starter.stdout.readline())
        assert lives(child)
        starter.kill()
    waited(lambda: not lives(child))


def test_a_process_of_systemd_follows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable there is nobody to end with."""
    monkeypatch.delenv(PARENT, raising=False)
    with mock.patch.object(parent.threading, "Thread") as thread:
        parent.end_with_parent()
    assert not thread.called


def test_a_part_that_ends_is_started_again_and_given_up_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each end is said with where its log is; what ends at once five times will not do better."""
    monkeypatch.setattr(supervisor, "PAUSE", 0)
    part = Part("the worker", "worker.log", lambda: subprocess.Popen([sys.executable, "-c", ""]))
    said: list[str] = []
    for _ in range(5):
        part.keep(said.append)
        assert part.process
        part.process.wait()
    with pytest.raises(ServiceError, match=r"the worker ended 5 times in a row: worker\.log"):
        part.keep(said.append)
    assert said == ["the worker ended; starting it again (worker.log says why)"] * 4


def test_what_a_killed_worker_started_is_ended_too() -> None:
    """It leads a group, which goes with it."""
    program = (
        "import subprocess, sys, time\n"
        f"print(subprocess.Popen({SLEEP!r}).pid, flush=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout
    run = int(process.stdout.readline())
    process.kill()
    process.wait()
    assert lives(run)
    end(Part("the worker", "worker.log", lambda: process, process))
    waited(lambda: not lives(run))
    process.stdout.close()


def test_a_part_is_asked_to_end_before_it_is_killed() -> None:
    """By SIGTERM, of which a process can make something."""
    process = subprocess.Popen(SLEEP)
    end(Part("MLflow's server", "server.log", lambda: process, process))
    assert process.returncode == -signal.SIGTERM


def test_of_missed_runs_the_latest_is_carried_out(
    bare: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The earlier ones of its schedule are cancelled; what somebody started by hand is not."""
    daily, other = uuid4(), uuid4()
    missed = [
        SimpleNamespace(id=n, deployment_id=one, auto_scheduled=scheduled)
        for n, (one, scheduled) in enumerate(
            [(daily, True), (other, True), (daily, False), (daily, True), (daily, True)]
        )
    ]
    client, shown = mock.MagicMock(), list[str]()
    client.__enter__.return_value = client
    monkeypatch.setattr("prefect.client.orchestration.get_client", lambda **_: client)
    monkeypatch.setattr(
        worker,
        "list_runs",
        lambda _, kind, _before: missed if kind == "SCHEDULED" else [SimpleNamespace(id="taken")],
    )
    monkeypatch.setattr(
        "flows.ending.show_finished", lambda _, found: shown.extend(one.flow_run for one in found)
    )
    close_left(bare)
    cancelled = {call.args[0] for call in client.set_flow_run_state.call_args_list}
    assert (cancelled, shown) == ({0, 3}, ["taken"])


def test_a_second_server_of_schedules_is_refused(bare: Home) -> None:
    """Else two workers would take each other's runs for killed ones."""
    import fcntl

    assert not is_serving(bare)
    with (bare.prefect / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_serving(bare)
        with pytest.raises(ServiceError, match=r"holds .*worker\.lock: end it first"):
            serve_all(bare, announce=lambda _: None, show=lambda _: None)


def test_a_worker_has_the_passphrase_and_no_other_homes_server(
    bare: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its runs open the keys; the home's own server, whose address is set by now, it shares."""
    monkeypatch.setenv("TUTELA_PASSPHRASE", "correct horse")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    started = mock.Mock()
    monkeypatch.setattr(supervisor, "launch", started)
    start_worker(bare)
    environment, keyed = started.call_args.args[2], started.call_args.kwargs["keyed"]
    assert "PREFECT_API_URL" not in environment
    assert (environment["TUTELA_PASSPHRASE"], keyed) == ("correct horse", True)


@pytest.fixture
def home(home: Home) -> Home:
    """A home with two policies of its own: one passes, one asks for more people than there are."""
    place = home.root / "policies"
    place.mkdir()
    make_folder(place).write()
    many = small_policy(("name: small", "name: many"), ("smallest: 10", "smallest: 1000"))
    (place / "many.yaml").write_text(many, encoding="utf-8")
    return home


def tutela(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user does."""
    command = [sys.executable, "-c", COMMAND, *words]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture
def served(home: Home) -> Iterator[subprocess.Popen[str]]:
    """`tutela up`, in whose home both policies run every minute."""
    for name in ("small", "many"):
        words = ("schedule", name, "--cron", "* * * * *", "--tables-only")
        made = tutela(*words, "--timezone", "Europe/Berlin")
        assert (made.returncode, "nothing serves schedules yet" in made.stderr) == (0, True)
    command = [sys.executable, "-c", COMMAND, "up"]
    environment = {**os.environ, "TUTELA_HOME": str(home.root)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        assert "Prefect" in process.stdout.readline()
        yield process
        process.kill()


def ended(name: str, policy: str) -> bool:
    """Whether a run of a policy ended so, as `tutela schedule` tells it."""
    found = json.loads(tutela("schedule", "--json").stdout)["schedules"]
    return any((one["policy"], one["ended"]) == (policy, name) for one in found)


@pytest.mark.nightly
def test_schedules_are_served_by_nobody(home: Home, served: subprocess.Popen[str]) -> None:
    """One passes, one is refused; what a killed worker left is finished; nothing stays behind."""
    waited(lambda: ended("Completed", "small"))
    waited(lambda: ended("Refused", "many"))
    status = tutela("status", "--json")
    assert (status.returncode, json.loads(status.stdout)["healthy"]) == (0, True)
    assert tutela("doctor").returncode == 0
    running = waited(lambda: [*(home.root / "vault").iterdir()])[0].name
    kill(home, "deployments.serving.worker", signal.SIGKILL)
    waited(lambda: verdicts().get(running) == "failed")
    waited(lambda: ended("Crashed", "small") or ended("Crashed", "many"))
    waited(lambda: ended("Completed", "small"))
    served.kill()
    waited(lambda: not dict(list_processes(home)), 60)
    assert not find_names(home.prefect)
    status = tutela("status")
    assert (status.returncode, "Prefect's server: is not running" in status.stderr) == (3, True)


def find_names(folder: Path) -> list[Path]:
    """Give the files that hold a made-up person's name: databases, logs, leases, notes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [file for file in files if re.search(b"Zyxwort|Qblorp", file.read_bytes())]


def verdicts() -> dict[str, str | None]:
    """Give the verdicts of the last runs."""
    found = json.loads(tutela("status", "--json").stdout)["runs"]
    return {run["run_id"]: run["verdict"] for run in found}


def kill(home: Home, module: str, how: signal.Signals) -> None:
    """End the process of the home that is a module."""
    (pid,) = (pid for pid, (_, words) in list_processes(home) if module in words)
    os.kill(pid, how)


def test_what_a_living_run_has_in_its_outbox_does_not_wait(home: Home) -> None:
    """It is on its way; what a dead run left there waits for whoever runs next."""
    keys = Keys.open(home)
    Outbox(home, keys).put("living-1", b"goods")
    with Vault(home.vault, keys).begin("living-1"):
        assert not see_waiting(home, keys, []).fix
    assert see_waiting(home, keys, []).how == "0 runs for MLflow or approval, 1 sealed package"
