"""What is due goes to the byte, on record, once and only then; what is held or in use stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
import sqlalchemy as sa

from deployments.keeping.maintain import announce_done, maintain
from expectations.errors import Refusal, ServiceError, UsageError
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys, seal_incident
from ledgers.outbox import Outbox
from ledgers.retention import RetentionLedger
from tasks.handover.delivery import complete_runs, read_run
from tasks.watching.announcing import announce
from tests.conftest import Folder
from tests.runs import Place, copy_place, passed

MARK = "zyxwort-of-this-run"
GONE = "qblorp-that-was-deleted"
KEPT = "retention: {goods: 10 days, evidence: 2 years, because: limitation}\n"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A copy of a home in which a policy passed, whose goods are kept for 365 days."""
    return copy_place(passed("diabetes").place, tmp_path / "home")


@pytest.fixture
def ledger(home: Home) -> EvidenceLedger:
    """An empty record."""
    return EvidenceLedger(open_database(home), Keys.open(home))


def later(days: int) -> datetime:
    """Give a moment that is so many days from now."""
    return datetime.now(UTC) + timedelta(days=days)


def run(ledger: EvidenceLedger, run_id: str, text: str = KEPT) -> str:
    """Put a run on record that left a page and passed."""
    ledger.begin(run_id, "small", {"policy_text": text, "policy_sha256": "00ff"})
    ledger.append(run_id, "train", "measure", MARK, 0.5)
    ledger.append(run_id, "run", "decision", "passed", {"reason": ""})
    ledger.append(run_id, "record", "release", "partner", {"package": "p", "digest": "abc1"})
    ledger.close(run_id, "passed")
    (ledger.keys.home.reports / f"{run_id}.html").write_text(MARK)
    return run_id


def tell(ledger: EvidenceLedger, now: datetime) -> Any:
    """Maintain a home at a moment, and give what was done."""
    answer = maintain(ledger.keys.home, ledger.keys, now)
    assert answer.refused is None
    return answer.found


def find(root: Path, marks: Iterable[str]) -> list[tuple[str, str]]:
    """Search every byte under a folder."""
    files = [(path, path.read_bytes()) for path in root.rglob("*") if path.is_file()]
    return [(path.name, mark) for path, held in files for mark in marks if mark.encode() in held]


