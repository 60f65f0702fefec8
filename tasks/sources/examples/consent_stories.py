"""How the consents of the examples go: what happens one after the other, and how often.

A story is at most three happenings in rising years. Those under one heading leave a person where
the heading says, at any moment of 2026 to 2035 and whatever the notice's version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

from expectations.policy.vocabulary import ConsentStatus, Purpose


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
