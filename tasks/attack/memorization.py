"""Memorization: whether a model knows its own people's rows better than other people's.

Three contrasts of members with people it never saw, each over how sure the model is of a person's
own outcome ("confidence"): the probability of a label, of a number the density of the error.

- for each label, the confidence itself: the gap between training and test (Yeom et al. 2018,
  "Privacy Risk in Machine Learning", section 3). Of three labels or more those with too few people
  are taken together; numbers are by their lowest, middle and highest third;
- how much of it goes when one feature of the person is replaced by somebody else's: a model that
  holds rows knows a member better than the member's near duplicates, while a smooth or a rough
  one loses as much on others as on members;
- the confidence in the quarter of the people with the rarest values, of whom a model that cannot
  generalize holds rows the longest (Feldman 2020, "Does Learning Require Memorization?").

An attacker needs the label and the features, and no model of their own, so this sees less than
membership inference does, but says where. Averages over people: a model that holds the rows of
one in a hundred, and no others, passes (`surest` finds those).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import hypot, log
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.checks import Check
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.contrast import (
    Confidence,
    Contrast,
    contrast_means,
    describe_power,
    find_critical,
    find_errors,
    find_widest,
    gives_classes,
    judge_together,
    place_labels,
    say_enough,
)
from tasks.attack.separation import estimate_auc
from tasks.people.population import redraw

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from tasks.attack.contrast import Model, People, Predictor, Records

    Figures = NDArray[np.float64]
    Kinds = NDArray[np.object_]

MOST: Final = 5_000
"""People on either side who are looked at; more would add little power and take long."""
RAREST: Final = 0.25
"""The part of all people who count as isolated."""
BINS: Final = 10
"""Into how many equal parts a number is put, to say how rare it is."""
LEAST: Final = 1e-6
"""The least confidence of which a loss is taken, so that none is infinite."""
RARE_LABELS: Final = "rare labels"
ENOUGH: Final = 250
"""People of one label, on either side, who would show a gap of a tenth; of several, fewer are taken
together: without power over each, no model of many labels could pass."""
THIRDS: Final = ("low outcomes", "middle outcomes", "high outcomes")
MOST_ERROR: Final = 10.0
"""What an error or its square counts at most, over what is usual, where averages are told."""
SEED: Final = 20250711
"""Fixed, so that an auditor draws the same people. It seeds no noise that protects anybody."""


@dataclass(frozen=True, slots=True)
class Memorization:
    """The contrasts that are judged, and others that readers know, which are told."""

    judged: tuple[Contrast, ...]
    told: tuple[Contrast, ...]
    drawn: bool = False
    """Whether the people were drawn by lot from more."""


def attack_memorization(
    model: Model, members: People, others: People, records: Records | None = None
) -> Memorization:
    """Attack a fitted model, given the people it was trained on and people it never saw.

    Both are (features, outcomes), with the features as the model takes them. `records` are
    their own numbers, by which they are drawn; without these by their places.
    """
    import pandas as pd

    drawn = max(len(members[0]), len(others[0])) > MOST
    (members, others), own = draw_sides((members, others), records)
    if gives_classes(model):
        for _, labels in (members, others):
            place_labels(model, labels)  # an unknown label would count as no confidence at all
    read = partial(Confidence.of(model, others).read, model)
    pool, inside = pd.concat([members[0], others[0]]), len(members[0])
    known = read(members), read(others)
    every = np.concatenate(own)
    lost = [
        find_lost(read, side, (pool, every), sure, number)
        for side, sure, number in zip((members, others), known, own, strict=True)
    ]
    rare = find_isolated(pool)
    kinds = name_kinds(model, (members[1], others[1]))
    # As many labels as the model knows, whoever is there.
    critical = find_critical((len(model.classes_) if gives_classes(model) else len(THIRDS)) + 2)
    judged = (
        *contrast_labels(known, kinds, critical),
        contrast_means("beside near duplicates", lost[0], lost[1], critical, span=2.0),
        contrast_means("rare people", known[0][rare[:inside]], known[1][rare[inside:]], critical),
    )
    told = contrast_usual if gives_classes(model) else contrast_numbers
    return Memorization(judged, tuple(told(model, members, others, known)), drawn)


def name_kinds(model: Model, outcomes: tuple[pd.Series, pd.Series]) -> tuple[Kinds, Kinds]:
    """Name the kind of each person by whose outcome people are contrasted."""
    if not gives_classes(model):
        ends = np.quantile(
            np.concatenate([one.to_numpy(float) for one in outcomes]), (1 / 3, 2 / 3)
        )
        places = [np.searchsorted(ends, one.to_numpy(float)) for one in outcomes]
        inside, outside = (np.array(THIRDS, dtype=object)[place] for place in places)
        return inside, outside
    rare = find_rare(outcomes) if len(model.classes_) > 2 else ()
    inside, outside = (
        np.where(one.isin(rare), RARE_LABELS, "label " + one.astype(str)) for one in outcomes
    )
    return inside, outside


def find_rare(labels: tuple[pd.Series, pd.Series]) -> list[object]:
    """Give the labels that are taken together: by the fewest people, until these are enough."""
    import pandas as pd

    counts = pd.concat([one.value_counts() for one in labels], axis=1).fillna(0)
    rare, people = list[object](), 0
    for label, count in counts.min(axis=1).sort_values(kind="stable").items():
        if count >= ENOUGH and (people >= ENOUGH or not rare):
            break
        rare.append(label)
        people += int(count)
    return rare


def draw_sides(
    sides: tuple[People, People], records: Records | None = None
) -> tuple[tuple[People, People], Records]:
    """Draw at most so many people of either side as are looked at; also give their numbers."""
    own = records or number_sides(sides)
    return tuple(zip(*map(draw, sides, own), strict=True))  # type: ignore[return-value]  # of two


def number_sides(sides: tuple[People, People]) -> Records:
    """Number people by their places."""
    inside, outside = (len(labels) for _, labels in sides)
    every = np.arange(inside + outside, dtype=np.uint64)
    return every[:inside], every[inside:]


def draw(people: People, own: NDArray[np.uint64]) -> tuple[People, NDArray[np.uint64]]:
    """Draw those with the lowest draws."""
    if len(own) <= MOST:
        return people, own
    chosen = np.sort(np.argpartition(redraw(own, SEED), MOST)[:MOST])
    return (people[0].iloc[chosen], people[1].iloc[chosen]), own[chosen]


def say_drawn(*, drawn: bool) -> str:
    """Say how many were looked at, where they were drawn from more."""
    return f"; at most {MOST:,} people on each side, drawn by lot" if drawn else ""


def contrast_labels(
    known: tuple[Figures, Figures], kinds: tuple[Kinds, Kinds], critical: float
) -> Iterator[Contrast]:
    """Contrast the people of each kind; so a model that holds only a rare label's rows shows."""
    for kind in sorted(set(kinds[0])):
        inside, outside = (one == kind for one in kinds)
        yield contrast_means(kind, known[0][inside], known[1][outside], critical)


