"""Hierarchies are public, nested, and say what is wrong with them without quoting data."""

from __future__ import annotations

import re
from datetime import date
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
        pytest.param(["<18", "18-29", "30+"], "<30", id="open below"),
        pytest.param(
            ["under 6,000", "6,000 to under 12,000", "12,000+"], "under 12,000", id="thousands"
        ),
        pytest.param(
            ["0 to under 6000", "6000 to under 12000", "12000+"], "0 to under 12000", id="words"
        ),
        pytest.param(["under 18.5", "18.5-24.9", "25+"], "under 25", id="by the next"),
        pytest.param(["30-39", "40 and over", "none"], "30 and over", id="open above"),
        pytest.param(["from -5 to -1", "0-4", "5+"], "from -5 to 4", id="below zero"),
        pytest.param(["40+", "20-39", "0-19"], "40+~20-39", id="falling"),
        pytest.param(["0-9", "10-19", "0-19"], "0-9~10-19", id="taken by another"),
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
    path.write_text("Male;Any\nFemale;Any\n")

    read = Hierarchy.from_table("sex", path)
    assert read == Hierarchy.from_table("sex", pd.DataFrame([["Male", "Any"], ["Female", "Any"]]))

    assert read == Hierarchy.from_table("sex", pd.DataFrame([["Male", "*"], ["Female", "*"]]))
    assert read == Hierarchy.flat("sex", ["Male", "Female"])


FAULTS = {
    "empty": ((), "has no labels; declare at least one"),
    "ragged": (
        (("a", "*"), ("b",), ("c",)),
        "line 2, and 1 more: has not 2 levels as line 1 has (leaf 'b', 'c')",
    ),
    "leaf twice": ((("a", "*"), ("a", "*")), "line 2: has the value of a line before (leaf 'a')"),
    "no root": (
        (("a", "x"), ("b", "x")),
        "line 1, and 1 more: does not end in `*` (leaf 'a', 'b')",
    ),
    "gap": ((("a", "", "*"), ("b", "x", "*")), "line 1: has an empty label (leaf 'a')"),
    "crossing": (
        (("a", "g", "h", "*"), ("b", "g", "i", "*")),
        "line 2: its label at level 1 stands under another one before (leaf 'b')",
    ),
    "ambiguous": (
        (("a", "b", "*"), ("b", "c", "*")),
        "line 1: its label at level 1 stands for other values at a lower one (leaf 'a')",
    ),
    "root among leaves": (
        (("*", "*"), ("b", "*")),
        "line 1, and 1 more: its label at level 1 stands for other values at a lower one (leaf",
    ),
    "a group called missing": (
        (("a", "missing", "*"), ("b", "b", "*")),
        "calls a label above its leaves 'missing', as missing values are",
    ),
    "pinned twice": ((("a",), ("a",)), "line 2: has the value of a line before (leaf 'a')"),
}  # fmt: skip


