"""The ways out of an exceeded privacy budget: which ε would still fit, and how often.

All of it is accounting: what models declare that they would draw, composed with what the ledger
says was drawn before. No person's data is looked at, and nobody is charged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from expectations.errors import Refusal
from expectations.policy.outlets import ModelOutlet
from expectations.policy.policy import Policy
from ledgers.budget.accounts import MOST_RUNS, Balance
from tasks.account.published import Way, WaysOut
from tasks.training.charge import round_up
from tasks.training.models import declare_loss

if TYPE_CHECKING:
    from expectations.privacy_loss import Mechanism
    from ledgers.budget.ledger import BudgetLedger, Ceiling
    from ledgers.budget.tables import Records

USUAL: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)
CEILINGS: Final = (0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 50, 100)


def promise(policy: Policy, epsilon: float) -> Policy:
    """Give a policy whose private outlets promise another ε."""
    outlets = {
        name: outlet.model_copy(
            update={"promise": outlet.promise.model_copy(update={"epsilon": epsilon})}
        )
        if isinstance(outlet, ModelOutlet) and outlet.promise
        else outlet
        for name, outlet in policy.outlets.items()
    }
    return policy.model_copy(update={"outlets": outlets})


def find_budget_ways(
    policy: Policy, ledger: BudgetLedger, people: Records, ceiling: Ceiling
) -> Iterator[WaysOut]:
    """Say which smaller ε would fit for these people as of now, and which ceiling would hold.

    Nothing where the budget is not what was exceeded.
    """

    def weigh(mechanisms: Sequence[Mechanism], allowed: Ceiling) -> Balance:
        return ledger.remaining(people, allowed, mechanisms, ceiling.composition)

    promised = [
        outlet.promise.epsilon for outlet in policy.model_outlets.values() if outlet.promise
    ]
    smaller = [epsilon for epsilon in reversed(USUAL) if epsilon < min(promised)]
    asked = declare_loss(policy)
    now = weigh(asked, ceiling)
    if now.after <= ceiling.epsilon:
        return
    ways = [
        *try_promises(
            smaller, lambda epsilon: weigh(declare_loss(promise(policy, epsilon)), ceiling)
        ),
        *try_ceilings(ceiling, lambda allowed: weigh(asked, allowed)),
    ]
    yield WaysOut(
        "privacy budget", None,
        f"a lifetime ε of at most {ceiling.epsilon:g}",
        f"{now.after:.3f} spent by the most-used person with this run, {now.before:.3f} before it",
        "Computed from the ledger, without personal data. Only the controller can decide on a "
        "higher ceiling; privacy loss never renews", {}, tuple(ways),
    )  # fmt: skip


def try_promises(epsilons: Sequence[float], weigh: Callable[[float], Balance]) -> Iterator[Way]:
    """Give the largest smaller ε that fits, and the next two; the smallest where none does."""
    shown = 0
    for epsilon in epsilons:
        balance = weigh(epsilon)
        holds = balance.after <= balance.ceiling.epsilon
        if holds or epsilon == epsilons[-1]:
            yield make_way(f"promise: epsilon: {epsilon:g}", balance)
            shown += 1
        if shown == 3:
            return


def try_ceilings(ceiling: Ceiling, weigh: Callable[[Ceiling], Balance]) -> Iterator[Way]:
    """Give the smallest usual ceiling under which the run as it is would fit."""
    for epsilon in CEILINGS:
        if epsilon > ceiling.epsilon:
            balance = weigh(replace(ceiling, epsilon=float(epsilon)))
            if balance.after <= epsilon:
                yield make_way(f"budget: lifetime_epsilon: {epsilon:g}", balance)
                return


def make_way(change: str, balance: Balance) -> Way:
    """Say what the lifetime comes to, and how many runs like this would fit, with this one."""
    holds = balance.after <= balance.ceiling.epsilon
    runs = balance.runs_left if holds else 0
    most = balance.ceiling.epsilon
    reached = f"{balance.after:.3f} of {most:g}" + (" (RDP total)" if balance.filtered else "")
    if runs is not None and runs >= MOST_RUNS:
        reached += f"; at least {MOST_RUNS:,} runs"
    cost: dict[str, float | None] = {"lifetime_epsilon": round_up(balance.after), "runs": runs}
    return Way(change, holds, reached, cost)


def find_delta_ways(refusal: Refusal, bound: int) -> Iterator[WaysOut]:
    """Give the largest power of ten for δ that is below one in a published bound of the people."""
    delta = next((10.0**-n for n in range(3, 16) if 10.0**-n * bound < 1), None)
    if delta is not None:
        yield WaysOut(
            refusal.check, None, "every δ below one in the number of people who may be read",
            str(refusal).removeprefix(f"{refusal.check}: ").partition(" is not below")[0],
            "Computed from the published number of people, without personal data", {},
            (Way(f"every delta: {delta:.0e}", True, f"below one in {bound:,}", {}),),
        )  # fmt: skip
