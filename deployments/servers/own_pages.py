"""Who may speak to a server at 127.0.0.1: this machine's programs, and the server's own pages.

A browser lets any page speak to 127.0.0.1. A page whose name its owner lets point there (DNS
rebinding) reads the answers too, but gives itself away by its name in `Host`; any other page of
another origin gives itself away by `Origin`, which a websocket has no other rule about, or, where
a browser sends none, by `Sec-Fetch-Site`. It may send its reader here by a link, but may not show
the pages inside itself. It does not know who is at the machine: every account reaches 127.0.0.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

NAMES: Final = ("127.0.0.1", "localhost")
UNFRAMED: Final = (
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
)
"""What keeps other pages from showing ours inside themselves, to have their reader click there."""
FETCHED: Final = (b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest")
"""What a browser says of each request: whose page makes it, and for what."""


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

        async def send_unframed(message: Message) -> None:
            if message["type"] in {"http.response.start", "websocket.http.response.start"}:
                named = message.get("headers", ())
                kept = [header for header in named if header[0].lower() != b"x-frame-options"]
                message = {**message, "headers": [*kept, *UNFRAMED]}
            await send(message)

        if scope["type"] in {"http", "websocket"} and not self.admits(scope["headers"]):
            from starlette.responses import PlainTextResponse

            refused = PlainTextResponse("this server answers its own pages alone", 403)
            await refused(scope, receive, send_unframed)
            return
        await self.app(scope, receive, send_unframed)

    def admits(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Say whether a request's headers name this server; each must that is there."""
        hosts, origins, sites, modes, targets = (
            {text.decode("latin-1") for name, text in headers if name == asked}
            for asked in (
                b"host",
                b"origin",
                b"sec-fetch-site",
                b"sec-fetch-mode",
                b"sec-fetch-dest",
            )
        )
        # A page names its origin, except when it only reads, or sends its reader elsewhere: a link
        # in a report leads here from a file.
        followed = modes == {"navigate"} and targets == {"document"}
        ours = bool(origins) or followed or sites <= {"same-origin", "none"}
        mine = hosts <= {*own_hosts(self.port)} and origins <= {*own_origins(self.port)}
        return bool(hosts) and mine and ours
