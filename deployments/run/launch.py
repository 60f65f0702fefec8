"""Launching a run: the server, the flow, progress, and what came of it.

The flow is given a policy's name and nothing else, since Prefect stores what it is given; paths and
sources wait in this process (`flows.opening.request`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployments.run.progress import Progress
from deployments.run.screen import describe_run
from deployments.servers.prefect_server import (
    leave_server,
    set_environment,
    start_server,
    wait_for_server,
)
from expectations.errors import ServiceError, TutelaError
from expectations.policy.policy import Part
from expectations.policy_file import PolicyFile
from ledgers.evidence import JSON
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.home.private_files import owners_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from expectations.policy.locations import InMemory
    from ledgers.people.statement import Signed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to: the screen, the same as plain values, and what ended it, if anything."""

    screen: str
    as_json: JSON
    error: TutelaError | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is on record, and what ended it, if anything."""

    run_id: str
    error: TutelaError | None


def launch(  # noqa: PLR0913, PLR0917  # what is asked for, and where
    home: Home,
    keys: Keys,
    file: PolicyFile,
    source: str | None,
    part: Part,
    epsilon: float | None = None,
    started: Sequence[Signed] = (),
) -> Outcome:
    """Run a checked policy in this process, and give what there is to say of it."""
    with Progress() as progress:
        try:
            ended = carry_out(home, file, source, part, epsilon, progress, started)
        except KeyboardInterrupt:
            raise ServiceError(say_stopped(home, keys, progress.run_id, part)) from None
    found, screen = describe_run(home, keys, ended.run_id)
    return Outcome(screen, found, ended.error)


@owners_alone()
def say_stopped(home: Home, keys: Keys, run_id: str | None, part: Part) -> str:
    """Say what an interrupt left: nothing, or a run that the next command completes."""
    from ledgers.evidence import EvidenceLedger
    from ledgers.home.database import open_database

    entries = EvidenceLedger(open_database(home), keys).entries(run_id) if run_id else []
    if [entry.name for entry in entries if entry.kind == "decision"][-1:] == ["passed"]:
        return (
            f"stopped while run {run_id} handed over; the next command, such as tutela report, "
            "asks for consent again and completes it"
        )
    if part == "advice":
        return "stopped; the charge is given back, unless noise was already drawn"
    return "stopped; nothing was handed over"


def carry_out(  # noqa: PLR0913, PLR0917  # what is asked for, where, and who is told meanwhile
    home: Home,
    file: PolicyFile,
    source: str | InMemory | None,
    part: Part,
    epsilon: float | None,
    progress: Progress,
    started: Sequence[Signed],
) -> Ended:
    """Run a checked policy in this process under this home's Prefect server.

    `started` is who signed this start, where the policy asks for that.

    Raises what ended it before anything was on record.
    """
    from deployments.request import location_given

    set_environment(home)
    with at_home(home), served(home, progress.tell):
        from flows.libraries import list_libraries

        libraries = list_libraries(home, file.policy.for_part(part))
        wait_for_server(home, progress=progress.tell, meanwhile=libraries)
        from flows.advice import advise_on_columns
        from flows.opening import Request, request
        from flows.training import release_tables, train_and_release

        located = location_given(source) if isinstance(source, str) else source
        name = request(Request(str(file.path), located, progress.step, epsilon, file, started))
        flows = {"all": train_and_release, "tables": release_tables, "advice": advise_on_columns}
        error = run_flow(lambda: flows[part](name))
    if progress.run_id is None:
        assert error is not None
        raise error
    return Ended(progress.run_id, error)


@contextmanager
def at_home(home: Home) -> Iterator[None]:
    """Let flows find this home meanwhile, and what was named before afterwards."""
    before = os.environ.get("TUTELA_HOME")
    os.environ["TUTELA_HOME"] = str(home.root)
    try:
        yield
    finally:
        del os.environ["TUTELA_HOME"]
        if before is not None:
            os.environ["TUTELA_HOME"] = before


def run_flow(flow: Callable[[], object]) -> TutelaError | None:
    """Call a flow and give what ended it."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    try:
        # Without Prefect's heartbeat, whose sleep of a second each run would wait out at its end:
        # who was killed here is found by their lock.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            flow()
    except TutelaError as error:
        return error
    except SystemExit:
        return ServiceError("a library ended the process inside a step: see tutela report")
    return None


@contextmanager
def served(home: Home, tell: Callable[[str], None]) -> Iterator[None]:
    """Use a Prefect server meanwhile; it may still be starting, so that imports overlap."""
    start_server(home, progress=tell)
    try:
        yield
    finally:
        drain_logs()
        leave_server(home)


def drain_logs() -> None:
    """Let Prefect send what it has yet to log, before the server may end."""
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
