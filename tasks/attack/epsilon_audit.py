"""Audit of ε: whether a trainer is as private as it claims, release by release.

The claim is what the trainer says that it draws (`mechanisms()`): so many Gaussian mechanisms, in
turn, of such noise over what one person can move. Twins of the model are fitted to made-up
people (`twins`), and what passes from these into each fit is held against the claim:

- as many releases as are claimed;
- *noise*: of each release as much as it asks for, Gaussian, and never the same (`release_noise`);
- *sensitivity*: while all earlier results stay as they were, one person who comes or goes moves no
  release farther than its noise is made for. People come who have the longest rows, the labels at
  the corners, or whom the model predicts worst, with every class or either end of a range, and
  some go;
- *nothing else*: told the same results, fits to these and to quite other people give the same
  model, and ask for the same noise. An exact number of people, a bound taken from the data or a sum
  without noise that is used anywhere would show in it.

So a fault in one release of a hundred shows as well as in all of them, at any ε: what is tested is
each release and not what they come to. No person's data is read, and nothing is kept.

Read as a number, the lower bound on ε is what the made-up person who moves most loses by these
releases. What it does not see: noise or sums that are wrong on rows unlike the made-up ones, what
hides within the noise, what the trainer leaks beside the model, and a trainer that recognises a
twin. It is no proof: another path of results might move somebody farther.

It shares no code with training, nor with the accountant of `expectations.privacy_loss` but for
claims that have no closed form. Of those, which draw people at random, sums of two fits are of
other people: only their noise and their number are tried, which passes nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, floor, inf, log, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.checks import Check
from expectations.policy.vocabulary import CheckVerdict
from expectations.privacy_loss import Bounded, Gaussian, Mechanism, compose
from tasks.attack.release_noise import find_least_scale, find_noise_faults, measure_scale
from tasks.attack.twin_outcomes import Outcomes, declare_outcomes
from tasks.attack.twins import Crowd, Fit, People, PrivateModel, is_same, train_twin

if TYPE_CHECKING:
    from numpy.typing import NDArray

FALSE_ALARM: Final = 1e-4
POWER: Final = 0.8
HALF: Final = 0.5
PEOPLE: Final = 2_200
"""Of a twin: more than are added up in one block."""
STRANGERS: Final = 700
STRANGE, GONE, COME = 6, 24, 48
"""Twins of quite other people, of those with one person fewer, and of those with one more.

With two of the same people they draw the noise of each release so often that half of it shows in a
single number.
"""
TOLD: Final = 3
LARGEST: Final = 500.0
"""The largest ε that is told from an infinite one."""
ROUNDING: Final = 1e-6
"""A person may seem to move a sum so much farther, relatively, as a quotient of floats is off."""
_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class EpsilonAudit:
    """What the audit found about a claimed ε at δ, of one person.

    `lower_epsilon` is what the made-up person who moves most loses, given the noise that was seen.
    `releases` names them; `faults` are what contradicts the claim. `detectable_noise` is the
    largest share of the claimed noise that would be told from all of it in each release with 80 %
    power; `reach` the share of the claimed sensitivity that somebody reached in each, 0 where that
    could not be tried.
    """

    claimed_epsilon: float
    lower_epsilon: float
    delta: float
    releases: str
    faults: tuple[str, ...]
    twins: int
    detectable_noise: float
    reach: float
    false_alarm: float = FALSE_ALARM


def audit_epsilon(
    trainer: PrivateModel, crowd: Crowd, names: Sequence[str], *, sampled: bool = False
) -> EpsilonAudit:
    """Fit twins of `trainer` to made-up people, and hold what they release against its claim.

    `names` are what is released, one for each mechanism that is claimed. `sampled`: it draws its
    people, or where it starts, at random, so that two fits cannot be compared.
    """
    claims, delta = trainer.mechanisms(), trainer.delta
    places = [*name_places(claims, names)]
    twins = watch_twins(trainer, crowd, sampled=sampled)
    faults = [*find_other_ways(twins, len(places), sampled=sampled)]
    detectable = reach = lower = 0.0
    if len(twins.first.releases) == len(places):
        noise = twins.take_noise()
        wrong = find_wrong_noise(noise, twins.first)
        moved = np.empty((0, len(places))) if sampled else twins.measure_moves(claims)
        faults += [f"{places[k]}: {what}" for k, what in sorted(wrong.items())]
        faults += [*find_far_moves(moved, places)]
        least = min(drawn.size for drawn in noise)
        detectable = find_least_scale(least, len(places), FALSE_ALARM, POWER)
        if len(moved):
            reach = float(moved.max(axis=0).min())
            lower = convert_separation(lose_most(moved, claims, noise, wrong), delta)
    return EpsilonAudit(
        claimed_epsilon=_claim_epsilon(claims, delta),
        lower_epsilon=lower,
        delta=delta,
        releases=describe_releases(claims, names),
        faults=tuple(faults),
        twins=1 + len(twins.apart) + len(twins.near),
        detectable_noise=detectable,
        reach=reach,
    )


@dataclass(frozen=True, slots=True)
class Twins:
    """Fits to the same people twice and to quite others (`apart`), and to one more or less."""

    first: Fit
    apart: tuple[Fit, ...]
    near: tuple[Fit, ...]

    @property
    def alike(self) -> list[Fit]:
        """All that asked for the same number of sums and the same noise."""
        return [fit for fit in (self.first, *self.apart, *self.near) if fit.asks_as(self.first)]

    def take_noise(self) -> list[NDArray[np.float64]]:
        """Give each release's noise, of shape (fits, values), over what was asked for."""
        fits = self.alike
        return [
            np.array([fit.releases[k].noise for fit in fits])
            for k in range(len(self.first.releases))
        ]

    def measure_moves(self, claims: Iterable[Mechanism]) -> NDArray[np.float64]:
        """Give how far each person moves each release, over what its noise is made for."""
        allowed = [
            release.deviation / multiplier
            for release, multiplier in zip(self.first.releases, _repeat_noise(claims), strict=True)
        ]
        moved = [
            [
                float(np.linalg.norm((one.sums - of_all.sums).astype(np.float64)))
                for one, of_all in zip(fit.releases, self.first.releases, strict=True)
            ]
            for fit in self.near
            if fit.asks_as(self.first)
        ]
        return np.array(moved).reshape(-1, len(allowed)) / allowed


