"""The process that is a home's own Prefect server: its note, its locks, its start and its end.

Two file locks say all about it. The server holds one on its note (`server.json`: pid and port),
so a note that nobody holds is a dead server's, after a kill or a power cut too. Every process
that uses the server shares the other (`server.users`); the server tries for it alone, and ends
when it gets it. So it outlives no command, however that one ended, and none takes it away from
another. The locks hold within one machine.

`python -m deployments.servers.prefect_process HOME` becomes the server. It knows nothing of flows.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from deployments.servers.own_pages import OwnPagesOnly, own_origins
from deployments.servers.parent import PARENT
from ledgers.home.home import Home
from ledgers.home.private_files import is_locked

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn import Server

NOTE: Final = "server.json"
USERS: Final = "server.users"
LOG: Final = "server.log"
SECRET: Final = ("TUTELA_PASSPHRASE", "CREDENTIALS_DIRECTORY")
"""Variables that lead to the home's passphrase."""
KEPT_OPEN: Final = 60
"""Seconds: longer than the 25 for which Prefect's client takes a connection to be open. Else the
first request after a long step fails, and is made again two seconds later."""
GRACE: Final = 10.0
"""Seconds that an ending server has for its open connections."""


class Note(NamedTuple):
    """Where a living server is: its process, and its port at 127.0.0.1."""

    pid: int
    port: int

    @property
    def api_url(self) -> str:
        """The address of its API."""
        return f"http://127.0.0.1:{self.port}/api"


def is_alive(home: Home) -> bool:
    """Tell whether a process holds the note: a server that starts, works or ends."""
    try:
        descriptor = os.open(home.prefect / NOTE, os.O_RDONLY)
    except FileNotFoundError:
        return False
    return is_locked(descriptor)


def read_note(home: Home) -> Note | None:
    """Give the note of the living server; None if there is none, or it has not written it yet."""
    if not is_alive(home):
        return None
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Note(**json.loads((home.prefect / NOTE).read_bytes()))
    return None


def share(home: Home) -> int:
    """Become a user of the server until the descriptor given is closed, or this process ends.

    Waits for a server that is just ending.
    """
    descriptor = os.open(home.prefect / USERS, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def spawn(home: Home) -> subprocess.Popen[bytes]:
    """Start the home's server; the second of two ends at once with status 0."""
    command = [sys.executable, "-P", "-m", "deployments.servers.prefect_process", str(home.root)]
    environment = {**os.environ, "PREFECT__SERVER_FINAL": "1"}
    # The server has its own log, and its pages ask the address that they came from.
    for name in ("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "PREFECT_API_URL"):
        environment.pop(name, None)
    # Its own session: Ctrl-C ends the command, which may have to tell the server how it ended.
    return launch(command, home.prefect, environment, new_session=True)


def launch(  # noqa: PLR0913 - how a process is started, each by its name
    command: list[str],
    folder: Path,
    environment: dict[str, str],
    *,
    new_session: bool,
    inherited: Sequence[int] = (),
    log_name: str = LOG,
    keyed: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command in `folder` with a log for its owner.

    It has the home's passphrase only if it is `keyed`, and ends with this process unless it is
    given a session of its own.
    """
    if not keyed:
        for name in SECRET:
            environment.pop(name, None)
    if not new_session:
        environment[PARENT] = str(os.getpid())
    # What its libraries write for the user who runs them lies beside what they write for the home.
    environment.update(dict.fromkeys(("XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(folder)))
    log = os.open(folder / log_name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603 - the command is our own, without a shell
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=new_session, umask=0o077, pass_fds=inherited,
        )  # fmt: skip
    finally:
        os.close(log)


def listen(port: int) -> socket.socket:
    """Listen on 127.0.0.1 at `port`, or at a free one where that is taken."""
    for choice in (port, 0):
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", choice))
            # Two sockets may be bound to one port as long as neither listens.
            bound.listen()
        except OSError:
            bound.close()
            if choice == 0:
                raise
        else:
            break
    return bound


def serve(home: Path) -> int:
    """Be the server of the home at this path until nobody uses it; gives an exit status."""
    note = os.open(home / "prefect" / NOTE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    # The port of last time, where it is free, so that links to this home's pages stay good.
    last = 4200
    with contextlib.suppress(ValueError, KeyError):
        last = int(json.loads(os.read(note, 1000))["port"])
    os.ftruncate(note, 0)
    os.lseek(note, 0, os.SEEK_SET)
    os.ftruncate(sys.stdout.fileno(), 0)
    bound = listen(last)
    found = Note(os.getpid(), bound.getsockname()[1])
    os.write(note, json.dumps(found._asdict()).encode())
    # By default any page open in a browser here may read the server and start a flow.
    os.environ["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = ",".join(own_origins(found.port))
    os.environ["PREFECT_SERVER_UI_API_URL"] = found.api_url
    os.environ["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] = "true"

    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(
            partial(make_app, found.port),
            factory=True,
            log_level="warning",
            timeout_graceful_shutdown=3,
            timeout_keep_alive=KEPT_OPEN,
        )
    )
    threading.Thread(target=_end_when_unused, args=(server, home), daemon=True).start()
    server.run(sockets=[bound])
    return 0 if server.started else 1


def make_app(port: int) -> ASGIApp:
    """Make Prefect's server, for programs of this machine and for its own pages."""
    from prefect.server.api.server import create_app

    return OwnPagesOnly(create_app(), port)


def _end_when_unused(server: Server, home: Path) -> None:
    """End the server once it is ready and nobody shares the lock of its users."""
    users = os.open(home / "prefect" / USERS, os.O_RDWR | os.O_CREAT, 0o600)
    while True:
        # A start that nobody waits for is a preparation, and is finished first.
        time.sleep(0.5)
        with contextlib.suppress(BlockingIOError):
            if server.started:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
    # The lock is kept to the end, so that the next user waits for it and starts another server.
    server.should_exit = True
    time.sleep(GRACE)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(serve(Path(sys.argv[1])))
