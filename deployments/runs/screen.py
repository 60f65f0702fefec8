"""What is said of all runs: the table, and the same as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Self, cast, get_args

from deployments.moments import read_since
from deployments.terminal import lay_out
from expectations.errors import UsageError, suggest
from tasks.account.overview import RunRow, list_rows, say_changes
from tasks.account.published import State

if TYPE_CHECKING:
    from ledgers.evidence import JSON
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

HEADER: Final = ("run", "policy", "ended", "people", "ε", "k", "AUC, R²", "trend")
NUMBERS: Final = (0, 3, 4, 5, 6)
"""What is not folded: figures, and ids, which are copied."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which runs are asked for; None leaves it open."""

    policy: str | None = None
    verdict: str | None = None
    since: datetime | None = None

    @classmethod
    def read(cls, policy: str | None, verdict: str | None, since: str | None) -> Self:
        """Read what was typed; UsageError for a verdict that no run can have, or no moment."""
        known = get_args(State)
        if verdict is not None and verdict not in known:
            fix = suggest(verdict, known, f"it is one of {', '.join(known)}")
            raise UsageError(f"--verdict: no run ends as `{verdict}`; {fix}")
        return cls(policy, verdict, None if since is None else read_since(since, "--since"))

    def holds(self, row: RunRow) -> bool:
        """Whether a run is one of them."""
        return (
            self.policy in {None, row.policy}
            and self.verdict in {None, row.verdict}
            and (self.since is None or datetime.fromisoformat(row.at) >= self.since)
        )


ALL: Final = Chosen()


def choose_rows(home: Home, keys: Keys, chosen: Chosen = ALL) -> list[RunRow]:
    """Give the runs that are asked for, newest first."""
    from ledgers.evidence import EvidenceLedger
    from ledgers.home.database import open_database

    rows = list_rows(EvidenceLedger(open_database(home), keys))
    return [row for row in reversed(rows) if chosen.holds(row)]


def list_runs(home: Home, keys: Keys, chosen: Chosen = ALL) -> tuple[JSON, str]:
    """Give the runs that are asked for as plain values and as a table."""
    rows = choose_rows(home, keys, chosen)
    found = {"runs": [row_json(row, home) for row in rows]}
    if not rows:
        none = "no run yet: tutela run diabetes" if chosen == ALL else "no such run"
        return cast("JSON", found), none
    lines = lay_out(HEADER, [[*write_cells(row)] for row in rows], numbers=NUMBERS)
    return cast("JSON", found), "\n".join(lines)


def row_json(row: RunRow, home: Home) -> dict[str, JSON]:
    """Give one run as plain values; people are the published count, None where it is hidden."""
    report = home.reports / f"{row.run}.html"
    return {
        "run": row.run, "policy": row.policy, "at": row.at, "verdict": row.verdict,
        "elsewhere": row.elsewhere, "check": row.check, "reason": row.reason,
        "people": row.people.about if row.people else None,
        "people_change": row.people_change, "epsilon": row.epsilon, "k": row.k,
        "auc": row.auc, "auc_change": row.auc_change,
        "r2": row.r2, "r2_change": row.r2_change,
        "report": str(report) if report.is_file() else None,
        "prefect": row.prefect, "mlflow": row.mlflow,
    }  # fmt: skip


def write_cells(row: RunRow) -> Iterator[str]:
    """Write one run as the cells of a row; what it did not find out is empty."""
    yield row.run
    yield row.policy
    yield say_end(row)
    yield row.people.text if row.people else ""
    yield "" if row.epsilon is None else f"{row.epsilon:.3g}"
    yield "" if row.k is None else f"{row.k:g}"
    yield row.quality
    yield say_changes(row)


def say_end(row: RunRow) -> str:
    """Say how a run ended, and which check refused it."""
    if row.verdict == "unfinished":
        return "under way" + " elsewhere" * row.elsewhere
    by = f" by {row.check}" if row.check and row.verdict == "refused" else ""
    return f"{row.verdict}{by}" + " elsewhere" * row.elsewhere
