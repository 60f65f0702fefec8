"""Members against people whom a model never saw: a difference, its interval, what it could show.

What a model knows of everybody of a kind it has learned, and that is what it is for; only what it
knows better of its members than of other people of the same kind is a leak. Members and others
must therefore come from one population, by a random split.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, isinf, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeGuard, runtime_checkable

import numpy as np

from expectations.disclosure import find_step, roughly
from expectations.errors import UsageError
from expectations.policy.vocabulary import CheckVerdict

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    People = tuple[pd.DataFrame, pd.Series]
    Records = tuple[NDArray[np.uint64], NDArray[np.uint64]]
    """The own numbers of those who were trained on, and of others."""

FEWEST: Final = 30
"""People on either side under which nothing is told: an interval would not hold."""
POWER: Final = 0.8416
"""The normal quantile of a power of 80 %."""
WIDE: Final = 20
"""People by whose worth figures go in steps: one who comes or leaves has a model trained anew, and
so moves what it says of others."""
FINEST: Final = 1_000
"""People from whom on figures are told in steps of 0.02, and no finer."""


@runtime_checkable
class Predictor(Protocol):
    """What these attacks ask of a model: its answers, and the labels that they are about."""

    @property
    def classes_(self) -> NDArray[np.generic]:
        """The labels, in the order of the columns of `predict_proba`."""
        ...

    def predict_proba(self, X: pd.DataFrame, /) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give each person's probability of each label, shape (people, labels)."""
        ...


class Regressor(Protocol):
    """What these attacks ask of a model of a number."""

    def predict(self, X: pd.DataFrame, /) -> NDArray[np.float64]:  # noqa: N803  # sklearn's
        """Give each person's number."""
        ...


Model: TypeAlias = "Predictor | Regressor"


def gives_classes(model: object) -> TypeGuard[Predictor]:
    """Whether a model gives probabilities of labels, and not a number."""
    return hasattr(model, "predict_proba")


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure a model is of a person's own outcome, 0 to 1, so that one attack fits all models.

    Of labels it is the probability of the person's own. A model of a number says none: there it is
    the Laplace density of its error over the highest that there is, exp(-|error| / `scale`). The
    scale is the median error of people whom the model never saw, so it is the same in any unit,
    and for all models that are compared. On overfitted trees, boosting, neighbours and linear
    models this found members about as well as any scale from half to twice of it, a normal or a
    Student's density, and a ratio of normal densities of the signed error.
    """

    scale: float | None = None

    @classmethod
    def of(cls, model: Model, others: People) -> Confidence:
        """Say how it is read of a model, by people whom it never saw."""
        if gives_classes(model):
            return cls()
        errors = np.abs(find_errors(model, others))
        # Half may be met exactly, and all: then any error is large.
        typical = (np.median(errors), errors.mean()) if len(errors) else ()
        return cls(float(next((one for one in typical if one > 0), 1.0)))

    def read(self, model: Model, people: People) -> NDArray[np.float64]:
        """Give how sure a model is of each person's own outcome."""
        if gives_classes(model):
            return read_confidence(model, people)
        assert self.scale is not None, "read of a number, of people by whom it was scaled"
        return np.asarray(np.exp(-np.abs(find_errors(model, people)) / self.scale))


PROBABILITY: Final = Confidence()
"""Of labels."""


def find_errors(model: Model, people: People) -> NDArray[np.float64]:
    """Give by how much a model of a number says more than is so of each person."""
    assert not isinstance(model, Predictor)
    predicted = np.asarray(model.predict(people[0]), dtype=np.float64)
    errors: NDArray[np.float64] = predicted - people[1].to_numpy(np.float64)
    return errors


def read_confidence(model: Predictor, people: People) -> NDArray[np.float64]:
    """Give the model's probability of each person's own label; 0 for one it does not know."""
    probabilities, place = model.predict_proba(people[0]), find_labels(model, people[1])
    return np.where(place < 0, 0.0, probabilities[np.arange(len(place)), place])


def find_labels(model: Predictor, labels: pd.Series) -> NDArray[np.int64]:
    """Give the column of `predict_proba` that each label has; -1 for one it does not know."""
    import pandas as pd

    place = pd.Index(model.classes_).get_indexer(pd.Index(labels))
    return np.asarray(place, dtype=np.int64)


def place_labels(model: Predictor, labels: pd.Series) -> NDArray[np.int64]:
    """Give the column of `predict_proba` that each label has; UsageError for an unknown label."""
    place = find_labels(model, labels)
    if (place < 0).any():
        raise UsageError(
            f"attack: {roughly(int((place < 0).sum()))} people have labels that the model was not "
            "trained on; attack it with its own labels"
        )
    return place


