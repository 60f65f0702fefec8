"""The Prefect server that a home uses, and the pages of Prefect and MLflow.

Prefect runs nothing without a server. Unless the settings or `PREFECT_API_URL` name one, a home
has its own at 127.0.0.1, which starts with the first command that needs it and ends with the
last (`prefect_process.py` says how).

What it does not know: flows, runs and their data. What it does not protect against: whoever has
an account on this machine can reach 127.0.0.1, and Prefect's server knows no users unless
`PREFECT_SERVER_API_AUTH_STRING` (with `PREFECT_API_AUTH_STRING`) is set. Web pages of other
names and origins are kept out (`own_pages.py`). MLflow's server only shows (`mlflow_process.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable
from http.client import HTTPException
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from deployments.servers.prefect_process import (
    LOG,
    is_alive,
    launch,
    listen,
    read_note,
    share,
    spawn,
)
from expectations.errors import HomeError, ServiceError, UsageError
from ledgers.home.home import Home, home_path
from ledgers.home.private_files import owners_alone

Progress = Callable[[str], None]
"""Told one line for a person."""

START_LIMIT: Final = 120.0
"""Seconds that a start may take: a cold one took 12 to 33 s on two busy cores."""
NAMED_LIMIT: Final = 60.0
"""Seconds for which a named server is asked again: one that is busy misses a probe."""
GLANCE: Final = 0.2
"""Seconds for a server to answer while there is other work; its port listens before it does."""

# Refused when set otherwise. They are set even where Prefect has the same default, because a
# variable wins over the prefect.toml, .env and pyproject.toml of the folder one stands in.
REQUIRED: Final = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": ("false", "the server and its pages would send telemetry"),
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": ("false", "runs would be reported to others"),
    "MLFLOW_DISABLE_TELEMETRY": ("true", "MLflow would send telemetry"),
    "DO_NOT_TRACK": ("true", "libraries would send telemetry"),
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": ("false", "results would be written to the disk"),
    "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": ("false", "results would be written to the disk"),
    "PREFECT_LOGGING_LOG_PRINTS": ("false", "whatever a library prints would go to the server"),
    "PREFECT_LOGGING_EXTRA_LOGGERS": ("", "whatever a library logs would go to the server"),
}
DEFAULTS: Final = {
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # The console stays free for our own progress; the server still gets the log of each run.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_COLORS": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # Who keeps a schedule's next run waiting has to be known after a restart too: a place that was
    # taken in memory stays taken for ever once the server that knew until when is gone.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": (
        "prefect.server.concurrency.lease_storage.filesystem"
    ),
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # A run that MLflow does not take is pending, and served later: there is no need to wait long.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
EXPERIMENTS: Final = "/#/experiments"
"""Of MLflow's pages; its first one is about language models, and advertises."""
SAME: Final = {"1": "true", "yes": "true", "on": "true", "0": "false", "no": "false"}

_shares: Final[dict[Path, int]] = {}
_children: Final[dict[Path, subprocess.Popen[bytes]]] = {}


def set_environment(home: Home) -> None:
    """Make Prefect and MLflow quiet and at home; call it before either is imported.

    The API that the settings or `PREFECT_API_URL` name is kept. Raises HomeError for a variable
    that would put data on the disk or send anything out, and for an API that cannot be used.
    """
    for name, (needed, why) in REQUIRED.items():
        found = os.environ.get(name, needed).strip().lower()
        if SAME.get(found, found) != needed:
            raise HomeError(f"{name} is set, so that {why}: unset it")
    if url := home.settings.prefect_api_url:
        _check_api_url(url)
        os.environ["PREFECT_API_URL"] = url
    os.environ.update({name: needed for name, (needed, _) in REQUIRED.items()})
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    os.environ["PREFECT_HOME"] = str(home.prefect)
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if "127.0.0.1" not in direct.split(","):
        os.environ["no_proxy"] = f"{direct},127.0.0.1".lstrip(",")


