"""Audit of ε: whether a trainer is as private as it claims, by canaries in twins of its model.

The claim is what the trainer says that it draws (`mechanisms()`), or what the policy promises,
not what the accountant made of it. The game: each of many canaries (made-up rows whose traces in a
model show how much it tells of one person) is trained on or not, by a fair coin; whoever sees the
model guesses every coin. With trade-off function f (Dong, Roth and Su 2022) one guess is right with
at most a certain probability; noise of half the scale, a longer gradient or no noise make it
likelier. No person's data is read: a twin of the policy's classifier is trained on canaries among
people without features. So the audit costs no privacy, and what it finds holds for any data.

A canary is a group of equal rows, as large as it takes to be guessed well at any ε: a group of g
people is protected g times less (ibid., theorem 2.14), so the claim about one person says exactly
how well. Where the noise of canaries is independent, as in a model that adds up a weight for each,
the right guesses are bounded by a binomial count. Where it may not be, a mechanism may leak much
about everybody at once, rarely; what holds even so, in one training, is far weaker (Mahloujifar,
Melis and Chaudhuri 2025; for (ε, δ) Steinke, Nasr and Jagielski 2023).

What a finding needs: fair coins; for additive models also that independence (it holds of the scores
of bins; in a regression only nearly, as whitening and clipping mix its columns; not of networks,
for which the weaker bound is used, which sees little). Read as a number, the lower bound on ε is
that of the Gaussian mechanism which the guesses refute. What it does not see: noise that is wrong
on rows unlike the canaries, noise that repeats in part, what the trainer leaks beside the model,
and a trainer that recognises the audit.

Passed says that half the noise would show in canaries as efficient as an honest trainer's. A
canary's efficiency is how far in and out lie apart in a model, as a share of what the claim allows
at most. It cannot be read from the audited twin, whose canaries may lie apart by lack of noise as
well: it is a least one, measured beforehand on honest trainers. If these canaries are less
efficient than that and the noise is less by the same share, nothing shows, and it is passed.

All in closed form or by search on it: it shares no code with training, nor with the accountant of
`expectations.privacy_loss` but for claims that have no closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import ceil, exp, floor, inf, log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import numpy as np

from expectations.checks import Check
from expectations.errors import UsageError
from expectations.policy.vocabulary import CheckVerdict
from expectations.privacy_loss import Bounded, Gaussian, Mechanism, compose
from tasks.attack.reference_models import count_cores, limit_threads

if TYPE_CHECKING:
    from numpy.typing import NDArray


LOWEST_PROBABILITY: Final = 1e-12
"""Below it a probability is clipped, since its log-odds would be infinite."""
LARGEST_SEPARATION: Final = 20.0
"""Deviations up to which a lower bound is searched: ε in the hundreds, which promises nothing."""
DELTAS: Final = tuple(10.0**-power for power in (1, 1.5, 2, 3, 4, 5, 7))
"""Where a claim without a closed form is read from its accountant: (ε, δ) at each of these δ."""
FALSE_ALARM: Final = 0.01
POWER: Final = 0.8
HALF: Final = 0.5
CANARIES: Final = 2000
"""At least so many, over as many trainings as it takes."""
GROUP_SEPARATION: Final = 2.0
"""Deviations by which a group in and out may differ under the claim: guessed right in 84 %."""
_NORMAL: Final = NormalDist()


class PrivateClassifier(Protocol):
    """What the audit asks of a classifier: the declared labels, and scikit-learn's interface."""

    @property
    def classes(self) -> Sequence[Hashable]:
        """The two declared labels, the positive one last."""
        ...

    def fit(self, X: NDArray[np.float64], y: NDArray[np.generic], /) -> object:  # noqa: N803  # sklearn's
        """Train on rows and their labels."""
        ...

    def predict_proba(self, X: NDArray[np.float64], /) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give each row's probability of each class, in the order of `classes`."""
        ...


MakeModel: TypeAlias = Callable[[], PrivateClassifier]


@dataclass(frozen=True, slots=True)
class Canaries:
    """Encoded rows, each of which no other canary resembles, and the rows of other people.

    Both of shape (..., features), as the classifier reads them; more others than canaries.
    """

    rows: NDArray[np.float64]
    others: NDArray[np.float64]


