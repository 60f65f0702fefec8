"""Presidio recognizers for numbers, dates, ages and addresses of mail that Presidio's own miss.

Each can be added to any `presidio_analyzer` registry, as can those of `name_recognizers.py`,
`address_recognizers.py`, `phone_numbers.py` and `unlisted_names.py`. They are patterns: context
words, word endings, closed lists. A number is taken for an identifier only where its surroundings
say so, since doses, results and scores have to stay.

They do not know misspelled context words. The context words are English, some German and French.
Presidio is slow to load, so these modules are imported where texts are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import ClassVar, Final, NamedTuple

import regex  # type: ignore[import-untyped]
from presidio_analyzer import Pattern, PatternRecognizer, RecognizerResult

from tasks.anonymization.free_text.places import MONTHS, OTHER_MONTHS


def any_of(names: Iterable[str]) -> str:
    """Write an expression for any of the names, the longest first."""
    return "|".join(regex.escape(name) for name in sorted(names, key=lambda n: (-len(n), n)))


_LETTERS = re.compile(r"[^\W\d_]+(?:\.[^\W\d_]+)*")
# What stands before `\K` ("MRN", "DOB") is kept: the reduced text still says what stood there.
# A capitalized word or an initial; a capitalized word with a small letter.
WORD: Final = r"(?-i:(?:St|Mt|Ft)\.|\p{Lu}(?:[\p{L}\p{M}'’-]*[\p{L}\p{M}]|\.)?)"
LOWERED: Final = r"(?-i:(?:St|Mt|Ft)\.|\p{Lu}(?:[\p{L}\p{M}'’-]*\p{Ll}|\.))"
LINK: Final = (
    r"(?:de|del|della|delle|dei|des|du|da|das|dos|di|la|las|le|les|el|van|von|der|den|of|the|el-)"
)
_MONTH = f"(?:{any_of(MONTHS)})"
# In lower case these are verbs as well.
_SURE_MONTH = rf"(?!(?-i:may|mar|march)\b){_MONTH}"
_AT_MAY = r"(?<=\b(?:on|of|in|since|by|until|from|before|after|born) )(?:may|mar|march)"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_DATE = (
    r"(?:\d{1,4}[ ./-]\d{1,2}[ ./-]\d{1,4}|\d{1,2}[ -]?[a-z]{3}[ -]?\d{2,4}|\d{4}"
    rf"|{_DAY}[ -](?:of )?[a-z]{{3,9}}\.?,?[ -]\d{{2,4}}|[a-z]{{3,9}}\.? {_DAY},? \d{{2,4}})"
)
_BORN = (
    r"\b(?:d\.?o\.?b\b\.?|date of birth|birth ?date|birth ?day|born|geb(?:oren)?\b\.?|n[ée]e? le)"
    r"(?: (?:on|in|is|was|am))*[\s:]*"
)
_RECORDS = (
    r"medical record|hospital|patient|chart|health card|encounter|visit|accession|specimen|lab"
)
_ACCOUNTS = (
    r"case|claim|incident|complaint|application|transaction|policy|member|membership|account|acct"
    r"|reference|ref|order|ticket|invoice|booking"
    r"|reservation|confirmation|customer|client|employee|staff|badge|student|insurance|group"
    r"|licen[cs]e|registration|serial|passport|subject|participant|study|contract|file|record|tax"
    r"|subscriber|device|tracking|vehicle|plate|vin|imei"
)
_NUMBER_SIGN = r" ?(?:identification )?(?:numbers?|num|no|nr|id|code|\#)\b?[\s.:=\#]*(?:is )?"
_NUMBER = r"(?=[A-Z/-]*\d)[A-Z\d](?:[A-Z\d]|[/-](?=[A-Z\d])){2,19}\b"


class AnyWord(NamedTuple):
    """A cue for long lists: one of their names' first words stands in the text."""

    words: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str]) -> AnyWord:
        """Take the first words of the names, and those in the plural."""
        first = {regex.split(r"[^\p{L}.]", name.lower())[0].rstrip(".") for name in names}
        return cls(frozenset(first | {f"{word}s" for word in first}))

    def search(self, text: str) -> bool:
        """Tell whether the text holds one of the words."""
        return not self.words.isdisjoint(_LETTERS.findall(text.lower()))


