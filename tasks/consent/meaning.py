"""What the terms of consent events mean for one policy, category by category.

Pure rules over few terms; no person and no time. Where a rule is stricter than the law, its
docstring calls it a policy choice. What the events of one person then come to at one moment is
decided in `decision`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, TypeAlias

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


class Standing(IntEnum):
    """Where somebody stands, and what an event says of it.

    Of two events at the same moment that were recorded together, the one further down counts.
    The first fourteen are what events say; the others follow from them.
    """

    BY_SELF = 0
    BY_GUARDIAN = 1
    NO_ANSWER = 2
    NOT_EXPLICIT = 3
    OLDER_NOTICE = 4
    LAPSED = 5
    LAPSED_BY_GUARDIAN = 6
    OTHER_DATES = 7
    EXPIRED = 8
    UNKNOWN = 9
    REFUSED = 10
    INVALIDATED = 11
    REVOKED = 12
    WITHDRAWN = 13
    NEVER_ASKED = 14
    NEEDS_GUARDIAN = 15
    ONLY_IN_PART = 16
    OBJECTED = 17
    RESTRICTED = 18

    @property
    def permits(self) -> bool:
        """Whether somebody who stands so may be read."""
        return self in GIFTS

    @property
    def label(self) -> str:
        """Give the reason as people read it."""
        if self.permits:
            return PERMITTED
        if self is Standing.OTHER_DATES:
            return Standing.ONLY_IN_PART.label
        return "expired" if self in LAPSED else self.name.lower().replace("_", " ")


PERMITTED: Final = "permitted"
GIFTS: Final = (Standing.BY_SELF, Standing.BY_GUARDIAN)
LAPSED: Final = (Standing.LAPSED, Standing.LAPSED_BY_GUARDIAN)
"""What each of `GIFTS` is once it is over: who made it decides whether a renewal extends it."""
IDLE: Final = (Standing.NO_ANSWER, Standing.NOT_EXPLICIT, Standing.OLDER_NOTICE)
"""What changes nothing where there is any other answer, whenever it was given."""
BARS: Final = (Standing.REFUSED, Standing.REVOKED, Standing.WITHDRAWN)
"""After which there is no falling back on another basis; that a refusal bars is a policy choice."""
ENDS: Final = {
    ConsentStatus.EXPIRED: Standing.EXPIRED,
    ConsentStatus.UNKNOWN: Standing.UNKNOWN,
    ConsentStatus.REFUSED: Standing.REFUSED,
    ConsentStatus.INVALIDATED: Standing.INVALIDATED,
    ConsentStatus.REVOKED: Standing.REVOKED,
    ConsentStatus.WITHDRAWN: Standing.WITHDRAWN,
    ConsentStatus.REQUESTED: Standing.NO_ANSWER,
    ConsentStatus.DEFERRED: Standing.NO_ANSWER,
}
RIGHTS: Final = (
    {ConsentStatus.OBJECTED: 1, ConsentStatus.OBJECTION_ENDED: 0},
    {ConsentStatus.RESTRICTED: 1, ConsentStatus.RESTRICTION_ENDED: 0},
)
"""Objection and restriction: what begins one, and what ends it."""
RESEARCH: Final = {
    Purpose.RESEARCH_AND_DEVELOPMENT,
    *(narrow for narrow, broad in BROADER.items() if broad is Purpose.RESEARCH_AND_DEVELOPMENT),
}

Reads: TypeAlias = Mapping[int, tuple[int, ...]]
"""Which terms give each answer, by their numbers in the ledger."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a ledger's terms mean for a policy.

    `classes` are the policy's categories, those together on which every event answers alike;
    `answers` and `renewals` hold what counts for each class, and after them for each class of the
    categories that are not the policy's and that consent was refused for. `objections` and
    `restrictions` hold 1 where one begins and 0 where one ends.
    """

    classes: tuple[tuple[Category, ...], ...]
    answers: tuple[Reads, ...]
    renewals: tuple[Reads, ...]
    objections: Reads
    restrictions: Reads
    asks_consent: bool
    """Whether the policy rests on consent; else only what takes a person out counts."""
    on_partial: str
    maximum_age_days: int | None


def understand(policy: Policy, terms: Mapping[int, Terms]) -> Meaning:
    """Say what each terms of a ledger means for a policy."""
    basis = policy.basis if isinstance(policy.basis, ConsentLedger) else None
    classes = tuple(group_categories(policy, terms, policy.categories))
    judged = (*classes, *group_categories(policy, terms, list_refused(policy, terms)))
    renewed = {n: t for n, t in terms.items() if t.status is ConsentStatus.RENEWED}
    others = {n: t for n, t in terms.items() if n not in renewed}
    objects = is_open_to_objection(policy)
    return Meaning(
        classes=classes,
        answers=tuple(read_answers(policy, others, group[0]) for group in judged),
        renewals=tuple(read_answers(policy, renewed, group[0]) for group in judged),
        objections=read_right(policy, terms, RIGHTS[0]) if objects else {},
        restrictions=read_right(policy, terms, RIGHTS[1]),
        asks_consent=basis is not None,
        on_partial=basis.on_partial if basis else "exclude",
        maximum_age_days=basis.maximum_age_days if basis else None,
    )


def list_refused(policy: Policy, terms: Mapping[int, Terms]) -> list[Category]:
    """Give what consent was refused for that the policy does not read, under another basis.

    A gift since must cover it too before the other basis counts again: a policy choice.
    """
    if isinstance(policy.basis, ConsentLedger):
        return []
    bars = [one for one in terms.values() if ENDS.get(one.status) in BARS]
    refused = {c for one in bars if reaches_purpose(one, policy.purpose) for c in list_named(one)}
    return sorted(refused - set(policy.categories))


def group_categories(
    policy: Policy, terms: Mapping[int, Terms], categories: Sequence[Category]
) -> Iterator[tuple[Category, ...]]:
    """Put those categories together on which every event answers alike."""
    alike: dict[tuple[Standing | None, ...], list[Category]] = {}
    for category in categories:
        answers = tuple(answer(policy, one, category) for one in terms.values())
        alike.setdefault(answers, []).append(category)
    yield from map(tuple, alike.values())


def read_answers(policy: Policy, terms: Mapping[int, Terms], category: Category) -> Reads:
    """Give the numbers of the terms that give each answer for a category."""
    return collect(terms, lambda one: answer(policy, one, category))


def read_right(
    policy: Policy, terms: Mapping[int, Terms], words: Mapping[ConsentStatus, int]
) -> Reads:
    """Give the numbers of the terms by which a right is exercised, or ends, for the policy."""
    return collect(terms, lambda one: words.get(one.status) if decides_right(policy, one) else None)


def decides_right(policy: Policy, terms: Terms) -> bool:
    """A right is exercised, or ends, for the purposes that are named and all below them.

    Whatever categories it was exercised for, it ends for all that the policy reads, or for none: a
    policy choice.
    """
    ends = any(words.get(terms.status) == 0 for words in RIGHTS)
    whole = not ends or all(reaches(terms, one) for one in policy.categories)
    return whole and reaches_purpose(terms, policy.purpose)


def collect(terms: Mapping[int, Terms], code_of: Callable[[Terms], int | None]) -> Reads:
    """Gather the numbers of terms by the code that each has."""
    found: dict[int, list[int]] = {}
    for number, one in terms.items():
        code = code_of(one)
        if code is not None:
            found.setdefault(int(code), []).append(number)
    return {code: tuple(numbers) for code, numbers in sorted(found.items())}


def answer(policy: Policy, terms: Terms, category: Category) -> Standing | None:
    """Say what terms answer on a category for the policy's purpose; None where they say nothing."""
    if terms.status in {ConsentStatus.GIVEN, ConsentStatus.RENEWED}:
        covered = covers_purpose(terms, policy.purpose) and covers_category(terms, category)
        return judge_gift(policy, terms, category) if covered else None
    within = isinstance(policy.basis, ConsentLedger)
    said = ENDS.get(terms.status)
    if not within and said not in BARS:
        # Or a note that a consent expired would undo a withdrawal.
        return None
    if within:
        reached = reaches(terms, category)
    else:
        # Of what the policy does not read, what was named and nothing below: else what others
        # named would decide for whom a refusal stands.
        reached = category in policy.categories or category in list_named(terms)
    return said if reached and reaches_purpose(terms, policy.purpose) else None


