"""Made-up rows whose traces in a model show how much it tells of one person.

No person's data is read: a twin of the policy's classifier is trained on canaries among people
without features. So the audit costs no privacy, and what it finds holds for any data.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOWEST_PROBABILITY = 1e-12


class PrivateClassifier(Protocol):
    """What the audit asks of a classifier: the declared labels, and scikit-learn's interface."""

    @property
    def classes(self) -> Sequence[Hashable]:
        """The two declared labels, the positive one last."""
        ...

    def fit(self, X: NDArray[np.float64], y: NDArray[np.generic], /) -> object:  # noqa: N803  # sklearn's
        """Train on rows and their labels."""
        ...

    def predict_proba(self, X: NDArray[np.float64], /) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give each row's probability of each class, in the order of `classes`."""
        ...


MakeModel: TypeAlias = Callable[[], PrivateClassifier]


@dataclass(frozen=True, slots=True)
class Canaries:
    """Encoded rows, each of which no other canary resembles, and the rows of other people.

    Both of shape (..., features), as the classifier reads them; more others than canaries.
    """

    rows: NDArray[np.float64]
    others: NDArray[np.float64]


def give_columns(count: int = 16, people: int = 6_000, length: float = 4.0) -> Canaries:
    """Give each canary a column of its own among others with the same; for models with weights.

    A quarter of the others have one of the columns: so none stands out, where a trainer makes its
    directions equally long, and none explains a canary. `length` is long enough that the gradient
    is clipped. Few columns: a trainer may spend noise on how each goes with each.
    """
    rows = length * np.eye(count)
    others = np.zeros((people, count))
    others[: people // 4] = rows[np.arange(people // 4) % count]
    return Canaries(rows, others)


def give_labels(count: int = 250, people: int = 50_000, columns: int = 4) -> Canaries:
    """Give each canary a label of its own, the same in all columns, among others with the same.

    For models with a score for each bin: the others keep it from explaining the canary. In several
    columns, as a person is in a bin of each: noise that is meant for one alone is too little by
    the root of their number. The twin must be declared with as many features of `count` labels,
    given as 0, 1, ...
    """
    return Canaries(_repeat(np.arange(count), columns), _repeat(np.arange(people) % count, columns))


def play(
    model: PrivateClassifier, canaries: Canaries, included: NDArray[np.bool_], group: int
) -> NDArray[np.float64]:
    """Train with `group` copies of each included canary; give every canary's log-odds.

    Canaries and as many others have the second label, the rest the first, so that no canary is
    explained by what it shares with others and its gradient stays long.
    """
    present = np.repeat(canaries.rows[included], group, axis=0)
    rows = np.vstack([present, canaries.others])
    positive = np.arange(len(rows)) < len(present) + len(canaries.rows)
    model.fit(rows, np.array(model.classes)[positive.astype(int)])
    odds = np.clip(model.predict_proba(canaries.rows), LOWEST_PROBABILITY, None)
    return np.asarray(np.log(odds[:, 1] / odds[:, 0]))


def guess_right(scores: NDArray[np.float64], included: NDArray[np.bool_]) -> int:
    """Count the canaries whose coin is guessed right: in, where the score is above the mean.

    Both of any shape; the mean is over all, and looks at no coin.
    """
    return int(((scores > scores.mean()) == included).sum())


def repeats_itself(make_model: MakeModel, canaries: Canaries) -> bool:
    """Tell whether two trainings on the same rows give the same model: its noise is no secret.

    Never so with fresh continuous noise. Noise that repeats in part only is not seen.
    """
    few = replace(canaries, others=canaries.others[: 2 * len(canaries.rows)])
    nobody = np.zeros(len(canaries.rows), dtype=bool)
    first, second = (play(make_model(), few, nobody, 1) for _ in range(2))
    return bool(np.allclose(first, second, rtol=1e-9, atol=1e-9))


def _repeat(labels: NDArray[np.int64], columns: int) -> NDArray[np.float64]:
    return np.tile(labels.astype(np.float64)[:, None], columns)
