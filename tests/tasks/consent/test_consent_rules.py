"""The rules of consent, one by one: each test's name is the rule, in the order of the document.

Every history is decided on DuckDB, on pandas and by the oracle, which have to agree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest

from expectations.policy.consent_terms import NoticeTerms, Terms
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import (
    Article6,
    Article9,
    Category,
    ConsentStatus,
    Indication,
    Purpose,
)
from tasks.consent.judgement import Moment, settle
from tasks.consent.meaning import Standing, understand
from tests.tasks.consent.consent_oracle import DAY, Event, Question, decide

AGE, ORIGIN, HEALTH, MOOD = (
    Category.AGE,
    Category.ETHNIC_ORIGIN,
    Category.HEALTH,
    Category.MENTAL_HEALTH,
)
SCIENCE, ALL_RESEARCH, ACADEMIC, MARKETING = (
    Purpose.SCIENTIFIC_RESEARCH,
    Purpose.RESEARCH_AND_DEVELOPMENT,
    Purpose.ACADEMIC_RESEARCH,
    Purpose.MARKETING,
)
Answer = tuple[str, frozenset[Category]]
People = Mapping[int, Sequence[Event]]
NOBODY: frozenset[Category] = frozenset()
NOW = 1_772_366_400_000_000
"""Noon of 1 March 2026, UTC."""
NOTICE = NoticeTerms("study", 1, "en", (SCIENCE,), (AGE, HEALTH))


def make_policy(
    *categories: Category,
    purpose: Purpose = SCIENCE,
    article_6: Article6 = Article6.CONSENT,
    article_9: Article9 | None = None,
    **basis: Any,
) -> Policy:
    """Give a policy that reads one column of each category, by consent if nothing is said."""
    axes = {"type": "text", "identifiability": "none", "use": ["feature"]}
    columns = {
        f"c{n}": {**axes, "category": category, "treatment": {"kind": "drop"}}
        for n, category in enumerate(categories or (AGE,))
    }
    policy = {
        "tutela": 1,
        "name": "rules",
        "title": "What the rules are tried on",
        "controller": {"name": "Example", "contact": "privacy@example.org"},
        "purpose": purpose,
        "legal_basis": {"article_6": article_6, "article_9": article_9},
        "source": {"location": {"kind": "csv", "path": "people.csv"}, "person": "pid"},
        "basis": {"kind": "consent", **basis},
        "population": {"smallest": 10},
        "columns": columns,
        "outlets": {"clinic": {"kind": "model", "recipient": "Clinic"}},
        "retention_days": 30,
    }
    return Policy.model_validate_json(json.dumps(policy))


def token_of(person: int) -> tuple[int, int]:
    """Give a token of which either half alone names two people."""
    return person // 2 - 1, -(person % 2) - person // 4


def as_table(people: People, numbers: Mapping[Terms, int]) -> pa.Table:
    """Give everybody's events as a ledger gives them."""
    rows = [
        (*token_of(who), numbers[e.terms], e.valid_from, e.recorded_at, e.valid_until)
        for who, events in people.items()
        for e in events
    ]
    names = ("token_high", "token_low", "terms", "valid_from", "recorded_at", "valid_until")
    return pa.table(
        {name: pa.array([row[n] for row in rows], pa.int64()) for n, name in enumerate(names)}
    )


def settle_all(
    people: People,
    policy: Policy,
    moment: Moment,
    own_from: Mapping[int, int] | None = None,
    doubt: int = 0,
) -> dict[int, Answer]:
    """Give what the product decides of everybody, in the oracle's words.

    For so long before `own_from` nobody knows whether people came of age already.
    """
    used = dict.fromkeys(e.terms for events in people.values() for e in events)
    numbers = {terms: 7 + 3 * n for n, terms in enumerate(used)}
    meaning = understand(policy, {n: terms for terms, n in numbers.items()})
    ages = None
    if own_from is not None:
        tokens = [(*token_of(who), own - doubt, own) for who, own in own_from.items()]
        names = ("token_high", "token_low", "child_until", "own_from")
        columns = zip(names, zip(*tokens, strict=True), strict=True)
        ages = pa.table({name: pa.array(values, pa.int64()) for name, values in columns})
    table = settle(as_table(people, numbers), meaning, moment, ages)
    rows = {(row["token_high"], row["token_low"]): row for row in table.to_pylist()}
    assert len(rows) == table.num_rows, "somebody is named twice"
    found = {}
    for who in people:
        unheard = Standing.NEVER_ASKED if meaning.asks_consent else Standing.BY_SELF
        row = rows.pop(token_of(who), {"standing": unheard, "covered": 0})
        found[who] = in_words(row, meaning.classes, policy)
    assert not rows, "somebody is named who said nothing"
    return found


def in_words(
    row: Mapping[str, int], classes: Iterable[tuple[Category, ...]], policy: Policy
) -> Answer:
    """Write a row of the decision as the oracle does."""
    standing = Standing(row["standing"])
    if not standing.permits:
        return standing.name.removesuffix("_BY_GUARDIAN").lower().replace("_", " "), NOBODY
    if policy.basis.kind != "consent":
        return "permitted", frozenset(c.category for c in policy.columns.values())
    covered = [group for n, group in enumerate(classes) if row["covered"] >> n & 1]
    return "permitted", frozenset(c for group in covered for c in group)


