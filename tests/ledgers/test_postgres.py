"""What the ledgers promise holds on Postgres too: a throw-away server of the system's package.

Debian's `postgresql` has to be installed, and `psycopg`; a server that will not start fails these
tests, since a promise that was not tried is none.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa

from expectations.errors import HomeError, Refusal, ServiceError
from expectations.privacy_loss import compose
from ledgers.budget.ledger import BudgetLedger, Ceiling
from ledgers.consent.ledger import ConsentLedger
from ledgers.consent.turn import NUMBER, turn
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import RESTORED, create_database, open_database
from ledgers.home.home import Home
from ledgers.key_ledger import KeyLedger
from ledgers.releases import PlanName, Release, ReleaseLedger
from ledgers.retention import RetentionLedger
from tests.ledgers.budget import budget_charges
from tests.ledgers.consent.consent_events import (
    START,
    WITHDRAWN,
    batch,
    event,
    open_ledger,
    seq_of,
    start_script,
    token,
)
from tests.ledgers.consent.paged_events import find_changed, lay_out
from tests.postgres import Postgres, server

__all__ = ["server"]


@pytest.fixture
def ledger(server: Postgres, template_home: Path, tmp_path: Path) -> Iterator[ConsentLedger]:
    """An empty consent ledger in a new database of the server."""
    opened = open_ledger(server.make_home(template_home, tmp_path / "home").root)
    yield opened
    opened.engine.dispose()


def edit(ledger: ConsentLedger, statement: str) -> None:
    """Change the database as its owner can: with the triggers off."""
    url = ledger.engine.url
    host = str(url.query["host"])
    with closing(psycopg.connect(host=host, user="tutela", dbname=url.database)) as connection:
        connection.execute("SET session_replication_role = replica")
        if "consent_events" in statement:
            edit_events(connection, statement)
        else:
            connection.execute(statement)
        connection.commit()


def edit_events(connection: psycopg.Connection, statement: str) -> None:
    """Change events in their pages, with SQLite's help."""
    pages = connection.execute("SELECT id, packed, evidence FROM consent_pages").fetchall()
    with closing(sqlite3.connect(":memory:")) as passing:
        lay_out(passing, pages)
        passing.execute(statement)
        for number, page in find_changed(passing, pages):
            connection.execute(
                "UPDATE consent_pages SET low = %s, high = %s, events = %s, evidence = %s, "
                "packed = %s WHERE id = %s",
                (*page, number),
            )


def test_events_are_appended_once_and_come_back(ledger: ConsentLedger) -> None:
    """With every field, nothing stated as nothing, and a scan of Arrow's types."""
    full = event(1, valid_until=START + 1, guardian_high=-1, guardian_low=2, evidence="form ä")
    first = ledger.append(batch([full, event(2, terms=1), event(2, terms=1)]), "csv", "d1")
    assert (first.new, first.repeated) == (2, 1)
    assert ledger.append(batch([event(2, terms=1), event(3)]), "csv").repeated == 1
    assert ledger.imported("d1")
    (one,) = ledger.history(token(1))
    assert (one.valid_until, one.has_guardian, one.evidence) == (START + 1, True, "form ä")
    assert [found.terms for found in ledger.history(token(2))] == [WITHDRAWN]
    scanned = ledger.scan()
    assert scanned.num_rows == 3
    assert scanned.schema.field("terms").type == pa.int32()
    assert scanned.column("valid_until").null_count == 2
    assert ledger.scan(upto=2).num_rows == 2
    assert ledger.verify() == ledger.head()
    assert ledger.head().seq == 3


def test_many_events_go_in_and_are_verified(ledger: ConsentLedger) -> None:
    """More than one block of them."""
    events = [event(person) for person in range(70_000)]
    assert ledger.append(batch(events), "csv").new == 70_000
    assert ledger.scan().num_rows == ledger.verify().seq == 70_000


def test_an_error_of_the_database_quotes_nobody(ledger: ConsentLedger) -> None:
    """Postgres's own text would quote the row that it did not take, and keeps nothing of it."""
    ledger.append(batch([event(1)]), "csv")
    with pytest.raises(ServiceError, match="DataError") as caught:
        ledger.append(batch([event(2), event(3)]), "Zyx\0wort")
    assert "wort" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert ledger.scan().num_rows == ledger.verify().seq == 1


