"""A table, a view or a query of a database, read with SQLAlchemy Core by named columns.

The database does the choosing: what is not named in the statement does not leave it. A query stands
in the statement as a subquery, so that it can only select. A table has no
order of its own; rows come as the database gives them, and with `where` in portions of a few ten
thousand values, one portion after the other, so whoever needs a repeatable order must sort. A view
or a column whose values change between two reads is not noticed.

Drivers quote values in their errors, so of an error only the name of its type is passed on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pyarrow as pa
import sqlalchemy as sa

from expectations.errors import ServiceError, SourceError
from expectations.policy.locations import SqlQuery, SqlTable
from tasks.sources.naming import spell_values
from tasks.sources.source import check_header, is_file, pick_columns

ROWS = 50_000
"""Rows brought over at a time."""
VALUES = 30_000
"""The most values bound to one statement, where the database allows as many."""


@dataclass(frozen=True)
class SqlSource:
    """One table or query of a database; a relative SQLite path starts at `folder`."""

    location: SqlTable | SqlQuery
    folder: Path

    @property
    def _place(self) -> str:
        return "query" if isinstance(self.location, SqlQuery) else f"table '{self.location.table}'"

    @cached_property
    def _engine(self) -> sa.Engine:
        url = _make_url(self.location.url)
        if url.get_backend_name() == "sqlite":
            file = self.folder / (url.database or "")
            if not is_file(file, self._place):  # SQLite would make an empty one
                raise SourceError(f"{self._place}: there is no database file {file}; check the url")
            url = url.set(database=str(file))
        try:
            return sa.create_engine(url, poolclass=sa.NullPool, hide_parameters=True)
        except (ImportError, sa.exc.ArgumentError):
            raise SourceError(
                f"{self._place}: the driver '{url.drivername}' is not installed or not known; "
                "install it, or name another in the url"
            ) from None

    @cached_property
    def _table(self) -> sa.FromClause:
        """Give what is read with its columns, learnt by a statement that selects no row."""
        every = sa.select(sa.text("*")).select_from(self._name()).where(sa.false())
        with self._connect() as connection:
            names = check_header(list(connection.execute(every).keys()), self._place)
        return self._name(*map(sa.column, names))

    def _name(self, *columns: sa.ColumnClause[Any]) -> sa.FromClause:
        if isinstance(self.location, SqlQuery):
            # A colon is the query's own, and names no value to be bound.
            text = self.location.query.strip().rstrip(";").replace(":", r"\:")
            # Were its last line a comment, that would swallow what follows.
            return sa.text(f"{text}\n").columns(*columns).subquery("asked")
        schema, _, name = self.location.table.rpartition(".")
        return sa.table(name, *columns, schema=schema or None)

    @contextmanager
    def _connect(self) -> Iterator[sa.Connection]:
        """Open a connection; what the driver says of an error goes no further than its type."""
        try:
            connection = self._engine.connect()
        except sa.exc.SQLAlchemyError as error:
            raise ServiceError(
                f"{self._place}: the database cannot be reached ({_kind(error)}); check that it "
                "runs, and the address and password in the url"
            ) from None
        with connection:
            try:
                yield connection
            except sa.exc.SQLAlchemyError as error:
                raise self._explain(error) from None

    def _explain(self, error: sa.exc.SQLAlchemyError) -> SourceError | ServiceError:
        if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
            return ServiceError(f"{self._place}: the connection was lost ({_kind(error)}); rerun")
        return SourceError(
            f"{self._place}: the database refused to read it ({_kind(error)}); check that what it "
            "names exists, and that this user may read it"
        )

    def list_tables(self) -> list[str]:
        """Name the tables and views that stand beside it."""
        with self._connect() as connection:
            found = sa.inspect(connection)
            return sorted({*found.get_table_names(), *found.get_view_names()})

    def columns(self) -> tuple[str, ...]:
        """Give the columns' names, without selecting a row."""
        return tuple(self._table.c.keys())

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns in the driver's types, of all rows or those that `where` picks.

        A column without any value has the type null. Raises SourceError where one column holds
        values of different kinds.
        """
        picked = pick_columns(columns, self.columns(), self._place)
        if not picked:
            return pa.table({})
        selected = sa.select(*(self._table.c[name] for name in picked))
        tables = [pa.table({name: pa.nulls(0) for name in picked})]
        with self._connect() as connection:
            for condition in self._conditions(connection, where):
                streaming = connection.execution_options(yield_per=ROWS)
                rows = streaming.execute(selected.where(condition))
                tables += [self._as_table(picked, part) for part in rows.partitions()]
        try:
            return pa.concat_tables(tables, promote_options="permissive")
        except pa.ArrowException:
            raise self._explain_kinds("a column") from None

    def _conditions(
        self, connection: sa.Connection, where: tuple[str, pa.Array] | None
    ) -> Iterator[sa.ColumnElement[bool]]:
        """Give the conditions of the statements that together read the wanted rows."""
        if where is None:
            yield sa.true()
            return
        (name,) = pick_columns([where[0]], self.columns(), self._place)
        column = self._table.c[name]
        values = _bindable(where[1], _first(connection, column))
        most = min(VALUES, connection.dialect.insertmanyvalues_max_parameters)
        for start in range(0, len(values), most):
            yield column.in_(values[start : start + most])

    def _as_table(self, names: Sequence[str], rows: Sequence[sa.Row[Any]]) -> pa.Table:
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        return pa.table({name: self._as_array(name, values) for name, values in columns.items()})

    def _as_array(self, name: str, values: Sequence[object]) -> pa.Array:
        try:
            return pa.array([str(v) if isinstance(v, UUID) else v for v in values])
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            raise self._explain_kinds(f"column '{name}'") from None

    def _explain_kinds(self, what: str) -> SourceError:
        return SourceError(
            f"{self._place}: {what} holds values of different kinds, or of a kind that cannot be "
            "read; make a view that casts it to text or a number"
        )


def _kind(error: sa.exc.SQLAlchemyError) -> str:
    return type(error.orig if isinstance(error, sa.exc.DBAPIError) else error).__name__


def _first(connection: sa.Connection, column: sa.ColumnElement[Any]) -> object:
    """Give one value of the column that names the person, to learn how the database holds it."""
    known = sa.select(column).where(column.is_not(None)).limit(1)
    return connection.execute(known).scalar()


def _bindable(texts: pa.Array, like: object) -> list[Any]:
    """Give the texts as Python values of the kind that the database holds, so its index serves."""
    if isinstance(like, UUID):
        return [UUID(text) for text in texts.to_pylist() if _is_uuid(text)]
    kind = pa.string() if like is None else pa.array([like]).type
    return list(spell_values(texts, kind).to_pylist())


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except (ValueError, TypeError):
        return False


def _make_url(text: str) -> sa.URL:
    """Read a database's address with `$NAME` taken from the environment.

    In user and password, what is put in may hold any character.
    """
    scheme, mark, rest = text.partition("://")
    login, at, place = rest.rpartition("@")
    quoted = {name: quote(value, safe="") for name, value in os.environ.items()}
    try:
        filled = [Template(scheme).substitute(os.environ), mark]
        filled += [Template(login).substitute(quoted), at, Template(place).substitute(os.environ)]
        return sa.make_url("".join(filled))
    except KeyError as error:
        raise SourceError(
            f"the database's url needs ${error.args[0]}; set it in the environment"
        ) from None
    except (ValueError, sa.exc.ArgumentError):
        raise SourceError(
            "the database's url cannot be read; write dialect://$USER:$PASSWORD@host:port/database"
        ) from None
