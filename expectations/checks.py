"""What one check found: asked, measured, verdict, and what it could have detected.

A check says in `power` the smallest violation that it could have found; one that could not have
failed is inconclusive, never passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from expectations.errors import Refusal
from expectations.policy.vocabulary import CheckVerdict


@dataclass(frozen=True, slots=True)
class Check:
    """One check, in words that a report can print; no person's value is among them."""

    name: str
    asked: str
    measured: str
    verdict: CheckVerdict
    power: str
    remedy: str
    outlet: str | None = None


def refuse_failed(checks: Iterable[Check]) -> None:
    """Raise one `Refusal` that names every check which neither passed nor warned, if any."""
    going_on = {CheckVerdict.PASSED, CheckVerdict.WARNED}
    failed = [check for check in checks if check.verdict not in going_on]
    if failed:
        lines = [
            f"{check.verdict}: {check.name}: {check.measured}, where the policy asks for "
            f"{check.asked}; {check.remedy}"
            for check in failed
        ]
        raise Refusal(failed[0].name, "\n".join(lines))
