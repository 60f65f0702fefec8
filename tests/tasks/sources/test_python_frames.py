"""A DataFrame is read as a file of the same content is, by the declared types, and no further."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from expectations.errors import Refusal, SourceError
from expectations.expressions.expressions import ColumnType
from expectations.policy.locations import CsvFile, ParquetFiles
from tasks.sources import open_source
from tasks.sources.conversion import convert
from tasks.sources.frame import held

DAYS = ["2024-01-31", "2023-12-01", None]
MOMENTS = pd.to_datetime(pd.Series(DAYS))
NUMBER, INTEGER, TEXT = ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.TEXT
BOOLEAN, DATE = ColumnType.BOOLEAN, ColumnType.DATE
KINDS = {
    "category of text": (pd.Series(["a", "b", None], dtype="category"), TEXT),
    "category of numbers": (pd.Series([1, 2, None], dtype="category"), INTEGER),
    "ordered category": (pd.Series(pd.Categorical(["x", None, "y"], ["y", "x"], True)), TEXT),
    "datetime as date": (MOMENTS, DATE),
    "datetime as text": (MOMENTS, TEXT),
    "date objects": (pd.Series([date(2024, 1, 31), None, date(1900, 2, 28)]), DATE),
    "text as date": (pd.Series(DAYS), DATE),
    "nullable integers": (pd.Series([1, None, 3], dtype="Int64"), INTEGER),
    "integers that became floats": (pd.Series([1.0, None, 3.0]), INTEGER),
    "nullable floats": (pd.Series([1.5, None, 3.25], dtype="Float64"), NUMBER),
    "nullable booleans": (pd.Series([True, None, False], dtype="boolean"), BOOLEAN),
    "booleans": (pd.Series([True, True, False]), BOOLEAN),
    "numbers as booleans": (pd.Series([1, 0, None]), BOOLEAN),
    "text as booleans": (pd.Series(["yes", "No", None]), BOOLEAN),
    "strings": (pd.Series(["a", None, "c d"], dtype="string"), TEXT),
    "strings of Arrow": (pd.Series(["a", None, "c"], dtype="string[pyarrow]"), TEXT),
    "objects of several kinds": (pd.Series([7, "b", None], dtype=object), TEXT),
    "objects of numbers and text": (pd.Series([7, "8.5", None], dtype=object), NUMBER),
    "decimals": (pd.Series([Decimal("1.50"), None, Decimal("2.25")]), NUMBER),
    "small integers": (pd.Series([1, 2, 3], dtype="int8"), INTEGER),
    "unsigned integers": (pd.Series([1, 2, 3], dtype="uint64"), INTEGER),
    "empty text": (pd.Series(["", "b", None]), TEXT),
    "blank text": (pd.Series([" ", "2", None]), NUMBER),
    "nothing": (pd.Series([None, None, None]), TEXT),
}


def read_frame(frame: pd.DataFrame, types: dict[str, ColumnType]) -> pa.Table:
    """Read a frame by its source, in the declared types."""
    with held(frame) as location:
        return convert(open_source(location, Path()).read(list(types)), types)


def read_file(frame: pd.DataFrame, types: dict[str, ColumnType], folder: Path) -> pa.Table:
    """Write a frame as anybody would, and read the file."""
    frame.to_csv(folder / "rows.csv", index=False)
    located = CsvFile(kind="csv", path="rows.csv")
    return convert(open_source(located, folder).read(list(types)), types)


@pytest.mark.parametrize(("values", "declared"), KINDS.values(), ids=KINDS.keys())
def test_every_kind_of_column_is_read_as_the_file_would_be(
    values: pd.Series, declared: ColumnType, tmp_path: Path
) -> None:
    """Whatever pandas calls it, the declared type decides."""
    frame = pd.DataFrame({"id": ["p", "q", "r"], "it": values})
    asked = {"id": TEXT, "it": declared}
    assert read_frame(frame, asked).equals(read_file(frame, asked, tmp_path))


@pytest.mark.parametrize("values", [
    pd.Series(pd.to_datetime(["2024-01-31 10:30", "2024-02-01 00:00"])),
    pd.Series(pd.to_datetime(["2024-01-31", "2024-02-01"], utc=True)),
    pd.Series(["31.1.2024", "2024-02-01"]),
    pd.Series([3.5, 4.0]),
])  # fmt: skip
def test_what_is_no_date_in_a_file_is_none_in_a_frame(values: pd.Series, tmp_path: Path) -> None:
    """A moment, or a day in a zone, has no one day: both ways are refused, in the same words."""
    frame, asked = pd.DataFrame({"it": values}), {"it": DATE}
    with pytest.raises(SourceError) as by_file:
        read_file(frame, asked, tmp_path)
    with pytest.raises(SourceError) as by_frame:
        read_frame(frame, asked)
    assert str(by_frame.value) == str(by_file.value)


CELLS = st.one_of(
    st.none(), st.integers(-(2**53) + 1, 2**53 - 1), st.booleans(), st.sampled_from(["", "yes"]),
    st.text('ab1.-," é', max_size=5), st.dates(date(1700, 1, 1), date(2200, 1, 1)),
)  # fmt: skip


@given(st.lists(CELLS, min_size=1, max_size=6), st.sampled_from([NUMBER, INTEGER, DATE]))
@example([date(2000, 1, 1), 0], DATE)
def test_any_cells_are_read_or_refused_as_in_a_file(
    tmp_path_factory: pytest.TempPathFactory, cells: list[object], declared: ColumnType
) -> None:
    """A mixture of anything comes out as from the CSV that pandas writes of it."""
    folder = tmp_path_factory.mktemp("cells")
    frame = pd.DataFrame({"id": range(len(cells)), "it": pd.Series(cells, dtype=object)})
    found = []
    for read in (read_frame, partial(read_file, folder=folder)):
        try:
            found.append(read(frame, {"it": declared}).column("it").to_pylist())
        except SourceError:
            found.append(None)
    assert found[0] == found[1]


def test_the_same_rows_are_picked_as_from_a_parquet_file(tmp_path: Path) -> None:
    """A person's number is compared as text, however pandas holds it; the order stays."""
    frame = pd.DataFrame({"id": [12.0, 7.0, None, 30.0], "it": ["a", "b", "c", "d"]}, index=[9] * 4)
    frame.to_parquet(tmp_path / "rows.parquet")
    wanted = ("id", pa.array(["30", "12", "012"]))
    located = ParquetFiles(kind="parquet", path="rows.parquet")
    by_file = open_source(located, tmp_path).read(["it"], where=wanted)
    with held(frame) as location:
        by_frame = open_source(location, Path()).read(["it"], where=wanted)
    assert by_frame["it"].to_pylist() == by_file["it"].to_pylist() == ["a", "d"]


