"""What a home looks like from outside: who its servers answer, and what lies where after a day.

The runs are those of the leak promise (`leaks.py`), in a world whose every folder is known.
"""

from __future__ import annotations

import http.client
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deployments.servers.prefect_server import running
from ledgers.home.home import Home
from tests.deployments.test_prefect_server import ends
from tests.leaks.leaks import World, source_of, write_source

pytest_plugins = ["tests.leaks.leak_world"]
DRAFTED = (
    "--purpose", "dpv:ScientificResearch", "--legal-basis", "eu-gdpr:A6-1-a",
    "--controller", "Example", "--contact", "privacy@example.org", "--recipient", "Clinic",
    "--table", "--to", "drafted.yaml",
)  # fmt: skip
REFUSED = "refused, cohort"
OUTSIDE = ("temporary", "user", "cwd")
"""Where libraries write unasked: the folder of temporary files, the user's own, the current one."""
FORGED = (
    {"Host": "evil.example.com:{port}"},
    {"Host": "10.evil.example.com"},
    {"Host": "10.evil.example.com:{port}"},
    {"Host": "127.0.0.1:1"},
)
"""What a browser sends for a page whose name was led to 127.0.0.1."""
ANOTHER_PAGE = {"Origin": "http://evil.example.com"}
HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "prefect",
}


def ask(address: str, path: str, headers: dict[str, str]) -> int:
    """Ask a server for a page, by headers of any making; gives its status."""
    port = urlsplit(address).port
    assert port
    told = {name: text.format(port=port) for name, text in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path, headers=told)
    status = connection.getresponse().status
    connection.close()
    return status


def find_outside(world: World) -> list[str]:
    """List what lies outside of the home."""
    return [
        str(path.relative_to(world.root))
        for place in OUTSIDE
        for path in (world.root / place).rglob("*")
    ]


def find_open(home: Path) -> list[str]:
    """List what of a home is not its owner's alone."""
    return [
        f"{path.relative_to(home)} {stat.filemode(path.stat().st_mode)}"
        for path in (home, *home.rglob("*"))
        if path.stat().st_mode & 0o077
    ]


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("more", [{}, HANDSHAKE], ids=["http", "websocket"])
def test_prefect_answers_no_page_of_another_name(
    world: World, forged: dict[str, str], more: dict[str, str]
) -> None:
    """Neither its API nor its streams of events: they hold the runs of everybody."""
    assert ask(world.api, "/api/events/out" if more else "/api/health", forged | more) == 403


@pytest.mark.parametrize("more", [{}, HANDSHAKE], ids=["http", "websocket"])
def test_prefect_answers_no_page_of_another_origin(world: World, more: dict[str, str]) -> None:
    """A browser lets any page open a websocket; programs, and its own pages, are answered."""
    path, fine = ("/api/events/out", 101) if more else ("/api/health", 200)
    assert ask(world.api, path, ANOTHER_PAGE | more) == 403
    own = world.api.removesuffix("/api")
    assert [ask(world.api, path, told | more) for told in ({}, {"Origin": own})] == [fine, fine]


def test_runs_leave_nothing_outside_and_nothing_open(world: World) -> None:
    """Whether they passed, were refused, broke or were killed; Prefect has pickled nothing."""
    assert find_outside(world) == []
    assert find_open(world.home) == []
    assert not (world.home / "prefect" / "storage").exists()


@contextmanager
def served(world: World, name: str) -> Iterator[str]:
    """Serve the pages of Prefect or MLflow meanwhile; gives their address."""
    command = [sys.executable, "-m", "deployments.cli", name]
    with (world.root / "console" / name).open("wb") as console:
        process = subprocess.Popen(
            command, cwd=world.root / "cwd", env=world.environment(), stdout=console, stderr=console
        )
    try:
        while not (told := re.search(r"pages: (http://\S+)", world.console(name))):
            assert process.poll() is None, world.console(name)
            time.sleep(0.2)
        yield told[1]
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def day(tmp_path: Path) -> World:
    """A world in which nothing was done yet."""
    for name in (*OUTSIDE, "console"):
        (tmp_path / name).mkdir()
    for case in ("passed", REFUSED):
        write_source(tmp_path, case)
    return World(tmp_path, "")


@pytest.mark.nightly
def test_a_day_leaves_nothing_outside_and_nothing_open(day: World) -> None:
    """Every command that a first afternoon meets, and the pages of both; MLflow's answer alike."""
    policy, refused = (str(source_of(day.root, case)) for case in ("passed", REFUSED))
    source = str(Path(policy).parent / "people.csv")
    for status, words in (
        (0, ("init",)),
        (0, ("check", policy)),
        (0, ("draft", source, *DRAFTED)),
        (0, ("rehearse", policy)),
        (0, ("run", policy)),
        (1, ("run", refused)),
        (0, ("report",)),
        (0, ("consent", "import", policy)),
        (0, ("consent", "withdraw", "somebody", "--policy", policy)),
        (2, ("budget", "show", policy)),
        (0, ("keys", "list")),
        (0, ("explain", "k-anonymity")),
    ):
        said = day.tell("day", *words)
        assert said == status, day.console("day")
    with served(day, "prefect") as prefect, served(day, "mlflow") as mlflow:
        assert ask(prefect, "/", {}) == 200
        search = "/ajax-api/2.0/mlflow/experiments/search?max_results=1"
        assert [ask(mlflow, path, {}) for path in ("/", search)] == [200, 200]
        assert {ask(mlflow, search, forged) for forged in FORGED} == {403}
    assert find_outside(day) == ["cwd/drafted.yaml"]
    assert find_open(day.home) == []


def test_a_server_outlives_a_killed_user_but_not_the_last(world: World, use: ExitStack) -> None:
    """The one that started it was killed in its run. Let this be the last test of the world."""
    home = Home.open(world.home)
    assert running(home)
    use.close()
    assert ends(home)
