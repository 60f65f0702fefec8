"""Twins of a private model: fits on made-up people, of which every release is seen.

A private model learns from people by releases alone, whole-number sums that noise is added to
(`_release`). A twin is a subclass that keeps what passes there, in this process's memory; the model
that leaves is of the class itself, which keeps nothing. What the trainer's own `_release` gives
is what is tested, so a class that adds no noise shows.

Told what an earlier fit was told, a twin draws its own noise and does not use it. Its people then
reach the model by nothing: whatever differs in it, came by another way than a release. What its
sums differ by from the earlier fit's is what its people move, all else alike.

Nobody's data is read: people are made up in the shape that the model is declared for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tasks.attack.twin_outcomes import Outcomes

if TYPE_CHECKING:
    from expectations.privacy_loss import Mechanism

Rows: TypeAlias = NDArray[np.float64]
Feature: TypeAlias = int | Sequence[float]
"""A number of labels, or the edges of bins."""
BINS: Final = 48
"""Of all features of a twin together: each release has a value for each."""
HIGH: Final = 0.85
FAR: Final = 1e6
"""Rows that so many times exceed the bound must be shortened to it."""
MISSING: Final = 0.05
ROUNDING: Final = 1e-9
"""Two models that differ by no more, relatively, are the same."""


class PrivateModel(Protocol):
    """What the audit asks of a model: its promise, and scikit-learn's interface."""

    @property
    def delta(self) -> float:
        """The δ of its promise."""
        ...

    def mechanisms(self) -> tuple[Mechanism, ...]:
        """Say what a fit draws, in turn."""
        ...

    def fit(self, X: Rows, y: NDArray[np.generic], /) -> object:  # noqa: N803  # sklearn's
        """Train on rows and their outcomes."""
        ...


@dataclass(frozen=True, slots=True)
class Release:
    """What passed from people into a fit at one place: exact sums, and the same with noise."""

    sums: NDArray[np.int64]
    deviation: float
    noisy: Rows

    @property
    def noise(self) -> Rows:
        """Give the noise, as a multiple of the deviation that was asked for."""
        return (self.noisy - self.sums) / self.deviation


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted twin and its releases, in turn."""

    model: PrivateModel
    releases: tuple[Release, ...]

    def asks_as(self, other: Fit) -> bool:
        """Tell whether both asked for as many sums, as long, with the same deviations."""
        asked, others = (
            [(len(one.sums), one.deviation) for one in fit.releases] for fit in (self, other)
        )
        return is_same(asked, others)


@dataclass(frozen=True, slots=True)
class People:
    """Rows as a model reads them, and people's outcomes."""

    rows: Rows
    outcomes: NDArray[np.generic]

    def add(self, row: Rows, place: int, outcome: object) -> Self:
        """Give these people and one more, who stands at `place`."""
        rows = np.insert(self.rows, place, row, axis=0)
        one = np.array([outcome], dtype=self.outcomes.dtype)
        return type(self)(rows, np.concatenate([self.outcomes[:place], one, self.outcomes[place:]]))

    def drop(self, place: int) -> Self:
        """Give these people without the one at `place`."""
        return type(self)(np.delete(self.rows, place, axis=0), np.delete(self.outcomes, place))


@dataclass(frozen=True, slots=True)
class Crowd:
    """Where made-up people come from: rows of ordinary ones, and those of extreme ones."""

    draw: Callable[[int], Rows]
    extreme: Rows
    features: Sequence[Feature] = ()
    """How each feature of them is declared, for a model of declared bins."""

    def gather(self, count: int, outcomes: Outcomes) -> People:
        """Make up `count` ordinary people, of whom a model can learn something."""
        rows = self.draw(count)
        high = rows[:, 0] > np.nanquantile(rows[:, 0], HIGH)
        return People(rows, outcomes.draw(high))


