"""The search over all vectors of levels: classes taken cheapest first, then bettered by exchange.

A vector gives each column a level of its hierarchy; all vectors together are the lattice. At each
of them the tuples with equal labels are a group, which may be released as a class.

`cover` takes groups from the least generalization on, each when it is due. It is greedy: a class
that is found early keeps all its people, though a few of them would complete a group whose members
are otherwise released much coarser. `exchange` looks for such groups and sets them into the order
of classes where they take exactly those people. A class that is left with fewer than k is given up
if what its people lose elsewhere is less than what is gained.

Called by `tasks.anonymization.fitting`, for tables whose vectors can be listed; `clusters` and
`balance` do without a list. Knows no labels and no files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tasks.anonymization.requirement import Requirement, settle
from tasks.anonymization.tuples import LEFT, Classes, Codes, Losses, Tuples, combine, join_ranges


@dataclass(frozen=True)
class Lattice:
    """All vectors of levels, in the order in which they are looked at.

    `vectors` has the shape (vectors, columns); `bound` is what a vector costs its cheaper quarter
    of the tuples, about the least that any of its groups costs; `costs` as of `Tuples.costs`.
    """

    vectors: Codes
    bound: Losses
    costs: list[Losses]

    @classmethod
    def of(cls, tuples: Tuples) -> Lattice:
        """List the vectors, cheapest first."""
        levels, costs = tuples.levels(), tuples.costs
        share = tuples.people / max(tuples.people.sum(), 1)
        # A vector costs the sum of its columns' costs, so that outer sums over the columns give
        # those of all vectors at once, in the order of the grid below.
        bound = mean = np.zeros(1)
        for used, cost in zip(levels, costs, strict=True):
            # Not the least: some odd tuple is cheap at almost any vector, and would hold every
            # group back.
            near = np.quantile(cost[used], 0.25, axis=1) if cost.size else np.zeros(len(used))
            bound = np.add.outer(bound, near).ravel()
            mean = np.add.outer(mean, cost[used] @ share).ravel()
        grid = np.stack(np.meshgrid(*levels, indexing="ij"), axis=-1).reshape(-1, len(levels))
        # Rounded, so that the last digits of a sum break no tie.
        order = np.lexsort((mean.round(6), bound.round(6)))
        return cls(grid[order], bound[order].round(6), costs)

    def cost(self, number: Codes, members: Codes) -> Losses:
        """What each tuple costs under the vector of that number."""
        steps = self.vectors[number].T
        parts = [cost[step, members] for cost, step in zip(self.costs, steps, strict=True)]
        return np.asarray(np.sum(parts, axis=0).round(9))


@dataclass(frozen=True)
class TupleGroups:
    """Tuples with equal labels: each group's cost and vector's number, and all members in a row."""

    cost: Losses
    vector: Codes
    length: Codes
    member: Codes

    @cached_property
    def start(self) -> Codes:
        """Where each group's members start."""
        return np.cumsum(self.length) - self.length

    def where(self, chosen: NDArray[np.bool_]) -> TupleGroups:
        """Keep some of the groups."""
        members = self.member[np.repeat(chosen, self.length)]
        return TupleGroups(self.cost[chosen], self.vector[chosen], self.length[chosen], members)

    def __add__(self, other: TupleGroups) -> TupleGroups:
        """Put the groups of both in a row."""
        return TupleGroups(
            np.concatenate([self.cost, other.cost]),
            np.concatenate([self.vector, other.vector]),
            np.concatenate([self.length, other.length]),
            np.concatenate([self.member, other.member]),
        )


def sort_by_labels(parts: Sequence[Codes], vectors: Codes) -> tuple[Codes, Codes]:
    """Sort the tuples of `parts`, once per vector, by their labels and then by their place.

    Returns the places, vector after vector, and where each group of equal labels starts.
    """
    places = parts[0].shape[1]
    bits = places.bit_length()
    key = _label_keys(parts, vectors, 2**62 >> bits)
    # Labels above, places below: one sort puts equal labels together and their places in order.
    key <<= bits
    key |= np.arange(places)
    key.sort(axis=1)
    flat = key.ravel()
    place = flat & ((1 << bits) - 1)
    flat >>= bits
    new = np.empty(len(flat), dtype=bool)
    np.not_equal(flat[1:], flat[:-1], out=new[1:])
    # Another vector begins another group, even where the labels have the same number.
    new[::places] = True
    return place, np.flatnonzero(new)


