"""An attack that could not tell refuses where nobody else vouches for the model."""

from __future__ import annotations

import pytest

from expectations.checks import Check
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import CheckVerdict
from expectations.policy_file import parse_policy
from tasks.attack.surest import FEW
from tasks.attack.tolerance import STRICT, advise, find_cohort, find_intolerable
from tests.conftest import ATTACKS, small_policy

OPEN, REFUSED = CheckVerdict.INCONCLUSIVE, CheckVerdict.REFUSED
UNSAID = (ATTACKS, "attacks: {membership: {}}\n")
OWN = ("{model: logistic-regression}", "{model: own.py:Calm}")
NAMES = {
    "membership": ("membership inference", FEW),
    "audit": ("audit of ε",),
    "memorization": ("memorization",),
    "attribute_inference": ("attribute inference",),
    "search": ("holds nobody's rows",),
}
FEWER, MANY = (150, 50), (3000, 900)


def private(epsilon: float) -> tuple[tuple[str, str], ...]:
    """Give the changes that make the small policy's model a private one."""
    promise = f"{{kind: differential-privacy, epsilon: {epsilon}, delta: 1e-5}}"
    return (
        ("{model: logistic-regression}", "{model: private-logistic-regression}"),
        ("recipient: Clinic", f"recipient: Clinic\n    promise: {promise}"),
    )


def give_policy(*changes: tuple[str, str]) -> Policy:
    """Give the small policy, in which nothing is said of attacks that cannot tell."""
    return parse_policy(small_policy(UNSAID, *changes))


def found(name: str, verdict: CheckVerdict = OPEN) -> Check:
    """Give a check of an attack."""
    return Check(name, "asked", "measured", verdict, power="much", remedy="attack more people")


def refuse(policy: Policy, people: tuple[int, int], *others: Check) -> list[str]:
    """Name what ends a run in which no attack could tell."""
    names = [
        name for each in NAMES.values() for name in each if name not in {o.name for o in others}
    ]
    open_ones = [found(name) for name in (*names, "membership inference within groups")]
    return [
        check.name for check in end([*open_ones, *others], policy, people) if check.verdict is OPEN
    ]


def end(checks: list[Check], policy: Policy, people: tuple[int, int]) -> list[Check]:
    """Give what ends a run, with what is advised."""
    assert policy.attacks is not None
    cohort = find_cohort(policy, people, checks)
    advised = [advise(check, policy, cohort) for check in checks]
    return [*find_intolerable(advised, policy.attacks, cohort)]


def test_of_many_people_and_a_model_of_ours_membership_alone_must_tell() -> None:
    """As it always was."""
    assert refuse(give_policy(), MANY) == [*NAMES["membership"]]


def test_of_few_people_each_attack_that_cannot_tell_refuses() -> None:
    """But for groups, of which most policies have some that are too small, and for features."""
    assert sorted(refuse(give_policy(), FEWER)) == sorted(STRICT)


def test_of_a_class_of_ones_own_each_attack_that_cannot_tell_refuses() -> None:
    """However many people there are."""
    assert "memorization" in refuse(give_policy(OWN), MANY)


@pytest.mark.parametrize("part", NAMES)
@pytest.mark.parametrize("word", ["refuse", "report"])
@pytest.mark.parametrize("changes", [(), (OWN,), private(1)], ids=["plain", "own", "private"])
@pytest.mark.parametrize("people", [FEWER, MANY], ids=["few", "many"])
def test_what_a_policy_says_by_hand_stands(
    part: str, word: str, changes: tuple[tuple[str, str], ...], people: tuple[int, int]
) -> None:
    """Whatever would be done without a word."""
    said = f"{part}: {{when_inconclusive: {word}}}"
    rest = "" if part == "membership" else ", membership: {}"
    policy = parse_policy(small_policy((ATTACKS, f"attacks: {{{said}{rest}}}\n"), *changes))
    ended = refuse(policy, people)
    assert all((name in ended) is (word == "refuse") for name in NAMES[part])


@pytest.mark.parametrize(("epsilon", "enough"), [(0.5, True), (1, True), (1.2, False), (8, False)])
def test_an_audited_promise_says_enough_of_few_people(epsilon: float, *, enough: bool) -> None:
    """Within e^ε = 3 no attack could find more, however strong; beyond it nobody knows."""
    policy = give_policy(*private(epsilon))
    audited = found("audit of ε", CheckVerdict.PASSED)
    assert (refuse(policy, FEWER, audited) == []) is enough
    assert "audit of ε" in refuse(policy, FEWER)  # a promise alone proves nothing


def test_a_promise_excuses_no_attack_that_found_something() -> None:
    """Only what could not be told."""
    checks = [found("audit of ε", CheckVerdict.PASSED), found("memorization", REFUSED)]
    kept = end(checks, give_policy(*private(1)), FEWER)
    assert [check.name for check in kept if check.verdict is REFUSED] == ["memorization"]


def test_a_refusal_says_what_would_be_enough() -> None:
    """More people, or a model that somebody can vouch for; the promise advised is one that does."""
    (small,) = end([found(FEW)], give_policy(), FEWER)
    assert small.remedy == (
        "attack more people; or train private-logistic-regression, with a promise of ε = 1"
    )
    (average,) = end([found("memorization")], give_policy(), FEWER)
    assert average.remedy.startswith("attack more people, and at least 750 in all; or train")
    (own,) = end([found("memorization")], give_policy(OWN), MANY)
    assert "or train a model that comes with tutela, such as logistic-regression" in own.remedy
    stricter = (ATTACKS, "attacks: {membership: {found_at_most: 2}}\n")
    policy = parse_policy(small_policy(stricter))
    (small,) = end([found(FEW)], policy, FEWER)
    assert small.remedy.endswith("with a promise of ε = 0.6")
