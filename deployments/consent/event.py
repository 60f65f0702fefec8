"""One consent event as it is typed: its words, moments and people, checked before it is recorded.

A word that is not on its list is refused with the one that was perhaps meant, and all that is
wrong is told at once. Names of people become keyed tokens here and go no further.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, TypeAlias, TypeVar

import pyarrow as pa

from deployments.moments import DAY, read_when
from expectations.coherence.consent import enumerates
from expectations.errors import UsageError
from expectations.policy.consent_terms import NoticeTerms, Terms
from expectations.policy.event_words import LONGEST, LONGEST_EVIDENCE
from expectations.policy.identifiers import Normal
from expectations.policy.legal_basis import ConsentLedger
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Category, ConsentStatus, Indication, Purpose
from ledgers.consent.events import BATCH, Batch, to_micros
from ledgers.home.policies import list_spellings
from tasks.people.person_keys import PersonKeys, key_people
from tasks.sources.naming import canonical

Word = TypeVar("Word", bound=StrEnum)
Token: TypeAlias = tuple[int, int]
Spelling: TypeAlias = tuple[Normal, ...]
Span: TypeAlias = tuple[int, int | None]
"""From when to when an event holds, in microseconds since 1970 UTC; None has no end."""
SOURCE: Final = "the command line"
GIFTS: Final = (ConsentStatus.GIVEN, ConsentStatus.RENEWED)
ENDS_OF_RIGHTS: Final = (ConsentStatus.OBJECTION_ENDED, ConsentStatus.RESTRICTION_ENDED)


@dataclass(frozen=True, slots=True)
class Typed:
    """One event as it was typed, absent parts as None; people are read already."""

    person: str
    status: str
    purpose: str | None = None
    categories: tuple[str, ...] = ()
    notice: str | None = None
    notice_version: int | None = None
    language: str | None = None
    indication: str | None = None
    at: str | None = None
    until: str | None = None
    method: str | None = None
    jurisdiction: str | None = None
    guardian: str | None = None
    evidence: str | None = None


def make_terms(typed: Typed, policy: Policy | None, recorded: Collection[Terms]) -> Terms:
    """Give the terms of an event that was typed.

    It is about the policy's purpose unless it names one. It can name the policy's notices, or
    without a policy those that the ledger has `recorded`. Raises `UsageError` with everything
    that is wrong.
    """
    problems: list[str] = []
    notices = known_notices(policy, recorded)
    purpose = read_word(Purpose, typed.purpose, "--purpose", problems)
    terms = Terms(
        status=read_word(ConsentStatus, typed.status, "--status", problems)
        or ConsentStatus.UNKNOWN,
        purpose=purpose or (policy.purpose if policy else None),
        categories=tuple(read_categories(typed.categories, problems)),
        notice=find_notice(typed, notices, problems),
        indication=read_word(Indication, typed.indication, "--indication", problems),
        method=typed.method,
        jurisdiction=typed.jurisdiction,
        by_guardian=typed.guardian is not None,
    )
    if not problems:
        problems += [*find_odd(typed), *find_faults(terms, notices)]
    if problems:
        raise UsageError("\n".join(problems))
    return terms


def known_notices(policy: Policy | None, recorded: Collection[Terms]) -> set[NoticeTerms]:
    """Give the notices that an event can name."""
    if policy is not None and isinstance(policy.basis, ConsentLedger):
        return {notice.terms for notice in policy.basis.notices}
    return {terms.notice for terms in recorded if terms.notice}


def read_word(
    words: type[Word], typed: str | None, option: str, problems: list[str]
) -> Word | None:
    """Give the word of a closed list that was typed; what is none goes to `problems`."""
    if typed is None or typed in {*words}:
        return None if typed is None else words(typed)
    near = get_close_matches(typed, list(words), 1)
    hint = f"did you mean `{near[0]}`? " if near else ""
    problems.append(f"{option}: unknown word; {hint}use one of {', '.join(words)}")
    return None


def read_categories(typed: Collection[str], problems: list[str]) -> Iterator[Category]:
    """Give the categories that were typed, parted by commas or blanks."""
    for text in typed:
        for word in re.split(r"[\s,;]+", text.strip()):
            found = read_word(Category, word, "--categories", problems)
            if found is not None:
                yield found


def find_notice(
    typed: Typed, notices: Collection[NoticeTerms], problems: list[str]
) -> NoticeTerms | None:
    """Find the notice that is named, in its latest version unless another is."""
    if typed.notice is None:
        return None
    of_name = [one for one in notices if one.id == typed.notice]
    version = typed.notice_version or max((one.version for one in of_name), default=0)
    found = [one for one in of_name if one.version == version]
    found = [one for one in found if typed.language in {None, one.language}]
    if len(found) == 1:
        return found[0]
    what = "it is there in several languages: add --language" if found else "it is not known"
    problems.append(f"--notice: {what}; known are {name_notices(notices)}")
    return None


def name_notices(notices: Collection[NoticeTerms]) -> str:
    """Name notices in a sentence."""
    named = sorted(f"{one.id} {one.version} ({one.language})" for one in notices)
    return ", ".join(named) or "none: name a policy that declares it with --policy"


def find_odd(typed: Typed) -> Iterator[str]:
    """Tell which of the controller's own words cannot be right."""
    for option, text, longest in (
        ("--method", typed.method, LONGEST),
        ("--jurisdiction", typed.jurisdiction, LONGEST),
        ("--evidence", typed.evidence, LONGEST_EVIDENCE),
    ):
        if text and len(text) > longest:
            yield f"{option}: it is longer than {longest} characters; say where the rest is"
    if typed.guardian is not None and typed.guardian == typed.person:
        yield "--guardian: it names the person; leave it out, or correct it"


