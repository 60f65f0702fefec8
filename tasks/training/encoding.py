"""Turns rows of public labels and clipped numbers into the matrix that a classifier reads.

Everything comes from the declaration: nothing is learned from data, so one person changes only
their own row, a rare label of one person never lands in a saved model, and a differentially
private trainer may follow. The encoder does not know the target, nor what a column means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import inf, prod, sqrt
from typing import TYPE_CHECKING, Final, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from expectations.disclosure import roughly
from expectations.errors import Refusal, UsageError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.utils import Tags

Style = Literal["one-hot", "ordinal"]
STRAIGHT: Final = 0.95
CURVE: Final = 0.3
"""What a rank, and its distance from the middle, are multiplied with: the first is surer to tell
something. Their squares add up to less than 1, so that an ordered column is bounded as others are.
"""
NUMBER_BINS: Final = 32
MOST_CELLS: Final = 10_000
"""The most combinations of one cross: more would hardly hold a person each."""


class DeclaredEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Encode declared columns, and only those, into float64 of shape (people, features).

    `categories` gives each labelled column its labels in order, `ranges` each numeric column its
    public (low, high), `ordered` the labelled columns whose order has a meaning, `crosses` the
    labelled columns to be read together, two or more at a time. Columns that are not declared are
    not read.

    - style "one-hot": a labelled column is one indicator per label; an ordered one is its rank on
      [-1, 1] and, of three labels or more, how far that is from the middle (two features instead
      of one per label: few people under differential privacy tell no more). Missing is an
      indicator of its own, with zeros besides. A cross is one indicator per combination of
      labels, missing as one more label.
    - style "ordinal": the label's position, 0, 1, ...; missing is NaN (for boosted trees, which
      find combinations themselves: crosses are left out).
    - a numeric column is clipped to its range and scaled to [0, 1] in both styles; missing is an
      indicator of its own with the number at the middle, 0.5 (alone, NaN, in style "ordinal").
    """

    def __init__(
        self,
        categories: Mapping[str, Sequence[str]],
        ranges: Mapping[str, tuple[float, float]],
        ordered: Sequence[str] = (),
        style: Style = "one-hot",
        crosses: Sequence[Sequence[str]] = (),
    ) -> None:
        self.categories = categories
        self.ranges = ranges
        self.ordered = ordered
        self.style = style
        self.crosses = crosses

    @property
    def row_bound(self) -> float:
        """Largest L2 norm that an encoded row of any person can have; infinite where NaN occurs.

        A labelled column or a cross contributes at most 1, a numeric one at most 1 + 0.5²
        (missing).
        """
        if self.style == "ordinal":
            return inf
        return sqrt(len(self.categories) + len(self.crosses) + 1.25 * len(self.ranges))

    @property
    def declared_bins(self) -> list[int | tuple[float, ...]]:
        """What each feature of style "ordinal" can be: its number of labels, or edges of bins."""
        labelled: list[int | tuple[float, ...]] = [len(each) for each in self.categories.values()]
        edges = tuple(place / NUMBER_BINS for place in range(NUMBER_BINS + 1))
        return labelled + [edges] * len(self.ranges)

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
        made = np.empty((len(X), len(self.get_feature_names_out())))
        place = 0
        # Each block into its place at once, lest all of them stand there twice.
        for block in self._encode_all(X):
            made[:, place : place + block.shape[1]] = block
            place += block.shape[1]
        return made

    def _encode_all(self, frame: pd.DataFrame) -> Iterator[NDArray[np.generic]]:
        """Encode column by column, labels first, then numbers, then crosses."""
        for column in self.categories:
            yield self._encode_labels(frame[column], column)
        for column in self.ranges:
            yield self._encode_number(frame[column], column)
        for cross in self.crosses if self.style == "one-hot" else ():
            yield self._encode_cross(frame, cross)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:  # noqa: ARG002  # sklearn's
        """Name the features, from the declaration alone: `column`, `column=label`, ..."""
        if self.style == "ordinal":
            return np.array([*self.categories, *self.ranges], dtype=object)
        names: list[str] = []
        for column, labels in self.categories.items():
            if column in self.ordered:
                names += [column, f"{column} from the middle"][: 1 + (len(labels) > 2)]
            else:
                names += [f"{column}={label}" for label in labels]
            names.append(f"{column} missing")
        for column in self.ranges:
            names += [column, f"{column} missing"]
        for cross in self.crosses:
            parts = [[*self.categories[column], "missing"] for column in cross]
            names += [f"{' × '.join(cross)}={' × '.join(labels)}" for labels in product(*parts)]
        return np.array(names, dtype=object)

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that nothing is learned, so that no fit is asked for."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags

    def _check_declaration(self) -> None:
        faults = [column for column in self.ordered if column not in self.categories]
        faults += [column for column in self.ranges if column in self.categories]
        faults += [column for column, (low, high) in self.ranges.items() if not low < high]
        for column, labels in self.categories.items():
            if not labels or len(set(labels)) < len(labels):
                faults.append(column)
        for cross in self.crosses:
            absent = [column for column in cross if column not in self.categories]
            twice = len(cross) < 2 or len(set(cross)) < len(cross)
            faults += absent or [" × ".join(cross)] * (twice or self._size(cross) > MOST_CELLS)
        if faults or not (self.categories or self.ranges):
            raise UsageError(
                f"encoding: cannot encode {sorted(set(faults)) or 'no columns at all'}: give each "
                "feature either distinct labels or a (low, high) with low < high, name only "
                "labelled columns as ordered, and cross two or more different ones, of at most "
                f"{MOST_CELLS} combinations"
            )

    def _check_columns(self, frame: pd.DataFrame) -> None:
        absent = [c for c in (*self.categories, *self.ranges) if c not in frame.columns]
        if absent:
            raise Refusal(
                "encoding",
                f"{len(absent)} declared columns are not in the data: {', '.join(absent)}; "
                "collect them, or take them out of the policy's features",
            )

    def _encode_labels(self, values: pd.Series, column: str) -> NDArray[np.generic]:
        labels = list(self.categories[column])
        codes = self._read_codes(values, column)
        missing = codes < 0
        if self.style == "ordinal":
            return np.where(missing, np.nan, codes)[:, None]
        if column not in self.ordered:
            return np.column_stack([codes[:, None] == np.arange(len(labels)), missing])
        # a single label has nothing to rank: it stands at -1
        rank = 2 * codes / max(len(labels) - 1, 1) - 1
        curve = [CURVE * (3 * rank**2 - 1) / 2] if len(labels) > 2 else []
        shapes = [np.where(missing, 0.0, shape) for shape in (STRAIGHT * rank, *curve)]
        return np.column_stack([*shapes, missing])

    def _encode_cross(self, frame: pd.DataFrame, cross: Sequence[str]) -> NDArray[np.bool_]:
        """Give an indicator of each combination, in the order of `product`, missing labels last."""
        cell = np.zeros(len(frame), dtype=np.int64)
        for column in cross:
            codes, size = self._read_codes(frame[column], column), len(self.categories[column])
            cell = cell * (size + 1) + np.where(codes < 0, size, codes)
        return np.asarray(cell[:, None] == np.arange(self._size(cross)))

    def _size(self, cross: Sequence[str]) -> int:
        return prod(len(self.categories[column]) + 1 for column in cross)

    def _read_codes(self, values: pd.Series, column: str) -> NDArray[np.int64]:
        """Give each label's position, and -1 where it is missing."""
        import pandas as pd

        places = {label: number for number, label in enumerate(self.categories[column])}
        # Many rows have few different values: only those are looked up.
        number, distinct = pd.factorize(values)
        place = np.array([places.get(value, -1) for value in distinct], dtype=np.int64)
        undeclared = (place < 0)[number[number >= 0]]
        _refuse_values(column, int(undeclared.sum()), "one of its declared labels")
        return np.append(place, -1)[number]

    def _encode_number(self, values: pd.Series, column: str) -> NDArray[np.float64]:
        import pandas as pd

        low, high = self.ranges[column]
        numbers = pd.to_numeric(values, errors="coerce").astype(float).to_numpy()
        missing = values.isna().to_numpy()
        _refuse_values(column, int((np.isnan(numbers) & ~missing).sum()), "a number")
        scaled = (np.clip(numbers, low, high) - low) / (high - low)
        if self.style == "ordinal":
            return np.where(missing, np.nan, scaled)[:, None]
        return np.column_stack([np.where(missing, 0.5, scaled), missing])


def _refuse_values(column: str, count: int, expected: str) -> None:
    """Refuse with about how many values are at fault; the values stay unsaid."""
    if count:
        raise Refusal(
            "encoding",
            f"column '{column}': {roughly(count)} values are not {expected}; declare them in the "
            "policy's treatment of the column, or correct them at the source",
        )
