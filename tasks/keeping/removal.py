"""Removing the goods of runs from every place in reach: home, MLflow's store, Prefect's database.

It may be repeated: what a killed process left, the next one removes. What stands on a server
elsewhere is taken back as far as its interface lets a client, and what remains there is told.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ledgers.evidence import EvidenceLedger
from ledgers.home.home import Home
from tasks.handover.recording import RUN_TAG, own_store, tracking_uri
from tasks.handover.recording import find_aliases as find_aliases_elsewhere
from tasks.handover.recording import remove_run as remove_run_elsewhere
from tasks.keeping.own_stores import (
    compact,
    erase_mlflow,
    erase_prefect,
    find_aliases,
    find_mlflow_runs,
)

INCIDENT_DAYS: Final = 90
"""How long the sealed text of an error is kept, or as long as the shortest goods if that is less.

It may quote people, and is of no run that it names: a quarter is enough to look into it.
"""

Elsewhere = Callable[[Collection[str]], Sequence[str]]
"""Removes flow runs from a Prefect server that is not the home's own, and says what remains."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a home's runs are shown."""

    home: Home

    @property
    def mlflow(self) -> Path:
        """The database of the home's own MLflow store."""
        return self.home.mlflow / "mlflow.db"

    @property
    def prefect(self) -> Path:
        """The database of the home's own Prefect server."""
        return self.home.prefect / "prefect.db"

    @property
    def serves_mlflow(self) -> bool:
        """Whether runs are shown by an MLflow that is not the home's own."""
        return tracking_uri(self.home) != own_store(self.home)

    def list_files(self, run_id: str) -> Iterator[Path]:
        """Give what a run left in the home's folders."""
        yield from (self.home.releases / run_id,) if (self.home.releases / run_id).exists() else ()
        yield from self.home.reports.glob(f"{run_id}*")
        yield from self.home.outbox.glob(f"{run_id}-*")


def find_in_use(places: Places, runs: Mapping[str, str]) -> dict[str, list[str]]:
    """Give the runs, of some by the names of their policies, of which a model has an alias."""
    shown = find_mlflow_runs(places.mlflow, runs, RUN_TAG)
    found = find_aliases(places.mlflow, shown) if shown else {}
    if places.serves_mlflow and runs:
        for run_id, policy in runs.items():
            if names := find_aliases_elsewhere(places.home, policy, run_id):
                found.setdefault(run_id, []).extend(names)
    return found


def remove_goods(
    places: Places, ledger: EvidenceLedger, runs: Mapping[str, str], elsewhere: Elsewhere | None
) -> dict[str, list[str]]:
    """Remove the goods of runs, given with their policies; give what remains of each elsewhere.

    Raises `ServiceError` where a place cannot be reached or cleared; it is done again then.
    """
    remaining: dict[str, list[str]] = {run_id: [] for run_id in runs}
    for run_id in runs:
        for path in places.list_files(run_id):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if shown := find_mlflow_runs(places.mlflow, runs, RUN_TAG):
        erase_mlflow(places.mlflow, places.home.mlflow / "artifacts", shown)
    if places.mlflow.is_file():
        compact(places.mlflow)
    if places.serves_mlflow:
        for run_id, policy in runs.items():
            remaining[run_id] += remove_run_elsewhere(places.home, policy, run_id)
    _remove_flow_runs(places, _flow_runs(ledger, runs), elsewhere, remaining)
    return remaining


def _remove_flow_runs(
    places: Places,
    flow_runs: Mapping[str, str],
    elsewhere: Elsewhere | None,
    remaining: dict[str, list[str]],
) -> None:
    if places.prefect.is_file():
        erase_prefect(places.prefect, flow_runs)
        compact(places.prefect)
    for flow_run, run_id in flow_runs.items() if elsewhere is not None else ():
        assert elsewhere is not None
        remaining[run_id] += elsewhere([flow_run])


def _flow_runs(ledger: EvidenceLedger, runs: Collection[str]) -> dict[str, str]:
    """Give the Prefect flow runs that runs were, each with its run."""
    return {
        str(entry.body["id"]): run_id
        for run_id in runs
        for entry in ledger.entries(run_id)
        if entry.kind == "prefect" and isinstance(entry.body, dict)
    }


def remove_incidents(home: Home, before: float) -> int:
    """Remove incidents that were sealed before a moment (seconds of the epoch); say how many."""
    due = [path for path in home.incidents.iterdir() if path.stat().st_mtime < before]
    for path in due:
        path.unlink(missing_ok=True)
    return len(due)
