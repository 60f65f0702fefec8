"""The home: the one folder where a project's keys, ledgers, vault and stores lie.

Only `Home.create` makes one, so that a worker started elsewhere cannot find an empty ledger and
take it for the truth. A home is found by path, by `TUTELA_HOME`, or as `.tutela/` in the
project's root. Importing this module loads neither cryptography nor a database.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from expectations.errors import HomeError
from ledgers.private_files import disk_failure, exposure, locked, sync_folder, write_private
from ledgers.settings import TEMPLATE, Settings, read_settings

FOLDERS = ("vault", "keys", "incidents", "mlflow", "prefect", "reports", "releases", "outbox")
FILES = ("settings.toml", "keys/root.key", "keys/operator.key", "keys/operator.pub")


def home_path(path: Path | None = None) -> Path:
    """Say where the home is, or would be made: `path`, else `TUTELA_HOME`, else `.tutela/`.

    The project's root is the nearest folder upward that holds `.tutela`, `pyproject.toml` or
    `.git`; without one it is the current folder.
    """
    if path is None and (named := os.environ.get("TUTELA_HOME")):
        path = Path(named)
    if path is not None:
        return path.expanduser().absolute()
    here = Path.cwd()
    marks = (".tutela", "pyproject.toml", ".git")
    roots = (up for up in (here, *here.parents) if any((up / mark).exists() for mark in marks))
    return next(roots, here) / ".tutela"


@dataclass(frozen=True, slots=True)
class Home:
    """A complete home that its owner alone can read, with its settings."""

    root: Path
    settings: Settings

    @classmethod
    def create(cls, path: Path, passphrase: str | None = None) -> Home:
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
                if not _is_absent(path):
                    return _reopened(path, passphrase)
                _build(path, passphrase)
        except OSError as error:
            raise HomeError(
                f"no home can be made at {path}: {disk_failure(error)}, or choose another place"
            ) from None
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | None = None) -> Home:
        """Open the home at `path`, else at `TUTELA_HOME`, else `.tutela/` in the project's root.

        Raises HomeError if none is there, a part is missing, someone else could read it, or its
        settings are not valid.
        """
        root = home_path(path)
        if _is_absent(root):
            raise HomeError(f"there is no home at {root}: make one with tutela init")
        home = cls(root, Settings())
        for part in (root, *map(root.joinpath, (*FOLDERS, *FILES)), home.ledger):
            try:
                problem = exposure(part)
            except OSError:
                raise HomeError(
                    f"{root} is not a whole home: {part.relative_to(root)} is missing or cannot "
                    "be read; restore it from a backup, or move the folder away and tutela init"
                ) from None
            if problem:
                raise HomeError(problem)
        return cls(root, read_settings(root / "settings.toml"))

    @property
    def vault(self) -> Path:
        """The folder of data between steps; nothing in it outlives a run."""
        return self.root / "vault"

    @property
    def keys(self) -> Path:
        """The folder of the root key and the operator's pair."""
        return self.root / "keys"

    @property
    def ledger(self) -> Path:
        """The SQLite file of all ledgers, used unless the settings name a database."""
        return self.root / "ledger.sqlite"

    @property
    def incidents(self) -> Path:
        """The folder of sealed error texts."""
        return self.root / "incidents"

    @property
    def mlflow(self) -> Path:
        """The folder of MLflow's own store."""
        return self.root / "mlflow"

    @property
    def prefect(self) -> Path:
        """Prefect's home."""
        return self.root / "prefect"

    @property
    def reports(self) -> Path:
        """The folder of written reports."""
        return self.root / "reports"

    @property
    def releases(self) -> Path:
        """The folder of released tables."""
        return self.root / "releases"

    @property
    def outbox(self) -> Path:
        """The folder of sealed runs that wait for MLflow."""
        return self.root / "outbox"


def _is_absent(path: Path) -> bool:
    """Tell whether nothing stands at `path`; an empty folder is nothing."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _reopened(path: Path, passphrase: str | None) -> Home:
    """Open the home that `create` found, bring its database up to date, try the passphrase."""
    from ledgers.database import create_database
    from ledgers.keys import Keys

    home = Home.open(path)
    if passphrase is not None:
        Keys.open(home, passphrase)
    create_database(home)
    return home


def _build(path: Path, passphrase: str | None) -> None:
    """Build a home beside `path` and rename it there; the caller holds the parent's lock."""
    from ledgers.database import create_database
    from ledgers.keys import create_keys

    making = path.with_name(f".{path.name}.making")
    # Whoever left this held the lock that we hold now, so it is dead.
    shutil.rmtree(making, ignore_errors=True)
    try:
        for folder in ("", *FOLDERS):
            (making / folder).mkdir(mode=0o700)
        write_private(making / "settings.toml", TEMPLATE.encode())
        # A home mostly lies in a project's root, where its keys would be committed with the rest.
        write_private(making / ".gitignore", b"*\n")
        create_keys(making / "keys", passphrase)
        create_database(Home(making, Settings()))
        sync_folder(making)
        making.rename(path)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    sync_folder(path.parent)