@pytest.mark.parametrize(("levels", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_broken_hierarchy_names_column_rule_and_leaves(
    levels: tuple[tuple[str, ...], ...], said: str
) -> None:
    """A hierarchy that breaks a rule is refused with the column, the rule, and where it does."""
    with pytest.raises(UsageError, match=f"column 'c'.*{re.escape(said)}"):
        Hierarchy("c", levels)


def test_everything_that_is_wrong_is_told_at_once() -> None:
    """Whoever mends the file mends it once; three leaves of a fault are named and all counted."""
    rows = (("a", "g", "h", "*"), ("a", "g", "i", "all"), *((n, "g", "h", "x") for n in "bcdef"))

    with pytest.raises(UsageError) as caught:
        Hierarchy("c", rows)

    nest, under = "; nest every level in the next", "stands under another one before"
    assert str(caught.value).split(": ", 1)[1].split(". ") == [
        "line 2, and 5 more: does not end in `*` (leaf 'a', 'b', 'c'); put `*` last",
        "line 2: has the value of a line before (leaf 'a'); keep one line per value",
        f"line 2: its label at level 1 {under} (leaf 'a'){nest}",
        f"line 3, and 4 more: its label at level 2 {under} (leaf 'b', 'c', 'd'){nest}",
    ]


def test_a_label_may_stand_on_several_levels_for_the_same_values() -> None:
    """As in a file where a branch is less deep than others, or all of a level are the root."""
    rows = (("a", "a", "x", "*"), ("b", "y", "x", "*"), ("c", "y", "x", "*"))
    assert Hierarchy("c", rows).depth == 4
    flat = Hierarchy("c", (("a", "*", "*"), ("b", "*", "*")))
    assert flat.groups.tolist() == [[0, 1, 2, 3], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_leaves_that_come_from_people_are_not_named() -> None:
    """A derived hierarchy lists values of the table: its faults are told by count alone."""
    with pytest.raises(UsageError, match="line 1, and 1 more: its label") as caught:
        Hierarchy.flat("town", ["*", "Secretville"], derived=True)

    assert "Secretville" not in str(caught.value)


@pytest.mark.parametrize(
    ("levels", "rule"),
    [
        pytest.param([{"g": ["a", "z"]}], "'z', not a label", id="unknown member"),
        pytest.param([{"g": ["a"], "h": ["a", "b"]}], "'a' in two groups", id="two groups"),
    ],
)
def test_wrong_groups_are_refused(levels: list[dict[str, list[str]]], rule: str) -> None:
    """A grouping must know its members and keep each in one place."""
    with pytest.raises(UsageError, match=rule):
        Hierarchy.from_levels("c", ["a", "b"], levels)


UNREADABLE = {
    "absent": (None, "cannot be read (No such file or directory)"),
    "latin-1": (b"M\xfcnchen;*\n", "is not UTF-8"),
    "endless field": (b'"' + b"x" * 200_000, "is not lines of separated labels"),
    "no separator": (b"Ulm,*\nKiel,*\n", "has leaves but no level above them"),
    "empty": (b"\n\n", "has no labels"),
}


@pytest.mark.parametrize(("content", "said"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_file_that_is_no_hierarchy_is_a_usage_error(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    """It names its column, and what is the matter."""
    path = tmp_path / "towns.csv"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(UsageError, match=f"column 'c'.*{re.escape(said)}"):
        Hierarchy.from_table("c", path)


def test_a_file_of_another_program_reads_the_same(tmp_path: Path) -> None:
    """A byte order mark, Windows line ends, quotes and blank lines change nothing."""
    path = tmp_path / "towns.csv"
    path.write_bytes(b'\xef\xbb\xbf"Ulm";S;*\r\n\r\nKiel;N;*')

    assert Hierarchy.from_table("c", path).levels == (("Ulm", "S", "*"), ("Kiel", "N", "*"))


def test_a_table_is_spelt_as_the_values_are() -> None:
    """Whole floats as integers, a missing leaf as "missing"; a missing label above is a gap."""
    read = Hierarchy.from_table("age", pd.DataFrame([[30.0, "x", "*"], [None, "y", "*"]]))
    assert read.levels == (("30", "x", "*"), ("missing", "y", "*"))

    with pytest.raises(UsageError, match=r"line 2: does not end.*line 2: has an empty label"):
        Hierarchy.from_table("age", pd.DataFrame([["30", "x", "*"], ["31", "*", None]]))
    with pytest.raises(UsageError, match="no level above"):
        Hierarchy.from_table("age", pd.DataFrame(["30", "31"]))


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
    with pytest.raises(UsageError, match="lacks fewer than 10 of the column's values") as caught:
        Hierarchy.flat("town", ["A"]).encode(pd.Series(["A", "Secretville", "Secretville"]))

    assert "Secretville" not in str(caught.value)


OLD = "1969-12-31"
COLUMNS = {
    "whole floats": ([39.0, 1.5, np.nan], ["39", "1.5"], [0, 1, 2]),
    "integers that may be missing": (pd.array([39, None], "Int64"), ["39"], [0, 1]),
    "booleans": ([True, False], ["True", "False"], [0, 1]),
    "texts and numbers": (["39", 39, 39.0, True, 1], ["39", "1", "True"], [0, 0, 0, 2, 1]),
    "all that is missing": ([None, np.nan, pd.NaT, pd.NA, "a"], ["a"], [1, 1, 1, 1, 0]),
    "days before 1970": ([date(1969, 12, 31), None], [OLD], [0, 1]),
    "times before 1970": (pd.to_datetime([OLD, ""]), [OLD], [0, 1]),
    "categories": (pd.Categorical([2, 1, None], [2, 1]), ["1", "2"], [1, 0, 2]),
    "text categories": (pd.Categorical(["b", None], ["a", "b"]), ["a", "b"], [1, 2]),
    "no rows": ([], ["a"], []),
}


@pytest.mark.parametrize(("values", "leaves", "codes"), COLUMNS.values(), ids=COLUMNS.keys())
@pytest.mark.parametrize("turned", [False, True])
def test_values_of_any_type_are_found_by_their_spelling(
    values: object, leaves: list[str], codes: list[int], *, turned: bool
) -> None:
    """Of one type or of several, in any order of rows; what is missing is one leaf, the last."""
    step = -1 if turned else 1
    column = (
        pd.Series(list(values), dtype=object) if isinstance(values, list) else pd.Series(values)
    )

    assert Hierarchy.flat("c", leaves).encode(column[::step]).tolist() == codes[::step]


NUMBERS = pd.Series([7, 0, None, 12, 7])


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(NUMBERS.astype("float64"), id="floats"),
        pytest.param(NUMBERS.astype("Int64"), id="integers"),
        pytest.param(NUMBERS.astype(object), id="objects"),
        pytest.param(NUMBERS.astype("Int64").astype("str"), id="texts"),
        pytest.param(NUMBERS.astype("category"), id="categories"),
    ],
)
def test_numbers_are_spelt_alike_in_columns_of_any_type(values: pd.Series) -> None:
    """A missing value that made floats of them changes nothing."""
    assert Hierarchy.flat("c", ["0", "7", "12"]).encode(values).tolist() == [1, 0, 3, 2, 1]


def test_every_one_of_many_values_has_its_leaf() -> None:
    """A column with as many values as a flat hierarchy has leaves is its own code."""
    numbers = np.arange(50_000)
    many = Hierarchy.flat("c", map(str, numbers))

    assert (many.encode(pd.Series(numbers)) == numbers).all()
    assert (many.groups[0] == np.arange(50_002)).all()
    assert len(set(many.groups[1].tolist())) == 1


@pytest.mark.parametrize(
    ("value", "label"), [(39, "39"), (39.0, "39"), (1.5, "1.5"), (True, "True"), ("x", "x")]
)
def test_values_are_spelt_as_labels(value: object, label: str) -> None:
    """A whole number has one spelling, whichever type a missing value forced on its column."""
    assert label_of(value) == label
