"""What becomes of dates: shortened to a part, or moved per person.

A shift hides when something happened and keeps how long it took: all dates of one person move by
the same number of days, in every column and table of a purpose whose policies declare the same
`days`. Whoever knows one date of a person knows that person's shift, and with it all their dates;
so does whoever sees a moved placeholder, such as the end of the calendar for "no end". Intervals
stay, and weekdays and seasons show where `days` is small.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ledgers.home.keys import derive_key
from tasks.anonymization.tokens import digest_each

PRECISION: Final = {"year": "%Y", "month": "%Y-%m"}
FIRST, LAST = ((day - date(1970, 1, 1)).days for day in (date.min, date.max))


def shorten_dates(values: pa.ChunkedArray, precision: str) -> pa.Array:
    """Reduce dates to year, quarter or month, as text."""
    if precision == "quarter":
        quarter = pc.quarter(values).cast(pa.string())
        return pc.binary_join_element_wise(pc.strftime(values, format="%Y"), quarter, "-Q")
    return pc.strftime(values, format=PRECISION[precision])


def shift_dates(
    values: pa.ChunkedArray, people: pa.ChunkedArray, key: bytes, days: int
) -> pa.Array:
    """Move each date by the offset of the row's person; missing stays missing.

    `people` are their record numbers, the same in every run of a home. A date that would leave the
    calendar, before the year 1 or after 9999, becomes missing.
    """
    offsets = draw_offsets(people.to_numpy(), key, days)
    dates = values.cast(pa.date32()).combine_chunks()
    numbers = dates.cast(pa.int32()).fill_null(0).to_numpy() + offsets
    gone = dates.is_null().to_numpy(zero_copy_only=False) | (numbers < FIRST) | (numbers > LAST)
    return pa.array(numbers.astype(np.int32), mask=gone).cast(pa.date32())


def draw_offsets(people: NDArray[np.uint64], key: bytes, days: int) -> NDArray[np.int64]:
    """Give each person's days from -days to days without 0, each as likely, by HMAC-SHA-256."""
    names = people.astype(">u8").tobytes()
    codes = digest_each(
        (names[n : n + 8] for n in range(0, len(names), 8)), derive_key(key, "shift")
    )
    raw = b"".join([code[:8] for code in codes])
    drawn = (np.frombuffer(raw, ">u8") % np.uint64(2 * days)).astype(np.int64) - days
    return drawn + (drawn >= 0)
