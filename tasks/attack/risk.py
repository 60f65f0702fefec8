"""From an attack's successes to a risk with its interval, and to a check with its power.

The risk is how much more often an attack succeeds against people in the table than against people
who are not in it, of what is left to succeed: (main - control) / (1 - control), after Giomi et al.,
"A unified framework for quantifying privacy risk in synthetic data" (2023), section 3. What a table
tells of everybody alike is no risk by this measure, however unwelcome; see `homogeneity` for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isinf, sqrt
from typing import TYPE_CHECKING, Final

from expectations.checks import Check
from expectations.disclosure import in_steps
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.contrast import FINEST, explain_undecided

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NORMAL: Final = 1.96
POWER: Final = 0.8416
"""Normal quantiles of a 95 % interval and of a power of 80 %."""
FEWEST: Final = 100
"""Attacks under which nothing is told: an interval would be useless, and figures count people."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How many of some tries succeeded; a try that hits one of n equal guesses counts 1/n."""

    hits: float
    tries: int

    @classmethod
    def of(cls, successes: NDArray[np.float64]) -> Rate:
        """Add up successes, each 0 to 1."""
        return cls(float(successes.sum()), len(successes))

    @property
    def share(self) -> float:
        """The middle of the interval of Wilson (1927), at 95 %; 0.5 without tries."""
        return (self.hits + NORMAL**2 / 2) / (self.tries + NORMAL**2)

    @property
    def error(self) -> float:
        """Half the width of that interval."""
        spread = self.hits * (self.tries - self.hits) / self.tries if self.tries else 0.0
        return NORMAL * sqrt(max(spread, 0.0) + NORMAL**2 / 4) / (self.tries + NORMAL**2)


@dataclass(frozen=True, slots=True)
class Risk:
    """One attack against people in the table, people not in it, and without the table at all.

    Where the control can only be bracketed, `controls` holds both ends: the interval then reaches
    from the lower end by the one to the upper end by the other.
    """

    main: Rate
    controls: tuple[Rate, ...]
    baseline: Rate

    @property
    def value(self) -> float:
        """What succeeds because people are in the table, 0 to 1."""
        return _bounded(sum(self._excess(one)[0] for one in self.controls) / len(self.controls))

    @property
    def low(self) -> float:
        """The lower end of the 95 % interval."""
        return _bounded(min(middle - error for middle, error in map(self._excess, self.controls)))

    @property
    def high(self) -> float:
        """The upper end of the 95 % interval."""
        return _bounded(max(middle + error for middle, error in map(self._excess, self.controls)))

    @property
    def control(self) -> float:
        """How often the attack succeeds against people not in the table."""
        return sum(one.share for one in self.controls) / len(self.controls)

    def _excess(self, control: Rate) -> tuple[float, float]:
        """Give the risk against one control and half of its interval, to the first order."""
        left = 1 - control.share
        by_control = control.error * (1 - self.main.share) / left**2
        error = sqrt((self.main.error / left) ** 2 + by_control**2)
        return (self.main.share - control.share) / left, error

    def detectable(self, bound: float) -> float:
        """Give the smallest risk told from a bound in four of five such attacks.

        Normal approximation at this number of tries and these control rates: the risk counts over
        the lowest and is told by the highest. Infinite when even a risk of 1 would not be.
        """
        low, high = (f(one.share for one in self.controls) for f in (min, max))
        tries = self.main.tries
        for thousandth in range(round(1000 * bound), 1001):
            risk = thousandth / 1000
            main = low + risk * (1 - low)
            seen = (main - high) / (1 - high)
            variance = main * (1 - main) + high * (1 - high) * (1 - seen) ** 2
            error = sqrt(variance / max(tries, 1)) / (1 - high)
            if tries and seen - bound > (NORMAL + POWER) * max(error, 1 / tries):
                return risk
        return inf

    def verdict(self, bound: float, copy: Risk) -> CheckVerdict:
        """Judge against the largest risk allowed, given the same attack on a copy of the rows.

        Power first: with fewer than 100 attacks, where even the copy stays at or under the bound,
        or where no risk could be told from it, nothing is known. Passed only with the whole
        interval within, warned with all of it beyond.
        """
        if self.main.tries < FEWEST or copy.low <= bound or isinf(self.detectable(bound)):
            return CheckVerdict.INCONCLUSIVE
        if self.high <= bound:
            return CheckVerdict.PASSED
        return CheckVerdict.WARNED if self.low > bound else CheckVerdict.INCONCLUSIVE


def judge_risk(name: str, outlet: str, found: Risk, copy: Risk, bound: float) -> Check:
    """Put an attack's risk into a check; figures are coarse enough to hide single people."""
    told = found.main.tries >= FEWEST
    return Check(
        name=f"{name} from {outlet}",
        asked=f"an attacker's gain of at most {bound:g} (upper end of the 95 % interval)",
        measured=f"attacker's gain {describe(found)}: {describe_rates(found)}"
        + explain_undecided(found.low, found.high, bound)
        if told
        else "too few people to attack",
        verdict=found.verdict(bound, copy),
        power=describe_power(found, copy, bound) if told else f"nothing under {FEWEST} attacks",
        remedy="raise k, make the columns coarser, or release fewer of them",
        outlet=outlet,
    )


def describe(risk: Risk) -> str:
    """Word a risk and its interval."""
    low, value, high = (tell(x, risk.main.tries) for x in (risk.low, risk.value, risk.high))
    return f"{value} ({low} to {high})"


def describe_rates(risk: Risk) -> str:
    """Word how often the attack succeeds against people in the table, out of it, and blindly."""
    tries = risk.main.tries
    controls = sorted({float(tell(one.share, tries)) for one in risk.controls})
    others = " to ".join(f"{100 * share:.0f}" for share in controls)
    main, blind = (float(tell(one.share, tries)) for one in (risk.main, risk.baseline))
    return (
        f"right in {100 * main:.0f} % of tries on people in the table, {others} % on others, "
        f"{100 * blind:.0f} % without the table"
    )


def describe_power(found: Risk, copy: Risk, bound: float) -> str:
    """Say which risk the attack could have found, in numbers and on a copy of the rows."""
    told = found.detectable(bound)
    least = "no gain" if isinf(told) else f"a gain of {tell(told, found.main.tries)} or more"
    size = f"{least} would be found with 80 % power by {found.main.tries} attacks"
    weak = "; even that is within the limit, so nothing could fail"
    return f"{size}; on a copy of the rows the gain is {describe(copy)}" + weak * (
        copy.low <= bound
    )


def tell(share: float, tries: int, threshold: int = 10) -> str:
    """Write a share in steps that span `threshold` tries, of at least a hundredth."""
    return f"{min(1.0, in_steps(share, min(tries, FINEST), threshold)):.2f}"


def _bounded(value: float) -> float:
    return min(max(value, 0.0), 1.0)
