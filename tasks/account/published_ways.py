"""The published form of the ways out of a refusal, each with what it was measured to cost.

Only shapes stand here; `tasks/ways/` fills them. See `tasks/account/published.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.account.published_people import Part


@dataclass(frozen=True, slots=True)
class Way(Part):
    """One change of the policy, whether the check then holds, and what that costs."""

    change: str
    """In the policy's own keys and words."""
    holds: bool | None
    """Whether it held when it was tried on the same people; None where it could not be tried."""
    reached: str
    """What the check came to with the change, or what is known of it without a trial."""
    cost: dict[str, float | None]
    """By measure: `granularity` (0 to 1, more is better), `suppressed_share` (a bound),
    `auc` of the model, `membership_auc` of the attack, `lifetime_epsilon`, `runs`."""


@dataclass(frozen=True, slots=True)
class WaysOut(Part):
    """One refusal: what was asked, what was reached, and the ways out that were found."""

    check: str
    outlet: str | None
    asked: str
    reached: str
    note: str
    """How the ways were measured, how many were tried, and what that leaves out."""
    as_is: dict[str, float | None]
    """The same measures where nothing is recoded, or of what was refused; those that are known."""
    ways: tuple[Way, ...]
