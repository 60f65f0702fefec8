"""Columns of text, read on a sample as free text is read: for names, numbers and places.

Presidio's recognizers and the language model read a few different values of each column that has
many. They know English, and of single words without a sentence around them they miss more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from expectations.expressions.expressions import ColumnType
from expectations.policy.vocabulary import Category, Identifiability
from tasks.drafting.profile import MOST_WORDS, hide_values
from tasks.drafting.signs import Found, choose_category

if TYPE_CHECKING:
    from tasks.anonymization.free_text.mentions import Span

SAMPLE: Final = 40
"""Values read of each column."""
MOST: Final = 0.4
"""The share of sampled values that must be, for half of their length, of one kind."""
OFTEN: Final = 0.1
"""The share of sampled free texts in which a kind must stand to be told of."""


class Kind(NamedTuple):
    """What Presidio calls a kind of finding, and what it makes of a column."""

    says: str
    identifiability: Identifiability
    category: Category


_ID, _QUASI = Identifiability.IDENTIFIER, Identifiability.QUASI
KINDS: Final = {
    "PERSON": Kind("names of people", _ID, Category.IDENTIFYING),
    "EMAIL_ADDRESS": Kind("e-mail addresses", _ID, Category.CONTACT),
    "PHONE_NUMBER": Kind("telephone numbers", _ID, Category.CONTACT),
    "STREET_ADDRESS": Kind("street addresses", _ID, Category.LOCATION),
    "MEDICAL_RECORD_NUMBER": Kind("record numbers", _ID, Category.IDENTIFYING),
    "RECORD_NUMBER": Kind("record numbers", _ID, Category.IDENTIFYING),
    "URL": Kind("web addresses", _ID, Category.IDENTIFYING),
    "LOCATION": Kind("places", _QUASI, Category.LOCATION),
    "ORGANIZATION": Kind("organizations", _QUASI, Category.PROFESSIONAL),
    "NRP": Kind("nationality, religion or politics", _QUASI, Category.ETHNIC_ORIGIN),
}


def wants_reading(found: Found) -> bool:
    """Tell whether a column is of text with many values, and no identifier anyway."""
    text = found.profile.type is ColumnType.TEXT and found.profile.distinct > MOST_WORDS
    return text and (found.free_text or found.identifiability is not Identifiability.IDENTIFIER)


def read_samples(found: Sequence[Found], samples: Mapping[str, Sequence[str]]) -> Iterator[Found]:
    """Give the columns with what reading found in their samples, which are named by column."""
    spans = _read([text for sample in samples.values() for text in sample])
    for each in found:
        sample = samples.get(each.profile.name, ())
        told = Counter(kind for text in sample for kind in _kinds_of(text, spans[text], each))
        least = OFTEN if each.free_text else MOST
        kinds = [KINDS[kind] for kind, times in told.most_common() if times >= least * len(sample)]
        yield _with_mentions(each, kinds) if each.free_text else _with_kinds(each, kinds)


def _read(texts: Sequence[str]) -> Mapping[str, Sequence[Span]]:
    if not texts:
        return {}
    from tasks.anonymization.free_text.text import find_identifiers  # slow to load

    return dict(zip(texts, find_identifiers(texts, processes=1), strict=True))


def _kinds_of(text: str, spans: Sequence[Span], found: Found) -> set[str]:
    """Give the kinds that stand in a text, or that half of a short value is of."""
    return {
        span.entity
        for span in spans
        if span.entity in KINDS and (found.free_text or 2 * (span.end - span.start) >= len(text))
    }


def _with_mentions(found: Found, kinds: Sequence[Kind]) -> Found:
    seen = tuple(f"{kind.says} stand in sampled texts (Presidio)" for kind in kinds)
    return replace(found, seen=(*found.seen, *dict.fromkeys(seen)))


def _with_kinds(found: Found, kinds: Sequence[Kind]) -> Found:
    """Make the column what its values are; a reading alone is doubtful."""
    if not kinds:
        return found
    seen = tuple(f"many sampled values look like {kind.says} (Presidio)" for kind in kinds)
    strongest = _ID if any(kind.identifiability is _ID for kind in kinds) else _QUASI
    categories = [each for each in (found.category, *(kind.category for kind in kinds)) if each]
    return replace(
        found,
        identifiability=strongest,
        category=choose_category(categories),
        profile=hide_values(found.profile) if strongest is _ID else found.profile,
        seen=(*found.seen, *dict.fromkeys(seen)),
        doubtful=found.doubtful or strongest is _ID,
    )
