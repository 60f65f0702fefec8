"""Whether a table meets the privacy models that are asked of its sensitive columns.

The judge of a release: it measures by `expectations/sensitive_measures.py` alone. A judgement holds
measures and never a value, and says the smallest violation it could have found. Whether the models
asked for suffice is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from expectations import sensitive_measures as measures
from expectations.class_counts import Integers, ValueCounts, classify, count_values
from expectations.privacy_models import (
    AlphaK,
    BetaLikeness,
    DeltaDisclosure,
    DistinctLDiversity,
    EntropyLDiversity,
    PrivacyModel,
    RecursiveLDiversity,
    TCloseness,
)

ROUNDING = measures.ROUNDING


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
        """What the model asks, in words."""
        return word(self.model)

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
    """Judge one model by the counts of a column's values."""
    found = reach(counts, model)
    return Judgement(column, model, found, meets(model, found), _can_fail(counts, model))


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


def word(model: PrivacyModel) -> str:
    """Say what a model asks of every class."""
    match model:
        case DistinctLDiversity(l=asked):
            return f"at least {asked} different values in every class"
        case EntropyLDiversity(l=asked):
            return f"an entropy of at least log {asked:g} in every class"
        case RecursiveLDiversity(c=factor, l=asked):
            return f"recursive ({factor:g}, {asked})-diversity of every class"
        case TCloseness(t=asked, distance=distance):
            return f"every class at most {asked:g} from the table ({distance} distance)"
        case BetaLikeness(beta=asked, enhanced=enhanced):
            kind = "enhanced " if enhanced else ""
            return f"{kind}beta-likeness of at most {asked:g}"
        case DeltaDisclosure(delta=asked):
            return f"every value in every class, |ln of the ratio of shares| under {asked:g}"
        case AlphaK(alpha=asked):
            return f"no value in more than {asked:g} of a class"


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
