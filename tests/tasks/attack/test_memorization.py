"""A model that holds its people's rows is caught; one that has learned what is so, is not."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier

from expectations.errors import UsageError
from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.contrast import Contrast, contrast_means, judge_together, read_confidence
from tasks.attack.memorization import (
    Memorization,
    attack_memorization,
    find_isolated,
    find_lost,
    judge_memorization,
)
from tests.tasks.attack.memorizing_model import Holding, People, draw_people


def attack(model: object, members: People, others: People) -> Memorization:
    """Attack it, whatever its type says."""
    return attack_memorization(model, members, others)  # type: ignore[arg-type]


def find(found: Memorization, name: str) -> Contrast:
    """Give one contrast by its name."""
    return next(one for one in (*found.judged, *found.told) if one.name == name)


def test_an_overfitted_tree_is_refused_and_an_honest_model_passes() -> None:
    """On the same people, by the same limit."""
    members, others = draw_people(1500, 1), draw_people(600, 2)
    overfitted = attack(DecisionTreeClassifier().fit(*members), members, others)
    honest = attack(LogisticRegression().fit(*members), members, others)
    assert judge_memorization(overfitted, 0.1, "clinics").verdict is CheckVerdict.REFUSED
    assert judge_memorization(honest, 0.1, "clinics").verdict is CheckVerdict.PASSED
    assert find(overfitted, "label yes").low > 0.2
    assert find(overfitted, "accuracy").low > 0.2
    assert find(overfitted, "AUC").low > 0.2


def test_copied_rows_show_beside_their_near_duplicates() -> None:
    """A model that is right on exact rows only loses it when one feature is another's."""
    members, others = draw_people(1500, 1), draw_people(600, 2)
    held = attack(Holding(members, lambda rows: rows["a"] > -9), members, others)
    honest = attack(LogisticRegression().fit(*members), members, others)
    assert find(held, "beside near duplicates").low > 0.1
    assert abs(find(honest, "beside near duplicates").gap) < 0.02


def test_one_who_leaves_moves_few_near_duplicates() -> None:
    """Everybody else is set beside the same people, but for whom the one who left stood beside."""
    rows, draw = draw_people(300, 1), np.random.default_rng(5)
    own = draw.integers(0, 2**64, 300, dtype=np.uint64)
    model = DecisionTreeClassifier().fit(*rows)
    left = np.arange(300) != 7
    lost = []
    for there in (np.ones(300, dtype=bool), left):
        features, labels = rows[0][there], rows[1][there]
        known = read_confidence(model, (features, labels))
        pool = features, own[there]
        lost.append(
            find_lost(partial(read_confidence, model), (features, labels), pool, known, own[there])
        )
    assert (lost[0][left] != lost[1]).sum() <= 9


def test_a_rough_model_that_holds_nobody_is_no_alarm() -> None:
    """A tree that was grown on other people is as unsure beside near duplicates of anybody."""
    elsewhere, members, others = draw_people(400, 7), draw_people(900, 1), draw_people(600, 2)
    rough = attack(DecisionTreeClassifier().fit(*elsewhere), members, others)
    duplicates = find(rough, "beside near duplicates")
    assert duplicates.low < 0 < duplicates.high
    assert judge_memorization(rough, 0.2, "clinics").verdict is CheckVerdict.PASSED


def test_rows_of_rare_people_alone_show_among_rare_people() -> None:
    """Where the quarter with the rarest values is held, it is there that the gap is widest."""
    members, others = draw_people(1500, 1), draw_people(1200, 2)

    def isolated(rows: pd.DataFrame) -> pd.Series:
        return pd.Series(find_isolated(rows), index=rows.index)

    found = attack(Holding(members, isolated), members, others)
    assert find(found, "rare people").low > 0.1
    assert find(found, "rare people").gap > 2 * find(found, "label yes").gap


def test_a_person_with_rare_values_counts_as_isolated() -> None:
    """And people who are like the others do not."""
    frame = pd.DataFrame({"word": ["usual"] * 9 + ["rare"], "number": [1.0] * 9 + [None]})
    assert find_isolated(pd.concat([frame] * 4)).tolist() == ([False] * 9 + [True]) * 4


@pytest.mark.parametrize(("inside", "outside"), [(1500, 20), (20, 600), (300, 60)])
def test_too_few_people_are_inconclusive(inside: int, outside: int) -> None:
    """However honest the model is, a leak of the limit's size would not have been seen."""
    members, others = draw_people(inside, 1), draw_people(outside, 2)
    found = attack(LogisticRegression().fit(*members), members, others)
    check = judge_memorization(found, 0.1, "clinics")
    assert check.verdict is CheckVerdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("gap", "error", "verdict"),
    [
        pytest.param(0.00, 0.01, CheckVerdict.PASSED, id="whole interval within"),
        pytest.param(0.09, 0.01, CheckVerdict.INCONCLUSIVE, id="reaches beyond"),
        pytest.param(0.15, 0.01, CheckVerdict.REFUSED, id="whole interval beyond"),
        pytest.param(-0.50, 0.05, CheckVerdict.INCONCLUSIVE, id="no power but lucky"),
        pytest.param(0.50, 0.05, CheckVerdict.REFUSED, id="little power but plain"),
    ],
)
def test_a_contrast_passes_only_with_power(gap: float, error: float, verdict: CheckVerdict) -> None:
    """At a limit of 0.1; without power a small gap is luck."""
    assert Contrast("x", gap, error).verdict(0.1) is verdict


def test_the_sentence_is_short_and_names_the_widest_contrast_alone() -> None:
    """The others are noted as measures; a terminal has one line for a check."""
    judged = tuple(Contrast(f"label {name}", gap, 0.01) for name, gap in (("no", 0), ("yes", 0.05)))
    check = judge_memorization(Memorization(judged, ()), 0.1, "clinics")
    assert (
        check.measured
        == "0.04 more confident about people it was trained on (label yes; up to 0.08)"
    )
    assert max(map(len, (check.asked, check.measured, check.power))) <= 160


def test_one_contrast_refused_refuses_all() -> None:
    """And one that is inconclusive lets none of them pass."""
    fine, open_, bad = (Contrast("x", *of) for of in ((0, 0.01), (0.09, 0.01), (0.5, 0.01)))
    assert judge_together([fine, fine], 0.1) is CheckVerdict.PASSED
    assert judge_together([fine, open_], 0.1) is CheckVerdict.INCONCLUSIVE
    assert judge_together([fine, open_, bad], 0.1) is CheckVerdict.REFUSED
    assert judge_together([], 0.1) is CheckVerdict.INCONCLUSIVE


def test_a_gap_of_the_detectable_size_is_found_four_times_in_five() -> None:
    """Figures drawn with just that gap lie wholly above zero in about 80 % of the draws."""
    generator = np.random.default_rng(4)
    size = contrast_means("x", generator.normal(size=400), generator.normal(size=200)).detectable
    found = [
        contrast_means("x", generator.normal(size=400) + size, generator.normal(size=200)).low > 0
        for _ in range(600)
    ]
    assert 0.73 < np.mean(found) < 0.87


def test_a_label_that_the_model_does_not_know_is_a_mistake_of_use() -> None:
    """It would count as no confidence at all, and make members look unknown."""
    members = draw_people(100, 1)
    model = LogisticRegression().fit(*members)
    strange = members[0], members[1].replace("yes", "maybe")
    with pytest.raises(UsageError, match="labels that the model was not"):
        attack(model, strange, members)