ENDING = ("expired", "unknown", "refused", "invalidated", "revoked", "withdrawn")
RIGHTS = ("objected", "restricted")
OTHER: dict[str, Any] = {"kind": "other-basis"}
LISTED: dict[str, Any] = {
    "kind": "opt-out",
    "person": "id",
    "objections": {"kind": "csv", "path": "objections.csv"},
}
EXPLICIT = make_policy(HEALTH, article_9=Article9.EXPLICIT_CONSENT)


def ago(days: float) -> int:
    """Give the moment so many days before now."""
    return NOW - round(days * DAY)


def say(
    status: str,
    at: float,
    *,
    recorded: float | None = None,
    ends: float | None = None,
    notice: NoticeTerms | None = None,
    **terms: Any,
) -> Event:
    """Make an event: days before now from which it holds, of its recording and of its end.

    A gift is an explicit one under `NOTICE`, if nothing is said.
    """
    gift = status in {"given", "renewed"}
    terms = {"indication": Indication.EXPLICIT if gift else None, **terms}
    kept = Terms(
        ConsentStatus(status), notice=NOTICE if gift and notice is None else notice, **terms
    )
    return Event(
        kept,
        ago(at),
        ago(at if recorded is None else recorded),
        None if ends is None else ago(ends),
    )


def listing(
    *purposes: Purpose, of: tuple[Category, ...] = (AGE,), narrower: bool = False
) -> NoticeTerms:
    """Give a notice that enumerates these purposes."""
    return NoticeTerms("study", 1, "en", purposes, of, narrower)


def hold(
    *cases: tuple[list[Event], str],
    policy: Policy | None = None,
    own_from: int | None = None,
    doubt: int = 0,
    moment: Moment | None = None,
) -> list[frozenset[Category]]:
    """Hold each history to its reason, by the oracle and as decided; give what is covered.

    Without a policy one that reads ages is asked.
    """
    policy, moment = policy or make_policy(), moment or Moment(NOW, NOW)
    people = {who: events for who, (events, _) in enumerate(cases)}
    told = {
        who: decide(
            events, Question.of(policy), moment.valid_at, moment.known_at, own_from, doubt=doubt
        )
        for who, events in people.items()
    }
    assert [reason for reason, _ in told.values()] == [expected for _, expected in cases]
    ages = None if own_from is None else dict.fromkeys(people, own_from)
    assert settle_all(people, policy, moment, ages, doubt) == told
    return [covered for _, covered in told.values()]


MICRO = 1 / DAY
"""A microsecond in days."""
YES, NEVER = "permitted", "never asked"


# The two times of an event


def test_an_event_counts_from_its_moment_on() -> None:
    """The moment itself is in, a microsecond later is not."""
    given = say("given", 9)
    hold(
        ([given, say("withdrawn", 0)], "withdrawn"),
        ([given, say("withdrawn", -MICRO, recorded=9)], YES),
        ([say("given", 0)], YES),
        ([say("given", -MICRO, recorded=9)], NEVER),
    )


def test_an_event_is_known_from_its_recording_on() -> None:
    """What is recorded a microsecond after the moment of knowledge is not there."""
    given = say("given", 9)
    hold(
        ([given, say("withdrawn", 5, recorded=0)], "withdrawn"),
        ([given, say("withdrawn", 5, recorded=-MICRO)], YES),
        ([say("given", 5, recorded=-MICRO)], NEVER),
    )


@pytest.mark.parametrize(
    ("valid", "known", "expected"),
    [(8, 0, YES), (6, 4, YES), (6, 3, "withdrawn"), (0, 4, YES), (0, 0, "withdrawn")],
)
def test_a_past_moment_is_decided_again_as_it_was_known_then(
    valid: int, known: int, expected: str
) -> None:
    """A withdrawal that came to be known late stands only from then, also for the time before."""
    events = [say("given", 9), say("withdrawn", 7, recorded=3)]
    hold((events, expected), moment=Moment(ago(valid), ago(known)))


# 1. Default deny


def test_nobody_is_read_by_default() -> None:
    """Without an event, and without one for the purpose, there is nothing to permit anybody."""
    hold(([], NEVER), ([say("given", 9, notice=listing(MARKETING))], NEVER))
    hold(([], NEVER))


# 2. The latest counts


def test_the_latest_answer_counts_in_whatever_order_events_came() -> None:
    """By the moment it holds from, not by when it was recorded or where it stands in the list."""
    given, withdrawn, again = say("given", 9), say("withdrawn", 5, recorded=8), say("given", 3)
    hold(
        ([withdrawn, given], "withdrawn"),
        ([say("given", 9, recorded=1), withdrawn], "withdrawn"),
        ([again, withdrawn, given], YES),
    )


def test_of_answers_at_one_moment_the_one_recorded_last_counts() -> None:
    """Also where it is the less restrictive."""
    hold(
        ([say("given", 9, recorded=8), say("withdrawn", 9, recorded=7)], "withdrawn"),
        ([say("given", 9, recorded=7), say("withdrawn", 9, recorded=8)], YES),
    )


