"""How good a fitted model is on people it was not trained on, and what of it may be told.

Whether it was not trained on them is the caller's to see to. Differential privacy of a model does
not cover these figures, so they have a rule of their own. Four counts are published by the rule
for counts: the people of each class, and those of each whom the model calls positive. Every share
is made of these four (accuracy, base rate, and the rates of whom it calls positive), so none of
them says more than the four. The same is counted at a few more thresholds
(`tasks.training.thresholds`). Nobody who is called wrong is counted: people of a class who are
called positive in one run and not in the next would add up to the same number, and sums over many
runs would tell it. AUC and Brier score are averages over people, and are told in steps of ten
people's worth.

Of weighted people, each counts as their share of the heaviest: so one who comes or leaves changes
each count by one at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias

from expectations.disclosure import (
    CLASS,
    TEN,
    Count,
    Disclosure,
    Published,
    percent,
    rate,
    tell_average,
)
from expectations.errors import Refusal
from expectations.policy.outcome import Number, Outcome
from ledgers.evidence import JSON

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    Weights = NDArray[np.float64]

Kind: TypeAlias = Literal["people", "positives", "negatives"]
PART: Final = 65_536
"""Rows that are encoded at a time."""


class Weighed(Protocol):
    """People who may be weighted: row by row, or None where all count alike."""

    @property
    def weights(self) -> Weights | None:
        """The weights."""
        ...


class Scored(NamedTuple):
    """What a model says of people whose outcome is known, row by row.

    `scores` is the probability of the positive class; `weights` is None where all count alike.
    """

    scores: NDArray[np.float64]
    positive: NDArray[np.bool_]
    weights: Weights | None = None

    def among(self, some: NDArray[np.bool_]) -> Scored:
        """Give some of these people."""
        weights = None if self.weights is None else self.weights[some]
        return Scored(self.scores[some], self.positive[some], weights)


@dataclass(frozen=True, slots=True)
class Quality:
    """AUC, accuracy at 0.5, Brier score and base rate, with all their digits: not to be told."""

    auc: float
    accuracy: float
    brier: float
    base_rate: float


@dataclass(frozen=True, slots=True)
class Calls:
    """How many test people there are of each class, and how many of each are called positive.

    As they are published. The last two are how many equally weighted people would tell as much
    (Kish 1965), which without weights are the first two.
    """

    positives: Published
    negatives: Published
    found: Published
    alarms: Published
    effective_positives: int
    effective_negatives: int

    @property
    def people(self) -> int:
        """About how many there are in all."""
        return self.positives.middle + self.negatives.middle

    @property
    def cells(self) -> Iterator[tuple[int, int, int]]:
        """Give class, call and about how many people, for each class and call."""
        for side, whole, called in (
            (1, self.positives.middle, self.found.middle),
            (0, self.negatives.middle, self.alarms.middle),
        ):
            yield side, 1, min(called, whole)
            yield side, 0, max(whole - called, 0)

    @property
    def true_positive_rate(self) -> float:
        """The share of the positive people who are called so."""
        return rate(self.found, self.positives)

    @property
    def false_positive_rate(self) -> float:
        """The share of the others who are called positive."""
        return rate(self.alarms, self.negatives)

    @property
    def base_rate(self) -> float:
        """The share of all who are positive."""
        return self.positives.middle / self.people

    @property
    def selection_rate(self) -> float:
        """The share of all who are called positive."""
        shares = (self.true_positive_rate, self.false_positive_rate)
        return self.base_rate * shares[0] + (1 - self.base_rate) * shares[1]

    @property
    def accuracy(self) -> float:
        """The share of all who are called what they are."""
        shares = (self.true_positive_rate, 1 - self.false_positive_rate)
        return self.base_rate * shares[0] + (1 - self.base_rate) * shares[1]

    def count_effective(self, kind: Kind) -> int:
        """Give how many equally weighted people of one class, or of both, would tell as much."""
        positives, negatives = self.effective_positives, self.effective_negatives
        counts = {"positives": positives, "negatives": negatives, "people": positives + negatives}
        return max(counts[kind], 1)


@dataclass(frozen=True, slots=True)
class ToldQuality:
    """What may be told of a model's quality on some people.

    AUC and Brier score are None where the people's weights differ so much that they count as few.
    The interval (Hanley & McNeil 1982, 95 %) speaks of other test people, not of other training
    people or another noise draw, and holds for all that the rounded AUC may stand for.
    """

    calls: Calls
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None
    brier: float | None = None


def score(
    pipeline: Pipeline,
    X: pd.DataFrame,  # noqa: N803  # sklearn's
    y: pd.Series,
    weights: Weights | None = None,
    positive: str | None = None,
) -> Scored:
    """Ask a fitted binary pipeline about people; without a `positive` class it is the last."""
    place = 1 if positive is None else list(pipeline.classes_).index(positive)
    return Scored(
        ask_model(pipeline, X)[:, place], (y == pipeline.classes_[place]).to_numpy(), weights
    )


def evaluate(
    pipeline: Pipeline,
    X: pd.DataFrame,  # noqa: N803  # sklearn's
    y: pd.Series,
    weights: Weights | None = None,
) -> Quality:
    """Measure a fitted binary pipeline on people it was not trained on.

    `y` holds the pipeline's own classes, the positive one last in `classes_`. With `weights` every
    figure is of the people as they are weighted. Raises Refusal when the people are all of one
    class, for which no AUC exists.
    """
    return measure(score(pipeline, X, y, weights))


def measure(scored: Scored) -> Quality:
    """Measure what a model says of people of both classes."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    scores, positive, weights = scored
    if positive.all() or not positive.any():
        raise Refusal("evaluation", "all test people are of one class; use a larger test share")
    return Quality(
        auc=float(roc_auc_score(positive, scores, sample_weight=weights)),
        accuracy=float(np.average((scores > 0.5) == positive, weights=weights)),
        brier=float(np.average((scores - positive) ** 2, weights=weights)),
        base_rate=float(np.average(positive, weights=weights)),
    )


