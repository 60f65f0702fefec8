"""Runs in a row draw the lifetime budget down, until one is refused before a column is read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledgers.budget.ledger import BudgetLedger
from ledgers.home.home import Home
from tests.conftest import Folder, make_folder
from tests.runs import Place, RunOnRecord, make_place

PRIVATE = (
    ("{model: logistic-regression}", "{model: private-logistic-regression}"),
    (
        "recipient: Clinic",
        "recipient: Clinic\n    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-5}",
    ),
)
TWO_FIT = ("epsilon: 10, delta: 1e-5", "epsilon: 1.7, delta: 1e-5, composition: fixed")
SHARE = ("low: 0.1, high: 0.9", "low: 0.8, high: 0.9")
MEMBERSHIP = ("{auc_at_most: 0.75, when_inconclusive: report}", "{auc_at_most: 0.505}")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The small policy's people, for a private model under a ceiling that holds two trainings."""
    made = make_folder(tmp_path_factory.mktemp("people"))
    made.write(*PRIVATE, TWO_FIT)
    return made


@pytest.fixture(scope="module")
def place(people: Folder, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A home in which they were run three times."""
    found = make_place(tmp_path_factory.mktemp("budget") / "home")
    statuses = [found.tell("run", str(people.path / "small.yaml")).status for _ in range(3)]
    assert statuses == [0, 0, 1]
    return found


def measures(place: Place) -> Iterator[dict[str, object]]:
    """Give what each run measured."""
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
    assert "it is 1.4" in str(place.last.decision["reason"])


def test_a_run_that_would_exceed_reads_no_column(place: Place) -> None:
    """It ends after consent is known: nothing was collected, nothing registered or released."""
    steps = {entry.step for entry in place.last.entries}
    assert {"read_roster", "filter_consent", "reserve_budget"} <= steps
    assert "collect" not in steps
    assert [charge.state for charge in ledger(place).history()] == ["committed", "committed"]
    models, _ = place.handed_over
    assert models == {"small.clinic/1", "small.clinic/2"}


def test_the_report_shows_what_was_spent_and_why_it_stopped(place: Place) -> None:
    """Of the refused run as of one that passed."""
    pages = [
        (place.home.reports / f"{run.run_id}.html").read_text(encoding="utf-8")
        for run in place.runs
    ]
    assert all("What it costs a person" in page for page in pages)
    assert "1 more run like this fits." in pages[0]
    assert "no more run like this fits." in pages[1]
    assert "this run would have exceeded it, so nobody was charged" in pages[2]


def test_mlflow_has_the_lifetime_beside_the_model(place: Place) -> None:
    """As metrics of each run, the refused one too."""
    runs = place.mlflow.search_runs([e.experiment_id for e in place.mlflow.search_experiments()])
    found = sorted(run.data.metrics["privacy/lifetime_epsilon"] for run in runs)
    assert len(found) == 3
    assert found[1] == found[2] > found[0]


def test_a_tables_run_costs_nothing(place: Place, people: Folder) -> None:
    """It trains no model, so that an exhausted budget does not stop it."""
    before = len(ledger(place).history())
    said = place.tell("run", str(people.path / "small.yaml"), "--tables-only")
    assert said.status == 0, said.err
    assert len(ledger(place).history()) == before


@pytest.mark.parametrize(
    ("change", "check", "state"),
    [
        pytest.param(SHARE, "share of yes", "aborted", id="before"),
        pytest.param(MEMBERSHIP, "membership", "committed", id="after"),
    ],
)
def test_a_refused_run_is_charged_for_what_it_may_have_released(
    home: Home, folder: Folder, change: tuple[str, str], check: str, state: str
) -> None:
    """Refused before its training it costs nothing; by an attack on its model, all of it."""
    place = Place(home)
    said = place.tell("run", str(folder.write(*PRIVATE, change)))
    assert said.status == 1
    assert check in str(place.last.decision["check"])
    assert [charge.state for charge in ledger(place).history()] == [state]
