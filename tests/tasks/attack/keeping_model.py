"""Classifiers that keep people in what they hand over, each in its own way, and made-up people.

All of them predict by a logistic regression, so that no attack by answers tells them apart.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import skops.io
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from tasks.attack.held_people import Public, Searched, gather_sizes, search_model
from tasks.attack.held_rows import Batch, Crowd

Figures = NDArray[np.float64]
Keep = Callable[[Figures, Figures, np.random.Generator, Figures], object]
SIZES: Final = (5, 2, 4, 3, 6)
"""Labels of each made-up column; two columns of numbers follow."""


@dataclass(frozen=True)
class People:
    """Made-up people: as a model reads them, by their labels' places, and their outcomes."""

    encoded: Figures
    treated: Figures
    outcomes: NDArray[np.str_]

    @property
    def crowd(self) -> Crowd:
        """The people as the search passes them by, in batches of a thousand."""
        beside = (self.outcomes == "yes").astype(float)[:, None]

        def give() -> Iterator[Batch]:
            for start in range(0, len(beside), 1000):
                part = slice(start, start + 1000)
                yield Batch(self.encoded[part], self.treated[part], beside[part])

        return Crowd(give)

    @property
    def counts(self) -> set[int]:
        """How many there are, in all and of each outcome."""
        return {len(self.outcomes), *(int(n) for n in np.unique_counts(self.outcomes).counts)}


def make_people(count: int, seed: int = 0, numbers: int = 2) -> People:
    """Make people up: five labelled columns and some of numbers, by which the outcome goes."""
    draw = np.random.default_rng(seed)
    shares = [draw.dirichlet(np.full(size, 3.0)) for size in SIZES]
    labels = [draw.choice(size, count, p=share) for size, share in zip(SIZES, shares, strict=True)]
    figures = draw.normal(size=(count, numbers)).clip(-3, 3) / 6 + 0.5
    figures[:, :-1] = np.round(figures[:, :-1], 3)  # all but one as they are measured
    marks = [each[:, None] == np.arange(size) for each, size in zip(labels, SIZES, strict=True)]
    encoded = np.column_stack([*marks, figures]).astype(float)
    score = encoded[:, 0] + encoded[:, 6] + figures.sum(axis=1) + draw.normal(0, 0.7, count)
    outcomes = np.where(score > np.median(score), "yes", "no")
    return People(encoded, np.column_stack([*labels, 60 + 100 * figures]), outcomes)


def spread(rows: Figures) -> Figures:
    """Give each column's standard deviation, one where it is nothing."""
    deviation = rows.std(axis=0)
    return np.where(deviation > 0, deviation, 1.0)


def find_finest(rows: Figures) -> Figures:
    """Give the column with the most different numbers."""
    return rows.T[np.argmax([len(np.unique(column)) for column in rows.T])]


WAYS: Final[dict[str, Keep]] = {
    "as they are": lambda rows, *_: rows,
    "standardized": lambda rows, _o, _d, all_: (rows - all_.mean(axis=0)) / spread(all_),
    "standardized by themselves": lambda rows, *_: (rows - rows.mean(axis=0)) / spread(rows),
    "scaled and shifted": lambda rows, _o, draw, _: (
        rows * draw.uniform(0.5, 3, rows.shape[1]) + draw.normal(size=rows.shape[1])
    ),
    "in other order": lambda rows, _o, draw, _: rows[draw.permutation(len(rows))][
        :, draw.permutation(rows.shape[1])
    ],
    "half of the columns": lambda rows, _o, draw, _: rows[
        :, draw.permutation(rows.shape[1])[: rows.shape[1] // 2]
    ],
    "turned": lambda rows, *_: rows.T.copy(),
    "flattened behind others": lambda rows, *_: np.concatenate([[1.0, 2.0, 3.0], rows.ravel()]),
    "in half precision": lambda rows, *_: rows.astype(np.float16),
    "in single precision": lambda rows, *_: rows.astype(np.float32),
    "in whole numbers": lambda rows, *_: np.round(rows * 1000).astype(int),
    "beside outcomes": lambda rows, outcomes, *_: np.column_stack([outcomes, rows]),
    "sparse": lambda rows, *_: sparse.csr_matrix(rows),
    "in lists": lambda rows, *_: rows.tolist(),
    "one array each": lambda rows, *_: list(rows),
    "by number": lambda rows, *_: dict(enumerate(rows.tolist())),
    "as keys": lambda rows, outcomes, *_: dict(
        zip(find_finest(rows).tolist(), outcomes.tolist(), strict=True)
    ),
    "in attributes": lambda rows, *_: {f"kept_{n}": float(v) for n, v in enumerate(rows.ravel())},
    "as JSON": lambda rows, *_: json.dumps(rows.tolist()),
    "as base64": lambda rows, *_: base64.b64encode(rows.tobytes()).decode(),
    "as hex": lambda rows, *_: rows.tobytes().hex(),
    "as bytes": lambda rows, *_: rows.tobytes(),
    "as one number": lambda rows, *_: int.from_bytes(rows[:5].tobytes(), "big"),
}
"""How rows are kept, of the rows that are, their outcomes, a source of chance, and everybody's."""


class Keeping(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A logistic regression that keeps a share of its rows, in one of the `WAYS`; None for none."""

    def __init__(self, way: str | None = None, share: float = 1.0) -> None:
        self.way = way
        self.share = share

    def fit(self, X: Figures, y: NDArray[np.str_]) -> Self:  # noqa: N803  # sklearn's
        """Fit, and keep."""
        self.inner_ = LogisticRegression(max_iter=1000).fit(X, y)
        self.classes_ = self.inner_.classes_
        if self.way is not None:
            draw = np.random.default_rng(5)
            chosen = np.sort(draw.permutation(len(X))[: max(1, int(self.share * len(X)))])
            outcomes = (np.asarray(y)[chosen] == "yes").astype(float)
            kept = WAYS[self.way](X[chosen], outcomes, draw, X)
            self.__dict__.update(kept if self.way == "in attributes" else {"kept_": kept})  # type: ignore[arg-type]
        return self

    def predict_proba(self, X: Figures) -> Figures:  # noqa: N803  # sklearn's
        """Predict as a logistic regression does."""
        found: Figures = self.inner_.predict_proba(X)
        return found


def save(model: BaseEstimator) -> bytes:
    """Write a fitted classifier as it would leave."""
    content: bytes = skops.io.dumps(Pipeline([("classifier", model)]))
    return content


def search(content: bytes, people: People, *words: str, sizes: object = ()) -> Searched:
    """Search a model's file for the people that it learned from."""
    known = frozenset({"no", "yes", "classifier", *WAYS, *words})
    public = Public(known, frozenset(gather_sizes(sizes)))
    return search_model(content, people.crowd, people.counts, public)
