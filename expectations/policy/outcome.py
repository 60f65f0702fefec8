"""What a model predicts: one of a few declared words, or a number within declared bounds.

Said by how the target is treated, in public: no class and no bound is read from data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from expectations.policy.treatments import Clip, public_labels

if TYPE_CHECKING:
    from expectations.expressions.expressions import ColumnType
    from expectations.policy.treatments import Treatment

MOST_CLASSES: Final = 20
"""Of more words each would have few people, and a model of them tells of few."""


@dataclass(frozen=True, slots=True)
class Classes:
    """One of 2 to 20 declared words, in the order in which they are declared."""

    labels: tuple[str, ...]

    @property
    def binary(self) -> bool:
        """Whether there are two: the last is what is looked for, such as yes."""
        return len(self.labels) == 2

    @property
    def positive(self) -> str:
        """The last word: of two the one that is looked for."""
        return self.labels[-1]


@dataclass(frozen=True, slots=True)
class Number:
    """A number, which a treatment keeps within two public bounds."""

    low: float
    high: float


Outcome: TypeAlias = Classes | Number


def find_outcome(treatment: Treatment, column_type: ColumnType) -> Outcome | None:
    """Give what a treated column is as a target; None where nothing declares it."""
    if isinstance(treatment, Clip):
        return Number(treatment.low, treatment.high)
    labels = public_labels(treatment, column_type)
    if labels is None or not 2 <= len(labels) <= MOST_CLASSES:
        return None
    return Classes(labels)
