"""Presidio recognizers that go by the words around: numbers, dates, ages, mail addresses, names.

They find what Presidio's own miss, and can be added to any `presidio_analyzer` registry, as can
those of `address_recognizers.py`, `announced_values.py`, `phone_numbers.py` and
`unlisted_names.py`. They are patterns: context words, word endings, closed lists.

A number is taken for an identifier only where its surroundings say so, since doses, results and
scores have to stay. A name is found by a title, a role ("Patient:"), an occupation, kinship, a
phrase that introduces or addresses a person, or initials; an organization by its legal form or the
kind of institution. A name without any of these is left to a language model and to
`unlisted_names.py`.

They do not know misspelled context words. The context words are English, some German and French.
Presidio is slow to load, so these modules are imported where texts are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import ClassVar, Final, NamedTuple

import regex  # type: ignore[import-untyped]
from presidio_analyzer import Pattern, PatternRecognizer, RecognizerResult

from tasks.anonymization.free_text.places import MONTHS, OCCUPATIONS, OTHER_MONTHS, WEEKDAYS


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


@lru_cache(maxsize=2)
def _words_of(text: str) -> frozenset[str]:
    """Give a text's words in lower case; several cues ask for them one after the other."""
    return frozenset(_LETTERS.findall(text.lower()))


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
        return not self.words.isdisjoint(_words_of(text))


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


_NAME = rf"{WORD}(?:[ \t]+(?:(?:{LINK})[ \t]+)?{WORD}){{0,3}}"
_TITLES = (
    r"mrs?|ms|miss|mx|dr|prof|professor|doctor|rev|reverend|sir|dame|lord|lady|capt|captain|sgt"
    r"|sergeant|lt|col|nurse|sister|father|judge|senator|herr|frau|monsieur|mme|madame|señora?"
)
# What people are, before their names: it is taken with the name.
_RANKS = (
    r"senior|junior|chief|lead|head|assistant|associate|deputy|vice|general|executive|managing"
    r"|staff|systems?|software|hr|it|data|legal|project|account|sales|marketing|product|security"
    r"|fraud|finance|financial|support|service|network|database|regional|medical|clinical|police"
    r"|research|insurance|nursing|social|care|case|human resources|customer"
)
_OCCUPATION = rf"(?:{any_of(OCCUPATIONS)})"
_JOB = rf"(?:[\p{{L}}’'-]+,? (?:and )?){{0,5}}?{_OCCUPATION}s?\b"
_ROLES = (
    r"patient|pt|client|customer|user|employee|applicant|member|guest|contact|attn|name|surname"
    r"|physician|doctor|provider|surgeon|consultant|gp|pcp|therapist|midwife|carer|caregiver"
    r"|next of kin|guardian|insured|policyholder|sender|recipient|author|signed|director|producer"
    r"|directed by|written by|prepared by|reviewed by|dictated by|referred by|seen by|cc|from|to"
)
_NAMED_THINGS = r"\b(?:drug|brand|generic|trade|product|test|file|study|medication|device|host)"
_KIN = (
    r"wife|husband|spouse|partner|son|daughter|mother|father|mom|mum|dad|brother|sister|aunt|uncle"
    r"|cousin|niece|nephew|grandmother|grandfather|grandma|grandpa|kid|child|friend|fianc[ée]e?"
    r"|colleague|neighbou?r|roommate|boss|manager"
)
# Capitalized words that follow such cues and are no names.
_NOBODY = (
    r"(?!(?:the|an?|i|we|you|he|she|it|they|this|that|no|not|none|all|any|sir|madam|team|there|male"
    r"|female|customer|support|everyone|hiring|colleagues?|and|or|is|was|has|had|who|unknown|yes"
    rf"|see|date|time|id|number|denies|reports|presents|states|please|thank|{any_of(WEEKDAYS)}"
    rf"|{any_of(MONTHS)})\b)"
)
# Words in lower case that follow "dr" and are no name, and that follow a name and are no surname.
_NOT_CALLED = r"(?:appoint|visit|office|told|said|says|order)|(?:will|when|to|in|at|for|on|of)\b"
_NOT_SURNAME = (
    r"(?:told|said|says|who|will|has|had|was|is|and|or|with|for|from|about|that|but|then|this|the|did"
    r"|does|can|also|still|now|today|again|changed|reported|reports|asked|called|agreed|agrees|came"
    r"|presents|presented|denies|denied|feels|felt|wants|needs|went|took|saw|seen|gave|states|stated"
    r"|recommended|recommends|prescribed|referred|advised|wrote|came|lives|lived|works)\b"
)
_FIRMS = (
    r"Inc|Ltd|Limited|LLC|LLP|PLC|GmbH|AG|KG|SARL|Oy|Corp|Corporation|Company|Group|Holdings"
    r"|Partners|Associates|Foundation|Institute|University|College|School|Hospital|Clinic|Center"
    r"|Centre|Bank|Trust|Agency|Industries|Solutions|Technologies|Pharmacy|Laborator(?:y|ies)"
    r"|Church|Orchestra|Society|Union|S\.?A\.?|[Ss]\.?[Rr]\.?[Ll]|S\.?p\.?A|HB|AB|B\.?V|N\.?V"
    r"|KGaA|OHG"
    r"|e\.V|mbH|Sons|S\.?L\.?U?|Sp\. z o\.o"
)


