"""What is worth telling of a run that ended: by the names of events, in published figures only.

It knows neither who is told nor how. A reason in words is no part of it: that stands in the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from ledgers.evidence import JSON
from ledgers.key_ledger import MADE, KeyEvent
from tasks.account.overview import RunRow

ENDS: Final = {"pending": "waiting"}
"""What an event calls a verdict otherwise."""
DROP: Final = 0.1
"""From which share of people lost, of published counts, consent is said to have dropped."""
FEW_RUNS: Final = 3
"""From how few runs left the budget is said to be low."""


DUE_DAYS: Final = 365
"""After how many days a key of tokens is due to be rotated."""


@dataclass(frozen=True, slots=True)
class News:
    """One thing that happened; `facts` are names and published figures.

    What is of the home and of no run has no run, and instead of a policy what it is about.
    """

    name: str
    run: str
    policy: str
    facts: dict[str, JSON] = field(default_factory=dict)


def list_news(row: RunRow, earlier: Sequence[RunRow]) -> Iterator[News]:
    """Give what there is to tell of a run that ended, after the earlier runs of the home."""
    if row.verdict == "unfinished":
        return
    if row.verdict == "awaiting":
        yield News("tutela.approval.waiting", row.run, row.policy, {"reason": row.reason or None})
        return
    found: dict[str, JSON] = {
        "verdict": row.verdict, "check": row.check,
        "people": row.people.text if row.people else None,
        "epsilon": row.epsilon, "k": row.k, "auc": row.auc, "r2": row.r2,
    }  # fmt: skip
    yield News(f"tutela.run.{ENDS.get(row.verdict, row.verdict)}", row.run, row.policy, found)
    if row.check == "fresh consent":
        yield News("tutela.consent.stale", row.run, row.policy)
    passed = [one for one in earlier if one.policy == row.policy and one.verdict == "passed"]
    was, now = _permitted(passed[-1]) if passed else None, _permitted(row)
    if was is not None and now is not None and was - now >= DROP * was > 0:
        facts: dict[str, JSON] = {"before": f"{was:,}", "now": f"{now:,}"}
        yield News("tutela.consent.dropped", row.run, row.policy, facts)
    if row.runs_left is not None and row.runs_left <= FEW_RUNS:
        yield News("tutela.budget.low", row.run, row.policy, {"runs_left": row.runs_left})


def _permitted(row: RunRow) -> int | None:
    return row.permitted.about if row.permitted else None


def list_due_keys(history: Sequence[KeyEvent], now: datetime) -> Iterator[News]:
    """Give each purpose whose newest key of tokens is over a year old, and was not destroyed."""
    newest = {(one.purpose): one for one in history if one.what in MADE}
    ended = {(one.purpose, one.version) for one in history if one.what == "destroyed"}
    for purpose, made in sorted(newest.items()):
        days = (now - datetime.fromisoformat(made.at)).days
        if days > DUE_DAYS and (purpose, made.version) not in ended:
            yield News("tutela.key.due", "", purpose, {"purpose": purpose, "days": days})


def needs_somebody(row: RunRow, earlier: Sequence[RunRow]) -> bool:
    """Whether people are notified: of what did not pass, and of the first that passes after it."""
    before = [one for one in earlier if one.policy == row.policy and one.verdict != "unfinished"]
    recovered = bool(before) and before[-1].verdict != "passed"
    return row.verdict in {"refused", "failed", "pending", "awaiting"} or (
        row.verdict == "passed" and recovered
    )
