"""Tables crossed by who is in them: counted here by sets and dictionaries."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.measures.crossings import PeopleInClasses, breaks_models, find_singled_out
from expectations.policy.privacy_models import DistinctLDiversity

K = 3
Table = dict[int, int]
"""The class of each person of a table."""


def see(table: Table, k: int = K) -> PeopleInClasses:
    """Give a table as it is measured."""
    people = np.array(sorted(table), dtype=np.uint64)
    return PeopleInClasses(people, np.array([table[one] for one in sorted(table)]), k)


def single_out(table: Table, others: list[Table], k: int = K) -> set[int]:
    """Find who shares all classes of two or three tables with fewer than k people."""
    found = set()
    for some in [*combinations(others, 1), *combinations(others, 2)]:
        cells = {
            person: (table[person], *(one[person] for one in some))
            for person in table
            if all(person in one for one in some)
        }
        sizes = Counter(cells.values())
        found |= {person for person, cell in cells.items() if sizes[cell] < k}
    return found


tables = st.dictionaries(st.integers(0, 20), st.integers(0, 2), max_size=20)


@given(tables, st.lists(tables, max_size=4))
def test_who_is_singled_out_is_found(table: Table, others: list[Table]) -> None:
    """By two tables or by three, and nobody else."""
    marked = find_singled_out(see(table), [see(one) for one in others])
    assert {person for person, one in zip(sorted(table), marked, strict=True) if one} == single_out(
        table, others
    )


def test_three_tables_single_out_whom_two_do_not() -> None:
    """Each two leave classes of two together, all three leave everybody alone."""
    one = {n: n & 1 for n in range(8)}
    two, three = {n: n >> 1 & 1 for n in range(8)}, {n: n >> 2 for n in range(8)}
    assert not find_singled_out(see(one, 2), [see(two, 2)]).any()
    assert find_singled_out(see(one, 2), [see(two, 2), see(three, 2)]).all()


def test_the_larger_k_counts() -> None:
    """Of three in a cell, a table that asks for four is not met."""
    table = dict.fromkeys(range(3), 0)
    assert not find_singled_out(see(table, 3), [see(table, 3)]).any()
    assert find_singled_out(see(table, 3), [see(table, 4)]).all()


MIXED, APART = (0, 1, 0, 0, 1, 0), (0, 0, 0, 1, 1, 1)


@pytest.mark.parametrize(("ill", "broken"), [(MIXED, False), (APART, True)])
def test_a_crossing_whose_people_share_a_value_is_found(ill: tuple[int, ...], broken: bool) -> None:
    """Each class has two values; the halves that another table tells apart may not."""
    asked = {"ill": [DistinctLDiversity(kind="distinct-l-diversity", l=2)]}
    people, one_class = np.arange(6, dtype=np.uint64), np.zeros(6, np.int64)
    table = PeopleInClasses(people, one_class, K, asked)
    halves = see({n: n // 3 for n in range(6)})
    assert breaks_models(table, [halves], {"ill": np.array(ill)}) is broken
