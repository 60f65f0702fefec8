"""Where one person stands, by a naive loop over their events, as `docs/consent.md` says it.

It shares no code with `tasks/consent` and knows neither frames nor codes: the rules are written a
second time, in the order of the document, so that the two can be compared. Slow, and meant to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from expectations.policy.consent_terms import Terms
from expectations.policy.legal_basis import ConsentLedger
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import (
    BROADER,
    Article6,
    Article9,
    Category,
    ConsentStatus,
    Indication,
    Purpose,
)

DAY = 24 * 60 * 60 * 1_000_000
"""A day in microseconds, the unit of every moment here."""
Span = tuple[int, int]
"""Until when a guardian speaks for a person, and from when they do themselves."""

GIFTS = (ConsentStatus.GIVEN, ConsentStatus.RENEWED)
UNANSWERED = (ConsentStatus.REQUESTED, ConsentStatus.DEFERRED)
ENDS = (
    ConsentStatus.EXPIRED,
    ConsentStatus.UNKNOWN,
    ConsentStatus.REFUSED,
    ConsentStatus.INVALIDATED,
    ConsentStatus.REVOKED,
    ConsentStatus.WITHDRAWN,
)
"""From the least to the most restrictive."""
RIGHT_ENDED = {
    ConsentStatus.OBJECTED: ConsentStatus.OBJECTION_ENDED,
    ConsentStatus.RESTRICTED: ConsentStatus.RESTRICTION_ENDED,
}
NO_FALLING_BACK = ("refused", "revoked", "withdrawn")
RESEARCH = (
    Purpose.ACADEMIC_RESEARCH,
    Purpose.COMMERCIAL_RESEARCH,
    Purpose.NON_COMMERCIAL_RESEARCH,
    Purpose.RESEARCH_AND_DEVELOPMENT,
    Purpose.SCIENTIFIC_RESEARCH,
)
PERMITTED, PARTIAL = "permitted", "only in part"
NEVER_ASKED, NO_ANSWER, NOT_EXPLICIT, OLDER_NOTICE = (
    "never asked",
    "no answer",
    "not explicit",
    "older notice",
)
REASONS = (
    PERMITTED,
    NEVER_ASKED,
    NO_ANSWER,
    NOT_EXPLICIT,
    OLDER_NOTICE,
    "lapsed",
    "other dates",
    *map(str, ENDS),
    "needs guardian",
)
"""What can be said of one category, from the least to the most restrictive."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one person; moments in microseconds, no end where `valid_until` is None."""

    terms: Terms
    valid_from: int
    recorded_at: int
    valid_until: int | None = None

    @property
    def status(self) -> ConsentStatus:
        """What happened."""
        return self.terms.status

    @property
    def moment(self) -> tuple[int, int]:
        """When it holds from, and when it was recorded: what events are ordered by."""
        return self.valid_from, self.recorded_at


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of everybody's history: a policy, as far as the rules speak of it."""

    purpose: Purpose
    categories: tuple[Category, ...]
    article_6: Article6
    article_9: Article9 | None
    by_consent: bool
    blank: bool
    maximum_age_days: int | None
    minimum_versions: Mapping[str, int]
    days: tuple[str, str] | None = None
    """The days of the data that are read, if not all, or what is read has none."""

    @classmethod
    def of(cls, policy: Policy) -> Question:
        """Take from a policy what the rules ask."""
        ledger = policy.basis if isinstance(policy.basis, ConsentLedger) else None
        return cls(
            policy.purpose,
            tuple(sorted({column.category for column in policy.columns.values()})),
            policy.legal_basis.article_6,
            policy.legal_basis.article_9,
            ledger is not None,
            ledger is not None and ledger.on_partial == "blank",
            ledger.maximum_age_days if ledger else None,
            ledger.minimum_versions if ledger else {},
            # Every column of these policies is of the roster.
            (policy.source.dates.first, policy.source.dates.last)
            if policy.source.dates and policy.source.dates.undated == "covered"
            else None,
        )


def decide(
    events: Iterable[Event],
    question: Question,
    valid_at: int,
    known_at: int,
    own_from: int | None = None,
    *,
    doubt: int = 0,
) -> tuple[str, frozenset[Category]]:
    """Give the person's reason, and the categories that may be read: none if the person is out.

    `own_from` is the moment from which the person consents for themselves; without one, nobody
    asks who gave a consent. For so long as `doubt` before it, it is unclear who could.
    """
    span = None if own_from is None else (own_from - doubt, own_from)
    there = [e for e in events if e.valid_from <= valid_at and e.recorded_at <= known_at]
    asked = {*question.categories, *_refused(there, question)}
    said = {c: _answer(there, question, c, valid_at, span) for c in asked}
    reason, permitted = _join({c: one for c, (one, _) in said.items()}, question)
    begun = None
    if question.by_consent and reason == PERMITTED:
        begun = min(said[category][1] for category in permitted)
    for right in (ConsentStatus.RESTRICTED, ConsentStatus.OBJECTED):  # rules 11 and 12
        since = _exercised(there, question, right)
        if since is not None and (begun is None or begun <= since):
            return str(right), frozenset()
    return reason, permitted


