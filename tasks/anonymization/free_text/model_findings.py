"""What of a language model's findings identifies a person, and how texts are written for it.

Durations and "last week" tell nothing of whom; abbreviations, doses, medicines, examinations and
signs called by their discoverer's name ("Romberg positive") are taken for names by a model that
has read newspapers. Leaving those alone keeps clinical content; it can also leave a person whose
surname stands before such a word, unless a rule of `recognizers.py` finds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tasks.anonymization.free_text.entity_model import Finding
from tasks.anonymization.free_text.medical_terms import is_term, leave_out_medical
from tasks.anonymization.free_text.mentions import Span
from tasks.anonymization.free_text.places import MONTHS, PEOPLES, WEEKDAYS, WORDS_TOO
from tasks.anonymization.free_text.unlisted_names import (
    capitalize,
    is_listed,
    write_small,
)

LABELS: Final = {
    "PERSON": "PERSON",
    "PER": "PERSON",
    "ORG": "ORGANIZATION",
    "NORP": "NRP",
    "DATE": "DATE_TIME",
    "TIME": "DATE_TIME",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "FAC": "LOCATION",
}
"""The model's labels for what is looked for, and the kinds by Presidio's names."""

_CAPITALS = re.compile(r"\b[^\W\d_a-z]{4,}\b")
_DATED = re.compile(
    rf"\b(?:{'|'.join((*MONTHS, *WEEKDAYS))})\b|\b(?:19|20)\d\d\b|\d[/-]\d{1, 2}[/-]\d"
    r"|\b\d{1,2}\.\d{1,2}\.\d\d|\b(?:0?[1-9]|1[0-2])/(?:[0-3]\d|[1-9])\b",
    re.IGNORECASE,
)
_MARKS: Final = ' \t\n,;:|>*-"“”()'
_LETTERS = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\W*(?<![^\W\d_])\w*\d")
_VALUE = re.compile(r":?\s?\d")
_SIZED = re.compile(r"(?<!\d)\d\d?[ -]?$")
_CALLED: Final = frozenset({"PERSON", "ORGANIZATION"})
_SCALE = re.compile(r"(?:scale|score|index|test|syndrome|disease)\s*$", re.IGNORECASE)
# Abbreviations that are not all in capitals, and words that open the sentences of a note.
_PLAIN_WORDS: Final = """
iban hgb hct plt cr na cl mg phos trop chol trig alb bili pts pt abd neuro resp psych
pan aadhaar aadhar ifsc upi voter id code mm cm tel
patient patients denies soft normal abnormal negative positive male female left right
"""
_PLAIN: Final = frozenset(_PLAIN_WORDS.split())


def soften(text: str) -> str:
    """Write a text as the model knows texts: no word in capitals, names with a capital.

    Every letter keeps its place. The model knows few names in capitals: HOLLOWAY is read as
    Holloway. In a text of one case only the words that no dictionary lists get a capital.
    """
    if text.islower() or text.isupper():
        return write_small(text)
    return _CAPITALS.sub(lambda word: capitalize(word) if word[0].isupper() else word[0], text)


def keep_identifying(text: str, findings: Iterable[Finding]) -> Iterator[Span]:
    """Keep the findings that identify, under Presidio's names and its score for them."""
    for start, end, label in findings:
        kind = LABELS.get(label)
        if kind == "DATE_TIME":
            if _DATED.search(text, start, end):
                yield Span(start, end, kind, 0.85)
        elif kind is not None:
            # No name holds a digit: what follows one is a value, or found by a pattern.
            digit = _DIGITS.search(text, start, end)
            stop = digit.start() if digit else end
            begin, stop = _trim(text, start, stop)
            sized = kind == "NRP" and _SIZED.search(text, 0, begin)  # "16 French"
            if not (
                sized or _is_plain(text[begin:stop], kind, text) or _is_measured(text, begin, stop)
            ):
                for left in leave_out_medical(text, begin, stop):
                    yield Span(*left, kind, 0.85)


def _trim(text: str, start: int, stop: int) -> tuple[int, int]:
    """Leave the punctuation around a finding out of it."""
    inner = text[start:stop].lstrip(_MARKS)
    start = stop - len(inner)
    return start, start + len(inner.rstrip(_MARKS))


def _is_measured(text: str, start: int, end: int) -> bool:
    """Tell whether a finding is a medicine, scale, sign, heading or a word with a value."""
    words = text[start:end]
    value = _VALUE.match(text, end) and is_listed(words)
    heading = words.isupper() and text.startswith(":", end) and not text.isupper()
    if heading and all(map(is_listed, _LETTERS.findall(words))):
        return True
    return bool(value or "/" in words or _SCALE.search(words))


def _is_written_small(words: str, parts: Sequence[str], text: str, kind: str) -> bool:
    """Tell whether the listed words of a finding stand in lower case; a person's, elsewhere too."""
    if text.islower() or not all(map(is_listed, parts)):
        return False
    small = words.lower().rstrip(".")
    needed = 2 if kind == "PERSON" and words.islower() else 1
    return len(re.findall(rf"\b{re.escape(small)}\b", text)) >= needed


def _is_plain(words: str, kind: str, text: str) -> bool:
    """Tell whether a finding is an abbreviation, a term or a common word rather than a name."""
    parts = _LETTERS.findall(words)
    if not any(len(part) > 1 for part in parts):
        return True
    if _is_written_small(words, parts, text, kind):
        return True
    if words.isupper() and not text.isupper():
        heading = all(is_listed(part) and part.lower() not in WORDS_TOO for part in parts)
        if all(len(part) <= 5 for part in parts) or (heading and kind in _CALLED):
            return True
    if any(is_term(part) or part.lower() in _PLAIN for part in parts) and all(
        is_term(part) or part.lower() in _PLAIN or is_listed(part) for part in parts
    ):
        return True
    if len(parts) > 1 or words not in parts:
        return False
    if kind == "NRP":
        return words not in PEOPLES and is_listed(words)
    return kind == "ORGANIZATION" and is_listed(words) and not words.isupper()
