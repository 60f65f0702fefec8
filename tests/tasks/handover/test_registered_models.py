"""What MLflow has of a run: the bytes that were approved, once, or nothing at all."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import mlflow
import mlflow.sklearn
import pytest
import skops.io
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from deployments.run.notebook import Ran, read_model, read_ran
from expectations.errors import ServiceError, UsageError
from ledgers.home.home import Home
from tasks.handover import delivery, recording, registry
from tasks.handover.decided_run import DecidedRun
from tasks.handover.delivery import complete_runs
from tasks.training.train import load_model, save_model
from tests.conftest import make_folder, opened
from tests.runs import Place, copy_place, make_place

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

Ending: TypeAlias = tuple[object, str, Callable[..., None]]


def end_process(*_: object, **__: object) -> None:
    """Stand for what ends a process at that point."""
    raise SystemExit(9)


def save_half(client: mlflow.MlflowClient, model: str, folder: str) -> None:
    """Save the model itself, and end before its description."""
    client.log_model_artifact(model, f"{folder}/model.skops")
    raise SystemExit(9)


ENDINGS = {
    "before it is saved": (registry, "described", end_process),
    "half saved": (mlflow.MlflowClient, "log_model_artifacts", save_half),
    "before it is registered": (registry, "make_version", end_process),
    "before its claim is written": (mlflow.MlflowClient, "update_model_version", end_process),
    "before that is noted": (delivery, "links_body", end_process),
}
"""Where a process can end while it hands a model over."""
each_ending = pytest.mark.parametrize("ending", ENDINGS.values(), ids=list(ENDINGS))


@dataclass(frozen=True)
class World:
    """A home in which one run waits, decided as passed, and the model that it approved."""

    place: Place
    content: bytes
    policy: Path


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A run whose process ended before it told MLflow anything."""
    from flows.training import serve

    folder = tmp_path_factory.mktemp("decided")
    policy, place = make_folder(folder).write(), make_place(folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUTELA_HOME", str(place.home.root))
        patch.setattr(delivery, "record_run", end_process)
        with opened(policy) as run, pytest.raises(SystemExit):
            serve(run)
    record = place.runs[0]
    waiting = DecidedRun(place.home, place.keys, place.ledger, record, run.file)
    return World(place, waiting.goods()["clinic"], policy)


@pytest.fixture
def world(decided: World, tmp_path: Path) -> World:
    """The same, for a test of its own."""
    return replace(decided, place=copy_place(decided.place, tmp_path / "copy"))


def complete(world: World) -> str:
    """Let the next command finish what was left."""
    (done,) = complete_runs(world.place.home, world.place.keys)
    return done.said


def read(world: World) -> Ran:
    """Give the run as Python has it."""
    return read_ran(world.place.home, world.place.keys, world.place.runs[0].run_id)


def load(ran: Ran) -> object:
    """Load the model of a run as Python does."""
    (clinic,) = (outlet for outlet in ran.summary.outlets if outlet.kind == "model")
    return read_model(ran, clinic)


def stored(world: World) -> list[Path]:
    """Give every file in MLflow's folder that holds the model, whatever its name."""
    files = (path for path in world.place.home.mlflow.rglob("*") if path.is_file())
    return [path for path in files if world.content in path.read_bytes()]


def logged(world: World) -> list[LoggedModel]:
    """Give the models that MLflow lists, registered or not."""
    client = world.place.mlflow
    experiments = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_logged_models(experiments))


