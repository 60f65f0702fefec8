"""One Parquet file, or all that match a glob, read by column and filtered while they are read.

Files are taken in the order of their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.errors import SourceError
from expectations.policy.locations import ParquetFiles
from tasks.sources.naming import spell_values
from tasks.sources.source import check_header, explain_unreadable, is_file, pick_columns

if TYPE_CHECKING:
    import pyarrow.dataset as ds

BATCH: Final = 1 << 18
"""Rows read at a time, before those that were not asked for are dropped."""


@dataclass(frozen=True)
class ParquetSource:
    """Parquet files of one schema; relative paths start at `folder`."""

    location: ParquetFiles
    folder: Path

    @cached_property
    def files(self) -> list[Path]:
        """Give the files by their names; raise SourceError if there is none."""
        path = self.folder / self.location.path
        if is_file(path, self.location.path):
            return [path]
        found = sorted(glob(str(path), recursive=True))  # noqa: PTH207  # pathlib's is relative
        if not found:
            raise SourceError(f"{self.location.path}: no file is there; check the path")
        return [Path(name) for name in found]

    @cached_property
    def schema(self) -> pa.Schema:
        """Give the one schema of all files, from their footers."""
        schemas = [self._read_schema(path) for path in self.files]
        first = schemas[0]
        for path, schema in zip(self.files, schemas, strict=True):
            if not schema.equals(first):
                odd = sorted({field.name for field in {*schema} ^ {*first}})
                what = f"column '{odd[0]}'" if odd else "the order of columns"
                raise SourceError(
                    f"{self.location.path}: {path.name} and {self.files[0].name} differ in {what} "
                    f"({len(odd)} columns in all); give all files the same columns and types"
                )
        return first

    def _read_schema(self, path: Path) -> pa.Schema:
        try:
            return pq.read_schema(path)
        except OSError as error:
            raise explain_unreadable(error, self.location.path, path) from None
        except pa.ArrowException:
            raise SourceError(
                f"{self.location.path}: {path.name} is not a Parquet file, or is incomplete; write "
                "it again"
            ) from None

    def columns(self) -> tuple[str, ...]:
        """Give the columns' names; raise SourceError if the files do not share one schema."""
        return check_header(self.schema.names, self.location.path)

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns in their own types, of all rows or those that `where` picks."""
        import pyarrow.dataset as ds  # brings pandas: only for who reads

        picked = pick_columns(columns, self.columns(), self.location.path)
        try:
            data = ds.dataset(self.files, schema=self.schema, format="parquet")
            return self._kept(data, picked, where) if where else data.to_table(columns=picked)
        except OSError as error:
            raise explain_unreadable(error, self.location.path, self.files[0]) from None
        except pa.ArrowException:
            raise SourceError(
                f"{self.location.path}: a file is damaged or of a kind that cannot be read; "
                "write it anew"
            ) from None

    def _kept(self, data: ds.Dataset, picked: list[str], where: tuple[str, pa.Array]) -> pa.Table:
        """Find the rows that `where` picks, then read in batches and drop the others at once."""
        (column,) = pick_columns([where[0]], self.columns(), self.location.path)
        values = spell_values(where[1], self.schema.field(column).type)
        held = data.to_table(columns=[column]).column(column)
        try:
            names = held.cast(values.type)
        except pa.ArrowException:  # its text may quote a value
            raise SourceError(
                f"{self.location.path}: the column '{column}' must hold text or numbers; name "
                "another column"
            ) from None
        wanted = pc.is_in(names, value_set=values)
        kept, start = [], 0
        for batch in data.to_batches(columns=picked, batch_size=BATCH):
            kept.append(batch.filter(wanted.slice(start, len(batch)).combine_chunks()))
            start += len(batch)
        schema = pa.schema([self.schema.field(name) for name in picked])
        return pa.Table.from_batches(kept, schema)
