"""Private trainers of which each breaks its promise in one way, while it goes on claiming the same.

For the tests of the audit and for its benchmark: what is wrong, the trainer, and what must be in
place while it trains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from expectations.policy.training import PrivateKind
from tasks.training import exact_sums
from tasks.training import sums as sums_of_people
from tasks.training.binned_rows import BinnedRows
from tasks.training.private_boosting import (
    YES_NO_PACE,
    PrivateBoosting,
    PrivateBoostingRegressor,
)
from tasks.training.private_linear import PrivateLinearRegression
from tasks.training.private_logistic import PrivateLogisticRegression
from tasks.training.private_model import PrivateModel

Numbers = NDArray[np.generic]
Sums = NDArray[np.int64]
Floats = NDArray[np.float64]
Trainer = type[PrivateModel]

HONEST: Final[dict[PrivateKind, Trainer]] = {
    "private-logistic-regression": PrivateLogisticRegression,
    "private-boosting": PrivateBoosting,
}


@dataclass(frozen=True)
class Broken:
    """A trainer, what is wrong with it, and what the audit should say of it."""

    kind: PrivateKind
    fault: str
    shows: str
    trainer: Trainer
    while_it_trains: Callable[[], AbstractContextManager[object]] = nullcontext


def list_broken() -> Iterator[Broken]:
    """Give every broken trainer whose fault is not one of a single release."""
    for kind, honest in HONEST.items():
        yield Broken(kind, "same noise twice", "goes with that of", repeat_noise(honest))
        yield Broken(kind, "noise of its sums", "the same noise again", hash_noise(honest))
        yield Broken(kind, "mostly no noise", "not Gaussian", draw_rarely(honest))
        yield Broken(kind, "one release unclaimed", "are claimed", claim_less(honest))
    logistic = partial(Broken, "private-logistic-regression")
    bypassed, moved = "bypasses them", "one person moves it"
    plain = PrivateLogisticRegression
    yield logistic("no clipping", moved, plain, leave_gradients)
    yield logistic("clipping before whitening", moved, plain, clip_too_early)
    yield logistic("sum counted twice", moved, plain, double_moments)
    yield logistic("long rows as they are", moved, plain, leave_rows)
    yield logistic("exact n", bypassed, KnowsPeople)
    yield logistic("sum without a release", bypassed, KnowsGradients)
    yield logistic("keeps the exact n", bypassed, KeepsPeople)
    boosting = partial(Broken, "private-boosting")
    yield boosting("no clipping", moved, PrivateBoosting, leave_residuals)
    yield boosting("noise for one feature", moved, CountsOneFeature)
    yield boosting("sum counted twice", moved, PrivateBoosting, double_bins)
    yield boosting("exact n", bypassed, AddsPeople)
    yield boosting("deviation by its people", "depends on the people", MeasuresPeople)


def lessen_noise(honest: Trainer, turn: int, share: float) -> Trainer:
    """Draw but a `share` of the noise of one release, counted from 0."""

    class Lessened(honest):  # type: ignore[valid-type,misc]  # whichever trainer it is
        turns_ = 0

        def _release(self, sums: Sums, deviation: float) -> Floats:
            self.turns_ += 1
            if self.turns_ - 1 != turn:
                return super()._release(sums, deviation)
            return super()._release(sums, share * deviation) if share else sums.astype(float)

    return Lessened


def repeat_noise(honest: Trainer) -> Trainer:
    """Draw noise a second time once, as soon as a release is as long as the one before it."""
    last: list[Floats] = []

    class Repeating(honest):  # type: ignore[valid-type,misc]  # whichever trainer it is
        repeated_ = False

        def _release(self, sums: Sums, deviation: float) -> Floats:
            if last and last[-1].shape == sums.shape and not self.repeated_:
                self.repeated_ = True
                return np.asarray(sums + np.rint(last.pop() * deviation))
            noisy: Floats = super()._release(sums, deviation)
            last[:] = [(noisy - sums) / deviation]
            return noisy

    return Repeating


def hash_noise(honest: Trainer) -> Trainer:
    """Draw noise by a generator whose seed is the sums, so that these alone decide it."""

    class Hashing(honest):  # type: ignore[valid-type,misc]  # whichever trainer it is
        def _release(self, sums: Sums, deviation: float) -> Floats:
            seeded = np.random.Generator(np.random.PCG64(list(sums.tobytes())))
            return sums + np.rint(seeded.normal(0, deviation, sums.shape))

    return Hashing


def draw_rarely(honest: Trainer) -> Trainer:
    """Draw noise of the right variance that is nothing three times in four."""

    class Rare(honest):  # type: ignore[valid-type,misc]  # whichever trainer it is
        def _release(self, sums: Sums, deviation: float) -> Floats:
            noise: Floats = super()._release(np.zeros_like(sums), 2 * deviation)
            return sums + noise * (np.random.default_rng().random(sums.shape) < 1 / 4)

    return Rare


def claim_less(honest: Trainer) -> Trainer:
    """Draw once more than is claimed."""

    class Claiming(honest):  # type: ignore[valid-type,misc]  # whichever trainer it is
        def fit(self, X: Numbers, y: Numbers) -> object:  # noqa: N803  # sklearn's
            self._release(np.array([len(X)]), 2.0**30)
            return super().fit(X, y)

        def fit_parts(self, parts: list[Floats], y: Numbers) -> object:
            self._release(np.array([len(y)]), 2.0**30)
            return super().fit_parts(parts, y)

    if not hasattr(honest, "fit_parts"):
        del Claiming.fit_parts
    return Claiming


class KnowsPeople(PrivateLogisticRegression):
    """Divides by the exact number of people, although it releases a noisy one."""

    def _descend(self, *given: Any) -> Floats:
        people, _, *rest = given
        return super()._descend(people, float(people.count()[0]), *rest)


class KnowsGradients(PrivateLogisticRegression):
    """Makes one more step, by a sum that it does not release."""

    def _descend(self, *given: Any) -> Floats:
        weights = super()._descend(*given)
        people, *_, unit = given
        return np.asarray(weights - 1e-20 * people.gradients(weights, unit))


class KeepsPeople(PrivateLogisticRegression):
    """Keeps the exact number of people in an attribute that no prediction needs."""

    def _descend(self, *given: Any) -> Floats:
        self.people_ = int(given[0].count()[0])
        return super()._descend(*given)


class MeasuresPeople(PrivateBoosting):
    """Draws noise by how many people there are."""

    people_ = 0

    @property
    def pace(self) -> Any:
        """Bound residuals by what it finds."""
        return YES_NO_PACE._replace(bound=0.5 + self.people_ / 1e6)

    def fit(self, X: Numbers, y: Numbers) -> PrivateBoosting:  # noqa: N803  # sklearn's
        """Count people first."""
        self.people_ = len(X)
        return super().fit(X, y)


class CountsOneFeature(PrivateBoosting):
    """Draws noise for a person in one feature's bins, where they are in every feature's."""

    def _draw(self, exact: Sums, deviation: float) -> Floats:
        return super()._draw(exact, deviation / np.sqrt(len(self.features or ())))


class AddsPeople(PrivateBoosting):
    """Sets the intercept by the exact number of people."""

    def _boost(self, *given: Any) -> Any:
        start, shapes = super()._boost(*given)
        people = given[0].counts().sum() / exact_sums.GRID
        return start + 1e-6 * people, shapes


def leave_gradients() -> AbstractContextManager[object]:
    """Clip no gradient."""

    def leave(residuals: Floats, _squares: Floats, _clip_norm: float) -> Floats:
        return np.trunc(residuals * exact_sums.SHARES)

    return patch.object(exact_sums, "clip_residuals", leave)


def clip_too_early() -> AbstractContextManager[object]:
    """Clip gradients by the length of rows before they are whitened, typical ones as before."""
    turn, squares = exact_sums.turn_rows, {}

    def turn_later(rows: NDArray[np.float32], directions: Floats) -> None:
        before = (rows.astype(float) ** 2).sum(1)
        turn(rows, directions)
        shrunk = (rows.astype(float) ** 2).sum() / before.sum()
        squares[len(rows)] = before * shrunk

    def sum_clipped(
        rows: NDArray[np.float32],
        targets: NDArray[np.bool_],
        weights: Floats,
        clip_norm: float,
        find_gaps: exact_sums.FindGaps,
    ) -> Sums:
        block = rows.astype(float)
        residuals = find_gaps(block @ exact_sums.round_weights(weights), targets)
        shares = exact_sums.clip_residuals(residuals, squares[len(rows)], clip_norm)
        return np.asarray((shares.T @ block).astype(np.int64).T)

    return patch.multiple(sums_of_people, turn_rows=turn_later, sum_gradients=sum_clipped)


def leave_rows() -> AbstractContextManager[object]:
    """Shorten no row."""

    def leave(rows: Floats, bound: float) -> NDArray[np.float32]:
        steps = np.column_stack([rows.clip(-3 * bound, 3 * bound), np.ones(len(rows))])
        return np.trunc(steps * exact_sums.STEPS / np.sqrt(bound**2 + 1)).astype(np.float32)

    return patch.object(sums_of_people, "shorten_rows", leave)


def double_moments() -> AbstractContextManager[object]:
    """Count everybody's moments twice."""
    true = exact_sums.sum_moments
    return patch.object(sums_of_people, "sum_moments", lambda rows: 2 * true(rows))


