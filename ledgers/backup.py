"""A home in one sealed file, taken while runs go on, and built again from it elsewhere.

The file is sealed to a recovery key that lies outside of the home: its public half suffices to make
backups. The record is copied first, and all else after it as far as the record knows of it; so what
a run did meanwhile is as if it had been killed, and is completed. Never in it are data between
steps, and the record where that lies on another server.

What is built again only reads until somebody replays what must not be undone, or says why not. It
knows no ledger's rows.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Final

import sqlalchemy as sa

from expectations.errors import HomeError, ServiceError, UsageError
from ledgers.acts import BACKUP, Acts
from ledgers.checkpoints import NAME as CHECKPOINTS
from ledgers.home.database import RESTORED, SCHEMA, open_database, say_cause, snapshot, stamp
from ledgers.home.home import FOLDERS, Home, is_absent
from ledgers.home.keys import (
    KEY_BYTES,
    Keys,
    decrypt,
    encrypt,
    make_recovery_pair,
    open_sealed,
    seal_for,
)
from ledgers.home.private_files import (
    disk_failure,
    is_locked,
    locked,
    sync_folder,
    write_private,
)
from ledgers.journal import JOURNAL, RUN_ID

MAGIC: Final = b"tutela-backup-1\n"
CHUNK: Final = 1 << 20
RECOVERY: Final = "keys/recovery.pub"
COPIED: Final = ("incidents", "mlflow/artifacts", "policies", "releases", "reports")
STORES: Final = ("mlflow/mlflow.db", "prefect/prefect.db")
MANIFEST: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is: its id and moment, its schema, and how far the journal of acts was then."""

    id: str
    taken_at: str
    schema: str
    acts: tuple[int, str]
    record: bool
    """Whether the record is in it; False where it lies on another server."""

    def to_json(self) -> bytes:
        """Write it."""
        fields = (self.id, self.taken_at, self.schema, [*self.acts], self.record)
        names = ("id", "taken_at", "schema", "acts", "record")
        return json.dumps(dict(zip(names, fields, strict=True))).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Manifest:
        """Read it."""
        read = json.loads(content)
        acts = (int(read["acts"][0]), str(read["acts"][1]))
        return cls(read["id"], read["taken_at"], read["schema"], acts, read["record"])


def make_recovery_key(home: Home, file: Path) -> None:
    """Make the pair to which backups are sealed: the private half at `file`, outside the home.

    Raises UsageError where there is one already, or `file` stands or lies in the home.
    """
    if (home.root / RECOVERY).exists():
        raise UsageError(f"{home.root / RECOVERY} is there: move it away to begin with another key")
    if file.exists() or home.root in file.absolute().parents:
        raise UsageError(f"{file}: name a new file outside of the home, best on another disk")
    private, public = make_recovery_pair()
    try:
        write_private(file, private.hex().encode() + b"\n")
        write_private(home.root / RECOVERY, public)
    except OSError as error:
        raise ServiceError(f"no key can be written: {disk_failure(error)}") from None


def write_backup(home: Home, keys: Keys, folder: Path) -> Path:
    """Write a backup of `home` into a folder, whole or not at all; give its file.

    Raises UsageError without a recovery key, ServiceError when the disk refuses.
    """
    public = home.root / RECOVERY
    if not public.is_file():
        raise UsageError(
            "there is no recovery key: tutela backup --new-recovery-key FILE makes one"
        )
    if home.root in (folder.absolute() / "file").parents:
        raise UsageError(f"{folder} lies in the home: name a folder elsewhere")
    acts, now = Acts(keys), stamp()
    acts.confirm(acts.note(BACKUP, b""))
    name = f"tutela-{now[:10].replace('-', '')}-{secrets.token_hex(4)}"
    manifest = Manifest(name, now, SCHEMA, acts.end(), home.settings.database_url is None)
    file, making = folder / f"{name}.backup", folder / f".{name}.making"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (
            _copies(home) as copies,
            _sealed(making, public.read_bytes()) as out,
            tarfile.open(fileobj=out, mode="w|gz") as tar,
        ):
            _fill(tar, home, manifest, copies)
        making.rename(file)
        sync_folder(folder)
    except OSError as error:
        raise ServiceError(f"no backup can be written: {disk_failure(error)}") from None
    finally:
        making.unlink(missing_ok=True)
    return file


