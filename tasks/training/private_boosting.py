"""Boosted additive model that is (ε, δ)-differentially private for each person, on public bins.

For policies whose model must be read: a score per bin of each feature, summed. Method: a private
explainable boosting machine (Nori, Caruana, Bu, Shen & Kulkarni 2021) on public bins. One noisy
release gives the people of each bin and class (of numbers: the people and their sum). Then each
round releases, for all features at once, the noisy sum of the residuals in each bin; a smoother per
feature makes a step of it. Momentum and the mean of the later rounds (Polyak & Juditsky 1992) only
process what is already private.

Bins are declared, never learned (`binned_rows`). Of several classes there is a score for each,
whose softmax gives probabilities; of a number there is one, where -1 and 1 are the ends of its
public range.

Not by the library `interpret`, whose 0.7.8 does not keep what is promised here; by its source:
- its cuts of numbers and its merging of labels are compared with the exact number of people, and
  a label is a bin only if somebody has it: both depend on the data without noise;
- its noise is for sensitivity 1, so for adding or removing a person; were the number of people
  public instead, neighbours would replace a person, who moves two bins of a histogram (√2);
- half of δ goes to bins, even where they are public; labels that are missing are refused;
- its normal noise, of the processor's RDRAND, is added to floating-point sums that are on no grid.

Theorem: each release is a Gaussian mechanism whose noise is a multiplier (`mechanisms`) times its
L2 sensitivity: a person is in one bin of each of d features, which is √d for the counts (√2d with a
number of at most 1 besides) and √d times the residual's bound, of all classes together, for the
residuals. Sums are whole numbers of a grid and exact; the noise is
OpenDP's discrete Gaussian (Canonne, Kamath & Steinke 2020) on that grid (`noise_samplers` says how
little it differs from the continuous one). It comes from the operating system's randomness, has no
seed and is never kept. A residual is read off a table, or made of correctly rounded operations, so
that it does not depend on where in an array the person stands. People are reached by `BinSums`
alone.

Neighbours: two data sets that differ by adding or removing one row; a person must have one row.
The number of people is secret; it is known only by the noisy counts. Not covered: error messages
(an undeclared label, a value outside the bounds), run time, and what else is published beside the
model. Public: the declarations of features, classes and range, and all parameters.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, Self

import numpy as np

from expectations.errors import UsageError
from expectations.privacy_loss import Gaussian, calibrate, compose, is_count
from tasks.training.binned_rows import (
    Declaration,
    Floats,
    bin_rows,
    check_declaration,
    count_bins,
)
from tasks.training.exact_sums import GRID, gap_of_classes, gap_of_numbers, gap_of_yes_no
from tasks.training.fit_callers import warn_of_callers
from tasks.training.private_classifier import PrivateClassifier
from tasks.training.private_model import PrivateModel
from tasks.training.private_regressor import PrivateRegressor
from tasks.training.sums import BinsHere, BinSums

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray
    from scipy.sparse import csr_array
    from sklearn.utils import Tags

    from tasks.training.exact_sums import FindGaps, Targets


COUNT_SHARE: Final = 0.05
"""What the counts take of the whole privacy loss; the rounds, which learn, take the rest."""
MOMENTUM: Final = 0.9
SHRINKAGE: Final = 40.0
SMOOTHING: Final = 30.0
AVERAGED_SHARE: Final = 0.5
EDGES: Final = tuple(step / 20 for step in range(21))


class Pace(NamedTuple):
    """How boosting goes: public constants of a kind of outcome.

    `bound` is of a person's residuals, of all classes together: under what they can be, less noise
    for what the worst predicted are cut by. `rate` is how far a round goes; `calm` how many times
    as much as for yes or no noisy bins are drawn to 0 and to neighbours.
    """

    bound: float
    rate: float
    calm: float = 1.0


YES_NO_PACE: Final = Pace(bound=0.5, rate=1.2)
CLASSES_PACE: Final = Pace(bound=1.0, rate=0.6, calm=3.0)
NUMBER_PACE: Final = Pace(bound=0.4, rate=0.3, calm=10.0)


class Boosting(PrivateModel):
    """An additive model of public bins, (epsilon, delta)-differentially private per row.

    A subclass says what is counted of outcomes and how far one person moves that, how far scores
    are from outcomes, where scores start, and its pace.
    """

    pace: ClassVar[Pace]
    features: Sequence[Declaration] | None
    edges: Sequence[float]
    rounds: int

    @property
    @abstractmethod
    def find_gaps(self) -> FindGaps:
        """Say how far scores are from outcomes."""

    @property
    @abstractmethod
    def counted(self) -> float:
        """What one person moves the counts of a single feature by, at most (L2)."""

    @abstractmethod
    def tell(self, targets: Targets) -> Floats:
        """Give what is counted of each person's outcome, of shape (people, columns)."""

    @abstractmethod
    def begin(self, counts: Floats, terms: int) -> tuple[Floats, Floats]:
        """Give the people of each bin, and the score of anybody, from noisy counts.

        `counts` are of shape (columns, bins); every one of `terms` features counts everybody.
        """

    def mechanisms(self) -> tuple[Gaussian, Gaussian]:
        """Say what a `fit` draws, from the parameters alone: the counts, then the rounds."""
        self._check_parameters()
        make = _describe(self.rounds)
        return make(calibrate(make, self.epsilon, self.delta))

    def fit(self, X: ArrayLike, y: ArrayLike | pd.Series) -> Self:  # noqa: N803  # sklearn's
        """Train on `X` of shape (people, features), one row per person, and their outcomes `y`.

        Raises UsageError for parameters without a guarantee or a wrong declaration, Refusal for
        undeclared labels and for values outside the public bounds.
        """
        from sklearn.utils.validation import validate_data

        self._check_parameters()
        rows, outcomes = validate_data(self, X, y, dtype=np.float64, ensure_all_finite=False)
        warn_of_callers(self)
        return self.fit_sums(self.serve(rows, self.encode_target(outcomes)), rows.shape[1])

    def serve(self, rows: Floats, targets: Targets) -> BinSums:
        """Give the sums over these people, by this model's declarations."""
        people = bin_rows(rows, self._declare(rows.shape[1]))
        return BinsHere(people, targets, self.tell, self.find_gaps, self.pace.bound)

    def fit_sums(self, sums: BinSums, width: int) -> Self:
        """Train on people of whom nothing is there but these sums over rows of `width` features."""
        counts, rounds = self.mechanisms()
        self.n_features_in_ = width
        self.intercept_, self.shapes_ = self._boost(sums, counts, rounds, self._declare(width))
        self.noise_multiplier_ = rounds.noise_multiplier
        self.epsilon_spent_ = compose((counts, rounds), self.delta)
        return self

    def decision_function(self, X: ArrayLike) -> Floats:  # noqa: N803  # sklearn's
        """Give each row's score, of shape (people,), or (people, classes) of several classes."""
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite=False)
        people = bin_rows(rows, self._declare(rows.shape[1]))
        return np.asarray(self.intercept_ + people.score(np.concatenate(self.shapes_)))

    def __sklearn_tags__(self) -> Tags:
        """Say besides that NaN is understood and that noise is never alike."""
        tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        tags.input_tags.allow_nan = True
        return tags

    def _declare(self, width: int) -> Sequence[Declaration]:
        return [self.edges] * width if self.features is None else self.features

    def _check_parameters(self) -> None:
        self.check_promise()
        if not is_count(self.rounds):
            raise UsageError("private training: give rounds as a whole number >= 1")
        check_declaration([self.edges] if self.features is None else self.features)

    def _boost(
        self, sums: BinSums, counts: Gaussian, rounds: Gaussian, features: Sequence[Declaration]
    ) -> tuple[Floats, list[Floats]]:
        """Give the intercept and, for each feature, the scores of its bins, from releases alone."""
        terms, ends = len(features), np.cumsum([count_bins(one) for one in features])[:-1]
        # A person is in one bin of each feature: √terms times as much in L2.
        told = self._draw(sums.counts(), counts.noise_multiplier * self.counted * math.sqrt(terms))
        people, start = self.begin(told, terms)
        noise = rounds.noise_multiplier * self.pace.bound * math.sqrt(terms / rounds.count)
        smoother = make_smoother(np.split(people, ends), features, noise * self.pace.calm)
        deviation = rounds.noise_multiplier * self.pace.bound * math.sqrt(terms)
        scores = np.zeros((len(people), *np.shape(start)))
        step, path = np.zeros_like(scores), []
        for _ in range(rounds.count):
            drawn = self._draw(sums.residuals(scores, start), deviation)
            # Each feature alone explains the whole residual; together they would go too far.
            step = MOMENTUM * step + self.pace.rate / terms * (smoother @ drawn)
            scores = scores + step
            path.append(scores)
        mean = np.mean(path[int(rounds.count * (1 - AVERAGED_SHARE)) :], axis=0)
        return _centre(start, *(np.split(whole, ends) for whole in (mean, people)))

    def _draw(self, exact: NDArray[np.int64], deviation: float) -> Floats:
        """Release sums on the grid with noise of `deviation`."""
        return self._release(exact, deviation * GRID) / GRID