def find_lost(
    read: Callable[[People], Figures],
    people: People,
    pool: tuple[pd.DataFrame, NDArray[np.uint64]],
    known: Figures,
    own: NDArray[np.uint64],
) -> Figures:
    """Give how much confidence in each person goes with one feature, on average over features.

    A feature is replaced by that of somebody drawn from `pool`, all people and their numbers: the
    one whose number comes next after a draw. Who has the same value counts for nothing in it.
    """
    every, order = pool[0], np.argsort(redraw(pool[1], SEED))
    place = redraw(pool[1], SEED)[order]
    lost, changed = np.zeros(len(known)), np.zeros(len(known))
    for number, column in enumerate(every.columns, start=1):
        next_to = np.searchsorted(place, redraw(own, SEED + number)) % len(place)
        other = every[column].iloc[order[next_to]]
        copies = people[0].assign(**{str(column): other.set_axis(people[0].index)})
        differs = ~same_values(people[0][column], copies[column])
        lost += np.where(differs, known - read((copies, people[1])), 0.0)
        changed += differs
    # Who was never changed has lost nothing, and stays at 0.
    return lost / np.maximum(changed, 1)


def same_values(left: pd.Series, right: pd.Series) -> NDArray[np.bool_]:
    """Tell where two columns agree, missing values with each other too."""
    left, right = left.astype(object), right.astype(object)
    return np.asarray((left == right) | (left.isna() & right.isna()), dtype=bool)