@dataclass(frozen=True, slots=True)
class Contrast:
    """How much more of something members have than others, on average, in its own unit.

    `error` is the standard error, infinite with too few people on either side; `critical` the
    normal quantile of the interval, raised where several contrasts are judged together. `people`
    is how many of them, on the smaller side, could together move the gap by 1.
    """

    name: str
    gap: float
    error: float
    critical: float = 1.96
    people: float = inf

    @property
    def low(self) -> float:
        """The lower end of the interval."""
        return self.gap - self.critical * self.error

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self.gap + self.critical * self.error

    @property
    def detectable(self) -> float:
        """The smallest gap that would be told from none in four of five such attacks."""
        return (self.critical + POWER) * self.error

    def verdict(self, limit: float) -> CheckVerdict:
        """Judge against the largest gap allowed.

        Refused with the whole interval beyond, however few people showed it. Passed only with the
        whole of it within, and where a gap of the limit's size would have been seen.
        """
        if self.low > limit:
            return CheckVerdict.REFUSED
        seen = self.detectable <= limit and self.high <= limit
        return CheckVerdict.PASSED if seen else CheckVerdict.INCONCLUSIVE

    def find_factor(self, limit: float) -> float:
        """Give how many times as many people could tell, if its gap stayed as it is."""
        room = abs(limit - max(self.gap, 0.0))
        if isinf(self.error) or not room:
            return inf
        return max(self.detectable / limit, self.critical * self.error / room) ** 2

    def tell(self, limit: float = inf) -> tuple[float, float, float]:
        """Give the gap and its interval in steps of 20 people's worth, two hundredths or more.

        The ends go outward, but not beyond a limit that the exact one kept.
        """
        return tell_interval((self.gap, self.low, self.high), self.people, limit)

    def __str__(self) -> str:
        """Word the gap as it may be told, so that no count of people follows from it."""
        if isinf(self.error):
            return f"{self.name}: too few people"
        gap, low, high = map(sign, self.tell())
        return f"{self.name} {gap} ({low} to {high})"

    def explain(self, limit: float) -> str:
        """Say why a contrast whose interval passes the limit is not refused; else nothing."""
        return explain_undecided(self.low, self.high, limit)


def find_width(people: float) -> float:
    """Give the width of steps: `WIDE` people's worth where that is a fifth at most, else ten's."""
    few = min(people, FINEST)
    return max(find_step(few), min(find_step(few, WIDE), 200)) / 1e3


def tell_interval(
    found: tuple[float, float, float], people: float, limit: float = inf
) -> tuple[float, float, float]:
    """Round a figure and the ends of its interval as `Contrast.tell` says."""
    value, low, high = found
    step = find_width(people)
    upper = ceil(round(high / step, 9)) * step
    return (
        round(value / step) * step,
        floor(round(low / step, 9)) * step,
        min(upper, limit) if high <= limit else upper,
    )


def tell_detectable(detectable: float, people: float) -> float:
    """Round what would be found up, in steps of what 20 people can change it by."""
    step = find_width(people / max(detectable, 1e-9))
    return ceil(round(detectable / step, 9)) * step


def contrast_means(
    name: str,
    members: NDArray[np.float64],
    others: NDArray[np.float64],
    critical: float = 1.96,
    span: float = 1.0,
) -> Contrast:
    """Compare the means of one figure per person, by Welch (1947).

    The figures differ by `span` at most. The error is at least what one person more or fewer would
    make of figures from 0 to 1.
    """
    fewest = min(len(members), len(others))
    if fewest < FEWEST:
        return Contrast(name, 0.0, inf, critical)
    variance = members.var(ddof=1) / len(members) + others.var(ddof=1) / len(others)
    error = max(sqrt(variance), 1 / fewest)
    return Contrast(name, float(members.mean() - others.mean()), error, critical, fewest / span)


def find_critical(contrasts: int) -> float:
    """Give the quantile of so many intervals that hold together at 95 % (Bonferroni)."""
    return NormalDist().inv_cdf(1 - 0.025 / max(contrasts, 1))


def judge_together(contrasts: Iterable[Contrast], limit: float) -> CheckVerdict:
    """Judge several contrasts: one refused refuses all, and all must pass; none is inconclusive."""
    return join_verdicts(contrast.verdict(limit) for contrast in contrasts)


def join_verdicts(each: Iterable[CheckVerdict]) -> CheckVerdict:
    """Give one verdict for several: one refused refuses all, all must pass, of at least one."""
    verdicts = set(each)
    if CheckVerdict.REFUSED in verdicts:
        return CheckVerdict.REFUSED
    return CheckVerdict.PASSED if verdicts == {CheckVerdict.PASSED} else CheckVerdict.INCONCLUSIVE


def sign(value: float) -> str:
    """Write a gap with its sign, to two digits; no gap is no loss."""
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")


def say_points(share: float) -> str:
    """Write how much one share is above another, in percentage points and with the direction."""
    points = round(100 * abs(share))
    way = "more" if share >= 0 else "less"
    return f"{points} percentage point{'s' * (points != 1)} {way} often"


def explain_undecided(low: float, high: float, limit: float) -> str:
    """Say why an interval that passes the limit is no failure; nothing where it does not pass it.

    Or where all of it lies beyond: that is one.
    """
    if not low <= limit < high:
        return ""
    return "; the interval crosses the limit but is not wholly above it: too few people to say"


def say_enough(factor: float) -> str:
    """Say how many times as many people would be enough, where a number would be."""
    if isinf(factor):
        return f"attack more people, at least {FEWEST} of each kind on either side"
    return f"attack about {max(ceil(factor), 2)} times as many people"


def find_widest(contrasts: Iterable[Contrast], limit: float) -> Contrast | None:
    """Give the contrast that reaches highest, of those refused if any; None with too few people."""
    told = [contrast for contrast in contrasts if not isinf(contrast.error)]
    return max(told, key=lambda one: (one.low > limit, one.high), default=None)


def describe_power(contrasts: Sequence[Contrast]) -> str:
    """Say which gap would have been found in whichever of some contrasts, rounded up."""
    weakest = max(contrasts, key=lambda one: one.detectable, default=None)
    if weakest is None or isinf(weakest.detectable):
        return f"nothing in some of these: fewer than {FEWEST} people are on a side"
    told = tell_detectable(weakest.detectable, weakest.people)
    return f"a gap of {told:.2f} or more would be found with 80 % power"
