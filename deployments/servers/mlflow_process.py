"""The process that shows a home's MLflow store: MLflow's own pages, for looking only.

MLflow's server does far more than show runs: an assistant that runs shell commands, files written
wherever an experiment says, gateways, jobs, webhooks. It knows no users, and every account of the
machine reaches 127.0.0.1. So a request gets to it only if it is one of `READS`; all else is not
found, in a later MLflow too. What there is to change, its owner changes in the store itself.

`python -m deployments.servers.mlflow_process SOCKET ARTIFACTS` becomes the server. It listens on
a socket that it inherits, and reads the store that `MLFLOW_TRACKING_URI` names.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deployments.servers.own_pages import OwnPagesOnly, own_hosts, own_origins
from deployments.servers.parent import end_with_parent

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

WRITER: Final = "tutela"
ACCOUNTS: Final = {"people": "TUTELA_MLFLOW_PEOPLE", WRITER: "TUTELA_MLFLOW_WRITER"}
"""Who may log in, and the variable that holds the password; people read, the writer edits."""
API: Final = "/(ajax-)?api/2.0/mlflow/"
READS: Final = {
    "GET": (
        "/", "/health", "/version", "/static-files/.+",
        "/get-artifact", "/model-versions/get-artifact",
        "/(ajax-)?api/3.0/mlflow/server-info",
        f"{API}experiments/(get|get-by-name|search)",
        f"{API}runs/get",
        f"{API}metrics/(get-history|get-history-bulk|get-history-bulk-interval)",
        f"{API}artifacts/list",
        f"{API}logged-models/[^/]+",
        f"{API}logged-models/[^/]+/artifacts/(directories|files)",
        f"{API}registered-models/(get|search|alias|get-latest-versions)",
        f"{API}model-versions/(get|search|get-download-uri)",
    ),
    # Questions that are too long for an address.
    "POST": (
        "/graphql",
        f"{API}experiments/(search|search-datasets)",
        f"{API}runs/search",
        f"{API}logged-models/search",
        "/(ajax-)?api/3.0/mlflow/traces/(metrics|search)",
        f"{API}registered-models/get-latest-versions",
    ),
}  # fmt: skip
"""What the pages ask, and a program that looks up runs and loads models: by method, the paths."""

WRITES: Final = (
    "/api/2.0/mlflow/(runs|experiments|artifacts|logged-models|registered-models|model-versions)/?.*"
    "|/api/2.0/mlflow-artifacts/.*"
)
"""What a run asks that writes; nothing of jobs, gateways, webhooks and the assistant."""


@dataclass(frozen=True, slots=True)
class ReadsOnly:
    """MLflow's server, as far as it is asked for what it holds."""

    app: ASGIApp
    writer: str | None = None
    """Who may write as well, by name; the server asks for the password."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is a read; nothing else is there."""
        if scope["type"] == "http" and (
            is_read(scope["method"], scope["path"]) or self.is_write(scope)
        ):
            await self.app(scope, receive, send)
            return
        from starlette.responses import PlainTextResponse

        unknown = PlainTextResponse("these pages are for looking, and have no such thing", 404)
        await unknown(scope, receive, send)

    def is_write(self, scope: Scope) -> bool:
        """Say whether the writer, by its name, asks for what a run does in a store."""
        named = self.writer is not None and name_login(scope["headers"]) == self.writer
        return named and re.fullmatch(WRITES, scope["path"]) is not None


def is_read(method: str, path: str) -> bool:
    """Say whether a request only asks for what MLflow's store holds."""
    asked = "GET" if method == "HEAD" else method
    return any(re.fullmatch(known, path) for known in READS.get(asked, ()))


def name_login(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Give the name with which a request logs in, if it does; the password is not looked at."""
    for name, text in headers:
        scheme, _, coded = text.partition(b" ")
        if name == b"authorization" and scheme.lower() == b"basic":
            with contextlib.suppress(ValueError):
                return base64.b64decode(coded).partition(b":")[0].decode("utf-8")
    return None


def make_app(port: int, store: str, artifacts: str) -> ASGIApp:
    """Make the server of this store's pages; raises what MLflow does where it cannot be opened.

    It asks for a login where `MLFLOW_AUTH_CONFIG_PATH` is set, as `tutela units --login` does.
    """
    hold(port, store, artifacts)
    if os.environ.get("MLFLOW_AUTH_CONFIG_PATH"):
        shown = make_guarded()
    else:
        from mlflow.server.fastapi_app import app

        shown = ReadsOnly(app)
    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(store, store, artifacts)
    return OwnPagesOnly(shown, port)


def make_guarded() -> ASGIApp:
    """Make MLflow's server with its own login: people read, and tutela's own account writes.

    The passwords are those of the environment, at each start.
    """
    os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"
    from mlflow.server.auth import create_app, store

    app = create_app()
    for name, variable in ACCOUNTS.items():
        password = os.environ.pop(variable)
        if store.has_user(name):
            store.update_user(name, password=password)
        else:
            store.create_user(name, password)
    for kind in ("experiment", "registered_model"):
        store.grant_user_permission(WRITER, kind, "*", "EDIT")
    return ReadsOnly(app, WRITER)


def hold(port: int, store: str, artifacts: str) -> None:
    """Set what MLflow's server reads when it is imported, whatever was set before."""
    os.environ.update(
        {
            "_MLFLOW_SERVER_FILE_STORE": store,
            "_MLFLOW_SERVER_REGISTRY_STORE": store,
            "_MLFLOW_SERVER_ARTIFACT_ROOT": artifacts,
            "_MLFLOW_IN_JOB_EXECUTOR": "false",
            "MLFLOW_ENABLE_WORKSPACES": "false",
            "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
            # Its own guard, which sees that no browser guesses what a file is, stays on. By
            # default it also answers to any name that begins like a private network's address.
            "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "false",
            "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(own_hosts(port)),
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(own_origins(port)),
        }
    )


def serve(descriptor: int, artifacts: str) -> int:
    """Be the server until asked to end; gives an exit status."""
    import uvicorn

    bound = socket.socket(fileno=descriptor)
    app = make_app(bound.getsockname()[1], os.environ["MLFLOW_TRACKING_URI"], artifacts)
    # What its start and end would do is for the assistant.
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=3)
    )
    server.run(sockets=[bound])
    return 0 if server.started else 1


if __name__ == "__main__":
    end_with_parent()
    sys.exit(serve(int(sys.argv[1]), sys.argv[2]))
