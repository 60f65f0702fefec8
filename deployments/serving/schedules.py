"""Schedules of policies on the Prefect server that a home uses: made, listed, paused, removed.

A schedule is a deployment in the pool `tutela` that has its policy's name. It hands the flow that
name and nothing else; how often it may spend ε is kept in the home (`flows.allowance`). What ran is
on record there too: Prefect says only when, and how it ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias
from zoneinfo import available_timezones

from deployments.servers.prefect_server import REQUIRED
from deployments.serving.worker import POOL
from expectations.errors import ServiceError, UsageError
from expectations.policy_file import PolicyFile
from flows.allowance import allow, read_allowances
from ledgers.home.home import Home
from ledgers.home.policies import read_named_policy

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.client.schemas.schedules import CronSchedule

FLOWS: Final = {
    "all": "flows.training.train_and_release",
    "tables": "flows.training.release_tables",
}
SLOT: Final = 60
"""Seconds after which a run whose process is gone no longer keeps the next from starting."""
Scope: TypeAlias = Literal["all", "tables"]
Change: TypeAlias = Literal["pause", "resume", "remove"]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """One schedule: what it runs when, and the runs before and after now."""

    policy: str
    scope: Scope
    cron: str
    timezone: str
    active: bool
    next_run: datetime | None
    last_run: datetime | None
    ended: str | None
    """How the last run ended, as Prefect shows it."""
    runs_left: int | None
    """How many runs may still spend ε; None where none does."""


def check_times(cron: str, timezone: str) -> CronSchedule:
    """Give the times that a schedule names; UsageError for what is no cron line or time zone."""
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    if timezone not in available_timezones():
        raise UsageError(
            f'--timezone "{timezone}" is not a time zone: write one such as Europe/Berlin'
        )
    try:
        return CronSchedule(cron=cron, timezone=timezone)
    except (ValidationError, ValueError):
        raise UsageError(
            f'--cron "{cron}" is not a cron line: write minute, hour, day, month and weekday, such '
            'as "0 5 * * *" for every day at 05:00'
        ) from None


def check_runs(file: PolicyFile, scope: Scope, runs: int | None) -> None:
    """Refuse a schedule that would spend ε without end, and a number that counts nothing."""
    spends = file.policy.for_part(scope).private
    if spends and runs is None:
        raise UsageError(
            f"each run of {file.policy.name} spends ε of the same people for good, and nobody "
            "looks when a schedule starts it: say how many with --runs N, or take --tables-only, "
            "which spends none"
        )
    if not spends and runs is not None:
        raise UsageError("--runs: these runs spend no ε, so there is no number to keep")


def check_name(file: PolicyFile) -> None:
    """Refuse a policy that a worker would not find by its name, or would find otherwise."""
    from expectations.errors import PolicyError
    from ledgers.home.home import own_policies

    name, place = file.policy.name, own_policies()
    try:
        found = read_named_policy(name)
    except PolicyError:
        found = None
    if found is None or found.path != file.path:
        there = f"{name} is found at {found.path}" if found else f"no {name} is found by its name"
        raise UsageError(
            f"a schedule names its policy, and {there}: put {file.path} into {place} as {name}.yaml"
        )


@contextmanager
def asking(home: Home) -> Iterator[SyncPrefectClient]:
    """Ask the Prefect server of this home, whose address is set; ServiceError where it fails."""
    from httpx import HTTPError
    from prefect.client.orchestration import get_client

    try:
        with get_client(sync_client=True) as client:
            yield client
    except HTTPError as error:
        named = home.settings.prefect_api_url or "this home's Prefect server"
        raise ServiceError(f"{named} failed with {type(error).__name__}: try again") from None


def make_schedule(
    home: Home, file: PolicyFile, scope: Scope, times: CronSchedule, runs: int | None
) -> None:
    """Make the schedule of a checked policy, or change the one that it has."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
    from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.utilities.callables import parameter_schema
    from prefect.workers.process import ProcessWorker

    from flows.training import release_tables, train_and_release

    flow = {"all": train_and_release, "tables": release_tables}[scope]
    name = file.policy.name
    allow(home, name, runs)
    with asking(home) as client:
        try:
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(
                WorkPoolCreate(name=POOL, type="process", base_job_template=template)
            )
        except ObjectAlreadyExists:
            pass
        made = client.create_deployment(
            flow_id=client.create_flow_from_name(flow.name),
            name=name,
            description=file.policy.title,
            entrypoint=FLOWS[scope],
            parameters={"policy": name},
            parameter_openapi_schema=parameter_schema(flow).model_dump(exclude_unset=True),
            enforce_parameter_schema=True,
            schedules=[DeploymentScheduleCreate(schedule=times, active=True)],
            paused=False,
            concurrency_limit=1,
            concurrency_options=ConcurrencyOptions(
                collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW, grace_period_seconds=SLOT
            ),
            work_pool_name=POOL,
            pull_steps=[],
            job_variables={"env": {name: needed for name, (needed, _) in REQUIRED.items()}},
        )
        for other in read_deployments(client, name):
            if other.id != made:
                client.delete_deployment(other.id)


