"""A file that only grows by whole lines, each written through to the disk; half a line is none.

It knows nothing of what the lines say. Whoever appends holds a lock, and mends first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from ledgers.home.private_files import sync_folder


@dataclass(frozen=True, slots=True)
class LineFile:
    """The lines of the file at `path`, which need not be there yet."""

    path: Path

    def append(self, *lines: bytes) -> None:
        """Write lines through to the disk, for their owner alone."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with open(descriptor, "ab") as file:  # noqa: PTH123 - a Path cannot open with a mode
            file.write(b"".join(line + b"\n" for line in lines))
            file.flush()
            os.fsync(descriptor)
        sync_folder(self.path.parent)

    def mend(self) -> None:
        """Take off half a line that a crash left."""
        with suppress(FileNotFoundError), self._mapped() as content:
            os.truncate(self.path, content.rfind(b"\n") + 1)

    def last(self) -> bytes | None:
        """Give the last whole line, if there is one; the file may be long."""
        with suppress(FileNotFoundError), self._mapped() as content:
            end = content.rfind(b"\n")
            return None if end < 0 else content[content.rfind(b"\n", 0, end) + 1 : end]
        return None

    def lines(self) -> list[bytes]:
        """Give all whole lines."""
        try:
            return self.path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []

    @contextmanager
    def _mapped(self) -> Iterator[mmap | bytes]:
        with self.path.open("rb") as file:
            if not self.path.stat().st_size:
                yield b""
                return
            with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
                yield content
