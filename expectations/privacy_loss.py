"""What mechanisms of differential privacy draw, and what they cost one person, alone and composed.

A mechanism is told by public parameters only, so that its cost is known before any data is read.
Neighbours differ by adding or removing all that one person contributed.

Costs are composed by `dp_accounting`. `compose` holds where every parameter was fixed before
anything was seen, also if drawing then ends early: by privacy loss distributions, rounded up
(Koskela et al. 2020; Doroshenko et al. 2022), or for Gaussian noise alone in closed form (Balle and
Wang 2018). Where a later parameter may depend on earlier results, only a filter bounds the whole:
`RenyiFilter` (Feldman and Zrnic 2021).

Knows nothing of the code that draws the noise: whether it does what it says is audited elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from numbers import Integral
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from expectations.errors import UsageError

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution


SANE_EPSILON: Final = 20
"""The largest ε that may be promised: e^20 is a factor of 485 million, which protects nobody."""
_STEP: Final = 1e-4
"""How finely losses are told apart; whatever lies between two steps counts as the larger."""
_COARSE: Final = 1e-3
_LOUD: Final = 50.0
"""A loss at which nothing is protected: what may cost more by itself is taken as infinite."""
_FARTHEST: Final = 30.0
"""How far the logarithm of a noise multiplier is sought."""
_ORDERS: Final = tuple(1 + 2 ** (step / 4) for step in range(-16, 65))


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Gaussian noise of `noise_multiplier` times the L2 sensitivity, `count` times."""

    noise_multiplier: float
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse what draws no noise."""
        _check(self.noise_multiplier > 0, is_count(self.count))


@dataclass(frozen=True, slots=True)
class SampledGaussian:
    """The same on a Poisson sample of people, drawn afresh each time with `probability`."""

    noise_multiplier: float
    probability: float
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse what draws no noise, or no sample."""
        _check(self.noise_multiplier > 0, 0 < self.probability <= 1, is_count(self.count))


@dataclass(frozen=True, slots=True)
class Laplace:
    """Laplace noise of 1 / `epsilon` times the L1 sensitivity, `count` times."""

    epsilon: float
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse what draws no noise."""
        _check(0 < self.epsilon < math.inf, is_count(self.count))


@dataclass(frozen=True, slots=True)
class Bounded:
    """Whatever is (`epsilon`, `delta`)-differentially private by a proof of its own."""

    epsilon: float
    delta: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what bounds nothing."""
        _check(0 <= self.epsilon < math.inf, 0 <= self.delta < 1)


def is_count(number: object) -> bool:
    """Say whether a number, which a policy may have given, is a whole one of 1 or more."""
    return isinstance(number, Integral) and not isinstance(number, bool) and int(number) >= 1


def is_measure(number: object) -> bool:
    """Say whether a number, which a policy may have given, is a finite one above 0."""
    return isinstance(number, int | float) and number is not True and 0 < number < math.inf


def _check(*holds: bool) -> None:
    if not all(holds):
        raise UsageError(
            "a mechanism's noise, ε, count and sampling must be positive, its count whole, its δ "
            "and probability at most 1: correct what the estimator declares"
        )


Mechanism: TypeAlias = Gaussian | SampledGaussian | Laplace | Bounded
KINDS: Final[Mapping[str, type[Mechanism]]] = {
    "gaussian": Gaussian,
    "sampled-gaussian": SampledGaussian,
    "laplace": Laplace,
    "bounded": Bounded,
}


def to_json(mechanism: Mechanism) -> dict[str, str | float]:
    """Write a mechanism as plain values; `from_json` reads it back."""
    kind = next(name for name, known in KINDS.items() if isinstance(mechanism, known))
    return {"kind": kind, **asdict(mechanism)}


def from_json(plain: Mapping[str, str | float]) -> Mechanism:
    """Read what `to_json` wrote; UsageError for a kind that this version does not know."""
    values = dict(plain)
    kind = KINDS.get(str(values.pop("kind", "")))
    if kind is None:
        raise UsageError("a charge names an unknown mechanism: use a newer tutela")
    return kind(**values)  # type: ignore[arg-type]  # written by `to_json`


def tally(mechanisms: Iterable[Mechanism]) -> dict[Mechanism, int]:
    """Count how often each was drawn, so that the same draws are told as the same, however said."""
    times: dict[Mechanism, int] = {}
    for one in mechanisms:
        once, count = _apart(one)
        times[once] = times.get(once, 0) + count
    return times


def repeat(times: Iterable[tuple[Mechanism, int]]) -> Iterator[Mechanism]:
    """Undo `tally`: give mechanisms that were drawn so often together."""
    for one, count in times:
        if isinstance(one, Bounded):
            yield from (one for _ in range(count))
        else:
            yield replace(one, count=count)


