"""How long what a run made is kept: its goods by one clock, its evidence by another."""

from __future__ import annotations

from calendar import monthrange
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import Field

from expectations.policy.declaration import Declaration, Term

SPAN: Final = r"^[1-9][0-9]{0,4} (day|month|year)s?$"
Span = Annotated[str, Field(pattern=SPAN)]
"""Such as `180 days`, `18 months` or `10 years`."""
DAYS: Final = {"day": 1.0, "month": 30.44, "year": 365.25}


class Retention(Declaration):
    """How long goods and evidence are kept after a run began, and why so long."""

    goods: Span
    """Tables, reports, models and what MLflow and Prefect show; who was in a table, too."""
    evidence: Span | None = None
    """The record of the run; without it, as long as the home."""
    because: Term


def describe_kept(kept: Retention) -> list[str]:
    """Say how long what a run made is kept."""
    record = f"its record {kept.evidence}" if kept.evidence else "its record as long as the home"
    return [kept.goods, record]


def end_of(span: str, since: datetime) -> datetime:
    """Give the moment at which a span that began then is over; months and years by the calendar."""
    number, unit = _read(span)
    if unit == "day":
        return since + timedelta(days=number)
    months = since.month - 1 + number * (12 if unit == "year" else 1)
    year, month = since.year + months // 12, months % 12 + 1
    return since.replace(year=year, month=month, day=min(since.day, monthrange(year, month)[1]))


def length(span: str) -> float:
    """Give about how many days a span has, to compare spans."""
    number, unit = _read(span)
    return number * DAYS[unit]


def _read(span: str) -> tuple[int, str]:
    number, unit = span.split(" ")
    return int(number), unit.removesuffix("s")
