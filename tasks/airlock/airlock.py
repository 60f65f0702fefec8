"""The airlock: what happens inside a step stays inside, whatever the step and its libraries do.

While a step runs, standard output and error (of the process, native code and children included),
log records, warnings, and errors of threads and destructors are silenced or emptied of their text;
an exception leaves as a `TutelaError` whose text was vouched for, or as `StepFailed`, its full text
sealed to the operator's public key. The mark "inside a step" is process-wide, since threads that a
library starts see no context variable: so one step runs at a time in a process.

It does not cover what a step writes to files of its own, errors raised between steps, and what
outlives its step: a thread that prints later, a file object on descriptor 1 or 2 that nobody
flushed, an object whose destructor fails after a step that ended well.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache
from io import StringIO
from typing import Final, TypeVar

from expectations.errors import ServiceError, StepFailed, TutelaError, UsageError
from tasks.own_code.vouching import find_kind, is_vouched

T = TypeVar("T")
EMPTIED: Final = "a library's message inside a step was left out"
FIELDS: Final = frozenset(vars(logging.makeLogRecord({})))
"""What every log record has; whatever else a record carries was handed to it as `extra`."""
_inside = threading.Event()
_one_step = threading.RLock()
_born_inside: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
"""The threads that a step started and that outlived it."""


def run_inside(step: str, work: Callable[[], T], seal: Callable[[str], str]) -> T:
    """Run `work` inside the airlock; `seal` takes an error's full text and gives an incident id.

    Raises `TutelaError`s as they are but bare of cause, context and traceback; anything else, and
    those in which own code had a part, as `StepFailed`; what ends a process (Ctrl-C, a signal, an
    exit) as a bare one of its own type.
    """
    leaving: BaseException
    with _closed():
        try:
            return work()
        except BaseException as error:  # noqa: BLE001  # the one place that may catch everything
            leaving = _pass_on(step, error, seal)
        leaving.__cause__ = leaving.__context__ = None
        leaving.__notes__ = []
        # The frames that the error held die here, where nothing is heard of what they say.
        gc.collect()
    raise leaving from None


def attempt(work: Callable[[], None], seal: Callable[[str], str]) -> None:
    """Do, inside a step, what it can do without: an error is sealed and goes no further."""
    try:
        work()
    except TutelaError:
        return
    except Exception as error:  # noqa: BLE001  # the step goes on, whatever a library raised
        with suppress(TutelaError, OSError):
            seal("".join(traceback.format_exception(error)))


def _pass_on(step: str, error: BaseException, seal: Callable[[str], str]) -> BaseException:
    """Give an error whose text is vouched for without its traceback, any other one scrubbed."""
    if isinstance(error, TutelaError) and is_vouched(error):
        with suppress(TutelaError):  # then its text says all that there is to say
            error.seal_places(seal)
        return error.with_traceback(None)
    return _scrubbed(step, error, seal)


def _scrubbed(step: str, error: BaseException, seal: Callable[[str], str]) -> BaseException:
    """Seal an error's text, and give what may be known of it."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ServiceError(f"step '{step}': the disk is full; free room and run again")
    kind = find_kind(error).__name__
    try:
        incident = seal("".join(traceback.format_exception(error)))
    except Exception as failure:  # noqa: BLE001  # its context is the error that was to be sealed
        why = str(failure) if isinstance(failure, TutelaError) else find_kind(failure).__name__
        unsealed = f"step '{step}' failed with {kind}; its details could not be sealed: {why}"
        return _ending(error) or ServiceError(unsealed)
    return _ending(error) or StepFailed(step, kind, incident)


def _ending(error: BaseException) -> BaseException | None:
    """Give what ends a process without what it carries; None for an error that ends a step."""
    match error:
        case Exception() | BaseExceptionGroup():
            return None
        case SystemExit():
            # Whatever status a library chose, the run did not end in order.
            return SystemExit(StepFailed.exit_status)
    kind = find_kind(error)
    bare = kind.__new__(kind)
    bare.args = ()
    number = vars(error).get("signal")
    if isinstance(number, int) and number in signal.valid_signals():
        # Prefect ends its process by the number that its own `TerminationSignal` carries.
        vars(bare)["signal"] = number
    return bare


@contextmanager
def _closed() -> Iterator[None]:
    """Close the airlock: one step at a time, its voices silenced."""
    with _one_step:
        if _inside.is_set():
            raise UsageError("a step was called inside a step; call both from a flow")
        _install()
        earlier = set(threading.enumerate())
        _inside.set()
        try:
            with (
                _quiet_descriptors(),
                redirect_stdout(StringIO()),
                redirect_stderr(StringIO()),
                warnings.catch_warnings(),
                _collecting_what_is_new(),
            ):
                warnings.showwarning = _no_warning
                yield
        finally:
            _born_inside.update(set(threading.enumerate()) - earlier)
            _inside.clear()


@contextmanager
def _collecting_what_is_new() -> Iterator[None]:
    """Let the garbage collector look at what the step makes, and not at what was there before.

    A million objects of the libraries cost it a third of a second each time, and none of them can
    hold what an error of the step held. Where somebody set objects aside already, it is left so.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def _quiet_descriptors() -> Iterator[None]:
    """Point file descriptors 1 and 2 nowhere, for native code and child processes."""
    _flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(nowhere, number)
        yield
    finally:
        _flush()
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


def _flush() -> None:
    """Write out what Python and C still hold back, so that it goes where it belongs."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]  # None where there is no console
    ctypes.CDLL(None).fflush(None)


def _no_warning(*_: object, **__: object) -> None:
    """Take the place of `warnings.showwarning`: a warning's text may quote a value."""


def _is_quiet() -> bool:
    """Whether what is said now, in this thread, may come from a step."""
    return _inside.is_set() or threading.current_thread() in _born_inside


@cache
def _install() -> None:
    """Set the hooks that outlive a step, once per process; outside a step they do nothing."""
    call_handlers, call_handler = logging.Logger.callHandlers, logging.Handler.handle
    thread_hook, destructor_hook = threading.excepthook, sys.unraisablehook

    def hand_out(logger: logging.Logger, made: logging.LogRecord) -> None:
        call_handlers(logger, _emptied(made))

    def handle(handler: logging.Handler, made: logging.LogRecord) -> bool | logging.LogRecord:
        return call_handler(handler, _emptied(made))

    # The logger's, for handlers with a `handle` of their own, as Prefect's on the console; and the
    # handlers', for records that pass no logger. A record factory would miss those made by hand.
    logging.Logger.callHandlers = hand_out  # type: ignore[method-assign,assignment]  # its point
    logging.Handler.handle = handle  # type: ignore[method-assign,assignment]  # the same
    threading.excepthook = lambda args: None if _is_quiet() else thread_hook(args)
    sys.unraisablehook = lambda args: None if _is_quiet() else destructor_hook(args)


def _emptied(record: logging.LogRecord) -> logging.LogRecord:
    """Take text, arguments, traceback and extras out of a record that may come from a step."""
    if _is_quiet():
        for name in vars(record).keys() - FIELDS:
            delattr(record, name)
        record.msg, record.args = EMPTIED, ()
        record.exc_info = record.exc_text = record.stack_info = None
    return record
