"""Where data comes from: one way to read files, databases and the examples, by named columns.

A source knows nothing of the policy. It gives what it is asked for and parses nothing else, in the
source's own types; `conversion` gives the declared types.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from expectations.errors import UsageError
from expectations.policy.locations import (
    LOCATIONS,
    CsvFile,
    ExampleData,
    FhirExport,
    InMemory,
    JsonLines,
    Location,
    ParquetFiles,
    SqlQuery,
    SqlTable,
)
from tasks.sources.source import Part, Source

__all__ = ["Part", "Source", "location_of", "open_source"]


def open_source(location: Location | InMemory, folder: Path, part: Part = "people") -> Source:
    """Give the source at a location, whose relative paths start at `folder`; it reads nothing yet.

    `part` says which table of an example is meant, and is ignored elsewhere. Raises SourceError
    if the example has no such part.
    """
    match location:
        case CsvFile():
            from tasks.sources.csv_file import CsvSource

            return CsvSource(location, folder)
        case JsonLines():
            from tasks.sources.json_lines import JsonSource

            return JsonSource(location, folder)
        case FhirExport():
            from tasks.sources.fhir.source import FhirSource

            return FhirSource(location, folder)
        case ParquetFiles():
            from tasks.sources.parquet_files import ParquetSource

            return ParquetSource(location, folder)
        case SqlTable() | SqlQuery():
            from tasks.sources.sql_table import SqlSource

            return SqlSource(location, folder)
        case ExampleData():
            from tasks.sources.examples import open_example

            return open_example(location.name, part)
        case InMemory():
            from tasks.sources.frame import FrameSource

            return FrameSource(location)
    assert_never(location)


def location_of(text: str) -> Location:
    """Give the location that a command-line argument means: a file, a glob or `URL#table`.

    Raises UsageError for what is neither.
    """
    address, mark, table = text.rpartition("#")
    if "://" in address and mark and table:
        return _sql_table(address, table)
    if "://" not in text:
        suffix = Path(text).suffix.lower()
        for kind, form in LOCATIONS.items():
            if suffix in form.suffixes:
                return form.model_validate({"kind": kind, "path": text, **form.suffixes[suffix]})
    raise UsageError(
        "the source is no .csv, .tsv, .jsonl or .parquet file (or glob of .parquet files) and no "
        "DATABASE-URL#table; name one of these"
    )


def _sql_table(address: str, table: str) -> SqlTable:
    from pydantic import ValidationError

    try:
        return SqlTable(kind="sql", url=address, table=table)
    except ValidationError:
        raise UsageError(
            "the source's address contains a password; put it into the environment and write $NAME"
        ) from None
