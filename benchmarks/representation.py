"""What weighting mends and what it can't, on people of whom everything is known.

    python benchmarks/representation.py [--draws N] [--json]

The people are the adults of the example (NHANES 2017-2018), who are taken as the whole population.
Consent is drawn again and again by each of the example's two mechanisms: one depends on age, origin
and general health, to whose shares the weights are raked; the other on diabetes itself. For
diabetes and for columns of which no weight was told, the table gives the bias of a label's share in
percentage points, among who consents as they are and once they are weighted: its mean over the
draws and its standard deviation. `warned` is how often the product's own check, with that column
held back, says that weighting could not mend it. At the end stands the time that it takes to weight
1,000,000 made-up people.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import numpy as np
import pandas as pd
import pyarrow as pa

from expectations.disclosure import Disclosure
from expectations.policy.policy import Policy
from expectations.policy.population import Margin, Population, Reference, Weighting
from expectations.policy.vocabulary import CheckVerdict
from expectations.policy_file import PACKAGED, read_policy
from tasks.anonymization.deidentify import treat
from tasks.people.ingestion import CATEGORIES, RECORD
from tasks.people.population import derive_columns, keep_eligible
from tasks.representation.compare import Comparison, weigh_people
from tasks.representation.comparison import add_up_labels
from tasks.representation.raking import effective_share, rake
from tasks.sources import open_source
from tasks.sources.conversion import convert
from tasks.sources.examples.consent_history import (
    WHOLE,
    give_probability,
    give_probability_by_outcome,
)
from tasks.sources.examples.nhanes import AGE, GLYCOHEMOGLOBIN, HEALTH, ORIGIN, TOLD

RAKED = ("age", "race", "general_health")
JUDGED = {
    "diabetes": "yes",
    "smoked": "yes",
    "bmi": "40+",
    "systolic": "140-159",
    "heart_attack": "yes",
}
"""Labels whose shares are compared; the weighting is told of none of these columns."""


@dataclass(frozen=True)
class World:
    """A population of which all is known: its treated rows, and each one's chances of consent."""

    rows: pd.DataFrame
    chances: Mapping[str, np.ndarray]

    def shares(self, column: str) -> dict[str, float]:
        """Give the true share of each label, missing values too."""
        sums = add_up_labels(self.rows[column], np.ones(len(self.rows)))
        return {label: people / len(self.rows) for label, people in sums.items()}

    def population(self, held_out: str) -> Population:
        """Declare the population as a policy would: three margins to rake to, one held back."""
        margins = {name: Margin(shares=self.shares(name)) for name in RAKED}
        margins[held_out] = Margin(shares=self.shares(held_out), role="hold-out")
        reference = Reference(source="all adults of the example", margins=margins)
        return Population(smallest=10, reference=reference, weighting=Weighting())

    def draw(self, mechanism: str, rng: np.random.Generator) -> pd.DataFrame:
        """Draw who consents."""
        return self.rows[rng.random(len(self.rows)) < self.chances[mechanism]]


def make_world() -> World:
    """Read the example's adults by the example policy, as a run that everybody agreed to would."""
    policy = read_policy("diabetes").policy
    known = [AGE, ORIGIN, HEALTH, TOLD, GLYCOHEMOGLOBIN]
    raw = open_source(policy.source.location, PACKAGED).read(known)
    eligible = read_adults(policy)
    there = eligible[RECORD].to_numpy()
    age, origin, health, told, measured = (
        raw.column(name).take(pa.array(there)).to_pylist() for name in known
    )
    by_traits = [
        give_probability(float(a), o, h) for a, o, h in zip(age, origin, health, strict=True)
    ]
    by_outcome = [
        give_probability_by_outcome(diabetes=t == "1" or float(m or 0) >= 6.5)
        for t, m in zip(told, measured, strict=True)
    ]
    chances = {
        "by age, origin, health": WHOLE * np.array(by_traits),
        "by diabetes": WHOLE * np.array(by_outcome),
    }
    columns = (*RAKED, *JUDGED)
    treated = {
        name: treat(eligible.column(name), policy.treated[name].treatment, b"") for name in columns
    }
    rows = pa.table({RECORD: eligible.column(RECORD), **treated}).to_pandas()
    return World(rows, chances)


