"""What `tutela budget history` answers: each charge, what it was for, and what each month cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from deployments.budget.screen import STATES, describe, note
from deployments.terminal import Answer
from expectations.privacy_loss import compose

if TYPE_CHECKING:
    from ledgers.budget.ledger import BudgetLedger, Charged
    from ledgers.evidence import JSON

NEVER: Final = "Privacy loss never renews: months are told for planning, and begin at nothing."
UNSETTLED: Final = (
    "unsettled: under way, or it ended without saying whether it drew; it stays charged."
)
ADAPTIVE: Final = (
    "* an adaptive choice: from then on a filter holds those people's runs, which guarantees a "
    "ceiling and no smaller figure."
)
ROOM: Final = 34
"""How wide a run and its policy may be together; longer names are cut."""
SECONDS: Final = len("20261126T171200")
"""How much of a run's id says when it began, by which it can be asked for."""
Known: TypeAlias = tuple[str, str]
"""What a run on record was for, and how it ended."""


def tell_history(ledger: BudgetLedger, policy: str | None) -> Answer:
    """Tell every charge of a ledger that was checked whole, and what each month cost."""
    ledger.verify()
    charged = ledger.history(policy)
    known = read_runs(ledger)
    charges: list[JSON] = [charge_json(one, known.get(one.run_id)) for one in charged]
    periods = list(months(charged))
    found: dict[str, JSON] = {"charges": charges, "months": [*periods]}
    if not charged:
        return Answer(found, ["Nobody was charged: no run drew anything from people's budget."])
    lines = [*charge_lines(charged, known)]
    if periods:
        lines += ["", "month    ε of who was in all of its charges"]
        lines += [
            f"{row['month']}  {say(row['epsilon']):>7} at δ = {row['delta']:g}" for row in periods
        ]
    notes = [NEVER] if periods else []
    notes += [UNSETTLED] if any(one.state == "reserved" for one in charged) else []
    notes += [ADAPTIVE] if any(one.composition == "adaptive" for one in charged) else []
    return Answer(found, lines, [note(one) for one in notes])


def read_runs(ledger: BudgetLedger) -> dict[str, Known]:
    """Give what each run on record was for, and how it ended."""
    from ledgers.evidence import EvidenceLedger

    known = {"advice": "advice", "all": "training"}
    runs = EvidenceLedger(ledger.engine, ledger.keys).runs()
    return {
        run.run_id: (known.get(str(run.facts.get("part")), ""), run.verdict or "under way")
        for run in runs
    }


def charge_json(one: Charged, known: Known | None) -> JSON:
    """Give a charge as plain values; what is known of its run is None where it is not on record."""
    part, outcome = known or (None, None)
    return {
        "run": one.run_id,
        "at": one.at,
        "policy": one.policy,
        "purpose": one.purpose,
        "for": part or None,
        "outcome": outcome,
        "state": one.state,
        "composition": one.composition,
        "epsilon": cost_alone(one),
        "delta": one.ceiling.delta,
        "draws": [describe(each) for each in one.mechanisms],
    }


def cost_alone(one: Charged) -> float | None:
    """Give the ε of a charge by itself, at the δ of the ceiling that it was held against."""
    from tasks.training.charge import round_up

    return round_up(compose(one.mechanisms, one.ceiling.delta))


def charge_lines(charged: Sequence[Charged], known: Mapping[str, Known]) -> Iterator[str]:
    """Give charges as a table, one line each; the id of a run begins with its day."""
    begun = Counter(one.run_id[:SECONDS] for one in charged)
    runs = [
        one.run_id if begun[one.run_id[:SECONDS]] > 1 else one.run_id[:SECONDS] for one in charged
    ]
    wide = max(map(len, ["run", *runs]))
    names = [cut(one.policy, ROOM - wide) for one in charged]
    broad = max(map(len, ["policy", *names]))
    yield (f"{'run':<{wide}}  {'policy':<{broad}}  for       ended      state       ε alone")
    for one, run, name in zip(charged, runs, names, strict=True):
        mark = " *" if one.composition == "adaptive" else ""
        part, outcome = known.get(one.run_id, ("", ""))
        yield (
            f"{run:<{wide}}  {name:<{broad}}  {part:<8}  {outcome:<9}  "
            f"{STATES[one.state]:<10}  {say(cost_alone(one)):>7}{mark}"
        )


def say(epsilon: JSON) -> str:
    """Give an ε to three digits; None is an infinite one."""
    return f"{epsilon:.3f}" if isinstance(epsilon, float) else "no end"


def cut(name: str, most: int) -> str:
    """Shorten a name, and show that it was."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def months(charged: Sequence[Charged]) -> Iterator[dict[str, JSON]]:
    """Give what each month's standing charges come to together, at the smallest of their δ."""
    from tasks.training.charge import round_up

    by_month: dict[str, list[Charged]] = {}
    for one in charged:
        if one.state != "aborted":
            by_month.setdefault(one.at[:7], []).append(one)
    for month, ones in sorted(by_month.items()):
        delta = min(one.ceiling.delta for one in ones)
        epsilon = compose((drawn for one in ones for drawn in one.mechanisms), delta)
        yield {"month": month, "epsilon": round_up(epsilon), "delta": delta}
