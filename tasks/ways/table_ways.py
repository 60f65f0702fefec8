"""The ways out of a refused table: recoded again under one change at a time, and measured.

The same people are recoded by the same search under each changed outlet, so that a way that holds
holds when the policy is changed so and run on the same people as a first release; who must be held
back beside an earlier release is not tried. A table promises k and no ε, and the run measures it
at other k anyway (`tasks.training.tradeoff`), so the same kind of measure is taken here whatever
is promised of a model: rounded, with shares of people as bounds, and of the released columns only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from expectations.checks import Check
from expectations.disclosure import bound_share
from expectations.errors import Refusal, TutelaError
from expectations.policy.outlets import TableOutlet
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import CheckVerdict
from tasks.account.published_ways import Way, WaysOut
from tasks.anonymization.fitting import Unreachable
from tasks.anonymization.generalize import generalize_table
from tasks.anonymization.loss import (
    compare_groups,
    judge_ratio,
    measure_granularity,
    measure_losses,
    show_groups,
)
from tasks.anonymization.recoding import Recoded
from tasks.anonymization.table_plan import TablePlan, find_common
from tasks.training.tradeoff import compare_columns
from tasks.ways.table_changes import (
    Change,
    allow_ratio,
    change_policy,
    coarsen,
    find_faults,
    leave_more_out,
    leave_out,
    lower_k,
    weaken_models,
)
from tasks.ways.telling import keep_telling

if TYPE_CHECKING:
    import pandas as pd

SECONDS: Final = 10.0
"""Of computing, after which nothing more is tried."""
BEST: Final = 4
"""How many columns are left out two by two, those that alone come nearest."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What the outlet came to with a change; without figures where no table was made.

    `left` bounds the share of people whom no class could take in, 0 where a table was made.
    """

    holds: bool
    reached: str
    left: float = 0.0
    granularity: float | None = None
    suppressed: float | None = None


@dataclass
class Trials:
    """Tries changed outlets of a policy on the same people, as long as there is time."""

    frame: pd.DataFrame
    policy: Policy
    name: str
    threshold: int
    seconds: float = SECONDS
    tried: dict[str, Tried] = field(default_factory=dict)
    untried: int = 0
    started: float = field(default_factory=time.process_time)

    @cached_property
    def faults(self) -> set[tuple[str, str]]:
        """What is wrong with the policy as it is; nothing, in a run."""
        return find_faults(self.policy)

    @property
    def asked(self) -> TableOutlet:
        """The outlet as the policy has it."""
        return self.policy.table_outlets[self.name]

    def run(self, change: Change) -> Tried | None:
        """Try a change once; None where it makes no policy, or where the time is up."""
        if change.words in self.tried:
            return self.tried[change.words]
        if not self.makes_policy(change):
            return None
        policy = change_policy(self.policy, self.name, change.outlet)
        if time.process_time() - self.started > self.seconds:
            self.untried += 1
            return None
        try:
            found = self._measure(policy, change.outlet)
        except Unreachable as error:
            bound = bound_share(error.left, len(self.frame), self.threshold)
            reached = f"up to {100 * bound:.1f} % in no class of {change.outlet.k}"
            found = Tried(holds=False, reached=reached, left=bound)
        except TutelaError:
            return None
        self.tried[change.words] = found
        return found

    def makes_policy(self, change: Change) -> bool:
        """Whether `check` takes the policy with a change."""
        changed = change_policy(self.policy, self.name, change.outlet)
        return not find_faults(changed) - self.faults

    def _measure(self, policy: Policy, outlet: TableOutlet) -> Tried:
        recoded = generalize_table(self.frame, policy, outlet)
        broken = [
            check
            for check in judge_losses(self.frame, outlet, self.name, recoded, self.threshold)
            if check.verdict is not CheckVerdict.PASSED
        ]
        if broken:
            return Tried(holds=False, reached=broken[0].measured)
        columns = compare_columns(self.frame, recoded.frame, recoded.plan.members, (policy, outlet))
        people, all_columns = len(self.frame), len(self.asked.linkable)
        kept = measure_granularity(list(columns.values()), people) * len(columns) / all_columns
        return Tried(
            holds=True,
            # Not the k that it has: of a table of one class that is the number of people.
            reached=f"k of at least {outlet.k}",
            # As in `tradeoff`: of pinned columns the loss is the share of people left out.
            granularity=round(1 - bound_share(1 - kept, people, self.threshold), 3),
            suppressed=bound_share(recoded.measures.suppressed, people, self.threshold),
        )

    def first(self, ladder: Sequence[Change]) -> Iterator[Change]:
        """Find the first change of a ladder that holds, by halving; what is found was tried.

        Each step is taken to ask for less than the one before. The last one where it fails too.
        """
        ladder = [change for change in ladder if self.makes_policy(change)]
        low, high = -1, len(ladder) - 1
        if high < 0 or not self._holds(ladder[high]):
            yield from (change for change in ladder[-1:] if change.words in self.tried)
            return
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._holds(ladder[middle]) else (middle, high)
        yield ladder[high]

    def _holds(self, change: Change) -> bool:
        found = self.run(change)
        return found is not None and found.holds

    def tell(self, change: Change) -> Iterator[Way]:
        """Give a change that was tried as a way."""
        found = self.tried.get(change.words)
        if found is not None:
            cost = {"granularity": found.granularity, "suppressed_share": found.suppressed}
            yield Way(change.words, found.holds, found.reached, cost if found.holds else {})


def judge_losses(
    frame: pd.DataFrame, outlet: TableOutlet, name: str, recoded: Recoded, threshold: int
) -> Iterator[Check]:
    """Judge the ratios of loss that an outlet bounds, as the run does."""
    if not outlet.loss_ratio:
        return
    hierarchies = TablePlan(recoded.plan, find_common(frame, outlet)).hierarchies(frame)
    lost = measure_losses(frame, recoded.frame, hierarchies, recoded.plan.members)
    for column, allowed in outlet.loss_ratio.items():
        shown = show_groups(compare_groups(frame, column, lost), threshold)
        yield judge_ratio(shown, column, allowed, name, frozen=False)


def find_table_ways(
    refusal: Refusal, frame: pd.DataFrame, policy: Policy, name: str, threshold: int
) -> Iterator[WaysOut]:
    """Try what would let a refused table hold; nothing for refusals that are of another kind."""
    trials = Trials(frame, policy, name, threshold)
    outlet = trials.asked
    least = 1.0
    by = next((c for c in outlet.loss_ratio if refusal.check == f"loss by {c} of {name}"), None)
    if isinstance(refusal, Unreachable):
        least = bound_share(refusal.left, len(frame), threshold)
        asked = ask_for(outlet)
        few = "there are fewer people in all; " if len(frame) < outlet.k else ""
        reached = f"{few}up to {100 * least:.1f} % of the people are in no such class"
        ladders = [lower_k(outlet), leave_more_out(outlet, least), *weaken_models(outlet)]
    elif by is not None:
        told = trials.run(Change("as it is", outlet))
        asked = f"at most {outlet.loss_ratio[by]:g} times as much loss for one group of {by}"
        reached = told.reached if told else "more than that"
        ladders = [lower_k(outlet), leave_more_out(outlet, 0.0), allow_ratio(outlet, by)]
    else:
        return
    ways = try_all(trials, ladders, least)
    as_is: dict[str, float | None] = {"granularity": measure_as_is(trials)}
    yield WaysOut(refusal.check, name, asked, reached, say_how(trials), as_is, ways)


def ask_for(outlet: TableOutlet) -> str:
    """Say what the outlet asks of its table, and whom it may leave out."""
    models = f" that meet what is asked of {', '.join(outlet.sensitive)}" * bool(outlet.sensitive)
    return (
        f"classes of at least {outlet.k}{models}, with at most "
        f"{100 * outlet.max_suppressed:g} % of the people left out"
    )


def try_all(
    trials: Trials, ladders: Iterable[Sequence[Change]], least: float = 1.0
) -> tuple[Way, ...]:
    """Try each way alone, and two by two only if none holds; those that keep most come first.

    `least` bounds the share of people in no class as it is: what comes no nearer is not told.
    """
    outlet = trials.asked
    found = [change for ladder in ladders for change in trials.first(ladder)]
    single = [*coarsen(trials.policy, outlet), *leave_out(outlet)]
    found += [change for change in single if trials.run(change)]
    if not any(trials.tried[change.words].holds for change in found):
        found += try_pairs(trials, [change for change in leave_out(outlet) if change in found])
    ways = [
        way
        for change in found
        for way in trials.tell(change)
        if way.holds or trials.tried[change.words].left < least
    ]
    nearness = {change.words: trials.tried[change.words].left for change in found}
    return keep_telling(
        sorted(
            ways,
            key=lambda way: (
                not way.holds, -(way.cost.get("granularity") or 0.0), nearness[way.change],
            ),
        )
    )  # fmt: skip


def try_pairs(trials: Trials, single: Sequence[Change]) -> list[Change]:
    """Leave out two of the columns that alone come nearest, and keep the pairs that hold."""
    nearest = sorted(single, key=lambda change: trials.tried[change.words].left)[:BEST]
    pairs = [
        one.then(other)
        for place, one in enumerate(nearest)
        for other in nearest[place + 1 :]
        if len(one.outlet.linkable) > 1
    ]
    return [pair for pair in pairs if (found := trials.run(pair)) and found.holds]


def measure_as_is(trials: Trials) -> float:
    """Measure the granularity of the rows as they are, which no recoding exceeds."""
    frame, asked = trials.frame, (trials.policy, trials.asked)
    columns = compare_columns(frame, frame, {}, asked)
    detail = measure_granularity(list(columns.values()), len(frame))
    return round(1 - bound_share(1 - detail, len(frame), trials.threshold), 3)


def say_how(trials: Trials) -> str:
    """Say how the ways were measured, and what was not tried."""
    cut = f"; {trials.untried} more were not, after {trials.seconds:g} s" if trials.untried else ""
    return (
        f"{len(trials.tried)} changes were tried on the same people, as a first release{cut}; "
        "what came no nearer is not shown. A column left out counts as lost whole, and shares of "
        "people are bounds"
    )
