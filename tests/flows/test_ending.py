"""A flow run ends in Prefect as its run ended on record, and is carried out once."""

from __future__ import annotations

from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext

from expectations.errors import Refusal, UsageError
from flows.ending import AWAITING, REFUSED, fail, refuse_repeated, tell_state
from tasks.handover.delivery import Completed


def begin(monkeypatch: pytest.MonkeyPatch, run_count: int, flow_run: object) -> None:
    """Let a flow run be under way that Prefect started so often."""
    begun = SimpleNamespace(flow_run=SimpleNamespace(run_count=run_count, id=flow_run))
    monkeypatch.setattr(FlowRunContext, "get", lambda: begun)


def test_a_flow_run_is_carried_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process or another; another flow run is."""
    mine = uuid4()
    begin(monkeypatch, 1, mine)
    refuse_repeated()
    with pytest.raises(UsageError, match="nothing was run, and nothing was spent"):
        refuse_repeated()
    begin(monkeypatch, 1, uuid4())
    refuse_repeated()
    begin(monkeypatch, 2, uuid4())
    with pytest.raises(UsageError, match="Start a new run"):
        refuse_repeated()


def test_outside_of_prefect_nothing_is_repeated() -> None:
    """As steps are called one by one."""
    refuse_repeated()
    refuse_repeated()


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
