"""Whose signatures a run needs before anything of it leaves."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from expectations.policy.declaration import Declaration
from expectations.policy.spans import Span

Fingerprint = Annotated[str, Field(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")]
"""A person's key, as `ssh-keygen -l -f KEY.pub` prints it."""


class Approvals(Declaration):
    """People who look at what would leave, and sign it: a run waits for them."""

    of: tuple[Literal["hand-over", "policy"], ...] = Field(min_length=1)
    """What they approve: what a run hands over, a change of the policy's text, or both."""
    by: tuple[Fingerprint, ...] = Field(min_length=1)
    """The keys that count, as far as they are enrolled in the home."""
    quorum: int = Field(ge=1)
    """How many of them must sign."""
    valid: Span
    """How long a run waits, and how long what was signed counts."""
    not_by: Literal["starter"] | None = None
    """Whose signature does not count: that of the key which signed the start of the run."""