def _join(said: Mapping[Category, str], question: Question) -> tuple[str, frozenset[Category]]:
    """Bring what is said of each category together (rules 10 and 13)."""
    if not question.by_consent:
        bars = [reason for reason in said.values() if reason in NO_FALLING_BACK]
        if bars:
            return max(bars, key=REASONS.index), frozenset()
        return PERMITTED, frozenset(question.categories)
    permitted = frozenset(c for c, reason in said.items() if reason == PERMITTED)
    if len(permitted) == len(said) or (permitted and question.blank):
        return PERMITTED, permitted
    return PARTIAL if permitted else max(said.values(), key=REASONS.index), frozenset()


def _refused(events: list[Event], question: Question) -> list[Category]:
    """Give what was refused by name: under another basis a gift since covers it too (rule 13)."""
    return [
        category
        for event in events
        if not question.by_consent
        and str(event.status) in NO_FALLING_BACK
        and _reaches_purpose(event.terms, question.purpose)
        for category in _named(event.terms)
    ]


def _named(terms: Terms) -> tuple[Category, ...]:
    """Give the categories that an event names, or else its notice."""
    return terms.categories or (terms.notice.categories if terms.notice else ())


def _exercised(events: list[Event], question: Question, right: ConsentStatus) -> int | None:
    """Give since when a right beside consent is exercised: its latest word for the purpose."""
    by_basis = (
        question.article_6 in (Article6.PUBLIC_TASK, Article6.LEGITIMATE_INTERESTS)
        or question.article_9 == Article9.RESEARCH
        or question.purpose in RESEARCH
    )
    if right == ConsentStatus.OBJECTED and not by_basis:
        return None
    words = []
    for event in events:
        of_the_right = event.status == right or (
            event.status == RIGHT_ENDED[right] and _ends_all(event.terms, question)
        )
        if of_the_right and _reaches_purpose(event.terms, question.purpose):
            words.append((event.valid_from, event.status == right))
    if not words:
        return None
    valid_from, holds = max(words)
    return valid_from if holds else None


def _ends_all(terms: Terms, question: Question) -> bool:
    """Say whether a right's end names no category, or all that the policy reads."""
    named = _named(terms)
    return not named or all(
        any(word in named for word in _with_broader(category)) for category in question.categories
    )


def _answer(
    events: list[Event], question: Question, category: Category, now: int, span: Span | None
) -> tuple[str, int]:
    """Say why a category may not be read, or that it may, and since when (rules 1 to 9)."""
    answers, renewals, idle = [], [], []
    for event in events:
        if event.status in GIFTS and _covers(event.terms, question, category):
            lacking = _lacks(event.terms, question, category)
            if event.status == ConsentStatus.RENEWED:
                renewals += [] if lacking else [event]
            elif lacking:
                idle.append((event.moment, REASONS.index(lacking)))
            else:
                answers.append(event)
        elif event.status in ENDS and _reaches(event.terms, question, category):
            if question.by_consent or str(event.status) in NO_FALLING_BACK:  # rule 13
                answers.append(event)
        elif event.status in UNANSWERED and _reaches(event.terms, question, category):
            idle.append((event.moment, REASONS.index(NO_ANSWER)))
    for renewal in renewals:
        gift = _extended(renewal, answers, question, now)
        if gift is not None and _could_give(gift, span):  # rule 9
            answers.append(renewal)
    if not answers:
        return REASONS[max(idle)[1]] if idle else NEVER_ASKED, 0
    latest = max(answers, key=lambda e: (e.moment, _restricts(e, question, now)))
    begun = latest
    if latest.status == ConsentStatus.RENEWED:
        gift = _extended(latest, answers, question, now)
        assert gift is not None
        begun = gift
    return _say(latest, question, now, span), begun.valid_from


def _extended(renewal: Event, answers: list[Event], question: Question, now: int) -> Event | None:
    """Give the gift that a renewal extends, if one was not taken back before it (rule 6)."""
    before = [
        event
        for event in answers
        if event.moment <= renewal.moment
        and event.status not in (ConsentStatus.RENEWED, ConsentStatus.EXPIRED)
    ]
    latest = max(before, key=lambda e: (e.moment, _restricts(e, question, now)), default=None)
    if latest is None or latest.status != ConsentStatus.GIVEN or _limited(latest.terms, question):
        return None
    return latest


