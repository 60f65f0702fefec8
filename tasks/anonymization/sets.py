"""Classes released as sets of values, in place of labels: found from the classes of a hierarchy.

A set names exactly the values that a class has, so a class may be cut anywhere, and one odd tuple
may move to where its values are no news. That keeps more detail than any hierarchy, and tells
more: who reads `Alaska~Maine` learns that nobody of the class is from elsewhere.

Called by `tasks.anonymization.fitting` after the search; knows no labels. Loss is Xu's normalized
certainty penalty (2006) on sets: (values in the set - 1) / (values of the data - 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expectations.errors import UsageError
from tasks.anonymization.requirement import Requirement, settle
from tasks.anonymization.tuples import LEFT, Boxes, Codes, Losses, Tuples

ROUNDS = 3
"""Moves make new cuts possible and the other way round."""
MOST_MOVES = 2_000
"""Tuples that a round may move, those whose going saves most: each is held against all classes."""
MOST_REPAIRS = 8
MOST_CELLS = 1 << 27
"""Of a class and a value, all of which are counted: a million values are no matter for sets."""
BLOCK = 256
"""Tuples held against all classes at once: a table of tuples by classes has to fit in memory."""

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Values:
    """The tuples' values, numbered over all columns, and what one more of each costs a class.

    `cells` has the shape (columns, tuples); `worth` is per value, `ends` where columns end.
    """

    cells: Codes
    worth: Losses
    ends: Codes
    requirement: Requirement

    @classmethod
    def of(cls, tuples: Tuples, requirement: Requirement) -> Values:
        """Number the values that occur, column after column."""
        weights = np.array(tuples.importance or [1.0] * len(tuples.codes))
        cells, worth, end = [], [], 0
        for codes, weight in zip(tuples.codes, weights / weights.sum(), strict=True):
            seen, rank = np.unique(codes, return_inverse=True)
            cells.append(rank + end)
            worth.append(np.full(len(seen), weight / max(len(seen) - 1, 1)))
            end += len(seen)
        ends = np.cumsum([len(each) for each in worth])
        return cls(np.array(cells), np.concatenate(worth), ends, requirement)

    @property
    def people(self) -> Codes:
        """People of each tuple."""
        return self.requirement.people

    def count(self, of: Codes) -> Codes:
        """Count the tuples of each class that have each value, shape (classes, values)."""
        (kept,) = np.nonzero(of != LEFT)
        classes, width = int(of.max(initial=LEFT)) + 1, len(self.worth)
        keys = (of[kept] * width + self.cells[:, kept]).ravel()
        return np.bincount(keys, minlength=classes * width).reshape(classes, width)

    def total(self, of: Codes) -> Codes:
        """Count the people of each class."""
        (kept,) = np.nonzero(of != LEFT)
        return np.bincount(of[kept], self.people[kept]).astype(np.int64)

    def cost(self, present: Bools) -> Losses:
        """What a person costs in each class that has these values; an empty one costs nothing."""
        # The values of a column are worth the same: its first stands for all.
        starts = np.append(0, self.ends[:-1])
        sizes = np.add.reduceat(present, starts, axis=1, dtype=np.int64)
        return np.asarray(np.maximum(sizes - 1, 0) @ self.worth[starts])

    def prefers(self, new: Codes, old: Codes) -> bool:
        """Whether new classes lose less and leave out nobody else.

        Nor may they take in more where a model compares with those who are released.
        """
        if ((new == LEFT) & (old != LEFT)).any():
            return False
        if self.requirement.compares and ((new == LEFT) != (old == LEFT)).any():
            return False
        losses = [self.total(of) @ self.cost(self.count(of) > 0) for of in (new, old)]
        return bool(losses[0] < losses[1])

    def met(self, of: Codes) -> Bools:
        """Whether each class meets the requirement."""
        (kept,) = np.nonzero(of != LEFT)
        return self.requirement.met(kept, of[kept], int(of.max(initial=LEFT)) + 1)


def refine_sets(tuples: Tuples, requirement: Requirement, of: Codes) -> Codes:
    """Cut and exchange until the classes' sets of values are small; give each tuple's class.

    Classes come in the order in which they are to be tried, the smallest sets first: a tuple is
    in the first class whose sets hold all its values. Raises `UsageError` for too many values.
    """
    if (of == LEFT).all():
        return of
    values = Values.of(tuples, requirement)
    # No more classes than tuples, nor than there are k people for.
    classes = min(len(of), int(requirement.people.sum()) // requirement.k)
    if classes * len(values.worth) > MOST_CELLS:
        raise UsageError(
            f"k-anonymity: up to {classes:,} sets of {len(values.worth):,} values are more than "
            "this search can count; bin the columns of many values, or release a hierarchy's labels"
        )
    refined = _split(values, of)
    for _ in range(ROUNDS):
        refined = _split(values, _move(values, refined))
    refined = _order(values, refined)
    # The order may cost more than cuts and moves have gained.
    return refined if values.prefers(refined, of) else of


def _split(values: Values, of: Codes) -> Codes:
    """Cut classes in two where it saves most, as long as both halves can stand by themselves."""
    final = np.zeros(len(of), dtype=bool)
    # Ends: every pass makes classes smaller, or final.
    while True:
        cut = _best_cuts(values, np.where(final, LEFT, of))
        # One half keeps its number, the other gets one that nobody has; gaps are closed in the end.
        new = np.where(cut, of + int(of.max(initial=0)) + 1, of)
        new[of == LEFT] = LEFT
        halves = np.unique(of[cut])
        if not len(halves):
            return np.where(of == LEFT, LEFT, np.unique(of, return_inverse=True)[1] - (LEFT in of))
        if values.requirement.sensitive:
            whole = np.isin(of, halves)
            number = np.unique(np.where(whole, new, LEFT), return_inverse=True)[1]
            met = values.requirement.met(np.arange(len(of)), number, int(number.max()) + 1)
            # Only the best cut of a class is tried: where either half fails, it stays whole for
            # good.
            bad = np.isin(of, of[whole & ~met[number]])
            new, final = np.where(bad, of, new), final | bad
        of = new


def _best_cuts(values: Values, of: Codes) -> Bools:
    """Mark the tuples that each class's best cut would set apart."""
    k, (able,) = values.requirement.k, np.nonzero(of != LEFT)
    # Less than 2 k people cannot be two classes.
    large = values.total(of) >= 2 * k
    able = able[large[of[able]]]
    found = [_cuts(values, able, of[able], column) for column in range(len(values.cells))]
    group, gain, column, cell = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((cell, column, -gain, group))
    best = order[np.unique(group[order], return_index=True)[1]]
    chosen = np.full(len(large), LEFT)
    chosen[group[best]] = best
    there = able[chosen[of[able]] != LEFT]
    at = chosen[of[there]]
    cut = np.zeros(len(of), dtype=bool)
    cut[there] = values.cells[column[at], there] > cell[at]
    return cut


