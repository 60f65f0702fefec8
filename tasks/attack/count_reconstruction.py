"""From the published counts of several runs back to the exact ones, and to what a person changed.

The attacker has what MLflow shows of a policy's runs: counts that were rounded to tens, or hidden
below a threshold (`expectations.disclosure`). They know that rule, not its key, and two things
more:

- between two runs few people come and go, at much the same pace;
- some counts are the sum of others.

Beliefs about every exact count are carried along the runs (forward and backward, Rabiner 1989),
then through the sums; the likeliest number is the guess. A second attacker also knows by how many
each count changed, as one does who knows who came and left: then each place where a figure changed
tells where its tens were rounded. Each count is looked at by itself there; an attacker who brings
counts of the same tens together knows more. Exact counts are used for scoring, and by that second
attacker for the changes alone.

Figures that are no tens were published by the rule that stood before: moved by up to 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.disclosure import TEN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weights = NDArray[np.float64]
    Numbers = NDArray[np.int64]

LEFTOVER: Final = 1e-6
"""What is believed of the unlikely, so that a wrong belief never leaves nothing at all."""
MOVED: Final = 3
"""By how many a figure was moved at most, either way, before counts were rounded."""


@dataclass(frozen=True, slots=True)
class PublishedFigure:
    """A count as it was published, None where hidden; and what it was, where that is on record."""

    about: int | None
    exact: int | None = field(default=None, repr=False)
    threshold: int = 10


PublishedHistory = Sequence[Mapping[str, PublishedFigure]]
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
    # Published before counts were rounded to tens: no ten, but moved by up to `MOVED`.
    if figure.about % TEN and figure.about != figure.threshold:
        start = max(figure.threshold, figure.about - MOVED)
        return Belief(start, _normalized(np.ones(figure.about + MOVED + 1 - start)))
    start = max(figure.threshold, figure.about - TEN + 1)
    tens, digits = np.divmod(np.arange(start, figure.about + TEN)[:, None], TEN)
    turns = np.arange(1, TEN + 1)
    # What each number is shown as, for each place at which its ten may be rounded up.
    shown = np.maximum(figure.threshold, TEN * (tens + (digits >= turns)))
    return Belief(start, _normalized((shown == figure.about).sum(axis=1)))


def reconstruct(
    history: PublishedHistory, sums: Sums, *, knows_changes: bool = False
) -> list[dict[str, Belief]]:
    """Give what an attacker believes of every count of every run, once all were published."""
    found: list[dict[str, Belief]] = [{} for _ in history]
    for name in dict.fromkeys(name for run in history for name in run):
        there = [place for place, run in enumerate(history) if name in run]
        figures = [history[place][name] for place in there]
        known = knows_changes and all(figure.exact is not None for figure in figures)
        beliefs = _locate(figures) if known else _smooth(figures)
        for place, belief in zip(there, beliefs, strict=True):
            found[place][name] = belief
    return [_add_up(run, sums) for run in found]


def _locate(figures: Sequence[PublishedFigure]) -> list[Belief]:
    """Say what all figures of one count tell of each, to who knows its changes.

    Every number is tried as the first: how likely is it that its tens, and those that the others
    then have, are rounded where the figures say?
    """
    exact = np.array([figure.exact for figure in figures], dtype=np.int64)
    changes = exact - exact[0]
    alone = [believe(figure) for figure in figures]
    numbers = alone[0].start + np.arange(len(alone[0].weights))
    weights = np.array([_fit(number + changes, figures, alone) for number in numbers])
    if not weights.any():
        return alone
    return [Belief(alone[0].start + change, _normalized(weights)) for change in changes.tolist()]


def _fit(numbers: Numbers, figures: Sequence[PublishedFigure], beliefs: Sequence[Belief]) -> float:
    """Give how likely it is that these numbers have these figures, tens by tens."""
    turns: dict[int, tuple[int, int]] = {}
    likely = 1.0
    for number, figure, one in zip(numbers.tolist(), figures, beliefs, strict=True):
        if not 0 <= number - one.start < len(one.weights):
            return 0.0
        if figure.about is not None and not figure.about % TEN:
            tens, digit = divmod(number, TEN)
            low, high = turns.get(tens, (1, TEN))
            up = figure.about > TEN * tens
            turns[tens] = (low, min(high, digit)) if up else (max(low, digit + 1), high)
    for low, high in turns.values():
        likely *= max(high - low + 1, 0) / TEN
    return likely


def _smooth(figures: Sequence[PublishedFigure]) -> list[Belief]:
    """Carry beliefs about one count along the runs, forward and backward."""
    alone = [believe(figure) for figure in figures]
    # A figure that stands is no news: the same tens are rounded at the same place.
    news = [alone[0].weights] + [
        (one.weights > 0).astype(float) if before.about == after.about else one.weights
        for one, (before, after) in zip(alone[1:], pairwise(figures), strict=True)
    ]
    pace = _find_pace(figures)
    kernels = [_kernel(pair, pace) for pair in pairwise(alone)]
    ahead, behind = [np.ones(len(news[0]))], [np.ones(len(news[-1]))]
    for one, kernel in zip(news, kernels, strict=False):
        ahead.append(_normalized((ahead[-1] * one) @ kernel))
    for one, kernel in zip(news[:0:-1], kernels[::-1], strict=True):
        behind.append(_normalized(kernel @ (behind[-1] * one)))
    return [
        Belief(one.start, _normalized(weights * before * after))
        for one, weights, before, after in zip(alone, news, ahead, behind[::-1], strict=True)
    ]


def _find_pace(figures: Sequence[PublishedFigure]) -> float:
    """Give by how much a count changes on average from one run to the next."""
    shown = [figure.about for figure in figures if figure.about is not None]
    return (shown[-1] - shown[0]) / (len(shown) - 1) if len(shown) > 1 else 0.0


def _kernel(beliefs: tuple[Belief, Belief], pace: float) -> Weights:
    """How likely each number follows on each: one near the pace, or none at all."""
    first, second = (one.start + np.arange(len(one.weights)) for one in beliefs)
    change = second - first[:, None]
    # Never 0, so that a jump that was published stays possible.
    return np.asarray(0.3 ** np.abs(change - pace) + 0.001, dtype=np.float64)


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
