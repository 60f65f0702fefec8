"""What left is on record, and nothing else: runs that pass, are refused or killed on the way."""

from __future__ import annotations

import pytest

from expectations.errors import Refusal, ServiceError
from flows import opening, training
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.journal import Pen
from ledgers.releases import ReleaseHistory, ReleaseLedger
from tasks.anonymization.releases.succession import CountedRows
from tasks.handover import delivery
from tasks.handover import readiness as approval
from tasks.handover.delivery import complete_runs
from tests.conftest import Folder, Runner, small_policy

TABLE = (
    small_policy()[small_policy().index("  age:\n") : small_policy().index("retention_days")],
    """\
  age:
    {type: integer, identifiability: quasi, category: dpv-pd:Age, use: [eligibility, release],
     treatment: {kind: bin, edges: [50], labels: [under 50, 50+]}}
outlets:
  partner: {kind: table, recipient: Partner, k: 3, columns: {age: generalize}}
""",
)
"""The small policy with a table alone: nothing is trained."""


@pytest.fixture(autouse=True)
def nobody_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither MLflow nor the report has a part in what is on record, and both take long."""
    monkeypatch.setattr(delivery, "record_run", lambda *_: None)
    monkeypatch.setattr(delivery, "links_body", lambda *_: {"run_id": "m1"})
    monkeypatch.setattr(delivery, "write_report", lambda run: run.home.reports)
    monkeypatch.setattr(training, "report", lambda recorded: recorded)


def history(home: Home) -> ReleaseHistory:
    """Read what is on record of the partner's table."""
    return ReleaseLedger(open_database(home), Keys.open(home)).history("small", "partner")


def end_process(*_: object, **__: object) -> None:
    """Stand for what ends a process at that point."""
    raise SystemExit(9)


def test_what_was_handed_over_is_on_record_as_it_was(
    home: Home, folder: Folder, run_direct: Runner
) -> None:
    """The very rows of the file, for its recipient, by the run that made it."""
    run, error = run_direct(folder.write(TABLE))
    assert error is None
    (one,) = history(home).standing
    assert (one.run_id, one.recipient, one.seq) == (run, "Partner", 1)
    file = (home.releases / run / "partner" / "partner.csv").read_bytes()
    assert one.content == CountedRows.from_csv(file, ["age"]).to_bytes()


def test_a_refused_run_records_nothing(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody withdrew while it was under way; the next run fits a plan of its own."""
    asked = approval.refuse_withdrawn

    def withdraw_first(*given: object) -> None:
        folder.say("p05", "withdrawn", "2024-06-01T12:00:00Z")
        folder.write(TABLE)
        asked(*given)  # type: ignore[arg-type]  # passed on as they are

    with monkeypatch.context() as patch:
        patch.setattr(approval, "refuse_withdrawn", withdraw_first)
        _, error = run_direct(folder.write(TABLE))
    assert isinstance(error, Refusal)
    assert history(home) == ReleaseHistory((), 0)
    run, _ = run_direct(folder.write(TABLE))
    (one,) = history(home).standing
    assert (one.run_id, one.version) == (run, 2)


def test_a_run_that_is_killed_before_it_hands_over_is_recorded_once(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was decided and its table waits; the next command hands over what is on record."""
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "record_run", end_process)
        with pytest.raises(SystemExit):
            run_direct(folder.write(TABLE))
    assert list(home.releases.iterdir()) == []
    waiting = history(home)
    (done,) = complete_runs(home, Keys.open(home))
    assert done.said.endswith("is now closed as passed")
    assert history(home) == waiting
    (one,) = waiting.standing
    file = (home.releases / one.run_id / "partner" / "partner.csv").read_bytes()
    assert one.content == CountedRows.from_csv(file, ["age"]).to_bytes()


def test_a_run_that_is_killed_before_it_is_decided_leaves_no_release(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the next command finds it dead it may still hand over, and so stands."""
    with monkeypatch.context() as patch:
        patch.setattr(opening, "decide", end_process)
        with pytest.raises(SystemExit):
            run_direct(folder.write(TABLE))
    assert len(history(home).standing) == 1
    (done,) = complete_runs(home, Keys.open(home))
    assert done.said.endswith("is now closed as failed")
    assert history(home) == ReleaseHistory((), 1)


@pytest.mark.parametrize("stop", ["links_body", "place_package"])
def test_what_may_have_been_seen_stands_though_it_is_taken_back(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    """Killed while it handed over, and refused since: whoever looked meanwhile has the table."""
    with monkeypatch.context() as patch:
        patch.setattr(delivery, stop, end_process)
        with pytest.raises(SystemExit):
            run_direct(folder.write(TABLE))
    folder.say("p05", "withdrawn", "2024-06-01T12:00:00Z")
    folder.write(TABLE)
    (done,) = complete_runs(home, Keys.open(home))
    assert done.said.endswith("is now closed as refused")
    assert list(home.releases.iterdir()) == []
    assert len(history(home).standing) == 1


def test_what_waits_and_is_then_refused_does_not_stand(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow was away, so nothing was handed over, and nobody saw it."""
    with monkeypatch.context() as patch:
        patch.setattr(delivery, "record_run", end_process)
        with pytest.raises(SystemExit):
            run_direct(folder.write(TABLE))
    folder.say("p05", "withdrawn", "2024-06-01T12:00:00Z")
    folder.write(TABLE)
    complete_runs(home, Keys.open(home))
    assert history(home) == ReleaseHistory((), 1)


def test_a_run_whose_record_is_rewritten_as_it_arises_hands_nothing_over(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody withdrew, and a trigger makes of the refusal one more passing."""
    with open_database(home).begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER evidence_no_update")
        connection.exec_driver_sql(
            "CREATE TRIGGER forger AFTER INSERT ON evidence WHEN NEW.name = 'refused' BEGIN "
            "UPDATE evidence SET name = 'passed' WHERE run_id = NEW.run_id AND seq = NEW.seq; END"
        )
    asked = approval.refuse_withdrawn

    def withdraw_first(*given: object) -> None:
        folder.say("p05", "withdrawn", "2024-06-01T12:00:00Z")
        folder.write(TABLE)
        asked(*given)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr(approval, "refuse_withdrawn", withdraw_first)
    monkeypatch.setattr(Pen, "check", lambda _: None)  # as if it were rewritten later
    _, error = run_direct(folder.write(TABLE))
    assert isinstance(error, ServiceError | Refusal)
    assert list(home.releases.iterdir()) == []


def test_no_table_leaves_that_cannot_be_compared_with_one_before(
    home: Home, folder: Folder, run_direct: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan under which another was released is not to be had: it is not passed over."""
    run, _ = run_direct(folder.write(TABLE))
    monkeypatch.setattr(ReleaseLedger, "read_plan", lambda *_: None)
    _, error = run_direct(folder.write(TABLE, ("retention_days: 30", "retention_days: 31")))
    assert isinstance(error, Refusal)
    assert "version 1 of the plan of partner" in str(error)
    assert [path.name for path in home.releases.iterdir()] == [run]
