"""Hierarchies are public, nested, and say what is wrong with them without quoting data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from expectations.errors import UsageError
from tasks.anonymization.hierarchies import Hierarchy, label_of

BINS = ["20-29", "30-39", "40-49", "50-59", "60+"]


def test_numeric_bins_merge_into_the_bin_that_spans_them() -> None:
    """Neighbours merge two by two, an open bin stays open, a bin without partner stays itself."""
    age = Hierarchy.from_ordered("age", BINS)

    assert age.levels[2] == ("40-49", "40-59", "20-59", "*")
    assert age.levels[4] == ("60+", "60+", "60+", "*")


@pytest.mark.parametrize(
    ("labels", "merged"),
    [
        pytest.param(["Good", "Fair", "Poor"], "Good~Fair", id="words"),
        pytest.param(["1", "2", "3"], "1-2", id="numbers"),
        pytest.param(["0.5-1.5", "1.5-2", "2+"], "0.5-2", id="decimals"),
        pytest.param(["<18", "18-29", "30+"], "<18~18-29", id="open below"),
    ],
)
def test_a_merge_is_named_by_its_ends(labels: list[str], merged: str) -> None:
    """The label of a merge says from where to where it reaches."""
    assert Hierarchy.from_ordered("x", labels).levels[0][1] == merged


def test_declared_groups_nest_in_each_other() -> None:
    """A member is a leaf or a label below; what no group names keeps its label."""
    job = Hierarchy.from_levels(
        "job", ["nurse", "doctor", "clerk"], [{"care": ["nurse", "doctor"]}, {"paid": ["care"]}]
    )

    assert job.levels == (
        ("nurse", "care", "paid", "*"),
        ("doctor", "care", "paid", "*"),
        ("clerk", "clerk", "clerk", "*"),
    )


def test_arx_file_and_table_read_alike(tmp_path: Path) -> None:
    """A table without header and its semicolon file give the same hierarchy."""
    path = tmp_path / "sex.csv"
    path.write_text("Male;*\nFemale;*\n")

    read = Hierarchy.from_table("sex", path)

    assert read == Hierarchy.from_table("sex", pd.DataFrame([["Male", "*"], ["Female", "*"]]))
    assert read == Hierarchy.flat("sex", ["Male", "Female"])


@pytest.mark.parametrize(
    ("levels", "rule"),
    [
        pytest.param((), "has no labels", id="empty"),
        pytest.param((("a", "*"), ("b",)), "unequal depth", id="ragged"),
        pytest.param((("a", "*"), ("a", "*")), "'a' more than once", id="leaf twice"),
        pytest.param((("a", "x"), ("b", "x")), "does not end in", id="no root"),
        pytest.param((("a", "g", "h", "*"), ("b", "g", "i", "*")), "'g' under more", id="crossing"),
        pytest.param((("a", "b", "*"), ("b", "c", "*")), "'b' on two levels", id="ambiguous"),
    ],
)
def test_broken_hierarchy_names_column_and_rule(
    levels: tuple[tuple[str, ...], ...], rule: str
) -> None:
    """A hierarchy that breaks a rule is refused with the column and the rule."""
    with pytest.raises(UsageError, match=f"column 'c' .*{rule}"):
        Hierarchy("c", levels)


@pytest.mark.parametrize(
    ("levels", "rule"),
    [
        pytest.param([{"g": ["a", "z"]}], "'z', which is no label", id="unknown member"),
        pytest.param([{"g": ["a"], "h": ["a", "b"]}], "'a' in two groups", id="two groups"),
    ],
)
def test_wrong_groups_are_refused(levels: list[dict[str, list[str]]], rule: str) -> None:
    """A grouping must know its members and keep each in one place."""
    with pytest.raises(UsageError, match=rule):
        Hierarchy.from_levels("c", ["a", "b"], levels)


def test_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    """A hierarchy that cannot be read names its column and file."""
    with pytest.raises(UsageError, match=r"column 'c'.*nowhere\.csv.*FileNotFoundError"):
        Hierarchy.from_table("c", tmp_path / "nowhere.csv")


def test_missing_values_are_a_leaf_under_the_root_only() -> None:
    """NaN and None are one value, apart from all others on every level but the root."""
    age = Hierarchy.from_ordered("age", BINS)
    codes = age.encode(pd.Series(["60+", None, np.nan], dtype=object))

    assert codes[1] == codes[2]
    assert [
        labels[group] for labels, group in zip(age.labels, age.groups[:, codes[1]], strict=True)
    ] == ["missing"] * 3 + ["*"]


def test_declared_missing_label_takes_the_missing_values() -> None:
    """A leaf that is called "missing" stands for NaN too."""
    sex = Hierarchy.flat("sex", ["missing", "F"])

    assert sex.encode(pd.Series([None, "missing", "F"])).tolist() == [0, 0, 1]


def test_unlisted_value_is_counted_and_not_quoted() -> None:
    """A value that a declared hierarchy lacks is an error with counts only."""
    with pytest.raises(UsageError, match=r"lacks 1 of the column's values \(2 rows\)") as caught:
        Hierarchy.flat("town", ["A"]).encode(pd.Series(["A", "Secretville", "Secretville"]))

    assert "Secretville" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "label"), [(39, "39"), (39.0, "39"), (1.5, "1.5"), (True, "True"), ("x", "x")]
)
def test_values_are_spelt_as_labels(value: object, label: str) -> None:
    """A whole number has one spelling, whichever type a missing value forced on its column."""
    assert label_of(value) == label
