"""Whatever is changed of what shows a run is named: MLflow, its files, reports and packages."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

import tutela
from expectations.errors import ServiceError, UsageError
from ledgers.evidence import JSON, EvidenceLedger
from tests.runs import Place, copy_place, passed

Found = dict[str, JSON]
ALIAS = (
    "INSERT INTO registered_model_aliases (name, alias, version) "
    "VALUES ('diabetes.clinics', '{}', {})"
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A copy of a home in which a run handed over a model and a table."""
    place = copy_place(passed("diabetes").place, tmp_path / "home")
    yield place
    place.ledger.engine.dispose()


def verify(place: Place, *words: str, status: int = 1) -> tuple[Found, list[str]]:
    """Verify as its users do; give the answer, and each difference as where and name."""
    said = place.tell("verify", "--json", *words)
    assert said.status == status, said.err + said.out
    found = cast("Found", json.loads(said.out))
    differences = cast("list[dict[str, str]]", found["differences"])
    return found, [f"{one['where']}: {one['name']}" for one in differences]


def edit(place: Place, *statements: str) -> None:
    """Change MLflow's database, as its operator can."""
    with closing(sqlite3.connect(place.home.mlflow / "mlflow.db")) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount, statement
        connection.commit()


def test_a_run_that_nobody_touched_is_whole_and_nothing_is_written(place: Place) -> None:
    """All kinds of things are compared, and no file of the home is another one after it."""
    (model,) = place.models
    before = read_home(place)
    found, differences = verify(place, status=0)
    assert differences == []
    compared = cast("dict[str, int]", found["compared"])
    assert compared["MLflow metrics"] > 100
    for what in ("MLflow tags", "MLflow parameters", "MLflow inputs", "artifacts", "models"):
        assert compared[what] > 4
    for words in ((place.last.record.run_id[:12],), ("--model", f"models:/{model.name}/1")):
        found, _ = verify(place, *words, status=0)
        assert found["runs"] == [place.last.record.run_id]
    assert read_home(place) == before


def read_home(place: Place) -> dict[str, bytes]:
    """Read the home's files, but for what SQLite keeps beside a database while it is open."""
    paths = [path for path in place.home.root.rglob("*") if path.is_file()]
    beside = (".sqlite-wal", ".sqlite-shm", ".db-wal", ".db-shm")
    return {str(path): path.read_bytes() for path in paths if not path.name.endswith(beside)}


def test_every_value_that_mlflow_shows_is_held_against_the_record(place: Place) -> None:
    """Each tag, parameter, metric and input, with what was expected and what was found."""
    edit(
        place,
        "UPDATE tags SET value = value || '1'",
        "UPDATE params SET value = value || '1'",
        "UPDATE latest_metrics SET value = value + 1",
        "UPDATE metrics SET value = value + 1",
        "UPDATE datasets SET digest = 'x' || substr(digest, 2)",
        "UPDATE model_version_tags SET value = value || '1' WHERE key LIKE 'tutela.%'",
        "UPDATE model_versions SET description = 'safe'",
    )
    shown = cast("dict[str, JSON]", place.last.named("mlflow")["run"])["shown"]
    found, differences = verify(place)
    for part, names in cast("dict[str, dict[str, str]]", shown).items():
        assert {f"MLflow {part}: {name}" for name in names} <= {*differences}
    assert "MLflow tags: tutela.run" in differences
    assert "MLflow registry: description of diabetes.clinics/1" in differences
    assert "MLflow registry: tutela.verdict of diabetes.clinics/1" in differences
    told = {one["name"]: one for one in cast("list[dict[str, str]]", found["differences"])}
    assert (told["privacy/k.partner"]["expected"], told["privacy/k.partner"]["found"]) == (
        "10.0", "11.0",
    )  # fmt: skip


def test_what_is_added_or_taken_away_in_mlflow_is_named(place: Place) -> None:
    """A tag and a metric put in, others deleted, and a version that no run registered."""
    edit(
        place,
        "INSERT INTO tags SELECT 'tutela.approved_by', 'me', run_uuid FROM tags LIMIT 1",
        "DELETE FROM tags WHERE key = 'tutela.purpose'",
        "DELETE FROM latest_metrics WHERE key = 'privacy/epsilon'",
        "UPDATE latest_metrics SET key = 'privacy.made_up' WHERE key = 'privacy/runs_left'",
        ALIAS.format("approved", 7),
    )
    _, differences = verify(place)
    assert {*differences} >= {
        "MLflow tags: tutela.approved_by", "MLflow tags: tutela.purpose",
        "MLflow metrics: privacy/epsilon", "MLflow metrics: privacy.made_up",
        "MLflow metrics: privacy/runs_left", "MLflow aliases: diabetes.clinics@approved",
    }  # fmt: skip


