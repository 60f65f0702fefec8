"""Who may speak to a server at 127.0.0.1: this machine's programs, and the server's own pages.

A browser lets any page speak to 127.0.0.1. A page whose name its owner lets point there (DNS
rebinding) reads the answers too, but gives itself away by its name in `Host`; any other page of
another origin gives itself away by `Origin`, which a websocket has no other rule about. It does
not know who is at the machine: every account reaches 127.0.0.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

NAMES: Final = ("127.0.0.1", "localhost")


def own_hosts(port: int) -> list[str]:
    """Give what a request to this port may name as its host."""
    return [f"{name}:{port}" for name in NAMES]


def own_origins(port: int) -> list[str]:
    """Give the origins of the server's own pages."""
    return [f"http://{host}" for host in own_hosts(port)]


@dataclass(frozen=True, slots=True)
class OwnPagesOnly:
    """A server that answers at `port`, to no page but its own."""

    app: ASGIApp
    port: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what names this server as its host, and as its origin where it names one."""
        if scope["type"] in {"http", "websocket"} and not self.admits(scope["headers"]):
            from starlette.responses import PlainTextResponse

            refused = PlainTextResponse("this server answers its own pages alone", 403)
            await refused(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def admits(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Say whether a request's headers name this server; each must that is there."""
        hosts, origins = (
            {text.decode("latin-1") for name, text in headers if name == asked}
            for asked in (b"host", b"origin")
        )
        mine = hosts <= {*own_hosts(self.port)} and origins <= {*own_origins(self.port)}
        return bool(hosts) and mine
