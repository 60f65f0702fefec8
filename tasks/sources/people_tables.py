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

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import Problem, SourceError, suggest
from expectations.expressions.expressions import Expression, parse
from expectations.policy.many_rows import FollowUp, FromRows, Index, RowsTable
from expectations.policy.policy import PeopleSource
from tasks.sources import Source, open_source
from tasks.sources.aggregates import (
    AT,
    INDEX,
    KNOWN,
    PERSON,
    UNTIL,
    aggregate,
    conditions,
    fields,
    name_condition,
    name_field,
)
from tasks.sources.conversion import convert
from tasks.sources.moments import MOMENT, read_moments
from tasks.sources.naming import spell

ENOUGH = 20
"""So many people of whom a table has no row at all are other people's, or named in another way."""


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
        places = pa.array(range(len(people)), pa.int64())
        followed = pa.table({PERSON: places, INDEX: index, UNTIL: until})
        for table in self.source.tables:
            asked = {name: take for name, take in made.items() if take.of == table}
            if asked:
                rows = self._rows(table, people, conditions(asked), fields(asked))
                found = aggregate(rows, followed, asked, f"source.tables.{table}")
                read = _append(read, found)
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
        rows = self._rows(index.first, people, (index.where,) if index.where else (), ())
        if index.where:
            rows = rows.filter(rows.column(name_condition(index.where)))
        first = rows.group_by(PERSON).aggregate([(AT, "min")])
        places = pc.index_in(pa.array(range(len(people)), pa.int64()), first.column(PERSON))
        return first.column(f"{AT}_min").combine_chunks().take(places)

    def _rows(
        self, name: str, people: pa.Array, wanted: Sequence[str], values: Sequence[str]
    ) -> pa.Table:
        """Read one table's rows of some people, as `aggregate` takes them."""
        table, place = self.source.tables[name], f"source.tables.{name}"
        tests = {text: _parse(text, table) for text in wanted}
        used = dict.fromkeys([*values, *sorted(c for t in tests.values() for c in t.columns)])
        person, known = table.person or self.source.person, table.known_at or table.at
        named = {field: table.fields[field].source or field for field in used}
        columns = list(dict.fromkeys([person, table.at, known, *named.values()]))
        read = open_source(table.location, self.folder).read(columns, where=(person, people))
        owner = pc.index_in(spell(read.column(person)), people.cast(pa.large_string()))
        if len(people) >= ENOUGH and owner.null_count == len(owner):
            raise SourceError(
                f"{place}: none of its rows names one of the people who may be read; is "
                f"`{person}` the column that names the person, spelled as on the roster?"
            )
        held = pa.table({field: read.column(source) for field, source in named.items()})
        try:
            held = convert(held, {field: table.fields[field].type for field in used})
        except SourceError as error:
            raise SourceError(f"{place}: {error}") from None
        at, seen = (
            read_moments(read.column(c), f"{place}: the column '{c}'", self.source.zone)
            for c in (table.at, known)
        )
        return pa.table(
            {
                PERSON: pc.cast(owner, pa.int64()), AT: at, KNOWN: seen,
                **{name_field(field): held.column(field) for field in values},
                **{name_condition(text): _test(tests[text], held) for text in wanted},
            }
        ).filter(pc.is_valid(owner))  # fmt: skip


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


def _parse(text: str, table: RowsTable) -> Expression:
    return parse(text, {name: field.type for name, field in table.fields.items()})


def _test(condition: Expression, held: pa.Table) -> pa.ChunkedArray:
    """Tell of each row whether it meets a condition, which does not hang on the day of the run."""
    frame = nw.from_native(held, eager_only=True)
    answer = frame.select(met=condition.to_narwhals(date.min))
    return answer.to_native().column("met")


def _append(table: pa.Table, more: pa.Table) -> pa.Table:
    for name in more.column_names:
        table = table.append_column(name, more.column(name))
    return table
