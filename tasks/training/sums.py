"""The one seam between private training and people: exact sums of whole numbers over them.

A private linear model and a private additive one ask these questions and no others; each answer is
whole numbers, and what several servers answer, who hold different people, adds up to the answer of
one that holds all. So a trainer learns the same, to the last bit, wherever the people are. Answers
are exact, and so no more private than rows: a trainer adds noise before it looks (`_release`).

What is asked is public: weights, directions and scores come from what was released before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import sqrt
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from tasks.training.exact_sums import (
    GRID,
    shorten_residuals,
    shorten_rows,
    sum_gradients,
    sum_moments,
    turn_rows,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tasks.training.binned_rows import BinnedRows
    from tasks.training.exact_sums import FindGaps, Targets

    Floats = NDArray[np.float64]
    Whole = NDArray[np.int64]


class RowSums(Protocol):
    """Sums over people by their rows, for a linear model; `exact_sums` says in which steps."""

    @property
    def width(self) -> int:
        """Numbers of a row, the constant 1 at its end among them."""
        ...

    def count(self) -> Whole:
        """Count the people, in an array of one."""
        ...

    def moments(self) -> Whole:
        """Sum each row's outer product with itself."""
        ...

    def turn(self, directions: Floats) -> None:
        """Replace each row by its parts along the columns of `directions`, from now on."""
        ...

    def gradients(self, weights: Floats, clip_norm: float) -> Whole:
        """Sum the gradients at `weights`, each of at most `clip_norm` row steps."""
        ...


class BinSums(Protocol):
    """Sums over people by the bin of each feature, for an additive model; in steps of a grid."""

    def counts(self) -> Whole:
        """Sum in each bin what is known of outcomes before anything is learned."""
        ...

    def residuals(self, scores: Floats, start: Floats) -> Whole:
        """Sum the residuals in each bin, at these scores of the bins above `start`."""
        ...


class RowsHere:
    """`RowSums` of rows in this process's memory: one float32 matrix, turned in place."""

    def __init__(self, rows: NDArray[np.float32], targets: Targets, find_gaps: FindGaps) -> None:
        self._rows = rows
        self._targets = targets
        self._find_gaps = find_gaps

    @classmethod
    def gather(
        cls, parts: Iterable[Floats], bound: float | None, targets: Targets, find_gaps: FindGaps
    ) -> Self:
        """Take rows part by part, in the order of all `targets`, shortened to a public bound.

        So what is given need not be there as a whole. The bound is √features where none is given.
        """
        rows, start = np.empty((len(targets), 1), dtype=np.float32), 0
        for part in parts:
            if not start:
                rows = np.empty((len(targets), part.shape[1] + 1), dtype=np.float32)
            longest = bound or sqrt(part.shape[1])
            rows[start : start + len(part)] = shorten_rows(part, longest)
            start += len(part)
        return cls(rows, targets, find_gaps)

    @property
    def width(self) -> int:
        """Numbers of a row, the constant among them."""
        return int(self._rows.shape[1])

    def count(self) -> Whole:
        """Count the rows."""
        return np.array([len(self._rows)], dtype=np.int64)

    def moments(self) -> Whole:
        """Sum the rows' outer products."""
        return sum_moments(self._rows)

    def turn(self, directions: Floats) -> None:
        """Turn the rows where they are."""
        turn_rows(self._rows, directions)

    def gradients(self, weights: Floats, clip_norm: float) -> Whole:
        """Sum the clipped gradients."""
        return sum_gradients(self._rows, self._targets, weights, clip_norm, self._find_gaps)


class BinsHere:
    """`BinSums` of people in this process's memory.

    `tell` gives what is counted of outcomes, `find_gaps` how far scores are above them; a person's
    residuals are cut to `bound`, all columns together.
    """

    def __init__(
        self,
        people: BinnedRows,
        targets: Targets,
        tell: Callable[[Targets], Floats],
        find_gaps: FindGaps,
        bound: float,
    ) -> None:
        self._people = people
        self._targets = targets
        self._tell = tell
        self._find_gaps = find_gaps
        self._bound = bound

    def counts(self) -> Whole:
        """Sum the columns of what is told, of shape (columns, bins)."""
        return np.array([self._sum(column) for column in self._tell(self._targets).T])

    def residuals(self, scores: Floats, start: Floats) -> Whole:
        """Sum the residuals, of the shape of `scores`."""
        gaps = self._find_gaps(start + self._people.score(scores), self._targets)
        short = shorten_residuals(-gaps, self._bound)
        if short.ndim == 1:
            return self._sum(short)
        return np.column_stack([self._sum(column) for column in short.T])

    def _sum(self, values: Floats) -> Whole:
        return np.asarray((self._people.sum_by_bin(values) * GRID).astype(np.int64))
