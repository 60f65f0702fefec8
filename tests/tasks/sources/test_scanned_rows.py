"""DuckDB's scan of Parquet files and Arrow's reading give the same columns, bit by bit."""

from __future__ import annotations

import random
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import isnan
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import SourceError
from expectations.policy.many_rows import FromRows
from expectations.policy.policy import PeopleSource
from tasks.sources.people_tables import PeopleTables
from tasks.sources.table_rows import TableRows, TooMuchError

DAY = datetime(2024, 2, 28)  # noqa: DTZ001  # on the policy's own calendar
FIELDS = {"amount": "number", "pieces": "integer", "ward": "text", "day": "date", "ill": "boolean"}
SAID: list[dict[str, object]] = [
    {"take": "count", "where": "ward in ('A', '7') and not ill"},
    {"take": "count", "where": "ward = 'a' or amount > 1.5"},
    {"take": "count", "where": "ward = 'A' or amount > 1.5"},
    {"take": "any", "where": "pieces = 3 or day >= date '2024-02-29'"},
    {"take": "all", "where": "amount * 2 > pieces", "days_before": 3},
    {"take": "days-since"},
    *(
        {"take": t, "field": "amount"}
        for t in ("sum", "mean", "smallest", "first", "last", "slope")
    ),
    *({"take": t, "field": "pieces"} for t in ("sum", "mean", "largest", "first", "last", "slope")),
    *({"take": "last", "field": field, "days_after": 2} for field in FIELDS),
    *({"take": "count-distinct", "field": field, "days_before": 3} for field in FIELDS),
]
ASKED = {str(n): FromRows.model_validate({"of": "rows", **one}) for n, one in enumerate(SAID)}
KINDS: dict[str, list[pa.DataType]] = {
    "pid": [pa.string(), pa.large_string(), pa.int64(), pa.int16(), pa.float64(),
            pa.dictionary(pa.int32(), pa.string())],
    "at": [pa.timestamp("us"), pa.timestamp("ms"), pa.timestamp("ns"), pa.date32(), pa.string(),
           pa.timestamp("us", "UTC")],
    "amount": [pa.float64(), pa.float32(), pa.int64(), pa.int8(), pa.decimal128(9, 2),
               pa.decimal128(30, 3), pa.string()],
    "pieces": [pa.int64(), pa.int32(), pa.float64(), pa.uint64(), pa.string()],
    "ward": [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.int32()],
    "day": [pa.date32(), pa.timestamp("us"), pa.timestamp("ns"), pa.string()],
    "ill": [pa.bool_(), pa.string(), pa.int32()],
}  # fmt: skip
kinds = st.fixed_dictionaries({name: st.sampled_from(found) for name, found in KINDS.items()})


def draw_rows(drawn: random.Random) -> list[dict[str, Any]]:
    """Draw rows of three people and a stranger, with what is hard to add and to order."""
    moment = lambda: DAY + timedelta(days=drawn.randint(-4, 4), hours=6 * drawn.randint(0, 1))  # noqa: E731
    amounts = [0.1, 0.2, 1e-9, -3.0, 57.01, 0.0, -0.0, float("nan"), 1e13, 2.0**43, None]
    return [
        {
            "pid": drawn.choice([1, 2, 3, 9]), "at": drawn.choice([moment(), moment(), None]),
            "amount": drawn.choice(amounts), "pieces": drawn.choice([3, 2**53 - 1, -7, None]),
            "ward": drawn.choice([7, 8, None]), "day": drawn.choice([moment().date(), None]),
            "ill": drawn.choice([True, False, None]),
        }
        for _ in range(40)
    ]  # fmt: skip


def spelled(value: Any, kind: pa.DataType) -> Any:
    """Give a value as a column of such a type can hold it."""
    if value is None or isinstance(value, date):
        is_moment = pa.types.is_timestamp(kind) and not isinstance(value, datetime | None)
        return datetime.combine(value, datetime.min.time()) if is_moment else _plain(value, kind)
    if pa.types.is_integer(kind):
        return None if isnan(value) or abs(value) > 2 ** (kind.bit_width - 2) else int(value)
    if pa.types.is_decimal(kind):
        return None if isnan(value) or abs(value) > 1e5 else round(Decimal(str(value)), 2)
    return float(value) if pa.types.is_floating(kind) else _plain(value, kind)


