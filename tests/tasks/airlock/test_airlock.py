"""What happens inside a step stays inside: errors, voices, references and options of a step."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from expectations.errors import (
    PolicyError,
    Problem,
    Refusal,
    ServiceError,
    SourceError,
    StepFailed,
    TutelaError,
    UsageError,
    VaultError,
)
from flows.opening import open_run
from ledgers.home.founding import create_home
from ledgers.home.keys import Keys
from ledgers.vault.stages import Collected, DatasetRef, Permitted, Roster
from tasks.airlock.airlock import run_inside
from tasks.airlock.run import Desk, Run
from tasks.airlock.step import Opened, step
from tasks.own_code import vouching

SECRET = "Zorblax Quenderin"
LIBRARY = logging.getLogger("a.library")


@dataclass
class Overheard:
    """Everything that could be heard outside of the airlock."""

    keys: Keys
    console: pytest.CaptureFixture[str]
    said: list[str] = field(default_factory=list)
    incidents: list[str] = field(default_factory=list)

    def seal(self, text: str) -> str:
        """Seal an incident, and remember its id."""
        self.incidents.append(self.keys.seal_incident(text))
        return self.incidents[-1]

    def enter(self, work: Callable[[], object]) -> BaseException | None:
        """Run something in the airlock, and give what left it."""
        try:
            run_inside("train", work, self.seal)
        except BaseException as error:  # noqa: BLE001 - Ctrl-C and exits are among what is tried
            return error
        return None

    def text(self) -> str:
        """Give all that was logged or written to the console, Python's and C's buffers included."""
        for stream in (sys.__stdout__, sys.__stderr__):
            assert stream is not None
            stream.flush()
        ctypes.CDLL(None).fflush(None)
        return "".join([*self.said, *self.console.readouterr()])


class Ear(logging.Handler):
    """A handler that keeps each record as a server would be sent it."""

    def __init__(self, said: list[str]) -> None:
        super().__init__()
        self.said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Keep all of it: the text and every attribute."""
        self.said.append(f"{self.format(record)} {vars(record)}")


