"""What a policy says of a table's rows holds: how many count, units, codes, periods; bad tables."""

from __future__ import annotations

import random
import re
import shlex
import subprocess
import sys
from collections import Counter
from datetime import datetime, timedelta
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
from tasks.sources import people_tables
from tasks.sources.people_tables import PeopleTables

DAY = datetime(2024, 2, 29)  # noqa: DTZ001  # on the policy's own calendar
KINDS = {"pid": pa.string(), "at": pa.timestamp("us"), "left": pa.timestamp("us"),
         "value": pa.float64(), "unit": pa.string(), "code": pa.string()}  # fmt: skip
ASKED = {
    "sum": {"take": "sum", "field": "value"},
    "last": {"take": "last", "field": "value"},
    "later": {"take": "sum", "field": "value", "days_after": 9},
    "coded": {"take": "count", "where": "code in @falls"},
    "others": {"take": "count", "where": "code not in @falls"},
}
VALUE: dict[str, Any] = {"type": "number"}
MIXED = {**VALUE, "unit": {"from": "unit", "factors": {"mg": 1, "g": 1000}}}


def open_tables(
    folder: Path, rows: list[dict[str, Any]], value: object = VALUE, people: int = 3, **more: object
) -> PeopleTables:
    """Write a roster and its rows, and give them as one source."""
    pq.write_table(pa.table({"pid": [f"p{n}" for n in range(people)]}), folder / "people.parquet")
    columns = {n: pa.array([row.get(n) for row in rows], kind) for n, kind in KINDS.items()}
    pq.write_table(pa.table(columns), folder / "labs.parquet")
    labs = {"location": {"kind": "parquet", "path": "labs.parquet"}, "at": "at",
            "fields": {"value": value, "code": {"type": "text"}}, **more}  # fmt: skip
    source = {
        "location": {"kind": "parquet", "path": "people.parquet"}, "person": "pid",
        "index": {"date": "2024-02-29"}, "followed_until": {"date": "2024-12-31"},
        "tables": {"labs": labs}, "codes": {"falls": {"codes": ["W19", "W19.0"]}},
    }  # fmt: skip
    made = {name: FromRows.model_validate({"of": "labs", **one}) for name, one in ASKED.items()}
    found = PeopleSource.model_validate(source, strict=False)
    return PeopleTables(found, made, folder, b"key")


def row(days: float, value: float | None = 1.0, pid: str = "p0", **more: object) -> dict[str, Any]:
    """Give a row so many days from the index."""
    return {"pid": pid, "at": DAY + timedelta(days=days), "value": value, "unit": "mg", **more}


drawn_rows = st.lists(
    st.builds(
        row, st.integers(-4, 4), st.sampled_from([1.0, 2.0, 4.0]), st.sampled_from(["p0", "p1"])
    ),
    max_size=12,
)


