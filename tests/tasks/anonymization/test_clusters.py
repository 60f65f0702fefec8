"""Tables of nearly unique tuples: clusters stay classes when each tuple takes the first fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.policy.privacy_models import DistinctLDiversity
from tasks.anonymization.cluster_trades import improve
from tasks.anonymization.clusters import cluster, find_vectors, sort_classes
from tasks.anonymization.marks import Marks
from tasks.anonymization.requirement import Requirement
from tasks.anonymization.tuples import Tuples

FLAT = np.array([[0, 1, 2, 3], [0, 0, 0, 0]])
STEPS = np.array([[0, 1, 2, 3], [0, 0, 1, 1], [0, 0, 0, 0]])
PINNED = np.array([[0, 1, 2, 3]])

ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(1, 3)),
    min_size=1,
    max_size=25,
    unique_by=lambda row: row[:3],
)


def table(rows: Sequence[tuple[int, ...]], *groups: np.ndarray) -> Tuples:
    """Distinct tuples from rows of leaf codes with the people last."""
    values = np.array(sorted(rows), dtype=np.int64).T
    return Tuples(values[:-1], values[-1], groups)


def labels(tuples: Tuples, at: int, vector: tuple[int, ...]) -> tuple[int, ...]:
    """Labels of one tuple under a vector."""
    return tuple(
        int(groups[level, codes[at]])
        for groups, level, codes in zip(tuples.groups, vector, tuples.codes, strict=True)
    )


def first_fits(tuples: Tuples, of: np.ndarray, vectors: list[tuple[int, ...]]) -> list[int]:
    """Go through the classes in their order, for each tuple, as a reader of a plan would."""
    every = range(len(of))
    shown = [
        labels(tuples, next(t for t in every if of[t] == number), vector)
        for number, vector in enumerate(vectors)
    ]
    return [
        next((c for c, v in enumerate(vectors) if labels(tuples, t, v) == shown[c]), -1)
        for t in every
    ]


@given(rows=ROWS, k=st.integers(1, 6), middle=st.sampled_from([FLAT, STEPS, PINNED]))
def test_each_class_has_k_people_and_is_found_by_the_first_fit(
    rows: list[tuple[int, ...]], k: int, middle: np.ndarray
) -> None:
    """Nobody is in two classes, pinned labels stay, and too few are left over for another class."""
    tuples = table(rows, STEPS, middle, FLAT)

    found = cluster(tuples, Requirement(k, tuples.people))

    assert first_fits(tuples, found.of, found.vectors) == found.of.tolist()
    for number in range(len(found.vectors)):
        assert tuples.people[found.of == number].sum() >= k
    left = found.of == -1
    for pinned in np.unique(tuples.codes[1]) if middle is PINNED else [None]:
        here = left if pinned is None else left & (tuples.codes[1] == pinned)
        assert tuples.people[here].sum() < k


@given(rows=ROWS, k=st.integers(1, 4))
def test_a_class_that_tells_a_sensitive_value_is_none(rows: list[tuple[int, ...]], k: int) -> None:
    """Clusters that lack two values are joined with others, or left over."""
    tuples = table(rows, STEPS, STEPS, FLAT)
    values = np.arange(len(tuples.people)) // 3 % 2
    histogram = pd.DataFrame({"illness": values, "_people": tuples.people})
    models = {"illness": [DistinctLDiversity(l=2)]}
    number = np.arange(len(values))
    asked = Requirement.from_histogram(histogram, number, k, models)

    found = cluster(tuples, asked)

    assert first_fits(tuples, found.of, found.vectors) == found.of.tolist()
    for number_ in range(len(found.vectors)):
        assert len(set(values[found.of == number_])) == 2
    if len(set(values)) == 2 and tuples.people.sum() >= k:
        assert found.vectors


def test_similar_tuples_are_put_together() -> None:
    """Two groups that differ everywhere become two classes, each with all that it shares."""
    near = [(0, 0, n, 1) for n in range(4)]
    far = [(3, 2, n, 1) for n in range(4)]
    tuples = table([*near, *far], STEPS, STEPS, FLAT)

    found = cluster(tuples, Requirement(4, tuples.people))

    assert found.vectors == [(0, 0, 1)] * 2
    assert len(set(found.of[:4])) == len(set(found.of[4:])) == 1


def test_a_tuple_of_k_people_stays_as_it_is() -> None:
    """It needs nobody to hide among."""
    tuples = table([(0, 0, 0, 5), (0, 0, 1, 1), (3, 3, 3, 4)], STEPS, STEPS, FLAT)

    found = cluster(tuples, Requirement(5, tuples.people))

    assert (0, 0, 0) in found.vectors


def test_weights_say_which_column_is_kept() -> None:
    """Four people who agree in pairs on one column or on the other."""
    rows = [(0, 0, 0, 1), (0, 1, 0, 1), (1, 0, 0, 1), (1, 1, 0, 1)]
    tuples = table(rows, FLAT, FLAT, FLAT)
    asked = Requirement(2, tuples.people)

    first = cluster(replace(tuples, importance=(2.0, 1.0, 1.0)), asked)
    second = cluster(replace(tuples, importance=(1.0, 2.0, 1.0)), asked)

    assert first.vectors == [(0, 1, 0)] * 2
    assert second.vectors == [(1, 0, 0)] * 2


def test_one_column_is_enough() -> None:
    """Neighbours on a scale are put together."""
    tuples = table([(n, 1) for n in range(4)], STEPS)

    found = cluster(tuples, Requirement(2, tuples.people))

    assert found.vectors == [(1,), (1,)]


@pytest.mark.parametrize("people", [1, 3])
def test_equal_rows_are_one_class_or_too_few(people: int) -> None:
    """There is nothing to generalize."""
    tuples = table([(2, 2, people)], STEPS, FLAT)

    found = cluster(tuples, Requirement(3, tuples.people))

    assert found.vectors == ([(0, 0)] if people == 3 else [])


def test_no_rows_are_no_class() -> None:
    """An empty table has nobody to release."""
    tuples = Tuples(np.zeros((2, 0), np.int64), np.zeros(0, np.int64), (STEPS, FLAT))

    assert cluster(tuples, Requirement(3, tuples.people)).vectors == []


def test_pinned_columns_alone_are_grouped_by_their_values() -> None:
    """A value with k people is a class; a rarer one is left over."""
    tuples = table([(0, 3), (1, 1), (2, 4)], PINNED)

    found = cluster(tuples, Requirement(3, tuples.people))

    assert found.of.tolist() == [0, -1, 1]


def large(seed: int) -> Tuples:
    """Six hundred people of eight kinds in nine columns, with noise."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, 4, (8, 9))[random.integers(0, 8, 600)].T
    noise = random.random(kind.shape) < 0.3
    codes = np.where(noise, random.integers(0, 4, kind.shape), kind)
    distinct, people = np.unique(codes, axis=1, return_counts=True)
    return Tuples(distinct, people, (STEPS,) * 9)


