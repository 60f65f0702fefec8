"""Who is meant: further mentions of a name that was found, and one number for one person.

A name found once in a document is searched for everywhere in it, whole and by its parts, in
capitals too; names listed beside a found one ("Morrison, Rogers and Torres") count as names. The
same person keeps the same number within a document, also by surname alone or with an initial, as
long as only one person fits; it is not known across documents, nor through nicknames and pronouns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from tasks.anonymization.free_text.medical_terms import is_medical

NAMED: Final = ("PERSON", "ORGANIZATION", "LOCATION")
"""Kinds whose findings are numbered: the others are values, not someone or something."""

_WORD = re.compile(r"[^\W\d_][^\W\d_'’-]*(?:['’-][^\W\d_]+)*")
_POSSESSIVE = re.compile(r"['’]s$")
_LISTED = r"[ \t]*(?:,(?: and| &)?|and|&|or)[ \t]+"
_CAPITALIZED = (
    r"[A-Z\u00c0-\u00de\u0100-\u024f][^\W\d_A-Z]+(?:[ \t][A-Z\u00c0-\u00de][^\W\d_A-Z]+){0,2}"
)
_NEXT = re.compile(rf"{_LISTED}({_CAPITALIZED})(?![\w'’-])")
_BEFORE = re.compile(rf"(?<![\w.'’-])({_CAPITALIZED}){_LISTED}$")


Key = tuple[str, tuple[str, ...]]  # a kind and the words of a name
_TITLES: Final = frozenset({"mr", "mrs", "ms", "miss", "dr", "prof", "professor", "doctor", "sir"})

# Kinds whose findings are words, or end within a token on purpose ("92yo", "7kg").
_WORDY: Final = frozenset(
    {*NAMED, "AGE", "NRP", "DATE_TIME", "DATE_OF_BIRTH", "STREET_ADDRESS", "URL"}
)
_REST = re.compile(r"(?:[-_/.]?[^\W_])*")
_HEAD = re.compile(r"(?:[^\W_][-_]?)*$")


class Span(NamedTuple):
    """A stretch of a text (character offsets, end excluded) and the kind of identifier there."""

    start: int
    end: int
    entity: str
    score: float


def take_whole_token(text: str, span: Span) -> Span:
    """Stretch the finding of a number or code over the token that it lies in."""
    if span.entity in _WORDY:
        return span
    rest = _REST.match(text, span.end) if text[span.end - 1 : span.end].isalnum() else None
    head = _HEAD.search(text[max(0, span.start - 40) : span.start])
    start = span.start - (len(head[0]) if head and text[span.start].isalnum() else 0)
    return span._replace(start=start, end=rest.end() if rest else span.end)


def merge(spans: Sequence[Span]) -> list[Span]:
    """Unite overlapping spans under the surest one's kind, the longest of equally sure ones."""
    merged: list[Span] = []
    surest: list[Span] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            surest[-1] = max(surest[-1], span, key=lambda each: (each.score, each.end - each.start))
            last = merged[-1]
            merged[-1] = surest[-1]._replace(start=last.start, end=max(last.end, span.end))
        else:
            merged.append(span)
            surest.append(span)
    return merged


def find_mentions(
    text: str, spans: Sequence[Span], is_common: Callable[[str], bool]
) -> Iterator[Span]:
    """Find names beside found ones, and further mentions of them; `is_common` tells plain words."""
    people = [span for span in spans if span.entity == "PERSON"]
    beside = [each for span in people for each in _beside(text, span, is_common)]
    yield from beside
    names = dict.fromkeys((text[each.start : each.end] for each in (*people, *beside)), "PERSON")
    parts = {part for name in names for part in _key(name)}
    for span in spans:
        firm = text[span.start : span.end]
        # The model takes a surname in capitals for an organization.
        if span.entity == "ORGANIZATION" and not parts.issuperset(_key(firm)):
            names.setdefault(firm, "ORGANIZATION")
    for name, kind in names.items():
        yield from _elsewhere(text, name, kind, is_common)


def _beside(text: str, span: Span, is_common: Callable[[str], bool]) -> Iterator[Span]:
    """Follow a list of names to either side of one that was found, not into a greeting."""
    at: int = span.end
    while (hit := _NEXT.match(text, at)) and not _names_nobody(text, hit, is_common):
        yield Span(hit.start(1), hit.end(1), "PERSON", 0.4)
        at = hit.end()
    at = span.start
    while (hit := _BEFORE.search(text, max(0, at - 60), at)) and not _names_nobody(
        text, hit, is_common
    ):
        yield Span(hit.start(1), hit.end(1), "PERSON", 0.4)
        at = hit.start(1)


def _names_nobody(text: str, hit: re.Match[str], is_common: Callable[[str], bool]) -> bool:
    """Tell whether what stands beside a name is a plain word or a medicine."""
    return is_common(hit[1]) or is_medical(text, *hit.span(1))


def _elsewhere(text: str, name: str, kind: str, is_common: Callable[[str], bool]) -> Iterator[Span]:
    """Find a name elsewhere: whole in any case, its longer parts where they are capitalized."""
    words = [_POSSESSIVE.sub("", word) for word in _WORD.findall(name)]
    whole = " ".join(words)
    lowered = text.lower()
    for part in dict.fromkeys((whole, *words)):
        if len(part) < 3 or lowered.count(part.lower()) < 2:
            continue
        expression = rf"(?<!\w){re.escape(part)}(?!\w)"
        for hit in re.finditer(expression, text, re.IGNORECASE):
            if " " in part or (hit[0][0].isupper() and not is_common(part)):
                yield Span(*hit.span(), kind, 0.86)


def number_mentions(text: str, spans: Sequence[Span]) -> list[int | None]:
    """Give each span of a named kind the number of whom it names, in order of appearance."""
    keys = [
        (span.entity, _key(text[span.start : span.end])) if span.entity in NAMED else None
        for span in spans
    ]
    owners = _find_owners({key for key in keys if key})
    numbers: dict[Key, int] = {}
    given: list[int | None] = []
    for key in keys:
        owner = owners[key] if key else None
        if owner is not None:
            fresh = sum(kind == owner[0] for kind, _ in numbers) + 1
            numbers.setdefault(owner, fresh)
        given.append(numbers[owner] if owner else None)
    return given


def _find_owners(keys: set[Key]) -> dict[Key, Key]:
    """Lead each form of a person's name to the fullest one, where only one fits."""
    owners: dict[Key, Key] = {}
    for kind, words in sorted(keys, key=lambda key: (-len(key[1]), key)):
        fitting = {owners[key] for key in owners if key[0] == kind and _names(words, key[1])}
        alone = kind == "PERSON" and len(fitting) == 1
        owners[kind, words] = fitting.pop() if alone else (kind, words)
    return owners


def _key(name: str) -> tuple[str, ...]:
    """Give a name's words in order of the alphabet, without case, possessive and punctuation."""
    words = {_POSSESSIVE.sub("", word).casefold() for word in _WORD.findall(name)}
    return tuple(sorted(words - _TITLES)) or (name.casefold(),)


def _names(short: Sequence[str], full: Sequence[str]) -> bool:
    """Tell whether a shorter form fits a fuller name: its words, or their initials, are in it."""
    if not any(len(word) > 1 and word in full for word in short):
        return False
    return all(
        word in full or (len(word) == 1 and any(other.startswith(word) for other in full))
        for word in short
    )
