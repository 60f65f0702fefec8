"""What record-wise expressions mean, and what is said about those that mean nothing.

The oracle below works on its own nested tuples with plain Python values, None for missing.
"""

from __future__ import annotations

import math
import operator
import subprocess
import sys
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb
import narwhals as nw
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.expressions.expressions import ColumnType, Expression, ExpressionError, parse

if TYPE_CHECKING:
    from collections.abc import Callable

TODAY = date(2026, 2, 28)
ARROW = {
    ColumnType.NUMBER: pa.float64(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.TEXT: pa.string(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.DATE: pa.date32(),
}
TYPES = {
    "x": ColumnType.NUMBER,
    "y": ColumnType.NUMBER,
    "i": ColumnType.INTEGER,
    "s": ColumnType.TEXT,
    "p": ColumnType.BOOLEAN,
    "q": ColumnType.BOOLEAN,
    "day": ColumnType.DATE,
}
Row = dict[str, Any]


def table_of(rows: list[Row]) -> pa.Table:
    """Rows as Arrow, absent columns missing."""
    return pa.table(
        {
            n: pa.array([r.get(n) for r in rows], ARROW[t], from_pandas=False)
            for n, t in TYPES.items()
        }
    )


def on_pandas(table: pa.Table) -> Any:
    """The frame as row-wise steps hold it."""
    return nw.from_native(table.to_pandas(types_mapper=pd.ArrowDtype))


def on_duckdb(table: pa.Table) -> Any:
    """The frame as relational steps hold it."""
    return nw.from_native(duckdb.from_arrow(table))


ENGINES: dict[str, Callable[[pa.Table], Any]] = {"pandas": on_pandas, "duckdb": on_duckdb}


def values(expression: Expression, frame: Any) -> list[Any]:
    """The expression for each row, None for missing."""
    expression.check_frame(frame)
    got = frame.with_columns(result=expression.to_narwhals(TODAY)).select("result").lazy().collect()
    return got.to_arrow()["result"].to_pylist()  # type: ignore[no-any-return]


def value(text: str, engine: str = "duckdb", **row: object) -> Any:
    """The expression for one row."""
    return values(parse(text, TYPES), ENGINES[engine](table_of([row])))[0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("x + 2 * 3 = 7", {"x": 1.0}, True),
        ("10 - x - 2", {"x": 3.0}, 5.0),
        ("p or q and false", {"p": True, "q": True}, True),
        ("not p or q", {"p": True, "q": True}, True),
        ("not x = 1", {"x": 2.0}, True),
        ("-x * 2 < -1", {"x": 1.0}, True),
        ("x between 1 and 2 and p", {"x": 2.0, "p": True}, True),
        ("x between 1 and 2", {"x": 1.0}, True),
        ("i / 2", {"i": 3}, 1.5),
        ("i * 2", {"i": 3}, 6),
        ("i in (1, -2)", {"i": -2}, True),
        ("s not in ('a', 'b')", {"s": "c"}, True),
        ("s = 'it''s'", {"s": "it's"}, True),
        ("s is missing", {"s": ""}, False),
        ("day < date '2020-01-31'", {"day": date(2020, 1, 30)}, True),
        ("if(p, 'yes', 'no')", {"p": None}, "no"),
        ("coalesce(i, x, 0)", {"x": 2.5}, 2.5),
        ("x / 0", {"x": 1.0}, None),
        ("x is missing", {"x": math.nan}, True),
        ("x > 1", {"x": math.inf}, None),
        ("1 / (x / 0)", {"x": 1.0}, None),
        ("i * i - i * i", {"i": 2**40}, None),
        ("x" + " + x" * 25, {"x": 1.0}, 26.0),
        ("p or " * 400 + "q", {"p": False, "q": True}, True),
        ("(" * 1900 + "x" + ")" * 1900, {"x": 1.0}, 1.0),
        ("not ((1 / 0) = 1)", {"x": 1.0}, None),
        ("i + 1", {"i": 2**53 - 1}, None),
        ("x < i", {"x": 1.0, "i": 2**60}, None),
        ("i = 9007199254740991", {"i": 2**53}, False),
        ("true", {}, True),
    ],
)
def test_an_expression_means_the_same_on_every_engine(
    engine: str, text: str, row: Row, expected: object
) -> None:
    """Precedence, types and missing values, example by example."""
    got = value(text, engine, **row)
    assert (got, type(got)) == (expected, type(expected))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("born", "years"),
    [
        (date(2000, 2, 28), 26),
        (date(2000, 2, 29), 25),
        (date(2026, 2, 28), 0),
        (date(2026, 3, 1), -1),
        (None, None),
    ],
)
def test_age_counts_birthdays_reached_on_the_day_of_the_run(
    engine: str, born: date | None, years: int | None
) -> None:
    """A leap-day birthday is not yet reached on 28 February."""
    assert value("years_since(day)", engine, day=born) == years


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("visit", "days"),
    [
        pytest.param(TODAY, 0, id="today"),
        pytest.param(date(2026, 2, 27), 1, id="yesterday"),
        pytest.param(date(2026, 3, 1), -1, id="tomorrow"),
        pytest.param(date(2025, 2, 28), 365, id="a-year"),
        pytest.param(date(2024, 2, 28), 731, id="over-a-leap-day"),
        pytest.param(date(1, 1, 1), TODAY.toordinal() - 1, id="the-first-day"),
        pytest.param(date(9999, 12, 31), TODAY.toordinal() - 3652059, id="the-last-day"),
        pytest.param(None, None, id="unknown"),
    ],
)
def test_days_are_counted_to_the_day_of_the_run(
    engine: str, visit: date | None, days: int | None
) -> None:
    """Who was here in the last year is told without writing a date."""
    assert value("days_since(day)", engine, day=visit) == days
    expected = None if days is None else 0 <= days <= 365
    assert value("days_since(day) between 0 and 365", engine, day=visit) is expected


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("symbol", "table"),
    [("and", "TFN FFF NFN"), ("or", "TTT TFN TNN"), ("=", "TFN FTN NNN"), ("!=", "FTN TFN NNN")],
)
def test_logic_is_three_valued(engine: str, symbol: str, table: str) -> None:
    """The whole table of each connective over true, false, missing."""
    truths = {"T": True, "F": False, "N": None}
    rows: list[Row] = [{"p": p, "q": q} for p in truths.values() for q in truths.values()]
    got = values(parse(f"p {symbol} q", TYPES), ENGINES[engine](table_of(rows)))
    assert got == [truths[letter] for letter in table.replace(" ", "")]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("text", ["x >= 20", "not x < 20", "x not in (1)", "true and x > 1"])
