"""A made-up history of consent, 2023 to 2025, in the words of ISO/IEC TS 27560.

Every event lies before 2026, and was recorded before 2026; what is valid then stays valid to the
end of 2035, so a run gives the same people whenever in these ten years it is made.

Whether somebody would consent to research is drawn, for each person on their own, with probability

    p = 0.76 * 0.75^[age >= 70] * 0.80^[Non-Hispanic Black or Mexican American]
             * 0.80^[general health fair or poor]

so who consents differs from who does not, by things that a policy can see and weight for. It
depends on nothing else; on the outcome (diabetes) only through these three. By a second mechanism,
for the same people under other numbers, it is drawn with probability

    p = 0.75 * 0.45^[diabetes: told of it, or glycohemoglobin of 6.5 % or more]

which depends on the outcome and on nothing else, so that no weighting by other things can mend it.

Of those who would consent, 95 % do so validly and to all categories; 4 % consent to all but one of
health, ethnic origin and behaviour, 0.7 % objected later and 0.3 % had their data restricted. So
the chance of a valid and whole consent is 0.95 p. Who would not consent was never asked (24 %) or
did not answer (5 %; of 1 % the answer is unknown), refused (25 %), withdrew (22 %), let it expire
(20 %), or had it revoked (1 %) or invalidated (2 %). Nobody's consent to marketing is valid; most
of those who were asked consent to the service.

An event holds from `at`, written in the zone of its jurisdiction, and was recorded two hours to
three weeks later; of those before 2025 one in thirty 60 to 180 days later still. Who was shown a
notice was shown `research` (in English or Spanish; since 1 July 2024 its version 2, which adds
demographic data) or `services`. A gift to research is explicit, on paper, in the portal or by
telephone, and what is on paper or on tape has the made-up number of its evidence. A gift names its
categories; anything else names some only if it does not mean all. Who is under 18 at the time
speaks through a guardian, whose number is made up.

How somebody's consent went is a story of at most three happenings in rising years. Those under one
heading of `STORIES` leave a person where the heading says, at any moment of 2026 to 2035 and
whatever the notice's version.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import accumulate
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from expectations.policy.vocabulary import Category, ConsentStatus, Indication, Purpose
from tasks.sources.examples.identities import shuffle


class Happening(NamedTuple):
    """One event: what happens, in which year, when it ends, and which categories it means."""

    status: ConsentStatus
    year: int
    ends: Literal["early", "late", "far"] | None = None
    """In the first or in the second half of 2025, after 2035, or never."""
    of: Literal["all", "others", "one"] = "all"
    """All categories of the notice, all but one, or that one only."""


Story: TypeAlias = tuple[Happening, ...]
LONGEST: Final = 3
"""Happenings in a story, at most."""

_REQUESTED, _DEFERRED = ConsentStatus.REQUESTED, ConsentStatus.DEFERRED
_GIVEN, _RENEWED = ConsentStatus.GIVEN, ConsentStatus.RENEWED
_REFUSED, _WITHDRAWN = ConsentStatus.REFUSED, ConsentStatus.WITHDRAWN
_OBJECTED, _RESTRICTED = ConsentStatus.OBJECTED, ConsentStatus.RESTRICTED

STORIES: Final[Mapping[str, tuple[Story, ...]]] = {
    "permitted": (
        (Happening(_GIVEN, 2023),),
        (Happening(_REQUESTED, 2023), Happening(_GIVEN, 2024)),
        (Happening(_GIVEN, 2025, "far"),),
        (Happening(_GIVEN, 2023, "early"), Happening(_RENEWED, 2024, "far")),
        (Happening(_REFUSED, 2023), Happening(_GIVEN, 2025)),
        (Happening(_GIVEN, 2023), Happening(_WITHDRAWN, 2024), Happening(_GIVEN, 2025, "far")),
        (Happening(_DEFERRED, 2023), Happening(_GIVEN, 2024), Happening(_REQUESTED, 2025)),
    ),
    "permitted again": (
        (
            Happening(_OBJECTED, 2023),
            Happening(ConsentStatus.OBJECTION_ENDED, 2024),
            Happening(_GIVEN, 2025),
        ),
        (
            Happening(_GIVEN, 2023),
            Happening(_RESTRICTED, 2024),
            Happening(ConsentStatus.RESTRICTION_ENDED, 2025),
        ),
    ),
    "only in part": (
        (Happening(_GIVEN, 2024, None, "others"),),
        (Happening(_GIVEN, 2023), Happening(_WITHDRAWN, 2024, None, "one")),
        (Happening(_REFUSED, 2023), Happening(_GIVEN, 2025, "far", "others")),
    ),
    "objected": (
        (Happening(_GIVEN, 2023), Happening(_OBJECTED, 2024)),
        (Happening(_GIVEN, 2024), Happening(_OBJECTED, 2025)),
    ),
    "restricted": ((Happening(_GIVEN, 2023), Happening(_RESTRICTED, 2025)),),
    "never asked": ((),),
    "no answer": ((Happening(_REQUESTED, 2024),), (Happening(_DEFERRED, 2023),)),
    "unknown": ((Happening(ConsentStatus.UNKNOWN, 2023),),),
    "refused": (
        (Happening(_REFUSED, 2023),),
        (Happening(_REFUSED, 2025),),
        (Happening(_REFUSED, 2023), Happening(_REFUSED, 2024)),
    ),
    "withdrawn": (
        (Happening(_GIVEN, 2023), Happening(_WITHDRAWN, 2024)),
        (Happening(_GIVEN, 2024, "far"), Happening(_WITHDRAWN, 2025)),
        (
            Happening(_GIVEN, 2023, "early"),
            Happening(_RENEWED, 2024, "far"),
            Happening(_WITHDRAWN, 2025),
        ),
    ),
    "revoked": ((Happening(_GIVEN, 2024), Happening(ConsentStatus.REVOKED, 2025)),),
    "invalidated": ((Happening(_GIVEN, 2023), Happening(ConsentStatus.INVALIDATED, 2024)),),
    "expired": (
        (Happening(_GIVEN, 2023, "early"),),
        (Happening(_GIVEN, 2023, "early"), Happening(_RENEWED, 2024, "late")),
        (Happening(_GIVEN, 2023), Happening(ConsentStatus.EXPIRED, 2025)),
    ),
    "objected at once": (
        (Happening(_OBJECTED, 2024),),
        (Happening(_REFUSED, 2023), Happening(_OBJECTED, 2024)),
    ),
}

Shares: TypeAlias = Mapping[str, float]
"""The share of people under each heading."""

WOULD: Final[Shares] = {
    "permitted": 0.93,
    "permitted again": 0.02,
    "only in part": 0.04,
    "objected": 0.007,
    "restricted": 0.003,
}
"""How it goes with those who would consent to research."""
WOULD_NOT: Final[Shares] = {
    "never asked": 0.24,
    "no answer": 0.05,
    "unknown": 0.01,
    "refused": 0.25,
    "withdrawn": 0.22,
    "revoked": 0.01,
    "invalidated": 0.02,
    "expired": 0.20,
}
"""And with those who would not."""
OTHER_PURPOSES: Final[Mapping[Purpose, Shares]] = {
    Purpose.MARKETING: {
        "never asked": 0.50,
        "refused": 0.15,
        "withdrawn": 0.20,
        "expired": 0.10,
        "objected at once": 0.05,
    },
    Purpose.SERVICE_PROVISION: {"never asked": 0.12, "permitted": 0.80, "withdrawn": 0.08},
}


def share_research(chance: float) -> Shares:
    """Give the chance of each heading for somebody who would consent to research by a chance."""
    would = {heading: chance * share for heading, share in WOULD.items()}
    return would | {heading: (1 - chance) * share for heading, share in WOULD_NOT.items()}


EVENT: Final = (
    *("person", "status", "at", "recorded_at", "expires_at", "purpose", "categories"),
    *("notice", "notice_version", "language", "indication", "method", "jurisdiction"),
    *("guardian", "evidence"),
)
"""The columns of an event; all are text."""
BASE, OLD, LESS_ASKED, UNWELL = 0.76, 0.75, 0.80, 0.80
"""The factors of the first formula above."""
BASE_BY_OUTCOME, SICK = 0.75, 0.45
"""The factors of the second."""
WHOLE: Final = WOULD["permitted"] + WOULD["permitted again"]
"""The share of those who would consent whose consent is valid and whole."""
_READ = (
    *(Category.AGE, Category.BEHAVIORAL, Category.ETHNIC_ORIGIN, Category.GENDER, Category.HEALTH),
)
NOTICES: Final = {
    ("research", 1): _READ,
    ("research", 2): (*_READ, Category.DEMOGRAPHIC),
    ("services", 1): (Category.CONTACT, Category.IDENTIFYING),
}
"""The categories that each version of a notice enumerates."""
CAN_LACK: Final = (Category.HEALTH, Category.ETHNIC_ORIGIN, Category.BEHAVIORAL)
"""The category that a consent in part may lack."""
SECOND_VERSION: Final = datetime(2024, 7, 1, tzinfo=UTC)
"""Since when the second version of the notice is shown."""

_SHOWN = frozenset(
    {
        *(ConsentStatus.REQUESTED, ConsentStatus.DEFERRED, ConsentStatus.REFUSED),
        *(ConsentStatus.GIVEN, ConsentStatus.RENEWED),
    }
)
_GIFTS = frozenset({ConsentStatus.GIVEN, ConsentStatus.RENEWED})
_UNSAID = frozenset({ConsentStatus.EXPIRED, ConsentStatus.INVALIDATED, ConsentStatus.UNKNOWN})
_PLACES = (("US-CA", -8), ("US-NY", -5), ("IE", 0), ("DE", 1))
"""Jurisdictions, and the hours by which they are off UTC."""
_METHODS = ("paper form", "portal", "telephone")
_EVIDENCE = {"paper form": "scan", "telephone": "call"}
_ENDS = {
    "early": (datetime(2025, 1, 1, tzinfo=UTC), 180),
    "late": (datetime(2025, 7, 2, tzinfo=UTC), 180),
    "far": (datetime(2036, 1, 1, tzinfo=UTC), 1800),
}
_OF_EVENT = 7
_DRAWS = 3 + LONGEST * _OF_EVENT
"""Random numbers for one person and purpose, of which those of one event are `_OF_EVENT`."""
_Row = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class _Speaker:
    """Whose events are told: the person, when they were born, and who spoke for them before 18."""

    person: str
    born: date
    guardian: str
    language: str


def give_probability(age: float, origin: str, health: str | None) -> float:
    """Give the chance that a person would consent to research, by the first formula."""
    less_asked = origin in {"Non-Hispanic Black", "Mexican American"}
    unwell = health in {"Fair or", "Poor?"}
    return BASE * float(OLD ** (age >= 70) * LESS_ASKED**less_asked * UNWELL**unwell)


def give_probability_by_outcome(*, diabetes: bool) -> float:
    """Give the chance that a person would consent to research, by the second formula."""
    return BASE_BY_OUTCOME * float(SICK**diabetes)


def make_events(
    rng: np.random.Generator,
    people: Sequence[str],
    born: Sequence[date],
    chances: Sequence[float],
) -> pa.Table:
    """Make the events of all people, in the order in which they hold, as text.

    `born` holds dates of birth, `chances` each person's probability of consent to research.
    """
    rows: list[tuple[datetime, str, str, _Row]] = []
    guardians = shuffle(rng, 30_000, len(people))
    drawn = rng.random((len(people), 1 + _DRAWS * (1 + len(OTHER_PURPOSES)))).tolist()
    for person, day, number, chance, (language, *draws) in zip(
        people, born, guardians, chances, drawn, strict=True
    ):
        spoken = "es" if language < 0.15 else "en"
        speaker = _Speaker(person, day, f"G-{number:06d}", spoken)
        shares = {Purpose.SCIENTIFIC_RESEARCH: share_research(chance), **OTHER_PURPOSES}
        for n, (purpose, share) in enumerate(shares.items()):
            told = _tell(speaker, purpose, share, draws[n * _DRAWS : (n + 1) * _DRAWS])
            rows += ((at, person, purpose, row) for at, row in told)
    rows.sort(key=lambda row: row[:3])
    return pa.Table.from_pylist(
        [row for *_, row in rows], schema=pa.schema([(name, pa.string()) for name in EVENT])
    )


def _tell(
    speaker: _Speaker, purpose: Purpose, shares: Shares, draws: Sequence[float]
) -> Iterator[tuple[datetime, _Row]]:
    """Draw how one person's consent to one purpose went, and give its events."""
    how, which, lack, *rest = draws
    end = bisect_right(list(accumulate(shares.values())), how)
    stories = STORIES[list(shares)[min(end, len(shares) - 1)]]
    lacking = CAN_LACK[int(lack * len(CAN_LACK))]
    for n, happening in enumerate(stories[int(which * len(stories))]):
        drawn = rest[n * _OF_EVENT : (n + 1) * _OF_EVENT]
        at = datetime(happening.year, 1, 1, 13, tzinfo=UTC) + timedelta(
            minutes=int(drawn[0] * 470_000)
        )
        said = _say(speaker, purpose, happening.status, at)
        named = _name_categories(happening, purpose, at, lacking)
        yield at, said | named | _record(happening, at, drawn)


