"""The memory of one table outlet: its frozen plan, what left before, and when it may leave again.

Thin: reads and writes the release ledger for a step, and words what was found. A release is
recorded when nothing else can refuse its run any more, before it can leave; it stands unless the
run is refused all the same (see `ledgers.releases`).

Each data period has a plan of its own. Where too many people would be left out of a release, a
forecast says how long until enough have changed: it takes the changes since the last release to go
on at their pace, all of them together. It promises nothing, and is not made where it would tell of
a number of people below the disclosure threshold.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from expectations.checks import Check, refuse_failed
from expectations.disclosure import Count, bound_share
from expectations.errors import Refusal
from expectations.policy.outlets import TableOutlet, spell_recipient
from expectations.policy.spans import end_of
from expectations.policy.treatments import Noise, Shift, Token
from expectations.policy.vocabulary import CheckVerdict
from tasks.airlock.run import Desk
from tasks.anonymization.releases.crossing_check import Beside, check_crossings
from tasks.anonymization.releases.crossings import EarlierClasses
from tasks.anonymization.releases.difference_attack import Row, isolate, judge_moves
from tasks.anonymization.releases.held_people import HeldPeople
from tasks.anonymization.releases.release import Choice, Past
from tasks.anonymization.releases.succession import Comparison, CountedRows, number_classes
from tasks.anonymization.table_plan import TablePlan
from tasks.people.aliases import find_other_numbers

if TYPE_CHECKING:
    from ledgers.evidence import JSON
    from ledgers.outbox import Outbox
    from ledgers.releases import FrozenPlan, PlanName, Release, ReleaseHistory, ReleaseLedger
    from tasks.anonymization.releases.succession import Counts


Period = Literal["month", "quarter", "year"]
MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}


def name_period(moment: datetime, period: Period) -> str:
    """Name the data period of a moment: `2026-11`, `2026-Q4` or `2026`."""
    match period:
        case "month":
            return f"{moment:%Y-%m}"
        case "quarter":
            return f"{moment:%Y}-Q{(moment.month + 2) // 3}"
        case "year":
            return f"{moment:%Y}"


def begin_next(moment: datetime, period: Period) -> date:
    """Give the first day of the next data period."""
    months = MONTHS[period]
    count = moment.year * 12 + ((moment.month - 1) // months + 1) * months
    return date(count // 12, count % 12 + 1, 1)


@dataclass(frozen=True, slots=True)
class Pace:
    """Changes that were seen in the classes which wait, those they wait for, and in how long."""

    seen: int
    needed: int
    days: float


def measure_pace(last: Comparison, present: Counts, k: int, days: float) -> Pace:
    """Measure how far the classes that wait have come since the last release.

    `present` is how many people there are of each distinct row. A class waits where fewer than k
    were added or are gone.
    """
    added, gone, _ = last.differences(present)
    changed = np.maximum(np.where(added < k, added, 0), np.where(gone < k, gone, 0))
    return Pace(int(changed.sum()), int(k * (changed > 0).sum()), days)


def forecast(pace: Pace | None, threshold: int) -> str:
    """Say in how many days enough will have changed, in one digit, if that may and can be told."""
    if pace is None or pace.seen < threshold or pace.days <= 0:
        return "too little has changed since the last table to say when enough will have"
    days = pace.days * (pace.needed - pace.seen) / pace.seen
    return (
        "at the pace since the table last changed enough will have changed in about "
        f"{say_days(days)}"
    )


def say_days(days: float) -> str:
    """Write days in one digit."""
    step = 10 ** max(0, math.floor(math.log10(max(days, 1))))
    number = max(1, round(days / step)) * step
    return f"{number:,} {'day' if number == 1 else 'days'}"


Pairs: TypeAlias = Counter[tuple[Row, Row]]
"""How many rows have the same class and the same other values."""
SECONDS_A_DAY: Final = 86_400


PEOPLE: Final = "--people-"
"""What stands between a run and an outlet where the people of its table wait to be recorded."""


@dataclass(frozen=True)
class Outgoing:
    """One table outlet of a run, and what the ledger remembers of it and of its recipient."""

    desk: Desk
    outlet: str
    history: ReleaseHistory
    standing: tuple[Release, ...]
    """The releases of every outlet and policy, oldest first."""
    recorded: int
    """How many releases there ever were."""

    @property
    def declared(self) -> TableOutlet:
        """The outlet as the policy declares it."""
        return self.desk.policy.table_outlets[self.outlet]

    @property
    def name(self) -> PlanName:
        """What its plan is for."""
        from ledgers.releases import PlanName

        run = self.desk.run
        return PlanName(run.file.sha256, self.outlet, name_period(run.now, self.declared.period))

    @property
    def ledger(self) -> ReleaseLedger:
        """The release ledger, in the same database as the evidence."""
        return open_ledger(self.desk)

    @cached_property
    def recipients(self) -> frozenset[str]:
        """Who can put the outlet's table together with others."""
        return self.desk.policy.recipients(self.declared)

    @cached_property
    def held(self) -> dict[str, HeldPeople]:
        """Who was in each release that stands, by its name, where that is kept."""
        same = find_other_numbers(self.desk.run.file, self.desk.run.keys)
        return {
            one.name: HeldPeople.from_bytes(one.people).renamed(same)
            for one in self.standing
            if one.people is not None
        }

    @cached_property
    def combined(self) -> tuple[Release, ...]:
        """The releases that who gets this table has too, oldest first."""
        return tuple(one for one in self.standing if self.is_combined(one))

    def is_combined(self, release: Release) -> bool:
        """Whether who gets this table has a release too, or is said to combine it with this."""
        held = self.held.get(release.name)
        theirs = held.recipients if held else {spell_recipient(release.recipient)}
        return not self.recipients.isdisjoint(theirs)

    def look_beside(self, apart: int) -> Beside:
        """Give who was in the releases that its recipient has too, and in those of others."""
        mine = {one.name for one in self.combined}
        others = [one.name for one in self.standing if one.name not in mine]
        return Beside(
            [self.held.get(one.name) for one in self.combined],
            [*map(self.held.get, others)],
            apart,
        )

    def cross(self, numbers: NDArray[np.uint64]) -> tuple[EarlierClasses, ...]:
        """Give the classes of people in what their recipient has, or gets by this run too."""
        outbox, waiting = self._outbox, {}
        for other in self.desk.policy.joined_with(self.outlet):
            name = self.desk.run.id + PEOPLE + other
            if other != self.outlet and name in outbox.pending():
                waiting[name] = HeldPeople.from_bytes(outbox.take(name))
        kept = {one.name: self.held[one.name] for one in self.combined if one.name in self.held}
        return tuple(
            EarlierClasses(name, held.find(numbers), held.k, held.sensitive)
            for name, held in {**kept, **waiting}.items()
        )

    def choose_pins(self, earlier: Sequence[EarlierClasses]) -> list[str]:
        """Name the releases whose classes a new plan keeps apart: those that held somebody."""
        known = {one.name for one in self.combined}
        return [one.name for one in earlier if one.name in known and (one.classes >= 0).any()]

    def hold(self, held: HeldPeople, apart: int) -> None:
        """Let who is in the table wait to be recorded with it; note what could not be compared."""
        self.desk.note("beside", self.outlet, {"apart": apart})
        self._outbox.put(self.desk.run.id + PEOPLE + self.outlet, held.to_bytes())

    def take_held(self) -> HeldPeople:
        """Give who is in the table."""
        return HeldPeople.from_bytes(self._outbox.take(self.desk.run.id + PEOPLE + self.outlet))

    def let_go(self) -> None:
        """Let who is in the table wait no longer: it is on record."""
        self._outbox.remove(self.desk.run.id + PEOPLE + self.outlet)

    @property
    def _outbox(self) -> Outbox:
        from ledgers.outbox import Outbox

        return Outbox(self.desk.run.home, self.desk.run.keys)

    def freeze(
        self, people: Count, there: Collection[str], fit: Callable[[], TablePlan]
    ) -> FrozenPlan:
        """Give the plan that stands for this policy, outlet and period; fit one if none does.

        One that reads what is not `there` is of earlier classes that are forgotten by now. Outlets
        of one recipient have the same plan, so one that was fitted for another of them serves.
        """
        run = self.desk.run
        plan = self.ledger.find_plan(self.name)
        if plan is None or not TablePlan.from_bytes(plan.content).columns <= {*there}:
            after = 0 if plan is None else plan.version
            content, told = self._find_joint(there), str(run.disclosure.publish(people))
            content = content or fit().to_bytes()
            at = run.now.isoformat(timespec="seconds")
            plan = self.ledger.freeze(self.name, run.id, at, told, content, after)
        self.desk.note("plan", self.outlet, {
            "period": plan.name.period, "version": plan.version, "fitted_by": plan.run_id,
            "fitted_at": plan.at, "fitted_on": plan.fitted_on, "compared": self.history.last,
        })  # fmt: skip
        return plan

    def _find_joint(self, there: Collection[str]) -> bytes | None:
        """Give the plan of another outlet whose table is put together with this one's."""
        for other in self.desk.policy.joined_with(self.outlet):
            plan = self.ledger.find_plan(replace(self.name, outlet=other))
            if plan and TablePlan.from_bytes(plan.content).columns <= {*there}:
                return plan.content
        return None

    def remember(self, plan: FrozenPlan, crossed: Sequence[EarlierClasses]) -> Past:
        """Read what the recipient has, under this plan and under others."""
        same, others = [], []
        for release in self.combined:
            rows = CountedRows.from_bytes(release.content)
            if release.is_under(plan):
                same.append(rows)
            else:
                others.append((rows, self.read_plan(release.plan, release.version)))
        return Past(tuple(same), tuple(others), self.names, tuple(crossed))

    def read_plan(self, name: PlanName, version: int) -> TablePlan:
        """Read the plan of an earlier release; `Refusal` where there is none to compare it by."""
        found = self.ledger.read_plan(name, version)
        if found is None:
            raise Refusal(
                "successive releases",
                f"version {version} of the plan of {self.outlet} for {name.period}, under which a "
                "table was released, is not on record, so nothing can be compared with that table; "
                "restore the ledger database from a backup",
            )
        return TablePlan.from_bytes(found.content)

    @property
    def names(self) -> dict[str, str]:
        """Name the columns by which releases are compared: what stays the same for a person.

        Noise is drawn anew in every run, and tokens and moved dates are others under another
        version of the key: by these, everybody would seem to have gone and come.
        """
        found = {}
        for column in self.declared.columns:
            treatment = self.desk.policy.treated[column].treatment
            if isinstance(treatment, Token | Shift):
                found[column] = f"{column} (key {self.key_version})"
            elif not isinstance(treatment, Noise) or column in self.declared.linkable:
                found[column] = column
        return found

    @cached_property
    def key_version(self) -> JSON:
        """The version of the purpose's key in this run."""
        noted = find_notes(self.desk, "key", str(self.desk.policy.purpose))
        return noted[-1]["version"] if noted else None

    def columns(self) -> list[str]:
        """Name the columns that plans of earlier releases read, beside the outlet's own."""
        plans = {(one.plan, one.version) for one in self.combined}
        found = {column for one in plans for column in self.read_plan(*one).columns}
        own = self.ledger.find_plan(self.name)
        return sorted(found | (TablePlan.from_bytes(own.content).columns if own else set()))


