"""What k costs is measured on the policy's own people, and drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from expectations.policy.outlets import join
from expectations.policy_file import parse_policy
from tasks.account.published import TradePoint
from tasks.anonymization.generalize import generalize_table
from tasks.anonymization.loss import Detail, People, measure_granularity, measure_query_error
from tasks.pages.drawings import draw_tradeoff
from tasks.people.population import TEST
from tasks.training.tradeoff import Point, compare_columns, measure_at, measure_tradeoff
from tests.conftest import small_policy

POLICY = parse_policy(small_policy())
TABLE = POLICY.table_outlets["partner"]
AGES = ("18-34", "35-49", "50-64", "65+")


@pytest.fixture
def people() -> pd.DataFrame:
    """Eight hundred people of whom the older are ill more often, every third for the test."""
    draw = np.random.default_rng(1)
    age = draw.integers(0, 4, 800)
    return pd.DataFrame(
        {
            TEST: np.arange(800) % 3 == 0,
            "age": np.array(AGES)[age],
            "sex": np.array(["f", "m"])[draw.integers(0, 2, 800)],
            "sick": np.where(draw.random(800) < 0.15 + 0.2 * age, "yes", "no"),
        }
    )


def test_more_k_keeps_less_detail_and_k_one_is_the_rows_as_they_are(people: pd.DataFrame) -> None:
    """The points are in the order of k, the policy's own among them."""
    points = measure_tradeoff(people, POLICY, TABLE, TABLE)
    assert [point.k for point in points] == [1, 2, 3, 5, 10, 20, 50]
    detail = [point.granularity for point in points if point.granularity is not None]
    assert detail == sorted(detail, reverse=True)
    assert points[0].query_error == 0


def score_rows(frame: pd.DataFrame, released: pd.DataFrame, columns: list[Detail]) -> float:
    """Train on each released training person and test on each other one, row by row."""
    train, test = ~released[TEST].to_numpy(), frame[TEST].to_numpy()
    learned = np.concatenate([one.share[one.after[train]] for one in columns], axis=1)
    tested = np.concatenate([(one.before[test])[:, None] == np.arange(len(one.values))
                             for one in columns], axis=1)  # fmt: skip
    model = LogisticRegression(max_iter=500).fit(learned, released["sick"][train] == "yes")
    scores = model.decision_function(tested.astype(float))
    return float(roc_auc_score(frame["sick"][test] == "yes", scores))


@pytest.mark.parametrize("k", [2, 20])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="labels"),
        pytest.param({"output": "sets"}, id="sets"),
        pytest.param({"max_suppressed": 0.3}, id="some-left-out"),
    ],
)
def test_distinct_rows_come_to_what_all_rows_do(
    people: pd.DataFrame, k: int, changes: dict[str, object]
) -> None:
    """Against the table itself, recoded and measured person by person."""
    few = people.head(480)
    columns = {"age": "generalize", "sex": "generalize"}
    outlet = TABLE.model_copy(update={"columns": columns, "k": k, **changes})
    recoded = generalize_table(few, POLICY, outlet)
    details = compare_columns(few, recoded.frame, recoded.plan.members, (POLICY, outlet))
    each = People.one_each(len(few), len(recoded.frame))
    found = next(point for point in measure_tradeoff(few, POLICY, outlet, outlet) if point.k == k)
    kept = measure_granularity(list(details.values()), each)
    # Told as a bound, in steps of ten people or more.
    assert found.granularity is not None
    assert 0 <= kept - found.granularity <= 0.1
    assert found.query_error == pytest.approx(
        measure_query_error(list(details.values()), each), abs=1e-3
    )
    oracle = score_rows(few, recoded.frame, list(details.values()))
    assert found.auc == pytest.approx(oracle, abs=2e-3)


def test_a_model_is_judged_on_people_as_they_are(people: pd.DataFrame) -> None:
    """Age tells who is ill; once it is gone from the table, nothing does."""
    as_is = measure_tradeoff(people, POLICY, TABLE, TABLE)[0].auc
    assert as_is is not None
    assert as_is > 0.65
    blind = people.assign(age="18-34")
    assert measure_tradeoff(blind, POLICY, TABLE, TABLE)[0].auc == pytest.approx(0.5, abs=0.07)


def test_no_model_is_judged_without_enough_people_of_both_kinds(people: pd.DataFrame) -> None:
    """Nineteen ill people tell nothing of a model."""
    assert measure_tradeoff(people.assign(sick="no"), POLICY, TABLE, TABLE)[0].auc is None


def test_a_plan_over_the_columns_of_two_tables_costs_each_its_detail(people: pd.DataFrame) -> None:
    """Age beside sex is shared by fewer than age alone."""
    age, sex = (
        TABLE.model_copy(update={"columns": {name: "generalize"}, "k": 20, "max_suppressed": 0})
        for name in ("age", "sex")
    )
    few = people.head(220).assign(sex=np.where(np.arange(220) < 30, "m", "f"))
    alone, together = (measure_at(20, few, POLICY, age, j) for j in (age, join([age, sex])))
    assert alone.granularity is not None
    assert together.granularity is not None
    assert together.granularity < alone.granularity


def test_a_k_that_cannot_be_reached_has_no_figures(people: pd.DataFrame) -> None:
    """With more k than people the policy's limit on people left out is passed."""
    strict = TABLE.model_copy(update={"max_suppressed": 0})
    few = measure_tradeoff(people.head(15), POLICY, strict, strict)
    assert few[-1] == Point(50)


def test_the_curve_is_drawn_without_what_is_not_there() -> None:
    """The policy's k is marked, a k without figures left out, a curve without any not drawn."""
    points = [TradePoint(1, 0.8, 0.0, None), TradePoint(5, 0.4, 0.1, None)]
    curves = draw_tradeoff([*points, TradePoint(50, None, None, None)], 5)
    assert [curve.title for curve in curves] == ["Detail kept", "Error of counts"]
    assert [(m.under, m.text, m.asked) for m in curves[0].marks] == [
        ("as is", "100 %", False),
        ("5", "50 %", True),
    ]
    assert curves[0].marks[0].y < curves[0].marks[1].y
    assert len(curves[0].lines) == 1