def find_isolated(pool: pd.DataFrame) -> NDArray[np.bool_]:
    """Mark the people whose values, column by column, are the rarest: at most that part of all."""
    surprise = np.zeros(len(pool))
    for column in pool.columns:
        values = bin_numbers(pool[column])
        share = values.groupby(values, dropna=False).transform("size") / len(values)
        surprise -= np.log(share.to_numpy(dtype=float))
    return np.asarray(surprise > np.quantile(surprise, 1 - RAREST), dtype=bool)


def bin_numbers(column: pd.Series) -> pd.Series:
    """Give a column as words; numbers by the tenth of the people that they fall into."""
    import pandas as pd
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    column = column.reset_index(drop=True)
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        column = pd.Series(pd.qcut(column, BINS, labels=False, duplicates="drop"))
    return column.astype(object).where(column.notna(), "missing").astype(str)


def contrast_numbers(
    model: Model, members: People, others: People, _: tuple[Figures, Figures]
) -> Iterator[Contrast]:
    """Contrast the error, in others' mean errors, and R²: how much smaller, how much larger."""
    errors = [np.abs(find_errors(model, side)) for side in (members, others)]
    spread = others[1].to_numpy(float).std()
    for name, power, usual in (("error", 1, errors[1].mean()), ("R2", 2, spread)):
        inside, outside = (
            np.minimum((one / (usual or 1.0)) ** power, MOST_ERROR) for one in errors
        )
        yield contrast_means(name, -inside, -outside, span=MOST_ERROR)


def contrast_usual(
    model: Model, members: People, others: People, known: tuple[Figures, Figures]
) -> Iterator[Contrast]:
    """Contrast accuracy, log loss (others' less members', in nats) and, of two labels, AUC."""
    assert gives_classes(model)
    sides = members, others
    right = [
        (model.classes_[model.predict_proba(X).argmax(axis=1)] == y).to_numpy(float)
        for X, y in sides
    ]
    loss = [-np.log(np.maximum(one, LEAST)) for one in known]
    yield contrast_means("accuracy", right[0], right[1])
    yield contrast_means("log loss", -loss[0], -loss[1], span=-log(LEAST))
    if len(model.classes_) == 2:
        (inside, error), (outside, its_error) = (measure_auc(model, *side) for side in sides)
        rarer = min(y.value_counts().min() for _, y in sides)
        yield Contrast("AUC", inside - outside, hypot(error, its_error), people=float(rarer))


def measure_auc(model: Predictor, X: pd.DataFrame, y: pd.Series) -> tuple[float, float]:  # noqa: N803  # sklearn's
    """Give the AUC and its standard error; half and infinite with fewer than two of a label."""
    scores, positive = model.predict_proba(X)[:, 1], (y == model.classes_[1]).to_numpy()
    if min(positive.sum(), (~positive).sum()) < 2:
        return 0.5, np.inf
    return estimate_auc(scores[positive], scores[~positive])


def judge_memorization(found: Memorization, limit: float, outlet: str) -> Check:
    """Compare the contrasts with the largest gap that the policy allows, in (0, 1)."""
    widest, verdict = find_widest(found.judged, limit), judge_together(found.judged, limit)
    measured = "too few people"
    remedy = "train a private or simpler model, on fewer features or more people"
    if verdict is CheckVerdict.INCONCLUSIVE:
        open_ones = (one for one in found.judged if one.verdict(limit) is verdict)
        remedy = say_enough(max(one.find_factor(limit) for one in open_ones))
    if widest is not None:
        gap, _, high = widest.tell(limit)
        way = "more" if gap >= 0 else "less"
        measured = (
            f"{abs(gap):.2f} {way} confident about people it was trained on "
            f"({widest.name}; up to {high:.2f}){widest.explain(limit)}"
        )
    return Check(
        name="memorization",
        asked=f"at most {limit:g} more confident about people it was trained on than about others",
        measured=measured,
        verdict=verdict,
        power=describe_power(found.judged) + say_drawn(drawn=found.drawn),
        remedy=remedy,
        outlet=outlet,
    )
