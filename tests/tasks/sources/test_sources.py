"""A source gives the columns and people that are asked for, and its errors quote nobody."""

from __future__ import annotations

import csv
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from expectations.errors import ServiceError, SourceError, UsageError
from expectations.expressions.expressions import ColumnType
from expectations.policy.locations import (
    LOCATIONS,
    CsvFile,
    FhirExport,
    JsonLines,
    ParquetFiles,
    SqlQuery,
    SqlTable,
)
from tasks.sources import csv_file, json_lines, location_of, open_source, sql_table
from tasks.sources.conversion import convert

PEOPLE = [("1", "Ada", "36"), ("2", "Bao", ""), ("3", "Cem", "51")]
SECRET = "Vxq7Kestrel"


def write(folder: Path, content: bytes, **options: Any) -> csv_file.CsvSource:
    """Write a CSV and open it."""
    (folder / "people.csv").write_bytes(content)
    return csv_file.CsvSource(CsvFile(kind="csv", path="people.csv", **options), folder)


def table(kind: str, folder: Path) -> Any:
    """Put the same three people into a source of each kind, with a numeric id."""
    match kind:
        case "csv":
            return write(folder, b"id,name,age\n1,Ada,36\n2,Bao,\n3,Cem,51\n")
        case "json-lines":
            names = [{"id": int(n), "name": name, "age": age or None} for n, name, age in PEOPLE]
            return lines(folder, *(json.dumps(person) for person in names))
        case "parquet":
            held = pa.table({"id": [1, 2, 3], "name": ["Ada", "Bao", "Cem"], "age": [36, None, 51]})
            pq.write_table(held, folder / "people.parquet")
            return open_source(location_of("people.parquet"), folder)
        case "sql" | "sql-query":
            return database(kind, folder)
        case "fhir":
            return export(folder)
    return pytest.fail(f"tests/tasks/sources/test_sources.py: `table` puts nobody into a `{kind}`")


def database(kind: str, folder: Path) -> Any:
    """Put the three people into SQLite, as a table or behind a query."""
    with sqlite3.connect(folder / "people.db") as database:
        database.execute("create table people (id integer, name text, age integer)")
        rows = [(int(n), name, age or None) for n, name, age in PEOPLE]
        database.executemany("insert into people values (?, ?, ?)", rows)
    database.close()
    if kind == "sql-query":
        return query(folder, "select id, name, age from people;")
    return open_source(location_of("sqlite:///people.db#people"), folder)


def export(folder: Path) -> Any:
    """Put the three people into an export of FHIR, whose ids are texts and whose age is any."""
    (folder / "export").mkdir()
    held = [
        {"resourceType": "Patient", "id": n, "name": [{"family": name}]}
        | ({"multipleBirthInteger": int(age)} if age else {})
        for n, name, age in PEOPLE
    ]
    text = "".join(f"{json.dumps(person)}\n" for person in held)
    (folder / "export" / "Patient.ndjson").write_text(text)
    paths = {"id": "id", "name": "name.first().family", "age": "multipleBirth.ofType(integer)"}
    columns = [{"name": name, "path": path} for name, path in paths.items()]
    definition = {"resource": "Patient", "status": "active", "select": [{"column": columns}]}
    location = {"kind": "fhir", "path": "export", "view": "v.json"}
    location["definition"] = json.dumps(definition)
    return open_source(FhirExport.model_validate(location, strict=False), folder)


def lines(folder: Path, *objects: str | bytes) -> json_lines.JsonSource:
    """Write JSON lines and open them."""
    encoded = [one if isinstance(one, bytes) else one.encode() for one in objects]
    (folder / "people.jsonl").write_bytes(b"".join(one + b"\n" for one in encoded))
    return json_lines.JsonSource(JsonLines(kind="json-lines", path="people.jsonl"), folder)


def query(folder: Path, text: str) -> Any:
    """Open a query of the database."""
    asked = SqlQuery(kind="sql-query", url="sqlite:///people.db", query=text)
    return open_source(asked, folder)


