"""The one database of all ledgers: SQLite in the home, or Postgres by URL.

SQLite runs in WAL mode with `synchronous=FULL`, overwrites what is deleted, and takes the write
lock when a transaction begins, so that a read inside it is still true when it writes. Whoever finds
the lock taken asks again after a while drawn anew each time, up to `PATIENCE`: SQLite's own waiting
favours who came last. An error's text names no parameter. Every transaction is one writer's turn,
reads included; keep them short, or read in a `snapshot`. Postgres needs the driver that the URL
names; a server that is away for a moment is waited for, if it was there before.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from expectations.errors import HomeError, ServiceError
from ledgers.home.home import Home, find_traces

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

SCHEMA = "0011"  # the newest step in migrations/versions; a test holds the two together

PRAGMAS = (
    *("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"),
    "temp_store=MEMORY",  # no rows in files outside of the home
)
READING = "reading"
RESTORED = "restored.json"
"""What a home that was built from a backup has, until acts since then are replayed: it reads."""
ONLY_READS = (
    "this home was restored from a backup and only reads, until what was erased, withdrawn and "
    "charged since is replayed: tutela restore --journal FILE, or --without-journal"
)
PATIENCE: Final = 120.0
"""Seconds for which a ledger that others hold, or whose server is away, is asked for again."""
_DAMAGED = "it is damaged; restore it from a backup (it is the record)"
_HELD = (
    f"another program holds it, and had not let it go after {PATIENCE:.0f} s. Nothing was written; "
    "end that, then run again"
)
_FORBIDDEN = "it may not be written. Nothing was; correct its owner and rights, then run again"
CAUSES: Final = {
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: "its disk is full. Nothing was written; free space, then run again",
    # A quota or limit that is full is no full disk to SQLite.
    sqlite3.SQLITE_IOERR: "its disk failed, or a quota or limit is full. Nothing was written; free "
    "space or check the disk, then run again",
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
    sqlite3.SQLITE_READONLY: _FORBIDDEN,
    sqlite3.SQLITE_CANTOPEN: _FORBIDDEN,
    sqlite3.SQLITE_CONSTRAINT: "it refused what does not fit the record; nothing was written",
    sqlite3.SQLITE_ERROR: "a part of it is missing; restore it from a backup (it is the record)",
}
"""What an error of SQLite means, by its code."""
_STATES: Final = {
    "XX": sqlite3.SQLITE_CORRUPT,
    "53100": sqlite3.SQLITE_FULL,
    "58": sqlite3.SQLITE_IOERR,
    "23": sqlite3.SQLITE_CONSTRAINT,
    "42P01": sqlite3.SQLITE_ERROR,
    "55P03": sqlite3.SQLITE_LOCKED,
}
"""The same of Postgres, by its SQLSTATE or the class of it."""
_reached: Final[weakref.WeakSet[sa.Pool]] = weakref.WeakSet()
"""Connections to servers that answered once."""


def open_database(home: Home, *, replaying: bool = False) -> sa.Engine:
    """Connect to the ledgers of `home` and bring an older schema up to date.

    A restored home is written by who is `replaying` alone.

    Raises HomeError if the database was never made or is newer than this program, ServiceError
    if it cannot be reached.
    """
    if home.settings.database_url is None and not home.ledger.is_file():
        raise HomeError(_missing(home))
    return _opened(home, make=False, replaying=replaying)


@contextmanager
def using_database(home: Home) -> Iterator[sa.Engine]:
    """Open the ledgers as `open_database`, and leave no connection open at the end.

    For what is done once in a run: a process that carries out many would keep those of all.
    """
    engine = open_database(home)
    try:
        yield engine
    finally:
        engine.dispose()


def open_unchanged(home: Home) -> sa.Engine:
    """Connect to the ledgers of `home` as `open_database`; an older schema is a ServiceError."""
    if home.settings.database_url is None and not home.ledger.is_file():
        raise HomeError(_missing(home))
    return _opened(home, make=False, upgrade=False)


def create_database(home: Home) -> None:
    """Make the ledgers of `home` where they are missing, else as `open_database`."""
    if home.settings.database_url is None:
        # SQLite would make the file by the umask, readable by others.
        os.close(os.open(home.ledger, os.O_WRONLY | os.O_CREAT, 0o600))
    _opened(home, make=True).dispose()


@contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Commit all or nothing; raises ServiceError, without the database's text, if it fails."""
    try:
        with ExitStack() as begun:
            yield _begin(engine, begun)
    except (sa.exc.SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        if engine.get_execution_options().get(RESTORED) and _is_read_only(error):
            raise HomeError(ONLY_READS) from None
        said = f"the ledger database failed with {type(error).__name__}"
        raise ServiceError(f"{said}: {say_cause(error)}") from None


def _is_read_only(error: Exception) -> bool:
    raised = getattr(error, "orig", None) or error
    code = (getattr(raised, "sqlite_errorcode", None) or 0) & 0xFF
    return code == sqlite3.SQLITE_READONLY or getattr(raised, "sqlstate", None) == "25006"


def _begin(engine: sa.Engine, begun: ExitStack) -> sa.Connection:
    """Begin a transaction, and wait for a server that was there before and is away for a moment."""
    limit = time.monotonic() + PATIENCE * (engine.pool in _reached)
    while True:
        try:
            return begun.enter_context(engine.begin())
        except sa.exc.OperationalError:
            if engine.dialect.name == "sqlite" or time.monotonic() > limit:
                raise
        time.sleep(random.uniform(0.1, 1))  # noqa: S311 - so that not all ask at once


def say_cause(error: Exception) -> str:
    """Say by the code of a database's error what is wrong and what to do; never its text."""
    raised = getattr(error, "orig", None) or error
    state = getattr(raised, "sqlstate", None) or ""
    # SQLite's extended codes hold the plain one in their lowest byte.
    code = (getattr(raised, "sqlite_errorcode", None) or 0) & 0xFF
    cause = CAUSES.get(code or _STATES.get(state) or _STATES.get(state[:2], 0))
    return cause or "is its server away, or its disk full? Nothing was written; run again"


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Read for as long as it takes, all as of one moment, and keep no writer waiting.

    Raises ServiceError as `transaction` does.
    """
    options: dict[str, object] = {READING: True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with transaction(engine.execution_options(**options)) as connection:
        yield connection


def stamp() -> str:
    """Give this moment as the ledgers write it: UTC in ISO 8601, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def overwrite_deleted(engine: sa.Engine) -> None:
    """Take what was deleted out of SQLite's log as well; ServiceError while somebody reads it.

    Nothing on Postgres, where dead rows and the log are its operator's: VACUUM, and the backups.
    """
    if engine.dialect.name != "sqlite":
        return
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (busy, *_) = cursor.fetchone() or (1,)
    finally:
        connection.close()
    if busy:
        raise ServiceError(
            "what was deleted still stands in the log of the ledger database, which another "
            "program reads: end that, then erase again"
        )


def compact_database(engine: sa.Engine) -> None:
    """Write SQLite's file anew without what was deleted; nothing on Postgres, as above."""
    if engine.dialect.name == "sqlite":
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("VACUUM")
    overwrite_deleted(engine)


def _missing(home: Home) -> str:
    return f"{home.ledger} is missing: restore it from a backup (it is the record)"


def _opened(home: Home, *, make: bool, replaying: bool = False, upgrade: bool = True) -> sa.Engine:
    restored = (home.root / RESTORED).is_file() and not replaying
    try:
        engine = _engine(home)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ModuleNotFoundError):
        raise HomeError(
            "database_url in settings.toml names no database that can be used here: correct it, "
            "or install its driver"
        ) from None
    try:
        with transaction(engine) as connection:
            _upgrade(connection, home, make=make, upgrade=upgrade)
    except BaseException:
        engine.dispose()
        raise
    _reached.add(engine.pool)
    return _forbid_writing(engine) if restored else engine


