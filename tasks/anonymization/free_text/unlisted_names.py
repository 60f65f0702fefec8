"""Names told by what they are not: capitalized words that no English dictionary lists.

A model knows the names it has met; most surnames of the world it has not. But such a name is
seldom an English word, and it is written with a capital. The dictionary is the one that comes with
spaCy's English model (WordNet's lemmas and their irregular forms), so that nothing is downloaded.

Left alone: abbreviations, words with digits, and terms of medicine (`medical_terms.py`).
Common given names count although a dictionary has them, and in lower case too; those that are also
words ("Grace") only with a capital within a sentence, or where they act. Not told: surnames that
are words ("Reed"), rare names in lower case. English only: German, for one, writes every noun with
a capital.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain, dropwhile, pairwise
from typing import Any, Final

from presidio_analyzer import EntityRecognizer, RecognizerResult

from tasks.anonymization.free_text.entity_model import load_pipeline
from tasks.anonymization.free_text.medical_terms import is_medical, is_term
from tasks.anonymization.free_text.places import GIVEN_NAMES, MONTHS, WEEKDAYS, WORDS_TOO

_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_LETTERS = re.compile(r"[^\W\d_]+")
_SMALL = re.compile(r"(?<![\w@./-])[^\W\d_]{3,}(?![\w@/])")
_NEXT = re.compile(r" ([^\W\d_]{2,}(?:['’-][^\W\d_]+)*)(?![^\W_])")
_ACTS = re.compile(
    r" (?:said|says|told|asked|answered|agreed|lives|lived|phoned|called|wrote|writes|thinks|knows"
    r"|works|worked|will|would|and (?:I|he|she)|has|had|is (?:a|an|my|the|not|now)|was)\b"
)
_CUED = re.compile(
    r"\b(?:pt|patient|client|mother|father|wife|husband|son|daughter|brother|sister|partner)"
    r" (([a-zà-ÿ'’-]{3,}) ([a-zà-ÿ'’-]{3,}))\b"
)
_GAP = re.compile(r"\.? |-| (?:de|del|della|di|da|dos|van|von|der|den|la|le|el|bin|ibn|al|zu) ")
_CONTRACTED = re.compile(r"(?:n['’]t|['’](?:s|re|ve|ll|d|m|all))$")
# Words of the last thirty years and of forms that WordNet 3.0 does not have.
_RECENT_WORDS: Final = """
app apps blog blogs bluetooth chatbot covid dropdown email emails emoji faq fax firmware helpdesk
homepage inbox info ios laptop login logout malware meds offline ok okay online password passcode
pdf signup smartphone startup touchscreen url username voicemail webinar webpage website websites
wifi workflow screenshot screenshots timestamp router unsubscribe hi hello hey thx pls dear
regards cheers postcode telehealth physio op preop postop yes yeah sincerely c'mon y'all gonna
wanna bcc cc re labs dept appt hx dx rx tx sx pmh hpi abd neuro resp psych echo doppler cardio
ortho onc cont prn bid tid qid qhs npo stat pt pts yo wbc hgb ekg ecg mri fwd asap misc approx etc
vs ref ltd inc corp llc gmbh plc ave blvd apt dob mrn ssn iban nhs aadhaar aadhar ifsc upi pan
"""
_RECENT: Final = frozenset(_RECENT_WORDS.split())


def _table(name: str) -> Mapping[str, Any]:
    """Read one of the word lists that the model's lemmatizer comes with."""
    lemmatizer: Any = load_pipeline("en").get_pipe("lemmatizer")
    table: Mapping[str, Any] = lemmatizer.lookups.get_table(name)
    return table


@cache
def load_dictionary() -> frozenset[str]:
    """Read the words of spaCy's English model: lemmas, irregular forms, function words."""
    tables = [_table(name) for name in ("lemma_index", "lemma_exc")]
    words = {word for table in tables for entries in table.values() for word in entries}
    dates = {name.lower() for name in (*MONTHS, *WEEKDAYS)}
    return frozenset(words | load_pipeline("en").Defaults.stop_words | dates | _RECENT)


@cache
def _endings() -> tuple[tuple[str, str], ...]:
    """Read the model's rules that lead a regular form back to its lemma."""
    pairs = chain.from_iterable(_table("lemma_rules").values())
    rules = {(ending, basic) for ending, basic in pairs if ending}
    return tuple(sorted(rules | {("ly", ""), ("ily", "y"), ("er", ""), ("ers", "e"), ("ers", "")}))


def is_listed(word: str) -> bool:
    """Tell whether a word is in a dictionary (or its lemma, or its parts) and no given name."""
    plain = _CONTRACTED.sub("", word.lower())
    if plain in GIVEN_NAMES:
        return False
    words = load_dictionary()
    if plain in words or plain.replace("’", "'") in words:
        return True
    if "-" in plain:
        return all(is_listed(part) for part in plain.split("-") if part)
    return any(
        plain.endswith(ending) and plain[: len(plain) - len(ending)] + basic in words
        for ending, basic in _endings()
    )


def write_small(text: str) -> str:
    """Write a text of one case in lower case, what no dictionary lists with a capital."""
    small = text.lower()
    if len(small) != len(text):
        return text
    return _SMALL.sub(lambda word: word[0] if is_listed(word[0]) else capitalize(word), small)


def capitalize(word: re.Match[str]) -> str:
    """Give the word a capital, unless that would change its length."""
    changed = word[0].capitalize()
    return changed if len(changed) == len(word[0]) else word[0]


