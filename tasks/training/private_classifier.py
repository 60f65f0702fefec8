"""What the private classifiers have in common: declared classes, and probabilities from scores.

`encode_target` is told people's labels and refuses those that are not declared.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from sklearn.base import ClassifierMixin

from expectations.disclosure import roughly
from expectations.errors import Refusal, UsageError
from tasks.training.private_model import PrivateModel

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from sklearn.utils import Tags

MOST_CLASSES: Final = 20


class PrivateClassifier(ClassifierMixin, PrivateModel):  # type: ignore[misc]  # sklearn is untyped
    """Classifier that promises (epsilon, delta) and declares its classes.

    `classes` are the declared labels, of two the positive one last. A subclass gives besides what a
    `PrivateModel` needs a `decision_function`.
    """

    most_classes: ClassVar[int] = MOST_CLASSES
    classes: Sequence[Hashable]
    classes_: NDArray[np.generic]

    @abstractmethod
    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give the log-odds of the positive class, of shape (people,); of several, a score each."""

    @property
    def binary(self) -> bool:
        """Whether there are two classes, of which a single score tells."""
        return len(self.classes) == 2

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give the probability of each class, of shape (people, classes)."""
        scores = self.decision_function(X)
        if not self.binary:
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            return np.asarray(shares / shares.sum(axis=1, keepdims=True))
        # the logistic function as a hyperbolic tangent, which never overflows
        positive = 0.5 * (1 + np.tanh(scores / 2))
        return np.column_stack([1 - positive, positive])

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:  # noqa: N803  # sklearn's
        """Give the likeliest class of each row."""
        scores = self.decision_function(X)
        likeliest = (scores > 0).astype(int) if self.binary else scores.argmax(axis=1)
        return np.asarray(self.classes_[likeliest])

    def __sklearn_tags__(self) -> Tags:
        """Tell scikit-learn how many classes there are."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = not self.binary
        return tags

    def check_promise(self) -> None:
        """Raise UsageError where epsilon and delta promise nothing, or classes are no classes."""
        self._check_epsilon()
        if not 2 <= len(set(self.classes)) == len(self.classes) <= self.most_classes:
            some = f"two to {self.most_classes}" if self.most_classes > 2 else "two"
            raise UsageError(f"private training: give {some} different classes")

    def encode_target(self, outcomes: NDArray[np.generic]) -> NDArray[np.bool_] | NDArray[np.intp]:
        """Give the place of each label's class, of two whether it is the positive one.

        Refusal where a label is none of them.
        """
        from sklearn.utils.multiclass import check_classification_targets

        check_classification_targets(outcomes)
        found = np.column_stack([outcomes == label for label in self.classes])
        undeclared = int((~found.any(axis=1)).sum())
        if undeclared:
            raise Refusal(
                "private training",
                f"{roughly(undeclared)} labels are not among the declared classes; declare the "
                "target's classes, which must not be read from the data",
            )
        return np.asarray(found[:, 1] if self.binary else found.argmax(axis=1))