class ContextRecognizer(PatternRecognizer):
    """Patterns of one kind of identifier; the classes below say which.

    `cue` is a cheap expression without which no pattern matches.
    """

    entity: ClassVar[str]
    expressions: ClassVar[tuple[str, ...]]
    cue: ClassVar[re.Pattern[str] | AnyWord] = re.compile(r"\d")
    score: ClassVar[float] = 0.9

    def __init__(self, supported_language: str = "en") -> None:
        patterns = [Pattern(self.entity, each, self.score) for each in self.expressions]
        super().__init__(
            supported_entity=self.entity, patterns=patterns, supported_language=supported_language
        )
        flags = regex.IGNORECASE | regex.MULTILINE | regex.DOTALL  # Presidio's
        self.compiled = [regex.compile(each, flags) for each in self.expressions]

    def analyze(
        self,
        text: str,
        entities: list[str],
        nlp_artifacts: object = None,
        regex_flags: int | None = None,
    ) -> list[RecognizerResult]:
        """Give what the patterns match; the other arguments are Presidio's, not needed."""
        del entities, nlp_artifacts, regex_flags
        # Presidio's own loop explains each match and takes the time of each pattern: half the cost.
        return [
            RecognizerResult(self.entity, match.start(), match.end(), self.score)
            for pattern in self.compiled
            for match in pattern.finditer(text)
        ]


class MedicalRecordNumberRecognizer(ContextRecognizer):
    """Numbers of patients, charts, visits and specimens, after the words that announce them."""

    entity = "MEDICAL_RECORD_NUMBER"
    expressions = (
        rf"\b(?:MRN|NHS|{_RECORDS})(?:(?<=MRN|NHS)[\s.:\#=]*(?:is )?|{_NUMBER_SIGN})\K{_NUMBER}",
    )


class RecordNumberRecognizer(ContextRecognizer):
    """Numbers of accounts, orders, policies, tickets and the like, after such words."""

    entity = "RECORD_NUMBER"
    expressions = (
        rf"\b(?:{_ACCOUNTS}){_NUMBER_SIGN}\K{_NUMBER}",
        rf"\b(?:{_ACCOUNTS})[\s:]*\#\s*\K{_NUMBER}",
        rf"\b(?-i:ID)\b[\s:\#=]*\K{_NUMBER}",
        r"(?<![\w.,])\d{9,}(?![\w%]|[.,]\d)",
        (
            r"\b(?:order|ticket|case|claim|policy|account|invoice|ref|specimen|accession|encounter"
            rf"|sample|tracking|booking|reservation|confirmation)[: ]+\K(?=\S*\d{{3}}){_NUMBER}"
        ),
        (
            r"\b(?:plate|registration|reg)\b(?: number| no)?[\s.:]*(?:is )?"
            r"\K(?-i:[A-Z]{1,3}[ -]?\d{1,4}(?:[ -]?[A-Z]{1,3})?)\b"
        ),
    )


class DateOfBirthRecognizer(ContextRecognizer):
    """Dates after "born", "DOB" and the like, in any order; years alone too."""

    entity = "DATE_OF_BIRTH"
    expressions = (rf"{_BORN}\K{_DATE}\b",)


