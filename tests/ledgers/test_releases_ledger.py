"""The release ledger: one plan for all who race, and what left is on record before it leaves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from expectations.errors import Refusal
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.releases import FrozenPlan, PlanName, Release, ReleaseLedger

NAME = PlanName("c0ffee", "partner", "2026")
AT = "2026-03-01T00:00:00+00:00"


@pytest.fixture
def ledger(home: Home) -> Iterator[ReleaseLedger]:
    """A ledger without plans or releases; three runs have begun."""
    engine, keys = open_database(home), Keys.open(home)
    for run in ("run-1", "run-2", "run-3"):
        EvidenceLedger(engine, keys).begin(run, "small", {})
    yield ReleaseLedger(engine, keys)
    engine.dispose()


def decide(ledger: ReleaseLedger, run: str, verdict: str) -> None:
    """Note the decision of a run."""
    EvidenceLedger(ledger.engine, ledger.keys).append(run, "run", "decision", verdict, {})


def freeze(ledger: ReleaseLedger, run: str, content: bytes = b"plan") -> FrozenPlan:
    """Freeze a plan that a run fitted."""
    return ledger.freeze(NAME, run, AT, "about 60", content)


def release(run: str, seq: int = 1, version: int = 1) -> Release:
    """Give a release as a run would record it."""
    return Release("small", seq, run, "Partner", NAME, version, AT, b"rows of " + run.encode())


def test_a_plan_is_found_again_until_its_policy_or_period_changes(ledger: ReleaseLedger) -> None:
    """It comes back with whom it was fitted on."""
    assert ledger.find_plan(NAME) is None
    made = freeze(ledger, "run-1")
    assert (made.version, made.fitted_on, made.run_id) == (1, "about 60", "run-1")
    assert ledger.find_plan(NAME) == made
    for other in ({"policy_sha256": "beef"}, {"outlet": "other"}, {"period": "2027"}):
        assert ledger.find_plan(replace(NAME, **other)) is None


def test_two_runs_that_race_have_one_plan(ledger: ReleaseLedger) -> None:
    """Whoever comes second gets the plan of the first."""
    with ThreadPoolExecutor(3) as pool:
        plans = list(pool.map(lambda n: freeze(ledger, f"run-{n}", b"%d" % n), (1, 2, 3)))
    assert plans[0] == plans[1] == plans[2]


def test_a_plan_under_which_nothing_left_makes_way(ledger: ReleaseLedger) -> None:
    """The run that fitted it was refused; the next one fits its own."""
    freeze(ledger, "run-1", b"first")
    decide(ledger, "run-1", "refused")
    assert ledger.find_plan(NAME) is None
    second = freeze(ledger, "run-2", b"second")
    assert (second.version, second.content) == (2, b"second")
    old = ledger.read_plan(NAME, 1)
    assert old is not None
    assert old.content == b"first"
    assert ledger.read_plan(NAME, 3) is None


def test_a_plan_under_which_another_run_released_stands(ledger: ReleaseLedger) -> None:
    """Though the run that fitted it was refused."""
    freeze(ledger, "run-1")
    assert ledger.record(release("run-2"))
    decide(ledger, "run-1", "failed")
    decide(ledger, "run-2", "passed")
    assert freeze(ledger, "run-3").version == 1


def test_a_release_is_recorded_before_anybody_decides(ledger: ReleaseLedger) -> None:
    """It stands while its run may still hand it over, and no longer once that is refused."""
    freeze(ledger, "run-1")
    assert ledger.record(release("run-1"))
    assert [one.run_id for one in ledger.history("small", "partner").standing] == ["run-1"]
    decide(ledger, "run-1", "refused")
    history = ledger.history("small", "partner")
    assert (history.standing, history.last) == ((), 1)


def test_what_was_handed_over_stands_whatever_becomes_of_its_run(ledger: ReleaseLedger) -> None:
    """A killed process may have handed over what is refused afterwards: it may have been seen."""
    freeze(ledger, "run-1")
    ledger.record(release("run-1"))
    evidence_ledger = EvidenceLedger(ledger.engine, ledger.keys)
    evidence_ledger.append("run-1", "record", "release", "other", {})
    decide(ledger, "run-1", "refused")
    assert ledger.history("small", "partner").standing == ()
    evidence_ledger.append("run-1", "record", "release", "partner", {})
    assert ledger.history("small", "partner").standing == (release("run-1"),)


def test_a_number_is_given_once(ledger: ReleaseLedger) -> None:
    """Whoever comes second has to look at what the first released."""
    freeze(ledger, "run-1")
    assert ledger.record(release("run-1"))
    assert not ledger.record(release("run-2"))
    assert ledger.record(release("run-2", seq=2))
    assert ledger.history("small", "other").last == 0


def test_no_release_is_recorded_under_a_plan_that_never_was(ledger: ReleaseLedger) -> None:
    """The next table could not be compared with it."""
    freeze(ledger, "run-1")
    with pytest.raises(Refusal, match="frozen plan 999 of c0ffee/partner/2026 was never frozen"):
        ledger.record(release("run-1", version=999))
    assert ledger.history("small", "partner").last == 0


def test_what_was_released_lies_sealed(ledger: ReleaseLedger) -> None:
    """Neither the plan's labels nor the rows are found in the file."""
    freeze(ledger, "run-1", b"a label that tells")
    ledger.record(release("run-1"))
    stored = b"".join(path.read_bytes() for path in ledger.keys.home.root.glob("ledger.sqlite*"))
    assert b"label that tells" not in stored
    assert b"rows of" not in stored
    assert b"about 60" in stored


