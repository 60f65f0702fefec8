"""Rows of one table about some people, asked by one query of DuckDB.

Parquet files are scanned by DuckDB itself where SQL can give the types that a policy declares;
whatever else is read by its source, and converted by Arrow. The same query is asked of both, and
gives the same. Nothing of a person reaches the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import roughly
from expectations.errors import SourceError
from expectations.expressions.expressions import ColumnType, Expression, parse
from expectations.policy.many_rows import ReadDates, RowsTable, Unit
from expectations.policy.policy import PeopleSource
from tasks.sources import Source, open_source
from tasks.sources.aggregates import AT, INDEX, KNOWN, PERSON, quote
from tasks.sources.conversion import convert
from tasks.sources.fhir.source import FhirSource
from tasks.sources.identity import Identity, identify, match_people
from tasks.sources.moments import read_moments
from tasks.sources.naming import spell
from tasks.sources.parquet_files import ParquetSource
from tasks.sources.scan import (
    can_name,
    write_moment,
    write_names,
    write_scan,
    write_text,
    write_value,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

ENOUGH: Final = 20
"""So many people of whom a table has no row at all are other people's, or named in another way."""
MEMORY: Final = "4GB"
ENDS: Final = "_ends"
ODD: Final = "_odd_"
"""Begins the column that says whether a field is told in an undeclared unit."""
KEYED: Final = Identity()
"""Keys of a database are compared as they are: only identifiers have spellings."""
ROWS, NAMES, PEOPLE, BUSY = "_rows", "_names", "_people", "_busy"
"""The rows as a view, whose they are, the people as a table, and those with too many rows."""
WORDS: Final[Mapping[ColumnType, str]] = {
    ColumnType.NUMBER: "DOUBLE",
    ColumnType.INTEGER: "BIGINT",
    ColumnType.TEXT: "VARCHAR",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.DATE: "DATE",
}
"""How DuckDB names the type of a value."""
Asking: TypeAlias = "Callable[[Mapping[str, str]], Sequence[str]]"
"""Given the columns for conditions, queries over `ROWS`; the first that holds all figures counts.
"""


class TooMuchError(SourceError):
    """More memory would be needed than DuckDB may take."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"{place}: to take its rows together needs more than {MEMORY} of memory; say `most:`, "
            "or make fewer columns of it"
        )


def name_unit(name: str) -> str:
    """Give the column of rows that holds a field's unit."""
    return f"_unit_{name}"


def name_odd(name: str) -> str:
    """Give the column of rows that says whether a field is told in an undeclared unit."""
    return f"{ODD}{name}"


def list_read(
    source: PeopleSource, table: RowsTable, conditions: Sequence[str], values: Sequence[str]
) -> tuple[str, ...]:
    """Name the fields that are read for some values and conditions, the table's own among them."""
    types = {name: one.type for name, one in table.fields.items()}
    asked = [*conditions, *([table.where] if table.where else [])]
    read = {c for text in asked for c in parse(text, types, source.code_lists).columns}
    return tuple(dict.fromkeys([*values, *sorted(read)]))


def list_units(table: RowsTable, used: Sequence[str]) -> dict[str, Unit]:
    """Give the units of those of some fields that have one."""
    units = {name: table.fields[name].unit for name in used}
    return {name: unit for name, unit in units.items() if unit}


def list_moments(table: RowsTable) -> dict[str, str]:
    """Name a table's columns of moments, by what they are of a row."""
    said = {AT: table.at, KNOWN: table.known, ENDS: table.until}
    return {name: column for name, column in said.items() if column}


def list_values(table: RowsTable, used: Sequence[str]) -> dict[str, tuple[str, ColumnType]]:
    """Name a table's columns of values, units among them, and the types to give them."""
    values = {name: (table.fields[name].source or name, table.fields[name].type) for name in used}
    units = list_units(table, used).items()
    return values | {name_unit(name): (unit.source, ColumnType.TEXT) for name, unit in units}


def list_columns(person: str, table: RowsTable, used: Sequence[str]) -> tuple[str, ...]:
    """Name the columns that a table is read by for some fields: its own names, each once."""
    values = (column for column, _ in list_values(table, used).values())
    return tuple(dict.fromkeys([person, *list_moments(table).values(), *values]))