def test_eligibility_keeps_only_those_of_whom_it_is_known(engine: str, text: str) -> None:
    """Unknown means no, also under `not`."""
    table = table_of([{"x": 30.0}, {"x": None}, {"x": math.nan}, {"x": 1.0}])
    kept = ENGINES[engine](table).filter(parse(text, TYPES).to_narwhals(TODAY)).lazy().collect()
    assert kept.to_arrow()["x"].to_pylist() == [30.0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "text", ["true", "1 = 1", "not false", "true and true", "1 is not missing"]
)
def test_an_eligibility_that_reads_nothing_keeps_everybody(engine: str, text: str) -> None:
    """A constant filters as any other expression does."""
    frame = ENGINES[engine](table_of([{"x": 1.0}, {}]))
    kept = frame.filter(parse(text, TYPES).to_narwhals(TODAY)).lazy().collect()
    assert len(kept) == 2


@pytest.mark.parametrize("engine", ENGINES)
def test_a_derived_target_can_make_the_unknown_false(engine: str) -> None:
    """The example policy's target is never missing."""
    text = "coalesce(x >= 6.5, false) or coalesce(s = '1', false)"
    rows: list[Row] = [{"x": 7.0}, {"s": "1"}, {"s": "Borderline"}, {"x": 5.0, "s": "0"}, {}]
    got = values(parse(text, TYPES), ENGINES[engine](table_of(rows)))
    assert got == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("text", "expected", "columns"),
    [
        ("i + 1", ColumnType.INTEGER, {"i"}),
        ("i + x", ColumnType.NUMBER, {"i", "x"}),
        ("i / 2", ColumnType.NUMBER, {"i"}),
        ("coalesce(i, 0.5)", ColumnType.NUMBER, {"i"}),
        ("if(p, s, 'none')", ColumnType.TEXT, {"p", "s"}),
        ("years_since(day) >= 18", ColumnType.BOOLEAN, {"day"}),
        ("days_since(day)", ColumnType.INTEGER, {"day"}),
        ("date '2020-01-31'", ColumnType.DATE, set()),
    ],
)
def test_an_expression_knows_its_type_and_what_it_reads(
    text: str, expected: ColumnType, columns: set[str]
) -> None:
    """Policies are checked by these before any data is read."""
    expression = parse(text, TYPES)
    assert (expression.type, expression.columns) == (expected, frozenset(columns))


