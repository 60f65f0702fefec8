"""A value becomes its label at one level of a public hierarchy, and one without stops the run."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.expressions.expressions import ColumnType
from expectations.policy.treatments import Level, public_labels
from tasks.anonymization.deidentify import treat
from tasks.anonymization.labels import Undeclared

TOWNS = (
    ("Ulm", "South", "Land", "*"),
    ("Kiel", "North", "Land", "*"),
    ("Bonn", "West", "Land", "*"),
    ("München", "South", "Land", "*"),
)


def label(level: Level, values: list[Any], kind: pa.DataType) -> pa.Array:
    """Treat a column that comes in two pieces."""
    middle = len(values) // 2
    pieces = [pa.array(part, kind) for part in (values[:middle], values[middle:])]
    made = treat(pa.chunked_array(pieces, kind), level, b"")
    assert made is not None
    return made


def test_a_value_becomes_its_label() -> None:
    """The words are the declared ones in their order, whoever is there."""
    level = Level(kind="hierarchy", rows=TOWNS, level=1)
    made = label(level, ["Kiel", None, "München", "Ulm"], pa.large_string())
    assert made.to_pylist() == ["North", None, "South", "South"]
    words = ["South", "North", "West"]
    assert made.dictionary.to_pylist() == words
    assert list(public_labels(level, ColumnType.TEXT) or ()) == words
    assert label(level, [], pa.large_string()).to_pylist() == []


@pytest.mark.parametrize(
    ("leaf", "kind", "values"),
    [
        pytest.param("30", pa.int64(), [30, None], id="integer"),
        pytest.param("30", pa.float64(), [30.0, math.nan], id="whole-number"),
        pytest.param("0.5", pa.float64(), [0.5, None], id="number"),
        pytest.param("1969-12-31", pa.date32(), [date(1969, 12, 31), None], id="date"),
    ],
)
def test_numbers_and_dates_are_found_by_their_spelling(
    leaf: str, kind: pa.DataType, values: list[Any]
) -> None:
    """As a hierarchy spells them; not-a-number is missing."""
    level = Level(kind="hierarchy", rows=((leaf, "low", "*"), ("7", "high", "*")), level=1)
    assert label(level, values, kind).to_pylist() == ["low", None]


def test_a_value_without_a_line_stops_with_its_count() -> None:
    """Missing ones are not among them, another spelling is, and the word is not said."""
    level = Level(kind="hierarchy", rows=TOWNS, level=2)
    with pytest.raises(Undeclared, match=r"^about 20 values are not among those declared$"):
        label(level, ["Zyxwort", "ulm", "Ulm", None] * 10, pa.large_string())


@given(
    st.lists(st.sampled_from([*(row[0] for row in TOWNS), None]), max_size=8),
    st.sampled_from([1, 2]),
)
def test_a_label_depends_on_its_own_value_alone(values: list[str | None], at: int) -> None:
    """Looked up line by line it is the same."""
    level = Level(kind="hierarchy", rows=TOWNS, level=at)
    plain = {row[0]: row[at] for row in TOWNS}
    made = label(level, values, pa.large_string()).to_pylist()
    assert made == [None if value is None else plain[value] for value in values]


@pytest.mark.parametrize(
    ("of", "level", "kind", "values", "made"),
    [
        ("dates", 1, pa.date32(), [date(1969, 12, 31), None], ["1969-12", None]),
        ("dates", 4, pa.date32(), [date(1, 1, 1), date(9999, 12, 31)], ["0000s", "9990s"]),
        ("ages", 1, pa.int64(), [0, 34, 90, 150, None], ["0-4", "30-34", "90+", "90+", None]),
        ("ages", 2, pa.float64(), [34.0, math.nan], ["30-39", None]),
        ("postcodes", 2, pa.large_string(), ["80539", "W1A 1AA", None], ["805**", "W1A 1**", None]),
        ("postcodes", 2, pa.int64(), [80539, None], ["805**", None]),
    ],
)
def test_built_in_levels_need_no_lines(
    of: Any, level: int, kind: pa.DataType, values: list[Any], made: list[str | None]
) -> None:
    """Dates before 1970, ages from 90 on in one band, codes cut from the right; missing stays."""
    assert label(Level(kind="hierarchy", of=of, level=level), values, kind).to_pylist() == made
    assert label(Level(kind="hierarchy", of=of, level=level), [], kind).to_pylist() == []


@pytest.mark.parametrize(
    ("of", "kind", "values"),
    [
        ("ages", pa.int64(), [-1, 151, 30, None]),
        ("ages", pa.float64(), [30.5, -2.0, 30.0]),
        ("postcodes", pa.large_string(), ["", "80*", "80539", None]),
    ],
)
def test_what_no_built_in_level_holds_is_counted(
    of: Any, kind: pa.DataType, values: list[Any]
) -> None:
    """As with declared lines: the number, never the value."""
    with pytest.raises(Undeclared, match=r"^about 20 values are not among those declared$"):
        label(Level(kind="hierarchy", of=of, level=1), values * 10, kind)


def test_one_long_postcode_changes_no_others_label() -> None:
    """How far the others are cut depends on the level alone."""
    level = Level(kind="hierarchy", of="postcodes", level=4)
    alone = label(level, ["8053"], pa.large_string()).to_pylist()
    assert label(level, ["8053", "805391234"], pa.large_string()).to_pylist()[:1] == alone
