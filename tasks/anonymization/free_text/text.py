"""Free text, reduced: identifiers replaced by the name of their kind, as in `<PERSON_1>`.

What comes out is called *reduced*, never anonymous. A statistical model, patterns, closed lists and
a dictionary find the names, numbers and places that look like ones. They do not know what a life
story tells ("the mayor's only daughter"). Of the labelled identifiers in made-up texts on which no
rule was formed, 8 in 100 still stand afterwards in noisy reports, 3 in short sentences, fewer in
notes about health; of medicines that no list has, 11 in 100 mentions are replaced needlessly, of
terms of medicine 6 (`benchmarks/text.py`). Departments and systems, small towns, organizations with
everyday names, and rare names in lower case stay most often.

A person (an organization, a place) has one number within a text; numbers say nothing across texts.
The row's own identifiers are known, so those are searched for by value (`known_identifiers.py`).
Presidio's recognizers run here without Presidio's analyzer around them: at its default threshold of
0 no context word changes what is found, and parse trees cost most of its time. Each distinct text
is read once; large amounts are read by several processes, which print nothing and write no file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import chain
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final, NamedTuple

from expectations.disclosure import roughly
from expectations.errors import SourceError, UsageError
from tasks.anonymization.free_text.entity_model import (
    Finding,
    cut_into_batches,
    installed_model,
    load_entity_model,
)
from tasks.anonymization.free_text.known_identifiers import KNOWN, find_known, residual_identifiers
from tasks.anonymization.free_text.medical_terms import leave_out_medical
from tasks.anonymization.free_text.mentions import (
    Span,
    find_mentions,
    merge,
    number_mentions,
    take_whole_token,
)

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer, RecognizerResult

    from tasks.anonymization.free_text.recognizers import AnyWord

__all__ = [
    "ENTITIES",
    "find_identifiers",
    "missing_models",
    "reduce_texts",
    "residual_identifiers",
]

# The kinds that can be found, by Presidio's names (NRP: nationality, religion or politics).
# fmt: off
ENTITIES: Final = (
    "AGE", "CREDIT_CARD", "CRYPTO", "DATE_OF_BIRTH", "DATE_TIME", "EMAIL_ADDRESS", "IBAN_CODE",
    "IP_ADDRESS", "JOB_TITLE", "LOCATION", "MAC_ADDRESS", "MEDICAL_LICENSE",
    "MEDICAL_RECORD_NUMBER", "NRP", "ORGANIZATION", "PASSWORD", "PERSON", "PHONE_NUMBER",
    "RECORD_NUMBER", "STREET_ADDRESS", "UK_NHS", "UK_NINO", "UK_POSTCODE", "URL", "USER_NAME",
    "US_BANK_NUMBER", "US_DRIVER_LICENSE", "US_ITIN", "US_MBI", "US_NPI", "US_PASSPORT", "US_SSN",
    "UUID", "ZIP_CODE",
)
# fmt: on
MAX_LENGTH: Final = 1_000_000  # spaCy's
GROUP: Final = 4  # batches handed to a process at once
MANY: Final = 4_000_000  # characters that outweigh starting further processes

# What a text must hold for one of Presidio's recognizers to match; the others need six digits or
# letters and digits side by side.
_CUES: Final = {
    "CREDIT_CARD": r"\d(?:[ -]?\d){11}", "CRYPTO": r"\w{26}", "DATE_TIME": r"\d[/.-]\w",
    "IBAN_CODE": r"[A-Za-z]{2}\d\d", "IP_ADDRESS": r"\d\.\d|:\w*:", "MAC_ADDRESS": r"\w\w[-:.]\w\w",
    "MEDICAL_LICENSE": r"\w\d{7}", "UK_NHS": r"\d(?:\D?\d){9}", "UK_NINO": r"[A-Za-z]{2} ?\d",
    "UK_POSTCODE": r"\d ?[A-Za-z]{2}\b", "URL": r"[\w-]\.[A-Za-z]{2}", "US_BANK_NUMBER": r"\d{8}",
    "US_DRIVER_LICENSE": r"\w\d{3}", "US_ITIN": r"9\d", "US_MBI": r"\d[A-Za-z]",
    "US_NPI": r"\d(?:\D?\d){9}", "US_PASSPORT": r"\w\d{8}", "US_SSN": r"\d{3}", "UUID": r"\w{8}-",
}  # fmt: skip


class Recognizer(NamedTuple):
    """A Presidio recognizer, what it gives, and the cheap test without which it cannot match."""

    kinds: list[str]
    cue: re.Pattern[str] | AnyWord
    finder: EntityRecognizer


def reduce_texts(
    texts: Sequence[str | None],
    *,
    known: Sequence[Sequence[str | None]] | None = None,
    entities: Sequence[str] | None = None,
    languages: Sequence[str] = ("en",),
    processes: int | None = None,
) -> list[str | None]:
    """Replace the identifiers in each text by their kind in angle brackets; missing stays missing.

    `known` holds for each text the row's own identifiers, always replaced by `<IDENTIFIER>`;
    `entities` narrows what else is looked for (of `ENTITIES`; None means all). Every one of the
    `languages` reads every text; what any finds is replaced. `processes` read at the same time:
    None takes what the machine has where there is much text. The result does not depend on it.

    Raises UsageError for a language without an installed model or an unknown entity, SourceError
    for a text over a million characters.
    """
    wanted = _wanted(entities, languages)
    whole = [text for text in texts if isinstance(text, str)]
    if too_long := sum(len(text) > MAX_LENGTH for text in whole):
        raise SourceError(f"{roughly(too_long)} texts exceed {MAX_LENGTH:,} characters; split them")
    distinct = list(dict.fromkeys(whole))
    spans = find_identifiers(distinct, wanted, languages=languages, processes=processes)
    found = dict(zip(distinct, spans, strict=True))
    own = known if known is not None else [()] * len(texts)
    return [
        _replace(text, found[text], values) if isinstance(text, str) else None
        for text, values in zip(texts, own, strict=True)
    ]


def missing_models(languages: Sequence[str]) -> list[str]:
    """Name the languages whose model is not installed, in their order."""
    return [language for language in languages if installed_model(language) is None]


def find_identifiers(
    texts: Sequence[str],
    wanted: frozenset[str] = frozenset(ENTITIES),
    *,
    languages: Sequence[str] = ("en",),
    processes: int | None = None,
) -> list[list[Span]]:
    """Find the wanted kinds of identifier in each text; spans in order, none overlaps another."""
    groups = group_batches(texts)
    workers = min(_count_processes(texts) if processes is None else processes, len(groups))
    task = Reading(wanted, tuple(languages))
    if workers > 1:
        context = get_context("spawn")  # a fork would inherit the threads' locks
        with ProcessPoolExecutor(workers, context, initializer=be_silent) as pool:
            read = list(pool.map(task.__call__, groups))
    else:
        read = [task(group) for group in groups]
    found = {text: spans for answers in read for text, spans in answers}
    return [found[text] for text in texts]


def group_batches(texts: Iterable[str]) -> list[list[list[str]]]:
    """Cut distinct texts into what is handed to a process at once, the longest texts first."""
    batches = cut_into_batches(texts)[::-1]
    return [batches[start : start + GROUP] for start in range(0, len(batches), GROUP)]


def _wanted(entities: Sequence[str] | None, languages: Sequence[str]) -> frozenset[str]:
    """Give the entities to look for, or say which of the wishes cannot be met."""
    if missing := missing_models(languages):
        raise UsageError(
            f"text in {', '.join(missing)} cannot be reduced: no model of it is installed; "
            "install the language's small spaCy model as a package, or drop the text"
        )
    if unknown := sorted(set(entities or ()) - set(ENTITIES)):
        choice = ", ".join(ENTITIES)
        raise UsageError(f"unknown entities of text: {', '.join(unknown)}; choose from {choice}")
    return frozenset(ENTITIES if entities is None else entities)


def _count_processes(texts: Sequence[str]) -> int:
    """Give the number of processes worth starting for the texts."""
    return len(os.sched_getaffinity(0)) if sum(map(len, texts)) >= MANY else 1


def be_silent() -> None:
    """Let a further process print nothing, from C neither, and calculate in one thread."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    threadpool_limits(1)


