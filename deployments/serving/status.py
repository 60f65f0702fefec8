"""What `tutela status` answers: whether what serves a home is well, and what waits.

It only looks: nothing is started, and nothing is finished that waits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from deployments.servers.prefect_server import (
    answers_well,
    named_mlflow,
    running,
    set_environment,
)
from deployments.serving.schedules import Scheduled, is_polled, list_schedules
from deployments.serving.screen import FIX_UNSERVED, draw_schedules, plain_schedule
from deployments.serving.worker import is_serving
from deployments.terminal import Answer, lay_out
from expectations.errors import ServiceError
from ledgers.evidence import EvidenceLedger, RunRecord
from ledgers.home.database import open_database
from ledgers.home.home import Home, without_login
from ledgers.home.keys import Keys
from ledgers.vault.vault import Vault

LAST: Final = 5
"""How many runs are shown."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that was looked at: how it is, and what to do where it is not well."""

    what: str
    how: str
    fix: str = ""


def tell_status() -> Answer:
    """Look at all that serves a home; ServiceError, beside the answer, for what is not well."""
    home = Home.open()
    keys = Keys.open(home)
    set_environment(home)
    ledger = EvidenceLedger(open_database(home), keys)
    runs = ledger.runs()
    url = find_server(home)
    schedules = read_schedules(home, url)
    seen = [
        *see_servers(home, url),
        see_serving(home, url, schedules),
        see_waiting(home, keys, runs),
    ]
    faults = [one for one in seen if one.fix]
    found: dict[str, Any] = {
        "healthy": not faults,
        "parts": [{"what": one.what, "how": one.how, "fix": one.fix or None} for one in seen],
        "schedules": [plain_schedule(one) for one in schedules],
        "waiting": [run.run_id for run in runs if run.verdict == "pending"],
        "runs": [_plain_run(run) for run in runs[-LAST:][::-1]],
    }
    broken = "; ".join(f"{one.what}: {one.how}. {one.fix}" for one in faults)
    refused = ServiceError(broken) if faults else None
    return Answer(found, [*_draw(seen, schedules, runs)], (), refused)


def find_server(home: Home) -> str | None:
    """Give the address of the Prefect server that this home uses, if it answers."""
    named = home.settings.prefect_api_url
    if named is None:
        url = running(home)
    else:
        url = named if answers_well(f"{named}/health", b"true") else None
    if url is not None:
        os.environ["PREFECT_API_URL"] = url
    return url


def read_schedules(home: Home, url: str | None) -> list[Scheduled]:
    """Give the schedules, as far as a server tells them."""
    with suppress(ServiceError):
        return list_schedules(home) if url else []
    return []


def see_servers(home: Home, url: str | None) -> Iterator[Seen]:
    """Look at Prefect's and MLflow's servers."""
    named = home.settings.prefect_api_url
    if url is not None:
        yield Seen("Prefect's server", f"answers at {without_login(url)}")
    elif named is not None:
        yield Seen("Prefect's server", f"does not answer at {without_login(named)}", "Start it")
    else:
        yield Seen("Prefect's server", "is not running", "Run `tutela up`")
    mlflow = named_mlflow(home)
    if mlflow is None:
        yield Seen("MLflow's store", "is this home's own, which needs no server")
    elif answers_well(f"{mlflow}/health", b"OK"):
        yield Seen("MLflow's server", f"answers at {without_login(mlflow)}")
    else:
        yield Seen("MLflow's server", f"does not answer at {without_login(mlflow)}", "Start it")


def see_serving(home: Home, url: str | None, schedules: list[Scheduled]) -> Seen:
    """Look for who takes scheduled runs, which is needed where something is scheduled."""
    here = is_serving(home)
    if here:
        return Seen("schedules", "are served by a process of this home")
    with suppress(ServiceError):
        if url is not None and is_polled(home):
            return Seen("schedules", "are served by a worker elsewhere")
    if url is not None and not any(one.active for one in schedules):
        return Seen("schedules", "nothing is scheduled, and nothing serves")
    return Seen("schedules", "are not served", FIX_UNSERVED)


def see_waiting(home: Home, keys: Keys, runs: list[RunRecord]) -> Seen:
    """Look for work that an earlier run left: for MLflow, or for whoever finishes it.

    What a living run has in its outbox is on its way.
    """
    living = Vault(home.vault, keys).living()
    waits = sum(run.verdict == "pending" for run in runs if run.run_id not in living)
    sealed = sum(not path.name.startswith(tuple(living)) for path in home.outbox.iterdir())
    if not waits and not sealed:
        return Seen("waiting", "nothing")
    packages = f"{sealed} sealed package{'s' * (sealed != 1)}"
    said = f"{waits} run{'s' * (waits != 1)} for MLflow or approval, {packages}"
    return Seen("waiting", said, "The next run hands it over, or `tutela maintain`")


def _plain_run(run: RunRecord) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "policy": run.policy,
        "started_at": run.started_at,
        "verdict": run.verdict,
    }


def _draw(seen: list[Seen], schedules: list[Scheduled], runs: list[RunRecord]) -> Iterator[str]:
    yield from lay_out([], [[one.what, one.how] for one in seen])
    if schedules:
        yield ""
        yield from draw_schedules(schedules)
    if runs:
        yield ""
        rows = [
            [run.run_id, run.policy, run.verdict or "under way, or its process was killed"]
            for run in runs[-LAST:][::-1]
        ]
        yield from lay_out(["last runs", "policy", "verdict"], rows)
