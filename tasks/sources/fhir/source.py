"""One table of an export: the rows that a view makes of its resources, in types of a table.

A date of which only the year or the month is known counts from its last day: later than it was,
never earlier, so that nothing is known too soon.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import SourceError
from expectations.policy.hierarchy_files import UnreadableError
from expectations.policy.locations import FhirExport
from expectations.policy.view_files import read_definition
from tasks.sources.aggregates import quote
from tasks.sources.fhir.compilation import MARK
from tasks.sources.fhir.export import Export, write_deleted, write_resources
from tasks.sources.fhir.views import WHOLE, View, ViewError, keep_columns, read_view
from tasks.sources.naming import spell
from tasks.sources.scan import write_text
from tasks.sources.source import pick_columns

MOMENTS: Final = frozenset(("dateTime", "instant"))
NO_ZONE: Final = "moments have an offset from UTC"
MEMORY: Final = "4GB"
_TYPES: Final = {"n": pa.float64(), "decimal": pa.float64(), "b": pa.bool_(),
                 "boolean": pa.bool_(), "date": pa.date32()}  # fmt: skip


@dataclass(frozen=True)
class FhirSource:
    """What a view makes of an export; a relative path starts at `folder`."""

    location: FhirExport
    folder: Path

    @property
    def _place(self) -> str:
        return f"{self.location.path}: {self.location.view}"

    @cached_property
    def view(self) -> View:
        """The view; SourceError where it is none, or says what is not known here."""
        try:
            return read_view(self._definition)
        except (UnreadableError, ViewError) as error:
            raise SourceError(f"{self._place}: {error}") from None

    @cached_property
    def _definition(self) -> dict[str, Any]:
        location = self.location
        text = location.definition or read_definition(location.view, self.folder)
        said: dict[str, Any] = json.loads(text)
        return said

    def narrow(self, columns: Iterable[str]) -> View:
        """Give the view of some columns, which reads no element that only others need."""
        kept = {*columns} & self.view.columns.keys()
        return read_view(keep_columns(self._definition, kept)) if kept else self.view

    @cached_property
    def _export(self) -> Export:
        return Export(self.folder / self.location.path, self.location.path)

    @cached_property
    def schema(self) -> pa.Schema:
        """Give the columns and their types."""
        return pa.schema([(name, _type_of(kind)) for name, kind in self.view.columns.items()])

    def columns(self) -> tuple[str, ...]:
        """Give the view's columns; looks at the first lines of the files."""
        self._export.files(self.view.resource)
        return tuple(self.view.columns)

    def write_scan(self, columns: Iterable[str]) -> str:
        """Write some columns of the table as a query of SQL."""
        view, export = self.narrow(columns), self._export
        needed = {name: one.write() for name, one in view.need.parts.items()}
        held = write_resources(export.files(view.resource), needed)
        kept = f'"resourceType" = {write_text(view.resource)}'
        if deleted := export.deleted():
            kept += f" AND id NOT IN ({write_deleted(deleted, view.resource)})"
        held = f"(SELECT * FROM {held} WHERE {kept})"  # noqa: S608  # quoted
        made = ", ".join(
            f"{self._convert(quote(name), kind)} AS {quote(name)}"
            for name, kind in view.columns.items()
        )
        return f"(SELECT {made} FROM ({view.write(held)}))"  # noqa: S608  # quoted

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns of all rows or of those whose `where` column is among."""
        wanted = [*columns] if where is None else [*columns, where[0]]
        picked = pick_columns(wanted, self.columns(), self._place)
        if not picked:
            return pa.table({})
        listed = ", ".join(map(quote, picked))
        query = f"SELECT {listed} FROM {self.write_scan(picked)}"  # noqa: S608  # quoted
        if where is not None and self.schema.field(where[0]).type == pa.string():
            query += f" WHERE {quote(where[0])} IN (SELECT name FROM _wanted)"  # noqa: S608  # quoted
        table = self._ask(query, picked, pa.table({"name": where[1]}) if where else None)
        if where is not None:
            values = pc.drop_null(where[1].cast(pa.large_string()))
            table = table.filter(pc.is_in(spell(table.column(where[0])), values))
        return table.select(list(dict.fromkeys(columns)))

    def read_distinct(self, column: str) -> tuple[pa.Array, int]:
        """Read the different values of a column, holding each once, and count rows without one."""
        pick_columns([column], self.columns(), self._place)
        name = quote(column)
        query = f"SELECT {name}, count(*) AS rows FROM {self.write_scan([column])} GROUP BY {name}"  # noqa: S608  # quoted
        found = self._ask(query, [column])
        values, rows = found.column(0).combine_chunks(), found.column(1)
        return values, pc.sum(rows.filter(pc.is_null(values))).as_py() or 0

    def begin(self) -> str:
        """Say in which file and line the view's resources begin."""
        return f"{self._export.files(self.view.resource)[0].name}, line 1"

    def _ask(self, query: str, columns: Sequence[str], wanted: pa.Table | None = None) -> pa.Table:
        """Ask about some columns of the view; SourceError says what is wrong with them."""
        import duckdb

        # Nothing of a person may reach the disk in clear.
        with duckdb.connect(config={"temp_directory": "", "memory_limit": MEMORY}) as engine:
            if wanted is not None:
                engine.register("_wanted", wanted)
            try:
                found = engine.sql(query).to_arrow_table()
            except duckdb.OutOfMemoryException:
                raise SourceError(
                    f"{self._place}: more than {MEMORY} of memory would be needed; read it as a "
                    "table with many rows a person"
                ) from None
            except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException):
                raise SourceError(
                    f"{self._place}: the view cannot be carried out here; simplify its paths"
                ) from None
            except duckdb.Error as error:
                fault = str(error)
            else:
                named = [
                    self.schema.field(one.name) if one.name in self.view.columns else one
                    for one in found.schema
                ]
                return found.cast(pa.schema(named))
        raise self._explain(fault, columns)

    def _explain(self, fault: str, columns: Sequence[str]) -> SourceError:
        """Say why a query failed, without the values that the engine's own words may hold."""
        if NO_ZONE in fault:
            return SourceError(
                f"{self._place}: its {NO_ZONE}, and the policy does not say on which calendar "
                "days are counted; add `zone: Europe/Berlin`, or UTC, under source"
            )
        if MARK in fault:
            what = fault.partition(MARK)[2].partition("\n")[0]
            return SourceError(f"{self._place}: a resource has {what}; correct the view")
        for file in self._export.files(self.view.resource):
            self._export.check(file, self.view.resource)
        named = " and ".join(f"`{name}`" for name in columns if not self._is_readable(name))
        return SourceError(
            f"{self._place}: a value of {named or 'its columns'} cannot be read as the date or "
            "number that the view says; correct it in the export, or leave the column out"
        )

    def _is_readable(self, column: str) -> bool:
        """Say whether all values of a column are of its type; reads all of them again."""
        import duckdb

        with duckdb.connect(config={"temp_directory": "", "memory_limit": MEMORY}) as engine:
            try:
                engine.execute(f"SELECT count({quote(column)}) FROM {self.write_scan([column])}")  # noqa: S608  # quoted
            except duckdb.Error:
                return False
        return True

    def _convert(self, name: str, kind: str) -> str:
        """Write a column of the view in the type that a table has."""
        if kind != "date" and kind not in MOMENTS:
            return name
        whole = (
            f"CASE coalesce(length({name}), 0) WHEN 4 THEN ({name} || '-12-31')::TIMESTAMP "
            f"WHEN 7 THEN last_day(({name} || '-01')::DATE)::TIMESTAMP "
            f"WHEN 10 THEN {name}::TIMESTAMP "
        )
        if kind == "date":
            return f"({whole} WHEN 0 THEN NULL ELSE error('no date')::TIMESTAMP END)::DATE"
        zone = self.location.zone
        there = (
            f"timezone({write_text(zone)}, {name}::TIMESTAMPTZ)"
            if zone
            else f"error({write_text(NO_ZONE)})::TIMESTAMP"
        )
        offset = f"ends_with({name}, 'Z') OR substring({name}, 20) LIKE '%+%' OR "
        offset += f"substring({name}, 20) LIKE '%-%'"
        return f"{whole} ELSE CASE WHEN {offset} THEN {there} ELSE {name}::TIMESTAMP END END"


def _type_of(kind: str) -> pa.DataType:
    if kind == "collection":
        return pa.list_(pa.string())
    if kind in MOMENTS:
        return pa.timestamp("us")
    if kind in WHOLE:
        return pa.int64()
    return _TYPES.get(kind, pa.string())
