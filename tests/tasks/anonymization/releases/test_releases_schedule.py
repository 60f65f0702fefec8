"""Data periods have names and ends, and a schedule that is refused says about how long it waits."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.anonymization.releases.succession import Comparison
from tasks.anonymization.releases.successive_releases import (
    Pace,
    Period,
    begin_next,
    forecast,
    measure_pace,
    name_period,
    reach_limit,
    say_days,
)

NOVEMBER = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("period", "name", "then"),
    [
        ("month", "2026-11", date(2026, 12, 1)),
        ("quarter", "2026-Q4", date(2027, 1, 1)),
        ("year", "2026", date(2027, 1, 1)),
    ],
)
def test_a_period_has_a_name_and_an_end(period: Period, name: str, then: date) -> None:
    """By the moment of the run."""
    assert name_period(NOVEMBER, period) == name
    assert begin_next(NOVEMBER, period) == then


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)), st.sampled_from(["month", "quarter", "year"]))  # fmt: skip  # noqa: DTZ001, E501 - the run's moment has its zone
def test_a_period_ends_where_the_next_begins(moment: datetime, period: Period) -> None:
    """The day before is in it, the day itself is not."""
    first = begin_next(moment, period)
    then = datetime(first.year, first.month, first.day)  # noqa: DTZ001 - compared without zones
    assert name_period(then - timedelta(seconds=1), period) == name_period(moment, period)
    assert name_period(then, period) != name_period(moment, period)


@pytest.mark.parametrize(
    ("pace", "said"),
    [
        (Pace(10, 20, 30), "in about 30 days"),
        (Pace(12, 100, 7), "in about 50 days"),
        (Pace(99, 100, 1), "in about 1 day"),
        (Pace(10, 10_000, 30), "in about 30,000 days"),
        (Pace(9, 20, 30), "too little has changed"),
        (Pace(10, 20, 0), "too little has changed"),
        (None, "too little has changed"),
    ],
)
def test_a_forecast_is_told_in_one_digit_or_not_at_all(pace: Pace | None, said: str) -> None:
    """Changes below the threshold are not told, nor what follows from them."""
    assert said in forecast(pace, 10)


def test_the_limit_is_reached_as_what_is_left_out_has_grown() -> None:
    """In 30 days 2 % came to be left out, so 6 % more take 90; without a pace there is no day."""
    assert reach_limit(30, 0.02, 0.06) == pytest.approx(90)
    assert reach_limit(30, 0.0, 0.06) == reach_limit(0, 0.02, 0.06) == float("inf")
    assert say_days(94) == "90 days"


def test_the_pace_is_that_of_the_classes_that_wait() -> None:
    """Two came to a class, one left another; a third has changed enough, a fourth not at all."""
    every = np.arange(4)
    last = Comparison(cell=every, group=every, released=np.array([9, 9, 9, 9]))
    assert measure_pace(last, np.array([11, 8, 20, 9]), 5, 7.0) == Pace(seen=3, needed=10, days=7.0)
