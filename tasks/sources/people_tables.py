"""A roster and further tables about its people, read as one table with one row a person.

Only rows of the people who are asked for are read. Whoever reads sees one source; what is made of
many rows are columns of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import roughly
from expectations.errors import Problem, SourceError, suggest
from expectations.expressions.expressions import ColumnType
from expectations.policy.locations import (
    CsvFile,
    JsonLines,
    ParquetFiles,
    SqlTable,
    name_location,
)
from expectations.policy.many_rows import FollowUp, FromRows, Index, RowsTable
from expectations.policy.policy import PeopleSource
from tasks.sources import Source, open_source
from tasks.sources.aggregates import AT, INDEX, NUMBER, PERSON, UNTIL, Query, conditions, fields
from tasks.sources.concept_sets import resolve_concept_sets
from tasks.sources.fhir.source import FhirSource
from tasks.sources.moments import MOMENT, read_moments
from tasks.sources.naming import spell
from tasks.sources.table_rows import (
    ENDS,
    ENOUGH,
    ODD,
    PEOPLE,
    ROWS,
    TableRows,
    TooMuchError,
    list_read,
    list_units,
    name_odd,
)

ROWS_EACH: Final = 10_000
"""More rows of one person are rather a mistake, unless the policy says how many count."""
NUMBERS: Final = frozenset((ColumnType.INTEGER, ColumnType.NUMBER))
FEW: Final = 1_000
"""So many people are taken together whatever memory that needs."""
CUT: Final = "people.cut."
"""Begins the count of people of whom not all rows of a table, or values of a field, counted."""
ALWAYS: Final = 2**62
"""Until when it is known what came to somebody to whom nothing can come; in microseconds."""
State: TypeAlias = tuple[tuple[str, int, int], ...]


def list_by_hand(table: RowsTable, column: str) -> str:
    """Give a line that counts a column's values where the data are; it names places alone."""
    match table.location:
        case CsvFile(separator=separator, encoding=encoding):
            said = f", sep={separator!r}" if separator != "," else ""
            read = f"read_csv({_quote(table)}{said}, dtype=str, encoding={encoding!r})"
        case JsonLines():
            read = f"read_json({_quote(table)}, lines=True)"
        case ParquetFiles(path=path) if "*" not in path:
            read = f"read_parquet({_quote(table)})"
        case SqlTable(table=name):
            return f"count the values of '{column}' in the table {name} of your database, by SQL"
        case _:
            return f"count the values of '{column}' by a tool of your own"
    counted = f"print(pandas.{read}[{column!r}].value_counts(dropna=False))"
    return f'`python -c "import pandas; {counted}"`, where the file is'


def _quote(table: RowsTable) -> str:
    return repr(name_location(table.location))


