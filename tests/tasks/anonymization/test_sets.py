"""Classes as sets of values: cut and exchanged, valid, and found again by the first fit."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.anonymization import k_anonymize
from tasks.anonymization.fitting import rescue
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.lattice import cover
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.sets import refine_sets
from tasks.anonymization.tuples import LEFT, Codes, Tuples
from tests.tasks.anonymization.recoded_tables import MODELS, UNION_MODELS, Case, cases

CASES = st.one_of(cases(), cases(UNION_MODELS), cases(MODELS))


def start(case: Case) -> Codes:
    """Find the classes of a hierarchy, those who are left over joined to others."""
    classes = cover(case.tuples, case.requirement)
    rescue(case.tuples, case.requirement, classes)
    return classes.renumber(classes.of).of


def collect(case: Case, of: Codes) -> dict[int, list[set[int]]]:
    """Collect the values that each class has, per column."""
    numbers = sorted({*of.tolist()} - {LEFT})
    return {
        number: [set(codes[of == number].tolist()) for codes in case.tuples.codes]
        for number in numbers
    }


def lose(case: Case, of: Codes) -> float:
    """Sum over people and columns (values in the set - 1) / (values of the data - 1)."""
    lost = 0.0
    for number, sets in collect(case, of).items():
        people = int(case.tuples.people[of == number].sum())
        for codes, values in zip(case.tuples.codes, sets, strict=True):
            lost += people * (len(values) - 1) / max(len(set(codes.tolist())) - 1, 1)
    return lost


def fits(case: Case, tuple_: int, sets: list[set[int]]) -> bool:
    """Say whether the sets hold all of a tuple's values."""
    columns = zip(case.tuples.codes[:, tuple_], sets, strict=True)
    return all(leaf in values for leaf, values in columns)


@given(case=CASES)
def test_classes_hold_and_each_tuple_is_in_the_first_that_it_fits(case: Case) -> None:
    """Whoever had a class has one that meets what is asked, models included."""
    before = start(case)
    if (before == LEFT).all():
        return
    of = refine_sets(case.tuples, case.requirement, before)
    sets = collect(case, of)

    for number in sets:
        assert case.met(np.flatnonzero(of == number).tolist())
    for tuple_, place in enumerate(of.tolist()):
        found = [number for number, values in sets.items() if fits(case, tuple_, values)]
        assert place == (found[0] if found else LEFT)


@given(case=CASES)
def test_sets_lose_no_more_than_the_classes_that_they_came_from(case: Case) -> None:
    """As long as the same people are released."""
    before = start(case)
    if (before == LEFT).all():
        return
    of = refine_sets(case.tuples, case.requirement, before)
    if ((of == LEFT) == (before == LEFT)).all():
        assert lose(case, of) <= lose(case, before) + 1e-9


@given(case=CASES)
def test_nobody_loses_their_class(case: Case) -> None:
    """Who was released with labels is released with sets."""
    before = start(case)
    if (before == LEFT).all():
        return
    of = refine_sets(case.tuples, case.requirement, before)

    assert not ((of == LEFT) & (before != LEFT)).any()


def test_a_class_is_cut_where_no_hierarchy_would() -> None:
    """Four different numbers become two sets of neighbours, where labels know only `*`."""
    people = pd.DataFrame({"a": [1, 2, 8, 9]})
    labels = k_anonymize(people, ["a"], 2)
    sets = k_anonymize(people, ["a"], 2, output="sets")

    assert labels.frame["a"].tolist() == ["*"] * 4
    assert sets.frame["a"].tolist() == ["1~2", "1~2", "8~9", "8~9"]


def test_an_odd_tuple_moves_to_where_its_values_are_no_news() -> None:
    """The class that it leaves has people to spare, and says more of them afterwards."""
    codes = np.array([[0, 1, 1, 2], [0, 1, 0, 1]])
    people = np.array([2, 1, 1, 1])
    groups = tuple(Hierarchy.flat("a", "xyz").groups for _ in codes)
    tuples = Tuples(codes, people, groups)
    of = refine_sets(tuples, Requirement(2, people), np.array([0, 0, 1, 1]))

    assert of.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("output", ["hierarchy", "sets"])
def test_classes_are_held_to_the_table_that_is_released(
    output: Literal["hierarchy", "sets"],
) -> None:
    """Two people of the west are left out; without them, the east is too far from the rest."""
    wards = {"north": "xy" * 50, "east": "xxxy", "west": "xx"}
    rows = [(ward, value) for ward, values in wards.items() for value in values]
    made = k_anonymize(
        pd.DataFrame(rows, columns=["ward", "illness"]),
        ["ward"],
        3,
        hierarchies={"ward": Hierarchy.pinned("ward", list(wards))},
        sensitive="illness",
        t_closeness=0.235,
        max_suppressed=0.1,
        output=output,
    )

    assert set(made.frame["ward"]) == {"north"}
