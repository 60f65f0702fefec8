"""Attribute inference: whether a model helps to guess a feature of who it was trained on.

The attacker knows a person's outcome and all features but one, asks the model with every label that
this one could have, and guesses the label under which the person's own outcome fits best, weighted
by how common it is (Fredrikson et al. 2014, "Privacy in Pharmacogenetics", section 3.2): to which
the model gives the highest probability or, of a number, the density of its error. That
works wherever a feature and a label have to do with each other, on everybody of the population:
imputation, which the model need not have for it. So what is judged is the advantage: how much
more often the guess is right of members than of people whom the model never saw (Yeom et al. 2018,
definition 5). Zhao et al. (2021, "On the (In)Feasibility of Attribute Inference Attacks") find it
small wherever membership is hidden.

The attacker here sees probabilities or numbers, and knows the true shares of the labels. One who
knows less than all other features, or combines many models, is not simulated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from expectations.checks import Check
from expectations.errors import UsageError
from tasks.attack.contrast import (
    PROBABILITY,
    Confidence,
    Contrast,
    contrast_means,
    describe_power,
    find_critical,
    find_widest,
    gives_classes,
    judge_together,
    place_labels,
    say_points,
)
from tasks.attack.memorization import draw_sides, say_drawn

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from tasks.attack.contrast import Model, People, Records

MOST_LABELS: Final = 100
"""Labels of one feature; a feature of more is a number, of which this attack knows nothing."""


def attack_attributes(
    model: Model,
    members: People,
    others: People,
    features: Sequence[str],
    records: Records | None = None,
) -> tuple[Contrast, ...]:
    """Give the advantage for each feature, in shares of people, with intervals that hold together.

    `features` names those that have labels. Both sides are (features, labels), with the features
    as `predict_proba` takes them. Who has no value is not guessed. `records` are as for
    `attack_memorization`, which draws the same people.
    """
    import pandas as pd

    critical = find_critical(len(features))
    sides, _ = draw_sides((members, others), records)
    confidence = Confidence.of(model, sides[1])
    found = []
    for feature in features:
        shares = pd.concat([side[0][feature] for side in sides]).value_counts(normalize=True)
        if len(shares) > MOST_LABELS:
            raise UsageError(
                f"attribute inference: {feature} has {len(shares)} values, more than "
                f"{MOST_LABELS}: name features that have labels"
            )
        # Without the labels of a categorical column that nobody has.
        shares = shares[shares > 0]
        inside, outside = (guess(model, side, feature, shares, confidence) for side in sides)
        found.append(contrast_means(feature, inside, outside, critical, span=2.0))
    return tuple(found)


def guess(
    model: Model,
    people: People,
    feature: str,
    shares: pd.Series,
    confidence: Confidence = PROBABILITY,
) -> NDArray[np.float64]:
    """Guess one feature of each person who has it, beside guessing the commonest label for all.

    Gives 1 where the attack alone is right, -1 where the commonest label alone is, else 0. The
    commonest label is as often right of members as of others, so taking it off costs no advantage
    and takes off most of the chance in who the members are. Empty where nobody has the feature.
    """
    import pandas as pd

    there = people[0][feature].isin(shares.index).to_numpy()
    X, y = people[0][there], people[1][there]  # noqa: N806  # sklearn's
    if y.empty:
        return np.zeros(0)
    fits = np.zeros((len(y), len(shares)))
    if gives_classes(model):
        place_labels(model, y)  # an unknown label would fit nothing
    for place, (label, share) in enumerate(shares.items()):
        asked = X.assign(**{feature: repeat(label, X[feature])})
        fits[:, place] = share * confidence.read(model, (asked, y))
    true = shares.index.get_indexer(pd.Index(X[feature]))
    right = fits.argmax(axis=1) == true
    return np.asarray(right.astype(float) - (int(shares.to_numpy().argmax()) == true))


def repeat(label: object, column: pd.Series) -> pd.Series:
    """Give a column of one label, of the type of another column."""
    import pandas as pd

    return pd.Series([label] * len(column), index=column.index).astype(column.dtype)


def judge_attributes(
    found: Sequence[Contrast],
    limit: float,
    outlet: str,
    untried: int = 0,
    *,
    drawn: bool = False,
) -> Check:
    """Compare the advantages with the largest that the policy allows, in (0, 1).

    `untried` are features of too many labels, which the check names as such; `drawn` says whether
    the people were drawn by lot from more.
    """
    too_many = f"; not tried: {untried} features of over {MOST_LABELS} labels" if untried else ""
    widest = find_widest(found, limit)
    measured = "too few people" if found else "no feature has labels to guess"
    if widest is not None:
        gap, _, high = widest.tell(limit)
        measured = (
            f"{widest.name} is guessed right {say_points(gap)} for people it was trained "
            f"on (up to {100 * high:.0f} more){widest.explain(limit)}"
        )
    return Check(
        name="attribute inference",
        asked=f"each feature guessed right at most {100 * limit:g} percentage points more often "
        "for people it was trained on than for others",
        measured=measured,
        verdict=judge_together(found, limit),
        power=describe_power(found) + say_drawn(drawn=drawn) + too_many,
        remedy="train a private or simpler model, or make the feature coarser",
        outlet=outlet,
    )
