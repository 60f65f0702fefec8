"""How much detail a released table keeps, by measures worked out by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.loss import (
    Detail,
    People,
    compare_column,
    find_cover,
    measure_granularity,
    measure_query_error,
)

AGES = Hierarchy.from_ordered("age", ["20-29", "30-39", "40-49", "50-59"])
BEFORE = pd.Series(["20-29", "20-29", "30-39", "50-59"])
EACH = People.one_each(4, 4)


def line_up(*after: str) -> Detail:
    """Line the four people up with what they are released under."""
    released = pd.Series(after, dtype=str)
    members = {label: label.split("~") for label in after}
    return compare_column(BEFORE, released, find_cover(AGES, BEFORE, members))


def test_a_cover_holds_the_leaves_of_a_label_and_the_members_of_a_set() -> None:
    """A label of the hierarchy stands for its leaves, `a~b` for a and b."""
    members = {"20-39": ["20-39"], "20-29~50-59": ["20-29", "50-59"], "*": ["*"]}
    cover = find_cover(AGES, BEFORE, members)
    assert cover["20-39"] == {"20-29", "30-39"}
    assert cover["20-29~50-59"] == {"20-29", "50-59"}
    assert cover["*"] == {"20-29", "30-39", "40-49", "50-59", "missing"}


def test_granularity_is_one_less_the_mean_share_under_a_label() -> None:
    """Of four values and the missing one, a leaf is a fifth and a pair two fifths."""
    column = line_up("20-29", "20-29", "20-39", "40-59")
    assert measure_granularity([column], EACH) == pytest.approx(1 - (1 + 1 + 2 + 2) / 5 / 4)


def test_somebody_left_out_keeps_no_detail() -> None:
    """Three of four released as they are keep three quarters of what they had."""
    column = line_up("20-29", "20-29", "30-39")
    assert measure_granularity([column], People.one_each(4, 3)) == pytest.approx(
        3 / 4 * (1 - 1 / 5)
    )


def test_counts_asked_of_untouched_rows_are_right_and_of_coarse_ones_are_not() -> None:
    """What k took is what the answers miss."""
    same = line_up(*BEFORE)
    coarse = line_up("*", "*", "*", "*")
    assert measure_query_error([same, same], EACH) == 0
    error = measure_query_error([coarse, coarse], EACH)
    assert error is not None
    assert error > 0.2


def test_counts_are_not_asked_of_a_single_column_or_of_nobody() -> None:
    """A query combines two columns."""
    column = line_up(*BEFORE)
    assert measure_query_error([column], EACH) is None
    assert measure_query_error([column, column], People.one_each(0, 0)) is None
