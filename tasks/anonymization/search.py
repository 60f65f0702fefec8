"""Which search finds the classes of a table, and what becomes of people whom it left over."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tasks.anonymization.balance import balance
from tasks.anonymization.boxes import LEFT, Codes
from tasks.anonymization.clusters import cluster
from tasks.anonymization.cover import cover
from tasks.anonymization.exchange import exchange
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.tuples import Classes, Tuples, common_vector, find_corners

LISTABLE = 200_000
"""The most vectors of levels that are listed; of more, columns are not combined exhaustively."""


def search(
    tuples: Tuples, requirement: Requirement, max_suppressed: float, *, refine: bool = True
) -> Classes:
    """Find classes that meet the requirement, with little loss.

    Those who are left over are a share of at most `max_suppressed`, or whom no class could take
    in. `refine` exchanges people between classes, which pays for labels and not for sets.
    """
    found = list(_find_candidates(tuples, requirement, refine=refine))
    for classes in found:
        if classes.left(tuples) > max_suppressed:
            rescue(tuples, requirement, classes)
    return min(found, key=lambda classes: tuples.lose(classes) @ tuples.people)


def _find_candidates(
    tuples: Tuples, requirement: Requirement, *, refine: bool
) -> Iterator[Classes]:
    """Try the searches that suit the table; under a privacy model neither is always the better."""
    if math.prod(map(len, tuples.levels())) > LISTABLE:
        yield balance(tuples, requirement) if requirement.compares else cluster(tuples, requirement)
        return
    for find in (cover, balance) if requirement.sensitive else (cover,):
        classes = find(tuples, requirement)
        yield exchange(tuples, requirement, classes) if refine else classes


def rescue(tuples: Tuples, requirement: Requirement, classes: Classes) -> None:
    """Let those who are left over join the last classes that pinned columns allow.

    Afterwards only those are left whom no class with their pinned values could take in: too few
    people share those, or too few kinds of them for a privacy model.
    """
    corner = find_corners(tuples)
    for value in np.unique(corner[classes.of == LEFT]):
        here = np.flatnonzero(corner == value)
        _merge(tuples, requirement, classes, here)


def _merge(tuples: Tuples, requirement: Requirement, classes: Classes, here: Codes) -> None:
    """Put the left over of one corner together with as few of its last classes as will do.

    The last classes are taken because their members fit no class after them.
    """
    numbers = np.unique(classes.of[here])
    numbers = numbers[numbers != LEFT]
    for taken in _ever_more(len(numbers)):
        some = np.append(numbers[len(numbers) - taken :], LEFT)
        members = here[np.isin(classes.of[here], some)]
        if requirement.met(members, np.zeros_like(members), 1)[0]:
            classes.add(members, common_vector(tuples, members))
            return


def _ever_more(most: int) -> list[int]:
    """Give how many classes are taken in, at first none, at last all of them."""
    doubled = [0, *(2**n for n in range(most.bit_length()))]
    return [*(number for number in doubled if number < most), most]