def _apart(mechanism: Mechanism) -> tuple[Mechanism, int]:
    """Part a mechanism from how often it was drawn; a sample of everybody is no sample."""
    match mechanism:
        case Gaussian(noise_multiplier=noise, count=count):
            return Gaussian(noise), count
        case SampledGaussian(noise_multiplier=noise, probability=1, count=count):
            return Gaussian(noise), count
        case SampledGaussian(noise_multiplier=noise, probability=probability, count=count):
            return SampledGaussian(noise, probability), count
        case Laplace(epsilon=epsilon, count=count):
            return Laplace(epsilon), count
        case Bounded():
            return mechanism, 1
        case _:
            assert_never(mechanism)


def compose(mechanisms: Iterable[Mechanism], delta: float) -> float:
    """Give the ε at `delta` of all of them together, their parameters fixed beforehand; 0 of none.

    An upper bound, rounded up by about 1e-4 per distinct mechanism. Infinite where `delta` is
    smaller than what the mechanisms' own δ add up to, and where one of them protects nothing.
    """
    return _compose(_ordered(mechanisms), delta, _STEP)


@lru_cache(maxsize=64)
def calibrate(
    make: Callable[[float], tuple[Mechanism, ...]], epsilon: float, delta: float
) -> float:
    """Give the least noise at which what `make` describes costs at most `epsilon` at `delta`.

    `make` takes a noise multiplier and must be the same function each time for the cache to hold.
    What it gives never costs more than `epsilon`, and noise smaller by 1e-4 of it would, or would
    come within 1e-4 of it. Raises UsageError where no noise is enough, or noise is not needed.
    """
    if not (0 < epsilon < _LOUD and 0 < delta < 1):
        raise UsageError(
            f"noise for ε = {epsilon:g}, δ = {delta:g}: give 0 < ε < {_LOUD:g}, 0 < δ < 1"
        )

    def excess(log_noise: float, step: float) -> float:
        cost = _compose(_ordered(make(math.exp(log_noise))), delta, step)
        return math.log(max(cost, 1e-12) / epsilon)

    def fine(log_noise: float) -> float:
        return excess(log_noise, _STEP)

    # Where the first guess is: the ε of one Gaussian (Dwork and Roth 2014, theorem A.1).
    guess = math.log(math.sqrt(2 * math.log(1.25 / delta)) / epsilon)
    near = _search(lambda log_noise: excess(log_noise, _COARSE), guess, 1.0)
    return math.exp(_search(fine, near, 1e-3))


def _search(excess: Callable[[float], float], start: float, stride: float) -> float:
    """Give the least place at which a falling function is not above 0, to 1e-4 in place or value.

    Brackets it in growing strides from `start`, then goes by the Illinois variant of false
    position (Dowell and Jarratt 1971), which keeps the bracket.
    """
    low, high = _bracket(excess, start, stride)
    weight = 1.0
    while high[0] - low[0] > 1e-4 and high[1] < -1e-4:
        if math.isinf(low[1]):
            place = (low[0] + high[0]) / 2
        else:
            # Aimed a little under 0, so that the last step ends on the side that is kept.
            place = (low[0] * (high[1] * weight + 5e-5) - high[0] * (low[1] + 5e-5)) / (
                high[1] * weight - low[1]
            )
            place = min(max(place, low[0] + 2e-5), high[0] - 2e-5)
        found = place, excess(place)
        if found[1] > 0:
            low, weight = found, weight / 2
        else:
            high, weight = found, 1.0
    return high[0]


