"""Boosted additive model that is (ε, δ)-differentially private for each person, on public bins.

For policies whose model must be read: a score per bin of each feature, summed. Method: a private
explainable boosting machine (Nori, Caruana, Bu, Shen & Kulkarni 2021) on public bins. One noisy
release gives the people of each bin and class. Then each round releases, for all features at once,
the noisy sum of the residuals in each bin; a smoother per feature makes a step of it. Momentum and
the mean of the later rounds (Polyak & Juditsky 1992) only process what is already private.

Bins are declared, never learned: a feature by its number of labels (positions 0 to k - 1) or by
increasing edges, whose first and last are its public bounds. Each has one more bin at the end, for
missing values.

Not by the library `interpret`, whose 0.7.8 does not keep what is promised here; by its source:
- its cuts of numbers and its merging of labels are compared with the exact number of people, and
  a label is a bin only if somebody has it: both depend on the data without noise;
- its noise is for sensitivity 1, so for adding or removing a person; were the number of people
  public instead, neighbours would replace a person, who moves two bins of a histogram (√2);
- half of δ goes to bins, even where they are public; labels that are missing are refused;
- its normal noise, of the processor's RDRAND, is added to floating-point sums that are on no grid.

Theorem: each release is a Gaussian mechanism whose noise is a multiplier (`mechanisms`) times its
L2 sensitivity: a person is in one bin of each of d features, which is √d for the counts and √d
times `RESIDUAL_BOUND` for the residuals. Sums are whole numbers of a grid and exact; the noise is
OpenDP's discrete Gaussian (Canonne, Kamath & Steinke 2020) on that grid (`noise_samplers` says how
little it differs from the continuous one). It comes from the operating system's randomness, has no
seed and is never kept. Of a person's scores a residual is read off a table, so that it does not
depend on where in an array the person stands.

Neighbours: two data sets that differ by adding or removing one row; a person must have one row.
The number of people is secret; it is known only by the noisy counts. Not covered: error messages
(an undeclared label, a value outside the bounds), run time, and what else is published beside the
model. Public: the declarations of features and classes, and all parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from expectations.disclosure import roughly
from expectations.errors import Refusal, UsageError
from expectations.privacy_loss import Gaussian, calibrate, compose, is_count
from tasks.training.exact_sums import read_logistic
from tasks.training.fit_callers import warn_of_callers
from tasks.training.private_classifier import PrivateClassifier
from tasks.training.private_model import Release

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike
    from scipy.sparse import csr_array
    from sklearn.utils import Tags


Declaration: TypeAlias = int | Sequence[float]
"""The number of labels, or the edges of the bins of a number."""
Floats: TypeAlias = NDArray[np.float64]
CELLS: Final = 4096
"""The most joint cells of a group of features: their table stays in the processor's first cache."""
GRID: Final = 2.0**20
"""Steps in one: residuals are rounded to a millionth, and 2^33 people could be summed exactly."""
COUNT_SHARE: Final = 0.05
"""What the counts take of the whole privacy loss; the rounds, which learn, take the rest."""
RESIDUAL_BOUND: Final = 0.5
"""Of residuals, which are at most 1: half the noise, for what the worst predicted are cut by."""
LEARNING_RATE: Final = 1.2
MOMENTUM: Final = 0.9
SHRINKAGE: Final = 40.0
SMOOTHING: Final = 30.0
AVERAGED_SHARE: Final = 0.5
EDGES: Final = tuple(step / 20 for step in range(21))


