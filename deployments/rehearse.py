"""`tutela rehearse`: a policy's whole flow on made-up people, in a home that is removed after it.

No source that the policy names is opened, and nothing of the user's home is changed: of it only
the address of its Prefect server is used, where that runs. What comes out says whether the parts
of a policy work together, and nothing about real people.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deployments.terminal import JsonOption, PolicyArgument, lay_out, tell
from expectations.errors import HomeError, Refusal, ServiceError, TutelaError

if TYPE_CHECKING:
    from deployments.launch import Ended
    from deployments.terminal import Answer
    from expectations.checks import Check
    from ledgers.evidence import JSON
    from ledgers.home import Home
    from tasks.published import Summary
    from tasks.rehearsal.staging import Staged

TAG: Final = "rehearsal"
"""By which Prefect's pages tell a rehearsal from a run."""
OWN: Final = ("TUTELA_PASSPHRASE", "MLFLOW_")
"""How those variables begin that would lead a rehearsal to the user's keys, or to stores and
registries of models that others read."""
PREFIX: Final = "tutela-rehearsal-"
ALIVE: Final = "alive"
"""The file that a rehearsal keeps locked in its folder as long as it lives."""
YOUNG: Final = 60.0
"""Seconds in which a folder may be there whose process has yet to lock it."""
ENDING: Final = 20.0
"""Seconds that a server has to end before its folder is removed."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a rehearsal came to, on how many made-up people, and in how many seconds."""

    summary: Summary
    staged: Staged
    seconds: float
    error: TutelaError | None


def rehearse(policy: PolicyArgument, as_json: JsonOption = False) -> None:
    """Carry a policy's whole flow through on made-up people; no real data is touched."""
    try:
        found = carry_through(policy)
    except KeyboardInterrupt:
        raise ServiceError("stopped; the made-up people are gone, and nothing is left") from None
    tell(describe(found), as_json=as_json)


def carry_through(policy: str) -> Rehearsed:
    """Rehearse a policy in a home of its own; raises what kept it from being begun."""
    from expectations.policy_file import read_policy

    file = read_policy(policy)
    began = time.monotonic()
    with own_home() as home:
        from deployments.request import check_model, checked_code
        from tasks.rehearsal.staging import stage

        own = checked_code(file)
        check_model(file.policy, own)
        staged = stage(file, home.root.parent, own)
        ended = run_staged(home, staged)
        summary = read_summary(home, ended.run_id)
    return Rehearsed(summary, staged, time.monotonic() - began, ended.error)


def run_staged(home: Home, staged: Staged) -> Ended:
    """Run the flow on what was made up, its runs in Prefect tagged as rehearsals."""
    from deployments.launch import carry_out
    from deployments.prefect_server import set_environment
    from deployments.progress import Progress

    set_environment(home)
    with Progress() as progress:
        progress.tell(f"made up {staged.people:,} people; nothing below is about real ones")
        from prefect import tags

        with tags(TAG):
            return carry_out(home, staged.file, None, "all", None, progress)


