"""Consent is decided as by the naive loop, whatever the history.

Histories have few moments, so that most of their events meet at the same one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from expectations.policy.consent_terms import NoticeTerms, Terms
from expectations.policy.legal_basis import ConsentLedger
from expectations.policy.many_rows import ReadDates
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Article6, Article9, ConsentStatus, Indication
from tasks.consent.judgement import Moment
from tests.tasks.consent.consent_oracle import DAY, Event, Question, decide
from tests.tasks.consent.test_consent_rules import (
    ACADEMIC,
    AGE,
    ALL_RESEARCH,
    HEALTH,
    LISTED,
    MARKETING,
    MOOD,
    ORIGIN,
    OTHER,
    SCIENCE,
    YES,
    Answer,
    People,
    make_policy,
    settle_all,
)

Choose = Callable[[Sequence[Any]], Any]
"""Takes one of several: by Hypothesis, or by a seed."""

STATUSES = (*[ConsentStatus.GIVEN] * 9, *[ConsentStatus.RENEWED] * 4, *ConsentStatus)
NOTICES = (
    *[NoticeTerms("study", 2, "en", (SCIENCE,), (AGE, ORIGIN, HEALTH, MOOD))] * 8,
    NoticeTerms("study", 1, "en", (SCIENCE,), (AGE, HEALTH)),
    NoticeTerms("study", 3, "en", (SCIENCE, MARKETING), (AGE, ORIGIN, MOOD), covers_narrower=True),
    NoticeTerms("broad", 1, "en", (ALL_RESEARCH,), (AGE, ORIGIN, HEALTH), covers_narrower=True),
    NoticeTerms("broad", 2, "de", (ALL_RESEARCH, ACADEMIC), (AGE, HEALTH, MOOD)),
    NoticeTerms("shop", 1, "en", (MARKETING,), (AGE,)),
)
PURPOSES = (*[None] * 9, *[SCIENCE] * 3, ALL_RESEARCH, ALL_RESEARCH, ACADEMIC, MARKETING)
CATEGORIES = (*[()] * 9, (AGE,), (HEALTH,), (MOOD,), (AGE, ORIGIN), (HEALTH, MOOD, AGE))
MINORS = {"own_consent_from": 14, "age": "age"}


def read_days(policy: Policy) -> Policy:
    """Let a policy read the data of some days."""
    dates = ReadDates.model_validate(
        {"from": "2020-01-01", "until": "2023-12-31", "undated": "covered"}
    )
    return policy.model_copy(update={"source": policy.source.model_copy(update={"dates": dates})})


POLICIES = {
    "explicit": make_policy(HEALTH, article_9=Article9.EXPLICIT_CONSENT),
    "versions": make_policy(
        *(HEALTH, AGE), article_9=Article9.EXPLICIT_CONSENT, minimum_versions={"study": 2}
    ),
    "blank": make_policy(*(MOOD, AGE, ORIGIN, HEALTH), on_partial="blank", minors=MINORS),
    "exclude": make_policy(*(MOOD, AGE, HEALTH), maximum_age_days=2),
    "minors": make_policy(AGE, minors=MINORS),
    "broad": make_policy(*(AGE, ORIGIN), purpose=ALL_RESEARCH, article_9=Article9.RESEARCH),
    "marketing": make_policy(*(AGE, MOOD), purpose=MARKETING, on_partial="blank"),
    "interests": make_policy(*(AGE, HEALTH), article_6=Article6.LEGITIMATE_INTERESTS, **OTHER),
    "task": make_policy(
        *(AGE, MOOD), article_6=Article6.PUBLIC_TASK, article_9=Article9.RESEARCH, **LISTED
    ),
    "dated": read_days(make_policy(*(AGE, HEALTH))),
    "contract": make_policy(AGE, article_6=Article6.CONTRACT, **OTHER),
}
"""Every ground and rule in one of them."""


def make_terms(choose: Choose, status: ConsentStatus) -> Terms:
    """Make what an event says; in most cases it is about what the policy reads."""
    gift = status in {ConsentStatus.GIVEN, ConsentStatus.RENEWED}
    return Terms(
        status,
        choose(PURPOSES),
        choose(CATEGORIES),
        choose(NOTICES if gift else (*[None] * 4, *NOTICES)),
        choose((*[None] * 9, Article6.CONSENT, Article6.CONTRACT)),
        choose((*[None] * 9, Article9.EXPLICIT_CONSENT, Article9.RESEARCH)),
        choose((*[Indication.EXPLICIT] * 5, Indication.IMPLIED, None)),
        by_guardian=choose((False, False, False, True)),
        data_from=choose((*[None] * 9, "2020-01-01", "2021-07-01")),
        data_until=choose((*[None] * 9, "2024-12-31", "2023-06-30")),
    )


def make_event(choose: Choose, terms: Sequence[Terms], days: Sequence[int]) -> Event:
    """Make an event of one of the terms, on one of the days."""
    end = choose((*[None] * 4, *days))
    return Event(
        choose(terms),
        choose(days) * DAY,
        choose(days) * DAY,
        None if end is None else (end + 2) * DAY,
    )


@dataclass(frozen=True)
class World:
    """A policy, the histories of some people, when they come of age, and the two moments.

    For so long as `doubt` before they do it is unclear whether they did.
    """

    policy: Policy
    people: People
    own_from: dict[int, int] | None
    doubt: int
    moment: Moment

    def settle(self, **changes: Any) -> dict[int, Answer]:
        """Decide, with some of it changed."""
        world = replace(self, **changes)
        return settle_all(world.people, world.policy, world.moment, world.own_from, world.doubt)

    def tell(self, who: int) -> Answer:
        """Give what the naive loop says of one person."""
        return decide(
            self.people[who],
            Question.of(self.policy),
            self.moment.valid_at,
            self.moment.known_at,
            None if self.own_from is None else self.own_from[who],
            doubt=self.doubt,
        )


def make_world(
    choose: Choose,
    policy: Policy,
    people: int,
    statuses: Sequence[ConsentStatus],
    days: Sequence[int] = range(4),
) -> World:
    """Make so many people with up to six events each, on few days, each of one of few terms."""
    said = [make_terms(choose, status) for status in statuses]
    histories = {
        who: [make_event(choose, said, days) for _ in range(choose(range(7)))]
        for who in range(people)
    }
    own_from = {who: choose((-(10**15), DAY, 2 * DAY, 10**17)) for who in range(people)}
    ages = isinstance(policy.basis, ConsentLedger) and policy.basis.minors is not None
    moment = Moment(choose((days[-1], days[-2])) * DAY, choose((days[-1], days[-2])) * DAY)
    return World(policy, histories, own_from if ages else None, choose((0, DAY)), moment)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Give few people who said few things."""
    policy = POLICIES[draw(st.sampled_from(list(POLICIES)))]
    statuses = [draw(st.sampled_from(STATUSES)) for _ in range(5)]
    return make_world(lambda some: draw(st.sampled_from(some)), policy, 3, statuses)


