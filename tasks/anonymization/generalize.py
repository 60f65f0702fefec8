"""Making a table outlet's rows k-anonymous: its columns, its hierarchies, the recoding, the loss.

Data-dependent: what becomes of one row depends on the others, so these rows never reach a model
that claims differential privacy. A plan is fitted once per version of the policy and data period,
and then frozen; the people of later runs are recoded by it, and held back where a difference from
an earlier release would set them apart.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from expectations.checks import refuse_failed
from expectations.disclosure import Count, bound_share
from expectations.errors import Refusal, carrying
from expectations.policy.outlets import Generalized as Coarse
from expectations.policy.outlets import Rare, TableOutlet, join
from expectations.policy.policy import Policy
from expectations.policy.treatments import has_order, public_labels
from expectations.policy.vocabulary import MISSING, Use
from ledgers.vault.stages import Generalized, Validated
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.anonymization.fitting import Asked, Unreachable
from tasks.anonymization.hierarchies import Hierarchy, label_of
from tasks.anonymization.loss import (
    GroupLoss,
    Measures,
    compare_groups,
    judge_ratio,
    measure_losses,
    show_groups,
    tell_loss,
)
from tasks.anonymization.recoding import Recoded, k_anonymize
from tasks.anonymization.releases.crossings import (
    ask_beside,
    list_pins,
    name_pin,
    pin_classes,
    releases_pinned,
)
from tasks.anonymization.releases.held_people import HeldPeople
from tasks.anonymization.releases.release import choose_rows
from tasks.anonymization.releases.successive_releases import (
    check_left_out,
    open_outgoing,
    refuse_too_few,
)
from tasks.anonymization.table_plan import TablePlan, find_common, merge_rare
from tasks.people.ingestion import RECORD
from tasks.people.person_keys import RELEASED_PEOPLE, number_released
from tasks.people.population import TEST


@dataclass(frozen=True, slots=True, repr=False)
class RefusedTable:
    """An outlet's people, of whom no table could be made as it asks."""

    frame: pd.DataFrame
    outlet: str


def declare_hierarchy(policy: Policy, outlet: TableOutlet, column: str) -> Hierarchy | None:
    """Give a released column's hierarchy: pinned, as the outlet declares it, or by its order.

    None where the policy declares no labels, or merges the rare ones of the data, so that the
    column is pinned to the values that it then has.
    """
    treatment = policy.treated[column].treatment
    labels = public_labels(treatment, policy.column_type(column))
    how = outlet.columns[column]
    if labels is None or isinstance(how, Rare):
        return None
    if how == "keep":
        return Hierarchy.pinned(column, labels)
    if how != "generalize" and how.levels:
        return Hierarchy.from_levels(column, labels, how.levels)
    if has_order(treatment):
        return Hierarchy.from_ordered(column, labels)
    return Hierarchy.flat(column, labels)


def pin_values(column: str, values: pd.Series[str]) -> Hierarchy:
    """Pin a column to the values that it has; they come from people, so nobody may store it."""
    labels = {label_of(value) for value in values.dropna().unique()}
    return Hierarchy(column, tuple((label,) for label in sorted(labels)), derived=True)


def order_sensitive(frame: pd.DataFrame, policy: Policy, outlet: TableOutlet) -> pd.DataFrame:
    """Put sensitive words into their declared order; a missing one is the word it leaves as."""
    found = {}
    for column in outlet.sensitive:
        labels = public_labels(policy.treated[column].treatment, policy.column_type(column))
        values = frame[column]
        if labels is None and values.dtype not in ("object", "str"):
            continue
        known = values.astype(object).where(values.notna(), MISSING)
        others = sorted({*known.unique()} - {*(labels or ())}, key=str)
        found[column] = known.astype(pd.CategoricalDtype([*(labels or ()), *others], ordered=True))
    return frame.assign(**found)


