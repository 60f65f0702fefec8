"""Made-up people for a policy, from its public declarations alone: no data is read.

They are built so that a sound policy can pass: most are eligible, features tell something of the
target, few combinations of what is linkable occur, each often, and declared shares are met. What
is measured on them says whether the policy's parts work together, and nothing about real people.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from expectations.errors import PolicyError, Problem
from expectations.expressions.expressions import parse
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Use
from tasks.own_code.columns import own_columns
from tasks.own_code.loading import NO_CODE, OwnCode
from tasks.rehearsal.crowd import Maker, Rows, evaluate_nodes, join_rows, make_maker, pick_rows
from tasks.rehearsal.identities import columns_apart, fill_apart
from tasks.rehearsal.shares import allowed_rows, leave, wanted_shares, weigh_rows

if TYPE_CHECKING:
    import pandas as pd

POOL: Final = 6
"""Rows drawn for each that is taken."""
LEAST_POOL: Final = 2_000
ROWS_OF_A_KIND: Final = 6
"""How many times the largest k the rows of one linkable combination are, on average."""
KINDS_PER_LABEL: Final = 10
"""How many combinations there are for each label whose share is declared, or none meets it."""
MOST_KINDS: Final = 400
OUTSIDE: Final = 0.05
"""The share of people who are not eligible, where the policy's condition can fail."""


def make_people(policy: Policy, rows: int, seed: int) -> pd.DataFrame:
    """Make up people of a policy: its columns that are read, under its own names.

    Of shape (rows, columns), in Arrow types as expressions take them (number float64, integer
    int64, text large_string, boolean bool, date date32), the same for the same seed and day. About
    95 % satisfy `population.eligible`, none where no eligible row could be made. Identifiers are
    unique, and so is free text; nobody is real. Columns that a policy derives by code of its own
    are not looked at.
    """
    import pandas as pd

    try:
        maker, made = make_rows(policy, rows, seed)
    except PolicyError:
        everybody = policy.population.model_copy(update={"eligible": "true"})
        anybody = policy.model_copy(update={"population": everybody})
        maker, made = make_rows(anybody, rows, seed)
    frame: pd.DataFrame = maker.held(made).to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def make_rows(
    policy: Policy,
    rows: int,
    seed: int,
    besides: int = 0,
    own: Mapping[str, OwnCode] = NO_CODE,
) -> tuple[Maker, Rows]:
    """Make up people as the source would hold them: in text, under its own names.

    The `besides` last are further people, whom the declared shares do not count. Columns by own
    functions meet declared shares too where `own` holds these. Raises `PolicyError` where no
    eligible row could be made.
    """
    draw = np.random.default_rng(seed)
    maker = make_maker(policy, draw, datetime.now(UTC).date(), columns_apart(policy))
    outsiders = make_outsiders(maker, round(OUTSIDE * rows))
    pool = make_pool(maker, max(POOL * rows, LEAST_POOL), count_kinds(policy, rows))
    insiders = take_people(maker, pool, rows - len(next(iter(outsiders.values()))), own)
    made = [pick_rows(join_rows([insiders, outsiders]), draw.permutation(rows))]
    if besides:
        made.append(take_people(maker, pool, besides, own))
    return maker, fill_apart(join_rows(made), policy, draw)


def make_outsiders(maker: Maker, count: int) -> Rows:
    """Draw people who are not eligible, as far as any come up."""
    drawn = maker.rows(4 * count + 1)
    return pick_rows(drawn, np.flatnonzero(~maker.eligible(drawn))[:count])


def count_kinds(policy: Policy, rows: int) -> int:
    """Say how many combinations of the linkable columns there are to be."""
    k = max((outlet.k for outlet in policy.table_outlets.values()), default=2)
    reference = policy.population.reference
    labels = sum(len(m.shares) for m in reference.margins.values()) if reference else 0
    return int(np.clip(rows // (ROWS_OF_A_KIND * k), 4 + KINDS_PER_LABEL * labels, MOST_KINDS))


def make_pool(maker: Maker, count: int, kinds: int) -> Rows:
    """Draw eligible rows that share few combinations of what is linkable."""
    drawn, eligible = maker.mended(maker.rows(4 * kinds))
    if not eligible.any():
        raise no_eligible(maker, 4 * kinds)
    models = pick_rows(drawn, np.flatnonzero(eligible)[:kinds])
    number = len(next(iter(models.values())))
    base = pick_rows(models, maker.draw.integers(0, number, count))
    free = maker.texts.keys() - linkable_sources(maker.policy)
    varied = {**base, **maker.rows(count, sorted(free))} if free else base
    kept = maker.eligible(varied)
    return {name: np.where(kept, varied[name], base[name]) for name in base}


def no_eligible(maker: Maker, tried: int) -> PolicyError:
    """Say that nobody could be made up who is eligible."""
    what = (
        f"none of {tried} made-up rows satisfies it, though what failed was drawn again: perhaps "
        "no row can"
    )
    fix = "check its conditions against each other and against the columns' types and treatments"
    return PolicyError(maker.policy.name, [Problem("population.eligible", what, fix)])


def linkable_sources(policy: Policy) -> set[str]:
    """Name the source's columns of which few combinations are to occur, never the target's."""
    names = {name for outlet in policy.table_outlets.values() for name in outlet.linkable}
    target = {policy.target} if policy.target else set()
    return _read(policy, names - target) - _read(policy, target)


def _read(policy: Policy, names: set[str]) -> set[str]:
    """Give the source's own names of columns, or of those that they are derived from."""
    read = names | policy.read_for(names)[Use.DERIVATION]
    return {policy.source_name(name) for name in read if name in policy.columns}


def take_people(maker: Maker, pool: Rows, count: int, own: Mapping[str, OwnCode]) -> Rows:
    """Take people from a pool so that they meet the declared shares, each kind in its turn."""
    policy, held = maker.policy, maker.held(pool)
    nodes = {
        name: parse(column.expression, policy.types).root
        for name, column in policy.derived.items()
        if column.expression
    }
    columns = {n: held.column(n) for n in held.column_names}
    columns |= evaluate_nodes(held, nodes, maker.today) if nodes else {}
    columns |= call_own(held, policy, own) if own else {}
    fits = pa.array(allowed_rows(leave(columns, policy), policy, held.num_rows))
    columns = {name: values.filter(fits) for name, values in columns.items()}
    left = leave(columns, policy)
    weights = weigh_rows(columns, left, policy, len(next(iter(columns.values()))))
    wanted = [one.codes for one in wanted_shares(left, policy)]
    order = np.lexsort(wanted) if wanted else maker.draw.permutation(len(weights))
    taken = order[take_evenly(weights[order], count, float(maker.draw.random()))]
    return pick_rows(pool, np.flatnonzero(fits.to_numpy(zero_copy_only=False))[taken])


def call_own(
    held: pa.Table, policy: Policy, own: Mapping[str, OwnCode]
) -> dict[str, pa.ChunkedArray]:
    """Compute columns by own functions; what one raises here, the rehearsed run tells."""
    found = {}
    for column in own_columns(policy, own):
        with contextlib.suppress(Exception):
            found[column.name] = column.call(column.frame(held))
    return found


def take_evenly(weights: NDArray[np.float64], count: int, start: float) -> NDArray[np.intp]:
    """Take `count` places by their weights, at equal steps: neighbours are taken in proportion."""
    steps = (np.arange(count) + start) / count
    places = np.searchsorted(np.cumsum(weights), steps * weights.sum(), side="right")
    return np.asarray(np.minimum(places, len(weights) - 1), dtype=np.intp)