def ask(database: Path, query: str) -> list[Any]:
    """Read from a database."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def test_nothing_of_goods_that_are_due_is_found(place: Place) -> None:
    """Not their ids, nor a tag that was changed, in any file beside the record."""
    run_id, home = place.last.record.run_id, place.home
    shown = read_run(home, place.keys, run_id).mlflow_run
    assert shown is not None
    (model,), store = place.last.models, home.mlflow / "mlflow.db"
    (logged,) = ask(store, "SELECT model_id FROM logged_models")
    place.mlflow.set_tag(shown, "note", MARK)
    with closing(sqlite3.connect(store)) as connection, connection:
        # As MLflow's own deletions leave it, where SQLite was not built to overwrite.
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("INSERT INTO tags VALUES ('long', ?, ?)", [GONE * 300, shown])
        connection.execute("DELETE FROM tags WHERE key = 'long'")
    assert GONE.encode() in store.read_bytes()
    assert tell(place.ledger, later(364))["goods_removed"] == []
    answer = maintain(home, place.keys, later(366))
    assert answer.found["goods_removed"] == [run_id]
    assert announce_done(home, place.keys, answer) == []
    marks = (run_id, shown, logged[0], MARK, GONE)
    # What its record says stays, in the ledger and on the page of all runs.
    found = set(find(home.root, marks)) - {("index.html", run_id)}
    assert {name for name, _ in found} == {"ledger.sqlite"}
    assert place.handed_over == (set(), set())
    assert place.runs[0].verdict == "passed"
    assert f"removed on {datetime.now(UTC).date()}" in place.tell("report", run_id).out
    assert tell(place.ledger, later(366))["goods_removed"] == []
    kept = ask(store, "SELECT name, version, run_id FROM model_versions")
    assert kept == [(model.name, int(model.version), None)], "or another model gets its number"


def test_a_model_in_use_is_kept_with_its_evidence(place: Place) -> None:
    """As long as a version of it has an alias, and that is told."""
    (model,) = place.last.models
    place.mlflow.set_registered_model_alias(model.name, "champion", model.version)
    told = tell(place.ledger, later(9999))
    assert told["in_use"] == {place.last.record.run_id: [f"{model.name}@champion"]}
    assert (told["goods_removed"], told["evidence_removed"], len(place.models)) == ([], [], 1)


def test_what_is_held_stays_until_the_hold_is_lifted(place: Place) -> None:
    """With who, why and when it is looked at again; it does not end by itself."""
    run_id = place.last.record.run_id
    assert place.tell("hold", run_id, "--because", "complaint 17").status == 2
    said = place.tell(
        "hold", run_id, "--because", "complaint 17", "--by", "A. Weber", "--until", "2090-01-01"
    )
    assert said.status == 0, said.err
    assert all(part in place.tell("hold").out for part in ("complaint 17", "Weber", "2090-01-01"))
    answer = maintain(place.home, place.keys, datetime(2091, 1, 1, tzinfo=UTC))
    assert "it was to be looked at again on 2090-01-01" in " ".join(answer.lines)
    assert answer.found["held"] == [run_id]
    assert place.last.released.exists()
    lifted = place.tell("hold", run_id, "--release", "--because", "settled", "--by", "A. Weber")
    assert lifted.status == 0, lifted.err
    assert tell(place.ledger, later(366))["goods_removed"] == [run_id]


def test_a_night_that_was_cut_short_is_finished_by_the_next(
    ledger: EvidenceLedger, home: Home
) -> None:
    """What began to go is on record before a byte of it is."""
    begun = run(ledger, "20300101T120000-00000001")
    broken = mock.patch("tasks.keeping.removal.compact", side_effect=ServiceError("the disk"))
    with broken:
        assert maintain(home, ledger.keys, later(11)).refused is not None
    assert [note.what for note in RetentionLedger(ledger.engine, ledger.keys).notes()] == ["goods"]
    assert tell(ledger, later(11))["goods_removed"] == [begun]
    assert not list(home.reports.iterdir())


def test_evidence_goes_by_its_own_clock_and_no_reader_calls_that_damage(
    ledger: EvidenceLedger,
) -> None:
    """What stays is who decided what, and the digests of what recipients may still hold."""
    gone, stays = (run(ledger, f"20300101T120000-0000000{n}", t) for n, t in enumerate((
        KEPT, "retention_days: 10\n",
    )))  # fmt: skip
    assert tell(ledger, later(800))["goods_removed"] == [gone, stays]
    assert tell(ledger, later(800))["evidence_removed"] == [gone]
    assert [one.run_id for one in ledger.runs()] == [stays]
    with pytest.raises(UsageError, match="was removed on"):
        ledger.find(gone)
    assert ledger.entries(gone) == []
    run(ledger, "20300101T120000-00000007")
    (note,) = [n for n in RetentionLedger(ledger.engine, ledger.keys).notes() if n.run_id == gone
               and n.what == "evidence"]  # fmt: skip
    assert "abc1" in note.kept


def test_a_run_whose_evidence_is_removed_leaves_the_page_of_all_runs(
    ledger: EvidenceLedger, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its figures would stand there beyond their days."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    gone = run(ledger, "20300101T120000-00000001")
    page = home.root / "index.html"
    assert announce(home, ledger.keys) == []
    assert f"reports/{gone}.html" in page.read_text()
    maintain(home, ledger.keys, later(800))
    answer = maintain(home, ledger.keys, later(800))
    assert announce_done(home, ledger.keys, answer) == []
    assert gone not in page.read_text()
    assert "No run yet" in page.read_text()


def test_no_byte_of_removed_evidence_is_left(ledger: EvidenceLedger, home: Home) -> None:
    """Neither in the database nor in its log."""
    run(ledger, "20300101T120000-00000001")
    tell(ledger, later(800))
    assert find(home.root, [MARK])
    tell(ledger, later(800))
    assert find(home.root, [MARK, "limitation"]) == []


def test_evidence_that_nobody_noted_as_removed_cannot_be_deleted(ledger: EvidenceLedger) -> None:
    """Not by a tool that respects triggers; without them the journal shows it."""
    run_id = run(ledger, "20300101T120000-00000001")
    with (
        pytest.raises(sa.exc.IntegrityError, match="removal is noted"),
        ledger.engine.begin() as on,
    ):
        on.execute(sa.text("DELETE FROM evidence"))
    with ledger.engine.begin() as connection:
        for table in ("evidence", "runs"):
            connection.execute(sa.text(f"DROP TRIGGER {table}_no_delete"))
            connection.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608
    with pytest.raises(Refusal, match=f"{run_id} is gone"):
        ledger.runs()


def test_a_note_of_retention_that_was_changed_or_taken_out_is_refused(
    ledger: EvidenceLedger,
) -> None:
    """Or a hold would end without anybody's word."""
    retention = RetentionLedger(ledger.engine, ledger.keys)
    retention.hold("r1", "A. Weber", "complaint", "2090-01-01")
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("DROP TRIGGER retention_no_delete"))
        connection.execute(sa.text("DELETE FROM retention"))
    with pytest.raises(Refusal, match="note 1 of what was removed and held is gone"):
        retention.notes()


