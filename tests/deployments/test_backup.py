"""A backup restores a home elsewhere, and undoes nothing that people rely on."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deployments.keeping import recovery
from expectations.errors import HomeError, Refusal, ServiceError, TutelaError, UsageError
from ledgers.acts import Acts
from ledgers.backup import write_backup
from ledgers.budget.ledger import BudgetLedger
from ledgers.consent.ledger import ConsentLedger
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.key_ledger import KeyLedger
from ledgers.retention import RetentionLedger
from tasks.handover.delivery import read_run
from tasks.handover.recording import fetch_model
from tests.ledgers.budget.budget_charges import FIXED, charge
from tests.ledgers.consent.consent_events import START, batch, event, token
from tests.runs import Place, copy_place, passed

PURPOSE = "dpv:ScientificResearch"
CANARY = "canary of a person"
RUN = "20300101T120000-0000000"


@dataclass(frozen=True)
class Ledgers:
    """The ledgers of a home."""

    home: Home
    keys: Keys

    @classmethod
    def open(cls, root: Path) -> Ledgers:
        """Open those of a home."""
        home = Home.open(root)
        return cls(home, Keys.open(home))

    @property
    def consent(self) -> ConsentLedger:
        """Who said what."""
        return ConsentLedger(open_database(self.home), self.home, self.keys)

    @property
    def budget(self) -> BudgetLedger:
        """What people were charged."""
        return BudgetLedger(open_database(self.home), self.keys)

    @property
    def data_keys(self) -> KeyLedger:
        """The keys of tokens."""
        return KeyLedger(open_database(self.home), self.keys)

    @property
    def evidence(self) -> EvidenceLedger:
        """The runs."""
        return EvidenceLedger(open_database(self.home), self.keys)

    @property
    def journal(self) -> Path:
        """The journal of acts."""
        path = Acts(self.keys).path
        assert path is not None
        return path


@pytest.fixture
def ledgers(home: Home, tmp_path: Path) -> Ledgers:
    """Ledgers with people in them, whose acts are kept apart, and a recovery key."""
    (tmp_path / "apart").mkdir()
    with (home.root / "settings.toml").open("a") as settings:
        settings.write(f'journal = "{tmp_path}/apart/acts.jsonl"\n')
    found = Ledgers.open(home.root)
    recovery.make_key(found.home, tmp_path / "recovery.key")
    found.consent.append(batch([event(n, evidence=CANARY) for n in range(5)]), "csv")
    found.budget.reserve(charge(f"{RUN}0", range(5)), FIXED)
    found.data_keys.use(PURPOSE)
    run(found, f"{RUN}0")
    return found


def run(ledgers: Ledgers, run_id: str) -> None:
    """Put a run on record that left a page."""
    ledgers.evidence.begin(run_id, "small", {"policy_text": "", "machine": None})
    ledgers.evidence.append(run_id, "run", "decision", "passed", {"reason": ""})
    ledgers.evidence.close(run_id, "passed")
    (ledgers.home.reports / f"{run_id}.html").write_text("page")


def act(ledgers: Ledgers) -> None:
    """Do what no restored backup may undo."""
    ledgers.consent.erase(token(1))
    ledgers.consent.append(batch([event(2, terms=1, valid_from=START + 9)]), "typed")
    ledgers.budget.reserve(charge(f"{RUN}1", range(3)), FIXED)
    ledgers.budget.commit(f"{RUN}1")
    ledgers.data_keys.destroy(PURPOSE)


def back_up(ledgers: Ledgers, tmp_path: Path) -> Path:
    """Write a backup, and give its file."""
    return Path(str(recovery.back_up(ledgers.home, ledgers.keys, tmp_path / "b").found["backup"]))


def restore(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledgers:
    """Build the home of a backup elsewhere."""
    monkeypatch.setenv("TUTELA_HOME", str(tmp_path / "restored"))
    recovery.rebuild(file, tmp_path / "recovery.key")
    return Ledgers.open(tmp_path / "restored")


def told(ledgers: Ledgers) -> list[Any]:
    """Give what people rely on."""
    said = [ledgers.consent.history(token(person)) for person in range(5)]
    terms = [[one.terms for one in history] for history in said]
    spent = [(one.run_id, one.state) for one in ledgers.budget.history()]
    ledgers.consent.verify()
    ledgers.budget.verify()
    ended = [(one.what, one.version) for one in ledgers.data_keys.history()]
    return [terms, spent, ledgers.budget.head(), ended]


def test_acts_since_a_backup_are_replayed_before_a_restored_home_is_written(
    ledgers: Ledgers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody who was erased comes back, and nobody has more budget than before."""
    file = back_up(ledgers, tmp_path)
    act(ledgers)
    restored = restore(file, tmp_path, monkeypatch)
    assert [one.run_id for one in restored.evidence.runs()] == [f"{RUN}0"]
    assert restored.consent.history(token(1))
    for write in (
        lambda: restored.evidence.begin("r", "small", {}),
        lambda: restored.budget.reserve(charge("r", [1]), FIXED),
        lambda: restored.consent.append(batch([event(9)]), "csv"),
        lambda: restored.data_keys.rotate(PURPOSE),
    ):
        with pytest.raises(HomeError, match="only reads"):
            write()
    done = recovery.replay_journal(restored.home, ledgers.journal).found["replayed"]
    assert done == {"erased": 1, "said": 1, "charge": 2, "destroyed": 1}
    assert told(restored) == told(ledgers)
    restored.budget.reserve(charge(f"{RUN}2", [1]), FIXED)
    restored.consent.append(batch([event(9)]), "csv")
    run(restored, f"{RUN}2")
    notes = RetentionLedger(open_database(restored.home), restored.keys).notes()
    assert [note.what for note in notes] == ["restored"]


