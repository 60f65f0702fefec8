"""How good a model of several classes is, one against the rest, and what of it may be told.

The rule is that of `quality`, for each class: its people and those of them whom the model calls
right are published counts. Whom the model takes for another class is counted where the two have at
least `CLASS` people together, and never everybody of a class: those who are left uncounted are as
many together. Else the counts of one class, which is the same in each run, would add up to it, and
sums over many runs would tell it. How many are called a class in all is not counted, for all these
counts add up to everybody. Averages go in steps of ten people's worth; of the log loss, no
probability counts as less than `LEAST`.

Classes of fewer than `CLASS` test people are named, and left out of what is an average over
classes. Not known here is which confusion costs whom how much.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import log
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from expectations.disclosure import CLASS, TEN, Disclosure, Published, rate, tell_average
from tasks.account.measured import ClassQuality, Confusion, Difference, GroupQuality
from tasks.training.fairness import (
    ROUNDED,
    Fairness,
    bound_largest_difference,
    choose_shown,
    list_audited,
    name_groups,
)
from tasks.training.quality import (
    Scored,
    ask_model,
    count_people,
    measure,
    publish_size,
    seal_counts,
    tell_auc,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    from tasks.airlock.run import Desk
    from tasks.training.quality import Weights

    Mask = NDArray[np.bool_]

LEAST: Final = 1e-3
"""The least probability of which a log loss is taken: one person's loss must have a bound."""
WORST: Final = -log(LEAST)


class ScoredClasses(NamedTuple):
    """What a model says of people whose class is known: the probability of each declared label.

    `place` is that of each person's own label; `weights` is None where all count alike.
    """

    labels: tuple[str, ...]
    probabilities: NDArray[np.float64]
    place: NDArray[np.int64]
    weights: Weights | None = None

    @property
    def called(self) -> NDArray[np.int64]:
        """The place of the label that is the likeliest for each person."""
        place: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return place

    def against_rest(self, place: int) -> Scored:
        """Give what is said of one label, of which all others are the rest."""
        return Scored(self.probabilities[:, place], self.place == place, self.weights)


@dataclass(frozen=True, slots=True)
class ToldClasses:
    """What may be told: of each class, of all together, and the classes of too few people.

    The AUC is the mean over the classes that are told of, each against the rest; its interval is as
    wide as if all of theirs erred alike.
    """

    classes: tuple[ClassQuality, ...]
    few: tuple[str, ...]
    accuracy: float
    log_loss: float
    brier: float
    auc: float | None = None
    auc_low: float | None = None
    auc_high: float | None = None


def score_classes(
    pipeline: Pipeline,
    rows: tuple[pd.DataFrame, pd.Series, Weights | None],
    labels: Sequence[str],
) -> ScoredClasses:
    """Ask a fitted pipeline about people; a label that it never met has no probability."""
    features, outcomes, weights = rows
    asked, known = ask_model(pipeline, features), [str(label) for label in pipeline.classes_]
    probabilities = np.zeros((len(asked), len(labels)))
    for place, label in enumerate(labels):
        if label in known:
            probabilities[:, place] = asked[:, known.index(label)]
    words = outcomes.to_numpy(dtype=str)[:, None] == np.array(labels)
    return ScoredClasses(tuple(labels), probabilities, words.argmax(axis=1), weights)


class _Sizes(NamedTuple):
    """The published numbers of people of each class, by weight, and as how many they count."""

    people: tuple[Published, ...]
    effective: tuple[int, ...]

    @property
    def whole(self) -> int:
        """About how many there are in all: no count of its own, which would change with theirs."""
        return sum(one.middle for one in self.people)

    @property
    def least(self) -> int:
        """The smallest number of people that is published so."""
        return max(sum(one.least for one in self.people), 1)


def tell_classes(scored: ScoredClasses, disclosure: Disclosure) -> ToldClasses:
    """Give what may be told of people, of whom the caller has judged that they are enough."""
    sides = [scored.place == place for place in range(len(scored.labels))]
    sizes = _Sizes(
        tuple(disclosure.publish(count_people(scored, side)) for side in sides),
        tuple(max(publish_size(scored, side, disclosure), 1) for side in sides),
    )
    enough = [place for place, side in enumerate(sides) if side.sum() >= CLASS]
    hits = {
        place: disclosure.publish(count_people(scored, sides[place] & (scored.called == place)))
        for place in enough
    }
    classes = tuple(tell_class(scored, place, (sizes, hits[place]), disclosure) for place in enough)
    own = scored.probabilities[np.arange(len(scored.place)), scored.place]
    marks = np.eye(len(scored.labels))[scored.place]
    loss = np.average(-np.log(np.maximum(own, LEAST)), weights=scored.weights)
    brier = np.average(((scored.probabilities - marks) ** 2).sum(axis=1), weights=scored.weights)
    told = [one for one in classes if one.auc is not None]
    right = sum(one.middle for one in hits.values())
    return ToldClasses(
        classes,
        tuple(label for place, label in enumerate(scored.labels) if place not in hits),
        min(right / sum(sizes.people[place].middle for place in enough), 1.0),
        WORST * tell_average(float(loss) / WORST, sizes.least),
        2 * tell_average(float(brier) / 2, sizes.least),
        *(_average(getattr(one, name) for one in told) for name in ("auc", "auc_low", "auc_high")),
    )


def _average(figures: Iterator[float]) -> float | None:
    known = list(figures)
    return sum(known) / len(known) if known else None


