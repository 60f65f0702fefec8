"""Groups are compared by figures that tell nothing of a group too small to be shown."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.disclosure import CLASS, Count, Disclosure
from ledgers.evidence import JSON
from ledgers.home.home import Home
from tasks.airlock.run import Run
from tasks.anonymization.deidentify import deidentify
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tasks.training.fairness import (
    Fairness,
    bound_largest_difference,
    choose_shown,
    compare_groups,
)
from tasks.training.quality import Scored
from tasks.training.train import train
from tasks.validation.validation import validate
from tests.conftest import Folder, opened


def scored(rows: Sequence[tuple[str | None, int, float, int]]) -> tuple[Scored, pd.Series]:
    """Give people as (group, outcome, score, how many of them)."""
    groups, outcomes, scores, counts = zip(*rows, strict=True)
    often = np.repeat(np.arange(len(rows)), counts)
    people = Scored(np.array(scores)[often], np.array(outcomes)[often] == 1)
    return people, pd.Series(groups, dtype=object)[often].reset_index(drop=True)


RULE = Disclosure(b"k" * 32)


def compare(rows: Sequence[tuple[str | None, int, float, int]], minimum: int = CLASS) -> Fairness:
    """Compare made-up people."""
    return compare_groups(*scored(rows), minimum, RULE)


TWO = [
    ("a", 1, 0.9, 450), ("a", 1, 0.2, 150), ("a", 0, 0.8, 80), ("a", 0, 0.1, 720),
    ("b", 1, 0.9, 300), ("b", 1, 0.3, 300), ("b", 0, 0.7, 60), ("b", 0, 0.1, 1140),
]  # fmt: skip
"""Of a: 600 positive, of whom 450 called so, 800 not, of whom 80; of b: 300 of 600, 60 of 1200."""


def test_rates_and_auc_are_those_of_each_group() -> None:
    """Counted by hand: whole tens are published as they are."""
    one, other = compare(TWO).groups
    assert (one.group, one.selection_rate, one.true_positive_rate, one.false_positive_rate) == (
        "a", 0.38, 0.75, 0.1,
    )  # fmt: skip
    assert (other.selection_rate, other.true_positive_rate, other.false_positive_rate) == (
        0.2, 0.5, 0.05,
    )  # fmt: skip
    assert one.auc == pytest.approx(0.75 + 0.25 * 0.9, abs=10 / 590 / 2)
    assert one.auc_low is not None
    assert one.auc_high is not None
    assert one.auc_low < one.auc < one.auc_high


def test_rates_are_made_of_published_counts_alone() -> None:
    """People who change no published count change no share; the exact ones are under seal."""
    one = [("a", 1, 0.9, 63), ("a", 1, 0.2, 61), ("a", 0, 0.8, 12), ("a", 0, 0.1, 72)]
    found = compare(one)
    (group,) = found.groups
    about = {n: RULE.publish(Count(n)).about or 0 for n in (63, 124, 12, 84, 208)}
    assert group.true_positive_rate == round(about[63] / about[124], 2)
    assert group.false_positive_rate == round(about[12] / about[84], 2)
    assert group.selection_rate == pytest.approx(
        (about[63] + about[12]) / (about[124] + about[84]), abs=0.005
    )
    assert group.people == str(about[208])
    assert {name: count.exact for name, count in found.exact["a"].items()} == {
        "positives": 124, "negatives": 84, "found": 63, "alarms": 12,
    }  # fmt: skip


def test_the_largest_differences_are_fairlearns() -> None:
    """Demographic parity of all, equalized odds the worse of both rates, each with an interval."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference
    people, groups = scored(TWO)
    called = people.scores > 0.5
    wanted = {
        "demographic_parity": demographic_parity_difference(
            people.positive, called, sensitive_features=groups
        ),
        "equalized_odds": equalized_odds_difference(
            people.positive, called, sensitive_features=groups
        ),
    }
    found = {one.name: one for one in compare(TWO).differences}
    for name, value in wanted.items():
        assert found[name].value == pytest.approx(value, abs=0.01)
        assert found[name].low < found[name].value < found[name].high
    assert found["demographic_parity"].low > 0


def test_a_group_under_the_minimum_is_hidden_with_the_next_larger_one() -> None:
    """Alone it would be the whole without the others."""
    small, other = ("s", 0, 0.1, 5), [("c", 0, 0.1, 60), ("c", 1, 0.1, 60)]
    rows = [*TWO, small, *other]
    assert [group.group for group in compare(rows).groups] == ["a", "b"]
    assert [group.group for group in compare([*TWO, *other]).groups] == ["a", "b", "c"]
    assert compare([*TWO[:4], small]) == Fairness()


def test_people_without_a_group_are_a_group() -> None:
    """Their figures stand as those of the missing."""
    rows = [*TWO, (None, 1, 0.9, 55), (None, 0, 0.1, 55)]
    assert [group.group for group in compare(rows).groups] == ["a", "b", "missing"]