def _cuts(
    values: Values, able: Codes, of: Codes, column: int
) -> tuple[Codes, Losses, Codes, Codes]:
    """Give the cuts of one column's sorted values that leave k people on both sides and save.

    Per cut its class, what it saves, the column, and the last value before it.
    """
    width = len(values.worth)
    keys, place = np.unique(of * width + values.cells[column, able], return_inverse=True)
    people = np.bincount(place, values.people[able], len(keys)).astype(np.int64)
    group, cell = keys // width, keys % width
    first = np.flatnonzero(np.diff(group, prepend=-1))
    of_group = np.repeat(np.arange(len(first)), np.diff(first, append=len(group)))
    before = np.cumsum(people) - people
    low = before + people - before[first][of_group]
    whole = np.add.reduceat(people, first)[of_group] if len(first) else low
    many = np.bincount(of_group)[of_group]
    under = np.arange(len(group)) - first[of_group] + 1
    high = whole - low
    lost = (under - 1) * low + (many - under - 1) * high
    # Of this column alone: the sets of the others may shrink too, but never grow.
    gain = ((many - 1) * whole - lost) * values.worth[cell]
    (good,) = np.nonzero(
        (low >= values.requirement.k) & (high >= values.requirement.k) & (gain > 0)
    )
    return group[good], gain[good].round(9), np.full(len(good), column), cell[good]


def _move(values: Values, of: Codes) -> Codes:
    """Move tuples whose values are odd in their class to where they are not."""
    count, total = values.count(of), values.total(of)
    cost = values.cost(count > 0)
    tuple_, saved = _find_odd(values, of, count, total, cost)
    target, added = _find_places(values, of, tuple_, (count == 0, total, cost))
    gain = (saved - added).round(9)
    (good,) = np.nonzero(gain > 0)
    good = good[np.lexsort((tuple_[good], -gain[good]))]
    # A gain was reckoned with all classes as they are: it holds if no other move touches the two.
    taken = _take_disjoint(of[tuple_[good]], target[good], len(total))
    moved = of.copy()
    moved[tuple_[good[taken]]] = target[good[taken]]
    return _undo_failures(values, of, moved)