class OwnEar(Ear):
    """A handler with a `handle` of its own, as Prefect's on the console has."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep the record, past what `logging.Handler` does."""
        self.emit(record)
        return True


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The keys of a home."""
    return Keys.open(create_home(tmp_path_factory.mktemp("airlock") / "home"))


@pytest.fixture
def overheard(
    keys: Keys, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Overheard]:
    """Listen on the console, at every logger and to warnings.

    Errors in threads and destructors that are heard fail a test by themselves: pytest warns.
    """
    found = Overheard(keys, capfd)
    monkeypatch.setattr(warnings, "showwarning", lambda *said, **_: found.said.append(str(said)))
    # Prefect's logging set-up, where an earlier test caused it, switches other loggers off.
    monkeypatch.setattr(LIBRARY, "disabled", False)
    ear, own_ear = Ear(found.said), OwnEar(found.said)
    logging.root.addHandler(ear)
    LIBRARY.addHandler(own_ear)  # asked before the root's
    yield found
    logging.root.removeHandler(ear)
    LIBRARY.removeHandler(own_ear)


def reachable(error: BaseException | None) -> Iterator[str]:
    """Give all text that is reachable from an error: what a pickle, a log or a debugger shows."""
    if error is None:
        return
    yield f"{error!s} {error!r} {error.args} {vars(error)} {getattr(error, '__notes__', None)}"
    yield from reachable(error.__cause__)
    yield from reachable(error.__context__)
    trace: TracebackType | None = error.__traceback__
    while trace:
        if not trace.tb_frame.f_code.co_name.startswith(("test_", "enter")):
            yield repr(trace.tb_frame.f_locals)
        trace = trace.tb_next
    yield pickle.dumps(error).decode("latin-1")


# --- Errors --------------------------------------------------------------------------------------


def _raise_from() -> None:
    try:
        _raise(KeyError(SECRET))()
    except KeyError as cause:
        raise ValueError("broken") from cause


def _raise_meanwhile() -> None:
    try:
        _raise(KeyError(SECRET))()
    except KeyError:
        raise ValueError("broken")  # noqa: B904 - the context is what is tried


def _raise_group() -> None:
    raise ExceptionGroup("several", [ValueError(SECRET), KeyError(SECRET)])


def _raise_ending_group() -> None:
    raise BaseExceptionGroup("several", [KeyboardInterrupt(SECRET)])


def _add_note() -> None:
    error = ValueError("broken")
    error.add_note(SECRET)
    raise error


def _hold_in_frame() -> None:
    held = SECRET
    raise ValueError(len(held) * held)


def _fail_in_destructor_of_frame() -> None:
    held = Unwilling()
    raise ValueError(f"{SECRET} {held}")


def _raise(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


def _quote_by_pandas() -> None:
    pd.Series([SECRET]).astype("float64")


def _quote_a_date() -> None:
    pd.to_datetime(pd.Series([SECRET]), format="ISO8601")


class Unwilling:
    """An object whose destructor fails and quotes."""

    def __del__(self) -> None:
        raise ValueError(SECRET)


class OwnEnding(BaseException):
    """What a library may use to end a process."""

    def __init__(self, value: str) -> None:
        self.value = value


ERRORS: dict[str, Callable[[], object]] = {
    "raise": _raise(ValueError(SECRET)),
    "raise from": _raise_from,
    "raise while handling": _raise_meanwhile,
    "exception group": _raise_group,
    "group of what ends a process": _raise_ending_group,
    "note": _add_note,
    "frame": _hold_in_frame,
    "destructor of a frame": _fail_in_destructor_of_frame,
    "pandas, number": _quote_by_pandas,
    "pandas, date": _quote_a_date,
    "memory": _raise(MemoryError(SECRET)),
    "missing file": _raise(FileNotFoundError(errno.ENOENT, "no file", SECRET)),
    "unicode": lambda: SECRET.encode("utf-16").decode("utf-8"),
}


@pytest.mark.parametrize("work", ERRORS.values(), ids=ERRORS)
def test_an_error_leaves_without_its_text(overheard: Overheard, work: Callable[[], object]) -> None:
    """An error inside a step leaves as `StepFailed`, and nothing of a value leaves with it."""
    left = overheard.enter(work)
    assert isinstance(left, StepFailed)
    assert left.step == "train"
    assert SECRET not in "".join(reachable(left))
    assert SECRET not in overheard.text()


@pytest.mark.parametrize("work", [w for n, w in ERRORS.items() if n != "unicode"])
def test_the_full_text_is_sealed(overheard: Overheard, work: Callable[[], object]) -> None:
    """The operator reads in the incident what was kept from everybody else."""
    left = overheard.enter(work)
    assert isinstance(left, StepFailed)
    assert SECRET in overheard.keys.open_incident(left.incident)


def test_only_the_operators_key_opens_an_incident(overheard: Overheard, tmp_path: Path) -> None:
    """The file shows nothing, and another home's key does not open it."""
    overheard.enter(_raise(ValueError(SECRET)))
    sealed = overheard.keys.home.incidents / overheard.incidents[0]
    assert SECRET.encode() not in sealed.read_bytes()
    other = create_home(tmp_path / "other")
    (other.incidents / sealed.name).write_bytes(sealed.read_bytes())
    with pytest.raises(ServiceError, match="does not open"):
        Keys.open(other).open_incident(sealed.name)


@pytest.mark.parametrize(
    "ending",
    [KeyboardInterrupt(SECRET), SystemExit(SECRET), GeneratorExit(SECRET), OwnEnding(SECRET)],
    ids=lambda ending: type(ending).__name__,
)
def test_what_ends_a_process_leaves_bare(overheard: Overheard, ending: BaseException) -> None:
    """Ctrl-C and exits keep their type and nothing else."""
    left = overheard.enter(_raise(ending))
    assert type(left) is type(ending)
    assert SECRET not in "".join(reachable(left))
    assert SECRET not in overheard.text()


def test_an_exit_inside_a_step_is_no_success(overheard: Overheard) -> None:
    """A library that ends the process with status 0 does not make a run that went well."""
    left = overheard.enter(_raise(SystemExit(0)))
    assert isinstance(left, SystemExit)
    assert left.code == 3


def test_prefects_termination_signal_keeps_its_number(overheard: Overheard) -> None:
    """Prefect ends its process by the number on its signal, which is no person's value."""
    from prefect.exceptions import TerminationSignal

    ending = TerminationSignal(signal=int(signal.SIGTERM))
    ending.args = (SECRET,)
    left = overheard.enter(_raise(ending))
    assert isinstance(left, TerminationSignal)
    assert left.signal == signal.SIGTERM
    assert SECRET not in "".join(reachable(left))


