"""The step that charges a run's people for its model, and what becomes of the charge afterwards.

Charged is what the estimator declares that it will draw, for everybody who may be read, before a
column is. People who then turn out not to be eligible, or are kept for testing, are charged too:
who they are is not known before their columns are read.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from expectations.checks import Check
from expectations.disclosure import TEN, Count, Disclosure
from expectations.errors import Refusal, TutelaError, carrying
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import CheckVerdict
from expectations.privacy_loss import Mechanism
from ledgers.budget.accounts import MOST_RUNS
from ledgers.budget.ledger import NO_RENEWAL, OVER, REMEDY, Balance, BudgetLedger, Ceiling, Charge
from ledgers.budget.tables import NOTE, Composition
from ledgers.home.database import stamp
from ledgers.vault.stages import Charged, Permitted, Reached
from tasks.airlock.run import Desk, Run
from tasks.airlock.step import Opened, step
from tasks.people.aliases import find_other_records
from tasks.people.ingestion import RECORD

if TYPE_CHECKING:
    from ledgers.budget.tables import Records

CHECK = "privacy budget"


@dataclass(frozen=True, slots=True, repr=False)
class ExceededBudget:
    """Whom a private model could not be charged to, by their record keys."""

    people: Records


@dataclass(frozen=True, slots=True)
class LargeDelta:
    """A δ that is not below one in `people`, a published bound of their number."""

    people: int


def open_budget(run: Run) -> BudgetLedger:
    """Give the home's budget ledger, in the same database as the evidence."""
    return BudgetLedger(run.ledger.engine, run.keys)


def open_own_budget(run: Run) -> BudgetLedger:
    """Give it with what the run's people were charged for under other names."""
    same = find_other_records(run.file, run.keys.derive("person"))
    return replace(open_budget(run), same=same)


def read_ceiling(policy: Policy) -> Ceiling:
    """Give what a policy lets anybody's lifetime cost."""
    budget = policy.budget
    assert budget is not None, "coherence asks for it where a private model is trained"
    return Ceiling(budget.lifetime_epsilon, budget.delta, budget.composition)


@step("Reserve the privacy budget", gives=Charged)
def reserve_budget(desk: Desk, permitted: Opened[Permitted]) -> Opened[Reached]:
    """Charge permitted people for the private model; Refusal if that exceeds the ceiling."""
    if desk.policy.private:
        from tasks.training.models import declare_loss

        ceiling = read_ceiling(desk.policy)
        people = permitted.table([RECORD]).column(RECORD).to_numpy()
        with carrying(ExceededBudget(people)):
            reserve(desk, permitted, declare_loss(desk.policy), ceiling.composition)
    return permitted


def reserve(
    desk: Desk,
    permitted: Opened[Permitted],
    mechanisms: tuple[Mechanism, ...],
    composition: Composition,
) -> None:
    """Charge the permitted people for `mechanisms`, and note what that leaves them.

    `composition` is `adaptive` where a look at what these show may change anything that is drawn
    afterwards. Raises Refusal where δ is not below one in the number of people, or where somebody
    would exceed the ceiling; nobody is charged then.
    """
    run, policy, ceiling = desk.run, desk.policy, read_ceiling(desk.policy)
    people = permitted.table([RECORD]).column(RECORD).to_numpy()
    bound = bound_people(run.disclosure, len(people))
    with carrying(LargeDelta(bound)):
        refuse_large_delta(policy, bound)
    charge = Charge(run.id, policy.name, policy.purpose, stamp(), mechanisms, composition, people)
    ledger = open_own_budget(run)
    try:
        balance = ledger.reserve(charge, ceiling)
    except Refusal as refusal:
        if refusal.check == CHECK:
            left = ledger.remaining(people, ceiling, mechanisms, composition)
            note_balance(desk, left, charged=False)
        raise
    head = ledger.head()
    desk.note(NOTE, "head", {"seq": head.seq, "link": head.link})
    note_balance(desk, balance, charged=True)


def bound_people(disclosure: Disclosure, people: int) -> int:
    """Give a number above that of the people, which tells no more than their published count."""
    about = disclosure.publish(Count(people)).about
    return disclosure.threshold if about is None else about + TEN