def end_at(world: World, ending: Ending) -> None:
    """Let a process finish what was left, and end on the way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*ending)
        with pytest.raises(SystemExit):
            complete(world)


def test_mlflow_holds_the_very_bytes_that_were_approved(world: World) -> None:
    """Not what MLflow makes of them; their digest is on record, and tells nothing without a key."""
    assert "closed as passed" in complete(world)
    (file,) = stored(world)
    assert (file.name, file.read_bytes()) == ("model.skops", world.content)
    ran = read(world)
    assert ran.run.approved("clinic") == ran.run.digest(world.content)
    assert ran.run.approved("clinic") != hashlib.sha256(world.content).hexdigest()
    assert load(ran) is not None
    assert mlflow.sklearn.load_model(str(file.parent)).classes_.tolist() == ["no", "yes"]


def test_a_model_that_was_changed_in_mlflows_store_is_not_loaded(
    world: World, tmp_path: Path
) -> None:
    """Whatever types it is of; nothing in it is run, and it is said what to do."""
    complete(world)
    (file,) = stored(world)
    for content in (calling(tmp_path / "ran"), retrained(world)):
        file.write_bytes(content)
        with pytest.raises(ServiceError, match=r"clinic is not the one .* differ from those on"):
            load(read(world))
    assert not (tmp_path / "ran").exists()


def calling(proof: Path) -> bytes:
    """Give a model that runs source code when it is asked, of modules that were trusted once."""
    measure = "numpy.testing._private.utils.measure"
    function = importlib.import_module("numpy.testing._private.utils").measure
    caller = FunctionTransformer(function, kw_args={"label": measure})
    content: bytes = skops.io.dumps(Pipeline([("call", caller), ("proof", str(proof))]))
    return content


def retrained(world: World) -> bytes:
    """Give the same model with another number in it."""
    model = load_model(world.content)
    model[-1].intercept_ += 1
    return save_model(model)


def test_of_an_earlier_versions_model_only_known_types_are_made(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes are on no record; a type counts by its whole name, not by where it is from."""
    complete(world)
    monkeypatch.setattr(DecidedRun, "approved", lambda _run, _outlet: None)
    assert load(read(world)) is not None
    (file,) = stored(world)
    file.write_bytes(calling(tmp_path / "ran"))
    with pytest.raises(UsageError, match=r"no model of its kind has: numpy\.testing\._private"):
        load(read(world))


def test_a_record_from_which_the_digest_was_taken_is_no_earlier_versions(world: World) -> None:
    """Whoever operates the ledger's database cannot make a model one whose bytes are not known."""
    complete(world)
    ran = read(world)
    with contextlib.closing(sqlite3.connect(world.place.home.ledger)) as ledger:
        named = ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (trigger,) in named.fetchall():
            ledger.execute(f"DROP TRIGGER {trigger}")
        ledger.execute("DELETE FROM evidence WHERE kind = 'approved'")
        ledger.commit()
    with pytest.raises(ServiceError, match="was changed at or before"):
        load(ran)


