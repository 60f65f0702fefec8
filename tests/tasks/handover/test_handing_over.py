"""Whatever ends a process while it hands over, the next command finishes the run, and once."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.run.leftovers import finish_leftovers, has_leftovers
from deployments.run.screen import describe_run
from deployments.runs.screen import choose_rows
from expectations.errors import Refusal, ServiceError
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home, Settings
from ledgers.home.keys import Keys
from ledgers.outbox import Outbox
from ledgers.vault.vault import Vault
from tasks.account.projection import project
from tasks.handover import delivery, recording
from tasks.handover.delivery import complete_runs
from tests.conftest import Folder, Runner, opened
from tests.recorded_runs import passed_run

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def end_process(*_: object, **__: object) -> None:
    """Stand for what ends a process at that point."""
    raise SystemExit(9)


def models(home: Home) -> list[ModelVersion]:
    """Give the registered models of a home."""
    from mlflow import MlflowClient

    return list(MlflowClient(recording.tracking_uri(home)).search_model_versions())


def verdicts(home: Home) -> list[str | None]:
    """Give how the runs on record stand."""
    ledger = EvidenceLedger(open_database(home), Keys.open(home))
    return [run.verdict for run in ledger.runs()]


def test_a_run_that_ends_while_it_is_closed_is_closed_as_passed(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All was handed over and the outbox is empty: nobody is asked again, nothing is made twice."""
    with monkeypatch.context() as patch:
        patch.setattr(EvidenceLedger, "close", end_process)
        with pytest.raises(SystemExit):
            run_direct(folder.write())
    assert Outbox(home, Keys.open(home)).pending() == []
    (done,) = complete_runs(home, Keys.open(home))
    assert done.said.endswith("is now closed as passed")
    assert (verdicts(home), len(models(home))) == (["passed"], 1)
    assert complete_runs(home, Keys.open(home)) == []


