"""Dates and moments of all spellings stand on one calendar."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from expectations.errors import SourceError
from tasks.sources.moments import read_moments

MIDNIGHT = datetime(2024, 2, 29)  # noqa: DTZ001  # on the policy's own calendar


def read(*values: object, zone: str | None = None) -> list[object]:
    """Read a column of such values."""
    return read_moments(pa.chunked_array([pa.array(values)]), "visits", zone).to_pylist()


@pytest.mark.parametrize(
    ("written", "hours"),
    [("2024-02-29", 0), (" 2024-02-29 06:30", 6.5), ("2024-02-29T06:30:00.000000000", 6.5)],
)
def test_a_date_begins_at_its_midnight(written: str, hours: float) -> None:
    """Text is read as ISO 8601; blank is missing."""
    assert read(written, "", None) == [MIDNIGHT + timedelta(hours=hours), None, None]
    assert read(MIDNIGHT.date()) == [MIDNIGHT]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_an_offset_is_put_on_the_policys_calendar(zone: str) -> None:
    """An hour before midnight of winter in UTC is midnight in Berlin."""
    expected = MIDNIGHT - timedelta(hours=1) if zone == "UTC" else MIDNIGHT
    moment = (MIDNIGHT - timedelta(hours=1)).replace(tzinfo=UTC)
    assert read("2024-02-28T23:00:00Z", "2024-02-29 01:00+02:00", zone=zone) == [expected] * 2
    assert read("2024-02-28 18:30-0430", zone=zone) == [expected]
    assert read(moment, zone=zone) == [expected]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("2024-02-30",), "are no dates"),
        (("yesterday", "2024-02-01"), "are no dates"),
        ((7,), "are no dates"),
        (("2024-02-01T00:00Z",), "does not say on which calendar"),
        (("2024-02-01T00:00Z", "2024-02-01T00:00"), "some moments are told with an offset"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_a_value(
    values: tuple[object, ...], said: str
) -> None:
    """The place is named, and how many at most."""
    with pytest.raises(SourceError, match=said) as refused:
        read(*values)
    assert "visits" in str(refused.value)
    assert not any(str(value) in str(refused.value) for value in values if value != 7)
