"""Spans of time as a policy writes them: `24 hours`, `30 days`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import Field

PATTERN: Final = r"^[1-9][0-9]{0,3} (?:hours?|days?)$"
Span = Annotated[str, Field(pattern=PATTERN)]
"""A span of time: a whole number of hours or days, such as `24 hours`."""


def read_span(text: str) -> timedelta | None:
    """Read a span of time; None for what is not one."""
    if not re.fullmatch(PATTERN, text):
        return None
    number, unit = text.split()
    return timedelta(**{f"{unit.removesuffix('s')}s": int(number)})
