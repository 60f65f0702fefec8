"""Runs taken out of the databases that MLflow and Prefect keep in a home, so that no byte is left.

Their own ways leave rows behind (`mlflow gc` in five tables, Prefect its events and logs), and
SQLite leaves bytes until it is compacted. So rows are removed here by the names of columns, in
whatever table has them, and the file is written anew. Knows their tables, and imports neither.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from expectations.errors import ServiceError

Connection = sqlite3.Connection
PATIENCE: Final = 30.0
"""Seconds for another program to let a database go, as of the ledgers."""
OF_MLFLOW: Final = (
    "run_uuid", "run_id", "source_run_id", "source_id", "destination_id", "model_id", "item_id",
)  # fmt: skip
"""Columns by which MLflow's tables name a run or a logged model."""
OF_PREFECT: Final = ("flow_run_id", "task_run_id")
NUMBERED: Final = "model_versions"
"""Of a version its number stays, so that no other model gets it."""


@contextmanager
def opened(file: Path) -> Iterator[Connection]:
    """Open a database of a home's own store; ServiceError without its text if it fails."""
    try:
        with closing(sqlite3.connect(file, timeout=PATIENCE, isolation_level=None)) as connection:
            connection.execute("PRAGMA secure_delete=ON")
            yield connection
    except sqlite3.Error as error:
        raise ServiceError(
            f"{file} could not be cleared ({type(error).__name__}): end what uses it, then run "
            "tutela maintain again"
        ) from None


def compact(file: Path) -> None:
    """Write a database anew without what was deleted, and empty its log."""
    with opened(file) as connection:
        connection.execute("PRAGMA temp_store=MEMORY")  # no rows in files outside of the home
        connection.execute("VACUUM")
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise ServiceError(
            f"what was deleted still stands in the log of {file}, which another program reads: "
            "end that, then run tutela maintain again"
        )


def find_mlflow_runs(file: Path, runs: Collection[str], tag: str) -> dict[str, str]:
    """Give the ids of MLflow's runs that show runs, by the tag that names those."""
    if not file.is_file():
        return {}
    with opened(file) as connection:
        known = "SELECT run_uuid, value FROM tags WHERE key = ?"
        return {uuid: run for uuid, run in connection.execute(known, [tag]) if run in runs}


def find_aliases(file: Path, shown: Mapping[str, str]) -> dict[str, list[str]]:
    """Give the aliases under which models are in use, by the runs that registered them."""
    query = (
        "SELECT v.run_id, v.name, a.alias FROM model_versions v JOIN registered_model_aliases a "
        "ON a.name = v.name AND a.version = v.version WHERE a.alias <> 'retired'"
    )
    found: dict[str, list[str]] = {}
    with opened(file) as connection:
        for uuid, name, alias in connection.execute(query):
            if uuid in shown:
                found.setdefault(shown[uuid], []).append(f"{name}@{alias}")
    return found


def erase_mlflow(file: Path, artifacts: Path, shown: Collection[str]) -> None:
    """Take MLflow's runs out of its own store: models and files first, so that a kill loses none.

    `artifacts` is the folder in which its files lie, whatever a row says of them.
    """
    with opened(file) as connection:
        models = _find(connection, "logged_models", "model_id", "source_run_id", shown)
        for name in (*shown, *models):
            for folder in (*artifacts.glob(f"*/{name}"), *artifacts.glob(f"*/models/{name}")):
                shutil.rmtree(folder)
        named = (*shown, *models)
        connection.execute("BEGIN IMMEDIATE")
        _retire_versions(connection, shown)
        _erase_named(connection, OF_MLFLOW, named, but=(NUMBERED,))
        _erase(connection, "input_tags", "input_uuid NOT IN (SELECT input_uuid FROM inputs)")
        _erase(connection, "datasets", "dataset_uuid NOT IN (SELECT source_id FROM inputs)")
        connection.execute("COMMIT")


def erase_prefect(file: Path, flow_runs: Mapping[str, str]) -> bool:
    """Take flow runs, each with its run, out of Prefect's database; whether any were there."""
    with opened(file) as connection:
        connection.execute("BEGIN IMMEDIATE")
        tasks = _find(connection, "task_run", "id", "flow_run_id", flow_runs)
        sources = [f"prefect.flow-run.{one}" for one in flow_runs]
        sources += [f"prefect.task-run.{one}" for one in tasks]
        sources += [f"tutela.run.{run}" for run in flow_runs.values()]
        events = _find(connection, "event_resources", "event_id", "resource_id", sources)
        before = connection.total_changes
        _erase_named(connection, OF_PREFECT, (*flow_runs, *tasks))
        _erase_in(connection, "event_resources", "event_id", events)
        for table, ids in (("events", events), ("task_run", tasks), ("flow_run", flow_runs)):
            _erase_in(connection, table, "id", ids)
        connection.execute("COMMIT")
        return connection.total_changes > before


def _retire_versions(connection: Connection, shown: Collection[str]) -> None:
    """Leave of registered versions what MLflow leaves of deleted ones, without what names a run."""
    for name, version in _rows(connection, NUMBERED, "name, version", "run_id", shown):
        of = [name, version]
        for table in ("model_version_tags", "registered_model_aliases"):
            connection.execute(f"DELETE FROM {table} WHERE name = ? AND version = ?", of)  # noqa: S608
        connection.execute(
            "UPDATE model_versions SET current_stage = 'Deleted_Internal', description = NULL, "
            "user_id = NULL, source = NULL, run_id = NULL, run_link = NULL, status_message = NULL, "
            "storage_location = NULL WHERE name = ? AND version = ?",
            of,
        )


def _erase_named(
    connection: Connection, columns: Sequence[str], names: Collection[str], but: Sequence[str] = ()
) -> None:
    """Delete the rows of any table that name one of some things in one of some columns."""
    tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    for (table,) in connection.execute(tables).fetchall():
        there = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
        for column in () if table in but else columns:
            if column in there:
                _erase_in(connection, table, column, names)


def _erase_in(connection: Connection, table: str, column: str, names: Collection[str]) -> None:
    for name in names:
        connection.execute(f'DELETE FROM "{table}" WHERE "{column}" = ?', [name])  # noqa: S608


def _erase(connection: Connection, table: str, where: str) -> None:
    connection.execute(f'DELETE FROM "{table}" WHERE {where}')  # noqa: S608 - our own words


def _find(
    connection: Connection, table: str, wanted: str, column: str, names: Collection[str]
) -> list[str]:
    return [str(found) for (found,) in _rows(connection, table, wanted, column, names)]


def _rows(
    connection: Connection, table: str, wanted: str, column: str, names: Collection[str]
) -> list[tuple[object, ...]]:
    query = f'SELECT DISTINCT {wanted} FROM "{table}" WHERE "{column}" = ?'  # noqa: S608 - our own
    return [row for name in names for row in connection.execute(query, [name]).fetchall()]
