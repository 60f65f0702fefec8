"""Dates of FHIR, which may be partial: the first and the last moment that each can mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ledgers.consent.events import to_micros

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

FORM: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?)?)?",
    re.ASCII,
)
YEARS: Final = range(2, 9998)
"""The years of which every day can be told in every zone."""


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """The first and the last microsecond since 1970 UTC that a date can mean."""

    first: int
    last: int


class UnclearError(ValueError):
    """A date that cannot be meant; its text says why, and quotes nothing."""


def read_date(text: object, zone: ZoneInfo | None) -> Moment:
    """Read a date, dateTime or instant; a day, month or year is one of `zone`."""
    found = FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise UnclearError("a date is not written as FHIR does")
    year, month, day, time = found.groups()
    if int(year) not in YEARS:
        raise UnclearError("a date lies outside of the years 2 to 9997")
    if time is None and zone is None:
        raise UnclearError("a date has no time zone, and the source names no `zone`")
    try:
        if time is not None:
            exact = to_micros(datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", found[0])))
            return Moment(exact, exact)
        begin = datetime(int(year), int(month or 1), int(day or 1), tzinfo=zone)
        end = _follow(begin, has_month=month is not None, has_day=day is not None)
        # Of a midnight that comes twice the day before ends at the later one.
        return Moment(to_micros(begin), to_micros(end.replace(fold=1)) - 1)
    except (ValueError, OverflowError):
        raise UnclearError("a date is not in the calendar") from None


def _follow(begin: datetime, *, has_month: bool, has_day: bool) -> datetime:
    """Give the midnight at which the day, month or year is over."""
    if has_day:
        ordinal = begin.toordinal() + 1
        return datetime.fromordinal(ordinal).replace(tzinfo=begin.tzinfo)
    if has_month and begin.month < 12:
        return begin.replace(month=begin.month + 1)
    return begin.replace(year=begin.year + 1, month=1)
