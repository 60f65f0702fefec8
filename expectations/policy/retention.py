"""How long what a run made is kept: its goods by one clock, its evidence by another."""

from __future__ import annotations

from expectations.policy.declaration import Declaration, Term
from expectations.policy.spans import LongSpan


class Retention(Declaration):
    """How long goods and evidence are kept after a run began, and why so long."""

    goods: LongSpan
    """Tables, reports, models and what MLflow and Prefect show; who was in a table, too."""
    evidence: LongSpan | None = None
    """The record of the run; without it, as long as the home."""
    because: Term


def describe_kept(kept: Retention) -> list[str]:
    """Say how long what a run made is kept."""
    record = f"its record {kept.evidence}" if kept.evidence else "its record as long as the home"
    return [kept.goods, record]
