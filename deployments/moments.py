"""Moments as they are typed on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from expectations.errors import UsageError
from expectations.policy.spans import read_span

DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
TIME: Final = re.compile(DAY.pattern + r"[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)")
EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)


def read_when(typed: str, option: str) -> datetime:
    """Give the moment that was typed: a day, which begins at midnight UTC, or a time with its zone.

    Raises `UsageError` for anything else, and for what lies before 1900.
    """
    day = DAY.fullmatch(typed)
    try:
        if day or TIME.fullmatch(typed):
            found = datetime.fromisoformat(typed)
            found = found.replace(tzinfo=UTC) if day else found.astimezone(UTC)
            if found >= EARLIEST:
                return found
    except (ValueError, OverflowError):
        pass
    raise UsageError(
        f"{option}: not a readable date or time; write a day, which begins at midnight UTC "
        "(2026-01-31), or a time with its zone (2026-01-31T09:30+01:00)"
    )


def read_since(typed: str, option: str) -> datetime:
    """Give the moment from which on: a day or time as `read_when`, or how long ago, as `7 days`."""
    span = read_span(typed)
    return read_when(typed, option) if span is None else datetime.now(UTC) - span
