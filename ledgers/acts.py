"""The acts that no backup may undo, kept apart from the home: a file that its settings name.

An erasure, a destroyed key, what people said and what they were charged is written there before
its transaction ends, and confirmed after it. So a home that is restored from a backup can be
brought to where it stood, and a ledger that was put back to an older state meets an act that it
does not know. An act that was never confirmed may not have happened: it is replayed, since that
errs on the side of people, and held against nobody.

Each line is sealed under the home's keys and chained to the one before; how many bytes a line has
is all that shows. Lines cut off at its end do not show, nor a file that is gone with the home: let
it lie on another disk.
"""

from __future__ import annotations

import hmac
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final, Literal, TypeAlias

from expectations.errors import Refusal, ServiceError
from ledgers.home.database import stamp
from ledgers.home.keys import Keys
from ledgers.home.private_files import disk_failure, locked, sync_folder

Kind: TypeAlias = Literal["said", "erased", "forgotten", "charge", "destroyed", "backup"]
DONE: Final = "done"
BACKUP: Final = "backup"
"""Nothing that has to be done again: with it the file is there as soon as a backup is."""
START: Final = ""


@dataclass(frozen=True, slots=True)
class Act:
    """What was done: `mark` says where its ledger stood after it, `payload` all that repeats it."""

    seq: int
    at: str
    kind: str
    of: int
    """The act that a line confirms; 0 for an act itself."""
    mark: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    link: str = ""


@dataclass(frozen=True, slots=True)
class Acts:
    """The file of acts of a home; where its settings name none, nothing is written or known."""

    keys: Keys

    @property
    def path(self) -> Path | None:
        """Where the file lies."""
        named = self.keys.home.settings.journal
        return Path(named).expanduser() if named else None

    def note(self, kind: Kind, payload: bytes, mark: Mapping[str, str | int] = {}) -> int:
        """Write an act through to the disk before it is committed; give its number, or 0.

        Raises ServiceError when the disk refuses: then it must not be committed.
        """
        if self.path is None:
            return 0
        return self._append(self.path, kind, 0, json.dumps({**mark}).encode(), payload)

    def confirm(self, seq: int) -> None:
        """Note that an act was committed; nothing for number 0."""
        if seq and self.path is not None:
            self._append(self.path, DONE, seq, b"", b"")

    def last_mark(self, kind: Kind) -> dict[str, str | int] | None:
        """Give where a ledger stood after the last confirmed act of a kind; None without any."""
        if self.path is None or not self.path.is_file():
            return None
        done: set[int] = set()
        for line in _lines_backward(self.path):
            read = json.loads(line)
            if read["kind"] == DONE:
                done.add(int(read["of"]))
            elif read["kind"] == kind and read["seq"] in done:
                sealed = b64decode(read["mark"])
                mark = self.keys.unseal(sealed, _label("mark", kind, int(read["seq"])))
                found: dict[str, str | int] = json.loads(mark)
                return found
        return None

    def read(self, path: Path) -> list[Act]:
        """Give all acts of a file, and what confirms them, oldest first.

        Refusal where a line was changed or taken out, or the file is another home's.
        """
        acts: list[Act] = []
        link = START
        for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
            try:
                act = self._open(json.loads(line), link)
            except (ValueError, KeyError, TypeError, ServiceError):
                act = None
            if act is None or act.seq != number:
                raise Refusal(
                    "journal of acts",
                    f"{path}: line {number} was changed, one before it was taken out, or it is "
                    "another home's; find the file that this home wrote",
                )
            acts.append(act)
            link = act.link
        return acts

    def end(self) -> tuple[int, str]:
        """Give the number and the link of the last line; 0 where there is none."""
        if self.path is None or not self.path.is_file():
            return 0, START
        for line in _lines_backward(self.path):
            last = json.loads(line)
            return int(last["seq"]), str(last["link"])
        return 0, START

    def _append(self, path: Path, kind: str, of: int, mark: bytes, payload: bytes) -> int:
        try:
            with locked(path.parent):
                _mend(path)
                before = self.end()
                seq, at = before[0] + 1, stamp()
                row: dict[str, str | int] = {"seq": seq, "at": at, "kind": kind, "of": of}
                for name, content in (("mark", mark), ("payload", payload)):
                    sealed = self.keys.seal(content, _label(name, kind, seq)) if content else b""
                    row[name] = b64encode(sealed).decode()
                row["link"] = self._link(before[1], row)
                _write_line(path, json.dumps(row).encode())
        except OSError as error:
            raise ServiceError(
                f"the journal {path} cannot be written: {disk_failure(error)}. Nothing was done; "
                "correct `journal` in settings.toml if it moved"
            ) from None
        return seq

    def _open(self, row: dict[str, str | int], before: str) -> Act | None:
        if not hmac.compare_digest(self._link(before, row), str(row["link"])):
            return None
        kind, seq = str(row["kind"]), int(row["seq"])
        sealed = {name: b64decode(str(row[name])) for name in ("mark", "payload")}
        mark, payload = (
            self.keys.unseal(content, _label(name, kind, seq)) if content else b""
            for name, content in sealed.items()
        )
        return Act(seq, str(row["at"]), kind, int(row["of"]), mark, payload, str(row["link"]))

    def _link(self, before: str, row: Mapping[str, str | int]) -> str:
        values = [before, *(row[name] for name in ("seq", "at", "kind", "of", "mark", "payload"))]
        return hmac.digest(self.keys.derive("acts"), json.dumps(values).encode(), "sha256").hex()


def _label(name: str, kind: str, seq: int) -> str:
    return f"act {name}:{kind}:{seq}"


def _write_line(path: Path, line: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with open(descriptor, "ab") as file:  # noqa: PTH123 - a Path cannot open with a mode
        file.write(line + b"\n")
        file.flush()
        os.fsync(descriptor)
    sync_folder(path.parent)


def _mend(path: Path) -> None:
    """Take off half a line that a crash left."""
    if path.is_file():
        with _mapped(path) as content:
            whole = content.rfind(b"\n") + 1
        os.truncate(path, whole)


def _lines_backward(path: Path) -> Iterator[bytes]:
    """Give the whole lines of a file, the last first; the file may be long."""
    with _mapped(path) as content:
        end = content.rfind(b"\n")
        while end >= 0:
            start = content.rfind(b"\n", 0, end)
            yield content[start + 1 : end]
            end = start


@contextmanager
def _mapped(path: Path) -> Iterator[mmap | bytes]:
    with path.open("rb") as file:
        if not path.stat().st_size:
            yield b""
            return
        with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            yield content