def _find_odd(
    values: Values, of: Codes, count: Codes, total: Codes, cost: Losses
) -> tuple[Codes, Losses]:
    """Find tuples that their classes can spare, and what their going would save."""
    weight = values.people
    (spare,) = np.nonzero((of != LEFT) & (total[of] - weight >= values.requirement.k))
    # The only tuple of its class with that value: all others' set is narrower without it.
    alone = count[of[spare], values.cells[:, spare]] == 1
    narrower = (alone * values.worth[values.cells[:, spare]]).sum(axis=0)
    saved = narrower * (total[of[spare]] - weight[spare]) + weight[spare] * cost[of[spare]]
    (some,) = np.nonzero(saved > 0)
    most = some[np.lexsort((spare[some], -saved[some].round(9)))][:MOST_MOVES]
    return spare[most], saved[most]


def _find_places(
    values: Values, of: Codes, tuples: Codes, classes: tuple[Bools, Codes, Losses]
) -> tuple[Codes, Losses]:
    """Find for each tuple the other class that it costs least to join, and that cost."""
    absent, total, cost = classes
    # Single precision and a row per value: this is what takes the time. What comes of it is judged
    # in double precision (`prefers`).
    news = np.ascontiguousarray((absent * values.worth).astype(np.float32).T)
    best, added = np.full(len(tuples), 0), np.full(len(tuples), np.inf)
    for start in range(0, len(tuples), BLOCK):
        some = tuples[start : start + BLOCK]
        weight = values.people[some].astype(np.float32)[:, None]
        adds = news[values.cells[0, some]]
        for cells in values.cells[1:, some]:
            adds += news[cells]
        # All people of the class pay for the new values, and who joins also for those it has.
        adds *= total.astype(np.float32) + weight
        adds += weight * cost.astype(np.float32)
        adds[:, total == 0] = np.inf
        row = np.arange(len(some))
        home = of[some] != LEFT
        adds[row[home], of[some][home]] = np.inf
        best[start : start + BLOCK] = adds.argmin(axis=1)
        added[start : start + BLOCK] = adds[row, best[start : start + BLOCK]]
    return best, added


def _take_disjoint(source: Codes, target: Codes, classes: int) -> Codes:
    """Give the places of moves, best first, no two of which touch one class."""
    taken: list[Codes] = []
    touched = np.zeros(classes, dtype=bool)
    rest = np.arange(len(source))
    while len(rest):
        # A move that is the best left for both its classes is made; the best of all always is.
        first = np.full(classes, len(source))
        np.minimum.at(first, source[rest], rest)
        np.minimum.at(first, target[rest], rest)
        now = rest[(first[source[rest]] == rest) & (first[target[rest]] == rest)]
        taken.append(now)
        touched[source[now]] = touched[target[now]] = True
        rest = rest[~touched[source[rest]] & ~touched[target[rest]]]
    return np.concatenate(taken) if taken else rest


def _undo_failures(values: Values, before: Codes, after: Codes) -> Codes:
    """Take back moves from and to classes that fail a privacy model since."""
    while values.requirement.sensitive:
        # k is safe: no class gave more than one tuple, and that one it could spare.
        bad = ~values.met(after)
        wrong = (before != after) & (bad[before] | bad[after])
        if not wrong.any():
            break
        after = np.where(wrong, before, after)
    return after


def _order(values: Values, of: Codes) -> Codes:
    """Number classes by the size of their sets, so that each tuple is in the first that it fits.

    A tuple may go to an earlier class than its own; people of a class that then fails join the
    class that they cost least, and all is tried again.
    """
    for _ in range(MOST_REPAIRS):
        present = values.count(of) > 0
        by_cost = np.argsort(values.cost(present).round(9), kind="stable")
        new = _boxes(values, present[by_cost]).first(values.cells)
        # The last entry answers for `LEFT`, which is -1.
        bad = np.append(~values.met(new), False)
        astray = np.flatnonzero((new != LEFT) & bad[new])
        if not len(astray):
            return new
        new[astray] = LEFT
        total = values.total(new)
        absent = values.count(new) == 0
        new[astray] = _find_places(values, new, astray, (absent, total, values.cost(~absent)))[0]
        of = np.where(new == LEFT, LEFT, np.unique(new, return_inverse=True)[1] - (LEFT in new))
    present = values.count(of) > 0
    by_cost = np.argsort(values.cost(present).round(9), kind="stable")
    return settle(_boxes(values, present[by_cost]), values.cells, values.requirement)


def _boxes(values: Values, present: Bools) -> Boxes:
    """Which values each class takes; the values are numbered over all columns."""
    # One table serves all columns, since no two columns share a number.
    return Boxes(Boxes.of([present.T]).fits * len(values.cells))