def open_outgoing(desk: Desk, outlet: str) -> Outgoing:
    """Read the memory of one outlet of a run."""
    ledger = open_ledger(desk)
    history = ledger.history(desk.policy.name, outlet)
    return Outgoing(desk, outlet, history, *ledger.standing())


def open_ledger(desk: Desk) -> ReleaseLedger:
    """Open the release ledger, in the same database as the evidence."""
    from ledgers.releases import ReleaseLedger

    return ReleaseLedger(desk.run.ledger.engine, desk.run.keys)


def refuse_too_few(outgoing: Outgoing, plan: FrozenPlan, choice: Choice, people: int) -> None:
    """Raise `Refusal` if more people than the policy allows are left out, and say until when."""
    declared, run = outgoing.declared, outgoing.desk.run
    share = (people - len(choice.frame)) / max(people, 1)
    if share <= declared.max_suppressed:
        return
    threshold = run.disclosure.threshold
    unplaced = bound_share((people - choice.classed) / people, people, threshold)
    out = bound_share(share, people, threshold)
    wait = forecast(pace_of(outgoing, plan, choice), threshold)
    after = begin_next(run.now, declared.period)
    raise Refusal(
        "successive releases",
        f"up to {100 * out:.1f} % of the people would be left out of {outgoing.outlet} (at most "
        f"{100 * declared.max_suppressed:.1f} % allowed): up to {100 * unplaced:.1f} % have no "
        f"class under the plan of {plan.name.period}, fitted by run {plan.run_id}; the others "
        f"would be in classes of fewer than {declared.k}, or identifiable by the difference from "
        f"an earlier release, or by their classes in several; {wait}; the next period, from "
        f"{after} on, gets a new plan, which also has to hide everybody beside the tables that its "
        "recipient has; a changed policy, with fewer columns or a larger max_suppressed, gets one "
        "at once",
    )


