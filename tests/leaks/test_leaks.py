"""Nothing leaks sideways: after whole runs, no byte outside the source holds a person's value.

The server is a real one, and so are the kill and the command after it. `leaks.py` makes the people.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.keeping.maintain import announce_done, maintain
from ledgers.evidence import EvidenceLedger, RunRecord
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tests.leaks.leaks import (
    ALL,
    CASES,
    EPHEMERAL,
    KILLED,
    NIGHTLY,
    World,
    canaries_of,
    policy_name,
)
from tests.leaks.scanner import scan

pytest_plugins = ["tests.leaks.leak_world"]
LEAKING = "without airlock"
PLACES = (
    "home/vault", "home/mlflow", "home/prefect", "home/reports", "home/releases", "home/outbox",
    "home/incidents", "temporary", "user", "cwd", "console", "outcomes", "told",
)  # fmt: skip
DATABASES = ("home/ledger.sqlite", "home/mlflow/mlflow.db", "home/prefect/prefect.db")


def each(names: Iterable[str]) -> pytest.MarkDecorator:
    """Parametrize by cases, some of them left to the night."""
    nightly = pytest.mark.nightly
    marked = [pytest.param(name, marks=nightly) if name in NIGHTLY else name for name in names]
    return pytest.mark.parametrize("case", marked)


@dataclass(frozen=True)
class Aftermath:
    """The world after the kill, before and after the next command, and what was found in it."""

    world: World
    killed: RunRecord
    left_by_kill: list[Path]
    said_next: str
    hits: dict[str, list[str]]
    """Where a case's canaries were found."""


def find_canaries(root: Path, *, ignore: tuple[Path, ...] = ()) -> dict[str, list[str]]:
    """Search a folder for every case's canaries, and give the places by case."""
    planted = [(case, canary) for case in ALL for canary in canaries_of(case)]
    found: dict[str, list[str]] = defaultdict(list)
    for hit in scan([root], [canary for _, canary in planted], ignore=ignore):
        case = planted[hit.canary_index][0]
        found[case].append(f"{hit.file.relative_to(root)} ({hit.container}, {hit.encoding})")
    return found


@pytest.fixture(scope="module")
def aftermath(world: World) -> Aftermath:
    """Give the next command after the kill; then search all that was ever written."""
    left = [path for path in (world.home / "vault").rglob("*") if path.is_file()]
    copied = world.root / "outcomes" / "after the kill"
    shutil.copytree(world.home / "vault", copied)
    world.tell("next", "report")
    world.tell("bad", "run", canaries_of("bad parameter")[0])
    for run in world.ledger.runs():
        if run.policy in {policy_name("passed"), policy_name("refused, k")}:
            to = str(world.root / "told" / f"{run.run_id}.zip")
            assert world.tell("bundled", "bundle", run.run_id, "--to", to) == 0
    # The caller's own argument is told to the caller, and to nobody else.
    (world.root / "console" / "bad").rename(world.root / "source" / "bad")
    hits = find_canaries(world.root, ignore=(world.root / "source",))
    runs = [run for run in world.ledger.runs() if run.policy == policy_name("killed")]
    return Aftermath(world, runs[-1], left, world.console("next"), hits)


@each(case for case in ALL if case != LEAKING)
def test_no_byte_of_a_person_is_written(aftermath: Aftermath, case: str) -> None:
    """However a run ends, nothing of its people lies outside of the source."""
    assert aftermath.hits.get(case, []) == []


def test_without_the_airlock_the_same_run_leaks(aftermath: Aftermath) -> None:
    """The control: what the airlock keeps in is otherwise in Prefect's store and the console."""
    found = " ".join(aftermath.hits[LEAKING])
    assert "home/prefect/prefect.db" in found
    assert "console/cases" in found


@each([*CASES, *EPHEMERAL])
def test_each_run_ends_as_it_must(world: World, case: str) -> None:
    """The cases do what they are there for: a run that never came so far would leak nothing."""
    outcome, expected = world.outcomes[case], ALL[case]
    assert outcome.error == expected.error, outcome.message
    assert expected.words in outcome.message


def test_a_cold_run_loads_its_libraries_in_silence(world: World) -> None:
    """Before the first step the console holds lines of progress, and no warning of theirs."""
    begun = world.console("cases").partition("--- passed\n")[2].partition("Read the roster")[0]
    assert begun.splitlines()
    assert all(line.startswith(("  …", "  ✓")) for line in begun.splitlines())


def test_a_run_that_mlflow_missed_is_completed_inside_the_airlock(world: World) -> None:
    """Consent is read again before the waiting model is registered; an error there is sealed."""
    run = f"run {world.outcomes['MLflow away'].run} "
    broken, done = [said for said in world.completed if said.startswith(run)]
    assert "still pending: step 'complete' failed with ValueError" in broken
    assert "is now closed as passed" in done


