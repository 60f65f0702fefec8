"""Comparing the people selected with the reference population, and weighting them to it.

Both look at everybody: the comparison to tell and to judge, the weights to train and to measure a
model that promises no differential privacy. What is told is under the disclosure rule like all
counts; no ε covers it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from expectations.checks import Check, refuse_failed
from expectations.disclosure import Count, Disclosure, in_steps
from expectations.errors import carrying
from expectations.policy.population import Population, Reference
from expectations.policy.vocabulary import CheckVerdict
from ledgers.vault.stages import Compared, Reached, Validated, Weighted
from tasks.account.published import LabelShares
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.representation.comparison import (
    ColumnShares,
    add_up_labels,
    compare_column,
    count_labels,
    tell_column,
)
from tasks.representation.raking import WEIGHT, Raked, effective_share, rake
from tasks.representation.verdicts import judge_people, judge_weighted, judge_weights

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class UnlikeReference:
    """People who are not those who are meant: how they were judged, and what is told of them."""

    checks: Sequence[Check]
    told: Mapping[str, list[LabelShares]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found of people beside a reference, by column; exact, so not to be told."""

    counts: dict[str, dict[str, Count]]
    shares: dict[str, ColumnShares]
    raked: Raked | None = None
    weighted: dict[str, ColumnShares] | None = None

    @classmethod
    def of(cls, frame: pd.DataFrame, population: Population) -> Self:
        """Compare the people of a frame, and weight them where the policy says so."""
        reference = refer(population)
        counts = {column: count_labels(frame, column) for column in reference.margins}
        exact = {c: {label: n.exact for label, n in found.items()} for c, found in counts.items()}
        shares = compare_all(exact, reference)
        if population.weighting is None:
            return cls(counts, shares)
        raked = weigh_people(frame, population)
        sums = {c: add_up_labels(frame[c], raked.weights) for c in reference.margins}
        return cls(counts, shares, raked, compare_all(sums, reference))

    def tell(self, reference: Reference, disclosure: Disclosure) -> dict[str, list[LabelShares]]:
        """Give what may be told, by column."""
        return {
            column: tell_column(
                shares,
                reference.margins[column],
                self.counts[column],
                disclosure,
                self.weighted[column] if self.weighted else None,
            )
            for column, shares in self.shares.items()
        }

    def judge(
        self, population: Population, told: Mapping[str, list[LabelShares]]
    ) -> Iterator[Check]:
        """Judge the people as they are, or their weights and what these bring about."""
        reference, weighting = refer(population), population.weighting
        if weighting is None or self.raked is None or self.weighted is None:
            yield judge_people(list(self.shares.values()), told, reference)
            return
        met = [self.weighted[column] for column in reference.of_role("rake")]
        yield judge_weights(self.raked, met, told, weighting)
        if not self.raked.missed:
            held_out = [self.weighted[column] for column in reference.of_role("hold-out")]
            effective = effective_share(self.raked.weights)
            yield judge_weighted(held_out, told, reference, effective)


def refer(population: Population) -> Reference:
    """Give the reference that a policy must have where its people are compared."""
    assert population.reference is not None, "people are compared only where a reference is"
    return population.reference


def compare_all(
    sums: Mapping[str, Mapping[str, float]], reference: Reference
) -> dict[str, ColumnShares]:
    """Compare the labels of each column, counted or weighted, with its margin."""
    return {c: compare_column(c, found, reference.margins[c]) for c, found in sums.items()}


def weigh_people(frame: pd.DataFrame, population: Population) -> Raked:
    """Rake people to the margins that the policy gives to its weighting."""
    assert population.weighting is not None, "people are weighted only where the policy says so"
    margins = {c: margin.shares for c, margin in refer(population).of_role("rake").items()}
    return rake(frame, margins, population.weighting.largest)


@step("Compare with the reference population", gives=Compared)
def compare(desk: Desk, validated: Opened[Validated]) -> Opened[Reached]:
    """Compare people's shares with published margins; the data goes on unchanged, or not at all."""
    population = desk.policy.population
    reference = refer(population)
    frame = validated.frame(list(reference.margins))
    found = Comparison.of(frame, population)
    told = found.tell(reference, desk.run.disclosure)
    note_comparison(desk, found, told)
    checks = list(found.judge(population, told))
    for check in checks:
        desk.check(check)
    # Weights that no margin was kept back to judge by are reported, and not refused.
    with carrying(UnlikeReference(checks, told)):
        refuse_failed(check for check in checks if check.verdict is not CheckVerdict.INCONCLUSIVE)
    return validated


def note_comparison(desk: Desk, found: Comparison, told: Mapping[str, list[LabelShares]]) -> None:
    """Note each column's labels and drift, and what weights leave of the sample's size."""
    threshold = desk.run.disclosure.threshold
    for column, rows in told.items():
        role = refer(desk.policy.population).margins[column].role
        desk.note(
            "table", f"representation.{column}", [{"role": role, **asdict(row)} for row in rows]
        )
        shares = found.shares[column]
        drift = in_steps(shares.drift, shares.people, threshold)
        desk.measure(f"representation.drift.{column}", drift)
        if found.weighted is not None:
            drift = in_steps(found.weighted[column].drift, shares.people, threshold)
            desk.measure(f"representation.drift_weighted.{column}", drift)
    if found.raked is not None:
        share = in_steps(effective_share(found.raked.weights), len(found.raked.weights), threshold)
        desk.measure("representation.effective_sample_share", share)


@step("Weight the people", gives=Weighted)
def weigh(desk: Desk, compared: Opened[Compared]) -> pa.Table:
    """Weight each person so that the reference's margins are met; a weight depends on everybody."""
    table = compared.table()
    raked_by = list(refer(desk.policy.population).of_role("rake"))
    raked = weigh_people(table.select(raked_by).to_pandas(), desk.policy.population)
    return table.append_column(WEIGHT, pa.array(raked.weights))
