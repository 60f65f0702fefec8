"""A home's Prefect server: one per home, never left behind, and safe or refused."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from deployments.servers import prefect_process, prefect_server
from deployments.servers.own_pages import OwnPagesOnly
from deployments.servers.prefect_process import (
    LOG,
    NOTE,
    Note,
    is_alive,
    launch,
    listen,
    read_note,
    share,
)
from deployments.servers.prefect_server import (
    REQUIRED,
    running,
    serve_mlflow,
    set_environment,
    start_server,
    wait_for_server,
)
from expectations.errors import HomeError, ServiceError
from ledgers.home.home import Home, Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


@pytest.fixture(autouse=True)
def _new_terminal() -> None:
    """Variables as a new terminal has them."""
    for name in list(os.environ):
        if name.startswith(("PREFECT_", "MLFLOW_", "DO_NOT_TRACK")):
            del os.environ[name]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """What the server needs of a home: its folders and settings."""
    for folder in ("prefect", "mlflow"):
        (tmp_path / folder).mkdir()
    return Home(tmp_path, Settings())


def named(home: Home, url: str) -> Home:
    """Give the home with an API of the user's own in its settings."""
    return replace(home, settings=Settings(prefect_api_url=url))


def tell_nobody(_line: str) -> None:
    """Take progress and drop it."""


def note_written_by_nobody(home: Home, port: int) -> None:
    """Leave the note that a killed server leaves; its pid is now somebody else's."""
    (home.prefect / NOTE).write_text(json.dumps({"pid": os.getpid(), "port": port}))


