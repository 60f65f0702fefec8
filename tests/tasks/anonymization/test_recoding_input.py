"""Input that is odd or wrong: each kind gets a defined result or a refusal that says what to do."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from expectations.errors import Refusal, UsageError
from tasks.anonymization import k_anonymize
from tasks.anonymization.hierarchies import Hierarchy
from tests.tasks.anonymization.recoded_tables import AGE

Output = Literal["hierarchy", "sets"]
Form = Hierarchy | pd.DataFrame | str | Path
OUTPUTS = pytest.mark.parametrize("output", ["hierarchy", "sets"])
PEOPLE = pd.DataFrame({"age": [20, 20, 21, 21], "sex": list("FMFM")})


def show(values: object, k: int, output: Output = "hierarchy") -> list[str]:
    """Recode one column without a hierarchy; give its labels."""
    made = k_anonymize(pd.DataFrame({"a": values}), ["a"], k, output=output)
    pd.testing.assert_frame_equal(made.plan.apply(pd.DataFrame({"a": values})), made.frame)
    return [str(label) for label in made.frame["a"]]


@OUTPUTS
def test_fewer_people_than_k_are_refused(output: Output) -> None:
    """Without enough people there is nothing to hide among."""
    with pytest.raises(Refusal, match="fewer than 5 people in all"):
        k_anonymize(PEOPLE, ["age"], 5, output=output)


@OUTPUTS
def test_everybody_may_be_left_out_where_that_was_allowed(output: Output) -> None:
    """The released table has the columns and no row, and k is not claimed to be reached."""
    made = k_anonymize(PEOPLE, ["age"], 5, max_suppressed=1, output=output)

    assert made.frame.empty
    assert list(made.frame.columns) == ["age", "sex"]
    assert (made.measures.k, made.measures.classes) == (0, 0)
    assert (made.measures.suppressed, made.measures.ncp) == (1, 1)


@OUTPUTS
def test_a_table_without_rows_stays_without_rows(output: Output) -> None:
    """Nobody is released and nobody left out, models or not."""
    for asked in (
        {},
        {"sensitive": "sex", "l_diversity": 2},
        {"sensitive": "sex", "t_closeness": 0.5},
    ):
        made = k_anonymize(PEOPLE.iloc[:0], ["age"], 3, output=output, **asked)  # type: ignore[arg-type]  # a plain dict
        assert list(made.frame.columns) == ["age", "sex"]
        assert (len(made.frame), made.measures.k, made.plan.classes) == (0, 0, ())


@OUTPUTS
def test_one_row_is_a_class_of_one(output: Output) -> None:
    """And never more."""
    assert show([7], 1, output) == ["7"]
    with pytest.raises(Refusal, match="fewer than 2 people"):
        show([7], 2, output)


@OUTPUTS
def test_k_of_one_changes_nothing_but_the_spelling(output: Output) -> None:
    """Everybody is a class of their own."""
    made = k_anonymize(PEOPLE, ["age", "sex"], 1, output=output)

    assert made.frame.astype(str).equals(PEOPLE.astype(str))
    assert made.measures.ncp == 0


@OUTPUTS
def test_equal_rows_are_released_as_they_are(output: Output) -> None:
    """One distinct value has nothing to lose."""
    assert show([5, 5, 5], 3, output) == ["5", "5", "5"]
    made = k_anonymize(pd.DataFrame({"a": [5] * 3, "b": list("xyz")}), ["a", "b"], 3, output=output)
    assert set(made.frame["a"]) == {"5"}
    assert made.measures.loss["a"] == 0


@pytest.mark.parametrize(
    ("values", "pairs", "four"),
    [
        pytest.param([1.5, math.nan, 1.5, math.nan], ["1.5", "missing"], "1.5~missing", id="NaN"),
        pytest.param(["x", None, "x", None], ["x", "missing"], "missing~x", id="None"),
        pytest.param(
            pd.array([1, None, 1, None], dtype="Int64"), ["1", "missing"], "1~missing", id="NA"
        ),
        pytest.param(
            pd.to_datetime(["1969-12-31", ""] * 2),
            ["1969-12-31", "missing"],
            "1969-12-31~missing",
            id="NaT, and a date before 1970",
        ),
        pytest.param(
            [dt.date(1899, 1, 2), None] * 2,
            ["1899-01-02", "missing"],
            "1899-01-02~missing",
            id="dates as objects",
        ),
        pytest.param([True, False] * 2, ["True", "False"], "False~True", id="booleans"),
        pytest.param(
            pd.array([True, None] * 2, dtype="boolean"),
            ["True", "missing"],
            "True~missing",
            id="booleans, missing",
        ),
        pytest.param(
            pd.Categorical(["y", "x"] * 2, ["z", "y", "x"]), ["y", "x"], "x~y", id="categories"
        ),
        pytest.param(pd.array(["x", None] * 2, "string"), ["x", "missing"], "missing~x", id="text"),
        pytest.param([1, "b"] * 2, ["1", "b"], "1~b", id="mixed types"),
        pytest.param([math.inf, 1e20] * 2, ["inf", str(10**20)], f"{10**20}~inf", id="infinite"),
        pytest.param(["", " "] * 2, ["", " "], "~ ", id="blanks"),
        pytest.param([-1, -2] * 2, ["-1", "-2"], "-2~-1", id="below zero"),
        pytest.param([2**70, 1] * 2, [str(2**70), "1"], f"1~{2**70}", id="beyond 64 bits"),
    ],
)
def test_values_of_any_type_are_labels(values: object, pairs: list[str], four: str) -> None:
    """Two pairs keep their values, four hidden together lose them, and sets name them."""
    assert show(values, 2) == show(values, 2, "sets") == pairs * 2
    assert show(values, 4) == ["*"] * 4
    assert show(values, 4, "sets") == [four] * 4


@OUTPUTS
def test_values_of_one_spelling_are_one_value(output: Output) -> None:
    """A whole number is spelt one way whether it is a text, an integer or a float."""
    assert show([1, "1", 1.0], 3, output) == ["1"] * 3


@OUTPUTS
def test_a_value_spelt_like_the_missing_ones_is_one_of_them(output: Output) -> None:
    """Nobody reading the release could tell them apart either."""
    assert show(["missing", None, "missing", None], 4, output) == ["missing"] * 4


@OUTPUTS
def test_equal_values_of_two_types_depend_on_no_order(output: Output) -> None:
    """Python calls True and 1 equal; which comes first decides nothing."""
    one = show([True, 1, True, 1], 4, output)
    other = show([1, True, 1, True], 4, output)

    assert one == other


def test_a_value_spelt_like_the_root_is_refused() -> None:
    """A star that stands for a value and one that stands for all cannot be told apart."""
    with pytest.raises(UsageError, match="is a value of column 'a'"):
        show(["*", "a", "*", "a"], 2)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(["a~b", "a", "b", "a~b"], id="a set"),
        pytest.param(["1-3", "1", "2", "3"], id="a range"),
    ],
)
def test_a_value_spelt_like_a_set_is_told_from_it(values: list[str]) -> None:
    """It is refused, or no label stands for two sets."""
    try:
        made = k_anonymize(pd.DataFrame({"a": values}), ["a"], 2, output="sets")
    except UsageError:
        return

    assert len(made.plan.members["a"]) == len({one[0] for one in made.plan.classes})
    assert not set(made.frame["a"]) & set(values)


@pytest.mark.parametrize(
    "index",
    [
        pytest.param([9, 9, 9, 4], id="repeated"),
        pytest.param(pd.MultiIndex.from_product([["u", "v"], [1, 2]]), id="of two levels"),
        pytest.param(pd.Index(list("wxyz"), name="age"), id="named as a column"),
        pytest.param(pd.date_range("1960-01-01", periods=4), id="dates"),
    ],
)
@OUTPUTS
def test_any_index_stays(output: Output, index: pd.Index) -> None:
    """Rows are told by their place, not by their index."""
    people = PEOPLE.set_axis(index)
    made = k_anonymize(people, ["age"], 2, output=output)

    assert made.frame.index.equals(people.index)
    assert made.frame["age"].tolist() == ["20", "20", "21", "21"]


def test_hierarchies_are_taken_in_any_form(tmp_path: Path) -> None:
    """A table without header, an ARX file by its path or the path's text, or a `Hierarchy`."""
    rows = [("20", "20-21", "*"), ("21", "20-21", "*")]
    file = tmp_path / "age.csv"
    file.write_text("\n".join(map(";".join, rows)), "utf-8")
    numbers = pd.DataFrame([(20, "20-21", "*"), (21, "20-21", "*")])
    hierarchy = Hierarchy("age", tuple(rows))
    forms: list[Form] = [pd.DataFrame(rows), numbers, file, str(file), hierarchy]
    made = [k_anonymize(PEOPLE, ["age"], 4, hierarchies={"age": form}) for form in forms]

    assert [one.frame["age"].tolist() for one in made] == [["20-21"] * 4] * 5
    assert len({one.plan for one in made}) == 1


