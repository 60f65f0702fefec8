"""How good a fitted model is on people it was not trained on.

Whether it was not trained on them is the caller's to see to. The figures are measures of the
model, not counts of people; differential privacy of a model does not cover them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Final

from expectations.errors import Refusal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    Weights = NDArray[np.float64]

PART: Final = 65_536
"""Rows that are encoded at a time."""


@dataclass(frozen=True, slots=True)
class Quality:
    """AUC with its 95 % interval (Hanley & McNeil 1982), accuracy at 0.5, Brier score, base rate.

    The interval speaks of other test people, not of other training people or another noise draw.
    It is made with the effective size of each class (Kish 1965) in whole tens, so that its ends do
    not tell how many people have the outcome.
    """

    auc: float
    auc_low: float
    auc_high: float
    accuracy: float
    brier: float
    base_rate: float


def evaluate(
    pipeline: Pipeline,
    X: pd.DataFrame,  # noqa: N803  # sklearn's
    y: pd.Series,
    weights: Weights | None = None,
) -> Quality:
    """Measure a fitted binary pipeline on people it was not trained on.

    `y` holds the pipeline's own classes, the positive one last in `classes_`. With `weights` every
    figure is of the people as they are weighted. Raises Refusal when the people are all of one
    class, for which no AUC exists.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    scores = ask_model(pipeline, X)
    positive = (y == pipeline.classes_[1]).to_numpy()
    if positive.all() or not positive.any():
        raise Refusal("evaluation", "all test people are of one class; use a larger test share")
    held = np.ones(len(positive)) if weights is None else weights
    auc = float(roc_auc_score(positive, scores, sample_weight=weights))
    sizes = (in_tens(effective_size(held[side])) for side in (positive, ~positive))
    margin = 1.96 * estimate_auc_error(auc, *sizes)
    return Quality(
        auc=auc,
        auc_low=max(auc - margin, 0.0),
        auc_high=min(auc + margin, 1.0),
        accuracy=float(np.average((scores > 0.5) == positive, weights=held)),
        brier=float(np.average((scores - positive) ** 2, weights=held)),
        base_rate=float(np.average(positive, weights=held)),
    )


def ask_model(pipeline: Pipeline, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
    """Give the probability of the last class of each person, asked for some at a time."""
    import numpy as np

    parts = [pipeline.predict_proba(X.iloc[part])[:, 1] for part in parts_of(X)]
    return np.concatenate([np.zeros(0), *parts])


def parts_of(frame: pd.DataFrame) -> Iterator[slice]:
    """Part rows so that what a model reads of them, which is wider, stays small."""
    return (slice(start, start + PART) for start in range(0, len(frame), PART))


def effective_size(weights: Weights) -> float:
    """Give the number of equally weighted people who would tell as much (Kish 1965)."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def in_tens(size: float) -> float:
    """Round a number of people down to tens, but not to nobody."""
    return max(size // 10 * 10, 1.0)


def estimate_auc_error(auc: float, positives: float, negatives: float) -> float:
    """Give the standard error of an AUC (Hanley & McNeil 1982, equation 1)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return sqrt(variance / (positives * negatives))