@pytest.mark.parametrize("name", ["date", "missing", "if", "andy", "in", "größe", "nothing"])
def test_a_column_may_be_called_as_a_word_of_the_grammar(name: str) -> None:
    """Words have their meaning only where an operator can stand."""
    assert parse(f"{name} is missing and {name} > 1", {name: ColumnType.NUMBER}).columns == {name}


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ("x >= 20 AND p", 8, "small letters"),
        ("x == 3", 3, "one ="),
        ("x <> 3", 3, "!="),
        ('s = "a"', 4, "single quotes"),
        ("s = 'a", 4, "closed"),
        ("x is null", 5, "is missing"),
        ("x > 1 & p", 6, "and, or"),
        ("x >", 3, "must follow"),
        ("(x > 1 ", 6, "must follow"),
        ("", 0, "must follow"),
        ("x < y < 2", 6, "cannot stand here"),
        ("ii > 1", 0, "did you mean 'i'?"),
        ("p and s = 1", 10, "as text it is '1'"),
        ("x = '1'", 4, "without quotes"),
        ("day > '2020-01-31'", 6, "date '2020-01-31'"),
        ("day > date '2020-02-30'", 6, "that day does not exist"),
        ("p and i", 6, "takes boolean"),
        ("s + 1 > 2", 0, "takes integer or number"),
        ("p < q", 0, "takes date"),
        ("if(p, 1, 'a') = 1", 9, "does not go with integer"),
        ("if(p, 1)", 0, "takes 3"),
        ("colesce(x, 1) = 1", 0, "did you mean 'coalesce'?"),
        ("x in (1, y)", 9, "written values"),
        ("x > 1e999", 4, "too large"),
        ("i = 99999999999999999", 4, "2**53"),
        ("years_since(s) > 1", 12, "takes date"),
        ("days_since(s) > 1", 11, "takes date"),
        ("days_since() > 1", 11, "cannot stand here"),
        ("day_since(day) > 1", 0, "did you mean 'days_since'?"),
        ("- p", 2, "takes integer or number"),
        ("not " * 60 + "p", 128, "nested"),
        ("x > 1 or " * 500 + "p", 0, "at most 4000"),
    ],
)
def test_an_error_points_at_the_character(text: str, position: int, said: str) -> None:
    """The message says what to write; `position` is where."""
    with pytest.raises(ExpressionError) as caught:
        parse(text, TYPES)
    assert caught.value.position == position
    assert said in str(caught.value)


def test_all_problems_are_shown_each_with_its_caret() -> None:
    """One reading of the message mends the whole expression."""
    with pytest.raises(ExpressionError) as caught:
        parse("xx > 1 and\n  s = 1", TYPES)
    assert str(caught.value).splitlines() == [
        "no column 'xx' is declared; did you mean 'x'? (at character 1)",
        "  xx > 1 and",
        "  ^",
        "integer does not go with text; as text it is '1' (at character 18)",
        "    s = 1",
        "        ^",
    ]


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "s.upper()", "f'{x}'", "x[0]", "lambda: x", "(x := 1)", "x; x", "x ** 9"],
)
def test_nothing_is_executed(text: str) -> None:
    """Python is not the language."""
    with pytest.raises(ExpressionError):
        parse(text, TYPES)