def double_bins() -> AbstractContextManager[object]:
    """Count everybody twice in each bin."""
    true = BinnedRows.sum_by_bin
    return patch.object(BinnedRows, "sum_by_bin", lambda *given: 2 * true(*given))


def leave_residuals() -> AbstractContextManager[object]:
    """Let residuals be as long as they are, where the noise is for a bound."""

    def leave(gaps: Floats, _bound: float) -> Floats:
        return np.trunc(gaps * exact_sums.GRID) / exact_sums.GRID

    return patch.object(sums_of_people, "shorten_residuals", leave)


def clip_each_class() -> AbstractContextManager[object]:
    """Clip each class's part by itself, where the noise is for all of them together."""

    def of_longest(residuals: Floats) -> Floats:
        return np.asarray(np.abs(residuals.reshape(len(residuals), -1)).max(axis=1))

    return patch.object(exact_sums, "_lengths", of_longest)


def count_sums_as_people() -> AbstractContextManager[object]:
    """Draw noise for people alone, where their numbers are added up besides."""
    return patch.object(PrivateBoostingRegressor, "counted", 1.0)


OTHERS: Final[dict[str, tuple[PrivateKind, Trainer, dict[str, object]]]] = {
    "regression of classes": (
        "private-logistic-regression", PrivateLogisticRegression, {"classes": ("a", "b", "c")},
    ),
    "regression of numbers": (
        "private-linear-regression", PrivateLinearRegression, {"target_range": (10.0, 30.0)},
    ),
    "boosting of classes": ("private-boosting", PrivateBoosting, {"classes": ("a", "b", "c")}),
    "boosting of numbers": (
        "private-boosting", PrivateBoostingRegressor, {"target_range": (10.0, 30.0)},
    ),
}  # fmt: skip
"""Trainers of other outcomes than yes or no, and what each has to be told."""
FARTHER: Final[list[tuple[str, str, Callable[[], AbstractContextManager[object]]]]] = [
    ("regression of classes", "classes clipped one by one", clip_each_class),
    ("regression of classes", "no clipping", leave_gradients),
    ("regression of numbers", "no clipping", leave_gradients),
    ("regression of numbers", "sum counted twice", double_moments),
    ("boosting of classes", "classes cut one by one", clip_each_class),
    ("boosting of classes", "sum counted twice", double_bins),
    ("boosting of numbers", "no clipping", leave_residuals),
    ("boosting of numbers", "noise for people alone", count_sums_as_people),
]
"""In which of them one person moves a release farther than is claimed, and by what."""