def check_left_out(outgoing: Outgoing, plan: FrozenPlan, choice: Choice, people: int) -> None:
    """Note who is left out beside earlier releases, and when that will be too many at this pace.

    Taken to grow evenly since the plan was fitted; not told of fewer people than the threshold.
    """
    if choice.last is None:
        return
    desk, declared = outgoing.desk, outgoing.declared
    threshold = desk.run.disclosure.threshold
    sizes = np.bincount(number_classes(choice.present), choice.present.counts)
    beside = int(sizes[sizes >= declared.k].sum()) - len(choice.frame)
    out = (people - len(choice.frame)) / max(people, 1)
    days = (desk.run.now - datetime.fromisoformat(plan.at)).total_seconds() / SECONDS_A_DAY
    after = begin_next(desk.run.now, declared.period)
    growing = beside / max(people, 1) if beside >= threshold else 0.0
    left = reach_limit(days, growing, declared.max_suppressed - out)
    soon = left < (after - desk.run.now.date()).days
    told = f"at this pace that is reached in about {say_days(left)}, " if soon else ""
    desk.check(Check(
        f"people left out of {outgoing.outlet}",
        f"at most {100 * declared.max_suppressed:g} % of the people, until the plan is renewed",
        f"up to {100 * bound_share(out, people, threshold):.1f} %; {told}and the plan of "
        f"{plan.name.period} is renewed on {after}",
        CheckVerdict.WARNED if soon else CheckVerdict.PASSED,
        "the people of this run; it is taken to grow evenly since the plan was fitted",
        "a shorter period, or more allowed (max_suppressed): see the curve in anonymization.md",
        outgoing.outlet,
    ))  # fmt: skip


