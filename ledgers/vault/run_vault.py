"""The vault of one living run: stores, promotes and opens its data sets under its own key.

Every data set is an encrypted file and a sealed manifest. The manifest, not the reference, says
which stage the content has reached, so a reference made by hand opens nothing that its maker
could not open anyway. Nothing is forced to the disk: a loss of power takes the key as well.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from expectations.errors import VaultError
from ledgers.home.keys import decrypt, encrypt
from ledgers.home.private_files import disk_failure, write_private
from ledgers.vault.digests import digest_bytes, digest_table
from ledgers.vault.stages import AnyRef, DatasetRef, Reached, S, Stage

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds


@dataclass(frozen=True, slots=True)
class _Manifest:
    """What is known of a data set; sealed beside it, and the only word on its stage.

    `check` is the SHA-256 of the encrypted file: it finds a changed file when it is opened, and
    the file's own encryption finds what changes after that.
    """

    stage: Stage
    file: str
    digest: str
    schema: tuple[str, ...]
    parents: tuple[str, ...]
    check: str


class RunVault:
    """The data sets of one living run, and the only holder of its key."""

    def __init__(self, folder: Path, lock: int, digest_key: bytes) -> None:
        self.run_id = folder.name
        self._folder, self._lock, self._digest_key = folder, lock, digest_key
        self._key: bytes | None = secrets.token_bytes(32)
        _LIVING.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a run's vault does not leave its process: hand on a reference instead")

    def close(self) -> None:
        """Forget the key, remove the folder and let the lock go; a second call does nothing."""
        if self._key is None:
            return
        self._key = None
        try:
            with disk_errors(self._folder):
                shutil.rmtree(self._folder)
        finally:
            os.close(self._lock)

    def store(
        self, stage: type[S], table: pa.Table, *, parents: Sequence[AnyRef] = ()
    ) -> DatasetRef[S]:
        """Encrypt `table` and record that it has reached `stage`; columns must not be nested."""
        from ledgers.vault.encrypted_parquet import write_table

        digest, name = digest_table(self._digest_key, table), secrets.token_hex(8)
        making = self._folder / f".{name}.making"
        with disk_errors(self._folder):
            try:
                os.close(os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
                write_table(table, making, name, self._living_key())
                making.rename(self._folder / name)
            finally:
                making.unlink(missing_ok=True)
        return self._stored(stage, (name, digest, tuple(table.column_names)), parents)

    def store_bytes(
        self, stage: type[S], data: bytes, *, parents: Sequence[AnyRef] = ()
    ) -> DatasetRef[S]:
        """Encrypt `data`, such as a model of at most 2 GiB, and record its stage."""
        digest, name = digest_bytes(self._digest_key, data), secrets.token_hex(8)
        with disk_errors(self._folder):
            write_private(self._folder / name, encrypt(self._living_key(), data, name))
        return self._stored(stage, (name, digest, ()), parents)

    def promote(self, ref: AnyRef, stage: type[S]) -> DatasetRef[S]:
        """Record that the same content has reached a further stage; nothing is rewritten.

        Raises VaultError if `stage` does not come after the one that `ref` has reached.
        """
        manifest, order = self._manifest(ref), list(Stage)
        if order.index(stage.stage) <= order.index(manifest.stage):
            raise VaultError(
                f"{ref.uri} has reached '{manifest.stage}' and cannot be promoted to "
                f"'{stage.stage}': that does not come after it"
            )
        return self._record(stage, replace(manifest, parents=(ref.uri,)))

    def load(self, ref: DatasetRef[S], stage: type[S]) -> ds.Dataset:
        """Open a table that has reached `stage`, to be scanned again and again.

        Raises VaultError for another stage, run or content than was recorded. A byte that is
        changed after this makes a scan fail with pyarrow's own error.
        """
        from ledgers.vault.encrypted_parquet import read_dataset

        name = self._checked(ref, stage).file
        with disk_errors(self._folder):
            try:
                return read_dataset(self._folder / name, name, self._living_key())
            except ValueError:
                raise VaultError(f"{ref.uri} holds no table: load it as bytes") from None

    def load_bytes(self, ref: DatasetRef[S], stage: type[S]) -> bytes:
        """Give the bytes that have reached `stage`; VaultError as in `load`."""
        name = self._checked(ref, stage).file
        with disk_errors(self._folder):
            data = decrypt(self._living_key(), (self._folder / name).read_bytes(), name)
        if data is None:
            raise VaultError(f"{ref.uri} holds no bytes: load it as a table")
        return data

    def stage_of(self, ref: DatasetRef[Reached]) -> Stage:
        """Give the stage that `ref` has reached; VaultError if this run did not issue it."""
        return self._manifest(ref).stage

    def _living_key(self) -> bytes:
        if self._key is None:
            raise VaultError(f"the vault of run {self.run_id} is closed: start a new run")
        return self._key

    def _stored(
        self,
        stage: type[S],
        content: tuple[str, str, tuple[str, ...]],
        parents: Sequence[AnyRef],
    ) -> DatasetRef[S]:
        """Record a file that was just written, by its name, digest and schema."""
        for parent in parents:
            self._manifest(parent)
        with disk_errors(self._folder):
            check = _sha256(self._folder / content[0])
        uris = tuple(parent.uri for parent in parents)
        return self._record(stage, _Manifest(stage.stage, *content, uris, check))

    def _record(self, stage: type[S], manifest: _Manifest) -> DatasetRef[S]:
        """Seal `manifest` as one that says `stage`, and give the reference to it."""
        name = secrets.token_hex(8)
        text = json.dumps(asdict(manifest) | {"stage": stage.stage}).encode()
        with disk_errors(self._folder):
            sealed = encrypt(self._living_key(), text, f"{name}.manifest")
            write_private(self._folder / f"{name}.manifest", sealed)
        return DatasetRef[S](f"{self.run_id}/{name}", manifest.digest, manifest.schema)

    def _manifest(self, ref: AnyRef) -> _Manifest:
        """Open the manifest of `ref`; VaultError if this run did not issue the reference."""
        forged = VaultError(
            f"run {self.run_id} issued no such reference: hand on what a step of it returned"
        )
        run, _, name = ref.uri.partition("/")
        if run != self.run_id or not re.fullmatch("[0-9a-f]{16}", name):
            raise forged
        file = self._folder / f"{name}.manifest"
        key = self._living_key()
        with disk_errors(self._folder):
            text = decrypt(key, file.read_bytes(), file.name) if file.is_file() else None
        if text is None:
            raise forged
        found = json.loads(text)
        found |= {"schema": tuple(found["schema"]), "parents": tuple(found["parents"])}
        manifest = _Manifest(**found | {"stage": Stage(found["stage"])})
        if (manifest.digest, manifest.schema) != (ref.digest, ref.schema):
            raise forged
        return manifest

    def _checked(self, ref: AnyRef, stage: type[Reached]) -> _Manifest:
        """Open the manifest of `ref` and hold stage and file against it."""
        manifest = self._manifest(ref)
        if manifest.stage != stage.stage:
            raise VaultError(
                f"{ref.uri} has reached the stage '{manifest.stage}', and '{stage.stage}' is "
                "needed: put the step between them into the flow"
            )
        file = self._folder / manifest.file
        with disk_errors(self._folder):
            if not file.is_file() or _sha256(file) != manifest.check:
                raise VaultError(f"{file} was changed or removed since it was stored: run again")
        return manifest


_LIVING: weakref.WeakSet[RunVault] = weakref.WeakSet()


def _abandon() -> None:
    """Give up, in a forked child, the keys and locks that are its parent's."""
    for vault in list(_LIVING):
        if vault._key is not None:  # noqa: SLF001 - the same module
            vault._key = None  # noqa: SLF001 - the same module
            os.close(vault._lock)  # noqa: SLF001 - the same module


os.register_at_fork(after_in_child=_abandon)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn an error of the system into a VaultError that says what to do."""
    try:
        yield
    except OSError as error:
        raise VaultError(
            f"the vault at {folder} failed: {disk_failure(error)}, then run again"
        ) from None


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
