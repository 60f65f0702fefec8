"""Logistic regression that is (ε, δ)-differentially private for each person it was trained on.

Method: full-batch gradient descent on clipped per-person gradients with Gaussian noise (Song,
Chaudhuri & Sarwate 2013), on rows that are whitened by a noisy matrix of their second moments,
which is released first. Noise is as long in every direction, so whitening spends it where the
people differ, and lets few steps suffice. Where the matrix shows nothing but noise, rows stay as
they are, relative to each other. Momentum and the average of the later steps process only what is
private already.

Releases: a noisy number of people, the noisy moments, and `steps` noisy gradient sums, each a
Gaussian mechanism on whole numbers (`exact_sums`, `noise_samplers`), composed by privacy loss
distributions (`expectations.privacy_loss`).

Neighbours: two data sets that differ by adding or removing one row; a person must have one row.
The number of rows is secret. Replacing one person's row by another is covered at
(2ε, (1 + exp(ε))·δ). What the guarantee does not cover: error messages (a label outside
`classes`, a number that is none), run time, and whatever else is published beside the model. The
declared `classes`, the number of features and all parameters are public.

How the budget is parted, and the constants of the descent, were chosen on public data: folds of
UCI Adult's training part, and splits of NHANES. Tuning them on the data to be protected would cost
privacy that no accountant here sees.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cache
from math import sqrt
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np

from expectations.errors import UsageError
from expectations.privacy_loss import Gaussian, Mechanism, calibrate, compose, is_count, is_measure
from tasks.training.exact_sums import (
    SHARES,
    STEPS,
    shorten_rows,
    sum_gradients,
    sum_moments,
    turn_rows,
)
from tasks.training.fit_callers import warn_of_callers
from tasks.training.private_classifier import PrivateClassifier, Release

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

COUNT_SHARE: Final = 0.01
"""Of the budget (as the square of 1 / noise), for the number of people."""
MOMENTS_SHARE: Final = 0.2
"""Of the budget, for the second moments; the gradients have the rest."""
COUNT_STEPS: Final = 2**20
"""Grid steps of one person in the count."""
RIDGE: Final = 0.1
"""Of the largest moment that noise alone would show: what whitening leaves as it is."""
CLIP: Final = 1.2
"""Clip norm, as a multiple of the root of how many directions stand out of the noise."""
TRAVEL: Final = 4.0
"""All steps together are this, over the root of the noise that they bring: less noise, farther."""
LONGEST_STEP: Final = 8.0
"""Farther, steps could overshoot where the people differ most."""
MOMENTUM: Final = 0.5
AVERAGED_SHARE: Final = 0.5


class Whitening(NamedTuple):
    """Noisy directions of the rows, of shape (features, features), none of which stretches.

    A row's part along a column, over `unit`, varies by about 1 where it stands out of the noise;
    `clear` is how many such directions there are.
    """

    directions: NDArray[np.float64]
    unit: float
    clear: float


class PrivateLogisticRegression(PrivateClassifier):
    """Binary classifier, (epsilon, delta)-differentially private per row (see the module).

    `classes` are the two declared labels, the positive one last; `row_bound` the public bound of a
    row's L2 norm, which longer rows are shortened to (by default √features; `DeclaredEncoder`
    knows a lower one, which means less noise); `steps` the gradient steps. Memory: one float32
    matrix of the shape of `X`, and one float64 matrix of features by features.

    Learned: `coef_`, `intercept_`, `classes_`; recorded: `adjacency_`, `clip_norm_` (of a gradient
    by a whitened row), `epsilon_spent_`, `noise_multiplier_` (of all releases as if one).

    >>> import numpy as np, tutela
    >>> rows = np.random.default_rng(0).uniform(size=(2000, 2))
    >>> answers = (rows[:, 0] > 0.5).astype(int)
    >>> model = tutela.PrivateLogisticRegression(epsilon=1.0, delta=1e-6).fit(rows, answers)
    >>> model.predict_proba(rows).shape, bool(model.epsilon_spent_ <= 1.0)
    ((2000, 2), True)
    """

    def __init__(
        self,
        epsilon: float = 1.0,
        delta: float = 1e-5,
        classes: Sequence[Hashable] = (0, 1),
        row_bound: float | None = None,
        steps: int = 40,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.classes = classes
        self.row_bound = row_bound
        self.steps = steps

    def mechanisms(self) -> tuple[Mechanism, ...]:
        """Give what a `fit` will draw, from the parameters alone.

        Raises UsageError for parameters without a guarantee.
        """
        self._check_parameters()
        return _plan(self.steps)(self._calibrate())

    def fit(self, X: ArrayLike, y: ArrayLike | pd.Series) -> Self:  # noqa: N803  # sklearn's
        """Train on `X` of shape (people, features), one row per person, and labels `y`.

        Raises UsageError for parameters without a guarantee, Refusal for undeclared labels,
        ValueError (scikit-learn's) for rows that are not finite numbers.
        """
        from sklearn.utils.validation import validate_data

        self._check_parameters()
        given, labels = validate_data(self, X, y, dtype=np.float64)
        return self._train([given], labels)

    def fit_parts(self, parts: Iterable[NDArray[np.float64]], y: ArrayLike | pd.Series) -> Self:
        """Train as `fit` does, on rows that come some at a time, in the order of all labels `y`.

        So what is given need not be there as a whole: it takes twice the memory of what is kept.
        """
        from sklearn.utils.validation import column_or_1d, validate_data

        self._check_parameters()
        given = (
            validate_data(self, part, reset=not number, dtype=np.float64)
            for number, part in enumerate(parts)
        )
        return self._train(given, column_or_1d(y))

    def _train(self, parts: Iterable[NDArray[np.float64]], labels: NDArray[np.generic]) -> Self:
        """Shorten the rows part by part into one array, and learn from it."""
        from sklearn.utils.multiclass import check_classification_targets
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

        warn_of_callers(self)
        check_classification_targets(labels)
        targets = self.encode_target(labels)
        self.noise_multiplier_ = self._calibrate()
        self.epsilon_spent_ = compose(self.mechanisms(), self.delta)
        self.adjacency_ = "add or remove one row"
        rows, bound = self._gather(parts, len(targets))
        # Its products are small: more threads than one only wait for each other.
        with threadpool_limits(limits=1, user_api="blas"):
            weights = self._learn(rows, targets, sqrt(bound**2 + 1))
        self.classes_ = np.array(self.classes)
        self.coef_ = weights[None, :-1]
        self.intercept_ = weights[-1:]
        return self

    def _gather(
        self, parts: Iterable[NDArray[np.float64]], people: int
    ) -> tuple[NDArray[np.float32], float]:
        """Give all rows shortened, with the public bound of their norm."""
        rows, bound, start = np.empty((people, 0), dtype=np.float32), 0.0, 0
        for part in parts:
            if not start:
                bound = self.row_bound or sqrt(part.shape[1])
                rows = np.empty((people, part.shape[1] + 1), dtype=np.float32)
            rows[start : start + len(part)] = shorten_rows(part, bound)
            start += len(part)
        return rows, bound

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give the log-odds of the positive class, of shape (people,)."""
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(rows @ self.coef_[0] + self.intercept_[0])

    def _check_parameters(self) -> None:
        self.check_promise()
        bounded = self.row_bound is None or is_measure(self.row_bound)
        if not (is_count(self.steps) and bounded):
            raise UsageError(
                "private training: give steps as a whole number >= 1, and a finite row_bound > 0"
            )

    def _calibrate(self) -> float:
        return calibrate(_plan(self.steps), self.epsilon, self.delta)

    def _learn(
        self, rows: NDArray[np.float32], targets: NDArray[np.bool_], bound: float
    ) -> NDArray[np.float64]:
        """Release the count, the moments and the gradients of rows of `bound`; give weights."""
        multipliers = split_budget(self.noise_multiplier_, self.steps)
        steps = np.array([len(rows) * COUNT_STEPS], dtype=np.int64)
        # Noise can make it less than one, by which nothing could be divided.
        people = max(self._release(steps, multipliers.people * COUNT_STEPS)[0] / COUNT_STEPS, 1)
        whitening = whiten(sum_moments(rows), multipliers.moments, people, self._release)
        turn_rows(rows, whitening.directions)
        self.clip_norm_ = CLIP * sqrt(whitening.clear)
        weights = self._descend(rows, targets, people, multipliers.gradients, whitening.unit)
        return whitening.directions @ weights * (STEPS / bound)

    def _descend(
        self,
        rows: NDArray[np.float32],
        targets: NDArray[np.bool_],
        people: float,
        multiplier: float,
        unit: float,
    ) -> NDArray[np.float64]:
        """Make `steps` private steps from zero; give the mean of the later weights, per row step.

        `unit` is how many row steps are a whitened row's 1.
        """
        clip_norm = self.clip_norm_ * unit
        noise = multiplier / sqrt(self.steps) * self.clip_norm_ / people
        length = min(TRAVEL / sqrt(noise) / self.steps, LONGEST_STEP)
        weights = np.zeros(rows.shape[1])
        velocity = np.zeros_like(weights)
        path = []
        for _ in range(self.steps):
            exact = sum_gradients(rows, targets, weights / unit, clip_norm)
            noisy = self._release(exact, multiplier * clip_norm * SHARES)
            velocity = MOMENTUM * velocity + noisy / (SHARES * unit * people)
            weights = weights - length * velocity
            path.append(weights)
        # The first steps are still on the way from zero; of the others the mean has less noise.
        skipped = int(self.steps * (1 - AVERAGED_SHARE))
        return np.asarray(np.mean(path[skipped:], axis=0)) / unit


def whiten(
    moments: NDArray[np.int64], multiplier: float, people: float, release: Release
) -> Whitening:
    """Release second moments of rows of at most `STEPS`, and give directions made of them alone.

    Of the symmetric matrix one triangle is released; a person moves it by at most `STEPS`² (L2).
    """
    size = len(moments)
    upper = np.triu_indices(size)
    deviation = multiplier * STEPS**2
    noisy = np.zeros((size, size))
    noisy[upper] = release(moments[upper], deviation)
    noisy = (noisy + np.triu(noisy, 1).T) / people
    # the largest eigenvalue of a symmetric matrix of such noise alone (Wigner 1955)
    edge = 2 * sqrt(size) * deviation / people
    ridge = RIDGE * edge
    values, vectors = np.linalg.eigh(noisy)
    clear = values[values > edge]
    # Noise can make an eigenvalue negative, which no moments have.
    directions = vectors * np.sqrt(ridge / (np.maximum(values, 0) + ridge))
    return Whitening(directions, sqrt(ridge), max((clear / (clear + ridge)).sum(), 1.0))


class Multipliers(NamedTuple):
    """Noise of each kind of release, as a multiple of its L2 sensitivity."""

    people: float
    moments: float
    gradients: float


def split_budget(multiplier: float, steps: int) -> Multipliers:
    """Part one Gaussian of `multiplier` into a count, moments and `steps` gradient sums."""
    left = 1 - COUNT_SHARE - MOMENTS_SHARE
    return Multipliers(
        multiplier / sqrt(COUNT_SHARE),
        multiplier / sqrt(MOMENTS_SHARE),
        multiplier * sqrt(steps / left),
    )


@cache
def _plan(steps: int) -> Callable[[float], tuple[Mechanism, ...]]:
    """Give what a multiplier draws in `steps`; the same function each time, for `calibrate`."""

    def describe(multiplier: float) -> tuple[Mechanism, ...]:
        people, moments, gradients = split_budget(multiplier, steps)
        return Gaussian(people), Gaussian(moments), Gaussian(gradients, steps)

    return describe
