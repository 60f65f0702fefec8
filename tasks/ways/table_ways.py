"""The ways out of a refused table: recoded again under one change at a time, and measured.

Each change (`table_changes`) stands alone, asks for less in one place, in the policy's own words,
and leaves a policy that `check` takes. Columns are changed together where none alone suffices.

The same people are recoded by the same search under each changed outlet, so that a way that holds
holds when the policy is changed so and run on the same people as a first release; who must be held
back beside an earlier release is not tried. A table promises k and no ε, and the run measures it
at other k anyway (`tasks.training.tradeoff`), so the same kind of measure is taken here whatever
is promised of a model: rounded, with shares of people as bounds, and of the released columns only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from expectations.checks import Check
from expectations.disclosure import bound_share
from expectations.errors import Refusal, TutelaError
from expectations.policy.outlets import TableOutlet, join
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import CheckVerdict
from tasks.account.published import Way, WaysOut
from tasks.anonymization.fitting import Unreachable
from tasks.anonymization.generalize import generalize_table
from tasks.anonymization.loss import (
    People,
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
    coarsen_more,
    find_faults,
    leave_more_out,
    leave_out,
    list_of_rows,
    lower_k,
    renew,
    shorten,
    thin,
    weaken_models,
)
from tasks.ways.telling import keep_telling

if TYPE_CHECKING:
    import pandas as pd


SECONDS: Final = 30.0
"""Of computing, after which nothing more is tried."""
TOLD: Final = 0.005
"""The least detail that does not round to none."""
BEST: Final = 4
"""How many columns are left out two by two, those that alone come nearest."""
IDEAS: Final = 2
"""How many columns a shorter window is proposed for, those that come nearest when left out."""


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

    @property
    def keeps(self) -> bool:
        """Whether it holds and keeps some of the detail: a table of "*" alone is no way out."""
        return self.holds and (self.granularity or 0.0) >= TOLD

    def say(self) -> str:
        """Say what was reached, and that nothing is left where it is so."""
        return self.reached + ", but nothing of the detail is kept" * (self.holds > self.keeps)


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
            reached = f"up to {100 * bound:.1f} % in no class of {change.outlet.k:,}"
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
        joint = join([*policy.joined_with(self.name).values()])
        recoded = generalize_table(self.frame, policy, joint)
        broken = [
            check
            for check in judge_losses(self.frame, outlet, self.name, recoded, self.threshold)
            if check.verdict is not CheckVerdict.PASSED
        ]
        if broken:
            return Tried(holds=False, reached=broken[0].measured)
        columns = compare_columns(self.frame, recoded.frame, recoded.plan.members, (policy, outlet))
        people, all_columns = len(self.frame), len(self.asked.linkable)
        each = People.one_each(people, len(recoded.frame))
        kept = measure_granularity(list(columns.values()), each) * len(columns) / all_columns
        return Tried(
            holds=True,
            # Not the k that it has: of a table of one class that is the number of people.
            reached=f"k of at least {outlet.k:,}",
            # As in `tradeoff`: of pinned columns the loss is the share of people left out.
            granularity=round(1 - bound_share(1 - kept, people, self.threshold), 3),
            suppressed=bound_share(recoded.measures.suppressed, people, self.threshold),
        )

    def first(self, ladder: Sequence[Change]) -> Iterator[Change]:
        """Find the first change of a ladder that holds, by halving; what is found was tried.

        Each step is taken to ask for less than the one before. The last one where it fails too.
        Where the first keeps nothing, also the first that keeps some detail.
        """
        ladder = [change for change in ladder if self.makes_policy(change)]
        first = self._halve(ladder, lambda found: found.holds)
        if first is None:
            yield from (change for change in ladder[-1:] if change.words in self.tried)
            return
        yield ladder[first]
        if not self.tried[ladder[first].words].keeps:
            rest = ladder[first + 1 :]
            kept = self._halve(rest, lambda found: found.keeps)
            yield from () if kept is None else (rest[kept],)

    def _halve(self, ladder: Sequence[Change], good: Callable[[Tried], bool]) -> int | None:
        """Give the place of the first change that is good, if the last one is."""
        low, high = -1, len(ladder) - 1
        if high < 0 or not self._is(ladder[high], good):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._is(ladder[middle], good) else (middle, high)
        return high

    def _is(self, change: Change, good: Callable[[Tried], bool]) -> bool:
        found = self.run(change)
        return found is not None and good(found)

    def tell(self, change: Change) -> Iterator[Way]:
        """Give a change that was tried as a way."""
        found = self.tried.get(change.words)
        if found is not None:
            cost = {"granularity": found.granularity, "suppressed_share": found.suppressed}
            yield Way(change.words, found.holds, found.say(), cost if found.holds else {})


def judge_losses(
    frame: pd.DataFrame, outlet: TableOutlet, name: str, recoded: Recoded, threshold: int
) -> Iterator[Check]:
    """Judge the ratios of loss that an outlet bounds, as the run does."""
    if not outlet.loss_ratio:
        return
    plan = TablePlan(recoded.plan, find_common(frame, outlet))
    hierarchies = plan.hierarchies(frame, outlet.linkable)
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
    elif refusal.check == "successive releases":
        asked, ladders = ask_for(outlet), [renew(outlet)]
        reached = "more than that beside earlier releases of the plan"
    else:
        return
    ways = try_all(trials, ladders, least)
    as_is: dict[str, float | None] = {"granularity": measure_as_is(trials)}
    yield WaysOut(refusal.check, name, asked, reached, say_how(trials), as_is, ways)


def ask_for(outlet: TableOutlet) -> str:
    """Say what the outlet asks of its table, and whom it may leave out."""
    models = f" that meet what is asked of {', '.join(outlet.sensitive)}" * bool(outlet.sensitive)
    return (
        f"classes of at least {outlet.k:,}{models}, with at most "
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
    found += [change for ladder in join_columns(trials) for change in trials.first(ladder)]
    if not any(trials.tried[change.words].keeps for change in found):
        found += try_pairs(trials, [change for change in leave_out(outlet) if change in found])
    ways = [
        way
        for change in found
        for way in trials.tell(change)
        if way.holds or trials.tried[change.words].left < least
    ]
    nearness = {change.words: trials.tried[change.words].left for change in found}
    best = sorted(
        ways,
        key=lambda way: (
            not way.holds, -(way.cost.get("granularity") or 0.0), nearness[way.change],
        ),
    )  # fmt: skip
    return keep_telling([*best, *propose_windows(trials, least)])


def join_columns(trials: Trials) -> Iterator[Sequence[Change]]:
    """Change several columns together where no single one suffices, those that come nearest first.

    Any that are kept are generalized, and those made of one table's rows left out.
    """
    outlet = trials.asked
    near = find_near(trials, "{}: generalize", outlet.linkable)
    if not any(found.keeps for found in near.values()):
        yield coarsen_more(outlet, [*near])
    for table, columns in list_of_rows(trials.policy, outlet.linkable).items():
        near = find_near(trials, "leave out {}", columns)
        if not any(found.keeps for found in near.values()):
            yield [*thin(outlet, table, [*near])]


def find_near(trials: Trials, words: str, columns: Iterable[str]) -> dict[str, Tried]:
    """Give what a change of each single column came to, as far as tried; the nearest first."""
    tried = {c: trials.tried[words.format(c)] for c in columns if words.format(c) in trials.tried}
    return dict(sorted(tried.items(), key=lambda one: one[1].left))


def propose_windows(trials: Trials, least: float) -> list[Way]:
    """Propose a shorter window of the columns that split people most; it cannot be tried."""
    tables = list_of_rows(trials.policy, trials.asked.linkable)
    made = [column for columns in tables.values() for column in columns]
    near = find_near(trials, "leave out {}", made)
    splitting = [column for column, found in near.items() if found.left < least]
    return [*shorten(trials.policy, splitting)][:IDEAS]


def try_pairs(trials: Trials, single: Sequence[Change]) -> list[Change]:
    """Leave out two of the columns that alone come nearest, and keep the pairs that hold."""
    nearest = sorted(single, key=lambda change: trials.tried[change.words].left)[:BEST]
    pairs = [
        one.then(other)
        for place, one in enumerate(nearest)
        for other in nearest[place + 1 :]
        if len(one.outlet.linkable) > 1
    ]
    return [pair for pair in pairs if (found := trials.run(pair)) and found.keeps]


def measure_as_is(trials: Trials) -> float:
    """Measure the granularity of the rows as they are, which no recoding exceeds."""
    frame, asked = trials.frame, (trials.policy, trials.asked)
    columns = compare_columns(frame, frame, {}, asked)
    each = People.one_each(len(frame), len(frame))
    detail = measure_granularity(list(columns.values()), each)
    return round(1 - bound_share(1 - detail, len(frame), trials.threshold), 3)


def say_how(trials: Trials) -> str:
    """Say how the ways were measured, and what was not tried."""
    cut = f"; {trials.untried} more were not, after {trials.seconds:g} s" if trials.untried else ""
    return (
        f"{len(trials.tried)} changes were tried on the same people, as a first release{cut}; "
        "those that came no closer are not shown. A column left out counts as wholly lost; "
        "shares of people are upper bounds"
    )