def test_what_waits_is_held_against_the_record_before_it_is_handed_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is finished later, or twice, hands over what it approved first or nothing."""
    end_at(world, ENDINGS["before it is registered"])
    other = retrained(world)
    monkeypatch.setattr(DecidedRun, "goods", lambda _run: {"clinic": other})
    assert "is still pending: the model clinic is not the one" in complete(world)
    assert world.place.models == []


@each_ending
def test_whatever_ends_the_handing_over_a_model_is_there_once_in_the_end(
    world: World, ending: Ending
) -> None:
    """Whole, registered, and no half of it beside."""
    end_at(world, ending)
    assert "closed as passed" in complete(world)
    (version,), (model,) = world.place.models, logged(world)
    assert (version.version, version.description != "") == (1, True)
    assert str(version.source) == model.artifact_location
    assert model.status == LoggedModelStatus.READY
    (file,) = stored(world)
    assert file.is_relative_to(Path(model.artifact_location.removeprefix("file://")))
    assert load(read(world)) is not None
    assert [path for path in world.place.home.mlflow.iterdir() if "making" in path.name] == []


@pytest.mark.parametrize("change", ["another", "gone"])
def test_what_was_changed_before_a_run_is_finished_is_made_anew(world: World, change: str) -> None:
    """A model that its own process registered, or somebody for it, is looked at before it stays."""
    end_at(world, ENDINGS["before its claim is written"])
    (file,) = stored(world)
    file.write_bytes(retrained(world)) if change == "another" else file.unlink()
    assert "closed as passed" in complete(world)
    (version,), (_,), (file,) = world.place.models, logged(world), stored(world)
    assert version.version == 2
    assert load(read(world)) is not None


@each_ending
def test_of_a_refused_runs_model_nothing_stays_in_mlflow(world: World, ending: Ending) -> None:
    """It was out when its process ended; a withdrawal since then takes each byte of it back."""
    end_at(world, ending)
    left = logged(world)
    said = world.place.tell("consent", "withdraw", "p05", "--policy", str(world.policy), "--json")
    (run,) = world.place.runs
    assert json.loads(said.out)["handed_over_in_part"] == [run.run_id]
    assert "closed as refused" in complete(world)
    assert (world.place.models, logged(world), stored(world)) == ([], [], [])
    for model in left:
        with pytest.raises(MlflowException, match="not found"):
            world.place.mlflow.get_logged_model(model.model_id)
        with pytest.raises(MlflowException, match="No such artifact"):
            mlflow.sklearn.load_model(model.artifact_location)
    with contextlib.closing(sqlite3.connect(world.place.home.mlflow / "mlflow.db")) as store:
        for table in registry.ROWS.keys() - {"inputs"}:
            assert store.execute(f"SELECT * FROM {table}").fetchall() == []  # noqa: S608
        assert (
            store.execute("SELECT * FROM inputs WHERE destination_id LIKE 'm-%'").fetchall() == []
        )


def test_a_version_number_is_not_given_again(world: World) -> None:
    """Who was told of version 1 that was taken back must not get another model by that name."""
    end_at(world, ENDINGS["before that is noted"])
    world.place.tell("consent", "withdraw", "p05", "--policy", str(world.policy))
    complete(world)
    assert world.place.tell("run", str(world.policy)).status == 0
    (version,) = world.place.models
    assert version.version == 2


def test_two_homes_in_one_process_keep_apart(
    world: World, decided: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written elsewhere, and what the process was told of MLflow's store stays."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    told = mlflow.get_tracking_uri(), mlflow.get_registry_uri(), dict(os.environ)
    others = replace(decided, place=copy_place(decided.place, tmp_path / "other"))
    complete(world)
    before = (world.place.home.mlflow / "mlflow.db").read_bytes()
    complete(others)
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri(), dict(os.environ)) == told
    assert mlflow.active_run() is None
    assert list(Path().iterdir()) == []
    assert (world.place.home.mlflow / "mlflow.db").read_bytes() == before
    for one in (world, others):
        (file,) = stored(one)
        assert file.is_relative_to(one.place.home.root)


def test_the_homes_own_store_that_a_variable_names_stays_in_the_home(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As whoever loads a model by MLflow sets it: no experiment's files lie where one works."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", recording.tracking_uri(world.place.home))
    named = replace(world, place=Place(Home.open(world.place.home.root)))
    assert "closed as passed" in complete(named)
    assert list(Path().iterdir()) == []
    assert len(stored(world)) == 1


def test_an_experiment_whose_files_lie_elsewhere_is_put_aside(world: World, tmp_path: Path) -> None:
    """As of a home that was moved: it keeps its runs under another name, and gets no more files."""
    world.place.mlflow.create_experiment("small", (tmp_path / "elsewhere").as_uri())
    assert "closed as passed" in complete(world)
    assert not (tmp_path / "elsewhere").exists()
    assert len(stored(world)) == 1
    names = {one.name.partition(" until ")[0] for one in world.place.mlflow.search_experiments()}
    assert names == {"Default", "small"}
    assert len(world.place.mlflow.search_experiments()) == 3


def rewrite(world: World, statement: str) -> None:
    """Change MLflow's store as whoever can write to it would."""
    store = world.place.home.mlflow / "mlflow.db"
    with contextlib.closing(sqlite3.connect(store)) as connection, connection:
        connection.execute(statement)


def test_a_folder_that_mlflows_store_names_is_not_removed(world: World, tmp_path: Path) -> None:
    """Taking back removes what lies in the home; of anything else the rows alone."""
    (kept := tmp_path / "kept").mkdir()
    (kept / "theirs").write_text("not ours")
    end_at(world, ENDINGS["before it is registered"])
    rewrite(world, f"UPDATE logged_models SET artifact_location = '{kept.as_uri()}'")  # noqa: S608
    world.place.tell("consent", "withdraw", "p05", "--policy", str(world.policy))
    assert "closed as refused" in complete(world)
    assert [file.name for file in kept.iterdir()] == ["theirs"]
    assert logged(world) == []


