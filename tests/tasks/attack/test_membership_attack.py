"""The membership attack catches a model that remembers, and says when it could not have."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from expectations.errors import Refusal, UsageError
from expectations.policy.training import MembershipCheck
from tasks.attack.membership import (
    Audited,
    Lot,
    MembershipAttack,
    attack_membership,
    judge_groups,
    judge_membership,
    summarize_attacks,
)
from tasks.attack.reference_models import Classifier
from tasks.attack.separation import Separation
from tasks.attack.surest import Surest


def draw_people(count: int, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Three numbers per person and a label that the first one half explains."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(count, 3)), columns=["a", "b", "c"])
    return frame, (frame["a"] + generator.normal(size=count) > 0).astype(int)


def attack(
    model: Classifier, members: int, nonmembers: int, references: int = 8
) -> MembershipAttack:
    """Train on fresh members and attack."""
    inside, outside = draw_people(members, 1), draw_people(nonmembers, 2)
    model.fit(*inside)
    return attack_membership(model, lambda: clone(model), inside, outside, references)


class Forgetful(KNeighborsClassifier):  # type: ignore[misc]  # sklearn is untyped
    """Learns the people marked `few` by heart, and of all others nothing."""

    def __init__(self) -> None:
        super().__init__(n_neighbors=1)

    def fit(self, X: pd.DataFrame, y: pd.Series) -> "Forgetful":  # noqa: N803  # sklearn's
        """Keep the few."""
        super().fit(X[X["few"]], y[X["few"]])
        return self

    def predict_proba(self, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give chance for everybody but the few."""
        known = super().predict_proba(X)
        return np.where(X[["few"]].to_numpy(), known, 0.5)


def give_attack(people: int = 100, **attacks: Separation) -> MembershipAttack:
    """Give attacks that came out so, on as many people on either side."""
    return MembershipAttack(attacks, people, people, 8, Surest(0.0, "one", (people, people), 1))


def make_attack(auc: float, high: float, detectable: float) -> MembershipAttack:
    """Give an attack that came out so."""
    return give_attack(one=Separation(auc, 2 * auc - high, high, detectable))


def test_an_overfitted_model_is_caught() -> None:
    """A nearest-neighbour model knows every member by heart and is refused."""
    found = attack(KNeighborsClassifier(n_neighbors=1), 400, 200)
    assert found.low > 0.6
    assert found.verdict(0.6) == "refused"


def test_an_honest_model_passes() -> None:
    """A logistic regression of four weights on 800 people shows nothing of them."""
    found = attack(LogisticRegression(), 800, 800)
    assert found.low < 0.55
    assert found.verdict(0.6) == "passed"


@pytest.mark.parametrize("nonmembers", [2, 20])
def test_too_few_nonmembers_are_inconclusive(nonmembers: int) -> None:
    """Whatever the attack found, it could not have found a leak of the limit's size."""
    assert attack(LogisticRegression(), 400, nonmembers).verdict(0.6) == "inconclusive"


@pytest.mark.parametrize(
    ("auc", "high", "detectable", "verdict"),
    [
        pytest.param(0.52, 0.55, 0.54, "passed", id="interval-under-limit"),
        pytest.param(0.58, 0.61, 0.54, "refused", id="interval-reaches-over-limit"),
        pytest.param(0.90, 0.92, 0.54, "refused", id="leak"),
        pytest.param(0.52, 0.70, 0.65, "inconclusive", id="no-power"),
        pytest.param(0.30, 0.40, 0.65, "inconclusive", id="no-power-but-lucky"),
    ],
)
def test_the_verdict_asks_for_power_first(
    auc: float, high: float, detectable: float, verdict: str
) -> None:
    """Without power nothing passes; with it the whole interval must be under the limit."""
    assert make_attack(auc, high, detectable).verdict(0.6) == verdict


@pytest.mark.parametrize(
    ("people", "verdict"),
    [pytest.param(60, "refused", id="certain"), pytest.param(20, "inconclusive", id="too-few")],
)
def test_a_leak_that_is_certain_is_refused_without_power(people: int, verdict: str) -> None:
    """A policy that tolerates the inconclusive must not let it go; few people make no interval."""
    leak = Separation(0.88, 0.82, 0.94, 0.65)
    assert give_attack(people, one=leak).verdict(0.6) == verdict


