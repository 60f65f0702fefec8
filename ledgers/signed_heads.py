"""Signed heads of a ledger that is a chain, in a file of the home outside of the database.

Each line names a number, the link that stands there and the numbers erased just now, and the line
before by its signature (Ed25519, RFC 8032). So a table that was rewritten, or cut short, meets a
head that says otherwise. A line is written after what it names is on the disk: a crash in between
leaves events beyond the last head, and the next line covers them. What does not show: the newest
events cut off together with the lines that name them. A copy of the file elsewhere shows that, and
so does each run, whose record names the head that it used.

Where machines share a database, the newest head goes through it too, and each erasure's. A home
keeps what it finds there in its own file, if it was signed and the chain still meets what the home
had seen: from then on a chain without it is refused here as well. Who shares a home's keys signs as
it does.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import sqlalchemy as sa

from expectations.errors import Refusal, ServiceError
from ledgers.home.database import transaction
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.home.line_file import LineFile
from ledgers.home.private_files import disk_failure, locked

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CONSENT: Final = "consent-heads"
NAME: Final = f"{CONSENT}.jsonl"
FIRST: Final = "evidence-heads"
"""The heads that every home has in which anything was done, or that joined others."""

METADATA = sa.MetaData()
SHARED = sa.Table(
    "shared_heads",
    METADATA,
    sa.Column("signature", sa.String(128), primary_key=True),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("link", sa.String(64), nullable=False),
    sa.Column("at", sa.String(32), nullable=False),
    sa.Column("erased", sa.Text, nullable=False),
)
LINKS: Final = {
    CONSENT: "SELECT encode(link, 'hex') FROM consent_blocks WHERE last_seq = :seq",
    "budget-heads": "SELECT chain FROM budget_events WHERE seq = :seq",
    FIRST: "SELECT link FROM journal WHERE seq = :seq",
}
"""Where a ledger's chain stands, in Postgres's words; an older version left links empty."""


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

    engine: sa.Engine
    keys: Keys
    name: str = CONSENT

    @property
    def home(self) -> Home:
        """The home in which the file lies."""
        return self.keys.home

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.home.root / f"{self.name}.jsonl"

    @property
    def _file(self) -> LineFile:
        return LineFile(self.path)

    def last(self) -> SignedHead | None:
        """Give the last head, checked; None before the first. Refusal if it was not signed here."""
        self._take_in()
        return self._last()

    def _last(self) -> SignedHead | None:
        line = self._file.last()
        return None if line is None else self._read("the last line", line)

    def read(self) -> list[SignedHead]:
        """Give all heads, checked; Refusal names the first line that is forged or has lost one."""
        self._take_in()
        before, heads = "", []
        for number, line in enumerate(self._file.lines(), start=1):
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
        if self._keep(head, erased):
            self._show(head, erased)

    def _keep(self, head: Head, erased: Sequence[int]) -> bool:
        """Write a head into the file, unless a later one stands there; tell whether it was."""
        try:
            with locked(self.home.root):
                self._file.mend()
                last = self._last()
                newer = last is None or last.seq < head.seq or bool(erased)
                if newer:
                    self._append(head, erased, last.signature if last else "")
                return newer
        except OSError as error:
            raise ServiceError(
                f"{self.path} cannot be written: {disk_failure(error)}; what was recorded stays"
            ) from None

    def _show(self, head: Head, erased: Sequence[int]) -> None:
        """Put a head into the database for other machines, in place of earlier ones."""
        if self.engine.dialect.name != "postgresql":
            return
        signed = self._sign(head, erased, "")
        row = {name: getattr(signed, name) for name in ("signature", "seq", "link", "at")}
        row |= {"name": self.name, "erased": json.dumps(signed.erased)}
        earlier = (SHARED.c.name == self.name) & (SHARED.c.seq <= head.seq)
        # What it names is on record already; if it does not get there, the next one will.
        with suppress(ServiceError), transaction(self.engine) as connection:
            connection.execute(sa.delete(SHARED).where(earlier, SHARED.c.erased == "[]"))
            connection.execute(sa.insert(SHARED), row)

    def _take_in(self) -> None:
        """Keep the heads of other machines that the database shows and this home has not seen."""
        if self.engine.dialect.name != "postgresql" or not self._has_begun():
            return
        with transaction(self.engine) as connection:
            last = self._last()
            newer = SHARED.c.seq > (last.seq if last else -1)
            query = sa.select(SHARED).where(
                SHARED.c.name == self.name, newer | (SHARED.c.erased != "[]")
            )
            found = connection.execute(query.order_by(SHARED.c.seq)).mappings()
            shown = [self._check(row) for row in found]
            if shown and last is not None and last.seq:
                self._refuse_fork(connection, last)
        known = self._list_erasures() if any(head.erased for head in shown) else set()
        for head in shown:
            if not head.erased or (head.seq, head.erased) not in known:
                self._keep(Head(head.seq, head.link, head.at), head.erased)

    def _has_begun(self) -> bool:
        """Whether this home has any heads: one that lost them is refused, and is told nothing."""
        return (self.home.root / f"{FIRST}.jsonl").exists()

    def _check(self, row: sa.RowMapping) -> SignedHead:
        plain = {name: row[name] for name in ("seq", "link", "at", "signature")}
        line = {**plain, "erased": json.loads(row["erased"]), "before": ""}
        return self._read("a head in the database", json.dumps(line).encode())

    def _refuse_fork(self, connection: sa.Connection, last: SignedHead) -> None:
        """Refuse a chain that goes on from another one than this home has seen."""
        link = connection.scalar(sa.text(LINKS[self.name]), {"seq": last.seq})
        if link is None or (link and link != last.link):
            self._refuse(f"entry {last.seq}, which this home has seen, is another one or gone")

    def _list_erasures(self) -> set[tuple[int, tuple[int, ...]]]:
        lines = (json.loads(line) for line in self._file.lines() if b'"erased": []' not in line)
        return {(line["seq"], tuple(line["erased"])) for line in lines}

    def _sign(self, head: Head, erased: Sequence[int], before: str) -> SignedHead:
        unsigned = SignedHead(head.seq, head.link, head.at, tuple(erased), before)
        return replace(unsigned, signature=self._key().sign(unsigned.message()).hex())

    def _append(self, head: Head, erased: Sequence[int], before: str) -> None:
        line = json.dumps(asdict(self._sign(head, erased, before)), sort_keys=True)
        self._file.append(line.encode())

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
