"""Spans of time as a policy writes them: `24 hours`, `30 days`, `18 months`, `10 years`."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import Field

SHORT: Final = r"^[1-9][0-9]{0,3} (?:hours?|days?)$"
Span = Annotated[str, Field(pattern=SHORT)]
"""A span of time: a whole number of hours or days, such as `24 hours`."""
LONG: Final = r"^[1-9][0-9]{0,4} (day|month|year)s?$"
LongSpan = Annotated[str, Field(pattern=LONG)]
"""Such as `180 days`, `18 months` or `10 years`."""
DAYS: Final = {"day": 1.0, "month": 30.44, "year": 365.25}


def read_span(text: str) -> timedelta | None:
    """Read a span of hours or days; None for what is not one."""
    if not re.fullmatch(SHORT, text):
        return None
    number, unit = _read(text)
    return timedelta(**{f"{unit}s": number})


def end_of(span: str, since: datetime) -> datetime:
    """Give the moment at which a long span is over; months and years by the calendar."""
    number, unit = _read(span)
    if unit == "day":
        return since + timedelta(days=number)
    months = since.month - 1 + number * (12 if unit == "year" else 1)
    year, month = since.year + months // 12, months % 12 + 1
    return since.replace(year=year, month=month, day=min(since.day, monthrange(year, month)[1]))


def length(span: str) -> float:
    """Give about how many days a long span has, to compare spans."""
    number, unit = _read(span)
    return number * DAYS[unit]


def _read(span: str) -> tuple[int, str]:
    number, unit = span.split(" ")
    return int(number), unit.removesuffix("s")