def test_a_full_disk_is_named_without_the_file(overheard: Overheard) -> None:
    """What can be said of a full disk is said, and needs no incident that could not be written."""
    left = overheard.enter(_raise(OSError(errno.ENOSPC, "No space left on device", SECRET)))
    assert isinstance(left, ServiceError)
    assert "the disk is full" in str(left)
    assert SECRET not in "".join(reachable(left))
    assert overheard.incidents == []


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (ServiceError("the disk is full"), "the disk is full"),
        (RuntimeError(SECRET), "RuntimeError"),
    ],
    ids=["foreseen", "unforeseen"],
)
def test_an_error_that_cannot_be_sealed_is_lost_and_not_told(
    overheard: Overheard, failure: Exception, said: str
) -> None:
    """Where sealing fails, the text is gone, and neither error is the context of what leaves."""

    def broken(_text: str) -> str:
        raise failure

    with pytest.raises(ServiceError, match=f"could not be sealed: {said}") as caught:
        run_inside("train", _raise(ValueError(SECRET)), broken)
    assert SECRET not in "".join(reachable(caught.value))
    assert SECRET not in overheard.text()


def test_a_vouched_error_leaves_with_its_text_alone(overheard: Overheard) -> None:
    """A `TutelaError` leaves as it is, but for the cause, context, notes and frames behind it."""

    def work() -> None:
        held, value = Unwilling(), SECRET
        try:
            _raise(ValueError(f"{value} {held}"))()
        except ValueError as cause:
            refusal = Refusal("k-anonymity", "k is 3, and 10 was asked for")
            refusal.add_note(SECRET)
            raise refusal from cause

    left = overheard.enter(work)
    assert isinstance(left, Refusal)
    assert str(left) == "k-anonymity: k is 3, and 10 was asked for"
    assert left.check == "k-anonymity"
    assert SECRET not in "".join(reachable(left))
    assert SECRET not in overheard.text()


def test_which_rows_an_error_is_about_is_sealed_and_in_no_text_or_pickle(
    overheard: Overheard,
) -> None:
    """Its sentence names the incident; a terminal of the same process can still name them."""
    left = overheard.enter(_raise(SourceError("people.csv: some rows are wrong", "row 17, 230")))
    assert isinstance(left, SourceError)
    shown = f"people.csv: some rows are wrong\nwhich ones: tutela incident show {left.incident}"
    assert str(left) == shown
    assert "row 17, 230" in overheard.keys.open_incident(left.incident)
    assert left.places == "row 17, 230"
    assert b"230" not in pickle.dumps(left)


