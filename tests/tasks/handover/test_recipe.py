"""What goes along with a model makes a new person's features as the run made them.

The plan of a run, the SQL and the Python of the package and, in `tests/tasks/sources`, a loop over
people are four things that share no code but the plan and its SQL.
"""

from __future__ import annotations

import ast
import math
import random
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.expressions.expressions import ColumnType, parse
from expectations.policy.many_rows import FromRows, Index, RowField
from expectations.policy.policy import Column, PeopleSource, Policy
from expectations.policy.vocabulary import Use
from expectations.policy_file import read_policy
from tasks.anonymization.deidentify import deidentify_table
from tasks.handover import scoring
from tasks.handover.recipe import PYTHON, SQL, Features, write_node, write_recipe
from tasks.people.ingestion import CATEGORIES, RECORD, collect_columns, people_source
from tasks.people.population import TEST, derive_columns
from tasks.sources.conversion import convert
from tasks.sources.people_tables import PeopleTables
from tasks.sources.recipe import AS_DECLARED
from tests.tasks.sources.test_many_rows import ASKED, DAY, People, Row, mostly, rows, some
from tests.tasks.sources.test_many_rows import people as drawn_people
from tests.tasks.sources.test_many_rows import write as write_tables

Tables: TypeAlias = Mapping[str, pa.Table]
BEFORE = [name for name, take in ASKED.items() if not take.days_after]
TYPES = {
    "count": "integer", "count-distinct": "integer", "days-since": "integer", "any": "boolean",
    "all": "boolean", "first": "text",
}  # fmt: skip
TREATED: Mapping[str, Mapping[str, object]] = {
    "boolean": {"kind": "keep"},
    "text": {"kind": "categories", "values": ["A", "B"]},
    "integer": {"kind": "bin", "edges": [1], "labels": ["none", "some"]},
    "number": {"kind": "clip", "low": -1, "high": 1},
}


def load(text: str) -> ModuleType:
    """Load the Python of a package as its recipient does."""
    module = ModuleType("features")
    sys.modules["features"] = module  # where its dataclasses look for their types
    exec(compile(text, PYTHON, "exec"), module.__dict__)  # noqa: S102  # what is tried
    return module


def ask(query: str, tables: Tables) -> list[dict[str, Any]]:
    """Ask the SQL of a package of a recipient's tables."""
    with duckdb.connect() as engine:
        for name, table in tables.items():
            engine.register(name, table)
        return engine.sql(query).to_arrow_table().to_pylist()


def same(one: object, other: object) -> bool:
    """Whether two values are alike, floats to the last bits that sums of them round away."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-15)
    return type(one) is type(other) and one == other


def column(take: Any) -> Column:
    """Declare a feature of rows."""
    kind = TYPES.get(take.take, "number")
    return Column.model_validate(
        {
            "rows": take, "type": kind, "identifiability": "none", "category": "dpv-pd:Health",
            "use": ["feature"], "treatment": TREATED[kind],
        },
        strict=False,
    )  # fmt: skip


def policy_of(source: object, takes: Mapping[str, Any]) -> Policy:
    """Give a policy whose features are made so of a source's rows."""
    policy = read_policy("readmission").policy
    columns = {name: column(take) for name, take in takes.items()}
    return policy.model_copy(update={"source": source, "columns": columns, "derived": {}})


def compare(policy: Policy, plan: pa.Table, roster: Tables, tables: Tables, index: Row) -> None:
    """Hold SQL and Python of a policy's package against what the plan gave of the same rows."""
    features, person = Features(policy), policy.source.person
    written = write_recipe(policy)
    asked = ask(written[SQL], roster | tables)
    module = load(written[PYTHON])
    own = {row[person]: row for row in next(iter(roster.values())).to_pylist()}
    held: dict[str, dict[str, list[Row]]] = {name: {} for name in tables}
    for name, table in tables.items():
        named = policy.source.tables[name].person or person
        for row in table.to_pylist():
            held[name].setdefault(row[named], []).append(row)
    by_sql = {row[person]: row for row in asked}
    for expected in plan.to_pylist():
        who = expected[person]
        mine = {name: found.get(who, []) for name, found in held.items()}
        by_hand = module.columns(own[who], mine, index[who])
        for name in features.columns:
            assert same(by_sql[who][name], expected[name]), ("sql", name)
            assert same(by_hand[name], expected[name]), ("python", name)