def judge_gift(policy: Policy, terms: Terms, category: Category) -> Standing | None:
    """Say how a gift that covers purpose and category counts.

    One under another legal basis than the policy's says nothing. Art. 9(2)(a) asks for an explicit
    indication, for special categories.
    """
    basis = policy.legal_basis
    if terms.article_6 not in {None, Article6.CONSENT}:
        return None
    explicit = basis.article_9 is Article9.EXPLICIT_CONSENT and category.special
    if explicit and terms.article_9 not in {None, Article9.EXPLICIT_CONSENT}:
        return None
    if explicit and terms.indication is not Indication.EXPLICIT:
        return Standing.NOT_EXPLICIT
    notice, lowest = terms.notice, {}
    if isinstance(policy.basis, ConsentLedger):
        lowest = dict(policy.basis.minimum_versions)
    if notice is not None and notice.version < lowest.get(notice.id, 0):
        return Standing.OLDER_NOTICE
    if not covers_dates(policy, terms, category):
        # Under another basis it must not undo a refusal: that reads what the gift does not cover.
        return Standing.OTHER_DATES if isinstance(policy.basis, ConsentLedger) else None
    return Standing.BY_GUARDIAN if terms.by_guardian else Standing.BY_SELF


def covers_dates(policy: Policy, terms: Terms, category: Category) -> bool:
    """Whether a gift covers the days of all data of a category that the policy reads.

    One that covers some days alone covers nothing of a policy that reads all days, nor what has no
    day, unless the policy says so.
    """
    if terms.data_from is None and terms.data_until is None:
        return True
    dates = policy.source.dates
    if dates is None:
        return False
    undated = any(c.rows is None and c.category is category for c in policy.columns.values())
    within = (terms.data_from or "") <= dates.first and dates.last <= (terms.data_until or "9999")
    return within and (not undated or dates.undated == "covered")