def test_our_error_raised_by_own_code_leaves_without_its_text(
    overheard: Overheard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy's author can raise our errors too, with a person's value in the text."""
    monkeypatch.setattr(vouching, "_brought", {"brought_along"})
    own: dict[str, Any] = {"__name__": "brought_along", "Refusal": Refusal}
    exec(f"def work():\n    raise Refusal('k-anonymity', {SECRET!r})", own)  # noqa: S102 - ours
    left = overheard.enter(own["work"])
    assert isinstance(left, StepFailed)
    assert SECRET not in "".join(reachable(left))
    assert SECRET not in overheard.text()


@pytest.mark.parametrize(
    "error",
    [
        TutelaError("a"),
        PolicyError("p.yaml", [Problem("columns.a", "is missing", "add it", 3)]),
        Refusal("k-anonymity", "k is 3"),
        SourceError("people.csv: it is empty"),
        StepFailed("train", "ValueError", "0123456789ab"),
        VaultError("closed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_pickling(error: TutelaError) -> None:
    """Prefect pickles what a flow raises, and whoever waits for it reads the same error."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this line
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


# --- Voices --------------------------------------------------------------------------------------


def _write_to(number: int) -> Callable[[], object]:
    return lambda: os.write(number, SECRET.encode())


def _write_and_keep_back() -> None:
    for stream in (sys.__stdout__, sys.__stderr__):
        assert stream is not None
        stream.write(SECRET)


def _print_by_c() -> None:
    ctypes.CDLL(None).printf(SECRET.encode())


def _by_child() -> None:
    subprocess.run(["sh", "-c", f"echo '{SECRET}'; echo '{SECRET}' >&2"], check=True)


def _by_forgotten_child() -> None:
    subprocess.run(["sh", "-c", f"(sleep 0.1; echo '{SECRET}') &"], check=True)


def _record() -> logging.LogRecord:
    return logging.LogRecord("a.library", logging.ERROR, "f.py", 1, "%s", (SECRET,), None)


def _log_error() -> None:
    try:
        _raise(ValueError(SECRET))()
    except ValueError:
        LIBRARY.exception("broken", stack_info=True)


def _in_thread(work: Callable[[], object]) -> Callable[[], object]:
    def start() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    return start


def _drop_unwilling() -> None:
    Unwilling()


def _to_handlers() -> None:
    for handler in logging.root.handlers:
        handler.handle(_record())


VOICES: dict[str, Callable[[], object]] = {
    "print": lambda: print(SECRET),  # noqa: T201 - that is what is tried
    "standard error": lambda: sys.stderr.write(SECRET),
    "the console before redirection": _write_and_keep_back,
    "descriptor 1": _write_to(1),
    "descriptor 2": _write_to(2),
    "native code": _print_by_c,
    "child process": _by_child,
    "child process that stays": _by_forgotten_child,
    "warning": lambda: warnings.warn(SECRET, RuntimeWarning, stacklevel=1),
    "warning in a thread": _in_thread(lambda: warnings.warn(SECRET, RuntimeWarning, stacklevel=1)),
    "log": lambda: LIBRARY.error(SECRET),
    "log with arguments": lambda: LIBRARY.error("%s", SECRET),
    "log with extras": lambda: LIBRARY.error("broken", extra={"row": SECRET}),
    "log of an error": _log_error,
    "record to a logger": lambda: LIBRARY.handle(_record()),
    "record to the handlers": _to_handlers,
    "log in a thread": _in_thread(lambda: LIBRARY.error(SECRET)),
    "error in a thread": _in_thread(_raise(ValueError(SECRET))),
    "error in a destructor": _drop_unwilling,
}


@pytest.mark.filterwarnings("always::RuntimeWarning")
@pytest.mark.parametrize("voice", VOICES.values(), ids=VOICES)
def test_nothing_said_in_a_step_is_heard(overheard: Overheard, voice: Callable[[], object]) -> None:
    """What a step or its libraries print, warn or log does not leave."""
    assert overheard.enter(voice) is None
    assert SECRET not in overheard.text()


@pytest.mark.filterwarnings("always::RuntimeWarning")
@pytest.mark.parametrize(
    "voice",
    [v for n, v in VOICES.items() if not n.startswith(("error in", "child process that"))],
)
def test_the_same_is_heard_outside(overheard: Overheard, voice: Callable[[], object]) -> None:
    """The ear of these tests hears: outside of a step, each of these voices arrives."""
    voice()
    assert SECRET in overheard.text()


BUFFERED = """
import ctypes, sys
from tasks.airlock.airlock import run_inside
c = ctypes.CDLL(None)

def work():
    sys.__stdout__.write("secret")
    c.printf(b"secret")

print("before")
c.printf(b"before in C\\n")
run_inside("train", work, str)
c.printf(b"after in C\\n")
print("after")
"""


def test_buffers_are_emptied_before_and_after_a_step() -> None:
    """What waited when a step began still arrives; what the step left in a buffer does not."""
    environment = {n: v for n, v in os.environ.items() if n != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", BUFFERED], env=environment, stdout=subprocess.PIPE, check=True
    )
    said = sorted(done.stdout.decode().split("\n"))
    assert said == ["", "after", "after in C", "before", "before in C"]


def test_a_thread_that_outlives_its_step_is_not_heard(overheard: Overheard) -> None:
    """A thread that a step left behind logs and fails as quietly as the step."""
    step_over = threading.Event()
    left_behind: list[threading.Thread] = []

    def work() -> None:
        def wait_and_fail() -> None:
            step_over.wait()
            LIBRARY.error(SECRET)
            raise ValueError(SECRET)

        left_behind.append(threading.Thread(target=wait_and_fail))
        left_behind[0].start()

    overheard.enter(work)
    step_over.set()
    left_behind[0].join()
    assert overheard.said
    assert SECRET not in overheard.text()


def test_that_something_was_logged_is_still_seen(overheard: Overheard) -> None:
    """A record keeps its logger and level, so that trouble shows without its text."""
    overheard.enter(lambda: LIBRARY.error(SECRET))
    assert "left out" in overheard.said[0]
    assert "a.library" in overheard.said[0]


# --- Steps ---------------------------------------------------------------------------------------


@step("Give a table", gives=Roster)
def give_table(_desk: Desk) -> pa.Table:
    """Give a table."""
    return pa.table({"a": ["x"]})


@step("Need the permitted", gives=Collected)
def need_permitted(_desk: Desk, data: Opened[Permitted]) -> pa.Table:
    """Hand the permitted on."""
    return data.table()


@step("Fail", gives=Roster)
def fail(_desk: Desk) -> pa.Table:
    """Fail, quoting a value."""
    raise ValueError(SECRET)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run that is open, without Prefect."""
    monkeypatch.setenv("TUTELA_HOME", str(create_home(tmp_path / "home").root))
    with open_run("diabetes") as opened:
        yield opened


@pytest.mark.usefixtures("run")
def test_a_step_refuses_data_of_another_stage() -> None:
    """What the vault's manifest says decides, not the type that a caller claims."""
    roster = give_table()
    claimed: DatasetRef[Permitted] = DatasetRef(roster.uri, roster.digest, roster.schema)
    with pytest.raises(VaultError, match="has reached the stage 'roster', and 'Permitted' is"):
        need_permitted(claimed)


@pytest.mark.parametrize("changed", ["name", "run", "digest", "path"])
def test_a_forged_reference_opens_nothing(run: Run, changed: str) -> None:
    """A reference that no step of this run returned is refused, however near it comes."""
    true = give_table()
    forged: dict[str, DatasetRef[Permitted]] = {
        "name": DatasetRef(f"{run.id}/{'0' * 16}", true.digest, true.schema),
        "run": DatasetRef(f"x{true.uri}", true.digest, true.schema),
        "digest": DatasetRef(true.uri, "0" * 64, true.schema),
        "path": DatasetRef(f"{run.id}/../../keys/root.key", true.digest, true.schema),
    }
    with pytest.raises(VaultError, match="did not issue this reference"):
        need_permitted(forged[changed])


def test_a_step_that_fails_is_sealed_in_the_runs_home(run: Run) -> None:
    """A real step seals its incident to the operator of the home that the run belongs to."""
    with pytest.raises(StepFailed, match="step 'fail' failed with ValueError") as caught:
        fail()
    assert SECRET in run.keys.open_incident(caught.value.incident)


def test_a_step_outside_of_a_run_is_refused() -> None:
    """There is no vault and no record without a run."""
    with pytest.raises(UsageError, match="outside a run"):
        give_table()


def test_a_step_inside_a_step_is_refused(overheard: Overheard) -> None:
    """The inner one would open the airlock of the outer one when it ends."""
    left = overheard.enter(lambda: run_inside("inner", lambda: None, overheard.seal))
    assert isinstance(left, UsageError)
    assert "inside a step" in str(left)


def test_one_step_runs_at_a_time(overheard: Overheard) -> None:
    """A second step waits: the mark "inside a step" is one for the whole process."""
    order: list[str] = []
    second_is_in = threading.Event()

    def second() -> None:
        order.append("second begins")
        second_is_in.set()

    waiting = threading.Thread(target=overheard.enter, args=(second,))

    def first() -> None:
        waiting.start()
        second_is_in.wait(0.2)
        order.append("first ends")

    overheard.enter(first)
    waiting.join()
    assert order == ["first ends", "second begins"]


def test_a_steps_prefect_task_keeps_data_out_of_prefect() -> None:
    """No result, no input and no print of a step is stored; a retry is a new run."""
    from prefect.cache_policies import NO_CACHE

    task = give_table.task  # type: ignore[attr-defined]  # a step, typed as the function it wraps
    assert (task.name, task.description) == ("Give a table", "Give a table.")
    for used in (task, task.with_options(task_run_name="Give a table: ward")):
        assert used.tags == set()  # for each, Prefect asks its server for a slot before the step
        assert used.persist_result is False
        assert used.cache_result_in_memory is False
        assert used.cache_policy == NO_CACHE
        assert used.log_prints is False
        assert used.retries == 0


def test_prefect_does_not_look_into_a_reference() -> None:
    """Two references that share a field are not joined by an edge that the flow does not have."""
    from prefect.utilities.collections import visit_collection

    seen: list[object] = []
    reference: DatasetRef[Roster] = DatasetRef("run/name", "digest", ("a", "b"))
    visit_collection(reference, visit_fn=seen.append, return_data=False)
    assert seen == [reference]


def test_importing_steps_imports_no_prefect() -> None:
    """Who imports a step or the command line does not wait for Prefect or MLflow."""
    modules = "tasks.handover.delivery, tasks.training.train, tasks.attack.model, deployments.cli"
    code = f"import sys, {modules}; print({{'prefect', 'mlflow', 'sklearn'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
