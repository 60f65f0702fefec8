"""What one column of a table looks like, told without any person's value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from expectations.policy import ColumnType

LEAST: Final = 10
"""Rows that must share a value before it is named anywhere."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One column; holds no value of fewer than LEAST rows."""

    name: str  # the source's own name
    type: ColumnType  # what every value converts to
    rows: int
    missing: float  # share of rows without a value
    distinct: int  # number of different values, exact or estimated
    alone: float  # share of rows whose value stands in fewer than 5 rows
    words: tuple[str, ...]  # values that LEAST rows or more share, most frequent first
    rare: int  # how many further values are not listed
    low: float | None  # range, rounded outward
    high: float | None
    edges: tuple[float, ...]  # rounded inner edges
    length: float  # mean length as text