def test_a_column_that_is_not_asked_for_is_not_looked_at() -> None:
    """Default deny: not even to learn its type."""

    class Unreadable:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(name)

        def __str__(self) -> str:
            raise AssertionError("looked at")

    frame = pd.DataFrame({"id": ["p"], "other": [Unreadable()]}, dtype=object)
    with held(frame) as location:
        assert open_source(location, Path()).read(["id"])["id"].to_pylist() == ["p"]


def test_a_frame_is_not_held_longer_than_it_is_asked_for() -> None:
    """Afterwards nobody can be asked again, and unknown means no."""
    with held(pd.DataFrame({"id": ["p"]})) as location:
        source = open_source(location, Path())
        assert source.columns() == ("id",)
    with pytest.raises(Refusal, match="legal basis"):
        source.columns()


@pytest.mark.parametrize(("frame", "said"), [
    (pd.DataFrame({"id": ["Zyxwort"], 7: [1]}), "1 of its 2 columns have a name that is not text"),
    (pd.DataFrame([["Zyxwort", 1]], columns=["id", "id"]), "more than once"),
    (pd.DataFrame({"id": [["Zyxwort"]]}), "not text"),
    (pd.DataFrame({"id": pd.interval_range(0, 1)}), "not text"),
])  # fmt: skip
def test_a_frame_that_cannot_be_read_says_so_without_a_value(
    frame: pd.DataFrame, said: str
) -> None:
    """Names of columns and types may be said; what stands in a cell may not."""
    with pytest.raises(SourceError) as found:
        read_frame(frame, {"id": TEXT})
    assert said in str(found.value)
    assert "Zyxwort" not in str(found.value)