def test_of_answers_recorded_together_the_more_restrictive_counts() -> None:
    """Beside every less restrictive one; a guardian's word counts before a grown person's own."""
    ordered = [
        (say("given", 9), YES),
        (say("given", 9, by_guardian=True), "needs guardian"),
        (say("given", 9, ends=1), "lapsed"),
        *((say(status, 9), status) for status in ENDING),
    ]
    cases = [
        ([more, less], expected)
        for place, (more, expected) in enumerate(ordered)
        for less, _ in ordered[:place]
    ]
    hold(*cases, own_from=ago(400))
    # With a right in the ledger, latest answers are found in another way.
    hold(*(([*both, say("restriction-ended", 7)], e) for both, e in cases), own_from=ago(400))


def test_repeated_events_change_nothing() -> None:
    """Answers, renewals and rights alike."""
    for events, expected in (
        ([say("given", 9)], YES),
        ([say("given", 9), say("withdrawn", 9)], "withdrawn"),
        ([say("given", 9, ends=3), say("renewed", 5)], YES),
        ([say("given", 9), say("objected", 5), say("objection-ended", 4)], YES),
    ):
        hold((events, expected), (events * 3, expected))


# 3. What a gift covers


def test_a_gift_covers_the_purposes_that_its_notice_enumerates() -> None:
    """Each of them, if the event names none."""
    event = say("given", 9, notice=listing(MARKETING, SCIENCE))
    for purpose, expected in ((MARKETING, YES), (SCIENCE, YES), (ACADEMIC, NEVER)):
        hold(([event], expected), policy=make_policy(purpose=purpose))


def test_a_gift_covers_no_purpose_above_or_beside_its_own() -> None:
    """Whether or not the notice covers narrower ones."""
    cases = [
        ([say("given", 9, notice=listing(SCIENCE, narrower=narrower))], NEVER)
        for narrower in (False, True)
    ]
    for purpose in (ALL_RESEARCH, ACADEMIC):
        hold(*cases, policy=make_policy(purpose=purpose))


def test_a_gift_covers_a_narrower_purpose_only_if_the_notice_says_so() -> None:
    """The hierarchy alone says nothing."""
    hold(
        ([say("given", 9, notice=listing(ALL_RESEARCH))], NEVER),
        ([say("given", 9, notice=listing(ALL_RESEARCH, narrower=True))], YES),
    )


def test_a_gift_can_name_fewer_purposes_than_its_notice() -> None:
    """It then covers these alone, and narrower ones again if the notice says so."""
    both, apart = listing(MARKETING, ALL_RESEARCH, narrower=True), listing(ALL_RESEARCH, SCIENCE)
    hold(
        ([say("given", 9, notice=both, purpose=MARKETING)], NEVER),
        ([say("given", 9, notice=both, purpose=ALL_RESEARCH)], YES),
        ([say("given", 9, notice=both, purpose=SCIENCE)], YES),
        ([say("given", 9, notice=apart, purpose=ALL_RESEARCH)], NEVER),
    )


def test_a_gift_that_names_more_than_its_notice_covers_no_more() -> None:
    """Neither another purpose, nor one above with all below it, nor a category beside or below."""
    market, science = listing(MARKETING, narrower=True), listing(SCIENCE, narrower=True)
    wider = listing(SCIENCE, of=(HEALTH,))
    hold(
        ([say("given", 9, notice=market, purpose=SCIENCE)], NEVER),
        ([say("given", 9, notice=market, purpose=ALL_RESEARCH)], NEVER),
        ([say("given", 9, notice=science, purpose=ALL_RESEARCH)], NEVER),
        ([say("given", 9, notice=wider, categories=(AGE, HEALTH))], NEVER),
    )
    below = say("given", 9, notice=wider, categories=(MOOD,))
    hold(([below], NEVER), policy=make_policy(MOOD))


def test_a_gift_covers_the_categories_that_its_notice_enumerates_and_not_those_below() -> None:
    """Consent to health data is none to data on mental health."""
    event = say("given", 9, notice=listing(SCIENCE, of=(AGE, HEALTH), narrower=True))
    hold(([event], YES), policy=make_policy(AGE, HEALTH))
    hold(([event], NEVER), policy=make_policy(MOOD))


def test_a_gift_can_name_fewer_categories_than_its_notice() -> None:
    """It then covers these alone."""
    event = say("given", 9, categories=(HEALTH,))
    hold(([event], YES), policy=make_policy(HEALTH))
    hold(([event], NEVER), policy=make_policy(AGE))


def test_a_gift_without_a_notice_covers_nothing() -> None:
    """Whatever it names itself."""
    bare = Terms(
        ConsentStatus.GIVEN, purpose=SCIENCE, categories=(AGE,), indication=Indication.EXPLICIT
    )
    hold(([Event(bare, ago(9), ago(9))], NEVER))


# 4. What ends a consent


@pytest.mark.parametrize("status", ENDING)
def test_what_ends_a_consent_ends_all_below_what_it_names(status: str) -> None:
    """Purposes and categories, but none above or beside them."""
    given, of_mood = say("given", 9), say("given", 9, notice=listing(SCIENCE, of=(MOOD,)))
    broad, narrow = say("given", 9, notice=listing(ALL_RESEARCH)), say(status, 5, purpose=SCIENCE)
    hold(
        ([given, say(status, 5, purpose=ALL_RESEARCH)], status),
        ([given, say(status, 5, purpose=ACADEMIC)], YES),
    )
    hold(([broad, narrow], YES), policy=make_policy(purpose=ALL_RESEARCH))
    hold(([of_mood, say(status, 5, categories=(HEALTH,))], status), policy=make_policy(MOOD))
    hold(([given, say(status, 5, categories=(MOOD, AGE))], YES), policy=make_policy(HEALTH))


