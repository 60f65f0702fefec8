"""The cover: groups of equal labels become classes, cheapest first, and first fit finds them again.

The oracles are plain loops over dictionaries of labels.
"""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from expectations.policy.privacy_models import RecursiveLDiversity
from tasks.anonymization.fitting import rescue
from tasks.anonymization.lattice import Lattice, cover, find_groups, sort_by_labels
from tasks.anonymization.requirement import Requirement, settle
from tasks.anonymization.tuples import (
    LEFT,
    Boxes,
    Classes,
    Tuples,
    combine,
    common_vector,
    find_corners,
)
from tests.tasks.anonymization.recoded_tables import (
    AGE,
    SEX,
    UNION_MODELS,
    WARD,
    Case,
    cases,
    make_case,
)

FEW = settings(max_examples=40)
CASES = st.one_of(cases(), cases(UNION_MODELS))
ALL_VECTORS = list(itertools.product(range(AGE.depth), range(SEX.depth), range(WARD.depth)))


def group(case: Case, tuples: list[int], vector: tuple[int, ...]) -> list[list[int]]:
    """Put tuples of equal labels together."""
    found: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for each in tuples:
        found[case.label(each, vector)].append(each)
    return list(found.values())


def check(case: Case, classes: Classes) -> None:
    """Hold classes to the requirement, to one label in each column, and to the first fit."""
    assert sorted({*classes.of.tolist()} - {LEFT}) == list(range(len(classes.vectors)))
    shown = []
    for number, vector in enumerate(classes.vectors):
        members = np.flatnonzero(classes.of == number).tolist()
        (labels,) = {case.label(member, vector) for member in members}
        assert case.met(members)
        shown.append(labels)
    for tuple_, place in enumerate(classes.of.tolist()):
        fits = [
            number
            for number, vector in enumerate(classes.vectors)
            if case.label(tuple_, vector) == shown[number]
        ]
        assert place == (fits[0] if fits else LEFT)


@FEW
@given(case=CASES)
def test_every_class_holds_and_is_found_by_the_first_fit(case: Case) -> None:
    """A tuple is in the first class that has its labels, and in none only if none has them."""
    check(case, cover(case.tuples, case.requirement))


@FEW
@example(case=make_case(  # of which a group holds once others have left it
    {(0, 0, 0): [0, 2], (1, 0, 0): [0], (0, 2, 0): [1], (1, 2, 0): [1, 1], (2, 2, 0): [0, 2],
     (3, 2, 0): [0]}, 1, RecursiveLDiversity(c=1.0, l=2)))  # fmt: skip
@given(case=CASES)
def test_nobody_is_left_over_who_could_be_a_class(case: Case) -> None:
    """Under no vector have those who are left over a group that holds."""
    left = np.flatnonzero(cover(case.tuples, case.requirement).of == LEFT).tolist()

    for vector in ALL_VECTORS:
        assert not any(case.met(members) for members in group(case, left, vector))


@FEW
@given(case=CASES)
def test_what_can_stay_as_it_is_stays(case: Case) -> None:
    """A tuple that holds by itself is in a class that costs nothing."""
    classes = cover(case.tuples, case.requirement)

    for tuple_, place in enumerate(classes.of.tolist()):
        if case.met([tuple_]):
            assert case.cost(tuple_, classes.vectors[place]) == pytest.approx(0)


@FEW
@given(case=CASES)
def test_few_tuples_are_taken_one_group_at_a_time_cheapest_first(case: Case) -> None:
    """Each group that holds by itself, in the order of its cost, takes whom no earlier one took.

    Then the same of those who are left over, for as long as that takes anybody.
    """
    classes = cover(case.tuples, case.requirement)
    vectors = Lattice.of(case.tuples).vectors.tolist()
    taken: list[set[int]] = []
    before = -1
    while before != len(taken):
        before = len(taken)
        left = set(range(case.tuples.codes.shape[1])).difference(*taken)
        groups = [
            (round(case.cost(members[0], vector), 8), number, members)
            for number, vector in enumerate(vectors)
            for members in group(case, sorted(left), tuple(vector))
            if case.met(members)
        ]
        for _, _, members in sorted(groups):
            stay = [each for each in members if not any(each in own for own in taken)]
            if case.met(stay):
                taken.append(set(stay))

    found = [set(np.flatnonzero(classes.of == n).tolist()) for n in range(len(classes.vectors))]
    assert sorted(map(sorted, found)) == sorted(map(sorted, taken))