def _fill(tar: tarfile.TarFile, home: Home, manifest: Manifest, copies: Path) -> None:
    """Put in what the record rests on, the record, and then what it knows of."""
    _add_bytes(tar, MANIFEST, manifest.to_json())
    for path in (home.root / "settings.toml", home.root / ".gitignore", *home.keys.iterdir()):
        _add_file(tar, home, path)
    for path in (home.root / CHECKPOINTS, *sorted(home.root.glob("*-heads.jsonl"))):
        # Before the record, which has to be as new as they are.
        _add_file(tar, home, path)
    waiting = {path.name: path.read_bytes() for path in _files(home.outbox)}
    record = _copy_store(home.ledger, copies) if manifest.record else None
    waiting |= {path.name: path.read_bytes() for path in _files(home.outbox)}
    known = _known_runs(home, record)
    if record is not None:
        _add_copy(tar, "ledger.sqlite", record)
    for name, content in waiting.items():
        _add_bytes(tar, f"outbox/{name}", content)
    for store in STORES:
        if (home.root / store).is_file():
            _add_copy(tar, store, _copy_store(home.root / store, copies))
    for place in COPIED:
        for path in _files(home.root / place):
            run_id = RUN_ID.match(str(path.relative_to(home.root / place)))
            if run_id is None or run_id[0] in known:
                _add_file(tar, home, path)


