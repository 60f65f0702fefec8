"""Sums over people that change by exactly one person's part when that person comes or goes.

In floating point they need not: the order of adding depends on who else is there, and rounding
adds to the sensitivity that noise is scaled to (Mironov 2012; Casacuberta et al. 2022). So rows and
gradients are cut to whole steps of a grid, few enough that every product and partial sum is a
whole number under 2^53, which float64 holds exactly in whatever order BLAS adds. What is computed
of one row alone is made of correctly rounded operations and a table.

A row is `STEPS` long at most. The weights, clip norm and directions are public to these functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Targets: TypeAlias = NDArray[np.bool_] | NDArray[np.intp] | NDArray[np.float64]
    FindGaps: TypeAlias = Callable[[NDArray[np.float64], Targets], NDArray[np.float64]]

STEPS: Final = 2.0**16
"""The L2 norm of the longest row, in steps; a float32 holds each of its numbers exactly."""
SHARES: Final = 2.0**20
"""Steps of a residual of 1."""
GRID: Final = 2.0**20
"""Steps in one of a residual in a bin: to a millionth, and 2^33 people could be summed exactly."""
MARGIN: Final = 1 - 1e-9
"""Shortening goes this far below a bound: farther than the rounding of what it divides by."""
BLOCK: Final = 2048
"""Rows at a time: their sums stay under 2^53, and they stay in the processor's cache."""
FARTHEST, PLACES = 32.0, 1024.0
"""Log-odds beyond the first are as good as certain; the second are places per unit."""


def shorten_rows(rows: NDArray[np.float64], bound: float) -> NDArray[np.float32]:
    """Append a constant 1, and give rows whose norm is at most `STEPS` for `bound` and the 1.

    A longer row is shortened, its direction kept but for numbers beyond the bound.
    """
    made = np.empty((len(rows), rows.shape[1] + 1), dtype=np.float32)
    whole = np.sqrt(bound**2 + 1)
    for part in _blocks(len(rows)):
        cut = np.clip(rows[part], -bound, bound)
        steps = np.trunc(np.column_stack([cut, np.ones(len(cut))]) * (STEPS / whole))
        scale = np.minimum(1.0, STEPS / np.sqrt((steps**2).sum(1))) * MARGIN
        made[part] = np.trunc(steps * scale[:, None])
    return made


def sum_moments(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """Sum each row's outer product with itself; a person's is at most `STEPS`² long (L2)."""
    total = np.zeros((rows.shape[1], rows.shape[1]), dtype=np.int64)
    for part in _blocks(len(rows)):
        block = rows[part].astype(np.float64)
        total += (block.T @ block).astype(np.int64)
    return total


def turn_rows(rows: NDArray[np.float32], directions: NDArray[np.float64]) -> None:
    """Replace each row by its parts along the columns of `directions`, none of which stretches."""
    # Rows reach 2^16: with 36 binary places a product, and the sum of a row's, is exact in float64.
    fine = np.trunc(directions * 2.0**36) / 2.0**36
    for part in _blocks(len(rows)):
        rows[part] = np.trunc(rows[part].astype(np.float64) @ fine)


def sum_gradients(
    rows: NDArray[np.float32],
    targets: Targets,
    weights: NDArray[np.float64],
    clip_norm: float,
    find_gaps: FindGaps | None = None,
) -> NDArray[np.int64]:
    """Sum the people's loss gradients, each clipped to an L2 norm of `clip_norm` row steps.

    `find_gaps` gives how far scores are from targets (by default those of yes or no). The sum is of
    the shape of `weights`, in steps of 1 / `SHARES`: a person's part is at most
    `clip_norm * SHARES` long, all its columns together.
    """
    total = np.zeros(weights.T.shape, dtype=np.int64)
    fine = round_weights(weights)
    for part in _blocks(len(rows)):
        block = rows[part].astype(np.float64)
        gaps = (find_gaps or gap_of_yes_no)(block @ fine, targets[part])
        shares = clip_residuals(gaps, (block**2).sum(1), clip_norm)
        total += (shares.T @ block).astype(np.int64)
    return total.T


def gap_of_yes_no(scores: NDArray[np.float64], targets: Targets) -> NDArray[np.float64]:
    """Give how far the probability of a yes lies above the truth, from log-odds."""
    return np.asarray(read_logistic(scores) - targets)


def gap_of_classes(scores: NDArray[np.float64], targets: Targets) -> NDArray[np.float64]:
    """Give how far each class's probability lies above the truth, of shape (people, classes).

    Exponentials are read off a table, in whole steps of which a sum is exact in any order.
    """
    behind = np.minimum(scores.max(axis=1, keepdims=True) - scores, FARTHEST)
    shares = _EXPONENTIAL[np.rint(behind * PLACES).astype(np.int64)]
    gaps = shares / shares.sum(axis=1, keepdims=True)
    gaps[np.arange(len(gaps)), targets.astype(np.intp)] -= 1
    return np.asarray(gaps)


def gap_of_numbers(scores: NDArray[np.float64], targets: Targets) -> NDArray[np.float64]:
    """Give how far each number that is predicted, which is within [-1, 1], lies above the truth."""
    return np.asarray(np.clip(scores, -1, 1) - targets)


def clip_residuals(
    residuals: NDArray[np.float64], squares: NDArray[np.float64], clip_norm: float
) -> NDArray[np.float64]:
    """Scale residuals so that times a row of these squared norms they are `clip_norm` at most.

    Cut towards zero to whole `SHARES`, so that rounding only shortens. Of several columns a
    person's are scaled together.
    """
    longest = np.maximum(_lengths(residuals) * np.sqrt(squares), 1e-300)
    scale = np.minimum(1.0, clip_norm * MARGIN / longest)
    return np.asarray(np.trunc((residuals.T * scale * SHARES).T))


def shorten_residuals(residuals: NDArray[np.float64], bound: float) -> NDArray[np.float64]:
    """Give each person's residuals shortened to `bound`, towards zero on the grid."""
    if residuals.ndim == 1:
        short = np.clip(residuals, -bound, bound)
    else:
        longest = np.maximum(_lengths(residuals), 1e-300)
        short = (residuals.T * np.minimum(1.0, bound * MARGIN / longest)).T
    return np.asarray(np.trunc(short * GRID) / GRID)


def _lengths(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each person's L2 norm; added column by column, so that it is the same anywhere."""
    if residuals.ndim == 1:
        return np.asarray(np.abs(residuals))
    total = np.zeros(len(residuals))
    for column in residuals.T:
        total += column**2
    return np.asarray(np.sqrt(total))


def read_logistic(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Read the logistic function from a table: of one input it is the same wherever that stands."""
    places = np.rint(np.clip(logits, -FARTHEST, FARTHEST) * PLACES) + FARTHEST * PLACES
    return _LOGISTIC[places.astype(np.int64)]


def round_weights(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut weights to so few digits that their products with a row add up exactly."""
    _, exponent = np.frexp(np.linalg.norm(weights))
    digits = 2.0 ** (35 - float(exponent))
    return np.asarray(np.trunc(weights * digits) / digits)


def _blocks(people: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, people, BLOCK))


_LOGISTIC: Final = 0.5 * (
    1 + np.tanh(np.arange(-FARTHEST * PLACES, FARTHEST * PLACES + 1) / PLACES / 2)
)
_EXPONENTIAL: Final = (
    np.rint(np.exp(-np.arange(FARTHEST * PLACES + 1) / PLACES) * 2.0**40) / 2.0**40
)
