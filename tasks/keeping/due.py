"""Which runs are due, by their own policies' days: their goods first, then their evidence.

A run that is held is not due, nor one that is not closed, or is another machine's. Evidence of a
model that is in use never is: it goes only after the goods, which are not removed while a version
of the model has an alias. Of a policy whose days cannot be read nothing is due, and that is told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from expectations.policy.spans import end_of
from expectations.policy_file import read_retention
from ledgers.evidence import RunRecord
from ledgers.retention import Note, holds, removed


@dataclass(frozen=True, slots=True)
class Due:
    """Runs whose goods or evidence are due, each with the reason; and those that nobody can say."""

    goods: Mapping[str, str]
    evidence: Mapping[str, str]
    waiting: Sequence[str]
    """Runs that wait for MLflow though the days of their goods are over."""
    unread: Sequence[str] = field(default=())


def find_due(
    runs: Iterable[RunRecord], notes: Sequence[Note], elsewhere: Collection[str], now: datetime
) -> Due:
    """Find what is due at a moment; `elsewhere` are runs that another machine has to remove."""
    held, begun, erased = holds(notes), removed(notes, "goods"), removed(notes, "erased")
    goods: dict[str, str] = {}
    evidence: dict[str, str] = {}
    unread: list[str] = []
    waiting: list[str] = []
    for run in runs:
        if run.verdict is None or run.run_id in held or run.run_id in elsewhere:
            continue
        kept = read_retention(str(run.facts["policy_text"]))
        since = datetime.fromisoformat(run.started_at)
        if kept is None:
            unread.append(run.run_id)
        elif run.verdict == "pending":
            waiting += [run.run_id] if end_of(kept.goods, since) <= now else []
        elif run.run_id not in begun and end_of(kept.goods, since) <= now:
            goods[run.run_id] = f"goods are kept {kept.goods}"
        elif run.run_id in erased and kept.evidence and end_of(kept.evidence, since) <= now:
            evidence[run.run_id] = f"evidence is kept {kept.evidence}"
    return Due(goods, evidence, waiting, unread)


def find_unfinished(notes: Sequence[Note]) -> list[str]:
    """Give the runs whose goods a process began to remove and did not finish."""
    erased = removed(notes, "erased")
    return [run_id for run_id in removed(notes, "goods") if run_id not in erased]
