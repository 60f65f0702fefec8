"""Logistic regression that is (ε, δ)-differentially private for each person it was trained on.

Method: private descent on whitened rows (`whitened_descent`). Of several classes the probabilities
are a softmax of a score each, and a person's gradient, a column for each class, is clipped as one.

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

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from tasks.training.exact_sums import gap_of_classes, gap_of_yes_no
from tasks.training.private_classifier import PrivateClassifier
from tasks.training.whitened_descent import Pace, WhitenedDescent

if TYPE_CHECKING:
    from tasks.training.exact_sums import FindGaps
    from tasks.training.sums import RowSums

YES_NO_PACE: Final = Pace(clip=1.2, travel=4.0, longest=8.0)
CLASSES_PACE: Final = Pace(clip=1.2, travel=2.0, longest=4.0)


class PrivateLogisticRegression(WhitenedDescent, PrivateClassifier):
    """Classifier, (epsilon, delta)-differentially private per row (see the module).

    `classes` are the two to twenty declared labels, of two the positive one last; `row_bound` the
    public bound of a row's L2 norm, which longer rows are shortened to (by default √features;
    `DeclaredEncoder` knows a lower one, which means less noise); `steps` the gradient steps.
    Memory: one float32 matrix of the shape of `X`, and one float64 matrix of features by features.

    Learned: `coef_`, `intercept_` (a row and a number for each class; of two classes one),
    `classes_`; recorded: `adjacency_`, `clip_norm_` (of a gradient by a whitened row),
    `epsilon_spent_`, `noise_multiplier_` (of all releases as if one).

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

    @property
    def pace(self) -> Pace:  # type: ignore[override]  # of two kinds
        """Of several classes each has fewer people, so that it goes farther."""
        return YES_NO_PACE if self.binary else CLASSES_PACE

    @property
    def find_gaps(self) -> FindGaps:
        """Compare probabilities with who is what."""
        return gap_of_yes_no if self.binary else gap_of_classes

    @property
    def outputs(self) -> int:
        """A score of each class; of two, one of the positive."""
        return 0 if self.binary else len(self.classes)

    def fit_sums(self, sums: RowSums) -> Self:
        """Train on people of whom nothing is there but these sums, by the declared classes."""
        super().fit_sums(sums)
        self.classes_ = np.array(self.classes)
        return self
