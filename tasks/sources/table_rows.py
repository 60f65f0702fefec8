"""Rows of one table about some people, asked by one query of DuckDB.

Parquet files are scanned by DuckDB itself where SQL can give the types that a policy declares;
whatever else is read by its source, and converted by Arrow. The same query is asked of both, and
gives the same. Nothing of a person reaches the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import SourceError
from expectations.expressions.expressions import ColumnType, Expression, parse
from expectations.policy.many_rows import RowsTable
from expectations.policy.policy import PeopleSource
from tasks.sources import Source, open_source
from tasks.sources.aggregates import AT, INDEX, KNOWN, PERSON, quote
from tasks.sources.conversion import convert
from tasks.sources.moments import read_moments
from tasks.sources.naming import spell
from tasks.sources.parquet_files import ParquetSource
from tasks.sources.scan import can_name, write_moment, write_scan, write_value

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ENOUGH: Final = 20
"""So many people of whom a table has no row at all are other people's, or named in another way."""
MEMORY: Final = "4GB"
ROWS, NAMES, PEOPLE = "_rows", "_names", "_people"
"""The rows as a view, whose they are, and the people as a table."""


Asking: TypeAlias = "Callable[[Mapping[str, str]], Sequence[str]]"
"""Given the columns for conditions, queries over `ROWS`; the first that holds all figures counts."""


def match_people(names: pa.ChunkedArray, people: pa.Array, place: str) -> pa.ChunkedArray:
    """Give the place among `people` of each name in a table; missing of who is not among them.

    The one place where rows find their person.
    """
    try:
        return pc.index_in(spell(names), people.cast(pa.large_string()))
    except pa.ArrowException:  # its text may quote a value
        raise SourceError(f"{place}: it must hold text or numbers; name another column") from None