def _plain(value: Any, kind: pa.DataType) -> Any:
    if value is None or (isinstance(value, float) and isnan(value)):
        return None
    if pa.types.is_date(kind) and isinstance(value, datetime):
        return value.date()
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return str(value).lower() if texts or pa.types.is_dictionary(kind) else value


def write(folder: Path, found: list[dict[str, Any]], held: dict[str, pa.DataType]) -> PeopleTables:
    """Write a roster of three and their rows, in two files, with columns of these types."""
    people = {"pid": ["1", "2", "3"], "index": [DAY, DAY + timedelta(hours=6), None]}
    pq.write_table(pa.table(people), folder / "people.parquet")
    if held["pieces"] == pa.uint64():
        found = [{**row, "pieces": row["pieces"] and abs(row["pieces"])} for row in found]
    columns = {n: pa.array([spelled(row[n], k) for row in found], _first(k)).cast(k)
               for n, k in held.items()}  # fmt: skip
    rows = pa.table(columns)
    for number, part in enumerate((rows.slice(0, 9), rows.slice(9))):
        pq.write_table(part, folder / f"rows{number}.parquet")
    return PeopleTables(source_of(), ASKED, folder)


def _first(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(kind) else kind


def source_of(**more: object) -> PeopleSource:
    """Give the source of a policy over that roster and these rows."""
    return PeopleSource.model_validate(
        {
            "location": {"kind": "parquet", "path": "people.parquet"},
            "person": "pid",
            "index": {"column": "index"},
            "followed_until": {"date": "2024-12-31"},
            "zone": "Europe/Berlin",
            "tables": {
                "rows": {
                    "location": {"kind": "parquet", "path": "rows*.parquet"},
                    "at": "at",
                    "fields": {name: {"type": kind} for name, kind in FIELDS.items()},
                    **more,
                }
            },
        },
        strict=False,
    )


@given(held=kinds, seed=st.integers(0, 10**6))
def test_both_ways_of_reading_give_the_same_bytes(
    held: dict[str, pa.DataType], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever types the files have, and for small numbers beside very large ones."""
    folder, drawn = tmp_path_factory.mktemp("scanned"), random.Random(seed)
    people = write(folder, draw_rows(drawn), held)
    names = drawn.sample([*ASKED], 8)
    with pytest.MonkeyPatch.context() as patch:
        scanned = people.read(names)
        patch.setattr(TableRows, "_write_scan", lambda *_: None)
        read = people.read(names)
    assert _bytes(read) == _bytes(scanned), (held, names)


def _bytes(table: pa.Table) -> str:
    """Give what tells any two values apart; what lies under a missing one is nothing."""
    return f"{table.schema} {table.to_pydict()!r}"


def test_plain_files_are_scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Arrow would bring is never asked for, so that a hundred million rows need not fit."""
    people = write(tmp_path, draw_rows(random.Random(1)), {n: k[0] for n, k in KINDS.items()})
    monkeypatch.setattr(TableRows, "_read", lambda *_: pytest.fail("Arrow read the rows"))
    assert people.read([*ASKED]).num_rows == 3


@pytest.mark.parametrize("wrong", [float("inf"), 2.0**53])
def test_a_value_that_does_not_fit_is_worded_by_the_one_reader(
    wrong: float, tmp_path: Path
) -> None:
    """By table and column, without the value; a stranger's is not looked at."""
    found = draw_rows(random.Random(1))
    held = {name: kind[0] for name, kind in KINDS.items()} | {"pieces": pa.float64()}
    write(tmp_path, [*found, {**found[0], "pid": 9, "pieces": wrong}], held).read([*ASKED])
    people = write(tmp_path, [*found, {**found[0], "pid": 1, "pieces": wrong}], held)
    with pytest.raises(SourceError, match=r"tables\.rows: column 'pieces': .* not whole"):
        people.read([*ASKED])


def test_people_are_taken_in_parts_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same result."""
    people = write(tmp_path, draw_rows(random.Random(1)), {n: k[0] for n, k in KINDS.items()})
    whole, asked = people.read([*ASKED]), TableRows.ask

    def short(self: TableRows, *given: Any, **others: Any) -> pa.Table:
        if len(self.people) > 1:
            raise TooMuchError(self.place)
        return asked(self, *given, **others)

    monkeypatch.setattr(TableRows, "ask", short)
    monkeypatch.setattr("tasks.sources.people_tables.FEW", 1)
    assert _bytes(people.read([*ASKED])) == _bytes(whole)