def _check_api_url(url: str) -> None:
    """Refuse what is no address, and Prefect Cloud, which would learn of every run."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise HomeError(f'PREFECT_API_URL is "{url}": write http://HOST:PORT/api')
    if f".{parts.hostname}".endswith(".prefect.cloud"):
        raise HomeError(
            "PREFECT_API_URL names Prefect Cloud, where another company would see the policies, "
            "times and verdicts of your runs: name a server of your own, or unset it"
        )


def require_lasting_server() -> dict[str, str]:
    """Refuse to deploy to a server that ends with the command: a build step of `prefect.yaml`.

    Without an address Prefect starts such a server, deploys there and says that it succeeded.
    """
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    if not url:
        raise UsageError(
            "PREFECT_API_URL is not set, so this would deploy to a server that ends at once: "
            "export the address that `tutela up` shows, such as http://127.0.0.1:4200/api"
        )
    return {"api": url}


def running(home: Home, patience: float = 5.0) -> str | None:
    """Give the API address of this home's own server if it answers within `patience` seconds."""
    note = read_note(home)
    healthy = note and answers_well(f"{note.api_url}/health", b"true", patience)
    return note.api_url if note and healthy else None


def ensure_server(home: Home, *, progress: Progress) -> str:
    """Give the address of an API that answers: the named one, else this home's own, started.

    Raises ServiceError: after a minute for a named API, after two for the own one.
    """
    url = start_server(home, progress=progress)
    wait_for_server(home, progress=progress)
    return url


def start_server(home: Home, *, progress: Progress) -> str:
    """Give the address of the API to use, and set it for this process; it may not answer yet.

    The home's own server is started unless it runs. From now on Prefect may be imported, and
    other work done, while it starts; `wait_for_server` ends the wait. Raises ServiceError.
    """
    url = home.settings.prefect_api_url
    if url is None:
        if home.root not in _shares:
            _shares[home.root] = share(home)
        if not is_alive(home):
            # How an earlier one ended is no news of the one that starts now.
            _children.pop(home.root, None)
            progress("starting this home's Prefect server")
        url = _await(home, lambda: (note := read_note(home)) and note.api_url)
    os.environ["PREFECT_API_URL"] = url
    if loaded := sys.modules.get("prefect.context"):
        # Prefect reads its settings once, and an earlier server may have had another port.
        loaded.refresh_global_settings_context()
    return url


def wait_for_server(
    home: Home, *, progress: Progress, meanwhile: Iterable[Callable[[], None]] = ()
) -> None:
    """Return when the API that `start_server` gave answers; raises ServiceError if it does not.

    As long as the home's own server starts, what is to be done `meanwhile` is, one after the other.
    """
    url = home.settings.prefect_api_url
    if url is None:
        began = time.monotonic()
        for work in meanwhile:
            if running(home, GLANCE):
                break
            work()
        _await(home, lambda: running(home))
        progress(f"the Prefect server answers (waited {time.monotonic() - began:.0f} s)")
    elif not answers_within(f"{url}/health", NAMED_LIMIT):
        raise ServiceError(
            f"no Prefect API answers at {url} (asked for {NAMED_LIMIT:.0f} s): start that server, "
            "correct the address (it ends with /api), or unset PREFECT_API_URL and prefect_api_url "
            "to use this home's own"
        )


def _await(home: Home, ask: Callable[[], str | None]) -> str:
    """Ask until there is an answer, and start the server whenever there is none."""
    limit = time.monotonic() + START_LIMIT
    failure = f"this home's Prefect server did not start: {home.prefect / LOG} says why"
    while time.monotonic() < limit:
        if answer := ask():
            return answer
        child = _children.get(home.root)
        status = child.poll() if child else 0
        if status:
            del _children[home.root]
            raise ServiceError(failure)
        if status == 0 and not is_alive(home):
            _children[home.root] = spawn(home)
        time.sleep(0.1)
    raise ServiceError(f"{failure} (waited {START_LIMIT:.0f} s)")