class Reading(NamedTuple):
    """Reading some batches of texts: what each process does."""

    wanted: frozenset[str]
    languages: tuple[str, ...]

    def __call__(self, batches: Sequence[Sequence[str]]) -> list[tuple[str, list[Span]]]:
        """Find the identifiers of each text."""
        texts = [text for batch in batches for text in batch]
        if not self.wanted:
            return [(text, []) for text in texts]
        from tasks.anonymization.free_text.model_findings import soften

        softened = [[soften(text) for text in batch] for batch in batches]
        entities: list[list[Finding]] = [[] for _ in texts]
        for language in self.languages:
            found = chain.from_iterable(load_entity_model(language).find(softened))
            for each, findings in zip(entities, found, strict=True):
                each.extend(findings)
        return [
            (text, self._gather(text, each)) for text, each in zip(texts, entities, strict=True)
        ]

    def _gather(self, text: str, entities: Sequence[Finding]) -> list[Span]:
        """Unite what the model and the recognizers find in a text, and the further mentions."""
        from tasks.anonymization.free_text.model_findings import keep_identifying
        from tasks.anonymization.free_text.unlisted_names import is_common

        found = [*keep_identifying(text, entities), *_recognize(text, self.languages)]
        spans = merge([take_whole_token(text, span) for span in found])
        spans = merge([*spans, *find_mentions(text, spans, is_common)])
        return [span for span in spans if span.entity in self.wanted]