@contextmanager
def own_home() -> Iterator[Home]:
    """Give a home in a folder of its own, and remove both; the environment is as before after."""
    from ledgers.home import Home

    before = dict(os.environ)
    remove_left()
    try:
        with ended_in_order(), own_folder() as folder, users_server() as url:
            if url:
                os.environ["PREFECT_API_URL"] = url
            for name in [name for name in os.environ if name.startswith(OWN)]:
                del os.environ[name]
            home = Home.create(folder / "home")
            yield home
            await_end(home)
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def own_folder() -> Iterator[Path]:
    """Give a folder that is locked as long as this process lives, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    # Not the folder's own lock, which making a home in it takes.
    lock = os.open(folder / ALIVE, os.O_RDONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_left() -> None:
    """Remove the folders of rehearsals that were killed: those of ours that nobody has locked."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
            if not ours or time.time() - found.st_mtime < YOUNG:
                continue
            lock = os.open(folder / ALIVE, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Let whoever asks the process to end interrupt it, so that nothing is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


@contextmanager
def users_server() -> Iterator[str | None]:
    """Give the address of the Prefect server that the user's home names or runs, if any.

    One that it runs does not end meanwhile.
    """
    from deployments.prefect_process import share
    from deployments.prefect_server import running
    from ledgers.home import Home

    try:
        home = Home.open()
    except HomeError:
        yield os.environ.get("PREFECT_API_URL")
        return
    named = home.settings.prefect_api_url
    if named or not running(home):
        yield named
        return
    descriptor = share(home)
    try:
        # It may have ended while it was waited for.
        yield running(home)
    finally:
        os.close(descriptor)


def await_end(home: Home) -> None:
    """Wait until a server that was started for this home has ended."""
    from deployments.prefect_process import is_alive

    limit = time.monotonic() + ENDING
    while is_alive(home) and time.monotonic() < limit:
        time.sleep(0.1)


def read_summary(home: Home, run_id: str) -> Summary:
    """Sum up the rehearsal from the evidence that it left."""
    from ledgers.database import open_database
    from ledgers.evidence import EvidenceLedger
    from ledgers.keys import Keys
    from tasks.delivery import decided_run

    keys = Keys.open(home)
    ledger = EvidenceLedger(open_database(home), keys)
    record = next(record for record in ledger.runs() if record.run_id == run_id)
    return decided_run(home, keys, ledger, record).summary()


def describe(found: Rehearsed) -> Answer:
    """Tell a rehearsal, as plain values and on a screen that says first that all is made up."""
    from deployments.terminal import Answer

    summary, staged = found.summary, found.staged
    values: dict[str, JSON] = {
        "made_up": True,
        "policy": summary.policy,
        "people": staged.people,
        "verdict": summary.verdict,
        "reason": summary.reason,
        "seconds": round(found.seconds, 1),
        "steps": dict(summary.seconds),
        "checks": [
            {"name": c.name, "verdict": str(c.verdict), "measured": c.measured, "outlet": c.outlet}
            for c in summary.checks
        ],
        "notes": list(staged.notes),
    }
    return Answer(values, list(screen_lines(found)), refused=made_up_error(found.error))


def made_up_error(error: TutelaError | None) -> TutelaError | None:
    """Say of what ended a rehearsal that it was one."""
    if error is None:
        return None
    if isinstance(error, Refusal):
        text = str(error).removeprefix(f"{error.check}: ")
        return Refusal(error.check, f"refused on made-up people: {text}")
    return type(error)(f"on made-up people: {error}") if type(error) in PLAIN else error


PLAIN: Final = (ServiceError,)


def screen_lines(found: Rehearsed) -> Iterator[str]:
    """Tell a rehearsal line by line."""
    from deployments.screen import wrap

    summary, staged = found.summary, found.staged
    yield f"Made up: a rehearsal of {summary.policy} on {staged.people:,} made-up people."
    yield from wrap(
        "No real data was read. What follows says whether the policy can be carried out, and "
        "nothing about real people."
    )
    yield ""
    yield from wrap(VERDICTS[summary.verdict])
    for note in staged.notes:
        yield from wrap(f"Note: {note}.")
    yield ""
    steps = [(f"{seconds:.1f}", name) for name, seconds in summary.seconds.items()]
    yield from lay_out(("Seconds", "Step"), steps, numbers={0})
    yield from check_lines(summary.checks)
    yield ""
    yield f"{found.seconds:.0f} s in all. The made-up people and their home are gone."


VERDICTS: Final = {
    "passed": "Carried through: every step ran, and every check that may stop a run let it go on.",
    "refused": "Refused on made-up people: a check said no, and the steps after it did not run. "
    "Made-up people are built so that a policy can pass, so look at this one.",
    "failed": "Failed: a step could not be carried out.",
    "pending": "Not carried through: all was decided, but not recorded.",
    "unfinished": "Not carried through: the run was left unfinished.",
}


def check_lines(checks: Sequence[Check]) -> Iterator[str]:
    """Say what each check came to on made-up people."""
    if not checks:
        return
    carried = sum(check.verdict != "inconclusive" for check in checks)
    yield ""
    were = "1 check was" if len(checks) == 1 else f"{len(checks)} checks were"
    yield f"{were} carried out, {carried} with power on made-up people:"
    yield from lay_out(
        ("On made-up", "Check"), [(str(check.verdict), check.name) for check in checks]
    )