def refuse_large_delta(policy: Policy, people: int) -> None:
    """Refuse a δ that is not below one in a number that the people do not exceed.

    With a larger one, to publish one person's data whole would count as private. Who tries one δ
    after the other finds that number, which is why it is not the exact one (`bound_people`).
    """
    promised = {
        f"outlets.{name}.promise.delta": outlet.promise.delta
        for name, outlet in policy.model_outlets.items()
        if outlet.promise
    }
    for place, delta in {"budget.delta": read_ceiling(policy).delta, **promised}.items():
        if delta * people >= 1:
            raise Refusal(
                CHECK,
                f"{place} = {delta:g} is not below one in the number of people who may be read, "
                "which would allow publishing one person's data whole; lower it",
            )


def note_balance(desk: Desk, balance: Balance, *, charged: bool) -> None:
    """Note the lifetime ε of the most-used person, and a check for each outlet that promises."""
    spent = balance.after if charged else balance.before
    desk.measure("privacy.lifetime_epsilon", round_up(spent))
    desk.measure("privacy.lifetime_epsilon_before", round_up(balance.before))
    desk.measure("privacy.runs_left", balance.runs_left)
    desk.measure("privacy.filtered", float(balance.filtered))
    for check in judge_balance(desk.policy, balance, charged=charged):
        desk.check(check)


def judge_balance(policy: Policy, balance: Balance, *, charged: bool) -> Iterator[Check]:
    """Say for each outlet that promises differential privacy what the lifetime came to."""
    ceiling = balance.ceiling
    for name, outlet in policy.model_outlets.items():
        if outlet.promise is None:
            continue
        yield Check(
            name=CHECK,
            asked=f"a lifetime ε of at most {ceiling.epsilon:g} at δ = {ceiling.delta:g} for each "
            f"person, {OVER}",
            measured=f"{say_charge(balance, charged=charged)}; {say_balance(balance)}",
            verdict=CheckVerdict.PASSED if charged else CheckVerdict.REFUSED,
            power="an upper bound, computed and not measured: valid if each model draws the "
            "noise that it declares, for what this home has recorded",
            remedy=f"{REMEDY}. {NO_RENEWAL}",
            outlet=name,
        )


def say_charge(balance: Balance, *, charged: bool) -> str:
    """Say whether a run fits, and how many more like it do; it is charged once noise is drawn."""
    left = say_left(balance.runs_left or 0)
    return f"this run fits, {left}" if charged else "nobody was charged"


def say_balance(balance: Balance) -> str:
    """Say where the most-used person stands with a run, and what that guarantees.

    A filter's figure is the total of all runs and not a run's cost: it begins with what covers
    every later choice.
    """
    after, before = f"{balance.after:.3f}", f"{balance.before:.3f} before it"
    if not balance.filtered:
        return f"lifetime ε {after} of the most-used person with this run, {before}"
    most = f"{balance.ceiling.epsilon:g}"
    return (
        f"the filter's total over all runs so far (RDP) is {after} of {most} for the most-used "
        f"person, {before}; the total starts high and is not what a run costs, and only {most} is "
        "guaranteed"
    )


def say_left(runs: int) -> str:
    """Say how many more runs fit, and no more than were tried."""
    if not runs:
        return "no more run like this fits"
    return f"{say_runs(runs)} more run{'s like this fit' if runs > 1 else ' like this fits'}"


def say_runs(runs: int) -> str:
    """Give a number of runs; from `MOST_RUNS` on they were not counted."""
    return f"at least {runs:,}" if runs >= MOST_RUNS else f"{runs:,}"


def commit(desk: Desk) -> None:
    """Note that the run begins to draw what it was charged for; call it just before that.

    Raises UsageError unless it was charged, once, and has not begun before.
    """
    open_budget(desk.run).commit(desk.run.id)


def give_back(run: Run) -> None:
    """Abort the charge of a run that ended before it drew anything; call it once it is decided.

    Where that fails the charge stands, which errs on the safe side.
    """
    if not run.policy.private:
        return
    with contextlib.suppress(TutelaError):
        ledger = open_budget(run)
        if ledger.state(run.id) == "reserved":
            ledger.abort(run.id)
            note_given_back(Desk(run, "reserve_budget"))


def note_given_back(desk: Desk) -> None:
    """Put on record that the most-used person stands where they stood before the run."""
    noted = {
        entry.name: entry.body
        for entry in desk.run.ledger.entries(desk.run.id)
        if entry.kind == "measure"
    }
    before = noted["privacy.lifetime_epsilon_before"]
    desk.note("measure", "privacy.lifetime_epsilon", before)
    desk.note(NOTE, "given back", {"lifetime_epsilon": before})


def round_up(epsilon: float) -> float | None:
    """Round to four digits, never down; None for an infinite one."""
    return None if math.isinf(epsilon) else math.ceil(epsilon * 1e4) / 1e4