@dataclass(frozen=True)
class PeopleTables:
    """The people of a policy with several tables: `made` is what each further column takes.

    `lot` is the key by which rows of one moment are drawn where too many are there.
    """

    source: PeopleSource
    made: Mapping[str, FromRows]
    folder: Path
    lot: bytes = field(default=b"", repr=False)
    _told: dict[str, list[pa.Array]] = field(default_factory=dict, repr=False)
    _states: dict[str, State] = field(default_factory=dict, repr=False)

    @cached_property
    def resolved(self) -> PeopleSource:
        """What the policy says of its tables, with the codes that its concept sets stand for."""
        return resolve_concept_sets(self.source, self.folder)

    @cached_property
    def roster(self) -> Source:
        """The table with one row a person."""
        return open_source(self.source.location, self.folder)

    def columns(self) -> tuple[str, ...]:
        """Give the roster's columns, and those that are made of rows."""
        return (*self.roster.columns(), *self.made)

    @property
    def told(self) -> dict[str, int]:
        """Count the people of whom not all rows counted, by what and where, in all readings."""
        return {
            name: len(pc.unique(pa.chunked_array(people, pa.large_string())))
            for name, people in self._told.items()
        }

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns in the roster's order of people; see `Source`."""
        made = {name: self.made[name] for name in columns if name in self.made}
        own = [name for name in columns if name not in made]
        if not made:
            return self.roster.read(own, where=where)
        dated = [one.column for one in self._moments if one and one.column]
        key = self.source.joined_by
        needed = list(dict.fromkeys([*own, self.source.person, key, *dated]))
        read = self.roster.read(needed, where=where)
        keys = read.select(list(dict.fromkeys([self.source.person, key])))
        people = spell(read.column(key)).combine_chunks()
        index = self._find_index(read, people)
        until = self._find_end(read, people, index)
        for table in self.source.tables:
            asked = {name: take for name, take in made.items() if take.of == table}
            if asked:
                rows = self._open(table, people, index)
                found = take_together(rows, until, asked)
                self._check(rows, found)
                read = _append(read, found.select([*asked]))
        if self.source.key and _changed(keys, self.roster.read(keys.column_names, where=where)):
            raise SourceError(
                f"source.key: the column '{key}' changed while tables were read by it, so that "
                "rows may be other people's; run again when nothing is loaded"
            )
        days = pc.cast(index, pa.date32(), safe=False)
        read = _append(read, pa.table({n: days for n, t in made.items() if t.take == "index"}))
        return read.select(list(columns))

    def _open(self, table: str, people: pa.Array, index: pa.Array | None = None) -> TableRows:
        """Give a table's rows about some people; notes how its files are."""
        most = self.source.tables[table].most
        cut = self._told.setdefault(f"{CUT}{table}", []) if most else []
        rows = TableRows(table, self.resolved, self.folder, people, index, self.lot, cut)
        self._states.setdefault(table, _find_state(rows, self.folder))
        return rows

    def _check(self, rows: TableRows, found: pa.Table) -> None:
        """Hold what was taken against what a table of such rows is expected to be."""
        if _find_state(rows, self.folder) != self._states[rows.name]:
            raise SourceError(
                f"{rows.place}: the table changed while it was read; run again when nothing "
                "writes to it"
            )
        for name in (one for one in found.column_names if one.startswith(ODD)):
            self._check_unit(rows, name.removeprefix(ODD), rows.people.filter(found.column(name)))
        indexed = len(rows.people) - rows.index.null_count if rows.index is not None else 0
        most = pc.max(found.column(NUMBER)).as_py()
        if indexed >= ENOUGH and not most:
            rows.check_names()
            raise SourceError(
                f"{rows.place}: no row of anybody is in a window around their index; is "
                f"`{rows.table.at}` when rows took place, and the index what is meant?"
            )
        if rows.table.most is None and (most or 0) > ROWS_EACH:
            raise SourceError(
                f"{rows.place}: somebody has more than {ROWS_EACH:,} rows; is `{rows.person}` the "
                "person? If so, say by `most:` how many count"
            )

    def _check_unit(self, rows: TableRows, name: str, whose: pa.Array) -> None:
        """Refuse values in undeclared units, or count whose are left out."""
        unit = rows.table.fields[name].unit
        assert unit is not None, "such a column is made of units alone"
        if len(whose) and unit.undeclared == "refuse":
            raise SourceError(
                f"{rows.place}: the column '{unit.source}': {roughly(len(whose))} people have a "
                f"value of `{name}` in a unit that has no factor. List the units on your own "
                f"machine, since tutela shows no value: {list_by_hand(rows.table, unit.source)}. "
                "Then add the factor, or say `undeclared: leave-out`"
            )
        self._told.setdefault(f"{CUT}{rows.name}.{name}", []).append(whose)

    @property
    def _moments(self) -> tuple[Index | None, FollowUp | None]:
        return self.source.index, self.source.followed_until

    def _find_end(self, read: pa.Table, people: pa.Array, index: pa.Array) -> pa.Array:
        """Give until when each person was observed, missing where that is not known."""
        until = self.source.followed_until
        if until is None:
            return pa.nulls(read.num_rows, MOMENT)
        if until.periods is None:
            return self._read_moment(read, until)
        held = f"{AT}::DATE <= {INDEX}::DATE AND {INDEX}::DATE <= {ENDS}::DATE"  # of whole days
        end = self._take_of_rows(until.periods, people, index, f"max({ENDS})", held)
        if until.closed_by is None:
            return end
        closed = self._take_of_rows(until.closed_by, people, index, f"min({AT})", f"{AT} > {INDEX}")
        before = pc.less_equal(
            pc.cast(closed, pa.date32(), safe=False), pc.cast(end, pa.date32(), safe=False)
        )
        return pc.if_else(pc.fill_null(before, False), pa.scalar(ALWAYS, MOMENT), end)

    def _take_of_rows(
        self, table: str, people: pa.Array, index: pa.Array, taken: str, where: str
    ) -> pa.Array:
        """Give one moment of each person's rows, missing where no row meets the condition."""
        rows = self._open(table, people, index)
        query = f"SELECT {PERSON}, {taken} AS {AT} FROM {ROWS} WHERE {where} GROUP BY {PERSON}"  # noqa: S608  # of our own words
        found = rows.ask(lambda _: (query,), (), ())
        places = pc.index_in(_places(len(people)), found.column(PERSON))
        return found.column(AT).combine_chunks().take(places)

    def _read_moment(self, read: pa.Table, said: Index | FollowUp) -> pa.Array:
        """Give a day of the policy, or the moments of a column of the roster."""
        if said.date is not None:
            day = pa.scalar(date.fromisoformat(said.date), pa.date32()).cast(MOMENT)
            return pa.repeat(day, read.num_rows)
        assert said.column is not None, "coherence asks for one or the other"
        place = f"source: the column '{said.column}'"
        found = read_moments(read.column(said.column), place, self.source.zone)
        return found.combine_chunks()

    def _find_index(self, read: pa.Table, people: pa.Array) -> pa.Array:
        """Give the index of each person, missing where there is none."""
        index = self.source.index
        assert index is not None, "coherence asks for it"
        if index.first is None:
            return self._read_moment(read, index)
        rows = self._open(index.first, people)

        def write(met: Mapping[str, str]) -> tuple[str]:
            where = f"WHERE {met[index.where]}" if index.where else ""
            return (f"SELECT {PERSON}, min({AT}) AS {AT} FROM {ROWS} {where} GROUP BY {PERSON}",)  # noqa: S608  # of our own words

        first = rows.ask(write, (index.where,) if index.where else (), ())
        if len(people) >= ENOUGH and not first.num_rows:
            rows.check_names()
            what = "meets its condition" if index.where else "has a moment"
            raise SourceError(f"source.index: no row of `{index.first}` {what}; correct it")
        places = pc.index_in(_places(len(people)), first.column(PERSON))
        return first.column(AT).combine_chunks().take(places)


