"""The airlock: what happens inside a step stays inside, whatever the step and its libraries do.

While a step runs, standard output and error (of the process, native code and children included),
log records, warnings, and errors of threads and destructors are silenced or emptied of their text;
an exception leaves as a `TutelaError` whose text was vouched for, or as `StepFailed`, its full text
sealed to the operator's public key. The mark "inside a step" is process-wide, since threads that a
library starts see no context variable: so one step runs at a time in a process.

It does not cover what a step writes to files of its own, nor errors raised between steps.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from io import StringIO
from typing import Final, TypeVar

from expectations.errors import ServiceError, StepFailed, TutelaError

T = TypeVar("T")
EMPTIED: Final = "a library's message inside a step was left out"
_inside = threading.Event()
_one_step = threading.RLock()


def run_inside(step: str, work: Callable[[], T], seal: Callable[[str], str]) -> T:
    """Run `work` inside the airlock; `seal` takes an error's full text and gives an incident id.

    Raises `TutelaError`s as they are but bare of cause, context and traceback; anything else as
    `StepFailed`; what ends a process (Ctrl-C, a signal) as a bare one of its own type.
    """
    leaving: BaseException
    try:
        with _closed():
            return work()
    except TutelaError as error:
        leaving = error
    except BaseException as error:  # noqa: BLE001  # the one place that may catch everything
        leaving = _scrubbed(step, error, seal)
    leaving.__cause__ = leaving.__context__ = None
    leaving.__notes__ = []
    raise leaving.with_traceback(None) from None


def _scrubbed(step: str, error: BaseException, seal: Callable[[str], str]) -> BaseException:
    """Seal an error's text, and give what may be known of it."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return ServiceError(f"step '{step}': the disk is full; free room and run again")
    incident = seal("".join(traceback.format_exception(error)))
    if isinstance(error, Exception):
        return StepFailed(step, type(error).__name__, incident)
    bare = type(error).__new__(type(error))
    bare.args = ()
    return bare


@contextmanager
def _closed() -> Iterator[None]:
    """Close the airlock: one step at a time, its voices silenced."""
    with _one_step:
        _install()
        _inside.set()
        try:
            with (
                redirect_stdout(StringIO()),
                redirect_stderr(StringIO()),
                _quiet_descriptors(),
                warnings.catch_warnings(),
            ):
                warnings.showwarning = _no_warning
                yield
        finally:
            _inside.clear()


@contextmanager
def _quiet_descriptors() -> Iterator[None]:
    """Point file descriptors 1 and 2 nowhere, for native code and child processes."""
    kept = {number: os.dup(number) for number in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(nowhere, number)
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)


def _no_warning(*_: object, **__: object) -> None:
    """Take the place of `warnings.showwarning`: a warning's text may quote a value."""


@cache
def _install() -> None:
    """Set the hooks that outlive a step, once per process; outside a step they do nothing."""
    make_record = logging.getLogRecordFactory()
    call_handlers = logging.Logger.callHandlers
    thread_hook, destructor_hook = threading.excepthook, sys.unraisablehook

    def record(*args: object, **kwargs: object) -> logging.LogRecord:
        return _emptied(make_record(*args, **kwargs))

    def handle(logger: logging.Logger, made: logging.LogRecord) -> None:
        call_handlers(logger, _emptied(made))

    logging.setLogRecordFactory(record)
    logging.Logger.callHandlers = handle  # type: ignore[method-assign,assignment]  # records made by hand pass no factory
    threading.excepthook = lambda args: None if _inside.is_set() else thread_hook(args)
    sys.unraisablehook = lambda args: None if _inside.is_set() else destructor_hook(args)


def _emptied(record: logging.LogRecord) -> logging.LogRecord:
    """Take a record's text, arguments and traceback out while a step is running."""
    if _inside.is_set():
        record.msg, record.args = EMPTIED, ()
        record.exc_info = record.exc_text = record.stack_info = None
        record.message = EMPTIED
    return record
