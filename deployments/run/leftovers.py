"""What earlier processes left in a home: found cheaply by every command, and then finished."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledgers.home.database import ONLY_READS, RESTORED
from ledgers.home.private_files import owners_alone

if TYPE_CHECKING:
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from tasks.handover.delivery import Completed


@owners_alone()
def finish_leftovers(home: Home, keys: Keys) -> list[str]:
    """Complete what earlier processes left, show in Prefect what it came to, and say so.

    A checkpoint that is missing is taken too.

    Where nothing was left, neither Prefect nor MLflow is loaded.
    """
    if (home.root / RESTORED).is_file():
        return [ONLY_READS]
    if not has_leftovers(home, keys):
        return check_point(home, keys)
    from deployments.servers.prefect_server import set_environment

    set_environment(home)
    from tasks.handover.delivery import complete_runs
    from tasks.watching.announcing import announce

    completed = complete_runs(home, keys)
    return [
        *(run.said for run in completed),
        *show(home, [one for one in completed if one.flow_run]),
        *check_point(home, keys),
        *announce(home, keys, [one.run_id for one in completed if one.verdict]),
    ]


def check_point(home: Home, keys: Keys) -> list[str]:
    """Sign where the ledgers end, if a process ended before it did; say what did not work."""
    from ledgers.checkpoints import take_checkpoint
    from ledgers.home.database import open_database

    return take_checkpoint(open_database(home), keys)


def show(home: Home, completed: list[Completed]) -> list[str]:
    """Show in Prefect what runs came to, and say so where it cannot be done."""
    from deployments.servers.prefect_server import ensure_server
    from expectations.errors import ServiceError

    if not completed:
        return []
    try:
        # It is left when this process ends: Prefect reads the server's address once only.
        ensure_server(home, progress=lambda _: None)
        from flows.ending import show_finished

        show_finished(home, completed)
    except ServiceError as error:
        return [f"Prefect still shows {len(completed)} of them as they were: {error}"]
    return []


def has_leftovers(home: Home, keys: Keys) -> bool:
    """Whether an earlier process may have left something: a folder, goods, or an open record."""
    from ledgers.evidence import OPEN, EvidenceLedger
    from ledgers.home.database import open_database
    from ledgers.home.flow_runs import find_abandoned

    if find_abandoned(home) or any(any(place.iterdir()) for place in (home.vault, home.outbox)):
        return True
    ledger = EvidenceLedger(open_database(home), keys)
    unfinished = [run for run in ledger.runs() if run.verdict in OPEN]
    return len(ledger.elsewhere(unfinished)) < len(unfinished)
