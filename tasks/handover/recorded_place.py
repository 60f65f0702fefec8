"""Where MLflow shows a run: the address of its store, the run's page, what the ledger keeps of it.

Knows addresses alone, and no MLflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ledgers.evidence import JSON
from ledgers.home.home import Home, without_login

OWN_PAGES: Final = "http://127.0.0.1:5000"
"""Where `tutela mlflow` opens the home's own store."""


@dataclass(frozen=True, slots=True)
class MlflowRun:
    """Where MLflow shows a run, and the versions of the models that it registered."""

    run_id: str
    experiment_id: str
    url: str | None
    models: Mapping[str, str]


def tracking_uri(home: Home) -> str:
    """Give the address of MLflow's store: the settings' own, or the home's."""
    return home.settings.mlflow_tracking_uri or f"sqlite:///{home.mlflow}/mlflow.db"


def find_page(home: Home, experiment: str, run: str) -> str | None:
    """Give the address of the run's page; the home's own store is opened by `tutela mlflow`."""
    uri = without_login(home.settings.mlflow_tracking_uri or OWN_PAGES)
    if not uri.startswith("http"):
        return None
    return f"{uri}/#/experiments/{experiment}/runs/{run}"


def links_body(found: MlflowRun) -> dict[str, JSON]:
    """Give what the evidence ledger keeps of a recorded run."""
    return {
        "run_id": found.run_id,
        "experiment_id": found.experiment_id,
        "url": found.url,
        "model_version": next(iter(found.models.values()), None),
    }
