"""What the evidence ledger promises: appended, kept, and an edit shows."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from expectations.errors import HomeError, Refusal, ServiceError, UsageError
from ledgers import evidence, journal, key_ledger, leases, releases, retention, signed_heads
from ledgers.budget import tables as budget_tables
from ledgers.consent import tables as consent_tables
from ledgers.evidence import EvidenceLedger
from ledgers.home import database
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.people import register
from tests.conftest import PRAGMAS


@pytest.fixture
def ledger(template_home: Path, tmp_path: Path) -> Iterator[EvidenceLedger]:
    """A ledger with one run of three entries, under way."""
    shutil.copytree(template_home, tmp_path / "home")
    home = Home.open(tmp_path / "home")
    engine = open_database(home)
    ledger = EvidenceLedger(engine, Keys.open(home))
    ledger.begin("run-1", "adult", {"code": "c0ffee"})
    for name, reached in (("k", 5), ("l", 2), ("t", 0.25)):
        ledger.append("run-1", "validate", "measure", name, {"reached": reached}, sealed={"n": 47})
    yield ledger
    engine.dispose()


def edit(ledger: EvidenceLedger, statement: str) -> None:
    """Change the database as its owner can: past the triggers, with another program."""
    connection = sqlite3.connect(ledger.keys.home.ledger)
    for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_entries_come_back_as_they_were_written(ledger: EvidenceLedger) -> None:
    """In order, with their numbers' types, and exact figures only to the keys' holder."""
    entries = ledger.entries("run-1")
    assert [entry.seq for entry in entries] == [1, 2, 3]
    assert [entry.body for entry in entries] == [{"reached": 5}, {"reached": 2}, {"reached": 0.25}]
    assert ledger.unseal(entries[0]) == {"n": 47}
    stored = b"".join(path.read_bytes() for path in ledger.keys.home.root.glob("ledger.sqlite*"))
    assert b'"n":47' not in stored
    assert b'"reached":0.25' in stored


def test_some_entries_of_all_runs_are_picked_each_by_its_link(ledger: EvidenceLedger) -> None:
    """A changed one shows, or the one before it; the first is linked to its run's own row."""
    ledger.begin("run-2", "other", {})
    ledger.append("run-2", "validate", "measure", "t", 1)
    picked = ledger.pick([("measure", "t"), ("measure", "k%")])
    assert {run: [e.name for e in some] for run, some in picked.items()} == {
        "run-1": ["k", "t"], "run-2": ["t"],
    }  # fmt: skip
    assert picked["run-1"] == [ledger.entries("run-1")[0], ledger.entries("run-1")[2]]
    edit(ledger, "UPDATE evidence SET body = 0 WHERE run_id = 'run-1' AND name = 't'")
    with pytest.raises(ServiceError, match="entry 3 of run run-1"):
        ledger.pick([("measure", "t")])


def test_a_run_is_open_until_its_verdict(ledger: EvidenceLedger) -> None:
    """The verdict is one more entry, after which the run takes no other."""
    assert [run.verdict for run in ledger.runs()] == [None]
    ledger.close("run-1", "refused", {"check": "k"})
    assert [(run.verdict, run.facts) for run in ledger.runs()] == [("refused", {"code": "c0ffee"})]
    with pytest.raises(ServiceError, match="closed"):
        ledger.append("run-1", "train", "measure", "auc", 0.7)


def test_a_pending_run_may_still_be_decided(ledger: EvidenceLedger) -> None:
    """When MLflow is back the run goes on, and its latest verdict counts."""
    ledger.close("run-1", "pending")
    assert ledger.runs()[0].verdict == "pending"
    ledger.append("run-1", "register", "digest", "model", "ab12")
    ledger.close("run-1", "passed")
    assert ledger.runs()[0].verdict == "passed"
    ledger.verify("run-1")


def test_a_run_must_begin_and_begins_once(ledger: EvidenceLedger) -> None:
    """Evidence without a run, or a second run under the same id, is refused."""
    with pytest.raises(ServiceError, match="has to begin"):
        ledger.append("run-2", "train", "measure", "auc", 0.7)
    with pytest.raises(ServiceError, match="IntegrityError"):
        ledger.begin("run-1", "other", {})
    assert ledger.runs()[0].policy == "adult"


def test_a_figure_that_is_no_number_is_refused(ledger: EvidenceLedger) -> None:
    """NaN is no JSON; it would make the record unreadable elsewhere."""
    with pytest.raises(ValueError, match="JSON"):
        ledger.append("run-1", "train", "measure", "auc", float("nan"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE evidence SET body = '{}' WHERE seq = 1",
        "DELETE FROM evidence WHERE seq = 3",
        "REPLACE INTO evidence SELECT * FROM evidence WHERE seq = 1",
        "UPDATE runs SET policy = 'mild'",
        "DELETE FROM runs",
        "REPLACE INTO runs SELECT run_id, 'mild', started_at, facts FROM runs",
    ],
    ids=["update", "delete", "replace", "update run", "delete run", "replace run"],
)
def test_the_database_itself_refuses_to_change_the_record(
    ledger: EvidenceLedger, statement: str
) -> None:
    """A tool that opens the file without this program meets the triggers."""
    connection = sqlite3.connect(ledger.keys.home.ledger)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    ledger.verify("run-1")