def test_a_leak_is_certain_by_any_attack() -> None:
    """Not by that alone whose interval reaches highest."""
    wide, sure = Separation(0.7, 0.45, 0.95, 0.65), Separation(0.8, 0.7, 0.9, 0.65)
    assert give_attack(60, a=wide, b=sure).verdict(0.6) == "refused"


def test_a_limit_at_chance_is_refused_as_usage() -> None:
    """No model could be shown to keep an AUC of 0.5."""
    with pytest.raises(UsageError, match="limit"):
        make_attack(0.5, 0.52, 0.53).verdict(0.5)


@pytest.mark.parametrize("references", [6, 9])
def test_too_few_or_odd_references_are_refused(references: int) -> None:
    """Everybody must be in exactly half of at least 8 references."""
    people = draw_people(10, 1)
    with pytest.raises(UsageError, match="references"):
        attack_membership(LogisticRegression(), LogisticRegression, people, people, references)


def test_a_single_nonmember_is_refused() -> None:
    """One person allows no interval."""
    with pytest.raises(Refusal, match="at least 2"):
        attack(LogisticRegression(), 40, 1)


def test_each_attack_is_reported_and_the_strongest_decides() -> None:
    """With 16 references there are three; one that leaks is enough to be refused."""
    found = attack(KNeighborsClassifier(n_neighbors=1), 400, 200, references=16)
    assert set(found.attacks) == {"loss", "RMIA", "LiRA"}
    assert found.high == max(one.high for one in found.attacks.values())
    quiet, loud = Separation(0.5, 0.45, 0.55, 0.52), Separation(0.58, 0.53, 0.63, 0.52)
    assert give_attack(a=quiet, b=loud).verdict(0.6) == "refused"


def test_reference_models_see_what_the_loss_alone_does_not() -> None:
    """People's difficulty hides a small leak from the loss, and from no attack that knows it."""
    generator = np.random.default_rng(5)
    member = np.arange(600) < 300
    difficulty = generator.normal(0, 3, 600)
    leak = difficulty + 0.5 * member + generator.normal(0, 0.3, 600)
    found = summarize_attacks({"loss": leak, "RMIA": leak - difficulty}, member, 8)
    assert found.attacks["loss"].low < 0.5
    assert found.attacks["RMIA"].low > 0.8
    assert found.strongest == "RMIA"


def test_too_few_references_leave_lira_out_and_say_so() -> None:
    """Eight references are four on each side of a person."""
    found = attack(LogisticRegression(), 40, 40, references=8)
    assert set(found.attacks) == {"loss", "RMIA"}
    assert "LiRA (needs 16 references)" in found.unreported


def test_several_attacks_widen_each_interval_and_cost_power() -> None:
    """What one of three attacks shows by luck must not refuse a model three times as often."""
    score = np.random.default_rng(6).normal(size=200)
    member = np.arange(200) < 100
    alone = summarize_attacks({"a": score}, member, 8)
    among = summarize_attacks({"a": score, "b": score, "c": score}, member, 8)
    assert among.low < alone.low
    assert alone.high < among.high
    assert among.detectable > alone.detectable


@pytest.mark.parametrize(
    ("nonmembers", "rates"),
    [
        pytest.param(99, [], id="ten-percent-is-nine-people"),
        pytest.param(100, [0.1], id="ten-percent-is-ten"),
        pytest.param(918, [0.1], id="one-percent-is-nine"),
        pytest.param(10_000, [0.1, 0.01, 0.001], id="all"),
    ],
)
def test_a_false_positive_rate_is_reported_only_where_people_support_it(
    nonmembers: int, rates: list[float]
) -> None:
    """A rate of one person in a thousand is nothing to be told of 918; the refusal says why."""
    score = np.linspace(0, 1, nonmembers + 50)
    found = summarize_attacks({"a": score, "LiRA": score}, np.arange(len(score)) < 50, 16)
    assert [one.rate for _, one in found.found_at] == rates
    assert len(found.unreported) == 3 - len(rates)
    assert all("false positives (needs" in reason for reason in found.unreported)


