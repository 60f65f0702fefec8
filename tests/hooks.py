"""Servers of 127.0.0.1 that keep what they are told: a webhook, and one of e-mail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer
from threading import Thread


@contextmanager
def webhook(folder: Path, status: int = 200) -> Iterator[str]:
    """Serve a webhook, and put what it gets into a folder; give its address for Apprise."""
    numbers = count(1)

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Keep what came."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            (folder / f"{next(numbers)}.json").write_bytes(body)
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # as it is called
            """Say nothing."""

    with _serving(HTTPServer(("127.0.0.1", 0), Hook)) as port:
        yield f"json://127.0.0.1:{port}/hook"


@contextmanager
def mailbox(messages: list[str]) -> Iterator[str]:
    """Serve SMTP, and add each message to a list; give its address for Apprise."""

    class Mail(StreamRequestHandler):
        def handle(self) -> None:
            """Say yes to everything, and keep the message."""
            self._say("220 here")
            while line := self.rfile.readline().decode().strip():
                word = line.upper().partition(" ")[0]
                if word == "DATA":
                    self._say("354 go on")
                    kept = iter(self.rfile.readline, b".\r\n")
                    messages.append(b"".join(kept).decode())
                self._say("221 bye" if word == "QUIT" else "250 yes")
                if word == "QUIT":
                    return

        def _say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

    with _serving(TCPServer(("127.0.0.1", 0), Mail)) as port:
        yield f"mailto://127.0.0.1:{port}?from=tutela@example.org&to=dpo@example.org"


@contextmanager
def _serving(server: TCPServer) -> Iterator[int]:
    """Let a server answer meanwhile; give its port."""
    with server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()
