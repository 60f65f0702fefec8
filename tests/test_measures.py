"""Privacy measures agree with their definitions, and with pyCANON where that is right."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycanon import anonymity

from expectations import measures

QI = ["age", "sex"]
VALUES = st.sampled_from(["a", "b", "c", None])
FRAMES = st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=30).map(
    lambda rows: pd.DataFrame(rows, columns=[*QI, "illness"], dtype=object)
)
TABLE = pd.DataFrame(
    {
        "age": ["20", "20", "20", "30", "30"],
        "sex": ["F", "F", "F", "M", "M"],
        "illness": ["flu", "flu", "gout", "gout", "gout"],
    }
)


def by_class(frame: pd.DataFrame) -> dict[tuple[object, ...], list[object]]:
    """Collect the sensitive values of each class by a plain loop."""
    found: dict[tuple[object, ...], list[object]] = defaultdict(list)
    for row in frame.itertuples(index=False):
        *key, sensitive = (None if pd.isna(value) else value for value in row)
        found[tuple(key)].append(sensitive)
    return found


def distance(part: list[object], whole: list[object]) -> float:
    """Half the summed differences of shares, value by value."""
    ours, theirs = Counter(part), Counter(whole)
    return sum(abs(ours[v] / len(part) - theirs[v] / len(whole)) for v in theirs) / 2


@settings(max_examples=50, deadline=None)
@given(FRAMES)
def test_measures_agree_with_a_loop_over_classes(frame: pd.DataFrame) -> None:
    """Every measure equals its definition, class by class, missing values included."""
    classes = by_class(frame)
    sizes = [len(rows) for rows in classes.values()]
    everyone = [value for rows in classes.values() for value in rows]

    assert sorted(measures.class_sizes(frame, QI)) == sorted(sizes)
    assert measures.k_anonymity(frame, QI) == min(sizes)
    assert measures.uniqueness(frame, QI) == sizes.count(1) / len(frame)
    assert measures.distinct_l_diversity(frame, QI, "illness") == min(
        len(set(rows)) for rows in classes.values()
    )
    assert measures.t_closeness(frame, QI, "illness") == pytest.approx(
        max(distance(rows, everyone) for rows in classes.values())
    )


@settings(max_examples=20, deadline=None)
@given(FRAMES)
def test_measures_agree_with_pycanon(frame: pd.DataFrame) -> None:
    """On tables without missing values pyCANON finds the same k, l and t."""
    frame = frame.fillna("d")

    assert measures.k_anonymity(frame, QI) == anonymity.k_anonymity(frame, QI)
    assert measures.distinct_l_diversity(frame, QI, "illness") == anonymity.l_diversity(
        frame, QI, ["illness"]
    )
    assert measures.t_closeness(frame, QI, "illness") == pytest.approx(
        anonymity.t_closeness(frame, QI, ["illness"])
    )


def test_known_table_has_known_measures() -> None:
    """A table small enough to check by hand."""
    assert measures.k_anonymity(TABLE, QI) == 2
    assert measures.distinct_l_diversity(TABLE, QI, "illness") == 1
    assert measures.t_closeness(TABLE, QI, "illness") == pytest.approx(0.4)
    assert measures.uniqueness(TABLE, ["age", "illness"]) == pytest.approx(0.2)


def test_index_and_types_do_not_matter() -> None:
    """Repeated index labels and categories with unused values change no measure."""
    odd = TABLE.astype("category").set_axis([7, 7, 1, 0, 7]).iloc[:3]

    assert measures.class_sizes(odd, QI).tolist() == [3]
    assert measures.t_closeness(odd, QI, "illness") == 0


def test_table_without_rows_meets_no_requirement() -> None:
    """An empty release gets the worst value of each measure."""
    empty = TABLE.iloc[:0]

    assert measures.k_anonymity(empty, QI) == 0
    assert measures.distinct_l_diversity(empty, QI, "illness") == 0
    assert measures.t_closeness(empty, QI, "illness") == 1
    assert measures.uniqueness(empty, QI) == 1


def test_without_columns_all_rows_are_one_class() -> None:
    """Who is described by nothing hides among everyone."""
    assert measures.k_anonymity(TABLE, []) == 5


def test_standardized_difference_follows_its_formula() -> None:
    """Differences of shares in standard deviations, defined for constants too."""
    found = measures.standardized_difference([0.5, 0.3, 0, 1, 1], [0.4, 0.3, 0, 1, 0])

    assert found[:4].tolist() == pytest.approx([0.1 / math.sqrt((0.25 + 0.24) / 2), 0, 0, 0])
    assert found[4] == math.inf
