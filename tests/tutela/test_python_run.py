"""Running a policy from Python comes to what the command line comes to, and leaks no more."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest

import tutela
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tasks.handover.delivery import complete_runs
from tests.conftest import Folder
from tests.leaks.scanner import scan
from tests.runs import _without_prefect

NOBODY = (
    'share-between, column: sick, value: "yes", low: 0.1',
    'share-between, column: sick, value: "yes", low: 0.8',
)
TABLE = {"age", "sex", "sick"}


@pytest.fixture
def quiet_flow(home: Home) -> Iterator[Home]:
    """A home, and flows as plain functions; a server's part is tried in a process of its own."""
    with mock.patch.dict(os.environ), _without_prefect(), warnings.catch_warnings():
        # MLflow's and skops' own; outside of pytest the airlock silences them.
        warnings.simplefilter("ignore")
        yield home


def read_people(folder: Folder) -> pd.DataFrame:
    """Give the folder's people as a frame of pandas' own types."""
    return pd.read_csv(folder.path / "people.csv")


@pytest.mark.usefixtures("quiet_flow")
def test_a_frame_a_csv_and_a_parquet_file_come_to_the_same(folder: Folder) -> None:
    """The same people, table and verdict, whatever they are handed over in."""
    policy = folder.write()
    frame = read_people(folder)
    frame.to_parquet(folder.path / "people.parquet")
    given = (
        frame.astype({"sex": "category", "age": "Int64"}),
        folder.path / "people.csv",
        str(folder.path / "people.parquet"),
        None,
    )
    found = [tutela.run(policy, one, tables_only=True, progress=False) for one in given]
    assert {result.verdict for result in found} == {"passed"}
    tables = [result.table for result in found if result.table is not None]
    for table, result in zip(tables, found, strict=True):
        assert set(table.columns) == TABLE
        assert table.equals(tables[0])
        assert result.evidence.people == found[0].evidence.people


def test_what_passed_is_at_hand(quiet_flow: Home, folder: Folder) -> None:
    """The model predicts, the report is there, and both name one run."""
    policy = folder.write()
    result = tutela.run(policy, read_people(folder), progress=False)
    assert result.verdict == "passed", result.reason
    assert result.model is not None
    person = pd.DataFrame({"age": ["18-34"], "sex": ["f"]})
    assert result.model.predict_proba(person).shape == (1, 2)
    assert result.report == quiet_flow.reports / f"{result.run_id}.html"
    assert repr(result) == f"<tutela.Result small: passed, {result.run_id}>"
    assert {check.name for check in result.checks} >= {"k-anonymity of partner"}


@pytest.mark.usefixtures("quiet_flow")
def test_a_refused_run_is_a_result_and_hands_nothing_over(folder: Folder) -> None:
    """A refusal is the product at work, not an error of whoever asked."""
    result = tutela.run(folder.write(NOBODY), folder.path / "people.csv", progress=False)
    assert result.verdict == "refused"
    assert "share of yes in sick" in repr(result)
    assert result.ways[0].check == "share of yes in sick"
    assert (result.model, result.table, dict(result.models)) == (None, None, {})


@pytest.mark.usefixtures("quiet_flow")
def test_what_broke_is_an_error_that_names_its_run(folder: Folder) -> None:
    """Of wrong values no check judged: it is an error, without a value, and on record."""
    policy = folder.write()
    frame = read_people(folder).assign(age="Zyxwort")
    with pytest.raises(tutela.SourceError, match="column 'age'") as found:
        tutela.run(policy, frame, progress=False)
    assert "Zyxwort" not in str(found.value)
    assert found.value.__notes__[0].startswith("the run is recorded: tutela report 2")


