"""A run as Prefect shows it: the graph of its steps, names, artifacts, and how it ended."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.leaks.leaks import World, canaries_of, policy_name

pytest_plugins = ["tests.leaks.leak_world"]
EDGES = {
    ("Read the roster", "Filter by legal basis"),
    ("Filter by legal basis", "Collect the named columns"),
    ("Collect the named columns", "Select the population"),
    ("Select the population", "De-identify"),
    ("De-identify", "Validate values"),
    ("Validate values", "Make the table k-anonymous: partner"),
    ("Make the table k-anonymous: partner", "Check the table: partner"),
    ("Validate values", "Compare with the reference population"),
    ("Compare with the reference population", "Train the model"),
    ("Compare with the reference population", "Attack the model"),
    ("Train the model", "Attack the model"),
    ("Validate values", "Measure detail lost for each k: partner"),
    ("Check the table: partner", "Attack the table: partner"),
    ("Validate values", "Attack the table: partner"),
    ("Select the population", "Attack the table: partner"),
    ("Attack the table: partner", "Prepare the handover: partner"),
    ("Attack the model", "Prepare the handover: ward"),
    ("Select the population", "Attack the published history"),
    ("Select the population", "Re-check consent"),
    ("Prepare the handover: partner", "Record in MLflow"),
    ("Prepare the handover: ward", "Record in MLflow"),
    ("Re-check consent", "Record in MLflow"),
    ("Record in MLflow", "Write the report"),
}
Json = dict[str, Any]


def flow_run_of(world: World, case: str) -> Json:
    """Give the flow run of a case."""
    flow_run = world.evidence(world.outcomes[case].run, "prefect")["id"]
    found: Json = world.ask_prefect(f"flow_runs/{flow_run}")
    return found


def graph_of(world: World, case: str) -> Json:
    """Give the nodes of a case's graph by their ids, as Prefect's page draws them."""
    return dict(world.ask_prefect(f"flow_runs/{flow_run_of(world, case)['id']}/graph-v2")["nodes"])


def task_runs_of(world: World, case: str) -> list[Json]:
    """Give the task runs of a case."""
    return [world.ask_prefect(f"task_runs/{node}") for node in graph_of(world, case)]


def test_the_graph_is_the_flow(world: World) -> None:
    """Prefect draws each step once per outlet and the edges that `serve` makes, and no other."""
    nodes = graph_of(world, "passed")
    drawn = {
        (nodes[parent["id"]]["label"], node["label"])
        for node in nodes.values()
        for parent in node["parents"]
    }
    assert drawn == EDGES
    labels = sorted(node["label"] for node in nodes.values())
    assert labels == sorted({label for edge in EDGES for label in edge})


def test_a_flow_run_is_named_after_its_policy(world: World) -> None:
    """A flow run bears the policy's name, is given that name and nothing else."""
    flow_run = flow_run_of(world, "passed")
    assert flow_run["name"] == policy_name("passed")
    assert flow_run["parameters"] == {"policy": policy_name("passed")}
    assert world.ask_prefect(f"flows/{flow_run['flow_id']}")["name"] == "train and release"


def test_task_runs_bear_the_titles_of_their_steps(world: World) -> None:
    """Each task run has its step's title, and no tag, for which Prefect would ask for a slot."""
    nodes, tasks = graph_of(world, "passed"), task_runs_of(world, "passed")
    assert [task["name"] for task in tasks] == [node["label"] for node in nodes.values()]
    assert all(task["tags"] == [] for task in tasks)


def test_a_task_is_given_other_tasks_results_alone(world: World) -> None:
    """No task keeps a result, and its inputs are links to task runs: never a frame or a value."""
    for task in task_runs_of(world, "passed"):
        assert task["state"]["data"] is None
        for given in task["task_inputs"].values():
            assert {one["input_type"] for one in given} <= {"task_run"}


@pytest.mark.parametrize(
    ("case", "keys"),
    [
        ("passed", {"story", "checks"}),
        ("refused, k", {"story", "checks"}),
        ("broken, train", {"story"}),
    ],
)
def test_the_story_of_a_run_is_on_its_page(world: World, case: str, keys: set[str]) -> None:
    """A decided run has its story as an artifact, and a table of whatever was checked."""
    nodes = graph_of(world, case).values()
    assert keys <= {artifact["key"] for node in nodes for artifact in node["artifacts"]}


def test_the_story_says_what_happened(world: World) -> None:
    """The story has the verdict, published counts and the claim of each outlet."""
    nodes = graph_of(world, "passed").values()
    shown = {a["key"]: a["id"] for node in nodes for a in node["artifacts"]}
    story = world.ask_prefect(f"artifacts/{shown['story']}")["data"]
    assert "# Runs over made-up people: passed" in story
    assert "**Partner** (partner): A table that is 5-anonymous" in story
    checks = json.loads(world.ask_prefect(f"artifacts/{shown['checks']}")["data"])
    found = {row["check"]: row["verdict"] for row in checks}
    assert found["k-anonymity of partner"] == "passed"
    assert set(found.values()) <= {"passed", "warned", "inconclusive"}
    assert "membership inference" in {row["check"] for row in checks}


def test_a_passed_run_ends_completed(world: World) -> None:
    """What passed is Completed in Prefect."""
    state = flow_run_of(world, "passed")["state"]
    assert (state["type"], state["name"]) == ("COMPLETED", "Completed")


@pytest.mark.parametrize(
    ("case", "name", "message"),
    [
        (
            "refused, cohort",
            "Refused",
            r"Refusal: smallest cohort: about \d+ people are left at the selection",
        ),
        (
            "malformed row",
            "Failed",
            "SourceError: .*fewer than 10 rows have another number of fields",
        ),
        (
            "broken, train",
            "Failed",
            "StepFailed: step 'train' failed with ValueError; the details may quote",
        ),
    ],
)
def test_a_run_that_did_not_pass_ends_failed(
    world: World, case: str, name: str, message: str
) -> None:
    """What broke is Failed in Prefect, a refusal Refused, with the text that was vouched for."""
    state = flow_run_of(world, case)["state"]
    assert (state["type"], state["name"]) == ("FAILED", name)
    assert re.search(message, state["message"], re.DOTALL)
    assert not any(canary in state["message"] for canary in canaries_of(case))


def test_an_interrupted_run_ends_crashed(world: World) -> None:
    """Ctrl-C inside a step crashes the flow run."""
    assert flow_run_of(world, "interrupted")["state"]["type"] == "CRASHED"


def test_a_home_is_used_again(world: World) -> None:
    """A second run of a policy in one home passes, and its model is the next version."""
    versions = [
        world.evidence(world.outcomes[case].run, "mlflow")["model_version"]
        for case in ("passed", "passed again")
    ]
    assert versions == ["1", "2"]
