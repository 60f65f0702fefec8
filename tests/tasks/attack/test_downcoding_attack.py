"""What the recoding's rules betray is deduced, and nothing that is not so.

The oracle lists all combinations of values and carries the rules out one person at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.disclosure import Published
from expectations.policy.privacy_models import DistinctLDiversity, PrivacyModel, TCloseness
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.downcoding import (
    Downcoding,
    Minimality,
    confirm,
    downcode,
    find_withheld,
    judge_downcoding,
    judge_minimality,
)
from tasks.attack.homogeneity import SetMembers, count_members, judge_sets
from tasks.attack.released import People, Release, read_release

PARTS = {
    "a": {"*": "1234", "lo": "12", "hi": "34"},
    "b": {"*": "xyz", "x": "x", "y": "y", "z": "z"},
}
LEVELS = {
    "a": [
        {v: v for v in "1234"},
        {"1": "lo", "2": "lo", "3": "hi", "4": "hi"},
        dict.fromkeys("1234", "*"),
    ],
    "b": [{v: v for v in "xyz"}, dict.fromkeys("xyz", "*")],
}
VECTORS = sorted(
    product(range(3), range(2)), key=lambda vector: (vector[0] / 2 + vector[1], vector)
)
Row = tuple[str, str]


def label(row: Row, vector: tuple[int, int]) -> Row:
    """Generalize one person's values."""
    return LEVELS["a"][vector[0]][row[0]], LEVELS["b"][vector[1]][row[1]]


def cover(rows: list[Row], k: int) -> tuple[list[Row | None], list[Row]]:
    """Release each group of k at the cheapest vector; give all labels, and classes in order."""
    labels: list[Row | None] = [None] * len(rows)
    classes: list[Row] = []
    for vector in VECTORS:
        groups: dict[Row, list[int]] = {}
        for place, row in enumerate(rows):
            if labels[place] is None:
                groups.setdefault(label(row, vector), []).append(place)
        for made, members in sorted(groups.items()):
            if len(members) >= k:
                classes.append(made)
                for place in members:
                    labels[place] = made
    return labels, classes


def read(rows: list[Row], labels: list[Row | None], k: int) -> tuple[Release, People]:
    """Read the released rows and the people, of whom some are left out."""
    people = pd.DataFrame(rows, columns=["a", "b"])
    kept = [place for place, made in enumerate(labels) if made is not None]
    released = pd.DataFrame([labels[place] for place in kept], columns=["a", "b"], index=kept)
    return read_release(released, people, ["a", "b"], k=k, coverage=PARTS)


def rank(release: Release, classes: list[Row]) -> np.ndarray:
    """Give each class its place in the order in which classes were made."""
    texts = [
        column.labels[codes] for column, codes in zip(release.columns, release.rows, strict=True)
    ]
    return np.array([classes.index(pair) for pair in zip(*texts, strict=True)])


def covered(column: str, made: str) -> str:
    """Give the values that a label covers."""
    return PARTS[column].get(made, made)


def truly_possible(rows: list[Row], made: Row, before: list[Row]) -> list[set[str]]:
    """Give the values, column by column, that a class's people can have, by listing them all.

    Of the values that occur in the data at all, for the attack knows those.
    """
    seen = [{row[at] for row in rows} for at in range(2)]
    left = [
        values
        for values in product(covered("a", made[0]), covered("b", made[1]))
        if all(value in known for value, known in zip(values, seen, strict=True))
        and not any(
            values[0] in covered("a", one[0]) and values[1] in covered("b", one[1])
            for one in before
        )
    ]
    return [{values[at] for values in left} for at in range(2)]


tables = st.lists(
    st.tuples(st.sampled_from("1234"), st.sampled_from("xyz")), min_size=4, max_size=30
)