def test_what_ends_a_consent_ends_what_its_notice_enumerates_if_it_names_nothing() -> None:
    """And all below that, whether or not the notice covers narrower purposes."""
    given = say("given", 9)
    hold(
        ([given, say("withdrawn", 5, notice=listing(ALL_RESEARCH))], "withdrawn"),
        ([given, say("withdrawn", 5, notice=listing(MARKETING))], YES),
        ([given, say("withdrawn", 5, notice=listing(SCIENCE, of=(HEALTH,)))], YES),
    )
    wider = say("withdrawn", 5, notice=listing(MARKETING, of=(HEALTH,)), purpose=SCIENCE)
    hold(([given, wider], "withdrawn"), policy=make_policy(HEALTH))


@pytest.mark.parametrize("purpose", [SCIENCE, ALL_RESEARCH, MARKETING])
def test_what_ends_a_consent_ends_everything_if_it_names_neither_anything_nor_a_notice(
    purpose: Purpose,
) -> None:
    """A bare withdrawal is from every purpose, on every category."""
    everything = say("given", 9, notice=listing(*Purpose, of=tuple(Category)))
    policy = make_policy(*Category, purpose=purpose)
    hold(([everything], YES), ([everything, say("withdrawn", 5)], "withdrawn"), policy=policy)


# 5. When a gift ends


def test_a_gift_ends_at_its_end() -> None:
    """The end itself is out, a microsecond before is not."""
    hold(([say("given", 9, ends=0)], "lapsed"), ([say("given", 9, ends=-MICRO)], YES))
    assert Standing.LAPSED.label == "expired"


def test_a_gift_ends_at_the_policy_s_maximum_age_whatever_its_own_end() -> None:
    """The earlier of the two counts."""
    hold(
        ([say("given", 9)], "lapsed"),
        ([say("given", 9 - MICRO)], YES),
        ([say("given", 9, ends=-9)], "lapsed"),
        ([say("given", 5, ends=1)], "lapsed"),
        policy=make_policy(maximum_age_days=9),
    )


def test_an_earlier_gift_does_not_come_back_when_a_later_one_ends() -> None:
    """Even one without an end."""
    hold(([say("given", 9), say("given", 5, ends=1)], "lapsed"))


def test_only_gifts_end() -> None:
    """A refusal, an objection or a restriction holds beyond any end that was written to it."""
    hold(
        *(
            ([say("given", 9), say(status, 5, ends=4)], status)
            for status in (*ENDING, "objected", "restricted")
        ),
        policy=make_policy(maximum_age_days=3),
    )


# 6. Renewals


def test_a_renewal_extends_a_gift() -> None:
    """Also one that lapsed, or was said to be expired; by its own end and age."""
    given = say("given", 9, ends=5)
    hold(
        ([given, say("renewed", 6)], YES),
        ([given, say("renewed", 2)], YES),
        ([given, say("expired", 5), say("renewed", 2)], YES),
        ([given, say("renewed", 2), say("expired", 1)], "expired"),
        ([say("given", 9), say("renewed", 6, ends=1)], "lapsed"),
    )
    aged = make_policy(maximum_age_days=4)
    for at, expected in ((3, YES), (4, "lapsed")):
        hold(([say("given", 9), say("renewed", at)], expected), policy=aged)


@pytest.mark.parametrize("status", ["refused", "invalidated", "revoked", "withdrawn"])
def test_a_renewal_restores_nothing_that_was_taken_back(status: str) -> None:
    """Not even where it was said in between that the consent expired."""
    taken = [say("given", 9), say(status, 7)]
    hold(
        ([*taken, say("renewed", 3)], status),
        ([*taken, say("expired", 5), say("renewed", 3)], "expired"),
        ([*taken, say("given", 4), say("renewed", 3)], YES),
        ([say("given", 9), say("renewed", 8), say(status, 7)], status),
    )


def test_a_renewal_does_not_extend_what_is_unknown() -> None:
    """Only a consent that lapsed, or was said to be expired, can be extended afterwards."""
    hold(([say("given", 9), say("unknown", 7), say("renewed", 3)], "unknown"))


def test_a_renewal_gives_nothing_without_a_gift() -> None:
    """Neither alone, nor after an expiry, nor before the gift, nor beside one that does not fit."""
    hold(
        ([say("renewed", 5)], NEVER),
        ([say("expired", 7), say("renewed", 5)], "expired"),
        ([say("renewed", 5), say("given", 4, ends=1)], "lapsed"),
    )
    implied = say("given", 9, indication=Indication.IMPLIED)
    hold(([implied, say("renewed", 5)], "not explicit"), policy=EXPLICIT)


def test_a_renewal_that_does_not_fit_leaves_the_gift_as_it_was() -> None:
    """It neither ends nor extends it."""
    hold(
        ([say("given", 9), say("renewed", 5, indication=None, ends=1)], YES),
        ([say("given", 9, ends=1), say("renewed", 5, indication=None)], "lapsed"),
        ([say("given", 9, ends=1), say("renewed", 5, article_6=Article6.CONTRACT)], "lapsed"),
        policy=EXPLICIT,
    )


