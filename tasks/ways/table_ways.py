"""The ways out of a refused table: recoded again under one change at a time, and measured.

Each change stands alone, asks for less in one place, in the policy's own words, and leaves a policy
that `check` takes. Changes of what a column becomes before it is released (other bins, other
groupings) are not among them: there are too many, and what they are worth is for who knows the
column.

The same people are recoded by the same search under each changed outlet, so that a way that holds
holds when the policy is changed so and run on the same people as a first release; who must be held
back beside an earlier release is not tried. A table promises k and no ε, and the run measures it
at other k anyway (`tasks.training.tradeoff`), so the same kind of measure is taken here whatever
is promised of a model: rounded, with shares of people as bounds, and of the released columns only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final

from expectations.checks import Check
from expectations.coherence.rules import find_problems
from expectations.disclosure import bound_share
from expectations.errors import Refusal, TutelaError
from expectations.policy.outlets import TableOutlet, join
from expectations.policy.policy import Policy
from expectations.policy.privacy_models import (
    AlphaK,
    DistinctLDiversity,
    EntropyLDiversity,
    PrivacyModel,
    RecursiveLDiversity,
    TCloseness,
)
from expectations.policy.treatments import public_labels
from expectations.policy.vocabulary import CheckVerdict, Use
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
from tasks.ways.telling import keep_telling

if TYPE_CHECKING:
    import pandas as pd


USUAL_K: Final = (2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
USUAL_SHARES: Final = (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
"""Of people who may be left out; a policy allows no more than half."""
PERIODS: Final = ("year", "quarter", "month")
TWENTIETHS: Final = tuple(round(n / 20, 2) for n in range(1, 21))
FACTORS: Final = (1.25, 1.5, 2, 3, 4, 6, 10)
"""By how much a bound without a largest value is loosened."""
SECONDS: Final = 10.0
"""Of computing, after which nothing more is tried."""
TOLD: Final = 0.005
"""The least detail that does not round to none."""
BEST: Final = 4
"""How many columns are left out two by two, those that alone come nearest."""


@dataclass(frozen=True)
class Change:
    """What is changed, in words, and the outlet as it then is."""

    words: str
    outlet: TableOutlet

    def then(self, other: Change) -> Change:
        """Take the columns that another change leaves out, out of this one's outlet too."""
        out = self.outlet
        for column in [name for name in out.columns if name not in other.outlet.columns]:
            out = drop_column(out, column)
        return Change(f"{self.words}, and {other.words}", out)


def drop_column(outlet: TableOutlet, column: str) -> TableOutlet:
    """Leave a column out of an outlet and of all that the outlet says of columns."""
    parts = ("columns", "sensitive", "loss_ratio", "not_linkable")
    return outlet.model_copy(
        update={
            part: {name: said for name, said in getattr(outlet, part).items() if name != column}
            for part in parts
        }
    )


def leave_out(outlet: TableOutlet) -> Iterator[Change]:
    """Leave out one linkable column, as long as another one stays."""
    for column in outlet.linkable if len(outlet.linkable) > 1 else ():
        yield Change(f"leave out {column}", drop_column(outlet, column))


def coarsen(policy: Policy, outlet: TableOutlet) -> Iterator[Change]:
    """Generalize one column that was kept, where its treatment declares labels."""
    for column in outlet.linkable:
        treatment, kind = policy.treated[column].treatment, policy.column_type(column)
        if outlet.columns[column] == "keep" and public_labels(treatment, kind) is not None:
            columns = {**outlet.columns, column: "generalize"}
            changed = outlet.model_copy(update={"columns": columns})
            yield Change(f"{column}: generalize", changed)


def lower_k(outlet: TableOutlet) -> list[Change]:
    """Ask for a smaller k, the nearest first."""
    return [
        Change(f"k: {k}", outlet.model_copy(update={"k": k}))
        for k in reversed(USUAL_K)
        if k < outlet.k
    ]


def renew(outlet: TableOutlet) -> list[Change]:
    """Have a new plan now, and more often from then on; the longest such period first."""
    return [
        Change(f"period: {period}", outlet.model_copy(update={"period": period}))
        for period in PERIODS[PERIODS.index(outlet.period) + 1 :]
    ]


