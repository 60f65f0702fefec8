"""What a table gives away over its columns: k, uniqueness, and all measures in one pass."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.measures import measures
from expectations.measures.measures import measure
from tests.expectations.measures import measure_definitions as defined

QI = ["age", "sex"]
VALUES = st.sampled_from(["a", "b", "c", None])
FRAMES = st.lists(st.tuples(VALUES, VALUES, VALUES, VALUES), min_size=1, max_size=30).map(
    lambda rows: pd.DataFrame(rows, columns=[*QI, "illness", "job"], dtype=object)
)
TABLE = pd.DataFrame(
    {
        "age": ["20", "20", "20", "30", "30"],
        "sex": ["F", "F", "F", "M", "M"],
        "illness": ["flu", "flu", "gout", "gout", "gout"],
    }
)


@given(FRAMES)
def test_measures_of_the_classes_agree_with_a_loop(frame: pd.DataFrame) -> None:
    """Sizes, k and uniqueness equal their definitions, missing values included."""
    sizes = [len(rows) for rows in defined.split(frame, QI, "illness")]

    assert sorted(measures.class_sizes(frame, QI)) == sorted(sizes)
    assert measures.k_anonymity(frame, QI) == min(sizes)
    assert measures.uniqueness(frame, QI) == sizes.count(1) / len(frame)


@given(FRAMES)
def test_one_pass_gives_every_measure_of_several_columns(frame: pd.DataFrame) -> None:
    """What is measured together is what the definitions give one by one."""
    found = measure(frame, QI, ["illness", "job"])

    assert (found.rows, found.classes) == (len(frame), len(defined.split(frame, QI, "job")))
    assert found.k == measures.k_anonymity(frame, QI)
    for column, each in found.sensitive.items():
        classes = defined.split(frame, QI, column)
        assert each.distinct_l == defined.distinct_l(classes)
        assert each.entropy_l == pytest.approx(defined.entropy_l(classes))
        assert each.smallest_c == pytest.approx(defined.smallest_c(classes, 2))
        assert each.equal_t == pytest.approx(defined.equal_t(classes), abs=1e-12)
        assert each.ordered_t == pytest.approx(defined.ordered_t(classes), abs=1e-12)
        assert each.alpha == pytest.approx(defined.alpha(classes))
        assert each.beta == pytest.approx(defined.beta(classes), abs=1e-12)
        assert each.delta == pytest.approx(defined.delta(classes), abs=1e-12)


@given(FRAMES)
def test_a_table_and_its_histogram_give_the_same(frame: pd.DataFrame) -> None:
    """A database's group-by, with how many rows each tuple stands for, is as good as the rows."""
    columns = [*QI, "illness"]
    grouped = frame.groupby(columns, dropna=False, sort=False).size().rename("rows").reset_index()
    weights = grouped["rows"].to_numpy()

    assert measure(grouped, QI, ["illness"], weights) == measure(frame, QI, ["illness"])


@given(FRAMES, st.randoms(use_true_random=False))
def test_order_of_rows_and_columns_changes_nothing(frame: pd.DataFrame, chance: object) -> None:
    """Measures are of the set of rows."""
    rows = list(range(len(frame)))
    chance.shuffle(rows)  # type: ignore[attr-defined]
    other = measure(frame.iloc[rows], QI[::-1], ["illness"])

    assert other.sensitive["illness"].ordered_t == pytest.approx(
        measure(frame, QI, ["illness"]).sensitive["illness"].ordered_t
    )
    assert other.k == measure(frame, QI).k


def test_known_table_has_known_measures() -> None:
    """A table small enough to check by hand."""
    found = measure(TABLE, QI, ["illness"])

    assert (found.k, found.classes, found.uniqueness) == (2, 2, 0)
    assert (found.prosecutor.largest, found.prosecutor.average, found.marketer) == (0.5, 0.4, 0.4)
    illness = found.sensitive["illness"]
    assert (illness.distinct_l, illness.alpha, illness.entropy_l) == (1, 1, 1)
    assert illness.equal_t == pytest.approx(0.4)
    assert illness.beta == pytest.approx(2 / 3)
    assert illness.delta == math.inf


def test_index_and_types_do_not_matter() -> None:
    """Repeated index labels and categories with unused values change no measure."""
    odd = TABLE.astype("category").set_axis([7, 7, 1, 0, 7]).iloc[:3]

    assert measures.class_sizes(odd, QI).tolist() == [3]
    assert measure(odd, QI, ["illness"]).sensitive["illness"].equal_t == 0


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        ([None, np.nan, pd.NaT, pd.NA], 1),
        ([1, 1.0, True, "1"], 3),
        (pd.Categorical(["1", 1, "1", None]), 2),
        ([["a"], ["a"], {"a"}, None], 3),
        (pd.to_datetime(["1969-01-01", "1969-01-01", None, "2400-01-01"]), 3),
        ([0.5, np.nan, np.nan, 0.5], 2),
    ],
    ids=[
        "all missing",
        "several types",
        "categories of several types",
        "lists and sets",
        "dates",
        "numbers",
    ],
)
def test_odd_cells_make_the_classes_that_a_reader_of_the_table_sees(
    cells: object, classes: int
) -> None:
    """Missing values are one, cells of several types are compared as they are written."""
    frame = pd.DataFrame({"odd": pd.Series(cells), "illness": ["flu"] * 4})

    assert len(measures.class_sizes(frame, ["odd"])) == classes
    assert measure(frame, ["illness"], ["odd"]).sensitive["odd"].distinct_l == classes


def test_many_columns_of_many_values_do_not_overflow() -> None:
    """Nine columns of 256 values are more tuples than an integer of the machine can number."""
    rows = [[value] * 9 for value in range(256)]
    rows.append([1, *[0] * 8])
    frame = pd.DataFrame(rows, columns=[f"column {number}" for number in range(9)])

    assert measures.class_sizes(frame, list(frame)).tolist() == [1] * 257


def test_table_without_rows_meets_no_requirement() -> None:
    """An empty release gets the worst value of each measure."""
    found = measure(TABLE.iloc[:0], QI, ["illness"])

    assert (found.k, found.uniqueness, found.marketer, found.prosecutor.largest) == (0, 1, 1, 1)
    worst = found.sensitive["illness"]
    assert (worst.distinct_l, worst.entropy_l, worst.equal_t, worst.ordered_t) == (0, 0, 1, 1)
    assert (worst.alpha, worst.beta, worst.enhanced_beta) == (1, math.inf, math.inf)
    assert (worst.smallest_c, worst.delta) == (math.inf, math.inf)


def test_without_columns_all_rows_are_one_class() -> None:
    """Who is described by nothing hides among everyone."""
    assert measures.k_anonymity(TABLE, []) == 5


def test_standardized_difference_follows_its_formula() -> None:
    """Differences of shares in standard deviations, defined for constants too."""
    found = measures.standardized_difference([0.5, 0.3, 0, 1, 1], [0.4, 0.3, 0, 1, 0])

    assert found[:4].tolist() == pytest.approx([0.1 / math.sqrt((0.25 + 0.24) / 2), 0, 0, 0])
    assert found[4] == math.inf