@pytest.mark.parametrize("ordered", [False, True], ids=["nested", "ordered"])
@given(rows=tables, k=st.integers(2, 4))
def test_no_deduction_is_false(rows: list[Row], k: int, ordered: bool) -> None:
    """Nobody's own value is ruled out, nor one that listing all combinations leaves."""
    labels, classes = cover(rows, k)
    if not classes:
        return
    release, people = read(rows, labels, k)
    order = rank(release, classes)
    found = downcode(release, PARTS, order if ordered else None)
    kept = confirm(found, release, people, PARTS)
    assert (kept.narrowed == found.narrowed).all()
    assert (kept.split == found.split).all()
    values = people.codes
    for at, column in enumerate(release.columns):
        inside = people.own >= 0
        assert found.possible[at][people.own[inside], values[at, inside]].all()
        for number, place in enumerate(order.tolist()):
            left = set(column.known[found.possible[at][number]])
            assert left >= truly_possible(rows, classes[place], classes[:place])[at]


@given(rows=tables, k=st.integers(2, 4))
def test_every_part_of_a_split_class_has_fewer_than_k(rows: list[Row], k: int) -> None:
    """In one column, one level below, each part that is possible has 1 to k - 1 people."""
    labels, classes = cover(rows, k)
    if not classes:
        return
    release, _ = read(rows, labels, k)
    found = downcode(release, PARTS)
    for number, place in enumerate(rank(release, classes).tolist()):
        members = [row for row, made in zip(rows, labels, strict=True) if made == classes[place]]
        small = []
        for at, column in enumerate(release.columns):
            finer = LEVELS["ab"[at]][1 if (at, classes[place][at]) == (0, "*") else 0]
            parts = Counter(finer[row[at]] for row in members)
            possible = {finer[value] for value in column.known[found.possible[at][number]]}
            small.append(len(parts) > 1 and max(parts.values()) < k and set(parts) == possible)
        assert not found.split[number] or any(small)


def deduce(rows: list[Row], k: int) -> tuple[Downcoding, Release]:
    """Recode and attack."""
    release, _ = read(rows, cover(rows, k)[0], k)
    return downcode(release, PARTS), release


def test_a_coarse_class_lost_what_its_finer_neighbour_holds() -> None:
    """Three people are released as `1`, so nobody under `*` beside them can be."""
    found, release = deduce([("1", "x")] * 3 + [("2", "x"), ("3", "x"), ("4", "x")], 3)
    (column,) = release.place(["a"])
    coarse = release.columns[column].labels.get_loc("*")
    (number,) = np.flatnonzero(release.rows[column] == coarse)
    assert list(release.columns[column].known[found.possible[column][number]]) == ["2", "3", "4"]
    assert found.narrowed[column, number]
    assert (found.cells, found.people) == (0.25, 0.5)


def test_a_class_too_large_for_its_parts_betrays_them() -> None:
    """Four people of four in two parts of at most two: k = 3, and two are surely alike."""
    found, _ = deduce([("1", "x"), ("2", "x")] * 2, 3)
    assert found.split.tolist() == [True]
    assert judge_downcoding("partner", found, 0.5).verdict is CheckVerdict.WARNED
    pure, _ = deduce([("1", "x")] * 4, 3)
    assert not pure.split.any()
    assert judge_downcoding("partner", pure, 0.0).verdict is CheckVerdict.PASSED


def test_a_rule_that_was_not_kept_rules_nobody_out() -> None:
    """Where a class would have nobody left, its labels are believed."""
    people = pd.DataFrame({"a": ["1", "1", "2", "2", "1", "2"], "b": list("xxxxxx")})
    released = people.assign(a=["1", "1", "2", "2", "lo", "lo"])
    release, _ = read_release(released, people, ["a", "b"], k=2, coverage=PARTS)
    assert not downcode(release, PARTS).narrowed.any()


