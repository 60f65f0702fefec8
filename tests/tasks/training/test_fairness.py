"""Groups are compared by figures that tell nothing of a group too small to be shown."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.disclosure import Disclosure
from ledgers.evidence import JSON
from ledgers.home.home import Home
from tasks.airlock.run import Run
from tasks.anonymization.deidentify import deidentify
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tasks.training.fairness import (
    Fairness,
    GroupQuality,
    Scored,
    bound_largest_difference,
    choose_shown,
    compare_groups,
    describe_groups,
)
from tasks.training.train import train
from tasks.validation.validation import validate
from tests.conftest import Folder, opened


def scored(rows: Sequence[tuple[str | None, int, float, int]]) -> tuple[Scored, pd.Series]:
    """Give people as (group, outcome, score, how many of them)."""
    groups, outcomes, scores, counts = zip(*rows, strict=True)
    often = np.repeat(np.arange(len(rows)), counts)
    people = Scored(np.array(scores)[often], np.array(outcomes)[often] == 1)
    return people, pd.Series(groups, dtype=object)[often].reset_index(drop=True)


def compare(rows: Sequence[tuple[str | None, int, float, int]], minimum: int = 20) -> Fairness:
    """Compare made-up people."""
    return compare_groups(*scored(rows), minimum)


TWO = [
    ("a", 1, 0.9, 30), ("a", 1, 0.2, 10), ("a", 0, 0.8, 8), ("a", 0, 0.1, 72),
    ("b", 1, 0.9, 20), ("b", 1, 0.3, 20), ("b", 0, 0.7, 6), ("b", 0, 0.1, 114),
]  # fmt: skip
"""Of a: 40 positive, of whom 30 called so, 80 not, of whom 8; of b: 20 of 40 and 6 of 120."""


def test_rates_and_auc_are_those_of_each_group() -> None:
    """Counted by hand: shares to two digits, the AUC to three."""
    one, other = compare(TWO).groups
    assert (one.group, one.selection_rate, one.true_positive_rate, one.false_positive_rate) == (
        "a", 0.32, 0.75, 0.1,
    )  # fmt: skip
    assert (other.selection_rate, other.true_positive_rate, other.false_positive_rate) == (
        0.16, 0.5, 0.05,
    )  # fmt: skip
    assert one.auc == round(0.75 + 0.25 * 0.9, 3)
    assert one.auc_low is not None
    assert one.auc_high is not None
    assert one.auc_low < one.auc < one.auc_high


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
    small, other = ("s", 0, 0.1, 5), ("c", 0, 0.1, 30)
    rows = [*TWO, small, other]
    assert [group.group for group in compare(rows).groups] == ["a", "b"]
    assert [group.group for group in compare([*TWO, other]).groups] == ["a", "b", "c"]
    assert compare([*TWO[:4], small]) == Fairness((), ())


def test_people_without_a_group_are_a_group() -> None:
    """Their figures stand as those of the missing."""
    rows = [*TWO, (None, 1, 0.9, 25), (None, 0, 0.1, 25)]
    assert [group.group for group in compare(rows).groups] == ["a", "b", "missing"]


def test_figures_by_outcome_need_people_of_either_outcome() -> None:
    """Of too few positives nothing is told, and another group keeps that from being derived."""
    few = [("c", 1, 0.9, 12), ("c", 0, 0.1, 60)]
    more = [("d", 1, 0.9, 50), ("d", 0, 0.1, 60)]
    found = {group.group: group for group in compare([*TWO, *few, *more]).groups}
    told = [name for name, group in found.items() if group.true_positive_rate is not None]
    assert list(found) == ["a", "b", "c", "d"]
    assert told == ["b", "d"]
    assert [name for name, group in found.items() if group.auc is not None] == told
    assert [name for name, group in found.items() if group.false_positive_rate is not None] == told


def test_differences_are_of_shown_groups_alone() -> None:
    """A hidden group's extreme rate is in none of them; one group has no difference."""
    hidden = [(name, outcome, 0.9, 9) for name in "qrs" for outcome in (0, 1)]
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


def test_no_figure_tells_an_exact_number_of_people() -> None:
    """Some more people like the others change none, since sizes are taken in tens."""
    rows = [("b", 1, 0.9, 40), ("b", 0, 0.1, 40)]
    fewer = [("a", outcome, 0.9, 40) for outcome in (0, 1)]
    more = [("a", outcome, 0.9, 44) for outcome in (0, 1)]
    assert compare([*rows, *fewer]) == compare([*rows, *more])


def test_groups_are_published_by_the_disclosure_rule() -> None:
    """People without a group are counted, too."""
    frame = pd.DataFrame({"g": ["a"] * 30 + [None] * 20 + ["b"] * 3})
    names = ("a", "missing", "b")
    groups = [GroupQuality(name, None, None, None, 0.33, None, None) for name in names]
    rule = Disclosure(b"k")
    told = [row for row in describe_groups(frame, groups, "g", rule) if isinstance(row, dict)]
    assert [row["selection_rate"] for row in told] == [0.33] * 3
    assert [str(row["people"]) for row in told] == ["30", "20", "fewer than 10"]


def train_on(folder: Folder, *changes: tuple[str, str]) -> tuple[dict[str, JSON], dict[str, JSON]]:
    """Train the small policy's model; give measures and tables that it noted."""

    def noted(run: Run, kind: str) -> dict[str, JSON]:
        return {e.name: e.body for e in run.ledger.entries(run.id) if e.kind == kind}

    with opened(folder.write(*changes)) as run:
        train(validate(deidentify(select_population(collect(filter_consent(read_roster()))))))
        return noted(run, "measure"), noted(run, "table")


def test_the_step_notes_groups_and_their_differences(home: Home, folder: Folder) -> None:
    """Of both groups, of some twelve test people each."""
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