@FEW
@given(case=CASES)
def test_the_leftovers_join_the_last_classes(case: Case) -> None:
    """Afterwards only those are left whose pinned values too few share, or too alike."""
    classes = cover(case.tuples, case.requirement)
    rescue(case.tuples, case.requirement, classes)
    classes = classes.renumber(classes.of)
    corner = find_corners(case.tuples)

    check(case, classes)
    for value in set(corner.tolist()):
        here = np.flatnonzero(corner == value)
        assert (classes.of[here] == LEFT).any() == (not case.met(here.tolist()))


@FEW
@given(case=CASES)
def test_the_lattice_lists_each_useful_vector_once_and_what_it_costs(case: Case) -> None:
    """Every partition that some vector makes is made by a listed one, at the cost of a loop."""
    lattice, every = Lattice.of(case.tuples), list(range(case.tuples.codes.shape[1]))
    listed = [tuple(vector) for vector in lattice.vectors.tolist()]

    assert len(set(listed)) == len(listed)
    assert sorted(lattice.bound) == lattice.bound.tolist()
    made = [group(case, every, vector) for vector in listed]
    assert all(group(case, every, vector) in made for vector in ALL_VECTORS)
    number = np.arange(len(listed))
    for tuple_ in every[:3]:
        costs = [case.cost(tuple_, vector) for vector in listed]
        found = lattice.cost(number, np.full(len(listed), tuple_))
        assert found.tolist() == pytest.approx(costs, abs=1e-8)


@FEW
@given(case=CASES, some=st.sets(st.integers(0, 23), min_size=1))
def test_groups_are_those_of_equal_labels_that_hold(case: Case, some: set[int]) -> None:
    """At every vector, of the tuples asked about, exactly the groups that a loop finds."""
    lattice = Lattice.of(case.tuples)
    asked = [each for each in range(case.tuples.codes.shape[1]) if each in some] or [0]
    rest = np.array(asked)
    parts = [part.take(rest, axis=1) for part in case.tuples.parts()]
    found = find_groups(lattice, np.arange(len(lattice.vectors)), (rest, parts), case.requirement)
    members = np.split(found.member, np.cumsum(found.length)[:-1]) if len(found.length) else []
    got = {
        (vector, tuple(sorted(each.tolist())))
        for vector, each in zip(found.vector.tolist(), members, strict=True)
    }

    assert got == {
        (number, tuple(each))
        for number, vector in enumerate(lattice.vectors.tolist())
        for each in group(case, asked, tuple(vector))
        if case.met(each)
    }
    for cost, vector, each in zip(found.cost, found.vector, members, strict=True):
        assert cost == pytest.approx(case.cost(each[0], lattice.vectors[vector]), abs=1e-8)


FITS = st.lists(
    st.tuples(
        st.sets(st.integers(0, 3), min_size=1, max_size=3),
        st.sets(st.integers(0, 2), min_size=1, max_size=2),
    ),
    max_size=20,
)
LEAVES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=12)


def pack(classes: list[tuple[set[int], set[int]]]) -> Boxes:
    """Say in bits which leaves each class takes."""
    takes = [np.zeros((leaves, len(classes)), dtype=bool) for leaves in (4, 3)]
    for number, sets in enumerate(classes):
        for column, leaves in zip(takes, sets, strict=True):
            column[list(leaves), number] = True
    return Boxes.of(takes)


def find_first(classes: list[tuple[set[int], set[int]]], row: tuple[int, int], but: int) -> int:
    """Give the first class that takes all of a row's leaves, and is not this one."""
    for number, sets in enumerate(classes):
        if number != but and all(leaf in taken for leaf, taken in zip(row, sets, strict=True)):
            return number
    return LEFT