def _bracket(
    excess: Callable[[float], float], start: float, stride: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Give a place above 0 and the next one that is not, each with its value."""
    here = start, excess(start)
    above = here[1] > 0
    while abs(here[0] - start) < _FARTHEST:
        place = here[0] + (stride if above else -stride)
        there = place, excess(place)
        if (there[1] > 0) is not above:
            return (here, there) if above else (there, here)
        here, stride = there, 2 * stride
    raise UsageError(
        "this ε cannot be reached with these parameters: what does not depend on the noise alone "
        "costs that much, or nothing depends on it"
    )


@dataclass(frozen=True, slots=True)
class RenyiFilter:
    """Bounds what may be spent while each next mechanism may depend on all earlier results.

    Holds the sum of Rényi divergences at one order (Feldman and Zrnic 2021, theorem 4.3), which is
    chosen for the ceiling alone: the order at which most zero-concentrated privacy fits under
    (`epsilon`, `delta`). Half of `delta` is for the mechanisms' own δ and half for turning the
    divergence into ε; this too is fixed beforehand, since to trade one for the other as results
    come in is not covered by the theorem (Whitehouse et al. 2023 hold both apart likewise). Nor is
    a ceiling that is raised after a look: it has another order, which then was not fixed.
    """

    epsilon: float
    delta: float

    @property
    def order(self) -> float:
        """The order that is fixed beforehand."""
        return max(_ORDERS, key=lambda order: (self.epsilon - self._conversion(order)) / order)

    def spent(self, mechanisms: Iterable[Mechanism]) -> float:
        """Give what to hold against `epsilon`: at most as much, and the filter lets all pass.

        Then the whole is (`epsilon`, `delta`)-differentially private however the mechanisms were
        chosen. A smaller figure is no smaller guarantee, unless it was fixed beforehand as well.
        0 of nothing; infinite where the mechanisms' own δ leave none.
        """
        times = tally(mechanisms)
        if not times:
            return 0.0
        own = sum(one.delta * n for one, n in times.items() if isinstance(one, Bounded))
        if own > self.delta / 2:
            return math.inf
        order = self.order
        return sum(n * measure_renyi(one, order) for one, n in times.items()) + self._conversion(
            order
        )

    def _conversion(self, order: float) -> float:
        """Give what turning a divergence into ε adds (Canonne et al. 2020, prop. 12)."""
        return math.log1p(-1 / order) - math.log(self.delta / 2 * order) / (order - 1)


@lru_cache(maxsize=4096)
def measure_renyi(mechanism: Mechanism, order: float) -> float:
    """Give the Rényi divergence of a mechanism at `order` > 1 (Mironov 2017), its own δ left out.

    An (ε, δ) mechanism is an ε one but with probability δ (Kairouz, Oh and Viswanath 2015).
    """
    import dp_accounting
    from dp_accounting.rdp import RdpAccountant

    match mechanism:
        case Bounded(epsilon=epsilon):
            # Bun and Steinke 2016, proposition 3.3; never more than ε itself
            return min(order * epsilon**2 / 2, epsilon)
        case Gaussian(noise_multiplier=noise, count=count):
            return count * order / (2 * noise**2)
        case Laplace(epsilon=epsilon, count=count):
            event: object = dp_accounting.LaplaceDpEvent(1 / epsilon)
        case SampledGaussian(noise_multiplier=noise, probability=probability, count=count):
            event = dp_accounting.PoissonSampledDpEvent(
                probability, dp_accounting.GaussianDpEvent(noise)
            )
        case _:
            assert_never(mechanism)
    accountant = RdpAccountant(orders=[order]).compose(event, count)
    return float(accountant._rdp[0])  # noqa: SLF001  # it offers no reading at one order


_Times: TypeAlias = tuple[tuple[Mechanism, int], ...]


def _ordered(mechanisms: Iterable[Mechanism]) -> _Times:
    return tuple(sorted(tally(mechanisms).items(), key=lambda item: repr(item[0])))


@lru_cache(maxsize=4096)
def _compose(times: _Times, delta: float, step: float) -> float:
    gaussian = [(one, n) for one, n in times if isinstance(one, Gaussian)]
    others = [(one, n) for one, n in times if not isinstance(one, Gaussian)]
    # Gaussians are one whose precisions add up, exactly (Dong, Roth and Su 2022, corollary 3.3).
    precision = math.fsum(n / one.noise_multiplier**2 for one, n in gaussian)
    if not others:
        return _gaussian_epsilon(1 / math.sqrt(precision), delta) if precision else 0.0
    if precision > 2 * _LOUD or any(_is_loud(one) for one, _ in others):
        return math.inf
    return _compose_distributions(precision, others, delta, step)


def _gaussian_epsilon(noise: float, delta: float) -> float:
    """Give the exact ε of Gaussian noise (Balle and Wang 2018, theorem 8), rounded up."""
    from dp_accounting import get_epsilon_gaussian

    return float(get_epsilon_gaussian(noise, delta)) * (1 + 1e-9) + 1e-9


def _is_loud(one: Mechanism) -> bool:
    match one:
        case Gaussian(noise_multiplier=noise) | SampledGaussian(noise_multiplier=noise):
            return 1 / (2 * noise**2) > _LOUD
        case Laplace(epsilon=epsilon) | Bounded(epsilon=epsilon):
            return epsilon > _LOUD
        case _:
            assert_never(one)


def _compose_distributions(
    precision: float, others: Iterable[tuple[Mechanism, int]], delta: float, step: float
) -> float:
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism, identity

    whole: PrivacyLossDistribution = identity(step)
    if precision:
        noise = 1 / math.sqrt(precision)
        whole = from_gaussian_mechanism(noise, value_discretization_interval=step)
    for mechanism, count in others:
        whole = whole.compose(_distribution(mechanism, step).self_compose(count))
    return float(whole.get_epsilon_for_delta(delta))


@lru_cache(maxsize=256)
def _distribution(mechanism: Mechanism, step: float) -> PrivacyLossDistribution:
    from dp_accounting.pld import common
    from dp_accounting.pld import privacy_loss_distribution as known

    match mechanism:
        case Gaussian(noise_multiplier=noise):
            return known.from_gaussian_mechanism(noise, value_discretization_interval=step)
        case SampledGaussian(noise_multiplier=noise, probability=probability):
            return known.from_gaussian_mechanism(
                noise, value_discretization_interval=step, sampling_prob=probability
            )
        case Laplace(epsilon=epsilon):
            return known.from_laplace_mechanism(1 / epsilon, value_discretization_interval=step)
        case Bounded(epsilon=epsilon, delta=delta):
            parameters = common.DifferentialPrivacyParameters(epsilon, delta)
            return known.from_privacy_parameters(parameters, value_discretization_interval=step)
        case _:
            assert_never(mechanism)
