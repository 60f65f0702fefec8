"""Which of Prefect's flow runs are carried out here: a note each, whose lock its process holds.

A process that is killed tells nobody, and Prefect would show its flow run as under way for ever. So
a note stands from when a flow begins to when Prefect knows how it ended; one without a held lock is
a dead process's, and the next one that comes tells Prefect in its place. It holds ids alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ledgers.home.home import Home
from ledgers.home.private_files import is_locked, locked

FOLDER: Final = "flow-runs"
_held: Final[dict[str, tuple[Path, int]]] = {}


def note_flow_run(home: Home, flow_run: str) -> bool:
    """Note that this process begins a flow run; False where another one carries it out.

    Whoever waited for that one would hold the folder, which it needs.
    """
    import fcntl

    if flow_run in _held:
        return True
    with locked(_folder(home)) as folder:
        path = folder / flow_run
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
    _held[flow_run] = path, descriptor
    return True


def name_run(flow_run: str, run_id: str) -> None:
    """Note which run it is; the record has to know the run first."""
    os.write(_held[flow_run][1], run_id.encode())


def end_flow_run(flow_run: str) -> None:
    """Take the note of this process's flow run away, once Prefect knows how it ended."""
    if noted := _held.pop(flow_run, None):
        path, descriptor = noted
        path.unlink(missing_ok=True)
        os.close(descriptor)


def find_abandoned(home: Home) -> dict[str, str]:
    """Give the flow runs that dead processes left: the run of each, or nothing if none began."""
    with locked(_folder(home)) as folder:
        return {
            path.name: path.read_text("utf-8")
            for path in sorted(folder.iterdir())
            if not is_locked(os.open(path, os.O_RDONLY))
        }


def forget(home: Home, flow_run: str) -> None:
    """Take a dead process's note away, once Prefect was told."""
    (_folder(home) / flow_run).unlink(missing_ok=True)


def _folder(home: Home) -> Path:
    folder = home.prefect / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