@given(classes=FITS, rows=LEAVES, but=st.integers(0, 19))
def test_the_first_class_that_fits_is_found(
    classes: list[tuple[set[int], set[int]]], rows: list[tuple[int, int]], but: int
) -> None:
    """Also the first beside one's own; there may be none."""
    boxes, codes = pack(classes), np.array(rows).T

    assert boxes.first(codes).tolist() == [find_first(classes, row, LEFT) for row in rows]
    if but < len(classes):
        other = boxes.first(codes, but=np.full(len(rows), but))
        assert other.tolist() == [find_first(classes, row, but) for row in rows]


@given(classes=FITS, rows=LEAVES, k=st.integers(1, 5), data=st.data())
def test_classes_that_fail_are_given_up_until_all_hold(
    classes: list[tuple[set[int], set[int]]],
    rows: list[tuple[int, int]],
    k: int,
    data: st.DataObject,
) -> None:
    """Their people go on to later classes, all failing ones at once, as often as it takes."""
    people = data.draw(st.lists(st.integers(1, 3), min_size=len(rows), max_size=len(rows)))
    place = settle(pack(classes), np.array(rows).T, Requirement(k, np.array(people)))
    gone: set[int] = set()
    while True:
        left = [(set(), set()) if n in gone else each for n, each in enumerate(classes)]
        expected = [find_first(left, row, LEFT) for row in rows]
        size = {
            n: sum(p for p, e in zip(people, expected, strict=True) if e == n)
            for n in set(expected)
        }
        bad = {n for n, people_ in size.items() if n != LEFT and people_ < k}
        if not bad:
            break
        gone |= bad

    assert place.tolist() == expected


@FEW
@given(case=CASES, some=st.sets(st.integers(0, 23), min_size=1))
def test_the_common_vector_is_the_finest_on_which_all_agree(case: Case, some: set[int]) -> None:
    """Column by column the lowest level at which the members have one label."""
    members = [each for each in range(case.tuples.codes.shape[1]) if each in some] or [0]
    (corner,) = group(case, members[:1], ALL_VECTORS[-1])
    members = [
        each
        for each in members
        if case.label(each, ALL_VECTORS[-1]) == case.label(corner[0], ALL_VECTORS[-1])
    ]
    agreed = [v for v in ALL_VECTORS if len(group(case, members, v)) == 1]

    finest = tuple(min(vector[column] for vector in agreed) for column in range(3))
    assert common_vector(case.tuples, np.array(members)) == finest


PARTS = st.integers(1, 6).flatmap(
    lambda rows: st.lists(
        st.lists(st.integers(0, 2**40), min_size=rows, max_size=rows), min_size=1, max_size=4
    )
)


@given(parts=PARTS)
def test_keys_are_equal_exactly_where_all_parts_are(parts: list[list[int]]) -> None:
    """Also where the product of the parts' sizes exceeds 64 bits."""
    key = combine([np.array(part) for part in parts]).tolist()
    rows = list(zip(*parts, strict=True))

    assert [key.index(k) for k in key] == [rows.index(row) for row in rows]
    assert 0 <= min(key) <= max(key) < 2**62


@FEW
@given(case=CASES)
def test_labels_too_many_for_a_key_are_sorted_as_well(case: Case) -> None:
    """Group codes too large to be packed side by side make the same groups."""
    parts, vectors = case.tuples.parts(), Lattice.of(case.tuples).vectors
    wide = [np.where(part == part.max(), 2**40, part) for part in parts]
    place, start = sort_by_labels(wide, vectors)
    runs = [frozenset(run.tolist()) for run in np.split(place, start[1:])]
    every = list(range(case.tuples.codes.shape[1]))

    assert sorted(map(sorted, runs)) == sorted(
        sorted(each) for vector in vectors.tolist() for each in group(case, every, tuple(vector))
    )


def test_a_column_of_one_value_costs_nothing() -> None:
    """It has no coarser level that would hide anything."""
    tuples = Tuples(np.array([[0, 1]]), np.array([1, 1]), (AGE.groups,))
    single = Tuples(np.array([[3, 3]]), np.array([1, 1]), (AGE.groups,))

    assert single.levels() == [[0]]
    assert tuples.levels() == [[0, 1]]
    assert [loss.max() for loss in single.losses()] == [0]
