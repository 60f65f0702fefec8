"""Made-up people for a policy, from its public declarations alone: no data is read.

They are built so that a sound policy can pass: most are eligible, features tell something of the
target, few combinations of what is linkable occur, each often, and declared shares are met. What
is measured on them says whether the policy's parts work together, and nothing about real people.

How many there are of each kind follows from weights: raking (iterative proportional fitting, Deming
and Stephan 1940) to the reference's margins and to the middle of what value rules allow, and a tilt
by which features tell something of the target. Columns that name a person, or are written about
one, stand apart: everybody has values of their own there, which no combination of declared values
gives.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.errors import PolicyError, Problem
from expectations.expressions.expressions import ColumnType, parse
from expectations.policy.policy import (
    Column,
    MissingAtMost,
    Policy,
    Rule,
    ShareBetween,
    ValuesBetween,
    ValuesIn,
)
from expectations.policy.treatments import (
    Categories,
    Drop,
    Level,
    Mask,
    Noise,
    Redact,
    Shift,
    Token,
    public_labels,
)
from expectations.policy.vocabulary import MISSING, Identifiability, Use
from tasks.anonymization.deidentify import treat
from tasks.own_code.columns import own_columns
from tasks.own_code.loading import NO_CODE, OwnCode
from tasks.rehearsal.crowd import (
    Maker,
    Rows,
    Texts,
    evaluate_nodes,
    join_rows,
    make_maker,
    pick_rows,
)
from tasks.rehearsal.values import Draw
from tasks.sources.examples.identities import Identity, make_identities

if TYPE_CHECKING:
    import pandas as pd


TOGETHER: Final = 2
"""How many people share one value of the column by which people are split."""
SENTENCES: Final = (
    "{name} came in on Tuesday and was well.",
    "Spoke with {name}; nothing else to report.",
    "Nothing new since the last time.",
    "{name} asked to be called back.",
)
Weights: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int64]
Columns: TypeAlias = Mapping[str, pa.ChunkedArray]
CYCLES: Final = 60
"""Rounds of raking; each ends with the declaration that is met exactly (`wanted_shares`)."""
STEEP: Final = 1.6
"""By how much the log-odds of the target rise where the features' sum rises by its deviation."""
OFTEN: Final = 0.35
"""The share of the target's last label where nothing else is declared."""
SPARE: Final = 0.15
"""A rule that allows fewer missing values than this is met by none."""
POOL: Final = 6
"""Rows drawn for each that is taken."""
LEAST_POOL: Final = 2_000
"""Rows drawn at least, so that a small rehearsal has rows of rare declared labels too."""
ROWS_OF_A_KIND: Final = 6
"""How many times the largest k the rows of one linkable combination are, on average."""
KINDS_PER_LABEL: Final = 10
"""How many combinations there are for each label whose share is declared, or none meets it."""
MOST_KINDS: Final = 400
OUTSIDE: Final = 0.05
"""The share of people who are not eligible, where the policy's condition can fail."""


def columns_apart(policy: Policy) -> set[str]:
    """Name the source's columns that have a value of their own for each person or household."""
    apart = {policy.source_name(n) for n, c in policy.columns.items() if _is_apart(c)}
    split = policy.population.split_by
    household = {policy.source_name(split)} if split and _can_be_household(policy, split) else set()
    person = {policy.source.person} & {policy.source_name(n) for n in policy.columns}
    return apart | household | person


def _can_be_household(policy: Policy, name: str) -> bool:
    """Whether people are split by a column whose values are not declared."""
    column = policy.columns.get(name)
    return column is not None and not isinstance(column.treatment, Categories | Level)


def _is_apart(column: Column) -> bool:
    """Whether a column names a person, or holds what is written about one."""
    if column.type not in {ColumnType.TEXT, ColumnType.INTEGER, ColumnType.NUMBER}:
        return False
    if isinstance(column.treatment, Categories | Level):
        return False
    named = column.identifiability is Identifiability.IDENTIFIER
    return named or isinstance(column.treatment, Token | Redact | Mask)


def fill_apart(rows: Rows, policy: Policy, draw: Draw) -> Rows:
    """Give every person values of their own in the columns that stand apart."""
    count = len(next(iter(rows.values())))
    people = make_identities(draw, list(draw.random(count) < 0.5))
    made = dict(rows)
    texts = []
    for name, column in policy.columns.items():
        source = policy.source_name(name)
        if source not in columns_apart(policy):
            continue
        if isinstance(column.treatment, Redact):
            texts.append((source, column.treatment))
        elif name == policy.population.split_by and source != policy.source.person:
            made[source] = _as_texts(f"{1000 + n // TOGETHER}" for n in range(count))
        else:
            made[source] = name_people(source, column.type, people)
    for source, treatment in texts:
        known = [made[policy.source_name(one)] for one in treatment.known]
        made[source] = write_texts(people, known)
    return made


