"""What the columns of a table look like, and by which signs."""

from __future__ import annotations

from dataclasses import dataclass

from expectations.vocabulary import Category, Identifiability
from tasks.drafting.profile import Profile


@dataclass(frozen=True, slots=True)
class Found:
    """What a column looks like; its sentences say what was seen, never a value."""

    profile: Profile
    identifiability: Identifiability
    category: Category | None  # None: cannot tell
    free_text: bool
    person: bool  # could name each row
    consent: tuple[str, ...]  # words that mean yes, where it looks like an answer to consent
    target: bool  # a yes/no column that looks like an outcome
    seen: tuple[str, ...]
    doubtful: bool  # a person must decide


@dataclass(frozen=True, slots=True)
class Examined:
    """A whole table; `joint` is the quasi-identifiers together and how many rows they single out."""

    rows: int
    columns: tuple[Found, ...]
    joint: tuple[tuple[str, ...], float]
