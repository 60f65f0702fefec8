"""The population: derived columns, eligibility, the smallest cohort, and the split for testing.

All but the smallest cohort is record-wise: whether a person is in, and on which side of the split,
depends on their own row, the policy and the home's key. The smallest cohort is a gate: it decides
about the run, not about a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import Published
from expectations.errors import Refusal
from expectations.expressions import parse
from expectations.policy import Policy
from ledgers.stages import Collected, Selected
from tasks.ingestion import DRAW, RECORD, count_people
from tasks.run import Desk
from tasks.step import Opened, step

TEST: Final = "_test"


def evaluate(
    table: pa.Table, texts: Mapping[str, str], policy: Policy, today: date
) -> dict[str, pa.ChunkedArray]:
    """Compute record-wise expressions over the named columns, one array each."""
    import narwhals as nw
    import pandas as pd

    types = {name: column.type for name, column in policy.columns.items()}
    parsed = {name: parse(text, types) for name, text in texts.items()}
    needed = sorted({column for expression in parsed.values() for column in expression.columns})
    frame = nw.from_native(
        table.select(needed or [RECORD]).to_pandas(types_mapper=pd.ArrowDtype), eager_only=True
    )
    made = frame.select(
        **{name: expression.to_narwhals(today) for name, expression in parsed.items()}
    ).to_arrow()
    return {name: made.column(name) for name in parsed}


def derive_columns(table: pa.Table, policy: Policy, today: date) -> pa.Table:
    """Add the policy's derived columns."""
    texts = {name: column.expression for name, column in policy.derived.items()}
    for name, values in evaluate(table, texts, policy, today).items() if texts else ():
        table = table.append_column(name, values)
    return table


def keep_eligible(table: pa.Table, policy: Policy, today: date) -> tuple[pa.Table, pa.Table]:
    """Split the people into those the policy is about and the rest; unknown means not eligible."""
    if policy.population.eligible == "true":
        return table, table.slice(0, 0)
    found = evaluate(table, {"eligible": policy.population.eligible}, policy, today)["eligible"]
    eligible = pc.fill_null(found, fill_value=False)
    return table.filter(eligible), table.filter(pc.invert(eligible))


def mark_test(table: pa.Table, share: float) -> pa.Table:
    """Mark a share of the people for testing by their keyed draw; a newcomer moves nobody."""
    limit = np.uint64(min(int(share * 2**64), 2**64 - 1))
    drawn = table.column(DRAW).to_numpy() < limit
    return table.append_column(TEST, pa.array(drawn)).drop_columns([DRAW])


def refuse_small(selected: pa.Table, shown: Published, rest: Published, policy: Policy) -> None:
    """Refuse a cohort below the policy's smallest."""
    if selected.num_rows < policy.population.smallest:
        about = "" if shown.about is None else "about "
        raise Refusal(
            "smallest cohort",
            f"{about}{shown} people are left at the selection, where the policy asks for "
            f"{policy.population.smallest:,}; not eligible: {rest}; widen "
            "population.eligible, ask more people, or lower population.smallest with a reason",
        )


@step("Select the population", gives=Selected)
def select_population(desk: Desk, collected: Opened[Collected]) -> pa.Table:
    """Derive columns, keep the eligible, refuse a small cohort, and split off the test people."""
    policy, today = desk.policy, desk.run.now.date()
    eligible, rest = keep_eligible(collected.table(), policy, today)
    selected = mark_test(derive_columns(eligible, policy, today), policy.population.test_share)
    left_out = desk.count("people.excluded.not eligible", count_people(rest))
    shown = desk.count("people.selected", count_people(selected))
    if policy.training is not None:
        test = selected.column(TEST)
        desk.count("people.train", count_people(selected.filter(pc.invert(test))))
        desk.count("people.test", count_people(selected.filter(test)))
    refuse_small(selected, shown, left_out, policy)
    return selected
