"""What leaves with a model: it refuses what it must not see, and carries no row and no address."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import skops.io
from mlflow.models import Model

from expectations.errors import Refusal, UsageError
from tasks.handover.model_package import read_list
from tasks.handover.recording import tracking_uri
from tasks.training.models import Encoding, ModelDeclaration, build_estimator
from tasks.training.served_model import DeclaredColumns
from tests.runs import RunOnRecord, passed

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "models.md"
PEOPLE = pd.DataFrame({"age": ["old", "young"] * 20, "bmi": np.linspace(15, 55, 40)})
SICK = pd.Series(["yes", "no"] * 20)

pytestmark = pytest.mark.filterwarnings("ignore:.*[Tt]ype hint is inferred:UserWarning")


def trained() -> object:
    """Train a model on an old and a young half, as it is saved and loaded again."""
    encoding = Encoding({"age": ["young", "old"]}, {"bmi": (15.0, 55.0)})
    pipeline = build_estimator(ModelDeclaration("logistic-regression"), encoding)
    content = skops.io.dumps(pipeline.fit(PEOPLE, SICK))
    return skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))


def test_columns_pass_in_any_order_and_come_as_declared() -> None:
    """Who calls a model need not know the order of the policy."""
    gate = DeclaredColumns(["age", "bmi"])
    found = gate.fit_transform(PEOPLE[["bmi", "age"]])
    pd.testing.assert_frame_equal(found, PEOPLE)
    assert list(gate.get_feature_names_out()) == ["age", "bmi"]


def test_a_column_that_was_dropped_or_never_named_is_refused_by_name() -> None:
    """Not left aside, or it would be collected for ever; no value is in the answer."""
    model = trained()
    with pytest.raises(Refusal, match=r"does not read race, told; drop them") as refusal:
        model.predict_proba(PEOPLE.assign(race="Xqz7", told="Xqz7"))  # type: ignore[attr-defined]  # a pipeline
    assert "Xqz7" not in str(refusal.value)
    with pytest.raises(Refusal, match="does not read race"):
        model.predict(PEOPLE.assign(race="Xqz7"))  # type: ignore[attr-defined]  # a pipeline


def test_training_is_refused_what_the_served_model_would_be() -> None:
    """One pipeline trains, is attacked and serves."""
    pipeline = build_estimator(ModelDeclaration("logistic-regression"), Encoding({"age": ["old"]}))
    with pytest.raises(Refusal, match="does not read bmi"):
        pipeline.fit(PEOPLE, SICK)


@pytest.mark.parametrize(
    ("frame", "error", "words"),
    [
        (PEOPLE[["bmi"]], Refusal, "1 declared columns are not in the data: age"),
        (PEOPLE[["age", "bmi", "bmi"]], Refusal, "1 declared columns are there twice: bmi"),
        (PEOPLE.set_axis([0, 1], axis=1), Refusal, "does not read 0, 1; drop them"),
        (PEOPLE.to_numpy(), UsageError, "reads a pandas DataFrame"),
    ],
    ids=["missing", "twice", "unnamed", "array"],
)
def test_other_frames_are_refused_with_what_is_wrong(
    frame: object, error: type[Exception], words: str
) -> None:
    """Missing and doubled columns are named, and a matrix has no names."""
    with pytest.raises(error, match=words):
        trained().predict_proba(frame)  # type: ignore[attr-defined]  # a pipeline


def test_loading_needs_to_trust_declared_classes_alone() -> None:
    """Gate and encoder; the classifier is scikit-learn's."""
    encoding = Encoding({"age": ["young", "old"]}, {"bmi": (15.0, 55.0)})
    pipeline = build_estimator(ModelDeclaration("logistic-regression"), encoding)
    assert skops.io.get_untrusted_types(data=skops.io.dumps(pipeline.fit(PEOPLE, SICK))) == [
        "tasks.training.encoding.DeclaredEncoder",
        "tasks.training.served_model.DeclaredColumns",
    ]


@pytest.fixture(scope="module")
def run() -> RunOnRecord:
    """A run whose model is registered."""
    return passed("registry")


