"""What the classes of a table give away of a sensitive column, and whether that is as asked.

Each measure takes `ValueCounts` and gives the worst of all classes, and the worst value there is
for a table without rows, so that an empty release meets no requirement. "The table" that t, beta
and delta compare with is the table counted, its shares taken as known. Values count as different
or equal, however alike in meaning.

The judge of a release measures by these alone. A judgement holds measures and never a value, and
says the smallest violation it could have found. Whether the models asked for suffice is not known
here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from expectations.measures.class_counts import Floats, Integers, ValueCounts, classify, count_values
from expectations.policy.privacy_models import (
    AlphaK,
    BetaLikeness,
    DeltaDisclosure,
    DistinctLDiversity,
    EntropyLDiversity,
    PrivacyModel,
    RecursiveLDiversity,
    TCloseness,
    describe_model,
)

ROUNDING = 1e-9
"""What differs by less is equal: a bound that is just reached is reached."""
INFINITE = "infinite"
"""How a measure that no number bounds is written; JSON has no infinity."""


def distinct_l_diversity(counts: ValueCounts) -> int:
    """Give the fewest different values in a class; 0 without rows.

    Machanavajjhala et al., "l-diversity: privacy beyond k-anonymity" (2007), section 4.
    """
    return int(_kinds(counts).min(initial=len(counts.share)))


def entropy_l_diversity(counts: ValueCounts) -> float:
    """Give the largest l for which every class's entropy is at least log l; 0 without rows.

    Machanavajjhala et al. (2007), definition 4.1. At most `distinct_l_diversity`.
    """
    if not len(counts.size):
        return 0.0
    within = np.add.reduceat(counts.count * np.log(counts.count), counts.start)
    entropy = np.log(counts.size) - within / counts.size
    return math.exp(max(float(entropy.min()), 0.0))


def smallest_c(counts: ValueCounts, l: int) -> float:  # noqa: E741  # the model's own name
    """Give the bound that c must exceed for every class to be recursively (c, l)-diverse.

    Machanavajjhala et al. (2007), definition 4.2: r1 < c (r_l + ... + r_m), the counts r of a class
    sorted downward. Infinite where a class has fewer than l values, and without rows.
    """
    if distinct_l_diversity(counts) < l:
        return math.inf
    descending, before = _descend(counts)
    rest = counts.size - before[counts.start + l - 1]
    return float(np.max(descending[counts.start] / rest))


def equal_t_closeness(counts: ValueCounts) -> float:
    """Give the largest distance, 0 to 1, between the values of a class and those of the table.

    Li et al., "t-closeness: privacy beyond k-anonymity and l-diversity" (2007), section 4, with all
    values equally far apart: the sum of what a class has more than the table. 1 without rows.
    """
    if not len(counts.size):
        return 1.0
    surplus = np.maximum(counts.shares - counts.share[counts.value], 0)
    return float(np.add.reduceat(surplus, counts.start).max())


def ordered_t_closeness(counts: ValueCounts) -> float:
    """Give the largest distance, 0 to 1, with values as far apart as their ranks.

    Li et al. (2007), section 4: the sum over values of |cumulated class - cumulated table|, over
    the number of values less one. 1 without rows.
    """
    if not len(counts.size):
        return 1.0
    values = len(counts.share)
    if values == 1:
        return 0.0
    # From one value of a class to its next, the class stands still and the table rises past it at
    # one point, so that a stretch of any length costs two differences of running sums.
    table = np.cumsum(counts.share)
    sums = np.append(0.0, np.cumsum(table))
    running = np.cumsum(counts.count)
    own = (running - (running - counts.count)[counts.start][counts.group]) / counts.size[
        counts.group
    ]
    end = np.append(counts.value[1:], values)
    end[np.append(counts.start[1:], len(end)) - 1] = values
    crossing = np.clip(np.searchsorted(table, own), counts.value, end)
    below = own * (crossing - counts.value) - (sums[crossing] - sums[counts.value])
    above = (sums[end] - sums[crossing]) - own * (end - crossing)
    ahead = sums[counts.value[counts.start]]
    distance = np.add.reduceat(below + above, counts.start) + ahead
    return float(distance.max() / (values - 1))


def largest_share(counts: ValueCounts) -> float:
    """Give alpha, the largest share of a class that one value makes up; 1 without rows.

    Wong et al., "(α, k)-anonymity" (2006), definition 2, for every value of the column.
    """
    return float(counts.shares.max()) if len(counts.size) else 1.0


def beta_likeness(counts: ValueCounts) -> float:
    """Give the largest (q - p) / p of a value: q its share of a class, p of the table.

    Cao and Karras, "Publishing microdata with a robust privacy guarantee" (2012), definition 2.
    Infinite without rows.
    """
    return float(_gain(counts).max()) if len(counts.size) else math.inf


def enhanced_beta_likeness(counts: ValueCounts) -> float:
    """Give the smallest beta for which no (q - p) / p exceeds it, nor -ln p.

    Cao and Karras (2012), definition 3. Infinite where a value exceeds -ln p: no beta allows that.
    """
    gain = _gain(counts)
    limit = -np.log(counts.share[counts.value])
    return math.inf if (gain > limit + ROUNDING).any() else beta_likeness(counts)


def delta_disclosure(counts: ValueCounts) -> float:
    """Give the bound that delta must exceed: the largest |ln(q / p)|, over all values and classes.

    Brickell and Shmatikov, "The cost of privacy" (2008), definition 4. Infinite where a value of
    the table does not occur in a class, and without rows.
    """
    if distinct_l_diversity(counts) < len(counts.share) or not len(counts.size):
        return math.inf
    return float(np.abs(np.log(counts.shares / counts.share[counts.value])).max())


def _kinds(counts: ValueCounts) -> Floats:
    """How many values occur in each class."""
    return np.diff(counts.start, append=len(counts.group))


def _gain(counts: ValueCounts) -> Floats:
    """How much more of each class an entry makes up than of the table, relative to the table."""
    return counts.shares / counts.share[counts.value] - 1


def _descend(counts: ValueCounts) -> tuple[Floats, Floats]:
    """Sort each class's counts downward; beside each, the sum of those before it in its class."""
    base = int(counts.count.max()) + 1
    key = np.sort(counts.group * base + (base - 1 - counts.count))
    descending = base - 1 - key % base
    before = np.cumsum(descending) - descending
    return descending, before - before[counts.start][counts.group]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One model asked of one column: what was reached, and whether that meets it.

    `can_fail` is false where no table of this kind could break the model: then it proves nothing.
    """

    column: str
    model: PrivacyModel
    reached: float
    met: bool
    can_fail: bool

    @property
    def asked(self) -> str:
        """What the model asks of every class, in the words of the claim."""
        return describe_model(self.model, self.column)

    @property
    def power(self) -> str:
        """The smallest violation that could have been found."""
        if not self.can_fail:
            return "nothing: a table with one class, one value or this bound always meets it"
        return "a single class outside the limit; every row was checked"


def judge(
    frame: pd.DataFrame,
    columns: Sequence[str],
    sensitive: Mapping[str, Sequence[PrivacyModel]],
    weights: Integers | None = None,
) -> list[Judgement]:
    """Judge each model of each sensitive column over the classes of `columns`, in their order.

    `weights` says how many rows of the table each row of the frame stands for; one if not given.
    """
    classes = classify(frame, columns, weights)
    return [
        judge_counts(counts, column, model)
        for column, models in sensitive.items()
        for counts in [count_values(classes, frame[column], weights)]
        for model in models
    ]


def judge_counts(counts: ValueCounts, column: str, model: PrivacyModel) -> Judgement:
    """Judge one model by the counts of a column's values; a table without rows meets none."""
    found = reach(counts, model)
    met = len(counts.size) > 0 and meets(model, found)
    return Judgement(column, model, found, met, _can_fail(counts, model))


