"""Signed heads of a ledger that is a chain, in a file of the home outside of the database.

Each line names a number, the link that stands there and the numbers erased just now, and the line
before by its signature (Ed25519, RFC 8032). So a table that was rewritten, or cut short, meets a
head that says otherwise. A line is written after what it names is on the disk: a crash in between
leaves events beyond the last head, and the next line covers them. What does not show: the newest
events cut off together with the lines that name them. A copy of the file elsewhere shows that, and
so does each run, whose record names the head that it used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from expectations.errors import Refusal, ServiceError
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.home.private_files import disk_failure, locked, sync_folder

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CONSENT: Final = "consent-heads"
NAME: Final = f"{CONSENT}.jsonl"


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: its number, its link in 64 hex digits, and when it was added.

    `at` is UTC in ISO 8601; number 0 is the beginning of every ledger.
    """

    seq: int
    link: str
    at: str


@dataclass(frozen=True, slots=True)
class SignedHead:
    """One line of the file; `before` is the signature of the line before."""

    seq: int
    link: str
    at: str
    erased: tuple[int, ...]
    before: str
    signature: str = ""

    def message(self) -> bytes:
        """Give what is signed."""
        return json.dumps({**asdict(self), "signature": ""}, sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class Heads:
    """The file of signed heads of one ledger of a home; `name` is also that of its key."""

    home: Home
    keys: Keys
    name: str = CONSENT

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.home.root / f"{self.name}.jsonl"

    def last(self) -> SignedHead | None:
        """Give the last head, checked; None before the first. Refusal if it was not signed here."""
        line = self._last_line()
        return None if line is None else self._read("the last line", line)

    def read(self) -> list[SignedHead]:
        """Give all heads, checked; Refusal names the first line that is forged or has lost one."""
        before, heads = "", []
        for number, line in enumerate(self._lines(), start=1):
            head = self._read(f"line {number}", line)
            if head.before != before:
                self._refuse(f"a line is missing before line {number}")
            before = head.signature
            heads.append(head)
        return heads

    def sign(self, head: Head, erased: Sequence[int] = ()) -> None:
        """Write a head through to the disk, unless a later one stands there already.

        Raises ServiceError when the disk refuses; the events it names stay, and the next head
        covers them.
        """
        try:
            with locked(self.home.root):
                self._mend()
                last = self.last()
                if last is None or last.seq < head.seq or erased:
                    self._append(head, erased, last.signature if last else "")
        except OSError as error:
            raise ServiceError(
                f"{self.path} cannot be written: {disk_failure(error)}; what was recorded stays"
            ) from None

    def _append(self, head: Head, erased: Sequence[int], before: str) -> None:
        unsigned = SignedHead(head.seq, head.link, head.at, tuple(erased), before)
        signature = self._key().sign(unsigned.message()).hex()
        line = json.dumps({**asdict(unsigned), "signature": signature}, sort_keys=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with open(descriptor, "ab") as file:  # noqa: PTH123 - a Path cannot open with a mode
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
        sync_folder(self.path.parent)

    def _mend(self) -> None:
        """Take off half a line that a crash left: its head was not signed."""
        with suppress(FileNotFoundError), self._mapped() as content:
            os.truncate(self.path, content.rfind(b"\n") + 1)

    def _last_line(self) -> bytes | None:
        """Give the last whole line, if there is one; the file may be long."""
        with suppress(FileNotFoundError), self._mapped() as content:
            end = content.rfind(b"\n")
            return None if end < 0 else content[content.rfind(b"\n", 0, end) + 1 : end]
        return None

    def _lines(self) -> list[bytes]:
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

    def _read(self, name: str, line: bytes) -> SignedHead:
        from cryptography.exceptions import InvalidSignature

        try:
            head = SignedHead(**{**(parts := json.loads(line)), "erased": tuple(parts["erased"])})
            self._key().public_key().verify(bytes.fromhex(head.signature), head.message())
        except (InvalidSignature, ValueError, TypeError, KeyError):
            self._refuse(f"{name} was not signed by this home")
        return head

    def _key(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return Ed25519PrivateKey.from_private_bytes(self.keys.derive(self.name))

    def _refuse(self, what: str) -> NoReturn:
        ledger = f"{self.name.partition('-')[0]} ledger"
        raise Refusal(ledger, f"{self.path}: {what}; compare it with a backup")
