"""MLflow's pages show what its store holds, and nothing can be done there."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from unittest import mock

import pytest

from deployments.servers import prefect_server
from deployments.servers.mlflow_process import READS, is_read
from deployments.servers.prefect_process import listen
from deployments.servers.prefect_server import serve_mlflow
from ledgers.home.home import Home, Settings

ROUTES = """
import json, os, sys
from deployments.servers.mlflow_process import hold
hold(5000, "sqlite://", sys.argv[1])
from mlflow.server import app as pages
from mlflow.server.fastapi_app import app
found = [(way, path) for path, ways in app.openapi()["paths"].items() for way in ways]
found += [(way, rule.rule) for rule in pages.url_map.iter_rules() for way in rule.methods]
print(json.dumps(found))
"""
SHOWN = {
    "GET": """
        / /health /version /static-files/* /get-artifact /model-versions/get-artifact
        /ajax-api/3.0/mlflow/server-info
        experiments/get experiments/get-by-name experiments/search
        runs/get artifacts/list
        metrics/get-history metrics/get-history-bulk metrics/get-history-bulk-interval
        logged-models/* logged-models/*/artifacts/directories logged-models/*/artifacts/files
        registered-models/alias registered-models/get registered-models/get-latest-versions
        registered-models/search
        model-versions/get model-versions/get-download-uri model-versions/search
    """,
    "POST": """
        /graphql experiments/search experiments/search-datasets runs/search logged-models/search
        registered-models/get-latest-versions
        /ajax-api/3.0/mlflow/traces/metrics /ajax-api/3.0/mlflow/traces/search
    """,
}
"""What is shown, by method: paths below `/ajax-api/2.0/mlflow/`, or whole ones."""
ASSISTANT = "/ajax-api/3.0/mlflow/assistant"
DONE = [
    ("PUT", f"{ASSISTANT}/config"),
    ("POST", f"{ASSISTANT}/message"),
    ("GET", f"{ASSISTANT}/sessions/1/stream"),
    ("POST", "//ajax-api/3.0/mlflow/assistant/message"),
    ("POST", "/static-files/../ajax-api/3.0/mlflow/assistant/message"),
    ("POST", "/ajax-api/3.0/mlflow/%61ssistant/message"),
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/x"),
    ("POST", "/api/2.0/mlflow/experiments/create"),
    ("POST", "/api/2.0/mlflow/runs/create"),
    ("POST", "/api/2.0/mlflow/runs/set-tag"),
    ("POST", "/api/2.0/mlflow/logged-models"),
    ("DELETE", "/api/2.0/mlflow/logged-models/m"),
    ("POST", "/api/2.0/mlflow/model-versions/create"),
    ("POST", "/api/2.0/mlflow/webhooks"),
    ("GET", "/ajax-api/2.0/mlflow/gateway-proxy"),
    ("POST", "/gateway/mlflow/v1/chat/completions"),
    ("POST", "/ajax-api/3.0/jobs/"),
    ("POST", "/ajax-api/3.0/mlflow/prompt-optimization/jobs"),
    ("POST", "/ajax-api/3.0/mlflow/mcp-servers"),
    ("POST", "/v1/traces"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """What the server needs of a home."""
    home = Home(tmp_path_factory.mktemp("home"), Settings())
    home.mlflow.mkdir()
    return home


@pytest.fixture(scope="module")
def port(home: Home) -> Iterator[int]:
    """Where the server of an empty store answers, with the worst of what a user may have set."""
    worst = {
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "true",
        "MLFLOW_SERVER_ALLOWED_HOSTS": "mlflow.example",
        "MLFLOW_ENABLE_WORKSPACES": "true",
    }
    with listen(0) as bound, mock.patch.dict(os.environ, worst):
        server = prefect_server._launch_mlflow(home, bound.fileno(), None)
        found = bound.getsockname()[1]
    yield found
    server.terminate()
    server.wait()


def ask(port: int, way: str, path: str, **said: str) -> tuple[int, dict[str, str], bytes]:
    """Ask the server, and give its status, headers and text."""
    line = HTTPConnection("127.0.0.1", port, timeout=120)
    line.request(way, path, b"{}" if way != "GET" else None, said)
    answer = line.getresponse()
    found = answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read()
    line.close()
    return found


def test_all_that_mlflow_serves_is_shown_or_not_found(tmp_path: Path) -> None:
    """A new MLflow's new page is not shown unless it is in the list; one that went is missed."""
    words = [sys.executable, "-c", ROUTES, str(tmp_path)]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    routes = {
        (way.upper(), re.sub(r"<[^>]+>|{[^}]+}", "*", path)) for way, path in json.loads(told)
    }
    assert ("POST", f"{ASSISTANT}/message") in routes
    below = "/ajax-api/2.0/mlflow/"
    expected = {
        (way, path if path.startswith("/") else below + path)
        for way, paths in SHOWN.items()
        for path in paths.split()
    }
    programs = {(way, path.replace("/ajax-api/", "/api/")) for way, path in expected}
    passed = {(way, path) for way, path in routes if way != "HEAD" and is_read(way, path)}
    assert passed == (expected | programs) & routes
    assert expected <= routes
    for way, known in READS.items():
        for pattern in known:
            assert any(re.fullmatch(pattern, path) for asked, path in routes if asked == way)


@pytest.mark.parametrize(("way", "path"), DONE)
@pytest.mark.parametrize("own", [False, True], ids=["a program", "its own page"])
def test_nothing_is_run_or_written_for_anyone(port: int, way: str, path: str, own: bool) -> None:
    """No account of the machine gets MLflow's assistant, nor a file where it likes."""
    said = {"Origin": f"http://127.0.0.1:{port}"} if own else {}
    status, _, text = ask(port, way, path, **said)
    assert status == 404
    assert b"for looking" in text


@pytest.mark.parametrize("origin", ["http://localhost:8888", "http://evil.example.com", "null"])
def test_a_page_of_another_origin_is_refused(port: int, origin: str) -> None:
    """MLflow's own guard would admit any page of this machine."""
    assert ask(port, "POST", "/api/2.0/mlflow/runs/search", Origin=origin)[0] == 403
    assert ask(port, "PUT", f"{ASSISTANT}/config", Origin=origin)[0] == 403


def test_the_pages_and_what_they_ask_are_answered(port: int) -> None:
    """Page and store are there, in no other page's frame, and no browser guesses a file's kind."""
    status, headers, text = ask(port, "GET", "/")
    assert (status, b"<html" in text) == (200, True)
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert ask(port, "GET", "/static-files/../../handlers.py")[0] == 404
    below = "/ajax-api/2.0/mlflow/experiments"
    page = {"Origin": f"http://localhost:{port}", "Content-Type": "application/json"}
    status, _, text = ask(port, "GET", f"{below}/get-by-name?experiment_name=Default", **page)
    assert (status, json.loads(text)["experiment"]["name"]) == (200, "Default")
    assert ask(port, "GET", f"{below}/search?max_results=5", Host=f"localhost:{port}")[0] == 200


def test_no_account_reads_the_stores_password_among_the_servers_words(home: Home) -> None:
    """The address of a store is in the server's environment, which is its owner's alone."""
    store = "postgresql://me:secret@db.example/mlflow"
    named = Home(home.root, Settings(mlflow_tracking_uri=store))
    launched = mock.Mock(side_effect=KeyboardInterrupt)
    with mock.patch.object(prefect_server, "launch", launched), pytest.raises(KeyboardInterrupt):
        serve_mlflow(named, announce=lambda _: None)
    (command, _, environment), _ = launched.call_args
    assert "secret" not in " ".join(command)
    assert environment["MLFLOW_TRACKING_URI"] == store


LOGIN = "[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{}\nadmin_username = admin\n"
SECRETS = {
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "key",
    "MLFLOW_AUTH_ADMIN_PASSWORD": "admin's own words",
    "TUTELA_MLFLOW_PEOPLE": "people's words",
    "TUTELA_MLFLOW_WRITER": "tutela's words",
}


def log_in(name: str, password: str) -> dict[str, str]:
    """Give the header with which a request logs in."""
    coded = base64.b64encode(f"{name}:{password}".encode()).decode()
    return {"Authorization": f"Basic {coded}", "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where the server answers that asks for a login."""
    home = Home(tmp_path_factory.mktemp("guarded"), Settings())
    home.mlflow.mkdir()
    login = home.root / "login.ini"
    login.write_text(LOGIN.format(home.root / "login.db"))
    variables = {**SECRETS, "MLFLOW_AUTH_CONFIG_PATH": str(login)}
    with listen(0) as bound, mock.patch.dict(os.environ, variables):
        server = prefect_server._launch_mlflow(home, bound.fileno(), None)
        found = bound.getsockname()[1]
    yield found
    server.terminate()
    server.wait()


def test_with_a_login_people_read_and_tutela_writes(guarded: int) -> None:
    """Nobody else does either, and neither reaches what runs commands."""
    people, tutela = log_in("people", "people's words"), log_in("tutela", "tutela's words")
    read, write = "/api/2.0/mlflow/experiments/search?max_results=5", "/api/2.0/mlflow/runs/create"
    answers = {
        (who, way): ask(guarded, way, path, **said)[0]
        for who, said in (
            ("nobody", {}),
            ("people", people),
            ("tutela", tutela),
            ("a guess", log_in("tutela", "a guess")),
        )
        for way, path in (("GET", read), ("POST", write))
    }
    assert answers == {
        ("nobody", "GET"): 401, ("nobody", "POST"): 404,
        ("people", "GET"): 200, ("people", "POST"): 404,
        # An empty request names no experiment to write to.
        ("tutela", "GET"): 200, ("tutela", "POST"): 400,
        ("a guess", "GET"): 401, ("a guess", "POST"): 401,
    }  # fmt: skip
    for said in (people, tutela):
        assert ask(guarded, "POST", f"{ASSISTANT}/message", **said)[0] == 404