@cache
def _recognizers(languages: tuple[str, ...]) -> list[Recognizer]:
    """List Presidio's recognizers that are not replaced here, those it leaves off, and ours."""
    from presidio_analyzer import RecognizerRegistry
    from presidio_analyzer import predefined_recognizers as presidio

    from tasks.anonymization.free_text import (
        address_recognizers,
        announced_values,
        recognizers,
    )
    from tasks.anonymization.free_text.phone_numbers import TelephoneRecognizer
    from tasks.anonymization.free_text.unlisted_names import UnlistedNameRecognizer

    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    for replaced in ("SpacyRecognizer", "EmailRecognizer", "PhoneRecognizer"):
        registry.remove_recognizer(replaced)
    british = [presidio.UkPostcodeRecognizer(), presidio.UkNinoRecognizer()]
    american = [presidio.UsMbiRecognizer(), presidio.UsNpiRecognizer()]
    theirs = [
        Recognizer(each.supported_entities, re.compile(_CUES[each.supported_entities[0]]), each)
        for each in [*registry.recognizers, *british, *american]
    ]
    rooms = (recognizers, address_recognizers, announced_values)
    made = [each() for room in rooms for each in room.RECOGNIZERS]
    ours = [Recognizer(each.supported_entities, each.cue, each) for each in made]
    phone = TelephoneRecognizer()
    ours.append(Recognizer(phone.supported_entities, phone.cue, phone))
    if languages == ("en",):
        unlisted = UnlistedNameRecognizer()
        ours.append(Recognizer(unlisted.supported_entities, unlisted.cue, unlisted))
    return [*theirs, *ours]


def _recognize(text: str, languages: tuple[str, ...]) -> Iterator[Span]:
    """Run the recognizers whose cue the text holds."""
    for kinds, cue, finder in _recognizers(languages):
        if cue.search(text):
            for hit in finder.analyze(text, kinds, None):  # type: ignore[arg-type]  # none reads tokens
                if _is_firm(hit):
                    yield from _read_hit(text, hit)


def _read_hit(text: str, hit: RecognizerResult) -> Iterator[Span]:
    """Give what a recognizer found; "Metformin, Lisinopril and Aspirin" are no firm."""
    stretches = [(hit.start, hit.end)]
    if hit.entity_type == "ORGANIZATION":
        stretches = list(leave_out_medical(text, hit.start, hit.end))
    yield from (Span(start, end, hit.entity_type, hit.score) for start, end in stretches)


def _is_firm(hit: RecognizerResult) -> bool:
    """Leave out scores like 7/10, which Presidio takes for dates, and x2, for a licence."""
    if hit.entity_type == "US_DRIVER_LICENSE":
        return hit.end - hit.start > 3
    return hit.score > 0.1 or hit.entity_type != "DATE_TIME"


def _replace(text: str, spans: Sequence[Span], values: Sequence[str | None]) -> str:
    """Put each identifier's kind in its place, and its number where it names someone."""
    own = [Span(start, end, KNOWN, 2.0) for start, end in find_known(text, values)]
    cut = merge([*spans, *own])
    numbers = number_mentions(text, cut)
    for span, number in reversed(list(zip(cut, numbers, strict=True))):
        mark = span.entity if number is None else f"{span.entity}_{number}"
        text = f"{text[: span.start]}<{mark}>{text[span.end :]}"
    return text