def check(indices: People, found: list[Row], asked: Sequence[str], folder: Path) -> None:
    """Write people and rows as a run reads them, and as a recipient has them; compare."""
    reader = write_tables(folder, indices, found)
    takes = {f"c{place}": ASKED[name] for place, name in enumerate(asked)}
    policy = policy_of(reader.source, takes)
    plan = PeopleTables(reader.source, takes, folder).read(["pid", *takes])
    fitted = {name: pa.array([index for index, _ in indices.values()]) for name in ("index_at",)}
    roster = pa.table(
        {"pid": [*indices], **{n: v.cast(pa.timestamp("us")) for n, v in fitted.items()}}
    )
    kinds = pa.schema(
        [("pid", pa.string()), ("start", pa.timestamp("us")), ("told", pa.timestamp("us")),
         ("ward", pa.string()), ("value", pa.float64())]
    )  # fmt: skip
    visits = pa.Table.from_pylist(found, kinds)
    index = {who: index for who, (index, _) in indices.items()}
    compare(policy, plan, {"people": roster}, {"visits": visits}, index)


@given(indices=drawn_people, found=st.lists(rows, min_size=3, max_size=14), asked=some(BEFORE))
def test_sql_and_python_of_the_package_make_what_the_plan_makes(
    indices: People, found: list[Row], asked: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Over functions, windows, conditions, missing values and equal moments."""
    check(indices, found, asked, tmp_path_factory.mktemp("recipe"))


def test_every_function_of_a_hundred_rows_is_made_alike(tmp_path: Path) -> None:
    """All takes at once, in all windows before the index, with and without a condition."""
    drawn = random.Random(11)
    moment = lambda: DAY + timedelta(days=drawn.randint(-4, 4), hours=6 * drawn.randint(0, 1))  # noqa: E731
    indices: People = {str(n): (DAY + timedelta(days=n), None) for n in range(5)} | {
        "5": (None, None)
    }
    found: list[Row] = [
        {
            "pid": str(drawn.randint(0, 6)), "start": moment(), "told": moment(),
            "ward": drawn.choice(["A", "B", None]),
            "value": drawn.choice([0.1, 1.5, -3.7, 2e13, None]),
        }
        for _ in range(120)
    ]  # fmt: skip
    check(indices, found, BEFORE, tmp_path)


def test_the_package_of_the_example_makes_what_its_model_is_trained_on() -> None:
    """Of everybody of `readmission`, down to the words that the model reads."""
    file = read_policy("readmission")
    policy, source = file.policy, file.policy.source
    reader = people_source(file, b"key")
    roster = reader.read([source.person, "age", "sex", "smoking_status"])
    people = pa.table(
        {
            "_person": roster.column(source.person).cast(pa.large_string()),
            "_categories": pa.array([2**32 - 1] * roster.num_rows, pa.uint32()),
        }
    )
    collected = collect_columns(reader, policy, people)
    number = pa.array(range(collected.num_rows), pa.uint64())
    collected = collected.append_column(RECORD, number).append_column(
        TEST, pa.array([False] * collected.num_rows)
    )
    treated, _ = deidentify_table(collected, policy, b"")
    features = policy.used_as(Use.FEATURE)
    assert isinstance(reader, PeopleTables)
    tables = read_example_tables(reader, ("stays", "diagnoses", "labs", "discharges"))
    first: dict[str, datetime] = {}
    for row in tables.pop("discharges").to_pylist():
        first[row["patient"]] = min(first.get(row["patient"], row["discharged"]), row["discharged"])
    who = collected.column("_person").to_pylist()
    index_at = pa.array([first.get(one) for one in who], pa.timestamp("us"))
    written = write_recipe(policy)
    module, asked = (
        load(written[PYTHON]),
        ask(written[SQL], {"people": roster.append_column("index_at", index_at), **tables}),
    )
    expected = dict(zip(who, treated.select(features).to_pylist(), strict=True))
    by_sql = {row[source.person]: module.treat(row) for row in asked}
    assert by_sql == expected
    held = group(tables)
    for row, moment in list(zip(roster.to_pylist(), index_at.to_pylist(), strict=True))[::7]:
        mine = {name: found.get(row["patient"], []) for name, found in held.items()}
        assert module.features(row, mine, moment) == expected[row["patient"]]


def read_example_tables(reader: PeopleTables, names: Sequence[str]) -> dict[str, pa.Table]:
    """Read the example's tables whole, as a hospital has them."""
    from tasks.sources import open_source

    found = {}
    for name in names:
        opened = open_source(reader.source.tables[name].location, reader.folder)
        found[name] = opened.read([*opened.columns()])
    return found


def group(tables: Tables) -> dict[str, dict[str, list[Row]]]:
    """Give each table's rows by person."""
    held: dict[str, dict[str, list[Row]]] = {}
    for name, table in tables.items():
        for row in table.to_pylist():
            held.setdefault(name, {}).setdefault(row["patient"], []).append(row)
    return held


EXPRESSIONS = [
    "n + 1 > value", "n / 2 >= 1.5", "n * n - 3 between 1 and 6", "value * 1e308 > 1",
    "value / 0 is missing", "not (word = 'a') or value < 1", "word in ('a', 'b') and n != 2",
    "word not in ('a')", "n in (1, 2.5)", "if(value > 1, 'x', word) = 'x'",
    "coalesce(value, n) = 2", "coalesce(n, 7) >= 7", "days_since(day) > 10",
    "years_since(day) = 1", "day >= date '2023-02-28'",
    "-n < 0 and yes", "not yes", "9007199254740991 + n > 0", "word is missing or word >= 'b'",
]  # fmt: skip


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "n": mostly(st.sampled_from([0, 1, 2, 3, -5, 2**53 + 1])),
                "value": mostly(st.sampled_from([0.0, 0.5, 1.5, 2.0, -3.0, 1e300])),
                "word": mostly(st.sampled_from(["a", "b", "", "Ä"])),
                "day": mostly(st.sampled_from([date(2023, 2, 28), date(2024, 2, 29)])),
                "yes": mostly(st.booleans()),
            }
        ),
        min_size=1, max_size=4,
    ),
    some(EXPRESSIONS),
)  # fmt: skip
def test_expressions_mean_the_same_in_plain_python(found: list[Row], asked: list[str]) -> None:
    """Three-valued logic, mixed types, overflow and missing values, against DuckDB."""
    import narwhals as nw

    types = {
        "n": ColumnType.INTEGER, "value": ColumnType.NUMBER, "word": ColumnType.TEXT,
        "day": ColumnType.DATE, "yes": ColumnType.BOOLEAN,
    }  # fmt: skip
    schema = pa.schema([(name, AS_DECLARED[kind]) for name, kind in types.items()])
    table = pa.Table.from_pylist(found, schema)
    today = date(2025, 2, 28)
    parsed = {f"e{place}": parse(text, types) for place, text in enumerate(asked)}
    with duckdb.connect() as engine:
        engine.register("held", table)
        relation = nw.from_native(engine.table("held"))
        made = {name: one.to_narwhals(today) for name, one in parsed.items()}
        expected = relation.select(**made).to_native().to_arrow_table().to_pylist()
    for row, told in zip(found, expected, strict=True):
        for name, one in parsed.items():
            written = f"lambda row, today: {write_node(one.root)}"
            assert eval(written, vars(scoring))(row, today) is told[name], one.text  # noqa: S307


