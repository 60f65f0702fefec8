"""What MLflow shows, read as plain values to be compared; nothing is made or changed there.

With `recording` and `registry` the only modules of this floor that import mlflow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from ledgers.home.home import Home
from tasks.account.projection import Projection
from tasks.handover.recording import (
    RUN_TAG,
    answering,
    datasets,
    list_inputs,
    own_store,
    tracking_uri,
)
from tasks.handover.registry import is_own_place

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PAGE: Final = 1000
"""How many runs or versions are asked for at a time."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A run as MLflow shows it."""

    mlflow_run: str
    run: str
    """The run on record that it says it shows."""
    deleted: bool
    parts: Mapping[str, Mapping[str, str]]
    """Its tags, parameters, metrics and inputs, by name."""
    place: str
    """Where its artifacts lie."""


@dataclass(frozen=True, slots=True)
class ShownModel:
    """A registered version of a model."""

    name: str
    version: str
    mlflow_run: str
    description: str
    tags: Mapping[str, str]
    place: str


@dataclass(frozen=True, slots=True)
class Store:
    """All that a store of MLflow shows of this home's runs."""

    runs: Sequence[Shown]
    models: Sequence[ShownModel]
    aliases: Mapping[str, str]
    """The version that each alias names, by `model@alias`."""


def read_store(home: Home) -> Store:
    """Read what MLflow shows; ServiceError when it is away."""
    with answering(home, "show its runs", ""):
        uri = tracking_uri(home)
        if uri == own_store(home) and not (home.mlflow / "mlflow.db").is_file():
            return Store([], [], {})
        client = open_client(home)
        models = list(_page(client.search_registered_models, PAGE // 10))
        versions = _page(client.search_model_versions, PAGE)
        place = client.get_model_version_download_uri
        return Store(
            list(_read_runs(client)),
            [
                ShownModel(
                    one.name, str(one.version), str(one.run_id), one.description or "",
                    dict(one.tags), place(one.name, str(one.version)),
                )
                for one in versions
            ],
            {f"{m.name}@{alias}": str(v) for m in models for alias, v in m.aliases.items()},
        )  # fmt: skip


def open_client(home: Home) -> MlflowClient:
    """Open a client of the home's store that makes nothing where it is missing."""
    from mlflow import MlflowClient

    uri = tracking_uri(home)
    return MlflowClient(uri, registry_uri=uri)


def _page(search, size: int):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # MLflow's own
    token = None
    while True:
        page = search(max_results=size, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _read_runs(client: MlflowClient) -> Iterator[Shown]:
    from mlflow.entities import ViewType

    places = [one.experiment_id for one in _page(client.search_experiments, PAGE)]
    token = None
    while places:
        page = client.search_runs(places, "", ViewType.ALL, PAGE, None, token)
        yield from (_read_run(one) for one in page if RUN_TAG in one.data.tags)
        token = page.token
        if not token:
            return


def _read_run(run: Run) -> Shown:
    parts = {
        "tags": dict(run.data.tags),
        "parameters": dict(run.data.params),
        "metrics": {name: repr(float(value)) for name, value in run.data.metrics.items()},
        "inputs": list_inputs(run.inputs.dataset_inputs if run.inputs else []),
    }
    deleted = run.info.lifecycle_stage == "deleted"
    return Shown(run.info.run_id, run.data.tags[RUN_TAG], deleted, parts, run.info.artifact_uri)


def expect_inputs(projection: Projection) -> dict[str, str]:
    """Give the inputs that the record has, as `list_inputs`."""
    return list_inputs(datasets(projection))


def read_files(home: Home, place: str) -> dict[str, bytes] | None:
    """Give the files at a place of MLflow's; None where it is not the store's own.

    ServiceError when MLflow is away.
    """
    uri = tracking_uri(home)
    if not is_own_place(uri, home.mlflow, place):
        return None
    parts = urlsplit(place)
    if parts.scheme in {"", "file"}:
        return _read_folder(Path(unquote(parts.path)))
    from mlflow.artifacts import download_artifacts

    with answering(home, "give its files", ""), TemporaryDirectory(dir=home.mlflow) as folder:
        return _read_folder(Path(download_artifacts(place, dst_path=folder, tracking_uri=uri)))


def _read_folder(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