def write_rows(  # noqa: PLR0913, PLR0917 - where they are, whose, and what of them
    held: str,
    names: str,
    kinds: Mapping[str, pa.DataType],
    person: str,
    table: RowsTable,
    used: Sequence[str],
) -> str | None:
    """Write the typed rows of a table held as `kinds` say, each joined to its person in `names`.

    None where SQL might give other values than Arrow.
    """
    values, moments = list_values(table, used), list_moments(table)
    if not kinds.keys() >= {*list_columns(person, table, used)} or not can_name(kinds[person]):
        return None
    written = {
        name: write_moment(f"held.{quote(column)}", kinds[column])
        for name, column in moments.items()
    } | {
        name: write_value(f"held.{quote(column)}", kinds[column], declared)
        for name, (column, declared) in values.items()
    }
    if None in written.values():
        return None
    made = "".join(f",\n  {text} AS {quote(name)}" for name, text in written.items())
    return (
        f"SELECT names.* EXCLUDE (name){made}\nFROM {held} held "  # quoted
        f"JOIN {names} names ON held.{quote(person)} = names.name"
    )


def write_units(rows: str, table: RowsTable, used: Sequence[str]) -> str:
    """Write typed rows with fields in their units, and which are told in an undeclared one."""
    odd, fields = "", []
    for name, unit in list_units(table, used).items():
        told = quote(name_unit(name))
        cases = "".join(f" WHEN {write_text(u)} THEN {f!r}" for u, f in unit.factors.items())
        factor = f"(CASE {told}{cases} END)"
        fields.append(f"{quote(name)} * {factor}::DOUBLE AS {quote(name)}")
        odd += f", {quote(name)} IS NOT NULL AND {factor} IS NULL AS {quote(name_odd(name))}"
    replaced = f" REPLACE ({', '.join(fields)})" if fields else ""
    return f"SELECT *{replaced}{odd} FROM ({rows})"  # noqa: S608  # quoted


def sides_of(*, known: bool) -> tuple[str, str]:
    """Say which rows are before the index and were known by then, and which are after it."""
    told = f" AND {KNOWN} < {INDEX}" if known else ""
    return f"{AT} < {INDEX}{told}", f"{AT} > {INDEX}"


def write_most(rows: str, most: int, lot: str, *, known: bool) -> str:
    """Write the latest rows of each person before the index, and the earliest after it.

    Of several at one moment those that come first by `lot` count.
    """
    away = f"CASE WHEN {AT} < {INDEX} THEN -epoch_us({AT}) ELSE epoch_us({AT}) END"
    return (
        f"SELECT * FROM {rows} WHERE {' OR '.join(sides_of(known=known))} "  # noqa: S608  # of our own words
        f"QUALIFY row_number() OVER (PARTITION BY {PERSON}, {AT} < {INDEX} "
        f"ORDER BY {away}, {lot}) <= {most}"
    )


def write_expression(
    text: str, types: Mapping[str, ColumnType], lists: Mapping[str, Sequence[str]]
) -> str:
    """Write an expression over columns of these types as DuckDB is asked for it in a run."""
    import duckdb

    with duckdb.connect() as engine:
        held = ", ".join(f"{quote(name)} {WORDS[kind]}" for name, kind in types.items())
        engine.execute(f"CREATE TABLE typed ({held})")
        expression = parse(text, types, lists).to_narwhals(date.min)
        relation = nw.from_native(engine.table("typed")).select(met=expression).to_native()
        written: str = relation.sql_query()
    return written.strip().removeprefix("SELECT ").removesuffix(' AS "met" FROM "typed"')


