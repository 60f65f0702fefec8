"""How many scheduled runs may still spend ε: what a schedule takes from people without anybody.

A schedule that spends ε is given a number of runs, which the home keeps. Each run that Prefect's
server starts by itself takes one of them before it spends; with none left it is refused, whatever
that server's schedules say. A run that a person starts takes none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from uuid import UUID

from expectations.errors import HomeError, Refusal
from ledgers.home.home import Home
from ledgers.home.private_files import locked, write_private

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

FILE: Final = "scheduled-runs.json"
"""In the home: by policy, how many scheduled runs may still spend."""


def read_allowances(home: Home) -> dict[str, int]:
    """Give by policy how many scheduled runs may still spend; HomeError for a damaged file."""
    file = home.root / FILE
    try:
        found = json.loads(file.read_bytes()) if file.is_file() else {}
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not all(type(number) is int for number in found.values()):
        raise HomeError(f"{file} cannot be read: remove it, then run tutela schedule again")
    return found


def allow(home: Home, policy: str, runs: int | None) -> None:
    """Let so many scheduled runs of a policy spend from now on; None takes back what was left."""
    with locked(home.root):
        before = read_allowances(home)
        after = {name: left for name, left in before.items() if name != policy}
        if runs is not None:
            after[policy] = runs
        if after != before:
            _write(home, after)


def take_one(home: Home, policy: str) -> int:
    """Take one run from a policy's allowance and give how many are left; Refusal where none was."""
    with locked(home.root):
        allowances = read_allowances(home)
        left = allowances.get(policy, 0) - 1
        if left < 0:
            raise Refusal(
                "scheduled runs",
                f"each run of {policy} spends ε, and its schedule has no run left. Allow more with "
                f"`tutela schedule {policy} --cron … --runs N`, or start one by hand",
            )
        _write(home, {**allowances, policy: left})
    return left


def _write(home: Home, allowances: Mapping[str, int]) -> None:
    write_private(home.root / FILE, json.dumps(allowances, sort_keys=True).encode())


def hold_to_schedule(home: Home, policy: str) -> None:
    """Count a run that spends, if a schedule started it; after the last one, pause the schedule."""
    flow_run = _scheduled_run()
    if flow_run is None:
        return
    if take_one(home, policy) == 0 and flow_run.deployment_id is not None:
        _pause(flow_run.deployment_id)


def _scheduled_run() -> FlowRun | None:
    """Give the flow run that is under way here, if a schedule started it."""
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    flow_run = context.flow_run if context else None
    return flow_run if flow_run is not None and flow_run.auto_scheduled else None


def _pause(deployment: UUID) -> None:
    """Pause a deployment; where that fails its next run is refused, so nothing depends on it."""
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.logging import get_run_logger

    try:
        with get_client(sync_client=True) as client:
            client.pause_deployment(deployment)
    except HTTPError:
        get_run_logger().warning("the schedule could not be paused; its next run is refused")
