"""A made-up history of consent, 2023 to 2025, in the words of ISO/IEC TS 27560.

Every event lies before 2026, and what is valid then stays valid to the end of 2035, so a run gives
the same people whenever in these ten years it is made.

Whether consent to research is valid is drawn, for each person on their own, with probability

    p = 0.72 * 0.75^[age >= 70] * 0.80^[Non-Hispanic Black or Mexican American]
             * 0.80^[general health fair or poor]

so who consents differs from who does not, by things that a policy can see and weight for. It
depends on nothing else; on the outcome (diabetes) only through these three. Who does not consent
was never asked (30 %), refused (25 %), withdrew (25 %) or let it expire (20 %). Nobody's consent
to marketing is valid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa

from expectations.vocabulary import ConsentStatus, Purpose

EVENT = ("person", "purpose", "status", "at", "expires_at")
"""The columns of an event."""
BASE, OLD, LESS_ASKED, UNWELL = 0.72, 0.75, 0.80, 0.80
"""The factors of the formula above."""

_SOON, _FAR = "soon", "far"
_Happening = tuple[ConsentStatus, int, str | None]
"""What happened, in which year, and whether it ends within 2025 (soon), after 2035 (far), never."""

_GIVEN, _RENEWED = ConsentStatus.GIVEN, ConsentStatus.RENEWED
_REFUSED, _WITHDRAWN = ConsentStatus.REFUSED, ConsentStatus.WITHDRAWN
_STORIES: Mapping[str, tuple[tuple[_Happening, ...], ...]] = {
    "valid": (
        ((_GIVEN, 2023, None),),
        ((_GIVEN, 2024, None),),
        ((_GIVEN, 2025, _FAR),),
        ((_GIVEN, 2023, _SOON), (_RENEWED, 2024, _FAR)),
        ((_REFUSED, 2023, None), (_GIVEN, 2025, None)),
        ((_GIVEN, 2023, None), (_WITHDRAWN, 2024, None), (_GIVEN, 2025, _FAR)),
    ),
    "never asked": ((),),
    "refused": (
        ((_REFUSED, 2023, None),),
        ((_REFUSED, 2025, None),),
        ((_REFUSED, 2023, None), (_REFUSED, 2024, None)),
    ),
    "withdrawn": (
        ((_GIVEN, 2023, None), (_WITHDRAWN, 2024, None)),
        ((_GIVEN, 2024, _FAR), (_WITHDRAWN, 2025, None)),
        ((_GIVEN, 2023, _SOON), (_RENEWED, 2024, _FAR), (_WITHDRAWN, 2025, None)),
    ),
    "expired": (
        ((_GIVEN, 2023, _SOON),),
        ((_GIVEN, 2023, None), (_RENEWED, 2024, _SOON)),
        ((_GIVEN, 2023, None), (ConsentStatus.EXPIRED, 2025, None)),
    ),
}
_MARKETING = {"never asked": 0.55, "refused": 0.15, "withdrawn": 0.20, "expired": 0.10}
_SERVICE = {"never asked": 0.12, "valid": 0.80, "withdrawn": 0.08}
_NO_RESEARCH = {"never asked": 0.30, "refused": 0.25, "withdrawn": 0.25, "expired": 0.20}


def give_probability(age: float, origin: str, health: str | None) -> float:
    """Give the chance that a person's consent to research is valid."""
    less_asked = origin in {"Non-Hispanic Black", "Mexican American"}
    unwell = health in {"Fair or", "Poor?"}
    return BASE * float(OLD ** (age >= 70) * LESS_ASKED**less_asked * UNWELL**unwell)


def make_events(
    rng: np.random.Generator, people: Sequence[str], chances: Sequence[float]
) -> pa.Table:
    """Make the events of all people, by time: person, purpose, status, at and expires_at as text.

    `chances` holds each person's probability of valid consent to research.
    """
    rows: list[tuple[datetime, tuple[str, ...]]] = []
    for person, chance in zip(people, chances, strict=True):
        research = {"valid": chance} | {k: v * (1 - chance) for k, v in _NO_RESEARCH.items()}
        rows += _tell(rng, person, Purpose.SCIENTIFIC_RESEARCH, research)
        rows += _tell(rng, person, Purpose.MARKETING, _MARKETING)
        rows += _tell(rng, person, Purpose.SERVICE_PROVISION, _SERVICE)
    columns = zip(*(row for _, row in sorted(rows)), strict=True)
    table = pa.table(dict(zip(EVENT, map(pa.array, columns), strict=True)))
    return table.set_column(
        4, "expires_at", [[end or None for end in table["expires_at"].to_pylist()]]
    )


def _tell(
    rng: np.random.Generator, person: str, purpose: Purpose, outcomes: Mapping[str, float]
) -> Iterator[tuple[datetime, tuple[str, ...]]]:
    """Draw how one person's consent to one purpose went, and give its events."""
    draws = rng.random(11)
    end = int(np.searchsorted(np.cumsum(list(outcomes.values())), draws[0], side="right"))
    stories = _STORIES[list(outcomes)[min(end, len(outcomes) - 1)]]
    story = stories[int(draws[1] * len(stories))]
    for (status, year, until), (day, zone, last) in zip(
        story, draws[2:].reshape(3, 3), strict=False
    ):
        at = datetime(year, 1, 1, 13, tzinfo=UTC) + timedelta(minutes=int(day * 470_000))
        local = at.astimezone(timezone(timedelta(hours=(-8, -5, 0, 1)[int(zone * 4)])))
        yield at, (person, purpose, status, local.isoformat(), _end(until, last))


def _end(until: str | None, draw: float) -> str:
    """Give a day in 2025, or in 2036 to 2040, or nothing."""
    if until is None:
        return ""
    first, days = (
        (datetime(2025, 1, 1, tzinfo=UTC), 360)
        if until == _SOON
        else (datetime(2036, 1, 1, tzinfo=UTC), 1800)
    )
    return (first + timedelta(days=int(draw * days))).isoformat()
