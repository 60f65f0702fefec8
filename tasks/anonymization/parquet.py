"""k-anonymity from Parquet to Parquet, for tables that need not fit into memory.

DuckDB counts the distinct combinations of quasi-identifiers, a plan is fitted on those counts, and
DuckDB puts its labels in their place. Only the distinct combinations are ever held in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from expectations.errors import UsageError
from tasks.anonymization.fitting import Asked, fit_rows
from tasks.anonymization.loss import PEOPLE, Measures, measure
from tasks.anonymization.plan import Plan
from tasks.anonymization.recoding import name_hierarchies

if TYPE_CHECKING:
    import pandas as pd
    from duckdb import DuckDBPyConnection

    from tasks.anonymization.hierarchies import Hierarchy

SOURCE, COUNTED, LABELS, NUMBER = "_source", "_counted", "_labels", "_number"


@dataclass(frozen=True)
class Written:
    """What a recoding of a file reached, and the plan that made it."""

    measures: Measures
    plan: Plan


def anonymize_parquet(
    source: str | Path,
    target: str | Path,
    quasi_identifiers: Sequence[str],
    asked: Asked,
    hierarchies: Mapping[str, Hierarchy | pd.DataFrame | str | Path] | None = None,
) -> Written:
    """Write `source` to `target` with its quasi-identifiers generalized; see `k_anonymize`.

    `source` is a Parquet file or a pattern of them. Other columns stay as they are. The order of
    rows is not kept: it may tell who is who. Raises `UsageError` for what cannot be meant or read,
    `Refusal` when what is asked cannot be reached; then nothing is written.
    """
    with duckdb.connect() as engine:
        columns = [*quasi_identifiers, *asked.sensitive]
        empty = _open(engine, source)
        asked.check_names(empty, quasi_identifiers)
        counted = _count(engine, columns)
        found = name_hierarchies(counted, quasi_identifiers, hierarchies or {})
        fitted = fit_rows(counted, found, asked)
        released = fitted.plan.release(counted, fitted.place[fitted.tuple])
        _write(engine, released[[NUMBER, *quasi_identifiers]], columns, Path(target))
    measures = measure(released, counted, found, fitted.plan.members)
    return Written(measures, fitted.plan)


def _open(engine: DuckDBPyConnection, source: str | Path) -> pd.DataFrame:
    """Open the file as a view; give its columns, without rows."""
    try:
        engine.read_parquet(str(source)).create_view(SOURCE)
    except duckdb.Error as error:
        raise UsageError(
            f"k-anonymity: {source} cannot be read as Parquet ({type(error).__name__}); name a "
            "Parquet file or a pattern of them"
        ) from None
    empty: pd.DataFrame = engine.table(SOURCE).limit(0).df()
    return empty


def _count(engine: DuckDBPyConnection, columns: Sequence[str]) -> pd.DataFrame:
    """Count the people of each distinct combination, and number the combinations."""
    names = ", ".join(map(_quote, columns))
    engine.execute(
        f"CREATE TEMP TABLE {COUNTED} AS SELECT row_number() OVER () AS {NUMBER}, * FROM "  # noqa: S608  # names are quoted
        f"(SELECT {names}, count(*) AS {PEOPLE} FROM {SOURCE} GROUP BY ALL)"
    )
    counted: pd.DataFrame = engine.table(COUNTED).df()
    return counted


def _write(
    engine: DuckDBPyConnection, labels: pd.DataFrame, columns: Sequence[str], target: Path
) -> None:
    """Put each combination's labels into its rows; rows whose combination has none are absent."""
    same = " AND ".join(f"s.{_quote(c)} IS NOT DISTINCT FROM c.{_quote(c)}" for c in columns)
    shown = ", ".join(
        f"l.{_quote(column)}::VARCHAR AS {_quote(column)}" for column in labels.columns.drop(NUMBER)
    )
    engine.register(LABELS, labels)
    making = target.with_name(f".{target.name}.making")
    engine.sql(
        f"SELECT s.* REPLACE ({shown}) FROM {SOURCE} s JOIN {COUNTED} c ON {same} "  # noqa: S608  # names are quoted
        f"JOIN {LABELS} l USING ({NUMBER})"
    ).write_parquet(str(making))
    making.replace(target)


def _quote(name: str) -> str:
    """Quote a column's name as SQL does."""
    return '"' + name.replace('"', '""') + '"'