KINDS = [kind for kind in LOCATIONS if kind != "example"]
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_the_header_is_given_in_the_sources_order(kind: str, tmp_path: Path) -> None:
    """`columns` names what the source holds."""
    assert table(kind, tmp_path).columns() == ("id", "name", "age")


@every_kind
def test_only_the_named_columns_are_given_in_the_order_asked(kind: str, tmp_path: Path) -> None:
    """A column that is not named is not there."""
    read = table(kind, tmp_path).read(["age", "name", "age"])
    assert read.column_names == ["age", "name"]
    assert read["name"].to_pylist() == ["Ada", "Bao", "Cem"]
    assert read["age"].null_count == 1


@every_kind
def test_only_the_wanted_people_are_given_in_the_sources_order(kind: str, tmp_path: Path) -> None:
    """`where` picks rows by the text of a column that need not be read; 02 and 3.0 name nobody."""
    wanted = pa.array(["3", "1", "02", "3.0", "x", None, "99999999999999999999"])
    read = table(kind, tmp_path).read(["name"], where=("id", wanted))
    assert read.to_pydict() == {"name": ["Ada", "Cem"]}


@every_kind
@pytest.mark.parametrize("nobody", [pa.array([], pa.string()), pa.array(["x"], pa.large_string())])
def test_nobody_wanted_gives_no_row(kind: str, nobody: pa.Array, tmp_path: Path) -> None:
    """No match means no rows, with the columns still there."""
    read = table(kind, tmp_path).read(["name"], where=("id", nobody))
    assert (read.column_names, read.num_rows) == (["name"], 0)


@every_kind
def test_no_column_named_means_none_read(kind: str, tmp_path: Path) -> None:
    """An empty list is not "all columns", as it is to some readers."""
    assert table(kind, tmp_path).read([]).column_names == []


@every_kind
@pytest.mark.parametrize("asked", [(["aeg"], None), (["age"], ("aeg", pa.array(["1"])))])
def test_an_unknown_column_is_refused_with_a_suggestion(
    kind: str, asked: tuple[list[str], Any], tmp_path: Path
) -> None:
    """Neither a column to read nor one to pick by is guessed."""
    with pytest.raises(SourceError, match="no column 'aeg'; did you mean 'age'"):
        table(kind, tmp_path).read(asked[0], where=asked[1])


