"""What the parts of a bundle say, each in its form: `docs/bundle.md` and the schemas beside it.

Nothing is taken for something else here, such as `true` for 1, and no part that a home signs has
more than its form: whatever nobody reads could hide there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Hex: TypeAlias = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Member: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][A-Za-z0-9._-]{0,150}$")]
Fingerprint: TypeAlias = Annotated[str, Field(pattern="^SHA256:[A-Za-z0-9+/]{43}$")]
Moment: TypeAlias = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}(\.[0-9]{6})?\+00:00$"),
]
"""UTC, so that of two the later is the greater text."""
First: TypeAlias = Annotated[int, Field(ge=1, le=1)]
Second: TypeAlias = Annotated[int, Field(ge=2, le=2)]
"""Versions: as `Literal`, pydantic takes true for 1 and 2.0 for 2."""
Number: TypeAlias = Annotated[int, Field(ge=1, lt=10**15)]


class _Whole(BaseModel):
    """A part that has these names and no others."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Open(BaseModel):
    """A part that has at least these names."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Checkpoint(_Whole):
    """One checkpoint by its number; it tells nothing of what it covers."""

    chain: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    number: Number
    digest: Hex


class Manifest(_Whole):
    """What a bundle is, and what is in it."""

    type: Literal["tutela.bundle"]
    version: Second
    run: str
    policy: str
    policy_sha256: Hex
    policy_files: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")]
    code: str
    started: Moment
    verdict: Literal["passed", "refused", "failed"]
    checkpoint: Checkpoint | None
    files: Annotated[dict[Member, Hex], Field(max_length=200)]


class ToldCheck(_Whole):
    """A check as a recipient is told it."""

    name: str
    asked: str
    reached: str
    verdict: Literal["passed", "warned", "inconclusive"]
    power: str | None
    outlet: str | None


class FoundCheck(_Open):
    """A check as the evidence has it."""

    name: str
    asked: str
    measured: str
    verdict: str
    power: str | None
    outlet: str | None

    def to_told(self) -> ToldCheck | None:
        """Give it as a recipient is told it; None for what nobody is told."""
        said = self.model_dump(exclude={"measured"}) | {"reached": self.measured}
        try:
            return ToldCheck.model_validate(said)
        except ValidationError:
            return None


class Released(_Open):
    """A package as the evidence has it."""

    digest: str | None


class FoundOutlet(_Open):
    """An outlet as the evidence has it; `claim` is null where nothing left."""

    name: str
    kind: str
    recipient: str
    claim: str | None
    limits: str
    release: Released | None


class Evidence(_Open):
    """What the evidence has that other parts say too."""

    run_id: str
    policy: str
    policy_sha256: str
    code: str
    started_at: str
    verdict: str
    controller: str
    purpose: str
    legal_basis: list[str]
    consent_snapshot: str | None
    checks: list[FoundCheck]
    outlets: list[FoundOutlet]


class _Asked(_Whole):
    """What each request says."""

    type: Literal["tutela.request"]
    version: First
    home: Hex
    until: Moment
    policy: str
    policy_sha256: Hex


class AskedOutlet(_Whole):
    """An outlet as people were shown it."""

    name: str
    kind: Literal["model", "table"]
    recipient: str
    claim: str


class AskedCheck(_Whole):
    """A check as people were shown it."""

    name: str
    verdict: Literal["passed", "warned", "inconclusive"]
    asked: str
    measured: str


class HandOver(_Asked):
    """What people were asked before a run handed over."""

    of: Literal["hand-over"]
    run: str
    code: str
    terms: Hex
    outlets: list[AskedOutlet]
    checks: list[AskedCheck]
    people: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    changes: list[str]
    accepts: list[str]
    quorum: Number
    by: list[Fingerprint]
    starter: Literal[""] | Fingerprint

    def doubts(self) -> set[tuple[str, str]]:
        """Name the checks that did not pass, each with its verdict."""
        return {(one.name, one.verdict) for one in self.checks if one.verdict != "passed"}


class OfText(_Asked):
    """What people were asked about a policy's text."""

    of: Literal["policy"]
    after: str
    changes: list[str]
    quorum: Number
    by: list[Fingerprint]


class OfStart(_Asked):
    """What who starts a run signs."""

    of: Literal["start"]


class Statement(_Whole):
    """What somebody says of a request."""

    type: Literal["tutela.statement"]
    version: First
    answer: Literal["approve", "decline"]
    request: Hex
    key: Fingerprint
    at: Moment
    reason: Annotated[str, Field(max_length=500)]


class Signed(_Whole):
    """A statement with what proves it; what the request is, its kind says."""

    type: Literal["tutela.signed"]
    version: First
    request: dict[str, Any]
    statement: Statement
    key: str
    signature: str


class Digest(_Whole):
    """A digest as in-toto has it."""

    sha256: Hex


class Subject(_Whole):
    """What a receipt is about."""

    name: str
    digest: Digest


class Approval(_Whole):
    """Who approved, and by which statement."""

    key: Fingerprint
    statement: Hex


class Predicate(_Whole):
    """What a receipt says of its package."""

    run: str
    started: str
    code: str
    controller: str
    policy: str
    policy_sha256: Hex
    purpose: str
    legal_basis: list[str]
    consent: str | None
    outlet: str
    kind: Literal["model", "table"]
    recipient: str
    claim: str
    limits: str
    checks: list[ToldCheck]
    approvals: list[Approval]
    checkpoint: Checkpoint | None


class Receipt(_Whole):
    """A statement of in-toto."""

    kind: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[list[Subject], Field(min_length=1, max_length=1)]
    about: Annotated[Literal["urn:tutela:receipt:1"], Field(alias="predicateType")]
    predicate: Predicate


@dataclass(frozen=True, slots=True)
class Told:
    """A bundle whose manifest is one: its members, what it says, and the home's key in hex."""

    members: Mapping[str, bytes]
    manifest: Manifest
    home: str


def say_problem(error: ValueError) -> str:
    """Say what is off in a part; never with the value that is there."""
    if not isinstance(error, ValidationError):
        return "no UTF-8" if isinstance(error, UnicodeError) else str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
