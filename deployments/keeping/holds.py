"""What `tutela hold` answers: which runs are kept whatever their days, by whom, why, until when."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from deployments.terminal import Answer, lay_out
from expectations.errors import UsageError
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.retention import RetentionLedger, holds, removed

if TYPE_CHECKING:
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys


def list_holds(home: Home, keys: Keys) -> Answer:
    """List the holds that stand."""
    found = holds(RetentionLedger(open_database(home), keys).notes())
    rows = [(n.run_id, n.who, n.at[:10], n.until, n.because) for n in found.values()]
    names = ("run", "by", "since", "until", "because")
    lines = lay_out((*names[:3], "look again", names[4]), rows) if rows else ["No run is held."]
    return Answer({"holds": [dict(zip(names, row, strict=True)) for row in rows]}, lines)


def hold(  # noqa: PLR0913, PLR0917  # whose hold it is, and why
    home: Home, keys: Keys, prefix: str, who: str, because: str, until: str
) -> Answer:
    """Keep a run whatever its days; it is looked at again on a date, and does not end by itself."""
    day = _read_day(until)
    retention, run_id = _opened(home, keys, prefix)
    if run_id in removed(retention.notes(), "goods"):
        raise UsageError(f"the goods of run {run_id} were removed: there is nothing to hold")
    retention.hold(run_id, who, because, day.isoformat())
    said = f"run {run_id} is held; look at it again on {day.isoformat()}"
    return Answer({"run": run_id, "until": day.isoformat()}, [said])


def release(home: Home, keys: Keys, prefix: str, who: str, because: str) -> Answer:
    """End a hold: the run goes when its days are over, which may be tonight."""
    retention, run_id = _opened(home, keys, prefix)
    retention.lift(run_id, who, because)
    return Answer({"run": run_id, "released": True}, [f"run {run_id} is no longer held"])


def _opened(home: Home, keys: Keys, prefix: str) -> tuple[RetentionLedger, str]:
    ledger = EvidenceLedger(open_database(home), keys)
    return RetentionLedger(ledger.engine, keys), ledger.find(prefix).run_id


def _read_day(until: str) -> date:
    try:
        day = date.fromisoformat(until)
    except ValueError:
        raise UsageError("--until is not a date: write it as 2027-06-30") from None
    if day <= datetime.now(UTC).date():
        raise UsageError("--until is past: give a day on which the hold is looked at again")
    return day
