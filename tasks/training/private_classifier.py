"""What the private classifiers have in common: two declared classes, a promise, and one way out.

`encode_target` is told people's labels and refuses those that are not declared. What is released of
people, and how it is learned from, is each classifier's own; all of it goes through `_release`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from expectations.disclosure import roughly
from expectations.errors import Refusal, UsageError
from expectations.privacy_loss import SANE_EPSILON
from tasks.training.noise_samplers import add_noise_to_sums

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from sklearn.utils import Tags

    from expectations.privacy_loss import Mechanism

Release: TypeAlias = "Callable[[NDArray[np.int64], float], NDArray[np.float64]]"
"""From exact sums over people, and the deviation of the noise, the sums with noise added."""


class PrivateClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Binary classifier that promises (epsilon, delta) and declares its two classes.

    `classes` are the declared labels, the positive one last. A subclass gives `mechanisms`, `fit`
    and `decision_function`, asks `check_promise` before anything is drawn, and learns of people by
    what `_release` gives back alone, as often and in the order that `mechanisms` says.
    """

    supposes: ClassVar[str] = ""
    """What its promise rests on and nobody has proved; empty where that is nothing."""
    epsilon: float
    delta: float
    classes: Sequence[Hashable]
    classes_: NDArray[np.generic]

    @abstractmethod
    def mechanisms(self) -> tuple[Mechanism, ...]:
        """Give what a `fit` will draw, from the parameters alone."""

    @abstractmethod
    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give the log-odds of the positive class, of shape (people,)."""

    def _release(self, sums: NDArray[np.int64], deviation: float) -> NDArray[np.float64]:
        """Give whole-number sums over people with Gaussian noise of `deviation` in their steps.

        The one way from people into what is learned, so that an audit's twin, which is a subclass,
        can see all that goes it.
        """
        return add_noise_to_sums(sums, deviation)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give the probabilities of both classes, of shape (people, 2)."""
        # the logistic function as a hyperbolic tangent, which never overflows
        positive = 0.5 * (1 + np.tanh(self.decision_function(X) / 2))
        return np.column_stack([1 - positive, positive])

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:  # noqa: N803  # sklearn's
        """Give the likelier class of each row."""
        positive = self.decision_function(X) > 0
        return np.asarray(self.classes_[positive.astype(int)])

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn that there are two classes."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def check_promise(self) -> None:
        """Raise UsageError where epsilon and delta promise nothing, or classes are not two."""
        if not (0 < self.epsilon <= SANE_EPSILON and 0 < self.delta < 1):
            raise UsageError(
                f"private training: give 0 < epsilon <= {SANE_EPSILON:g} and 0 < delta < 1"
            )
        if len(self.classes) != 2 or len(set(self.classes)) != 2:
            raise UsageError("private training: give two different classes")

    def encode_target(self, labels: NDArray[np.generic]) -> NDArray[np.bool_]:
        """Say of each label whether it is the positive class; Refusal where one is neither."""
        negative, positive = (labels == label for label in self.classes)
        undeclared = int((~(negative | positive)).sum())
        if undeclared:
            raise Refusal(
                "private training",
                f"{roughly(undeclared)} labels are not among the two declared classes; declare the "
                "target's classes, which must not be read from the data",
            )
        return np.asarray(positive, dtype=bool)
