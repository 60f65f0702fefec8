"""An auditor's questions are answered from the record, and by the filters that the page gives."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from expectations.policy_file import read_policy
from ledgers.evidence import JSON, Entry
from ledgers.home.home import Home
from tasks.account.projection import project
from tasks.handover import recording
from tests.runs import RunOnRecord, passed

PAGE = Path(__file__).parents[2] / "docs" / "audit.md"
FILTERS = re.findall(r"```text\n(.+)\n```", PAGE.read_text("utf-8"))
OF_REFUSED = {"tags.`tutela.verdict` = 'refused'"} | {one for one in FILTERS if "refused_by" in one}


def refuse(entries: list[Entry]) -> list[Entry]:
    """Give the evidence of a run as if its table had been refused."""
    body: JSON = {"check": "k-anonymity of partner", "reason": "k-anonymity of partner: too few"}
    return [
        replace(entry, name="refused", body=body) if entry.kind == "decision" else entry
        for entry in entries
    ]


def approve(entries: list[Entry]) -> list[Entry]:
    """Give the evidence of a run as if two people had approved it."""
    keys: list[JSON] = ["SHA256:a", "SHA256:b"]
    return [replace(entries[0], kind="approvals", body=keys), *entries]


@pytest.fixture(scope="module")
def run() -> RunOnRecord:
    """A finished run of the first example."""
    return passed("diabetes")


def test_every_filter_of_the_page_finds_what_it_is_for(home: Home, run: RunOnRecord) -> None:
    """In a store with one run that passed and one that was refused."""
    from mlflow import MlflowClient

    policy = read_policy("diabetes").policy
    client = MlflowClient(recording.tracking_uri(home))
    experiment = client.create_experiment("diabetes", (home.mlflow / "artifacts").as_uri())
    names = {}
    for entries in (approve(run.entries), refuse(run.entries)):
        shown = project(run.record, policy, entries)
        recording._show(client, client.create_run(experiment), shown)
        names[shown.failed] = shown.name
    client.create_registered_model("diabetes.clinics")
    for one in (wanted for wanted in FILTERS if not wanted.startswith("name ")):
        found = {shown.info.run_name for shown in client.search_runs([experiment], one)}
        assert names[one in OF_REFUSED] in found, one
        assert names[one not in OF_REFUSED] not in found or "verdict" not in one, one
    (of_models,) = [one for one in FILTERS if one.startswith("name ")]
    assert [m.name for m in client.search_registered_models(of_models)] == ["diabetes.clinics"]


def test_an_audit_says_what_left_under_which_claim_and_whose_consent_it_used(
    run: RunOnRecord,
) -> None:
    """With the ε of the purpose; nothing was refused."""
    said = run.place.tell("audit", "--json")
    assert said.status == 0, said.err
    found = json.loads(said.out)
    left = {one["outlet"]: one for one in found["runs"]["left"]}
    assert left["clinics"]["what"] == "diabetes.clinics version 1"
    assert left["clinics"]["claim"].startswith("A differentially private model (ε = 1")
    assert left["partner"]["recipient"] == "Research partner"
    assert left["partner"]["digest"] == run.named("release")["partner"]["digest"]  # type: ignore[index,call-overload]
    (state,) = found["runs"]["states"]
    assert state["runs"] == [run.record.run_id]
    assert len(state["made"]) == 2
    assert found["runs"]["refused"] == []
    assert [one["purpose"] for one in found["spent"]] == ["dpv:ScientificResearch"]


def test_an_audit_is_a_page_that_loads_nothing(run: RunOnRecord, tmp_path: Path) -> None:
    """It says the same as the screen."""
    said = run.place.tell("audit", "--page", str(tmp_path / "audit.html"))
    page = (tmp_path / "audit.html").read_text("utf-8")
    assert "A differentially private model" in said.out
    assert "A differentially private model" in page
    assert "<script" not in page


def test_between_a_run_and_itself_nothing_changed(run: RunOnRecord) -> None:
    """Policy and figures are the same."""
    said = run.place.tell("audit", "--between", run.record.run_id, run.record.run_id)
    assert said.out.count("is the same") == 2