LABS = {
    "falls": {"take": "count", "where": "code in @falls"},
    "others": {"take": "count", "where": "code not in @falls or value > 900"},
    "sum": {"take": "sum", "field": "value"},
    "last": {"take": "last", "field": "value"},
    "whole": {"take": "sum", "field": "n"},
    "at": {"take": "index"},
}  # fmt: skip


def labs_policy(**more: object) -> Policy:
    """Give a policy over laboratory values in two units, with a list of codes."""
    unit = {"from": "unit", "factors": {"mg": 1, "g": 1000}, **more}
    fields = {"value": {"type": "number", "unit": unit}, "code": {"from": "icd", "type": "text"},
              "n": {"type": "integer"}}  # fmt: skip
    source = PeopleSource.model_validate(
        {
            "location": {"kind": "parquet", "path": "people.parquet"}, "person": "pid",
            "index": {"date": "2024-02-29"}, "zone": "Europe/Berlin",
            "tables": {"people": {
                "location": {"kind": "parquet", "path": "labs.parquet"}, "person": "who",
                "at": "at", "until": "left", "known_at": "known", "most": 3, "fields": fields}},
            "codes": {"falls": {"codes": ["W19", "it's"]}},
        },
        strict=False,
    )  # fmt: skip
    takes = {
        name: FromRows.model_validate({**take, **({} if name == "at" else {"of": "people"})})
        for name, take in LABS.items()
    }
    policy = policy_of(source, {n: take for n, take in takes.items() if n != "at"})
    at = Column.model_validate(
        {"rows": takes["at"], "type": "date", "identifiability": "none",
         "category": "dpv-pd:Health", "use": ["feature"], "treatment": {"kind": "drop"}},
        strict=False,
    )  # fmt: skip
    return policy.model_copy(update={"columns": {**policy.columns, "at": at}})