class PrivateBoosting(Boosting, PrivateClassifier):
    """Additive classifier, (epsilon, delta)-differentially private per row (see the module).

    `classes` are the two to twenty declared labels, of two the positive one last. `features`
    declares each feature by its number of labels (given as positions) or by the edges of its bins,
    as do `edges` for every feature where `features` is None. NaN is a bin of its own. `rounds` are
    the releases of residuals. After `fit`, `intercept_` and `shapes_` (scores in log-odds: an array
    per feature, an entry per bin, missing last, and of several classes a column for each; mean 0
    over the noisy counts) are the whole model.

    >>> import numpy as np, tutela
    >>> rows = np.random.default_rng(0).uniform(size=(2000, 2))
    >>> answers = (rows[:, 0] > 0.5).astype(int)
    >>> model = tutela.PrivateBoosting(epsilon=1.0, delta=1e-6).fit(rows, answers)
    >>> model.predict_proba(rows).shape, bool(model.epsilon_spent_ <= 1.0)
    ((2000, 2), True)
    """

    counted = 1.0

    def __init__(  # noqa: PLR0913, PLR0917  # one for each public fact
        self,
        epsilon: float = 1.0,
        delta: float = 1e-5,
        classes: Sequence[Hashable] = (0, 1),
        features: Sequence[Declaration] | None = None,
        edges: Sequence[float] = EDGES,
        rounds: int = 120,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.classes = classes
        self.features = features
        self.edges = edges
        self.rounds = rounds

    @property
    def pace(self) -> Pace:  # type: ignore[override]  # of two kinds
        """By whether there are two classes."""
        return YES_NO_PACE if self.binary else CLASSES_PACE

    @property
    def find_gaps(self) -> FindGaps:
        """Compare probabilities with who is what."""
        return gap_of_yes_no if self.binary else gap_of_classes

    def tell(self, targets: Targets) -> Floats:
        """Count who is of each class, of two the positive first."""
        if self.binary:
            return np.column_stack([targets, 1 - targets.astype(np.float64)])
        return np.asarray(targets[:, None] == np.arange(len(self.classes)), dtype=np.float64)

    def begin(self, counts: Floats, terms: int) -> tuple[Floats, Floats]:
        """Give the log-odds of the positive class, or the logarithm of each class's share."""
        # Noise can leave a bin with less than nobody, which would turn its steps around.
        people = np.maximum(counts.sum(axis=0), 1.0)
        # Each feature counts everybody once, so their mean has less noise than one alone. Bounded,
        # since the log-odds of 0 and of 1 are infinite.
        if not self.binary:
            shares = np.maximum(counts.sum(axis=1) / terms, 1.0)
            return people, np.asarray(np.log(shares / shares.sum()))
        everybody = max(float(people.sum()) / terms, 2.0)
        share = min(max(float(counts[0].sum()) / terms, 1.0), everybody - 1) / everybody
        return people, np.float64(math.log(share / (1 - share)))  # type: ignore[return-value]

    def fit_sums(self, sums: BinSums, width: int) -> Self:
        """Train on people of whom nothing is there but these sums over rows of `width` features."""
        super().fit_sums(sums, width)
        self.classes_ = np.array(self.classes)
        return self


class PrivateBoostingRegressor(Boosting, PrivateRegressor):
    """Additive regressor, (epsilon, delta)-differentially private per row (see the module).

    `target_range` is the public range of what is predicted, (low, high): outcomes are clipped to
    it, and so are predictions. `features`, `edges` and `rounds` are as for `PrivateBoosting`, and
    so is what is learned, on a scale where -1 and 1 are the ends of the range.

    >>> import numpy as np, tutela
    >>> rows = np.random.default_rng(0).uniform(size=(2000, 2))
    >>> model = tutela.PrivateBoostingRegressor(epsilon=1.0, delta=1e-6, target_range=(0, 10))
    >>> guesses = model.fit(rows, 10 * rows[:, 0]).predict(rows)
    >>> guesses.shape, bool(model.epsilon_spent_ <= 1.0), bool(guesses.max() <= 10)
    ((2000,), True, True)
    """

    pace: ClassVar[Pace] = NUMBER_PACE
    counted = math.sqrt(2)

    def __init__(  # noqa: PLR0913, PLR0917  # one for each public fact
        self,
        epsilon: float = 1.0,
        delta: float = 1e-5,
        target_range: tuple[float, float] = (0.0, 1.0),
        features: Sequence[Declaration] | None = None,
        edges: Sequence[float] = EDGES,
        rounds: int = 120,
    ) -> None:
        self.epsilon = epsilon
        self.delta = delta
        self.target_range = target_range
        self.features = features
        self.edges = edges
        self.rounds = rounds

    @property
    def find_gaps(self) -> FindGaps:
        """Compare numbers on the scale of the range."""
        return gap_of_numbers

    def tell(self, targets: Targets) -> Floats:
        """Count people, and add up their numbers."""
        return np.column_stack([np.ones(len(targets)), targets])

    def begin(self, counts: Floats, terms: int) -> tuple[Floats, Floats]:
        """Give the mean."""
        people = np.maximum(counts[0], 1.0)
        everybody = max(float(people.sum()) / terms, 1.0)
        mean = float(counts[1].sum()) / terms / everybody
        return people, np.float64(min(max(mean, -1.0), 1.0))  # type: ignore[return-value]


def make_smoother(
    people: Sequence[Floats], features: Sequence[Declaration], noise: float
) -> csr_array:
    """Give the matrix by which noisy sums become a step: means, drawn to 0 and to neighbours.

    Each bin's people are raised by `SHRINKAGE` times the whole noise of its sums, and neighbouring
    bins of a number are tied as if they shared `SMOOTHING` times as many (Whittaker 1923).
    """
    from scipy.sparse import block_diag

    blocks = []
    for bins, feature in zip(people, features, strict=True):
        system = np.diag(bins + SHRINKAGE * noise)
        if not isinstance(feature, int):
            differences = np.diff(np.eye(len(bins) - 1, len(bins)), axis=0)
            system += SMOOTHING * noise * differences.T @ differences
        blocks.append(np.linalg.inv(system))
    return block_diag(blocks, format="csr")


def _centre(
    start: Floats, shapes: Sequence[Floats], people: Sequence[Floats]
) -> tuple[Floats, list[Floats]]:
    """Move each feature's mean score over its people into the intercept."""
    means = [
        np.average(shape, axis=0, weights=weights)
        for shape, weights in zip(shapes, people, strict=True)
    ]
    centred = [shape - mean for shape, mean in zip(shapes, means, strict=True)]
    return start + sum(means), centred


@cache
def _describe(rounds: int) -> Callable[[float], tuple[Gaussian, Gaussian]]:
    """Give what turns a round's noise multiplier into all mechanisms; one object per `rounds`."""
    # of the counts so that they take COUNT_SHARE of the whole (of 1 / multiplier^2)
    factor = math.sqrt((1 - COUNT_SHARE) / COUNT_SHARE / rounds)
    return lambda noise: (Gaussian(noise * factor), Gaussian(noise, rounds))
