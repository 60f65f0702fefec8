"""How a person's columns are made, as SQL for who holds rows of their own: the plan, written out.

It is written by what the plan of a run is written by, for tables by name instead of files. It holds
names, declared words and lists of codes, and nothing that was read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from expectations.expressions.expressions import ColumnType
from expectations.policy.many_rows import FromRows, RowsTable
from tasks.sources.aggregates import INDEX, PERSON, Query, conditions, fields, quote
from tasks.sources.moments import MOMENT
from tasks.sources.scan import write_text, write_value
from tasks.sources.table_rows import (
    WORDS,
    list_moments,
    list_read,
    list_units,
    list_values,
    name_odd,
    write_expression,
    write_most,
    write_rows,
    write_units,
)

if TYPE_CHECKING:
    from expectations.policy.policy import PeopleSource

AS_DECLARED: Final[Mapping[ColumnType, pa.DataType]] = {
    ColumnType.NUMBER: pa.float64(),
    ColumnType.INTEGER: pa.int64(),
    ColumnType.TEXT: pa.string(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.DATE: pa.date32(),
}
"""How a table has to hold what is declared so."""
SPELLED: Final = {AS_DECLARED[kind]: word for kind, word in WORDS.items()} | {MOMENT: "TIMESTAMP"}
INDEX_AT: Final = "index_at"
"""The column by which the recipient says each person's moment."""
MARK: Final = "\ue000"
"""Begins what stands for a list of codes; it is in no code."""