def lab(hours: float, value: float | None, unit: str | None = "mg", code: str = "W19") -> Row:
    """Give a row so many hours before the index."""
    at = DAY.replace(day=29) - timedelta(hours=hours)
    return {"who": "p", "at": at, "known": at, "left": at, "value": value, "unit": unit,
            "icd": code, "n": 2}  # fmt: skip


def test_units_codes_and_the_latest_rows_are_as_the_policy_says(tmp_path: Path) -> None:
    """A table may be called as the people would be; codes are quoted; the fourth row is cut."""
    policy = labs_policy()
    found = [
        lab(1, 2.0),
        lab(2, 0.5, "g", "it's"),
        lab(3, 1.0, code="X"),
        lab(4, 9.0),
        lab(-1, 5.0),
    ]
    labs = pa.Table.from_pylist(found)
    people = pa.table({"pid": ["p", "q"], "index_at": [DAY.replace(day=29), None]})
    pq.write_table(labs, tmp_path / "labs.parquet")
    pq.write_table(people, tmp_path / "people.parquet")
    dated = policy.source.model_copy(update={"index": Index(column="index_at")})
    takes = {name: rows.rows for name, rows in policy.columns.items() if rows.rows}
    plan = PeopleTables(dated, takes, tmp_path, b"key").read(["pid", *takes])
    assert plan.to_pylist()[0] == {
        "pid": "p",
        "falls": 2,
        "others": 1,
        "sum": 503.0,
        "last": 2.0,
        "whole": 6.0,
        "at": date(2024, 2, 29),
    }
    index = {"p": DAY.replace(day=29), "q": None}
    compare(policy, plan, {"roster": people}, {"people": labs}, index)


def test_rows_that_are_none_of_the_tables_count_in_no_recipe(tmp_path: Path) -> None:
    """By a concept set's codes as the run resolved them, and joined by the warehouse's key."""
    source = PeopleSource.model_validate(
        {
            "location": {"kind": "parquet", "path": "people.parquet"}, "person": "mrn", "key": "id",
            "index": {"date": "2024-02-29"}, "codes": {"hb": {"concepts": [{"id": 7}]}},
            "tables": {"labs": {
                "location": {"kind": "parquet", "path": "labs.parquet"}, "at": "at", "most": 2,
                "where": "code in @hb and n > 0", "fields": {
                    "value": {"type": "number"}, "code": {"type": "text"},
                    "n": {"type": "integer"}}}},
        },
        strict=False,
    )  # fmt: skip
    sums = {"take": "sum", "of": "labs", "field": "value"}
    takes = {"sum": FromRows.model_validate(sums)}
    kept = [("7", 1, 4.0), ("7", 2, 2.0), ("7", 3, 1.0)]
    found = [
        {"id": 5, "at": DAY - timedelta(days=day), "code": code, "n": n, "value": value}
        for day, (code, n, value) in enumerate([("8", 1, 64.0), ("7", 0, 32.0), *kept])
    ]
    labs, people = pa.Table.from_pylist(found), pa.table({"mrn": ["M"], "id": [5]})
    pq.write_table(labs, tmp_path / "labs.parquet")
    pq.write_table(people, tmp_path / "people.parquet")
    plan = PeopleTables(source, takes, tmp_path, b"key").read(["mrn", "sum"])
    policy = policy_of(source, takes)
    written = write_recipe(policy, {"hb": ("7",)})
    index = DAY.replace(day=29)
    roster = people.append_column("index_at", pa.array([index]))
    (told,) = ask(written[SQL], {"people": roster, "labs": labs})
    by_hand = load(written[PYTHON]).columns({}, {"labs": found}, index)
    assert plan.column("sum").to_pylist() == [6.0] == [told["sum"]] == [by_hand["sum"]]
    assert told["id"] == "5"
    others = load(write_recipe(policy, {"hb": ("8",)})[PYTHON])
    assert others.columns({}, {"labs": found}, index)["sum"] == 64.0