def _label_keys(parts: Sequence[Codes], vectors: Codes, limit: int) -> Codes:
    """Number the labels of each tuple at each vector, shape (vectors, tuples)."""
    sizes = [int(part.max()) + 1 for part in parts]
    if math.prod(sizes) > limit:
        labels = [part[level] for part, level in zip(parts, vectors.T, strict=True)]
        return combine(labels, limit)
    # All fit into one integer, each column's labels a digit: nothing has to be renumbered.
    key = np.zeros((len(vectors), parts[0].shape[1]), dtype=np.int64)
    scale = 1
    for part, level, size in zip(parts, vectors.T, sizes, strict=True):
        key += (part * scale)[level]
        scale *= size
    return key


def find_groups(
    lattice: Lattice, numbers: Codes, tuples: tuple[Codes, list[Codes]], requirement: Requirement
) -> TupleGroups:
    """Find the groups of these tuples at these vectors that meet the requirement by themselves."""
    rest, parts = tuples
    place, start = sort_by_labels(parts, lattice.vectors[numbers])
    length = np.diff(start, append=len(place))
    people = np.cumsum(requirement.people[rest][place])[start + length - 1]
    large = np.diff(people, prepend=0) >= requirement.k
    start, length = start[large], length[large]
    vector = numbers[start // len(rest)]
    member = rest[place[join_ranges(start, length)]]
    # Members have the same labels, and so the same cost: the first stands for all.
    groups = TupleGroups(lattice.cost(vector, rest[place[start]]), vector, length, member)
    if not requirement.sensitive or not len(start):
        return groups
    number = np.repeat(np.arange(len(start)), length)
    return groups.where(requirement.met(member, number, len(start)))


BLOCK = 1 << 16
"""Pairs of a vector and a tuple that are looked at together: they should fit a core's cache."""


def cover(tuples: Tuples, requirement: Requirement) -> Classes:
    """Cheapest-first cover.

    From the vector with the least loss on, tuples not yet released are grouped by their labels;
    a group that meets the requirement is released when its turn comes: when it costs no more than
    the vectors that are still to be looked at cost the cheaper quarter of the tuples. What no
    vector could release (fewer than k people, or a pinned value that is too rare) is `LEFT`.
    """
    lattice, classes = Lattice.of(tuples), Classes(np.full(tuples.codes.shape[1], LEFT))
    before = LEFT
    # A group of too few people never grows again, so under k alone each is seen once. A model can
    # come to hold when a group loses people: then those who are left over are looked at again.
    while before != len(classes.vectors) and (before == LEFT or requirement.sensitive):
        before = len(classes.vectors)
        _pass_over(lattice, tuples, requirement, classes)
    return classes


def _pass_over(
    lattice: Lattice, tuples: Tuples, requirement: Requirement, classes: Classes
) -> None:
    """Look at each vector once, and release what it groups of those who are still left over."""
    rest = np.flatnonzero(classes.of == LEFT)
    parts, vectors = [part.take(rest, axis=1) for part in tuples.parts()], lattice.vectors
    held, seen = None, 0
    while seen < len(vectors) and tuples.people[rest].sum() >= requirement.k:
        numbers = np.arange(seen, min(seen + max(1, BLOCK // len(rest)), len(vectors)))
        seen += len(numbers)
        found = find_groups(lattice, numbers, (rest, parts), requirement)
        found = found if held is None else held + found
        # The others wait: a vector still to come may have something cheaper for the same people.
        due = found.cost <= (lattice.bound[seen] if seen < len(vectors) else np.inf)
        _release(found.where(due), lattice, classes, requirement)
        # What waits may lose members meanwhile; `_release` counts again when it is due.
        held = found.where(~due)
        stay = np.flatnonzero(classes.of[rest] == LEFT)
        rest, parts = rest[stay], [part.take(stay, axis=1) for part in parts]


def _release(
    groups: TupleGroups, lattice: Lattice, classes: Classes, requirement: Requirement
) -> None:
    """Release groups, cheapest first; a later one keeps only members that no earlier one took.

    All groups whose members are claimed by no earlier undecided group are decided at once.
    """
    order = np.lexsort((groups.vector, groups.cost))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    group, member = np.repeat(rank, groups.length), groups.member
    first = np.empty(len(classes.of), dtype=np.int64)
    open_ = classes.of[member] == LEFT
    # Ends, since the cheapest undecided group is first for all its members, and so decided.
    while open_.any():
        group, member = group[open_], member[open_]
        people = requirement.people[member]
        first[member] = len(order)
        np.minimum.at(first, member, group)
        # A group is sure of its members where none of them stands in a cheaper undecided one.
        claimed = np.bincount(group, people * (first[member] == group), len(order))
        full = np.bincount(group, people, len(order))
        small = full < requirement.k
        sure = (claimed == full)[group]
        met = requirement.met(member[sure], group[sure], len(order))
        number = np.cumsum(met) - 1 + len(classes.vectors)
        taken = sure & met[group]
        classes.of[member[taken]] = number[group[taken]]
        vectors = lattice.vectors[groups.vector[order[met]]]
        classes.vectors.extend(map(tuple, vectors.tolist()))
        # A group that fell below k is dropped, and what it claimed is free for those after it.
        open_ = ~sure & ~small[group] & (classes.of[member] == LEFT)


ROUNDS = 2
"""The second round uses what the first one made room for, if `LEAST` lets it come to that."""
MOST_PAIRS = 1 << 18
"""Of a vector and a tuple that a round looks at: the cheapest vectors, where nearly all gain is."""
LEAST = 0.005
"""Share of the loss that a round has to save for another one to follow."""
NOWHERE = 1e9
"""Loss of a tuple that fits no other class: more than a round could gain."""


@dataclass(frozen=True)
class State:
    """A set of classes that is to be improved, and what each tuple costs in its own."""

    tuples: Tuples
    requirement: Requirement
    lattice: Lattice
    classes: Classes
    own: Losses

    @property
    def of(self) -> Codes:
        """The class of each tuple; those who are left over count as one after all others."""
        return np.where(self.classes.of == LEFT, len(self.classes.vectors), self.classes.of)

    def lose_elsewhere(self) -> Losses:
        """What each tuple's people would lose if its class were given up."""
        codes, of = self.tuples.codes, self.classes.of
        other = self.classes.boxes(self.tuples).first(codes, but=np.maximum(of, 0))
        lost = self.tuples.lose(Classes(other, self.classes.vectors)) - self.own
        return np.where(other == LEFT, NOWHERE, self.tuples.people * lost)


@dataclass(frozen=True)
class Proposals:
    """Boxes, as groups of tuples, and what each would save."""

    groups: TupleGroups
    gain: Losses


def exchange(tuples: Tuples, requirement: Requirement, classes: Classes) -> Classes:
    """Insert boxes that save loss, a few rounds; every class keeps meeting the requirement."""
    lattice = Lattice.of(tuples)
    for _ in range(ROUNDS if classes.vectors else 0):
        state = State(tuples, requirement, lattice, classes, tuples.lose(classes))
        boxes = _choose(state, _propose(state))
        inserted = _insert(state, boxes)
        # A box takes everybody who fits it from its place on, more than was weighed: so all are
        # placed anew, and what then fails is given up.
        place = settle(inserted.boxes(tuples), tuples.codes, requirement)
        classes = inserted.renumber(place)
        if (tuples.lose(classes) - state.own) @ tuples.people > -LEAST * state.own @ tuples.people:
            break
    return classes


def _propose(state: State) -> Proposals:
    """Find boxes that would save loss, at most one for each group of equal labels.

    A box stands right before the earliest class that it takes people from, and takes everybody
    who fits it from there on. So a group's tuples are taken in the order of their classes.
    """
    tuples, lattice, own = state.tuples, state.lattice, state.own
    by_class = np.argsort(state.of, kind="stable")
    # A vector that costs more than the worst-off pay now can save nothing.
    (numbers,) = np.nonzero(lattice.bound < own.max())
    parts = [part[:, by_class] for part in tuples.parts()]
    some = numbers[: max(1, MOST_PAIRS // len(own))]
    groups = find_groups(lattice, some, (by_class, parts), state.requirement)
    if len(groups.length):
        hopeful = np.maximum.reduceat(own[groups.member], groups.start) > groups.cost
        groups = groups.where(hopeful)
    return _cut(state, groups) if len(groups.length) else Proposals(groups, groups.cost)


def _cut(state: State, groups: TupleGroups) -> Proposals:
    """Choose from which of its classes on each group would best become a box."""
    group = np.repeat(np.arange(len(groups.length)), groups.length)
    of, people = state.of[groups.member], state.tuples.people[groups.member]
    # A run: the members of one group that are now in one class.
    run = np.flatnonzero(np.diff(group, prepend=-1) | np.diff(of, prepend=-1))
    saved = np.add.reduceat(people * (state.own[groups.member] - groups.cost[group]), run)
    moved = np.add.reduceat(people, run)
    gain = saved - _give_up(state, groups.member, run, moved)
    end = np.searchsorted(group[run], np.arange(len(groups.length)), side="right")[group[run]]
    # Whoever takes from a class takes from all later ones: hence sums up to the group's end.
    gain, taken = _sum_from(gain, end).round(9), _sum_from(moved, end)
    (able,) = np.nonzero((gain > 0) & (taken >= state.requirement.k))
    # Sorted by group and then by gain, the first of each group is its best cut.
    best = able[np.lexsort((able, -gain[able], group[run][able]))]
    best = best[np.unique(group[run][best], return_index=True)[1]]
    chosen, start = group[run[best]], run[best]
    length = (groups.start + groups.length)[chosen] - start
    member = groups.member[join_ranges(start, length)]
    return Proposals(
        TupleGroups(groups.cost[chosen], groups.vector[chosen], length, member), gain[best]
    )


def _give_up(state: State, member: Codes, run: Codes, moved: Codes) -> Losses:
    """What those lose who stay behind in a class that a box leaves with fewer than k people."""
    of, last = state.of, len(state.classes.vectors)
    elsewhere = state.lose_elsewhere()
    donor = of[member[run]]
    stay = np.bincount(of, state.tuples.people, last + 1)[donor] - moved
    lost = np.bincount(of, elsewhere, last + 1)[donor] - np.add.reduceat(elsewhere[member], run)
    broken = (stay > 0) & (stay < state.requirement.k) & (donor < last)
    return np.where(broken, lost, 0.0)


def _sum_from(values: NDArray[np.float64], end: Codes) -> Losses:
    """Sum the values from each place up to its end."""
    before = np.append(0.0, np.cumsum(values))
    return np.asarray(before[end] - before[:-1])


def _choose(state: State, found: Proposals) -> TupleGroups:
    """Choose boxes, those that save most first, no two of which take from one class."""
    groups, of = found.groups, state.of
    taken = np.zeros(len(found.gain), dtype=bool)
    touched = np.zeros(len(state.classes.vectors) + 1, dtype=bool)
    # Gains were reckoned with every other class as it is, and hold for one change of a class only.
    for number in np.lexsort((groups.vector, -found.gain)):
        start = groups.start[number]
        member = groups.member[start : start + groups.length[number]]
        donors = np.unique(of[member])
        if not touched[donors].any() and _holds(state, member, donors):
            taken[number] = touched[donors] = True
    return groups.where(taken)


def _holds(state: State, member: Codes, donors: Codes) -> bool:
    """Whether a box, and what it leaves of its donors, meet the privacy models."""
    if not state.requirement.sensitive:
        return True
    there = np.isin(state.of, donors[donors < len(state.classes.vectors)])
    there[member] = False
    (stay,) = np.nonzero(there)
    number = np.unique(state.of[stay], return_inverse=True)[1]
    both = np.concatenate([np.zeros_like(member), number + 1])
    met = state.requirement.met(np.concatenate([member, stay]), both, int(both.max()) + 1)
    return bool(met.all())


def _insert(state: State, boxes: TupleGroups) -> Classes:
    """Set boxes into the order of classes; the numbers of those left empty are closed up."""
    number, last = np.repeat(np.arange(len(boxes.length)), boxes.length), len(state.classes.vectors)
    earliest = np.full(len(boxes.length), last)
    np.minimum.at(earliest, number, state.of[boxes.member])
    # A class has an odd rank, a box the even one right before its first donor's.
    rank = np.where(state.classes.of == LEFT, LEFT, state.classes.of * 2 + 1)
    # Two boxes share no donor, and so no rank.
    rank[boxes.member] = earliest[number] * 2
    vectors = [vector for vector in state.classes.vectors for _ in range(2)]
    vectors += vectors[-1:] * 2
    for place, vector in zip(earliest.tolist(), boxes.vector.tolist(), strict=True):
        vectors[place * 2] = tuple(state.lattice.vectors[vector].tolist())
    return Classes(rank, vectors).renumber(rank)
