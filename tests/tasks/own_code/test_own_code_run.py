"""Runs with own code: the model that leaves names it and takes it along; errors tell nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast
from unittest import mock

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

import tutela
from deployments.run.notebook import read_model, read_ran
from expectations.errors import PolicyError, StepFailed, UsageError
from ledgers.evidence import EvidenceLedger
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from tasks.handover.decided_run import DecidedRun
from tasks.handover.recording import tracking_uri
from tasks.own_code.loading import digest_sources
from tests.conftest import Folder, Runner
from tests.runs import _without_prefect

EXPRESSION = "    expression: sugar >= 6.5\n"
FUNCTION = "    function: tasks/features.py:sick\n    reads: [sugar]\n    type: boolean\n"
FEATURES = (
    "from .limits import LIMIT\n\ndef sick(rows):\n    return rows['sugar'].fillna(0) >= LIMIT\n"
)
MODELS = '''\
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression


class Calm(ClassifierMixin, BaseEstimator):
    """A logistic regression inside a class of one's own."""

    def __init__(self, C=1.0):
        self.C = C

    def fit(self, X, y):
        self.inner_ = LogisticRegression(C=self.C).fit(X, y)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, X):
        return self.inner_.predict_proba(X)

    def predict(self, X):
        return self.inner_.predict(X)
