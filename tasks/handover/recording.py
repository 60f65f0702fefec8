"""The run as MLflow shows it, and where: a view of the evidence ledger, replayed by run id.

Beside `registry` the only module that imports mlflow. Replaying twice gives one MLflow run: it is
found again by its tag. MLflow's database is not tamper-evident; the evidence ledger is the record.
No frame, example row or profile goes there, only published counts, measures, digests and the model
that passed. MLflow's state of the process (its store, registry and active run) is neither set nor
read here: two homes in one process keep apart.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from expectations.errors import ServiceError
from expectations.policy_file import PolicyFile
from ledgers.evidence import JSON, Entry, RunRecord
from ledgers.home.database import stamp
from ledgers.home.home import Home, without_login
from ledgers.home.private_files import FULL
from tasks.account.datasets import SourceRead, StepData
from tasks.account.projection import PROJECTION, Projection, describe_policy, project
from tasks.handover.recipe import find_recipe
from tasks.handover.registry import (
    DATABASES,
    is_own_place,
    list_models,
    list_versions,
    read_content,
    refuse_elsewhere,
    register,
    withdraw,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

OWN_PAGES: Final = "http://127.0.0.1:5000"
"""Where `tutela mlflow` opens the home's own store."""
RUN_TAG: Final = "tutela.run"
EXPERIMENT_TAGS: Final = {"mlflow.experimentKind": "custom_model_development"}
"""So that MLflow's pages show training runs, not traces."""
AGAIN: Final = ("remove the run", ": the next tutela maintain removes it")
TO_DO: Final = "start it or correct MLFLOW_TRACKING_URI"
FILES: Final = "/artifacts/"
LINKS: Final = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow's own store writes whole paths."""
APPROVED, RETIRED = "approved", "retired"
"""Aliases of models whose policies ask for approval: the newest approved, and the one before."""
SHOWN: Final = {"approved": "ready"}
"""What a stage is called in MLflow, where 'approved' is said of what people signed."""
SHORT: Final = 32
"""How much of a digest fits into MLflow's field of 36 characters; a tag holds the whole."""


@dataclass(frozen=True, slots=True)
class MlflowRun:
    """Where MLflow shows a run, and the versions of the models that it registered."""

    run_id: str
    experiment_id: str
    url: str | None
    models: Mapping[str, str]
    store: str
    """The store's address, without its login, by which its models are loaded."""
    packages: Mapping[str, str]
    """The digest of each model's folder, by outlet."""
    parts: Mapping[str, Mapping[str, str]]
    """What it shows: tags, parameters, metrics and inputs, by name."""


def own_store(home: Home) -> str:
    """Give the address of the home's own store."""
    return f"sqlite:///{home.mlflow}/mlflow.db"


def tracking_uri(home: Home) -> str:
    """Give the address of MLflow's store: the settings' own, or the home's."""
    return home.settings.mlflow_tracking_uri or own_store(home)


def name_store(home: Home) -> str:
    """Name MLflow's store in the record: the home's own, or an address without its login."""
    named = home.settings.mlflow_tracking_uri
    return without_login(named) if named and named != own_store(home) else "the home's own"


def _find_page(home: Home, experiment: str, run: str) -> str | None:
    """Give the address of the run's page; the home's own store is opened by `tutela mlflow`."""
    uri = without_login(home.settings.mlflow_tracking_uri or OWN_PAGES)
    if not uri.startswith("http"):
        return None
    return f"{uri}/#/experiments/{experiment}/runs/{run}"


def links_body(found: MlflowRun, digest: Callable[[str], str]) -> dict[str, JSON]:
    """Give what the evidence ledger keeps of a recorded run; of each value shown its digest."""
    shown: dict[str, JSON] = {
        part: {name: digest(f"{part}\0{name}\0{value}") for name, value in values.items()}
        for part, values in found.parts.items()
    }
    return {
        "run_id": found.run_id,
        "experiment_id": found.experiment_id,
        "url": found.url,
        "model_version": next(iter(found.models.values()), None),
        "models": {**found.models},
        "store": found.store,
        "packages": {**found.packages},
        "projection": PROJECTION,
        "shown": shown,
    }


def record_run(  # noqa: PLR0913, PLR0917 - what is shown, where, and who notes that it begins
    home: Home,
    record: RunRecord,
    file: PolicyFile,
    entries: Sequence[Entry],
    models: Mapping[str, bytes],
    begin: Callable[[], None] = lambda: None,
) -> MlflowRun:
    """Show a decided run in MLflow, its models registered; ServiceError when MLflow is away.

    `begin` is called once MLflow answered, before the first model is registered.
    """
    with answering(home):
        return _record(home, record, file, entries, models, begin)


