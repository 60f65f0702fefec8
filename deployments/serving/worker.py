"""The worker of a home: takes scheduled runs from Prefect's server and has them carried out.

`python -m deployments.serving.worker HOME` becomes it. It is Prefect's worker for processes, with
three differences: runs end with it; before it begins it finishes what an earlier one left; and it
ends, to be started again, when the home's own server is gone. A home has one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import platform
import signal
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deployments.run.leftovers import finish_leftovers
from deployments.servers.parent import PARENT, end_with_parent
from deployments.servers.prefect_process import is_alive, read_note
from deployments.servers.prefect_server import ensure_server, set_environment
from deployments.terminal import say
from expectations.errors import TutelaError
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.home.private_files import is_locked, owners_alone

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, StateType
    from prefect.workers.process import ProcessWorker

POOL: Final = "tutela"
LOCK: Final = "worker.lock"
LOG: Final = "worker.log"
LIMIT: Final = 2
"""How many runs go on at once, of different policies: each takes a core and some 700 MB."""
MISSED: Final = "nobody served schedules at that time, and a later run does the same"
UNSTARTED: Final = timedelta(minutes=10)
"""A flow run that was taken and not started for so long was taken by a worker that is gone."""
AWAY: Final = 30.0
"""Seconds for which the home's own server may be away before the worker starts anew."""
RUN: Final = (sys.executable, "-P", "-m", "deployments.serving.flow_run")


def is_serving(home: Home) -> bool:
    """Tell whether a worker of this home runs on this machine."""
    with contextlib.suppress(FileNotFoundError):
        return is_locked(os.open(home.prefect / LOCK, os.O_RDONLY))
    return False


def make_worker() -> ProcessWorker:
    """Make Prefect's worker for the pool `tutela`, which it makes if it is missing."""
    from prefect.utilities.processutils import command_to_string
    from prefect.workers.process import ProcessJobConfiguration, ProcessWorker

    class Job(ProcessJobConfiguration):
        """How a run's process is started."""

        def prepare_for_flow_run(self, *args: Any, **named: Any) -> None:  # noqa: ANN401 - Prefect's
            """Take our command, so that the run ends with this process."""
            super().prepare_for_flow_run(*args, **named)
            self.command = command_to_string([*RUN])
            self._command_configured = True
            self.env[PARENT] = str(os.getpid())

    worker = ProcessWorker(work_pool_name=POOL, name=f"tutela on {platform.node()}", limit=LIMIT)
    worker.job_configuration = Job  # a class of its own would be registered as a second "process"
    return worker


def close_left(home: Home) -> None:
    """Settle in Prefect what earlier workers left, else shown as under way or late for ever.

    What was killed while it ran has been finished before; what was taken and never began has
    crashed. Of runs that nobody started in time the latest of each schedule is left, as all would
    do the same now.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import StateType
    from prefect.states import Cancelled

    from flows.ending import show_finished
    from tasks.handover.delivery import Completed

    now = datetime.now(UTC)
    with get_client(sync_client=True) as client:
        taken = list_runs(client, StateType.PENDING, now - UNSTARTED)
        missed = list_runs(client, StateType.SCHEDULED, now)
        latest = {run.deployment_id: run.id for run in missed}
        for run in missed:
            if run.auto_scheduled and run.id != latest[run.deployment_id]:
                client.set_flow_run_state(run.id, Cancelled(message=MISSED), force=True)
    killed = [Completed("its process was killed", str(run.id), "failed") for run in taken]
    show_finished(home, killed)


def list_runs(client: SyncPrefectClient, kind: StateType, before: datetime) -> list[FlowRun]:
    """Give the pool's flow runs in a state that should have started before a moment, in order."""
    from prefect.client.schemas import filters
    from prefect.client.schemas.sorting import FlowRunSort

    return client.read_flow_runs(
        flow_run_filter=filters.FlowRunFilter(
            state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[kind])),
            expected_start_time=filters.FlowRunFilterExpectedStartTime(before_=before),
        ),
        work_pool_filter=filters.WorkPoolFilter(name=filters.WorkPoolFilterName(any_=[POOL])),
        sort=FlowRunSort.EXPECTED_START_TIME_ASC,
    )


def serve(home: Home) -> int:
    """Serve schedules until asked to end; gives an exit status."""
    lock = os.open(home.prefect / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another process of this home serves its schedules already")
        return 0
    set_environment(home)
    os.environ.update({"TUTELA_HOME": str(home.root), **CONSOLE})
    url = ensure_server(home, progress=say)
    for sentence in finish_leftovers(home, Keys.open(home)):
        say(sentence)
    close_left(home)
    if home.settings.prefect_api_url is None:
        threading.Thread(target=_watch_server, args=(home, url), daemon=True).start()
    try:
        asyncio.run(make_worker().start())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 0
    finally:
        end_runs()
    return 1


CONSOLE: Final = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO"}
"""What runs log goes to the worker's own log, which nobody's console is."""


def end_runs() -> None:
    """Ask what this process started to end; it has its group for itself, if it leads one."""
    if os.getpgrp() == os.getpid():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)


def _watch_server(home: Home, url: str) -> None:
    """End this process once the home's own server is away, or elsewhere: it is started again."""
    seen = time.monotonic()
    while time.monotonic() - seen < AWAY:
        time.sleep(1)
        note = read_note(home)
        if note and note.api_url != url:
            break
        if note or is_alive(home):
            seen = time.monotonic()
    os.kill(os.getpid(), signal.SIGTERM)


def stop(_signal: int, _frame: object) -> None:
    """End what is under way; what libraries say of that is no news to anybody."""
    logging.disable(logging.CRITICAL)
    raise KeyboardInterrupt


def main(root: Path) -> int:
    """Become the worker of the home at this path; errors are said in words."""
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    end_with_parent()
    with owners_alone():
        try:
            return serve(Home.open(root))
        except TutelaError as error:
            say(f"tutela: {error}")
            return error.exit_status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