@dataclass(frozen=True)
class TableRows:
    """One table of a policy, and the people of whom rows may be read: names, and their index.

    Without an index the rows are all of theirs. `lot` is the key by which rows of one moment are
    drawn; `cut` gets the names of people of whom more rows than `most` are there.
    """

    name: str
    source: PeopleSource
    folder: Path
    people: pa.Array
    index: pa.Array | None = None
    lot: bytes = field(default=b"", repr=False)
    cut: list[pa.Array] = field(default_factory=list, repr=False)

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
        return self.table.person or self.source.joined_by

    @cached_property
    def _opened(self) -> Source:
        return open_source(self.table.location, self.folder)

    @cached_property
    def _names(self) -> tuple[pa.Array, pa.Array]:
        """Give the spellings by which the table names the people, and whose each is, by place.

        The one place where rows find their person.
        """
        identity = KEYED if self.source.key else identify(self.source, self.folder)
        spelled, places = match_people(self._opened, self.person, self.people, identity, self.place)
        return spelled, places.cast(pa.int32())

    def check_names(self) -> None:
        """Refuse a table that names none of so many people; for who found no row of them."""
        if len(self.people) < ENOUGH:
            return
        named = self._opened.read([self.person], where=(self.person, self._names[0]))
        if not named.num_rows:
            raise SourceError(
                f"{self.place}: none of its rows names one of the people who may be read; is "
                f"`{self.person}` the column that names the person, spelled as on the roster?"
            )

    def ask(
        self, write: Asking, conditions: Sequence[str], values: Sequence[str], **others: pa.Table
    ) -> pa.Table:
        """Give what a query makes of the rows, of which it may use some fields and conditions.

        `SourceError` for what does not fit its type, and for sums that are too large.
        """
        kept = [self.table.where] if self.table.where else []
        tests = {text: self._parse(text) for text in dict.fromkeys([*conditions, *kept])}
        used = list_read(self.source, self.table, conditions, values)
        scan = self._write_scan(used)
        for by_scan in (True, False) if scan else (False,):
            rows = scan if by_scan else self._read(used)
            found = self._try(rows, used, tests, others, write)
            if found is not None:
                return found
        raise SourceError(f"{self.place}: a sum of its rows is too large; divide its values")

    def _try(
        self,
        rows: str | pa.Table,
        used: Sequence[str],
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
                for query in write(self._relate(engine, rows, used, tests)):
                    with suppress(duckdb.DataError):
                        return engine.sql(query).to_arrow_table()
            except duckdb.OutOfMemoryException:
                raise TooMuchError(self.place) from None
            except duckdb.Error:
                pass
        return None

    def _relate(
        self,
        engine: DuckDBPyConnection,
        rows: str | pa.Table,
        used: Sequence[str],
        tests: Mapping[str, Expression],
    ) -> dict[str, str]:
        """Make the view `ROWS`; gives its column for each condition."""
        if isinstance(rows, str):
            spelled, places = self._names
            whose = self._index_of(pa.chunked_array([places]))
            engine.register(NAMES, pa.table({"name": spelled, **whose}))
        else:
            engine.register(NAMES, rows)
            rows = NAMES
        relation = engine.sql(write_units(rows, self.table, used))
        if self.source.dates is not None:
            relation = relation.filter(self._write_dates(self.source.dates))
        met = {text: f"_met{number}" for number, text in enumerate(tests)}
        # On any day: a condition does not hang on that of the run.
        more = {met[text]: test.to_narwhals(date.min) for text, test in tests.items()}
        if more:
            relation = nw.from_native(relation).with_columns(**more).to_native()
        if self.table.where:
            relation = relation.filter(met[self.table.where])
        if self.table.until:
            self._check_periods(engine, relation)
        if self.table.most and self.index is not None:
            relation = self._keep_most(engine, relation, self.table.most)
        relation.create_view(ROWS)
        return met

    @staticmethod
    def _write_dates(dates: ReadDates) -> str:
        """Write that a row took place on one of the days that are read."""
        begin, end = (f"DATE {write_text(day)}" for day in (dates.first, dates.last))
        return f"{AT} >= {begin} AND {AT} < {end} + INTERVAL 1 DAY"

    def _check_periods(self, engine: DuckDBPyConnection, relation: DuckDBPyRelation) -> None:
        """Refuse rows that end before they begin, and such that overlap another of their person."""
        relation.create_view("_periods")
        past = f"PARTITION BY {PERSON} ORDER BY {AT}, {ENDS} ROWS BETWEEN UNBOUNDED PRECEDING AND 1"
        asked = engine.sql(
            f"SELECT count(*) FILTER (WHERE {ENDS} < {AT}), "  # noqa: S608  # of our own words
            f"count(*) FILTER (WHERE {AT} < earlier) FROM (SELECT {AT}, {ENDS}, "
            f"max({ENDS}) OVER ({past} PRECEDING) AS earlier FROM _periods)",
        )
        ended, overlapping = asked.fetchall()[0]
        for number, what in ((ended, "end before they begin"), (overlapping, "overlap another")):
            if number:
                raise SourceError(
                    f"{self.place}: the column '{self.table.until}': {roughly(number)} rows {what} "
                    "of the same person; correct them, or remove `until`"
                )

    def _keep_most(
        self, engine: DuckDBPyConnection, relation: DuckDBPyRelation, most: int
    ) -> DuckDBPyRelation:
        """Keep the latest rows of each person before the index, and the earliest after it.

        Of several at one moment a keyed lot decides, for which their order does not count.
        """
        known = self.table.known is not None
        sides = sides_of(known=known)
        counts = ", ".join(f"count(*) FILTER (WHERE {side}) > {most}" for side in sides)
        relation.create_view("_all")
        busy = engine.sql(
            f"SELECT {PERSON} FROM _all GROUP BY {PERSON} HAVING greatest({counts})"  # noqa: S608  # of our own words
        ).to_arrow_table()
        self.cut.append(self.people.take(busy.column(PERSON).combine_chunks()))
        if not busy.num_rows:
            return relation
        engine.register(BUSY, busy)
        held = [name for name in relation.columns if name not in {PERSON, INDEX}]
        told = ", ".join(quote(name) for name in sorted(held))
        lot = f"sha256({write_text(self.lot.hex())} || row({told})::VARCHAR), {told}"
        return engine.sql(
            f"SELECT * FROM _all ANTI JOIN {BUSY} USING ({PERSON}) UNION ALL "  # noqa: S608  # quoted
            + write_most(f"_all SEMI JOIN {BUSY} USING ({PERSON})", most, lot, known=known)
        )

    def _index_of(self, owner: pa.ChunkedArray) -> dict[str, pa.ChunkedArray]:
        """Give the columns that say whose each row or name is, and their index."""
        whose = {PERSON: pc.cast(owner, pa.int32())}
        if self.index is not None:
            whose[INDEX] = pa.chunked_array([self.index]).take(owner)
        return whose

    def _write_scan(self, used: Sequence[str]) -> str | None:
        """Write the rows as a scan of Parquet files; None where Arrow has to read them."""
        source = self._opened
        if not isinstance(source, ParquetSource | FhirSource):
            return None
        files = (
            source.write_scan(list_columns(self.person, self.table, used))
            if isinstance(source, FhirSource)
            else write_scan(source)
        )
        if files is None:
            return None
        kinds = {one.name: one.type for one in source.schema}
        names = write_names(NAMES, kinds[self.person]) if self.person in kinds else NAMES
        return write_rows(files, names, kinds, self.person, self.table, used)

    def _read(self, used: Sequence[str]) -> pa.Table:
        """Read the rows by their source, converted by Arrow."""
        values, moments = list_values(self.table, used), list_moments(self.table)
        columns = list_columns(self.person, self.table, used)
        spelled, places = self._names
        read = self._opened.read(columns, where=(self.person, spelled))
        owner = places.take(pc.index_in(spell(read.column(self.person)), spelled))
        held = pa.table({name: read.column(column) for name, (column, _) in values.items()})
        try:
            held = convert(held, {name: declared for name, (_, declared) in values.items()})
        except SourceError as error:
            raise SourceError(f"{self.place}: {error}") from None
        rows = self._index_of(owner)
        for name, column in moments.items():
            place = f"{self.place}: the column '{column}'"
            rows[name] = read_moments(read.column(column), place, self.source.zone)
        for name, (_, declared) in values.items():
            value = held.column(name)  # a sum with zero, so that there is one zero
            rows[name] = pc.add(value, 0.0) if declared is ColumnType.NUMBER else value
        return pa.table(rows).filter(pc.is_valid(owner))

    def _parse(self, text: str) -> Expression:
        types = {name: one.type for name, one in self.table.fields.items()}
        return parse(text, types, self.source.code_lists)
