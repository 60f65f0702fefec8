"""The journal: what is cut out of the record, put in or swapped shows to whoever reads runs."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from expectations.errors import Refusal, ServiceError
from ledgers.budget.ledger import BudgetLedger
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.journal import HEADS
from ledgers.releases import PlanName, Release, ReleaseLedger
from ledgers.signed_heads import Heads
from tests.ledgers.budget.budget_charges import FIXED, charge, records

NAME, AT = PlanName("c0ffee", "partner", "2026"), "2026-03-01T00:00:00+00:00"


@pytest.fixture
def ledger(template_home: Path, tmp_path: Path) -> Iterator[EvidenceLedger]:
    """A ledger with two runs that passed and released a table, and one that is under way."""
    shutil.copytree(template_home, tmp_path / "home")
    home = Home.open(tmp_path / "home")
    ledger = EvidenceLedger(open_database(home), Keys.open(home))
    releases = ReleaseLedger(ledger.engine, ledger.keys)
    for seq, run in enumerate(("run-1", "run-2"), start=1):
        ledger.begin(run, "small", {"code": "c0ffee"})
        plan = releases.freeze(NAME, run, AT, "about 60", b"plan")
        releases.record(Release("small", seq, run, "Partner", NAME, plan.version, AT, b"rows"))
        ledger.append(run, "run", "decision", "passed", {})
        ledger.append(run, "record", "release", "partner", {"file": f"{run}/partner.csv"})
        ledger.append(run, "record", "measure", "k", 5)
        ledger.close(run, "passed")
    ledger.begin("run-3", "small", {"code": "c0ffee"})
    yield ledger
    ledger.engine.dispose()


def edit(ledger: EvidenceLedger, *statements: str) -> None:
    """Change the database as its owner can: past the triggers, with another program."""
    with closing(sqlite3.connect(ledger.keys.home.ledger)) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def heads(ledger: EvidenceLedger) -> Path:
    """Give the file of the journal's signed heads."""
    return ledger.keys.home.root / f"{HEADS}.jsonl"


OF_RUN = (
    "DELETE FROM evidence WHERE run_id = 'run-1'",
    "DELETE FROM runs WHERE run_id = 'run-1'",
)
ALL = ("DELETE FROM evidence", "DELETE FROM runs", "DELETE FROM journal")
DAMAGES = {
    "a verdict": (
        ("DELETE FROM evidence WHERE run_id = 'run-1' AND kind = 'verdict'",),
        r"entry 4 \(verdict: passed\) of run run-1 was changed or taken out",
    ),
    "another verdict": (
        ("UPDATE evidence SET name = 'refused', chain = 'f' WHERE kind = 'verdict' AND seq = 4",),
        r"entry 4 \(verdict: passed\) of run run-1",
    ),
    "a release note": (("DELETE FROM evidence WHERE kind = 'release'",), "entry 2"),
    "a run": (OF_RUN, "run run-1 is gone"),
    "a run with its lines": (
        (*OF_RUN, "DELETE FROM journal WHERE run_id = 'run-1'"),
        "line 1 of its journal",
    ),
    "the newest run with its lines": (
        ("DELETE FROM runs WHERE run_id = 'run-3'", "DELETE FROM journal WHERE run_id = 'run-3'"),
        "lines 12 to 12 of its journal were signed and are gone",
    ),
    "facts of a run": (("UPDATE runs SET facts = '{}'",), "the beginning of run run-1 was changed"),
    "a run put in": (
        ("INSERT INTO runs SELECT 'run-9', policy, started_at, facts FROM runs LIMIT 1",),
        "run run-9 is there, but did not begin in this home",
    ),
    "a line": (("UPDATE journal SET name = 'refused' WHERE name = 'passed'",), "line 4 of its"),
    "all lines": (("DELETE FROM journal",), "lines 1 to 12 of its journal were signed"),
    "all": (ALL, "lines 1 to 12 of its journal were signed"),
}


@pytest.mark.parametrize(("statements", "said"), DAMAGES.values(), ids=DAMAGES.keys())
def test_what_was_cut_out_or_put_in_shows_to_whoever_reads_runs(
    ledger: EvidenceLedger, statements: tuple[str, ...], said: str
) -> None:
    """A list, one run that is asked for, and the beginning of the next."""
    assert [run.verdict for run in ledger.runs()] == ["passed", "passed", None]
    edit(ledger, *statements)
    with pytest.raises(Refusal, match=f"evidence ledger: .*{said}"):
        ledger.runs()
    with pytest.raises(Refusal, match=said):
        ledger.find("run-1")
    with pytest.raises(Refusal, match=said):
        ledger.begin("run-4", "small", {})


def test_a_journal_without_its_signed_heads_is_not_trusted(ledger: EvidenceLedger) -> None:
    """Neither read, nor gone on with as if it were a new one."""
    heads(ledger).unlink()
    for use in (ledger.runs, lambda: ledger.append("run-3", "run", "decision", "passed", {})):
        with pytest.raises(Refusal, match=r"evidence-heads.jsonl is missing"):
            use()
    assert not heads(ledger).exists()


