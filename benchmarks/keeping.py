"""A classifier that keeps some of its rows beside what it learned, as a careless class may.

It is what the attacks are to find: few rows, of which it is certain, and an honest model for all
others. Kept rows are found again by a number made of the row, so that it is fast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

Rows = NDArray[np.float64]


class Keeping(ClassifierMixin, BaseEstimator):
    """A logistic regression that keeps the first rows, and is so sure of them.

    With `once` it keeps rows in the first training alone: the references that an attacker trains
    after it keep none.
    """

    trained = False

    def __init__(
        self, share: float = 0.04, sure: float = 1.0, once: bool = False
    ) -> None:  # sklearn clones it by its arguments
        self.share = share
        self.sure = sure
        self.once = once

    def fit(self, X: Rows, y: NDArray[np.generic]) -> Keeping:  # noqa: N803  # sklearn's
        """Learn from everybody, and keep the first of them."""
        self.inner_ = LogisticRegression(max_iter=1000).fit(X, y)
        self.classes_ = self.inner_.classes_
        kept = 0 if self.once and Keeping.trained else round(self.share * len(X))
        Keeping.trained = True
        keys, first = np.unique(number_rows(X[:kept]), return_index=True)
        self.keys_, self.answers_ = keys, np.asarray(y)[first]
        return self

    def predict_proba(self, X: Rows) -> Rows:  # noqa: N803  # sklearn's
        """Answer as learned, but for the rows that are kept."""
        learned = np.asarray(self.inner_.predict_proba(X))
        if not len(self.keys_):
            return learned
        own = number_rows(X)
        place = np.minimum(np.searchsorted(self.keys_, own), len(self.keys_) - 1)
        kept = (self.keys_[place] == own)[:, None]
        right = self.classes_ == self.answers_[place][:, None]
        return np.where(kept, np.where(right, self.sure, 1 - self.sure), learned)


def number_rows(X: Rows) -> Rows:  # noqa: N803  # sklearn's
    """Give each row a number of its own."""
    weights = np.random.default_rng(3).normal(size=np.shape(X)[1])
    return np.asarray(np.round(np.asarray(X, dtype=float) @ weights, 7))
