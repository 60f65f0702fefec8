"""Of which columns of which tables a column of a policy is made: names, from the policy alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from expectations.expressions.expressions import parse
from expectations.policy.many_rows import FromRows
from expectations.policy.policy import Column, Policy

PEOPLE: Final = "people"
"""How the table of one row a person is called where there are others."""


def list_origins(policy: Policy, name: str) -> tuple[str, ...]:
    """Name the columns that one is made of, each once, as `table.column`."""
    column = policy.treated[name]
    if isinstance(column, Column):
        return _list_own(policy, name, column)
    read = column.reads
    if column.expression is not None:
        read = (*read, *sorted(parse(column.expression, policy.types).columns))
    return tuple(
        dict.fromkeys(one for read_name in read for one in list_origins(policy, read_name))
    )


def _list_own(policy: Policy, name: str, column: Column) -> tuple[str, ...]:
    if column.rows is None:
        return (f"{PEOPLE}.{column.source or name}",)
    if column.rows.of is None:
        return (f"{PEOPLE}.index",)
    return tuple(dict.fromkeys(_list_fields(policy, column.rows.of, column.rows)))


def _list_fields(policy: Policy, of: str, rows: FromRows) -> Iterator[str]:
    """Name the fields that a column of many rows reads; of rows alone, when they took place."""
    table = policy.source.tables[of]
    types = {name: field.type for name, field in table.fields.items()}
    where = parse(rows.where, types, policy.source.code_lists).columns if rows.where else ()
    read = [*([rows.field] if rows.field else []), *sorted(where)]
    for field in read:
        yield f"{of}.{table.fields[field].source or field}"
    if not read:
        yield f"{of}.{table.at}"