def test_a_run_deleted_in_mlflow_is_named(place: Place) -> None:
    """Whether it was deleted on MLflow's pages, or its rows are gone."""
    edit(place, "UPDATE runs SET lifecycle_stage = 'deleted'")
    _, differences = verify(place)
    assert any(one.startswith("MLflow runs: run ") for one in differences)
    edit(place, "UPDATE tags SET key = 'x' WHERE key = 'tutela.run'")
    _, differences = verify(place)
    assert any(one.startswith("MLflow runs: run ") for one in differences)


def test_an_alias_on_record_that_was_moved_is_named(place: Place) -> None:
    """One that nobody recorded is said, where it names a model that is as it was approved."""
    edit(place, ALIAS.format("champion", 1))
    found, differences = verify(place, status=0)
    assert differences == []
    assert "diabetes.clinics@champion names version 1" in str(found["beside"])
    ledger = EvidenceLedger(place.ledger.engine, place.keys)
    ledger.begin("20991231T000000-00000000", "small", {"checkpoint": None})
    ledger.append("20991231T000000-00000000", "record", "alias", "diabetes.clinics@champion", "2")
    _, differences = verify(place)
    assert differences == ["MLflow aliases: diabetes.clinics@champion"]


def test_every_file_that_was_changed_is_named(place: Place) -> None:
    """A byte more in each file of the run, its model, report, card and package; one put in."""
    mlflow = place.home.mlflow / "artifacts"
    places = {
        "reports": place.home.reports, "artifacts": next(mlflow.rglob("report.html")).parent,
        "models": next(mlflow.rglob("model.skops")).parent, "packages": place.last.released,
    }  # fmt: skip
    changed = {
        (where, path.relative_to(folder))
        for where, folder in places.items()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "tutela.json"
    }
    for where, name in changed:
        path = places[where] / name
        path.write_bytes(path.read_bytes() + b"\n")
    (places["models"] / "code.py").write_text("")
    _, differences = verify(place)
    for where, name in changed:
        shown = {"models": f"clinics/{name}", "packages": "partner"}.get(where, str(name))
        assert f"{where}: {shown}" in differences
    assert "models: clinics/code.py" in differences
    (places["models"] / "tutela.json").write_text("{}")
    (places["reports"] / f"{place.last.record.run_id}.html").unlink()
    _, differences = verify(place)
    assert "models: clinics/tutela.json" in differences
    assert f"reports: {place.last.record.run_id}.html" in differences


def test_a_store_that_is_away_leaves_the_rest_compared(place: Place) -> None:
    """It is said, and the exit status says that not all was compared."""
    (place.home.mlflow / "mlflow.db").write_bytes(b"no database")
    found, differences = verify(place, status=3)
    assert differences == []
    assert found["verdict"] == "incomplete"
    assert place.tell("verify", "2026", "--all").status == 2
    assert place.tell("verify", "nobody").status == 2


def test_a_model_is_loaded_only_if_its_folder_is_whole(place: Place, tmp_path: Path) -> None:
    """Without a home: by the list in it, and by the digest that its recipient was told."""
    folder = tmp_path / "model"
    shutil.copytree(next(place.home.mlflow.rglob("model.skops")).parent, folder)
    digest = cast("dict[str, dict[str, str]]", place.last.named("mlflow")["run"])["packages"]
    assert tutela.load_model(folder, digest["clinics"]).predict
    with pytest.raises(ServiceError, match=r"tutela.json is another one than the digest names"):
        tutela.load_model(folder, "0" * 64)
    content = (folder / "model.skops").read_bytes()
    for changed in (content + b"\0", content[:-1]):
        (folder / "model.skops").write_bytes(changed)
        with pytest.raises(ServiceError, match=r"'model.skops' was changed"):
            tutela.load_model(folder)
    (folder / "tutela.json").unlink()
    with pytest.raises(UsageError, match=r"has no tutela.json"):
        tutela.load_model(folder)
