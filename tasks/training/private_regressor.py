"""What the private regressors have in common: a declared range, in which all is learned and said.

The range is public, as a policy declares it. What lies outside is clipped to it, in training and in
prediction; learning is on [-1, 1].
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Final

import numpy as np
from sklearn.base import RegressorMixin

from expectations.disclosure import roughly
from expectations.errors import Refusal, UsageError
from tasks.training.private_model import PrivateModel

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

GRID: Final = 2.0**20
"""Steps of half a range, to which outcomes are cut."""


class PrivateRegressor(RegressorMixin, PrivateModel):  # type: ignore[misc]  # sklearn is untyped
    """Regressor that promises (epsilon, delta) and declares its target's range, (low, high).

    A subclass gives besides what a `PrivateModel` needs a `decision_function`.
    """

    target_range: tuple[float, float]

    @abstractmethod
    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give each row's score, where -1 and 1 are the ends of the range."""

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give each row's number, within the range."""
        low, high = self.target_range
        # as weights of both ends, so that none is passed by rounding
        place = (np.clip(self.decision_function(X), -1, 1) + 1) / 2
        return np.asarray(np.clip(low * (1 - place) + high * place, low, high))

    def check_promise(self) -> None:
        """Raise UsageError where epsilon and delta promise nothing, or the range is none."""
        self._check_epsilon()
        ends = self.target_range
        sound = isinstance(ends, list | tuple) and len(ends) == 2
        if not (sound and all(map(_is_finite, ends)) and 0 < ends[1] - ends[0] < math.inf):
            raise UsageError(
                "private training: give target_range as two finite numbers, the lower one first"
            )

    def encode_target(self, outcomes: NDArray[np.generic]) -> NDArray[np.float64]:
        """Give each number's place in the range, from -1 to 1 on the grid; Refusal where none is.

        Made of correctly rounded operations on each number by itself.
        """
        numbers = np.asarray(outcomes, dtype=np.float64)
        unknown = int(np.isnan(numbers).sum())
        if unknown:
            raise Refusal(
                "private training",
                f"{roughly(unknown)} outcomes are missing; leave these people out, or correct them",
            )
        low, high = map(float, self.target_range)
        place = (np.clip(numbers, low, high) - low) / (high - low)
        return np.asarray(np.rint((2 * place - 1) * GRID) / GRID)


def _is_finite(number: object) -> bool:
    return (
        isinstance(number, int | float)
        and not isinstance(number, bool)
        and math.isfinite(float(number))
    )
