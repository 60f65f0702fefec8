"""The page on operations is followed line by line, with real servers, and a worker is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from ledgers.home.home import Home
from tests.house.test_walkthroughs import ROOT, steps
from tests.nights.test_faults import STATES

pytestmark = pytest.mark.nightly

PAGE: Final = "operations.md"
PATIENCE: Final = 400.0
"""Seconds for what a schedule of every minute has to bring about on two busy cores."""


class Shell:
    """One shell whose exports stay, as at a reader's terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        binaries = Path(sys.executable).parent
        self.environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
        self.environment.pop("TUTELA_HOME", None)

    def run(self, words: str) -> str:
        """Run a line; its output, where it ends as it should."""
        if words.startswith("export "):
            name, _, value = words.removeprefix("export ").partition("=")
            self.environment[name] = value.replace("$PWD", str(self.folder))
            return ""
        made = subprocess.run(
            ["bash", "-c", words], cwd=self.folder, env=self.environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, f"{words}: {made.stdout} {made.stderr}"
        return made.stdout

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve the home meanwhile, as `tutela up` in another terminal."""
        server = subprocess.Popen(
            ["bash", "-c", "exec tutela up"], cwd=self.folder, env=self.environment,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
        finally:
            server.terminate()
            assert server.wait(120) == 0

    def verdicts(self) -> dict[str, set[str]]:
        """Give how the runs of each policy ended."""
        found: dict[str, set[str]] = {}
        for run in json.loads(self.run("tutela runs --json"))["runs"]:
            found.setdefault(run["policy"], set()).add(run["verdict"])
        return found


@contextmanager
def listening(port: int) -> Iterator[list[dict[str, Any]]]:
    """Take what a webhook is sent."""
    taken: list[dict[str, Any]] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", port), Taker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield taken
        server.shutdown()


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until something holds."""
    limit = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < limit, "it did not come about"
        time.sleep(2)


def ended(shell: Shell, policy: str, verdict: str) -> bool:
    """Whether some run of a policy ended so."""
    return verdict in shell.verdicts().get(policy, ())


def kill_a_run(home: Path) -> None:
    """Kill the process of a scheduled run once its run is on record."""

    def found() -> list[int]:
        listed = subprocess.run(
            ["pgrep", "-f", "deployments.serving.flow_run"], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        return [int(pid) for pid in listed.stdout.split() if _is_of(int(pid), home)]

    wait_for(lambda: bool(found()) and any((home / "vault").iterdir()))
    for pid in found():
        os.kill(pid, signal.SIGKILL)


def _is_of(pid: int, home: Path) -> bool:
    try:
        return f"TUTELA_HOME={home}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def test_the_page_sets_up_what_runs_by_itself(tmp_path: Path) -> None:
    """One policy passes and one is refused, as schedule, webhook, page and Prefect say alike.

    A run that is killed is finished by the next, and a restored home goes on.
    """
    (tmp_path / "expectations").symlink_to(ROOT / "expectations")
    shell, home = Shell(tmp_path), tmp_path / "tutela-home"
    lines = [step.words for step in steps(PAGE)]
    served = next(n for n, line in enumerate(lines) if line.startswith("tutela schedule"))
    looked = lines.index("tutela runs")
    removed = next(n for n, line in enumerate(lines) if line.endswith("--remove"))
    backed_up = next(n for n, line in enumerate(lines) if line.startswith("tutela backup"))
    for line in lines[:served]:
        shell.run(line)
    with listening(9000) as told, shell.serving():
        for line in lines[served:looked]:
            wait_for(lambda: "are served" in shell.run("tutela status || true"))
            shell.run(line)
        wait_for(lambda: ended(shell, "nightly", "passed") and ended(shell, "strict", "refused"))
        for line in lines[looked:removed]:
            shell.run(line)
        kill_a_run(home)
        wait_for(lambda: ended(shell, "nightly", "failed") or ended(shell, "strict", "failed"))
        for line in lines[removed:backed_up]:
            shell.run(line)
        wait_for(lambda: not any((home / "vault").iterdir()))
        states = set(json.loads(shell.run(f"{sys.executable} -c '{STATES}'")).values())
        assert {"Completed", "Refused"} <= states
        assert not states & {"Running", "Pending"}
    assert "tutela: strict refused by smallest cohort" in {one["title"] for one in told}
    page = Home.open(home).root.joinpath("index.html").read_text("utf-8")
    assert all(word in page for word in ("nightly", "strict", "smallest cohort", "passed"))
    for line in lines[backed_up:]:
        shell.run(line)
    assert ended(shell, "nightly", "passed")