def test_a_deduction_that_is_false_of_the_people_is_dropped() -> None:
    """Somebody of value 1 was released under `lo` beside `1`: a rule that was not first fit."""
    people = pd.DataFrame({"a": ["1", "1", "1", "2"], "b": list("xxxx")})
    released = people.assign(a=["1", "1", "lo", "lo"])
    table = read_release(released, people, ["a", "b"], k=2, coverage=PARTS)
    found = downcode(table[0], PARTS)
    assert found.narrowed.any()
    kept = confirm(found, *table, PARTS)
    assert not kept.narrowed.any()
    assert (kept.cells, kept.people) == (0.0, 0.0)
    assert kept.split.tolist() == found.split.tolist() == [False, False]


def test_a_class_that_was_coarser_than_k_asks_is_not_split() -> None:
    """Four of value 1 were released under `lo` for no reason: no part of it has fewer than k."""
    people = pd.DataFrame({"a": list("1111222"), "b": list("xxxxyyy")})
    released = people.assign(a=["lo"] * 4 + ["2"] * 3)
    table = read_release(released, people, ["a", "b"], k=3, coverage=PARTS)
    found = downcode(table[0], PARTS)
    assert found.split.any()
    assert not confirm(found, *table, PARTS).split.any()


TWO = [DistinctLDiversity(l=2)]


def withhold(
    secret: str, models: Sequence[PrivacyModel], k: int = 2, values: str = "1122"
) -> Minimality:
    """Release people of these values as one class, and look for finer ones that were withheld."""
    people = pd.DataFrame({"a": list(values), "b": list("x" * len(values))})
    table = read_release(people.assign(a="lo"), people, ["a", "b"], k=k, coverage=PARTS)
    return find_withheld(*table, pd.Series(list(secret)), models, PARTS)


def test_a_class_kept_coarse_for_a_value_tells_it() -> None:
    """Two of `1` share the value s, so l = 2 forbade their class; only s occurs twice there."""
    found = withhold("sstu", TWO)
    assert found.withheld.tolist() == found.certain.tolist() == [True, True, False, False]
    assert found.precision == 0.5
    assert withhold("sst", TWO, values="112").precision == 1.0
    both = withhold("sstt", TWO)
    assert both.withheld.all()
    assert not both.deduced.any()


def test_a_deduction_may_be_false() -> None:
    """The three of `1` and the three of `2` look alike; only those of `1` are."""
    found = withhold("sssstu", TWO, k=3, values="111222")
    assert found.deduced.all()
    assert found.certain.tolist() == [True] * 3 + [False] * 3
    told = judge_minimality("s", "partner", found, Published(None, 10), TWO).measured
    assert "The guess is right for fewer than 10 people; too few are guessed" in told


def test_beside_a_deduction_stands_what_a_guess_would_reach() -> None:
    """Else a share of right deductions tells a reader neither much nor little."""
    found = Minimality(*(np.array([True] * 100),) * 2, np.arange(100) < 52, np.arange(100) < 40)
    told = judge_minimality("s", "partner", found, Published(50, 10), TWO).measured
    assert "right for about 50 people, 50 % of all whose value is guessed so" in told
    assert "guessed without the table, is right for 40 % of them" in told
    assert "right 10 percentage points more often" in told


@pytest.mark.parametrize(
    ("secret", "models"),
    [
        pytest.param("stst", TWO, id="both-parts-meet-it"),
        pytest.param("sstu", [], id="nothing-was-asked"),
        pytest.param("sttt", [TCloseness(t=0.5)], id="near-enough"),
        pytest.param("ssst", [TCloseness(t=0.5)], id="near-enough-to-the-other-side"),
    ],
)
def test_what_no_model_forbade_was_withheld_for_another_reason(
    secret: str, models: list[PrivacyModel]
) -> None:
    """So it tells nothing of the sensitive column."""
    found = withhold(secret, models)
    assert not found.withheld.any()
    assert not found.certain.any()
    assert found.precision == 0.0


def test_a_class_of_one_part_was_not_withheld() -> None:
    """All of it lies together one level below, so nothing finer was kept back."""
    assert not withhold("sss", TWO, values="111").withheld.any()