def test_a_renewal_at_the_moment_of_a_gift_counts_by_its_recording() -> None:
    """Recorded later it counts, earlier not, together the more restrictive of the two."""
    short, long = say("given", 9, recorded=7, ends=1), say("given", 9, recorded=7)
    early, together, late = (say("renewed", 9, recorded=recorded) for recorded in (8, 7, 6))
    hold(([short, early], "lapsed"), ([short, together], "lapsed"), ([short, late], YES))
    ended = [say("renewed", 9, recorded=recorded, ends=1) for recorded in (8, 7, 6)]
    expected = (YES, "lapsed", "lapsed")
    hold(*(([long, renewed], e) for renewed, e in zip(ended, expected, strict=True)))


def test_a_renewal_at_the_moment_of_a_withdrawal_restores_nothing() -> None:
    """Whichever was recorded first; beside an expiry it counts if it was recorded later."""
    for recorded in (8, 7, 6):
        gift, renewed = say("given", 12), say("renewed", 9, recorded=recorded)
        hold(
            ([gift, say("withdrawn", 9, recorded=7), renewed], "withdrawn"),
            ([gift, say("expired", 9, recorded=7), renewed], YES if recorded == 6 else "expired"),
            ([say("expired", 9, recorded=7), renewed], "expired"),
        )


def test_a_later_gift_restores_from_then_on() -> None:
    """After everything that ends a consent."""
    stories = [[say("given", 9), say(status, 7), say("given", 3)] for status in ENDING]
    hold(*((events, YES) for events in stories))
    before = zip(stories, ENDING, strict=True)
    hold(*before, moment=Moment(ago(4), NOW))


# 7. What is no answer


@pytest.mark.parametrize("status", ["requested", "deferred"])
def test_what_is_no_answer_changes_nothing_where_there_is_one(status: str) -> None:
    """Before it, after it, and at its very moment."""
    asked = say(status, 3)
    hold(
        ([asked], "no answer"),
        ([say("given", 9), asked], YES),
        ([say("given", 3, recorded=4), asked], YES),
        ([asked, say("given", 2)], YES),
        ([say("given", 9), say("withdrawn", 5), asked], "withdrawn"),
    )


def test_what_is_no_answer_does_not_hide_one_of_the_same_moment() -> None:
    """Also where several were given then, and it was recorded after them all."""
    together = [say("given", 5, recorded=4), say("withdrawn", 5, recorded=3)]
    idle = [say("requested", 5, recorded=2), say("given", 5, recorded=2, indication=None)]
    events = [say("given", 9), *together]
    hold(*(([*events, one], "withdrawn") for one in idle), policy=EXPLICIT)
    # With a right in the ledger, latest answers are found in another way.
    ended = say("restriction-ended", 9)
    hold(*(([*events, one, ended], "withdrawn") for one in idle), policy=EXPLICIT)


# 8. Gifts that do not fit


def test_a_special_category_under_article_9_2_a_needs_an_explicit_gift() -> None:
    """Other categories do not, nor does another condition of Art. 9."""
    events = [[say("given", 9, indication=one)] for one in (None, *list(Indication)[1:])]
    hold(*((one, "not explicit") for one in events), policy=EXPLICIT)
    on_age = make_policy(AGE, article_9=Article9.EXPLICIT_CONSENT)
    for policy in (on_age, make_policy(HEALTH, article_9=Article9.RESEARCH)):
        hold(*((one, YES) for one in events), policy=policy)


def test_a_gift_under_an_older_notice_does_not_count() -> None:
    """The policy says how old, for each notice by its name."""
    notices = [NoticeTerms("study", version, "en", (SCIENCE,), (AGE,)) for version in (2, 3, 4)]
    other = NoticeTerms("another", 1, "en", (SCIENCE,), (AGE,))
    expected = ("older notice", YES, YES, YES)
    hold(
        *(
            ([say("given", 9, notice=notice)], e)
            for notice, e in zip([*notices, other], expected, strict=True)
        ),
        policy=make_policy(minimum_versions={"study": 3}),
    )


def test_a_gift_that_does_not_fit_changes_nothing_where_there_is_another_answer() -> None:
    """It neither gives, nor restores, nor takes the place of one that fits."""
    policy = make_policy(HEALTH, article_9=Article9.EXPLICIT_CONSENT, minimum_versions={"study": 2})
    notice = NoticeTerms("study", 2, "en", (SCIENCE,), (HEALTH,))
    fitting = say("given", 9, notice=notice)
    for unfit in (say("given", 3), say("given", 3, notice=notice, indication=None)):
        hold(
            ([fitting, unfit], YES),
            ([fitting, say("withdrawn", 5), unfit], "withdrawn"),
            ([unfit, say("withdrawn", 1)], "withdrawn"),
            policy=policy,
        )


def test_a_gift_under_another_legal_basis_than_consent_says_nothing() -> None:
    """Whoever agreed to a contract did not consent; nor for a special category by another rule."""
    articles = sorted(set(Article6) - {Article6.CONSENT})
    hold(*(([say("given", 9, article_6=one)], NEVER) for one in articles))
    withdrawn = say("withdrawn", 9)
    hold(*(([withdrawn, say("given", 5, article_6=one)], "withdrawn") for one in articles))
    hold(([say("given", 9, article_6=Article6.CONSENT)], YES))
    hold(
        ([say("given", 9, article_9=Article9.HEALTH_CARE)], NEVER),
        ([say("given", 9, article_9=Article9.EXPLICIT_CONSENT)], YES),
        policy=EXPLICIT,
    )