@pytest.mark.parametrize("table", ["release_plans", "releases"])
@pytest.mark.parametrize("action", ["UPDATE {} SET version = 7", "DELETE FROM {}"])
def test_rows_are_never_changed(ledger: ReleaseLedger, table: str, action: str) -> None:
    """Whoever comes with another program meets the triggers."""
    freeze(ledger, "run-1")
    ledger.record(release("run-1"))
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), ledger.engine.begin() as connection:
        connection.execute(sa.text(action.format(table)))


@pytest.mark.parametrize(
    ("table", "column"),
    [("release_plans", "fitted_on"), ("releases", "recipient"), ("releases", "at")],
)
def test_an_edit_past_the_triggers_shows(ledger: ReleaseLedger, table: str, column: str) -> None:
    """What stands in clear is in the row's code."""
    freeze(ledger, "run-1")
    ledger.record(release("run-1"))
    connection = sqlite3.connect(ledger.keys.home.ledger)
    connection.execute(f"DROP TRIGGER {table}_no_update")
    connection.execute(f"UPDATE {table} SET {column} = 'other'")  # noqa: S608 - constants
    connection.commit()
    connection.close()
    with pytest.raises(Refusal, match="is not the one that was recorded"):
        ledger.find_plan(NAME) if table == "release_plans" else ledger.history("small", "partner")


def held(run: str, seq: int = 1, until: str = "2026-06-01T00:00:00+00:00") -> Release:
    """Give a release of which it is remembered who was in it."""
    return replace(release(run, seq), people=b"1 2 3", until=until)


def test_who_was_in_a_release_is_forgotten_when_it_is_due(ledger: ReleaseLedger) -> None:
    """The release stands, and that nobody is remembered of it is no damage."""
    freeze(ledger, "run-1")
    assert ledger.record(held("run-1"))
    assert ledger.record(held("run-2", 2, "2027-01-01T00:00:00+00:00"))
    assert [one.people for one in ledger.standing()[0]] == [b"1 2 3", b"1 2 3"]
    assert ledger.forget("2026-05-31T00:00:00+00:00") == 0
    assert ledger.forget("2026-06-01T00:00:00+00:00") == 1
    standing, recorded = ledger.standing()
    assert [one.people for one in standing] == [None, b"1 2 3"]
    assert recorded == 2
    assert ledger.history("small", "partner").last == 2


def test_a_person_is_taken_out_of_what_is_remembered(ledger: ReleaseLedger) -> None:
    """As often as there is something to take out."""
    freeze(ledger, "run-1")
    ledger.record(held("run-1"))
    assert ledger.rewrite(lambda people: people.replace(b" 2", b"")) == 1
    assert ledger.rewrite(lambda people: people.replace(b" 2", b"")) == 0
    assert [one.people for one in ledger.standing()[0]] == [b"1 3"]
    assert ledger.forget("2027-01-01T00:00:00+00:00") == 1


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM release_people", "who was in release 1 of small/partner is gone"),
        ("UPDATE release_people SET until = '2099'", "is not the one that was recorded"),
    ],
)
def test_a_memory_of_people_that_was_changed_shows(
    ledger: ReleaseLedger, statement: str, said: str
) -> None:
    """Nobody takes it out, or keeps it for longer, in silence."""
    freeze(ledger, "run-1")
    ledger.record(held("run-1"))
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql(statement)
    with pytest.raises(Refusal, match=said):
        ledger.standing()


def test_a_release_that_another_was_recorded_beside_is_judged_again(ledger: ReleaseLedger) -> None:
    """Of whatever policy: it may be about the same people."""
    freeze(ledger, "run-1")
    seen = ledger.standing()[1]
    assert ledger.record(replace(held("run-1"), policy="other"), seen)
    assert not ledger.record(held("run-2"), seen)
    assert ledger.record(held("run-2"), ledger.standing()[1])