def test_an_erasure_leaves_the_chain(ledger: ConsentLedger) -> None:
    """And what comes again is recorded anew."""
    ledger.append(batch([event(1), event(2), event(3)]), "csv")
    old = seq_of(ledger, 2)
    assert ledger.erase(token(2)) == 1
    assert ledger.history(token(2)) == []
    ledger.verify()
    ledger.append(batch([event(2)]), "csv")
    assert seq_of(ledger, 2) == 4 != old
    ledger.verify()


@pytest.mark.parametrize("table", ["terms", "blocks", "pages", "erasures", "imports"])
@pytest.mark.parametrize("action", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_database_itself_refuses_to_change_the_ledger(
    ledger: ConsentLedger, table: str, action: str
) -> None:
    """Whoever comes with another program meets the triggers."""
    ledger.append(batch([event(1), event(2)]), "csv", "d1")
    ledger.erase(token(2))
    column = {"terms": "id", "imports": "at", "blocks": "recorded_at", "pages": "low"}.get(
        table, "seq"
    )
    statement = action.format(f"consent_{table}", column, column)
    with (
        pytest.raises(sa.exc.DBAPIError, match=r"append-only|once its erasure is noted"),
        ledger.engine.begin() as connection,
    ):
        connection.execute(sa.text(statement))
    ledger.verify()


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE consent_events SET valid_from = 0 WHERE seq = 2", 2),
        ("UPDATE consent_events SET salt = x''", 1),
        ("DELETE FROM consent_events WHERE seq = 3", 3),
        ("DELETE FROM consent_blocks", 1),
        ("UPDATE consent_terms SET text = text || ' '", 1),
        ("INSERT INTO consent_erasures VALUES (2, 0, 'x')", 2),
    ],
)
def test_an_edit_past_the_triggers_shows(ledger: ConsentLedger, statement: str, seq: int) -> None:
    """Named by its number, as on SQLite."""
    ledger.append(batch([event(1), event(2), event(3)]), "csv")
    ledger.verify()
    edit(ledger, statement)
    with pytest.raises(Refusal, match=f"event {seq}: "):
        ledger.verify()


def test_two_imports_at_once_are_one_after_the_other(ledger: ConsentLedger) -> None:
    """An advisory lock lets one of them write."""
    script = (
        "for start in range(0, 100, 10):\n"
        "    events = [event(n, valid_from=7) for n in range(start, start + 10)]\n"
        "    print(ledger.append(batch(events), 'csv').new)"
    )
    importers = [start_script(ledger, script) for _ in range(2)]
    answers = [answer for importer in importers for answer in importer.communicate()[0].split()]
    assert [importer.returncode for importer in importers] == [0, 0]
    assert sum(map(int, answers)) == ledger.scan().num_rows == ledger.verify().seq == 100


def test_a_scan_sees_one_moment(ledger: ConsentLedger) -> None:
    """Between its first piece and its last, what others append is not seen, nor kept waiting."""
    from ledgers.home import database

    ledger.append(batch([event(1)]), "csv")
    other = open_ledger(ledger.home.root)
    count = sa.text("SELECT sum(events) FROM consent_pages")
    with database.snapshot(ledger.engine) as reading:
        assert reading.scalar(count) == 1
        other.append(batch([event(2)]), "csv")
        assert reading.scalar(count) == 1
        with pytest.raises(sa.exc.DBAPIError, match="read-only"):
            reading.execute(sa.text("DELETE FROM consent_pages"))
        reading.rollback()
    other.engine.dispose()


def test_evidence_is_appended_and_kept(ledger: ConsentLedger) -> None:
    """The other ledger in the same database."""
    evidence = EvidenceLedger(open_database(ledger.home), ledger.keys)
    evidence.begin("run-1", "adult", {})
    evidence.append("run-1", "train", "measure", "auc", 0.7, sealed={"n": 47})
    assert evidence.unseal(evidence.entries("run-1")[0]) == {"n": 47}
    evidence.verify("run-1")
    edit(ledger, "UPDATE evidence SET body = '0.9'")
    with pytest.raises(ServiceError, match="at or before entry 1"):
        evidence.verify("run-1")
    evidence.engine.dispose()