def test_a_sensitive_columns_missing_values_are_a_value_of_their_own() -> None:
    """A class of one illness and of missing ones has two values."""
    people = pd.DataFrame({"age": [20, 20, 21, 21], "illness": ["flu", None, "flu", "flu"]})
    made = k_anonymize(people, ["age"], 2, sensitive="illness", l_diversity=2, max_suppressed=0.5)

    assert made.frame["age"].tolist() == ["20", "20"]
    assert made.frame["illness"].isna().tolist() == [False, True]


def test_a_column_that_the_histogram_would_count_under_is_released_as_it_is() -> None:
    """`_people` may be the table's own, if nothing is asked of it."""
    people = PEOPLE.assign(_people=[4, 3, 2, 1])

    assert k_anonymize(people, ["age"], 2).frame["_people"].tolist() == [4, 3, 2, 1]


WRONG = [
    pytest.param(["shoe"], {}, "no column 'shoe'", id="absent column"),
    pytest.param([], {}, "at least one", id="no column"),
    pytest.param(["sex", "sex"], {}, "only once", id="column twice"),
    pytest.param("sex", {}, "list", id="a text in place of a list"),
    pytest.param([7], {}, "each of them text", id="a name that is no text"),
    pytest.param(["_people"], {}, "rename column '_people'", id="reserved name"),
    pytest.param(["twin"], {}, "more than once", id="a name that two columns have"),
    pytest.param(["sex"], {"k": 0}, "whole number from 1", id="k of zero"),
    pytest.param(["sex"], {"k": 2.5}, "whole number from 1", id="k of a half"),
    pytest.param(["sex"], {"k": math.nan}, "whole number from 1", id="k of nothing"),
    pytest.param(
        ["sex"], {"max_suppressed": 1.1}, "share from 0 to 1", id="more than all left out"
    ),
    pytest.param(
        ["sex"], {"max_suppressed": math.nan}, "share from 0 to 1", id="no share left out"
    ),
    pytest.param(["sex"], {"output": "rows"}, "'hierarchy' or 'sets'", id="unknown output"),
    pytest.param(["sex"], {"weights": {"sex": 0}}, "numbers above 0", id="weight of zero"),
    pytest.param(["sex"], {"weights": {"sex": -1}}, "numbers above 0", id="negative weight"),
    pytest.param(
        ["sex"], {"weights": {"sex": math.nan}}, "numbers above 0", id="weight of nothing"
    ),
    pytest.param(["sex"], {"weights": {"sex": math.inf}}, "numbers above 0", id="infinite weight"),
    pytest.param(["sex"], {"weights": {"age": 1}}, "which is not a quasi", id="stray weight"),
    pytest.param(["sex"], {"hierarchies": {"age": AGE}}, "'age', which is not a quasi", id="stray"),
    pytest.param(["sex"], {"hierarchies": {"sex": AGE}}, "is for column 'age'", id="mixed up"),
    pytest.param(["sex"], {"hierarchies": {"sex": "/no/file"}}, "cannot be read", id="no file"),
    pytest.param(
        ["age"],
        {"hierarchies": {"age": pd.DataFrame([("20", "*")])}},
        "lacks fewer than 10 of the column's values",
        id="hierarchy that lacks a value",
    ),
    pytest.param(
        ["sex"], {"sensitive": "sex", "l_diversity": 2}, "sensitive at once", id="both at once"
    ),
    pytest.param(
        ["sex"], {"sensitive": "shoe", "l_diversity": 2}, "no column 'shoe'", id="absent sensitive"
    ),
    pytest.param(
        ["sex"], {"sensitive": "_people", "l_diversity": 2}, "'_people'", id="reserved, sensitive"
    ),
    pytest.param(["sex"], {"l_diversity": 2}, "need a sensitive column", id="nothing sensitive"),
    pytest.param(["sex"], {"sensitive": "age"}, "has no model", id="idle sensitive"),
    pytest.param(["sex"], {"sensitive": "age", "l_diversity": 1}, "l_diversity", id="l of one"),
    pytest.param(["sex"], {"sensitive": "age", "l_diversity": 2.7}, "l_diversity", id="l between"),
    pytest.param(["sex"], {"sensitive": "age", "t_closeness": 0}, "t_closeness", id="t of zero"),
    pytest.param(["sex"], {"sensitive": "age", "t_closeness": 2}, "t_closeness", id="t of two"),
    pytest.param(["sex"], {"sensitive": "age", "t_closeness": "x"}, "t_closeness", id="t of x"),
]


@pytest.mark.parametrize(("columns", "asked", "said"), WRONG)
def test_wrong_use_is_explained(columns: list[str], asked: dict[str, object], said: str) -> None:
    """A call that cannot be meant is an error of usage that says what to change."""
    frame = PEOPLE.assign(_people=1, twin=1, other=1).rename(columns={"other": "twin"})

    with pytest.raises(UsageError, match=said):
        k_anonymize(frame, columns, **{"k": 2, **asked})  # type: ignore[arg-type]  # wrong on purpose


def test_numbers_of_numpy_are_numbers() -> None:
    """What is read from an array asks the same as what is typed."""
    made = k_anonymize(PEOPLE, ["age"], np.int64(2), sensitive="sex", l_diversity=np.int64(2))  # type: ignore[arg-type]  # Python's own is declared
    assert made.frame["age"].tolist() == ["20", "20", "21", "21"]


def test_of_values_that_nobody_shares_none_is_kept() -> None:
    """Neither in the table nor in the plan."""
    made = k_anonymize(pd.DataFrame({"a": range(2_000)}), ["a"], 5)

    assert set(made.frame["a"]) == {"*"}
    assert len(made.plan.to_json()) < 200