@given(rows=drawn_rows, most=st.integers(1, 4), seed=st.integers(0, 9))
def test_the_latest_rows_before_the_index_and_the_earliest_after_it_count(
    rows: list[dict[str, Any]], most: int, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """So many of a person on each side; of equals a lot decides, whatever order rows are in."""
    folder = tmp_path_factory.mktemp("most")
    tables = open_tables(folder, rows, most=most)
    read = tables.read([*ASKED]).to_pydict()
    for number, person in enumerate(("p0", "p1")):
        for name, side in (("sum", -1), ("later", 1)):
            own = [r for r in rows if r["pid"] == person and (r["at"] - DAY) * side > timedelta(0)]
            own.sort(key=lambda r: abs(r["at"] - DAY))
            if len(own) <= most or own[most - 1]["at"] != own[most]["at"]:
                assert read[name][number] == sum(r["value"] for r in own[:most])
    random.Random(seed).shuffle(rows)
    assert open_tables(folder, rows, most=most).read([*ASKED]).to_pydict() == read
    sides = Counter((r["pid"], r["at"] > DAY) for r in rows if r["at"] != DAY)
    assert tables.told == {"people.cut.labs": len({p for (p, _), n in sides.items() if n > most})}


def test_which_of_equal_rows_counts_hangs_on_the_key(tmp_path: Path) -> None:
    """So nobody who writes rows can say which is read."""
    tables = open_tables(tmp_path, [row(-1, float(2**n)) for n in range(9)], most=1)
    found = {
        PeopleTables(tables.source, tables.made, tmp_path, bytes([key])).read(["sum"])["sum"][0]
        for key in range(20)
    }
    assert len(found) > 2


def test_numbers_are_told_in_one_unit(tmp_path: Path) -> None:
    """By the factor of their row's unit; the field's conditions see them so too."""
    rows = [row(-3, 2.0), row(-2, 0.5, unit="g"), row(-1, None, unit="?")]
    assert open_tables(tmp_path, rows, MIXED).read(["sum", "last"]).to_pylist()[0] == {
        "sum": 502.0, "last": 500.0,
    }  # fmt: skip


@pytest.mark.parametrize("unit", ["stone", None])
def test_an_undeclared_unit_refuses_or_is_counted_and_left_out(
    unit: str | None, tmp_path: Path
) -> None:
    """As the policy says; the unit is a value, and is not told."""
    rows = [row(-3, 2.0), row(-2, 7.0, "p1", unit=unit)]
    with pytest.raises(
        SourceError, match=r"tables\.labs: the column 'unit': fewer than 10"
    ) as error:
        open_tables(tmp_path, rows, MIXED).read(["sum"])
    assert "stone" not in str(error.value)
    left_out = {**MIXED, "unit": {**MIXED["unit"], "undeclared": "leave-out"}}
    tables = open_tables(tmp_path, rows, left_out)
    assert tables.read(["sum"])["sum"].to_pylist() == [2.0, 0.0, 0.0]
    assert tables.told == {"people.cut.labs.value": 1}


def test_the_line_that_a_refused_unit_gives_lists_the_units_where_the_data_are(
    tmp_path: Path,
) -> None:
    """Values are not shown, so its reader is told how to see them without it."""
    with pytest.raises(SourceError, match="has no factor") as error:
        open_tables(tmp_path, [row(-2, 7.0, unit="stone")], MIXED).read(["sum"])
    (line,) = re.findall(r"`(python [^`]+)`", str(error.value))
    python, *rest = shlex.split(line)
    assert python == "python"
    shown = subprocess.run(
        [sys.executable, *rest], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "stone" in shown.stdout


def test_a_unit_is_looked_at_where_a_condition_alone_reads_the_value(tmp_path: Path) -> None:
    """Else a row in another unit would quietly not meet it."""
    rows = [row(-3, 7.0, unit="stone")]
    tables = open_tables(tmp_path, rows, MIXED)
    take = FromRows.model_validate({"take": "count", "of": "labs", "where": "value > 5"})
    with pytest.raises(SourceError, match="a value of `value` in a unit that has no factor"):
        PeopleTables(tables.source, {"high": take}, tmp_path).read(["high"])


def test_a_condition_looks_in_a_list_of_codes(tmp_path: Path) -> None:
    """An unknown code is in none, and a missing one neither in it nor out of it."""
    rows = [row(-1, code=code) for code in ("W19", "W19.0", "W1", None)]
    read = open_tables(tmp_path, rows).read(["coded", "others"]).to_pylist()
    assert read[0] == {"coded": 2, "others": 1}


def test_what_lasted_is_known_at_its_end(tmp_path: Path) -> None:
    """A stay that goes on at the index, or has no end, is in no feature."""
    rows = [row(-9, 1.0, left=DAY - timedelta(days=8)), row(-2, 2.0, left=DAY + timedelta(days=1)),
            row(-1, 4.0, "p1")]  # fmt: skip
    read = open_tables(tmp_path, rows, until="left").read(["sum"])
    assert read["sum"].to_pylist() == [1.0, 0.0, 0.0]
    known = open_tables(tmp_path, rows, until="left", known_at="at").read(["sum"])
    assert known["sum"].to_pylist() == [3.0, 4.0, 0.0]


def ended(days: float, until: float, pid: str = "p0") -> dict[str, Any]:
    """Give a row that lasted until so many days from the index."""
    return row(days, pid=pid, left=DAY + timedelta(days=until))


@pytest.mark.parametrize(
    ("rows", "more", "said"),
    [
        ([ended(-9, -5), ended(-6, -4)], {"until": "left"}, "'left': .* overlap another"),
        ([ended(-9, -1), ended(-8, -7), ended(-6, -4)], {"until": "left"}, "overlap another"),
        ([ended(-9, -10)], {"until": "left"}, "'left': .* end before they begin"),
        ([row(-1)] * 11, {}, "somebody has more than 10 rows"),
        ([row(400)], {"people": 20}, "no row of anybody is in a window"),
        ([row(-1, pid="P0")], {"people": 20}, "none of its rows names one of the people"),
    ],
)
def test_a_table_that_cannot_be_what_is_meant_is_refused(
    rows: list[dict[str, Any]],
    more: dict[str, Any],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By its name and column, without a value."""
    monkeypatch.setattr(people_tables, "ROWS_EACH", 10)
    with pytest.raises(SourceError, match=rf"^source\.tables\.labs: .*{said}"):
        open_tables(tmp_path, rows, **more).read([*ASKED])


def test_rows_that_follow_upon_each_other_do_not_overlap(tmp_path: Path) -> None:
    """Nor do those of two people."""
    rows = [ended(-9, -5), ended(-5, -4), ended(-8, -6, "p1")]
    read = open_tables(tmp_path, rows, until="left").read(["sum"])
    assert read["sum"].to_pylist() == [2.0, 1.0, 0.0]


def test_a_person_in_a_kind_that_names_nobody_is_refused(tmp_path: Path) -> None:
    """By table and column."""
    tables = open_tables(tmp_path, [row(-1)])
    rows = pq.read_table(tmp_path / "labs.parquet")
    lists = pa.array([["p0"]], pa.list_(pa.string()))
    pq.write_table(rows.set_column(0, "pid", lists), tmp_path / "labs.parquet")
    with pytest.raises(SourceError, match=r"labs.*: the column 'pid' must hold text or numbers"):
        tables.read(["sum"])


def test_a_table_that_changes_between_two_readings_is_refused(tmp_path: Path) -> None:
    """What is read of people who kept something back would be of other rows."""
    tables = open_tables(tmp_path, [row(-1)])
    tables.read(["sum"])
    open_tables(tmp_path, [row(-1), row(-2)])
    with pytest.raises(SourceError, match="labs: the table changed while it was read"):
        tables.read(["last"])
