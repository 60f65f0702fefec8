"""How many people there are of each kind: weights by which made-up rows meet declared shares.

Raking (iterative proportional fitting, Deming and Stephan 1940) to the reference's margins and to
the middle of what value rules allow; and a tilt by which features tell something of the target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.policy.policy import (
    MissingAtMost,
    Policy,
    Rule,
    ShareBetween,
    ValuesBetween,
    ValuesIn,
)
from expectations.policy.treatments import Drop, Mask, Noise, Redact, Shift, Token, public_labels
from expectations.policy.vocabulary import MISSING, Use
from tasks.anonymization.deidentify import treat

Weights: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int64]
Columns: TypeAlias = Mapping[str, pa.ChunkedArray]
CYCLES: Final = 60
STEEP: Final = 1.6
"""By how much the log-odds of the target rise where the features' sum rises by its deviation."""
OFTEN: Final = 0.35
"""The share of the target's last label where nothing else is declared."""
SPARE: Final = 0.15
"""A rule that allows fewer missing values than this is met by none."""


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
