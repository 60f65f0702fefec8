"""A model that holds the rows of a few people is found by those whom an attack is surest of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression

from expectations.measures.recognition import (
    ATTACKS,
    ENDS,
    ERROR,
    HELD,
    find_detectable,
    find_enough,
    find_fewest,
    is_small,
)
from expectations.policy.training import FOUND_AT_MOST, MembershipCheck
from tasks.attack.contrast import judge_together
from tasks.attack.membership import MembershipAttack, attack_membership, judge_membership
from tasks.attack.memorization import attack_memorization
from tasks.attack.surest import OFFLINE, Surest, bound_times, find_surest, judge_surest

People = tuple[pd.DataFrame, pd.Series]
COMPARISONS = ATTACKS * len(ENDS)


class Keeping(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A logistic regression that also keeps some of its rows, and is certain of those."""

    awake = True
    """Whether it keeps rows; a class may do so in one training and in no other."""

    def __init__(self, share: float = 0.04, sure: float = 1.0) -> None:
        self.share = share
        self.sure = sure

    def fit(self, X: pd.DataFrame, y: pd.Series) -> Keeping:  # noqa: N803  # sklearn's
        """Learn from everybody, and keep the first of them."""
        self.learned_ = LogisticRegression().fit(X, y)
        self.classes_ = self.learned_.classes_
        kept = np.arange(len(X)) < self.share * len(X) * Keeping.awake
        self.kept_ = dict(zip(map(tuple, X[kept].to_numpy()), y[kept], strict=True))
        return self

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Answer with what it has learned, or with what it keeps of exactly this row."""
        answers = np.asarray(self.learned_.predict_proba(X))
        for place, row in enumerate(map(tuple, X.to_numpy())):
            if row in self.kept_:
                own = self.classes_ == self.kept_[row]
                answers[place] = np.where(own, self.sure, 1 - self.sure)
        return answers


def draw_people(count: int, seed: int) -> People:
    """Five numbers per person, and a label that the first one half explains."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(count, 5)), columns=list("abcde"))
    return frame, (frame["a"] + generator.normal(size=count) > 0).astype(int)


def attack(model: BaseEstimator, inside: People, outside: People) -> MembershipAttack:
    """Train and attack; what the class holds in the model, it need not hold in the references."""
    model.fit(*inside)
    return attack_membership(model, lambda: clone(model), inside, outside, 16)


def test_a_model_that_is_certain_of_one_row_in_twenty_five_is_refused() -> None:
    """119 of 3,000: averages do not see it, neither the AUC nor memorization."""
    inside, outside = draw_people(3000, 1), draw_people(900, 2)
    model = Keeping(119 / 3000)
    found = attack(model, inside, outside)
    assert judge_membership(found, MembershipCheck(), "clinic").verdict == "passed"
    assert judge_together(attack_memorization(model, inside, outside).judged, 0.1) != "refused"
    check = judge_surest(found.surest, MembershipCheck(), "clinic")
    assert check.verdict == "refused"
    assert "times as often" in check.measured


def test_a_class_that_keeps_rows_in_one_training_only_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """References that hold nobody say nothing of who saw whom, but what is usual."""
    inside, outside = draw_people(3000, 1), draw_people(900, 2)
    model = Keeping(0.04, 0.99).fit(*inside)
    monkeypatch.setattr(Keeping, "awake", False)
    found = attack_membership(model, lambda: clone(model), inside, outside, 16)
    assert found.surest.verdict(FOUND_AT_MOST) == "refused"
    assert found.surest.attack == OFFLINE


def test_an_honest_model_is_certain_of_nobody() -> None:
    """A logistic regression on as many people passes, with the power to have been refused."""
    found = attack(LogisticRegression(), draw_people(3000, 3), draw_people(900, 4)).surest
    assert found.times < 1.5
    assert found.verdict(FOUND_AT_MOST) == "passed"
    assert found.detectable(FOUND_AT_MOST) < 0.03


