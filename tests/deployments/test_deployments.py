"""What is deployed: flows by module path, no machine's folder, and no model on a schedule."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from expectations.errors import UsageError
from expectations.policy_file import read_policy

FILE = Path(__file__).parents[2] / "deployments" / "prefect.yaml"
STORED = yaml.safe_load(FILE.read_text(encoding="utf-8"))
DEPLOYMENTS: list[dict[str, Any]] = STORED["deployments"]
each = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=[d["name"] for d in DEPLOYMENTS])


def deployed_flow(deployment: dict[str, Any]) -> Any:
    """Import what an entry point names."""
    module, name = deployment["entrypoint"].rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


@each
def test_an_entry_point_is_a_flow(deployment: dict[str, Any]) -> None:
    """The module path leads to a flow whose own settings keep data out of Prefect."""
    flow = deployed_flow(deployment)
    assert type(flow).__module__ == "prefect.flows"
    assert (flow.persist_result, flow.log_prints) == (False, False)


@each
def test_parameters_pass_the_schema_that_the_server_enforces(deployment: dict[str, Any]) -> None:
    """The name given is a bundled policy's, and what is no name would be refused."""
    from prefect.utilities.callables import parameter_schema
    from prefect.utilities.schema_tools import is_valid_schema, validate

    schema = parameter_schema(deployed_flow(deployment)).model_dump_for_openapi()
    is_valid_schema(schema)
    assert deployment["enforce_parameter_schema"] is True
    assert validate(deployment["parameters"], schema) == []
    assert validate({"policy": "x y@z"}, schema) != []
    assert read_policy(deployment["parameters"]["policy"])


@each
def test_a_model_is_trained_by_hand(deployment: dict[str, Any]) -> None:
    """Only the flow that makes tables has a schedule: a training spends ε for life."""
    if deployment["entrypoint"] != "flows.training.release_tables":
        assert deployment["schedules"] == []


@each
def test_a_schedule_has_a_time_zone_and_no_parameters(deployment: dict[str, Any]) -> None:
    """The server stores a schedule's parameters unchecked, and takes UTC unless told."""
    for schedule in deployment["schedules"]:
        assert schedule["timezone"]
        assert "parameters" not in schedule


@each
def test_one_run_at_a_time(deployment: dict[str, Any]) -> None:
    """A deployment runs once at a time, in the pool of this project."""
    assert deployment["concurrency_limit"]["limit"] == 1
    assert deployment["work_pool"]["name"] == "tutela"


@each
def test_a_flow_in_a_worker_is_as_safe_as_one_by_hand(deployment: dict[str, Any]) -> None:
    """What the command line requires of its environment, the worker gives to each flow."""
    from deployments.servers.prefect_server import REQUIRED

    given = deployment["work_pool"]["job_variables"]["env"]
    assert given == {name: REQUIRED[name][0] for name in REQUIRED}


def test_nothing_is_pulled_and_no_path_is_stored() -> None:
    """Without an empty `pull`, deploying would store this machine's folder."""

    def texts(node: object) -> list[str]:
        if isinstance(node, dict):
            return [text for value in node.values() for text in texts(value)]
        if isinstance(node, list):
            return [text for value in node for text in texts(value)]
        return [str(node)]

    assert STORED["pull"] == []
    assert not [text for text in texts(STORED) if text.startswith(("/", "~", "file:"))]


def test_a_server_that_ends_with_the_command_is_deployed_nothing() -> None:
    """Prefect would start one where no address is set, and say that it succeeded."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    ((step, inputs),) = STORED["build"][0].items()
    module, name = step.rsplit(".", 1)
    require = getattr(importlib.import_module(module), name)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}):
        assert require(**inputs) == {"api": "http://127.0.0.1:4200/api"}
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(UsageError, match="export the address that `tutela up` shows"),
    ):
        require(**inputs)


def test_the_schedule_of_a_command_is_that_of_the_file() -> None:
    """Whoever moves from one to the other deploys the same flows in the same pool."""
    from deployments.serving.schedules import FLOWS
    from deployments.serving.worker import POOL

    assert {one["entrypoint"] for one in DEPLOYMENTS} == {*FLOWS.values()}
    assert {one["work_pool"]["name"] for one in DEPLOYMENTS} == {POOL}
