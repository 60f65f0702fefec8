"""Private descent of a linear model on whitened rows: what all private linear models share.

Method: full-batch gradient descent on clipped per-person gradients with Gaussian noise (Song,
Chaudhuri & Sarwate 2013), on rows that are whitened by a noisy matrix of their second moments,
which is released first. Noise is as long in every direction, so whitening spends it where the
people differ, and lets few steps suffice. Where the matrix shows nothing but noise, rows stay as
they are, relative to each other. Momentum and the average of the later steps process only what is
private already.

Releases: a noisy number of people, the noisy moments, and `steps` noisy gradient sums, each a
Gaussian mechanism on whole numbers (`exact_sums`, `noise_samplers`), composed by privacy loss
distributions (`expectations.privacy_loss`). People are reached by `RowSums` alone.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from functools import cache
from math import sqrt
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Self

import numpy as np

from expectations.errors import UsageError
from expectations.privacy_loss import Gaussian, Mechanism, calibrate, compose, is_count, is_measure
from tasks.training.exact_sums import SHARES, STEPS
from tasks.training.fit_callers import warn_of_callers
from tasks.training.private_model import PrivateModel, Release
from tasks.training.sums import RowsHere, RowSums

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from tasks.training.exact_sums import FindGaps

COUNT_SHARE: Final = 0.01
"""Of the budget (as the square of 1 / noise), for the number of people."""
MOMENTS_SHARE: Final = 0.2
"""Of the budget, for the second moments; the gradients have the rest."""
COUNT_STEPS: Final = 2**20
"""Grid steps of one person in the count."""
RIDGE: Final = 0.1
"""Of the largest moment that noise alone would show: what whitening leaves as it is."""
MOMENTUM: Final = 0.5
AVERAGED_SHARE: Final = 0.5


class Pace(NamedTuple):
    """How a descent goes: public constants of a kind of model.

    `clip` is the clip norm, as a multiple of the root of how many directions stand out of the
    noise. All steps together are `travel`, over the root of the noise that they bring: less noise,
    farther. Beyond `longest` a step could overshoot where the people differ most.
    """

    clip: float
    travel: float
    longest: float


class Whitening(NamedTuple):
    """Noisy directions of the rows, of shape (features, features), none of which stretches.

    A row's part along a column, over `unit`, varies by about 1 where it stands out of the noise;
    `clear` is how many such directions there are.
    """

    directions: NDArray[np.float64]
    unit: float
    clear: float


class WhitenedDescent(PrivateModel):
    """A model linear in its rows, learned by private descent (see the module).

    `row_bound` is the public bound of a row's L2 norm, which longer rows are shortened to (by
    default √features); `steps` the gradient steps. A subclass says its `pace`, how far scores are
    from outcomes (`find_gaps`), and the `outputs` that a row is scored by: 0 for a single score.
    """

    pace: ClassVar[Pace]
    row_bound: float | None
    steps: int

    @property
    @abstractmethod
    def find_gaps(self) -> FindGaps:
        """Say how far scores are from outcomes."""

    @property
    def outputs(self) -> int:
        """Scores of a row in columns; 0 for one alone."""
        return 0

    def mechanisms(self) -> tuple[Mechanism, ...]:
        """Give what a `fit` will draw, from the parameters alone.

        Raises UsageError for parameters without a guarantee.
        """
        self._check_parameters()
        return _plan(self.steps)(self._calibrate())

    def fit(self, X: ArrayLike, y: ArrayLike | pd.Series) -> Self:  # noqa: N803  # sklearn's
        """Train on `X` of shape (people, features), one row per person, and their outcomes `y`.

        Raises UsageError for parameters without a guarantee, Refusal for undeclared labels,
        ValueError (scikit-learn's) for rows that are not finite numbers.
        """
        from sklearn.utils.validation import validate_data

        self._check_parameters()
        given, outcomes = validate_data(self, X, y, dtype=np.float64)
        return self._train([given], outcomes)

    def fit_parts(self, parts: Iterable[NDArray[np.float64]], y: ArrayLike | pd.Series) -> Self:
        """Train as `fit` does, on rows that come some at a time, in the order of all outcomes `y`.

        So what is given need not be there as a whole: it takes twice the memory of what is kept.
        """
        from sklearn.utils.validation import column_or_1d, validate_data

        self._check_parameters()
        given = (
            validate_data(self, part, reset=not number, dtype=np.float64)
            for number, part in enumerate(parts)
        )
        return self._train(given, column_or_1d(y))

    def _train(self, parts: Iterable[NDArray[np.float64]], outcomes: NDArray[np.generic]) -> Self:
        """Shorten the rows part by part into one array, and learn from it."""
        warn_of_callers(self)
        targets = self.encode_target(outcomes)
        return self.fit_sums(RowsHere.gather(parts, self.row_bound, targets, self.find_gaps))

    def fit_sums(self, sums: RowSums) -> Self:
        """Train on people of whom nothing is there but these sums, by this model's declarations."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

        self._check_parameters()
        self.noise_multiplier_ = self._calibrate()
        self.epsilon_spent_ = compose(self.mechanisms(), self.delta)
        self.adjacency_ = "add or remove one row"
        self.n_features_in_ = sums.width - 1
        bound = self.row_bound or sqrt(sums.width - 1)
        # Its products are small: more threads than one only wait for each other.
        with threadpool_limits(limits=1, user_api="blas"):
            weights = self._learn(sums, sqrt(bound**2 + 1))
        self.coef_ = weights[:-1].T.reshape(-1, sums.width - 1)
        self.intercept_ = weights[-1].reshape(-1)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give each row's score, of shape (people,), or (people, outputs) where there are more."""
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=np.float64)
        if not self.outputs:
            return np.asarray(rows @ self.coef_[0] + self.intercept_[0])
        return np.asarray(rows @ self.coef_.T + self.intercept_)

    def _check_parameters(self) -> None:
        self.check_promise()
        bounded = self.row_bound is None or is_measure(self.row_bound)
        if not (is_count(self.steps) and bounded):
            raise UsageError(
                "private training: give steps as a whole number >= 1, and a finite row_bound > 0"
            )

    def _calibrate(self) -> float:
        return calibrate(_plan(self.steps), self.epsilon, self.delta)

    def _learn(self, sums: RowSums, bound: float) -> NDArray[np.float64]:
        """Release the count, the moments and the gradients of rows of `bound`; give weights."""
        multipliers = split_budget(self.noise_multiplier_, self.steps)
        steps = sums.count() * COUNT_STEPS
        # Noise can make it less than one, by which nothing could be divided.
        people = max(self._release(steps, multipliers.people * COUNT_STEPS)[0] / COUNT_STEPS, 1)
        whitening = whiten(sums.moments(), multipliers.moments, people, self._release)
        sums.turn(whitening.directions)
        self.clip_norm_ = self.pace.clip * sqrt(whitening.clear)
        weights = self._descend(sums, people, multipliers.gradients, whitening.unit)
        return whitening.directions @ weights * (STEPS / bound)

    def _descend(
        self, sums: RowSums, people: float, multiplier: float, unit: float
    ) -> NDArray[np.float64]:
        """Make `steps` private steps from zero; give the mean of the later weights, per row step.

        `unit` is how many row steps are a whitened row's 1.
        """
        clip_norm = self.clip_norm_ * unit
        noise = multiplier / sqrt(self.steps) * self.clip_norm_ / people
        length = min(self.pace.travel / sqrt(noise) / self.steps, self.pace.longest)
        weights = np.zeros((sums.width, self.outputs) if self.outputs else sums.width)
        velocity = np.zeros_like(weights)
        path = []
        for _ in range(self.steps):
            exact = sums.gradients(weights / unit, clip_norm)
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