@given(world=worlds())
def test_every_history_is_decided_as_by_the_naive_loop(world: World) -> None:
    """The reason, and the categories that may be read."""
    told = {who: world.tell(who) for who in world.people}
    assert world.settle() == told


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", POLICIES)
def test_a_crowd_is_decided_as_by_the_naive_loop(name: str, seed: int) -> None:
    """Over one ledger with all statuses; the shortest history that is not is shown."""
    world = make_world(random.Random(f"{name} {seed}").choice, POLICIES[name], 1_000, STATUSES)
    found = world.settle()
    unlike = [who for who in world.people if found[who] != world.tell(who)]
    if unlike:
        who = min(unlike, key=lambda one: len(world.people[one]))
        shown = replace(world, people={who: world.people[who]})
        pytest.fail(f"{found[who]}, not {world.tell(who)}, for {shown}")


def test_moments_of_every_century_are_decided_alike() -> None:
    """Placeholders such as the year 2 or 9999 are written where nobody knew a time."""
    days = (-718_000, -100_000, -30_000, 0, 1, 2_900_000)
    world = make_world(random.Random(2).choice, POLICIES["versions"], 1_500, STATUSES, days)
    told = {who: world.tell(who) for who in world.people}
    assert world.settle() == told


@settings(max_examples=8)
@given(world=worlds(), seed=st.integers(0, 99))
def test_order_and_repetition_change_nothing(world: World, seed: int) -> None:
    """The events are a set."""
    rng, found = random.Random(seed), world.settle()
    repeated = {
        who: [e for e in rng.sample(events, len(events)) for _ in range(rng.choice((1, 1, 3)))]
        for who, events in sorted(world.people.items(), key=lambda _: rng.random())
    }
    assert world.settle(people=repeated) == found


@settings(max_examples=8)
@given(world=worlds(), last=st.sampled_from(["withdrawn", "revoked", "refused"]))
def test_a_withdrawal_with_the_latest_moment_always_ends(world: World, last: str) -> None:
    """Whatever was said before, and under every basis.

    Under another than consent, what was refused by name and is not read can be the reason.
    """
    moment = replace(world.moment, known_at=10 * DAY)
    end = Event(Terms(ConsentStatus(last)), moment.valid_at, 9 * DAY)
    people = {who: [*events, end] for who, events in world.people.items()}
    found = world.settle(people=people, moment=moment)
    by_name = set() if world.policy.basis.by_consent else {"refused", "revoked", "withdrawn"}
    assert {reason for reason, _ in found.values()} <= {last, "objected", "restricted", *by_name}


@settings(max_examples=8)
@given(world=worlds())
def test_nobody_is_permitted_without_a_gift(world: World) -> None:
    """Not by a renewal, nor by the end of whatever stood in the way."""
    assume(world.policy.basis.kind == "consent")
    people = {
        who: [e for e in events if e.status is not ConsentStatus.GIVEN]
        for who, events in world.people.items()
    }
    found = world.settle(people=people)
    assert all(reason != YES and not covered for reason, covered in found.values())


@settings(max_examples=8)
@given(world=worlds(), more=worlds(), late=st.booleans())
def test_what_was_not_yet_known_or_does_not_hold_yet_changes_nothing(
    world: World, more: World, *, late: bool
) -> None:
    """By a microsecond."""
    moment = world.moment
    people = {
        who: [
            *events,
            *(
                replace(e, recorded_at=moment.known_at + 1)
                if late
                else replace(e, valid_from=moment.valid_at + 1)
                for e in more.people[who]
            ),
        ]
        for who, events in world.people.items()
    }
    assert world.settle(people=people) == world.settle()


@settings(max_examples=8)
@given(world=worlds())
def test_the_events_of_others_change_nothing(world: World) -> None:
    """Each person is decided alone as among all."""
    found = world.settle()
    for who, events in world.people.items():
        assert world.settle(people={who: events}) == {who: found[who]}
