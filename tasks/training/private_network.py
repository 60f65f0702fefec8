"""A small neural network that is (ε, δ)-differentially private for each person it was trained on.

Method: DP-SGD (Abadi et al. 2016, algorithm 1) by Opacus: a Poisson sample of people per step, each
person's gradient clipped (norms by ghost clipping, Li et al. 2022), Gaussian noise on their sum;
momentum and an average of the later weights only process what is private already. The network is
layers of rectified units beside a linear path of its own, so that it starts as a regression.

What is drawn: `steps` sampled Gaussian mechanisms and one noisy number of people, which sets the
step length only; `expectations/privacy_loss.py` accounts for both. Neighbours differ by adding or
removing one row; a person must have one row. The sampling rate is a probability that is public,
never a batch size divided by the number of people, which is secret. Not covered: error messages
(counts of undeclared labels), run time, and whatever is published beside the model.

Randomness: Opacus' own noise and sampling come from a Mersenne twister, and its secure mode needs
`torchcsprng`, which no current Python has. Here the noise is OpenDP's exact discrete Gaussian and
the samples are drawn from the operating system's generator; neither has a seed, nor is kept.

Rounding: gradients are summed in float64 and rounded to a grid, on which the noise is exact.
Clipping leaves a margin for what summing and rounding can add (`private_descent.MARGIN`). That one
person's coming or going changes a sum by no more than the noise is scaled to is not proved: it
supposes that everybody else's gradient is the same in every batch. It is but for its last bits,
since the order in which a matrix product adds depends on the batch, and where a unit stands at its
kink, to within those bits, the gradient takes the other side. `private_logistic` and
`private_boosting` suppose nothing of the kind. Sums that are not finite end the training.

Defaults were chosen by folds of UCI Adult's training part, which is public; choosing them on the
data to be protected would cost privacy that no accountant here sees.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from expectations.errors import Refusal, UsageError
from expectations.privacy_loss import (
    Gaussian,
    Mechanism,
    SampledGaussian,
    calibrate,
    compose,
    is_count,
    is_measure,
)
from tasks.training.fit_callers import warn_of_callers
from tasks.training.private_classifier import PrivateClassifier
from tasks.training.private_descent import (
    ROW_BOUND,
    Descent,
    descend,
    release_values,
    require_torch,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray
    from sklearn.utils import Tags

    Matrix = NDArray[np.float64]

FIRST_DEVIATION: Final = 0.3
"""Of the first weights: rows of a dozen indicators then give units of about one."""
COUNT_NOISE: Final = 10.0
"""How much noisier the number of people is than a sum of gradients: it may be rough, and cheap."""
FASTEST: Final = 1e3
"""The largest learning rate: steps beyond it only throw weights about, out to infinite ones."""


class PrivateNetwork(PrivateClassifier):
    """Binary classifier, (epsilon, delta)-differentially private per row (see the module).

    `classes` are the two declared labels, the positive one last; `hidden_sizes` the units of each
    hidden layer; `steps` the gradient steps; `sampling_rate` each person's
    probability of being in a step; `learning_rate` the step length per person expected in it;
    `clip_norm` the largest L2 norm of a person's gradient. Expects rows whose norm is a few units,
    as `DeclaredEncoder` gives. After `fit` it is numpy arrays only: predicting needs no torch.

    Training wants the extra `torch`; the promise is known without it.

    >>> import tutela
    >>> drawn = tutela.PrivateNetwork(epsilon=1.0, delta=1e-6, steps=50).mechanisms()
    >>> drawn[-1].noise_multiplier > 0.5
    True
    """

    supposes = (
        "that everybody else's gradient is the same whoever is in a batch, which floating point "
        "does not guarantee"
    )
    most_classes = 2

    def __init__(  # noqa: PLR0913, PLR0917  # each a public parameter of the training
        self,
        epsilon: float = 1.0,
        delta: float = 1e-5,
        classes: Sequence[Hashable] = (0, 1),
        hidden_sizes: Sequence[int] = (6,),
        steps: int = 120,
        sampling_rate: float = 0.1,
        learning_rate: float = 8.0,
        clip_norm: float = 1.0,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.classes = classes
        self.hidden_sizes = hidden_sizes
        self.steps = steps
        self.sampling_rate = sampling_rate
        self.learning_rate = learning_rate
        self.clip_norm = clip_norm

    def mechanisms(self) -> tuple[Mechanism, ...]:
        """Give what a `fit` draws, known from the parameters alone; UsageError for bad ones."""
        self._check_parameters()
        return _describe(self.sampling_rate, self.steps)(self._calibrate())

    def fit(self, X: ArrayLike, y: ArrayLike | pd.Series) -> Self:  # noqa: N803  # sklearn's
        """Train on `X` of shape (people, features), one row per person, and labels `y`.

        Raises UsageError for parameters without a guarantee or where torch is not installed,
        Refusal for undeclared labels, or where delta is not below one in the (noisy) people.
        """
        from sklearn.utils.multiclass import check_classification_targets
        from sklearn.utils.validation import validate_data

        drawn = self.mechanisms()
        require_torch()
        rows, labels = validate_data(self, X, y, dtype=np.float64)
        warn_of_callers(self)
        check_classification_targets(labels)
        targets = self.encode_target(labels).astype(np.float64)
        self.noise_multiplier_ = self._calibrate()
        count = np.array([float(len(rows))])
        deviation = COUNT_NOISE * self.noise_multiplier_
        people = max(release_values(count, deviation, self._release)[0], 1.0)
        self._check_delta(people)
        start = draw_start(rows.shape[1], self.hidden_sizes)
        self.weights_ = descend(rows, targets, start, self._plan(people), self._release)
        self.epsilon_spent_ = compose(drawn, self.delta)
        self.classes_ = np.array(self.classes)
        return self

    def decision_function(self, X: ArrayLike) -> Matrix:  # noqa: N803  # sklearn's
        """Give the log-odds of the positive class, of shape (people,)."""
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        checked = validate_data(self, X, reset=False, dtype=np.float64)
        rows = np.clip(checked, -ROW_BOUND, ROW_BOUND)
        *hidden, last, linear = self.weights_
        units = rows
        for layer in hidden:
            units = np.maximum(_apply(layer, units), 0)
        return np.asarray((_apply(last, units) + _apply(linear, rows))[:, 0])

    def __sklearn_tags__(self) -> Tags:
        """Say besides that it never gives the same model twice."""
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        return tags

    def _check_parameters(self) -> None:
        self.check_promise()
        sampled = is_measure(self.sampling_rate) and self.sampling_rate <= 1
        if not (sampled and is_count(self.steps)):
            raise UsageError(
                "private training: give 0 < sampling_rate <= 1 and steps as a whole number >= 1"
            )
        slow = is_measure(self.learning_rate) and self.learning_rate <= FASTEST
        if not (is_measure(self.clip_norm) and slow):
            raise UsageError(
                "private training: give a finite clip_norm above 0 and 0 < learning_rate <= "
                f"{FASTEST:g}"
            )
        sizes = self.hidden_sizes
        if not (isinstance(sizes, Sequence) and sizes and all(map(is_count, sizes))):
            raise UsageError(
                "private training: give hidden_sizes as a list of layers, each of one unit or more"
            )

    def _calibrate(self) -> float:
        return calibrate(_describe(self.sampling_rate, self.steps), self.epsilon, self.delta)

    def _plan(self, people: float) -> Descent:
        """Give the descent; a step expects `sampling_rate` times the noisy number of `people`."""
        return Descent(
            noise_multiplier=self.noise_multiplier_,
            clip_norm=self.clip_norm,
            sampling_rate=self.sampling_rate,
            steps=self.steps,
            step_length=self.learning_rate / (self.sampling_rate * people),
        )

    def _check_delta(self, people: float) -> None:
        """Refuse a delta that would allow to publish somebody; asks only the noisy number."""
        if self.delta * people >= 1:
            raise Refusal(
                "private training",
                f"delta is {self.delta:g} for some {people:.0f} people; give one far below one in "
                "the number of people",
            )


def draw_start(features: int, hidden_sizes: Sequence[int]) -> list[Matrix]:
    """Draw the first weights: each hidden layer's, the output's and the linear path's.

    Each of shape (inputs + 1, outputs), the constant last. They know no data, so that any
    generator would do.
    """
    generator = np.random.default_rng()
    sizes = [features, *hidden_sizes]
    layers = []
    for place, (inputs, outputs) in enumerate(zip(sizes, [*hidden_sizes, 1], strict=True)):
        deviation = inputs**-0.5 if place else FIRST_DEVIATION
        layers.append(generator.normal(scale=deviation, size=(inputs + 1, outputs)))
        layers[-1][-1] = 0
    return [*layers, np.zeros((features + 1, 1))]


@cache
def _describe(probability: float, steps: int) -> Callable[[float], tuple[Mechanism, ...]]:
    """Give what noise makes all draws of; the same function each time, for `calibrate`."""
    return lambda noise: (
        Gaussian(COUNT_NOISE * noise),
        SampledGaussian(noise, probability, steps),
    )


def _apply(layer: Matrix, units: Matrix) -> Matrix:
    return np.asarray(units @ layer[:-1] + layer[-1])
