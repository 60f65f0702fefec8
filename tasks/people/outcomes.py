"""Reads what a model is to predict from de-identified rows: words, or numbers, and who has none.

It knows what the policy declares, and neither features nor models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from expectations.policy.outcome import Number, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_outcomes(values: pd.Series, outcome: Outcome) -> pd.Series:
    """Give the declared words as text, or numbers as floats; what is unknown is neither."""
    if isinstance(outcome, Number):
        return pd.to_numeric(values, errors="coerce").astype(float)
    return values.astype("str")


def mark_known(outcomes: pd.Series, outcome: Outcome) -> NDArray[np.bool_]:
    """Say of each of these outcomes, as `read_outcomes` gives them, whether it is known."""
    if isinstance(outcome, Number):
        return np.asarray(np.isfinite(outcomes.to_numpy(dtype=float)), dtype=bool)
    return np.asarray(outcomes.isin(outcome.labels), dtype=bool)