def test_a_frames_run_that_mlflow_missed_is_closed_and_hands_nothing_over(
    quiet_flow: Home, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can ask its people again, and unknown means no; it does not wait for ever."""
    policy = folder.write()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(tutela.ServiceError, match="did not take the run"):
        tutela.run(policy, read_people(folder), tables_only=True, progress=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    (done,) = complete_runs(quiet_flow, Keys.open(quiet_flow))
    assert "is now closed as refused" in done.said
    assert list(quiet_flow.releases.iterdir()) == list(quiet_flow.outbox.glob("*-*")) == []


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("data", "kind", "said"), [
    ([1, 2], tutela.UsageError, "data is a list"),
    ("people.txt", tutela.UsageError, "no .csv"),
    ("nobody.csv", tutela.SourceError, "there is no file"),
    (pd.DataFrame({"pid": ["a"]}), tutela.PolicyError, "no column `age`"),
])  # fmt: skip
def test_broken_usage_is_an_error_before_any_run(
    folder: Folder, data: object, kind: type[tutela.TutelaError], said: str
) -> None:
    """Nothing is recorded of what could not begin."""
    with pytest.raises(kind, match=said):
        tutela.run(folder.write(), data, progress=False)  # type: ignore[arg-type]  # on purpose


def test_without_a_home_it_is_said_how_one_is_made(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words of who writes Python."""
    monkeypatch.setenv("TUTELA_HOME", str(folder.path / "none"))
    with pytest.raises(tutela.HomeError, match=r"make one, once, with tutela\.init\(\)"):
        tutela.run(folder.write())


def test_problems_are_given_and_not_raised(folder: Folder) -> None:
    """Each with its line; none where the policy fits the data."""
    policy = folder.write()
    assert tutela.check(policy) == ()
    assert tutela.check(policy, read_people(folder)) == ()
    (problem,) = tutela.check(policy, read_people(folder).drop(columns="sugar"))
    assert (problem.path, problem.line > 0) == ("columns.sugar", True)


def in_a_notebook() -> None:
    """Run twice under an event loop, as a notebook does, with a Prefect server of its own."""
    warnings.simplefilter("ignore")
    frame = pd.read_csv("people.csv", dtype=str)

    async def cell() -> tutela.Result:
        return tutela.run("small.yaml", frame, tables_only=True)

    first = asyncio.run(cell())
    second = tutela.run("refused.yaml", frame, tables_only=True, progress=False)
    print(first.verdict, second.verdict, len(first.tables["partner"]))  # noqa: T201
    print(os.environ.get("TUTELA_HOME"))  # noqa: T201
    assert first.report is not None
    Path("shown.html").write_text(first._repr_html_() + second._repr_html_())


@pytest.mark.nightly
def test_under_a_running_loop_two_runs_leave_no_byte_of_a_person(
    home: Home, folder: Folder, tmp_path: Path
) -> None:
    """A real server, a frame that no file holds, and a search of everything that was written."""
    secrets = [f"Wmblefnord{n}qx" for n in range(480)]
    own = {person["pid"]: secret for person, secret in zip(folder.people, secrets, strict=True)}
    for person in folder.people:
        person["pid"] = own[person["pid"]]
    for event in folder.events:
        event["person"] = own[event["person"]]
    folder.write(NOBODY).rename(tmp_path / "refused.yaml")
    folder.write()
    (tmp_path / "written").mkdir()
    variables = {"TUTELA_HOME": str(home.root), "TMPDIR": str(tmp_path / "written")}
    told = subprocess.run(
        [sys.executable, "-c", "import tests.tutela.test_python_run as it; it.in_a_notebook()"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | variables | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert told.stdout.split()[:2] == ["passed", "refused"]
    assert told.stdout.split()[3] == str(home.root)
    assert "✓ Read the roster" in told.stderr
    kept = {tmp_path / name for name in ("people.csv", "consent.csv")}
    assert scan([tmp_path], secrets, ignore=sorted(kept)) == []
    assert len(scan([tmp_path], secrets)) >= 480
    assert not any(secret in told.stdout + told.stderr for secret in secrets)