def test_csv_makes_values_of_the_named_columns_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser itself is told the names, and told them whenever it runs."""
    asked: list[list[str]] = []
    options = pv.ConvertOptions

    def spy(**given_options: Any) -> Any:
        asked.append(given_options["include_columns"])
        return options(**given_options)

    monkeypatch.setattr(pv, "ConvertOptions", spy)
    table("csv", tmp_path).read(["age"], where=("id", pa.array(["1"])))
    table("csv", tmp_path).read([])
    assert asked == [["age", "id"]]


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (b'id,note\n1,"two\nlines"\n', {}, ["two\nlines"]),
        (b'id,note\n1,"say ""x"""\n', {}, ['say "x"']),
        (b'id,note\n1,""\n2,\n', {}, [None, None]),
        (b"id,note\n1,NA\n2,nan\n", {}, ["NA", "nan"]),
        (b"\xef\xbb\xbfid,note\r\n1,x\r\n", {}, ["x"]),
        (b"id;note\n1;a,b\n", {"separator": ";"}, ["a,b"]),
        ("id,note\n1,Zoë\n".encode("latin-1"), {"encoding": "latin-1"}, ["Zoë"]),
        ("id,note\n1,Zoë\n".encode("utf-16"), {"encoding": "utf-16"}, ["Zoë"]),
        (b"id,note\n", {}, []),
    ],
    ids=["newline", "quote", "empty", "na", "bom-crlf", "separator", "latin", "utf16", "no-rows"],
)
def test_csv_fields_are_text_and_empty_is_missing(
    content: bytes, options: dict[str, str], expected: list[str | None], tmp_path: Path
) -> None:
    """Nothing is guessed of a field's type, and only the empty field is missing."""
    read = write(tmp_path, content, **options).read(["note"])
    assert read["note"].to_pylist() == expected
    assert read.schema.field("note").type == pa.string()


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (b"", {}, "file is empty"),
        (b"\n", {}, "file is empty"),
        (b"id,a,a\n1,2,3\n", {}, "more than once"),
        (f"id,a\n1,2\n{SECRET}\n3,4,{SECRET}\n".encode(), {}, "10 rows .*@row 3, 4 .2 in all"),
        (f'id,a\n"x\ny",2\n{SECRET}\n'.encode(), {}, "10 rows .*@row 3 .1 in all"),
        (b"id,a\n1,\xff" + SECRET.encode(), {}, "a byte is not utf-8.*@byte 7$"),
        (f"id,a\n1,{SECRET}\xe9\n".encode("latin-1"), {"encoding": "ascii"}, "not asc.*@byte 18$"),
        (f'id,a\n1,"{SECRET}\n2,3\n'.encode(), {}, "odd number of double quotes"),
        (f'id,"a\n{SECRET},2\n'.encode(), {}, "odd number of double quotes"),
        (b"id\n1\n", {"encoding": "klingon"}, "no encoding 'klingon'"),
    ],
    ids=[
        "empty", "blank", "repeated", "ragged", "ragged-newline", "utf8", "ascii", "open-quote",
        "open-header", "codec",
    ],
)  # fmt: skip
def test_a_malformed_csv_is_refused_without_quoting_it(
    content: bytes, options: dict[str, str], said: str, tmp_path: Path
) -> None:
    """The error names the file, about how many, and the place apart; none of it holds a value."""
    source = write(tmp_path, content, **options)
    with pytest.raises(SourceError) as caught:
        source.read(["id"])
    told = f"{caught.value}@{caught.value.places}"
    assert re.search(f"^people.csv: .*{said}", told), told
    assert SECRET not in told
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_malformed_row_is_refused_even_where_its_person_is_not_wanted(tmp_path: Path) -> None:
    """Whether a file is whole does not depend on who is asked for."""
    source = write(tmp_path, b"id,a\n1,2\n2,3,4\n")
    with pytest.raises(SourceError) as caught:
        source.read(["a"], where=("id", pa.array(["1"])))
    assert caught.value.places == "row 3 (1 in all) (the header is row 1)"


