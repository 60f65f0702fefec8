"""A table that is made up in memory, read as if it were a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from tasks.sources.source import pick_columns


@dataclass(frozen=True)
class MadeUpSource:
    """The source of a table that `make` gives; `place` is its name in errors.

    `held` names its columns, so that a look at the header makes no table.
    """

    place: str
    held: tuple[str, ...]
    make: Callable[[], pa.Table]

    def columns(self) -> tuple[str, ...]:
        """Give the table's columns."""
        return self.held

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns as text, of all rows or of those that `where` picks."""
        picked = pick_columns(columns, self.columns(), self.place)
        if where is not None:
            pick_columns([where[0]], self.columns(), self.place)
        return pick_rows(self.make(), where).select(picked)


def pick_rows(table: pa.Table, where: tuple[str, pa.Array] | None) -> pa.Table:
    """Give the rows whose text in one column is among some values; all rows without `where`."""
    if where is None:
        return table
    column, values = where
    return table.filter(pc.is_in(table[column], pc.drop_null(values.cast(pa.string()))))