def generalize_table(
    frame: pd.DataFrame, policy: Policy, outlet: TableOutlet, pins: Sequence[str] = ()
) -> Recoded:
    """Recode the outlet's linkable columns until each combination has k people or is left out.

    Each also meets what the outlet asks of its sensitive columns. `pins` are columns beside the
    outlet's that stand for what its recipient has.

    Raises `Refusal` when that would leave out more people than the policy allows.
    """
    merged = merge_rare(frame, find_common(frame, outlet))
    hierarchies, asked = ask_recoding(merged, policy, outlet)
    hierarchies |= {column: list_pins(column, merged[column]) for column in pins}
    return k_anonymize(
        merged,
        list(hierarchies),
        asked.k,
        hierarchies=hierarchies,
        sensitive=asked.sensitive,
        max_suppressed=asked.max_suppressed,
        weights=asked.weights,
        output=asked.output,
    )


def ask_recoding(
    merged: pd.DataFrame, policy: Policy, outlet: TableOutlet
) -> tuple[dict[str, Hierarchy], Asked]:
    """Give the hierarchies of the linkable columns of merged rows, and what classes must meet."""
    hierarchies = {
        column: declare_hierarchy(policy, outlet, column) or pin_values(column, merged[column])
        for column in outlet.linkable
    }
    weights = {
        column: how.weight
        for column in outlet.linkable
        if isinstance(how := outlet.columns[column], Coarse)
    }
    asked = Asked(outlet.k, outlet.max_suppressed, outlet.sensitive, weights, outlet.output)
    return hierarchies, asked


def fit_table(
    frame: pd.DataFrame, policy: Policy, outlet: TableOutlet, pins: Sequence[str] = ()
) -> TablePlan:
    """Fit the plan by which these people, and those of later runs, are recoded.

    Raises `Refusal` where it would leave out too many, whatever the recipient has, or beside that.
    """
    try:
        recoding = generalize_table(frame, policy, outlet, pins).plan
    except Unreachable as error:
        if not pins:
            raise
        generalize_table(frame, policy, outlet)
        raise Refusal(
            "crossings",
            f"up to {100 * error.left:.1f} % of the people would share their classes in this table "
            f"and in what {outlet.recipient} has with fewer than {outlet.k} people (at most "
            f"{100 * outlet.max_suppressed:.1f} % may be left out); allow more to be left out, "
            "release fewer columns, or hand the table to a recipient who has no other",
        ) from None
    return TablePlan(recoding, find_common(frame, outlet))


def name_groups(policy: Policy, outlet: TableOutlet, there: Collection[str]) -> list[str]:
    """Name the columns whose declared groups are compared: audited, or in the table itself."""
    return [
        column
        for column in dict.fromkeys([*policy.used_as(Use.AUDIT), *outlet.columns])
        if column in there
        and public_labels(policy.treated[column].treatment, policy.column_type(column)) is not None
    ]


def count_classes(frame: pd.DataFrame, columns: list[str], k: int) -> list[tuple[str, int, Count]]:
    """Give, for ever larger sizes, how many classes have it and how many people they hold."""
    sizes = frame.groupby(columns, dropna=False, observed=True).size()
    # At least two sizes wide, lest the number of classes tell exactly how many people they hold.
    step = max(2, math.ceil(k / 5))
    edges = sorted({k, *range(k, 2 * k - step + 1, step), *(k * 2**n for n in range(1, 6))})
    rows = []
    for low, high in zip(edges, [*edges[1:], None], strict=True):
        within = sizes[(sizes >= low) & ((sizes < high) if high else True)]
        label = f"{low}-{high - 1}" if high else f"{low}+"
        rows.append((label, len(within), Count(int(within.sum()))))
    return rows