def take_together(rows: TableRows, until: pa.Array, asked: Mapping[str, FromRows]) -> pa.Table:
    """Make columns of one table's rows, one line for each of the people.

    Where that needs too much memory, half of the people after the other.
    """
    number = len(rows.people)
    try:
        return _ask(rows, until, asked)
    except TooMuchError:
        if number <= FEW:
            raise
    half, index = number // 2, rows.index
    assert index is not None, "columns are made around an index"
    parts = [slice(0, half), slice(half, number)]
    return pa.concat_tables(
        take_together(
            replace(rows, people=rows.people[part], index=index[part]),
            until[part],
            asked,
        )
        for part in parts
    )


def _ask(rows: TableRows, until: pa.Array, asked: Mapping[str, FromRows]) -> pa.Table:
    table, used = rows.table, fields(asked)
    read = list_read(rows.source, table, conditions(asked), used)
    people = {PERSON: _places(len(rows.people)), INDEX: rows.index, UNTIL: until}
    types = {name: one.type for name, one in table.fields.items()}

    def write(met: Mapping[str, str]) -> tuple[str, str]:
        known, odd = table.known is not None, tuple(map(name_odd, list_units(table, read)))
        narrow, wide = (Query(asked, types, met, known, odd, is_wide) for is_wide in (False, True))
        return narrow.write(ROWS, PEOPLE), wide.write(ROWS, PEOPLE)

    return rows.ask(write, conditions(asked), used, **{PEOPLE: pa.table(people)})


def _changed(keys: pa.Table, now: pa.Table) -> bool:
    """Tell whether keys came, went or were given anew; a database gives rows in any order."""
    told = (zip(*(spell(c).to_pylist() for c in held.columns), strict=True) for held in (keys, now))
    return len({frozenset(pairs) for pairs in told}) > 1


def _places(number: int) -> pa.Array:
    return pa.array(range(number), pa.int32())