def give_columns(count: int = 16, people: int = 6_000, length: float = 4.0) -> Canaries:
    """Give each canary a column of its own among others with the same; for models with weights.

    A quarter of the others have one of the columns: so none stands out, where a trainer makes its
    directions equally long, and none explains a canary. `length` is long enough that the gradient
    is clipped. Few columns: a trainer may spend noise on how each goes with each.
    """
    rows = length * np.eye(count)
    others = np.zeros((people, count))
    others[: people // 4] = rows[np.arange(people // 4) % count]
    return Canaries(rows, others)


def give_labels(count: int = 250, people: int = 50_000, columns: int = 4) -> Canaries:
    """Give each canary a label of its own, the same in all columns, among others with the same.

    For models with a score for each bin: the others keep it from explaining the canary. In several
    columns, as a person is in a bin of each: noise that is meant for one alone is too little by
    the root of their number. The twin must be declared with as many features of `count` labels,
    given as 0, 1, ...
    """
    return Canaries(_repeat(np.arange(count), columns), _repeat(np.arange(people) % count, columns))


def play(
    model: PrivateClassifier, canaries: Canaries, included: NDArray[np.bool_], group: int
) -> NDArray[np.float64]:
    """Train with `group` copies of each included canary; give every canary's log-odds.

    Canaries and as many others have the second label, the rest the first, so that no canary is
    explained by what it shares with others and its gradient stays long.
    """
    present = np.repeat(canaries.rows[included], group, axis=0)
    rows = np.vstack([present, canaries.others])
    positive = np.arange(len(rows)) < len(present) + len(canaries.rows)
    model.fit(rows, np.array(model.classes)[positive.astype(int)])
    odds = np.clip(model.predict_proba(canaries.rows), LOWEST_PROBABILITY, None)
    return np.asarray(np.log(odds[:, 1] / odds[:, 0]))


def guess_right(scores: NDArray[np.float64], included: NDArray[np.bool_]) -> int:
    """Count the canaries whose coin is guessed right: in, where the score is above the mean.

    Both of any shape; the mean is over all, and looks at no coin.
    """
    return int(((scores > scores.mean()) == included).sum())


def repeats_itself(make_model: MakeModel, canaries: Canaries) -> bool:
    """Tell whether two trainings on the same rows give the same model: its noise is no secret.

    Never so with fresh continuous noise. Noise that repeats in part only is not seen.
    """
    few = replace(canaries, others=canaries.others[: 2 * len(canaries.rows)])
    nobody = np.zeros(len(canaries.rows), dtype=bool)
    first, second = (play(make_model(), few, nobody, 1) for _ in range(2))
    return bool(np.allclose(first, second, rtol=1e-9, atol=1e-9))


def _repeat(labels: NDArray[np.int64], columns: int) -> NDArray[np.float64]:
    return np.tile(labels.astype(np.float64)[:, None], columns)


Curve: TypeAlias = Callable[[float], float]
"""From an outcome's probability with a person, the least that it can have without them."""


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
        # Half of them are guessed right by blind chance, which refutes nothing.
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
    # The least mass of right guesses that the supposition allows: exactly `right`, no more.
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


def _claim_epsilon(mechanisms: Iterable[Mechanism], delta: float) -> float:
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


@dataclass(frozen=True, slots=True)
class EpsilonAudit:
    """What the audit found about a claimed ε at δ, of one person.

    `lower_epsilon` is certain but for `false_alarm`; `right` of `canaries` coins were guessed, each
    of `group` rows. `detectable_noise` is the largest share of the claimed noise at which the
    claim is refuted with 80 % power, 0 where none is. `refuted`: the guesses contradict the claim.
    `repeats`: two trainings on the same rows gave the same model.
    """

    claimed_epsilon: float
    lower_epsilon: float
    delta: float
    canaries: int
    right: int
    group: int
    detectable_noise: float
    refuted: bool
    repeats: bool
    method: str
    false_alarm: float = FALSE_ALARM


def audit_epsilon(  # noqa: PLR0913  # the trainer, its claim, and the game
    make_model: MakeModel,
    claimed_mechanisms: Sequence[Mechanism],
    delta: float,
    *,
    canaries: Canaries,
    additive: bool,
    efficiency: float,
) -> EpsilonAudit:
    """Train twins on canaries among other people, and compare guesses with the claim.

    `make_model` gives a fresh, unfitted clone of the policy's classifier (for `give_labels`, with
    its declaration changed to that). `additive`: each canary has weights of its own, whose noise
    is independent. `efficiency` in [0, 1] is the least of an honest trainer; 0 where it is unknown.
    """
    if not 2 <= len(canaries.rows) < len(canaries.others) or not 0 < delta < 1:
        raise UsageError("audit of ε: give 2 canaries, more others than those, and 0 < delta < 1")
    claimed = _claim_epsilon(claimed_mechanisms, delta)
    group = _choose_group(claimed, delta) if additive else 1
    curve = describe_claim(claimed_mechanisms, delta, group)
    trainings = ceil(CANARIES / len(canaries.rows))
    game = Game(trainings * len(canaries.rows), additive, FALSE_ALARM)
    right = _guess(make_model, canaries, group, trainings)
    detectable = _detect(game, curve, right, efficiency)
    return EpsilonAudit(
        claimed_epsilon=claimed,
        lower_epsilon=convert_separation(game.bound_separation(right) / group, delta),
        delta=delta,
        canaries=game.canaries,
        right=right,
        group=group,
        detectable_noise=detectable,
        refuted=game.refutes(curve, right),
        repeats=repeats_itself(make_model, canaries),
        method="independent canaries" if additive else "one run, canaries of any dependence",
    )


def judge_audit(found: EpsilonAudit, asked: float, outlet: str | None = None) -> Check:
    """Compare an audit with the `asked` ε: refused, passed where half the noise would show."""
    return Check(
        name="audit of ε",
        asked=f"ε of at most {asked:.3g} at δ = {found.delta:.0e}",
        measured=_describe(found),
        verdict=_decide(found, asked),
        power=_describe_power(found),
        remedy="do not release the model: the trainer's noise or clipping is not what it claims"
        if _decide(found, asked) is CheckVerdict.REFUSED
        else "use a kind of model whose noise the audit can see, or report inconclusive audits",
        outlet=outlet,
    )


def _choose_group(epsilon: float, delta: float) -> int:
    return max(1, round(GROUP_SEPARATION / separate_epsilon(epsilon, delta)))


def _guess(make_model: MakeModel, canaries: Canaries, group: int, trainings: int) -> int:
    # Fresh coins for each training: a canary in two would be protected less than the claim.
    included = np.random.default_rng().random((trainings, len(canaries.rows))) < HALF
    with ThreadPoolExecutor(count_cores(), initializer=limit_threads) as pool:
        scores = pool.map(lambda coins: play(make_model(), canaries, coins, group), included)
        return guess_right(np.array([*scores]), included)


def _detect(game: Game, curve: Curve, right: int, efficiency: float) -> float:
    """Give the share of the claimed noise at which `curve` would be refuted with 80 % power.

    From how far apart canaries of so little efficiency lie under the claim, in deviations, which
    grow as the noise falls; or how far these lie at most (upper end of the 95 % interval), if less.
    """
    from scipy.stats import beta

    critical = game.find_critical(curve)
    if critical is None:
        return 0.0
    most = (
        float(beta.ppf(0.975, right + 1, game.canaries - right)) if right < game.canaries else 1.0
    )
    needed = float(beta.ppf(POWER, critical, game.canaries - critical + 1))
    apart = _NORMAL.inv_cdf
    seen = efficiency * apart(guess_best(curve))
    # With every guess right there is no upper end to how far they lie apart.
    if most < 1:
        seen = min(seen, apart(most))
    return min(1.0, max(seen, 0.0) / apart(needed))


def _decide(found: EpsilonAudit, asked: float) -> CheckVerdict:
    # A promise is written with few digits; the accountant rounds up by less than this.
    above = max(found.claimed_epsilon, found.lower_epsilon) > asked * (1 + 1e-3)
    if found.refuted or found.repeats or above:
        return CheckVerdict.REFUSED
    return CheckVerdict.PASSED if found.detectable_noise >= HALF else CheckVerdict.INCONCLUSIVE


def _describe(found: EpsilonAudit) -> str:
    if found.repeats:
        return "two trainings on the same rows gave the same model: its noise is not secret"
    return (
        f"ε is at least {found.lower_epsilon:.3g} (claimed: {found.claimed_epsilon:.3g}; "
        f"{found.right:,} of {found.canaries:,} canaries guessed right)"
    )


def _describe_power(found: EpsilonAudit) -> str:
    if not found.detectable_noise:
        return f"nothing: no lack of noise would surely be found ({found.method})"
    return (
        f"{floor(100 * found.detectable_noise) / 100:.2f} times the claimed noise, or less, would "
        f"be found with 80 % power; honest noise is refused in at most {100 * found.false_alarm:g} "
        "% of audits"
    )