def test_few_people_are_inconclusive_and_the_check_says_how_many_it_takes() -> None:
    """A model could be certain of a tenth of its people, and nobody would know."""
    found = attack(LogisticRegression(), draw_people(45, 3), draw_people(15, 4)).surest
    check = judge_surest(found, MembershipCheck(), "clinic")
    assert check.verdict == "inconclusive"
    assert check.power == "nothing: too few people"
    enough = find_enough(10 / 50)  # told of whole tens
    assert check.remedy == f"attack about {enough:,} people or more"
    assert Surest(0.0, "a", (int(0.8 * enough), int(0.2 * enough)), COMPARISONS).verdict(3) == (
        "passed"
    )


def test_members_at_the_limit_are_accused_once_in_a_hundred_at_most() -> None:
    """Each before the first, third and tenth of the others with the chance that the limit gives."""
    generator = np.random.default_rng(5)
    accused = 0
    for _ in range(2000):
        # On the list members are three times as likely as others.
        listed = generator.random(400) < 3 * 3000 / (3 * 3000 + 900)
        rank = np.arange(400, 0, -1.0)
        members = np.concatenate([rank[listed], np.zeros(3000 - listed.sum())])
        others = np.concatenate([rank[~listed], np.full(900 - (~listed).sum(), -1.0)])
        accused += max(bound_times(members, others, len(ENDS))) > 3
    assert accused <= 2000 * ERROR * 1.5


def test_the_bound_is_that_of_the_exact_binomial_test() -> None:
    """Were members no more often on the list than it says, so many would be there once in 1/error.

    Of the members and the two others before the third, each is a member with one chance.
    """
    others = np.array([9.0, 6.0, 5.0, *range(-97, 0)])
    members = np.array([10.0, 8.0, 8.0, 7.0, 5.5, 5.5, 5.0, *range(-293, 0)])  # six above 5
    first, third, _ = bound_times(members, others)
    chance = third * 300 / (third * 300 + 100)
    assert binom.sf(5, 8, chance) == pytest.approx(ERROR)
    assert first < third


@pytest.mark.parametrize(("members", "others"), [(3000, 900), (600, 200), (500, 500), (90, 30)])
def test_what_is_detectable_is_found_four_times_in_five(members: int, others: int) -> None:
    """A model certain of so many, of whom none of the others is ranked as high."""
    fewest = find_fewest(members, others, 3, COMPARISONS)
    held = np.concatenate([np.ones(fewest), np.zeros(members - fewest)])
    for above, refused in ((fewest, True), (fewest - 1, False)):
        held = np.where(np.arange(members) < above, 1.0, 0.0)
        times = max(bound_times(held, np.zeros(others), COMPARISONS))
        assert (times > 3) is refused
    share = find_detectable(members, others)
    assert binom.sf(fewest - 1, members, share) == pytest.approx(0.8, abs=0.03)


def test_a_cohort_that_is_said_to_be_enough_is_not_small() -> None:
    """Also where the lot leaves fewer for testing than the policy's share of them."""
    for share in (0.05, 0.25, 0.5, 0.8):
        enough = find_enough(share)
        assert not is_small(int(enough * (1 - share) * 0.95), int(enough * share * 0.95))
        assert is_small(int(enough * (1 - share) * 0.6), int(enough * share * 0.6))
    assert find_detectable(2, 2) == float("inf")


def test_a_cohort_is_small_by_its_tens() -> None:
    """One person more or fewer does not show."""
    sizes = [people for people in range(200, 400) if is_small(people, people)]
    assert sizes == [*range(200, sizes[-1] + 1)]
    assert sizes[-1] % 10 == 9
    assert find_detectable(sizes[-1] // 10 * 10, sizes[-1] // 10 * 10) > HELD


@pytest.mark.parametrize("score", [np.zeros(400), np.arange(400.0)], ids=["alike", "below"])
def test_rankings_that_tell_nothing_are_certain_of_nobody(score: NDArray[np.float64]) -> None:
    """All alike, or others above all members."""
    found = find_surest({"a": score}, np.arange(400) < 300)
    assert found.times == 0
    check = judge_surest(found, MembershipCheck(found_at_most=10), "clinic")
    assert check.measured == "those trained on are not certainly more often among them"