def find_faults(terms: Terms, notices: Collection[NoticeTerms]) -> Iterator[str]:
    """Tell why an event would let nothing be read, or more than it says."""
    notice = terms.notice
    if terms.status in ENDS_OF_RIGHTS and terms.purpose is None:
        yield "--purpose or --policy is missing: say for what people may be read again"
    if terms.status not in GIFTS:
        return
    if notice is None:
        yield (
            "--notice is missing: a consent covers what its notice enumerates; known are "
            f"{name_notices(notices)}"
        )
        return
    if terms.purpose and not enumerates(notice, terms.purpose):
        yield (
            f"--notice: it does not enumerate {terms.purpose}, so the consent would not cover "
            f"that; it enumerates {', '.join(notice.purposes)}"
        )
    if beside := sorted({*terms.categories} - {*notice.categories}):
        yield (
            f"--notice: it does not enumerate {', '.join(beside)}; it enumerates "
            f"{', '.join(notice.categories)}"
        )


def read_span(typed: Typed, status: ConsentStatus, now: datetime) -> Span:
    """Give from when to when an event holds; it is from now on unless something else was typed.

    Of a day without an hour as an import reads it: a gift holds from its beginning; what takes
    something back from its end, or from now where it is not over; a right has ended when it is.
    Raises `UsageError` for what has yet to happen, and for an end before the beginning.
    """
    begin = now if typed.at is None else read_when(typed.at, "--at")
    end = None if typed.until is None else read_when(typed.until, "--until")
    if begin > now:
        raise UsageError("--at: it is in the future; record an event once it has happened")
    if typed.at and DAY.fullmatch(typed.at) and status not in GIFTS:
        last = begin + timedelta(days=1, microseconds=-1)
        begin = last if status in ENDS_OF_RIGHTS else min(last, now)
    if end is not None and end <= begin:
        raise UsageError("--until: it is not after the moment from which the event is valid")
    return to_micros(begin), None if end is None else to_micros(end)


def read_identifier(typed: str) -> str:
    """Give an identifier that was typed; `-` takes the next line of standard input."""
    if typed == "-":
        typed = sys.stdin.readline().rstrip("\r\n")
    if not typed.strip():
        raise UsageError("the identifier is empty: give it as the source spells it")
    try:
        typed.encode()
    except UnicodeEncodeError:
        raise UsageError("the identifier is not UTF-8: give it as the source spells it") from None
    return typed


def tokenize_person(person: str, key: bytes, spelling: Spelling = ()) -> Token:
    """Give the token that stands for a person in the ledger; `key` is that of people."""
    high, low = key_person(person, key, spelling).token[0].tolist()
    return high, low


def key_person(person: str, key: bytes, spelling: Spelling = ()) -> PersonKeys:
    """Give the numbers by which the home knows a person who is named on the command line."""
    names = canonical(pa.chunked_array([[person]]), "the identifier", spelling)
    return key_people(names, key)


def find_spellings(policy: Policy | None, *, known: bool = False) -> list[Spelling]:
    """Say in which spellings a person is known who was typed: the policy's, or all in use here.

    `known` asks for all in which the ledger may hold their events, with a policy too.
    """
    if policy is None:
        return list(dict.fromkeys([(), *list_spellings()]))
    return list(dict.fromkeys([policy.source.normalize, *([()] if known else [])]))


def make_batch(
    person: Token,
    terms: Terms,
    spans: Collection[Span],
    guardian: Token | None = None,
    evidence: str | None = None,
) -> Batch:
    """Give events of the same terms as the ledger takes them; it says when they are recorded."""
    rows = [
        {
            "token_high": person[0],
            "token_low": person[1],
            "terms": 0,
            "valid_from": begin,
            "valid_until": end,
            "guardian_high": guardian and guardian[0],
            "guardian_low": guardian and guardian[1],
            "evidence": evidence,
        }
        for begin, end in spans
    ]
    return Batch(pa.Table.from_pylist(rows, BATCH), (terms,))