def name_people(name: str, held: ColumnType, people: list[Identity]) -> Texts:
    """Give each person a value such as the column's name speaks of; numbers where it says none."""
    low = name.lower()
    if held is not ColumnType.TEXT:
        return _as_texts(f"{100_001 + n}" for n in range(len(people)))
    if "mail" in low:
        return _as_texts(f"made.up.{n}@example.org" for n in range(len(people)))
    if any(word in low for word in ("phone", "mobile", "tel")):
        return _as_texts(
            f"({200 + n // 100 % 800}) 555-{100 + n % 100:04d}" for n in range(len(people))
        )
    if "name" in low:
        return _as_texts(person.full_name for person in people)
    if "address" in low or "street" in low:
        return _as_texts(person.address for person in people)
    return _as_texts(f"M-{100_001 + n}" for n in range(len(people)))


def write_texts(people: list[Identity], known: list[Texts]) -> Texts:
    """Write a sentence about each person that names them, and all that is known to name them."""
    return _as_texts(
        " ".join(
            [
                SENTENCES[n % len(SENTENCES)].format(name=person.full_name),
                *(f"See also {texts[n]}." for texts in known if texts[n] is not None),
            ]
        )
        for n, person in enumerate(people)
    )


def _as_texts(values: Iterator[str]) -> Texts:
    return np.array(list(values), dtype=object)


@dataclass(frozen=True)
class Wanted:
    """The share that each code of the rows should have; rows of code -1 are left as they are."""

    codes: Codes
    shares: Weights


def leave(columns: Columns, policy: Policy) -> dict[str, pa.ChunkedArray]:
    """Treat what has declared values: columns as they leave, by name; keyed ones and text not."""
    left = {}
    for name, values in columns.items():
        treatment = policy.treated[name].treatment
        if not isinstance(treatment, Drop | Mask | Noise | Redact | Shift | Token):
            left[name] = _plain(treat(values, treatment, b""))
    return left


def _plain(treated: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    """Give labels as text, whatever they are held in."""
    labelled = pa.types.is_dictionary(treated.type)
    plain = treated.cast(pa.string()) if labelled else treated
    return plain if isinstance(plain, pa.ChunkedArray) else pa.chunked_array([plain])


def allowed_rows(left: Columns, policy: Policy, count: int) -> NDArray[np.bool_]:
    """Tell which rows break no value rule; all where every row breaks one."""
    fits = np.ones(count, dtype=bool)
    for rule in policy.expectations:
        if rule.column in left:
            kept = fits & _fits(rule, left[rule.column], _counts_missing(policy, rule.column))
            # A rule that nobody could keep is left to the run to refuse.
            fits = kept if kept.any() else fits
    return fits


def _counts_missing(policy: Policy, column: str) -> bool:
    """Whether a published share speaks of missing values, which then must be there."""
    reference = policy.population.reference
    margin = reference.margins.get(column) if reference else None
    return margin is not None and margin.shares.get(MISSING, 0) > 0


def _fits(rule: Rule, values: pa.ChunkedArray, counts_missing: bool) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = pc.is_valid(values).to_numpy()
    match rule:
        case MissingAtMost(share=share) if share < SPARE and not counts_missing:
            return known
        case ValuesBetween(low=low, high=high) if not pa.types.is_large_string(values.type):
            if not pa.types.is_string(values.type):
                inside = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))
                return _true(inside) | ~known
        case ValuesIn(values=words):
            return _true(pc.is_in(values.cast(pa.string()), pa.array(words))) | ~known
        case ValuesBetween() | MissingAtMost() | ShareBetween():
            pass
        case _:
            assert_never(rule)
    return np.ones(len(values), dtype=bool)


