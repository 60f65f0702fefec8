"""An attack's successes become a risk with an interval, and a verdict only with power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest  # type: ignore[import-untyped]  # ships no types

from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.risk import Rate, Risk, judge_risk, tell

COPY = Risk(Rate(480, 500), (Rate(20, 500),), Rate(0, 500))
"""What a copy of the rows shows: nearly everything."""


def risk(main: float, *controls: float, tries: int = 500) -> Risk:
    """Give an attack that succeeded so often in so many tries."""
    return Risk(Rate(main, tries), tuple(Rate(c, tries) for c in controls), Rate(0, tries))


@pytest.mark.parametrize(("hits", "tries"), [(0, 10), (10, 10), (3, 500), (250, 500)])
def test_a_rate_has_wilsons_interval(hits: int, tries: int) -> None:
    """As scipy gives it."""
    interval = binomtest(hits, tries).proportion_ci(0.95, method="wilson")
    rate = Rate(hits, tries)
    assert rate.share - rate.error == pytest.approx(interval.low, abs=1e-4)
    assert rate.share + rate.error == pytest.approx(interval.high, abs=1e-4)


def test_the_risk_is_the_excess_of_what_is_left() -> None:
    """(0.6 - 0.2) / (1 - 0.2) is a half; nothing is left of a control that does as well."""
    found = risk(600_000, 200_000, tries=1_000_000)
    assert found.value == pytest.approx(0.5, abs=1e-3)
    assert found.low == pytest.approx(found.high, abs=5e-3)
    assert risk(100, 120).value == 0


def test_the_interval_covers_the_true_risk() -> None:
    """In about 95 of 100 draws of both rates."""
    generator = np.random.default_rng(1)
    drawn = [risk(*generator.binomial(500, [0.44, 0.2]), tries=500) for _ in range(500)]
    assert 0.92 < np.mean([one.low <= 0.3 <= one.high for one in drawn]) <= 1


def test_two_controls_bracket_the_risk() -> None:
    """The interval reaches from the lower end by the one to the upper end by the other."""
    both, one, other = risk(250, 50, 150), risk(250, 50), risk(250, 150)
    assert (both.low, both.high) == (other.low, one.high)
    assert other.value < both.value < one.value


def test_a_risk_of_the_detectable_size_is_told_four_times_in_five() -> None:
    """Its interval lies beyond the bound in about 80 % of draws."""
    control, bound = 0.2, 0.1
    least = risk(100, 100).detectable(bound)
    generator = np.random.default_rng(2)
    main = generator.binomial(500, control + least * (1 - control), 600)
    others = generator.binomial(500, control, 600)
    told = [risk(a, b).low > bound for a, b in zip(main, others, strict=True)]
    assert 0.74 < np.mean(told) < 0.9
    assert risk(2, 1, tries=3).detectable(bound) == math.inf


def test_a_bracketed_control_makes_an_attack_tell_less() -> None:
    """A risk over the lower control is told when it lies beyond the bound over the higher one."""
    least = risk(100, 50, 150).detectable(0.1)
    assert least > max(risk(100, 50).detectable(0.1), risk(100, 150).detectable(0.1))
    main = np.random.default_rng(4).binomial(500, 0.1 + least * 0.9, 600)
    told = [risk(hits, 50, 150).low > 0.1 for hits in main]
    assert 0.74 < np.mean(told) < 0.95


@pytest.mark.parametrize(
    ("found", "copy", "verdict"),
    [
        pytest.param(risk(22, 20), COPY, CheckVerdict.PASSED, id="within"),
        pytest.param(risk(300, 20), COPY, CheckVerdict.WARNED, id="beyond"),
        pytest.param(risk(75, 20), COPY, CheckVerdict.INCONCLUSIVE, id="astride"),
        pytest.param(risk(0, 0), risk(23, 0), CheckVerdict.INCONCLUSIVE, id="copy-cannot-fail"),
        pytest.param(risk(0, 0, tries=99), COPY, CheckVerdict.INCONCLUSIVE, id="too-few"),
        pytest.param(risk(0, 0, tries=0), COPY, CheckVerdict.INCONCLUSIVE, id="none"),
    ],
)
def test_the_verdict_asks_for_power_first(found: Risk, copy: Risk, verdict: CheckVerdict) -> None:
    """Where even a copy stays within the bound nothing passes."""
    check = judge_risk("linking", "partner", found, copy, 0.1)
    assert check.verdict is verdict
    assert ("nothing could fail" in check.power) == (copy.low <= 0.1)


def test_figures_do_not_count_single_people() -> None:
    """A share of few tries is told in steps of ten of them, and of fewer than 100 not at all."""
    assert [tell(0.123, tries) for tries in (100, 500, 5000)] == ["0.10", "0.12", "0.12"]
    check = judge_risk("linking", "partner", risk(7, 3, tries=60), COPY, 0.1)
    both = judge_risk("linking", "partner", risk(250, 50, 150), COPY, 0.1).measured
    assert both.endswith(
        ": right in 50 % of tries on people in the table, 10 to 30 % on others, "
        "0 % without the table"
    )
    assert check.measured == "too few people to attack"
    assert "60" not in check.power
