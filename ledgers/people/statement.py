"""Requests and what people say of them: plain values in one form, which is what is signed.

A request says what somebody is asked to approve, without a person's value, so that it can be read,
and signed or declined, anywhere. A statement answers one request, by its digest. What a request is
about is not known here, nor whose key counts. Both formats are on a page, `docs/approvals.md`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, cast

from expectations.errors import UsageError
from ledgers.checkpoints import Said, write_canonical
from ledgers.home.database import stamp
from ledgers.people.signature import Invalid, PublicKey, read_public, verify

Answer: TypeAlias = Literal["approve", "decline"]
Subject: TypeAlias = Literal["hand-over", "policy", "keys", "start"]
REQUEST: Final = "tutela.request"
STATEMENT: Final = "tutela.statement"
SIGNED: Final = "tutela.signed"
VERSION: Final = 1
LONGEST: Final = 1 << 20
"""Bytes of a request or a signed statement: what is shown to somebody is far shorter."""
LONGEST_REASON: Final = 500


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody is asked, as plain values."""

    said: Mapping[str, Said]

    @classmethod
    def about(cls, subject: Subject, home: str, until: str, **more: Said) -> Request:
        """Make a request of a home, named by its public key, that can be answered `until` then."""
        named: dict[str, Said] = {
            "type": REQUEST,
            "version": VERSION,
            "of": subject,
            "home": home,
            "until": until,
        }
        return cls({**named, **more})

    @classmethod
    def read(cls, content: bytes) -> Request:
        """Read a request; UsageError for what is none, or is not in its one form."""
        said = _read(content, REQUEST, "a request")
        if not all(isinstance(said.get(name), str) for name in ("of", "home", "until")):
            raise UsageError("this request does not say what it asks, of which home, until when")
        return cls(said)

    @property
    def content(self) -> bytes:
        """The request in its one form."""
        return write_canonical(dict(self.said))

    @property
    def digest(self) -> str:
        """The SHA-256 of the request, by which a statement names it."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def subject(self) -> str:
        """What it asks."""
        return str(self.said["of"])

    @property
    def until(self) -> str:
        """When it lapses, UTC in ISO 8601."""
        return str(self.said["until"])


@dataclass(frozen=True, slots=True)
class Statement:
    """What somebody says of a request; `at` is their own clock's."""

    answer: Answer
    request: str
    key: str
    at: str
    reason: str = ""

    @classmethod
    def of(cls, request: Request, answer: Answer, key: PublicKey, reason: str = "") -> Statement:
        """Answer a request; UsageError for a reason that is too long, or a missing one."""
        if answer == "decline" and not reason.strip():
            raise UsageError("say why you decline: --reason")
        if len(reason) > LONGEST_REASON or not reason.isprintable():
            raise UsageError(f"give a reason in one line of at most {LONGEST_REASON} characters")
        return cls(answer, request.digest, key.fingerprint, stamp(), reason)

    @property
    def message(self) -> bytes:
        """What is signed."""
        return write_canonical({"type": STATEMENT, "version": VERSION, **asdict(self)})


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement with the request, the key and the signature: all that proves it."""

    request: Request
    statement: Statement
    key: PublicKey
    signature: str

    def check(self) -> None:
        """Raise UsageError unless the key signed this statement about this request."""
        if self.statement.request != self.request.digest:
            raise Invalid("it answers another request than the one beside it")
        if self.statement.key != self.key.fingerprint:
            raise Invalid("it names another key than the one beside it")
        verify(self.statement.message, self.signature, self.key)

    def to_said(self) -> dict[str, Said]:
        """Give it as plain values, as it is kept on record."""
        statement: dict[str, Said] = {"type": STATEMENT, "version": VERSION}
        return {
            "type": SIGNED,
            "version": VERSION,
            "request": dict(self.request.said),
            "statement": statement | cast("dict[str, Said]", asdict(self.statement)),
            "key": self.key.line,
            "signature": self.signature,
        }

    def write(self) -> bytes:
        """Give the file that is sent."""
        return write_canonical(self.to_said())

    @classmethod
    def read(cls, content: bytes) -> Signed:
        """Read a file that was sent, and check it; UsageError for what proves nothing."""
        return cls.from_said(_read(content, SIGNED, "a signed statement"))

    @classmethod
    def from_said(cls, said: Mapping[str, Said]) -> Signed:
        """Read plain values, and check them; UsageError for what proves nothing."""
        try:
            statement = cast("dict[str, str]", dict(cast("dict[str, Said]", said["statement"])))
            kind, version = statement.pop("type"), statement.pop("version")
            read = Statement(**statement)  # type: ignore[arg-type]  # checked below
            request = Request.read(write_canonical(said["request"]))
            signed = cls(request, read, read_public(str(said["key"])), str(said["signature"]))
            datetime.fromisoformat(read.at)
            known = kind == STATEMENT and version == cast("str", VERSION)
            known &= all(isinstance(part, str) for part in statement.values())
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UsageError("this is not a whole signed statement") from None
        if not known or read.answer not in {"approve", "decline"}:
            raise UsageError("this statement says neither approve nor decline")
        signed.check()
        return signed


def _read(content: bytes, kind: str, named: str) -> dict[str, Said]:
    """Read what must be canonical JSON of a kind and version."""
    if len(content) > LONGEST:
        raise UsageError(f"this file is too long for {named}")
    try:
        said = json.loads(content)
        same = write_canonical(said) == content.strip()
    except (ValueError, RecursionError):
        raise UsageError(f"this file is not {named}") from None
    if not isinstance(said, dict) or said.get("type") != kind:
        raise UsageError(f"this file is not {named}")
    if said.get("version") != VERSION:
        raise UsageError(f"this is {named} of another version: use a newer tutela")
    if not same:
        raise UsageError(f"this is {named}, but not in its one form: it was edited")
    return cast("dict[str, Said]", said)
