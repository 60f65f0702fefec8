"""What all private models have in common: a promise, and one way out from people.

What is released of people, and how it is learned from, is each model's own; all of it goes through
`_release`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator

from expectations.errors import UsageError
from expectations.privacy_loss import SANE_EPSILON
from tasks.training.noise_samplers import add_noise_to_sums

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from expectations.privacy_loss import Mechanism

    Targets: TypeAlias = NDArray[np.bool_] | NDArray[np.intp] | NDArray[np.float64]

Release: TypeAlias = "Callable[[NDArray[np.int64], float], NDArray[np.float64]]"
"""From exact sums over people, and the deviation of the noise, the sums with noise added."""


class PrivateModel(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """An estimator that promises (epsilon, delta).

    A subclass gives `mechanisms` and `fit`, asks `check_promise` before anything is drawn, and
    learns of people by what `_release` gives back alone, as often and in the order that
    `mechanisms` says.
    """

    supposes: ClassVar[str] = ""
    """What its promise rests on and nobody has proved; empty where that is nothing."""
    epsilon: float
    delta: float

    @abstractmethod
    def mechanisms(self) -> tuple[Mechanism, ...]:
        """Give what a `fit` will draw, from the parameters alone."""

    @abstractmethod
    def fit(self, X: ArrayLike, y: ArrayLike | pd.Series) -> Self:  # noqa: N803  # sklearn's
        """Train on rows, one per person, and their outcomes."""

    @abstractmethod
    def encode_target(self, outcomes: NDArray[np.generic]) -> Targets:
        """Give people's outcomes as they are learned from; Refusal where they are undeclared."""

    @abstractmethod
    def check_promise(self) -> None:
        """Raise UsageError where epsilon and delta, or the declared outcomes, promise nothing."""

    def _release(self, sums: NDArray[np.int64], deviation: float) -> NDArray[np.float64]:
        """Give whole-number sums over people with Gaussian noise of `deviation` in their steps.

        The one way from people into what is learned, so that an audit's twin, which is a subclass,
        can see all that goes it.
        """
        return add_noise_to_sums(sums, deviation)

    def _check_epsilon(self) -> None:
        if not (0 < self.epsilon <= SANE_EPSILON and 0 < self.delta < 1):
            raise UsageError(
                f"private training: give 0 < epsilon <= {SANE_EPSILON:g} and 0 < delta < 1"
            )