# 9. Children


def test_a_gift_counts_if_it_was_made_by_who_could_make_it_then() -> None:
    """Before the age the guardian, from that moment on the person."""
    hold(
        ([say("given", 5 + MICRO, by_guardian=True)], YES),
        ([say("given", 5 + MICRO)], "needs guardian"),
        ([say("given", 5)], YES),
        ([say("given", 5, by_guardian=True)], "needs guardian"),
        own_from=ago(5),
    )


def test_nobody_s_gift_counts_while_it_is_unclear_who_could_make_it() -> None:
    """Before the day can have begun the guardian's does, once it has begun everywhere the own."""
    doubtful = [say("given", at, by_guardian=by) for at in (6, 5 + MICRO) for by in (False, True)]
    clear = [say("given", 6 + MICRO, by_guardian=True), say("given", 5)]
    hold(
        *(([one], YES) for one in clear),
        *(([one], "needs guardian") for one in doubtful),
        own_from=ago(5),
        doubt=DAY,
    )


def test_what_the_guardian_gave_stays_valid_when_the_child_comes_of_age() -> None:
    """Until it ends or is withdrawn, by whomever."""
    given = say("given", 9, by_guardian=True)
    withdrawals = [say("withdrawn", at, by_guardian=by) for at in (7, 3) for by in (False, True)]
    hold(
        ([given], YES),
        *(([given, withdrawn], "withdrawn") for withdrawn in withdrawals),
        own_from=ago(5),
    )


def test_who_was_last_given_for_by_the_other_is_not_read() -> None:
    """Even if an earlier gift would do, and also where the last was a renewal."""
    given = say("given", 9, by_guardian=True)
    hold(
        ([given, say("given", 7)], "needs guardian"),
        ([given, say("renewed", 7)], "needs guardian"),
        ([say("given", 4), say("given", 3, by_guardian=True)], "needs guardian"),
        ([say("given", 4), say("renewed", 3, by_guardian=True)], "needs guardian"),
        ([given, say("renewed", 3)], YES),
        own_from=ago(5),
    )


def test_a_renewal_extends_no_gift_of_who_could_not_make_it() -> None:
    """Also one that is over, or was given beside one that could be; who could then gives anew."""
    by_child, by_guardian = say("given", 9), say("given", 4, by_guardian=True)
    cases = [
        ([by_child, say("renewed", 3)], "needs guardian"),
        ([by_guardian, say("renewed", 3)], "needs guardian"),
        ([by_child, say("renewed", 8, by_guardian=True)], "needs guardian"),
        ([say("given", 9, ends=6), say("renewed", 3)], "lapsed"),
        ([say("given", 4, by_guardian=True, ends=3.5), say("renewed", 3)], "lapsed"),
        ([by_child, say("expired", 6), say("renewed", 3)], "expired"),
        ([by_guardian, say("given", 4), say("renewed", 3)], "needs guardian"),
        (
            [say("given", 4, by_guardian=by, ends=3.5) for by in (False, True)]
            + [say("renewed", 3)],
            "lapsed",
        ),
        ([by_child, say("given", 4), say("renewed", 3)], YES),
        ([say("given", 9, by_guardian=True, ends=6), say("renewed", 3)], YES),
        ([say("given", 4, ends=3.5), say("renewed", 3)], YES),
    ]
    hold(*cases, own_from=ago(5))
    hold(*(([*reversed(events)], expected) for events, expected in cases), own_from=ago(5))
    hold(([say("given", 6.5), say("renewed", 3)], "needs guardian"), own_from=ago(6), doubt=DAY)


def test_nobody_asks_who_gave_a_consent_where_the_policy_asks_for_no_age() -> None:
    """And who is not among those of whom an age is known could always speak for themselves."""
    hold(*(([say("given", 9, by_guardian=by)], YES) for by in (False, True)))
    people = {1: [say("given", 9)], 2: [say("given", 9)], 3: [say("given", 9, by_guardian=True)]}
    found = settle_all(people, make_policy(), Moment(NOW, NOW), {2: ago(5)})
    assert [found[who][0] for who in people] == [YES, "needs guardian", "needs guardian"]


# 10. By category


def test_who_consented_to_some_categories_only_is_left_out_or_read_without_the_others() -> None:
    """As the policy says; who consented to all is read whole, who to none not at all."""
    given = say("given", 9, notice=listing(SCIENCE, of=(AGE, HEALTH, MOOD)))
    stories = [
        [given],
        [say("given", 9)],
        [given, say("withdrawn", 5, categories=(HEALTH,))],
        [given, say("withdrawn", 5, categories=(MOOD,))],
        [given, say("withdrawn", 5)],
    ]
    out, blank = (make_policy(AGE, HEALTH, MOOD, on_partial=how) for how in ("exclude", "blank"))
    said = (YES, *["only in part"] * 3, "withdrawn")
    covered = hold(*zip(stories, said, strict=True), policy=out)
    assert covered == [{AGE, HEALTH, MOOD}, NOBODY, NOBODY, NOBODY, NOBODY]
    said = (*[YES] * 4, "withdrawn")
    covered = hold(*zip(stories, said, strict=True), policy=blank)
    assert covered == [{AGE, HEALTH, MOOD}, {AGE, HEALTH}, {AGE}, {AGE, HEALTH}, NOBODY]


