"""From the words of consent events to their terms, made once per combination of words.

A million events say a few dozen different things. Words are numbered column by column, the
combinations that occur are found on the numbers, and only they are judged. It knows words, and
neither people nor times.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.coherence.consent import enumerates
from expectations.errors import SourceError
from expectations.policy.consent_terms import NoticeTerms, Terms
from expectations.policy.event_words import ALL, LISTS, LONGEST, NUMBERS, suggest_words, translate
from expectations.policy.legal_basis import EventField
from expectations.policy.vocabulary import (
    Article6,
    Article9,
    Category,
    ConsentStatus,
    Indication,
    Purpose,
)
from tasks.consent.bad_rows import BadRows
from tasks.people.ingestion import canonical

MOST: Final = 1_000
"""The most different words of one column: a column of more is no column of words."""
GIFTS: Final = (ConsentStatus.GIVEN, ConsentStatus.RENEWED)
PERMITS: Final = (*GIFTS, ConsentStatus.OBJECTION_ENDED, ConsentStatus.RESTRICTION_ENDED)
"""What lets more be read than before; every other status lets less."""

Said: TypeAlias = Mapping[EventField, str]
"""Our words by field, of one combination; empty where nothing is said."""
Fault: TypeAlias = tuple[str, str]
"""What is wrong, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one column: each event's place among `ours`, of which the first is no word.

    Of ours, None is a word that is not known.
    """

    places: NDArray[np.int64]
    ours: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Agreed:
    """The different terms of a source's events, and each event's place among them."""

    places: NDArray[np.int64]
    terms: tuple[Terms, ...]

    def permits(self) -> NDArray[np.bool_]:
        """Tell of each event whether it lets more be read than before."""
        kinds = np.array([one.status in PERMITS for one in self.terms], dtype=np.bool_)
        return kinds[self.places] if len(kinds) else np.zeros(0, dtype=np.bool_)


def read_words(
    column: pa.ChunkedArray, field: EventField, words: Mapping[str, str], bad: BadRows
) -> Words:
    """Give the words of a column as ours; `words` is a tidy mapping. The unknown go to `bad`."""
    place = f"{bad.place}: the column of `{field}`"
    encoded = column.dictionary_encode().unify_dictionaries().combine_chunks()
    if len(encoded.dictionary) > MOST:
        raise SourceError(
            f"{place} holds more than {MOST:,} different words, so it does not say {field}; name "
            f"another under `columns.{field}`"
        )
    theirs = canonical(pa.chunked_array([encoded.dictionary]), place).to_pylist()
    known = ["", *((word or "").strip() for word in theirs)]
    ours = tuple(translate(field, word, words) for word in known)
    places = pc.fill_null(encoded.indices.cast(pa.int64()), -1).to_numpy() + 1
    _note_unknown(Words(places, ours), field, known, bad)
    return Words(places, ours)


def _note_unknown(words: Words, field: EventField, theirs: Sequence[str], bad: BadRows) -> None:
    unknown = np.array([word is None for word in words.ours])
    if not unknown.any():
        return
    odd = [word for word, ours in zip(theirs, words.ours, strict=True) if ours is None]
    if field in LISTS:
        what = f"its {'category' if field is EventField.CATEGORIES else field} is an unknown word"
        fix = f"{suggest_words(field, odd)}, or say under `words.{field}` what it stands for"
    elif field in NUMBERS:
        what, fix = f"its {field} is no whole number from 1", suggest_words(field, odd)
    else:
        what, fix = f"its {field} is longer than {LONGEST} characters", suggest_words(field, odd)
    bad.note(unknown[words.places], what, fix)


def agree(
    words: Mapping[EventField, Words],
    by_guardian: NDArray[np.bool_],
    notices: Collection[NoticeTerms],
    bad: BadRows,
) -> Agreed:
    """Give the terms of all events; those that break a rule go to `bad` and have the first terms.

    `notices` are those that the policy declares.
    """
    combination, firsts = _combine([*(one.places for one in words.values()), by_guardian])
    terms: dict[Terms, int] = {}
    chosen = np.zeros(len(firsts), dtype=np.int64)
    faulty: dict[Fault, list[int]] = {}
    for number, row in enumerate(firsts):
        said = {field: one.ours[one.places[row]] for field, one in words.items()}
        clear = {field: word for field, word in said.items() if word is not None}
        if len(clear) < len(said):
            continue  # told already, by its word
        found = _find_notice(clear, notices)
        faults = [found] if isinstance(found, tuple) else [*_faults(clear, found)]
        for fault in faults:
            faulty.setdefault(fault, []).append(number)
        if not isinstance(found, tuple) and not faults:
            one = _make_terms(clear, found, by_guardian=bool(by_guardian[row]))
            chosen[number] = terms.setdefault(one, len(terms))
    for (what, fix), numbers in faulty.items():
        bad.note(np.isin(combination, numbers), what, fix)
    return Agreed(chosen[combination], tuple(terms))


def _combine(
    parts: Sequence[NDArray[np.int64] | NDArray[np.bool_]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the combinations that occur; give each row's number, and a row of each number."""
    import pandas as pd

    combination = np.zeros(len(parts[0]), dtype=np.int64)
    for part in parts:
        width = int(part.max(initial=0)) + 1
        combination = pd.factorize(combination * width + part)[0].astype(np.int64)
    firsts = np.zeros(int(combination.max(initial=-1)) + 1, dtype=np.int64)
    # Written backwards, so that the first row of each number stays.
    firsts[combination[::-1]] = np.arange(len(combination))[::-1]
    return combination, firsts


