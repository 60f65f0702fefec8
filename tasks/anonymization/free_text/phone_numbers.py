"""Telephone numbers: by the numbering plans of several countries, by form, and by context words.

Presidio's recognizer reads each text once for each of eight regions. Here only the stretches of
digits that could be a number are looked at, and the first region in which one is valid settles it.
"""

from __future__ import annotations

from collections.abc import Iterator

import phonenumbers
import regex  # type: ignore[import-untyped]
from presidio_analyzer import EntityRecognizer, RecognizerResult

REGIONS = ("US", "GB", "DE", "FR", "IL", "IN", "CA", "BR")  # Presidio's
_CANDIDATE = regex.compile(
    r"(?<![\w.,/-])(?:\+|\(\+?)?\d(?:[ \t./()\u2010-\u2015-]{0,3}\d){5,15}"
    r"(?:\s?(?:ext|x)\.? ?\d{1,6})?(?!\w)",
    regex.IGNORECASE,
)
_FORM = regex.compile(
    r"(?:\+|00)\d[\d\s./()-]{6,}|\(0?\d{2,5}\)[\s-]*\d[\d\s-]{4,}|\d{3}[-. ]\d{3}[-. ]\d{4}.*"
    r"|\d{2,3}(?: \d{3}){2}|\d{2}(?:([ -])\d{2})(?:\1\d{2}){2}"
    r"|0\d{1,5}[ /-]\d[\d ./-]{4,}|0\d(?:[ .-]\d{2}){4}"
)
_DATE = regex.compile(
    r"(?:(?:19|20)\d{2}[-/. ]\d{1,2}[-/. ]\d{1,2}|\d{1,2}[-/. ]\d{1,2}[-/. ](?:19|20)?\d{2})"
    r"(?: \d+)?"
)
_CONTEXT = regex.compile(
    r"\b(?:phone|tel\b|tele|telephone|mobile|mob|cell|call|contact|fax|pager|dial|text|sms|whatsapp|office"
    r"|desk|reach\w*|ring|contact number|number is|handy|mobil|nummer|tél|hotline)",
    regex.IGNORECASE,
)


def find_phone_numbers(text: str) -> Iterator[tuple[int, int]]:
    """Find the telephone numbers of a text."""
    for candidate in _CANDIDATE.finditer(text):
        number = candidate.group()
        if not _DATE.fullmatch(number) and (
            _FORM.fullmatch(number) or _is_announced(text, candidate) or _is_valid(number)
        ):
            yield candidate.span()


def _is_announced(text: str, candidate: regex.Match[str]) -> bool:
    """Tell whether words like "phone" stand right before or after a number of seven digits."""
    if sum(map(str.isdigit, candidate.group())) < 7:
        return False
    before, after = (
        text[max(0, candidate.start() - 40) : candidate.start()],
        text[candidate.end() :],
    )
    return bool(_CONTEXT.search(before) or _CONTEXT.match(after[:12].lstrip(" -,(")))


def _is_valid(number: str) -> bool:
    """Tell whether the number is valid in one of the regions; twelve digits at most are dialled."""
    regions = REGIONS[:1] if number.startswith("+") else REGIONS  # a country's code outweighs them
    return sum(map(str.isdigit, number)) <= 12 and any(
        any(True for _ in phonenumbers.PhoneNumberMatcher(number, region, leniency=1))
        for region in regions
    )


class TelephoneRecognizer(EntityRecognizer):
    """Telephone numbers valid in eight regions, of usual form, or next to a word for phone."""

    cue = regex.compile(r"\d(?:\D{0,3}\d){5}")

    def __init__(self, supported_language: str = "en") -> None:
        super().__init__(supported_entities=["PHONE_NUMBER"], supported_language=supported_language)

    def load(self) -> None:
        """Do nothing: the numbering plans come with the library."""

    def analyze(
        self, text: str, entities: list[str], nlp_artifacts: object = None
    ) -> list[RecognizerResult]:
        """Give the numbers in a text; `entities` and `nlp_artifacts` are Presidio's, not needed."""
        del entities, nlp_artifacts
        return [
            RecognizerResult("PHONE_NUMBER", start, end, 0.95)
            for start, end in find_phone_numbers(text)
        ]