def covers_purpose(terms: Terms, purpose: Purpose) -> bool:
    """A gift covers the purposes that its notice enumerates, and a narrower if the notice says."""
    notice = terms.notice
    if notice is None:
        return False
    line = {purpose, *above(purpose)} if notice.covers_narrower else {purpose}
    named = set(notice.purposes) if terms.purpose is None else {terms.purpose}
    # The event's own purpose may itself be below one that the notice enumerates.
    own = terms.purpose
    listed = notice.purposes if own is None else (own, *above(own) * notice.covers_narrower)
    return bool(line & named) and bool(set(listed) & set(notice.purposes))


def covers_category(terms: Terms, category: Category) -> bool:
    """A gift covers a category that its notice enumerates, unless it names fewer itself."""
    listed = terms.notice.categories if terms.notice else ()
    return category in listed and category in (terms.categories or listed)


def reaches_purpose(terms: Terms, purpose: Purpose) -> bool:
    """What ends something ends it for the purposes that it names and all below them."""
    named = () if terms.notice is None else terms.notice.purposes
    if terms.purpose is not None:
        named = (terms.purpose,)
    return not named or bool({purpose, *above(purpose)} & set(named))


def reaches(terms: Terms, category: Category) -> bool:
    """What ends something ends it for the categories that it names and all below them."""
    named = list_named(terms)
    return not named or bool({category, *above(category)} & set(named))


def list_named(terms: Terms) -> tuple[Category, ...]:
    """Give the categories that an event is about, its notice's if it names none itself."""
    return terms.categories or (terms.notice.categories if terms.notice else ())


def above(word: StrEnum) -> tuple[StrEnum, ...]:
    """Give the broader words of a word, the nearest first."""
    broader = BROADER.get(word)
    return () if broader is None else (broader, *above(broader))


def is_open_to_objection(policy: Policy) -> bool:
    """Art. 21 lets a person object to tasks in the public interest, legitimate interests, research.

    That an objection to research also stands against an earlier consent is a policy choice.
    """
    basis = policy.legal_basis
    return (
        basis.article_6 in {Article6.PUBLIC_TASK, Article6.LEGITIMATE_INTERESTS}
        or basis.article_9 is Article9.RESEARCH
        or policy.purpose in RESEARCH
    )
