"""Membership inference: whether a model's holder can tell who was in its training data.

The attack is RMIA (Zarifzadeh, Liu & Shokri 2024, "Low-Cost High-Power Membership Inference
Attacks") with reference models: a person's confidence under the attacked model is divided by
their mean confidence under reference models, half of which were trained on them. RMIA then ranks
that ratio among the ratios of a population; the rank is a monotone function of the ratio, so the
AUC, which is all that is reported, needs the ratio only.

Shares no code with training: it knows a fitted model with `predict_proba` and a factory of fresh
ones. The attacker here knows the target label, the method of training and people of the same
kind; one who has more (white-box access, planted rows) is not simulated. "Passed" says that this
attack had the power to see a leak of the limit's size and saw none, not that no attack works.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, sqrt
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from expectations.errors import Refusal, UsageError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Verdict = Literal["passed", "refused", "inconclusive"]

# Fixed, so that an auditor who repeats the attack draws the same reference halves. It seeds no
# noise that protects anybody.
SPLIT_SEED = 20240614


class Classifier(Protocol):
    """What the attack asks of a model: scikit-learn's interface of a classifier."""

    @property
    def classes_(self) -> NDArray[np.generic]:
        """The labels, in the order of the columns of `predict_proba`."""
        ...

    def fit(self, X: pd.DataFrame, y: pd.Series, /, **weights: NDArray[np.float64]) -> object:  # noqa: N803  # sklearn's
        """Train on people and their labels, and the people's weights where there are any."""
        ...

    def predict_proba(self, X: pd.DataFrame, /) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give each person's probability of each class."""
        ...


@dataclass(frozen=True, slots=True)
class MembershipAttack:
    """How well the attack told members from non-members: 0.5 is chance, 1 is always right.

    `low` and `high` bound the 95 % interval (DeLong 1988), which speaks of other people, given
    this model and these references. `detectable` is the smallest AUC that a one-sided test at
    5 % against 0.5 finds with 80 % power at these sizes (Noether 1987).
    """

    auc: float
    low: float
    high: float
    detectable: float
    members: int
    nonmembers: int
    references: int

    def verdict(self, limit: float) -> Verdict:
        """Judge the attack against the largest AUC that is allowed; `limit` in (0.5, 1].

        Power is asked for first: without it a low AUC is luck. Passed only when the whole
        interval is at or under the limit.
        """
        if not 0.5 < limit <= 1:
            raise UsageError(f"membership attack: the limit {limit} is not above 0.5 and up to 1")
        if self.detectable > limit:
            return "inconclusive"
        return "passed" if self.high <= limit else "refused"


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights with which a model was trained: of its members, and as non-members have them.

    `argument` is the name under which `fit` takes them.
    """

    members: NDArray[np.float64]
    nonmembers: NDArray[np.float64]
    argument: str = "sample_weight"

    def of(self, half: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
        """Give what is handed to `fit` with some of all people, members first."""
        return {self.argument: np.concatenate([self.members, self.nonmembers])[half]}


def attack_membership(  # noqa: PLR0913  # the model, how it was trained, and on whom
    model: Classifier,
    make_model: Callable[[], Classifier],
    members: tuple[pd.DataFrame, pd.Series],
    nonmembers: tuple[pd.DataFrame, pd.Series],
    references: int = 16,
    *,
    weights: Weights | None = None,
) -> MembershipAttack:
    """Attack a fitted model, given the people it was trained on and people it never saw.

    Both are (features, labels); non-members must come from the same population, by a random
    split, or the attack detects the difference of the populations. `make_model` gives a fresh,
    unfitted model of the same kind, which is trained with the people's weights if the model was.
    `references` is even and at least 8. Raises Refusal when either side has fewer than two people.
    """
    import pandas as pd
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

    if references < 8 or references % 2:
        raise UsageError("membership attack: give an even number of references, at least 8")
    if min(len(members[0]), len(nonmembers[0])) < 2:
        raise Refusal("membership attack", "needs at least 2 members and 2 non-members")
    X = pd.concat([members[0], nonmembers[0]], ignore_index=True)  # noqa: N806  # sklearn's
    y = pd.concat([members[1], nonmembers[1]], ignore_index=True)
    # threads of small trainings wait for each other longer than they work
    with threadpool_limits(limits=1):
        expected = np.zeros(len(X))
        for half in _draw_halves(y, references):
            reference = make_model()
            reference.fit(X[half], y[half], **(weights.of(half) if weights else {}))
            expected += _read_confidence(reference, X, y) / references
        ratio = _read_confidence(model, X, y) / expected
    return summarize_scores(ratio[: len(members[0])], ratio[len(members[0]) :], references)


def summarize_scores(
    members: NDArray[np.float64], nonmembers: NDArray[np.float64], references: int
) -> MembershipAttack:
    """Turn the attack's scores into its AUC, interval and power; a higher score says "member"."""
    auc, error = estimate_auc(members, nonmembers)
    return MembershipAttack(
        auc=auc,
        low=max(auc - 1.96 * error, 0.0),
        high=min(auc + 1.96 * error, 1.0),
        detectable=find_detectable_auc(len(members), len(nonmembers)),
        members=len(members),
        nonmembers=len(nonmembers),
        references=references,
    )