'''
CHANGES = (
    (EXPRESSION, FUNCTION),
    ("{model: logistic-regression}", "{model: my_models.py:Calm, parameters: {C: 0.01}}"),
)


def written(folder: Folder, features: str = FEATURES) -> Path:
    """Write the small policy with a function and a model of one's own beside it."""
    (folder.path / "tasks").mkdir(exist_ok=True)
    (folder.path / "tasks" / "features.py").write_text(features, encoding="utf-8")
    (folder.path / "tasks" / "limits.py").write_text("LIMIT = 6.5\n", encoding="utf-8")
    (folder.path / "my_models.py").write_text(MODELS, encoding="utf-8")
    return folder.write(*CHANGES)


def test_a_model_names_the_code_that_it_came_from_and_takes_it_along(
    folder: Folder, run_direct: Runner, home: Home
) -> None:
    """Digests on record, in MLflow, and in the report; loaded elsewhere without the folder."""
    run_id, error = run_direct(written(folder))
    assert error is None
    (record,) = EvidenceLedger(open_database(home), Keys.open(home)).runs()
    model = digest_sources({"my_models.py": MODELS})
    function = digest_sources({"tasks/features.py": FEATURES, "tasks/limits.py": "LIMIT = 6.5\n"})
    assert model not in str(record.facts["code"])
    own = record.facts["own_code"]
    assert isinstance(own, dict)
    assert {name: kept["sha256"] for name, kept in own.items()} == {  # type: ignore[index, call-overload]
        "tasks/features.py:sick": function,
        "my_models.py:Calm": model,
    }
    report = (home.reports / f"{run_id}.html").read_text(encoding="utf-8")
    assert model in report
    assert function in report
    assert "record-wise functions" in report
    (folder.path / "my_models.py").unlink()
    program = (
        "import mlflow, pandas as pd\n"
        f"mlflow.set_tracking_uri({tracking_uri(home)!r})\n"
        "(version,) = mlflow.MlflowClient().search_model_versions()\n"
        "print(version.tags['tutela.own_code'])\n"
        "model = mlflow.sklearn.load_model(f'models:/{version.name}/{version.version}')\n"
        "rows = pd.DataFrame({'age': ['18-34', '65+'], 'sex': ['f', 'm']})\n"
        "print(type(model[-1]).__module__, model.predict_proba(rows).shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True, text=True, check=False, cwd=folder.path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"my_models.py:Calm SHA-256 {model}" in done.stdout
    assert f"tasks/features.py:sick SHA-256 {function}" in done.stdout
    assert f"_tutela_own_{model[:16]}.my_models (2, 2)" in done.stdout


def test_a_result_holds_a_model_of_ones_own(folder: Folder, home: Home) -> None:
    """Its types are trusted because their code is on the run's record, and for nothing else."""
    with mock.patch.dict(os.environ), _without_prefect():
        result = tutela.run(written(folder), progress=False)
    assert result.verdict == "passed", result.reason
    assert result.model is not None
    rows = pd.DataFrame({"age": ["18-34", "65+"], "sex": ["f", "m"]})
    assert type(cast("Pipeline", result.model)[-1]).__name__ == "Calm"
    assert result.model.predict_proba(rows).shape == (2, 2)
    ran = read_ran(home, Keys.open(home), result.run_id)
    (clinic,) = (outlet for outlet in result.evidence.outlets if outlet.kind == "model")
    # As of a run of an earlier version, whose model's bytes are on no record.
    with mock.patch.object(DecidedRun, "approved", return_value=None):
        assert read_model(ran, clinic) is not None
        record = replace(ran.run.record, facts={**ran.run.record.facts, "own_code": {}})
        unnoted = replace(ran, run=replace(ran.run, record=record))
        with pytest.raises(UsageError, match=r"1 types .* _tutela_own_\w+\.my_models\.Calm"):
            read_model(unnoted, clinic)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        ("ValueError(f'unlikely: {value}')", "ValueError"),
        ("tutela.UsageError(f'unlikely: {value}')", "UsageError"),
        ("tutela.Refusal('features', f'unlikely: {value}')", "Refusal"),
        ("type(f'Of{value:.0f}', (ValueError,), {})()", "ValueError"),
        ("type(f'Of{value:.0f}', (tutela.Refusal,), {})('features', '')", "Refusal"),
        ("tutela.k_anonymize(rows, [f'unlikely {value}'], 2)", "UsageError"),
    ],
)
def test_what_a_function_raises_in_a_run_is_sealed(
    raised: str, kind: str, folder: Folder, run_direct: Runner, home: Home
) -> None:
    """Tutela's own errors too, and whatever name a type was given; no file holds any of it."""
    folder.people[0]["sugar"] = "123456.5"
    text = (
        "import tutela\n"
        "def sick(rows):\n"
        "    for value in rows['sugar'].dropna():\n"
        "        if value == 123456.5:\n"
        f"            raise {raised}\n"
        "    return rows['sugar'].fillna(0) >= 6.5\n"
    )
    _, error = run_direct(written(folder, text))
    assert isinstance(error, StepFailed)
    assert (error.kind, "123456" in str(error)) == (kind, False)
    (_, decision) = read_decision(home)
    assert "123456" not in str(decision)


def test_what_an_estimator_raises_in_a_run_is_sealed(
    folder: Folder, run_direct: Runner, home: Home
) -> None:
    """A refusal by own code is none: its text may be a person's row."""
    policy = written(folder)
    refusing = "raise __import__('tutela').Refusal('training', f'row {X[0]!r}')\n"
    text = MODELS.replace("        self.inner_ = ", f"        {refusing}        self.inner_ = ")
    (folder.path / "my_models.py").write_text(text, encoding="utf-8")
    _, error = run_direct(policy)
    assert isinstance(error, StepFailed), error
    assert "row" not in str(error)
    verdict, decision = read_decision(home)
    assert (verdict, "row" in str(decision)) == ("failed", False)


def read_decision(home: Home) -> tuple[str, object]:
    """Give the verdict and the reason of the one run that is on record."""
    ledger = EvidenceLedger(open_database(home), Keys.open(home))
    (record,) = ledger.runs()
    (found,) = [e for e in ledger.entries(record.run_id) if e.kind == "decision"]
    return found.name, found.body


def test_a_run_begins_with_the_trial_of_its_functions(
    folder: Folder, run_direct: Runner, home: Home
) -> None:
    """A flow that was started without `check` refuses too, before anything is on record."""
    policy = written(folder, "def sick(rows):\n    return rows['sugar'] > rows['sugar'].mean()\n")
    with pytest.raises(PolicyError, match=r"`tasks/features\.py:sick` gives \d+ of 120 made-up"):
        run_direct(policy)
    assert EvidenceLedger(open_database(home), Keys.open(home)).runs() == []