def test_rows_keep_their_order_over_many_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading and dropping batch by batch does not mix rows."""
    monkeypatch.setattr(csv_file, "BLOCK", 256)
    rows = "".join(f'{n},"line\n{n}"\n' for n in range(1000))
    source = write(tmp_path, f"id,a\n{rows}".encode())
    even = pa.array([str(n) for n in range(998, -1, -2)])
    assert source.read(["a"], where=("id", even))["a"].to_pylist() == [
        f"line\n{n}" for n in range(0, 1000, 2)
    ]


fields = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 5), fields, fields), max_size=8),
    ids=st.sets(st.integers(0, 5)),
)
def test_what_a_csv_writer_wrote_is_read_back(
    rows: list[tuple[int, str, str]], ids: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any text survives, whatever it holds; the oracle is Python's own writer."""
    folder = tmp_path_factory.mktemp("csv")
    with (folder / "people.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "a", "b"), *rows])
    source = csv_file.CsvSource(CsvFile(kind="csv", path="people.csv"), folder)
    read = source.read(["b"], where=("id", pa.array(map(str, ids), pa.string())))
    assert read["b"].to_pylist() == [b or None for n, _, b in rows if n in ids]


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as nobody where the tests run as root, whom no file's mode holds back."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("name", ["people.csv", "people.jsonl", "people.parquet"])
def test_an_unreadable_file_is_a_source_error(name: str, tmp_path: Path) -> None:
    """Without the right to read, the error says so."""
    (tmp_path / name).write_bytes(b'{"id": 1}\n')
    (tmp_path / name).chmod(0)
    source = open_source(location_of(name), tmp_path)
    with unprivileged(), pytest.raises(SourceError, match="may not be read"):
        source.columns()


@pytest.mark.parametrize("name", ["none.csv", "none.jsonl", "none.parquet", "none*.parquet"])
def test_a_missing_file_is_a_source_error(name: str, tmp_path: Path) -> None:
    """A path that leads nowhere is named."""
    with pytest.raises(SourceError, match="check the path"):
        open_source(location_of(name), tmp_path).columns()


def test_a_glob_reads_all_its_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Several Parquet files are one table."""
    for name, ids in [("p2", [3]), ("p1", [1, 2])]:
        pq.write_table(pa.table({"id": ids}), tmp_path / f"{name}.parquet")
    assert open_source(location_of("p*.parquet"), tmp_path).read(["id"])["id"].to_pylist() == [
        1, 2, 3]  # fmt: skip


def test_parquet_files_of_different_schemas_are_refused(tmp_path: Path) -> None:
    """A column that changes its type between files is named."""
    pq.write_table(pa.table({"id": [1], "a": [1]}), tmp_path / "p1.parquet")
    pq.write_table(pa.table({"id": [1], "a": ["1"]}), tmp_path / "p2.parquet")
    with pytest.raises(SourceError, match=r"p2\.parquet and p1.parquet differ in column 'a'"):
        open_source(location_of("p*.parquet"), tmp_path).columns()


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    """Other bytes under the name are not taken for data."""
    (tmp_path / "people.parquet").write_bytes(SECRET.encode())
    with pytest.raises(SourceError, match="not a Parquet file") as caught:
        open_source(location_of("people.parquet"), tmp_path).columns()
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (pa.array([1.0, None, 2.5, 7.0]), ["1.0", "2.5", "7"]),
        (pa.array(["1", "x", None]), ["1", "y"]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a"]),
        (pa.array([2**63 - 1, 5, 6]), [str(2**63 - 1), "05", str(2**63)]),
        (pa.array([Decimal("12.50"), Decimal("3.00"), None]), ["12.5", "3"]),
        (pa.array([date(2024, 1, 31), None, None]), ["2024-01-31"]),
    ],
    ids=["double", "text", "dictionary", "large", "decimal", "date"],
)
def test_a_person_is_compared_as_text_whatever_the_type(
    held: pa.Array, wanted: list[str], tmp_path: Path
) -> None:
    """A row is picked exactly where its value, as text, is among the wanted; 12.0 reads as 12."""
    pq.write_table(pa.table({"id": held, "row": range(len(held))}), tmp_path / "p.parquet")
    source = open_source(location_of("p.parquet"), tmp_path)
    text = convert(source.read(["id"]), {"id": ColumnType.TEXT})["id"].to_pylist()
    read = source.read(["row"], where=("id", pa.array(wanted)))["row"].to_pylist()
    assert read == [row for row, value in enumerate(text) if value in wanted]
    assert read


def test_sql_names_only_what_was_asked_and_binds_the_people(tmp_path: Path) -> None:
    """No other column stands in a statement, and no person's identifier in its text."""
    source = table("sql", tmp_path)
    seen: list[str] = []
    sa.event.listen(source._engine, "before_cursor_execute", lambda *call: seen.append(call[2]))
    source.columns()
    seen.clear()
    source.read(["age"], where=("id", pa.array(["3"])))
    assert len(seen) == 2
    assert not any("name" in statement or "3" in statement for statement in seen)


def test_sql_reads_many_people_in_portions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More people than a statement may bind are all read, once each."""
    monkeypatch.setattr(sql_table, "VALUES", 2)
    twice = pa.array(["1", "2", "3", "1"])
    read = table("sql", tmp_path).read(["id"], where=("id", twice))
    assert sorted(read["id"].to_pylist()) == [1, 2, 3]


def test_sql_names_are_quoted(tmp_path: Path) -> None:
    """A column's or table's name is a name, whatever it holds."""
    with sqlite3.connect(tmp_path / "d.db") as database:
        database.execute('create table "My ""people" ("order" text, "a; drop" text)')
        database.execute("""insert into "My ""people" values ('1', 'x')""")
    database.close()
    source = open_source(location_of('sqlite:///d.db#My "people'), tmp_path)
    assert source.read(["a; drop"], where=("order", pa.array(["1"]))).to_pydict() == {
        "a; drop": ["x"]
    }


@pytest.mark.parametrize(
    "text",
    [
        "select id, upper(name) as name from people where name like 'C%' order by id",
        "select id, upper(name) as name from people where name >= 'C' -- the last",
        "select id, upper(name) as name, ':a' as c from people where name = 'Cem';\n",
        "with p as (select * from people) select id, upper(name) as name from p where id = 3",
    ],
    ids=["percent", "comment", "colon", "with"],
)
def test_a_query_is_read_like_a_table(text: str, tmp_path: Path) -> None:
    """Its columns are those that it names, whatever signs its text holds."""
    table("sql", tmp_path)
    source = query(tmp_path, text)
    assert source.columns()[:2] == ("id", "name")
    assert source.read(["name"]).to_pydict() == {"name": ["CEM"]}
    assert source.read(["name"], where=("id", pa.array(["1"]))).num_rows == 0


@pytest.mark.parametrize(
    "text",
    [
        "delete from people returning id",
        "select 1) as x; delete from people; --",
        "select id from nobody",
        "select id from people; delete from people",
    ],
)
def test_a_query_can_only_select(text: str, tmp_path: Path) -> None:
    """Whatever else it is meant to do, the database refuses."""
    people = table("sql", tmp_path)
    with pytest.raises(SourceError, match=r"^query: the database refused to read it"):
        query(tmp_path, text).read(["id"])
    assert people.read(["id"]).num_rows == 3


@pytest.mark.parametrize(
    ("objects", "columns", "expected"),
    [
        (['{"a": "x"}', "", '{"b": "y"}'], ("a", "b"), {"a": ["x", None], "b": [None, "y"]}),
        (['{"a": "2024-01-31T10:00:00+01:00"}'], ("a",), {"a": ["2024-01-31T10:00:00+01:00"]}),
        (['{"a": 1}', '{"a": null}'], ("a",), {"a": [1, None]}),
        (['{"a": 1.5}', '{"a": 2.0}'], ("a",), {"a": [1.5, 2.0]}),
        (['{"a": true}', "{}"], ("a",), {"a": [True, None]}),
        (['{"a": 12}', '{"a": "A12"}', '{"a": 1.0}', '{"a": false}'], ("a",),
         {"a": ["12", "A12", "1", "false"]}),
        (['{"a": 123456789012345678901}', '{"a": 1}'], ("a",),
         {"a": ["123456789012345678901", "1"]}),
        (['{"a": ["x", "y"]}', '{"a": "z"}', '{"a": []}', "{}"], ("a",),
         {"a": [["x", "y"], ["z"], [], None]}),
        ([b'\xef\xbb\xbf{"a": "Zo\xc3\xab"}'], ("a",), {"a": ["Zoë"]}),
        (['{"a": "x", "b": {"c": 1}}'], ("a", "b"), {"a": ["x"]}),
    ],
    ids=["absent", "time", "integer", "number", "bool", "mixed", "large", "list", "bom", "nested"],
)  # fmt: skip
def test_json_values_keep_their_text_or_their_type(
    objects: list[str | bytes],
    columns: tuple[str, ...],
    expected: dict[str, list[object]],
    tmp_path: Path,
) -> None:
    """No string becomes a time, no digit is lost, and what is not asked for may be anything."""
    source = lines(tmp_path, *objects)
    assert source.columns() == columns
    assert source.read([*expected]).to_pydict() == expected


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ([], "file is empty"),
        (['{"a": 1}', SECRET, '{"a": "' + SECRET], "line 2, 3 .2 in all.: no JSON object on one"),
        (['[{"a": "' + SECRET + '"}]'], "line 1 .1 in all.: no JSON object on one line"),
        (['{"a": 1}'] * 3 + ['["a"]'] * 7, "line 4, 5, 6, 7, 8, … .7 in all.: no JSON"),
        ([b'{"a": "' + SECRET.encode() + b'\xff"}'], "line 1 .1 in all.: no JSON object .* UTF-8"),
        (['{"a": "' + SECRET + '", "a": "x"}'], "line 1 .1 in all.: a key is there twice"),
        (['{"a": 1}', '{"a": {"b": "' + SECRET + '"}}'], "line 2 .1 in all.: a column holds an ob"),
        (['{"a": {}}'], "line 1 .1 in all.: a column holds an object"),
        (['{"a": [1, "' + SECRET + '"]}'], "line 1 .1 in all.: a column holds an object, or a li"),
        (['{"a": ["x", ["y"]]}'], "line 1 .1 in all.: a column holds an object, or a list"),
        (['{"a": "' + SECRET + '\\ud800"}'], "column 'a' holds half a character"),
        (['{"a": ' + "[" * 100_000], "line 1 .1 in all.: no JSON object"),
    ],
    ids=["empty", "broken", "array", "many", "utf8", "twice", "object", "empty-object", "list",
         "lists", "surrogate", "deep"],
)  # fmt: skip
def test_malformed_json_lines_are_told_without_quoting_them(
    objects: list[str | bytes], said: str, tmp_path: Path
) -> None:
    """The error names the file and the rule, and the lines apart; none of it holds a value."""
    with pytest.raises(SourceError) as caught:
        lines(tmp_path, *objects).read(["a"])
    told = f"{caught.value}@{caught.value.places}"
    assert re.search(rf"(?s)^people.jsonl: .*{said}", told), told
    assert not re.search(r"line \d", str(caught.value))
    assert SECRET not in told
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


json_values = st.none() | st.booleans() | st.integers() | st.text(max_size=5)


@settings(deadline=None)
@given(rows=st.lists(st.dictionaries(st.sampled_from("abc"), json_values), min_size=1, max_size=8))
def test_what_a_json_writer_wrote_is_read_back(
    rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """By its text, whatever its type; the oracle is Python's own writer and `str`."""
    source = lines(tmp_path_factory.mktemp("json"), *(json.dumps(row) for row in rows))
    names = {name for row in rows for name in row}
    if not names:
        return
    assert set(source.columns()) == names
    read = source.read(sorted(names))
    for name in names:
        texts = convert(read, {name: ColumnType.TEXT})[name].to_pylist()
        held = [row.get(name) for row in rows]
        assert texts == [
            None if v is None else str(v).lower() if isinstance(v, bool) else str(v) for v in held
        ]


def test_sql_errors_hold_no_value(tmp_path: Path) -> None:
    """A column of mixed kinds is refused by name, without what the driver or Arrow say of it."""
    with sqlite3.connect(tmp_path / "d.db") as database:
        database.execute("create table t (m)")
        database.executemany("insert into t values (?)", [(1,), (SECRET,)])
    database.close()
    with pytest.raises(SourceError, match="column 'm' holds values of different kinds") as caught:
        open_source(location_of("sqlite:///d.db#t"), tmp_path).read(["m"])
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///people.db#nobody", "refused to read it .OperationalError"),
        ("sqlite:///none.db#people", "no database file"),
        ("sqlite:///text.db#people", "refused to read it .DatabaseError"),
        ("klingon://host/d#people", "driver 'klingon' is not installed"),
        ("sqlite:///$TUTELA_NOWHERE#people", "needs .TUTELA_NOWHERE"),
        ("://#people", "url cannot be read"),
    ],
    ids=["no-table", "no-file", "no-database", "no-driver", "no-variable", "no-url"],
)
def test_a_database_that_cannot_be_read_is_a_source_error(
    url: str, said: str, tmp_path: Path
) -> None:
    """Each way to miss the table is told apart, and no empty database is made."""
    table("sql", tmp_path)
    (tmp_path / "text.db").write_text(SECRET * 100)
    with pytest.raises(SourceError, match=said) as caught:
        open_source(location_of(url), tmp_path).columns()
    assert SECRET not in str(caught.value)
    assert not (tmp_path / "none.db").exists()


