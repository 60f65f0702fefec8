"""An invitation: what a second machine needs to share a home's ledgers, sealed for one use.

It holds the home's keys as they lie there (under its passphrase, if it has one), its settings with
the database's address, and the signed heads that it has seen, so that the machine that joins begins
where this one is. It is sealed under a code of 120 random bits, by scrypt and AES-256-GCM as keys
are under a passphrase. That it was made and used is in the journal, which is why it is used once;
after a day by the database's clock it is refused. Until then whoever has both file and code, and
reaches the database, is a machine of this home: nothing here knows which one was meant.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

import sqlalchemy as sa

from expectations.errors import HomeError, UsageError
from ledgers.home.database import open_database, snapshot
from ledgers.home.founding import built
from ledgers.home.home import Home, home_path, is_absent
from ledgers.home.keys import SALT_BYTES, Keys, decrypt, encrypt, stretch
from ledgers.home.private_files import disk_failure, locked, write_private
from ledgers.journal import Line, read_lines, recording, signed_head

LASTS: Final = 24 * 60 * 60
"""Seconds for which an invitation can be used."""
MARK: Final = b"tutela-invitation-1:"
LABEL: Final = "invitation"
KEY_FILES: Final = ("root.key", "operator.key", "operator.pub")
HEADS: Final = "*-heads.jsonl"
CODE_BYTES: Final = 15
NOW: Final = "SELECT extract(epoch FROM clock_timestamp())"


def invite(engine: sa.Engine, home: Home, keys: Keys) -> tuple[bytes, str]:
    """Give an invitation and the code that opens it, and note in the journal that it was made.

    Raises `UsageError` where the ledgers are in no database that machines can share.
    """
    if engine.dialect.name != "postgresql":
        raise UsageError(
            "the ledgers of this home are a file, which machines cannot share: set database_url in "
            "settings.toml to a Postgres database before anything is run, then tutela init"
        )
    name = secrets.token_hex(16)
    # First, so that every home that joins has a signed head to begin with.
    with recording(engine, keys) as pen:
        pen.write(_line("invited", name))
    with snapshot(engine) as connection:
        until = float(connection.scalar(sa.text(NOW)) or 0) + LASTS
    told = {
        "name": name,
        "until": until,
        "settings": (home.root / "settings.toml").read_text("utf-8"),
        "keys": {file: _encode(home.keys / file) for file in KEY_FILES},
        "heads": {path.name: path.read_text("utf-8") for path in home.root.glob(HEADS)},
    }
    code, salt = base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode(), os.urandom(SALT_BYTES)
    sealed = encrypt(stretch(code, salt), json.dumps(told).encode(), LABEL)
    return MARK + salt + sealed, "-".join(code[n : n + 4] for n in range(0, len(code), 4))


def join(sealed: bytes, code: str, path: Path | None = None) -> Home:
    """Make a home of an invitation where `home_path` says, and note that a machine joined.

    Raises `UsageError` for another code, and for an invitation that was used or is too old;
    `HomeError` where something is already there, and as opening a home and its ledgers do.
    """
    told, root = _open(sealed, code), home_path(path)
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with locked(root.parent):
            if not is_absent(root):
                raise HomeError(f"there is something at {root}: choose another place")
            with built(root) as making:
                _fill(making, told)
                # Settings and keys as a home's are read; the passphrase is that of the first one.
                _note_joined(Home.open(making), told)
    except OSError as error:
        raise HomeError(
            f"no home can be made at {root}: {disk_failure(error)}, or choose another place"
        ) from None
    return Home.open(root)


def _open(sealed: bytes, code: str) -> dict[str, Any]:
    """Open an invitation by its code, written with or without hyphens."""
    plain = "".join(code.split()).replace("-", "").upper()
    salt, box = sealed[len(MARK) :][:SALT_BYTES], sealed[len(MARK) + SALT_BYTES :]
    opened = decrypt(stretch(plain, salt), box, LABEL) if sealed.startswith(MARK) else None
    if opened is None:
        raise UsageError("this code does not open this file, or it is no invitation: look again")
    return cast("dict[str, Any]", json.loads(opened))


def _fill(making: Path, told: dict[str, Any]) -> None:
    """Write what the invitation holds into the folder of a home."""
    write_private(making / "settings.toml", told["settings"].encode())
    for file, content in told["keys"].items():
        write_private(making / "keys" / file, base64.b64decode(content))
    for file, text in told["heads"].items():
        write_private(making / file, text.encode())
    # Empty, so that a home which lost its database's address is refused.
    write_private(making / "ledger.sqlite", b"")


def _note_joined(home: Home, told: dict[str, Any]) -> None:
    """Note that a machine joined; nothing is noted of an invitation that may not be used."""
    engine, keys = open_database(home), Keys.open(home)
    try:
        signed, joined = signed_head(engine, keys), _line("joined", told["name"])
        with recording(engine, keys) as pen:
            # Written first, which waits for others who write: of two that join, one is refused.
            pen.write(joined)
            lines = read_lines(pen.connection, keys, signed)
            if lines.count(joined) != 1 or _line("invited", told["name"]) not in lines:
                raise UsageError("this invitation was used before: make another with home invite")
            if float(pen.connection.scalar(sa.text(NOW)) or 0) > told["until"]:
                raise UsageError("this invitation is older than a day: make another one")
    finally:
        engine.dispose()


def _line(what: str, name: str) -> Line:
    return Line("machine", what, "", 0, sha256(name.encode()).hexdigest())


def _encode(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