def test_the_environment_is_quiet_and_inside_the_home(home: Home) -> None:
    """What reports, pickles or captures is off, and Prefect's home is the home's."""
    set_environment(home)
    assert os.environ["PREFECT_HOME"] == str(home.prefect)
    assert {name: os.environ[name] for name in REQUIRED} == {
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
        "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "false",
        "PREFECT_LOGGING_LOG_PRINTS": "false",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PREFECT_RESULTS_PERSIST_BY_DEFAULT", "true"),
        ("PREFECT_TASKS_DEFAULT_PERSIST_RESULT", "1"),
        ("PREFECT_LOGGING_LOG_PRINTS", "True"),
        ("PREFECT_LOGGING_EXTRA_LOGGERS", "pandas"),
        ("PREFECT_SERVER_ANALYTICS_ENABLED", "yes"),
        ("MLFLOW_DISABLE_TELEMETRY", "false"),
        ("DO_NOT_TRACK", "0"),
    ],
)
def test_an_unsafe_variable_is_refused_by_name(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """Nothing is set when one variable would store or send what it should not."""
    monkeypatch.setenv(name, value)
    with pytest.raises(HomeError, match=f"{name} is set, so that .*: unset it"):
        set_environment(home)
    assert "PREFECT_HOME" not in os.environ


def test_a_wish_not_to_be_tracked_holds_in_each_spelling(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow takes `true` and not `1`, so the one becomes the other."""
    monkeypatch.setenv("DO_NOT_TRACK", "1")
    set_environment(home)
    assert os.environ["DO_NOT_TRACK"] == "true"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:4200/api", "write http://HOST:PORT/api"),
        ("file:///etc/passwd", "write http://HOST:PORT/api"),
        ("https://api.prefect.cloud/api/accounts/a/workspaces/w", "another company"),
    ],
    ids=["no scheme", "a file", "the cloud"],
)
def test_an_api_that_cannot_be_used_is_refused(home: Home, url: str, message: str) -> None:
    """An address is one of a server of one's own."""
    with pytest.raises(HomeError, match=message):
        set_environment(named(home, url))


def test_a_named_api_that_misses_a_probe_is_asked_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy server answers late; a run need not fail for that."""
    answers = iter([False, False, True])
    monkeypatch.setattr(prefect_server, "answers_well", lambda *_: next(answers))
    monkeypatch.setattr(prefect_server.time, "sleep", lambda _: None)
    wait_for_server(named(home, "http://127.0.0.1:9/api"), progress=tell_nobody)
    assert list(answers) == []


def test_a_named_api_that_does_not_answer_is_named(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who named a server is told which one is away, and no other is started."""
    monkeypatch.setattr(prefect_server, "NAMED_LIMIT", 0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/api"
        assert start_server(named(home, url), progress=tell_nobody) == url
        with pytest.raises(ServiceError, match=f"no Prefect API answers at {url}"):
            wait_for_server(named(home, url), progress=tell_nobody)
    assert not is_alive(home)


def test_a_note_of_a_dead_server_counts_for_nothing(home: Home) -> None:
    """After a kill the note stands, its pid may be another's: it is not believed, nor killed."""
    note_written_by_nobody(home, 4200)
    assert read_note(home) is None
    assert running(home) is None


def test_a_foreign_server_is_not_taken_for_the_homes_own(home: Home) -> None:
    """Another process that listens on the noted port is not this home's server."""
    with listen(0) as foreign:
        note_written_by_nobody(home, foreign.getsockname()[1])
        assert running(home) is None


def test_other_work_is_done_while_the_server_starts_and_no_longer(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five pieces those are done for which there is time; the rest waits for who needs it."""
    answers = iter([None, None, "http://127.0.0.1:4200/api", "http://127.0.0.1:4200/api"])
    monkeypatch.setattr(prefect_server, "running", lambda *_: next(answers))
    done: list[int] = []
    pieces = [partial(done.append, number) for number in range(5)]
    wait_for_server(home, progress=tell_nobody, meanwhile=pieces)
    assert done == [0, 1]


def test_a_taken_port_leads_to_a_free_one() -> None:
    """The second listener neither fails nor shares the port of the first."""
    with listen(0) as first, listen(first.getsockname()[1]) as second:
        assert second.getsockname()[1] not in (0, first.getsockname()[1])


def test_a_server_that_cannot_start_says_where_its_log_is(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start that fails ends the wait, before its two minutes are over."""
    monkeypatch.setattr(
        prefect_server, "spawn", lambda _: subprocess.Popen([sys.executable, "-c", "exit(3)"])
    )
    with pytest.raises(ServiceError, match=r"server\.log says why$"):
        start_server(home, progress=tell_nobody)
    prefect_server.leave_server(home)


def test_a_server_that_was_killed_is_started_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the process that had started it, whose child it was."""
    with subprocess.Popen(["sleep", "600"]) as killed:
        killed.kill()
    monkeypatch.setitem(prefect_server._children, home.root, killed)
    started: list[Home] = []

    def spawn(found: Home) -> mock.Mock:
        started.append(found)
        monkeypatch.setattr(prefect_server, "read_note", lambda _: Note(1, 4200))
        return mock.Mock(poll=lambda: None)

    monkeypatch.setattr(prefect_server, "spawn", spawn)
    assert start_server(home, progress=tell_nobody) == "http://127.0.0.1:4200/api"
    assert started == [home]
    prefect_server.leave_server(home)
    prefect_server._children.clear()


def test_a_server_never_has_the_homes_passphrase(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What opens the keys is in no environment but our own, and the log is its owner's."""
    monkeypatch.setenv("TUTELA_PASSPHRASE", "correct horse")
    told = [sys.executable, "-c", "import os; print(sorted(os.environ))"]
    assert launch(told, home.prefect, dict(os.environ), new_session=False).wait() == 0
    log = home.prefect / LOG
    assert "PATH" in log.read_text()
    assert "TUTELA_PASSPHRASE" not in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_named_tracking_server_is_only_told(home: Home) -> None:
    """Where MLflow has a server, no second one is started on an empty store."""
    told: list[str] = []
    elsewhere = replace(home, settings=Settings(mlflow_tracking_uri="http://mlflow.example:5000"))
    serve_mlflow(elsewhere, announce=told.append)
    assert told == ["MLflow's pages: http://mlflow.example:5000/#/experiments"]


@pytest.mark.parametrize(
    ("host", "origin", "admitted"),
    [
        ("127.0.0.1:4200", None, True),
        ("localhost:4200", None, True),
        ("127.0.0.1:4200", "http://127.0.0.1:4200", True),
        ("evil.example.com:4200", None, False),
        ("127.0.0.1.evil.example.com:4200", None, False),
        ("127.0.0.1:4200, evil.example.com", None, False),
        ("127.0.0.1", None, False),
        (None, None, False),
        ("127.0.0.1:4200", "http://evil.example.com", False),
        ("127.0.0.1:4200", "http://127.0.0.1:8888", False),
        ("127.0.0.1:4200", "null", False),
    ],
)
def test_a_server_answers_programs_and_its_own_pages_alone(
    host: str | None, origin: str | None, admitted: bool
) -> None:
    """A page of another name or origin is told by its headers, over http and websocket alike."""
    expected = (["http", "websocket"], []) if admitted else ([], [403, 403])
    said = {"host": host, "origin": origin}
    asked, answers = ask({name: text for name, text in said.items() if text is not None})
    assert (asked, [answer["status"] for answer in answers]) == expected


@pytest.mark.parametrize(
    ("site", "mode", "target", "origin", "admitted"),
    [
        ("none", "navigate", "document", None, True),
        ("same-origin", "cors", "empty", None, True),
        ("cross-site", "navigate", "document", None, True),
        ("cross-site", "cors", "empty", "http://localhost:4200", True),
        ("cross-site", "no-cors", "image", None, False),
        ("cross-site", "navigate", "iframe", None, False),
        ("same-site", "no-cors", "script", None, False),
        ("cross-site", "navigate", "document", "null", False),
    ],
)
def test_another_page_may_link_here_and_do_nothing_else(
    site: str, mode: str, target: str, origin: str | None, admitted: bool
) -> None:
    """A report's link opens; a picture, a script, a frame and a form from elsewhere do not."""
    said = {"host": "127.0.0.1:4200", "sec-fetch-site": site, "sec-fetch-mode": mode}
    said |= {"sec-fetch-dest": target} | ({"origin": origin} if origin else {})
    asked, _ = ask(said)
    assert bool(asked) is admitted


@pytest.mark.parametrize("host", ["127.0.0.1:4200", "evil.example.com"])
def test_no_page_shows_the_servers_pages_inside_itself(host: str) -> None:
    """Whatever is answered says so, and what the server itself says of frames does not count."""

    async def serve(_scope: Scope, _receive: Receive, send: Send) -> None:
        said = [(b"X-Frame-Options", b"SAMEORIGIN"), (b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": said})

    for answer in ask({"host": host}, serve)[1]:
        headers = [(name.lower(), text) for name, text in answer["headers"]]
        assert [text for name, text in headers if name == b"x-frame-options"] == [b"DENY"]
        assert (b"content-security-policy", b"frame-ancestors 'none'") in headers
        assert b"content-type" in dict(headers)


def ask(said: dict[str, str], app: ASGIApp | None = None) -> tuple[list[str], list[Message]]:
    """Ask the server at port 4200 by http and by websocket: what reached it, what was answered."""
    headers = [(name.encode(), text.encode()) for name, text in said.items()]
    asked: list[str] = []
    answers: list[Message] = []

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["type"])
        if app:
            await app(scope, receive, send)

    async def send(message: Message) -> None:
        answers.extend([message] if "status" in message else [])

    async def receive() -> Message:
        return {}

    for kind in ("http", "websocket"):
        asyncio.run(OwnPagesOnly(serve, 4200)({"type": kind, "headers": headers}, receive, send))
    return asked, answers


def test_a_header_that_is_there_twice_must_name_the_server_twice() -> None:
    """A forged host beside the true one is not taken for it."""
    twice = [(b"host", b"127.0.0.1:4200"), (b"host", b"evil.example.com:4200")]
    assert not OwnPagesOnly(mock.Mock(), 4200).admits(twice)


def test_a_server_ends_once_nobody_uses_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not while one of two does, and not before it has started."""
    users, server = [share(home), share(home)], mock.Mock(started=False, should_exit=False)
    ending: list[bool] = []

    def wait(_: float) -> None:
        ending.append(server.should_exit)
        server.started = len(ending) > 1
        if len(ending) != 2 and users:
            os.close(users.pop())

    monkeypatch.setattr(time, "sleep", wait)
    monkeypatch.setattr(os, "_exit", lambda _: None)
    prefect_process._end_when_unused(server, home.root)
    assert ending == [False, False, False, True]


USE = """
import os, pathlib, signal, sys, time, uuid
from deployments.servers import prefect_process, prefect_server
from deployments.servers.own_pages import OwnPagesOnly
from ledgers.home.home import Home, Settings
home = Home(pathlib.Path(sys.argv[1]), Settings())
prefect_server.set_environment(home)
prefect_server.ensure_server(home, progress=lambda _: None)
from prefect.client.orchestration import get_client
"""
KILLED_RUN = f"""{USE}
import prefect
from prefect.runtime import flow_run
@prefect.task
def work():
    print(flow_run.id, flush=True)
    with get_client(sync_client=True) as client:
        while not client.read_task_runs():
            time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
@prefect.flow
def killed():
    work()
killed()
"""
NEXT_COMMAND = f"""{USE}
from flows.ending import show_finished
from tasks.handover.delivery import Completed
killed = [Completed("killed", flow_run, "failed") for flow_run in (sys.argv[2], str(uuid.uuid4()))]
show_finished(home, killed)
with get_client(sync_client=True) as client:
    run = client.read_flow_run(uuid.UUID(sys.argv[2]))
    print(run.state.name, *(task.state.name for task in client.read_task_runs()), flush=True)
input()
"""


def ends(home: Home) -> bool:
    """Wait for the end of a server that nobody uses; False if it never comes."""
    for _ in range(600):
        if not is_alive(home):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.nightly
def test_a_server_outlives_each_user_but_not_the_last(home: Home) -> None:
    """It stays when one user is killed, the next marks that run as crashed, and it ends at last."""
    user = share(home)
    words = [sys.executable, "-c", KILLED_RUN, str(home.root)]
    killed = subprocess.run(words, check=False, capture_output=True, text=True).stdout.strip()
    assert killed
    assert running(home)
    words = [sys.executable, "-c", NEXT_COMMAND, str(home.root), killed]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as last:
        assert last.stdout
        assert last.stdout.readline().split() == ["Crashed", "Crashed"]
        os.close(user)
        assert running(home)
        last.kill()
    assert ends(home)
    modes = {path.name: path.stat().st_mode & 0o777 for path in home.prefect.glob("*.*")}
    assert set(modes.values()) == {0o600}, modes
