"""From a column of dates or moments to moments on one calendar: that of the policy's zone.

A day begins at its midnight. A moment without an offset stands on that calendar already; one with
an offset is put there, for which the zone has to be said.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import roughly
from expectations.errors import SourceError
from tasks.sources.naming import spell

MOMENT: Final = pa.timestamp("us")
_WRITTEN: Final = (
    r"^(?P<plain>\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?)"
    r"(?P<offset>Z|[+-]\d{2}:?\d{2})?$"
)


def read_moments(column: pa.ChunkedArray, place: str, zone: str | None) -> pa.ChunkedArray:
    """Give moments, to the microsecond; a missing one stays missing.

    `SourceError` at `place` for what is no moment, and for an offset where no zone is said.
    """
    kind = column.type
    if pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None):
        return pc.cast(column, MOMENT, safe=False)
    if pa.types.is_timestamp(kind):
        return _put(pc.cast(column, pa.timestamp("us", "UTC"), safe=False), place, zone)
    try:
        text = pc.utf8_trim_whitespace(spell(column))
    except pa.ArrowException:
        text = pa.chunked_array([pa.nulls(len(column), pa.large_string())])
    text = pc.if_else(pc.equal(text, ""), None, text)
    parts = pc.extract_regex(text, _WRITTEN)
    plain, offset = (pc.struct_field(parts, name) for name in ("plain", "offset"))
    found = _parse(plain)
    if lost := found.null_count - text.null_count:
        raise SourceError(
            f"{place}: {roughly(lost)} values are no dates such as 2024-01-31, and no moments such "
            "as 2024-01-31 05:30; correct them in the source"
        )
    told = pc.fill_null(pc.not_equal(offset, ""), False)
    if not pc.any(told, min_count=0).as_py():
        return found
    if not pc.all(pc.or_(told, pc.is_null(text)), min_count=0).as_py():
        raise SourceError(
            f"{place}: some moments are told with an offset from UTC and some without; write all "
            "of them alike"
        )
    return _put(
        pc.subtract(found, _read_offset(offset)).cast(pa.timestamp("us", "UTC")), place, zone
    )


def _put(moments: pa.ChunkedArray, place: str, zone: str | None) -> pa.ChunkedArray:
    """Put moments that are the same everywhere on the calendar of a zone."""
    if zone is None:
        raise SourceError(
            f"{place}: its moments have an offset from UTC, and the policy does not say on which "
            "calendar days are counted; add `zone: Europe/Berlin`, or UTC, under source"
        )
    return pc.local_timestamp(pc.cast(moments, pa.timestamp("us", zone)))


def _parse(plain: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read dates and moments of ISO 8601 without an offset; others become missing."""
    plain = pc.if_else(pc.equal(plain, ""), None, plain)
    plain = pc.replace_substring_regex(plain, r"(\.\d{6})\d+$", r"\1")
    try:
        return pc.cast(plain, MOMENT)
    except pa.ArrowInvalid:  # it stops at the first that is on no calendar, such as 30 February
        words = pc.unique(plain).to_pylist()
        days = pa.array([_moment(word) for word in words], MOMENT)
        return days.take(pc.index_in(plain, pa.array(words, plain.type)))


def _moment(word: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(word) if word else None
    except ValueError:
        return None


def _read_offset(offset: pa.ChunkedArray) -> pa.ChunkedArray:
    """Give offsets such as +02:00 as durations."""
    signed = pc.replace_substring_regex(pc.replace_substring(offset, "Z", "+0000"), ":", "")
    hours = pc.cast(pc.utf8_slice_codeunits(signed, 1, 3), pa.int64())
    minutes = pc.cast(pc.utf8_slice_codeunits(signed, 3, 5), pa.int64())
    sign = pc.if_else(pc.equal(pc.utf8_slice_codeunits(signed, 0, 1), "-"), -60, 60)
    return pc.cast(
        pc.multiply(pc.add(pc.multiply(hours, 60), minutes), pc.multiply(sign, 1_000_000)),
        pa.duration("us"),
    )
