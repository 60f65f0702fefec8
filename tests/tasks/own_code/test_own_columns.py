"""Derived columns by own functions: given declared types, tried on made-up rows, held to a type."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import PolicyError, Refusal
from expectations.expressions.expressions import ColumnType
from expectations.policy.treatments import Categories
from expectations.policy_file import PolicyFile, parse_policy, read_policy
from tasks.anonymization.deidentify import say_undeclared
from tasks.own_code.columns import OwnColumn
from tasks.own_code.loading import load_policy_code
from tasks.people.ingestion import CATEGORIES, RECORD
from tasks.people.population import derive_columns
from tasks.rehearsal.trial import find_row_dependence, load_checked_code
from tests.conftest import small_policy

TODAY = datetime(2026, 11, 26, tzinfo=UTC).date()
EXPRESSION = "    expression: sugar >= 6.5\n"
FUNCTION = "    function: features.py:sick\n    reads: [sugar]\n    type: boolean\n"
SICK = "def sick(rows):\n    return rows['sugar'] >= 6.5"


def asked(folder: Path, text: str, *changes: tuple[str, str], reads: str = "[sugar]") -> PolicyFile:
    """Write the small policy with its target by a function, and give it as read."""
    (folder / "features.py").write_text(text, encoding="utf-8")
    function = FUNCTION.replace("[sugar]", reads)
    path = folder / "small.yaml"
    path.write_text(small_policy((EXPRESSION, function), *changes), encoding="utf-8")
    return read_policy(str(path))


def people(sugar: list[float | None]) -> pa.Table:
    """Give people with a sugar, all of whose categories may be read."""
    count = len(sugar)
    columns = {"sugar": pa.array(sugar, pa.float64()), RECORD: pa.array(range(count), pa.uint64())}
    return pa.table({**columns, CATEGORIES: pa.array([2**32 - 1] * count, pa.uint32())})


def column(function: object, type: ColumnType = ColumnType.NUMBER, **how: bool) -> OwnColumn:  # noqa: A002
    """Give a derived column of x and y."""
    assert callable(function)
    return OwnColumn("made", "f.py:made", function, ("x", "y"), type, **how)


def rows(x: list[int | None], y: list[str | None] | None = None) -> pa.Table:
    """Give rows with a whole number and a text."""
    text = y if y is not None else ["a"] * len(x)
    return pa.table({"x": pa.array(x, pa.int64()), "y": pa.array(text, pa.large_string())})


def test_a_function_makes_what_the_expression_does(tmp_path: Path) -> None:
    """The derived column is the same, missing values among it."""
    table = people([6.4, 6.5, None])
    by_expression = derive_columns(table, parse_policy(small_policy()), TODAY)
    text = SICK + " if False else rows['sugar'].ge(6.5).where(rows['sugar'].notna())"
    file = asked(tmp_path, text)
    by_function = derive_columns(table, file.policy, TODAY, load_checked_code(file))
    assert by_function["sick"].to_pylist() == by_expression["sick"].to_pylist()


def test_of_who_kept_back_what_is_read_the_value_is_unknown(tmp_path: Path) -> None:
    """Even where the function makes something of a missing value."""
    file = asked(tmp_path, "def sick(rows):\n    return rows['sugar'].fillna(9) > 6.5")
    table = people([None, None])
    table = table.set_column(2, CATEGORIES, pa.array([2**32 - 1, 0], pa.uint32()))
    derived = derive_columns(table, file.policy, TODAY, load_checked_code(file))
    assert derived["sick"].to_pylist() == [True, None]


def test_the_columns_come_in_declared_types_whatever_is_missing() -> None:
    """A single row without values has the same types as all rows."""
    types = {"b": pa.bool_(), "d": pa.date32(), "i": pa.int64(), "n": pa.float64()}
    full = {"b": [True], "d": [date(2020, 1, 31)], "i": [2**53 - 1], "n": [0.5]}
    seen = [
        str(
            OwnColumn("c", "f", len, tuple(types), ColumnType.NUMBER)
            .frame(pa.table({n: pa.array(v[n], t) for n, t in types.items()}))
            .dtypes.to_dict()
        )
        for v in (full, {name: [None] for name in full})
    ]
    assert seen[0] == seen[1]
    assert "Boolean" in seen[0]
    assert "M8" in seen[0]
    assert "Int64" in seen[0]


def test_what_pandas_noted_of_other_types_changes_no_column() -> None:
    """A table made from Arrow-backed columns gives numpy's numbers all the same."""
    noted = pa.Table.from_pandas(pd.DataFrame({"n": [0.5]}, dtype="double[pyarrow]"))
    read = OwnColumn("c", "f", len, ("n",), ColumnType.NUMBER).frame(noted)
    assert str(read.dtypes["n"]) == "float64"


