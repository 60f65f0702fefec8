"""How a flow run ends in Prefect: as its run ended on record, so that the two agree.

A refusal is no crash: its state is named `Refused`, of the type FAILED, with the reason in words. A
flow run is carried out once. Who retries it in Prefect, by a setting or a button, runs nothing and
spends nothing: of a run that ended, the record stands.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.exceptions import Abort, ObjectNotFound
from prefect.logging import get_run_logger
from prefect.states import Completed, Crashed, Failed

from expectations.errors import Refusal, ServiceError, TutelaError, UsageError
from expectations.policy.vocabulary import Verdict
from ledgers.checkpoints import take_checkpoint
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database, using_database
from ledgers.home.flow_runs import end_flow_run, forget
from ledgers.home.home import Home, without_login
from ledgers.home.keys import Keys
from ledgers.vault.vault import Vault
from tasks.account.overview import list_rows
from tasks.airlock.run import Run
from tasks.handover.approval import AwaitingApproval
from tasks.handover.delivery import Completed as Finished
from tasks.handover.delivery import complete_runs, conclude
from tasks.watching.announcing import announce

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

Ending: TypeAlias = State[Any] | None
"""The state in which a flow run ends; None where it is completed."""
REFUSED: Final = "Refused"
AWAITING: Final = "Awaiting MLflow"
APPROVAL: Final = "Awaiting approval"
KILLED: Final = "the process of this run was killed"
AGAIN: Final = (
    "a flow run is carried out once, and this one was: nothing was run again, and nothing was "
    "spent. Start a new run, by `tutela run` or of the deployment"
)
_begun: Final[set[UUID]] = set()


def once(flow: Callable[[str], Ending]) -> Callable[[str], Ending]:
    """Let a flow run of Prefect be carried out once; begun again, it ends as its run did."""

    @wraps(flow)
    def carry_out(policy: str) -> Ending:
        return end_again() if is_repeated() else flow(policy)

    return carry_out


def is_repeated() -> bool:
    """Whether the flow run that is under way was begun before; outside of Prefect none is."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return False
    again = context.flow_run.run_count > 1 or context.flow_run.id in _begun
    _begun.add(context.flow_run.id)
    return again


def end_again() -> State[Any]:
    """Give the state in which a flow run ended that was begun again, by the record of its run.

    Of one that goes on elsewhere this process's part ends, and no state is set.
    """
    context, home = FlowRunContext.get(), Home.open()
    assert context is not None
    assert context.flow_run is not None
    keys = Keys.open(home)
    ledger = EvidenceLedger(open_database(home), keys)
    mine = str(context.flow_run.id)
    rows = (row for row in list_rows(ledger) if row.flow_run == mine)
    row = next(rows, None)
    if row is not None and (row.elsewhere or row.run in Vault(home.vault, keys).living()):
        # No state: the process that carries it out will set it.
        raise Abort(f"another process carries out flow run {mine}")
    match row and row.verdict:
        case "passed":
            return Completed(message=AGAIN)
        case "refused" if row is not None and row.check:
            return fail(Refusal(row.check, f"{row.reason}; {AGAIN}"), REFUSED)
        case "pending":
            return fail(ServiceError(AGAIN), AWAITING)
        case "awaiting":
            return fail(ServiceError(AGAIN), APPROVAL)
    return fail(UsageError(AGAIN), "Failed")


def forget_ended(flow: object, flow_run: FlowRun, state: object) -> None:
    """Take the note of a flow run away; Prefect calls this when it knows how the flow run ended."""
    del flow, state  # which Prefect names
    end_flow_run(str(flow_run.id))


def end(run: Run) -> Ending:
    """Close the record, and give the state in which the flow run ends.

    To whoever called the flow, Prefect raises what such a state carries.
    """
    conclude(run)
    for sentence in take_checkpoint(run.ledger.engine, run.keys):
        run.observe(sentence, "told", 0.0)
    for sentence in announce_ended(run.home, run.keys, [run.id]):
        run.observe(sentence, "told", 0.0)
    error = next((error for error in run.outcome if error is not None), None)
    if error is None:
        return None
    if isinstance(error, AwaitingApproval):
        return fail(error, APPROVAL)
    waits = run.outcome[0] is None
    return fail(error, AWAITING if waits else REFUSED if isinstance(error, Refusal) else "Failed")


def announce_ended(home: Home, keys: Keys, runs: Sequence[str]) -> list[str]:
    """Tell whoever watches of runs that ended; what did not work goes to Prefect's log too."""
    failed = announce(home, keys, runs)
    for sentence in failed if FlowRunContext.get() else ():
        get_run_logger().warning(sentence)
    return failed


