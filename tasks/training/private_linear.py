"""Linear regression of a number, (ε, δ)-differentially private for each person it is trained on.

Method: private descent on whitened rows (`whitened_descent`), of half the squared error of an
outcome that is scaled to [-1, 1] by its public range. A person's gradient is clipped, so that one
who is far from what the others tell counts for no more than one at the clip norm (Huber 1964).

Neighbours, and what the guarantee does not cover: as for `private_logistic`. The declared range,
the number of features and all parameters are public. Constants were chosen on one split of UCI
Adult's training part; NHANES' figures were seen, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tasks.training.exact_sums import gap_of_numbers
from tasks.training.private_regressor import PrivateRegressor
from tasks.training.whitened_descent import Pace, WhitenedDescent

if TYPE_CHECKING:
    from tasks.training.exact_sums import FindGaps


class PrivateLinearRegression(WhitenedDescent, PrivateRegressor):
    """Linear regressor, (epsilon, delta)-differentially private per row (see the module).

    `target_range` is the public range of what is predicted, (low, high): outcomes are clipped to
    it, and so are predictions. `row_bound` and `steps` are as for `PrivateLogisticRegression`.

    Learned: `coef_` and `intercept_`, on a scale where -1 and 1 are the ends of the range;
    recorded: `adjacency_`, `clip_norm_`, `epsilon_spent_`, `noise_multiplier_`.

    >>> import numpy as np, tutela
    >>> rows = np.random.default_rng(0).uniform(size=(2000, 2))
    >>> model = tutela.PrivateLinearRegression(epsilon=1.0, delta=1e-6, target_range=(0, 10))
    >>> guesses = model.fit(rows, 10 * rows[:, 0]).predict(rows)
    >>> guesses.shape, bool(model.epsilon_spent_ <= 1.0), bool(guesses.max() <= 10)
    ((2000,), True, True)
    """

    pace: ClassVar[Pace] = Pace(clip=0.5, travel=1.0, longest=1.0)

    def __init__(
        self,
        epsilon: float = 1.0,
        delta: float = 1e-5,
        target_range: tuple[float, float] = (0.0, 1.0),
        row_bound: float | None = None,
        steps: int = 20,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.target_range = target_range
        self.row_bound = row_bound
        self.steps = steps

    @property
    def find_gaps(self) -> FindGaps:
        """Compare numbers on the scale of the range."""
        return gap_of_numbers