def test_a_verdict_that_was_cut_off_shows(ledger: ConsentLedger) -> None:
    """Though it was the newest entry; the database itself refuses to change the journal."""
    evidence = EvidenceLedger(open_database(ledger.home), ledger.keys)
    evidence.begin("run-1", "adult", {})
    evidence.close("run-1", "refused")
    assert [run.verdict for run in evidence.runs()] == ["refused"]
    for statement in ("DELETE FROM journal", "UPDATE journal SET name = 'x'", "TRUNCATE journal"):
        refused = pytest.raises(sa.exc.DBAPIError, match="append-only")
        with refused, evidence.engine.begin() as connection:
            connection.exec_driver_sql(statement)
    edit(ledger, "DELETE FROM evidence")
    with pytest.raises(Refusal, match=r"entry 1 \(verdict: refused\) of run run-1"):
        evidence.runs()
    evidence.engine.dispose()


def test_an_empty_database_is_not_taken_for_the_one_that_was_filled(
    server: Postgres, ledger: ConsentLedger
) -> None:
    """The settings name another one by mistake: neither a command nor `init` goes on with it."""
    ledger.append(batch([event(1)]), "csv")
    settings = f'database_url = "{server.make_database()}"\n'
    (ledger.home.root / "settings.toml").write_text(settings)
    home = Home.open(ledger.home.root)
    for use in (create_database, open_database):
        with pytest.raises(HomeError, match=r"though consent-heads.jsonl .* correct database_url"):
            use(home)


def test_a_key_is_made_once_rotated_and_destroyed(ledger: ConsentLedger) -> None:
    """Sealed in the database, which refuses to change it but by overwriting it with nothing."""
    keys = KeyLedger(open_database(ledger.home), ledger.keys)
    purpose = "dpv:ScientificResearch"
    first = keys.use(purpose)
    for statement in ("DELETE FROM data_keys", "UPDATE data_keys SET wrapped = 'x'"):
        refused = pytest.raises(sa.exc.DBAPIError, match=r"append-only|overwritten by nothing")
        with refused, keys.engine.begin() as connection:
            connection.exec_driver_sql(statement)
    assert keys.rotate(purpose) == 2
    assert [key.version for key in keys.read(purpose)] == [2, 1]
    assert keys.read(purpose)[1] == first
    assert keys.destroy(purpose) == [1, 2]
    with pytest.raises(ServiceError, match="was destroyed"):
        keys.use(purpose)
    assert [entry.what for entry in keys.history()][:2] == ["created", "rotated"]
    keys.engine.dispose()


def test_a_plan_is_frozen_and_a_release_recorded_once(ledger: ConsentLedger) -> None:
    """What is on record does not change, and comes back as it went in."""
    engine = open_database(ledger.home)
    EvidenceLedger(engine, ledger.keys).begin("run-1", "small", {})
    releases = ReleaseLedger(engine, ledger.keys)
    name, at = PlanName("c0ffee", "partner", "2026"), "2026-03-01T00:00:00+00:00"
    plan = releases.freeze(name, "run-1", at, "about 60", b"plan")
    left = Release("small", 1, "run-1", "Partner", name, plan.version, at, b"rows")
    assert releases.record(left)
    assert not releases.record(left)
    assert releases.find_plan(name) == plan
    for table in ("release_plans", "releases"):
        refused = pytest.raises(sa.exc.DBAPIError, match="append-only")
        with refused, engine.begin() as connection:
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608  # of two words above
    engine.dispose()


