"""A twin of the training people: made-up rows drawn from a few noisy figures about them.

The figures are how many people have each label with each target, and one matrix of products of
normal scores, by which features and target hang together. Both have Gaussian noise, and the rows
are drawn from what was released alone (a Gaussian copula: Li, Xiong and Jiang 2014, with scores in
place of rank correlations), so that whatever is done with them costs nothing more. Neighbours
differ by one person, who changes one cell of every table by one, and the matrix by the square of
the longest row of scores allowed.

The twin knows of any two features how far one rises with the other, and no more: no effect of
three together, none that rises and falls. Of few people it is mostly noise, which intervals show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from expectations.privacy_loss import Gaussian, Mechanism, calibrate
from tasks.advice.advice import Codebook, Codes
from tasks.training.exact_sums import MARGIN, sum_moments
from tasks.training.noise_samplers import add_noise_to_sums

Table = NDArray[np.float64]
Sums = NDArray[np.int64]
MOST_ROWS: Final = 50_000
"""More rows than this tell a model of a few features no more."""
LONGEST: Final = 1.3
"""The square of a row of scores may be this much of what it is on average; longer ones shrink."""
STRONGEST: Final = 0.95
COUNT_STEPS: Final = 2**20
"""Grid steps of one person in a table."""
GRID: Final = 2.0**12
"""Grid steps of a score of 1; of a product of two scores, as many squared."""


def plan_noise(features: int, epsilon: float, delta: float) -> tuple[Mechanism, ...]:
    """Say what `measure_twin` will draw of so many features, before anybody is read.

    Half of it goes to the tables of each feature with the target, half to the one matrix.
    """
    describe = _describe(features)
    return describe(calibrate(describe, epsilon, delta))


@cache
def _describe(features: int) -> Callable[[float], tuple[Mechanism, ...]]:
    """Give what noise makes all draws of; the same function each time, for `calibrate`."""
    return lambda noise: (Gaussian(noise * sqrt(features), features), Gaussian(noise))


@dataclass(frozen=True)
class Twin:
    """What was released: noisy counts and products of scores, and the noise that they have."""

    tables: tuple[Table, ...]
    """Per feature, of shape (labels in the order of their scores, 2)."""
    order: tuple[Codes, ...]
    """Per feature, its labels' places in that order."""
    products: Table
    """Of shape (features + 1, features + 1); the target stands last."""
    noise: tuple[float, float]
    """The standard deviation of a count, and of a product."""

    @property
    def people(self) -> float:
        """About how many people there are."""
        return max(float(np.mean([table.sum() for table in self.tables])), 1.0)

    def again(self, draw: np.random.Generator) -> Twin:
        """Add as much noise once more, to see how far what follows hangs on it; costs nothing."""
        count, product = self.noise
        tables = tuple(table + draw.normal(0, count, table.shape) for table in self.tables)
        products = self.products + _mirror(draw.normal(0, product, self.products.shape))
        return Twin(tables, self.order, products, self.noise)

    @property
    def shares(self) -> list[Table]:
        """The share of each label, and last of each target, nobody's being none."""
        kept = [np.maximum(table, 0.5) for table in self.tables]
        target = np.mean([table.sum(0) for table in kept], axis=0)
        return [one / one.sum() for one in (*(table.sum(1) for table in kept), target)]

    @property
    def correlation(self) -> Table:
        """How features and target hang together as normal variables: positive definite."""
        # Scores of unit variance keep √spread of what they stand for.
        reach = np.sqrt([_spread(share) for share in self.shares])
        found = self.products / self.people / np.outer(reach, reach)
        found = np.clip(found, -STRONGEST, STRONGEST)
        np.fill_diagonal(found, 1.0)
        values, vectors = np.linalg.eigh(found)
        near = vectors * np.maximum(values, 1e-3) @ vectors.T
        scale = np.sqrt(np.diag(near))
        return np.asarray(near / np.outer(scale, scale))


def measure_twin(
    codes: Codes, target: Codes, book: Codebook, mechanisms: tuple[Mechanism, ...]
) -> Twin:
    """Release what a twin is drawn from, by the mechanisms that `plan_noise` gave."""
    counting, multiplying = mechanisms
    assert isinstance(counting, Gaussian)
    assert isinstance(multiplying, Gaussian)
    order = tuple(
        _arrange(size, name in book.ordered)
        for name, size in zip(book.labels, book.sizes, strict=True)
    )
    columns = [place[column] for place, column in zip(order, codes.T, strict=True)]
    tables = [
        _release(_count(column, target, size), counting.noise_multiplier, COUNT_STEPS)
        for column, size in zip(columns, book.sizes, strict=True)
    ]
    columns, order, tables = _by_target(columns, order, tables, book)
    longest = LONGEST * (len(columns) + 1)
    deviation = multiplying.noise_multiplier * longest
    alone = Twin(tuple(tables), order, np.eye(len(columns) + 1), (counting.noise_multiplier, 0))
    exact = _multiply(np.column_stack([*columns, target]), alone.shares, longest)
    noisy = _mirror(_release(exact, deviation, GRID**2))
    return Twin(alone.tables, order, noisy, (counting.noise_multiplier, deviation))


