"""What `tutela budget` answers: the lifetime ε of a policy's people, its history and its future."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

from deployments.screen import wrap
from deployments.terminal import Answer
from expectations.errors import UsageError
from expectations.privacy_loss import (
    SANE_EPSILON,
    Bounded,
    Gaussian,
    Laplace,
    Mechanism,
    SampledGaussian,
)

if TYPE_CHECKING:
    from expectations.policy import Policy
    from ledgers.budget import BudgetLedger, Charged
    from ledgers.evidence import JSON

PLANNED: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
NO_PEOPLE: Final = (
    "No run of this policy has been charged, so that it is not known here whom it uses: what other "
    "policies spent on them counts too, and shows once a run has read its roster."
)
EARLIER: Final = (
    "Of everybody whom this policy's earlier runs were charged for, the one used most; no person's "
    "data was read. The next run is held against exactly the people it may read."
)
NEVER: Final = "Privacy loss never renews: months are told for planning, and begin at nothing."


def show(ledger: BudgetLedger, policy: Policy) -> Answer:
    """Tell where a policy's people stand, and what one more run would cost them."""
    from tasks.budget import read_ceiling
    from tasks.training.declared import declare_loss

    ceiling, mechanisms = read_ceiling(policy), declare_loss(policy)
    people = ledger.people(policy.name)
    balance = ledger.remaining(people, ceiling, mechanisms)
    charged = ledger.history(policy.name)
    states = Counter(str(one.state) for one in charged)
    found: dict[str, JSON] = {
        "policy": policy.name,
        "lifetime_epsilon": finite(balance.before),
        "ceiling": ceiling.epsilon,
        "delta": ceiling.delta,
        "composition": ceiling.composition,
        "after_one_more": finite(balance.after),
        "runs_left": balance.runs_left,
        "runs": cast("JSON", dict(states)),
        "draws": [describe(one) for one in mechanisms],
    }
    rows = {
        "lifetime ε so far": f"{balance.before:.3f}",
        "after one more run": f"{balance.after:.3f}",
        "ceiling": f"{ceiling.epsilon:g} at δ = {ceiling.delta:g}, {ceiling.composition} choices",
        "such runs left": say_runs(balance.runs_left or 0),
        "charged so far": ", ".join(f"{n} {word}" for word, n in states.items()) or "no run",
        "one run draws": ", ".join(map(describe, mechanisms)),
    }
    lines = [line for name, value in rows.items() for line in row_lines(name, value)]
    return Answer(found, [policy.name, *lines], [note(EARLIER if len(people) else NO_PEOPLE)])


def plan(ledger: BudgetLedger, policy: Policy, epsilon: float | None) -> Answer:
    """Tell how many more runs fit at one ε each, or at several beside the policy's own."""
    from tasks.budget import read_ceiling
    from tasks.training.declared import declare_loss

    ceiling, people = read_ceiling(policy), ledger.people(policy.name)
    promised = next(o.promise.epsilon for o in policy.model_outlets.values() if o.promise)
    today, rows = datetime.now(UTC).date(), []
    for asked in chosen_epsilons(promised, ceiling.epsilon, epsilon):
        mechanisms = declare_loss(at_epsilon(policy, asked))
        runs = ledger.plan(people, mechanisms, ceiling)
        rows.append(plan_row(asked, runs, today, own=asked == promised))
    found: dict[str, JSON] = {
        "policy": policy.name,
        "ceiling": ceiling.epsilon,
        "delta": ceiling.delta,
        "plans": [*rows],
    }
    return Answer(found, [*plan_lines(rows)], [note(EARLIER if len(people) else NO_PEOPLE)])


def chosen_epsilons(promised: float, ceiling: float, asked: float | None) -> list[float]:
    """Give the ε to plan for; UsageError for one that cannot be promised."""
    if asked is None:
        return sorted({promised, *(one for one in PLANNED if one <= ceiling)})
    if not 0 < asked <= SANE_EPSILON:
        raise UsageError(f"--epsilon {asked:g}: give more than 0 and at most {SANE_EPSILON:g}")
    return [asked]


def at_epsilon(policy: Policy, epsilon: float) -> Policy:
    """Give the policy as if its model outlets promised another ε."""
    outlets = {
        name: outlet.model_copy(
            update={"promise": outlet.promise.model_copy(update={"epsilon": epsilon})}
        )
        for name, outlet in policy.model_outlets.items()
        if outlet.promise
    }
    return policy.model_copy(update={"outlets": {**policy.outlets, **outlets}})


