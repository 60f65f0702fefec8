"""Runs in a row draw the lifetime budget down, until one is refused before a column is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import Place, changed_policy, make_place

from ledgers.budget import BudgetLedger

CEILING = "lifetime_epsilon: 6"
DIABETES = '{rule: share-between, column: diabetes, value: "yes", low: 0.05, high: 0.4}'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A home in which the example ran three times under a ceiling that holds two."""
    folder = tmp_path_factory.mktemp("budget")
    found = make_place(folder / "home")
    policy = str(changed_policy(folder, (CEILING, "lifetime_epsilon: 1.7")))
    statuses = [found.tell("run", policy).status for _ in range(3)]
    assert statuses == [0, 0, 1]
    return found


def measures(place: Place) -> Iterator[dict[str, object]]:
    """Give what each run measured."""
    from runs import RunOnRecord

    for record in place.runs:
        yield dict(RunOnRecord(place, record).named("measure"))


def ledger(place: Place) -> BudgetLedger:
    """Open the home's budget."""
    return BudgetLedger(place.ledger.engine, place.keys)


def test_the_lifetime_grows_by_less_than_the_sum_and_the_last_run_is_refused(
    place: Place,
) -> None:
    """One run costs 1, two together less than 2; the refused one costs nothing."""
    first, second, third = (one["privacy.lifetime_epsilon"] for one in measures(place))
    assert first == pytest.approx(1.0, abs=2e-3)
    assert isinstance(second, float)
    assert 1.4 < second < 1.6
    assert third == second
    assert place.last.decision["check"] == "privacy budget"
    assert "lifetime ε of 1.4" in str(place.last.decision["reason"])


def test_a_run_that_would_exceed_reads_no_column(place: Place) -> None:
    """It ends after consent is known: nothing was collected, nothing registered or released."""
    steps = {entry.step for entry in place.last.entries}
    assert {"read_roster", "filter_consent", "reserve_budget"} <= steps
    assert "collect" not in steps
    assert [charge.state for charge in ledger(place).history()] == ["committed", "committed"]
    models, _ = place.handed_over
    assert models == {"diabetes.clinics/1", "diabetes.clinics/2"}


def test_the_report_shows_what_was_spent_and_why_it_stopped(place: Place) -> None:
    """Of the refused run as of one that passed."""
    pages = [
        (place.home.reports / f"{run.run_id}.html").read_text(encoding="utf-8")
        for run in place.runs
    ]
    assert all("What it costs a person" in page for page in pages)
    assert "1 more such run fits." in pages[0]
    assert "no further such run fits." in pages[1]
    assert "this run would have gone beyond, so nobody was charged" in pages[2]


def test_mlflow_has_the_lifetime_beside_the_model(place: Place) -> None:
    """As metrics of each run, the refused one too."""
    runs = place.mlflow.search_runs([e.experiment_id for e in place.mlflow.search_experiments()])
    found = sorted(run.data.metrics["privacy.lifetime_epsilon"] for run in runs)
    assert len(found) == 3
    assert found[1] == found[2] > found[0]


def test_a_tables_run_costs_nothing(place: Place, tmp_path: Path) -> None:
    """It trains no model, so that an exhausted budget does not stop it."""
    before = len(ledger(place).history())
    policy = str(changed_policy(tmp_path, (CEILING, "lifetime_epsilon: 1.7")))
    said = place.tell("run", policy, "--tables-only")
    assert said.status == 0, said.err
    assert len(ledger(place).history()) == before


@pytest.mark.parametrize(
    ("change", "check", "state"),
    [
        pytest.param(
            (DIABETES, DIABETES.replace("0.4", "0.1")), "share of yes", "aborted", id="before"
        ),
        pytest.param(
            ("auc_at_most: 0.60", "auc_at_most: 0.505"), "membership", "committed", id="after"
        ),
    ],
)
def test_a_refused_run_is_charged_for_what_it_may_have_released(
    tmp_path: Path, change: tuple[str, str], check: str, state: str
) -> None:
    """Refused before its training it costs nothing; by an attack on its model, all of it."""
    place = make_place(tmp_path / "home")
    said = place.tell("run", str(changed_policy(tmp_path, change)))
    assert said.status == 1
    assert check in str(place.last.decision["check"])
    assert [charge.state for charge in ledger(place).history()] == [state]


def test_advice_is_charged_before_a_column_is_read_and_hands_nothing_over(
    tmp_path: Path,
) -> None:
    """Its ε is on the ledger beside trainings; the patch lies with the report."""
    place = make_place(tmp_path / "home")
    said = place.tell("advise", "diabetes", "--epsilon", "2")
    assert said.status == 0, said.err
    (charge,) = ledger(place).history()
    assert (charge.state, charge.composition) == ("committed", "adaptive")
    order = [entry.step for entry in place.last.entries]
    assert order.index("reserve_advice") < order.index("collect")
    assert place.handed_over == (set(), set())
    told = place.last.named("advice")["columns"]
    assert isinstance(told, dict)
    assert told["epsilon"] == 2
    assert {"age", "waist"} <= {trial["column"] for trial in told["trials"]}  # type: ignore[index, union-attr, call-overload]
    page = (place.home.reports / f"{place.last.record.run_id}.html").read_text(encoding="utf-8")
    assert "What the model could do without" in page
    again = place.tell("advise", "diabetes", "--epsilon", "5.9")
    assert again.status == 1
    assert place.last.decision["check"] == "privacy budget"
