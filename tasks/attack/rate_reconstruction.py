"""From the shares that runs published of the same test people back to how many have the outcome.

A run is repeated, a private model draws fresh noise, and the test people stay: so each run tells
other shares of the same two numbers, those who have the outcome and those who do not. The attacker
tries every two numbers that fit the published number of people, and keeps those for which some
people who are called positive give the shares of every run. They know how shares are made:

- once, of exact counts, rounded to two digits;
- now, of four counts that are published in tens, of which the attacker here is given all four.

Runs are taken together while the published number of people stays the same. Weights are not known
to this attacker, nor what other groups add up to, nor what a model says of a single person.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from expectations.disclosure import TEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

Bounds: TypeAlias = tuple[float, float]
"""What a number or a share lies between, both ends included."""
MOST: Final = 2_000
"""People of whom every two numbers are tried; of more, a share to two digits leaves many."""
LEFTOVER: Final = 1e-9
"""What is believed of the impossible, so that a person who left does not leave nothing at all."""
HALF: Final = 0.005
"""By how much a share of two digits may be off."""
SHARES: Final = (
    "base_rate", "accuracy", "selection_rate", "true_positive_rate", "false_positive_rate",
)  # fmt: skip
"""The shares of test people that are told by their outcome."""
NOTHING: Final[Bounds] = (0.0, float("inf"))


@dataclass(frozen=True, slots=True)
class PublishedRates:
    """What one run told of some test people, and under seal how many are of each class.

    `told` holds bounds by name: of counts (`positives`, `negatives`, `found`, `alarms`) and of
    shares (`base_rate`, `accuracy`, `selection_rate`, `true_positive_rate`, `false_positive_rate`).
    """

    people: int
    told: Mapping[str, Bounds]
    exact: tuple[int, int] | None = field(default=None, repr=False)


def round_exactly(share: float) -> Bounds:
    """Bound a share that was made of exact counts and told in two digits."""
    return share - HALF, share + HALF


def round_in_tens(about: int | None, threshold: int) -> Bounds:
    """Bound a count that was published in tens, or hidden."""
    if about is None:
        return 0, threshold - 1
    return max(threshold, about - TEN + 1), about + TEN - 1


def guess_classes(runs: Sequence[PublishedRates]) -> Iterator[tuple[int, int] | None]:
    """Guess for each run how many people are of either class; None of more than are tried."""
    for people, alike in groupby(runs, key=lambda run: run.people):
        stretch = list(alike)
        found = find_likeliest(stretch) if people <= MOST else None
        yield from [found] * len(stretch)


def find_likeliest(runs: Sequence[PublishedRates]) -> tuple[int, int]:
    """Give the two numbers that fit best what runs told of the same people."""
    low, high = round_in_tens(runs[0].people, TEN)
    totals = np.arange(int(low), int(high) + 1)
    positives = np.concatenate([np.arange(1, total) for total in totals])
    negatives = np.repeat(totals, totals - 1) - positives
    # As likely as counts that were published so, once: the same number has the same figure again.
    likely = np.log(TEN - np.abs(positives + negatives - runs[0].people))
    for name, numbers in (("positives", positives), ("negatives", negatives)):
        low, high = runs[0].told.get(name, NOTHING)
        if high < NOTHING[1]:
            likely += np.log(np.maximum(TEN - np.abs(numbers - (low + high) / 2), LEFTOVER))
    for run in runs:
        likely += np.log(count_calls(run, positives, negatives) + LEFTOVER)
    best = np.flatnonzero(likely >= likely.max() - 1e-9)
    place = best[len(best) // 2]
    return int(positives[place]), int(negatives[place])


def count_calls(run: PublishedRates, positives: Numbers, negatives: Numbers) -> NDArray[np.float64]:
    """Give for each two numbers the part of all calls of these people that has the told shares."""
    told, total = run.told, positives + negatives
    fits = _within(positives, told.get("positives")) & _within(negatives, told.get("negatives"))
    fits &= _within(positives / total, told.get("base_rate"))
    if not {"found", "true_positive_rate"} & told.keys():
        return fits.astype(np.float64)
    found = _bound_calls(positives, told.get("found"), told.get("true_positive_rate"))
    alarms = _bound_calls(negatives, told.get("alarms"), told.get("false_positive_rate"))
    if "found" in told:
        # Published counts leave as many calls of any two numbers, and say nothing of both together.
        left = (np.maximum(high - low + 1, 0) for low, high in (found, alarms))
        return np.asarray(fits * math.prod(left))
    selected = _count(total, told.get("selection_rate"))
    right = _count(total, told.get("accuracy"))
    ways = np.zeros(len(positives))
    for step in range(int(max((found[1] - found[0])[fits].max(initial=-1) + 1, 0))):
        hits = found[0] + step
        low = np.maximum.reduce([alarms[0], selected[0] - hits, hits + negatives - right[1]])
        high = np.minimum.reduce([alarms[1], selected[1] - hits, hits + negatives - right[0]])
        ways += np.where(fits & (hits <= found[1]), np.maximum(high - low + 1, 0), 0)
    # As many calls would have other shares.
    return np.asarray(ways / ((positives + 1.0) * (negatives + 1.0)))


def _within(values: NDArray[np.float64] | Numbers, bounds: Bounds | None) -> NDArray[np.bool_]:
    low, high = bounds or NOTHING
    return np.asarray((values >= low - 1e-9) & (values <= high + 1e-9))


def _count(whole: Numbers, share: Bounds | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the fewest and the most people whose share of a whole lies within bounds."""
    low, high = share or (0.0, 1.0)
    return np.ceil(low * whole - 1e-9), np.floor(high * whole + 1e-9)


def _bound_calls(
    whole: Numbers, count: Bounds | None, share: Bounds | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the fewest and the most people of a class who may be called positive."""
    low, high = _count(whole, share)
    fewest, most = count or NOTHING
    return np.maximum(low, fewest), np.minimum(high, most)