def test_a_database_that_is_away_is_a_service_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the driver says of the connection, password included, is not passed on."""
    source = table("sql", tmp_path)

    def fail(*_: object) -> None:
        raise sa.exc.OperationalError("select", None, OSError(SECRET))

    monkeypatch.setattr(type(source._engine), "connect", fail)
    with pytest.raises(ServiceError, match=r"cannot be reached .OSError") as caught:
        source.columns()
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "address",
    [
        "mssql://host/db?password=pw",
        "mssql://?odbc_connect=UID%3Dme%3BPWD%3Dpw",
        "pg://me:pw@host/db",
    ],
    ids=["parameter", "odbc", "login"],
)
def test_an_address_holds_no_password(address: str) -> None:
    """It goes into the record with the policy, so the password stands in the environment."""
    with pytest.raises(UsageError, match="contains a password"):
        location_of(f"{address}#people")
    with pytest.raises(ValidationError, match="the address contains a password"):
        SqlQuery(kind="sql-query", url=address, query="select 1 as one")


def test_a_password_from_the_environment_may_hold_any_character(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`$NAME` is filled in with its value, not with what the value would mean in a URL."""
    monkeypatch.setenv("DB_PASSWORD", "p@ss:/w#rd%41")
    monkeypatch.setenv("DB_HOST", "db.example.org")
    url = sql_table._make_url("postgresql://me:$DB_PASSWORD@$DB_HOST:5432/people")
    assert (url.password, url.host, url.port) == ("p@ss:/w#rd%41", "db.example.org", 5432)


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("a/b.csv", CsvFile(kind="csv", path="a/b.csv")),
        ("b.TSV", CsvFile(kind="csv", path="b.TSV", separator="\t")),
        ("b.jsonl", JsonLines(kind="json-lines", path="b.jsonl")),
        ("d/*.parquet", ParquetFiles(kind="parquet", path="d/*.parquet")),
        ("sqlite:///x.csv#a.t", SqlTable(kind="sql", url="sqlite:///x.csv", table="a.t")),
    ],
    ids=["csv", "tsv", "json", "glob", "sql"],
)
def test_a_location_is_known_by_its_text(text: str, location: object) -> None:
    """A file by its suffix, a database by its scheme and table."""
    assert location_of(text) == location