def keeps(marks: Marks, of: np.ndarray) -> float:
    """What all clusters keep, by their members one by one."""
    total = 0.0
    for number in np.unique(of):
        ids = marks.id[of == number]
        same = (ids == ids[0]).all(axis=0)
        total += float(marks.worth[ids[0][same]].sum() * marks.people[of == number].sum())
    return total


def test_the_same_table_gives_the_same_classes() -> None:
    """Chance has no part in it."""
    tuples = large(1)
    asked = Requirement(5, tuples.people)

    one, two = cluster(tuples, asked), cluster(tuples, asked)

    assert one.vectors == two.vectors
    assert (one.of == two.of).all()


def test_trades_only_gain_and_leave_k_people_everywhere() -> None:
    """From clusters made in any order; with people of other corners never mixed."""
    tuples = large(2)
    many = len(tuples.people)
    corner = np.arange(many) % 2
    order = np.lexsort((tuples.codes[1], corner))
    of = np.empty(many, dtype=np.int64)
    for value in (0, 1):
        here = order[corner[order] == value]
        of[here] = np.minimum(np.arange(len(here)) // 5, len(here) // 5 - 1) + value * many
    of = np.unique(of, return_inverse=True)[1]
    marks = Marks.of(tuples, corner, 5)
    points = tuples.codes.T.astype(np.float32)

    better = improve(marks, points, of, 0)

    assert keeps(marks, better) > 1.2 * keeps(marks, of)
    assert np.bincount(better, tuples.people).min() >= 5
    assert all(len(set(corner[better == number])) == 1 for number in np.unique(better))


def test_a_class_goes_before_one_that_would_take_what_it_cannot_spare() -> None:
    """Tuple 0 of class 0 fits class 1 too, which keeps more: class 0 comes first all the same."""
    of, people = np.array([0, 0, 1, 1]), np.ones(4, dtype=np.int64)
    fits = (np.array([0, 0, 1, 2, 3]), np.array([0, 1, 0, 1, 1]))
    worth = np.array([1.0, 2.0])

    tight = sort_classes(of, people, np.array([0, 0]), worth, fits)
    free = sort_classes(of, people, np.array([0, 0]), worth, (np.arange(4), of))

    assert tight.tolist() == [0, 1]
    assert free.tolist() == [1, 0]


def test_the_finest_common_labels_are_found() -> None:
    """Per class and column; those in no class count nowhere."""
    tuples = table([(0, 0, 1), (1, 0, 1), (2, 1, 1), (3, 3, 1)], STEPS, FLAT)

    assert find_vectors(tuples, np.array([0, 0, 1, -1])) == [(1, 0), (0, 0)]