@given(st.permutations(range(24)))
def test_the_order_of_people_changes_nothing(order: list[int]) -> None:
    """Scores belong to people, wherever they stand."""
    score = np.round(np.random.default_rng(7).normal(size=24), 1)
    member = np.arange(24) < 14
    found = summarize_attacks({"a": score}, member, 8)
    again = summarize_attacks({"a": score[order]}, member[order], 8)
    for end in ("auc", "low", "high", "detectable"):
        assert getattr(again, end) == pytest.approx(getattr(found, end))


def test_a_model_that_saw_nobody_is_seldom_accused() -> None:
    """Over 40 models of strangers, an interval lies over chance about as often as it says.

    2.5 % are expected at most; six would be seen once in some thousand such tests.
    """
    accused = 0
    for seed in range(40):
        inside, outside, strangers = (draw_people(60, 3 * seed + k) for k in range(3))
        model = KNeighborsClassifier(n_neighbors=1).fit(*strangers)
        found = attack_membership(
            model, lambda: KNeighborsClassifier(n_neighbors=1), inside, outside, 8
        )
        accused += any(one.low > 0.5 for one in found.attacks.values())
    assert accused < 6


def test_the_check_names_the_attack_its_power_and_what_it_left_out() -> None:
    """What a reader needs in order to believe a verdict."""
    found = attack(LogisticRegression(), 800, 800, references=16)
    check = judge_membership(found, MembershipCheck(), "clinic")
    assert check.verdict == "passed"
    assert f"; {found.strongest})" in check.measured
    assert "% of the members at 10 % false positives" in check.measured
    assert "80 % power, 16 references; not tried: " in check.power
    assert "0.1 % false positives (needs 10,000 others)" in check.power
    assert max(map(len, (check.asked, check.measured, check.power))) <= 170


def test_an_interval_that_is_too_wide_says_how_many_people_would_narrow_it() -> None:
    """An AUC within the limit is refused by its upper end alone; of a real leak nothing is said."""
    check = judge_membership(make_attack(0.58, 0.61, 0.54), MembershipCheck(), "clinic")
    assert (check.verdict, check.remedy.partition(";")[0]) == (
        "refused",
        "attack about 3 times as many people",
    )
    leak = judge_membership(make_attack(0.9, 0.92, 0.54), MembershipCheck(), "clinic")
    assert "times as many" not in leak.remedy


def mark_few(seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Draw 1,500 people, every tenth marked as one of the few."""
    frame, labels = draw_people(1500, seed)
    return frame.assign(few=np.arange(1500) % 10 == 0), labels


def test_only_the_group_that_was_learned_by_heart_is_refused() -> None:
    """Nearest neighbours for one small group, chance for all others: the whole passes by far."""
    inside, outside = mark_few(1), mark_few(2)
    audited = Audited(inside[0][["few"]], outside[0][["few"]], smallest=10)
    model = Forgetful().fit(*inside)
    found = attack_membership(model, Forgetful, inside, outside, 8, audited=audited)
    asked = MembershipCheck(auc_at_most=0.65)
    assert judge_membership(found, asked, "clinic").verdict == "passed"
    check = judge_groups(found, asked, "clinic")
    assert check is not None
    assert check.verdict == "refused"
    assert "worst: few True" in check.measured


def test_who_was_drawn_for_a_group_counts_in_that_alone() -> None:
    """Everybody's figures, and their power, are those of the lot of everybody."""
    inside, outside = mark_few(1), mark_few(2)
    lot = Lot(*((~side[0]["few"] | (side[0].index < 300)).to_numpy() for side in (inside, outside)))
    audited = Audited(inside[0][["few"]], outside[0][["few"]], smallest=10)
    model = Forgetful().fit(*inside)
    whole, drawn = (
        attack_membership(model, Forgetful, inside, outside, 8, audited=audited, lot=asked)
        for asked in (None, lot)
    )
    assert whole.groups == drawn.groups
    assert (drawn.members, drawn.nonmembers) == (lot.members.sum(), lot.nonmembers.sum())
    assert drawn.detectable > whole.detectable
    assert drawn.auc < whole.auc
    check = judge_membership(drawn, MembershipCheck(), "clinic")
    assert "8 references, 1,380 people on each side drawn by lot" in check.power
    assert "lot" not in judge_membership(whole, MembershipCheck(), "clinic").power


def test_without_audit_columns_no_group_is_judged() -> None:
    """There is nothing to say of nobody."""
    assert judge_groups(make_attack(0.5, 0.52, 0.53), MembershipCheck(), "clinic") is None