def watch_twins(trainer: PrivateModel, crowd: Crowd, *, sampled: bool) -> Twins:
    """Fit twins; all but the first are told what that one was told, where fits can be compared."""
    outcomes = declare_outcomes(trainer)
    people = crowd.gather(PEOPLE, outcomes)
    first = train_twin(trainer, people)
    told = () if sampled else first.releases
    strangers = [crowd.gather(count, outcomes) for count in (STRANGERS, PEOPLE) * (STRANGE // 2)]
    swapped = [People(one.rows, outcomes.swap(one.outcomes)) for one in strangers]
    apart = [train_twin(trainer, one, told) for one in (people, *swapped)]
    changed = change_people(crowd, people, first.model, outcomes)
    near = [train_twin(trainer, one, told) for one in changed]
    return Twins(first, tuple(apart), tuple(near))


def change_people(
    crowd: Crowd, people: People, model: PrivateModel, outcomes: Outcomes
) -> Iterator[People]:
    """Give people with one more or one fewer: those whom the model predicts worst, and any."""
    draw = np.random.default_rng()
    worst = np.argsort(outcomes.miss(model, people.rows, people.outcomes))[-GONE // 2 :]
    for place in (*worst, *draw.integers(0, PEOPLE, GONE - len(worst))):
        yield people.drop(int(place))
    for who, outcome in find_comers(crowd.extreme, model, outcomes):
        yield people.add(crowd.extreme[who], int(draw.integers(0, PEOPLE)), outcome)


def find_comers(
    extreme: NDArray[np.float64], model: PrivateModel, outcomes: Outcomes
) -> Iterator[tuple[int, object]]:
    """Give `COME` extreme people: of each outcome whom the model predicts worst, and anybody."""
    each = max(COME * 2 // 3 // len(outcomes.extreme), 1)
    for outcome in outcomes.extreme:
        missed = outcomes.miss(model, extreme, np.array([outcome] * len(extreme)))
        yield from ((int(who), outcome) for who in np.argsort(missed)[-each:])
    anybody = np.random.default_rng().integers(0, len(extreme), COME - each * len(outcomes.extreme))
    for turn, who in enumerate(anybody):
        yield int(who), outcomes.extreme[turn % len(outcomes.extreme)]


def find_other_ways(twins: Twins, claimed: int, *, sampled: bool) -> Iterator[str]:
    """Say what shows that more than the claimed releases leads from people into a model."""
    released = len(twins.first.releases)
    if released != claimed:
        yield f"a fit makes {released} releases, where {claimed} are claimed"
    everybody = (*twins.apart, *twins.near)
    if not all(fit.asks_as(twins.first) for fit in everybody):
        yield "how many sums are released, or with how much noise, depends on the people"
    elif not sampled:
        learned = vars(twins.first.model)
        if not all(is_same(vars(fit.model), learned) for fit in everybody):
            yield "the same releases of other people give another model: something bypasses them"


def find_wrong_noise(noise: Sequence[NDArray[np.float64]], first: Fit) -> dict[int, str]:
    """Give what is wrong with the noise of releases, by their place; of each the first fault."""
    deviations = [release.deviation for release in first.releases]
    found: dict[int, str] = {}
    for place, fault in find_noise_faults(noise, deviations, FALSE_ALARM):
        found.setdefault(place, fault)
    return found


def find_far_moves(moved: NDArray[np.float64], places: Sequence[str]) -> Iterator[str]:
    """Say of each release how far somebody moves it, if farther than its noise is made for."""
    for name, farthest in zip(places, moved.max(axis=0, initial=0.0), strict=True):
        if farthest > 1 + ROUNDING:
            yield f"{name}: one person moves it {farthest:.2f} times as far as is claimed"


def lose_most(
    moved: NDArray[np.float64],
    claims: Iterable[Mechanism],
    noise: Sequence[NDArray[np.float64]],
    wrong: Mapping[int, str],
) -> float:
    """Give the most that anybody's coming or going tells, as a distance in deviations of noise."""
    noises = np.fromiter(_repeat_noise(claims), dtype=float)
    for place in wrong:
        noises[place] *= min(1.0, measure_scale(noise[place]))
    apart = np.divide(moved, noises, out=np.where(moved > 0, inf, 0.0), where=noises > 0)
    return float(np.linalg.norm(apart, axis=1).max(initial=0.0))


def name_places(claims: Iterable[Mechanism], names: Iterable[str]) -> Iterator[str]:
    """Name each release in turn."""
    for claim, name in zip(claims, names, strict=True):
        count = _count(claim)
        turns = range(1, count + 1)
        yield from (f"{name} ({turn} of {count})" if count > 1 else name for turn in turns)


def describe_releases(claims: Iterable[Mechanism], names: Iterable[str]) -> str:
    """Say what is released, and how often."""
    *most, last = (
        f"{_count(claim)} {name}" if _count(claim) > 1 else name
        for claim, name in zip(claims, names, strict=True)
    )
    return f"{', '.join(most)} and {last}" if most else last


def _count(claim: Mechanism) -> int:
    return 1 if isinstance(claim, Bounded) else claim.count


def _repeat_noise(claims: Iterable[Mechanism]) -> Iterator[float]:
    """Give the noise of each release, over what one person can move."""
    for claim in claims:
        noise = claim.noise_multiplier if isinstance(claim, Gaussian) else inf
        yield from (noise for _ in range(_count(claim)))


def separate_gaussians(mechanisms: Sequence[Mechanism]) -> float | None:
    """Give the μ of Gaussian mechanisms together, exactly; None where others are among them."""
    if not all(isinstance(one, Gaussian) for one in mechanisms):
        return None
    return sqrt(sum(m.count / m.noise_multiplier**2 for m in mechanisms if isinstance(m, Gaussian)))


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
    if measure_delta(separation, LARGEST) > delta:
        return inf
    return _search(lambda epsilon: measure_delta(separation, epsilon) > delta, LARGEST)


def separate_epsilon(epsilon: float, delta: float) -> float:
    """Give the μ of the Gaussian mechanism that is exactly (`epsilon`, `delta`)-private."""
    return _search(lambda separation: measure_delta(separation, epsilon) <= delta, 50.0)


def _search(too_low: Callable[[float], bool], high: float) -> float:
    """Give where `too_low` turns false on [0, `high`]."""
    low = 0.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if too_low(middle) else (low, middle)
    return high


def _claim_epsilon(mechanisms: Sequence[Mechanism], delta: float) -> float:
    """Give the ε that `mechanisms` claim: for Gaussians in closed form, else by the accountant."""
    separation = separate_gaussians(mechanisms)
    if separation is None:
        return compose(mechanisms, delta)
    return convert_separation(separation, delta)


def judge_audit(found: EpsilonAudit, asked: float, outlet: str | None = None) -> Check:
    """Compare an audit with the `asked` ε: refused, passed where half the noise would show."""
    verdict = _decide(found, asked)
    return Check(
        name="audit of ε",
        asked=f"ε of at most {asked:.3g} at δ = {found.delta:.0e}",
        measured=_describe(found),
        verdict=verdict,
        power=_describe_power(found),
        remedy="do not release the model: the trainer's noise or clipping is not what it claims"
        if verdict is CheckVerdict.REFUSED
        else "use a kind of model whose releases the audit can try, or report inconclusive audits",
        outlet=outlet,
    )


def _decide(found: EpsilonAudit, asked: float) -> CheckVerdict:
    # A promise is written with few digits; the accountant rounds up by less than this.
    if found.faults or found.claimed_epsilon > asked * (1 + 1e-3):
        return CheckVerdict.REFUSED
    tried = min(found.detectable_noise, found.reach)
    return CheckVerdict.PASSED if tried >= HALF else CheckVerdict.INCONCLUSIVE


def _describe(found: EpsilonAudit) -> str:
    if found.faults:
        more = len(found.faults) - TOLD
        return "; ".join(found.faults[:TOLD]) + (f"; and {more} more" if more > 0 else "")
    told = f"{found.twins} twins released {found.releases}, as claimed"
    if not found.reach:
        return f"{told}, but what one person moves could not be tried"
    return f"ε is at least {found.lower_epsilon:.3g} (claimed: {found.claimed_epsilon:.3g}); {told}"


def _describe_power(found: EpsilonAudit) -> str:
    if not found.detectable_noise:
        return "nothing: the releases are not those claimed"
    share = floor(100 * found.detectable_noise) / 100
    moved = (
        f"and one person who moves it farther than claimed; those tried came to {found.reach:.2f} "
        "of that or more"
        if found.reach
        else "but not one person who moves it too far"
    )
    return (
        f"of each release, {share:.2f} times the claimed noise, or less, would be found with "
        f"80 % power, {moved}; an honest trainer is refused in at most "
        f"{100 * found.false_alarm:g} % of audits"
    )
