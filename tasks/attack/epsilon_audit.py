"""Audit of ε: whether a trainer is as private as it claims, by canaries in twins of its model.

The claim is what the trainer says that it draws (`mechanisms()`), or what the policy promises,
not what the accountant made of it. Under a claim of Gaussian noise everybody who sees the model
can guess a canary's coin with a certain probability only; noise of half the scale, a longer
gradient or no noise make it easier. A canary is a group of equal rows, as large as it takes to be
guessed well at any ε: a group of g people is protected g times less (Dong, Roth and Su 2022,
theorem 2.14), so the claim about one person says exactly how well.

What a finding needs: fair coins; for additive models also that the noise of different canaries is
independent (as of the scores of bins; in a regression only nearly, as whitening and clipping mix
its columns; not of networks, for which the weaker bound is used that needs nothing, and sees
little). Read as a number, the lower bound
on ε is that of the Gaussian mechanism which the guesses refute. What it does not see: noise that
is wrong on rows unlike the canaries, noise that repeats in part, what the trainer leaks beside
the model, and a trainer that recognises the audit.

Passed says that half the noise would show in canaries as efficient as an honest trainer's. A
canary's efficiency is how far in and out lie apart in a model, as a share of what the claim allows
at most. It cannot be read from the audited twin, whose canaries may lie apart by lack of noise as
well: it is a least one, measured beforehand on honest trainers. If these canaries are less
efficient than that and the noise is less by the same share, nothing shows, and it is passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from statistics import NormalDist

import numpy as np

from expectations.checks import Check
from expectations.errors import UsageError
from expectations.policy.vocabulary import CheckVerdict
from expectations.privacy_loss import Mechanism
from tasks.attack.audit_bounds import (
    Curve,
    Game,
    claim_epsilon,
    convert_separation,
    describe_claim,
    guess_best,
    separate_epsilon,
)
from tasks.attack.canaries import Canaries, MakeModel, guess_right, play, repeats_itself

FALSE_ALARM = 0.01
POWER = 0.8
HALF = 0.5
CANARIES = 2000
"""At least so many, over as many trainings as it takes."""
GROUP_SEPARATION = 2.0
"""Deviations by which a group in and out may differ under the claim: guessed right in 84 %."""


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
    claimed = claim_epsilon(claimed_mechanisms, delta)
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
        asked=f"ε at most {asked:.3g} at δ = {found.delta:.0e}",
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
    scores = [play(make_model(), canaries, coins, group) for coins in included]
    return guess_right(np.array(scores), included)


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
    apart = NormalDist().inv_cdf
    seen = efficiency * apart(guess_best(curve))
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
        return "two trainings on the same rows gave the same model: its noise is no secret"
    return (
        f"ε is at least {found.lower_epsilon:.3g}, claimed {found.claimed_epsilon:.3g} "
        f"({found.right:,} of {found.canaries:,} canaries guessed right)"
    )


def _describe_power(found: EpsilonAudit) -> str:
    if not found.detectable_noise:
        return f"no lack of noise would surely be found ({found.method})"
    return (
        f"{floor(100 * found.detectable_noise) / 100:.2f} times the claimed noise or less would be "
        f"found with 80 % power; honest noise is refused in {100 * found.false_alarm:g} % at most"
    )
