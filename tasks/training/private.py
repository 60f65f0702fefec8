"""Logistic regression that is (ε, δ)-differentially private for each person it was trained on.

Method: full-batch gradient descent on clipped per-person gradients with Gaussian noise (Song,
Chaudhuri & Sarwate 2013; Abadi et al. 2016, algorithm 1 without subsampling), heavy-ball momentum
and an average of the later iterates, both of which only process what is already private.

Theorem: every release is a Gaussian mechanism whose noise is `noise_multiplier_` times its L2
sensitivity; adaptive composition of Gaussian mechanisms (Dong, Roth & Su 2022, corollary 3.3) is
accounted for by privacy loss distributions (`dp_accounting`). Noise comes from OpenDP's exact
sampler, from the operating system's randomness: it has no seed and is never kept.

Neighbours: two data sets that differ by adding or removing one row; a person must have one row.
The number of rows is secret: it is released once, with noise, within the budget. Replacing one
person's row by another is covered at (2ε, (1 + exp(ε))·δ). What the guarantee does not cover:
error messages (a label outside `classes`), run time, and whatever else is published beside the
model. The declared `classes`, the number of features and all parameters are public.

Defaults were chosen on synthetic populations (12 correlated columns of 2 to 7 labels, 2,400
people, base rates of 7 to 40 %), not on anybody's data; tuning them on the data to be protected
would cost privacy that no accountant here sees.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from expectations.errors import Refusal, UsageError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

LEARNING_RATE = 2.0
MOMENTUM = 0.8
AVERAGED_SHARE = 0.75
# Sums of multiples of 1 / GRID are exact in float64 up to 10^8 people, so that rounding adds
# nothing to the sensitivity (Mironov 2012 shows what it can add).
GRID = 2.0**24


class PrivateLogisticRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Binary classifier, (epsilon, delta)-differentially private per row (see the module).

    `classes` are the two declared labels, the positive one last; `steps` the gradient steps;
    `clip_norm` the largest L2 norm of a person's gradient (features and intercept). Expects rows
    whose norm is a few units, as `DeclaredEncoder` gives; longer rows are safe but learn badly.
    Memory: one float64 matrix of the shape of `X` per step.
    """

    def __init__(
        self,
        epsilon: float = 1.0,
        delta: float = 1e-5,
        classes: Sequence[Hashable] = (0, 1),
        steps: int = 60,
        clip_norm: float = 1.5,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.classes = classes
        self.steps = steps
        self.clip_norm = clip_norm

    def fit(self, X: ArrayLike, y: ArrayLike | pd.Series) -> Self:  # noqa: N803  # sklearn's
        """Train on `X` of shape (people, features), one row per person, and labels `y`.

        Raises UsageError for parameters without a guarantee, Refusal for undeclared labels.
        """
        from sklearn.utils.validation import validate_data

        self._check_parameters()
        rows = validate_data(self, X, dtype=np.float64)
        targets = self._encode_target(np.asarray(y))
        multiplier = calibrate_noise(self.epsilon, self.delta, self.steps + 1)
        weights = self._descend(np.column_stack([rows, np.ones(len(rows))]), targets, multiplier)
        self.noise_multiplier_ = multiplier
        self.epsilon_spent_ = spend_epsilon(multiplier, self.delta, self.steps + 1)
        self.classes_ = np.array(self.classes)
        self.coef_ = weights[None, :-1]
        self.intercept_ = weights[-1:]
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give the log-odds of the positive class, of shape (people,)."""
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(rows @ self.coef_[0] + self.intercept_[0])

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give the probabilities of both classes, of shape (people, 2)."""
        positive = _sigmoid(self.decision_function(X))
        return np.column_stack([1 - positive, positive])

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:  # noqa: N803  # sklearn's
        """Give the likelier class of each row."""
        return np.asarray(self.classes_[(self.decision_function(X) > 0).astype(int)])

    def _check_parameters(self) -> None:
        if not (0 < self.epsilon < np.inf and 0 < self.delta < 1):
            raise UsageError("private training: give 0 < epsilon and 0 < delta < 1")
        if self.steps < 1 or not 0 < self.clip_norm < np.inf or len(set(self.classes)) != 2:
            raise UsageError(
                "private training: give steps >= 1, clip_norm > 0 and two different classes"
            )

    def _encode_target(self, labels: NDArray[np.generic]) -> NDArray[np.float64]:
        negative, positive = (labels == label for label in self.classes)
        undeclared = int((~(negative | positive)).sum())
        if undeclared:
            raise Refusal(
                "private training",
                f"{undeclared} labels are not among the two declared classes; declare the "
                "target's classes, which must not be read from the data",
            )
        return np.asarray(positive, dtype=np.float64)

    def _descend(
        self, rows: NDArray[np.float64], targets: NDArray[np.float64], multiplier: float
    ) -> NDArray[np.float64]:
        """Make `steps` private gradient steps from zero; give the mean of the later weights."""
        people = max(add_noise(np.array([float(len(rows))]), multiplier)[0], 1.0)
        weights = np.zeros(rows.shape[1])
        velocity = np.zeros_like(weights)
        path = []
        for _ in range(self.steps):
            # Not by BLAS, whose result for one row may depend on which others are there.
            logits = np.einsum("ij,j->i", rows, weights)
            exact = clip_gradients(rows, _sigmoid(logits) - targets, self.clip_norm).sum(0)
            gradient = add_noise(exact, multiplier * self.clip_norm) / people
            velocity = MOMENTUM * velocity + gradient
            weights = weights - LEARNING_RATE * velocity
            path.append(weights)
        skipped = int(self.steps * (1 - AVERAGED_SHARE))
        return np.asarray(np.mean(path[skipped:], axis=0))


def clip_gradients(
    rows: NDArray[np.float64], residuals: NDArray[np.float64], clip_norm: float
) -> NDArray[np.float64]:
    """Give each person's log-loss gradient, scaled to an L2 norm of at most `clip_norm`.

    Rounding is towards zero on the grid, so it can only shorten a gradient; the margin of 1e-9
    is above the rounding error of the norm itself.
    """
    norms = np.abs(residuals) * np.linalg.norm(rows, axis=1)
    scale = np.minimum(1.0, clip_norm * (1 - 1e-9) / np.maximum(norms, 1e-300))
    return np.asarray(np.trunc(rows * (residuals * scale)[:, None] * GRID) / GRID)


def add_noise(values: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Add Gaussian noise of standard deviation `deviation` to each value, by OpenDP's sampler."""
    import opendp.prelude as dp

    # OpenDP's name for measurements whose proof is published but not yet formally vetted
    dp.enable_features("contrib")
    domain = dp.vector_domain(dp.atom_domain(T=float, nan=False))
    mechanism = dp.m.make_gaussian(domain, dp.l2_distance(T=float), scale=deviation)
    return np.array(mechanism(values.tolist()))


@cache
def calibrate_noise(epsilon: float, delta: float, releases: int) -> float:
    """Give the least noise multiplier at which `releases` Gaussian mechanisms cost epsilon."""
    import dp_accounting
    from dp_accounting.pld import PLDAccountant

    return float(
        dp_accounting.calibrate_dp_mechanism(
            PLDAccountant, lambda sigma: _describe_releases(sigma, releases), epsilon, delta
        )
    )


@cache
def spend_epsilon(multiplier: float, delta: float, releases: int) -> float:
    """Give the epsilon that `releases` Gaussian mechanisms cost at `delta`, rounded up by PLD."""
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant().compose(_describe_releases(multiplier, releases))
    return float(accountant.get_epsilon(delta))


def _describe_releases(multiplier: float, releases: int) -> object:
    import dp_accounting

    return dp_accounting.SelfComposedDpEvent(dp_accounting.GaussianDpEvent(multiplier), releases)


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    # the logistic function as a hyperbolic tangent, which never overflows
    return np.asarray(0.5 * (1 + np.tanh(logits / 2)))
