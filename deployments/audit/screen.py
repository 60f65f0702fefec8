"""What `tutela audit` says: on a screen, on a page, and as plain values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from deployments.terminal import Answer, lay_out, wrap
from expectations.privacy_loss import compose

if TYPE_CHECKING:
    from ledgers.budget.ledger import Charged
    from ledgers.evidence import JSON
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from tasks.account.audit import Audit


@dataclass(frozen=True, slots=True)
class Spent:
    """What a purpose cost a person who was in every run of it; nothing that was given back."""

    purpose: str
    runs: int
    epsilon: float | None
    delta: float


@dataclass(frozen=True, slots=True)
class Audited:
    """All that an audit found."""

    of_runs: Audit
    spent: tuple[Spent, ...]


def read_audit(home: Home, keys: Keys, since: datetime | None, policy: str | None) -> Audited:
    """Read the record of a home; both ledgers are checked whole."""
    from ledgers.budget.ledger import BudgetLedger
    from ledgers.evidence import EvidenceLedger
    from ledgers.home.database import open_database
    from tasks.account.audit import audit

    engine = open_database(home)
    budget = BudgetLedger(engine, keys)
    budget.verify()
    charged = [
        one
        for one in budget.history(policy)
        if since is None or datetime.fromisoformat(one.at) >= since
    ]
    return Audited(
        audit(EvidenceLedger(engine, keys), since, policy), tuple(spend_by_purpose(charged))
    )


def spend_by_purpose(charged: Sequence[Charged]) -> Iterator[Spent]:
    """Compose the standing charges of each purpose, at the smallest of their δ."""
    from tasks.training.charge import round_up

    by_purpose: dict[str, list[Charged]] = {}
    for one in charged:
        if one.state != "aborted":
            by_purpose.setdefault(one.purpose, []).append(one)
    for purpose, ones in sorted(by_purpose.items()):
        delta = min(one.ceiling.delta for one in ones)
        epsilon = compose((drawn for one in ones for drawn in one.mechanisms), delta)
        yield Spent(purpose, len(ones), round_up(epsilon), delta)


def describe(found: Audited) -> Answer:
    """Say what was found, question by question."""
    of = found.of_runs
    since = f" since {of.since[:10]}" if of.since else ""
    lines = [f"{of.runs} runs{since}", ""]
    lines += [*_section("What was refused, and why", refusal_lines(of))]
    lines += [*_section("What left, to whom, under which claim", left_lines(of))]
    lines += [*_section("Whose consent was used by what", state_lines(of))]
    lines += [*_section("What each purpose cost a person in every run of it", spent_lines(found))]
    values = {"runs": asdict(of), "spent": [asdict(one) for one in found.spent]}
    notes = [f"run {run}: this version of tutela cannot read its policy" for run in of.unread]
    return Answer(cast("dict[str, JSON]", values), lines[:-1], notes)


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield title
    told = [*lines]
    yield from told or ["  nothing"]
    yield ""


def refusal_lines(found: Audit) -> Iterator[str]:
    """Say each refusal: when, which run, by which check, and why."""
    for one in found.refused:
        yield f"  {one.at[:10]}  {one.run}  {one.policy}, by {one.check or 'no single check'}"
        yield from wrap(one.reason, "    ", "    ")


def left_lines(found: Audit) -> Iterator[str]:
    """Say what left, the newest first."""
    for one in reversed(found.left):
        yield f"  {one.at[:10]}  {one.kind} {one.what}"
        yield from wrap(f"to {one.recipient}: {one.claim}", "    ", "    ")
        for key in one.approved_by:
            yield f"    approved by {key}"
        if one.digest:
            yield f"    digest {one.digest}"


def state_lines(found: Audit) -> Iterator[str]:
    """Say which runs decided on the same people, and what came of them."""
    for one in found.states:
        yield f"  as known at {one.known_at[:19]}Z: {one.people} people permitted"
        yield from wrap(f"runs {', '.join(one.runs)}", "    ", "    ")
        yield from wrap(f"made {', '.join(one.made) or 'nothing that left'}", "    ", "    ")


def spent_lines(found: Audited) -> Iterator[str]:
    """Say the ε of each purpose."""
    rows = [
        [one.purpose, str(one.runs), "unbounded" if one.epsilon is None else f"{one.epsilon:.3f}",
         f"{one.delta:g}"]
        for one in found.spent
    ]  # fmt: skip
    if rows:
        yield from lay_out(("purpose", "runs", "ε", "at δ"), rows, numbers=(1, 2, 3), indent=2)


def write_page(path: Path, found: Audited) -> None:
    """Write the answer as one page, which loads nothing."""
    from ledgers.home.private_files import write_private
    from tasks.pages.audit_page import render_audit

    write_private(path, render_audit(found.of_runs, found.spent).encode())
