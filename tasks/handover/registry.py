"""A run's models in MLflow: registered once each, as the very bytes that were approved, or gone.

MLflow's own functions for this save a model anew, and set the store that the whole process uses
from then on. So a model is described in a folder of the home and handed to a client of one store.
Beside `recording` the only module that imports mlflow.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from expectations.errors import ServiceError
from expectations.policy.outcome import Number
from expectations.policy.policy import Policy
from expectations.policy.treatments import public_labels
from expectations.policy.vocabulary import Use
from ledgers.home.home import without_login
from tasks.account.projection import ShownModel
from tasks.handover.model_package import CONTENT, LIST, digest, list_files
from tasks.own_code.loading import requirements, written_sources

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

ROWS: Final = {
    "inputs": "destination_id",
    "logged_model_metrics": "model_id",
    "logged_model_params": "model_id",
    "logged_model_tags": "model_id",
    "logged_models": "model_id",
}
"""Where MLflow's database tells of a logged model, and by which column; the model itself last."""


DATABASES: Final = frozenset({"sqlite", "postgresql", "mysql", "mssql"})
"""Schemes of a store that MLflow opens in this process."""


def is_own_place(store: str, within: Path, location: str) -> bool:
    """Whether files of the store at an address may lie where it says.

    Whoever can write to a store can name any place. A database's files lie in the home's folder
    `within`; a server keeps its files to itself, and never names a path of this machine.
    """
    place = urlsplit(location)
    local = place.scheme in {"", "file"}
    if store.partition(":")[0].partition("+")[0] not in DATABASES:
        return not local
    # Strictly below: the folder itself holds the store, and every other run's files.
    inside = (within / "artifacts").resolve() in Path(unquote(place.path)).resolve().parents
    return local and place.netloc in {"", "localhost"} and inside


def refuse_elsewhere(client: MlflowClient, within: Path, location: str) -> None:
    """Raise `ServiceError` before something is written to a place that is not the store's own."""
    if not is_own_place(client.tracking_uri, within, location):
        raise ServiceError(
            f"MLflow at {without_login(client.tracking_uri)} names a place for files that is not "
            "its own, and nothing was written there: compare a store in the home with a backup, "
            "and start a server so that it serves artifacts itself"
        )


def register(  # noqa: PLR0913, PLR0917 - each is a fact of the version
    client: MlflowClient,
    making: Path,
    run: Run,
    policy: Policy,
    outlet: str,
    content: bytes,
    shown: ShownModel,
    recipe: Mapping[str, str],
) -> tuple[str, str]:
    """Register the model that passed, once, with its claim, its run's tags and its recipe.

    Gives its version, and the digest of its folder.

    `making` is a folder of the home in which it may be described. What is there of an earlier
    process stays if it is whole and the same, else it is made anew.
    """
    name = shown.name
    found = next((one for one in list_versions(client, run) if one.name == name), None)
    if found is not None:
        with made(making):
            same = read_content(client, making.parent, found, making) == content
        if not same:
            remove_version(client, found)
            found = None
    if found is None:
        for left in list_models(client, run):
            if left.name == outlet:
                remove_model(client, making.parent, left)
        model = save(client, making, run, policy, outlet, content, recipe)
        found = make_version(client, name, model, shown.tags)
    client.update_registered_model(name, shown.description)
    client.update_model_version(name, str(found.version), shown.claim)
    with made(making):
        listed = read_content(client, making.parent, found, making, LIST)
    return str(found.version), digest(listed or b"")


def list_versions(client: MlflowClient, run: Run) -> Iterator[ModelVersion]:
    """Give the versions of models that a run registered."""
    yield from client.search_model_versions(f"run_id = '{run.info.run_id}'")


def list_models(client: MlflowClient, run: Run) -> Iterator[LoggedModel]:
    """Give the models that a run logged, registered or not, whole or half."""
    of_run = f"source_run_id = '{run.info.run_id}'"
    yield from client.search_logged_models([run.info.experiment_id], of_run)


def read_content(
    client: MlflowClient,
    within: Path,
    version: ModelVersion,
    making: Path | None = None,
    name: str = CONTENT,
) -> bytes | None:
    """Give what MLflow has as a registered model, or as a file beside it.

    None where that file is gone, or elsewhere.

    `within` is where a store in the home has its files, `making` a folder to read it through.

    Whoever operates MLflow can have changed it: hold it against the record before it is loaded.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    # By where it lies: `models:/` is looked up in the store that this process used last.
    place = client.get_model_version_download_uri(version.name, str(version.version))
    if not is_own_place(client.tracking_uri, within, place):
        return None
    with TemporaryDirectory(dir=making or within) as folder, suppress(MlflowException, OSError):
        uri = client.tracking_uri
        file = download_artifacts(f"{place}/{name}", dst_path=folder, tracking_uri=uri)
        return Path(file).read_bytes()
    return None


def save(  # noqa: PLR0913, PLR0917 - as above
    client: MlflowClient,
    making: Path,
    run: Run,
    policy: Policy,
    outlet: str,
    content: bytes,
    recipe: Mapping[str, str],
) -> LoggedModel:
    """Save a model into MLflow as it was approved; it is ready only once all of it is there."""
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric

    info, told = run.info, client.get_run(run.info.run_id).data
    model = client.create_logged_model(info.experiment_id, outlet, info.run_id, params=told.params)
    identifier, at = model.model_id, model.creation_timestamp
    refuse_elsewhere(client, making.parent, model.artifact_location)
    client.log_outputs(info.run_id, [LoggedModelOutput(identifier, 0)])
    # A run's figures stand beside its model too.
    figures = [Metric(*figure, at, 0, model_id=identifier) for figure in told.metrics.items()]
    client.log_batch(info.run_id, figures)
    with described(making, model, policy, content, recipe) as folder:
        client.log_model_artifacts(identifier, str(folder))
    return client.finalize_logged_model(identifier, LoggedModelStatus.READY)


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Have a folder meanwhile, for nobody else to look into."""
    folder.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(folder)