def _find_notice(said: Said, notices: Collection[NoticeTerms]) -> NoticeTerms | Fault | None:
    """Give the declared notice that is named; one of several versions must be named by it."""
    name = said.get(EventField.NOTICE, "")
    if not name:
        return None
    version, language = said.get(EventField.NOTICE_VERSION), said.get(EventField.LANGUAGE)
    found = [
        one
        for one in notices
        if one.id == name
        and version in {None, "", str(one.version)}
        and language in {None, "", one.language}
    ]
    declared = ", ".join(f"{one.id} {one.version} ({one.language})" for one in notices)
    if not found:
        return "its notice is not declared", f"the policy's `notices` are: {declared or 'none'}"
    if len(found) > 1:
        fix = f"name its `notice_version` or `language`; declared are {declared}"
        return "its notice is declared more than once", fix
    return found[0]


def _faults(said: Said, notice: NoticeTerms | None) -> Iterator[Fault]:
    """Tell what a combination of words lacks; a gift says more than what ends one."""
    status = said.get(EventField.STATUS, "")
    if not status:
        yield "its status is missing", 'add it, or say under `words.status` what "" stands for'
    if status not in GIFTS:
        return
    if notice is None:
        fix = "name its column under `columns.notice`, or state it under `stated.notice`"
        yield "it gives consent under no notice", fix
    for field in (EventField.PURPOSE, EventField.CATEGORIES):
        if said.get(field) == "":
            fix = f'add it, or say under `words.{field}` that "" stands for `{ALL}`'
            yield f"it gives consent and names no {field}", fix
    purpose, categories = (_named(said, one) for one in (EventField.PURPOSE, EventField.CATEGORIES))
    if notice and not all(enumerates(notice, Purpose(one)) for one in purpose):
        yield "its notice does not enumerate its purpose", "correct the event, or the notice"
    if notice and not {*categories} <= {*notice.categories}:
        yield "its notice does not enumerate its categories", "correct the event, or the notice"


def _named(said: Said, field: EventField) -> list[str]:
    """Give the purpose or the categories that are named one by one."""
    return [word for word in said.get(field, "").split() if word != ALL]


def _make_terms(said: Said, notice: NoticeTerms | None, *, by_guardian: bool) -> Terms:
    """Give the terms that faultless words say."""

    def word(field: EventField) -> str:
        return said.get(field, "")

    return Terms(
        status=ConsentStatus(word(EventField.STATUS)),
        purpose=next(map(Purpose, _named(said, EventField.PURPOSE)), None),
        categories=tuple(map(Category, _named(said, EventField.CATEGORIES))),
        notice=notice,
        article_6=Article6(article) if (article := word(EventField.ARTICLE_6)) else None,
        article_9=Article9(article) if (article := word(EventField.ARTICLE_9)) else None,
        indication=Indication(shown) if (shown := word(EventField.INDICATION)) else None,
        method=word(EventField.METHOD) or None,
        jurisdiction=word(EventField.JURISDICTION) or None,
        by_guardian=by_guardian,
    )
