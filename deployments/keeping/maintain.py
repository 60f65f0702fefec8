"""What `tutela maintain` does each night: finishes what was left, then removes what is due.

Each removal is on record before a byte goes, so that a night that was cut short is finished by the
next. A server that cannot be reached leaves its part for then, and the command fails.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from deployments.terminal import Answer, wrap
from expectations.errors import ServiceError
from expectations.policy.spans import length
from expectations.policy_file import read_retention
from ledgers.checkpoints import last_checkpoint, take_checkpoint
from ledgers.evidence import EvidenceLedger, RunRecord
from ledgers.home.database import compact_database, open_database, overwrite_deleted
from ledgers.releases import ReleaseLedger
from ledgers.retention import Note, RetentionLedger, holds

if TYPE_CHECKING:
    from ledgers.evidence import JSON
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from tasks.keeping.removal import Elsewhere


@dataclass(slots=True)
class Done:
    """What one night did."""

    goods: dict[str, list[str]] = field(default_factory=dict)
    """Runs whose goods were removed, each with what remains elsewhere."""
    evidence: list[str] = field(default_factory=list)
    in_use: dict[str, list[str]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    held: dict[str, Note] = field(default_factory=dict)
    expired: list[str] = field(default_factory=list)
    """Runs that waited for MLflow until their days were over."""
    forgotten: int = 0
    incidents: int = 0
    failed: ServiceError | None = None


def maintain(home: Home, keys: Keys, now: datetime | None = None) -> Answer:
    """Remove what is due at a moment, and say what was done, kept and left elsewhere."""
    now = now or datetime.now(UTC)
    done = Done()
    engine = open_database(home)
    done.forgotten = ReleaseLedger(engine, keys).forget(now.isoformat(timespec="seconds"))
    try:
        remove_due(home, EvidenceLedger(engine, keys), now, done)
    except ServiceError as error:
        done.failed = error
    if done.evidence:
        compact_database(engine)
    elif done.forgotten:
        overwrite_deleted(engine)
    failed = take_checkpoint(engine, keys)
    return Answer(as_plain(done), list(say_done(done, now)), failed, refused=done.failed)


def verify_night(home: Home, keys: Keys, done: Answer) -> Answer:
    """Verify all there is, beside the home's anchors; say it in a line, or what differs."""
    from deployments.verify.screen import verify

    found = verify(home, keys, anchors=[*map(Path, home.settings.anchors)])
    runs = len(cast("list[JSON]", found.found["runs"]))
    lines = [f"verified: {runs} runs and the ledgers are as written"]
    return Answer(
        {**done.found, "verify": {**found.found}},
        [*done.lines, *(found.lines if found.refused else lines)],
        done.notes,
        done.refused or found.refused,
    )


def announce_done(home: Home, keys: Keys, done: Answer) -> list[str]:
    """Take what was removed off the page of all runs, and tell Prefect, where its server runs.

    The newest checkpoint goes to the addresses that keep it.
    """
    from deployments.servers.prefect_server import running, set_environment
    from tasks.watching.announcing import announce
    from tasks.watching.news import News
    from tasks.watching.notifications import post_checkpoint

    if url := home.settings.prefect_api_url or running(home):
        set_environment(home)
        os.environ["PREFECT_API_URL"] = url
    names = ("goods_removed", "evidence_removed", "expired")
    facts = {name: len(cast("list[JSON]", done.found[name])) for name in names}
    news = [News("tutela.retention.done", "", "retention", {**facts})]
    if isinstance(verified := done.found.get("verify"), dict):
        told = ("runs", "differences", "left_out")
        numbers: dict[str, JSON] = {one: len(cast("list[JSON]", verified[one])) for one in told}
        news.append(News(f"tutela.verify.{verified['verdict']}", "", "record", numbers))
    last = last_checkpoint(keys)
    posted = post_checkpoint(home, last.line, keys.seal_incident) if last else ()
    return [*announce(home, keys, news=news), *posted]


