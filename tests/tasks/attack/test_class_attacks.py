"""The attacks on a model of several classes, one of them rare: who holds people is refused."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from expectations.policy.training import MembershipCheck
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.attribute_inference import attack_attributes, judge_attributes
from tasks.attack.membership import attack_membership, judge_membership
from tasks.attack.memorization import (
    RARE_LABELS,
    attack_memorization,
    find_rare,
    judge_memorization,
)

People = tuple[pd.DataFrame, pd.Series]
PASSED, REFUSED = CheckVerdict.PASSED, CheckVerdict.REFUSED
WORDS: Final = ("well", "fair", "poor", "never asked")


def draw_people(count: int, seed: int) -> People:
    """Three numbers and a word per person, and one of four classes, of which one is rare."""
    draw = np.random.default_rng(seed)
    frame = pd.DataFrame(draw.normal(size=(count, 3)), columns=["a", "b", "c"]).round(1)
    frame["d"] = draw.integers(0, 4, count)
    score = frame["a"] + 0.8 * (frame["d"] - 1.5) + draw.normal(size=count)
    place = np.digitize(score, [-0.7, 1.2])
    place = np.where(draw.random(count) < 0.01, 3, place)
    return frame, pd.Series(np.array(WORDS)[place])


MEMBERS, OTHERS = draw_people(1800, 1), draw_people(1800, 2)


@pytest.mark.parametrize(
    ("model", "verdict"),
    [
        (DecisionTreeClassifier(random_state=0), REFUSED),
        (LogisticRegression(max_iter=500), PASSED),
    ],
    ids=["deep tree", "logistic"],
)
def test_who_holds_people_is_refused_and_an_honest_model_passes(
    model: BaseEstimator, verdict: CheckVerdict
) -> None:
    """By membership, memorization and guessed features; a rare class keeps none from passing."""
    fitted = clone(model).fit(*MEMBERS)
    found = attack_membership(fitted, lambda: clone(model), MEMBERS, OTHERS, 8)
    assert judge_membership(found, MembershipCheck(), "clinics").verdict is verdict
    held = attack_memorization(fitted, MEMBERS, OTHERS)
    names = {one.name for one in held.judged[:3]}
    assert names == {"label fair", "label well", RARE_LABELS}  # the rare one with the next larger
    guessed = attack_attributes(fitted, MEMBERS, OTHERS, ["d"])
    assert judge_attributes(guessed, 0.1, "clinics").verdict is verdict
    assert judge_memorization(held, 0.1, "clinics").verdict is verdict


@pytest.mark.parametrize(
    ("counts", "rare"),
    [
        ({"a": 900, "b": 400, "c": 300}, []),
        ({"a": 900, "b": 400, "c": 20}, ["c", "b"]),
        ({"a": 900, "b": 200, "c": 90, "d": 20}, ["d", "c", "b"]),
    ],
)
def test_labels_of_too_few_people_are_contrasted_together(
    counts: dict[str, int], rare: list[str]
) -> None:
    """Each by itself could tell nothing, and would leave every model of classes undecided."""
    labels = pd.Series(np.repeat([*counts], [*counts.values()]))
    assert find_rare((labels, labels)) == rare
