"""What the commands about machines that share a home do and answer."""

from __future__ import annotations

from pathlib import Path

from deployments.servers.prefect_server import prepare, set_environment
from deployments.terminal import Answer
from expectations.errors import UsageError
from ledgers.home.database import open_database
from ledgers.home.home import Home
from ledgers.home.keys import Keys
from ledgers.home.private_files import disk_failure, write_private
from ledgers.invitation import invite as make_invitation
from ledgers.invitation import join as use_invitation


def invite(file: Path) -> tuple[Answer, str]:
    """Write an invitation to a new file; give the code beside the answer, which holds none."""
    if file.exists():
        raise UsageError(f"{file} is there already: name a new file")
    home = Home.open()
    sealed, code = make_invitation(open_database(home), home, Keys.open(home))
    try:
        write_private(file, sealed)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {disk_failure(error)}") from None
    lines = [
        f"{file} is an invitation for one machine, for a day.",
        f"There: tutela home join {file.name}",
    ]
    return Answer({"file": str(file), "hours": 24}, lines), code


def join(file: Path, code: str) -> Answer:
    """Make a home of an invitation, and prepare its server."""
    try:
        sealed = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {disk_failure(error)}") from None
    home = use_invitation(sealed, code)
    set_environment(home)
    prepare(home)
    lines = [
        f"{home.root} is ready. It shares ledgers and keys with the machine that invited it.",
        f"Remove {file} now, here and there.",
    ]
    return Answer({"home": str(home.root)}, lines)