def test_a_refusal_takes_back_what_a_killed_process_handed_over(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Model and table were out when the process ended; a withdrawal since then takes both back."""
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "links_body", end_process)
        with pytest.raises(SystemExit):
            run_direct(folder.write())
    assert (len(models(home)), len(list(home.releases.iterdir()))) == (1, 1)
    folder.say("p05", "withdrawn", "2024-06-01T12:00:00Z")
    folder.write()
    (done,) = complete_runs(home, Keys.open(home))
    assert done.said.endswith("is now closed as refused")
    assert (models(home), list(home.releases.iterdir())) == ([], [])
    assert Outbox(home, Keys.open(home)).pending() == []


def test_a_run_that_is_under_way_is_left_to_its_process(home: Home, folder: Folder) -> None:
    """Whoever finishes what others left does not close it."""
    with opened(folder.write()):
        assert complete_runs(home, Keys.open(home)) == []
        assert verdicts(home) == [None]


def test_a_run_that_begins_meanwhile_is_not_taken_for_a_killed_one(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins after the living were counted and before the record is read."""
    keys = Keys.open(home)
    ledger, living = EvidenceLedger(open_database(home), keys), Vault.living

    def begin_then(vault: Vault) -> frozenset[str]:
        found = living(vault)
        ledger.begin("run-new", "small", {})
        return found

    monkeypatch.setattr(Vault, "living", begin_then)
    assert complete_runs(home, keys) == []
    assert [run.verdict for run in ledger.runs()] == [None]


def test_of_two_who_make_mlflows_store_the_first_is_kept(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second finds the first's when it is done, and leaves it."""
    store = home.mlflow / "mlflow.db"
    store.unlink()

    def first(_: int) -> str:
        store.write_bytes(b"the first")
        return "second"

    monkeypatch.setattr(recording.secrets, "token_hex", first)
    recording.make_store(home)
    assert store.read_bytes() == b"the first"
    assert [path.name for path in home.mlflow.iterdir()] == ["mlflow.db"]


def test_mlflow_shows_all_figures_of_a_run(home: Home) -> None:
    """Measures and published counts as metrics, what was asked for as parameters, and the tags."""
    from mlflow import MlflowClient

    record, policy, entries = passed_run()
    client = MlflowClient(recording.tracking_uri(home))
    run = client.create_run(client.create_experiment(record.policy))
    shown = project(record, policy, entries)
    recording._show(client, run, shown)
    found = client.get_run(run.info.run_id)
    assert found.data.metrics == shown.metrics
    assert found.data.params == shown.parameters
    assert shown.tags.items() <= found.data.tags.items()
    assert [one.dataset.name for one in found.inputs.dataset_inputs] == ["filter_consent"]


def test_a_password_in_mlflows_address_is_not_told(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason goes to Prefect, to the record and to the console."""
    address = "http://me:pw@mlflow.example:5000"
    named = dataclasses.replace(home, settings=Settings(mlflow_tracking_uri=address))

    def away(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(recording, "_record", away)
    with pytest.raises(ServiceError, match=r"MLflow at http://mlflow.example:5000 did not"):
        recording.record_run(named, *([None] * 4))  # type: ignore[arg-type]  # none is looked at


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE runs SET facts = '{}'", "the beginning of run run-old was changed"),
        ("DELETE FROM evidence WHERE kind = 'decision'", r"entry 2 \(decision: passed\) of run"),
        ("DELETE FROM runs", "run run-old is gone"),
    ],
    ids=["facts", "decision", "run"],
)
def test_a_record_that_was_cut_or_edited_stops_every_command(
    home: Home, change: str, said: str
) -> None:
    """A run's policy and own code would be taken from there."""
    keys = Keys.open(home)
    ledger = EvidenceLedger(open_database(home), keys)
    ledger.begin("run-old", "small", {"policy_text": "tutela: 0\n"})
    ledger.append("run-old", "step", "measure", "one", 1)
    ledger.append("run-old", "run", "decision", "passed", {})
    edit(home, change)
    for command in (lambda: finish_leftovers(home, keys), lambda: complete_runs(home, keys)):
        with pytest.raises(Refusal, match=said):
            command()


def test_a_run_whose_record_was_changed_is_not_carried_on(home: Home) -> None:
    """What a run found on its way is held against its own chain; the next command says so."""
    keys = Keys.open(home)
    ledger = EvidenceLedger(open_database(home), keys)
    ledger.begin("run-old", "small", {"policy_text": "tutela: 0\n"})
    ledger.append("run-old", "step", "measure", "one", 1)
    edit(home, "UPDATE evidence SET body = '2'")
    (done,) = complete_runs(home, keys)
    assert "is still pending: the record of run run-old was changed" in done.said
    assert verdicts(home) == [None]


def edit(home: Home, statement: str) -> None:
    """Change the database as its owner can: past the triggers."""
    with contextlib.closing(sqlite3.connect(home.ledger)) as connection:
        named = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (trigger,) in named.fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(statement)
        connection.commit()


def test_a_run_of_another_machine_is_left_to_it(
    home: Home, folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two homes share a database; whether the other's run is still alive shows over there only."""
    with opened(folder.write()) as run:
        other, keys = share_ledger(home, tmp_path / "other", run.id)
        with monkeypatch.context() as patch:
            patch.setattr(platform, "node", lambda: "another")
            assert not has_leftovers(other, keys)
            assert complete_runs(other, keys) == []
            assert choose_rows(other, keys)[0].elsewhere
            assert "Another machine is at work on this run" in describe_run(other, keys, run.id)[1]
        assert verdicts(home) == [None]


def share_ledger(home: Home, path: Path, run: str) -> tuple[Home, Keys]:
    """Give a home of the same keys over the same database, without what a run has in its own."""
    shutil.copytree(home.root, path, ignore=shutil.ignore_patterns(run, "ledger.sqlite*"))
    (path / "ledger.sqlite").symlink_to(home.ledger)
    shared = Home.open(path)
    return shared, Keys.open(shared)


def test_a_container_of_another_name_finishes_what_lies_in_its_folder(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was killed while it handed over; the next container has its vault and its outbox."""
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "links_body", end_process)
        with pytest.raises(SystemExit):
            run_direct(folder.write())
    monkeypatch.setattr(platform, "node", lambda: "another")
    (done,) = complete_runs(home, Keys.open(home))
    assert done.said.endswith("is now closed as passed")


def test_a_run_whose_policy_is_no_longer_read_stays_and_stops_nobody(home: Home) -> None:
    """A newer grammar may refuse an old policy; the next command says so and goes on."""
    keys = Keys.open(home)
    ledger = EvidenceLedger(open_database(home), keys)
    ledger.begin("run-old", "small", {"policy_text": "tutela: 0\n"})
    (done,) = complete_runs(home, keys)
    assert done.said.startswith("run run-old is still pending: this version cannot read its policy")
    assert verdicts(home) == [None]
