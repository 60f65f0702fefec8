"""What a source is: a table that is read by named columns, wherever it lies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import pyarrow as pa

Part: TypeAlias = Literal["people", "consent", "objections"]
"""Which table of an example is meant; other locations name one table each."""


class Source(Protocol):
    """A table that is read by named columns."""

    def columns(self) -> tuple[str, ...]:
        """Give the names of all columns from the header alone, without any person's data."""
        ...

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns in the source's order of rows and its own types.

        `where` is a column and an array of text: only rows whose text in that column is one of
        the values are given, and the column need not be among `columns`. Of a number, the text is
        the shortest that names it: 12, never 12.0. Raises SourceError, and ServiceError where a
        database is away; no message holds a value.
        """
        ...