class PrivateBoosting(PrivateClassifier):
    """Binary additive classifier, (epsilon, delta)-differentially private per row (see the module).

    `classes` are the two declared labels, the positive one last. `features` declares each feature
    by its number of labels (given as positions) or by the edges of its bins, as do `edges` for
    every feature where `features` is None. NaN is a bin of its own. `rounds` are the releases of
    residuals. After `fit`, `intercept_` and `shapes_` (scores in log-odds: an array per feature,
    an entry per bin, missing last; mean 0 over the noisy counts) are the whole model.

    >>> import numpy as np, tutela
    >>> rows = np.random.default_rng(0).uniform(size=(2000, 2))
    >>> answers = (rows[:, 0] > 0.5).astype(int)
    >>> model = tutela.PrivateBoosting(epsilon=1.0, delta=1e-6).fit(rows, answers)
    >>> model.predict_proba(rows).shape, bool(model.epsilon_spent_ <= 1.0)
    ((2000, 2), True)
    """

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

    def mechanisms(self) -> tuple[Gaussian, Gaussian]:
        """Say what a `fit` draws, from the parameters alone: the counts, then the rounds."""
        self._check_parameters()
        make = _describe(self.rounds)
        return make(calibrate(make, self.epsilon, self.delta))

    def fit(self, X: ArrayLike, y: ArrayLike | pd.Series) -> Self:  # noqa: N803  # sklearn's
        """Train on `X` of shape (people, features), one row per person, and labels `y`.

        Raises UsageError for parameters without a guarantee or a wrong declaration, Refusal for
        undeclared labels and for values outside the public bounds.
        """
        from sklearn.utils.multiclass import check_classification_targets
        from sklearn.utils.validation import validate_data

        counts, rounds = self.mechanisms()
        rows, labels = validate_data(self, X, y, dtype=np.float64, ensure_all_finite=False)
        warn_of_callers(self)
        check_classification_targets(labels)
        positive = self.encode_target(labels).astype(np.float64)
        declared = self._declare(rows.shape[1])
        training = Training(bin_rows(rows, declared), positive, self._release)
        self.intercept_, self.shapes_ = boost(training, counts, rounds, declared)
        self.noise_multiplier_ = rounds.noise_multiplier
        self.epsilon_spent_ = compose((counts, rounds), self.delta)
        self.classes_ = np.array(self.classes)
        return self

    def decision_function(self, X: ArrayLike) -> Floats:  # noqa: N803  # sklearn's
        """Give the log-odds of the positive class, of shape (people,)."""
        from sklearn.utils.validation import check_is_fitted, validate_data

        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite=False)
        people = bin_rows(rows, self._declare(rows.shape[1]))
        return self.intercept_ + people.score(np.concatenate(self.shapes_))

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
        _check_declaration([self.edges] if self.features is None else self.features)


@dataclass(frozen=True, slots=True)
class Training:
    """The people by their bins, who of them is positive (1 or 0), and the way out."""

    people: BinnedRows
    positive: Floats
    release: Release

    @property
    def terms(self) -> int:
        """Bins that each person is in: one of each feature."""
        return len(self.people.sizes)

    def count_people(self, multiplier: float) -> tuple[Floats, Floats]:
        """Release the people of each bin: all (at least 1) and the positive."""
        parts = (self.positive, 1 - self.positive)
        # A person is in one bin of each feature, and of one class: √terms in L2.
        exact = np.concatenate([self.people.sum_by_bin(part) for part in parts])
        noisy = self.release_values(exact, multiplier * math.sqrt(self.terms))
        positive, negative = np.split(noisy, 2)
        # Noise can leave a bin with less than nobody, which would turn its steps around.
        return np.maximum(positive + negative, 1.0), positive

    def sum_residuals(self, scores: Floats, start: float, multiplier: float) -> Floats:
        """Release the sum of the residuals in each bin, at these scores of the bins."""
        gaps = self.positive - read_logistic(start + self.people.score(scores))
        exact = self.people.sum_by_bin(shorten_residuals(gaps))
        return self.release_values(exact, multiplier * RESIDUAL_BOUND * math.sqrt(self.terms))

    def release_values(self, exact: Floats, deviation: float) -> Floats:
        """Release values on the grid with noise of `deviation`."""
        return self.release((exact * GRID).astype(np.int64), deviation * GRID) / GRID


def boost(
    training: Training, counts: Gaussian, rounds: Gaussian, features: Sequence[Declaration]
) -> tuple[float, list[Floats]]:
    """Give the intercept and, for each feature, the scores of its bins, from releases alone."""
    people, positive = training.count_people(counts.noise_multiplier)
    start = _start(people, positive, training.terms)
    noise = rounds.noise_multiplier * RESIDUAL_BOUND * math.sqrt(training.terms / rounds.count)
    smoother = make_smoother(np.split(people, training.people.ends), features, noise)
    scores, step, path = np.zeros_like(people), np.zeros_like(people), []
    for _ in range(rounds.count):
        sums = training.sum_residuals(scores, start, rounds.noise_multiplier)
        # Each feature alone explains the whole residual; together they would go too far.
        step = MOMENTUM * step + LEARNING_RATE / training.terms * (smoother @ sums)
        scores = scores + step
        path.append(scores)
    mean = np.mean(path[int(rounds.count * (1 - AVERAGED_SHARE)) :], axis=0)
    return _centre(start, *(np.split(whole, training.people.ends) for whole in (mean, people)))


def shorten_residuals(gaps: Floats) -> Floats:
    """Give each residual shortened to `RESIDUAL_BOUND`, towards zero on the grid."""
    short = np.clip(gaps, -RESIDUAL_BOUND, RESIDUAL_BOUND)
    return np.asarray(np.trunc(short * GRID) / GRID)


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


def _start(people: Floats, positive: Floats, terms: int) -> float:
    """Give the log-odds of the positive class, from the noisy counts of all features together."""
    # Each feature counts everybody once, so their mean has less noise than one alone. Bounded,
    # since the log-odds of 0 and of 1 are infinite.
    everybody = max(float(people.sum()) / terms, 2.0)
    share = min(max(float(positive.sum()) / terms, 1.0), everybody - 1) / everybody
    return math.log(share / (1 - share))


