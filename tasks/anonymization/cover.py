"""The cheapest-first cover: classes found from the least generalization on, each where it is due.

Called by `tasks.anonymization.search`; knows no labels.
"""

from __future__ import annotations

import numpy as np

from tasks.anonymization.boxes import LEFT
from tasks.anonymization.lattice import Lattice, TupleGroups, find_groups
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.tuples import Classes, Tuples

BLOCK = 1 << 16
"""Pairs of a vector and a tuple that are looked at together: they should fit a core's cache."""


def cover(tuples: Tuples, requirement: Requirement) -> Classes:
    """Cheapest-first cover.

    From the vector with the least loss on, tuples not yet released are grouped by their labels;
    a group that meets the requirement is released when its turn comes: when it costs no more than
    the vectors that are still to be looked at cost the cheaper quarter of the tuples. What no
    vector could release (fewer than k people, or a pinned value that is too rare) is `LEFT`. A
    group that is too small never grows again, so each is seen once.
    """
    lattice, rest = Lattice.of(tuples), np.arange(tuples.codes.shape[1])
    classes, held, seen = Classes(np.full(len(rest), LEFT)), None, 0
    parts, vectors = tuples.parts(), lattice.vectors
    while seen < len(vectors) and tuples.people[rest].sum() >= requirement.k:
        numbers = np.arange(seen, min(seen + max(1, BLOCK // len(rest)), len(vectors)))
        seen += len(numbers)
        found = find_groups(lattice, numbers, (rest, parts), requirement)
        found = found if held is None else held + found
        due = found.cost <= (lattice.bound[seen] if seen < len(vectors) else np.inf)
        _release(found.where(due), lattice, classes, requirement)
        held = found.where(~due)
        stay = np.flatnonzero(classes.of[rest] == LEFT)
        rest, parts = rest[stay], [part.take(stay, axis=1) for part in parts]
    return classes


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
    while open_.any():
        group, member = group[open_], member[open_]
        people = requirement.people[member]
        first[member] = len(order)
        np.minimum.at(first, member, group)
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
        open_ = ~sure & ~small[group] & (classes.of[member] == LEFT)
