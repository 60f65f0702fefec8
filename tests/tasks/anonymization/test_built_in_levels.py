"""Dates, ages and postcodes have levels of their own, and what is none of them is counted."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import UsageError
from tasks.anonymization.labels import ages_level, dates_level, postcodes_level

DAYS = {
    date(1969, 12, 31): ["1969-12-31", "1969-12", "1969-Q4", "1969", "1960s", "*"],
    date(2000, 2, 29): ["2000-02-29", "2000-02", "2000-Q1", "2000", "2000s", "*"],
    date(1, 1, 1): ["0001-01-01", "0001-01", "0001-Q1", "0001", "0000s", "*"],
    date(9999, 7, 1): ["9999-07-01", "9999-07", "9999-Q3", "9999", "9990s", "*"],
}


@pytest.mark.parametrize(("day", "labels"), DAYS.items(), ids=map(str, DAYS))
def test_a_day_has_six_labels(day: date, labels: list[str]) -> None:
    """From itself to `*`, before 1970 and at the ends of the calendar too."""
    text = pd.Series([day.isoformat()])
    assert [dates_level(text, level).tolist() for level in range(6)] == [[one] for one in labels]


@given(day=st.dates())
def test_a_date_lies_where_the_calendar_says(day: date) -> None:
    """Month, quarter, year and decade, as counted by hand."""
    quarter = f"{day.year:04}-Q{(day.month + 2) // 3}"
    expected = [f"{day.year:04}-{day.month:02}", quarter, f"{day.year // 10 * 10:04}s"]
    assert [dates_level(pd.Series([day]), level)[0] for level in (1, 2, 4)] == expected


DATES = {
    "times": pd.Series(pd.to_datetime(["1969-12-31 23:59", ""])),
    "texts": pd.Series(["1969-12-31", None]),
    "dates": pd.Series([date(1969, 12, 31), None], dtype=object),
    "a zone's own day": pd.Series(
        pd.to_datetime(["1969-12-31 23:30", ""]).tz_localize("Asia/Tokyo")
    ),
}  # fmt: skip


@pytest.mark.parametrize("values", DATES.values(), ids=DATES.keys())
def test_a_date_of_any_type_is_its_day(values: pd.Series) -> None:
    """Not the day that it is elsewhere; a missing one stays missing."""
    assert dates_level(values, 0).tolist() == ["1969-12-31", None]


@pytest.mark.parametrize(
    ("age", "labels"),
    [
        (0, ["0", "0-4", "0-9", "0-19", "*"]),
        (34, ["34", "30-34", "30-39", "20-39", "*"]),
        (79, ["79", "75-79", "70-79", "60-79", "*"]),
        (85, ["85", "85-89", "80-89", "80+", "*"]),
        (90, ["90", "90+", "90+", "80+", "*"]),
        (150, ["150", "90+", "90+", "80+", "*"]),
    ],
)
def test_an_age_has_five_labels(age: int, labels: list[str]) -> None:
    """Bands of 5, 10 and 20 years, open from 90, or from the band that 90 lies in."""
    values = pd.Series([age, None])
    assert [ages_level(values, level).tolist() for level in range(5)] == [
        [label, None] for label in labels
    ]


@given(age=st.integers(0, 150), other=st.integers(0, 150), top=st.sampled_from([5, 65, 85, 90]))
def test_levels_nest_in_each_other(age: int, other: int, top: int) -> None:
    """Who shares a label shares all above it."""
    both = pd.Series([age, other])
    shared = [len(set(ages_level(both, level, top).tolist())) == 1 for level in range(5)]
    assert shared == sorted(shared)


@given(first=st.dates(), apart=st.integers(0, 40_000))
def test_levels_of_dates_nest_in_each_other(first: date, apart: int) -> None:
    """A day, its month, quarter, year and decade."""
    other = first + timedelta(min(apart, (date.max - first).days))
    both = pd.Series([first, other], dtype=object)
    shared = [len(set(dates_level(both, level).tolist())) == 1 for level in range(6)]
    assert shared == sorted(shared)


@given(codes=st.lists(st.text("A1 ", min_size=1, max_size=5), min_size=2, max_size=2))
def test_levels_of_postcodes_nest_in_each_other(codes: list[str]) -> None:
    """Character by character, codes of different lengths only under `*`."""
    labels = [postcodes_level(pd.Series(codes), level).tolist() for level in range(6)]
    shared = [len(set(pair)) == 1 for pair in labels]
    assert shared == sorted(shared)
    longest = max(map(len, codes))
    assert labels[longest:] == [["*", "*"]] * (6 - longest)


def test_a_postcode_is_cut_from_the_right() -> None:
    """The first character stays below `*`; numbers are codes too; a missing one stays missing."""
    codes = pd.Series(["80539", "W1A", None])
    assert [postcodes_level(codes, level).tolist() for level in (0, 2, 4, 5)] == [
        ["80539", "W1A", None],
        ["805**", "W**", None],
        ["8****", "W**", None],
        ["*", "*", None],
    ]
    assert postcodes_level(pd.Series([80539, None]), 2).tolist() == ["805**", None]


WRONG = {
    "no date": (lambda: dates_level(pd.Series(["xq7", "2000-01-01", None]), 1), "1 of 3 values"),
    "no such day": (lambda: dates_level(pd.Series(["2001-02-29"]), 1), "1 of 1 values"),
    "half a year": (lambda: ages_level(pd.Series([30.5, -1, 151, 40, None]), 1), "3 of 5 values"),
    "an age in words": (lambda: ages_level(pd.Series(["xq7", "40"]), 1), "1 of 2 values"),
    "a top within a band": (lambda: ages_level(pd.Series([1]), 1, 88), "88 is not a multiple of 5"),
    "cut before": (
        lambda: postcodes_level(pd.Series(["805**", "", "80539", None]), 1),
        "of 3 values 2 are empty or hold",
    ),
    "a lost zero": (
        lambda: postcodes_level(pd.Series([1067, 1067, 80539]), 1, length=5),
        "of 3 values 2 have not the declared length 5",
    ),
    "no such level": (lambda: dates_level(pd.Series(["2000-01-01"]), 6), "choose 0 to 5"),
    "below the value": (lambda: postcodes_level(pd.Series(["80539"]), -1), "count levels from 0"),
}


@pytest.mark.parametrize(("call", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_has_no_level_is_counted_and_not_quoted(call: object, said: str) -> None:
    """How many of how many, and what to do."""
    assert callable(call)
    with pytest.raises(UsageError, match=said) as caught:
        call()
    assert "xq7" not in str(caught.value)


def test_a_column_without_rows_has_no_labels() -> None:
    """Nothing is refused of nobody."""
    empty = pd.Series([], dtype=object)
    for made in (dates_level(empty, 1), ages_level(empty, 1), postcodes_level(empty, 1)):
        assert made.tolist() == []


def test_a_label_depends_on_its_own_value_alone() -> None:
    """Where the length of codes is declared: then the longest code there decides nothing."""
    many = pd.Series(["80539", "10115"])
    alone = [postcodes_level(many[n : n + 1], 3, length=5)[0] for n in range(2)]
    assert postcodes_level(many, 3, length=5).tolist() == alone
    assert np.array(alone).tolist() == ["80***", "10***"]
