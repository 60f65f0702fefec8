"""What one consent event says, apart from who said it and when: its terms.

Terms are few and repeat, events are many, so a ledger holds each terms once and events name them.
They hold no personal data. The fields are those of ISO/IEC TS 27560 and W3C DPV that decide
whether somebody may be read.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING

from expectations.policy.vocabulary import (
    Article6,
    Article9,
    Category,
    ConsentStatus,
    Indication,
    Purpose,
)

if TYPE_CHECKING:
    from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class NoticeTerms:
    """One version of a notice, as a person was shown it, with what it enumerates."""

    id: str
    version: int
    language: str
    purposes: tuple[Purpose, ...]
    categories: tuple[Category, ...]
    covers_narrower: bool = False
    """Whether the notice said that its purposes cover those below them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "purposes", tuple(sorted(set(self.purposes))))
        object.__setattr__(self, "categories", tuple(sorted(set(self.categories))))


@dataclass(frozen=True, slots=True)
class Terms:
    """What an event says.

    Without a purpose, or without categories, it means all that its notice enumerates; one that
    ends something and names no notice either means every purpose, or every category.
    """

    status: ConsentStatus
    purpose: Purpose | None = None
    categories: tuple[Category, ...] = ()
    notice: NoticeTerms | None = None
    article_6: Article6 | None = None
    article_9: Article9 | None = None
    indication: Indication | None = None
    method: str | None = None
    """How it was taken, in the controller's own words: `paper form`, `portal`."""
    jurisdiction: str | None = None
    by_guardian: bool = False
    data_from: str | None = None
    """The first day of the data that it covers, and below the last; all days without them."""
    data_until: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", tuple(sorted(set(self.categories))))

    def to_json(self) -> str:
        """Write the terms in one fixed form: equal terms give equal text.

        Of dates of data nothing is said where there are none, as in terms of earlier versions.
        """
        said = asdict(self)
        for name in ("data_from", "data_until"):
            if said[name] is None:
                del said[name]
        return json.dumps(said, sort_keys=True, separators=(",", ":"))


def read_terms(text: str) -> Terms:
    """Read what `Terms.to_json` wrote; raises pydantic's ValidationError for anything else."""
    return _adapter().validate_json(text)


@cache
def _adapter() -> TypeAdapter[Terms]:
    from pydantic import TypeAdapter

    return TypeAdapter(Terms)
