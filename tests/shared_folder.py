"""What several processes of one test run make once and then only read.

The workers of pytest-xdist share this folder; without workers the one process has it alone.
Whoever asks first makes the thing under a file lock, and the others wait. A digest taken when it
was made tells at the end whether somebody wrote there after all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

DATABASES = (".sqlite", ".db")
PASSING = ("-wal", "-shm", ".lock", "registered_model_meta")
"""What SQLite, locks and MLflow leave beside a file for a reader too."""

_factories: list[pytest.TempPathFactory] = []


def settle(factory: pytest.TempPathFactory) -> None:
    """Say where the folders of this test run are."""
    _factories[:] = [factory]


def own_folder(name: str) -> Path:
    """Make a folder that this process has alone."""
    return _factories[0].mktemp(name)


def shared_folder() -> Path:
    """Give the folder that all processes of this test run share."""
    own = _factories[0].getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared"


def make_once(name: str, make: Callable[[Path], object]) -> Path:
    """Give the folder of a name, in which the first process that asks has made something."""
    path = shared_folder() / name
    digest = path.with_name(f"{name}.sha256")
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with FileLock(path.with_name(f"{name}.lock")):
        if not digest.exists():
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(mode=0o700)
            make(path)
            digest.write_text(digest_folder(path), encoding="utf-8")
    return path


def written_to() -> list[str]:
    """Name what was changed since it was made."""
    return [
        note.stem
        for note in shared_folder().glob("*.sha256")
        if digest_folder(note.with_suffix("")) != note.read_text("utf-8")
    ]


def copy_folder(source: Path, to: Path) -> None:
    """Copy a folder; a database as one moment shows it, whoever reads it meanwhile."""
    aside = shutil.ignore_patterns(*(f"*{ending}" for ending in (*DATABASES, *PASSING)))
    shutil.copytree(source, to, ignore=aside)
    for file in _databases(source):
        copied = to / file.relative_to(source)
        with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(copied)) as new:
            old.backup(new)
        copied.chmod(file.stat().st_mode)


def digest_folder(folder: Path) -> str:
    """Digest every file's name and content; of a database, what stands in its tables."""
    found, databases = hashlib.sha256(), set(_databases(folder))
    for file in sorted(folder.rglob("*")):
        if not file.is_file() or file.name.endswith(PASSING):
            continue
        found.update(str(file.relative_to(folder)).encode())
        if file in databases:
            with closing(sqlite3.connect(file)) as connection:
                for line in connection.iterdump():
                    found.update(line.encode())
        else:
            found.update(file.read_bytes())
    return found.hexdigest()


def _databases(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.suffix in DATABASES)
