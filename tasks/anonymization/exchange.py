"""Better classes from good ones: boxes that borrow from classes with people to spare.

The cover is greedy: a class that is found early keeps all its people, though a few of them would
complete a group whose members are otherwise released much coarser. Here such groups are looked
for, and set into the order of classes where they take exactly those people. A class that is left
with fewer than k is given up, if what its people lose elsewhere is less than what is gained.

Called by `tasks.anonymization.search` on the result of `tasks.anonymization.cover`; knows no
labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.anonymization.boxes import LEFT, Codes
from tasks.anonymization.lattice import Lattice, TupleGroups, find_groups
from tasks.anonymization.requirement import Requirement, settle
from tasks.anonymization.tuples import Classes, Losses, Tuples, join_ranges

ROUNDS = 2
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
    run = np.flatnonzero(np.diff(group, prepend=-1) | np.diff(of, prepend=-1))
    saved = np.add.reduceat(people * (state.own[groups.member] - groups.cost[group]), run)
    moved = np.add.reduceat(people, run)
    gain = saved - _give_up(state, groups.member, run, moved)
    end = np.searchsorted(group[run], np.arange(len(groups.length)), side="right")[group[run]]
    gain, taken = _sum_from(gain, end).round(9), _sum_from(moved, end)
    (able,) = np.nonzero((gain > 0) & (taken >= state.requirement.k))
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
    rank[boxes.member] = earliest[number] * 2
    vectors = [vector for vector in state.classes.vectors for _ in range(2)]
    vectors += vectors[-1:] * 2
    for place, vector in zip(earliest.tolist(), boxes.vector.tolist(), strict=True):
        vectors[place * 2] = tuple(state.lattice.vectors[vector].tolist())
    return Classes(rank, vectors).renumber(rank)