def read_deployments(client: SyncPrefectClient, policy: str | None) -> list[DeploymentResponse]:
    """Give the deployments of the pool that run a policy, or all of them."""
    from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName

    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    found = client.read_deployments(work_pool_filter=pool, limit=200)
    return [one for one in found if policy in {None, one.parameters.get("policy")}]


def change_schedule(home: Home, policy: str, change: Change) -> None:
    """Pause, resume or remove the schedules of a policy; UsageError where it has none."""
    with asking(home) as client:
        found = read_deployments(client, policy)
        if not found:
            raise UsageError(f"{policy} has no schedule: see tutela schedule")
        for one in found:
            match change:
                case "pause":
                    client.pause_deployment(one.id)
                case "resume":
                    client.resume_deployment(one.id)
                case "remove":
                    client.delete_deployment(one.id)
    if change == "remove":
        allow(home, policy, None)


def list_schedules(home: Home) -> list[Scheduled]:
    """Give all schedules of the server, with their next and last runs."""
    left = read_allowances(home)
    with asking(home) as client:
        return [
            _describe(client, one, left)
            for one in sorted(read_deployments(client, None), key=lambda one: one.name)
            if one.schedules
        ]


def _describe(
    client: SyncPrefectClient, one: DeploymentResponse, left: dict[str, int]
) -> Scheduled:
    from prefect.client.schemas.sorting import FlowRunSort

    name = str(one.parameters.get("policy", one.name))
    scope: Scope = "tables" if one.entrypoint == FLOWS["tables"] else "all"
    times = one.schedules[0].schedule
    ahead = _runs(client, one, ended=False, sort=FlowRunSort.NEXT_SCHEDULED_START_TIME_ASC)
    before = _runs(client, one, ended=True, sort=FlowRunSort.START_TIME_DESC)
    active = not one.paused and one.schedules[0].active
    return Scheduled(
        policy=name,
        scope=scope,
        cron=str(getattr(times, "cron", times)),
        timezone=getattr(times, "timezone", None) or "UTC",
        active=active,
        next_run=ahead[0].next_scheduled_start_time if ahead and active else None,
        last_run=before[0].start_time or before[0].end_time if before else None,
        ended=before[0].state_name if before else None,
        runs_left=left.get(name) if scope == "all" else None,
    )


def _runs(
    client: SyncPrefectClient, one: DeploymentResponse, *, ended: bool, sort: object
) -> Sequence[FlowRun]:
    """Give the run of a deployment that began last, or the next one."""
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    ahead = [StateType.SCHEDULED]
    over = [kind for kind in StateType if kind not in {*ahead, StateType.PENDING}]
    kinds = FlowRunFilterState(type=FlowRunFilterStateType(any_=over if ended else ahead))
    return client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=kinds),
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[one.id])),
        sort=sort,  # type: ignore[arg-type]  # one of Prefect's own
        limit=1,
    )


def is_polled(home: Home) -> bool:
    """Tell whether some worker, here or elsewhere, takes the runs of the pool."""
    from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
    from prefect.client.schemas.objects import WorkerStatus

    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    with asking(home) as client:
        if not client.read_work_pools(work_pool_filter=pool):
            return False
        found = client.read_workers_for_work_pool(POOL)
    return any(one.status == WorkerStatus.ONLINE for one in found)