@pytest.mark.parametrize("text", ["people", "people.xlsx", "sqlite:///x.db", "sqlite:///x.db#"])
def test_an_unknown_location_is_a_usage_error(text: str) -> None:
    """What is neither a known file nor a database's table is refused."""
    with pytest.raises(UsageError, match=r"DATABASE-URL#table"):
        location_of(text)


@pytest.mark.parametrize(
    ("declared", "held", "expected"),
    [
        ("number", ["1", " 2.5 ", "+4", "1e3", ".5", "", None], [1, 2.5, 4, 1000, 0.5, None, None]),
        ("number", [1.0, float("nan"), None], [1.0, None, None]),
        ("number", [Decimal("1.20")], [1.2]),
        ("integer", ["3.0", "-4", "1e2", " "], [3, -4, 100, None]),
        ("integer", [3.0, None], [3, None]),
        ("integer", [2**62], [2**62]),
        ("boolean", ["Yes", "no", "TRUE", "0", "1.0", "0.0", ""], [1, 0, 1, 0, 1, 0, None]),
        ("boolean", [1.0, 0.0, None], [True, False, None]),
        ("date", ["2024-02-29", "1850-03-01", ""], [date(2024, 2, 29), date(1850, 3, 1), None]),
        ("date", [datetime(2024, 1, 31)], [date(2024, 1, 31)]),  # noqa: DTZ001  # no zone is meant
        ("text", [1.0, 2.5, None], ["1", "2.5", None]),
        ("text", [True], ["true"]),
        ("text", [date(2024, 1, 31)], ["2024-01-31"]),
        ("text", ["", " a "], ["", " a "]),
        ("integer", [None], [None]),
        ("date", [], []),
    ],
)
def test_values_are_given_in_the_declared_type(
    declared: str, held: list[Any], expected: list[Any]
) -> None:
    """Text and native values that mean the same become the same."""
    types = {"number": "double", "integer": "int64", "boolean": "bool", "date": "date32[day]",
             "text": "large_string"}  # fmt: skip
    read = convert(pa.table({"x": held}), {"x": ColumnType(declared)})["x"]
    assert read.to_pylist() == expected
    assert str(read.type) == types[declared]