def estimate_auc(
    positives: NDArray[np.float64], negatives: NDArray[np.float64]
) -> tuple[float, float]:
    """Give the AUC and its standard error (DeLong, DeLong & Clarke-Pearson 1988), ties at half.

    By ranks (Sun & Xu 2014), in n log n. Each side has at least two scores.
    """
    m, n = len(positives), len(negatives)
    joint = _rank(np.concatenate([positives, negatives]))
    # a positive's share of negatives under it; a negative's share of positives above it
    wins = (joint[:m] - _rank(positives)) / n
    losses = 1 - (joint[m:] - _rank(negatives)) / m
    error = sqrt(wins.var(ddof=1) / m + losses.var(ddof=1) / n)
    return float(wins.mean()), error


def _rank(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give each score's rank from 1, ties at the mean of their ranks."""
    import pandas as pd

    return np.asarray(pd.Series(scores).rank(), dtype=np.float64)


def find_detectable_auc(members: int, nonmembers: int) -> float:
    """Give the smallest AUC found with 80 % power by a one-sided 5 % test (Noether 1987).

    Infinite when no AUC up to 1 would be found. Uses the variance under chance, which is the
    larger one: the power is, if anything, understated.
    """
    error = sqrt((members + nonmembers + 1) / (12 * members * nonmembers))
    detectable = 0.5 + (1.6449 + 0.8416) * error
    return detectable if detectable <= 1 else inf


def _draw_halves(labels: pd.Series, references: int) -> list[NDArray[np.bool_]]:
    """Draw random halves and their complements, balanced in the labels.

    So each person is in exactly half of the references, members and non-members alike: whatever
    tells them apart comes from the attacked model.
    """
    generator = np.random.default_rng(SPLIT_SEED)
    halves: list[NDArray[np.bool_]] = []
    for _ in range(references // 2):
        order = generator.permutation(len(labels))
        position = labels.iloc[order].groupby(labels.iloc[order]).cumcount().to_numpy()
        half = np.empty(len(labels), dtype=bool)
        half[order] = position % 2 == 0
        halves += [half, ~half]
    return halves


def _read_confidence(model: Classifier, X: pd.DataFrame, y: pd.Series) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
    """Give the model's probability of each person's own label, at least 1e-6."""
    probabilities = model.predict_proba(X)
    confidence = np.zeros(len(X))
    for column, label in enumerate(model.classes_):
        of_label = (y == label).to_numpy()
        confidence[of_label] = probabilities[of_label, column]
    return np.maximum(confidence, 1e-6)