def reach(counts: ValueCounts, model: PrivacyModel) -> float:
    """Measure what a model bounds: l, t, beta, delta, alpha; of recursive diversity c at its l."""
    match model:
        case DistinctLDiversity():
            return distinct_l_diversity(counts)
        case EntropyLDiversity():
            return entropy_l_diversity(counts)
        case RecursiveLDiversity(l=least):
            return smallest_c(counts, least)
        case TCloseness(distance="equal"):
            return equal_t_closeness(counts)
        case TCloseness():
            return ordered_t_closeness(counts)
        case BetaLikeness(enhanced=True):
            return enhanced_beta_likeness(counts)
        case BetaLikeness():
            return beta_likeness(counts)
        case DeltaDisclosure():
            return delta_disclosure(counts)
        case AlphaK():
            return largest_share(counts)


def meets(model: PrivacyModel, reached: float) -> bool:
    """Say whether what was reached is what a model asks; the strict bounds are c and delta."""
    match model:
        case DistinctLDiversity(l=asked) | EntropyLDiversity(l=asked):
            return reached >= asked - ROUNDING
        case RecursiveLDiversity(c=asked) | DeltaDisclosure(delta=asked):
            return reached < asked - ROUNDING
        case TCloseness(t=asked) | BetaLikeness(beta=asked) | AlphaK(alpha=asked):
            return reached <= asked + ROUNDING


def name_measure(model: PrivacyModel) -> str:
    """Name what is measured for a model, as one word for evidence."""
    match model:
        case DistinctLDiversity():
            return "distinct_l"
        case EntropyLDiversity():
            return "entropy_l"
        case RecursiveLDiversity(l=least):
            return f"recursive_c_at_l_{least}"
        case TCloseness(distance=distance):
            return "ordered_t" if distance == "ordered" else "t"
        case BetaLikeness(enhanced=enhanced):
            return "enhanced_beta" if enhanced else "beta"
        case DeltaDisclosure():
            return "delta"
        case AlphaK():
            return "alpha"


def round_reached(model: PrivacyModel, reached: float) -> float:
    """Round to three decimals, never towards what is asked: what breaks a model still does so."""
    if not math.isfinite(reached):
        return reached
    if isinstance(model, DistinctLDiversity | EntropyLDiversity):
        return math.floor(1e3 * (reached + ROUNDING)) / 1e3
    return math.ceil(1e3 * (reached - ROUNDING)) / 1e3


def _can_fail(counts: ValueCounts, model: PrivacyModel) -> bool:
    """Whether a table with as many classes and values could break the model."""
    match model:
        case TCloseness(t=asked) if asked >= 1:
            return False
        case TCloseness() | BetaLikeness() | DeltaDisclosure():
            # One class is the table itself, and of a constant column there is nothing to learn.
            return len(counts.size) != 1 and len(counts.share) != 1
        case _:
            return True
