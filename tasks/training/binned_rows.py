"""Rows by bins that are declared in public: which bin of each feature a person is in.

Bins are declared, never learned: a feature by its number of labels (positions 0 to k - 1) or by
increasing edges, whose first and last are its public bounds. Each has one more bin at the end, for
missing values. It knows neither outcomes nor models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from expectations.disclosure import roughly
from expectations.errors import Refusal, UsageError

Declaration: TypeAlias = int | Sequence[float]
"""The number of labels, or the edges of the bins of a number."""
Floats: TypeAlias = NDArray[np.float64]
CELLS: Final = 4096
"""The most joint cells of a group of features: their table stays in the processor's first cache."""


def check_declaration(features: Sequence[Declaration]) -> None:
    """Raise UsageError where a feature has neither labels nor increasing, finite edges."""
    faults = [place for place, feature in enumerate(features) if not _is_sound(feature)]
    if faults or not features:
        raise UsageError(
            f"public bins: {len(faults)} of {len(features)} features (positions {faults[:5]}) are "
            "not declared by a number of labels of 1 or more, or by two or more increasing edges"
        )


def _is_sound(feature: Declaration) -> bool:
    if isinstance(feature, int):
        return feature >= 1
    edges = list(feature)
    return (
        len(edges) > 1
        and all(math.isfinite(edge) for edge in edges)
        and all(low < high for low, high in pairwise(edges))
    )


def count_bins(feature: Declaration) -> int:
    """Give the number of bins of a feature, the one for missing values included."""
    return feature + 1 if isinstance(feature, int) else len(feature)


def bin_rows(rows: Floats, features: Sequence[Declaration]) -> BinnedRows:
    """Put the rows of shape (people, features) into bins; NaN lands in the feature's last bin.

    Raises Refusal for values that are not in their feature's public labels or bounds.
    """
    if rows.shape[1] != len(features):
        raise UsageError(
            f"public bins: {len(features)} features are declared, the rows have {rows.shape[1]}"
        )
    sizes = [count_bins(feature) for feature in features]
    return BinnedRows(lambda place: _place_column(rows[:, place], features[place], place), sizes)


def _place_column(values: Floats, feature: Declaration, place: int) -> NDArray[np.intp]:
    missing = np.isnan(values)
    if isinstance(feature, int):
        known = (values >= 0) & (values < feature) & (values == np.floor(values))
        bins = np.where(known, values, 0)
    else:
        known = (values >= feature[0]) & (values <= feature[-1])
        bins = np.searchsorted(np.asarray(feature[1:-1], float), values, side="right")
    outside = int((~known & ~missing).sum())
    if outside:
        raise Refusal(
            "private training",
            f"{roughly(outside)} values of the feature at position {place} are outside its public "
            "labels or bounds; clip them, or correct the declaration, which must not be read from "
            "data",
        )
    return np.where(missing, count_bins(feature) - 1, bins).astype(np.intp)


class BinnedRows:
    """Rows by their bins; features are joined so that one table look-up serves several of them.

    `place` gives the bins of the feature at a position, `sizes` how many bins each feature has.
    Values of all bins come and go as one array, feature after feature; `ends` parts it. Sums of
    whole multiples of a power of two are exact up to 2^53 of them.
    """

    def __init__(self, place: Callable[[int], NDArray[np.intp]], sizes: Sequence[int]) -> None:
        self.sizes = sizes
        self.ends = np.cumsum(sizes)[:-1]
        self._groups = _group(sizes)
        self._cells = [_join(place, group, sizes) for group in self._groups]

    def score(self, scores: Floats) -> Floats:
        """Give for each row the sum of its bins' scores; of columns of scores, of each column."""
        if scores.ndim > 1:
            return np.column_stack([self.score(column) for column in scores.T])
        tables = np.split(scores, self.ends)
        total = np.zeros(len(self._cells[0]))
        for group, cells in zip(self._groups, self._cells, strict=True):
            joint: Floats = reduce(np.add.outer, [tables[feature] for feature in group])
            total += joint.ravel()[cells]
        return total

    def sum_by_bin(self, values: Floats) -> Floats:
        """Give the sum of the rows' values in each bin."""
        sums: list[Floats] = []
        for group, cells in zip(self._groups, self._cells, strict=True):
            shape = tuple(self.sizes[feature] for feature in group)
            joint = np.bincount(cells, values, math.prod(shape)).reshape(shape)
            axes = range(len(shape))
            sums += [joint.sum(tuple(other for other in axes if other != kept)) for kept in axes]
        return np.concatenate(sums)


def _join(
    place: Callable[[int], NDArray[np.intp]], group: Sequence[int], sizes: Sequence[int]
) -> NDArray[np.intp]:
    """Give each row's joint cell of a group of features."""
    cells = place(group[0])
    for feature in group[1:]:
        cells = cells * sizes[feature] + place(feature)
    return cells


def _group(sizes: Sequence[int]) -> list[list[int]]:
    """Put neighbouring features together while their joint cells stay few."""
    groups: list[list[int]] = [[0]]
    for feature in range(1, len(sizes)):
        joint = math.prod(sizes[member] for member in groups[-1]) * sizes[feature]
        if joint <= CELLS:
            groups[-1].append(feature)
        else:
            groups.append([feature])
    return groups