def test_who_watches_was_told_of_the_runs(aftermath: Aftermath) -> None:
    """The control: the page, the metrics and the notifications that were searched are there."""
    root, killed = aftermath.world.root, aftermath.killed
    assert killed.run_id in (root / "home" / "index.html").read_text()
    assert f'policy="{killed.policy}",verdict="failed"' in (root / "told/tutela.prom").read_text()
    told = "".join(file.read_text() for file in (root / "told").glob("*.json"))
    assert killed.run_id in told
    with sqlite3.connect(root / "home" / "prefect" / "prefect.db") as connection:
        query = "SELECT DISTINCT event FROM events WHERE event LIKE 'tutela.%'"
        events = {row[0] for row in connection.execute(query)}
    connection.close()
    assert {"tutela.run.passed", "tutela.run.refused", "tutela.run.failed"} <= events


def test_kill_leaves_nothing_readable(aftermath: Aftermath) -> None:
    """Data lay in the vault when the process was killed, and without its key it is noise."""
    assert len(aftermath.left_by_kill) >= 12
    assert aftermath.hits.get("killed", []) == []


def test_the_next_command_closes_a_killed_run(aftermath: Aftermath) -> None:
    """It removes the dead run's folder, says so, and closes the run as failed, in MLflow too."""
    world, killed = aftermath.world, aftermath.killed
    closed = f"run {killed.run_id} ended before it was done and is now closed as failed; its"
    assert f"{closed} encrypted folder was removed" in aftermath.said_next
    assert list((world.home / "vault").iterdir()) == []
    assert killed.verdict == "failed"
    shown = world.evidence(killed.run_id, "mlflow")["run_id"]
    with sqlite3.connect(world.home / "mlflow" / "mlflow.db") as connection:
        found = connection.execute("SELECT status FROM runs WHERE run_uuid = ?", [shown]).fetchall()
    connection.close()
    assert found == [("FAILED",)]


def test_of_runs_that_are_due_no_store_of_the_home_has_a_byte(
    aftermath: Aftermath, tmp_path: Path
) -> None:
    """Neither MLflow's nor Prefect's own, whatever their runs ended with."""
    home = aftermath.world.home
    shutil.copytree(home, tmp_path / "home", ignore=shutil.ignore_patterns("*.db*", "ledger.*"))
    for store in ("ledger.sqlite", "mlflow/mlflow.db", "prefect/prefect.db"):
        (tmp_path / "home" / store).touch(mode=0o600)
        with (
            closing(sqlite3.connect(home / store)) as here,
            closing(sqlite3.connect(tmp_path / "home" / store)) as there,
        ):
            here.backup(there)
    copy = Home.open(tmp_path / "home")
    ledger = EvidenceLedger(open_database(copy), Keys.open(copy))
    runs = [run.run_id for run in ledger.runs() if run.verdict not in {None, "pending"}]
    flows = [e.body["id"] for run in runs for e in ledger.entries(run) if e.kind == "prefect"]
    assert len(flows) > 5
    done = maintain(copy, ledger.keys, datetime.now(UTC) + timedelta(days=31))
    announce_done(copy, ledger.keys, done)
    files = {path: path.read_bytes() for path in copy.root.rglob("*") if path.is_file()}
    marks = [str(mark).encode() for mark in (*runs, *flows)]
    found = {path.name for path, held in files.items() if any(mark in held for mark in marks)}
    assert found <= {"ledger.sqlite", "server.log"}


def test_the_next_command_marks_a_killed_run_in_prefect(aftermath: Aftermath) -> None:
    """Prefect shows the flow run, and the step that was under way, as crashed."""
    world = aftermath.world
    assert "Prefect still shows" not in aftermath.said_next
    flow_run = world.evidence(aftermath.killed.run_id, "prefect")["id"]
    assert world.ask_prefect(f"flow_runs/{flow_run}")["state"]["type"] == "CRASHED"
    nodes = dict(world.ask_prefect(f"flow_runs/{flow_run}/graph-v2")["nodes"])
    states = {node["label"]: node["state_type"] for node in nodes.values()}
    assert states.pop("Train the model") == "CRASHED"
    assert set(states.values()) == {"COMPLETED"}


def test_the_scan_would_find_a_canary_in_every_place(aftermath: Aftermath, tmp_path: Path) -> None:
    """The control: one file or one row in each place that was searched is found there."""
    root, canary = aftermath.world.root, canaries_of("passed")[0]
    shutil.copytree(root, tmp_path / "copy", ignore=shutil.ignore_patterns("source", "artifacts"))
    for place in PLACES:
        (tmp_path / "copy" / place / "planted").write_text(f"of {canary}0001, and others")
    for database in DATABASES:
        with sqlite3.connect(tmp_path / "copy" / database) as connection:
            connection.execute("CREATE TABLE planted (value TEXT)")
            connection.execute("INSERT INTO planted VALUES (?)", [canary])
        connection.close()
    found = {place.partition(" (")[0] for place in find_canaries(tmp_path / "copy")["passed"]}
    assert found >= {f"{place}/planted" for place in PLACES} | set(DATABASES)


def test_a_bad_parameter_makes_no_run(aftermath: Aftermath) -> None:
    """What is no policy's name is refused before Prefect, which stores whatever it is given."""
    assert "there is no such file" in (aftermath.world.root / "source" / "bad").read_text()
    assert KILLED["bad parameter"].error == "PolicyError"