def is_common(name: str) -> bool:
    """Tell whether a name is made of function words, weekdays and months only."""
    dates = {name.lower() for name in (*MONTHS, *WEEKDAYS)}
    plain = load_pipeline("en").Defaults.stop_words | dates | _RECENT
    return all(word.lower() in plain for word in name.split())


def find_unlisted(text: str) -> Iterator[tuple[int, int]]:
    """Find the stretches of capitalized words among which a dictionary lacks one."""
    for words in _runs(text):
        run = list(dropwhile(_is_common, words))
        dropped = words[: len(words) - len(run)]
        if any(_is_name(word, text, alone=len(run) == 1) for word in run):
            # "Grace Kowalczyk": a word before an unlisted name is a name where it can be one.
            first = dropped[-1] if dropped and _can_be_name(dropped[-1]) else run[0]
            yield first.start(), run[-1].end()
    if not GIVEN_NAMES.isdisjoint(_LETTERS.findall(text)):
        yield from _find_small(text)
    for cued in _CUED.finditer(text):
        if not (is_listed(cued[2]) or is_term(cued[2])) and _can_be_surname(cued[3]):
            yield cued.span(1)


def _find_small(text: str) -> Iterator[tuple[int, int]]:
    """Find given names in lower case, with the unlisted words and nouns after them."""
    for word in _TOKEN.finditer(text):
        if word.group() in GIVEN_NAMES:
            end = word.end()
            while (after := _NEXT.match(text, end)) and _can_be_surname(after[1]):
                end = after.end()
            yield word.start(), end


@cache
def _load_nouns() -> frozenset[str]:
    """Read the words that are nouns and nothing else."""
    index = _table("lemma_index")
    others = {word for kind in ("verb", "adj", "adv") for word in index[kind]}
    return frozenset(index["noun"]) - others - load_pipeline("en").Defaults.stop_words


def _can_be_surname(word: str) -> bool:
    """Tell whether a word after a given name in lower case is no verb, adjective, preposition."""
    return word in _load_nouns() or not is_listed(word)


def _runs(text: str) -> Iterator[list[re.Match[str]]]:
    """Group capitalized words (and initials) that follow one another."""
    words = [word for word in _TOKEN.finditer(text) if _is_capitalized(word.group())]
    run = words[:1]
    for last, word in pairwise(words):
        between = text[last.end() : word.start()]
        # A full stop ends a sentence but after an initial.
        joined = _GAP.fullmatch(between) and (between[0] != "." or len(last.group()) == 1)
        if not joined:
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _is_capitalized(word: str) -> bool:
    """Tell a word with a capital or an initial from an abbreviation."""
    return word[0].isupper() and (len(word) == 1 or not word.isupper())


def _is_common(word: re.Match[str]) -> bool:
    """Tell whether a word that opens a stretch is an ordinary one at the start of a sentence."""
    spelling = word.group()
    return _opens(word) and not spelling.isupper() and is_listed(spelling) and not _is_given(word)


def _opens(word: re.Match[str]) -> bool:
    """Tell whether a word opens a sentence, where every word has a capital."""
    before = word.string[: word.start()].rstrip(" \t>\"'“(")
    return not before or before[-1] in ".!?:;\n|-•*"


def _can_be_name(word: re.Match[str]) -> bool:
    """Tell whether a word is also a given name."""
    return word.group().lower() in WORDS_TOO


def _is_given(word: re.Match[str]) -> bool:
    """Tell whether a word that is also a given name is one: within a sentence, or it acts."""
    acts = not _opens(word) or _ACTS.match(word.string, word.end())
    return _can_be_name(word) and bool(acts)


def _can_be_heading(word: str) -> bool:
    """Tell whether an unlisted word before a colon may be an English term."""
    return word.isascii() and word.lower() not in GIVEN_NAMES


def _is_name(word: re.Match[str], text: str, *, alone: bool) -> bool:
    """Tell whether one capitalized word is a name: no dictionary has it, nor is it a term."""
    spelling, start, end = word.group(), word.start(), word.end()
    plain = _CONTRACTED.sub("", spelling)
    around = text[max(0, start - 1) : start] + text[end : end + 2]
    unlisted = _is_given(word) or not is_listed(spelling)
    return unlisted and not (
        len(plain) < 3
        or any(sign.isdigit() or sign in "@_/\\" for sign in around)
        or (alone and text[end : end + 1] == ":" and _can_be_heading(plain))
        or is_medical(text, start, start + len(plain))
    )


def _is_long(text: str, start: int, end: int) -> bool:
    """Tell a first and a last name from a word that is misspelled or abbreviated."""
    words = text[start:end].split()
    return len(words) > 1 and all(len(word) > 3 for word in words)


class UnlistedNameRecognizer(EntityRecognizer):
    """Capitalized words that the dictionary lacks, taken for names of people."""

    cue = re.compile(r"[^\W\d_]{3}")

    def __init__(self) -> None:
        super().__init__(supported_entities=["PERSON"], supported_language="en")

    def load(self) -> None:
        """Read the dictionary."""
        load_dictionary()

    def analyze(
        self, text: str, entities: list[str], nlp_artifacts: object = None
    ) -> list[RecognizerResult]:
        """Give the names in a text; `entities` and `nlp_artifacts` are Presidio's, not needed."""
        del entities, nlp_artifacts
        found = list(find_unlisted(write_small(text) if text.isupper() else text))
        if text.islower():
            found += (pair for pair in find_unlisted(write_small(text)) if _is_long(text, *pair))
        return [RecognizerResult("PERSON", start, end, 0.5) for start, end in found]