# 11. and 12. Objections and restrictions


@pytest.mark.parametrize(
    ("purpose", "basis", "counts"),
    [
        (MARKETING, {"article_6": Article6.PUBLIC_TASK, **OTHER}, True),
        (MARKETING, {"article_6": Article6.LEGITIMATE_INTERESTS, **OTHER}, True),
        (MARKETING, {"article_6": Article6.CONTRACT, **OTHER}, False),
        (MARKETING, {"article_6": Article6.LEGAL_OBLIGATION, **OTHER}, False),
        (MARKETING, {"article_6": Article6.VITAL_INTERESTS, **OTHER}, False),
        (MARKETING, {}, False),
        (MARKETING, {"article_9": Article9.RESEARCH}, True),
        (SCIENCE, {}, True),
        (SCIENCE, {"article_6": Article6.CONTRACT, **OTHER}, True),
        (ALL_RESEARCH, {}, True),
    ],
)
def test_an_objection_excludes_by_the_basis_or_if_the_purpose_is_research(
    purpose: Purpose, basis: dict[str, Any], *, counts: bool
) -> None:
    """And elsewhere changes nothing."""
    events = [say("given", 9, notice=listing(purpose)), say("objected", 5)]
    policy = make_policy(purpose=purpose, **basis)
    hold((events, "objected" if counts else YES), policy=policy)


@pytest.mark.parametrize("right", RIGHTS)
def test_a_right_counts_for_the_purpose_and_all_below_it(right: str) -> None:
    """An objection to marketing is none to research."""
    purposes = ((SCIENCE, right), (ALL_RESEARCH, right), (ACADEMIC, YES), (MARKETING, YES))
    hold(
        *(([say("given", 9), say(right, 5, purpose=one)], e) for one, e in purposes),
        *(([say("given", 9), say(right, 5, notice=listing(one))], e) for one, e in purposes),
        ([say("given", 9), say(right, 5, categories=(HEALTH,))], right),
    )


@pytest.mark.parametrize("right", RIGHTS)
def test_a_gift_that_begins_later_than_a_right_was_exercised_restores(right: str) -> None:
    """Not one of the same moment; a renewal of an earlier gift begins no later than that gift."""
    exercised = say(right, 5)
    hold(
        ([say("given", 9), exercised], right),
        ([say("given", 5, recorded=4), exercised], right),
        ([exercised, say("given", 5 - MICRO)], YES),
        ([say("given", 9), exercised, say("renewed", 3)], right),
        ([say("given", 9), exercised, say("expired", 4), say("renewed", 3)], right),
        ([exercised, say("given", 4), say("renewed", 3)], YES),
        ([exercised, say("given", 4), say("expired", 3), say("renewed", 2)], YES),
    )
    by_other = make_policy(article_6=Article6.LEGITIMATE_INTERESTS, **OTHER)
    hold(([exercised, say("given", 3)], right), policy=by_other)


@pytest.mark.parametrize("right", RIGHTS)
@pytest.mark.parametrize("how", ["exclude", "blank"])
def test_a_gift_lifts_a_right_only_if_all_that_is_read_was_given_anew(right: str, how: str) -> None:
    """A later gift for one category leaves another, and with it the person, as it was."""
    events = [say("given", 9), say(right, 5), say("given", 3, categories=(AGE,))]
    hold((events, right), policy=make_policy(AGE, HEALTH, on_partial=how))
    hold((events, YES), policy=make_policy(AGE, on_partial=how))


@pytest.mark.parametrize(
    ("right", "ended"),
    [("objected", "objection-ended"), ("restricted", "restriction-ended")],
)
def test_a_right_holds_until_it_is_ended(right: str, ended: str) -> None:
    """The latest word on it counts; at one moment the right, whatever was recorded last."""
    given = say("given", 9)
    hold(
        ([given, say(ended, 7), say(right, 5)], right),
        ([given, say(right, 7), say(ended, 5)], YES),
        ([given, say(right, 7), say(ended, 7)], right),
        ([given, say(right, 7, recorded=5), say(ended, 7, recorded=4)], right),
        ([given, say(right, 7, recorded=4), say(ended, 7, recorded=5)], right),
        ([given, say(right, 7), say(ended, 7 - MICRO)], YES),
    )


@pytest.mark.parametrize(
    ("right", "ended"),
    [("objected", "objection-ended"), ("restricted", "restriction-ended")],
)
@pytest.mark.parametrize("basis", [{}, {"article_6": Article6.LEGITIMATE_INTERESTS, **OTHER}])
def test_a_right_s_end_for_less_than_is_read_ends_nothing(
    right: str, ended: str, basis: dict[str, Any]
) -> None:
    """Whatever it was exercised for; what the end names is read with all below it."""
    begun = [say("given", 9, notice=listing(SCIENCE, of=(AGE, MOOD))), say(right, 5)]
    of_age = [*begun[:1], say(right, 5, categories=(AGE,))]
    ends = {names: say(ended, 3, categories=names) for names in ((AGE,), (MOOD,), (AGE, HEALTH))}
    hold(
        ([*begun, say(ended, 3)], YES),
        ([*begun, ends[AGE,]], right),
        ([*begun, ends[AGE,], ends[MOOD,]], right),
        ([*of_age, ends[AGE,]], right),
        ([*begun, say(ended, 3, notice=listing(SCIENCE, of=(AGE,)))], right),
        ([*begun, ends[AGE, HEALTH]], YES),
        policy=make_policy(AGE, MOOD, **basis),
    )


