"""The people whom an attack is surest of: whether a model holds the rows of a few of them.

An AUC is an average over everybody. A model that holds one row in thirty, and is certain of it,
moves it by a hundredth. So each attack's ranking is read from its top, down to the first, the third
and the tenth of the people whom the model never saw. If members are `times` as likely as others to
be ranked so high, each on the list is a member with a chance of `times * members` in
`times * members + others`. How many there are before the list ends is then a negative binomial
count, and its exact test (Clopper & Pearson 1934) gives the lower end of `times`. That is the ratio
of true to false positives at the lowest rates, where it matters to whom is found (Carlini et al.
2022). Under (ε, δ)-differential privacy it is at most e^ε, but for δ.

The rankings are those of membership inference, and one more: how much surer the model is of a
person than references that never saw them (LiRA offline, with one variance for all; Carlini et al.
2022, VI-C). It finds rows that the references do not hold, because a class may hold rows in some
trainings only, and then LiRA's references that saw the person say nothing.

What is not seen: a model that holds rows and is hardly surer of them than of others; rows that
people who were not trained on share; fewer rows than `detectable`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.checks import Check
from expectations.measures.recognition import ENDS, ERROR, HELD, find_detectable, find_enough
from expectations.policy.training import MembershipCheck
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.reference_models import LEAST_CONFIDENCE, References
from tasks.attack.separation import in_tens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

FEW: Final = "membership inference of few"
"""The check's name."""
OFFLINE: Final = "LiRA offline"
"""The ranking that is read from its top alone: on average it tells less than the others."""


@dataclass(frozen=True, slots=True)
class Surest:
    """How many times as often as others members are among those whom an attack is surest of.

    `times` is certain (to 99 %, over all rankings and ends); `detectable` the
    share of members of whom a model must be certain to be refused at a limit with 80 % power.
    """

    times: float
    attack: str
    people: tuple[int, int]
    comparisons: int

    @property
    def told(self) -> int:
        """Give `times` as it may be told: whole, for a step of 1 is ten people on the list."""
        return int(self.times)

    def detectable(self, limit: float) -> float:
        """Give the share of members of whom a model must be certain to be found."""
        return find_detectable(*self.people, limit, self.comparisons)

    def verdict(self, limit: float) -> CheckVerdict:
        """Refused where it is certain; passed where a tenth of the rows would have been found."""
        if self.times > limit:
            return CheckVerdict.REFUSED
        found = self.detectable(limit) <= HELD
        return CheckVerdict.PASSED if found else CheckVerdict.INCONCLUSIVE


def find_surest(scores: Mapping[str, Scores], member: NDArray[np.bool_]) -> Surest:
    """Read each ranking from its top, and give the one that is certain of most."""
    comparisons = len(scores) * len(ENDS)
    bounds = {
        name: max(bound_times(score[member], score[~member], comparisons))
        for name, score in scores.items()
    }
    strongest = max(bounds, key=lambda name: bounds[name])
    sides = next(iter(scores.values()))
    people = in_tens(sides[member]), in_tens(sides[~member])
    return Surest(bounds[strongest], strongest, people, comparisons)


def bound_times(members: Scores, others: Scores, comparisons: int = 1) -> Iterator[float]:
    """Give, for each end of the list, how many times as often members certainly are on it.

    Members who are ranked with the last of the others count as ranked below.
    """
    from scipy.stats import beta

    ordered = np.sort(others)[::-1]
    for end in ENDS:
        above = int((members > ordered[end - 1]).sum()) if end <= len(ordered) else 0
        chance = float(beta.ppf(ERROR / comparisons, above, end)) if above else 0.0
        yield chance / (1 - chance) * len(others) / len(members)


def measure_surprise(confidence: Scores, references: References) -> Scores:
    """Give how much surer the model is of each person than references that never saw them."""
    outside = ~references.inside
    logits = np.where(outside, find_logit(references.confidence), 0.0)
    surprise: Scores = find_logit(confidence) - logits.sum(axis=0) / outside.sum(axis=0)
    return surprise


def find_logit(confidence: Scores) -> Scores:
    """Give the log odds, which are closer to normal than the confidence."""
    bounded = np.clip(confidence, LEAST_CONFIDENCE, 1 - LEAST_CONFIDENCE)
    odds: Scores = np.log(bounded / (1 - bounded))
    return odds


def judge_surest(found: Surest, asked: MembershipCheck, outlet: str, drawn: str = "") -> Check:
    """Compare what is certain with what the policy allows; `drawn` says how many were drawn."""
    limit, verdict = asked.found_at_most, found.verdict(asked.found_at_most)
    share = found.detectable(limit)
    remedy = "train a private or simpler model, and see that it keeps no rows"
    if verdict is CheckVerdict.INCONCLUSIVE:
        enough = find_enough(found.people[1] / sum(found.people), limit)
        remedy = f"attack about {enough:,} people or more"
    measured = "those trained on are not certainly more often among them"
    if found.told > 1:
        measured = f"at least {found.told} times as often ({found.attack})"
    if verdict is CheckVerdict.REFUSED and found.told <= limit:
        measured = f"more than {limit:g} times as often ({found.attack})"
    return Check(
        name=FEW,
        asked="of the people whom an attack is surest of, those trained on at most "
        f"{limit:g} times as often as others",
        measured=measured,
        verdict=verdict,
        power=("nothing: too few people" if isinf(share) else describe_power(share)) + drawn,
        remedy=remedy,
        outlet=outlet,
    )


def describe_power(share: float) -> str:
    """Say of which share of its people a model must be certain to be found."""
    return f"a model certain of {100 * share:.2g} % of its people would be found with 80 % power"