def _true(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    marks: NDArray[np.bool_] = pc.fill_null(values, fill_value=False).to_numpy().astype(bool)
    return marks


def weigh_rows(columns: Columns, left: Columns, policy: Policy, count: int) -> Weights:
    """Give rows the weights by which they meet what is declared, as near as they can."""
    weights = tilt(columns, left, policy, count)
    wanted = list(wanted_shares(left, policy))
    for _ in range(CYCLES):
        for one in wanted:
            weights *= _factors(one, weights)
    return np.asarray(weights / weights.sum())


def _factors(wanted: Wanted, weights: Weights) -> Weights:
    """Give what each weight is to be multiplied by, to meet one declaration."""
    known = wanted.codes >= 0
    held = np.bincount(wanted.codes[known], weights[known], len(wanted.shares))
    there = held > 0
    shares = np.where(there, wanted.shares, 0.0)
    scale = np.divide(shares, held, out=np.ones_like(held), where=there)
    factors = np.ones_like(weights)
    if shares.sum() > 0:
        factors[known] = scale[wanted.codes[known]] * held.sum() / shares.sum()
    return factors


def wanted_shares(left: Columns, policy: Policy) -> Iterator[Wanted]:
    """Say which shares are declared; those that weights of the run cannot mend stand last.

    What stands last is met exactly.
    """
    reference, strata = policy.population.reference, policy.population.strata
    margins = dict(reference.margins) if reference else {}
    told = set(margins)
    target = policy.target
    if target in left and target not in told and not _has_share(policy, str(target)):
        codes, labels = code_labels(left[str(target)], _labels(policy, str(target)))
        if len(labels) == 2:
            yield Wanted(codes, np.array([1 - OFTEN, OFTEN]))
    for name in strata.by if strata else ():
        if name in left and name not in told:
            codes, labels = code_labels(left[name], _labels(policy, name))
            yield Wanted(codes, np.full(len(labels), 1 / max(len(labels), 1)))
    for rule in policy.expectations:
        if isinstance(rule, ShareBetween) and rule.column in left and rule.column not in told:
            yield _of_rule(rule, left[rule.column])
    for role in ("rake", "hold-out"):
        for name, margin in margins.items():
            if margin.role == role and name in left:
                words = pc.fill_null(left[name].cast(pa.string()), MISSING)
                codes, _ = code_labels(words, tuple(margin.shares))
                yield Wanted(codes, np.array([*margin.shares.values()]))


def _has_share(policy: Policy, column: str) -> bool:
    return any(isinstance(r, ShareBetween) and r.column == column for r in policy.expectations)


def _of_rule(rule: ShareBetween, values: pa.ChunkedArray) -> Wanted:
    """Aim at the middle of what a rule allows."""
    middle = (rule.low + rule.high) / 2
    is_it = _true(pc.equal(values.cast(pa.string()), rule.value))
    return Wanted(is_it.astype(np.int64), np.array([1 - middle, middle]))


def _labels(policy: Policy, name: str) -> tuple[str, ...]:
    treatment = policy.treated[name].treatment
    return public_labels(treatment, policy.column_type(name)) or ()


def code_labels(values: pa.ChunkedArray, labels: tuple[str, ...]) -> tuple[Codes, tuple[str, ...]]:
    """Number values by their labels, in the order declared, else sorted; -1 for no label."""
    texts = values.cast(pa.string())
    labels = labels or tuple(sorted(pc.unique(texts.drop_null()).to_pylist()))
    places = pc.fill_null(pc.index_in(texts, pa.array(labels, pa.string())), -1)
    return places.to_numpy().astype(np.int64), labels


def tilt(columns: Columns, left: Columns, policy: Policy, count: int) -> Weights:
    """Give weights by which the target's later labels go with a rising sum of the features."""
    target = policy.target
    features = [name for name in policy.used_as(Use.FEATURE) if name in columns]
    if target not in left or not features:
        return np.ones(count)
    ranks = [_rank(left.get(name, columns[name])) for name in features]
    total = sum((sign * rank for sign, rank in zip(_signs(), ranks, strict=False)), np.zeros(count))
    score = (total - total.mean()) / max(float(total.std()), 1e-9)
    codes, labels = code_labels(left[str(target)], _labels(policy, str(target)))
    level = np.clip(codes, 0, None) / max(len(labels) - 1, 1)
    chance = 1 / (1 + np.exp(-STEEP * score))
    return np.asarray(level * chance + (1 - level) * (1 - chance))


def _signs() -> Iterator[float]:
    """Give the features' directions: the first tell most."""
    number = 0
    while True:
        yield (-1) ** number / (1 + number / 3)
        number += 1


def _rank(values: pa.ChunkedArray) -> Weights:
    """Put values into their order, from 0 to 1; a missing one is in the middle."""
    known = values.combine_chunks().dictionary_encode()
    order = pc.array_sort_indices(pc.array_sort_indices(known.dictionary)).to_numpy()
    codes = pc.fill_null(known.indices, -1).to_numpy()
    ranks = np.asarray(order / max(len(order) - 1, 1), dtype=np.float64)
    return np.where(codes < 0, 0.5, ranks[codes]) if len(ranks) else np.full(len(codes), 0.5)


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
        # After the others, whose shares they must not move.
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
    # What is not linkable may differ from row to row: few combinations stay few.
    free = maker.texts.keys() - linkable_sources(maker.policy)
    varied = {**base, **maker.rows(count, sorted(free))} if free else base
    # A new value may fail the condition that its model met: such rows stay as their model is.
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
    # Sorted by kind, so that equal steps take each kind in proportion.
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
