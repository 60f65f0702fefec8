"""k-anonymity from Parquet to Parquet, for tables that need not fit into memory.

DuckDB counts the distinct combinations of quasi-identifiers, a plan is fitted on those counts, and
DuckDB puts its labels in their place. Only the distinct combinations are ever held in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from expectations.errors import UsageError
from tasks.anonymization.fitting import Asked, fit_rows
from tasks.anonymization.loss import PEOPLE, Measures, measure
from tasks.anonymization.plan import Plan
from tasks.anonymization.recoding import Hierarchies, name_hierarchies

if TYPE_CHECKING:
    import pandas as pd
    from duckdb import DuckDBPyConnection


SOURCE, COUNTED, LABELS, NUMBER = "_source", "_counted", "_labels", "_number"
RESERVED = frozenset((SOURCE, COUNTED, LABELS, NUMBER, PEOPLE))


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
    hierarchies: Hierarchies | None = None,
) -> Written:
    """Write `source` to `target` with its quasi-identifiers generalized; see `k_anonymize`.

    `source` is a Parquet file or a pattern of them. Other columns stay as they are; rows are
    shuffled, since their order may tell who is who. Raises `UsageError` for what cannot be meant or
    read, `Refusal` when what is asked cannot be reached; then nothing is written.
    """
    if Path(source).resolve() == Path(target).resolve():
        raise UsageError(f"k-anonymity: {target} is the source itself; name another file")
    making = Path(target).with_name(f".{Path(target).name}.making")
    try:
        with duckdb.connect() as engine:
            written, labels = _recode(engine, source, quasi_identifiers, asked, hierarchies or {})
            _write(engine, labels, [*quasi_identifiers, *asked.sensitive], making)
        making.replace(target)
    except duckdb.Error as error:
        # Its text may quote a value.
        raise UsageError(
            f"k-anonymity: {source} cannot be read as Parquet, or {target} not be written "
            f"({type(error).__name__}); name a Parquet file, or a pattern of files with the same "
            "columns, and a folder with room"
        ) from None
    finally:
        making.unlink(missing_ok=True)
    return written


def _recode(
    engine: DuckDBPyConnection,
    source: str | Path,
    quasi_identifiers: Sequence[str],
    asked: Asked,
    hierarchies: Hierarchies,
) -> tuple[Written, pd.DataFrame]:
    """Fit a plan on the file's counts; also give each combination's labels, by its number."""
    empty = _open(engine, source)
    asked.check_names(empty, quasi_identifiers)
    counted = _count(engine, [*quasi_identifiers, *asked.sensitive])
    found = name_hierarchies(counted, quasi_identifiers, hierarchies)
    fitted = fit_rows(counted, found, asked)
    released = fitted.plan.release(counted, fitted.place[fitted.tuple])
    measures = measure(released, counted, found, fitted.plan.members)
    return Written(measures, fitted.plan), released[[NUMBER, *quasi_identifiers]]


def _open(engine: DuckDBPyConnection, source: str | Path) -> pd.DataFrame:
    """Open the file as a view; give its columns, without rows."""
    engine.read_parquet(str(source)).create_view(SOURCE)
    empty: pd.DataFrame = engine.table(SOURCE).limit(0).df()
    if taken := [column for column in empty.columns if column.casefold() in RESERVED]:
        raise UsageError(
            f"k-anonymity: rename {', '.join(map(repr, taken))}: the recoding itself uses columns "
            "of these names"
        )
    return empty


def _count(engine: DuckDBPyConnection, columns: Sequence[str]) -> pd.DataFrame:
    """Count the people of each distinct combination, and number the combinations."""
    names = ", ".join(map(_quote, columns))
    engine.execute(
        f"CREATE TEMP TABLE {COUNTED} AS SELECT row_number() OVER () AS {NUMBER}, * FROM "  # noqa: S608  # names are quoted
        f"(SELECT {names}, count(*) AS {PEOPLE} FROM {SOURCE} GROUP BY ALL)"
    )
    table = engine.table(COUNTED)
    exact = [
        f"{_quote(name)}::VARCHAR AS {_quote(name)}"
        for name, kind in zip(table.columns, table.types, strict=True)
        if str(kind).startswith("DECIMAL")
    ]
    # As floats, decimals would lose the zeros that a hierarchy spells.
    shown = table.select(f"* REPLACE ({', '.join(exact)})") if exact else table
    counted: pd.DataFrame = shown.df()
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
    engine.sql(
        f"SELECT s.* REPLACE ({shown}) FROM {SOURCE} s JOIN {COUNTED} c ON {same} "  # noqa: S608  # names are quoted
        f"JOIN {LABELS} l USING ({NUMBER}) ORDER BY random()"
    ).write_parquet(str(target))


def _quote(name: str) -> str:
    """Quote a column's name as SQL does."""
    return '"' + name.replace('"', '""') + '"'
