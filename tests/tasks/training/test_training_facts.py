"""What is put on record of a training is public: parameters as words, and the noise drawn."""

from __future__ import annotations

import json

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from expectations.privacy_loss import Gaussian, Laplace
from tasks.training.train import describe_training


class Noisy(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A classifier that says what noise it draws, before any data."""

    def __init__(
        self, epsilon: float = 0.5, inner: object = None, classes: object = (0, 1)
    ) -> None:
        self.epsilon = epsilon
        self.inner = inner
        self.classes = classes

    def mechanisms(self) -> tuple[Gaussian | Laplace, ...]:
        """Two kinds of noise."""
        return Gaussian(2.0, 20), Laplace(self.epsilon)


def test_mechanisms_and_parameters_are_told_as_plain_values() -> None:
    """They survive JSON; what is no plain value is named by its type."""
    found = describe_training(Noisy(inner=LogisticRegression()))
    assert (
        json.loads(json.dumps(found))
        == found
        == {
            "parameters": {"epsilon": "0.5", "inner": "a LogisticRegression", "classes": "0, 1"},
            "mechanisms": [
                {"kind": "Gaussian", "noise_multiplier": 2.0, "count": 20},
                {"kind": "Laplace", "epsilon": 0.5, "count": 1},
            ],
        }
    )


def test_nothing_that_was_learned_is_told() -> None:
    """A fitted model is described as an unfitted one, and has no mechanism if it draws no noise."""
    plain = LogisticRegression(C=3.0)
    before = describe_training(plain)
    plain.fit(np.array([[0.0], [1.0], [2.0]]), [0, 1, 1])
    assert describe_training(plain) == before
    assert before["mechanisms"] == []
    assert isinstance(before["parameters"], dict)
    assert before["parameters"]["C"] == "3"