def attach(home: Home, mlflow_run: str, files: Mapping[str, str]) -> None:
    """Put texts beside a recorded run as artifacts; ServiceError when MLflow is away."""
    with answering(home):
        client = _client(home)
        refuse_elsewhere(client, home.mlflow, client.get_run(mlflow_run).info.artifact_uri)
        for name, text in files.items():
            client.log_text(mlflow_run, text, name)


def attach_to_model(home: Home, mlflow_run: str, outlet: str, files: Mapping[str, str]) -> None:
    """Put texts into the folder of a run's model; ServiceError when MLflow is away."""
    with answering(home):
        client = _client(home)
        for model in list_models(client, client.get_run(mlflow_run)):
            for name, text in files.items() if model.name == outlet else ():
                refuse_elsewhere(client, home.mlflow, model.artifact_location)
                _put(client, home.mlflow, model.model_id, name, text)


def fetch_model(home: Home, mlflow_run: str, name: str) -> bytes:
    """Give what MLflow has as a run's model of a name; ServiceError when MLflow is away.

    Whoever operates MLflow can have changed it: hold it against the record before it is loaded.
    """
    with answering(home, "give the model", ""):
        client = _client(home)
        versions = list_versions(client, client.get_run(mlflow_run))
        version = next((one for one in versions if one.name == name), None)
        content = None if version is None else read_content(client, home.mlflow, version)
    if content is None:
        raise ServiceError(f"MLflow has no model {name} of this run any more: run its policy again")
    return content


def move_aliases(home: Home, models: Mapping[str, str]) -> dict[str, str]:
    """Let `approved` name these versions, by model, and `retired` those that it named before.

    Gives what was set, by `model@alias`; ServiceError when MLflow is away.
    """
    moved = {}
    with answering(home):
        client = _client(home)
        for name, version in models.items():
            before = client.get_registered_model(name).aliases.get(APPROVED)
            if before is not None and str(before) != version:
                moved[f"{name}@{RETIRED}"] = str(before)
            moved[f"{name}@{APPROVED}"] = version
        for alias, version in moved.items():
            name, _, word = alias.partition("@")
            client.set_registered_model_alias(name, word, version)
    return moved


def find_aliases(home: Home, policy: str, run_id: str) -> list[str]:
    """Name the aliases under which models of a run are in use; ServiceError when MLflow is away."""
    with answering(home, *AGAIN):
        client = _client(home)
        shown = _find_shown(client, policy, run_id)
        versions = [version for one in shown for version in list_versions(client, one)]
        # A search tells of no alias.
        whole = [client.get_model_version(one.name, str(one.version)) for one in versions]
        return [f"{one.name}@{alias}" for one in whole for alias in one.aliases if alias != RETIRED]


def remove_run(home: Home, policy: str, run_id: str) -> list[str]:
    """Take back what MLflow shows of a run, as far as a client may; say what remains there.

    ServiceError when MLflow is away.
    """
    with answering(home, *AGAIN):
        client = _client(home)
        shown = _find_shown(client, policy, run_id)
        for one in shown:
            withdraw(client, home.mlflow, one)
            for tag in one.data.tags:
                # Last, since by it the run is found again.
                if tag != RUN_TAG and not tag.startswith("mlflow."):
                    client.delete_tag(one.info.run_id, tag)
            client.delete_run(one.info.run_id)
    where = f"MLflow at {without_login(tracking_uri(home))}"
    keeps = "keeps rows and files until its operator runs mlflow gc"
    return [f"{where} {keeps}: run {one.info.run_id}" for one in shown]


def _find_shown(client: MlflowClient, policy: str, run_id: str) -> list[Run]:
    """Find the runs of MLflow that show a run; deleted ones are done with."""
    experiment = client.get_experiment_by_name(policy)
    if experiment is None:
        return []
    return list(client.search_runs([experiment.experiment_id], f"tags.`{RUN_TAG}` = '{run_id}'"))


def _put(client: MlflowClient, within: Path, model: str, name: str, text: str) -> None:
    """Write a file into a model's folder."""
    with TemporaryDirectory(dir=within) as folder:
        place = Path(folder) / name
        place.write_text(text, encoding="utf-8")
        client.log_model_artifact(model, str(place))