class PersonRecognizer(ContextRecognizer):
    """Names with their titles, after roles, kinship, and phrases that introduce or address."""

    entity = "PERSON"
    cue = re.compile(r"[^\W\d_]")
    expressions = (
        rf"\b(?:{_TITLES})\b\.?[ \t]+{_NOBODY}{_NAME}",
        r"\b(?:mr|mrs|ms|dr|prof)\.\s*[\p{L}'’-]{2,}(?-i: \p{Lu}[\p{L}'’-]+)?",
        (
            rf"(?-i:\b(?:mr|mrs|ms|dr|Mr|Mrs|Ms|Dr)) {_NOBODY}(?!{_NOT_CALLED})"
            rf"(?-i:\p{{Ll}}[\p{{L}}'’-]{{2,}}(?: (?!{_NOT_SURNAME})\p{{Ll}}{{3,}})?)"
        ),
        r"\b(?:pt|patient)\.? (?-i:(?!NPO|DNR|DNI|AOX|CPR|ICU|MRI)(?:\p{Lu}{3,}[ -]?){1,3})\b",
        (
            rf"(?<!{_NAMED_THINGS} )\b(?:{_ROLES})(?: name)?(?: is)?[ \t]*:[ \t]*"
            rf"\K{_NOBODY}{_NAME}"
        ),
        rf"\b(?:my|his|her|their|our|the|\w+['’]s) (?:\w+ )?(?:{_KIN}),?[ \t]+\K{_NOBODY}{_NAME}",
        (
            rf"(?-i:\p{{Lu}}\p{{Ll}}[\p{{L}}-]+)(?=['’]s (?:\w+ )?(?:{_KIN})\b)"
            r"(?<!Women|Children|Today|Patient)"
        ),
        (
            rf"(?<!{_NAMED_THINGS} )\bnames?(?: (?:is|was|are)|\?|:)[ \t]*(?:called )?"
            rf"\K{_NOBODY}{_NAME}"
        ),
        (
            r"\b(?:my|full|maiden|last|first|sur) ?name(?: is|'s|:)[ \t]+\K(?!not\b|on\b|the\b"
            r"|in\b)"
            r"[\p{L}'’.-]+(?: (?!and\b|i\b|on\b|in\b|is\b|with\b|my\b|from\b)[\p{L}'’-]{2,})?"
        ),
        r"\bpeople call (?:me|him|her) \K[\p{L}'’-]{2,}",
        (
            rf"\b(?:named|called|calls (?:me|him|her)|nicknamed|starring|signed by)[ \t]+\K"
            rf"{_NOBODY}{_NAME}"
        ),
        (
            rf"\b(?:dear|hi|hello|hey|attn\.?:?|c/o|regards,|sincerely,|thanks,|cheers,"
            rf"|wishes,|love,)"
            rf"\s+\K{_NOBODY}(?-i:(?=\p{{Lu}}\p{{Ll}}|\p{{Lu}}\.)){_NAME}"
        ),
        (
            rf"\b(?:I am|I'm|I’m|this is|speaking with|spoke (?:to|with)|shouted at|met"
            rf"|meets?|saw|visited|told|asked|thanked|talk(?:ed)? (?:to|with)|interview with"
            rf"|hello to"
            rf"|escalated to|assigned to|approved by|according to|on behalf of)(?<!spoke w)[ \t]+\K"
            rf"{_NOBODY}(?-i:(?=\p{{Lu}}\p{{Ll}}|\p{{Lu}}\.)){_NAME}"
        ),
        r"(?-i:\b\p{Lu}\.(?:[ ]?\p{Lu}\.)?[ ]?\p{Lu}[\p{Ll}'’-]{2,}(?:-\p{Lu}\p{Ll}+)?)",
        r"(?-i:\b\p{Lu}[\p{Ll}'’-]+,? \p{Lu}\.(?: \p{Lu}[\p{Ll}'’-]+))",
        r"(?-i:\b\p{Lu}{4,}, \p{Lu}\p{Ll}[\p{L}'’-]*(?: \p{Lu}\b\.?)?)",
        (
            r"(?-i:(?<![\p{L}\d.])\p{Ll}\. ?(?!(?:coli|aureus|difficile|pylori|albicans"
            r"|pneumoniae|and"
            r"|the|she|he|it|they|we|pt|patient|no|will|was|is|has|on|in|at|for|with)\b)\p{Ll}{4,})"
            r"(?=['’.,;:)]|\s|$)"
        ),
    )