def test_an_expression_is_said_in_words() -> None:
    """Reports say who was eligible without symbols."""
    said = parse("x >= 20 and (s is not missing or i in (1, 2))", TYPES).describe()
    assert said == "(x is at least 20) and ((s is known) or (i is one of 1, 2))"


@pytest.mark.parametrize(
    "frame",
    [
        nw.from_native(pd.DataFrame({"x": [1.0], "s": ["a"]})),
        on_pandas(pa.table({"x": [1], "s": ["a"]})),
        on_duckdb(pa.table({"s": ["a"]})),
    ],
    ids=["pandas' own types", "integers for numbers", "absent"],
)
def test_a_frame_that_would_give_wrong_answers_is_not_read(frame: Any) -> None:
    """In pandas' own types a missing value would compare as false."""
    with pytest.raises(TypeError, match="column 'x' must be held as Arrow Float64"):
        parse("x > 1", TYPES).check_frame(frame)


def test_importing_expressions_loads_no_heavy_library() -> None:
    """`tutela --help` stays quick."""
    code = (
        "import sys, expectations.expressions.expressions\n"
        "sys.exit(bool({'lark', 'narwhals', 'pandas', 'duckdb', 'pyarrow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# The oracle: trees are tuples (operator, operand, …), ("column", name) or ("value", v).

Tree = tuple[Any, ...]
PLAIN: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge, "+": operator.add, "-": operator.sub,
    "*": operator.mul,
}  # fmt: skip


def written(tree: Tree) -> str:
    """The tree as a policy's author writes it, in brackets throughout."""
    head, *rest = tree
    if head == "column":
        return str(rest[0])
    if head == "value":
        v = rest[0]
        if isinstance(v, bool):
            return str(v).lower()
        if isinstance(v, date):
            return f"date '{v}'"
        return "'" + v.replace("'", "''") + "'" if isinstance(v, str) else repr(v)
    parts = [written(part) for part in rest]
    if head in {"if", "coalesce", "years_since", "days_since"}:
        return f"{head}({', '.join(parts)})"
    if head == "in":
        return f"({parts[0]} in ({', '.join(parts[1:])}))"
    if head == "between":
        return f"({parts[0]} between {parts[1]} and {parts[2]})"
    if head in {"is missing", "is not missing"}:
        return f"({parts[0]} {head})"
    return f"({head} {parts[0]})" if len(parts) == 1 else f"({f' {head} '.join(parts)})"


def clean(v: Any) -> Any:
    """A number that is not finite, and an integer that doubles cannot hold, is missing."""
    if isinstance(v, int):
        return v if abs(v) < 2**53 else None
    return None if isinstance(v, float) and not math.isfinite(v) else v


def kleene(v: list[Any], decisive: bool) -> Any:
    """`and` is decided by a false, `or` by a true."""
    return decisive if decisive in v else None if None in v else not decisive


def known(head: str, v: list[Any]) -> Any:
    """Operators that are missing when any operand is."""
    if head == "not":
        return not v[0]
    if head == "between":
        return v[1] <= v[0] <= v[2]
    if head == "in":
        return v[0] in v[1:]
    if head == "years_since":
        return TODAY.year - v[0].year - ((TODAY.month, TODAY.day) < (v[0].month, v[0].day))
    if head == "days_since":
        return (TODAY - v[0]).days
    if head == "/":
        return float(v[0]) / v[1] if v[1] else None
    if head == "-" and len(v) == 1:
        return -v[0]
    return PLAIN[head](*v)


