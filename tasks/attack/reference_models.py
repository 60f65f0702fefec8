"""Trains the reference models that membership attacks compare a model with.

Each is a fresh model of the attacked kind, whole pipeline with its encoding, trained on a random
half of all people, members and non-members alike; everybody is in exactly half of them. So the
references treat both sides alike, and whatever tells them apart comes from the attacked model. Who
is in which half follows from each person's own number: one who comes or leaves moves one other. A
reference sees half of the people who are attacked; where the attacked model saw more, as where
people are drawn by lot, it is less fitted.

They are trained in threads of this process: people's rows are copied into no other process and no
file. The models themselves are thrown away; only each person's confidence is kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from tasks.attack.contrast import PROBABILITY, Confidence, Predictor, Regressor
from tasks.people.population import redraw

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

# Fixed, so that an auditor who repeats the attack draws the same reference halves. It seeds no
# noise that protects anybody.
SPLIT_SEED = 20240614
LEAST_CONFIDENCE = 1e-6


class Trainable(Protocol):
    """What the attack asks of a model beside its answers: that it can be trained anew."""

    def fit(self, X: pd.DataFrame, y: pd.Series, /, **weights: NDArray[np.float64]) -> object:  # noqa: N803  # sklearn's
        """Train on people and their outcomes, and the people's weights where there are any."""
        ...


class Classifier(Predictor, Trainable, Protocol):
    """scikit-learn's interface of a classifier."""


class TrainableRegressor(Regressor, Trainable, Protocol):
    """scikit-learn's interface of a model of a number."""


Learner: TypeAlias = "Classifier | TrainableRegressor"


@dataclass(frozen=True, slots=True)
class People:
    """Raw features, labels and (if the model was trained with them) weights, row by row.

    `argument` is the name under which `fit` takes the weights. `records` are the people's own
    numbers; without them they are drawn by their places.
    """

    features: pd.DataFrame
    labels: pd.Series
    weights: NDArray[np.float64] | None = None
    argument: str = "sample_weight"
    records: NDArray[np.uint64] | None = None


@dataclass(frozen=True, slots=True)
class References:
    """What the reference models say of each person, and who was in the training of which.

    Both of shape (references, people): how sure it is of the person's own outcome, and whether
    that reference was trained on them.
    """

    confidence: NDArray[np.float64]
    inside: NDArray[np.bool_]


def train_references(
    make_model: Callable[[], Learner],
    people: People,
    references: int,
    threads: int | None = None,
    confidence: Confidence = PROBABILITY,
) -> References:
    """Train an even number of references, as many at a time as there are `threads`.

    Each training uses one thread (`limit_threads`: of BLAS so does the process from then on).

    As a default the cores that this process may use; the result is the same for any number. A
    model's own seed, where it has one and none is set, is set from the reference's number (never
    for noise: a private model takes no seed). `confidence` says how theirs is read.
    """
    # Of numbers, which hardly two people share, halves are drawn as of one label.
    of_classes = confidence.scale is None
    kinds = people.labels if of_classes else people.labels.isna()
    halves = draw_halves(kinds, references, people.records)

    def train(number: int) -> NDArray[np.float64]:
        model = make_model()
        _set_seeds(model, number)
        _fit(model, people, halves[number])
        known = confidence.read(model, (people.features, people.labels))
        return np.maximum(known, LEAST_CONFIDENCE)

    # The limit of OpenMP holds for the thread that sets it only, so each sets its own.
    with ThreadPoolExecutor(threads or count_cores(), initializer=limit_threads) as pool:
        known = np.array(list(pool.map(train, range(references))))
    return References(known, np.array(halves))


def draw_halves(
    labels: pd.Series, references: int, records: NDArray[np.uint64] | None = None
) -> list[NDArray[np.bool_]]:
    """Draw random halves and their complements, of each label those with the lower draws."""
    own = np.arange(len(labels), dtype=np.uint64) if records is None else records
    kind = np.unique(labels.to_numpy(), return_inverse=True)[1]
    size = np.bincount(kind)
    start = np.cumsum(size) - size
    halves: list[NDArray[np.bool_]] = []
    for number in range(references // 2):
        order = np.lexsort((redraw(own, SPLIT_SEED + number), kind))
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        half = 2 * (place - start[kind]) < size[kind]
        halves += [half, ~half]
    return halves


def _fit(model: Learner, people: People, half: NDArray[np.bool_]) -> None:
    """Train on one half, with its people's weights where the attacked model was."""
    weights = {} if people.weights is None else {people.argument: people.weights[half]}
    model.fit(people.features[half], people.labels[half], **weights)


def _set_seeds(model: Learner, number: int) -> None:
    """Set the seeds that are left open: threads share NumPy's generator in no fixed order."""
    parameters = model.get_params() if hasattr(model, "get_params") else {}
    seeds = [
        name
        for name, value in parameters.items()
        if name.split("__")[-1] == "random_state" and value is None
    ]
    if seeds:
        model.set_params(**dict.fromkeys(seeds, SPLIT_SEED + number))  # type: ignore[union-attr]  # has get_params


def count_cores() -> int:
    """Count the cores that this process may use, where the system tells."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_threads() -> AbstractContextManager[object]:
    """Let BLAS and OpenMP use one thread: those of small trainings wait longer than they work.

    At once, and as a context until its end; BLAS for the whole process, OpenMP for this thread.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits
