"""The membership attack catches a model that remembers, and says when it could not have."""

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from expectations.errors import Refusal, UsageError
from tasks.attack.membership import (
    Classifier,
    MembershipAttack,
    attack_membership,
    estimate_auc,
    find_detectable_auc,
)


def draw_people(count: int, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Three numbers per person and a label that the first one half explains."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(count, 3)), columns=["a", "b", "c"])
    return frame, (frame["a"] + generator.normal(size=count) > 0).astype(int)


def attack(model: Classifier, members: int, nonmembers: int) -> MembershipAttack:
    """Train on fresh members and attack with 8 references."""
    inside, outside = draw_people(members, 1), draw_people(nonmembers, 2)
    model.fit(*inside)
    return attack_membership(model, lambda: clone(model), inside, outside, references=8)


def make_attack(auc: float, high: float, detectable: float) -> MembershipAttack:
    """Give an attack that came out so."""
    return MembershipAttack(auc, 2 * auc - high, high, detectable, 100, 100, 8)


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


def test_a_limit_at_chance_is_refused_as_usage() -> None:
    """No model could be shown to keep an AUC of 0.5."""
    with pytest.raises(UsageError, match="limit"):
        make_attack(0.5, 0.52, 0.53).verdict(0.5)


def test_the_auc_and_its_error_match_all_pairs() -> None:
    """Against counting every pair, ties at half, and DeLong's placement variances."""
    generator = np.random.default_rng(3)
    inside, outside = generator.integers(2, 9, 40) / 1.0, generator.integers(0, 7, 25) / 1.0
    wins = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
    auc, error = estimate_auc(inside, outside)
    assert auc == pytest.approx(wins.mean())
    variance = np.var(wins.mean(1), ddof=1) / 40 + np.var(wins.mean(0), ddof=1) / 25
    assert error == pytest.approx(math.sqrt(variance))


def test_a_leak_of_the_detectable_size_is_found_four_times_in_five() -> None:
    """Normal scores, shifted to the detectable AUC, beat the 5 % test in about 80 % of draws."""
    detectable = find_detectable_auc(150, 75)
    assert detectable == pytest.approx(0.6018, abs=1e-3)
    shift = math.sqrt(2) * 0.2580  # normal quantile of 0.6018
    critical = 0.5 + 1.6449 * math.sqrt(226 / (12 * 150 * 75))
    generator = np.random.default_rng(4)
    found = [
        estimate_auc(generator.normal(shift, 1, 150), generator.normal(0, 1, 75))[0] > critical
        for _ in range(600)
    ]
    assert 0.75 < np.mean(found) < 0.86


def test_no_auc_is_detectable_among_a_handful() -> None:
    """With two against two even a perfect attack proves nothing."""
    assert find_detectable_auc(2, 2) == math.inf


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