def model_folder(run: RunOnRecord, folder: Path) -> Path:
    """Download the model as a recipient would."""
    (version,) = run.models
    place = run.place.mlflow.get_model_version_download_uri(version.name, str(version.version))
    uri = tracking_uri(run.place.home)
    found = mlflow.artifacts.download_artifacts(place, dst_path=str(folder), tracking_uri=uri)
    return Path(found)


def test_the_signature_is_the_policys(run: RunOnRecord, tmp_path: Path) -> None:
    """Each feature by name and type, all required; two probabilities; no example of an input."""
    described = Model.load(str(model_folder(run, tmp_path)))
    assert described.signature is not None
    columns = [(c["name"], c["type"], c["required"]) for c in described.signature.inputs.to_dict()]
    assert columns == [(n, "string", True) for n in ("sex", "stage", "therapy", "born")]
    assert [c["name"] for c in described.signature.outputs.to_dict()] == ["no", "yes"]
    assert described.saved_input_example_info is None


def test_nothing_of_this_machine_and_no_example_goes_with_a_model(
    run: RunOnRecord, tmp_path: Path
) -> None:
    """Descriptions name versions of packages, no address or path; the files are these alone."""
    folder = model_folder(run, tmp_path)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    # MLflow puts it there whenever somebody loads the model from where it is stored.
    assert files - {"registered_model_meta"} == {
        "MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "model.skops",
        "model_card.html", "model_card.md", "features.py", "receipt.json", "tutela.json",
    }  # fmt: skip
    home = str(run.place.home.root).encode()
    for path in (folder / name for name in files):
        content = path.read_bytes()
        assert home not in content, path.name
        assert b"/tmp/" not in content, path.name  # where tests have their homes
        if path.suffix not in {".html", ".md", ".skops"}:
            assert b"://" not in content, path.name
    lines = (folder / "requirements.txt").read_text("utf-8").split()
    assert [line for line in lines if not re.fullmatch(r"[\w.\[\]-]+==[\w.]+", line)] == []
    assert {line.partition("=")[0] for line in lines} >= {"tutela", "scikit-learn", "skops"}


def test_the_recipe_goes_along_with_model_and_card(run: RunOnRecord, tmp_path: Path) -> None:
    """On the list of the folder's files, and in the home, where a digest of it is on record."""
    folder = model_folder(run, tmp_path)
    assert "features.py" in read_list((folder / "tutela.json").read_bytes())
    told = (folder / "features.py").read_text("utf-8")
    name = f"{run.record.run_id}-oncologists-features.py"
    assert (run.place.home.reports / name).read_text("utf-8") == told
    written = run.named("files")["reports"]
    assert isinstance(written, dict)
    assert name in written


def test_the_card_stands_beside_report_and_model(run: RunOnRecord, tmp_path: Path) -> None:
    """In the home, in the model's folder and among the run's artifacts, the same text."""
    folder = model_folder(run, tmp_path)
    shown = run.named("mlflow")["run"]
    assert isinstance(shown, dict)
    where = run.place.mlflow.get_run(str(shown["run_id"])).info.artifact_uri
    for suffix in ("html", "md"):
        name = f"{run.record.run_id}-oncologists-card.{suffix}"
        told = (run.place.home.reports / name).read_text("utf-8")
        assert (folder / f"model_card.{suffix}").read_text("utf-8") == told
        beside = mlflow.artifacts.download_artifacts(
            f"{where}/oncologists/model_card.{suffix}",
            dst_path=str(tmp_path),
            tracking_uri=tracking_uri(run.place.home),
        )
        assert Path(beside).read_text("utf-8") == told


def test_the_snippets_of_the_page_run_in_a_process_of_their_own(run: RunOnRecord) -> None:
    """Loading the model, asking it, and being refused; one after the other, as a reader would."""
    found = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(found) == 4
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri(run.place.home)}
    ran = subprocess.run(
        [sys.executable, "-c", "\n".join(found)],
        capture_output=True, text=True, cwd=ROOT, env=environment, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "['region']`. These inputs will be ignored" in ran.stderr
