"""A flow run ends in Prefect as its run ended on record, and is carried out once."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext
from prefect.exceptions import Abort

from expectations.errors import Refusal, ServiceError, UsageError
from flows import ending
from flows.ending import AWAITING, REFUSED, fail, is_repeated, once, tell_state
from ledgers.home.home import Home
from tasks.handover.delivery import Completed
from tests.overview_rows import make_rows


def begin(monkeypatch: pytest.MonkeyPatch, run_count: int, flow_run: object) -> None:
    """Let a flow run be under way that Prefect started so often."""
    begun = SimpleNamespace(flow_run=SimpleNamespace(run_count=run_count, id=flow_run))
    monkeypatch.setattr(FlowRunContext, "get", lambda: begun)


def test_a_flow_run_is_carried_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process or another; another flow run is, and so is what is no flow run."""
    mine = uuid4()
    assert not is_repeated()
    begin(monkeypatch, 1, mine)
    assert not is_repeated()
    assert is_repeated()
    begin(monkeypatch, 1, uuid4())
    assert not is_repeated()
    begin(monkeypatch, 2, uuid4())
    assert is_repeated()


@pytest.mark.parametrize(
    ("verdict", "kind", "name", "raised"),
    [
        ("passed", StateType.COMPLETED, "Completed", None),
        ("refused", StateType.FAILED, REFUSED, Refusal),
        ("pending", StateType.FAILED, AWAITING, ServiceError),
        ("failed", StateType.FAILED, "Failed", UsageError),
        ("unfinished", StateType.FAILED, "Failed", UsageError),
        (None, StateType.FAILED, "Failed", UsageError),
    ],
)
def test_who_retries_a_run_leaves_it_as_it_ended(  # noqa: PLR0917 - a table's columns
    monkeypatch: pytest.MonkeyPatch, home: Home, verdict: str | None, kind: object, name: str,
    raised: type | None,
) -> None:  # fmt: skip
    """A refused one is Refused again, by the same check; nothing is run and nothing is spent."""
    assert home.root.is_dir()
    mine = uuid4()
    ended = {"verdict": verdict, "check": "k-anonymity", "reason": "k = 3", "flow_run": str(mine)}
    rows = make_rows({"flow_run": str(uuid4())}, *([ended] if verdict else []))
    monkeypatch.setattr(ending, "list_rows", lambda _: rows)
    begin(monkeypatch, 2, mine)
    state = once(lambda _: pytest.fail("it was run again"))("visits")
    assert state is not None
    assert (state.type, state.name) == (kind, name)
    assert "nothing was run again, and nothing was spent" in str(state.message)
    assert type(state.data) is (raised or type(None))
    if verdict == "refused":
        assert str(state.message).startswith("Refusal: k-anonymity: k = 3; ")


def test_a_run_that_goes_on_elsewhere_is_left_to_who_carries_it_out(
    monkeypatch: pytest.MonkeyPatch, home: Home
) -> None:
    """Prefect is told of no state, which that process will set."""
    assert home.root.is_dir()
    mine = uuid4()
    begun = {"flow_run": str(mine), "verdict": "unfinished", "elsewhere": True}
    monkeypatch.setattr(ending, "list_rows", lambda _: make_rows(begun))
    begin(monkeypatch, 2, mine)
    with pytest.raises(Abort, match="another process carries out"):
        once(lambda _: pytest.fail("it was run again"))("visits")


def test_a_refusal_is_named_so_and_carries_no_traceback() -> None:
    """What called the flow still gets it."""
    error = Refusal("smallest cohort", "too few")
    error.__cause__ = ValueError("a person's value")
    state = fail(error, REFUSED)
    assert (state.type, state.name) == (StateType.FAILED, "Refused")
    assert state.message == "Refusal: smallest cohort: too few"
    assert isinstance(state.data, Refusal)
    assert state.data.__traceback__ is state.data.__cause__ is state.data.__context__ is None


@pytest.mark.parametrize(
    ("verdict", "kind", "name"),
    [
        ("passed", StateType.COMPLETED, "Completed"),
        ("refused", StateType.FAILED, REFUSED),
        ("failed", StateType.CRASHED, "Crashed"),
        (None, StateType.FAILED, AWAITING),
    ],
)
def test_a_run_that_another_process_finished_is_shown_as_it_was_closed(
    verdict: str | None, kind: StateType, name: str
) -> None:
    """Not as its killed process left it."""
    state = tell_state(Completed("it is closed now", str(uuid4()), verdict))
    assert (state.type, state.name) == (kind, name)