def refuse_few(outcomes: pd.Series, outcome: Outcome, disclosure: Disclosure) -> None:
    """Refuse test people of whom a class, or all, are too few for any figure of quality."""
    whole = disclosure.publish(Count(len(outcomes)))
    if isinstance(outcome, Number):
        few, said = len(outcomes) < 2 * CLASS, say_few_numbers(whole)
    else:
        exact = {label: int((outcomes == label).sum()) for label in outcome.labels}
        few = sorted(exact.values())[-2] < CLASS
        said = say_few(exact, whole, disclosure)
    if few:
        raise Refusal("evaluation", said)


def say_few_numbers(whole: Published) -> str:
    """Say of how many people there are numbers, and of how many there must be."""
    return (
        f"the outcome of {say_about(whole)} test people is known, and at least {2 * CLASS} are "
        "needed, since figures of so few would tell of each; raise population.test_share, or "
        "widen the population"
    )


def say_few(exact: Mapping[str, int], whole: Published, disclosure: Disclosure) -> str:
    """Say how many people the two largest classes have, as published, and how many would do."""
    told = {label: disclosure.publish(Count(people)) for label, people in exact.items()}
    # By published counts, so that the order tells no more than they do.
    second, first = sorted(told, key=lambda label: told[label].middle)[-2:]
    share = rate(told[second], whole)
    shown = f" ({percent(share, 2)})" if told[second].about else ""
    least = told[second].about or told[second].threshold
    needed = TEN * ceil(CLASS * whole.middle / (TEN * least))
    enough = f"at this share that takes {'about' if shown else 'more than'} {needed:,} test people"
    return (
        f"{say_about(told[second])} of {say_about(whole)} test people{shown} have the outcome "
        f"`{second}`, and {say_about(told[first])} have `{first}`; two classes need at least "
        f"{CLASS} each, since figures of so few would tell of each (counts are rounded)"
        + (f"; {enough}" if needed > whole.middle else "")
        + ". Raise population.test_share, read more people, or choose an outcome that more people "
        "have, such as a longer window"
    )