def _centre(
    start: float, shapes: Sequence[Floats], people: Sequence[Floats]
) -> tuple[float, list[Floats]]:
    """Move each feature's mean score over its people into the intercept."""
    means = [
        float(np.average(shape, weights=weights))
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


def _check_declaration(features: Sequence[Declaration]) -> None:
    """Raise UsageError where a feature has neither labels nor increasing, finite edges."""
    faults = [place for place, feature in enumerate(features) if not _is_sound(feature)]
    if faults or not features:
        raise UsageError(
            f"public bins: {len(faults)} of {len(features)} features (positions {faults[:5]}) are "
            "not declared by a number of labels of 1 or more, or by two or more increasing edges"
        )


def _is_sound(feature: Declaration) -> bool:
    if isinstance(feature, int):
        return feature >= 1
    edges = list(feature)
    return (
        len(edges) > 1
        and all(math.isfinite(edge) for edge in edges)
        and all(low < high for low, high in pairwise(edges))
    )


def count_bins(feature: Declaration) -> int:
    """Give the number of bins of a feature, the one for missing values included."""
    return feature + 1 if isinstance(feature, int) else len(feature)


def bin_rows(rows: Floats, features: Sequence[Declaration]) -> BinnedRows:
    """Put the rows of shape (people, features) into bins; NaN lands in the feature's last bin.

    Raises Refusal for values that are not in their feature's public labels or bounds.
    """
    if rows.shape[1] != len(features):
        raise UsageError(
            f"public bins: {len(features)} features are declared, the rows have {rows.shape[1]}"
        )
    sizes = [count_bins(feature) for feature in features]
    return BinnedRows(lambda place: _place_column(rows[:, place], features[place], place), sizes)


def _place_column(values: Floats, feature: Declaration, place: int) -> NDArray[np.intp]:
    missing = np.isnan(values)
    if isinstance(feature, int):
        known = (values >= 0) & (values < feature) & (values == np.floor(values))
        bins = np.where(known, values, 0)
    else:
        known = (values >= feature[0]) & (values <= feature[-1])
        bins = np.searchsorted(np.asarray(feature[1:-1], float), values, side="right")
    outside = int((~known & ~missing).sum())
    if outside:
        raise Refusal(
            "private training",
            f"{roughly(outside)} values of the feature at position {place} are outside its public "
            "labels or bounds; clip them, or correct the declaration, which must not be read from "
            "data",
        )
    return np.where(missing, count_bins(feature) - 1, bins).astype(np.intp)


class BinnedRows:
    """Rows by their bins; features are joined so that one table look-up serves several of them.

    `place` gives the bins of the feature at a position, `sizes` how many bins each feature has.
    Values of all bins come and go as one array, feature after feature; `ends` parts it. Sums of
    whole multiples of a power of two are exact up to 2^53 of them.
    """

    def __init__(self, place: Callable[[int], NDArray[np.intp]], sizes: Sequence[int]) -> None:
        self.sizes = sizes
        self.ends = np.cumsum(sizes)[:-1]
        self._groups = _group(sizes)
        self._cells = [_join(place, group, sizes) for group in self._groups]

    def score(self, scores: Floats) -> Floats:
        """Give for each row the sum of its bins' scores."""
        tables = np.split(scores, self.ends)
        total = np.zeros(len(self._cells[0]))
        for group, cells in zip(self._groups, self._cells, strict=True):
            joint: Floats = reduce(np.add.outer, [tables[feature] for feature in group])
            total += joint.ravel()[cells]
        return total

    def sum_by_bin(self, values: Floats) -> Floats:
        """Give the sum of the rows' values in each bin."""
        sums: list[Floats] = []
        for group, cells in zip(self._groups, self._cells, strict=True):
            shape = tuple(self.sizes[feature] for feature in group)
            joint = np.bincount(cells, values, math.prod(shape)).reshape(shape)
            axes = range(len(shape))
            sums += [joint.sum(tuple(other for other in axes if other != kept)) for kept in axes]
        return np.concatenate(sums)


def _join(
    place: Callable[[int], NDArray[np.intp]], group: Sequence[int], sizes: Sequence[int]
) -> NDArray[np.intp]:
    """Give each row's joint cell of a group of features."""
    cells = place(group[0])
    for feature in group[1:]:
        cells = cells * sizes[feature] + place(feature)
    return cells


def _group(sizes: Sequence[int]) -> list[list[int]]:
    """Put neighbouring features together while their joint cells stay few."""
    groups: list[list[int]] = [[0]]
    for feature in range(1, len(sizes)):
        joint = math.prod(sizes[member] for member in groups[-1]) * sizes[feature]
        if joint <= CELLS:
            groups[-1].append(feature)
        else:
            groups.append([feature])
    return groups