def _find_state(rows: TableRows, folder: Path) -> State:
    """Tell by size and time whether a table's files are as they were; nothing of a database."""
    path = getattr(rows.table.location, "path", None)
    if path is None:
        return ()
    files = [folder / path]
    if files[0].is_dir():
        files = [*files[0].iterdir()]
    elif not files[0].is_file():
        files = [Path(name) for name in glob(str(files[0]), recursive=True)]  # noqa: PTH207  # pathlib's is relative
    found = [(str(file), file.stat()) for file in sorted(files) if file.is_file()]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)


def find_missing_fields(source: PeopleSource, folder: Path) -> Iterator[Problem]:
    """Name the columns that further tables lack; reads their headers alone."""
    for name, table in source.tables.items():
        there = open_source(table.location, folder).columns()
        wanted = {
            "person" if table.person else "": table.person or source.joined_by,
            "at": table.at,
            **({"known_at": table.known_at} if table.known_at else {}),
            **({"until": table.until} if table.until else {}),
            **{
                f"fields.{field}.unit.from": one.unit.source
                for field, one in table.fields.items()
                if one.unit
            },
            **{
                f"fields.{field}{'.from' if one.source else ''}": one.source or field
                for field, one in table.fields.items()
            },
        }
        for path, column in wanted.items():
            if column not in there:
                fix = suggest(column, there, f"name one of its {len(there)} columns")
                if not path and (shared := _shared_key(source, folder, there)):
                    fix = f"if it names people by `{shared}`, say `key: {shared}` under source"
                whole = f"source.tables.{name}{'.' if path else ''}{path}"
                yield Problem(whole, f"the table has no column `{column}`", fix)
    if source.key is not None:
        there = open_source(source.location, folder).columns()
        if source.key not in there:
            fix = suggest(source.key, there, f"name one of its {len(there)} columns")
            yield Problem("source.key", f"the roster has no column `{source.key}`", fix)
    for path, moment in (("index", source.index), ("followed_until", source.followed_until)):
        if moment is not None and moment.column is not None:
            there = open_source(source.location, folder).columns()
            if moment.column not in there:
                fix = suggest(moment.column, there, f"name one of its {len(there)} columns")
                said = f"the roster has no column `{moment.column}`"
                yield Problem(f"source.{path}.column", said, fix)


def find_mixed_units(source: PeopleSource, folder: Path) -> Iterator[Problem]:
    """Ask in which unit a number is told where each row has its own; reads headers alone.

    That is known of a view over FHIR's quantities, and of OMOP's measurements by their names.
    """
    for name, table in source.tables.items():
        numbers = {n: one for n, one in table.fields.items() if one.type in NUMBERS}
        if all(one.unit for one in numbers.values()):
            continue
        told = find_units(open_source(table.location, folder))
        for number, one in numbers.items():
            if one.unit is None and (unit := told.get(one.source or number)) is not None:
                where = f"`{unit}`" if unit else "the view does not show it"
                by = unit or "a column of your own view with the unit's code"
                yield Problem(
                    f"source.tables.{name}.fields.{number}",
                    f"is a number whose unit each row says ({where}), and several would be mixed",
                    f"say which counts as what, as `type: number, unit: {{from: {by}, factors: "
                    "{mg/dL: 1}}`; name the table once for each quantity, told apart by `where`",
                )


def find_units(table: Source) -> dict[str, str]:
    """Give the columns of a table that are told in a unit, each with the unit's; empty if none."""
    there = table.columns()
    if not isinstance(table, FhirSource):
        omop = {"value_as_number", "unit_concept_id"} <= {*there}
        return {"value_as_number": "unit_concept_id"} if omop else {}
    said = table.view.measured
    units = [column for column, part in said.items() if not part.endswith(".value")]
    return {c: units[0] if units else "" for c, part in said.items() if part.endswith(".value")}


def _shared_key(source: PeopleSource, folder: Path, there: Sequence[str]) -> str | None:
    """Name a column of the roster by which a table may name people that it names by no other."""
    if source.key:
        return None
    own = open_source(source.location, folder).columns()
    return next((name for name in own if name in there and name.casefold().endswith("id")), None)


def _append(table: pa.Table, more: pa.Table) -> pa.Table:
    for name in more.column_names:
        table = table.append_column(name, more.column(name))
    return table