def make_bounded(width: int, bound: float) -> Crowd:
    """Give people by rows of `width` numbers of a norm of at most `bound`, for a linear model.

    Ordinary people differ less from column to column, so that some directions are almost unused:
    there a whitened row is longest. The extreme ones have the longest rows: along one column, in
    any direction, and far beyond the bound.
    """
    generator = np.random.default_rng()
    spread = np.geomspace(1, 0.02, width) * bound / 2
    anywhere = generator.normal(size=(24, width))
    anywhere *= bound / np.linalg.norm(anywhere, axis=1, keepdims=True)
    along = bound * np.eye(width)
    extreme = np.vstack([along, -along, anywhere, FAR * anywhere[:4], np.zeros((1, width))])
    return Crowd(lambda count: generator.uniform(-1, 1, (count, width)) * spread, extreme)


def make_binned(declared: Sequence[Feature]) -> Crowd:
    """Give people by labels and numbers, some of them missing, for a model of declared bins.

    In as many of the `declared` features as have `BINS` together, those of few bins first.
    """
    generator = np.random.default_rng()
    known = sorted(declared, key=_count_bins)
    together = np.cumsum([_count_bins(one) for one in known])
    features = known[: max(int((together <= BINS).sum()), 1)]

    def draw(count: int) -> Rows:
        columns = [
            generator.integers(0, feature, count).astype(float)
            if isinstance(feature, int)
            else generator.uniform(feature[0], feature[-1], count)
            for feature in features
        ]
        rows = np.column_stack(columns)
        rows[generator.random(rows.shape) < MISSING] = np.nan
        return rows

    ends = [(0, one - 1) if isinstance(one, int) else (one[0], one[-1]) for one in features]
    corners = np.array([*zip(*ends, strict=True), [np.nan] * len(features)], dtype=float)
    return Crowd(draw, np.vstack([corners, draw(200)]), features)


def _count_bins(feature: Feature) -> int:
    return feature + 1 if isinstance(feature, int) else len(feature)


def train_twin(trainer: PrivateModel, people: People, told: Sequence[Release] = ()) -> Fit:
    """Fit a fresh twin of `trainer`; it is told what is in `told`, in turn, if anything is."""
    seen: list[Release] = []
    kind = type(trainer)

    class Twin(kind):  # type: ignore[valid-type,misc]  # the class of what is audited
        def _release(self, sums: NDArray[np.int64], deviation: float) -> Rows:
            given = np.array(super()._release(sums, deviation), dtype=np.float64)
            place = len(seen)
            seen.append(Release(sums.ravel().copy(), float(deviation), given.ravel().copy()))
            if place < len(told) and told[place].noisy.size == given.size:
                return told[place].noisy.reshape(given.shape).copy()
            return given

    twin = Twin(**trainer.get_params(deep=False))  # type: ignore[attr-defined]  # sklearn's
    if hasattr(twin, "fit_parts"):  # as a run trains it
        twin.fit_parts(np.array_split(people.rows, 2), people.outcomes)
    else:
        twin.fit(people.rows, people.outcomes)
    return Fit(twin, tuple(seen))


def is_same(one: object, other: object) -> bool:
    """Tell whether two things hold the same, but for the rounding of floating point."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.shape != other.shape or one.dtype != other.dtype:
            return False
        if one.dtype.kind != "f":
            return bool((one == other).all())
        least = ROUNDING * np.abs(one).max(initial=0.0)
        return np.allclose(one, other, rtol=ROUNDING, atol=least, equal_nan=True)
    if isinstance(one, float) and isinstance(other, float):
        return bool(np.isclose(one, other, rtol=ROUNDING, atol=0, equal_nan=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and is_all_same(one.values(), other.values())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and is_all_same(one, other)
    if hasattr(one, "__dict__") and hasattr(other, "__dict__"):
        return is_same(vars(one), vars(other))
    return bool(one == other)


def is_all_same(ones: Iterable[object], others: Iterable[object]) -> bool:
    """Tell whether things hold the same, pair by pair."""
    return all(is_same(one, other) for one, other in zip(ones, others, strict=True))
