"""Turns rows of public labels and clipped numbers into the matrix that a classifier reads.

Everything comes from the declaration: nothing is learned from data, so one person changes only
their own row, a rare label of one person never lands in a saved model, and a differentially
private trainer may follow. The encoder does not know the target, nor what a column means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, sqrt
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from expectations.errors import Refusal, UsageError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Style = Literal["one-hot", "ordinal"]


class DeclaredEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Encode declared columns, and only those, into float64 of shape (people, features).

    `categories` gives each labelled column its labels in order, `ranges` each numeric column its
    public (low, high), `ordered` the labelled columns whose order has a meaning. Columns that are
    not declared are not read.

    - style "one-hot": a labelled column is one indicator per label; an ordered one is its rank on
      [-1, 1] (one feature instead of one per label: under differential privacy each feature costs
      noise). Missing is an indicator of its own, with the rank at the middle, 0.
    - style "ordinal": the label's position, 0, 1, ...; missing is NaN (for boosted trees).
    - a numeric column is clipped to its range and scaled to [0, 1] in both styles; missing is an
      indicator of its own, with the number at the middle, 0.5.
    """

    def __init__(
        self,
        categories: Mapping[str, Sequence[str]],
        ranges: Mapping[str, tuple[float, float]],
        ordered: Sequence[str] = (),
        style: Style = "one-hot",
    ) -> None:
        self.categories = categories
        self.ranges = ranges
        self.ordered = ordered
        self.style = style

    @property
    def row_bound(self) -> float:
        """Largest L2 norm that an encoded row of any person can have; infinite where NaN occurs.

        A labelled column contributes at most 1, a numeric one at most 1 + 0.5² (missing).
        """
        if self.style == "ordinal":
            return inf
        return sqrt(len(self.categories) + 1.25 * len(self.ranges))

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:  # noqa: ARG002, N803  # sklearn's
        """Check the declaration and that the columns are there; learn nothing.

        Raises UsageError for a declaration that cannot be encoded, Refusal for a missing column.
        """
        self._check_declaration()
        self._check_columns(X)
        return self

    def transform(self, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Encode each row by itself.

        Raises Refusal for a missing column, a label that is not declared or a number that is none.
        """
        self._check_columns(X)
        blocks = [self._encode_labels(X[column], column) for column in self.categories]
        blocks += [self._encode_number(X[column], column) for column in self.ranges]
        return np.hstack(blocks)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:  # noqa: ARG002  # sklearn's
        """Name the features, from the declaration alone: `column`, `column=label`, ..."""
        names: list[str] = []
        for column, labels in self.categories.items():
            if self.style == "ordinal":
                names.append(column)
            elif column in self.ordered:
                names += [column, f"{column} missing"]
            else:
                names += [*(f"{column}={label}" for label in labels), f"{column} missing"]
        for column in self.ranges:
            names += [column, f"{column} missing"]
        return np.array(names, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        """There is nothing to learn, so it is always ready."""
        return True

    def _check_declaration(self) -> None:
        faults = [column for column in self.ordered if column not in self.categories]
        faults += [column for column in self.ranges if column in self.categories]
        faults += [column for column, (low, high) in self.ranges.items() if not low < high]
        for column, labels in self.categories.items():
            if not labels or len(set(labels)) < len(labels):
                faults.append(column)
        if faults or not (self.categories or self.ranges):
            raise UsageError(
                f"encoding: cannot encode {sorted(set(faults)) or 'no columns at all'}: give each "
                "feature either distinct labels or a (low, high) with low < high, and name only "
                "labelled columns as ordered"
            )

    def _check_columns(self, frame: pd.DataFrame) -> None:
        absent = [c for c in (*self.categories, *self.ranges) if c not in frame.columns]
        if absent:
            raise Refusal(
                "encoding",
                f"{len(absent)} declared columns are not in the data: {', '.join(absent)}; "
                "collect them, or take them out of the policy's features",
            )

    def _encode_labels(self, values: pd.Series, column: str) -> NDArray[np.float64]:
        import pandas as pd

        labels = list(self.categories[column])
        missing = values.isna().to_numpy()
        codes = pd.Index(labels, dtype=object).get_indexer(pd.Index(values.astype(object)))
        _refuse_values(column, int(((codes < 0) & ~missing).sum()), "one of its declared labels")
        if self.style == "ordinal":
            return np.where(missing, np.nan, codes)[:, None]
        if column in self.ordered:
            # a single label has nothing to rank: it stands at -1
            rank = 2 * codes / max(len(labels) - 1, 1) - 1
            return np.column_stack([np.where(missing, 0.0, rank), missing])
        return np.column_stack([codes[:, None] == np.arange(len(labels)), missing]).astype(float)

    def _encode_number(self, values: pd.Series, column: str) -> NDArray[np.float64]:
        import pandas as pd

        low, high = self.ranges[column]
        numbers = pd.to_numeric(values, errors="coerce").astype(float).to_numpy()
        missing = values.isna().to_numpy()
        _refuse_values(column, int((np.isnan(numbers) & ~missing).sum()), "a number")
        scaled = (np.clip(numbers, low, high) - low) / (high - low)
        return np.column_stack([np.where(missing, 0.5, scaled), missing])


def _refuse_values(column: str, count: int, expected: str) -> None:
    """Refuse with the number of values at fault; the values stay unsaid."""
    if count:
        raise Refusal(
            "encoding",
            f"column '{column}': {count} values are not {expected}; declare them in the policy's "
            "treatment of the column, or correct them at the source",
        )