def leave_more_out(outlet: TableOutlet, least: float) -> list[Change]:
    """Let more people be left out, from the share that was found on (a bound that may be told)."""
    shares = sorted({least, *(share for share in USUAL_SHARES if share > least)})
    return [
        Change(f"max_suppressed: {share:g}", outlet.model_copy(update={"max_suppressed": share}))
        for share in shares
        if outlet.max_suppressed < share <= USUAL_SHARES[-1]
    ]


def allow_ratio(outlet: TableOutlet, column: str) -> list[Change]:
    """Let the worst-treated group of a column lose more, the nearest ratio first."""
    asked = outlet.loss_ratio[column]
    return [
        Change(
            f"loss_ratio: {column}: {ratio:g}",
            outlet.model_copy(update={"loss_ratio": {**outlet.loss_ratio, column: ratio}}),
        )
        for ratio in (round(asked * factor, 1) for factor in FACTORS)
        if ratio > asked
    ]


def weaken_models(outlet: TableOutlet) -> Iterator[list[Change]]:
    """Ask less of one privacy model of a sensitive column, the nearest first; a list for each."""
    for column, models in outlet.sensitive.items():
        for at, model in enumerate(models):
            yield [
                Change(
                    f"{column}: {weaker.kind} with {said}",
                    put_model(outlet, column, (*models[:at], weaker, *models[at + 1 :])),
                )
                for said, weaker in weaker_than(model)
            ]


def put_model(outlet: TableOutlet, column: str, models: tuple[PrivacyModel, ...]) -> TableOutlet:
    """Give an outlet other models for one sensitive column."""
    return outlet.model_copy(update={"sensitive": {**outlet.sensitive, column: models}})


def weaker_than(model: PrivacyModel) -> list[tuple[str, PrivacyModel]]:
    """Give ever weaker models of the same kind, each with its bound in words."""
    name, bounds = list_bounds(model)
    return [(f"{name}: {bound:g}", model.model_copy(update={name: bound})) for bound in bounds]


def list_bounds(model: PrivacyModel) -> tuple[str, Sequence[float]]:
    """Name what a model bounds, and give ever weaker bounds."""
    match model:
        case DistinctLDiversity(l=asked):
            return "l", range(asked - 1, 1, -1)
        case EntropyLDiversity(l=asked):
            return "l", [b for b in (asked - n / 4 for n in range(1, 13)) if b > 1]
        case TCloseness(t=asked):
            return "t", [bound for bound in TWENTIETHS if bound > asked]
        case AlphaK(alpha=asked):
            return "alpha", [bound for bound in TWENTIETHS[:-1] if bound > asked]
        case RecursiveLDiversity(c=asked):
            return "c", [round(asked * factor, 2) for factor in FACTORS]
    name = "beta" if model.kind == "beta-likeness" else "delta"
    return name, [round(getattr(model, name) * factor, 2) for factor in FACTORS]


def change_policy(policy: Policy, name: str, outlet: TableOutlet) -> Policy:
    """Put a changed outlet into a policy, and take `release` off what no table releases any more.

    A column that was there only to be released is not read at all.
    """
    changed = policy.model_copy(update={"outlets": {**policy.outlets, name: outlet}})
    gone = {*policy.used_as(Use.RELEASE)} - changed.released
    parts: dict[str, Mapping[str, object]] = {}
    for part in ("columns", "derived"):
        kept = {
            column: said
            if column not in gone
            else said.model_copy(update={"use": tuple(u for u in said.use if u != Use.RELEASE)})
            for column, said in getattr(policy, part).items()
        }
        parts[part] = {column: said for column, said in kept.items() if said.use}
    there = parts["columns"].keys() | parts["derived"].keys()
    rules = tuple(rule for rule in policy.expectations if rule.column in there)
    return changed.model_copy(update={**parts, "expectations": rules})


def find_faults(policy: Policy) -> set[tuple[str, str]]:
    """Give where and what `check` finds wrong with a policy."""
    return {(problem.path, problem.what) for problem in find_problems(policy)}


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
    if not any(trials.tried[change.words].keeps for change in found):
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
