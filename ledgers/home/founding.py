"""The founding of a home: its folders, keys, settings and ledgers, all of them or none.

What makes a home twice makes it once, and a founding that was killed on the way is undone by the
next.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expectations.errors import HomeError
from ledgers.home.database import create_database
from ledgers.home.home import FOLDERS, TEMPLATE, Home, Settings, home_path, is_absent
from ledgers.home.keys import Keys, create_keys
from ledgers.home.private_files import disk_failure, locked, sync_folder, write_private


def create_home(path: Path, passphrase: str | None = None) -> Home:
    """Make a home at `path`, or open the complete one there; never half of one.

    It is built beside `path` and renamed into place under a lock on the parent folder. The
    passphrase (else `TUTELA_PASSPHRASE`) wraps the private keys; an existing home keeps the
    one it has. Raises HomeError for a folder that is something else, for a passphrase that
    does not fit the keys there, and when the disk refuses.
    """
    path = home_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.parent):
            if not is_absent(path):
                return _reopened(path, passphrase)
            _build(path, passphrase)
    except OSError as error:
        raise HomeError(
            f"no home can be made at {path}: {disk_failure(error)}, or choose another place"
        ) from None
    return Home.open(path)


def _reopened(path: Path, passphrase: str | None) -> Home:
    """Open the home that was found, bring its database up to date, try the passphrase."""
    home = Home.open(path)
    if passphrase is not None:
        Keys.open(home, passphrase)
    create_database(home)
    return home


def _build(path: Path, passphrase: str | None) -> None:
    """Build a home beside `path` and rename it there; the caller holds the parent's lock."""
    with built(path) as making:
        write_private(making / "settings.toml", TEMPLATE.encode())
        create_keys(making / "keys", passphrase)
        create_database(Home(making, Settings()))


@contextmanager
def built(path: Path) -> Iterator[Path]:
    """Give a folder beside `path` to be filled, which then is the home there, or gone.

    The caller holds the lock of the parent.
    """
    making = path.with_name(f".{path.name}.making")
    # Whoever left this held the lock that we hold now, so it is dead.
    shutil.rmtree(making, ignore_errors=True)
    try:
        for folder in ("", *FOLDERS):
            (making / folder).mkdir(mode=0o700)
        # A home mostly lies in a project's root, where its keys would be committed with the rest.
        write_private(making / ".gitignore", b"*\n")
        yield making
        sync_folder(making)
        making.rename(path)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    sync_folder(path.parent)
