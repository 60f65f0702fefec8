"""The home of a rehearsal: a locked folder of its own, removed at the end or by the next one.

What it does not know: policies, and what is rehearsed.
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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from deployments.servers.prefect_process import is_alive, share
from deployments.servers.prefect_server import running
from expectations.errors import HomeError
from ledgers.home.founding import create_home
from ledgers.home.home import Home

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


@contextmanager
def own_home() -> Iterator[Home]:
    """Give a home in a folder of its own, and remove both; the environment is as before after."""
    before = dict(os.environ)
    remove_left()
    try:
        with ended_in_order(), own_folder() as folder, users_server() as url:
            if url:
                os.environ["PREFECT_API_URL"] = url
            for name in [name for name in os.environ if name.startswith(OWN)]:
                del os.environ[name]
            home = create_home(folder / "home")
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
    limit = time.monotonic() + ENDING
    while is_alive(home) and time.monotonic() < limit:
        time.sleep(0.1)
