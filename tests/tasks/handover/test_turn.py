"""A withdrawal and a run's handing over are never at the same time, and each is told truly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.run.launch import say_stopped
from expectations.errors import Refusal, ServiceError
from flows import training
from ledgers.consent.ledger import ConsentLedger
from ledgers.consent.turn import turn
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.home.private_files import is_locked
from tasks.handover import delivery
from tasks.handover.decided_run import DecidedRun
from tasks.handover.delivery import complete_runs
from tests.conftest import Folder, Runner
from tests.ledgers.consent.consent_events import open_ledger
from tests.runs import Place
from tests.tasks.handover.test_approval import NO_MODEL

ROOT = Path(__file__).parents[3]
HOLDER = """
from pathlib import Path
from ledgers.consent.turn import turn
from tests.ledgers.consent.consent_events import open_ledger
import sys, time
with turn(open_ledger(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(600)
"""
ASKED = ("consent", "withdraw", "p05", "--purpose", "dpv:ScientificResearch")


def start(home: Home, *words: str) -> subprocess.Popen[str]:
    """Start Python beside this process, in the same home."""
    return subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env=os.environ | {"TUTELA_HOME": str(home.root), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def withdraw_beside(home: Home, begun: list[subprocess.Popen[str]]) -> None:
    """Withdraw in a process of its own, and return once it says that it waits."""
    command = start(home, "-m", "deployments.cli", *ASKED)
    begun.append(command)
    assert command.stderr is not None
    assert "waiting for a run that is handing over" in command.stderr.readline()


def before(function: Callable[..., object], first: Callable[[], object]) -> Callable[..., object]:
    """Do something before a function."""

    def both(*given: object) -> object:
        first()
        return function(*given)

    return both


def held(home: Home) -> bool:
    """Whether somebody is in the turn."""
    return is_locked(os.open(home.releases, os.O_RDONLY))


def test_a_withdrawal_while_a_run_hands_over_waits_and_says_that_it_was_too_late(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the run; of no run it says that nothing was handed over that was."""
    begun: list[subprocess.Popen[str]] = []
    late = before(delivery.hand_over, lambda: withdraw_beside(home, begun))
    monkeypatch.setattr(delivery, "hand_over", late)
    run, error = run_direct(folder.write(NO_MODEL))
    assert error is None
    (command,) = begun
    told, _ = command.communicate()
    assert command.returncode == 0
    said = " ".join(told.split())
    assert f"Run {run} handed over before this was recorded. If it used this person" in said
    (released,) = home.releases.rglob("*.csv")
    assert released.parent.parent.name == run


def test_a_withdrawal_before_the_last_asking_is_seen_by_the_run(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it says of runs under way comes true."""
    told: list[str] = []
    early = before(turn, lambda: told.append(Place(home).tell(*ASKED).out))
    monkeypatch.setattr(training, "turn", early)
    _, error = run_direct(folder.write(NO_MODEL))
    assert isinstance(error, Refusal)
    assert "that is still going on hands over nothing made with them" in " ".join(told[0].split())
    assert "handed over before this was recorded" not in " ".join(told[0].split())
    assert list(home.releases.iterdir()) == []


def test_a_withdrawal_too_late_for_a_run_that_had_waited_names_it_too(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow was away; the next command is handing over when somebody withdraws."""
    begun: list[subprocess.Popen[str]] = []
    hand_over = delivery.hand_over
    monkeypatch.setattr(delivery, "hand_over", refuse_once(hand_over, begun, home))
    run, error = run_direct(folder.write(NO_MODEL))
    assert isinstance(error, ServiceError)
    (done,) = complete_runs(home, Keys.open(home))
    assert "closed as passed" in done.said
    told, _ = begun[0].communicate()
    assert f"Run {run} handed over before this was recorded" in " ".join(told.split())


def refuse_once(
    hand_over: Callable[..., None], begun: list[subprocess.Popen[str]], home: Home
) -> Callable[..., None]:
    """Be away at first, and have somebody withdraw meanwhile the second time."""
    times = iter(range(2))

    def away(run: DecidedRun) -> None:
        if not next(times):
            raise ServiceError("MLflow is away")
        withdraw_beside(home, begun)
        hand_over(run)

    return away


@pytest.mark.parametrize("decided", [False, True])
def test_an_interrupt_says_whether_the_run_goes_on(
    decided: bool,
    home: Home,
    folder: Folder,
    run_direct: Runner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that had passed is completed by the next command, so that it is not said to be over."""

    def interrupt(*_: object) -> None:
        raise SystemExit(130)

    where = (delivery, "hand_over") if decided else (training, "collect")
    monkeypatch.setattr(*where, interrupt)
    with pytest.raises(SystemExit):
        run_direct(folder.write(NO_MODEL))
    (run,) = Place(home).runs
    said = say_stopped(home, Keys.open(home), run.run_id, "all")
    assert ("completes it" in said, "nothing was handed over" in said) == (decided, not decided)


@pytest.mark.parametrize("killed", [False, True], ids=["its own process", "another process"])
def test_from_the_last_asking_to_the_handing_over_is_one_turn(
    killed: bool,
    home: Home,
    folder: Folder,
    run_direct: Runner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the run's process, and in one that finishes what it left; afterwards others have it."""
    seen: list[bool] = []

    def look() -> None:
        seen.append(held(home))
        if killed and len(seen) == 2:
            raise SystemExit(9)

    asking, handing = "tasks.handover.readiness.refuse_withdrawn", "hand_over"
    asked = before(delivery.refuse_withdrawn, look)
    monkeypatch.setattr(asking, asked)
    monkeypatch.setattr(delivery, "refuse_withdrawn", asked)
    monkeypatch.setattr(delivery, handing, before(delivery.hand_over, look))
    if killed:
        with pytest.raises(SystemExit):
            run_direct(folder.write(NO_MODEL))
        (done,) = complete_runs(home, Keys.open(home))
        assert "closed as passed" in done.said
    else:
        run_direct(folder.write(NO_MODEL))
    assert seen == [True, True] * (2 if killed else 1)
    assert not held(home)


def test_a_killed_process_leaves_its_turn(home: Home) -> None:
    """Nobody waits for ever for one that is gone."""
    holder = start(home, "-c", HOLDER, str(home.root))
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert held(home)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with turn(open_ledger(home.root)):
        assert held(home)


def test_who_has_the_turn_at_once_is_told_nothing(home: Home) -> None:
    """Nor afterwards, however long it takes."""
    told: list[str] = []
    ledger = ConsentLedger(open_ledger(home.root).engine, home, Keys.open(home))
    with turn(ledger, lambda: told.append("waiting")):
        pass
    assert told == []