def say_about(people: Published) -> str:
    """Say a published count so that nobody takes it for the exact one."""
    return f"{'' if people.about is None else 'about '}{people}"


def tell_quality(scored: Scored, disclosure: Disclosure) -> ToldQuality:
    """Give what may be told of people of both classes, whose sizes the caller has judged."""
    calls, exact = publish_calls(scored, disclosure), measure(scored)
    least = calls.positives.least, calls.negatives.least
    if min(least) < 2 * TEN:
        return ToldQuality(calls)
    sizes = calls.count_effective("positives"), calls.count_effective("negatives")
    return ToldQuality(
        calls, *tell_auc(exact.auc, min(least), sizes), tell_average(exact.brier, sum(least))
    )


def tell_auc(exact: float, least: int, sizes: tuple[int, int]) -> tuple[float, float, float]:
    """Give an AUC and its interval as they may be told, of `least` people or more of a class.

    `sizes` are how many equally weighted people of either class would tell as much.
    """
    auc, half = tell_average(exact, least), TEN / least / 2
    low, high = max(auc - half, 0.0), min(auc + half, 1.0)
    return (
        auc,
        max(low - 1.96 * estimate_auc_error(low, *sizes), 0.0),
        min(high + 1.96 * estimate_auc_error(high, *sizes), 1.0),
    )


def estimate_auc_error(auc: float, m: int, n: int) -> float:
    """Give the standard error of an AUC of so many people (Hanley & McNeil 1982, equation 1)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (m - 1) * (q1 - auc**2) + (n - 1) * (q2 - auc**2)
    return sqrt(variance / (m * n))


def count_calls(scored: Scored) -> dict[str, Count]:
    """Count the people of each class, and those of each who are called positive, by weight."""
    called, positive = scored.scores > 0.5, scored.positive
    people = {"positives": positive, "negatives": ~positive}
    people |= {"found": positive & called, "alarms": ~positive & called}
    return {name: count_people(scored, some) for name, some in people.items()}


def count_people(scored: Weighed, some: NDArray[np.bool_]) -> Count:
    """Count some of these people, each as their share of the heaviest of all."""
    if scored.weights is None:
        return Count(int(some.sum()))
    # A hair more, lest a sum of tenths fall below the whole number that it is.
    return Count(int((scored.weights[some] / scored.weights.max()).sum() + 1e-9))


def seal_counts(counts: Mapping[str, Count]) -> dict[str, JSON]:
    """Give exact counts by name, for the seal of the evidence ledger alone."""
    return {name: count.exact for name, count in counts.items()}


def publish_calls(scored: Scored, disclosure: Disclosure) -> Calls:
    """Publish these counts, and how many equally weighted people would tell as much."""
    counts = {name: disclosure.publish(count) for name, count in count_calls(scored).items()}

    return Calls(
        **counts,
        effective_positives=publish_size(scored, scored.positive, disclosure),
        effective_negatives=publish_size(scored, ~scored.positive, disclosure),
    )


def ask_model(pipeline: Pipeline, X: pd.DataFrame) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
    """Give the probability of each class of each person, asked for some people at a time."""
    import numpy as np

    parts = [pipeline.predict_proba(X.iloc[part]) for part in parts_of(X)]
    return np.concatenate([np.zeros((0, len(pipeline.classes_))), *parts])


def parts_of(frame: pd.DataFrame) -> Iterator[slice]:
    """Part rows so that what a model reads of them, which is wider, stays small."""
    return (slice(start, start + PART) for start in range(0, len(frame), PART))


def publish_size(scored: Weighed, some: NDArray[np.bool_], disclosure: Disclosure) -> int:
    """Publish how many equally weighted people would tell as much as some (Kish 1965)."""
    size = float(some.sum())
    if scored.weights is not None:
        weights = scored.weights[some]
        size = float(weights.sum() ** 2 / (weights**2).sum())
    return disclosure.publish(Count(int(size + 1e-9))).middle