def draw_people(twin: Twin, draw: np.random.Generator) -> tuple[Codes, Codes]:
    """Draw the twin: the codes of its people, and their targets.

    `draw` may be seeded: nothing is protected by it.
    """
    from scipy.special import ndtr

    rows = min(round(twin.people), MOST_ROWS)
    normal = draw.standard_normal((rows, len(twin.correlation)))
    levels = ndtr(normal @ np.linalg.cholesky(twin.correlation).T)
    ranks = [
        np.searchsorted(share.cumsum()[:-1], level)
        for share, level in zip(twin.shares, levels.T, strict=True)
    ]
    codes = [np.argsort(order)[rank] for order, rank in zip(twin.order, ranks[:-1], strict=True)]
    return np.column_stack(codes), ranks[-1]


def _arrange(size: int, ordered: bool) -> Codes:
    """Put what is missing, the last label, in the middle of labels in order."""
    if not ordered:
        return np.arange(size)
    middle = (size - 1) // 2
    known = np.arange(size - 1)
    return np.append(known + (known >= middle), middle)


def _by_target(
    columns: list[Codes], order: tuple[Codes, ...], tables: list[Table], book: Codebook
) -> tuple[list[Codes], tuple[Codes, ...], list[Table]]:
    """Put labels without an order by how often the target goes with them, as was released."""
    moved, places, sorted_tables = list[Codes](), list[Codes](), list[Table]()
    for column, place, table, name in zip(columns, order, tables, book.labels, strict=True):
        kept = np.maximum(table, 0.5)
        rate = kept[:, 1] / kept.sum(1)
        rank = np.arange(len(rate)) if name in book.ordered else np.argsort(np.argsort(rate))
        moved.append(rank[column])
        places.append(rank[place])
        sorted_tables.append(table[np.argsort(rank)])
    return moved, tuple(places), sorted_tables


def _score(share: Table) -> Table:
    """Give each label the mean of the part of a standard normal that it stands for."""
    from scipy.special import ndtri

    edges = np.concatenate([[0.0], share.cumsum()[:-1], [1.0]])
    height = np.exp(-(ndtri(edges) ** 2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray((height[:-1] - height[1:]) / share)


def _spread(share: Table) -> float:
    """Give the variance of the scores: 1 of a variable that is not cut into labels."""
    return float((share * _score(share) ** 2).sum())


def _multiply(columns: Codes, shares: Sequence[Table], longest: float) -> Sums:
    """Sum the products of people's scores, of unit variance, in rows no longer than allowed.

    In steps of 1 / `GRID`²: a person's part is at most `longest` times as many long (L2).
    """
    scores = [_score(share) / sqrt(_spread(share)) for share in shares]
    rows = np.column_stack([one[column] for one, column in zip(scores, columns.T, strict=True)])
    return sum_moments(_shorten(rows, longest))


def _shorten(rows: Table, longest: float) -> NDArray[np.float32]:
    """Give rows in whole steps, whose squares are at most `longest`: on a grid sums are exact."""
    squares = (rows**2).sum(1)
    scale = np.sqrt(np.minimum(1.0, longest / np.maximum(squares, 1e-12))) * MARGIN
    return np.asarray(np.trunc(rows * scale[:, None] * GRID), dtype=np.float32)


def _count(column: Codes, target: Codes, size: int) -> Sums:
    """Count the people of each label and target, in `COUNT_STEPS`."""
    flat = np.bincount(2 * column + target, minlength=2 * size)
    return flat.reshape(size, 2).astype(np.int64) * COUNT_STEPS


def _release(sums: Sums, deviation: float, steps: float) -> Table:
    """Add noise of `deviation` to sums in so many `steps` of a 1."""
    return add_noise_to_sums(sums, deviation * steps) / steps


def _mirror(table: Table) -> Table:
    """Keep the upper half of a matrix, and put it below as well."""
    upper = np.triu(table)
    return np.asarray(upper + np.triu(upper, 1).T)