def _engine(home: Home) -> sa.Engine:
    if home.settings.database_url is not None:
        named = home.settings.database_url
        engine = sa.create_engine(named, hide_parameters=True, pool_pre_ping=True)
        if engine.dialect.name == "postgresql":
            sa.event.listen(engine, "connect", _limit_waiting)
        return engine
    url = sa.URL.create("sqlite", database=str(home.ledger))
    engine = sa.create_engine(url, hide_parameters=True)
    sa.event.listen(engine, "connect", _configure)
    sa.event.listen(engine, "begin", _lock)
    return engine


def _configure(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Take transactions over from the driver, which would begin them too late."""
    connection.isolation_level = None
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _forbid_writing(engine: sa.Engine) -> sa.Engine:
    """Let an engine only read: what writes raises HomeError."""
    options: dict[str, object] = {RESTORED: True}
    if engine.dialect.name == "postgresql":
        return engine.execution_options(**options, postgresql_readonly=True)
    engine.dispose()
    sa.event.listen(engine, "connect", _query_only)
    return engine.execution_options(**options)


def _query_only(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA query_only=ON")


def _limit_waiting(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Let Postgres end what waits for a lock for too long."""
    connection.cursor().execute(f"SET lock_timeout = {PATIENCE * 1000:.0f}")
    connection.commit()


def _lock(connection: sa.Connection) -> None:
    """Begin; to write, take the lock, as soon as nobody else has it."""
    if connection.get_execution_options().get(READING):
        connection.exec_driver_sql("BEGIN")
        return
    limit = time.monotonic() + PATIENCE
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        while not _is_begun(connection, last=time.monotonic() > limit):
            time.sleep(random.uniform(0.001, 0.03))  # noqa: S311 - who waits longest asks as often
    finally:
        connection.exec_driver_sql(f"PRAGMA {PRAGMAS[0]}")


def _is_begun(connection: sa.Connection, *, last: bool) -> bool:
    """Try to begin; where another has the lock, raise only what the last try met."""
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except sa.exc.OperationalError as error:
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if last or code not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            raise
        return False
    return True


def _upgrade(connection: sa.Connection, home: Home, *, make: bool, upgrade: bool) -> None:
    """Bring the schema to `SCHEMA`, in the transaction of `connection`.

    An empty database beside what ledgers left in the home is a lost one, and is never made anew.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7846101)"))
    version = None
    if sa.inspect(connection).has_table("alembic_version"):
        version = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    if version == SCHEMA:
        return
    if version is None:
        heads = [path.name for path in sorted(home.root.glob("*-heads.jsonl"))]
        if traces := heads + find_traces(home):
            raise HomeError(
                f"the ledger database is empty, though {' and '.join(traces)} in {home.root} say "
                "that it was not: restore it from a backup, or correct database_url in "
                "settings.toml if that was changed"
            )
        if not make:
            raise HomeError("the ledger database is empty: run tutela init")
    if version is not None and version > SCHEMA:
        raise HomeError(f"the ledger database has schema {version}: use a newer tutela")
    if not upgrade:
        raise ServiceError(
            f"the ledger database has schema {version} of an earlier version, and is left as it "
            "is: run tutela runs, which brings it up to date, then run this again"
        )
    _migrate(connection)


def _migrate(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
