"""`tutela doctor` and `tutela status`: each fault is found, and said with what to do about it."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.doctor import examinations
from deployments.doctor.examinations import EXAMINATIONS, Fault, Patient, examine
from ledgers.home.home import Home
from tests.runs import Place


def found(home: Home, title: str) -> list[Fault]:
    """Make one examination of a home."""
    return examine(Patient(home.root), EXAMINATIONS[title])


def test_a_sound_home_has_no_fault(home: Home) -> None:
    """Exit 0, and a line for each examination."""
    told = Place(home).tell("doctor")
    assert told.status == 0, told.out
    assert told.out.splitlines() == [f"ok   {title}" for title in EXAMINATIONS]


def test_a_fault_is_said_with_its_fix(home: Home) -> None:
    """Exit 2; as JSON, by examination."""
    (home.reports / "open.html").touch(mode=0o644)
    (home.reports / "open.html").chmod(0o644)
    told = Place(home).tell("doctor", "--json")
    faults = json.loads(told.out)["examinations"]
    assert told.status == 2
    assert faults.pop("permissions") == [
        {"fault": "1 file can be reached by other accounts", "fix": f"chmod -R go= {home.root}"}
    ]
    assert not any(faults.values())


def test_own_policies_are_written_as_any_file(home: Home) -> None:
    """The home around them is closed."""
    place = home.root / "policies"
    place.mkdir()
    (place / "small.yaml").touch(mode=0o644)
    assert found(home, "permissions") == []


def test_a_library_of_another_version_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLAlchemy 2.1 makes Prefect schedule nothing, and says so nowhere."""
    there = {"sqlalchemy": "2.1.0"}
    known = examinations.version
    monkeypatch.setattr(examinations, "version", lambda name: there.get(name) or known(name))
    (fault,) = found(home, "versions")
    assert "sqlalchemy 2.1.0 is installed, and tutela needs <2.1" in fault.what
    assert "requirements.lock" in fault.fix


def test_settings_and_keys_are_opened(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What keeps a run from beginning is said before it begins."""
    (home.root / "settings.toml").write_text('policies = "nowhere"')
    assert "nowhere is no folder" in found(home, "own policies")[0].what
    monkeypatch.setenv("TUTELA_PASSPHRASE", "for no key")
    (fault,) = found(home, "keys")
    assert fault.what.endswith("has no passphrase: give none (take TUTELA_PASSPHRASE away)")
    (home.root / "settings.toml").write_text("polices = 1")
    assert "unknown: polices" in f"{found(home, 'home and settings')[0]}"


def test_a_variable_that_would_send_or_store_is_named(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name, and what it would do."""
    monkeypatch.setenv("PREFECT_LOGGING_LOG_PRINTS", "true")
    (fault,) = found(home, "telemetry and storage variables")
    assert fault.what.startswith("PREFECT_LOGGING_LOG_PRINTS is set")
    assert fault.what.endswith("unset it")


def test_a_full_disk_is_seen_before_a_run_meets_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In GiB, and how much there should be."""
    usage = shutil.disk_usage(home.root)
    nearly = usage._replace(free=2**30)
    monkeypatch.setattr(examinations.shutil, "disk_usage", lambda _: nearly)
    (fault,) = found(home, "disk")
    assert (fault.what, "2 GiB" in fault.fix) == ("1.0 GiB are free on the home's disk", True)


def test_a_clock_behind_the_newest_record_is_seen(home: Home) -> None:
    """Time would run backwards in the record."""
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="microseconds")
    with closing(sqlite3.connect(home.ledger)) as ledger, ledger:
        ledger.execute("INSERT INTO runs VALUES ('r', 'p', ?, '{}')", [ahead])
    (fault,) = found(home, "clock")
    assert f"behind the newest record, of {ahead[:19]} UTC" in fault.what


def test_a_held_and_a_damaged_ledger_are_told_apart(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is ended by ending a program, the other by a backup."""
    monkeypatch.setattr(examinations, "PATIENCE", 0.01)
    with closing(sqlite3.connect(home.ledger, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        (fault,) = found(home, "locks")
        assert fault == Fault(
            f"another program holds {home.ledger}", f"`fuser -v {home.ledger}` names it; end it"
        )
        other.execute("ROLLBACK")
    assert found(home, "locks") == []
    home.ledger.write_bytes(b"no database" * 1000)
    assert "backup" in f"{found(home, 'ledgers')[0]}"


def test_a_named_server_that_is_away_is_named_without_its_login(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password in an address is nobody's to read."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{port}")
        (fault,) = found(home, "servers")
    assert fault.what == f"no MLflow answers at http://127.0.0.1:{port}"
    assert "secret" not in f"{fault}"


def test_a_process_that_was_left_is_named(home: Home) -> None:
    """A server of this home that holds no note; in the test a process that says its words."""
    program = "import sys; print(flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", program, "deployments.servers.prefect_process", str(home.root)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as left:
        assert left.stdout
        left.stdout.readline()
        faults = found(home, "processes")
        left.kill()
    assert [fault.fix for fault in faults] == [f"kill {left.pid}"]
    assert found(home, "processes") == []


def test_what_cannot_be_examined_is_a_fault_and_ends_no_other_examination(tmp_path: Path) -> None:
    """Without a home there is none to look into."""
    patient = Patient(tmp_path / "nowhere")
    faults = {title: examine(patient, look) for title, look in EXAMINATIONS.items()}
    assert faults["versions"] == []
    assert "run `tutela init`" in faults["home and settings"][0].what


def test_status_says_what_is_not_well(home: Home) -> None:
    """Exit 3, with what to do; nothing is started by looking."""
    told = Place(home).tell("status", "--json")
    parts = {part["what"]: part["how"] for part in json.loads(told.out)["parts"]}
    assert told.status == 3
    assert parts["Prefect's server"] == "is not running"
    assert "Run `tutela up`" in json.loads(told.err)["message"]
    assert not (home.prefect / "server.json").exists()


def test_status_shows_the_last_runs_and_what_waits(home: Home) -> None:
    """By policy and verdict alone."""
    place = Place(home)
    place.ledger.begin("20260701T030000-aa", "small", {})
    place.ledger.close("20260701T030000-aa", "pending")
    told = place.tell("status", "--json")
    found_there = json.loads(told.out)
    assert found_there["waiting"] == ["20260701T030000-aa"]
    assert [run["verdict"] for run in found_there["runs"]] == ["pending"]
    assert "1 run for MLflow" in told.err
