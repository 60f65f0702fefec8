"""Whatever is changed of what shows a run is named: MLflow, its files, reports and packages."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from unittest import mock

import pytest

import tutela
from deployments.keeping.maintain import announce_done, maintain, verify_night
from expectations.errors import ServiceError, UsageError
from ledgers.evidence import JSON, EvidenceLedger
from ledgers.retention import RetentionLedger
from tasks.account.projection import PROJECTION
from tasks.handover.shown import Shown
from tasks.verifying.findings import Findings
from tasks.verifying.views import Judge, check_parts, say_missing
from tasks.verifying.whole import States, Verifier
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
    shown = cast("dict[str, JSON]", place.last.named("mlflow")["run"])["shown"]
    for part, names in cast("dict[str, dict[str, str]]", shown).items():
        assert 4 < len(names) <= compared[f"MLflow {part}"]
    assert min(compared["artifacts"], compared["models"]) > 4
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


def test_a_model_that_was_loaded_by_its_name_is_whole(place: Place) -> None:
    """MLflow writes beside it which version it is; whatever else that file says is named."""
    note = next(place.home.mlflow.rglob("model.skops")).with_name("registered_model_meta")
    note.write_text("model_name: diabetes.clinics\nmodel_version: '1'\n")
    assert verify(place, status=0)[1] == []
    note.write_text("model_name: diabetes.clinics\nmodel_version: '7'\n")
    assert verify(place)[1] == ["models: clinics/registered_model_meta"]


def test_what_retention_removed_is_no_difference(place: Place) -> None:
    """Goods first, and then the evidence, each with the day on which it was removed."""
    run_id, day = place.last.record.run_id, f"{datetime.now(UTC):%Y-%m}"
    for days, what in ((366, "goods"), (4000, "evidence")):
        later = datetime.now(UTC) + timedelta(days=days)
        if what == "evidence":
            RetentionLedger(place.ledger.engine, place.keys).remove_evidence({run_id: "its days"})
        assert maintain(place.home, place.keys, later).refused is None
        found, differences = verify(place, status=0)
        assert differences == []
        assert f"{what} of run {run_id}: removed under retention on {day}" in str(found["removed"])


def test_a_night_tells_what_its_verification_found(place: Place) -> None:
    """In its answer, and as the event `tutela.verify.whole` or `tutela.verify.differs`."""
    done = maintain(place.home, place.keys)
    for verdict in ("whole", "differs"):
        night = verify_night(place.home, place.keys, done)
        assert cast("Found", night.found["verify"])["verdict"] == verdict
        assert (night.refused is None) == (verdict == "whole")
        with mock.patch("tasks.watching.announcing.announce", return_value=[]) as announced:
            announce_done(place.home, place.keys, night)
        news = [one.name for one in announced.call_args.kwargs["news"]]
        assert news == ["tutela.retention.done", f"tutela.verify.{verdict}"]
        edit(place, "UPDATE params SET value = 'x'")


def test_states_of_prefect_are_held_against_verdicts(place: Place) -> None:
    """Another one is named, one that is gone is said, and so is a server that is away."""
    ledger = EvidenceLedger(place.ledger.engine, place.keys)
    ledger.begin("20991231T000000-00000000", "small", {"checkpoint": None})
    ledger.append("20991231T000000-00000000", "run", "prefect", "flow_run", {"id": "flow-1"})
    ledger.append("20991231T000000-00000000", "run", "decision", "refused", {"reason": ""})
    ledger.close("20991231T000000-00000000", "refused")

    def ask(states: States) -> Findings:
        verifier = Verifier.of(place.home, place.keys)
        records = verifier.ledgers(whole=False)
        verifier.runs(records, None, ["20991231T000000-00000000"], states)
        verifier.engine.dispose()
        return verifier.found

    assert ask(lambda _: {"flow-1": "Refused"}).differences == []
    (difference,) = ask(lambda _: {"flow-1": "Completed"}).differences
    assert (difference.where, difference.name, difference.found) == ("Prefect", "flow-1",
                                                                    "Completed")  # fmt: skip
    assert "Prefect has no flow run flow-1 any more" in ask(lambda _: {}).beside

    def away(_: object) -> dict[str, str]:
        raise ServiceError("its server is away")

    assert "Prefect was not compared: its server is away" in ask(away).beside


def test_what_an_earlier_projection_did_not_show_is_named() -> None:
    """And is no difference: it is judged by the digests of what was shown then."""
    found = Findings()
    judge = Judge(b"key", "r1", {"tags": {}}, {"tags": {"tutela.approved": "yes"}}, {})
    check_parts(Shown("m1", "r1", False, {"tags": {}}, ""), judge, found)
    say_missing(PROJECTION, judge, found)
    assert (found.differences, found.beside) == ([], [])
    say_missing(1, judge, found)
    assert found.beside == ["run r1 was shown by version 1, without tags tutela.approved"]


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
