"""What people have spent: their distinct histories, what each costs, and how much is left.

A history is the multiset of mechanisms that a person was charged for, whatever run or policy it
was for. There are far fewer of them than people, and of these only those matter that are part of
no other: one of them is the worst person's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from expectations.privacy_loss import Mechanism, RenyiFilter, compose, repeat, tally
from ledgers.budget.tables import Ceiling

MOST_RUNS: Final = 5200
"""As far as runs are planned: a hundred years of weeks."""


@dataclass(frozen=True, slots=True)
class History:
    """What one person was charged for; `adaptive` if any of it was chosen after a look."""

    times: frozenset[tuple[Mechanism, int]] = field(default_factory=frozenset)
    adaptive: bool = False

    @classmethod
    def of(cls, mechanisms: Iterable[Mechanism], *, adaptive: bool = False) -> Self:
        """Give the history of somebody who was charged for these alone."""
        return cls(frozenset(tally(mechanisms).items()), adaptive)

    def plus(self, other: History, runs: int = 1) -> History:
        """Give both together, the other as many times as there are `runs`."""
        times = dict(self.times)
        for one, count in other.times if runs else ():
            times[one] = times.get(one, 0) + runs * count
        adaptive = self.adaptive or (other.adaptive and runs > 0)
        return History(frozenset(times.items()), adaptive)

    def is_filtered(self, ceiling: Ceiling) -> bool:
        """Tell whether only a filter bounds it, which guarantees the ceiling and no less."""
        return self.adaptive or ceiling.composition == "adaptive"

    def cost(self, ceiling: Ceiling) -> float:
        """Give the ε at the ceiling's δ; by the filter of the ceiling if anything is adaptive."""
        mechanisms = repeat(self.times)
        if self.is_filtered(ceiling):
            return RenyiFilter(ceiling.epsilon, ceiling.delta).spent(mechanisms)
        return compose(mechanisms, ceiling.delta)


@dataclass(frozen=True, slots=True)
class Balance:
    """The lifetime ε of the worst of some people, before and after a run, and what is left.

    `runs_left` is how many such runs may follow, up to `MOST_RUNS`; None if no run was meant.
    Where `filtered`, somebody's choices were adaptive with the run: `after` then says how far the
    filter is used and is no bound by itself; what is guaranteed is the ceiling.
    """

    before: float
    after: float
    ceiling: Ceiling
    runs_left: int | None
    filtered: bool


def find_histories(
    people: int, charges: Iterable[tuple[History, NDArray[np.bool_]]]
) -> list[History]:
    """Give the distinct histories of `people` people, from who shares which charges."""
    group = np.zeros(people, np.int32)
    found = [History()]
    for charge, there in charges:
        key = 2 * group + there
        number: dict[History, int] = {}
        place = np.zeros(2 * len(found), np.int32)
        for old in np.flatnonzero(np.bincount(key, minlength=len(place))).tolist():
            history = found[old // 2].plus(charge, old % 2)
            place[old] = number.setdefault(history, len(number))
        group, found = place[key], list(number)
    return found


def find_worst(histories: Iterable[History]) -> list[History]:
    """Give the histories that are part of no other, among which the dearest one is."""
    chosen = list(histories)
    column = {one: n for n, one in enumerate({one for h in chosen for one, _ in h.times})}
    counts = np.zeros((len(chosen), len(column) + 1), np.int64)
    for row, history in enumerate(chosen):
        counts[row, -1] = history.adaptive
        for one, count in history.times:
            counts[row, column[one]] = count
    kept: list[int] = []
    for row in np.argsort(-counts.sum(axis=1), kind="stable").tolist():
        if not (counts[kept] >= counts[row]).all(axis=1).any():
            kept.append(row)
    return [chosen[row] for row in kept]


def dearest(histories: Sequence[History], ceiling: Ceiling) -> float:
    """Give what the worst of them has cost."""
    return max(history.cost(ceiling) for history in histories)


def count_runs(histories: Sequence[History], run: History, ceiling: Ceiling) -> int:
    """Give how often everybody can be charged for `run` once more, up to `MOST_RUNS`."""
    left: int | None = None
    for history in sorted(histories, key=lambda one: -one.plus(run).cost(ceiling)):

        def fits(runs: int, start: History = history) -> bool:
            return start.plus(run, runs).cost(ceiling) <= ceiling.epsilon

        if left is None or not fits(left):
            left = _most(fits, MOST_RUNS + 1 if left is None else left)
    return left or 0


def _most(fits: Callable[[int], bool], above: int) -> int:
    """Give the largest number that fits, below one that does not; 0 if none does."""
    low, high = 0, 1
    while high < above and fits(high):
        low, high = high, 2 * high
    high = min(high, above)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def sum_charges(charges: Iterable[tuple[str, Iterable[Mechanism], bool]]) -> Mapping[str, History]:
    """Add up what belongs together: a name, what was charged under it, and whether adaptively."""
    found: dict[str, History] = {}
    for name, mechanisms, adaptive in charges:
        more = History.of(mechanisms, adaptive=adaptive)
        found[name] = found.get(name, History()).plus(more)
    return found