@pytest.mark.parametrize(
    ("statement", "entry"),
    [
        ("UPDATE evidence SET body = '{\"reached\":9}' WHERE seq = 2", 2),
        ("UPDATE evidence SET sealed = (SELECT sealed FROM evidence WHERE seq = 1)", 2),
        ("UPDATE evidence SET at = '2020-01-01' WHERE seq = 3", 3),
        ("DELETE FROM evidence WHERE seq = 2", 2),
        ("UPDATE evidence SET run_id = 'run-1', seq = 4 WHERE seq = 1", 1),
        ("UPDATE runs SET policy = 'mild'", 1),
    ],
    ids=["body", "sealed", "time", "removed", "moved", "run"],
)
def test_an_edit_past_the_triggers_shows(
    ledger: EvidenceLedger, statement: str, entry: int
) -> None:
    """Nobody reads a run without its chain, which names the first entry that is off."""
    ledger.verify("run-1")
    edit(ledger, statement)
    for read in (ledger.verify, ledger.entries):
        with pytest.raises(ServiceError, match=f"at or before entry {entry} of"):
            read("run-1")


@pytest.mark.parametrize(
    "action",
    [
        "AFTER INSERT ON evidence BEGIN UPDATE evidence SET name = 'passed' WHERE seq = NEW.seq",
        "AFTER INSERT ON evidence BEGIN DELETE FROM evidence WHERE seq = NEW.seq",
        "AFTER INSERT ON journal BEGIN UPDATE evidence SET name = 'passed' WHERE kind = 'decision'",
        "AFTER INSERT ON journal BEGIN UPDATE journal SET name = 'passed' WHERE seq = NEW.seq",
        "BEFORE INSERT ON evidence BEGIN SELECT RAISE(IGNORE)",
    ],
    ids=["renamed", "dropped", "later", "line", "ignored"],
)
def test_a_trigger_that_rewrites_what_is_written_is_met_at_once(
    ledger: EvidenceLedger, action: str
) -> None:
    """No refusal becomes what passed, and nothing is written."""
    edit(ledger, f"CREATE TRIGGER forger {action}; END")
    with pytest.raises(ServiceError, match=r"changed a row of .* as it was written"):
        ledger.append("run-1", "run", "decision", "refused", {})
    edit(ledger, "SELECT 1")
    assert [entry.kind for entry in ledger.entries("run-1")] == ["measure"] * 3


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (None, r"entry 5 of run run-1 \(decision: refused\) was taken out"),
        ("DELETE FROM journal WHERE name = 'refused'", "lines 4 to 4 of its journal were signed"),
        ("UPDATE journal SET name = 'passed'", "line 1 of its journal"),
        ("UPDATE journal SET run_id = 'run-2' WHERE name = 'refused'", "line 4 of its journal"),
        ("UPDATE journal SET run_id = 'run-2' WHERE run_id = 'run-1'", "line 1 of its journal"),
    ],
    ids=["cut", "with its line", "renamed", "line of another", "all lines of another"],
)
def test_a_decision_that_was_cut_off_shows_to_whoever_reads_the_run(
    ledger: EvidenceLedger, statement: str | None, said: str
) -> None:
    """Or what was decided before it would count."""
    ledger.begin("run-2", "adult", {})
    ledger.append("run-1", "run", "decision", "passed", {})
    ledger.append("run-1", "run", "decision", "refused", {})
    edit(ledger, "DELETE FROM evidence WHERE name = 'refused'")
    edit(ledger, statement or "SELECT 1")
    for read in (ledger.verify, ledger.entries):
        with pytest.raises((ServiceError, Refusal), match=said):
            read("run-1")


def test_a_run_is_read_from_its_own_beginning_on(ledger: EvidenceLedger) -> None:
    """Not all of the journal is recomputed for one run: what came before is no matter of it."""
    ledger.begin("run-2", "adult", {})
    ledger.append("run-2", "run", "decision", "passed", {})
    edit(ledger, "UPDATE journal SET name = 'mild' WHERE run_id = 'run-1'")
    assert [entry.name for entry in ledger.entries("run-2")] == ["passed"]
    with pytest.raises(Refusal, match="line 1 of its journal"):
        ledger.entries("run-1")


