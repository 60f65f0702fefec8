"""From the published counts of several runs back to the exact ones, and to what a person changed.

The attacker has what MLflow shows of a policy's runs: counts that were moved by an offset which
depends on who is counted, or hidden below a threshold (`expectations.disclosure`). They know that
rule, not its key, and two things more:

- between two runs few people come and go; where a figure is the same the people are, too;
- some counts are the sum of others.

Beliefs about every exact count are carried along the runs (forward and backward, Rabiner 1989),
then through the sums; the likeliest number is the guess. A second attacker also knows by how many
each count changed, as one does who knows who came and left. Exact counts are used for scoring, and
by that second attacker for the changes alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.disclosure import SPREAD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = NDArray[np.float64]

LEFTOVER: Final = 1e-6
"""What is believed of the unlikely, so that a wrong belief never leaves nothing at all."""


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A count as it was published, None where hidden; and what it was, where that is on record."""

    about: int | None
    exact: int | None = field(default=None, repr=False)
    threshold: int = 10


History = Sequence[Mapping[str, PublishedFigure]]
"""The figures of each run by name, the oldest run first."""
Sums = Mapping[str, Sequence[Sequence[str]]]
"""Names of totals, each with the lists of names that add up to it."""


@dataclass(frozen=True, slots=True)
class Belief:
    """How likely each number from `start` on is the exact one; sums to 1."""

    start: int
    weights: Weights

    @property
    def guess(self) -> int:
        """The likeliest number, the middle one of equals."""
        best = np.flatnonzero(self.weights >= self.weights.max() * (1 - 1e-9))
        return self.start + int(best[len(best) // 2])

    @property
    def chance(self) -> float:
        """How often the guess is right if the belief is."""
        return float(self.weights.max())

    def times(self, start: int, weights: Weights) -> Belief:
        """Combine with another belief about the same number, over its own range."""
        other, place = np.zeros(len(self.weights)), np.arange(len(self.weights)) + self.start
        there = (place >= start) & (place < start + len(weights))
        other[there] = weights[place[there] - start]
        return Belief(self.start, _normalized(self.weights * (other + LEFTOVER)))


def believe(figure: PublishedFigure) -> Belief:
    """Say what one figure tells by itself, every exact count being as likely beforehand."""
    if figure.about is None:
        return Belief(0, _normalized(np.ones(figure.threshold)))
    start = max(figure.threshold, figure.about - SPREAD)
    exact = np.arange(start, figure.about + SPREAD + 1)[:, None]
    shown = np.maximum(figure.threshold, exact + np.arange(-SPREAD, SPREAD + 1))
    return Belief(start, _normalized((shown == figure.about).sum(axis=1)))


def reconstruct(
    history: History, sums: Sums, *, knows_changes: bool = False
) -> list[dict[str, Belief]]:
    """Give what an attacker believes of every count of every run, once all were published."""
    found: list[dict[str, Belief]] = [{} for _ in history]
    for name in dict.fromkeys(name for run in history for name in run):
        there = [place for place, run in enumerate(history) if name in run]
        figures = [history[place][name] for place in there]
        for place, belief in zip(there, _smooth(figures, known=knows_changes), strict=True):
            found[place][name] = belief
    return [_add_up(run, sums) for run in found]


def _smooth(figures: Sequence[PublishedFigure], *, known: bool) -> list[Belief]:
    """Carry beliefs about one count along the runs, forward and backward."""
    alone = [believe(figure) for figure in figures]
    pace = _find_pace(figures)
    kernels = [
        _kernel((alone[n], alone[n + 1]), (figures[n], figures[n + 1]), pace, known=known)
        for n in range(len(alone) - 1)
    ]
    ahead, behind = [np.ones(len(alone[0].weights))], [np.ones(len(alone[-1].weights))]
    for one, kernel in zip(alone, kernels, strict=False):
        ahead.append(_normalized((ahead[-1] * one.weights) @ kernel))
    for one, kernel in zip(alone[:0:-1], kernels[::-1], strict=True):
        behind.append(_normalized(kernel @ (behind[-1] * one.weights)))
    return [
        Belief(one.start, _normalized(one.weights * before * after))
        for one, before, after in zip(alone, ahead, behind[::-1], strict=True)
    ]


def _find_pace(figures: Sequence[PublishedFigure]) -> float:
    """Give by how much a count changes on average, from one run where it did to the next."""
    shown = [figure.about for figure in figures if figure.about is not None]
    steps = sum(before != after for before, after in pairwise(shown))
    return (shown[-1] - shown[0]) / steps if steps else 0.0


def _kernel(
    beliefs: tuple[Belief, Belief],
    figures: tuple[PublishedFigure, PublishedFigure],
    pace: float,
    *,
    known: bool,
) -> Weights:
    """How likely each number follows on each: no change, a known one, or one near the pace."""
    before, after = figures
    first, second = (one.start + np.arange(len(one.weights)) for one in beliefs)
    change = second - first[:, None]
    if known and before.exact is not None and after.exact is not None:
        likely = np.where(change == after.exact - before.exact, 1.0, LEFTOVER)
    elif before.about == after.about:
        likely = np.where(change == 0, 1.0, LEFTOVER)
    else:
        likely = 0.3 ** np.abs(change - pace) + 0.001
    return np.asarray(likely, dtype=np.float64)


def _add_up(run: Mapping[str, Belief], sums: Sums) -> dict[str, Belief]:
    """Bring what each total and its parts tell of each other into the beliefs of one run."""
    told = dict(run)
    for total, lists in sums.items():
        for parts in lists:
            if total in run and all(part in run for part in parts):
                for name, (start, weights) in _messages(run, total, parts):
                    told[name] = told[name].times(start, weights)
    return told


def _messages(
    run: Mapping[str, Belief], total: str, parts: Sequence[str]
) -> Iterator[tuple[str, tuple[int, Weights]]]:
    """Say what the others tell of a total, and of each of its parts."""
    yield total, _sum_of([run[part] for part in parts])
    for name in parts:
        start, weights = _sum_of([run[part] for part in parts if part != name])
        # What is left of the total is the sum with what was taken off turned around.
        turned = np.convolve(run[total].weights, weights[::-1])
        yield name, (run[total].start - start - len(weights) + 1, turned)


def _sum_of(beliefs: Sequence[Belief]) -> tuple[int, Weights]:
    """Give the belief about a sum of independent numbers."""
    weights = reduce(np.convolve, [one.weights for one in beliefs], np.ones(1))
    return sum(one.start for one in beliefs), weights


def _normalized(weights: NDArray[np.float64] | NDArray[np.int64]) -> Weights:
    return np.asarray(weights / weights.sum(), dtype=np.float64)