@contextmanager
def described(
    making: Path, model: LoggedModel, policy: Policy, content: bytes, recipe: Mapping[str, str]
) -> Iterator[Path]:
    """Write a model's folder as MLflow describes one, the model in it byte by byte as given."""
    import mlflow.sklearn
    import skops.io
    from mlflow.models import Model

    from tasks.training.train import load_model

    types = skops.io.get_untrusted_types(data=content)
    identifier = model.model_id
    told = Model(model.name, model.source_run_id, model_uuid=identifier, model_id=identifier)
    with made(making):
        with written_sources(types, making) as code:
            mlflow.sklearn.save_model(
                load_model(content),
                str(making / "model"),
                mlflow_model=told,
                serialization_format="skops",
                skops_trusted_types=types,
                code_paths=code,
                signature=declare_signature(policy),
                pip_requirements=requirements(types),
                pyfunc_predict_fn=name_prediction(policy),
            )
        # MLflow wrote the model anew, in other bytes than were attacked and approved.
        (making / "model" / CONTENT).write_bytes(content)
        for name, text in recipe.items():
            (making / "model" / name).write_text(text, encoding="utf-8")
        list_files(making / "model")
        yield making / "model"


def make_version(
    client: MlflowClient, name: str, model: LoggedModel, tags: Mapping[str, str]
) -> ModelVersion:
    """Register a saved model under a name as its next version, with its tags at once."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

    with suppress(MlflowException):  # the name is there; what else is wrong shows in the next line
        client.create_registered_model(name)
    # By where it lies: `models:/` would be looked up in the store that this process used last.
    version = client.create_model_version(
        name,
        model.artifact_location,
        model.source_run_id,
        dict(tags),
        model_id=model.model_id,
    )
    link = json.dumps([{"name": name, "version": version.version}])
    client.set_logged_model_tags(model.model_id, {MLFLOW_MODEL_VERSIONS: link})
    return version


def withdraw(client: MlflowClient, within: Path, run: Run) -> None:
    """Take away what a process registered before it was killed, when the run is refused since.

    Files are removed where they may lie (`is_own_place`). Of a version its number stays in MLflow's
    registry, so that no other model gets it.
    """
    for version in list_versions(client, run):
        remove_version(client, version)
    for model in list_models(client, run):
        remove_model(client, within, model)


def remove_version(client: MlflowClient, version: ModelVersion) -> None:
    """Take a version out of the registry, with what is told of it."""
    for tag in version.tags:
        client.delete_model_version_tag(version.name, str(version.version), tag)
    client.delete_model_version(version.name, str(version.version))


def remove_model(client: MlflowClient, within: Path, model: LoggedModel) -> None:
    """Take a logged model's files and rows away, as far as its store lets a client do so.

    A server keeps the rows, marked as deleted, until its operator runs `mlflow gc`; so does a store
    of files that cannot delete.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    uri = client.tracking_uri
    if is_own_place(uri, within, model.artifact_location):
        files = get_artifact_repository(model.artifact_location, tracking_uri=uri)
        with suppress(MlflowException, NotImplementedError):
            files.delete_artifacts()  # type: ignore[no-untyped-call]  # MLflow's own
    # After its files: a process that is killed in between finds it again.
    client.delete_logged_model(model.model_id)
    store = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and store.is_file():
        erase_rows(store, model.model_id)


def erase_rows(store: Path, model: str) -> None:
    """Erase what a database of MLflow in a file tells of a logged model."""
    with closing(sqlite3.connect(store, timeout=30)) as connection, connection:
        connection.execute("PRAGMA secure_delete=ON")
        for table, column in ROWS.items():
            connection.execute(f'DELETE FROM "{table}" WHERE "{column}" = ?', [model])  # noqa: S608 - our own names


def declare_signature(policy: Policy) -> ModelSignature:
    """Declare the model's inputs from the policy: treated columns, words or numbers.

    Every column is required, for the model reads them all; a value may be missing in any.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    columns: list[ColSpec | TensorSpec] = []
    for name in policy.used_as(Use.FEATURE):
        labels = public_labels(policy.treated[name].treatment, policy.column_type(name))
        kind = DataType.double if labels is None else DataType.string
        columns.append(ColSpec(kind, name))
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.double, answer) for answer in name_answers(policy)
    ]
    return ModelSignature(inputs=Schema(columns), outputs=Schema(outputs))


def name_answers(policy: Policy) -> list[str]:
    """Name what the model gives of each person: the probability of each class, or its number.

    Classes in the model's order: ours with a promise have them as declared, scikit-learn's sorted.
    """
    outcome = policy.outcome
    if isinstance(outcome, Number):
        return [str(policy.target)]
    return [*outcome.labels] if policy.private else sorted(outcome.labels)


def name_prediction(policy: Policy) -> str:
    """Name the method by which the model is asked."""
    return "predict" if isinstance(policy.outcome, Number) else "predict_proba"
