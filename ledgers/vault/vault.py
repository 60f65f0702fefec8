"""The vault: data between the steps of a run, under a key that only the run's process has.

Whatever ends the process ends the data. Each run has a folder whose lock it holds while it
lives; a folder without a held lock is a dead run's, and a sweep removes it. The lock is the
folder's own (`flock` on the folder), so there is no moment at which a folder has no lock file,
and the vault's folder is locked while a run's is made or swept. It needs a local disk, one host
and one run per id; the key is not protected from whoever can read the process's memory, nor
from swap or a core dump that the system pipes to a program.

Every data set is an encrypted file and a sealed manifest. The manifest, not the reference, says
which stage the content has reached, so a reference made by hand opens nothing that its maker
could not open anyway. Nothing is forced to the disk: a loss of power takes the key as well.

A table is a Parquet file by Parquet modular encryption (every column and the footer), with a data
key of its own (AES-256-GCM), wrapped under the run's key together with the file's name, so that one
file cannot stand in for another of the same run. Readable without the key are the name, the wrapped
data key, the file's size and the sizes of its pages.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import resource
import secrets
import shutil
import stat
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from expectations.errors import VaultError
from ledgers.home.keys import Keys, decrypt, encrypt
from ledgers.home.private_files import disk_failure, exposure, is_locked, write_private
from ledgers.vault.digests import digest_bytes, digest_table
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
    S,
    Selected,
    Stage,
    Trained,
    Validated,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet.encryption as pe


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
ROW_GROUP = 262_144  # rows; several row groups let a scan of a large file use every core


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
        import fcntl  # late: a policy can be checked where there are no such locks

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
        import fcntl

        with _disk_errors(self.root):
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
            with _disk_errors(self._folder):
                shutil.rmtree(self._folder)
        finally:
            os.close(self._lock)

    def store(
        self, stage: type[S], table: pa.Table, *, parents: Sequence[AnyRef] = ()
    ) -> DatasetRef[S]:
        """Encrypt `table` and record that it has reached `stage`; columns must not be nested."""
        digest, name = digest_table(self._digest_key, table), secrets.token_hex(8)
        making = self._folder / f".{name}.making"
        with _disk_errors(self._folder):
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
        with _disk_errors(self._folder):
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
        name = self._checked(ref, stage).file
        with _disk_errors(self._folder):
            try:
                return read_dataset(self._folder / name, name, self._living_key())
            except ValueError:
                raise VaultError(f"{ref.uri} is not a table: load it as bytes") from None

    def load_bytes(self, ref: DatasetRef[S], stage: type[S]) -> bytes:
        """Give the bytes that have reached `stage`; VaultError as in `load`."""
        name = self._checked(ref, stage).file
        with _disk_errors(self._folder):
            data = decrypt(self._living_key(), (self._folder / name).read_bytes(), name)
        if data is None:
            raise VaultError(f"{ref.uri} is not bytes: load it as a table")
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
        with _disk_errors(self._folder):
            check = _sha256(self._folder / content[0])
        uris = tuple(parent.uri for parent in parents)
        return self._record(stage, _Manifest(stage.stage, *content, uris, check))

    def _record(self, stage: type[S], manifest: _Manifest) -> DatasetRef[S]:
        """Seal `manifest` as one that says `stage`, and give the reference to it."""
        name = secrets.token_hex(8)
        text = json.dumps(asdict(manifest) | {"stage": stage.stage}).encode()
        with _disk_errors(self._folder):
            sealed = encrypt(self._living_key(), text, f"{name}.manifest")
            write_private(self._folder / f"{name}.manifest", sealed)
        return DatasetRef[S](f"{self.run_id}/{name}", manifest.digest, manifest.schema)

    def _manifest(self, ref: AnyRef) -> _Manifest:
        """Open the manifest of `ref`; VaultError if this run did not issue the reference."""
        forged = VaultError(
            f"run {self.run_id} did not issue this reference: pass on what a step of it returned"
        )
        run, _, name = ref.uri.partition("/")
        if run != self.run_id or not re.fullmatch("[0-9a-f]{16}", name):
            raise forged
        file = self._folder / f"{name}.manifest"
        key = self._living_key()
        with _disk_errors(self._folder):
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
        with _disk_errors(self._folder):
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
def _disk_errors(folder: Path) -> Iterator[None]:
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


def write_table(table: pa.Table, file: Path, name: str, key: bytes) -> None:
    """Write `table` into the existing `file`, encrypted as `name`; raises OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import pyarrow.parquet.encryption as pe

    configuration = pe.EncryptionConfiguration(
        footer_key=name,
        uniform_encryption=True,
        plaintext_footer=False,
        double_wrapping=False,
        internal_key_material=True,
        data_key_length_bits=256,
    )
    factory = pe.CryptoFactory(_key_service(name, key))
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), configuration)
    # A dictionary of keys, each of which is there once, would be made and then thrown away.
    texts = [field.name for field in table.schema if _is_text(field.type)]
    with pa.OSFile(str(file), "wb") as sink:
        pq.write_table(
            table,
            sink,
            row_group_size=ROW_GROUP,
            compression="lz4",
            use_dictionary=texts,
            write_statistics=False,  # no scan skips a group of rows
            encryption_properties=properties,
        )


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow.types as pt

    return any(one(kind) for one in (pt.is_dictionary, pt.is_string, pt.is_large_string))


def read_dataset(file: Path, name: str, key: bytes) -> ds.Dataset:
    """Open what was written as `name`: it can be scanned again and again, by DuckDB too.

    Raises OSError or ValueError, as later scans do, where a byte was changed.
    """
    import pyarrow.dataset as ds
    import pyarrow.parquet.encryption as pe

    decryption = ds.ParquetDecryptionConfig(
        pe.CryptoFactory(_key_service(name, key)),
        pe.KmsConnectionConfig(),
        pe.DecryptionConfiguration(),
    )
    options = ds.ParquetFragmentScanOptions(decryption_config=decryption)
    return ds.dataset(file, format=ds.ParquetFileFormat(default_fragment_scan_options=options))


def _key_service(name: str, key: bytes) -> Callable[[pe.KmsConnectionConfig], pe.KmsClient]:
    """Give what pyarrow asks to wrap data keys: the run's key, for the file `name` alone."""
    return lambda _configuration: _declare_key_service()(name, key)


@cache
def _declare_key_service() -> Callable[[str, bytes], pe.KmsClient]:
    """Declare the class of key services, once: pyarrow never lets go of one, nor of its class."""
    import pyarrow.parquet.encryption as pe

    class KeyService(pe.KmsClient):  # type: ignore[misc]  # pyarrow has no types
        """Wraps and unwraps data keys; pyarrow names the master key that it wants."""

        def __init__(self, name: str, key: bytes) -> None:
            pe.KmsClient.__init__(self)
            self.name, self.key = name, key

        def wrap_key(self, key_bytes: bytes, _master: str) -> bytes:
            return base64.b64encode(encrypt(self.key, key_bytes, self.name))

        def unwrap_key(self, wrapped_key: bytes, _master: str) -> bytes:
            data_key = decrypt(self.key, base64.b64decode(wrapped_key), self.name)
            if data_key is None:
                raise ValueError("not a file of this name and run")
            return data_key

    return KeyService
