"""What the definitions of l, t, alpha, beta and delta say, and where implementations err."""

from __future__ import annotations

import math
from collections.abc import Hashable

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.measures import sensitive_measures as sensitive
from expectations.measures.class_counts import ValueCounts, classify, count_values
from tests.expectations.measures import measure_definitions as defined

TABLES = st.lists(
    st.lists(st.sampled_from([1, 2, 3, 5, 8, 13]), min_size=1, max_size=12),
    min_size=1,
    max_size=6,
)


def counted(*classes: list[int] | str) -> ValueCounts:
    """Count a table whose classes are given as lists of values, or as words of letters."""
    rows = [(number, value) for number, rows in enumerate(classes) for value in rows]
    frame = pd.DataFrame(rows, columns=["class", "value"])
    return count_values(classify(frame, ["class"]), frame["value"])


def plain(classes: list[list[int]]) -> list[list[Hashable]]:
    """Give the classes as the definitions take them."""
    return [list(rows) for rows in classes]


@given(TABLES, st.integers(1, 6))
def test_recursive_diversity_agrees_with_a_loop(classes: list[list[int]], least: int) -> None:
    """The smallest c of an l."""
    counts = counted(*classes)

    assert sensitive.smallest_c(counts, least) == pytest.approx(
        defined.smallest_c(plain(classes), least)
    )


@given(TABLES)
def test_distances_and_ratios_agree_with_a_loop(classes: list[list[int]]) -> None:
    """Both distances of t, beta and delta, with numbers as values."""
    counts, given = counted(*classes), plain(classes)

    assert sensitive.equal_t_closeness(counts) == pytest.approx(defined.equal_t(given), abs=1e-12)
    assert sensitive.ordered_t_closeness(counts) == pytest.approx(
        defined.ordered_t(given), abs=1e-12
    )
    assert sensitive.beta_likeness(counts) == pytest.approx(defined.beta(given), abs=1e-12)
    assert sensitive.delta_disclosure(counts) == pytest.approx(defined.delta(given), abs=1e-12)


@given(TABLES)
def test_enhanced_beta_is_the_smallest_that_the_definition_allows(
    classes: list[list[int]],
) -> None:
    """At the beta given every class meets the definition, a little below it one does not."""
    beta = sensitive.enhanced_beta_likeness(counted(*classes))

    if beta == math.inf:
        assert not defined.is_enhanced(plain(classes), 1e9)
    else:
        assert defined.is_enhanced(plain(classes), beta)
        assert beta < 1e-6 or not defined.is_enhanced(plain(classes), beta - 1e-6)


def test_eight_values_equally_often_have_an_entropy_of_eight() -> None:
    """Rounding does not make seven of eight."""
    assert sensitive.entropy_l_diversity(counted("abcdefgh", "hgfedcba")) == pytest.approx(8)


def test_recursive_diversity_divides_the_most_frequent_by_the_rare() -> None:
    """Counts 3, 2, 1: r1 is 3, and at l = 2 the rest is 3."""
    counts = counted("aaabbc")

    assert sensitive.smallest_c(counts, 2) == 1
    assert sensitive.smallest_c(counts, 3) == 3
    assert sensitive.smallest_c(counts, 4) == math.inf


def test_enhanced_beta_does_not_exist_where_a_gain_exceeds_its_rarity() -> None:
    """A value of half the table that fills a class gains 1, and -ln 0.5 is 0.69."""
    assert sensitive.beta_likeness(counted("aa", "bb")) == 1
    assert sensitive.enhanced_beta_likeness(counted("aa", "bb")) == math.inf


def test_delta_counts_values_that_a_class_lacks() -> None:
    """What a class certainly does not have is disclosed."""
    assert sensitive.delta_disclosure(counted("ab", "aab")) == pytest.approx(math.log(5 / 4))
    assert sensitive.delta_disclosure(counted("ab", "aa")) == math.inf


def test_ordered_distance_is_small_between_neighbours() -> None:
    """Nine salaries of Li et al. (2007), section 4: 3, 4, 5 thousand are 0.375 from the table."""
    low, mixed = [3, 4, 5], [6, 8, 11]
    counts = counted(low, mixed, [7, 9, 10])

    assert sensitive.ordered_t_closeness(counts) == pytest.approx(0.375)


def test_declared_order_of_categories_is_the_order_of_their_values() -> None:
    """Little, some, much; not as the alphabet has it."""
    frame = pd.DataFrame({"class": [1, 1, 2, 2], "dose": ["little", "some", "some", "much"]})
    kind = pd.CategoricalDtype(["little", "some", "much"], ordered=True)
    declared = count_values(classify(frame, ["class"]), frame["dose"].astype(kind))
    spelled = count_values(classify(frame, ["class"]), frame["dose"])

    assert sensitive.ordered_t_closeness(declared) == pytest.approx(0.25)
    assert sensitive.ordered_t_closeness(spelled) == pytest.approx(0.125)


def test_more_values_than_cells_can_be_counted_are_counted_by_what_occurs() -> None:
    """A thousand classes of a thousand values: only what occurs is kept."""
    counts = counted(*[[number] for number in range(1000)])

    assert len(counts.count) == 1000
    assert sensitive.equal_t_closeness(counts) == pytest.approx(0.999)
    assert sensitive.ordered_t_closeness(counts) == pytest.approx(0.5)
