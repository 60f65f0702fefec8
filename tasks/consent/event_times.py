"""When consent events happened, as sources write it: moments in microseconds since 1970 UTC.

A time is a timestamp of the source's own, or text in the form of ISO 8601 (RFC 3339) with or
without an offset. One without belongs to the source's zone, where it may mean more than one
moment: an hour that the clocks passed twice, or a day of which no hour is known (a date, or
midnight to the microsecond). Both ends are given, and whoever reads an event takes the one that
permits less: what permits begins at the first, what forbids at the last, so that on the day of a
withdrawal no gift of the same day stands against it. A time that the clocks left out is wrong.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.policy.event_words import LOCAL, ZONED
from tasks.consent.bad_rows import BadRows
from tasks.people.ingestion import canonical

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

DAY: Final = 86_400_000_000
"""Microseconds; a duration counts days of 24 hours."""
CALENDAR: Final = (-62_104_060_800_000_000, 253_370_764_800_000_000)
"""From year 2 to year 9999: a local reading beyond, such as 9999-12-31, counts as its bound, since
Python knows no moment outside of the years 1 to 9999, in whatever zone."""
NEVER: Final = int(np.iinfo(np.int64).min)
"""What pandas holds where there is no time."""


@dataclass(frozen=True, slots=True)
class Times:
    """The first and the last moment that each event's time can mean; undefined where none is."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    there: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Clock:
    """What a column's times say: a clock's reading, and whether that is local, there, readable."""

    reading: NDArray[np.int64]
    local: NDArray[np.bool_]
    there: NDArray[np.bool_]
    wrong: NDArray[np.bool_]

    def take(self, places: NDArray[np.int64]) -> _Clock:
        """Give the times at some places."""
        return _Clock(
            self.reading[places], self.local[places], self.there[places], self.wrong[places]
        )


def read_times(column: pa.ChunkedArray, name: str, zone: ZoneInfo | None, bad: BadRows) -> Times:
    """Read a column of times; those without an offset are in `zone`, and wrong where that is None.

    What is wrong goes to `bad`. Raises `SourceError` for a column that cannot hold times.
    """
    clock = _read_clock(column, f"{bad.place}: the column of `{name}`")
    if zone is None:
        like = "write it like 2026-01-31T12:00:00+01:00, or name the source's `zone`"
        bad.note(clock.wrong | clock.local, f"its `{name}` is no time with a zone", like)
        return Times(clock.reading, clock.reading, clock.there)
    bad.note(clock.wrong, f"its `{name}` is no time", "write it like 2026-01-31T12:00:00")
    first, last = clock.reading.copy(), clock.reading.copy()
    local = np.flatnonzero(clock.local)
    first[local], last[local] = _find_moments(clock.reading[local], zone)
    bad.note(
        clock.local & (first == NEVER),
        f"its `{name}` is an hour that the clocks of {zone} left out",
        "correct it, or `zone`",
    )
    return Times(first, last, clock.there)


def _find_moments(
    readings: NDArray[np.int64], zone: ZoneInfo
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the first and the last moment of local readings; NEVER for an hour left out."""
    if not len(readings):
        return readings, readings
    days = readings % DAY == 0
    first, last = _place(readings, zone), _place(readings, zone, later=True)
    first[days] = _place(readings[days], zone, gap="shift_forward")
    last[days] = _place(readings[days] + DAY, zone, gap="shift_forward") - 1
    return first, last


def _place(
    readings: NDArray[np.int64],
    zone: ZoneInfo,
    *,
    later: bool = False,
    gap: Literal["NaT", "shift_forward"] = "NaT",
) -> NDArray[np.int64]:
    """Give the moment of each local reading; of two, the later or the earlier."""
    import pandas as pd

    clock = pd.DatetimeIndex(np.clip(readings, *CALENDAR).view("datetime64[us]"))
    # For pandas, true means daylight saving time, which is the earlier of the two everywhere.
    earlier = np.full(len(readings), not later)
    found = clock.tz_localize(zone, ambiguous=earlier, nonexistent=gap)
    plain = found.tz_convert("UTC").tz_localize(None)
    return np.array(plain.to_numpy("datetime64[us]")).view(np.int64)


def _read_clock(column: pa.ChunkedArray, place: str) -> _Clock:
    """Read a column of times, of whatever type."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        whole = column.unify_dictionaries().combine_chunks()
        places = pc.fill_null(whole.indices.cast(pa.int64()), len(whole.dictionary)).to_numpy()
        each = pa.concat_arrays([whole.dictionary, pa.nulls(1, kind.value_type)])
        return _read_clock(pa.chunked_array([each]), place).take(places)
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return _read_text(canonical(column, place))
    local = pa.types.is_date(kind) or kind.tz is None
    return _as_clock(column.cast(pa.timestamp("us", None if local else "UTC"), safe=False))


def _as_clock(times: pa.ChunkedArray) -> _Clock:
    """Give times that are all local, or all in UTC."""
    there = pc.is_valid(times).to_numpy()
    reading = times.cast(pa.int64()).fill_null(NEVER).to_numpy()
    wrong = np.zeros(len(there), dtype=np.bool_)
    return _Clock(reading, there & (times.type.tz is None), there, wrong)


def _read_text(text: pa.ChunkedArray) -> _Clock:
    """Read times that are written as text: fast where all are in order and of one kind."""
    for zone in ("UTC", None):
        with contextlib.suppress(pa.ArrowInvalid):
            return _as_clock(text.cast(pa.timestamp("us", zone)))
    return _read_mixed(text)


def _read_mixed(text: pa.ChunkedArray) -> _Clock:
    """Read times of which some are local, some are not, and some are perhaps wrong."""
    import pandas as pd

    # Digits beyond microseconds would make pandas count in nanoseconds, up to 2262 only.
    text = pc.replace_substring_regex(pc.utf8_trim_whitespace(text), r"(\.\d{6})\d{1,3}", r"\1")
    local, zoned = (pc.match_substring_regex(text, form) for form in (LOCAL, ZONED))
    series = pc.if_else(pc.or_(local, zoned), text, None).to_pandas()
    read = pd.to_datetime(series, format="ISO8601", utc=True, errors="coerce", cache=False)
    plain = read.dt.as_unit("us").dt.tz_localize(None)
    reading = plain.to_numpy("datetime64[us]").view(np.int64)
    there = pc.is_valid(text).to_numpy()
    wrong = there & (reading == NEVER)
    return _Clock(reading, pc.fill_null(local, False).to_numpy() & ~wrong, there, wrong)
