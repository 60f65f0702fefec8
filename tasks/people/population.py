"""The population: who is eligible, what is derived of them, who of them is taken, and the split.

Eligibility, derived columns, samples and the split are record-wise: what becomes of a person
depends on their own row, the policy and the home's key. A cap looks at other people, and a
smallest number decides about the run. What a person kept back is unknown, whatever an expression
makes of missing values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import Count, Published
from expectations.errors import Refusal, carrying
from expectations.expressions.expressions import parse
from expectations.policy.policy import Policy
from ledgers.vault.stages import Collected, Selected
from tasks.account.exclusions import NOT_ELIGIBLE, NOT_SAMPLED, OVER_CAP
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.own_code.columns import own_columns, tell_tried
from tasks.own_code.loading import NO_CODE, OwnCode
from tasks.people.draws import TEST, Marks, draw_sample, keep_under_caps, mark_test
from tasks.people.ingestion import RECORD, SAMPLE, coverage, covers
from tasks.people.strata import Groups, find_small_groups, group_people

__all__ = ["TEST", "derive_columns", "keep_eligible", "select_population", "take_people"]


@dataclass(frozen=True, slots=True)
class SmallCohort:
    """People who as a whole are too few."""

    people: Published


def evaluate(
    table: pa.Table, texts: Mapping[str, str], policy: Policy, today: date
) -> dict[str, pa.ChunkedArray]:
    """Compute record-wise expressions over the named columns, one array each.

    Of who kept back a column that an expression reads, what it gives is unknown: missing also
    where the expression fills or asks for missing values, for a value that may not be read is not
    one that is not there.
    """
    import narwhals as nw
    import pandas as pd

    types = {name: column.type for name, column in policy.columns.items()}
    parsed = {name: parse(text, types) for name, text in texts.items()}
    needed = sorted({column for expression in parsed.values() for column in expression.columns})
    frame = nw.from_native(
        table.select(needed or [RECORD]).to_pandas(types_mapper=pd.ArrowDtype), eager_only=True
    )
    for expression in parsed.values():
        expression.check_frame(frame)
    made = frame.select(
        **{name: expression.to_narwhals(today) for name, expression in parsed.items()}
    ).to_arrow()
    read = {name: covers(table, coverage(policy, p.columns)) for name, p in parsed.items()}
    return {
        name: made.column(name) if whole.all() else pc.if_else(whole, made.column(name), None)
        for name, whole in read.items()
    }


def derive_columns(
    table: pa.Table, policy: Policy, today: date, own: Mapping[str, OwnCode] = NO_CODE
) -> pa.Table:
    """Add the policy's derived columns; `own` is the code of its functions, loaded before."""
    texts = {n: d.expression for n, d in policy.derived.items() if d.expression is not None}
    made = evaluate(table, texts, policy, today) if texts else {}
    for column in own_columns(policy, own):
        whole = covers(table, coverage(policy, column.reads))
        made[column.name] = pc.if_else(whole, column.derive(table), None)
    for name in policy.derived:
        table = table.append_column(name, made[name])
    return table


def keep_eligible(table: pa.Table, policy: Policy, today: date) -> tuple[pa.Table, Count]:
    """Keep whom the policy is about, and count the rest; unknown means not eligible."""
    if policy.population.eligible == "true":
        return table, Count(0)
    found = evaluate(table, {NOT_ELIGIBLE: policy.population.eligible}, policy, today)
    eligible = pc.fill_null(found[NOT_ELIGIBLE], fill_value=False)
    return table.filter(eligible), count_marked(~eligible.to_numpy())


def count_marked(marked: Marks) -> Count:
    """Count the people who are marked."""
    return Count(int(np.count_nonzero(marked)))


def take_people(
    table: pa.Table, groups: Groups | None, policy: Policy
) -> tuple[Marks, dict[str, Count]]:
    """Tell who of the eligible is taken, and count who is not, for each reason there can be."""
    people, strata, left_out = policy.population, policy.population.strata, {}
    draws = table.column(SAMPLE).to_numpy()
    taken = sampled = draw_sample(draws, groups, people)
    if people.sample < 1 or (strata and strata.sample):
        left_out[NOT_SAMPLED] = count_marked(~sampled)
    if people.at_most is not None or (strata and strata.at_most is not None):
        taken = keep_under_caps(draws, groups, people, sampled)
        left_out[OVER_CAP] = count_marked(sampled & ~taken)
    return taken, left_out


def find_small(
    people: Published, rest: Mapping[str, Published], exact: int, policy: Policy
) -> Iterator[str]:
    """Say it where fewer people than the policy's smallest are left, and where the rest went."""
    if exact < policy.population.smallest:
        about = "" if people.about is None else "about "
        elsewhere = "; ".join(f"{reason}: {count}" for reason, count in rest.items())
        yield (
            f"{about}{people} people are left at the selection, where the policy asks for "
            f"{policy.population.smallest:,}; {elsewhere}; widen population.eligible, ask more "
            "people, or lower population.smallest with a reason"
        )


def count_sides(desk: Desk, selected: pa.Table) -> None:
    """Count the people to train with and to test with, where something is trained."""
    if desk.policy.training is not None:
        test = selected.column(TEST).to_numpy()
        desk.count("people.train", count_marked(~test))
        desk.count("people.test", count_marked(test))


@step("Select the population", gives=Selected)
def select_population(desk: Desk, collected: Opened[Collected]) -> pa.Table:
    """Keep the eligible, derive columns, sample and cap, split, and refuse what is too small."""
    policy, today = desk.policy, desk.run.now.date()
    eligible, rest = keep_eligible(collected.table(), policy, today)
    table = derive_columns(eligible, policy, today, desk.run.own)
    if policy.own_functions:
        desk.check(tell_tried(policy.own_functions.values()))
    groups = group_people(table, policy)
    taken, left_out = take_people(table, groups, policy)
    selected = table if taken.all() else table.filter(pa.array(taken))
    selected = mark_test(selected, policy.population, desk.key("split"))
    shown = {
        reason: desk.count(f"people.excluded.{reason}", count)
        for reason, count in {NOT_ELIGIBLE: rest, **left_out}.items()
    }
    people = desk.count("people.selected", Count(selected.num_rows))
    count_sides(desk, selected)
    problems = small = list(find_small(people, shown, selected.num_rows, policy))
    if groups is not None:
        sizes = groups.sum_up(taken)
        problems = small + list(find_small_groups(groups, sizes, policy, desk.run.disclosure))
    if problems:
        # Of groups that are too small there is nothing to try.
        with carrying(SmallCohort(people) if problems == small else None):
            raise Refusal("smallest cohort", "\n".join(problems))
    return selected
