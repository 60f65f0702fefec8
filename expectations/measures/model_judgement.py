"""Whether a table meets the privacy models that are asked of its sensitive columns.

The judge of a release: it measures by `expectations/measures/sensitive_measures.py` alone. A judgement holds
measures and never a value, and says the smallest violation it could have found. Whether the models
asked for suffice is not known here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from expectations.measures import sensitive_measures as measures
from expectations.measures.class_counts import Integers, ValueCounts, classify, count_values
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

ROUNDING = measures.ROUNDING
INFINITE = "infinite"
"""How a measure that no number bounds is written; JSON has no infinity."""


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
            return "nothing: every table with one class, or one value, or this bound meets it"
        return "a single class beyond what is asked; every row was looked at"


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
            return measures.distinct_l_diversity(counts)
        case EntropyLDiversity():
            return measures.entropy_l_diversity(counts)
        case RecursiveLDiversity(l=least):
            return measures.smallest_c(counts, least)
        case TCloseness(distance="equal"):
            return measures.equal_t_closeness(counts)
        case TCloseness():
            return measures.ordered_t_closeness(counts)
        case BetaLikeness(enhanced=True):
            return measures.enhanced_beta_likeness(counts)
        case BetaLikeness():
            return measures.beta_likeness(counts)
        case DeltaDisclosure():
            return measures.delta_disclosure(counts)
        case AlphaK():
            return measures.largest_share(counts)


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
