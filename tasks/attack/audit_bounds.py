"""What a promise of privacy allows to guess, and which promises a number of right guesses refutes.

The game: each of many canaries is trained on or not, by a fair coin; whoever sees the model
guesses every coin. With trade-off function f (Dong, Roth and Su 2022) one guess is right with at
most a certain probability. Where the noise of canaries is independent, as in a model that adds up
a weight for each, the right guesses are then bounded by a binomial count. Where it may not be, a
mechanism may leak much about everybody at once, rarely; what holds even so, in one training, is
far weaker (Mahloujifar, Melis and Chaudhuri 2025; for (ε, δ) Steinke, Nasr and Jagielski 2023).

All in closed form or by search on it: it shares no code with the accountant of
`expectations.privacy_loss`, but for claims that have no closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import exp, inf, log, sqrt
from statistics import NormalDist
from typing import Final, TypeAlias

from expectations.privacy_loss import Bounded, Gaussian, Mechanism, compose

Curve: TypeAlias = Callable[[float], float]
"""From an outcome's probability with a person, the least that it can have without them."""

LARGEST_SEPARATION: Final = 20.0
DELTAS: Final = tuple(10.0**-power for power in (1, 1.5, 2, 3, 4, 5, 7))
"""Where a claim without a closed form is read from its accountant: (ε, δ) at each of these δ."""

_NORMAL = NormalDist()


def describe_gaussian(separation: float) -> Curve:
    """Give the curve of Gaussian noise whose means lie `separation` deviations apart (μ-GDP)."""

    def least(with_person: float) -> float:
        if not 0 < with_person < 1:
            return float(with_person >= 1)
        return _NORMAL.cdf(_NORMAL.inv_cdf(with_person) - separation)

    return least


def describe_bounds(bounds: Sequence[tuple[float, float]]) -> Curve:
    """Give the curve of what is (ε, δ)-differentially private for every pair of `bounds`."""

    def least(with_person: float) -> float:
        return max(
            max((with_person - delta) * exp(-epsilon), 1 - delta - (1 - with_person) * exp(epsilon))
            for epsilon, delta in ((0.0, 1.0), *bounds)
        )

    return least


def describe_claim(mechanisms: Iterable[Mechanism], delta: float, group: int) -> Curve:
    """Give the curve that `mechanisms` promise a group of `group` people.

    A group's curve is one person's, taken `group` times (Dong, Roth and Su 2022, theorem 2.14).
    """
    drawn = tuple(mechanisms)
    separation = separate_gaussians(drawn)
    if separation is not None:
        return describe_gaussian(group * separation)
    deltas = (*DELTAS, delta)
    if any(isinstance(one, Bounded) for one in drawn):
        deltas = (delta,)
    one = describe_bounds([(compose(drawn, each), each) for each in deltas])

    def least(with_person: float) -> float:
        for _ in range(group):
            with_person = one(with_person)
        return with_person

    return least


def separate_gaussians(mechanisms: Sequence[Mechanism]) -> float | None:
    """Give the μ of Gaussian mechanisms together, exactly; None where others are among them."""
    if not all(isinstance(one, Gaussian) for one in mechanisms):
        return None
    return sqrt(sum(m.count / m.noise_multiplier**2 for m in mechanisms if isinstance(m, Gaussian)))


def guess_best(curve: Curve) -> float:
    """Give the largest probability, to 1e-6, of guessing one fair coin right under `curve`."""
    low, high = 0.0, 1.0
    # What the best threshold gains is concave in how often it says "in", as curves are convex.
    while high - low > 1e-7:
        left, right = low + (high - low) / 3, high - (high - low) / 3
        rising = left - curve(left) < right - curve(right)
        low, high = (left, high) if rising else (low, right)
    return (1 + high - curve(high)) / 2


@dataclass(frozen=True, slots=True)
class Game:
    """A number of canaries, whether their noise is independent, and the error allowed."""

    canaries: int
    independent: bool
    false_alarm: float

    def find_critical(self, curve: Curve) -> int | None:
        """Give the least number of right guesses that refutes `curve`; None where not even all."""
        low, high = self.canaries // 2, self.canaries + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.refutes(curve, middle) else (middle, high)
        return high if high <= self.canaries else None

    def refutes(self, curve: Curve, right: int) -> bool:
        """Tell whether so many right guesses are rarer than the error allowed under `curve`."""
        from scipy.stats import binom

        if not self.independent:
            return refutes_in_one_run(curve, self.canaries, right, self.false_alarm)
        chance = binom.sf(right - 1, self.canaries, guess_best(curve))
        return bool(chance <= self.false_alarm)

    def bound_separation(self, right: int) -> float:
        """Give the largest μ, to 1e-3, whose Gaussian curve is refuted; 0 where none is."""
        low, high = 0.0, LARGEST_SEPARATION
        while high - low > 1e-3:
            middle = (low + high) / 2
            refuted = self.refutes(describe_gaussian(middle), right)
            low, high = (middle, high) if refuted else (low, middle)
        return low


def refutes_in_one_run(curve: Curve, canaries: int, right: int, false_alarm: float) -> bool:
    """Tell whether `right` guesses refute `curve`, however the canaries depend on one another.

    Supposes that so many are right with probability `false_alarm` and follows, count by count
    downward, how much probability the curve forces on fewer right guesses: above one in all,
    the supposition is wrong. Flipping one canary's coin turns a right guess, among n, into a wrong
    one among n - 1: so the mass of right guesses (of n / canaries, over all n >= count) has to the
    mass of wrong ones (over n >= count - 1) at most the ratio that the curve allows.
    """
    hits = false_alarm * right / canaries
    misses = false_alarm - hits
    for count in range(right, 0, -1):
        more = curve(hits) - misses
        if more > 0:
            hits += more * (count - 1) / (canaries - count + 1)
            misses += more
        if hits + misses > 1:
            return True
    return False


def measure_delta(separation: float, epsilon: float) -> float:
    """Give the δ at `epsilon` of Gaussian noise `separation` apart (Balle and Wang 2018, thm 8)."""
    if separation == 0:
        return 0.0
    shift = epsilon / separation
    beyond = _NORMAL.cdf(-separation / 2 - shift)
    # A tail too thin to be told from nothing must not be multiplied by an overflowing e^ε.
    return _NORMAL.cdf(separation / 2 - shift) - (exp(epsilon + log(beyond)) if beyond else 0.0)


def convert_separation(separation: float, delta: float) -> float:
    """Give the ε at `delta` of Gaussian noise whose means lie `separation` deviations apart."""
    if separation == inf:
        return inf
    return _search(lambda epsilon: measure_delta(separation, epsilon) > delta, 500.0)


def separate_epsilon(epsilon: float, delta: float) -> float:
    """Give the μ of the Gaussian mechanism that is exactly (`epsilon`, `delta`)-private."""
    return _search(lambda separation: measure_delta(separation, epsilon) <= delta, 50.0)


def claim_epsilon(mechanisms: Iterable[Mechanism], delta: float) -> float:
    """Give the ε that `mechanisms` claim: for Gaussians in closed form, else by the accountant."""
    drawn = tuple(mechanisms)
    separation = separate_gaussians(drawn)
    if separation is None:
        return compose(drawn, delta)
    return convert_separation(separation, delta)


def _search(too_low: Callable[[float], bool], high: float) -> float:
    """Give where `too_low` turns false on [0, `high`]."""
    low = 0.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if too_low(middle) else (low, middle)
    return high
