"""The published form of an advice: what was tried of each column, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.account.part import Part


@dataclass(frozen=True, slots=True)
class Trial(Part):
    """One feature dropped or made coarser: AUC lost by it, with its 95 % interval."""

    column: str
    change: Literal["drop", "coarsen"]
    mean: float
    low: float
    high: float
    verdict: Literal["not needed", "needed", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Dropped(Part):
    """The AUC with so many columns, once `dropped` has gone too."""

    columns: int
    dropped: str
    auc: float


@dataclass(frozen=True, slots=True)
class AtEpsilon(Part):
    """The AUC of a private model at one ε: mean, least and largest of a few draws."""

    epsilon: float
    auc: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LeftIn(Part):
    """A column that could be left out or halved alone, and why the patch does not."""

    column: str
    why: str


@dataclass(frozen=True, slots=True)
class Advice(Part):
    """What the model could do without; `epsilon` is what the twin it was tried on has cost.

    None where the training people themselves were tried on; see `tasks/advice/`.
    """

    epsilon: float | None
    auc: float
    trials: tuple[Trial, ...]
    path: tuple[Dropped, ...]
    epsilons: tuple[AtEpsilon, ...]
    patch: str
    left_in: tuple[LeftIn, ...] = ()