def test_a_column_may_be_called_as_a_word_of_the_query() -> None:
    """The roster's and the rows' own."""
    policy = labs_policy()
    fields = {"name": RowField.model_validate({"type": "text"}, strict=False)}
    table = policy.source.tables["people"].model_copy(update={"fields": fields})
    source = policy.source.model_copy(update={"tables": {"people": table}})
    last = column(FromRows(take="first", of="people", field="name"))
    own = last.model_copy(update={"rows": None, "source": "name"})
    both = policy.model_copy(update={"source": source, "columns": {"name": own, "last": last}})
    people = pa.table({"pid": ["p"], "name": ["B"], "index_at": [DAY.replace(day=29)]})
    rows = pa.Table.from_pylist([{**lab(1, 1.0), "name": "A"}])
    (told,) = ask(write_recipe(both)[SQL], {"roster": people, "people": rows})
    assert told == {"pid": "p", "name": "B", "last": "A"}


def test_a_unit_that_nobody_declared_raises_in_the_window_or_is_left_out() -> None:
    """As in the run; SQL says whose it is."""
    found = [lab(1, 2.0, "stone")]
    with pytest.raises(ValueError, match="in a unit that was not declared"):
        load(write_recipe(labs_policy())[PYTHON]).columns(
            {}, {"people": found}, DAY.replace(day=29)
        )
    module = load(write_recipe(labs_policy(undeclared="leave-out"))[PYTHON])
    assert module.columns({}, {"people": found}, DAY.replace(day=29))["sum"] == 0.0
    people = pa.table({"pid": ["p"], "index_at": [DAY.replace(day=29)]})
    (told,) = ask(
        write_recipe(labs_policy())[SQL], {"roster": people, "people": pa.Table.from_pylist(found)}
    )
    assert told["people_value_in_unknown_unit"] is True


def test_moments_are_put_on_the_calendar_of_the_zone() -> None:
    """What is told with an offset, as dates, and as text."""
    module = load(write_recipe(labs_policy())[PYTHON])
    found = [{**lab(0, 1.0), "at": "2024-02-28T22:30:00+00:00", "known": "2024-02-28"}]
    for index, falls in (("2024-02-28 23:15", 0), ("2024-02-28 23:45", 1), (date(2024, 2, 28), 0)):
        assert module.columns({}, {"people": found}, index)["falls"] == falls


@pytest.mark.parametrize("name", ["diabetes", "registry", "prevalence", "pressure"])
def test_a_policy_of_one_table_has_its_recipe_too(name: str) -> None:
    """Its formulas, intervals and words, of the row alone; nothing of it is SQL."""
    policy = read_policy(name).policy
    written = write_recipe(policy)
    assert list(written) == [PYTHON]
    module = load(written[PYTHON])
    roster = people_source(read_policy(name))
    names = [policy.source_name(n) for n in policy.columns]
    read = roster.read(list(dict.fromkeys([policy.source.person, *names])))
    read = read.slice(0, 400)
    types = {n: column.type for n, column in policy.columns.items()}
    columns = convert(pa.table({n: read.column(policy.source_name(n)) for n in types}), types)
    number = pa.array(range(columns.num_rows), pa.uint64())
    test = pa.array([False] * columns.num_rows)
    covered = pa.array([2**32 - 1] * columns.num_rows, pa.uint32())
    whole = columns.append_column(CATEGORIES, covered)
    derived = derive_columns(whole, policy, date(2026, 12, 2))
    treated, _ = deidentify_table(
        derived.append_column(RECORD, number).append_column(TEST, test), policy, b"k" * 32
    )
    features = treated.select(policy.used_as(Use.FEATURE)).to_pylist()
    for row, expected in zip(read.to_pylist(), features, strict=True):
        assert module.features(row, today=date(2026, 12, 2)) == expected


def test_python_of_the_package_needs_the_standard_library_alone() -> None:
    """Nothing of this project, and nothing to be installed."""
    tree = ast.parse(write_recipe(read_policy("readmission").policy)[PYTHON])
    used = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    used |= {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    assert {name.partition(".")[0] for name in used} <= sys.stdlib_module_names