def plan_row(epsilon: float, runs: int, today: date, *, own: bool) -> dict[str, JSON]:
    """Give one plan as plain values; `until` is the day of the last of so many weekly runs."""
    last = today + timedelta(weeks=max(runs - 1, 0))
    until = last.isoformat() if 0 < runs < most_runs() else None
    return {"epsilon": epsilon, "runs": runs, "weekly_until": until, "promised": own}


def plan_lines(rows: Sequence[Mapping[str, JSON]]) -> Iterator[str]:
    """Give plans as a table."""
    yield f"{'ε a run':>8}  {'runs left':>10}  if weekly, the last one"
    for row in rows:
        runs = int(cast("int", row["runs"]))
        until = row["weekly_until"] or ("none fits" if not runs else "in a century or later")
        mark = "  (the policy's)" if row["promised"] else ""
        yield f"{cast('float', row['epsilon']):>8g}  {say_runs(runs):>10}  {until}{mark}"


def history(ledger: BudgetLedger, policy: str | None) -> Answer:
    """Tell every charge, and what a person cost who was in all charges of a month."""
    charged = ledger.history(policy)
    charges: list[JSON] = [
        {
            "run": one.run_id,
            "at": one.at,
            "policy": one.policy,
            "purpose": one.purpose,
            "state": one.state,
            "composition": one.composition,
            "draws": [describe(each) for each in one.mechanisms],
        }
        for one in charged
    ]
    periods = list(months(charged))
    lines = [line for one in charged for line in charge_lines(one)]
    if periods:
        lines += ["", "Month    ε of who was in all of its charges"]
        lines += [f"{row['month']}  {row['epsilon']} at δ = {row['delta']:g}" for row in periods]
    found: dict[str, JSON] = {"charges": charges, "months": [*periods]}
    empty = "Nobody was charged: no run trained a model under differential privacy."
    return Answer(found, lines or [empty], [note(NEVER)] if periods else [])


def months(charged: Sequence[Charged]) -> Iterator[dict[str, JSON]]:
    """Give what each month's standing charges come to, at the smallest of their δ."""
    from ledgers.budget_accounts import History, sum_charges

    standing = [one for one in charged if one.state != "aborted"]
    found: Mapping[str, History] = sum_charges(
        (one.at[:7], one.mechanisms, one.composition == "adaptive") for one in standing
    )
    for month, history in sorted(found.items()):
        ceilings = [one.ceiling for one in standing if one.at[:7] == month]
        ceiling = min(ceilings, key=lambda one: one.delta)
        yield {
            "month": month,
            "epsilon": finite(history.cost(ceiling)),
            "delta": ceiling.delta,
        }


def charge_lines(one: Charged) -> Iterator[str]:
    """Give a charge as a line, and what it drew below."""
    state = "reserved and never settled" if one.state == "reserved" else one.state
    yield f"{one.at[:16].replace('T', ' ')}  {one.run_id}  {one.policy}  {state}"
    drawn = ", ".join(map(describe, one.mechanisms))
    yield from wrap(f"{drawn}; {one.composition} choices", "  ", "  ")


def describe(mechanism: Mechanism) -> str:
    """Say in words what was drawn."""
    match mechanism:
        case Gaussian(noise_multiplier=noise, count=count):
            return f"{times(count)}Gaussian noise of {noise:.4g} sensitivities"
        case SampledGaussian(noise_multiplier=noise, probability=share, count=count):
            return (
                f"{times(count)}Gaussian noise of {noise:.4g} sensitivities on a sample of "
                f"{share:.3g} of the people"
            )
        case Laplace(epsilon=epsilon, count=count):
            return f"{times(count)}Laplace noise, ε = {epsilon:.4g}"
        case Bounded(epsilon=epsilon, delta=delta):
            return f"a mechanism of ε = {epsilon:.4g}, δ = {delta:g}"


def times(count: int) -> str:
    """Say how often, unless it is once."""
    return f"{count:,} x " if count > 1 else ""


def say_runs(runs: int) -> str:
    """Say how many runs, and no more than were tried."""
    return f"over {runs:,}" if runs >= most_runs() else f"{runs:,}"


def most_runs() -> int:
    """Give how far runs are counted."""
    from ledgers.budget_accounts import MOST_RUNS

    return MOST_RUNS


def row_lines(name: str, value: str) -> list[str]:
    """Give one row of a table of two columns."""
    return list(wrap(f"  {name:<19} {value}", hanging=" " * 22))


def finite(epsilon: float) -> float | None:
    """Round for people to four digits, never down; None for an infinite one."""
    return None if math.isinf(epsilon) else math.ceil(epsilon * 1e4) / 1e4


def note(text: str) -> str:
    """Set a note to the width of the screen."""
    return "\n".join(wrap(text))