def remove_due(home: Home, ledger: EvidenceLedger, now: datetime, done: Done) -> None:
    """Remove incidents, goods and evidence that are due; ServiceError where a place refuses."""
    from tasks.handover.delivery import expire
    from tasks.keeping.due import find_due, find_unfinished
    from tasks.keeping.removal import Places, find_in_use, remove_goods, remove_incidents

    retention, places = RetentionLedger(ledger.engine, ledger.keys), Places(home)
    runs, notes = ledger.runs(), retention.notes()
    done.incidents = remove_incidents(home, (now - incident_span(runs)).timestamp())
    elsewhere = ledger.elsewhere(runs)
    due = find_due(runs, notes, elsewhere, now)
    done.unread, done.held = [*due.unread], holds(notes)
    for run in runs:
        if run.run_id in due.waiting:
            expire(home, ledger.keys, ledger, run)
    done.expired = [*due.waiting]
    policies = {run.run_id: run.policy for run in runs}
    retention.remove_evidence(due.evidence)
    done.evidence = [*due.evidence]
    done.in_use = find_in_use(places, {run_id: policies[run_id] for run_id in due.goods})
    retention.note_goods({run: why for run, why in due.goods.items() if run not in done.in_use})
    begun = [one for one in find_unfinished(retention.notes()) if one not in elsewhere]
    if begun:
        wanted = {run_id: policies[run_id] for run_id in begun}
        done.goods = remove_goods(places, ledger, wanted, prefect_elsewhere(home))
        retention.note_erased(done.goods)


def incident_span(runs: list[RunRecord]) -> timedelta:
    """Say how long the text of an error is kept: it may quote whom a policy is about."""
    from tasks.keeping.removal import INCIDENT_DAYS

    kept = [read_retention(str(run.facts["policy_text"])) for run in runs]
    return timedelta(days=min([INCIDENT_DAYS, *(length(one.goods) for one in kept if one)]))


def prefect_elsewhere(home: Home) -> Elsewhere | None:
    """Give what removes flow runs from a Prefect server that the settings name, if they do."""
    if home.settings.prefect_api_url is None:
        return None
    from deployments.servers.prefect_server import set_environment

    set_environment(home)
    from flows.ending import remove_flow_runs

    return remove_flow_runs


def as_plain(done: Done) -> dict[str, JSON]:
    """Give what was done as plain values."""
    return {
        "goods_removed": [*done.goods],
        "evidence_removed": [*done.evidence],
        "remaining_elsewhere": {run: [*told] for run, told in done.goods.items() if told},
        "in_use": {run: [*names] for run, names in done.in_use.items()},
        "held": [*done.held],
        "unread": [*done.unread],
        "expired": [*done.expired],
        "releases_forgotten": done.forgotten,
        "incidents_removed": done.incidents,
    }


def say_done(done: Done, now: datetime) -> list[str]:
    """Say what was done, in the order of what somebody may have to look at."""
    today = now.date().isoformat()
    lines = [f"run {run}: goods removed" for run in done.goods]
    lines += [f"run {run}: evidence removed" for run in done.evidence]
    lines += [
        f"run {run}: its days were over before MLflow took it; nothing of it is handed over"
        for run in done.expired
    ]
    lines += [told for remains in done.goods.values() for told in remains]
    lines += [
        f"run {run} is due, and its model is in use ({', '.join(names)}): take the alias away, or "
        f"tutela hold {run}"
        for run, names in done.in_use.items()
    ]
    lines += [
        f"run {run} is held; it was to be looked at again on {note.until}"
        for run, note in done.held.items()
        if note.until <= today
    ]
    lines += [f"run {run} stays: the days of its policy cannot be read" for run in done.unread]
    if done.forgotten:
        lines.append(f"who was in {done.forgotten} releases is forgotten")
    if done.incidents:
        lines.append(f"{done.incidents} incidents removed")
    return [part for line in lines or ["nothing was due"] for part in wrap(line, hanging="  ")]