def test_a_run_whose_row_is_gone_is_not_read_as_one_that_never_was(ledger: EvidenceLedger) -> None:
    """Its entries are there."""
    assert ledger.entries("run-2") == []
    edit(ledger, "DELETE FROM runs")
    for read in (ledger.verify, ledger.entries):
        with pytest.raises(ServiceError, match="run run-1 is not on the record"):
            read("run-1")


def test_a_run_is_found_by_the_beginning_of_its_id(ledger: EvidenceLedger) -> None:
    """One match is taken, none and several are said; a wildcard is a plain sign."""
    ledger.begin("run-22", "adult", {})
    assert ledger.find("run-2").run_id == "run-22"
    for prefix, said in (("run", "2 runs"), ("x", "no run"), ("%", "no run"), ("", "no run")):
        with pytest.raises(UsageError, match=said):
            ledger.find(prefix)


def test_evidence_of_a_killed_process_is_on_the_record(ledger: EvidenceLedger) -> None:
    """Each entry is on the disk when `append` returns."""
    script = (
        "import os, sys, pathlib, signal\nfrom ledgers.home.home import Home\n"
        "from ledgers.home.keys import Keys\nfrom ledgers.home.database import open_database\n"
        "from ledgers.evidence import EvidenceLedger\nhome = Home.open(pathlib.Path(sys.argv[1]))\n"
        "ledger = EvidenceLedger(open_database(home), Keys.open(home))\n"
        "ledger.append('run-1', 'train', 'measure', 'auc', 0.7)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", script, str(ledger.keys.home.root)]
    assert subprocess.run(command, check=False).returncode == -9
    assert ledger.entries("run-1")[-1].name == "auc"
    ledger.verify("run-1")


def test_an_error_of_the_database_quotes_nothing(ledger: EvidenceLedger) -> None:
    """A full or broken database is a ServiceError without the statement's parameters."""
    edit(ledger, "DROP TABLE evidence")
    with pytest.raises(ServiceError, match="OperationalError") as caught:
        ledger.append("run-1", "train", "measure", "Ada", "Lovelace")
    assert "Lovelace" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_sqlite_is_set_up_for_safety(
    ledger: EvidenceLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every commit reaches the disk, and what is deleted is overwritten."""
    monkeypatch.setattr(database, "PRAGMAS", PRAGMAS)
    engine = open_database(ledger.keys.home)
    with engine.begin() as connection:
        found = {
            name: connection.scalar(sa.text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "secure_delete", "busy_timeout")
        }
    engine.dispose()
    expected = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "busy_timeout": 30000}
    assert found == expected


def test_the_migrations_make_the_tables_that_the_code_uses(ledger: EvidenceLedger) -> None:
    """The newest step is the one the program expects, and no column differs."""
    folder = Path(database.__file__).parents[1] / "migrations"
    ledgers = (evidence, consent_tables, key_ledger, releases, budget_tables, journal, retention)
    tables = [ledger.METADATA for ledger in (*ledgers, leases, signed_heads, register)]
    assert ScriptDirectory(str(folder)).get_current_head() == database.SCHEMA
    with ledger.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, tables) == []


def test_a_database_of_a_newer_program_is_refused(ledger: EvidenceLedger) -> None:
    """An old program must not write into a schema that it does not know."""
    edit(ledger, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(HomeError, match="newer tutela"):
        open_database(ledger.keys.home)


def test_two_writers_append_without_loss(ledger: EvidenceLedger) -> None:
    """Each transaction takes the write lock at its beginning and waits for the other."""
    script = (
        "import sys, pathlib\n"
        "from ledgers.home.home import Home\nfrom ledgers.home.keys import Keys\n"
        "from ledgers.home.database import open_database\n"
        "from ledgers.evidence import EvidenceLedger\n"
        "home = Home.open(pathlib.Path(sys.argv[1]))\n"
        "ledger = EvidenceLedger(open_database(home), Keys.open(home))\n"
        "for count in range(40): ledger.append('run-1', 'step', 'measure', sys.argv[2], count)"
    )
    root = str(ledger.keys.home.root)
    writers = [subprocess.Popen([sys.executable, "-c", script, root, name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(ledger.entries("run-1")) == 83
    ledger.verify("run-1")


def test_a_clock_that_was_set_back_puts_nothing_before_what_is_on_record(
    ledger: EvidenceLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's days are counted from when it began, and runs are listed in the order they began."""
    back = "2001-01-01T00:00:00.000000+00:00"
    for module in (evidence, journal):
        monkeypatch.setattr(module, "stamp", lambda: back)
    ledger.begin("run-0", "adult", {})
    for name in ("k", "l"):
        ledger.append("run-0", "validate", "measure", name, 1)
    first, second = ledger.runs()
    assert (first.run_id, second.run_id) == ("run-1", "run-0")
    assert first.started_at <= second.started_at
    assert {entry.at for entry in ledger.entries("run-0")} == {second.started_at}
