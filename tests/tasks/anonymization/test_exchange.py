"""Exchanges between classes: less loss or none, and every class as valid as before."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.lattice import cover, exchange
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.tuples import LEFT, Classes, Tuples
from tests.tasks.anonymization.recoded_tables import UNION_MODELS, Case, cases
from tests.tasks.anonymization.test_cover import check

CASES = st.one_of(cases(), cases(UNION_MODELS))


def lose(case: Case, classes: Classes) -> float:
    """Sum what each tuple's people lose; one that is left over loses all."""
    lost = 0.0
    for tuple_, place in enumerate(classes.of.tolist()):
        cost = 1.0 if place == LEFT else case.cost(tuple_, classes.vectors[place])
        lost += cost * float(case.tuples.people[tuple_])
    return lost


@given(case=CASES)
def test_an_exchange_never_costs_more(case: Case) -> None:
    """What the people lose together is at most what they lost before."""
    before = cover(case.tuples, case.requirement)
    after = exchange(case.tuples, case.requirement, before)

    assert lose(case, after) <= lose(case, before) + 1e-6


@given(case=CASES)
def test_classes_stay_valid_and_in_their_order(case: Case) -> None:
    """Each meets the requirement, has one label in each column, and is found by the first fit."""
    classes = exchange(case.tuples, case.requirement, cover(case.tuples, case.requirement))

    check(case, classes)


@given(case=CASES)
def test_the_classes_that_were_given_stay_as_they_are(case: Case) -> None:
    """An exchange makes new ones."""
    classes = cover(case.tuples, case.requirement)
    of, vectors = classes.of.tolist(), list(classes.vectors)
    exchange(case.tuples, case.requirement, classes)

    assert (classes.of.tolist(), classes.vectors) == (of, vectors)


def test_a_class_is_given_up_where_it_saves_more_elsewhere() -> None:
    """The cover keeps "d" as it is, which leaves the two c's out; together both are released."""
    word = Hierarchy(
        "word", tuple((leaf, up, "*") for leaf, up in zip("abcd", "xxyy", strict=True))
    )
    people = np.array([1, 2, 2, 3])
    tuples = Tuples(np.array([[0, 1, 2, 3]]), people, (word.groups,))
    before = cover(tuples, Requirement(3, people))
    after = exchange(tuples, Requirement(3, people), before)

    assert before.of.tolist() == [1, 1, LEFT, 0]
    assert after.of[0] == after.of[1] != after.of[2] == after.of[3]
    assert after.vectors == [(1,), (1,)]


def test_nobody_and_no_class_are_left_as_they_are() -> None:
    """Nothing can be exchanged where nobody is in a class."""
    word = Hierarchy.pinned("word", ["a", "b"])
    people = np.array([1, 1])
    tuples = Tuples(np.array([[0, 1]]), people, (word.groups,))
    classes = exchange(tuples, Requirement(2, people), Classes(np.full(2, LEFT)))

    assert classes.of.tolist() == [LEFT, LEFT]
    assert classes.vectors == []