def test_the_text_of_an_error_is_kept_no_longer_than_what_it_may_quote(
    ledger: EvidenceLedger, home: Home
) -> None:
    """As long as the shortest goods, and never longer than a quarter."""
    seal_incident(home, "p17 is 44")
    assert tell(ledger, later(89))["incidents_removed"] == 0
    run(ledger, "20300101T120000-00000001")
    assert tell(ledger, later(11))["incidents_removed"] == 1
    assert not list(home.incidents.iterdir())


def test_what_waits_for_mlflow_beyond_its_days_is_handed_over_no_more(
    ledger: EvidenceLedger, home: Home, folder: Folder
) -> None:
    """Its outbox is emptied, and the run is closed as failed once MLflow takes it."""
    text, run_id = folder.write().read_text(), "20300101T120000-00000001"
    facts = {"policy_text": text, "policy_sha256": "00", "source": None, "code": "tutela"}
    ledger.begin(run_id, "small", facts)
    ledger.append(run_id, "run", "decision", "passed", {"reason": ""})
    ledger.close(run_id, "pending")
    outbox = Outbox(home, ledger.keys)
    outbox.put(f"{run_id}-partner", b"goods")
    assert tell(ledger, later(29))["expired"] == []
    assert tell(ledger, later(31))["expired"] == [run_id]
    assert outbox.pending() == []
    assert [e.name for e in ledger.entries(run_id) if e.kind == "decision"] == ["passed", "failed"]
    (told,) = complete_runs(home, ledger.keys)
    assert "closed as failed" in told.said
    assert tell(ledger, later(31))["goods_removed"] == [run_id]


def test_a_home_of_a_newer_version_is_refused_with_words(home: Home) -> None:
    """Before anything in it is read or changed."""
    with closing(sqlite3.connect(home.ledger)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    said = Place(home).tell("report")
    assert said.status == 2
    assert "the ledger database has schema 9999: use a newer tutela" in said.err


def test_what_remains_on_a_server_elsewhere_is_told(place: Place, tmp_path: Path) -> None:
    """What its interface lets a client take back is gone: the version, and the run as active."""
    store, run_id = f"sqlite:///{tmp_path}/elsewhere.db", place.last.record.run_id
    (place.home.mlflow / "mlflow.db").rename(tmp_path / "elsewhere.db")
    home = replace(place.home, settings=replace(place.home.settings, mlflow_tracking_uri=store))
    answer = maintain(home, place.keys, later(366))
    assert answer.refused is None
    (told,) = cast("dict[str, list[str]]", answer.found["remaining_elsewhere"])[run_id]
    assert "until its operator runs mlflow gc" in told
    there = Place(home).mlflow
    assert list(there.search_model_versions()) == []
    assert there.search_runs([one.experiment_id for one in there.search_experiments()]) == []
    assert maintain(home, place.keys, later(366)).found["goods_removed"] == []
