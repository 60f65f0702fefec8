"""Who pays for k: the loss of each declared group, told roughly, and bounded where policy says."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from expectations.disclosure import Count
from expectations.policy.vocabulary import CheckVerdict
from tasks.anonymization.fitting import Output
from tasks.anonymization.hierarchies import Hierarchy
from tasks.anonymization.loss import (
    GroupLoss,
    compare_groups,
    find_least_ratio,
    judge_ratio,
    measure_losses,
    show_groups,
    tell_loss,
)
from tasks.anonymization.recoding import k_anonymize
from tasks.people.ingestion import RECORD

AGES = Hierarchy.from_ordered("age", ["0-9", "10-19", "20-29", "30-39"])
SEXES = Hierarchy.flat("sex", ["f", "m"])
HIERARCHIES = {"age": AGES, "sex": SEXES}
SHOWN = {"age": [*AGES.labels[0], "0-19", "*"], "sex": ["f", "m", "*"]}
MEMBERS = {column: {label: (label,) for label in labels} for column, labels in SHOWN.items()}


def group(name: str, people: int, loss: float, spread: float = 0.1) -> GroupLoss:
    """Give a group as if it had been measured."""
    return GroupLoss(name, Count(people), loss, spread)


def judge(*groups: GroupLoss, allowed: float = 2, frozen: bool = False) -> tuple[CheckVerdict, str]:
    """Judge groups; give the verdict and what it says."""
    check = judge_ratio(list(groups), "sex", allowed, "partner", frozen=frozen)
    return check.verdict, f"{check.measured}; {check.power}; {check.remedy}"


def test_a_persons_loss_is_the_mean_over_columns() -> None:
    """Untouched, made coarser once, made coarser and hidden, left out."""
    frame = pd.DataFrame({"age": ["0-9", "0-9", "30-39", "30-39"], "sex": ["f", "f", "m", "m"]})
    released = pd.DataFrame({"age": ["0-9", "0-19", "*"], "sex": ["f", "f", "*"]})
    lost = measure_losses(frame, released, HIERARCHIES, MEMBERS)
    assert lost.round(3).tolist() == [0, 0.167, 1, 1]


def test_a_set_loses_the_values_that_are_in_it_beside_the_persons_own() -> None:
    """Though it is spelled like no label of the hierarchy."""
    frame = pd.DataFrame({"age": ["0-9", "10-19", "30-39"]})
    released = pd.DataFrame({"age": ["0-9~30-39", "10-19", "0-9~30-39"]})
    members = {"age": {"0-9~30-39": ("0-9", "30-39"), "10-19": ("10-19",)}}
    lost = measure_losses(frame, released, {"age": AGES}, members)
    assert lost.round(3).tolist() == [0.333, 0, 0.333]


def test_losses_follow_the_index() -> None:
    """A table whose rows stand elsewhere, and one that nobody is in."""
    frame = pd.DataFrame({"age": ["0-9", "10-19"], "sex": ["f", "m"]}, index=[8, 3])
    released = pd.DataFrame({"age": ["10-19"], "sex": ["*"]}, index=[3])
    assert measure_losses(frame, released, HIERARCHIES, MEMBERS).tolist() == [1, 0.5]
    assert measure_losses(frame, released.iloc[:0], HIERARCHIES, MEMBERS).tolist() == [1, 1]


def test_a_missing_value_that_is_kept_loses_nothing() -> None:
    """It is a label of its own."""
    frame = pd.DataFrame({"age": [None, "0-9"], "sex": ["f", "f"]})
    released = pd.DataFrame({"age": ["missing", "0-9"], "sex": ["f", "f"]})
    assert measure_losses(frame, released, HIERARCHIES, MEMBERS).tolist() == [0, 0]


@pytest.mark.parametrize("output", ["hierarchy", "sets"])
def test_the_mean_over_groups_is_the_mean_over_people(output: Output) -> None:
    """What the recoding says it cost in all is what the groups lose between them."""
    draw = np.random.default_rng(1)
    ages = draw.choice(["0-9", "10-19", "20-29", "30-39"], 60, p=[0.7, 0.2, 0.05, 0.05])
    frame = pd.DataFrame({"age": ages, "sex": draw.choice(["f", "m"], 60)})
    frame[RECORD] = np.arange(60, dtype=np.uint64)
    made = k_anonymize(
        frame, ["age", "sex"], 5, hierarchies=HIERARCHIES, max_suppressed=0.1, output=output
    )
    lost = measure_losses(frame, made.frame, HIERARCHIES, made.plan.members)
    assert lost.mean() == pytest.approx(np.mean(list(made.measures.loss.values())))
    groups = compare_groups(frame, "age", lost)
    assert [one.group for one in groups] == ["0-9", "10-19", "20-29", "30-39"]
    assert sum(one.people.exact * one.loss for one in groups) == pytest.approx(lost.sum())
    common, rare = groups[0], groups[-1]
    assert common.loss < rare.loss


def test_people_without_a_group_are_one_group() -> None:
    """And small groups are not shown."""
    frame = pd.DataFrame({"sex": ["f"] * 10 + [None] * 9, RECORD: np.arange(19, dtype=np.uint64)})
    groups = compare_groups(frame, "sex", np.ones(19))
    assert [(one.group, one.people.exact) for one in groups] == [("f", 10), ("missing", 9)]
    assert [one.group for one in show_groups(groups, 10)] == ["f"]


def test_a_told_loss_is_a_bound() -> None:
    """Of a small group only in steps of ten people, so that nobody who is left out shows."""
    assert tell_loss(group("f", 50, 0.11), 10) == 0.2
    assert tell_loss(group("f", 50, 0.0), 10) == 0.2
    assert tell_loss(group("f", 20_000, 0.1104), 10) == 0.111


@pytest.mark.parametrize(
    ("groups", "verdict", "said"),
    [
        ([group("f", 4000, 0.2), group("m", 4000, 0.3)], "passed", "1.5 times as much"),
        ([group("f", 4000, 0.2), group("m", 4000, 0.5)], "refused", "2.5 times as much"),
        ([group("f", 4000, 0.2), group("m", 12, 0.3, 0.4)], "inconclusive", "a ratio of "),
        ([group("f", 4000, 0.01), group("m", 400, 0.9)], "refused", "90.0 times as much"),
        ([group("f", 4000, 0.0, 0.0), group("m", 4000, 0.0, 0.0)], "passed", "1.0 times"),
        ([group("f", 4000, 0.0, 0.0), group("m", 4000, 0.3)], "refused", "some loss against none"),
        ([group("f", 4000, 0.2)], "inconclusive", "fewer than two groups"),
        ([], "inconclusive", "nothing to compare"),
    ],
)
def test_the_ratio_of_worst_to_best_is_bounded(
    groups: list[GroupLoss], verdict: str, said: str
) -> None:
    """Groups too small for the bound to be told from chance are inconclusive."""
    found, text = judge(*groups)
    assert found == verdict
    assert said in text


def test_a_frozen_plan_says_how_it_ends() -> None:
    """The remedy is not only in the policy's figures."""
    groups = [group("f", 4000, 0.2), group("m", 4000, 0.5)]
    assert "frozen" in judge(*groups, frozen=True)[1]
    assert "frozen" not in judge(*groups)[1]


def test_the_least_ratio_falls_with_the_people_and_rises_with_the_pairs() -> None:
    """It is what chance gives to two groups that lose alike, in 95 of 100 cases."""
    draw = np.random.default_rng(3)
    small, large = (group("f", size, 0.3, 0.2) for size in (50, 5000))
    least = find_least_ratio(small, small)
    assert find_least_ratio(large, large) < least < find_least_ratio(small, small, 10)
    means = draw.beta(1.275, 2.975, (2, 4000, 200)).mean(axis=2)
    ratios = np.exp(np.abs(np.log(means[0] / means[1])))
    spread = math.sqrt(1.275 * 2.975 / 4.25**2 / 5.25)
    alike = group("f", 200, 0.3, spread)
    assert np.mean(ratios > find_least_ratio(alike, alike)) == pytest.approx(0.05, abs=0.015)
