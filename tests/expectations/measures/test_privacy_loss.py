"""What mechanisms cost: against closed forms and integrals that share no code with the accountant.

Where a figure is rounded, it is rounded up.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expectations.errors import UsageError
from expectations.privacy_loss import (
    Bounded,
    Gaussian,
    Laplace,
    Mechanism,
    RenyiFilter,
    SampledGaussian,
    calibrate,
    compose,
    from_json,
    measure_renyi,
    repeat,
    tally,
    to_json,
)

DELTA = 1e-5
MECHANISMS = st.one_of(
    st.builds(Gaussian, st.floats(3, 50), st.integers(1, 5)),
    st.builds(SampledGaussian, st.floats(2, 5), st.sampled_from([0.01, 0.1]), st.integers(1, 50)),
    st.builds(Laplace, st.floats(0.01, 0.5), st.integers(1, 5)),
    st.builds(Bounded, st.floats(0.01, 0.5), st.sampled_from([0.0, 1e-8])),
)
LEDGERS = st.lists(MECHANISMS, max_size=4)


def normal(x: float) -> float:
    """The standard normal distribution function."""
    return math.erfc(-x / math.sqrt(2)) / 2


def gaussian_delta(noise: float, epsilon: float) -> float:
    """δ(ε) of Gaussian noise (Balle and Wang 2018, theorem 8)."""
    half = 1 / (2 * noise)
    return normal(half - epsilon * noise) - math.exp(epsilon) * normal(-half - epsilon * noise)


def laplace_delta(scale: float, epsilon: float) -> float:
    """δ(ε) of Laplace noise of that scale, whose loss is at most 1 / scale."""
    return max(0.0, 1 - math.exp((epsilon - 1 / scale) / 2))


def randomized_delta(once: float, count: int, epsilon: float) -> float:
    """δ(ε) of `count` mechanisms that are ε-private and no more (Kairouz et al. 2015, thm 3.3)."""
    chance = math.exp(once) / (1 + math.exp(once))
    terms = (
        math.comb(count, wins)
        * (
            chance**wins * (1 - chance) ** (count - wins)
            - math.exp(epsilon) * (1 - chance) ** wins * chance ** (count - wins)
        )
        for wins in range(count + 1)
    )
    return sum(max(0.0, term) for term in terms)


def sampled_delta(noise: float, probability: float, epsilon: float) -> float:
    """δ(ε) of Gaussian noise on a Poisson sample, integrated both ways of the two neighbours."""
    x = np.linspace(-12 * noise, 12 * noise + 1, 400_001)
    without = np.exp(-(x**2) / (2 * noise**2)) / (noise * math.sqrt(2 * math.pi))
    shifted = np.exp(-((x - 1) ** 2) / (2 * noise**2)) / (noise * math.sqrt(2 * math.pi))
    mixed = (1 - probability) * without + probability * shifted
    one, other = (
        np.maximum(p - math.exp(epsilon) * q, 0).sum() * (x[1] - x[0])
        for p, q in ((mixed, without), (without, mixed))
    )
    return float(max(one, other))


@pytest.mark.parametrize("noise", [0.4, 1.0, 3.7, 30.0])
@pytest.mark.parametrize("count", [1, 52])
def test_gaussian_noise_costs_what_the_closed_form_says(noise: float, count: int) -> None:
    """At the ε given δ is kept, and at an ε a little smaller it is not."""
    whole = noise * math.sqrt(count)
    cost = compose([Gaussian(whole, count)], DELTA)
    assert gaussian_delta(noise, cost) <= DELTA
    assert gaussian_delta(noise, cost * (1 - 1e-6)) > DELTA


@pytest.mark.parametrize(
    ("mechanism", "delta_of", "slack"),
    [
        (Laplace(1.0), lambda epsilon: laplace_delta(1.0, epsilon), 2e-4),
        (Bounded(0.1), lambda epsilon: randomized_delta(0.1, 1, epsilon), 2e-4),
        (SampledGaussian(1.0, 0.05), lambda epsilon: sampled_delta(1.0, 0.05, epsilon), 3e-3),
        (SampledGaussian(3.0, 0.5), lambda epsilon: sampled_delta(3.0, 0.5, epsilon), 3e-3),
    ],
    ids=["laplace", "bounded", "sampled", "half sampled"],
)
def test_what_is_drawn_once_costs_what_its_integral_says(
    mechanism: Mechanism, delta_of: Callable[[float], float], slack: float
) -> None:
    """Never less, and not much more; both directions of the neighbours are covered."""
    cost = compose([mechanism], DELTA)
    assert delta_of(cost) <= DELTA * (1 + 1e-6)
    assert delta_of(cost - slack) > DELTA


def test_many_bounded_mechanisms_cost_what_their_optimal_composition_says() -> None:
    """Far less than their sum of 2."""
    cost = compose([Bounded(0.1)] * 20, DELTA)
    assert randomized_delta(0.1, 20, cost) <= DELTA
    assert randomized_delta(0.1, 20, cost - 5e-3) > DELTA
    assert cost < 1.7


def test_a_mixed_ledger_costs_far_less_than_the_sum() -> None:
    """That is what an accountant is for; nor does it cost less than its dearest part."""
    parts: list[Mechanism] = [
        Gaussian(7.0), Gaussian(11.0, 4), SampledGaussian(1.2, 0.01, 500), Laplace(0.2, 3),
        Bounded(0.3, 1e-7),
    ]  # fmt: skip
    alone = [compose([part], DELTA) for part in parts]
    together = compose(parts, DELTA)
    assert max(alone) < together < 0.75 * sum(alone)


def test_mixing_does_not_make_gaussian_noise_cheaper() -> None:
    """Beside something that costs nearly nothing it costs what it costs alone, rounded up."""
    alone = compose([Gaussian(5.0, 3)], DELTA)
    beside = compose([Gaussian(5.0, 3), Bounded(1e-6)], DELTA)
    assert alone <= beside + 1e-9
    assert beside < alone + 5e-4


def test_nothing_costs_nothing_and_spent_delta_costs_everything() -> None:
    """Own δ that add up to more than the one asked for leave no ε."""
    assert compose([], DELTA) == 0
    assert RenyiFilter(8, DELTA).spent([]) == 0
    assert compose([Bounded(0.1, 6e-6)] * 2, DELTA) == math.inf
    assert RenyiFilter(8, DELTA).spent([Bounded(0.1, 3e-6)] * 2) == math.inf


def test_noise_that_protects_nothing_costs_everything() -> None:
    """And is told so at once, though it stands beside others."""
    assert compose([Gaussian(1e-3), Laplace(0.1)], DELTA) == math.inf
    assert compose([SampledGaussian(1e-4, 0.1)], DELTA) == math.inf
    assert compose([Laplace(1e6)], DELTA) == math.inf


@settings(max_examples=12)
@given(LEDGERS, MECHANISMS)
def test_more_of_anything_never_costs_less(ledger: list[Mechanism], more: Mechanism) -> None:
    """One more mechanism, or a smaller δ."""
    cost = compose(ledger, DELTA)
    assert compose([*ledger, more], DELTA) >= cost - 1e-6
    assert compose(ledger, DELTA / 2) >= cost
    held = RenyiFilter(8, DELTA)
    assert held.spent([*ledger, more]) >= held.spent(ledger)


@given(LEDGERS, st.floats(0.5, 20), st.sampled_from([1e-6, 1e-5, 1e-4]))
def test_the_filter_never_says_less_than_what_it_certainly_cost(
    ledger: list[Mechanism], epsilon: float, delta: float
) -> None:
    """What is bounded for any choice is dearer than the same choices fixed beforehand."""
    assert RenyiFilter(epsilon, delta).spent(ledger) >= compose(ledger, delta)


@given(st.floats(0.5, 20), LEDGERS)
def test_the_filters_order_is_fixed_by_its_ceiling(epsilon: float, ledger: list[Mechanism]) -> None:
    """Whatever was spent, so that each mechanism adds the same, and δ are not traded for ε."""
    held = RenyiFilter(epsilon, DELTA)
    start = held.spent([Bounded(1e-9)])
    added = sum(held.spent([one]) - start for one in ledger)
    assert math.isclose(held.spent([Bounded(1e-9), *ledger]), start + added, abs_tol=1e-6)
    assert start < epsilon


@pytest.mark.parametrize("order", [1.5, 4.0, 32.0])
def test_divergences_are_those_of_their_closed_forms(order: float) -> None:
    """Mironov 2017, propositions 6 and 7; randomized response is within the bound for its ε."""
    scale = 5.0
    laplace = math.log(
        order / (2 * order - 1) * math.exp((order - 1) / scale)
        + (order - 1) / (2 * order - 1) * math.exp(-order / scale)
    ) / (order - 1)
    assert math.isclose(measure_renyi(Laplace(1 / scale), order), laplace, rel_tol=1e-6)
    assert math.isclose(measure_renyi(Gaussian(3.0, 2), order), order / 9, rel_tol=1e-9)
    p = math.exp(0.4) / (1 + math.exp(0.4))
    response = math.log(p**order * (1 - p) ** (1 - order) + (1 - p) ** order * p ** (1 - order))
    assert measure_renyi(Bounded(0.4), order) >= response / (order - 1)


@pytest.mark.parametrize("order", [2.5, 3.83, 20.0])
def test_the_divergence_of_a_sample_is_no_less_than_its_integral(order: float) -> None:
    """At orders between the whole numbers too, and in the worse direction."""
    noise, probability = 1.5, 0.02
    x = np.linspace(-30, 60, 900_001)
    without = np.exp(-(x**2) / (2 * noise**2)) / (noise * math.sqrt(2 * math.pi))
    ratio = 1 - probability + probability * np.exp((2 * x - 1) / (2 * noise**2))
    one, other = (
        math.log(float((without * ratio**power).sum() * (x[1] - x[0]))) / (order - 1)
        for power in (order, 1 - order)
    )
    found = measure_renyi(SampledGaussian(noise, probability), order)
    assert found >= max(one, other) * (1 - 1e-6)
    assert found <= max(one, other) * 1.05


NOISY: dict[str, Callable[[float], tuple[Mechanism, ...]]] = {
    "gaussian": lambda noise: (Gaussian(noise),),
    "gaussians": lambda noise: (Gaussian(noise, 40), Gaussian(2 * noise)),
    "sampled": lambda noise: (SampledGaussian(noise, 0.02, 200),),
    "beside others": lambda noise: (Gaussian(noise, 3), Laplace(0.1), Bounded(0.05, 1e-8)),
}


CALIBRATED = [
    # Samples whose noise is small take seconds: by day the least ε alone is tried for them.
    pytest.param(epsilon, kind, marks=[pytest.mark.nightly] * (kind == "sampled" and epsilon > 0.3))
    for epsilon in (0.3, 1.0, 8.0)
    for kind in NOISY
]


@pytest.mark.parametrize(("epsilon", "kind"), CALIBRATED)
def test_calibrated_noise_is_the_least_and_never_costs_more(kind: str, epsilon: float) -> None:
    """A little less noise would cost more than that, or as good as all of it."""
    make = NOISY[kind]
    noise = calibrate(make, epsilon, DELTA)
    assert compose(make(noise), DELTA) <= epsilon
    assert compose(make(noise * (1 - 3e-4)), DELTA) > epsilon * (1 - 3e-4)


def test_calibration_asks_for_few_costs() -> None:
    """Each may be a convolution of distributions."""
    asked = []

    def make(noise: float) -> tuple[Mechanism, ...]:
        asked.append(noise)
        return (SampledGaussian(noise, 0.01, 100),)

    calibrate(make, 2.0, DELTA)
    assert len(asked) <= 20


def test_noise_that_cannot_be_found_is_said() -> None:
    """What does not depend on it costs more by itself, or there is no ε to spend."""
    with pytest.raises(UsageError, match="this ε cannot be reached"):
        calibrate(lambda noise: (Gaussian(noise), Laplace(2.0)), 1.0, DELTA)
    for epsilon, delta in ((0.0, DELTA), (math.nan, DELTA), (1.0, 0.0), (1e9, DELTA)):
        with pytest.raises(UsageError, match="give 0 < ε"):
            calibrate(NOISY["gaussian"], epsilon, delta)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Gaussian(0.0),
        lambda: Gaussian(math.nan),
        lambda: Gaussian(1.0, 0),
        lambda: Gaussian(1.0, 2.5),  # type: ignore[arg-type]  # wrong on purpose
        lambda: SampledGaussian(1.0, 0.5, True),
        lambda: Laplace(1.0, "2"),  # type: ignore[arg-type]  # wrong on purpose
        lambda: SampledGaussian(1.0, 1.5),
        lambda: SampledGaussian(1.0, 0.0),
        lambda: Laplace(-1.0),
        lambda: Laplace(math.inf),
        lambda: Bounded(-1.0),
        lambda: Bounded(math.inf),
        lambda: Bounded(1.0, 1.0),
    ],
)
def test_what_draws_no_noise_is_no_mechanism(make: Callable[[], Mechanism]) -> None:
    """It would be charged as nothing, or as something else."""
    with pytest.raises(UsageError, match="must be positive"):
        make()


@given(LEDGERS)
def test_a_mechanism_comes_back_as_it_was_written(ledger: list[Mechanism]) -> None:
    """Through JSON, and counted together."""
    plain = json.loads(json.dumps([to_json(one) for one in ledger]))
    assert [from_json(one) for one in plain] == ledger
    assert tally(repeat(tally(ledger).items())) == tally(ledger)


def test_a_sample_of_everybody_is_no_sample() -> None:
    """And the same draws are one, however they were said."""
    assert tally([SampledGaussian(2.0, 1.0, 3)]) == tally([Gaussian(2.0), Gaussian(2.0, 2)])


def test_an_unknown_mechanism_is_not_taken_for_nothing() -> None:
    """A ledger that a newer program wrote is not read as cheaper than it is."""
    with pytest.raises(UsageError, match="newer tutela"):
        from_json({"kind": "magic", "epsilon": 0.1})
