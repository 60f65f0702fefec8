"""Columns of many rows are what a naive loop over people makes of them, and look at nothing after.

The oracle is plain Python over lists of rows, and shares nothing with the query.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean, linear_regression
from typing import Any, TypeAlias, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.policy.many_rows import FromRows, ReadDates
from expectations.policy.policy import PeopleSource
from tasks.sources.people_tables import PeopleTables

Row: TypeAlias = dict[str, Any]
DAY = datetime(2024, 2, 28)  # noqa: DTZ001  # on the policy's own calendar
TAKES = {
    "count": {},
    "count-distinct": {"field": "ward"},
    "sum": {"field": "value"},
    "mean": {"field": "value"},
    "smallest": {"field": "value"},
    "largest": {"field": "value"},
    "first": {"field": "ward"},
    "last": {"field": "value"},
    "any": {"where": "value > 1"},
    "all": {"where": "value > 1"},
    "days-since": {},
    "slope": {"field": "value"},
}
WINDOWS: tuple[dict[str, int], ...] = ({}, {"days_before": 2}, {"days_after": 2})
ASKED = {
    f"{take} {number} {bool(where)}": FromRows.model_validate(
        {"take": take, "of": "visits", **said, **window, **where}
    )
    for take, said in TAKES.items()
    for number, window in enumerate(WINDOWS)
    for where in ({}, {"where": "ward = 'A' or ward is missing"})
}

T = TypeVar("T")


def mostly(drawn: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    """Draw what is there, and now and then what is missing."""
    return st.one_of(drawn, drawn, drawn, st.none())


moments = st.builds(
    lambda days, hours: DAY + timedelta(days=days, hours=hours),
    st.integers(-4, 4),
    st.sampled_from([0, 0, 6]),
)
rows = st.fixed_dictionaries(
    {
        "pid": st.sampled_from(["1", "1", "2", "2", "stranger"]),
        "start": mostly(moments),
        "told": mostly(moments),
        "ward": mostly(st.sampled_from(["A", "B"])),
        "value": mostly(st.sampled_from([0.1, 0.2, 1.5, -3.0, 1e9])),
    }
)
ends = mostly(st.just(DAY + timedelta(days=9)) | moments)
people = st.fixed_dictionaries({n: st.tuples(mostly(moments), ends) for n in ("1", "2")})
People: TypeAlias = dict[str, tuple[datetime | None, datetime | None]]


def some(names: Iterable[str]) -> st.SearchStrategy[list[str]]:
    """Draw a few columns at a time: a query of all takes ten times as long."""
    return st.lists(st.sampled_from([*names]), min_size=1, max_size=6, unique=True)


def write(folder: Path, indices: People, found: list[Row]) -> PeopleTables:
    """Write a roster and its visits, and give them as one source."""
    dated = zip(("index", "until"), zip(*indices.values(), strict=True), strict=True)
    roster = {name: pa.array(values, pa.timestamp("us")) for name, values in dated}
    pq.write_table(pa.table({"pid": list(indices), **roster}), folder / "people.parquet")
    kinds = {"pid": pa.string(), "start": pa.timestamp("us"), "told": pa.timestamp("us"),
             "ward": pa.string(), "value": pa.float64()}  # fmt: skip
    visits = {name: pa.array([row[name] for row in found], kind) for name, kind in kinds.items()}
    pq.write_table(pa.table(visits), folder / "visits.parquet")
    source = PeopleSource.model_validate(
        {
            "location": {"kind": "parquet", "path": "people.parquet"},
            "person": "pid",
            "index": {"column": "index"},
            "followed_until": {"column": "until"},
            "tables": {
                "visits": {
                    "location": {"kind": "parquet", "path": "visits.parquet"},
                    "at": "start",
                    "known_at": "told",
                    "fields": {"ward": {"type": "text"}, "value": {"type": "number"}},
                }
            },
        },
        strict=False,
    )
    return PeopleTables(source, ASKED, folder)


def meets(where: str | None, row: Row) -> bool | None:
    """Say whether a row meets one of the two conditions; None where that is not known."""
    if where is None:
        return True
    if where == "value > 1":
        return None if row["value"] is None else row["value"] > 1
    return row["ward"] in {"A", None}


def within(take: FromRows, row: Row, index: datetime) -> bool:
    """Say whether a row is in the window."""
    at, told = row["start"], row["told"]
    if at is None:
        return False
    if take.days_after:
        return bool(index < at <= index + timedelta(days=take.days_after))
    if told is None or at >= index or told >= index:
        return False
    return take.days_before is None or bool(at >= index - timedelta(days=take.days_before))


def naive(  # noqa: C901, PLR0911, PLR0912
    take: FromRows, own: list[Row], index: datetime | None, until: datetime | None
) -> object:
    """Make one value of one person's rows."""
    if index is None:
        return None
    if take.days_after and (until is None or until < index + timedelta(days=take.days_after)):
        return None
    seen = [row for row in own if within(take, row, index)]
    if take.take == "all":
        return all(bool(meets(take.where, row)) for row in seen) if seen else None
    seen = [row for row in seen if meets(take.where, row)]
    if take.field:
        seen = [row for row in seen if row[take.field] is not None]
    in_order = sorted(seen, key=lambda row: (row["start"], row[take.field] if take.field else 0))
    values = [row[take.field] for row in in_order] if take.field else []
    match take.take:
        case "count":
            return len(seen)
        case "count-distinct":
            return len(set(values))
        case "any":
            return bool(seen)
        case "sum":
            return sum(sorted(values))
    if not seen:
        return None
    match take.take:
        case "mean":
            return fmean(values)
        case "smallest":
            return min(values)
        case "largest":
            return max(values)
        case "first":
            return in_order[0][take.field or ""]
        case "last":
            last = in_order[-1]["start"]
            return min(row[take.field or ""] for row in seen if row["start"] == last)
        case "days-since":
            return (index.date() - in_order[-1]["start"].date()).days
    days = [(row["start"] - DAY) / timedelta(days=1) for row in in_order]
    return linear_regression(days, values).slope if len(set(days)) > 1 else None