def answers_within(url: str, seconds: float) -> bool:
    """Ask a server for its health until it answers, or for so many seconds."""
    limit = time.monotonic() + seconds
    while not answers_well(url, b"true"):
        if time.monotonic() > limit:
            return False
        time.sleep(0.5)
    return True


def answers_well(url: str, expected: bytes, patience: float = 5.0) -> bool:
    """Tell whether `url` answers as expected within `patience` seconds."""
    try:
        with urllib.request.urlopen(url, timeout=patience) as response:  # noqa: S310 - http(s) only
            return bool(response.read(64).strip() == expected)
    except (OSError, ValueError, HTTPException):
        return False


def leave_server(home: Home) -> None:
    """Stop using this home's server, as the end of the process does; the last to leave ends it."""
    descriptor = _shares.pop(home.root, None)
    if descriptor is not None:
        os.close(descriptor)
        os.environ.pop("PREFECT_API_URL", None)


@owners_alone()
def make_home(passphrase: str | None) -> Home:
    """Make a home where `home_path` says, or open the one there, and prepare its server."""
    from ledgers.home.founding import create_home  # loads a database

    home = create_home(home_path(), passphrase)
    set_environment(home)
    prepare(home)
    return home


def prepare(home: Home) -> None:
    """Let Prefect make its database, in the background: some seconds off the first run.

    A server is started that nobody uses, so that it ends when it is ready. A run that comes
    meanwhile takes it over; a failure shows there.
    """
    if home.settings.prefect_api_url is None and not is_alive(home):
        _children[home.root] = spawn(home)


def serve_prefect(home: Home, *, announce: Progress) -> None:
    """Use this home's server, tell the address of its pages, and stay until interrupted.

    Where the settings name another API, its address is told, and that is all.
    """
    url = ensure_server(home, progress=announce)
    announce(f"Prefect's pages: {url.removesuffix('/api')} (PREFECT_API_URL={url})")
    if home.settings.prefect_api_url is None:
        with contextlib.suppress(KeyboardInterrupt):
            while is_alive(home):
                time.sleep(1)
        leave_server(home)


def serve_mlflow(home: Home, *, announce: Progress) -> None:
    """Show the home's MLflow store at 127.0.0.1 until interrupted; nothing is changed there.

    Where the settings name a tracking server, its address is told, and that is all. Raises
    ServiceError.
    """
    if named := named_mlflow(home):
        announce(f"MLflow's pages: {named.rstrip('/')}{EXPERIMENTS}")
        return
    announce("starting MLflow's server")
    # Whatever asks this process to end has to end the server as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server, url = start_mlflow(home)
    try:
        while not answers_well(f"{url}/health", b"OK"):
            if server.poll() is not None:
                raise ServiceError(f"MLflow's server ended: {home.mlflow / LOG} says why")
            time.sleep(0.2)
        announce(f"MLflow's pages: {url}{EXPERIMENTS}")
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.terminate()
        server.wait()


def named_mlflow(home: Home) -> str | None:
    """Give the address of the tracking server that the settings name, if it is one with pages."""
    named = home.settings.mlflow_tracking_uri
    return named if named and named.startswith("http") else None


def start_mlflow(home: Home) -> tuple[subprocess.Popen[bytes], str]:
    """Start the process that shows the home's MLflow store, and give its address."""
    # The server inherits the socket, so that nobody else gets its port meanwhile.
    with listen(5000) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        return _launch_mlflow(home, bound.fileno(), home.settings.mlflow_tracking_uri), url


def _launch_mlflow(home: Home, descriptor: int, named: str | None) -> subprocess.Popen[bytes]:
    """Start the process that shows the named store, or the home's own, at a listening socket."""
    command = [
        sys.executable, "-P", "-m", "deployments.servers.mlflow_process",
        str(descriptor), str(home.mlflow / "artifacts"),
    ]  # fmt: skip
    store = named or f"sqlite:///{home.mlflow / 'mlflow.db'}"
    # Not among its words, which every account can read: the address may hold a password.
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store}
    return launch(command, home.mlflow, environment, new_session=False, inherited=[descriptor])