@pytest.mark.parametrize("table", ["experiments", "runs"])
def test_nothing_is_written_where_mlflows_store_points_outside(
    world: World, table: str, tmp_path: Path
) -> None:
    """An experiment that was pointed elsewhere is put aside; a run that was, waits."""
    end_at(world, ENDINGS["before it is saved"])
    (elsewhere := tmp_path / "elsewhere").mkdir()
    column = {"experiments": "artifact_location", "runs": "artifact_uri"}[table]
    rewrite(world, f"UPDATE {table} SET {column} = '{elsewhere.as_uri()}'")  # noqa: S608
    said = complete(world)
    assert list(elsewhere.iterdir()) == []
    assert ("still pending" in said) == (table == "runs")


@pytest.mark.parametrize(
    ("store", "location", "own"),
    [
        ("sqlite:////h/mlflow/mlflow.db", "file:///h/mlflow/artifacts/p", True),
        ("sqlite:////h/mlflow/mlflow.db", "/h/mlflow/artifacts/p", True),
        ("sqlite:////h/mlflow/mlflow.db", "file:///h/keys", False),
        ("sqlite:////h/mlflow/mlflow.db", "file:///h/mlflow", False),
        ("sqlite:////h/mlflow/mlflow.db", "file:///h/mlflow/artifacts", False),
        ("sqlite:////h/mlflow/mlflow.db", "file:///h/mlflow/../keys", False),
        ("sqlite:////h/mlflow/mlflow.db", "http://elsewhere/h/mlflow/x", False),
        ("sqlite:////h/mlflow/mlflow.db", "s3://bucket/h/mlflow/x", False),
        ("sqlite:////h/mlflow/mlflow.db", "file://elsewhere/h/mlflow/x", False),
        ("postgresql+psycopg://db/m", "file:///h/mlflow/artifacts/p", True),
        ("https://mlflow.example", "mlflow-artifacts:/1/x", True),
        ("https://mlflow.example", "file:///h/mlflow/artifacts/p", False),
        ("https://mlflow.example", "/etc", False),
    ],
)
def test_a_store_has_its_files_where_they_belong(store: str, location: str, own: bool) -> None:
    """In the home, or with the server that was named."""
    assert registry.is_own_place(store, Path("/h/mlflow"), location) is own


def test_a_run_that_somebody_deleted_in_mlflow_is_taken_back_all_the_same(world: World) -> None:
    """One click on MLflow's pages hides a run, and nothing of what it registered."""
    end_at(world, ENDINGS["before its claim is written"])
    (run,) = world.place.mlflow.search_runs(
        [one.experiment_id for one in world.place.mlflow.search_experiments()]
    )
    world.place.mlflow.delete_run(run.info.run_id)
    world.place.tell("consent", "withdraw", "p05", "--policy", str(world.policy))
    assert "closed as refused" in complete(world)
    assert (world.place.models, logged(world), stored(world)) == ([], [], [])


def test_a_run_is_taken_back_from_the_store_that_it_began_in(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under another one it waits, and says which it was."""
    end_at(world, ENDINGS["before its claim is written"])
    world.place.tell("consent", "withdraw", "p05", "--policy", str(world.policy))
    with monkeypatch.context() as other:
        other.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
        there = replace(world, place=Place(Home.open(world.place.home.root)))
        assert "began to register in another MLflow store (the home's own)" in complete(there)
    assert "closed as refused" in complete(world)
    assert (world.place.models, logged(world), stored(world)) == ([], [], [])


def test_what_a_process_was_killed_over_is_removed_by_the_next_command(world: World) -> None:
    """A half of what was ready would open with the home's keys for good."""
    (run,) = world.place.runs
    places = (world.place.home.outbox, world.place.home.reports)
    halves = [place / f".{run.run_id}-clinics.77.making" for place in places]
    others = [place / ".20260101T000000-00000000-clinics.77.making" for place in places]
    for file in (*halves, *others):
        file.write_bytes(b"half")
    complete(world)
    assert [file.exists() for file in (*halves, *others)] == [False, False, True, True]
