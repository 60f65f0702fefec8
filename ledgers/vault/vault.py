"""The vault: data between the steps of a run, under a key that only the run's process has.

Whatever ends the process ends the data. Each run has a folder whose lock it holds while it
lives; a folder without a held lock is a dead run's, and a sweep removes it. The lock is the
folder's own (`flock` on the folder), so there is no moment at which a folder has no lock file,
and the vault's folder is locked while a run's is made or swept. It needs a local disk, one host
and one run per id; the key is not protected from whoever can read the process's memory, nor
from swap or a core dump that the system pipes to a program.
"""

from __future__ import annotations

import fcntl
import os
import re
import resource
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from expectations.errors import VaultError
from ledgers.home.keys import Keys
from ledgers.home.private_files import exposure, is_locked
from ledgers.vault.run_vault import RunVault, disk_errors
from ledgers.vault.stages import (
    AnyRef,
    Attacked,
    Checked,
    Collected,
    DatasetRef,
    Deidentified,
    Generalized,
    Permitted,
    Reached,
    Roster,
    Selected,
    Stage,
    Trained,
    Validated,
)

__all__ = [
    "AnyRef",
    "Attacked",
    "Checked",
    "Collected",
    "DatasetRef",
    "Deidentified",
    "Generalized",
    "Permitted",
    "Reached",
    "Roster",
    "RunVault",
    "Selected",
    "Stage",
    "Trained",
    "Validated",
    "Vault",
]


@dataclass(frozen=True, slots=True)
class Vault:
    """The folder of all runs of a home; `keys` gives the lasting key of the digests."""

    root: Path
    keys: Keys

    def begin(self, run_id: str) -> RunVault:
        """Make the folder of `run_id` and hold its lock; close the answer, or use it in a `with`.

        Switches core dumps of this process off. Raises VaultError if the vault is open to
        others or not writable, the disk full, or the id in use.
        """
        if not re.fullmatch("[0-9A-Za-z][0-9A-Za-z-]{0,63}", run_id):
            raise VaultError("a run id is 1 to 64 letters, digits and hyphens")
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        with self._lock():
            folder = self.root / run_id
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                raise VaultError(f"{folder} exists: take another run id, or sweep") from None
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return RunVault(folder, lock, self.keys.derive("digest"))

    def sweep(self) -> list[str]:
        """Remove what dead runs left, and give their ids; a sweep cut short is done by the next."""
        with self._lock():
            free = [entry for entry in sorted(self.root.iterdir()) if not _is_held(entry)]
            # A run that closes lets its lock go after its folder is gone: that one is not dead.
            dead = [entry for entry in free if os.path.lexists(entry)]
            for entry in dead:
                _remove(entry)
        return [entry.name for entry in dead]

    def living(self) -> frozenset[str]:
        """Give the ids of the runs whose lock is held.

        A run begins in the vault before it is on the record and is closed there before it leaves
        the vault. So whoever reads `EvidenceLedger.runs` first and this after it finds the
        killed ones: those that are not among the living.
        """
        with self._lock():
            return frozenset(entry.name for entry in self.root.iterdir() if _is_held(entry))

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the vault's own lock; VaultError if the folder is not private or not usable."""
        with disk_errors(self.root):
            if problem := exposure(self.root):
                raise VaultError(problem)
            descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)


def _is_held(entry: Path) -> bool:
    """Tell whether a living run holds the lock of `entry`; the caller holds the vault's."""
    try:
        if not stat.S_ISDIR(entry.lstat().st_mode):
            return False
        descriptor = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False  # its run has just closed it
    return is_locked(descriptor)


def _remove(entry: Path) -> None:
    """Remove a folder with all in it, or whatever else stands there; a link is not followed."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