@contextmanager
def answering(
    home: Home,
    asked: str = "take the run",
    then: str = ": the next tutela command completes the run",
) -> Iterator[None]:
    """Say of whatever MLflow, its server or its disk raise that MLflow did not do as asked."""
    import sqlalchemy as sa
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError, sa.exc.SQLAlchemyError, sqlite3.Error) as error:
        where = without_login(home.settings.mlflow_tracking_uri or str(home.mlflow))
        why = "its disk is full; free space" if _is_full(error) else TO_DO
        raise ServiceError(
            f"MLflow at {where} did not {asked} ({type(error).__name__}); {why}{then}"
        ) from None


def _is_full(error: BaseException) -> bool:
    """Whether a full disk of this machine is what an error is about, or what led to it."""
    found: BaseException | None = error
    while found is not None:
        raised = getattr(found, "orig", None) or found
        code = (getattr(raised, "sqlite_errorcode", None) or 0) & 0xFF
        if getattr(raised, "errno", None) in FULL or code == sqlite3.SQLITE_FULL:
            return True
        found = found.__cause__ or found.__context__
    return False


def _record(  # noqa: PLR0913, PLR0917 - as above
    home: Home,
    record: RunRecord,
    file: PolicyFile,
    entries: Sequence[Entry],
    models: Mapping[str, bytes],
    begin: Callable[[], None],
) -> MlflowRun:
    client = _client(home)
    shown = project(record, file.policy, entries)
    run = _find_or_create(client, home, record, shown.name)
    _show(client, run, shown)
    described = "\n\n".join(describe_policy(file.read_whole()))
    client.set_experiment_tag(run.info.experiment_id, "mlflow.note.content", described)
    parts = shown.as_text() | {"inputs": list_inputs(datasets(shown))}
    client.log_text(run.info.run_id, file.text, "policy.yaml")
    making = home.mlflow / f".{run.info.run_id}.making"
    shutil.rmtree(making, ignore_errors=True)  # what a killed process left
    recipe = find_recipe(file.policy, entries) if models else {}
    if models:
        begin()
    registered = {
        outlet: register(
            client, making, run, file.policy, outlet, content, shown.models[outlet], recipe
        )
        for outlet, content in models.items()
    }
    if shown.failed and any(e.kind == "approved" for e in entries):
        withdraw(client, home.mlflow, run)
    client.set_terminated(run.info.run_id, "FAILED" if shown.failed else "FINISHED")
    info = run.info
    page = _find_page(home, info.experiment_id, info.run_id)
    store = tracking_uri(home)
    store = without_login(store) if "@" in store else store
    versions = {outlet: version for outlet, (version, _) in registered.items()}
    packages = {outlet: package for outlet, (_, package) in registered.items()}
    return MlflowRun(info.run_id, info.experiment_id, page, versions, store, packages, parts)


def _show(client: MlflowClient, run: Run, shown: Projection) -> None:
    """Log tags, parameters and metrics together: each alone is a request and a transaction."""
    from datetime import UTC, datetime

    from mlflow.entities import Metric, Param, RunTag

    now, run_id = int(datetime.now(UTC).timestamp() * 1000), run.info.run_id
    measured = [Metric(name, value, now, 0) for name, value in shown.metrics.items()]
    asked = [Param(name, value) for name, value in shown.parameters.items()]
    client.log_batch(run_id, measured, asked, [RunTag(*tag) for tag in shown.tags.items()])
    client.log_inputs(run_id, datasets=list(datasets(shown)))


def _client(home: Home) -> MlflowClient:
    from mlflow import MlflowClient

    uri = tracking_uri(home)
    if uri != own_store(home):
        return MlflowClient(uri)
    make_store(home)
    # Named, or MLflow would take the registry that this process was told of last.
    return MlflowClient(uri, registry_uri=uri)


def prepare_store(home: Home) -> None:
    """Load MLflow and make the home's own store, ahead of need; what fails will fail there."""
    with contextlib.suppress(ServiceError), answering(home):
        _client(home)


def make_store(home: Home) -> None:
    """Make the home's own store whole or not at all: MLflow makes its tables one after another.

    It does so in memory, since a disk would have to confirm each. The name there is drawn anew each
    time, because MLflow keeps an engine per address.
    """
    store = home.mlflow / "mlflow.db"
    if store.exists():
        move_links(home, store)
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    name = secrets.token_hex(8)
    memory, making = f"file:{name}?mode=memory&cache=shared", home.mlflow / f".{name}.making"
    with contextlib.closing(sqlite3.connect(memory, uri=True)) as whole:
        address, artifacts = f"sqlite:///{memory}&uri=true", (home.mlflow / "artifacts").as_uri()
        made = SqlAlchemyStore(address, artifacts)  # type: ignore[no-untyped-call]  # MLflow's own
        made.engine.dispose()
        with contextlib.closing(sqlite3.connect(making)) as file:
            whole.backup(file)
    making.chmod(0o600)
    # Not renamed: of two processes that make it, the second must not replace what the first uses.
    with contextlib.suppress(FileExistsError):
        store.hardlink_to(making)
    making.unlink()