@dataclass(frozen=True)
class Recipe:
    """What a policy makes of rows, by column, and the roster's own columns beside it."""

    source: PeopleSource
    made: Mapping[str, FromRows]
    own: Mapping[str, tuple[str, ColumnType]]
    """The source's own name of each column of the roster, and its type."""
    types: Mapping[str, ColumnType]
    """The type of each column that is made of rows."""

    @cached_property
    def people(self) -> str:
        """Name the table of people, as no further table is named."""
        return next(n for n in ("people", "roster", "_persons") if n not in self.tables)

    @cached_property
    def tables(self) -> dict[str, dict[str, FromRows]]:
        """Give what is made of each table."""
        found: dict[str, dict[str, FromRows]] = {}
        for name, take in self.made.items():
            if take.of is not None:
                found.setdefault(take.of, {})[name] = take
        return found

    @cached_property
    def codes(self) -> dict[str, tuple[str, ...]]:
        """Give the lists of codes that conditions look in."""
        said = [take.where or "" for take in self.made.values()]
        said += [self.source.tables[name].where or "" for name in self.tables]
        lists = self.source.code_lists
        return {n: lists[n] for n in lists if any(f"@{n}" in text for text in said)}

    def read(self, table: str) -> tuple[str, ...]:
        """Name the fields of a table that are read."""
        asked = self.tables[table]
        return list_read(self.source, self.source.tables[table], conditions(asked), fields(asked))

    def write(self) -> str | None:
        """Give one query over tables by name, in the dialect of DuckDB.

        None where a table would have to hold a column in two types.
        """
        parts = [self._write_codes(name) for name in self.codes]
        parts.append(f"_people AS ({self._write_people()})")
        for name, asked in self.tables.items():
            table, used = self.source.tables[name], self.read(name)
            rows = self._write_rows(name, asked)
            types = {field: one.type for field, one in table.fields.items()}
            odd = tuple(name_odd(field) for field in list_units(table, used))
            met = {text: f"_met{place}" for place, text in enumerate(conditions(asked))}
            query = Query(asked, types, met, table.known is not None, odd, wide=True)
            if rows is None:
                return None
            parts.append(f"_rows_{name} AS (\n{rows})")
            parts.append(f"_columns_{name} AS (\n{query.write(f'_rows_{name}', '_people')})")
        joined = "".join(f"\nJOIN _columns_{name} USING ({PERSON})" for name in self.tables)
        columns, parts_of_it = ",\n  ".join(self._write_columns()), ",\n\n".join(parts)
        return (
            f"WITH\n{parts_of_it}\n\nSELECT {columns}\nFROM _people{joined}\nORDER BY {PERSON};\n"
        )

    def _write_codes(self, name: str) -> str:
        listed = ", ".join(write_text(code) for code in self.codes[name])
        return f"_codes_{name} AS (SELECT [{listed}] AS codes)"

    def _write_people(self) -> str:
        person = quote(self.source.joined_by)
        own = [
            f"{write_value(f'{quote(column)}::{WORDS[kind]}', AS_DECLARED[kind], kind)} "
            f"AS {quote(name)}"
            for name, (column, kind) in self.own.items()
        ]
        made = "".join(f",\n  {text}" for text in own)
        return (
            f"SELECT row_number() OVER (ORDER BY {person}) AS {PERSON}, "
            f"{person}::VARCHAR AS _name, {INDEX_AT}::TIMESTAMP AS {INDEX}{made}\n"
            f"FROM {quote(self.people)}"
        )

    def _write_rows(self, name: str, asked: Mapping[str, FromRows]) -> str | None:
        table = self.source.tables[name]
        types = {field: one.type for field, one in table.fields.items()}
        used = self.read(name)
        person = table.person or self.source.joined_by
        names = f"(SELECT _name AS name, {PERSON}, {INDEX} FROM _people)"  # noqa: S608  # of our own words
        kinds = held_as_declared(table, person, used)
        held = ", ".join(f"{quote(c)}::{SPELLED[kind]} AS {quote(c)}" for c, kind in kinds.items())
        table_of_types = f"(SELECT {held} FROM {quote(name)})"  # noqa: S608  # quoted
        typed = write_rows(table_of_types, names, kinds, person, table, used)
        if typed is None:
            return None
        met = "".join(
            f",\n  -- {_on_one_line(text)}\n  {self._write_condition(text, types)} AS _met{place}"
            for place, text in enumerate(conditions(asked))
        )
        rows = write_units(typed, table, used)
        rows = f"SELECT *{met}\nFROM ({rows})" if met else rows
        if table.where:
            kept = f"-- {_on_one_line(table.where)}\n{self._write_condition(table.where, types)}"
            rows = f"SELECT * FROM ({rows})\nWHERE {kept}"  # noqa: S608  # parsed before
        if table.most is None:
            return rows
        lot = ", ".join(quote(field) for field in sorted(used)) or INDEX
        return write_most(f"({rows})", table.most, lot, known=table.known is not None)

    def _write_condition(self, text: str, types: Mapping[str, ColumnType]) -> str:
        marked = {name: (f"{MARK}{name}",) for name in self.source.codes}
        written = write_expression(text, types, marked)
        for name, (mark,) in marked.items():
            codes = f"(SELECT codes FROM _codes_{name})"  # noqa: S608  # of our own words
            written = written.replace(f"['{mark}']", codes)
        return written

    def _write_columns(self) -> list[str]:
        made = [
            f"{INDEX if take.take == 'index' else quote(name)}::{WORDS[self.types[name]]} "
            f"AS {quote(name)}"
            for name, take in self.made.items()
        ]
        odd = [
            f"{name_odd(field)} AS {quote(f'{table}_{field}_in_unknown_unit')}"
            for table in self.tables
            for field in list_units(self.source.tables[table], self.read(table))
        ]
        return [f"_name AS {quote(self.source.joined_by)}", *map(quote, self.own), *made, *odd]


def held_as_declared(table: RowsTable, person: str, used: Sequence[str]) -> dict[str, pa.DataType]:
    """Say in which types a table has to hold what is read of it."""
    kinds = {column: AS_DECLARED[kind] for column, kind in list_values(table, used).values()}
    return {person: pa.string(), **kinds, **dict.fromkeys(list_moments(table).values(), MOMENT)}


def _on_one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
