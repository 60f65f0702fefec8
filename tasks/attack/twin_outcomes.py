"""Outcomes of made-up people, for twins: of declared classes, or numbers of a declared range.

Ordinary people's follow their rows a little, so that there is something to learn. The extreme have
each outcome that can be said, or either end of the range.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Given: TypeAlias = NDArray[np.generic]
    Floats: TypeAlias = NDArray[np.float64]

LIKELY, UNLIKELY = 0.8, 0.05
"""How many have the last class where the first feature is high, and elsewhere: few, and worth
learning."""
SPREAD: Final = 0.2
"""Of a range: how far numbers lie about the middle of its upper or lower half."""


class Outcomes(Protocol):
    """What an audit knows of the outcomes of a model's made-up people."""

    @property
    def extreme(self) -> Sequence[Any]:
        """Those that move a release farthest, or all that there are."""
        ...

    def draw(self, high: NDArray[np.bool_]) -> Given:
        """Make up an outcome of each person, by whether the first feature is high."""
        ...

    def swap(self, outcomes: Given) -> Given:
        """Give everybody another outcome."""
        ...

    def miss(self, model: object, rows: Floats, outcomes: Given) -> Floats:
        """Say how far a model's answers are off."""
        ...


@dataclass(frozen=True, slots=True)
class OfClasses:
    """One of the declared classes."""

    classes: Sequence[Hashable]

    @property
    def extreme(self) -> Sequence[Hashable]:
        """Each class."""
        return self.classes

    def draw(self, high: NDArray[np.bool_]) -> Given:
        """Give the last class to most who are high, and to few others."""
        draw = np.random.default_rng()
        last = draw.random(len(high)) < np.where(high, LIKELY, UNLIKELY)
        others = draw.integers(0, len(self.classes) - 1, len(high))
        return np.array(self.classes)[np.where(last, len(self.classes) - 1, others)]

    def swap(self, outcomes: Given) -> Given:
        """Give the next class, and after the last the first."""
        return np.array(self.classes)[(self._place(outcomes) + 1) % len(self.classes)]

    def miss(self, model: object, rows: Floats, outcomes: Given) -> Floats:
        """Give what probability is not on the true class."""
        likely = methodcaller("predict_proba", rows)(model)
        return np.asarray(1 - likely[np.arange(len(rows)), self._place(outcomes)])

    def _place(self, outcomes: Given) -> NDArray[np.intp]:
        found = np.column_stack([outcomes == label for label in self.classes])
        return np.asarray(found.argmax(axis=1))


@dataclass(frozen=True, slots=True)
class OfNumbers:
    """A number of the declared range."""

    low: float
    high: float

    @property
    def extreme(self) -> Sequence[float]:
        """Both ends."""
        return self.low, self.high

    def draw(self, high: NDArray[np.bool_]) -> Given:
        """Give numbers of the upper half to who is high, and of the lower to others."""
        off = np.random.default_rng().uniform(-SPREAD, SPREAD, len(high))
        return self.low + (self.high - self.low) * (np.where(high, 0.75, 0.25) + off)

    def swap(self, outcomes: Given) -> Given:
        """Mirror the range."""
        return np.asarray(self.low + self.high - outcomes.astype(np.float64))

    def miss(self, model: object, rows: Floats, outcomes: Given) -> Floats:
        """Give how far off a number is."""
        guesses = methodcaller("predict", rows)(model)
        return np.asarray(np.abs(guesses - outcomes.astype(np.float64)))


def declare_outcomes(model: object) -> Outcomes:
    """Give the outcomes that a private model declares."""
    if hasattr(model, "target_range"):
        return OfNumbers(*map(float, model.target_range))
    assert hasattr(model, "classes"), "a private model declares classes, or a range"
    return OfClasses(model.classes)
