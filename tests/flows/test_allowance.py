"""What a schedule may spend of people without anybody: so many runs, and never one more."""

from __future__ import annotations

from types import SimpleNamespace
from unittest import mock
from uuid import uuid4

import pytest
from httpx import ConnectError
from prefect.context import FlowRunContext

from expectations.errors import HomeError, Refusal
from flows import allowance
from flows.allowance import FILE, allow, hold_to_schedule, read_allowances, take_one
from ledgers.budget.ledger import BudgetLedger
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home, Settings
from ledgers.home.keys import Keys
from tests.conftest import Folder, Runner
from tests.flows.test_budget_flow import PRIVATE


@pytest.fixture
def bare(tmp_path: object) -> Home:
    """A folder is all of a home that is needed."""
    return Home(tmp_path, Settings())  # type: ignore[arg-type]


def start(monkeypatch: pytest.MonkeyPatch, *, scheduled: bool) -> None:
    """Let a flow run be under way that a schedule started, or a person."""
    begun = SimpleNamespace(
        flow_run=SimpleNamespace(auto_scheduled=scheduled, deployment_id=uuid4())
    )
    monkeypatch.setattr(FlowRunContext, "get", lambda: begun)


def test_a_schedule_spends_as_often_as_it_was_allowed(
    bare: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last run it is paused, and one that starts all the same is refused."""
    paused = mock.Mock()
    monkeypatch.setattr(allowance, "_pause", paused)
    start(monkeypatch, scheduled=True)
    allow(bare, "small", 2)
    hold_to_schedule(bare, "small")
    assert not paused.called
    hold_to_schedule(bare, "small")
    assert paused.call_count == 1
    with pytest.raises(Refusal, match=r"scheduled runs: .* no run left"):
        hold_to_schedule(bare, "small")
    assert read_allowances(bare) == {"small": 0}


def test_a_schedule_that_nobody_allowed_to_spend_spends_nothing(
    bare: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever made it, and wherever: only this home allows."""
    start(monkeypatch, scheduled=True)
    allow(bare, "other", 5)
    with pytest.raises(Refusal):
        hold_to_schedule(bare, "small")


def test_who_starts_a_run_by_hand_takes_none(bare: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Prefect's pages or at a terminal."""
    allow(bare, "small", 1)
    start(monkeypatch, scheduled=False)
    hold_to_schedule(bare, "small")
    monkeypatch.setattr(FlowRunContext, "get", lambda: None)
    hold_to_schedule(bare, "small")
    assert read_allowances(bare) == {"small": 1}


def test_what_was_left_is_taken_back(bare: Home) -> None:
    """With the schedule, or by a new number; other policies keep theirs."""
    allow(bare, "small", 3)
    allow(bare, "other", 1)
    take_one(bare, "small")
    allow(bare, "small", 3)
    assert read_allowances(bare) == {"other": 1, "small": 3}
    allow(bare, "small", None)
    assert read_allowances(bare) == {"other": 1}


def test_a_damaged_number_allows_nothing(bare: Home) -> None:
    """It is said, and what to do."""
    for text in ("[]", '{"small": "many"}', "{"):
        (bare.root / FILE).write_text(text)
        with pytest.raises(HomeError, match="run tutela schedule again"):
            take_one(bare, "small")


def test_a_schedule_that_cannot_be_paused_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next run is refused, so nothing depends on it."""
    logger = mock.Mock()
    monkeypatch.setattr("prefect.logging.get_run_logger", lambda: logger)
    monkeypatch.setattr(
        "prefect.client.orchestration.get_client", mock.Mock(side_effect=ConnectError("away"))
    )
    allowance._pause(uuid4())
    assert logger.warning.call_count == 1


def test_a_scheduled_run_without_allowance_is_refused_before_it_spends(
    folder: Folder, run_direct: Runner, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On record, as a refusal with its reason; nobody is charged."""
    flow_run = SimpleNamespace(auto_scheduled=True, deployment_id=None)
    monkeypatch.setattr(allowance, "_scheduled_run", lambda: flow_run)
    run_id, error = run_direct(folder.write(*PRIVATE))
    assert isinstance(error, Refusal)
    assert error.check == "scheduled runs"
    keys = Keys.open(home)
    entries = EvidenceLedger(open_database(home), keys).entries(run_id)
    assert [e.name for e in entries if e.kind == "verdict"] == ["refused"]
    assert BudgetLedger(open_database(home), keys).history() == []
