"""Where a draft's data are, as the policy will name them, and where the policy goes.

A policy reads relative paths from its own folder, so that files below it move with it; the file of
a database is named by its whole path.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from expectations.errors import ServiceError, UsageError
from expectations.policy.locations import (
    CsvFile,
    FhirExport,
    JsonLines,
    Location,
    ParquetFiles,
    SqlTable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.drafting.codebook import Codebook
    from tasks.sources import Source

FILES: Final = (".csv", ".tsv", ".parquet")
SEPARATORS: Final = (";", "\t", "|")


def open_data(data: str) -> tuple[Location, Source]:
    """Open what the command names; of a file whose header is one column, by its own separator."""
    from deployments.request import location_given
    from tasks.sources import open_source

    location = location_given(data)
    if isinstance(location, JsonLines):
        raise UsageError(
            f"{data}: JSON lines can only be read whole, so no policy reads people from them; give "
            "a .csv or .parquet file, or a database's table"
        )
    source = open_source(location, Path.cwd())
    header = source.columns()
    if isinstance(location, CsvFile) and len(header) == 1:
        for separator in SEPARATORS:
            if separator in header[0]:
                location = location.model_copy(update={"separator": separator})
                return location, open_source(location, Path.cwd())
    return location, source


def open_tables(data: str) -> list[tuple[str, Location, Source]] | None:
    """Open all tables of a folder or a database, by name; None where one table is named.

    `UsageError` where there are none.
    """
    folder = Path(data)
    if "://" not in data and folder.is_dir():
        named = {
            **{path.stem: str(path) for path in sorted(folder.iterdir())
               if path.suffix.lower() in FILES},
            **{path.name: f"{path}/*.parquet" for path in sorted(folder.iterdir())
               if path.is_dir() and any(path.glob("*.parquet"))},
        }  # fmt: skip
        what = "a .csv, .tsv or .parquet file"
    elif "://" in data and "#" not in data:
        named, what = {name: f"{data}#{name}" for name in list_tables(data)}, "a table"
    else:
        return None
    if not named and is_export(data):
        from tasks.drafting.exports import open_views

        return [(name, one.location, one) for name, one in open_views(folder, data)]
    if not named and any(folder.glob("*.json")):
        raise UsageError(
            f"{data} holds .json files and no table; if they are FHIR Bundles, take them apart "
            "into files with one resource on each line: docs/fhir.md says how"
        )
    if not named:
        raise UsageError(f"{data} holds not even {what}; name another")
    return [(name, *open_data(one)) for name, one in named.items()]


def is_export(data: str) -> bool:
    """Say whether a folder holds a FHIR export, and no tables beside it."""
    from tasks.sources.fhir.export import MANIFEST

    if "://" in data or not Path(data).is_dir():
        return False
    files = [*Path(data).iterdir()]
    tables = any(file.suffix.lower() in FILES for file in files)
    return not tables and any(f.suffix == ".ndjson" or f.name == MANIFEST for f in files)


def list_tables(url: str) -> list[str]:
    """Name the tables and views of a database; what its driver says may quote, and is not shown."""
    from deployments.request import location_given
    from tasks.sources.sql_table import SqlSource

    location = location_given(f"{url}#any")
    assert isinstance(location, SqlTable)
    return SqlSource(location, Path.cwd()).list_tables()


def find_declared(file: str, columns: Sequence[str]) -> Codebook:
    """Read a codebook, which must describe a column of the table; else it is of another one."""
    from tasks.drafting.codebook import read_codebook

    codebook = read_codebook(Path(file))
    if codebook.keys().isdisjoint(columns):
        raise UsageError(
            f"{file} describes none of the table's columns: it names {', '.join([*codebook][:5])}"
            f"{' and others' * (len(codebook) > 5)}; give this table's codebook"
        )
    return codebook


def beside_tables(data: str) -> Path:
    """Give the file beside several tables that is named as their folder or database."""
    if "://" in data:
        return Path.cwd() / f"{name_policy(Path(data).stem)}.yaml"
    folder = Path(data).absolute()
    where = folder.parent if is_export(data) else folder
    return where / f"{name_policy(folder.name)}.yaml"


def free_place(location: Location | Path, to: str) -> Path:
    """Give the file to write, beside the data or where `--to` says; `UsageError` if it is there."""
    here = location if isinstance(location, Path) else beside(location)
    place = Path(to).absolute() if to else here
    if place.exists():
        raise UsageError(
            f"{place} exists already and was not changed; write to another file with --to FILE, "
            "or move it away"
        )
    if not place.parent.is_dir():
        raise UsageError(f"{place.parent} is not a folder; make it first")
    return place


def beside(location: Location) -> Path:
    """Give the file beside the data that is named as they are."""
    match location:
        case CsvFile(path=path) | ParquetFiles(path=path):
            folder = next(p for p in Path(path).parents if "*" not in str(p))
            return folder / f"{Path(path).stem.replace('*', '') or 'people'}.yaml"
        case SqlTable(table=table):
            return Path.cwd() / f"{name_policy(table)}.yaml"
        case _:
            return Path.cwd() / "draft.yaml"


def name_policy(stem: str) -> str:
    """Give a policy's name after a file's or table's: small letters, digits and `-`."""
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40].strip("-")
    name = name if name[:1].isalpha() else f"table-{name}".strip("-")[:40].strip("-")
    return name if len(name) > 2 else f"{name}-table"


def seen_from(location: Location, folder: Path) -> Location:
    """Give the location as a policy in `folder` names it: files below it by a relative path."""
    if isinstance(location, SqlTable):
        return location
    path = Path(getattr(location, "path", ""))
    if isinstance(location, FhirExport):  # on the policy's own calendar
        location = location.model_copy(update={"zone": None})
    if path.is_relative_to(folder):
        return location.model_copy(update={"path": path.relative_to(folder).as_posix()})
    return location


def write_new(place: Path, text: str) -> None:
    """Write a file that is not there; never over one that came meanwhile."""
    try:
        with place.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(
            f"{place} was made by another process; nothing was written; use --to FILE"
        ) from None
    except OSError as error:
        raise ServiceError(f"{place} cannot be written ({error.strerror}); use --to FILE") from None


def shorten(place: Path) -> str:
    """Give a path as one types it from here."""
    return str(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place)
