"""`tutela runs`: which runs it lists, and what it says of each."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import tutela
from deployments.runs.screen import Chosen, say_end, write_cells
from expectations.errors import UsageError
from tests.overview_rows import ROW
from tests.runs import passed, say


def runs(*words: str) -> list[dict[str, object]]:
    """List the runs of the home of a run that passed."""
    home = str(passed("registry").place.home.root)
    said = say("runs", *words, "--json", TUTELA_HOME=home)
    assert said.status == 0, said.err
    found: list[dict[str, object]] = json.loads(said.out)["runs"]
    return found


def test_a_run_is_listed_with_what_it_published() -> None:
    """As JSON with the addresses of its pages, on the screen in one row."""
    run = passed("registry")
    (found,) = runs()
    measures = run.named("measure")
    assert (found["run"], found["verdict"], found["check"]) == (run.record.run_id, "passed", None)
    assert found["auc"] == measures["utility.auc"]
    assert found["report"] == str(run.place.home.reports / f"{run.record.run_id}.html")
    assert "/#/experiments/" in str(found["mlflow"])
    listed = say("runs", TUTELA_HOME=str(run.place.home.root)).out
    assert run.record.run_id in listed
    assert all(len(line) <= 80 for line in listed.splitlines())


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (("--policy", "registry", "--verdict", "passed", "--since", "2026-01-01"), 1),
        (("--policy", "other"), 0),
        (("--verdict", "refused"), 0),
        (("--since", "9000 days"), 1),
    ],
)
def test_runs_are_chosen_by_policy_verdict_and_moment(words: tuple[str, ...], number: int) -> None:
    """All that is asked for must hold; that there is none is no error."""
    assert len(runs(*words)) == number


@pytest.mark.parametrize("asked", [("x", None), (None, "soon"), ("pased", None)])
def test_what_no_run_can_be_is_refused(asked: tuple[str | None, str | None]) -> None:
    """A word that no run ends as, or that is no moment."""
    with pytest.raises(UsageError, match=r"--verdict|--since"):
        Chosen.read(None, *asked)


def test_a_row_says_how_a_run_ended_and_leaves_out_what_it_did_not_find() -> None:
    """By which check, where one refused it, and where it goes on."""
    refused = replace(ROW, verdict="refused", check="k-anonymity", auc=None, people=None, k=None)
    assert [*write_cells(refused)] == [
        ROW.run,
        "visits",
        "refused by k-anonymity",
        "",
        "1",
        "",
        "",
        "",
    ]
    assert say_end(replace(ROW, verdict="unfinished", elsewhere=True)) == "under way elsewhere"


def test_python_gets_the_same_rows_as_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """With types that stay the same whatever is missing."""
    monkeypatch.setenv("TUTELA_HOME", str(passed("registry").place.home.root))
    (listed,), found = runs(), tutela.runs("registry")
    assert list(found.columns) == list(listed)
    row = found.iloc[0]
    assert (row["run"], row["people"], row["auc"]) == (
        listed["run"], listed["people"], listed["auc"],
    )  # fmt: skip
    assert found.dtypes.equals(tutela.runs(verdict="refused").dtypes)
