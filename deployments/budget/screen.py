"""What `tutela budget` answers: where people stand, what is left, and each charge of the past.

Figures come from the ledger and the accounting; what a mechanism costs is not worked out here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from deployments.terminal import Answer, wrap
from expectations.errors import UsageError
from expectations.privacy_loss import (
    SANE_EPSILON,
    Bounded,
    Gaussian,
    Laplace,
    Mechanism,
    SampledGaussian,
    compose,
    tally,
)

if TYPE_CHECKING:
    from expectations.policy.policy import Policy
    from ledgers.budget.ledger import Balance, BudgetLedger, Charged
    from ledgers.evidence import JSON


PLANNED: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
NO_PEOPLE: Final = (
    "No run of this policy has been charged yet, so its people are not known here. What other "
    "policies spent on them counts too, and shows once a run has read its roster."
)
EARLIER: Final = (
    "This is the most-used person among those charged by this policy's earlier runs; no personal "
    "data was read. The next run counts exactly the people it may read."
)
STATES: Final = {"reserved": "unsettled", "committed": "committed", "aborted": "given back"}
NEVER: Final = "Privacy loss never renews. Each month is counted from 0, to help planning only."
UNSETTLED: Final = (
    "unsettled: still going on, or ended without recording whether noise was drawn; stays charged."
)
ADAPTIVE: Final = (
    "* an adaptive choice: from then on a filter counts these people's runs, and only the ceiling "
    "is guaranteed."
)
ROOM: Final = 34
"""How wide a run and its policy may be together; longer names are cut."""
SECONDS: Final = len("20261126T171200")
"""How much of a run's id says when it began, by which it can be asked for."""
Known: TypeAlias = tuple[str, str]
"""What a run on record was for, and how it ended."""


def show(ledger: BudgetLedger, policy: Policy) -> Answer:
    """Tell where a policy's people stand, and what one more run would cost them."""
    from tasks.training.charge import read_ceiling, round_up
    from tasks.training.models import declare_loss

    ceiling, mechanisms = read_ceiling(policy), declare_loss(policy)
    people = ledger.people(policy.name)
    balance = ledger.remaining(people, ceiling, mechanisms)
    charged = ledger.history(policy.name)
    states = Counter(str(one.state) for one in charged)
    found: dict[str, JSON] = {
        "policy": policy.name,
        "lifetime_epsilon": round_up(balance.before),
        "ceiling": ceiling.epsilon,
        "delta": ceiling.delta,
        "composition": ceiling.composition,
        "after_one_more": round_up(balance.after),
        "filtered": balance.filtered,
        "runs_left": balance.runs_left,
        "runs": cast("JSON", dict(states)),
        "draws": [describe(one) for one in mechanisms],
    }
    lines = [
        line
        for name, value in show_rows(balance, states, mechanisms)
        for line in row_lines(name, value)
    ]
    return Answer(found, [policy.name, *lines], [note(EARLIER if len(people) else NO_PEOPLE)])


def show_rows(
    balance: Balance, states: Mapping[str, int], mechanisms: Sequence[Mechanism]
) -> Iterator[tuple[str, str]]:
    """Give what `show` tells, as names and values."""
    from tasks.training.charge import say_runs

    most, delta = f"{balance.ceiling.epsilon:g}", f"δ = {balance.ceiling.delta:g}"
    if balance.filtered:
        total = "the filter's total over all runs (RDP), not the cost of one"
        yield "so far", f"{balance.before:.3f} of {most}, {total}"
        yield "after one more run", f"{balance.after:.3f} of {most}"
        yield "guaranteed", f"at most {most} at {delta}, since choices are adaptive"
    else:
        yield "lifetime ε so far", f"{balance.before:.3f}"
        yield "after one more run", f"{balance.after:.3f}"
        yield "ceiling", f"{most} at {delta}, choices fixed beforehand"
    yield "more such runs", f"{say_runs(balance.runs_left or 0)} under the ceiling of {most}"
    told = ", ".join(f"{count} {STATES[word]}" for word, count in states.items())
    yield "charged so far", told or "no run"
    yield "noise of one run", "; ".join(sum_up(mechanisms))