def _restricts(event: Event, question: Question, now: int) -> int:
    """Give how restrictive an answer is beside others of the same moment (rule 2)."""
    if event.status in ENDS:
        return 5 + ENDS.index(event.status)
    if _limited(event.terms, question):
        return 4
    over = 2 if _lapsed(event, question, now) else 0
    return over + (1 if event.terms.by_guardian else 0)


def _could_give(gift: Event, span: Span | None) -> bool:
    """Say whether a gift was made by who could make it: guardian, then nobody, then the person."""
    if span is None:
        return True
    child_until, own_from = span
    if gift.terms.by_guardian:
        return gift.valid_from < child_until
    return gift.valid_from >= own_from


def _say(event: Event, question: Question, now: int, span: Span | None) -> str:
    """Say what the answer that counts amounts to (rules 4, 5 and 9)."""
    if event.status in ENDS:
        return str(event.status)
    if _limited(event.terms, question):
        return "other dates"
    if _lapsed(event, question, now):
        return "lapsed"
    return PERMITTED if _could_give(event, span) else "needs guardian"


def _lapsed(gift: Event, question: Question, now: int) -> bool:
    """Say whether a gift ended by its own end or by the policy's maximum age (rule 5)."""
    if gift.valid_until is not None and gift.valid_until <= now:
        return True
    days = question.maximum_age_days
    return days is not None and gift.valid_from + days * DAY <= now


def _limited(terms: Terms, question: Question) -> bool:
    """Say whether a gift is for the data of some days, which are not all that are read."""
    if terms.data_from is None and terms.data_until is None:
        return False
    if question.days is None:
        return True
    first, last = question.days
    return (terms.data_from is not None and first < terms.data_from) or (
        terms.data_until is not None and terms.data_until < last
    )


def _covers(terms: Terms, question: Question, category: Category) -> bool:
    """Say whether a gift is about the purpose and the category (rule 3); or not one of consent."""
    if terms.article_6 not in (None, Article6.CONSENT) or terms.notice is None:
        return False
    if not question.by_consent and _limited(terms, question):
        return False  # it must not undo a refusal of what it does not cover
    if _asks_explicit(question, category) and terms.article_9 not in (
        None,
        Article9.EXPLICIT_CONSENT,
    ):
        return False
    purposes = [terms.purpose] if terms.purpose is not None else list(terms.notice.purposes)
    own = [p for p in purposes if _enumerates(terms.notice.purposes, p, terms)]
    named = terms.categories or terms.notice.categories
    return (
        _enumerates(own, question.purpose, terms)
        and category in named
        and category in terms.notice.categories
    )


def _enumerates(purposes: Iterable[Purpose], purpose: Purpose, terms: Terms) -> bool:
    """Say whether a purpose is listed, or below one that is if the notice covers narrower ones."""
    assert terms.notice is not None
    return any(
        listed == purpose or (terms.notice.covers_narrower and listed in _with_broader(purpose))
        for listed in purposes
    )


def _asks_explicit(question: Question, category: Category) -> bool:
    """Say whether Art. 9(2)(a) is what lets the category be read."""
    return question.article_9 == Article9.EXPLICIT_CONSENT and category.special


def _lacks(terms: Terms, question: Question, category: Category) -> str | None:
    """Say what a gift lacks of what the policy asks for (rule 8)."""
    assert terms.notice is not None
    if _asks_explicit(question, category) and terms.indication != Indication.EXPLICIT:
        return NOT_EXPLICIT
    if terms.notice.version < question.minimum_versions.get(terms.notice.id, 0):
        return OLDER_NOTICE
    return None


def _reaches(terms: Terms, question: Question, category: Category) -> bool:
    """Say whether what ends a consent ends it here (rule 4).

    Without consent, for any category that is read, and by name for others (rule 13).
    """
    named = _named(terms)
    if not question.by_consent:
        here = category in question.categories or category in named
        return here and _reaches_purpose(terms, question.purpose)
    here = not named
    return _reaches_purpose(terms, question.purpose) and (
        here or any(word in named for word in _with_broader(category))
    )


def _reaches_purpose(terms: Terms, purpose: Purpose) -> bool:
    """Say whether an event is about the purpose or one above it."""
    if terms.purpose is not None:
        return terms.purpose in _with_broader(purpose)
    return terms.notice is None or any(
        word in terms.notice.purposes for word in _with_broader(purpose)
    )


def _with_broader(word: StrEnum) -> list[StrEnum]:
    """Give a purpose or category, and those above it."""
    words = [word]
    while words[-1] in BROADER:
        words.append(BROADER[words[-1]])
    return words