ROW_DEPENDENT = {
    "centred": "return rows['sugar'] - rows['sugar'].mean() > 0",
    "ranked": "return rows['sugar'].rank(pct=True) > 0.5",
    "quantiles": "import pandas as pd\n    return pd.qcut(rows['sugar'], 2, labels=False) > 0",
    "filled by the mean": "return rows['sugar'].fillna(rows['sugar'].mean()) > 6.5",
    "the row before": "return rows['sugar'].shift() > 6.5",
    "the row's place": "return pd.Series(rows.index % 2 == 0)",
    "only among many": "s = rows['sugar']\n    return s >= (s.median() if len(s) > 500 else 6.5)",
    "far from the mean": "z = (rows['sugar'] - rows['sugar'].mean()) / rows['sugar'].std()\n"
    "    return (rows['sugar'] >= 6.5) & ~(z.abs() > 6)",
    "outside of a fence": "low, high = rows['sugar'].quantile([.25, .75])\n"
    "    return (rows['sugar'] >= 6.5) & ~(rows['sugar'] > high + 3 * (high - low))",
    "the largest": "s = rows['sugar']\n    return (s == s.max()) & (len(s) > 1) & (s > 1e6)",
    "how many alike": "return rows.groupby('sugar')['sugar'].transform('size') > 1",
}


@pytest.mark.parametrize("body", ROW_DEPENDENT.values(), ids=ROW_DEPENDENT.keys())
def test_a_function_that_looks_at_other_rows_is_refused(body: str, tmp_path: Path) -> None:
    """By the line of the policy, with its name, how many rows differ, and what to do."""
    file = asked(tmp_path, f"import pandas as pd\ndef sick(rows):\n    {body}")
    with pytest.raises(PolicyError) as refused:
        load_checked_code(file)
    said = str(refused.value)
    assert "small.yaml:" in said
    assert "derived.sick.function: `features.py:sick` " in said
    assert "made-up rows" in said


AGAIN = "gives another value when it is called again"
NO_COLUMN = {
    "chance": ("return [random() < .5 for _ in range(len(rows))]", AGAIN),
    "a counter": ("seen.append(1)\n    return [len(seen) % 2 == 0] * len(rows)", AGAIN),
    "a change": ("rows['sugar'] = 1\n    return rows['sugar'] > 0", "changes the rows that it is"),
    "fewer rows": ("return (rows['sugar'] > 6.5)[1:]", "returned a Series with other rows"),
    "sorted rows": ("return (rows['sugar'] > 6.5).sort_values()", "or in another order"),
    "one value": ("return True", "does not give one value a row"),
    "a frame": ("return rows", "does not give one value a row"),
    "texts": ("return ['Zyx'] * len(rows)", "gave values that are not boolean for about 120 rows"),
    "an error": ("return rows['bmi']", "fails on made-up rows with KeyError at features.py line 4"),
}


@pytest.mark.parametrize(("body", "said"), NO_COLUMN.values(), ids=NO_COLUMN.keys())
def test_what_is_no_column_is_refused(body: str, said: str, tmp_path: Path) -> None:
    """Chance, state between calls, changed input, other rows, other types, errors."""
    file = asked(tmp_path, f"from random import random\nseen = []\ndef sick(rows):\n    {body}")
    with pytest.raises(PolicyError) as refused:
        load_checked_code(file)
    assert said in str(refused.value)


def test_what_cannot_be_called_is_refused(tmp_path: Path) -> None:
    """Before it is tried."""
    with pytest.raises(PolicyError, match=r"`features\.py:sick` is not a function"):
        load_checked_code(asked(tmp_path, "sick = 3"))


@pytest.mark.parametrize(("other", "refused"), [(None, True), ("hi", False)])
def test_words_that_are_not_declared_are_told_before_a_person_is_read(
    other: str | None, refused: bool, tmp_path: Path
) -> None:
    """As a run would, unless the policy says what becomes of other words; never the word itself."""
    text = "def sick(rows):\n    return rows['sugar'].ge(6.5).map({True: 'hi', False: 'low'})"
    file = asked(tmp_path, text)
    words = Categories(kind="categories", values=("low", "high"), other=other)
    update = {"type": ColumnType.TEXT, "treatment": words}
    derived = {"sick": file.policy.derived["sick"].model_copy(update=update)}
    tried = PolicyFile(file.policy.model_copy(update={"derived": derived}), file.text, file.path)
    problems = list(find_row_dependence(tried, load_policy_code(tried)))
    told = [f"{each.what}; {each.fix}" for each in problems]
    assert bool(told) is refused
    for said in told:
        assert "gives words that the column's treatment does not declare: about" in said
        assert "or correct the function" in said


def test_a_run_names_the_function_whose_words_are_not_declared() -> None:
    """Beside the source only where a column of it holds such words too."""
    own = {"band": "features.py:band"}
    said = say_undeclared({"band": "about 20 values are not declared"}, own)
    assert said.endswith("or correct `features.py:band`")
    both = say_undeclared({"sex": "about 20 values", "band": "about 30 values"}, own)
    assert both.endswith("or correct the source, `features.py:band`")
    assert say_undeclared({"sex": "about 20 values"}, own).endswith("or correct the source")


