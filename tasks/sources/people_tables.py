"""A roster and further tables about its people, read as one table with one row a person.

Only rows of the people who are asked for are read. Whoever reads sees one source; what is made of
many rows are columns of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import Problem, suggest
from expectations.policy.many_rows import FollowUp, FromRows, Index
from expectations.policy.policy import PeopleSource
from tasks.sources import Source, open_source
from tasks.sources.aggregates import (
    AT,
    INDEX,
    NUMBER,
    PERSON,
    UNTIL,
    Query,
    conditions,
    fields,
)
from tasks.sources.moments import MOMENT, read_moments
from tasks.sources.naming import spell
from tasks.sources.table_rows import PEOPLE, ROWS, TableRows


@dataclass(frozen=True)
class PeopleTables:
    """The people of a policy with several tables: `made` is what each further column takes."""

    source: PeopleSource
    made: Mapping[str, FromRows]
    folder: Path

    @cached_property
    def roster(self) -> Source:
        """The table with one row a person."""
        return open_source(self.source.location, self.folder)

    def columns(self) -> tuple[str, ...]:
        """Give the roster's columns, and those that are made of rows."""
        return (*self.roster.columns(), *self.made)

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns in the roster's order of people; see `Source`."""
        made = {name: self.made[name] for name in columns if name in self.made}
        own = [name for name in columns if name not in made]
        if not made:
            return self.roster.read(own, where=where)
        dated = [one.column for one in self._moments if one and one.column]
        needed = list(dict.fromkeys([*own, self.source.person, *dated]))
        read = self.roster.read(needed, where=where)
        people = spell(read.column(self.source.person)).combine_chunks()
        index, until = self._find_index(read, people), self._find_end(read)
        followed = pa.table({PERSON: _places(len(people)), INDEX: index, UNTIL: until})
        for table in self.source.tables:
            asked = {name: take for name, take in made.items() if take.of == table}
            if asked:
                rows = TableRows(table, self.source, self.folder, people, index)
                read = _append(read, _take(rows, followed, asked).drop_columns(NUMBER))
        days = pc.cast(index, pa.date32(), safe=False)
        read = _append(read, pa.table({n: days for n, t in made.items() if t.take == "index"}))
        return read.select(list(columns))

    @property
    def _moments(self) -> tuple[Index | None, FollowUp | None]:
        return self.source.index, self.source.followed_until

    def _find_end(self, read: pa.Table) -> pa.Array:
        """Give until when each person was observed, missing where that is not known."""
        until = self.source.followed_until
        return self._read_moment(read, until) if until else pa.nulls(read.num_rows, MOMENT)

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
        rows = TableRows(index.first, self.source, self.folder, people)

        def write(met: Mapping[str, str]) -> tuple[str]:
            where = f"WHERE {met[index.where]}" if index.where else ""
            return (f"SELECT {PERSON}, min({AT}) AS {AT} FROM {ROWS} {where} GROUP BY {PERSON}",)  # noqa: S608  # of our own words

        first = rows.ask(write, (index.where,) if index.where else (), ())
        places = pc.index_in(_places(len(people)), first.column(PERSON))
        return first.column(AT).combine_chunks().take(places)


def _take(rows: TableRows, people: pa.Table, asked: Mapping[str, FromRows]) -> pa.Table:
    """Make columns of one table's rows, one line for each of the people."""
    known = rows.table.known_at is not None
    types = {name: field.type for name, field in rows.table.fields.items()}

    def write(met: Mapping[str, str]) -> tuple[str, str]:
        narrow, wide = (Query(asked, types, met, known, is_wide) for is_wide in (False, True))
        return narrow.write(ROWS, PEOPLE), wide.write(ROWS, PEOPLE)

    return rows.ask(write, conditions(asked), fields(asked), **{PEOPLE: people})


def _places(number: int) -> pa.Array:
    return pa.array(range(number), pa.int32())


def find_missing_fields(source: PeopleSource, folder: Path) -> Iterator[Problem]:
    """Name the columns that further tables lack; reads their headers alone."""
    for name, table in source.tables.items():
        there = open_source(table.location, folder).columns()
        wanted = {
            "person" if table.person else "": table.person or source.person,
            "at": table.at,
            **({"known_at": table.known_at} if table.known_at else {}),
            **{
                f"fields.{field}{'.from' if one.source else ''}": one.source or field
                for field, one in table.fields.items()
            },
        }
        for path, column in wanted.items():
            if column not in there:
                fix = suggest(column, there, f"name one of its {len(there)} columns")
                whole = f"source.tables.{name}{'.' if path else ''}{path}"
                yield Problem(whole, f"the table has no column `{column}`", fix)
    for path, moment in (("index", source.index), ("followed_until", source.followed_until)):
        if moment is not None and moment.column is not None:
            there = open_source(source.location, folder).columns()
            if moment.column not in there:
                fix = suggest(moment.column, there, f"name one of its {len(there)} columns")
                said = f"the roster has no column `{moment.column}`"
                yield Problem(f"source.{path}.column", said, fix)


def _append(table: pa.Table, more: pa.Table) -> pa.Table:
    for name in more.column_names:
        table = table.append_column(name, more.column(name))
    return table
