"""A throw-away Postgres of the system's package, for tests of what several machines share.

Debian's `postgresql` has to be installed, and `psycopg`; a server that will not start fails its
tests, since a promise that was not tried is none.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import pytest
import sqlalchemy as sa

from ledgers.home.database import create_database
from ledgers.home.home import Home

PROGRAMS: Final = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Postgres:
    """A server on a socket in a folder of its own, without a network address."""

    folder: Path
    programs: Path

    def control(self, *words: str) -> None:
        """Start, stop or restart it."""
        settings = f"-c listen_addresses='' -c fsync=off -k {self.folder}"
        control, data = str(self.programs / "pg_ctl"), str(self.folder / "data")
        as_server([control, "-D", data, "-w", "-o", settings, *words], self.folder)

    def make_database(self) -> str:
        """Make an empty database, and give its address."""
        name = f"t{secrets.token_hex(8)}"
        with psycopg.connect(host=str(self.folder), user="tutela", dbname="postgres") as made:
            made.autocommit = True
            made.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]  # our own name
        return f"postgresql+psycopg://tutela@/{name}?host={self.folder}"

    def make_home(self, template: Path, root: Path) -> Home:
        """Make a home with its ledgers in a database of the server."""
        shutil.copytree(template, root)
        (root / "settings.toml").write_text(f'database_url = "{self.make_database()}"\n')
        home = Home.open(root)
        create_database(home)
        return home


def as_server(command: list[str], folder: Path) -> None:
    """Run one of Postgres's programs, which refuse to be run by root."""
    runuser = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with (folder / "log").open("ab") as log:
        subprocess.run([*runuser, *command], check=True, stdout=log, stderr=log, cwd=folder)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server that ends with the tests of a file."""
    programs = max(PROGRAMS.glob("*/bin"), key=lambda path: int(path.parent.name))
    # Beside pytest's folders, in which another user may not look.
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    started = Postgres(folder, programs)
    data = str(folder / "data")
    as_server([str(programs / "initdb"), "-D", data, "-U", "tutela", "-A", "trust"], folder)
    started.control("start")
    yield started
    started.control("-m", "immediate", "stop")
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def closed_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close each connection after its use: whoever opens a database keeps one to its own end."""
    create = sa.create_engine

    def unpooled(address: str | sa.URL, **named: object) -> sa.Engine:
        if sa.make_url(address).get_backend_name() == "postgresql":
            named["poolclass"] = sa.NullPool
        return create(address, **named)

    monkeypatch.setattr(sa, "create_engine", unpooled)
