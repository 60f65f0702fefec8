"""What the figures of a model's quality give away over a policy's runs: an attack, and a leaver.

    python benchmarks/published_rates.py [--runs N] [--draws N] [--json]

Made-up test people, the same in every run, and a model with fresh noise in each, so that it calls
others positive. Their rates are told by the rule that stood before (shares of exact counts, in two
digits) and by the rule that stands (shares of published counts), by this also at the six thresholds
of the pictures (`tasks.training.thresholds`). Two attackers:

- one guesses how many have the outcome from all runs (`tasks.attack.rate_reconstruction`);
- one is told the rates of as many runs again, after a person left who may have had the outcome or
  not, and says which; half of the time a guess is right.

Each group is drawn `--draws` times with another home's key. `exactly` is how often the guess of the
people with the outcome is right, `by one figure` how often it is from a single run of the rule that
stands: what rounding to tens leaves by itself.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from expectations.disclosure import Count, Disclosure
from tasks.attack.rate_reconstruction import (
    PublishedRates,
    find_likeliest,
    round_exactly,
    round_in_tens,
)

Sides: TypeAlias = tuple[int, int]
Rule: TypeAlias = Callable[[Sides, Sides, Disclosure], PublishedRates]
GROUPS: Final[tuple[tuple[Sides, float, float], ...]] = (
    ((29, 200), 0.4, 0.05),
    ((39, 300), 0.4, 0.05),
    ((55, 181), 0.4, 0.05),
    ((77, 305), 0.9, 0.2),
    ((64, 66), 0.98, 0.02),
    ((153, 648), 0.3, 0.03),
)
"""People with the outcome and without it, and the shares of each that are called positive.

Of each draw up to nine more of both, so that every last digit occurs as often. Groups of the first
two kinds are not told of any more.
"""


def tell_exactly(people: Sides, called: Sides, home: Disclosure) -> PublishedRates:
    """Tell rates of exact counts in two digits, and the published number of people."""
    shares = {
        "true_positive_rate": called[0] / people[0],
        "false_positive_rate": called[1] / people[1],
        "selection_rate": sum(called) / sum(people),
    }
    told = {name: round_exactly(round(share, 2)) for name, share in shares.items()}
    return PublishedRates(home.publish(Count(sum(people))).about or 0, told)


def tell_published(people: Sides, called: Sides, home: Disclosure) -> PublishedRates:
    """Tell the four published counts of which all rates are made."""
    names = ("positives", "negatives", "found", "alarms")
    told = {
        name: round_in_tens(home.publish(Count(count)).about, home.threshold)
        for name, count in zip(names, (*people, *called), strict=True)
    }
    return PublishedRates(home.publish(Count(sum(people))).about or 0, told)


RULES: Final[dict[str, tuple[Rule, int]]] = {
    "before": (tell_exactly, 1), "now": (tell_published, 1), "with pictures": (tell_published, 6),
}  # fmt: skip
"""By name: how rates are told, and at how many thresholds."""


def tell_runs(
    people: Sides, shares: tuple[float, float], runs: int, seed: int, told: tuple[Rule, int]
) -> list[PublishedRates]:
    """Tell what each of some runs says of the same people, at one threshold or at more.

    Above each further threshold are seven of ten of those above the one before.
    """
    rule, thresholds = told
    draw, home = np.random.default_rng(seed), Disclosure(b"home %d" % seed)
    spread = [min(share, 1 - share) / 5 for share in shares]
    chances = np.clip(draw.normal(shares, spread, (runs, 2)), 0, 1)
    called = draw.binomial(people, chances)
    found = []
    for _ in range(thresholds):
        found.append([rule(people, (int(hits), int(false)), home) for hits, false in called])
        called = draw.binomial(called, 0.7)
    return [one for run in zip(*found, strict=True) for one in run]


def attack(
    group: tuple[Sides, float, float], runs: int, draws: int, rule: tuple[Rule, int]
) -> tuple[int, int]:
    """Count how often the people with the outcome are found, and how often what a leaver had."""
    sizes, *shares = group
    found = told = 0
    for seed in range(draws):
        had = seed % 2 == 0
        people = sizes[0] + seed % 10, sizes[1] + 7 * seed % 10
        left = (people[0] - had, people[1] - (not had))
        one = find_likeliest(tell_runs(people, (shares[0], shares[1]), runs, seed, rule))
        # The same home, other noise.
        after = tell_runs(left, (shares[0], shares[1]), 2 * runs, seed, rule)
        after = after[len(after) // 2 :]
        other = find_likeliest(after)
        found += one[0] == people[0]
        fewer = (one[0] - other[0], one[1] - other[1])
        guess = fewer[0] > fewer[1] if fewer[0] != fewer[1] else bool(seed // 2 % 2)
        told += guess == had
    return found, told


def main() -> None:
    """Print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description="What rates give away over a policy's runs.")
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    rows = []
    for group in GROUPS:
        for name, rule in RULES.items():
            found, told = attack(group, given.runs, given.draws, rule)
            alone, _ = attack(group, 1, given.draws, RULES["now"])
            rows.append({
                "with the outcome": group[0][0], "without": group[0][1], "rule": name,
                "exactly": found / given.draws, "by one figure": alone / given.draws,
                "leaver": told / given.draws,
            })  # fmt: skip
    if given.json:
        print(json.dumps({"runs": given.runs, "draws": given.draws, "groups": rows}, indent=2))
        return
    print("".join(f"{name:>18}" for name in rows[0]))
    for row in rows:
        print("".join(f"{value!s:>18}" for value in row.values()))


if __name__ == "__main__":
    main()
