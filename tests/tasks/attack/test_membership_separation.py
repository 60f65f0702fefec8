"""An AUC, a share of members found, their intervals and their power keep what they promise."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from tasks.attack.membership import describe_power
from tasks.attack.separation import (
    TruePositives,
    count_found,
    describe_found,
    estimate_auc,
    find_detectable_auc,
    find_detectable_share,
    separate,
)


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


def test_the_interval_of_the_share_found_holds_the_truth() -> None:
    """Normal scores a unit apart: the true share is known; 95 % is a bound, kept with room."""
    truth = norm.sf(norm.isf(0.1) - 1)
    generator = np.random.default_rng(8)
    held = 0
    for _ in range(200):
        found = count_found(generator.normal(1, 1, 150), generator.normal(size=120), 0.1)
        held += found.low <= truth <= found.high
    assert held >= 186


def test_a_share_of_the_detectable_size_is_found_four_times_in_five_or_more() -> None:
    """Its interval then lies over the false-positive rate."""
    share = find_detectable_share(400, 400, 0.1)
    generator = np.random.default_rng(9)
    shift = norm.isf(0.1) - norm.isf(share)
    found = [
        count_found(generator.normal(shift, 1, 400), generator.normal(size=400), 0.1).low > 0.1
        for _ in range(200)
    ]
    assert share < 0.25
    assert np.mean(found) > 0.72


@pytest.mark.parametrize(("members", "others"), [(157, 83), (150, 89), (159, 80)])
def test_what_is_detectable_does_not_tell_how_many_people_were_compared(
    members: int, others: int
) -> None:
    """It is that of whole tens of people, the fewer ones: power is not overstated."""
    scores = np.random.default_rng(6).normal(size=400)
    inside, outside = scores[:members], scores[-others:]
    assert separate(inside, outside).detectable == find_detectable_auc(150, 80)
    share = count_found(inside, outside, 0.1)
    assert share.detectable == find_detectable_share(150, 80, 0.1)


def test_what_is_said_of_shares_and_power_has_two_digits() -> None:
    """With three, a share of people would be a count of them."""
    found = TruePositives(rate=0.01, found=0.1234, low=0.0567, high=0.2345, detectable=0.3456)
    assert describe_found(found) == "finds 12 % of the members at 1 % false positives"
    assert "an AUC of 0.54 or more" in describe_power(0.5444)


def test_no_share_is_detectable_among_a_handful() -> None:
    """Five members cannot show that they are found more often than by chance."""
    assert find_detectable_share(2, 100, 0.1) == math.inf
    assert find_detectable_share(100, 10, 0.1) == math.inf


def test_equal_scores_find_nobody() -> None:
    """A model that tells everybody the same leaks nothing, ties or not."""
    found = count_found(np.ones(50), np.ones(100), 0.1)
    assert found.found == found.low == 0
    assert estimate_auc(np.ones(5), np.ones(5)) == (0.5, 0)