def _files(folder: Path) -> Iterator[Path]:
    """Give the files of a folder, but for those that are being written."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.endswith(".making") for part in path.relative_to(folder).parts)
        if path.is_file() and not path.is_symlink() and not hidden:
            yield path


def _add_file(tar: tarfile.TarFile, home: Home, path: Path) -> None:
    try:
        with path.open("rb") as file:
            _add(tar, str(path.relative_to(home.root)), file, os.fstat(file.fileno()))
    except FileNotFoundError:
        return  # a run has taken it away meanwhile


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    tar.addfile(entry, BytesIO(content))


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes], status: os.stat_result) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = status.st_size, 0o600, int(status.st_mtime)
    tar.addfile(entry, file)


def _known_runs(home: Home, record: Path | None) -> set[str]:
    """Give the runs that a copy of the record knows, or the record itself where it is elsewhere."""
    if record is not None:
        with closing(sqlite3.connect(record)) as copy:
            return {run_id for (run_id,) in copy.execute("SELECT DISTINCT run_id FROM journal")}
    engine = open_database(home)
    with snapshot(engine) as connection:
        return {*connection.scalars(sa.select(JOURNAL.c.run_id))}


def _copy_store(store: Path, copies: Path) -> Path:
    """Copy a database as of one moment, while others write."""
    copy = copies / store.name
    try:
        os.close(os.open(copy, os.O_WRONLY | os.O_CREAT, 0o600))
        with (
            closing(sqlite3.connect(store, timeout=30)) as here,
            closing(sqlite3.connect(copy)) as there,
        ):
            here.backup(there)
    except sqlite3.Error as error:
        raise ServiceError(f"{store} could not be copied: {say_cause(error)}") from None
    return copy


def _add_copy(tar: tarfile.TarFile, name: str, copy: Path) -> None:
    with copy.open("rb") as file:
        _add(tar, name, file, os.fstat(file.fileno()))
    copy.unlink()


@contextmanager
def _copies(home: Home) -> Iterator[Path]:
    """Have a folder in the home for copies of databases; what killed processes left there goes."""
    for left in home.root.glob(".copies-*"):
        if not is_locked(os.open(left, os.O_RDONLY | os.O_DIRECTORY)):
            shutil.rmtree(left, ignore_errors=True)
    folder = home.root / f".copies-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o700)
    with locked(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


@contextmanager
def _sealed(path: Path, public: bytes) -> Iterator[IO[bytes]]:
    """Write a file sealed to a public key, some at a time, each piece by its place."""
    key = os.urandom(KEY_BYTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a Path cannot open with a mode
        header = seal_for(public, key, MAGIC.decode())
        file.write(MAGIC + len(header).to_bytes(2) + header)
        pieces = _Pieces(file, key)
        yield pieces  # type: ignore[misc]  # all that a stream of tar asks for
        pieces.end()
        file.flush()
        os.fsync(file.fileno())


class _Pieces:
    """What is written here is sealed in pieces; that none is missing at the end shows too."""

    def __init__(self, file: IO[bytes], key: bytes) -> None:
        self.file, self.key, self.number, self.held = file, key, 0, bytearray()

    def write(self, data: bytes) -> int:
        """Take some bytes."""
        self.held += data
        while len(self.held) > CHUNK:
            self._put(bytes(self.held[:CHUNK]), "more")
            del self.held[:CHUNK]
        return len(data)

    def end(self) -> None:
        """Seal the last piece, which says that it is the last."""
        self._put(bytes(self.held), "last")

    def _put(self, piece: bytes, place: str) -> None:
        sealed = encrypt(self.key, piece, f"backup:{self.number}:{place}")
        self.file.write(len(sealed).to_bytes(4) + sealed)
        self.number += 1


class _Opened:
    """The bytes of a sealed file, piece by piece; ServiceError where one was changed or is gone."""

    def __init__(self, file: IO[bytes], recovery: bytes) -> None:
        self.file, self.number, self.held, self.ended = file, 0, b"", False
        if file.read(len(MAGIC)) != MAGIC:
            raise UsageError("this is not a backup of tutela, or one of a newer version")
        header = file.read(int.from_bytes(file.read(2)))
        key = open_sealed(recovery, header, MAGIC.decode())
        if key is None:
            raise UsageError("the recovery key does not open this backup: it is sealed to another")
        self.key: bytes = key

    def read(self, size: int) -> bytes:
        """Give the next bytes, fewer only at the end."""
        while len(self.held) < size and not self.ended:
            self.held += self._next()
        given, self.held = self.held[:size], self.held[size:]
        return given

    def _next(self) -> bytes:
        sealed = self.file.read(int.from_bytes(self.file.read(4)))
        for place in ("more", "last"):
            piece = decrypt(self.key, sealed, f"backup:{self.number}:{place}")
            if piece is not None:
                self.number += 1
                self.ended = place == "last"
                return piece
        raise ServiceError("the backup was changed, or its end is missing: use another one")


def restore_backup(file: Path, recovery: Path, path: Path) -> Home:
    """Build the home of a backup at `path`, where nothing may be; it only reads at first.

    Raises HomeError where something is, UsageError for another key, ServiceError for a backup that
    was changed.
    """
    if not is_absent(path):
        raise HomeError(f"there is something at {path}: restore into an empty folder (TUTELA_HOME)")
    making = path.with_name(f".{path.name}.making")
    try:
        private = bytes.fromhex(recovery.read_text(encoding="utf-8").strip())
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path.parent):
            shutil.rmtree(making, ignore_errors=True)  # of a killed process: we hold its lock
            _rebuild(file, private, making)
            making.rename(path)
            sync_folder(path.parent)
    except (ValueError, tarfile.TarError, EOFError):
        raise UsageError(
            f"{recovery} is no recovery key, or {file} is not a whole backup"
        ) from None
    except OSError as error:
        raise ServiceError(f"{path} cannot be restored: {disk_failure(error)}") from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return Home.open(path)


def _rebuild(file: Path, private: bytes, making: Path) -> None:
    for folder in ("", *FOLDERS):
        (making / folder).mkdir(mode=0o700)
    with file.open("rb") as sealed:
        opened = _Opened(sealed, private)
        with tarfile.open(fileobj=opened, mode="r|gz") as tar:  # type: ignore[call-overload]  # a stream
            for entry in tar:
                _put(making, entry, tar.extractfile(entry))
        while not opened.ended:
            opened.read(CHUNK)
    manifest = Manifest.from_json((making / MANIFEST).read_bytes())
    (making / MANIFEST).unlink()
    if manifest.schema > SCHEMA:
        raise HomeError(f"the backup has schema {manifest.schema}: use a newer tutela")
    if manifest.record:
        open_database(Home.open(making)).dispose()  # an older schema is brought up to date
    write_private(making / RESTORED, manifest.to_json())


def _put(making: Path, entry: tarfile.TarInfo, content: IO[bytes] | None) -> None:
    """Write one file of a backup, for its owner alone, and never outside."""
    parts = PurePosixPath(entry.name).parts
    if content is None or entry.name.startswith("/") or ".." in parts:
        raise ServiceError("the backup holds something that is no file of a home")
    target = making.joinpath(*parts)
    for folder in reversed(target.relative_to(making).parents[:-1]):
        (making / folder).mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a Path cannot open with a mode
        shutil.copyfileobj(content, file)
    os.utime(target, (entry.mtime, entry.mtime))


def read_restored(home: Home) -> Manifest | None:
    """Give of which backup a home was built that only reads; None where it is an ordinary one."""
    marker = home.root / RESTORED
    return Manifest.from_json(marker.read_bytes()) if marker.is_file() else None


def let_write(home: Home) -> None:
    """Let a restored home be written from now on."""
    (home.root / RESTORED).unlink()
    sync_folder(home.root)


def describe(manifest: Manifest) -> Mapping[str, str | int]:
    """Give what the record keeps of a backup that was restored."""
    return {"backup": manifest.id, "taken_at": manifest.taken_at, "acts": manifest.acts[0]}