def oracle(tree: Tree, row: Row) -> Any:
    """The value for a row."""
    head, *rest = tree
    if head in {"column", "value"}:
        return clean(row[rest[0]]) if head == "column" else rest[0]
    v = [oracle(part, row) for part in rest]
    if head in {"and", "or"}:
        return kleene(v, head == "or")
    if head == "if":
        return v[1] if v[0] is True else v[2]
    if head == "coalesce":
        return next((item for item in v if item is not None), None)
    if head in {"is missing", "is not missing"}:
        return (v[0] is None) == (head == "is missing")
    if head == "between":
        lower = None if None in v[:2] else v[1] <= v[0]
        upper = None if None in (v[0], v[2]) else v[0] <= v[2]
        return kleene([lower, upper], decisive=False)
    return None if None in v else clean(known(head, v))


TEXTS = st.sampled_from(["", "a", "A", "b", "ä", "it's", "10", "9", "\U0001f600", "\ufb00"])
DAYS = st.dates(date(1900, 1, 1), date(2100, 1, 1)) | st.sampled_from([TODAY, date(2000, 2, 29)])
WHOLE = st.integers(-3, 3) | st.integers(0, 2**30)
REAL = st.sampled_from([0.0, 0.5, -1.5, 2.0, 1e-300, 1e300]) | st.floats(-10, 10)
TRUTH = st.booleans()


def grown(kind: str, depth: int) -> st.SearchStrategy[Tree]:
    """Random trees of a kind: truth, real, whole, text, day."""
    columns = {"truth": "pq", "real": "xy", "whole": "i", "text": "s", "day": ["day"]}[kind]
    literal = {"truth": TRUTH, "real": REAL, "whole": WHOLE, "text": TEXTS, "day": DAYS}[kind]
    leaf = st.sampled_from([("column", c) for c in columns]) | literal.map(lambda v: ("value", v))
    if not depth:
        return leaf

    def sub(name: str) -> st.SearchStrategy[Tree]:
        return st.deferred(lambda: grown(name, depth - 1))

    def made(*heads: str, of: tuple[st.SearchStrategy[Any], ...]) -> st.SearchStrategy[Tree]:
        return st.tuples(st.sampled_from(heads), *of)

    numeric = sub("real") | sub("whole")
    same = numeric if kind == "real" else sub(kind)
    forms = [leaf, made("coalesce", of=(same, same)), made("if", of=(sub("truth"), same, same))]
    if kind == "real":
        forms += [made("+", "-", "*", "/", of=(numeric, numeric)), made("-", of=(numeric,))]
    if kind == "whole":
        forms += [
            made("+", "-", "*", of=(same, same)),
            made("years_since", "days_since", of=(sub("day"),)),
        ]
    if kind == "truth":
        forms += [made("and", "or", of=(same, same)), made("not", of=(same,))]
        forms += [made("=", "!=", of=(same, same)), made("and", "or", of=(same, same, same))]
        for operand, values_of in (
            (numeric, REAL | WHOLE),
            (sub("text"), TEXTS),
            (sub("day"), DAYS),
        ):
            item = values_of.map(lambda v: ("value", v))
            forms += [
                made("=", "!=", "<", "<=", ">", ">=", of=(operand, operand)),
                made("between", of=(operand, operand, operand)),
                made("in", of=(operand, item, item)),
            ]
        anything = st.one_of([sub(k) for k in ("truth", "real", "whole", "text", "day")])
        forms.append(made("is missing", "is not missing", of=(anything,)))
    return st.one_of(forms)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "x": st.none() | REAL | st.sampled_from([math.nan, math.inf]),
            "y": st.none() | REAL,
            "i": st.none() | WHOLE,
            "s": st.none() | TEXTS,
            "p": st.none() | TRUTH,
            "q": st.none() | TRUTH,
            "day": st.none() | DAYS,
        }
    ),
    max_size=4,
)


@given(
    tree=st.one_of([grown(kind, 3) for kind in ("truth", "real", "whole", "text", "day")]),
    rows=ROWS,
)
def test_every_engine_agrees_with_a_reading_row_by_row(tree: Tree, rows: list[Row]) -> None:
    """pandas, DuckDB and plain Python give one answer, missing values included."""
    expression, table = parse(written(tree), TYPES), table_of(rows)
    expected = [oracle(tree, row) for row in rows]
    assert values(expression, on_duckdb(table)) == expected
    assert values(expression, on_pandas(table)) == expected