@step("Make the table k-anonymous", gives=Generalized)
def generalize(desk: Desk, validated: Opened[Validated], outlet: str) -> pa.Table:
    """Recode one outlet's columns to k-anonymity, and note what was lost and who was left out."""
    policy, table = desk.policy, desk.policy.table_outlets[outlet]
    joint = join([*policy.joined_with(outlet).values()])
    outgoing, there = open_outgoing(desk, outlet), validated.ref.schema
    groups, own = name_groups(policy, table, there), [RECORD, TEST, *table.columns]
    known = outgoing.columns()
    read = dict.fromkeys([*own, *joint.columns, *groups, *(c for c in known if c in there)])
    frame = order_sensitive(validated.frame(list(read)), policy, joint)
    earlier = outgoing.cross(number_released(frame[RECORD].to_numpy(), desk.key(RELEASED_PEOPLE)))
    pins = outgoing.choose_pins(earlier)
    joint = ask_beside(joint, [one for one in earlier if one.name in pins])
    for names in (pins, *map(releases_pinned, known)):
        frame = pin_classes(frame, earlier, names)
    with carrying(RefusedTable(frame, outlet)):
        frozen = outgoing.freeze(
            Count(len(frame)), frame.columns,
            lambda: fit_table(frame, policy, joint, [name_pin(pins)] if pins else []),
        )  # fmt: skip
        plan = TablePlan.from_bytes(frozen.content)
        secret = desk.key(f"held back:{policy.name}:{outlet}")
        choice = choose_rows(frame, table, plan, outgoing.remember(frozen, earlier), secret)
        refuse_too_few(outgoing, frozen, choice, len(frame))
        check_left_out(outgoing, frozen, choice, len(frame))
        released = choice.frame[own]
        numbers = number_released(released[RECORD].to_numpy(), desk.key(RELEASED_PEOPLE))
        held = HeldPeople.from_table(released, numbers, table, outgoing.recipients)
        outgoing.hold(held, choice.apart)
        note_measures(desk, outlet, plan.measure(frame, released, table.linkable), len(frame))
        note_people(desk, outlet, frame, released)
        hierarchies = plan.hierarchies(frame, table.linkable)
        lost = measure_losses(frame, released, hierarchies, plan.recoding.members)
        losses = {column: compare_groups(frame, column, lost) for column in groups}
        note_group_losses(desk, outlet, losses, frozen=frozen.run_id != desk.run.id)
    return pa.Table.from_pandas(released, preserve_index=False)


def note_measures(desk: Desk, outlet: str, measures: Measures, people: int) -> None:
    """Note what the recoding cost."""

    def bound(share: float) -> float:
        # Of pinned columns, the loss is the share of people left out: as exact as their count.
        return bound_share(share, people, desk.run.disclosure.threshold)

    desk.measure(f"privacy.{outlet}.suppressed_share", bound(measures.suppressed))
    desk.measure(f"utility.{outlet}.ncp", bound(measures.ncp))
    if measures.classes > 1:
        # Of one class it would be the number of people.
        alike = float(f"{measures.discernibility:.1e}")
        desk.measure(f"utility.{outlet}.discernibility", alike)
    for column, loss in measures.loss.items():
        desk.measure(f"utility.{outlet}.loss.{column}", bound(loss))


def note_group_losses(
    desk: Desk, outlet: str, losses: Mapping[str, list[GroupLoss]], *, frozen: bool
) -> None:
    """Note how much each declared group loses; `Refusal` where the policy bounds the ratio.

    A group under the disclosure threshold is not shown. `frozen` says that the plan is an earlier
    run's.
    """
    disclosure, checks = desk.run.disclosure, []
    for column, groups in losses.items():
        shown = show_groups(groups, disclosure.threshold)
        desk.note("table", f"utility.{outlet}.loss_by.{column}", [
            {
                "group": group.group,
                "people": str(disclosure.publish(group.people)),
                "loss": tell_loss(group, disclosure.threshold),
            }
            for group in shown
        ])  # fmt: skip
        allowed = desk.policy.table_outlets[outlet].loss_ratio.get(column)
        if allowed is not None:
            checks.append(judge_ratio(shown, column, allowed, outlet, frozen=frozen))
            desk.check(checks[-1])
    refuse_failed(checks)


def note_people(desk: Desk, outlet: str, before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Note how many people the table holds, how many it leaves out, and its class sizes."""
    out = before.loc[before.index.difference(after.index)]
    desk.count(f"people.{outlet}.released", Count(len(after)))
    desk.count(f"people.{outlet}.suppressed", Count(len(out)))
    declared = desk.policy.table_outlets[outlet]
    classes = count_classes(after, list(declared.linkable), declared.k)
    told = [(size, n, desk.run.disclosure.publish(people)) for size, n, people in classes]
    desk.note("table", f"privacy.{outlet}.classes", [
        {"size": size, "classes": number, "people": str(people)}
        for size, number, people in told
        if people.about is not None
    ])  # fmt: skip