def test_people_are_charged_and_the_ledger_kept(ledger: ConsentLedger) -> None:
    """Composed over policies, settled, and refused where somebody would exceed."""
    budget = BudgetLedger(open_database(ledger.home), ledger.keys)
    ones, ceiling = budget_charges.ONE, Ceiling(2, budget_charges.DELTA, "fixed")
    for run, people in (("r1", range(3000)), ("r2", range(1, 3000)), ("r3", [1, 2])):
        budget.reserve(budget_charges.charge(run, people), ceiling)
    budget.commit("r1")
    for person, runs in ((0, 1), (1, 3), (2999, 2), (3000, 0)):
        balance = budget.remaining(budget_charges.records(person), ceiling)
        assert balance.before == compose(ones * runs, ceiling.delta)
    with pytest.raises(Refusal, match="privacy budget"):
        budget.reserve(budget_charges.charge("r4", [2, 9]), ceiling)
    budget.abort("r3")
    assert budget.reserve(budget_charges.charge("r4", [2, 9]), ceiling).runs_left == 0
    assert [one.state for one in budget.history()] == [
        "committed", "reserved", "aborted", "reserved",
    ]  # fmt: skip
    assert budget.verify().seq == 6
    for table in ("budget_events", "budget_people"):
        for action in ("DELETE FROM", "TRUNCATE"):
            refused = pytest.raises(sa.exc.DBAPIError, match="append-only")
            with refused, budget.engine.begin() as connection:
                connection.exec_driver_sql(f"{action} {table}")
    edit(ledger, "DELETE FROM budget_events WHERE seq = 6")
    with pytest.raises(Refusal, match="were signed and are gone"):
        budget.verify()
    budget.engine.dispose()


def test_of_two_runs_that_race_for_the_last_of_it_one_gets_it(ledger: ConsentLedger) -> None:
    """An advisory lock lets one of them look and charge before the other looks."""
    budget = BudgetLedger(open_database(ledger.home), ledger.keys)
    script = (
        "from expectations.errors import Refusal\n"
        "for n in range(20):\n"
        "    try:\n"
        "        ledger.reserve(charge(f'{sys.argv[2]}-{n}', [n]), Ceiling(1.2, DELTA, 'fixed'))\n"
        "        print(n, flush=True)\n"
        "    except Refusal:\n"
        "        pass"
    )
    racers = [budget_charges.start_script(budget, script, name) for name in "ab"]
    got = [number for racer in racers for number in racer.communicate()[0].split()]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sorted(map(int, got)) == list(range(20))
    assert budget.verify().seq == 20
    budget.engine.dispose()


def test_a_turn_holds_for_all_homes_of_a_database(ledger: ConsentLedger) -> None:
    """A machine with a folder of its own waits for it too, and has it afterwards."""
    asked = sa.text(f"SELECT pg_try_advisory_lock({NUMBER})")
    with ledger.engine.connect() as other:
        with turn(ledger):
            assert other.scalar(asked) is False
            # What a run writes while it hands over waits for other locks than the one it holds.
            EvidenceLedger(ledger.engine, ledger.keys).begin("in-its-turn", "p", {})
        assert other.scalar(asked) is True
        other.execute(sa.text("SELECT pg_advisory_unlock_all()"))


def test_evidence_is_removed_once_that_is_noted_and_no_reader_calls_that_damage(
    ledger: ConsentLedger,
) -> None:
    """Two triggers more than before, which let what was noted go and nothing else."""
    record, notes = EvidenceLedger(ledger.engine, ledger.keys), RetentionLedger(
        ledger.engine, ledger.keys
    )  # fmt: skip
    for run_id in ("r1", "r2"):
        record.begin(run_id, "small", {})
        record.close(run_id, "failed")
    notes.remove_evidence({"r1": "evidence is kept 2 years"})
    for table in ("evidence", "runs", "retention"):
        refused = pytest.raises(sa.exc.DBAPIError, match="append-only")
        with refused, ledger.engine.begin() as connection:
            connection.execute(sa.text(f"DELETE FROM {table}"))  # noqa: S608
    assert [run.run_id for run in record.runs()] == ["r2"]
    assert [note.what for note in notes.notes()] == ["evidence"]


def test_a_restored_home_only_reads(ledger: ConsentLedger) -> None:
    """Its ledgers are what an operator's dump brought back; the mark is in its folder."""
    record = EvidenceLedger(ledger.engine, ledger.keys)
    record.begin("r1", "small", {})
    (ledger.home.root / RESTORED).write_text("{}")
    only = EvidenceLedger(open_database(ledger.home), ledger.keys)
    assert [run.run_id for run in only.runs()] == ["r1"]
    with pytest.raises(HomeError, match="only reads"):
        only.begin("r2", "small", {})
    only.engine.dispose()
    replaying = open_database(ledger.home, replaying=True)
    EvidenceLedger(replaying, ledger.keys).close("r1", "failed")
    replaying.dispose()
