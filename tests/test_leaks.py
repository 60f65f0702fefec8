"""Nothing leaks sideways: after whole runs, no byte outside the source holds a person's value.

The server is a real one, and so are the command line and the kill. `leaks.py` makes the people.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest
from leaks import ALL, CASES, EPHEMERAL, KILLED, World, canaries_of, tag_of
from scanner import scan

from ledgers.database import open_database
from ledgers.evidence import EvidenceLedger, RunRecord
from ledgers.home import Home
from ledgers.keys import Keys

pytest_plugins = ["leak_world"]
LEAKING = "without airlock"
PLACES = (
    "home/vault", "home/mlflow", "home/prefect", "home/reports", "home/releases", "home/outbox",
    "home/incidents", "temporary", "user", "cwd", "console", "outcomes",
)  # fmt: skip
DATABASES = {
    "home/ledger.sqlite": ("evidence", "body"),
    "home/mlflow/mlflow.db": ("tags", "value"),
    "home/prefect/prefect.db": ("log", "message"),
}


@dataclass(frozen=True)
class Aftermath:
    """The world after the kill, before and after the next command, and what was found in it."""

    world: World
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
    """Kill a real run and give the next command; then search all that was ever written."""
    assert world.tell("killed", "run", str(world.policy("killed"))) == -9
    left = [path for path in (world.home / "vault").rglob("*") if path.is_file()]
    copied = world.root / "outcomes" / "after the kill"
    shutil.copytree(world.home / "vault", copied)
    world.tell("next", "report")
    world.tell("bad", "run", canaries_of("bad parameter")[0])
    # The caller's own argument is told to the caller, and to nobody else.
    (world.root / "console" / "bad").rename(world.root / "source" / "bad")
    hits = find_canaries(world.root, ignore=(world.root / "source",))
    return Aftermath(world, left, world.console("next"), hits)


def last_run(world: World, case: str) -> RunRecord:
    """Give the newest run of a case's policy from the evidence ledger."""
    home = Home.open(world.home)
    runs = EvidenceLedger(open_database(home), Keys.open(home)).runs()
    return [run for run in runs if run.policy == f"case-{tag_of(case)[::-1]}"][-1]


@pytest.mark.parametrize("case", [case for case in ALL if case != LEAKING])
def test_no_byte_of_a_person_is_written(aftermath: Aftermath, case: str) -> None:
    """However a run ends, nothing of its people lies outside of the source."""
    assert aftermath.hits.get(case, []) == []


def test_without_the_airlock_the_same_run_leaks(aftermath: Aftermath) -> None:
    """The control: what the airlock keeps in is otherwise in Prefect's store and the console."""
    found = " ".join(aftermath.hits[LEAKING])
    assert "home/prefect/prefect.db" in found
    assert "home/prefect/storage" in found
    assert "console/standing" in found


@pytest.mark.parametrize("case", {**CASES, **EPHEMERAL})
def test_each_run_ends_as_it_must(world: World, case: str) -> None:
    """The cases do what they are there for: a run that never came so far would leak nothing."""
    outcome, expected = world.outcomes[case], ALL[case]
    assert outcome.error == expected.error, outcome.message
    assert expected.words in outcome.message


def test_a_run_that_mlflow_missed_is_completed_inside_the_airlock(world: World) -> None:
    """Consent is read again before the waiting model is registered; an error there is sealed."""
    broken, done = world.completed
    assert "still pending: step 'complete' failed with ValueError" in broken
    assert "is now closed as passed" in done


def test_kill_leaves_nothing_readable(aftermath: Aftermath) -> None:
    """Data lay in the vault when the process was killed, and without its key it is noise."""
    assert len(aftermath.left_by_kill) >= 12
    assert aftermath.hits.get("killed", []) == []


def test_the_next_command_closes_a_killed_run(aftermath: Aftermath) -> None:
    """It removes the dead run's folder, says so, and closes the run as failed."""
    run = last_run(aftermath.world, "killed")
    assert (
        f"run {run.run_id} ended before it was done and is now closed as failed"
        in aftermath.said_next
    )
    assert "its encrypted folder was removed" in aftermath.said_next
    assert list((aftermath.world.home / "vault").iterdir()) == []
    assert run.verdict == "failed"


def test_the_scan_would_find_a_canary_in_every_place(aftermath: Aftermath, tmp_path: Path) -> None:
    """The control: one file or one row in each place that was searched is found there."""
    root, canary = aftermath.world.root, canaries_of("passed")[0]
    shutil.copytree(root, tmp_path / "copy", ignore=shutil.ignore_patterns("source", "artifacts"))
    for place in PLACES:
        (tmp_path / "copy" / place / "planted").write_text(f"of {canary}0001, and others")
    for database, (table, column) in DATABASES.items():
        newest = f"rowid = (SELECT max(rowid) FROM {table})"
        change = f"UPDATE {table} SET {column} = ? WHERE {newest}"  # noqa: S608 - names from above
        with sqlite3.connect(tmp_path / "copy" / database) as connection:
            changed = connection.execute(change, [canary])
            assert changed.rowcount == 1
        connection.close()
    found = {place.partition(" (")[0] for place in find_canaries(tmp_path / "copy")["passed"]}
    assert found >= {f"{place}/planted" for place in PLACES} | DATABASES.keys()


def test_a_bad_parameter_makes_no_run(aftermath: Aftermath) -> None:
    """What is no policy's name is refused before Prefect, which stores whatever it is given."""
    assert "there is no such file" in (aftermath.world.root / "source" / "bad").read_text()
    assert KILLED["bad parameter"].error == "PolicyError"
