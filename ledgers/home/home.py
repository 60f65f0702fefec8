"""The home: the one folder where a project's keys, ledgers, vault and stores lie.

Only `founding` makes one, so that a worker started elsewhere cannot find an empty ledger and take
it for the truth. A home is found by path, by `TUTELA_HOME`, or as `.tutela/` in the project's root.
What is in its parts is not known here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from expectations.errors import HomeError
from ledgers.home.private_files import exposure
from ledgers.home.settings import Settings, read_settings

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
    def open(cls, path: Path | None = None) -> Home:
        """Open the home at `path`, else at `TUTELA_HOME`, else `.tutela/` in the project's root.

        Raises HomeError if none is there, a part is missing, someone else could read it, or its
        settings are not valid.
        """
        root = home_path(path)
        if is_absent(root):
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


def is_absent(path: Path) -> bool:
    """Tell whether nothing stands at `path`; an empty folder is nothing."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))