def test_an_emptied_ledger_is_told_by_what_runs_left(ledger: EvidenceLedger) -> None:
    """Its schema is there and its signed heads went with the rows; a report still lies there."""
    edit(ledger, *ALL)
    heads(ledger).unlink()
    assert ledger.runs() == []
    (ledger.keys.home.reports / "run-1.html").write_text("a report")
    with pytest.raises(Refusal, match="it is empty, though reports/ in the home say"):
        ledger.begin("run-4", "small", {})


RUN = "20261201T155613-9465dfe9"
LINE = "INSERT INTO journal VALUES (1, '2026-01-01T00:00:00', {}, '')"
FORGED = "INSERT INTO runs VALUES ('{}', 'small', '2026-01-01T00:00:00', '{{}}')"
DECIDED = LINE.replace("(1", "(2").format(f"'decision', 'passed', '{RUN}', 5, 'c0de'")
ENTRY = "INSERT INTO evidence VALUES ('{}', 5, '', '', 'decision', 'passed', '', NULL, 'c0de')"


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        ((LINE.format("'x', '', '', 0, ''"),), "line 1 of its journal is of a kind"),
        ((LINE.format("'key', '', '', 0, ''"),), "it is empty, though releases/ and reports/"),
        ((LINE.format("'begun', '', 'run-1', 0, ''"),), f"{RUN}.* is of a run that is gone"),
        (
            (LINE.format(f"'begun', 'small', '{RUN}', 0, ''"), FORGED.format(RUN)),
            f"{RUN}.* is of a run that is gone",
        ),
        (
            (
                LINE.format(f"'begun', 'small', '{RUN}', 0, ''"),
                FORGED.format(RUN),
                DECIDED,
                ENTRY.format(RUN),
            ),
            f"the beginning of run {RUN} was changed",
        ),
    ],
    ids=["meaningless", "of a key", "of another run", "of the run", "of its decision"],
)
def test_an_emptied_ledger_does_not_pass_for_an_older_one_by_lines_of_a_forger(
    ledger: EvidenceLedger, statements: tuple[str, ...], said: str
) -> None:
    """What runs left in the home demands them, with entries that its keys chained."""
    place = ledger.keys.home
    (place.releases / RUN).mkdir()
    (place.reports / f"{RUN}-ward-card.html").write_text("a card")
    edit(ledger, *ALL, "DELETE FROM releases", "DELETE FROM release_plans", *statements)
    heads(ledger).unlink()
    with pytest.raises(Refusal, match=said):
        ledger.begin("run-4", "small", {})
    assert not heads(ledger).exists()


def test_the_keys_of_another_home_do_not_open_the_record(ledger: EvidenceLedger) -> None:
    """Its heads were not signed by them."""
    other = EvidenceLedger(ledger.engine, Keys(ledger.keys.home, b"o" * 32))
    with pytest.raises(Refusal, match="was not signed by this home"):
        other.runs()