def move_links(home: Home, store: Path) -> None:
    """Let a store lead to its files where they are: MLflow writes whole paths, and homes move.

    Only what leads into the files of another home's store is changed, to the same place in this.
    """
    here = home.mlflow.as_uri()
    with contextlib.closing(sqlite3.connect(store, timeout=30)) as connection, connection:
        places = connection.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        for (place,) in places:
            before, found, _ = str(place).rpartition(FILES)
            if not found or before == here or not before.endswith("/mlflow"):
                continue
            for table, column in LINKS:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608
                    f"WHERE substr({column}, 1, ?) = ?",
                    [here, len(before) + 1, len(before + FILES), before + FILES],
                )


def _find_or_create(client: MlflowClient, home: Home, record: RunRecord, name: str) -> Run:
    """Find the MLflow run of an earlier replay, or make one in the policy's experiment."""
    from datetime import datetime

    from mlflow.entities import LifecycleStage, ViewType

    identifier = _find_experiment(client, home, record.policy)
    # One that somebody deleted on MLflow's pages too, or what it registered would stay for good.
    tagged = f"tags.`{RUN_TAG}` = '{record.run_id}'"
    found = client.search_runs([identifier], tagged, run_view_type=ViewType.ALL)
    if found:
        if found[0].info.lifecycle_stage == LifecycleStage.DELETED:
            client.restore_run(found[0].info.run_id)
        refuse_elsewhere(client, home.mlflow, found[0].info.artifact_uri)
        return found[0]
    start = int(datetime.fromisoformat(record.started_at).timestamp() * 1000)
    return client.create_run(identifier, start, tags={RUN_TAG: record.run_id}, run_name=name)


def _find_experiment(client: MlflowClient, home: Home, policy: str) -> str:
    """Find the experiment of a policy, or make one whose files lie where they belong."""
    experiment = client.get_experiment_by_name(policy)
    served = tracking_uri(home).partition(":")[0].partition("+")[0] not in DATABASES
    if experiment is not None:
        found: str = experiment.experiment_id
        if is_own_place(client.tracking_uri, home.mlflow, experiment.artifact_location):
            return found
        if served:
            refuse_elsewhere(client, home.mlflow, experiment.artifact_location)
        # Of a home that was moved, or by a version that was led astray: what it logs from now on
        # would be written outside of the home.
        client.rename_experiment(found, f"{policy} until {stamp()[:19]}")
    # Of a database that no server stands before, MLflow puts files where a process happens to be
    # started, for all to read.
    place = None if served else (home.mlflow / "artifacts" / policy).as_uri()
    return client.create_experiment(policy, place, tags=EXPERIMENT_TAGS)


def datasets(shown: Projection) -> Iterator[DatasetInput]:
    """Give the tables read and each step's data as MLflow names them: names and digests, no row."""
    for table in shown.sources:
        origin: dict[str, JSON] = {"read as": table.role, "location": table.location}
        origin["digest of"] = table.digest_of
        kind, name = f"tutela {table.kind}", f"{table.role}: {table.location}"
        yield _dataset(name, "source", kind, origin, table)
    for data in shown.steps:
        made: dict[str, JSON] = {"step": data.name, "made of": [*data.parents]}
        yield _dataset(data.name, SHOWN.get(data.stage, data.stage), "tutela step", made, data)


def _dataset(
    name: str, context: str, kind: str, origin: Mapping[str, JSON], data: SourceRead | StepData
) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    described = Dataset(
        name=name,
        digest=data.digest[:SHORT],
        source_type=kind,
        source=json.dumps(origin),
        schema=json.dumps({"columns": [*data.columns]}),
        profile=json.dumps({"people": data.rows}) if data.rows else None,
    )
    tags = [InputTag("mlflow.data.context", context), InputTag("tutela.digest", data.digest)]
    return DatasetInput(described, tags)


def list_inputs(inputs: Iterable[DatasetInput]) -> dict[str, str]:
    """Give each input by its name and digest; of two that MLflow holds for one, the first."""
    found: dict[str, str] = {}
    for one in inputs:
        tags = {tag.key: tag.value for tag in one.tags}
        told = [one.dataset.source, one.dataset.schema, one.dataset.profile, tags]
        found.setdefault(
            f"{one.dataset.name} {one.dataset.digest}", json.dumps(told, sort_keys=True)
        )
    return found
