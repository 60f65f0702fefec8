"""When a table can leave again: data periods, and how long until enough people have changed.

A forecast takes the changes since the last release to go on at their pace, all of them together;
it promises nothing, and is not made where it would tell of a number of people below the
disclosure threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from tasks.anonymization.releases.succession import Comparison

if TYPE_CHECKING:
    from tasks.anonymization.releases.counted_rows import Counts

Period = Literal["month", "quarter", "year"]
MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}


def name_period(moment: datetime, period: Period) -> str:
    """Name the data period of a moment: `2026-11`, `2026-Q4` or `2026`."""
    match period:
        case "month":
            return f"{moment:%Y-%m}"
        case "quarter":
            return f"{moment:%Y}-Q{(moment.month + 2) // 3}"
        case "year":
            return f"{moment:%Y}"


def begin_next(moment: datetime, period: Period) -> date:
    """Give the first day of the next data period."""
    months = MONTHS[period]
    count = moment.year * 12 + ((moment.month - 1) // months + 1) * months
    return date(count // 12, count % 12 + 1, 1)


@dataclass(frozen=True, slots=True)
class Pace:
    """Changes that were seen in the classes which wait, those they wait for, and in how long."""

    seen: int
    needed: int
    days: float


def measure_pace(last: Comparison, present: Counts, k: int, days: float) -> Pace:
    """Measure how far the classes that wait have come since the last release.

    `present` is how many people there are of each distinct row. A class waits where fewer than k
    were added or are gone.
    """
    added, gone, _ = last.differences(present)
    changed = np.maximum(np.where(added < k, added, 0), np.where(gone < k, gone, 0))
    return Pace(int(changed.sum()), int(k * (changed > 0).sum()), days)


def forecast(pace: Pace | None, threshold: int) -> str:
    """Say in how many days enough will have changed, in one digit, if that may and can be told."""
    if pace is None or pace.seen < threshold or pace.days <= 0:
        return "too little has changed since the last table to say when enough will have"
    days = pace.days * (pace.needed - pace.seen) / pace.seen
    step = 10 ** max(0, math.floor(math.log10(max(days, 1))))
    return (
        f"at the pace since the table last changed enough will have changed in about "
        f"{(number := max(1, round(days / step)) * step):,} {'day' if number == 1 else 'days'}"
    )