def tell_class(
    scored: ScoredClasses, place: int, known: tuple[_Sizes, Published], disclosure: Disclosure
) -> ClassQuality:
    """Give what may be told of one class of enough people, and of those who are called it."""
    sizes, right = known
    own, size = scored.place == place, sizes.people[place]
    predicted = float(np.average(scored.probabilities[:, place], weights=scored.weights))
    cells = {
        label: disclosure.publish(count_people(scored, own & (scored.called == other)))
        for other, label in enumerate(scored.labels)
        if other != place
    }
    least = min(size.least, sizes.least - size.least)
    auc: tuple[float | None, float | None, float | None] = (None, None, None)
    if least >= 2 * TEN:
        counted = sizes.effective[place], max(sum(sizes.effective) - sizes.effective[place], 1)
        auc = tell_auc(measure(scored.against_rest(place)).auc, least, counted)
    return ClassQuality(
        label=scored.labels[place],
        people=str(size),
        share=round(size.middle / sizes.whole, 3),
        predicted=round(tell_average(predicted, sizes.least), 3),
        found=round(rate(right, size), 2),
        auc=_round(auc[0]),
        auc_low=_round(auc[1]),
        auc_high=_round(auc[2]),
        confused=tuple(
            Confusion(label, round(rate(cells[label], size), 2))
            for label in choose_cells(cells, size, right)
        ),
    )


def _round(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)


def choose_cells(cells: Mapping[str, Published], size: Published, right: Published) -> list[str]:
    """Name the other classes of which it is told how many people of one class are taken for them.

    By what is published alone: those of `CLASS` people or more, but for the fewest of them, until
    those of whom nothing is told are as many.
    """
    large = [label for label, count in cells.items() if (count.about or 0) >= CLASS]
    ordered = sorted(large, key=lambda label: -(cells[label].about or 0))
    while ordered and _leave(cells, ordered, size, right) < CLASS + TEN:
        ordered.pop()
    return [label for label in cells if label in ordered]


def _leave(
    cells: Mapping[str, Published], told: Sequence[str], size: Published, right: Published
) -> int:
    return size.middle - right.middle - sum(cells[label].middle for label in told)


def note_classes(desk: Desk, scored: ScoredClasses) -> None:
    """Note how good the model is on the test people, as it may be told; exact counts sealed."""
    found = tell_classes(scored, desk.run.disclosure)
    figures = {
        "auc": found.auc, "auc_low": found.auc_low, "auc_high": found.auc_high,
        "accuracy": found.accuracy, "brier": found.brier, "log_loss": found.log_loss,
    }  # fmt: skip
    if scored.weights is not None:
        plain = tell_classes(scored._replace(weights=None), desk.run.disclosure)
        figures["auc_unweighted"] = plain.auc
    for name, figure in figures.items():
        desk.measure(f"utility.{name}", None if figure is None else round(figure, 3))
    exact = {label: count_people(scored, scored.place == place)
             for place, label in enumerate(scored.labels)}  # fmt: skip
    body = [asdict(one) for one in found.classes]
    desk.note("table", "utility.classes", body, sealed=seal_counts(exact))  # type: ignore[arg-type]  # plain
    desk.note("table", "utility.few", [*found.few])


def audit_classes(desk: Desk, scored: ScoredClasses, tested: pd.DataFrame) -> None:
    """Note the model's figures for each group of the columns that are there to be audited by.

    `tested` holds the same people as `scored`, row by row.
    """
    for column, smallest in list_audited(desk):
        found = compare_classes(scored, tested[column], smallest, desk.run.disclosure)
        found.note(desk, column)


def compare_classes(
    scored: ScoredClasses, groups: pd.Series, minimum: int, disclosure: Disclosure
) -> Fairness:
    """Measure each group that may be shown: with twice `minimum` people, a `minimum` of a class.

    Shown of a group is how often the model is right. How often it finds the people of a class is
    compared between groups, class by class.
    """
    names, right = name_groups(groups), scored.called == scored.place
    rights = _rate_groups(scored, names, np.ones(len(names), dtype=bool), 2 * minimum, disclosure)
    shown = tuple(
        GroupQuality(name, None, None, str(one.whole), accuracy=round(rate(one.part, one.whole), 2))
        for name, one in rights.items()
    )
    found = [_rate_groups(scored, names, scored.place == place, minimum, disclosure)
             for place in range(len(scored.labels))]  # fmt: skip
    differences = [
        *_differ("accuracy", [rights]),
        *_differ("equal_opportunity", [one for one in found if len(one) > 1]),
    ]
    exact = {
        name: {
            "people": count_people(scored, names == name),
            "right": count_people(scored, (names == name) & right),
        }
        for name in rights
    }
    return Fairness(shown, tuple(differences), exact)


class _Rated(NamedTuple):
    """Of some people of a group, how many are called right, and as how many they count."""

    part: Published
    whole: Published
    effective: int


def _rate_groups(
    scored: ScoredClasses,
    names: NDArray[np.object_],
    kind: Mask,
    minimum: int,
    disclosure: Disclosure,
) -> dict[str, _Rated]:
    import pandas as pd

    sizes = pd.DataFrame({"people": kind}).groupby(names).sum()
    rated = {}
    for name in choose_shown(sizes, minimum):
        some = kind & (names == name)
        part = count_people(scored, some & (scored.called == scored.place))
        rated[name] = _Rated(
            disclosure.publish(part),
            disclosure.publish(count_people(scored, some)),
            max(publish_size(scored, some, disclosure), 1),
        )
    return rated


def _differ(name: str, families: Sequence[Mapping[str, _Rated]]) -> Iterator[Difference]:
    """Give the largest difference of two groups' rates, over all families of rates."""
    rates = [[(rate(one.part, one.whole), float(one.effective)) for one in family.values()]
             for family in families if len(family) > 1]  # fmt: skip
    if rates:
        value = max(max(family)[0] - min(family)[0] for family in rates)
        low, high = bound_largest_difference(rates, ROUNDED)
        yield Difference(name, round(value, 2), round(low, 2), round(high, 2))
