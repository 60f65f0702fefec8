"""What an auditor asks of a home, answered from its record alone: no page, no screen, no source.

Whose consent counted, what was refused and why, what left and to whom, what each purpose cost its
people. Everything told of a run is what the run published; that two runs decided on the same
consent is found by the sealed digest of who was permitted, which itself is not told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

from expectations.errors import PolicyError
from expectations.policy.policy import Policy
from expectations.policy_file import parse_policy
from ledgers.evidence import JSON, Entry, EvidenceLedger, RunRecord
from tasks.account.findings import Found, read_text
from tasks.account.part import Part
from tasks.account.published import OutletSummary, Summary
from tasks.account.summary import read_verdict, summarize

WANTED: Final = (
    ("decision", "%"), ("pending", "%"), ("verdict", "%"), ("mlflow", "run"), ("snapshot", "%"),
    ("release", "%"), ("approved", "%"), ("approvals", "%"), ("count", "people.permitted"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Left(Part):
    """What one outlet of a run handed over."""

    run: str
    policy: str
    at: str
    outlet: str
    kind: str
    recipient: str
    claim: str
    what: str
    """The model's name and version, or the table's package."""
    digest: str | None
    approved_by: tuple[str, ...] = ()
    """The keys of people whose approvals counted, where the policy asked for any."""


@dataclass(frozen=True, slots=True)
class Refused(Part):
    """A run that was refused, by which check, and why."""

    run: str
    policy: str
    at: str
    check: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class ConsentState(Part):
    """Runs that decided on the same people: what each made, and up to when consent was known."""

    people: str
    """How many were permitted, as published."""
    known_at: str
    """When the first of the runs looked."""
    runs: tuple[str, ...]
    made: tuple[str, ...]
    """Models and tables that left, by name."""


@dataclass(frozen=True, slots=True)
class Audit(Part):
    """The record of a home since a moment, as an auditor asks of it."""

    since: str | None
    runs: int
    states: tuple[ConsentState, ...]
    refused: tuple[Refused, ...]
    left: tuple[Left, ...]
    unread: tuple[str, ...]
    """Runs that handed over under a policy that this version cannot read."""


def audit(
    ledger: EvidenceLedger, since: datetime | None = None, policy: str | None = None
) -> Audit:
    """Answer from the record; Refusal and ServiceError where it is not as it was written."""
    chosen = [
        run
        for run in ledger.runs()
        if policy in {None, run.policy}
        and (since is None or datetime.fromisoformat(run.started_at) >= since)
    ]
    picked = ledger.pick(WANTED)
    left: list[Left] = []
    unread = []
    for run in chosen:
        entries = picked.get(run.run_id, [])
        if not _handed_over(entries):
            continue
        if (summary := sum_up(ledger, run)) is None:
            unread.append(run.run_id)
        else:
            keys = [entry.body for entry in entries if entry.kind == "approvals"]
            shown = Found(entries).body("mlflow", "run")
            left += list_left(summary, shown, keys[-1] if keys else None)
    return Audit(
        since.isoformat() if since else None,
        len(chosen),
        tuple(group_states(ledger, chosen, picked, left)),
        tuple(list_refused(chosen, picked)),
        tuple(left),
        tuple(unread),
    )


def _handed_over(entries: Sequence[Entry]) -> bool:
    return any((e.kind, e.name) == ("mlflow", "run") for e in entries) and any(
        e.kind in {"release", "approved"} for e in entries
    )


def sum_up(ledger: EvidenceLedger, run: RunRecord) -> Summary | None:
    """Give a run as it is published; None where this version cannot read its policy."""
    policy = read_policy_text(str(run.facts.get("policy_text")), run.policy)
    if policy is None:
        return None
    part = run.facts.get("part") or "all"
    return summarize(run, policy.for_part(part), ledger.entries(run.run_id))  # type: ignore[arg-type]  # a word on record


@cache
def read_policy_text(text: str, name: str) -> Policy | None:
    """Read a recorded policy, once; None where this version has another grammar."""
    try:
        return parse_policy(text, f"{name}.yaml")
    except PolicyError:
        return None


def list_left(summary: Summary, shown: Mapping[str, JSON], approved: JSON = None) -> Iterator[Left]:
    """Give what a run handed over, each under its claim; `shown` is its note of MLflow."""
    keys = tuple(map(str, approved)) if isinstance(approved, list) else ()
    versions = shown.get("models")
    for outlet in summary.outlets:
        if outlet.claim:
            yield Left(
                summary.run_id, summary.policy, summary.started_at, outlet.name, outlet.kind,
                outlet.recipient, outlet.claim, _name_what(summary, outlet, versions),
                outlet.release.digest if outlet.release else None, keys,
            )  # fmt: skip


def _name_what(summary: Summary, outlet: OutletSummary, versions: JSON) -> str:
    if outlet.release:
        return outlet.release.place
    name = f"{summary.policy}.{outlet.name}"
    version = versions.get(outlet.name) if isinstance(versions, dict) else None
    return f"{name} version {version}" if version else name


def list_refused(runs: Iterable[RunRecord], picked: dict[str, list[Entry]]) -> Iterator[Refused]:
    """Give the refused runs, newest first."""
    for run in reversed([*runs]):
        verdict, reason, check = read_verdict(run, picked.get(run.run_id, []))
        if verdict == "refused":
            yield Refused(run.run_id, run.policy, run.started_at, check, reason)


def group_states(
    ledger: EvidenceLedger,
    runs: Sequence[RunRecord],
    picked: dict[str, list[Entry]],
    left: Sequence[Left],
) -> Iterator[ConsentState]:
    """Put runs together that decided on the very same people, the newest state first."""
    states: dict[str, list[RunRecord]] = {}
    for run in runs:
        for entry in picked.get(run.run_id, []):
            if (entry.kind, entry.name) == ("snapshot", "consent"):
                states.setdefault(str(ledger.unseal(entry)), []).append(run)
    for together in reversed(states.values()):
        found = Found(picked[together[0].run_id])
        permitted = found.figure("people.permitted", "")
        ids = tuple(run.run_id for run in together)
        yield ConsentState(
            permitted.text if permitted else "not told",
            read_text(found.body("snapshot", "history").get("known_at")) or together[0].started_at,
            ids,
            tuple(one.what for one in left if one.run in ids),
        )