def test_other_models_make_a_value_likelier_and_not_certain() -> None:
    """Two of `1` are farther from the table than t allows, the two of `2` as well."""
    found = withhold("sstt", [TCloseness(t=0.4)])
    assert found.withheld.all()
    assert not found.certain.any()
    ordered = withhold("1239", [TCloseness(t=0.4, distance="ordered")])
    assert not ordered.withheld.any()
    assert withhold("1239", [TCloseness(t=0.3, distance="ordered")]).withheld.all()


def test_minimality_is_told_without_counts_of_people() -> None:
    """A finer class of fewer than k was never due, so it tells nothing."""
    found = withhold("sstu", TWO, k=3)
    check = judge_minimality("s", "partner", found, Published(None, 10), TWO)
    assert check.verdict is CheckVerdict.PASSED
    assert check.measured == "no class was made coarser because of it"
    told = judge_minimality("s", "partner", withhold("sstu", TWO), Published(None, 10), TWO)
    assert told.verdict is CheckVerdict.WARNED
    assert "ask for a larger l of s" in told.remedy
    close = judge_minimality("s", "partner", found, Published(None, 10), [TCloseness(t=0.2)])
    assert "ask for less of s" in close.remedy


def hold_sets(a: str, labels: str, k: int) -> SetMembers:
    """Release people of these values as one class under a set."""
    people = pd.DataFrame({"a": list(a), "b": list("x" * len(a))})
    coverage = {"a": {labels: labels.split("~")}}
    release, _ = read_release(people.assign(a=labels), people, ["a", "b"], k=k, coverage=coverage)
    return count_members(release)


@pytest.mark.parametrize(
    ("values", "label", "k", "few", "single"),
    [
        pytest.param("123", "1~2~3", 3, True, True, id="one-each"),
        pytest.param("112", "1~2", 3, True, False, id="one-or-two-each"),
        pytest.param("1112", "1~2", 3, False, False, id="up-to-k"),
        pytest.param("111", "1", 3, False, False, id="all-alike"),
    ],
)
def test_a_set_tells_that_each_of_its_values_is_somebodys(
    values: str, label: str, k: int, few: bool, single: bool
) -> None:
    """Of n people in m values each has one to n - m + 1, and where m is n exactly one."""
    found = hold_sets(values, label, k)
    assert (found.few.tolist(), found.single.tolist()) == ([few], [single])
    verdict = judge_sets("partner", found, Published(None, 10)).verdict
    assert verdict is (CheckVerdict.WARNED if few else CheckVerdict.PASSED)


def name_set(values: pd.Series[str]) -> str:
    """Spell the set of some values."""
    return "~".join(sorted(set(values)))


@given(rows=tables, k=st.integers(2, 4))
def test_what_sets_tell_is_true(rows: list[Row], k: int) -> None:
    """Of each class of any k-anonymous table whose labels are made the sets that it has."""
    labels, classes = cover(rows, k)
    if not classes:
        return
    people = pd.DataFrame(rows, columns=["a", "b"])
    kept = people[[made is not None for made in labels]]
    number = pd.Series([classes.index(made) for made in labels if made is not None], kept.index)
    shown = pd.DataFrame({
        c: number.map({one: name_set(kept[c][number == one]) for one in set(number)}) for c in "ab"
    })  # fmt: skip
    release, own = read_release(
        shown, people, ["a", "b"], k=k,
        coverage={c: {label: label.split("~") for label in shown[c]} for c in "ab"},
    )  # fmt: skip
    found = count_members(release)
    for row in range(len(release.people)):
        members = kept.iloc[np.flatnonzero(own.own[own.own >= 0] == row)]
        sizes = [members[column].value_counts() for column in "ab"]
        small = [size.max() < k for size in sizes if len(size) > 1]
        assert not found.few[row] or any(small)
        assert found.single[row] == any(size.max() == 1 < len(size) for size in sizes)