def read_adults(policy: Policy) -> pa.Table:
    """Read the eligible people with the policy's columns, keyed by their place in the survey."""
    read = open_source(policy.source.location, PACKAGED).read(
        list(dict.fromkeys(policy.source_name(name) for name in policy.columns))
    )
    named = {name: read.column(policy.source_name(name)) for name in policy.columns}
    table = convert(pa.table(named), policy.types)
    every = (1 << len(policy.categories)) - 1
    table = table.append_column(RECORD, pa.array(np.arange(table.num_rows, dtype=np.uint64)))
    table = table.append_column(CATEGORIES, pa.array(np.full(table.num_rows, every, np.uint32)))
    today = pd.Timestamp("2026-01-01").date()
    eligible, _ = keep_eligible(table, policy, today)
    return derive_columns(eligible, policy, today)


def judge(world: World, mechanism: str, draws: int) -> list[dict[str, float | str]]:
    """Draw consent, weight, and compare the judged shares with the truth."""
    rng = np.random.default_rng(20260101)
    found: dict[str, list[tuple[float, float, bool]]] = {name: [] for name in JUDGED}
    effective = []
    for _ in range(draws):
        people = world.draw(mechanism, rng)
        weights = weigh_people(people, world.population("diabetes")).weights
        effective.append(effective_share(weights))
        for name, label in JUDGED.items():
            truth = world.shares(name)[label]
            before = (people[name] == label).mean()
            after = np.average(people[name] == label, weights=weights)
            population = world.population(name)
            warned = warns(Comparison.of(people, population), population)
            found[name].append((100 * (before - truth), 100 * (after - truth), warned))
    return [
        {"consent": mechanism, "share of": f"{name} {JUDGED[name]}", **summarize(world, name, rows)}
        | {"effective": round(float(np.mean(effective)), 3)}
        for name, rows in found.items()
    ]


def summarize(
    world: World, name: str, rows: list[tuple[float, float, bool]]
) -> dict[str, float | str]:
    """Give means and standard deviations over the draws."""
    before, after, warned = np.array(rows, dtype=float).T
    return {
        "truth %": round(100 * world.shares(name)[JUDGED[name]], 1),
        "bias before": round(before.mean(), 2),
        "sd before": round(before.std(), 2),
        "bias after": round(after.mean(), 2),
        "sd after": round(after.std(), 2),
        "warned": f"{int(warned.sum())} of {len(rows)}",
    }


def warns(found: Comparison, population: Population) -> bool:
    """Tell whether the product's check of the margin held back warns."""
    assert population.reference is not None
    told = found.tell(population.reference, Disclosure(b"benchmark"))
    weights, held_out = found.judge(population, told)
    assert weights.verdict is CheckVerdict.PASSED
    return held_out.verdict is CheckVerdict.WARNED


def time_raking(people: int = 1_000_000) -> list[dict[str, float | str]]:
    """Time weights of made-up people by three and by six columns of six labels, bounded or not."""
    rng = np.random.default_rng(1)
    labels = list("abcdef")
    codes = rng.choice(6, (6, people), p=[0.3, 0.25, 0.2, 0.1, 0.1, 0.05])
    frame = pd.DataFrame(
        {f"c{n}": pd.Categorical.from_codes(c, labels) for n, c in enumerate(codes)}
    )
    shares = dict(zip(labels, [0.2, 0.2, 0.2, 0.15, 0.15, 0.1], strict=True))
    rows: list[dict[str, float | str]] = []
    for columns, largest in ((3, inf), (3, 5), (6, inf), (6, 5), (6, 3)):
        margins = {f"c{n}": shares for n in range(columns)}
        start = time.perf_counter()
        raked = rake(frame, margins, largest)
        seconds = time.perf_counter() - start
        rows.append(
            {
                "people": people,
                "columns": columns,
                "largest allowed": largest if largest < inf else "any",
                "largest": round(float(raked.weights.max()), 2),
                "effective": round(effective_share(raked.weights), 3),
                "seconds": round(seconds, 2),
            }
        )
    return rows


def main() -> None:
    """Judge both mechanisms and time the raking, and print the figures."""
    parser = argparse.ArgumentParser(description="What weighting mends, and what it cannot.")
    parser.add_argument("--draws", type=int, default=20, help="how often consent is drawn")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    given = parser.parse_args()
    world = make_world()
    bias = [row for name in world.chances for row in judge(world, name, given.draws)]
    seconds = time_raking()
    if given.json:
        print(json.dumps({"bias": bias, "seconds": seconds}, indent=2))
        return
    for rows in (bias, seconds):
        print(pd.DataFrame(rows).to_string(index=False), end="\n\n")


if __name__ == "__main__":
    main()