@dataclass(frozen=True)
class TableRows:
    """One table of a policy, and the people of whom rows may be read: names, and their index."""

    name: str
    source: PeopleSource
    folder: Path
    people: pa.Array
    index: pa.Array | None = None

    @property
    def place(self) -> str:
        """Say which table it is, as the policy's path."""
        return f"source.tables.{self.name}"

    @property
    def table(self) -> RowsTable:
        """What the policy says of it."""
        return self.source.tables[self.name]

    @property
    def person(self) -> str:
        """The table's own column that names the person."""
        return self.table.person or self.source.person

    @cached_property
    def _opened(self) -> Source:
        return open_source(self.table.location, self.folder)

    def ask(
        self, write: Asking, conditions: Sequence[str], values: Sequence[str], **others: pa.Table
    ) -> pa.Table:
        """Give what a query makes of the rows, of which it may use some fields and conditions.

        `SourceError` for what does not fit its type, and for sums that are too large.
        """
        tests = {text: self._parse(text) for text in conditions}
        read = sorted(column for test in tests.values() for column in test.columns)
        used = list(dict.fromkeys([*values, *read]))
        scan = self._write_scan(used)
        for by_scan in (True, False) if scan else (False,):
            rows = scan if by_scan else self._read(used)
            if (found := self._try(rows, tests, others, write)) is not None:
                return found
        raise SourceError(f"{self.place}: a sum of its rows is too large; divide its values")

    def _try(
        self,
        rows: str | pa.Table,
        tests: Mapping[str, Expression],
        others: Mapping[str, pa.Table],
        write: Asking,
    ) -> pa.Table | None:
        """Ask once; nothing where a value does not fit, which is no error of DuckDB's to word."""
        import duckdb

        # Nothing of a person may reach the disk in clear.
        with duckdb.connect(config={"temp_directory": "", "memory_limit": MEMORY}) as engine:
            for name, table in others.items():
                engine.register(name, table)
            try:
                for query in write(self._relate(engine, rows, tests)):
                    with suppress(duckdb.DataError):
                        return engine.sql(query).to_arrow_table()
            except duckdb.OutOfMemoryException:
                raise SourceError(
                    f"{self.place}: to take its rows together needs more than {MEMORY} of memory; "
                    "say `most:`, or make fewer columns of it"
                ) from None
            except duckdb.Error:
                pass
        return None

    def _relate(
        self, engine: DuckDBPyConnection, rows: str | pa.Table, tests: Mapping[str, Expression]
    ) -> dict[str, str]:
        """Make the view `ROWS`; gives its column for each condition."""
        if isinstance(rows, str):
            engine.register(NAMES, self._match_names(engine))
            relation = engine.sql(rows)
        else:
            engine.register(NAMES, rows)
            relation = engine.sql(f"SELECT * FROM {NAMES}")  # noqa: S608  # a name of its own
        met = {text: f"_met{number}" for number, text in enumerate(tests)}
        # On any day: a condition does not hang on that of the run.
        more = {met[text]: test.to_narwhals(date.min) for text, test in tests.items()}
        if more:
            relation = nw.from_native(relation).with_columns(**more).to_native()
        relation.create_view(ROWS)
        return met

    def _match_names(self, engine: DuckDBPyConnection) -> pa.Table:
        """Find whose rows may be read: every name in the table, with its place among the people."""
        source = self._opened
        assert isinstance(source, ParquetSource)
        named = f"SELECT DISTINCT {quote(self.person)} AS name FROM {write_scan(source)}"  # noqa: S608  # quoted
        return self._keep(engine.sql(named).to_arrow_table(), "name")

    def _keep(self, table: pa.Table, person: str) -> pa.Table:
        """Keep what is of the people, with their place and index."""
        place = f"{self.place}: the column '{self.person}'"
        owner = pc.cast(match_people(table.column(person), self.people, place), pa.int32())
        if len(self.people) >= ENOUGH and owner.null_count == len(owner):
            raise SourceError(
                f"{self.place}: none of its rows names one of the people who may be read; is "
                f"`{self.person}` the column that names the person, spelled as on the roster?"
            )
        table = table.append_column(PERSON, owner)
        if self.index is not None:
            table = table.append_column(INDEX, pa.chunked_array([self.index]).take(owner))
        return table.filter(pc.is_valid(owner))

    def _write_scan(self, used: Sequence[str]) -> str | None:
        """Write the rows as a scan of Parquet files; None where Arrow has to read them."""
        source, table = self._opened, self.table
        if not isinstance(source, ParquetSource) or not (files := write_scan(source)):
            return None
        there = set(source.columns())
        needed = [self.person, table.at, table.known_at or table.at]
        needed += [table.fields[field].source or field for field in used]
        if there.issuperset(needed) is False or not can_name(source.schema.field(self.person).type):
            return None
        kinds = {name: source.schema.field(name).type for name in needed}
        written = {AT: write_moment(f"held.{quote(table.at)}", kinds[table.at])}
        if known := table.known_at:
            written[KNOWN] = write_moment(f"held.{quote(known)}", kinds[known])
        for field in used:
            name, declared = table.fields[field].source or field, table.fields[field].type
            written[field] = write_value(f"held.{quote(name)}", kinds[name], declared)
        if None in written.values():
            return None
        made = ", ".join(f"{text} AS {quote(name)}" for name, text in written.items())
        return (
            f"SELECT * EXCLUDE name FROM (SELECT {NAMES}.*, {made} FROM {files} held "  # noqa: S608  # quoted
            f"JOIN {NAMES} ON held.{quote(self.person)} = {NAMES}.name)"
        )

    def _read(self, used: Sequence[str]) -> pa.Table:
        """Read the rows by their source, converted by Arrow."""
        table, known = self.table, self.table.known_at or self.table.at
        fields = {field: table.fields[field].source or field for field in used}
        columns = list(dict.fromkeys([self.person, table.at, known, *fields.values()]))
        read = self._opened.read(columns, where=(self.person, self.people))
        held = pa.table({field: read.column(source) for field, source in fields.items()})
        try:
            held = convert(held, {field: table.fields[field].type for field in used})
        except SourceError as error:
            raise SourceError(f"{self.place}: {error}") from None
        for field in used:  # so that there is one zero
            if table.fields[field].type is ColumnType.NUMBER:
                at = held.column_names.index(field)
                held = held.set_column(at, field, pc.add(held.column(field), 0.0))
        at, seen = (
            read_moments(read.column(c), f"{self.place}: the column '{c}'", self.source.zone)
            for c in (table.at, known)
        )
        named = {NAMES: read.column(self.person), AT: at, KNOWN: seen}
        rows = pa.table(named | {name: held.column(name) for name in used})
        return self._keep(rows, NAMES).drop_columns(NAMES)

    def _parse(self, text: str) -> Expression:
        return parse(text, {name: field.type for name, field in self.table.fields.items()})
