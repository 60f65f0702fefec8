"""Files and folders that belong to their owner alone: 0600 and 0700, whole or absent.

It knows nothing of what it writes, and nothing of access lists, containers or the
administrator of the machine: it looks at owner and mode bits only.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}

_found: Final[list[int]] = []
"""The umask that each use of `owners_alone` found: a process has one, for all its threads."""
_turn: Final = threading.Lock()


@contextmanager
def owners_alone() -> Iterator[None]:
    """Let whatever this process writes meanwhile be its owner's alone, by libraries as well.

    Uses may overlap, in several threads: the last to end restores what the first one found.
    """
    with _turn:
        _found.append(os.umask(0o077))
    try:
        yield
    finally:
        with _turn:
            before = _found.pop()
            if not _found:
                os.umask(before)


def disk_failure(error: OSError) -> str:
    """Say what the system refused and what to do; quotes neither content nor file name."""
    if error.errno in FULL:
        return "the disk, a quota or a limit is full: free space"
    if error.errno in FORBIDDEN:
        return "it may not be read or written: correct its owner and rights"
    code = errno.errorcode.get(error.errno or 0, "a damaged file or a read error")
    return f"the system answered {code}: check the disk"


def write_private(path: Path, data: bytes) -> None:
    """Put `data` at `path` with mode 0600: after a crash the old file stands there, or the new.

    Raises the OSError of the system call that failed; the half-written file is removed.
    """
    making = path.with_name(f".{path.name}.{os.getpid()}.making")
    try:
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a Path cannot open with a mode
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        making.rename(path)
    except BaseException:
        making.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """Hold the lock of `folder`; the system lets it go when the process ends, however it ends."""
    # Where a system has none, what writes nothing works all the same.
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(descriptor)


def is_locked(descriptor: int) -> bool:
    """Tell whether somebody else holds the lock of an open file or folder, which is closed here."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def exposure(path: Path) -> str | None:
    """Say how `path` is open to others and how to close it; None if its owner alone has it.

    Allowed are at most 0700 for a folder and 0600 for a file. Raises FileNotFoundError.
    """
    found = path.stat()
    if found.st_uid != os.geteuid():
        return (
            f"{path} belongs to user id {found.st_uid}, not to {os.geteuid()}: work as its owner, "
            "or make a home of your own"
        )
    allowed = 0o700 if stat.S_ISDIR(found.st_mode) else 0o600
    mode = stat.S_IMODE(found.st_mode)
    if mode & ~allowed:
        return f"{path} has mode {mode:04o}, wider than {allowed:04o}: chmod {allowed:o} {path}"
    return None