@pytest.mark.parametrize("article", sorted(Article6))
def test_a_restriction_excludes_under_every_basis(article: Article6) -> None:
    """It needs no ground in the basis, as an objection does."""
    basis = {} if article is Article6.CONSENT else OTHER
    given = say("given", 9, notice=listing(MARKETING))
    hold(
        ([given, say("restricted", 5)], "restricted"),
        ([given, say("restricted", 5, purpose=SCIENCE)], YES),
        policy=make_policy(purpose=MARKETING, article_6=article, **basis),
    )


# 13. No falling back


@pytest.mark.parametrize("basis", [OTHER, LISTED], ids=["other-basis", "opt-out"])
def test_there_is_no_falling_back_on_another_basis(basis: dict[str, Any]) -> None:
    """After a refusal, a withdrawal or a revocation; what merely ran out bars nobody."""
    barring = {status: status for status in ("refused", "withdrawn", "revoked")}
    hold(
        ([], YES),
        *(([say(one, 5)], barring.get(one, YES)) for one in ENDING),
        *(([say(one, 5), say("renewed", 3)], barring.get(one, YES)) for one in ENDING),
        *(([say(one, 5), say("given", 3)], YES) for one in ENDING),
        *(([say(one, 5, purpose=MARKETING)], YES) for one in ENDING),
        policy=make_policy(AGE, HEALTH, article_6=Article6.CONTRACT, **basis),
    )


def test_a_withdrawal_bars_until_all_that_is_read_and_that_it_named_is_given_again() -> None:
    """Whatever its categories, and whichever is given again first."""
    withdrawn = say("withdrawn", 5, categories=(ORIGIN,))
    age, health = say("given", 3, categories=(AGE,)), say("given", 3, categories=(HEALTH,))
    origin = say("given", 3, notice=listing(SCIENCE, of=(ORIGIN,)))
    hold(
        ([withdrawn], "withdrawn"),
        ([withdrawn, origin, age], "withdrawn"),
        ([withdrawn, origin, health], "withdrawn"),
        ([withdrawn, age, health], "withdrawn"),
        ([withdrawn, origin, age, health], YES),
        policy=make_policy(AGE, HEALTH, article_6=Article6.CONTRACT, **OTHER),
    )


def test_under_another_basis_a_gift_since_covers_what_was_refused_whoever_reads_it() -> None:
    """Also a category that the policy does not read, by its own name; a bare refusal names none."""
    gifts = [say("given", 3, categories=(one,)) for one in (AGE, HEALTH)]
    of_mood = listing(SCIENCE, of=(AGE, MOOD))
    hold(
        ([say("refused", 5, categories=(HEALTH,)), gifts[0]], "refused"),
        ([say("refused", 5, categories=(HEALTH,)), *gifts], YES),
        ([say("refused", 5, categories=(MOOD,)), *gifts], "refused"),
        ([say("withdrawn", 5, notice=of_mood), gifts[0]], "withdrawn"),
        ([say("withdrawn", 5, notice=of_mood), say("given", 3, notice=of_mood)], YES),
        ([say("withdrawn", 5, notice=listing(MARKETING, of=(MOOD,))), gifts[0]], YES),
        ([say("withdrawn", 5), gifts[0]], YES),
        ([say("refused", 3, categories=(HEALTH,)), *gifts], "refused"),
        policy=make_policy(AGE, article_6=Article6.CONTRACT, **OTHER),
    )


# The one reason of each person


def test_each_person_has_one_reason_and_it_is_the_most_restrictive() -> None:
    """Only in part before the answers on a category; rights before both, restriction first."""
    given = say("given", 9, notice=listing(SCIENCE, of=(AGE, HEALTH, MOOD)))
    refused, revoked = say("refused", 5, categories=(HEALTH,)), say("revoked", 5, categories=(AGE,))
    restricted, objected = say("restricted", 5), say("objected", 3)
    hold(
        ([given, refused], "only in part"),
        ([given, refused, revoked], "revoked"),
        ([given, refused, objected], "objected"),
        ([given, revoked, restricted, objected], "restricted"),
        ([given, refused, revoked, restricted], "restricted"),
        policy=make_policy(AGE, HEALTH, MOOD),
    )


def test_a_restriction_that_a_later_gift_lifted_is_not_the_reason() -> None:
    """The objection after that gift is."""
    hold(([say("restricted", 9), say("given", 7), say("objected", 5)], "objected"))


def test_the_events_of_others_change_nothing() -> None:
    """Not even of people whose tokens are half alike."""
    given, withdrawn = say("given", 9), say("withdrawn", 5)
    thirds = [([given, withdrawn], "withdrawn"), ([given], YES), ([given], YES)]
    hold(*thirds * 4)