def test_rounding_that_hangs_on_how_many_rows_there_are_is_let_pass(tmp_path: Path) -> None:
    """A sum of products may differ in its last digit between one row and many."""
    text = (
        "import numpy as np\n"
        "def sick(rows):\n"
        "    return (rows['sugar'] * 0.1) * (1 + 1e-13 * (len(rows) > 1))"
    )
    file = asked(tmp_path, text)
    derived = file.policy.derived["sick"].model_copy(update={"type": ColumnType.NUMBER})
    policy = file.policy.model_copy(update={"derived": {"sick": derived}})
    load_checked_code(PolicyFile(policy, file.text, file.path))


def test_a_bound_at_a_quantile_is_found_and_numbers_that_it_cannot_take_do_not_matter(
    tmp_path: Path,
) -> None:
    """One number far out shows what its neighbours set; a function need not take such a number."""
    clipped = "def sick(rows):\n    s = rows['sugar']\n    return s.clip(upper={})"
    strict = "import math\ndef sick(rows):\n    return [math.exp(v) for v in rows['sugar']]"
    for text, found in (
        (clipped.format("s.quantile(.999)"), True),
        (clipped.format("30"), False),
        (strict, False),
    ):
        file = asked(tmp_path, text)
        derived = file.policy.derived["sick"].model_copy(update={"type": ColumnType.NUMBER})
        policy = file.policy.model_copy(update={"derived": {"sick": derived}})
        own = load_policy_code(file)
        problems = list(find_row_dependence(PolicyFile(policy, file.text, file.path), own))
        assert bool(problems) == found, (text, problems)


@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 3), st.none() | st.sampled_from("ab")), max_size=12
    )
)
def test_called_singly_a_function_gives_the_same(
    pairs: list[tuple[int | None, str | None]],
) -> None:
    """Once for each combination of values, each put back where it belongs."""
    calls = []

    def made(frame: pd.DataFrame) -> object:
        calls.append(len(frame))
        return frame["x"].astype("float64").fillna(-1) * 10 + frame["y"].eq("a").fillna(value=False)

    table = rows([x for x, _ in pairs], [y for _, y in pairs])
    found = column(made, singly=True).derive(table).to_pylist()
    assert found == [(-1 if x is None else x) * 10 + (y == "a") for x, y in pairs]
    assert calls in ([1] * len(set(pairs)), [0])


def test_before_a_private_model_a_function_sees_one_row_at_a_time(tmp_path: Path) -> None:
    """What the trial missed, because it only happens among many rows, cannot happen there."""
    text = SICK.replace(">= 6.5", ">= (6.5 if len(rows) <= 5500 else 0)")
    promise = "promise: {kind: differential-privacy, epsilon: 1, delta: 1e-6}"
    private = (
        ("{model: logistic-regression}", "{model: private-logistic-regression}"),
        ("recipient: Clinic", f"recipient: Clinic\n    {promise}"),
    )
    table = people([1.0] * 6000)
    for changes, expected in (((), True), (private, False)):
        file = asked(tmp_path, text, *changes)
        derived = derive_columns(table, file.policy, TODAY, load_checked_code(file))
        assert derived["sick"].to_pylist() == [expected] * 6000


def test_a_wrong_result_of_people_is_refused_without_a_value() -> None:
    """In a run a text where a number should be is said by how many there are, roughly."""
    with pytest.raises(Refusal, match=r"gave values that are not number for about 20 rows") as said:
        column(lambda frame: ["Zyxwort"] * len(frame)).derive(rows([1] * 20))
    assert "Zyxwort" not in str(said.value)
    with pytest.raises(Refusal, match="does not give one value a row") as said:
        column(lambda frame: [1, "Zyxwort", b"x"][: len(frame)]).derive(rows([1, 2, 3]))
    assert "Zyxwort" not in str(said.value)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("", "has neither an expression nor a function"),
        (FUNCTION + EXPRESSION, "has an expression and a function"),
        (EXPRESSION + "    type: boolean\n", "also keys that only a function needs"),
        (FUNCTION.replace("    type: boolean\n", ""), "has a function without `reads` or `type`"),
        (FUNCTION.replace("    reads: [sugar]\n", ""), "has a function without `reads` or `type`"),
        (FUNCTION.replace("[sugar]", "[sugar, bmi]"), "`bmi` is not a column here"),
        (FUNCTION.replace("[sugar]", "[sugar, age]"), "used for derivation, but `use` omits it"),
        (FUNCTION.replace("boolean", "text"), "leaves a target that is neither yes or no"),
        (FUNCTION.replace("features.py:sick", "sick"), "has a form that is not allowed"),
    ],
)
def test_a_derived_column_has_an_expression_or_a_whole_function(changed: str, said: str) -> None:
    """Exactly one of the two; what a function reads is said as for expressions."""
    with pytest.raises(PolicyError) as refused:
        parse_policy(small_policy((EXPRESSION, changed)))
    assert said in str(refused.value)