def plan(ledger: BudgetLedger, policy: Policy, epsilon: float | None) -> Answer:
    """Tell how many more runs fit at one ε each, or at several beside the policy's own."""
    from tasks.training.charge import read_ceiling
    from tasks.training.models import declare_loss

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
    from ledgers.budget.accounts import MOST_RUNS

    last = today + timedelta(weeks=max(runs - 1, 0))
    until = last.isoformat() if 0 < runs < MOST_RUNS else None
    return {"epsilon": epsilon, "runs": runs, "weekly_until": until, "promised": own}


def plan_lines(rows: Sequence[Mapping[str, JSON]]) -> Iterator[str]:
    """Give plans as a table."""
    from tasks.training.charge import say_runs

    yield f"{'ε a run':>8}  {'runs left':>14}  if weekly, the last one"
    for row in rows:
        runs = int(cast("int", row["runs"]))
        until = row["weekly_until"] or ("none fits" if not runs else "in a century or later")
        mark = "  (the policy's)" if row["promised"] else ""
        yield f"{cast('float', row['epsilon']):>8g}  {say_runs(runs):>14}  {until}{mark}"


def tell_history(ledger: BudgetLedger, policy: str | None) -> Answer:
    """Tell every charge of a ledger that was checked whole, and what each month cost."""
    ledger.verify()
    charged = ledger.history(policy)
    known = read_runs(ledger)
    charges: list[JSON] = [charge_json(one, known.get(one.run_id)) for one in charged]
    periods = list(months(charged))
    found: dict[str, JSON] = {"charges": charges, "months": [*periods]}
    if not charged:
        return Answer(found, ["No run has used any privacy budget."])
    lines = [*charge_lines(charged, known)]
    if periods:
        lines += ["", "month    ε of a person in every run of it"]
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


def sum_up(mechanisms: Sequence[Mechanism]) -> Iterator[str]:
    """Say in few words what was drawn: each kind once, how often, and at its most telling."""
    drawn = tally(mechanisms)
    for kind in dict.fromkeys(map(type, drawn)):
        same = [one for one in drawn if type(one) is kind]
        whole = describe(find_loudest(same), several=len(same) > 1)
        yield times(sum(drawn[one] for one in same)) + whole


def find_loudest(same: Sequence[Mechanism]) -> Mechanism:
    """Give one mechanism that tells at least as much as each of some of its kind."""
    values = [asdict(one) for one in same]
    found = {
        name: (min if name == "noise_multiplier" else max)(one[name] for one in values)
        for name in values[0]
    }
    return type(same[0])(**found)


def describe(mechanism: Mechanism, *, several: bool = False) -> str:
    """Say in words what was drawn; where it stands for `several`, that it is the loudest."""
    more, less = (" or more", " or less") if several else ("", "")
    match mechanism:
        case Gaussian(noise_multiplier=noise, count=count):
            return f"{times(count)}Gaussian noise of {noise:.4g} sensitivities{more}"
        case SampledGaussian(noise_multiplier=noise, probability=share, count=count):
            return (
                f"{times(count)}Gaussian noise of {noise:.4g} sensitivities{more} on a sample of "
                f"{share:.3g} of the people{less}"
            )
        case Laplace(epsilon=epsilon, count=count):
            return f"{times(count)}Laplace noise, ε = {epsilon:.4g}{less}"
        case Bounded(epsilon=epsilon, delta=delta):
            return f"a mechanism of ε = {epsilon:.4g}, δ = {delta:g}{less}"


def times(count: int) -> str:
    """Say how often, unless it is once."""
    return f"{count:,} times " if count > 1 else ""


def say(epsilon: JSON) -> str:
    """Give an ε to three digits; None is an infinite one."""
    return f"{epsilon:.3f}" if isinstance(epsilon, float) else "∞"


def cut(name: str, most: int) -> str:
    """Shorten a name, and show that it was."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


def row_lines(name: str, value: str) -> list[str]:
    """Give one row of a table of two columns."""
    return list(wrap(f"  {name:<19} {value}", hanging=" " * 22))


def note(text: str) -> str:
    """Set a note to the width of the screen."""
    return "\n".join(wrap(text))
