"""The process that shows a home's MLflow store: MLflow's own pages, for looking only.

MLflow's server does far more than show runs: an assistant that runs shell commands, files written
wherever an experiment says, gateways, jobs, webhooks. It knows no users, and every account of the
machine reaches 127.0.0.1. So a request gets to it only if it is one of `READS`; all else is not
found, in a later MLflow too. What there is to change, its owner changes in the store itself.

`python -m deployments.servers.mlflow_process SOCKET ARTIFACTS` becomes the server. It listens on
a socket that it inherits, and reads the store that `MLFLOW_TRACKING_URI` names.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deployments.servers.own_pages import OwnPagesOnly, own_hosts, own_origins
from deployments.servers.parent import end_with_parent

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

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


@dataclass(frozen=True, slots=True)
class ReadsOnly:
    """MLflow's server, as far as it is asked for what it holds."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is a read; nothing else is there."""
        if scope["type"] == "http" and is_read(scope["method"], scope["path"]):
            await self.app(scope, receive, send)
            return
        from starlette.responses import PlainTextResponse

        unknown = PlainTextResponse("these pages are for looking, and have no such thing", 404)
        await unknown(scope, receive, send)


def is_read(method: str, path: str) -> bool:
    """Say whether a request only asks for what MLflow's store holds."""
    asked = "GET" if method == "HEAD" else method
    return any(re.fullmatch(known, path) for known in READS.get(asked, ()))


def make_app(port: int, store: str, artifacts: str) -> ASGIApp:
    """Make the server of this store's pages; raises what MLflow does where it cannot be opened."""
    hold(port, store, artifacts)
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(store, store, artifacts)
    return OwnPagesOnly(ReadsOnly(app), port)


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