@pytest.mark.parametrize(
    ("declared", "held", "misfits"),
    [
        ("number", ["1", "1,5", "nan", "inf", "x", "1e999", "0x1F"], 6),
        ("number", ["1e999"], 1),
        ("number", [1.0, float("inf"), float("nan")], 1),
        ("number", [1, 2**60], 1),
        ("number", [date(2024, 1, 31)], 1),
        ("integer", ["3.5", "9007199254740993", "4"], 2),
        ("integer", pa.array([2**63], pa.uint64()), 1),
        ("boolean", ["maybe", "yes", "2"], 2),
        ("date", ["2023-02-30", "2023-1-5", "2023-01-05T00:00:00", "2023-01-05"], 3),
        ("date", [datetime(2024, 1, 31, 1)], 1),  # noqa: DTZ001  # no zone is meant
        ("date", [20240131], 1),
        ("text", [[1]], 1),
    ],
)
def test_values_that_do_not_fit_are_counted(declared: str, held: Any, misfits: int) -> None:
    """Every misfit counts, and what is missing does not; few are hidden, many told roughly."""
    once = pa.table({"x": held})
    with pytest.raises(SourceError, match="'x': fewer than 10 values are not"):
        convert(once, {"x": ColumnType(declared)})
    with pytest.raises(SourceError, match=f"'x': about {10 * misfits} values are not"):
        convert(pa.concat_tables([once] * 10), {"x": ColumnType(declared)})


def test_all_misfitting_columns_are_named_at_once_and_no_value() -> None:
    """One error tells all that must be mended, in the policy's order."""
    held = pa.table({"a": [SECRET, "1"], "b": ["1", "2"], "c": [SECRET, SECRET]})
    types = {"a": ColumnType.NUMBER, "b": ColumnType.INTEGER, "c": ColumnType.DATE}
    with pytest.raises(SourceError, match=r"(?s)'a': fewer than 10.*'c': fewer than 10") as caught:
        convert(held, types)
    assert SECRET not in str(caught.value)
    assert "'b'" not in str(caught.value)


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_survive_being_text(values: list[float | None]) -> None:
    """A double written in its shortest text is read back as the same double."""
    text = pa.table({"x": pa.array([None if v is None else repr(v) for v in values], pa.string())})
    assert convert(text, {"x": ColumnType.NUMBER})["x"].to_pylist() == values


@settings(deadline=None)
@given(st.lists(st.none() | st.dates()))
def test_dates_survive_being_text(values: list[date | None]) -> None:
    """Every date of the calendar is read back."""
    text = pa.table({"x": pa.array([v and v.isoformat() for v in values], pa.string())})
    assert convert(text, {"x": ColumnType.DATE})["x"].to_pylist() == values