def reach_limit(days: float, grown: float, room: float) -> float:
    """Say in how many days a share fills the room that is left, grown evenly in `days` from 0."""
    return days * room / grown if grown and days > 0 else math.inf


def pace_of(outgoing: Outgoing, plan: FrozenPlan, choice: Choice) -> Pace | None:
    """Measure how fast the classes that wait change, since the table last changed."""
    under = [one for one in outgoing.history.standing if one.is_under(plan)]
    if choice.last is None or not under:
        return None
    same = takewhile(lambda one: one.content == under[-1].content, reversed(under))
    since = outgoing.desk.run.now - datetime.fromisoformat([one.at for one in same][-1])
    days = since.total_seconds() / SECONDS_A_DAY
    return measure_pace(choice.last, choice.present.counts, outgoing.declared.k, days)


def record_release(desk: Desk, outlet: str, content: bytes) -> None:
    """Compare a table that is to leave with all before it once more, and record it.

    Raises `Refusal` where it sets fewer than k people apart from a release under the same plan,
    where fewer share their classes in what its recipient has, or where a release under another plan
    was recorded since this run looked.
    """
    from ledgers.releases import PlanName, Release

    run, declared = desk.run, desk.policy.table_outlets[outlet]
    noted = {**find_notes(desk, "plan", outlet)[-1], **find_notes(desk, "beside", outlet)[-1]}
    names = open_outgoing(desk, outlet).names
    rows = CountedRows.from_csv(content, declared.linkable, names)
    name = PlanName(run.file.sha256, outlet, str(noted["period"]))
    version, recorded = int(str(noted["version"])), False
    until = end_of(desk.policy.kept.goods, run.now).isoformat(timespec="seconds")
    while not recorded:
        outgoing = open_outgoing(desk, outlet)
        held = outgoing.take_held()
        release = Release(
            desk.policy.name, outgoing.history.last + 1, run.id, declared.recipient, name, version,
            run.now.isoformat(timespec="seconds"), rows.to_bytes(), held.to_bytes(), until,
        )  # fmt: skip
        beside = outgoing.look_beside(int(str(noted["apart"])))
        crossed = check_crossings(outlet, held, rows, beside, run.disclosure.threshold)
        checks = [
            check
            for check in (
                compare_with_all(outgoing, release, int(str(noted["compared"]))),
                crossed and crossed[0],
            )
            if check is not None
        ]
        if any(check.verdict is CheckVerdict.REFUSED for check in checks):
            break
        recorded = outgoing.ledger.record(release, outgoing.recorded)
    if crossed is not None:
        desk.measure(f"privacy.{outlet}.crossing_share", crossed[1])
    for check in checks:
        desk.check(check)
    refuse_failed(checks)
    if moves := judge_last(outgoing, release):
        desk.check(moves)
    outgoing.let_go()
    outgoing.ledger.forget(run.now.isoformat(timespec="seconds"))


