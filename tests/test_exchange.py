"""Exchanges between classes: less loss or none, and every class as valid as before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recoded_tables import UNION_MODELS, Case, cases
from test_cover import check

from tasks.anonymization.boxes import LEFT
from tasks.anonymization.cover import cover
from tasks.anonymization.exchange import exchange
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.tuples import Classes, Tuples

CASES = st.one_of(cases(), cases(UNION_MODELS))


def lose(case: Case, classes: Classes) -> float:
    """Sum what each tuple's people lose; one that is left over loses all."""
    lost = 0.0
    for tuple_, place in enumerate(classes.of.tolist()):
        cost = 1.0 if place == LEFT else case.cost(tuple_, classes.vectors[place])
        lost += cost * float(case.tuples.people[tuple_])
    return lost


@settings(max_examples=150)
@given(case=CASES)
def test_an_exchange_never_costs_more(case: Case) -> None:
    """What the people lose together is at most what they lost before."""
    before = cover(case.tuples, case.requirement)
    after = exchange(case.tuples, case.requirement, before)

    assert lose(case, after) <= lose(case, before) + 1e-6


@settings(max_examples=60)
@given(case=CASES)
def test_classes_stay_valid_and_in_their_order(case: Case) -> None:
    """Each meets the requirement, has one label in each column, and is found by the first fit."""
    classes = exchange(case.tuples, case.requirement, cover(case.tuples, case.requirement))

    check(case, classes)


@settings(max_examples=60)
@given(case=CASES)
def test_the_classes_that_were_given_stay_as_they_are(case: Case) -> None:
    """An exchange makes new ones."""
    classes = cover(case.tuples, case.requirement)
    of, vectors = classes.of.tolist(), list(classes.vectors)
    exchange(case.tuples, case.requirement, classes)

    assert (classes.of.tolist(), classes.vectors) == (of, vectors)


def test_a_class_with_people_to_spare_completes_another_group() -> None:
    """Two of the six a's, whom their class can spare, save the b's from the root.

    The cover releases "a" by itself, since that costs nothing; the one "b" then has only the root.
    """
    word = Hierarchy("word", (("a", "ab", "*"), ("b", "ab", "*"), ("c", "c", "*"), ("d", "d", "*")))
    side = Hierarchy.flat("side", ["l", "r"])
    codes = np.array([[0, 0, 1, 2, 3], [0, 1, 1, 1, 1]])
    people = np.array([4, 2, 1, 1, 1])
    tuples = Tuples(codes, people, (word.groups, side.groups))
    requirement = Requirement(2, people)
    values = [[0] * int(many) for many in people]
    case = Case(tuples, requirement, values)
    before = cover(tuples, requirement)
    after = exchange(tuples, requirement, before)

    assert lose(case, after) <= lose(case, before)
    check(case, after)


def test_nobody_and_no_class_are_left_as_they_are() -> None:
    """Nothing can be exchanged where nobody is in a class."""
    word = Hierarchy.pinned("word", ["a", "b"])
    people = np.array([1, 1])
    tuples = Tuples(np.array([[0, 1]]), people, (word.groups,))
    classes = exchange(tuples, Requirement(2, people), Classes(np.full(2, LEFT)))

    assert classes.of.tolist() == [LEFT, LEFT]
    assert classes.vectors == []
    assert pytest.approx(0) == len(classes.vectors)