def test_what_ended_between_line_and_head_is_covered_by_the_next(
    ledger: EvidenceLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is on the disk; its head was not signed."""
    with monkeypatch.context() as patch, suppress(SystemExit):
        patch.setattr(Heads, "sign", lambda *_: (_ for _ in ()).throw(SystemExit(9)))
        ledger.append("run-3", "run", "decision", "refused", {})
    assert heads(ledger).read_text().count("\n") == 13  # the beginning, and each line but the last
    assert [run.verdict for run in ledger.runs()] == ["passed", "passed", None]
    ledger.close("run-3", "refused")
    edit(ledger, "DELETE FROM evidence WHERE run_id = 'run-3' AND seq = 1")
    with pytest.raises(Refusal, match="decision: refused"):
        ledger.runs()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM releases WHERE seq = 2", "release 2 of small/partner is gone"),
        ("DELETE FROM releases", "release 1 of small/partner is gone"),
        ("DELETE FROM release_plans", "frozen plan 1 of c0ffee/partner/2026 is gone"),
        (
            "UPDATE releases SET sealed = (SELECT sealed FROM releases WHERE seq = 1)",
            "release 2 of small/partner is not the one that was recorded",
        ),
        (
            """INSERT INTO releases SELECT policy, outlet, 3, run_id, recipient, policy_sha256,
               period, version, at, sealed FROM releases WHERE seq = 1""",
            "release 3 of small/partner is not the one that was recorded",
        ),
    ],
    ids=["newest", "all", "plan", "swapped", "put in"],
)
def test_a_release_that_was_taken_out_or_put_in_shows_to_the_next(
    ledger: EvidenceLedger, statement: str, said: str
) -> None:
    """No table is compared with a history that is not whole."""
    releases = ReleaseLedger(ledger.engine, ledger.keys)
    assert len(releases.history("small", "partner").standing) == 2
    edit(ledger, statement)
    for use in (
        lambda: releases.history("small", "partner"),
        lambda: releases.find_plan(NAME),
        lambda: releases.freeze(NAME, "run-3", AT, "about 60", b"plan"),
    ):
        with pytest.raises(Refusal, match=said):
            use()


def test_whether_a_release_stands_follows_from_the_journal(ledger: EvidenceLedger) -> None:
    """A decision that is edited in the database makes no release forgotten."""
    edit(ledger, "UPDATE evidence SET name = 'refused' WHERE kind IN ('decision', 'release')")
    releases = ReleaseLedger(ledger.engine, ledger.keys)
    assert len(releases.history("small", "partner").standing) == 2
    with pytest.raises(ServiceError, match="was changed at or before entry 1"):
        ledger.verify("run-1")


def test_charges_cut_off_with_their_heads_show_to_every_reader(ledger: EvidenceLedger) -> None:
    """Nobody is told that nothing was spent, and no further run is charged from zero."""
    budget = BudgetLedger(ledger.engine, ledger.keys)
    budget.reserve(charge("run-3", [1]), FIXED)
    assert budget.remaining(records(1), FIXED).before > 0.9
    edit(ledger, "DELETE FROM budget_events", "DELETE FROM budget_people")
    (ledger.keys.home.root / "budget-heads.jsonl").unlink()
    for use in (
        lambda: budget.reserve(charge("run-4", [1]), FIXED),
        lambda: budget.remaining(records(1), FIXED),
        lambda: budget.plan(records(1), charge("run-4", [1]).mechanisms, FIXED),
        lambda: budget.people("small"),
        lambda: budget.state("run-3"),
        budget.history,
        budget.verify,
    ):
        with pytest.raises(Refusal, match="run run-3 names entry 1, which is gone"):
            use()


def make_older(ledger: EvidenceLedger) -> EvidenceLedger:
    """Take the journal away, as if an earlier version had left the home; open it again."""
    version = "UPDATE alembic_version SET version_num = '0006'"
    gone = ("journal", "release_people", "retention", "leases", "shared_heads", "signers")
    edit(ledger, *(f"DROP TABLE {table}" for table in gone), version)
    heads(ledger).unlink()
    ledger.engine.dispose()
    return EvidenceLedger(open_database(ledger.keys.home), ledger.keys)


def test_a_home_from_before_goes_on_and_is_covered_by_its_next_line(ledger: EvidenceLedger) -> None:
    """A migration names what is there; from then on it cannot be cut."""
    older = make_older(ledger)
    assert [run.verdict for run in older.runs()] == ["passed", "passed", None]
    assert len(ReleaseLedger(older.engine, older.keys).history("small", "partner").standing) == 2
    (older.keys.home.outbox / f"{RUN}-partner").write_text("goods")
    with pytest.raises(Refusal, match=f"{RUN}-partner is of a run that is gone"):
        older.runs()
    (older.keys.home.outbox / f"{RUN}-partner").unlink()
    older.close("run-3", "failed")
    assert [run.verdict for run in older.runs()] == ["passed", "passed", "failed"]
    edit(older, *OF_RUN, "DELETE FROM journal WHERE run_id = 'run-1'")
    with pytest.raises(Refusal, match="line 1 of its journal"):
        older.runs()
    older.engine.dispose()


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ((), "evidence-heads.jsonl is missing"),
        (("UPDATE runs SET facts = '{}' WHERE run_id = 'run-4'",), "beginning of run run-4"),
    ],
    ids=["as it is", "edited"],
)
def test_a_record_does_not_pass_for_one_from_before_the_journal(
    ledger: EvidenceLedger, edits: tuple[str, ...], said: str
) -> None:
    """Without heads and links any run could be taken out: this version's own runs tell."""
    ledger.begin("run-4", "small", {"machine": "c0ffee"})
    ledger.append("run-4", "run", "decision", "passed", {})
    edit(ledger, "UPDATE journal SET link = '', code = '' WHERE what = 'begun'", *edits)
    edit(ledger, "UPDATE journal SET link = ''")
    heads(ledger).unlink()
    with pytest.raises(Refusal, match=said):
        ledger.runs()


def test_a_charge_that_was_cut_before_there_was_a_journal_shows(ledger: EvidenceLedger) -> None:
    """A run noted it, and the migration names it for that."""
    budget = BudgetLedger(ledger.engine, ledger.keys)
    budget.reserve(charge("run-3", [1]), FIXED)
    head = budget.head()
    ledger.append("run-3", "reserve", "budget", "head", {"seq": head.seq, "link": head.link})
    edit(ledger, "DELETE FROM budget_events")
    (ledger.keys.home.root / "budget-heads.jsonl").unlink()
    older = make_older(ledger)
    with pytest.raises(Refusal, match="run run-3 names entry 1, which is gone"):
        BudgetLedger(older.engine, older.keys).history()
    older.engine.dispose()