def find_notes(desk: Desk, kind: str, name: str) -> list[dict[str, JSON]]:
    """Give what the run noted under a kind and a name."""
    return [
        entry.body
        for entry in desk.run.ledger.entries(desk.run.id)
        if (entry.kind, entry.name) == (kind, name) and isinstance(entry.body, dict)
    ]


def compare_with_all(outgoing: Outgoing, release: Release, compared: int) -> Check | None:
    """Subtract a release from every earlier one under its plan; None where there is none.

    `compared` is the number of the last release that the run knew of when it chose its rows.
    """
    of = (release.plan, release.version)
    under = [one for one in outgoing.history.standing if (one.plan, one.version) == of]
    stranger = any(
        one.seq > compared and (one.plan, one.version) != of for one in outgoing.history.standing
    )
    if not under and not stranger:
        return None
    k = outgoing.declared.k
    pairs = [count_pairs(one, release) for one in under]
    apart = [found for before, now in pairs for found in isolate(before, now, k)]
    broken = bool(apart) or stranger
    return Check(
        f"successive releases of {outgoing.outlet}",
        f"against each earlier release of its plan, 0 or at least {k} rows of a class added, gone "
        "and in common",
        "another run released meanwhile" if stranger
        else f"{'some' if apart else 'no'} such differences from {len(under):,} earlier "
        f"{'release' if len(under) == 1 else 'releases'}",
        CheckVerdict.REFUSED if broken else CheckVerdict.PASSED,
        "a single row; every row of every earlier release under the plan was compared"
        + tell_left_out(outgoing),
        "run again: it then knows what was released meanwhile",
        outgoing.outlet,
    )  # fmt: skip


def judge_last(outgoing: Outgoing, release: Release) -> Check | None:
    """Judge which classes moved since the last release under the same plan, if there is one."""
    of = (release.plan, release.version)
    under = [one for one in outgoing.history.standing if (one.plan, one.version) == of]
    return judge_moves(*count_pairs(under[-1], release), outgoing.outlet) if under else None


def tell_left_out(outgoing: Outgoing) -> str:
    """Say which columns rows are compared without."""
    lacking = [column for column in outgoing.declared.columns if column not in outgoing.names]
    return f", without {', '.join(lacking)}, which change in every run" if lacking else ""


def count_pairs(one: Release, other: Release) -> tuple[Pairs, Pairs]:
    """Count the rows of two releases by class and by what else both of them show."""
    read = [CountedRows.from_bytes(release.content) for release in (one, other)]
    shared = [column for column in read[0].tail if column in read[1].tail]
    counted: tuple[Pairs, Pairs] = (Counter(), Counter())
    for rows, found in zip(read, counted, strict=True):
        pairs = zip(rows.select(rows.linkable), rows.select(shared), strict=True)
        for pair, people in zip(pairs, rows.counts.tolist(), strict=True):
            found[pair] += people
    return counted