class WrittenDateRecognizer(ContextRecognizer):
    """Days written with a month's name, and months of a year after a preposition ("in 03/21").

    Presidio's own recognizer takes any "7/10" for a month of a year; that is a score as well.
    """

    entity = "DATE_TIME"
    expressions = (
        rf"\b{_DAY}[ -](?:of )?(?:{_MONTH}\b\.?,?[ -]\d{{4}}\b|{_SURE_MONTH}\b\.?)",
        rf"\b(?:{_MONTH}\b\.? {_DAY},? \d{{4}}\b|(?:{_SURE_MONTH}|{_AT_MAY})\b\.? {_DAY}\b)",
        rf"\b{_MONTH}\b\.?,? (?:19|20)\d\d\b",
        r"\b(?:19|20)\d\d ?(?:to|until|and|[–-]) ?\K(?:19|20)\d\d\b",
        rf"\b\d{{1,2}}(?:\.|º|er)? (?:de )?(?:{any_of(OTHER_MONTHS)})\b(?: (?:de )?\d{{4}}\b)?",
        r"\b(?:in|since|from|until|dated|expir\w+|exp)[:\s]+\K(?:0?[1-9]|1[0-2])/\d{2}\b",
        (
            r"\b(?:on|since|until|dated|due|lmp|note|visit|seen|admitted|discharged)[:\s]+"
            r"\K(?:(?:0?[1-9]|1[0-2])/(?:[12]\d|3[01]|0?[1-9])"
            r"|(?:[12]\d|3[01])/(?:0?[1-9]|1[0-2]))\b(?!/)"
        ),
    )


class AgeRecognizer(ContextRecognizer):
    """Ages of people in years, months, weeks or days, however written ("92yo", "aged 45")."""

    entity = "AGE"
    expressions = (
        r"\b\d{1,3}(?=[\s-]*(?:years?|yrs?|months?|mos?|weeks?|wks?|days?)[\s-]*(?:old|of age)\b)",
        r"\b\d{1,3}(?=[\s-]*(?:y[./]?\s?o|yrs? o)\b)",
        (
            r"\b(?:aged?(?! group)|turn(?:s|ed|ing)?)(?: (?:of|is))?[\s:]+(?:just )?\K\d{1,3}\b"
            r"(?! ?(?:%|mg|degrees|times|points|minutes|hours|days))"
        ),
        r"\b\d{1,3}(?=[\s-]?(?:y|yr)s? ?(?:m|f|male|female|man|woman)\b)",
        r"(?-i:\b\d{2}(?=[MF]\b))",
        (
            r"\b(?:(?:I|he|she) ?(?:'m|’m|'s|’s| am| is|m) )(?:now |only )?\K\d{2}(?=[.!?]?\s*$"
            r"|[.,;] )"
        ),
        r"\b(?:9\d|1[01]\d)(?=[\s-]?(?:y(?:ea)?rs?)\b)",
        r"\(\K(?:1[01]\d|\d{1,2})(?= ?(?:years?|yrs?|y)?\)(?!\s?\d))(?<=(?-i:\p{Lu}\p{Ll}+ \()\d+)",
        r"\b(?:male|female|man|woman|boy|girl|[mf])[,/ ]+(?:aged? )?\K\d{1,3}(?=[),.;])",
        r"(?-i:\p{Lu}\p{Ll}{2,}), \K\d{2}(?=, )",
        r"\p{L}, \K\d{2}(?=, (?:an?|who|of|from|was|is)\b)",
        r"\bwhen (?:he|she|I) (?:was|is) \K\d{1,2}(?= ?[.,;)])",
    )


class AnyEmailRecognizer(ContextRecognizer):
    """Anything with an @ between words: also addresses inside a hospital's network.

    Presidio's own takes public suffixes only, and needs a list of them from the network.
    """

    entity = "EMAIL_ADDRESS"
    cue = re.compile("@")
    expressions = (r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*",)


RECOGNIZERS: Final = (
    MedicalRecordNumberRecognizer,
    RecordNumberRecognizer,
    DateOfBirthRecognizer,
    WrittenDateRecognizer,
    AgeRecognizer,
    AnyEmailRecognizer,
)