def _say(speaker: _Speaker, purpose: Purpose, status: ConsentStatus, at: datetime) -> _Row:
    """Give who said what on which notice; what nobody is asked for names no notice."""
    research = purpose is Purpose.SCIENTIFIC_RESEARCH
    row: _Row = {"person": speaker.person, "status": status, "purpose": purpose}
    if status in _SHOWN:
        row["notice"], version = _find_notice(purpose, at)
        row["notice_version"] = str(version)
        row["language"] = speaker.language if research else "en"
    if status in _GIFTS:
        row["indication"] = Indication.EXPLICIT if research else Indication.EXPRESSED
    born, today = speaker.born, at.date()
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if years < 18 and status not in _UNSAID:
        row["guardian"] = speaker.guardian
    return row


def _find_notice(purpose: Purpose, at: datetime) -> tuple[str, int]:
    """Give the notice, and its version, that is shown for a purpose at a moment."""
    if purpose is Purpose.SCIENTIFIC_RESEARCH:
        return "research", 2 if at >= SECOND_VERSION else 1
    return "services", 1


def _name_categories(
    happening: Happening, purpose: Purpose, at: datetime, lacking: Category
) -> _Row:
    """Name the categories of a gift, and of what does not mean all."""
    if happening.of == "one":
        return {"categories": lacking}
    if happening.status not in _GIFTS:
        return {}
    listed = NOTICES[_find_notice(purpose, at)]
    return {"categories": ";".join(c for c in listed if happening.of == "all" or c != lacking)}


def _record(happening: Happening, at: datetime, drawn: Sequence[float]) -> _Row:
    """Draw how, where and when it was recorded, and when it ends."""
    _, where, end, delay, late, how, number = drawn
    place, hours = _PLACES[int(where * len(_PLACES))]
    recorded = at + timedelta(minutes=120 + int(delay * 30_000))
    if at.year < 2025 and late < 1 / 30:
        recorded += timedelta(days=60 + int(late * 30 * 120))
    local = timezone(timedelta(hours=hours))
    method = _METHODS[int(how * len(_METHODS))]
    row: _Row = {
        "at": at.astimezone(local).isoformat(),
        "recorded_at": recorded.astimezone(local).isoformat(),
        "jurisdiction": place,
    }
    if happening.ends:
        first, days = _ENDS[happening.ends]
        row["expires_at"] = (first + timedelta(days=int(end * days))).isoformat()
    if happening.status not in _UNSAID:
        row["method"] = method
    if happening.status in _GIFTS and method in _EVIDENCE:
        row["evidence"] = f"{_EVIDENCE[method]}-{int(number * 10**12):012d}"
    return row