def same(one: object, other: object) -> bool:
    """Say whether two values are alike, doubles but for rounding."""
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)
    return one == other


def check(folder: Path, indices: People, found: list[Row], asked: list[str]) -> None:
    """Hold columns of a source against what a loop over its people makes."""
    read = write(folder, indices, found).read(asked, where=("pid", pa.array([*indices])))
    for name in asked:
        values = zip(indices.items(), read.column(name).to_pylist(), strict=True)
        for (person, followed), value in values:
            own = [row for row in found if row["pid"] == person]
            expected = naive(ASKED[name], own, *followed)
            assert same(value, expected), (name, person, value, expected)


@given(indices=people, found=st.lists(rows, min_size=3, max_size=14), asked=some(ASKED))
def test_columns_are_what_a_loop_over_people_makes(
    indices: People, found: list[Row], asked: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With missing values, equal moments, leap days and rows that were told of late."""
    check(tmp_path_factory.mktemp("many"), indices, found, asked)


def test_every_column_of_a_hundred_rows_is_what_a_loop_makes(tmp_path: Path) -> None:
    """All takes, in all windows, with and without a condition."""
    drawn = random.Random(7)
    moment = lambda: DAY + timedelta(days=drawn.randint(-4, 4), hours=6 * drawn.randint(0, 1))  # noqa: E731
    indices: People = {str(n): (DAY + timedelta(days=n), DAY + timedelta(days=6)) for n in range(6)}
    found: list[Row] = [
        {
            "pid": str(drawn.randint(0, 6)), "start": moment(), "told": moment(),
            "ward": drawn.choice(["A", "B", None]), "value": drawn.choice([0.1, 1.5, -3.0, None]),
        }
        for _ in range(120)
    ]  # fmt: skip
    check(tmp_path, indices, found, [*ASKED])


def test_rows_of_other_days_than_are_read_might_as_well_not_be_there(tmp_path: Path) -> None:
    """Both ends are read; by DuckDB's own scan, and from what Arrow reads."""
    days: Row = {"from": "2024-02-27", "until": "2024-03-01", "undated": "covered"}
    hours = (-24, -1, 0, 23, 71, 72)
    found: list[Row] = [
        {
            "pid": "1", "start": DAY + timedelta(hours=hour), "told": DAY + timedelta(hours=hour),
            "ward": "A", "value": 1.0,
        }
        for hour in (-25, *hours)
    ]  # fmt: skip
    indices: People = {"1": (DAY + timedelta(days=4), DAY + timedelta(days=9))}
    within = write(tmp_path, indices, [r for r in found if r["start"] in {
        DAY + timedelta(hours=hour) for hour in hours[:-1]}]).read([*ASKED])  # fmt: skip
    for kind in ("us", "ns"):
        whole = write(tmp_path, indices, found)
        visits = pq.read_table(tmp_path / "visits.parquet")
        if kind == "ns":
            local = visits.column("start").cast(pa.timestamp("us", "UTC"))
            pq.write_table(visits.set_column(1, "start", local), tmp_path / "visits.parquet")
        dated = whole.source.model_copy(
            update={"dates": ReadDates.model_validate(days), "zone": "UTC"}
        )
        read = PeopleTables(dated, ASKED, tmp_path).read([*ASKED])
        assert read.equals(within)


@given(
    indices=people,
    found=st.lists(rows, min_size=3, max_size=10),
    later=st.lists(rows, max_size=10),
    features=some([name for name, take in ASKED.items() if not take.days_after]),
)
def test_nothing_after_the_index_changes_a_byte_of_what_is_before_it(  # drawn
    *,
    indices: People,
    found: list[Row],
    later: list[Row],
    features: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Rows that took place or became known at the index or later are added, removed, shuffled."""
    folder = tmp_path_factory.mktemp("ahead")

    def features_of(some: list[Row]) -> pa.Table:
        return write(folder, indices, some).read(features)

    def is_past(row: Row) -> bool:
        index, _ = indices.get(row["pid"], (None, None))
        known = index and row["start"] and row["told"]
        return bool(known and max(row["start"], row["told"]) < index)

    before = features_of(found)
    changed = [row for row in found if is_past(row)] + [row for row in later if not is_past(row)]
    random.Random(1).shuffle(changed)
    assert features_of(changed).equals(before)