def fail(error: TutelaError, name: str) -> State[Any]:
    """Give a state that says what ended a run, without a traceback in anybody's log."""
    error = error.with_traceback(None)
    error.__cause__ = error.__context__ = None
    return Failed(name=name, message=f"{type(error).__name__}: {error}", data=error)


def finish_others(home: Home, keys: Keys) -> None:
    """Finish what killed processes left, since nobody may be there who runs a command."""
    finished = complete_runs(home, keys)
    with using_database(home) as engine:
        failed = take_checkpoint(engine, keys)
    for sentence in failed if FlowRunContext.get() else ():
        get_run_logger().warning(sentence)
    if finished:
        announce_ended(home, keys, [one.run_id for one in finished if one.verdict])
    if not finished or FlowRunContext.get() is None:
        return
    for one in finished:
        get_run_logger().info(one.said)
    try:
        show_finished(home, finished)
    except ServiceError as error:
        get_run_logger().warning("Prefect still shows them as they were: %s", error)


def show_finished(home: Home, finished: Sequence[Finished]) -> None:
    """Set the flow runs of runs that another process finished to what they came to.

    Those that the server does not know are left. What is set needs no note any more.
    `PREFECT_API_URL` must be set. Raises `ServiceError` where the server does not take it.
    """
    from httpx import HTTPError

    try:
        with get_client(sync_client=True) as client:
            for one in finished:
                if one.flow_run is not None:
                    _show(client, one.flow_run, tell_state(one))
                    forget(home, one.flow_run)
    except HTTPError as error:
        raise ServiceError(f"its server failed with {type(error).__name__}") from None


def tell_state(finished: Finished) -> State[Any]:
    """Give the state of a flow run whose process did not finish its run."""
    match finished.verdict:
        case Verdict.PASSED:
            return Completed(message=finished.said)
        case Verdict.REFUSED:
            return Failed(name=REFUSED, message=finished.said)
        case Verdict.FAILED:
            return Crashed(message=KILLED)
        case _:
            return Failed(name=APPROVAL if finished.awaits else AWAITING, message=finished.said)


def remove_flow_runs(flow_runs: Collection[str]) -> list[str]:
    """Delete flow runs from the server that `PREFECT_API_URL` names; say what remains there.

    Those that the server does not know are left. Raises `ServiceError` where it fails.
    """
    from httpx import HTTPError

    told = []
    try:
        with get_client(sync_client=True) as client:
            for one in flow_runs:
                with suppress(ObjectNotFound):
                    client.delete_flow_run(UUID(one))
                    told.append(
                        f"Prefect at {without_login(str(client.api_url))} keeps events of flow "
                        f"run {one} for the days that its operator set"
                    )
                shown = ArtifactFilterFlowRunId(any_=[UUID(one)])
                for page in client.read_artifacts(
                    artifact_filter=ArtifactFilter(flow_run_id=shown)
                ):
                    client.delete_artifact(page.id)
    except HTTPError as error:
        raise ServiceError(f"Prefect's server failed with {type(error).__name__}") from None
    return told


def read_states(flow_runs: Collection[str]) -> dict[str, str]:
    """Give the name of the state of each flow run that the server at `PREFECT_API_URL` knows.

    Raises `ServiceError` where it fails.
    """
    from httpx import HTTPError

    found: dict[str, str] = {}
    try:
        with get_client(sync_client=True) as client:
            for one in flow_runs:
                with suppress(ObjectNotFound):
                    found[one] = str(client.read_flow_run(UUID(one)).state_name)
    except HTTPError as error:
        raise ServiceError(f"Prefect's server failed with {type(error).__name__}") from None
    return found


def _show(client: SyncPrefectClient, flow_run: str, state: State[Any]) -> None:
    """Set one flow run, what is unfinished of its tasks first; that one broke stays as it said."""
    chosen = FlowRunFilter(id=FlowRunFilterId(any_=[UUID(flow_run)]))
    for task in client.read_task_runs(flow_run_filter=chosen):
        if task.state is None or not task.state.is_final():
            client.set_task_run_state(task.id, Crashed(message=KILLED), force=True)
    for run in client.read_flow_runs(flow_run_filter=chosen):
        ended = run.state is not None and run.state.is_final()
        if not ended or not (state.is_crashed() or run.state_name == state.name):
            client.set_flow_run_state(run.id, state, force=True)