@pytest.mark.parametrize("outcome", [0, 1])
def test_a_group_with_fewer_than_fifty_of_a_class_has_no_figure(outcome: int) -> None:
    """However many of the other it has; and another group keeps it from being derived."""
    few = [("c", outcome, 0.9, 49), ("c", 1 - outcome, 0.1, 900)]
    more = [("d", 1, 0.9, 70), ("d", 0, 0.1, 80)]
    assert [group.group for group in compare([*TWO, *few, *more]).groups] == ["a", "b"]
    assert compare([*TWO, *few, *more], 49) != compare([*TWO, *few, *more])


def test_differences_are_of_shown_groups_alone() -> None:
    """A hidden group's extreme rate is in none of them; one group has no difference."""
    hidden = [(name, outcome, 0.9, 20) for name in "qrs" for outcome in (0, 1)]
    plain = {one.name: one.value for one in compare(TWO).differences}
    assert {one.name: one.value for one in compare([*TWO, *hidden]).differences} == plain
    assert compare(TWO[:4]).differences == ()


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=7),
    minimum=st.integers(10, 40),
)
def test_those_left_out_are_none_or_enough_together(sizes: list[int], minimum: int) -> None:
    """What the whole and the shown tell of the rest is of as many people as a shown group has."""
    table = pd.DataFrame({"people": sizes}, index=[f"g{n}" for n in range(len(sizes))])
    shown = choose_shown(table, minimum)
    assert all(table.loc[name, "people"] >= minimum for name in shown)
    left = sum(sizes) - int(table.loc[shown, "people"].sum())
    assert left == 0 or left >= minimum or not shown
    if min(sizes) >= minimum:
        assert len(shown) == len(sizes)


@pytest.mark.parametrize("rates", [(0.2, 0.2, 0.2, 0.2), (0.1, 0.2, 0.35, 0.2)])
def test_the_interval_holds_the_true_difference_as_often_as_it_says(
    rates: tuple[float, ...],
) -> None:
    """Also where all groups are alike, and some two differ in any data."""
    rng, true = np.random.default_rng(5), max(rates) - min(rates)
    sizes = np.array([60, 80, 120, 200])
    held = 0
    for drawn in rng.binomial(sizes, rates, (400, 4)) / sizes:
        low, high = bound_largest_difference([list(zip(drawn, sizes, strict=True))])
        held += low <= true <= high
    assert held / 400 >= 0.94


def test_the_interval_of_two_rates_is_newcombes() -> None:
    """His example: 56 of 70 and 48 of 80 differ by .2, and by .0524 to .3339 (method 10)."""
    found = bound_largest_difference([[(56 / 70, 70), (48 / 80, 80)]])
    assert found == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_the_interval_is_wider_by_what_rounding_did() -> None:
    """Of small groups most, whose counts it moves by the largest part."""
    wider = []
    for size in (50, 500):
        rates = [[(0.5, size), (0.3, size)]]
        plain, rounded = (bound_largest_difference(rates, spread) for spread in (0.0, 100 / 6))
        assert rounded[0] < plain[0] < plain[1] < rounded[1]
        wider.append((rounded[1] - rounded[0]) / (plain[1] - plain[0]))
    assert wider[0] > 1.2
    assert wider[1] < 1.1


def train_on(folder: Folder, *changes: tuple[str, str]) -> tuple[dict[str, JSON], dict[str, JSON]]:
    """Train the small policy's model; give measures and tables that it noted."""

    def noted(run: Run, kind: str) -> dict[str, JSON]:
        return {e.name: e.body for e in run.ledger.entries(run.id) if e.kind == kind}

    with opened(folder.write(*changes)) as run:
        train(validate(deidentify(select_population(collect(filter_consent(read_roster()))))))
        return noted(run, "measure"), noted(run, "table")


def test_the_step_notes_groups_and_their_differences(home: Home, folder: Folder) -> None:
    """Of both groups, of some 140 test people each."""
    assert home.vault.is_dir()
    measures, tables = train_on(folder, ("test_share: 0.4", "test_share: 0.6"))
    groups = tables["utility.groups.sex"]
    assert isinstance(groups, list)
    assert [row["group"] for row in groups if isinstance(row, dict)] == ["f", "m"]
    assert {name for name in measures if name.startswith("fairness.")} >= {
        "fairness.demographic_parity.sex",
        "fairness.demographic_parity_low.sex",
        "fairness.demographic_parity_high.sex",
    }


def test_the_step_shows_neither_of_two_groups_where_one_is_small(
    home: Home, folder: Folder
) -> None:
    """However small a cohort the policy allows: the one would be the rest of the other."""
    assert home.vault.is_dir()
    for number, person in enumerate(folder.people):
        person["sex"] = "m" if number % 40 == 0 else "f"
    measures, tables = train_on(folder, ("smallest: 10", "smallest: 20"))
    assert tables["utility.groups.sex"] == []
    assert not any(name.startswith("fairness.") for name in measures)