class WorkingPersonRecognizer(ContextRecognizer):
    """Names behind an occupation, with it: "senior developer Amit Rao"."""

    entity = "PERSON"
    cue = AnyWord.of(OCCUPATIONS)
    expressions = (
        (
            # Looked ahead first: few words stand that near before a capital.
            r"\b(?=(?:\p{L}+ ){0,3}?\p{L}+,?[ \t]+(?-i:\p{Lu}))"
            rf"(?:(?:{_RANKS}) ){{0,3}}{_OCCUPATION},?[ \t]+{_NOBODY}{_NAME}"
        ),
    )


class JobTitleRecognizer(ContextRecognizer):
    """Occupations of somebody: after "works as", "is a", behind a name, on the line below one."""

    entity = "JOB_TITLE"
    cue = AnyWord.of(OCCUPATIONS)
    expressions = (
        (
            r"\b(?:work(?:s|ed|ing)?|employed|hired|jobs?|position|trained|serv(?:es|ed|ing)"
            r"|retired|career|promoted)\b[^.\n]{0,60}? (?:as|to) (?:an? |the |our |their )?"
            rf"\K{_JOB}"
        ),
        (
            r"\b(?:I am|I['’]m|(?:he|she|who|wife|husband|mother|father|son|daughter|brother"
            r"|sister|partner)(?: is|['’]s| was| works as)) (?:an? |the )(?:retired |former )?"
            rf"\K{_JOB}"
        ),
        rf"(?-i:\p{{Lu}}\p{{Ll}}+), (?:the |an? )?\K{_JOB}(?=,| at | of | for | from |\.)",
        (
            r"(?<=^[ \t]*[\p{L}.'’-]+(?: [\p{L}.'’-]+){1,3}[ \t]*\n{1,2})[ \t]*"
            rf"\K{_JOB}(?=[ \t]*$)"
        ),
    )


class OrganizationRecognizer(ContextRecognizer):
    """Organizations by what their names end or begin with, and employers after "work for"."""

    entity = "ORGANIZATION"
    cue = re.compile(r"[^\W\d_a-z]")
    expressions = (
        (
            rf"(?-i:(?:\b(?:\d+ )?\p{{Lu}}[\p{{L}}'’&.-]*,? (?:(?:and|&|of)"
            rf" )?){{1,5}}(?:{_FIRMS}))\b\.?"
        ),
        (
            rf"(?-i:\b(?:University|College|Bank|Hospital|Institute|Ministry|Department|Church) of"
            rf" (?:the )?{WORD}(?: {WORD}){{0,2}})"
        ),
        (
            rf"\b(?:work(?:s|ed|ing)? (?:for|at)|employ(?:ed|er)(?: at| by|:)|company:"
            rf"|employer:)[ \t]+\K"
            rf"{_NOBODY}{_NAME}"
        ),
        (
            rf"(?<!\b(?:{_TITLES})\.? |, )(?-i:\b(?!{any_of((*WEEKDAYS, *MONTHS))}){LOWERED},"
            rf" {LOWERED} (?:and|&) {LOWERED}\b)"
        ),
    )


RECOGNIZERS: Final = (
    MedicalRecordNumberRecognizer,
    RecordNumberRecognizer,
    DateOfBirthRecognizer,
    WrittenDateRecognizer,
    AgeRecognizer,
    AnyEmailRecognizer,
    PersonRecognizer,
    WorkingPersonRecognizer,
    JobTitleRecognizer,
    OrganizationRecognizer,
)
