"""Making a table outlet's rows k-anonymous: its columns, its hierarchies, the recoding, the loss.

Data-dependent: what becomes of one row depends on the others, so these rows never reach a model
that claims differential privacy.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa

from expectations.disclosure import Count, bound_share
from expectations.outlets import TableOutlet
from expectations.policy import Policy
from expectations.treatments import has_order, public_labels
from ledgers.stages import Generalized, Validated
from tasks.anonymization.hierarchies import Hierarchy, label_of
from tasks.anonymization.recoding import Recoded, k_anonymize
from tasks.ingestion import RECORD
from tasks.population import TEST
from tasks.run import Desk
from tasks.step import Opened, step


def declare_hierarchy(policy: Policy, outlet: TableOutlet, column: str) -> Hierarchy | None:
    """Give a released column's hierarchy: pinned, as the outlet declares it, or by its order.

    None where the policy declares no labels, so that the column is pinned to its own values.
    """
    treatment = policy.treated[column].treatment
    labels = public_labels(treatment, policy.column_type(column))
    how = outlet.columns[column]
    if labels is None:
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


def generalize_table(frame: pd.DataFrame, policy: Policy, outlet: TableOutlet) -> Recoded:
    """Recode the outlet's linkable columns until each combination has k people or is left out.

    Raises `Refusal` when that would leave out more people than the policy allows.
    """
    hierarchies = {
        column: declare_hierarchy(policy, outlet, column) or pin_values(column, frame[column])
        for column in outlet.linkable
    }
    return k_anonymize(
        frame,
        list(outlet.linkable),
        outlet.k,
        hierarchies=hierarchies,
        max_suppressed=outlet.max_suppressed,
    )


def count_classes(frame: pd.DataFrame, columns: list[str], k: int) -> list[tuple[str, int, Count]]:
    """Give, for ever larger sizes, how many classes have it and how many people they hold."""
    sizes = frame.groupby(columns, dropna=False, observed=True)[RECORD].agg(["size", "sum"])
    # At least two sizes wide, lest the number of classes tell exactly how many people they hold.
    step = max(2, math.ceil(k / 5))
    edges = sorted({k, *range(k, 2 * k - step + 1, step), *(k * 2**n for n in range(1, 6))})
    rows = []
    for low, high in zip(edges, [*edges[1:], None], strict=True):
        within = sizes[(sizes["size"] >= low) & ((sizes["size"] < high) if high else True)]
        label = f"{low}-{high - 1}" if high else f"{low}+"
        key = int(within["sum"].to_numpy(np.uint64).sum(dtype=np.uint64))
        rows.append((label, len(within), Count(int(within["size"].sum()), key)))
    return rows


@step("Make the table k-anonymous", gives=Generalized)
def generalize(desk: Desk, validated: Opened[Validated], outlet: str) -> pa.Table:
    """Recode one outlet's columns to k-anonymity, and note what was lost and who was left out."""
    table = desk.policy.table_outlets[outlet]
    frame = validated.frame([RECORD, TEST, *table.columns])
    recoded = generalize_table(frame, desk.policy, table)
    note_measures(desk, outlet, recoded, len(frame))
    note_people(desk, outlet, frame, recoded.frame)
    return pa.Table.from_pandas(recoded.frame, preserve_index=False)


def note_measures(desk: Desk, outlet: str, recoded: Recoded, people: int) -> None:
    """Note what the recoding cost."""
    measures = recoded.measures
    bound = bound_share(measures.suppressed, people, desk.run.disclosure.threshold)
    desk.measure(f"privacy.{outlet}.suppressed_share", bound)
    desk.measure(f"utility.{outlet}.ncp", round(measures.ncp, 3))
    for column, loss in measures.loss.items():
        desk.measure(f"utility.{outlet}.loss.{column}", round(loss, 3))


def note_people(desk: Desk, outlet: str, before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Note how many people the table holds, how many it leaves out, and its class sizes."""
    keys = after[RECORD].to_numpy(np.uint64)
    out = before.loc[before.index.difference(after.index), RECORD].to_numpy(np.uint64)
    desk.count(f"people.{outlet}.released", Count(len(keys), int(keys.sum(dtype=np.uint64))))
    desk.count(f"people.{outlet}.suppressed", Count(len(out), int(out.sum(dtype=np.uint64))))
    declared = desk.policy.table_outlets[outlet]
    classes = count_classes(after, list(declared.linkable), declared.k)
    told = [(size, n, desk.run.disclosure.publish(people)) for size, n, people in classes]
    desk.note("table", f"privacy.{outlet}.classes", [
        {"size": size, "classes": number, "people": str(people)}
        for size, number, people in told
        if people.about is not None
    ])  # fmt: skip
