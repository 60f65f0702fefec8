"""A run at a glance: one row, of what the run published."""

from __future__ import annotations

from tasks.account.overview import WANTED, compare_rows, list_rows, say_changes
from tasks.account.published import Figure
from tests.overview_rows import make_rows
from tests.runs import passed


def test_a_row_is_what_the_run_published() -> None:
    """The same figures as in its report, from a few entries of its record."""
    run = passed("registry")
    (row,) = list_rows(run.place.ledger)
    measures, counts = run.named("measure"), run.named("count")
    assert (row.run, row.policy, row.verdict) == (run.record.run_id, "registry", "passed")
    assert row.auc == measures["utility.auc"]
    assert row.k == measures["privacy.statistics-office.k"]
    assert row.people
    assert {"about": row.people.about, "text": row.people.text} == counts["people.selected"]
    assert row.mlflow
    picked = run.place.ledger.pick(WANTED)[run.record.run_id]
    assert len(picked) < len(run.entries) / 4


def test_a_trend_is_against_the_policys_last_run_that_passed() -> None:
    """Of two published figures; where one is hidden or of another kind there is none."""
    hidden = {"people": Figure("selected", "fewer than 10", None)}
    rows = make_rows(
        {}, {"verdict": "refused", "auc": None, "people": Figure("on the roster", "9", 9)},
        {"people": Figure("selected", "1,250", 1250), "auc": 0.8}, {"policy": "other"},
        {**hidden, "auc": 0.803},
    )  # fmt: skip
    compared = list(compare_rows(rows))
    told = [say_changes(row) for row in compared]
    assert told == ["", "", "AUC −0.01, people +20", "", ""]
    assert compared[4].auc_change == 0.003


def test_a_model_of_a_number_is_listed_by_its_r2() -> None:
    """It has no AUC; the table says which figure it is."""
    rows = make_rows({"auc": None, "r2": 0.21}, {"auc": None, "r2": 0.25}, {"policy": "other"})
    first, second, other = compare_rows(rows)
    assert (first.quality, other.quality[:1]) == ("R² 0.21", "0")
    assert say_changes(second) == "R² +0.04"
