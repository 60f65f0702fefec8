"""`tutela up`: what serves a home, in the foreground, each part started again when it ends.

The home's own Prefect server is used, and started if need be, as by every command. MLflow's pages
and the worker are processes of this one: they end with it, however it ends. For a machine that
serves day and night, `tutela units` has systemd do the same.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from deployments.servers.parent import GRACE, PARENT
from deployments.servers.prefect_process import LOG as SERVER_LOG
from deployments.servers.prefect_process import is_alive, launch
from deployments.servers.prefect_server import (
    EXPERIMENTS,
    Progress,
    ensure_server,
    leave_server,
    named_mlflow,
    set_environment,
    start_mlflow,
)
from deployments.serving.worker import LOCK, is_serving
from deployments.serving.worker import LOG as WORKER_LOG
from deployments.terminal import lay_out
from expectations.errors import ServiceError
from ledgers.home.home import Home, without_login

TRIES: Final = 5
"""How often in a row a part may end within a minute of its start; then it is given up."""
PAUSE: Final = 2.0
"""Seconds before a part that ended is started again."""


@dataclass
class Part:
    """A process that serves, how it is started, and how it went so far."""

    name: str
    log: str
    start: Callable[[], subprocess.Popen[bytes]]
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    tries: int = field(default=0)

    def keep(self, say: Progress) -> None:
        """Start the process unless it runs; ServiceError where it ends again and again."""
        if self.process is not None and self.process.poll() is None:
            return
        if self.process is not None:
            end(self)
            self.tries = self.tries + 1 if time.monotonic() - self.began < 60 else 1
            if self.tries >= TRIES:
                raise ServiceError(f"{self.name} ended {TRIES} times in a row: {self.log} says why")
            say(f"{self.name} ended; starting it again ({self.log} says why)")
            time.sleep(PAUSE)
        self.began, self.process = time.monotonic(), self.start()


def serve_all(home: Home, *, announce: Progress, show: Progress) -> None:
    """Serve a home until interrupted; says what it does, and shows the addresses as a table."""
    if is_serving(home):
        raise ServiceError(
            f"another process serves the schedules of this home and holds {home.prefect / LOCK}: "
            "end it first, such as another tutela up"
        )
    set_environment(home)
    # Ctrl-C too, which a shell that runs it in the background lets be ignored.
    for asked in (signal.SIGTERM, signal.SIGINT):
        signal.signal(asked, signal.default_int_handler)
    parts: list[Part] = []
    try:
        url = ensure_server(home, progress=announce)
        mlflow = named_mlflow(home)
        if mlflow is None:
            pages, mlflow = start_mlflow(home)
            parts.append(
                Part("MLflow's server", str(home.mlflow / SERVER_LOG),
                     lambda: start_mlflow(home)[0], pages, time.monotonic())
            )  # fmt: skip
        parts.append(Part("the worker", str(home.prefect / WORKER_LOG), lambda: start_worker(home)))
        show("\n".join(list_addresses(home, url, mlflow)))
        stay(home, parts, announce)
    except KeyboardInterrupt:
        announce("ending")
    finally:
        for part in parts:
            end(part)
        leave_server(home)


def stay(home: Home, parts: list[Part], announce: Progress) -> None:
    """Keep all parts running, and the home's own server too."""
    own = home.settings.prefect_api_url is None
    while True:
        for part in parts:
            part.keep(announce)
        if own and not is_alive(home):
            os.environ.pop("PREFECT_API_URL", None)
            ensure_server(home, progress=announce)
        time.sleep(0.5)


def list_addresses(home: Home, url: str, mlflow: str) -> list[str]:
    """Give the addresses of a home's pages, and where its processes write their logs."""
    rows = [
        ["Prefect", without_login(url).removesuffix("/api")],
        ["MLflow", without_login(mlflow).rstrip("/") + EXPERIMENTS],
        ["schedules", "served here"],
        ["logs", str(home.prefect / SERVER_LOG)],
        ["", str(home.prefect / WORKER_LOG)],
        ["", str(home.mlflow / SERVER_LOG)],
    ]
    return lay_out([], rows)


def start_worker(home: Home) -> subprocess.Popen[bytes]:
    """Start the process that serves schedules, in a session of its own, which it ends itself."""
    command = [sys.executable, "-P", "-m", "deployments.serving.worker", str(home.root)]
    environment = {**os.environ, PARENT: str(os.getpid())}
    if home.settings.prefect_api_url is None:
        # Else the worker would take the home's own server for a named one, and not keep it.
        environment.pop("PREFECT_API_URL", None)
    return launch(
        command, home.prefect, environment, new_session=True, log_name=WORKER_LOG, keyed=True
    )


def end(part: Part) -> None:
    """End a part's process and whatever it started, which a killed one leaves in its group."""
    process = part.process
    if process is None:
        return
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    for stop in (process.kill, lambda: _end_group(process.pid)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            stop()
    process.wait()


def _end_group(leader: int) -> None:
    """Kill what is left of a process's own group."""
    if leader != os.getpgrp():
        os.killpg(leader, signal.SIGKILL)
