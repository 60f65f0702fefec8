"""Labels that few people share become one label before a table is recoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.errors import Refusal
from expectations.policy.outlets import Rare
from expectations.policy_file import parse_policy
from tasks.anonymization.generalize import fit_table, generalize_table
from tasks.anonymization.loss import measure_losses
from tasks.anonymization.releases.release import Past, choose_rows
from tasks.anonymization.table_plan import TablePlan, choose_labels, merge_rare
from tasks.people.ingestion import RECORD
from tests.conftest import small_policy

RULE = Rare(kind="rare", at_least=3)
POLICY = parse_policy(
    small_policy(("{age: generalize", "{age: {kind: rare, at_least: 3}"), ("k: 3", "k: 2"))
)
OUTLET = POLICY.table_outlets["partner"]


def people(ages: Sequence[str | None]) -> pd.DataFrame:
    """Give people who differ in their ages alone."""
    number = len(ages)
    same = {"sex": ["f"] * number, "sick": ["no"] * number}
    records = {RECORD: np.arange(number, dtype=np.uint64)}
    return pd.DataFrame({**records, "age": pd.Series(list(ages), dtype=object), **same})


@pytest.mark.parametrize(
    ("values", "stays"),
    [
        (["a"] * 5 + ["b"] * 3, ("a", "b")),
        (["a"] * 5 + ["b"] * 2 + ["c"], ("a",)),
        (["a"] * 5 + ["b"] * 4 + ["c"], ("a",)),
        (["a"] * 5 + [None] * 2 + ["c"], ("a",)),
        (["a"] * 5 + [None] * 3, ("a", "missing")),
        (["a"] * 5 + ["other"] * 2 + ["c"], ("a",)),
        ([1.0] * 3 + [2.5] * 3 + [7.0] * 3, ("1", "2.5", "7")),
        (["a", "b"], ()),
        ([], ()),
    ],
    ids=[
        *("none is rare", "two are rare", "the next rarest fills up", "few are missing"),
        *("enough are missing", "the label is there already", "numbers", "all are rare", "nobody"),
    ],
)
def test_labels_of_enough_people_stay(values: list[object], stays: tuple[str, ...]) -> None:
    """All others become one label, which itself has enough people or is all there is."""
    assert choose_labels(pd.Series(values, dtype=object), RULE) == stays


@given(st.lists(st.sampled_from("abcdef") | st.none()), st.integers(2, 6))
def test_no_label_is_left_with_few_people(values: list[str | None], at_least: int) -> None:
    """Unless all people together are too few."""
    rule = Rare(kind="rare", at_least=at_least)
    stays = choose_labels(pd.Series(values, dtype=object), rule)
    merged = Counter(v if v in stays else "other" for v in (v or "missing" for v in values))
    assert min(merged.values(), default=at_least) >= min(at_least, len(values))
    assert not stays or len(stays) == len(set(stays) & {v or "missing" for v in values})


def test_rare_labels_are_released_under_one_name() -> None:
    """The column is pinned to what is common, and to the name of the rest."""
    made = generalize_table(people([*"aaaabc", None]), POLICY, OUTLET).frame
    assert made["age"].value_counts().to_dict() == {"a": 4, "other": 3}


def test_a_common_blank_stays_a_blank() -> None:
    """Missing values are a label like any other."""
    made = generalize_table(people([*"aaa", *[None] * 4]), POLICY, OUTLET).frame
    assert made["age"].value_counts().to_dict() == {"missing": 4, "a": 3}


def test_a_frozen_plan_keeps_its_labels() -> None:
    """A label that became common stays merged; one that became rare leaves with nobody."""
    plan = fit_table(people(["a"] * 4 + ["b"] * 4 + ["c", "d", "e"]), POLICY, OUTLET)
    later = plan.apply(people(["a"] * 4 + ["b"] * 2 + ["c"] * 5 + ["new"]))
    assert later["age"].value_counts().to_dict() == {"other": 6, "a": 4, "b": 0}
    assert TablePlan.from_bytes(plan.to_bytes()) == plan


def test_a_label_that_nobody_has_any_more_costs_nothing() -> None:
    """The frozen plan names it; the people that are left are measured by what they have."""
    plan = fit_table(people([*"aaaabbbbcd", "e"]), POLICY, OUTLET)
    now = people([*"aaaa", *"ccc"])
    released = plan.apply(now)
    assert plan.measure(now, released).loss["age"] == 0
    assert plan.measure(now, released.iloc[:4]).loss["age"] == pytest.approx(3 / 7)


def test_too_few_people_for_any_label_are_refused() -> None:
    """There is nobody to hide among."""
    plan = fit_table(people(["a", "b"]), POLICY, OUTLET)
    assert plan.apply(people(["a", "b"])).empty
    with pytest.raises(Refusal):
        generalize_table(people(["a"]), POLICY, OUTLET)


def test_a_merged_table_keeps_its_rows() -> None:
    """Index and order stay, and other columns."""
    frame = people(["b", "a", "a", "a"]).set_index(pd.Index([9, 7, 5, 3]))
    merged = merge_rare(frame, fit_table(frame, POLICY, OUTLET).common)
    assert merged["age"].tolist() == ["other", "other", "other", "other"]
    assert merged.index.tolist() == [9, 7, 5, 3]


@pytest.mark.parametrize(
    ("ages", "loss"),
    [
        ("aaaabcd", 3 / 7 * 2 / 3),
        ("aaaabbb", 0.0),
        (["a"] * 4 + ["other"] * 3, 0.0),
        (["a"] * 4 + ["other"] * 2 + ["b"], 0.0),
        ([*"aaaab", None, None], 3 / 7 * 1 / 2),
    ],
    ids=["three of four values", "none", "the label itself", "one value", "the missing"],
)
def test_what_is_merged_counts_as_lost(ages: Sequence[str | None], loss: float) -> None:
    """As under any other label: by the other values that the one label stands for."""
    frame = people(ages)
    plan = fit_table(frame, POLICY, OUTLET)
    released = plan.apply(frame)
    measures = plan.measure(frame, released)
    assert measures.loss["age"] == pytest.approx(loss)
    age = {"age": plan.hierarchies(frame)["age"]}
    lost = measure_losses(frame, released, age, plan.recoding.members)
    assert lost.mean() == pytest.approx(loss)


def test_a_label_whose_people_are_left_out_for_other_reasons_leaves_with_nobody() -> None:
    """Of the five who share it, k drops four; the fifth would be alone with it."""
    ages = ["a"] * 12 + ["r"] * 5
    frame = people(ages).assign(sex=["f"] * 12 + ["m"] * 4 + ["f"])
    policy = parse_policy(
        small_policy(("{age: generalize", "{age: {kind: rare, at_least: 5}"), ("k: 3", "k: 5"))
    )
    outlet = policy.table_outlets["partner"].model_copy(update={"max_suppressed": 0.5})
    plan = fit_table(frame, policy, outlet)
    left = frame.drop(index=frame.index[[12, 13]])
    released = choose_rows(left, outlet, plan, Past(), b"secret").frame
    assert "r" not in set(released["age"].astype(str))
    assert len(released) == 12


def test_a_plan_names_no_linkable_label_of_fewer_than_k() -> None:
    """Though the policy would merge only labels of one person."""
    policy = parse_policy(
        small_policy(("{age: generalize", "{age: {kind: rare, at_least: 2}"), ("k: 3", "k: 5"))
    )
    frame = people(["a"] * 12 + ["r"] * 3 + ["s"] * 3)
    plan = fit_table(frame, policy, policy.table_outlets["partner"])
    assert plan.common["age"].stays == ("a",)
