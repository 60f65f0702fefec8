"""How a source's own words come to be ours: what each field of a consent event may say.

A word is taken where a mapping names it or where it is ours already; no other is guessed at.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from enum import StrEnum
from typing import Final

from expectations.policy.legal_basis import EventField
from expectations.policy.vocabulary import (
    Article6,
    Article9,
    Category,
    ConsentStatus,
    Indication,
    Purpose,
)

LISTS: Final[Mapping[EventField, type[StrEnum]]] = {
    EventField.STATUS: ConsentStatus,
    EventField.PURPOSE: Purpose,
    EventField.CATEGORIES: Category,
    EventField.ARTICLE_6: Article6,
    EventField.ARTICLE_9: Article9,
    EventField.INDICATION: Indication,
}
"""The fields that hold words of a closed list; categories are several words."""
NUMBERS: Final = (EventField.NOTICE_VERSION, EventField.DURATION_DAYS)
"""The fields that hold a whole number from 1."""
FREE: Final = (
    EventField.NOTICE,
    EventField.LANGUAGE,
    EventField.METHOD,
    EventField.JURISDICTION,
)
"""The fields that hold the controller's own words, of which there are few."""
DAYS: Final = (EventField.DATA_FROM, EventField.DATA_UNTIL)
"""The fields that hold a day."""
WORDED: Final = (*LISTS, *NUMBERS, *FREE, *DAYS)
"""The fields whose words a policy can map."""
ALL: Final = "all"
"""What a purpose or category may be mapped to: all that the event's notice enumerates."""
SEPARATOR: Final = r"[\s,;|]+"
"""What stands between the categories of one cell."""
LONGEST: Final = 100
"""The most characters of a controller's own word."""
LARGEST: Final = 100_000
"""The largest number: 100,000 days are longer than a life."""
LONGEST_EVIDENCE: Final = 200
"""The most characters of a reference to evidence."""
_DAY, _HOUR = r"\d{4}-\d\d-\d\d", r"[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?"
LOCAL: Final = f"^{_DAY}(?:{_HOUR})?$"
"""How a time without a zone, or a date, is written (ISO 8601)."""
ZONED: Final = f"^{_DAY}{_HOUR}(?:Z| ?UTC|[+-]\\d\\d(?::?\\d\\d)?)$"
"""How a time with an offset is written (RFC 3339; the colon and the minutes may be left out)."""


def tidy(words: Mapping[str, str]) -> dict[str, str]:
    """Give a mapping as it is looked up: in Unicode NFC, without blanks at the ends."""
    return {unicodedata.normalize("NFC", k).strip(): v.strip() for k, v in words.items()}


def is_local(text: str) -> bool:
    """Whether a time or date is written without an offset."""
    return re.fullmatch(LOCAL, text, re.ASCII) is not None


def is_time(text: str) -> bool:
    """Whether a text is a time or a date that the calendar has."""
    if not (is_local(text) or re.fullmatch(ZONED, text, re.ASCII)):
        return False
    with contextlib.suppress(ValueError):
        datetime.fromisoformat(re.sub(r" ?UTC$", "Z", text))
        return True
    return False


def translate(field: EventField, word: str, words: Mapping[str, str]) -> str | None:
    """Give our word for the source's: empty where it says nothing, None where it is not known.

    `words` is a tidy mapping from theirs to ours; several categories come apart by one space.
    """
    ours = words.get(word, word)
    if words.get(word) == ALL and field in {EventField.PURPOSE, EventField.CATEGORIES}:
        return ALL
    if field is EventField.CATEGORIES:
        return _translate_categories(word, words)
    if not ours:
        return ""
    if field in LISTS:
        return ours if ours in {*LISTS[field]} else None
    if field in NUMBERS:
        # A spreadsheet writes 2 as 2.0.
        whole = re.fullmatch(r"(\d{1,6})(?:\.0+)?", ours, re.ASCII)
        return str(int(whole[1])) if whole and 1 <= int(whole[1]) <= LARGEST else None
    if field in DAYS:
        return ours if len(ours) == len("2026-01-31") and is_time(ours) else None
    return ours if len(ours) <= LONGEST else None


def _translate_categories(cell: str, words: Mapping[str, str]) -> str | None:
    """Translate words apart by space, comma, semicolon or bar; the source's may hold spaces."""
    named = {one for text in _texts(cell, words) for one in re.split(SEPARATOR, text) if one}
    if not named:
        return "" if not cell or cell in words else None
    return " ".join(sorted(named)) if named <= {*Category} else None


def _texts(cell: str, words: Mapping[str, str]) -> Iterator[str]:
    """Give our text for the cell as a whole, or for each of its parts."""
    if cell in words:
        yield words[cell]
        return
    for part in map(str.strip, re.split(r"[,;|]", cell)):
        yield from [words[part]] if part in words else (words.get(one, one) for one in part.split())


def suggest_words(field: EventField, unknown: Iterable[str]) -> str:
    """Say what a field can hold, and which of it some unknown words were perhaps meant to be."""
    if field in NUMBERS:
        return f"write a whole number from 1 to {LARGEST:,}"
    if field in DAYS:
        return "write a day like 2026-01-31"
    if field in FREE:
        return f"write at most {LONGEST} characters"
    known = [str(word) for word in LISTS[field]]
    odd = {*unknown}
    if field is EventField.CATEGORIES:
        odd = {part for word in odd for part in re.split(SEPARATOR, word)} - {*known}
    near = sorted({match for word in odd for match in get_close_matches(word, known, 1)})
    hint = f"did you mean {', '.join(near)}? " if near else ""
    return f"{hint}use {', '.join(known)}"