def test_an_act_that_was_never_confirmed_is_replayed(
    ledgers: Ledgers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process may have been killed after its commit; before it, nobody is harmed."""
    file = back_up(ledgers, tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(Acts, "confirm", lambda *_: None)
        ledgers.budget.reserve(charge(f"{RUN}1", range(3)), FIXED)
    act_of = Acts(ledgers.keys).read(ledgers.journal)[-1]
    assert act_of.kind == "charge"
    assert ledgers.budget.history(), "what nobody confirmed is held against nobody"
    restored = restore(file, tmp_path, monkeypatch)
    recovery.replay_journal(restored.home, ledgers.journal)
    assert told(restored)[1] == told(ledgers)[1]


def test_a_journal_of_nothing_is_there_and_goes_on_from_a_backup(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home in which nobody was asked or charged yet: an absent file would prove nothing."""
    settings = home.root / "settings.toml"
    settings.write_text(f'journal = "{tmp_path}/acts.jsonl"\n', "utf-8")
    found = Ledgers.open(home.root)
    recovery.make_key(found.home, tmp_path / "recovery.key")
    restored = restore(back_up(found, tmp_path), tmp_path, monkeypatch)
    recovery.replay_journal(restored.home, tmp_path / "acts.jsonl")
    run(restored, f"{RUN}1")


def test_without_a_journal_somebody_has_to_say_why(
    ledgers: Ledgers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on record, and what cannot be known is told."""
    restored = restore(back_up(ledgers, tmp_path), tmp_path, monkeypatch)
    place = Place(restored.home)
    assert place.tell("restore", "--without-journal").status == 2
    said = place.tell("restore", "--without-journal", "--because", "lost too", "--by", "A. Weber")
    assert said.status == 0, said.err
    assert "who was\nerased or withdrew" in said.out
    (note,) = RetentionLedger(open_database(restored.home), restored.keys).notes()
    assert (note.what, note.who, note.because) == ("restored", "A. Weber", "lost too")
    run(restored, f"{RUN}2")


@pytest.mark.parametrize("what", ["older", "changed", "another home's"])
def test_a_journal_that_does_not_go_on_from_the_backup_is_refused(
    ledgers: Ledgers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Else what it lacks would be taken for what never was."""
    older = tmp_path / "older.jsonl"
    shutil.copy(ledgers.journal, older)
    act(ledgers)
    file = back_up(ledgers, tmp_path)
    lines = ledgers.journal.read_bytes().split(b"\n")
    if what == "changed":
        older.write_bytes(b"\n".join([*lines[:4], *lines[5:]]))
    elif what == "another home's":
        older.write_bytes(ledgers.journal.read_bytes().replace(b'"seq": 1,', b'"seq": 1, '))
        monkeypatch.setattr(Acts, "_link", lambda *_: "00" * 32)
    restored = restore(file, tmp_path, monkeypatch)
    with pytest.raises(Refusal, match="journal of acts"):
        recovery.replay_journal(restored.home, older)


def test_a_backup_is_read_by_the_recovery_key_alone_and_only_whole(
    ledgers: Ledgers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is in clear; a changed byte, a lost end and another key are met."""
    file = back_up(ledgers, tmp_path)
    content = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert [name for name in (b"root.key", b"SQLite", CANARY.encode()) if name in content] == []
    (tmp_path / "other.key").write_text("11" * 32)
    monkeypatch.setenv("TUTELA_HOME", str(tmp_path / "restored"))
    with pytest.raises(UsageError, match="sealed to another"):
        recovery.rebuild(file, tmp_path / "other.key")
    changed = content[:-50] + bytes([content[-50] ^ 1]) + content[-49:]
    for broken in (content[:-1], content[:-9000], changed):
        file.write_bytes(broken)
        with pytest.raises(TutelaError):
            recovery.rebuild(file, tmp_path / "recovery.key")
        assert not (tmp_path / "restored").exists()


def test_a_run_that_goes_on_meanwhile_is_in_the_backup_as_far_as_it_came(
    ledgers: Ledgers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it wrote after the record was copied is left out, and no reader calls that damage."""
    from ledgers import backup

    copy = backup._copy_store

    def meanwhile(store: Path, copies: Path) -> Path:
        found = copy(store, copies)
        if store.name == "ledger.sqlite":
            run(ledgers, f"{RUN}7")
        return found

    monkeypatch.setattr(backup, "_copy_store", meanwhile)
    file = write_backup(ledgers.home, ledgers.keys, tmp_path / "b")
    restored = restore(file, tmp_path, monkeypatch)
    assert [one.run_id for one in restored.evidence.runs()] == [f"{RUN}0"]
    assert [path.name for path in restored.home.reports.iterdir()] == [f"{RUN}0.html"]
    assert restored.budget.history()


def test_a_ledger_that_was_put_back_is_noticed_before_anything_is_charged(
    ledgers: Ledgers, tmp_path: Path
) -> None:
    """By the journal apart, though database and heads were put back together."""
    put_back(ledgers, tmp_path, act)
    with pytest.raises(Refusal, match="put back"):
        ledgers.budget.reserve(charge(f"{RUN}3", [1]), FIXED)
    with pytest.raises(Refusal, match="put back"):
        ledgers.budget.history()
    with pytest.raises(Refusal, match="put back"):
        ledgers.consent.head()
    recovery.replay_journal(ledgers.home, ledgers.journal)
    assert (f"{RUN}1", "committed") in told(ledgers)[1]
    ledgers.budget.reserve(charge(f"{RUN}3", [1]), FIXED)


def test_a_ledger_that_was_put_back_is_noticed_by_what_runs_left(
    ledgers: Ledgers, tmp_path: Path
) -> None:
    """By their pages and cards, where no journal is kept apart."""
    put_back(ledgers, tmp_path, lambda found: run(found, f"{RUN}1"))
    home = replace(ledgers.home, settings=replace(ledgers.home.settings, journal=None))
    alone = Ledgers(home, Keys(home, ledgers.keys.root))
    with pytest.raises(Refusal, match=f"run {RUN}1 left something"):
        alone.budget.reserve(charge(f"{RUN}3", [1]), FIXED)


def test_a_consent_ledger_that_was_put_back_is_noticed_by_the_runs_on_record(
    ledgers: Ledgers,
) -> None:
    """Each names the history that it decided on."""
    home = replace(ledgers.home, settings=replace(ledgers.home.settings, journal=None))
    alone = Ledgers(home, Keys(home, ledgers.keys.root))
    history = {"events": 9, "link": "00" * 32}
    alone.evidence.begin(f"{RUN}1", "small", {})
    alone.evidence.append(f"{RUN}1", "consent", "snapshot", "history", history)
    with pytest.raises(Refusal, match=f"run {RUN}1 knew it"):
        alone.consent.head()


def put_back(ledgers: Ledgers, tmp_path: Path, meanwhile: Any) -> None:
    """Put the database and the signed heads back to before something was done."""
    (kept := tmp_path / "kept").mkdir()
    for path in ledgers.home.root.glob("*-heads.jsonl"):
        shutil.copy(path, kept / path.name)
    with (
        closing(sqlite3.connect(ledgers.home.ledger)) as database,
        closing(sqlite3.connect(":memory:")) as copy,
    ):
        database.backup(copy)
        meanwhile(ledgers)
        copy.backup(database)
    for path in kept.iterdir():
        shutil.copy(path, ledgers.home.root / path.name)


def test_a_journal_that_cannot_be_written_stops_the_act(ledgers: Ledgers) -> None:
    """Before anything is committed."""
    ledgers.journal.parent.rename(ledgers.journal.parent.with_name("gone"))
    with pytest.raises(ServiceError, match="cannot be written"):
        ledgers.budget.reserve(charge(f"{RUN}3", [1]), FIXED)
    ledgers.journal.parent.with_name("gone").rename(ledgers.journal.parent)
    assert [one.run_id for one in ledgers.budget.history()] == [f"{RUN}0"]


def test_the_journal_holds_nobodys_value(ledgers: Ledgers) -> None:
    """Neither what was said nor how many events there are."""
    act(ledgers)
    content = ledgers.journal.read_text()
    assert CANARY not in content
    assert PURPOSE not in content
    assert str(ledgers.budget.head().link) not in content


def test_links_to_mlflow_work_where_a_home_was_moved_to(tmp_path: Path) -> None:
    """The model that was registered there is given from the new place."""
    place = copy_place(passed("diabetes").place, tmp_path / "first")
    place.home.root.rename(tmp_path / "moved home")
    moved = Place(Home.open(tmp_path / "moved home"))
    shown = read_run(moved.home, moved.keys, moved.last.record.run_id).mlflow_run
    assert fetch_model(moved.home, str(shown), "diabetes.clinics")
    assert (tmp_path / "moved home").as_uri() in str(moved.mlflow.get_run(shown).info.artifact_uri)
