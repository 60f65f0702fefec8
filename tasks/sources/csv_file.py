"""A file of separated values (RFC 4180), read as text, strictly and in batches.

Every field is text and an empty field is missing; nothing is guessed. A row with another number of
fields than the header, or a byte that is not of the named encoding, refuses the whole file: a row
that slipped by one column would put one person's value under another name.

A file has no index: with `where`, the named columns of all rows pass the parser in batches of some
megabytes, and what is not wanted is dropped before the next batch. Of columns that are not named,
the parser finds the ends of the fields and makes no value.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from expectations.disclosure import roughly
from expectations.errors import SourceError
from expectations.policy.locations import CsvFile
from tasks.sources.source import check_header, explain_unreadable, name_places, pick_columns

BLOCK = 1 << 22
"""Bytes parsed at a time; a row must fit in one block."""


@dataclass(frozen=True)
class CsvSource:
    """One file of separated values; relative paths start at `folder`."""

    location: CsvFile
    folder: Path

    @property
    def _path(self) -> Path:
        return self.folder / self.location.path

    @property
    def _place(self) -> str:
        return self.location.path

    @property
    def _codec(self) -> str:
        try:
            name = codecs.lookup(self.location.encoding).name
        except LookupError:
            raise SourceError(
                f"{self._place}: there is no encoding '{self.location.encoding}'; "
                "name one that Python knows, such as utf-8 or latin-1"
            ) from None
        return "utf-8-sig" if name == "utf-8" else name

    def columns(self) -> tuple[str, ...]:
        """Give the header's names; raise SourceError if there is none or a name is repeated."""
        names = self._read_header()
        if names is None:
            self._check_text()
            raise SourceError(f"{self._place}: the header cannot be read; correct the file")
        if not names:
            raise SourceError(f"{self._place}: the file is empty; its first line must be a header")
        return check_header(names, self._place)

    def _read_header(self) -> list[str] | None:
        """Give the fields of the first row, or None if they are malformed."""
        try:
            with self._path.open(encoding=self._codec, newline="") as file:
                return next(csv.reader(file, delimiter=self.location.separator, strict=True), [])
        except OSError as error:
            raise explain_unreadable(error, self._place, self._path) from None
        except (UnicodeError, csv.Error):  # explained outside, where no cause quotes the file
            return None

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns as text, of all rows or of those whose `where` column is among.

        Raises SourceError for a row with too few or too many fields, and for a wrong encoding.
        """
        wanted = [*columns] if where is None else [*columns, where[0]]
        read = pick_columns(wanted, self.columns(), self._place)
        if not columns:
            return pa.table({})  # pyarrow takes an empty list of columns as all of them
        invalid: list[int | None] = []
        try:
            self._check_text()
            table = _drain(self._open(read, invalid), columns, where)
        except OSError as error:
            raise explain_unreadable(error, self._place, self._path) from None
        except pa.ArrowInvalid:
            raise SourceError(
                f"{self._place}: nothing follows the header, or a row is too long; correct the file"
            ) from None
        if invalid:
            raise self._explain_rows(read[:1])
        return table

    def _open(
        self, columns: list[str], invalid: list[int | None], *, threads: bool = True
    ) -> pv.CSVStreamingReader:
        """Open the file; the number of each row that does not fit goes to `invalid`."""

        def note(row: pv.InvalidRow) -> str:
            invalid.append(row.number)
            return "skip"

        encoding = "utf8" if self._codec == "utf-8-sig" else self._codec
        return pv.open_csv(
            self._path,
            read_options=pv.ReadOptions(encoding=encoding, block_size=BLOCK, use_threads=threads),
            parse_options=pv.ParseOptions(
                delimiter=self.location.separator,
                newlines_in_values=True,
                invalid_row_handler=note,
            ),
            convert_options=pv.ConvertOptions(
                include_columns=columns,
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )

    def _explain_rows(self, columns: list[str]) -> SourceError:
        """Name the rows that do not fit; pyarrow knows their numbers in one thread only."""
        invalid: list[int | None] = []
        for _ in self._open(columns, invalid, threads=False):
            pass
        return SourceError(
            f"{self._place}: {roughly(len(invalid))} rows have another number of fields than the "
            "header; quote fields that hold the separator",
            f"{name_places('row', invalid)} (the header is row 1)",
        )

    def _check_text(self) -> None:
        """Raise SourceError if a byte is not of the encoding, or if the quotes cannot be pairs."""
        try:
            quotes = _count_quotes(self._path, self._codec)
        except _Undecodable as error:
            raise SourceError(
                f"{self._place}: a byte is not {self.location.encoding}; name the file's encoding "
                "in the policy, or save the file as utf-8",
                f"byte {error.offset}",
            ) from None
        if quotes % 2:  # pyarrow takes all that follows an open quote as one field, rows and all
            raise SourceError(
                f"{self._place}: the file has an odd number of double quotes ({quotes}), so one is "
                'never closed; write a quote inside a field as "", and quote that field'
            )


def _drain(
    reader: pv.CSVStreamingReader, columns: Sequence[str], where: tuple[str, pa.Array] | None
) -> pa.Table:
    """Read all batches, dropping from each what is not wanted before the next is parsed."""
    if where is None:
        return reader.read_all().select(list(dict.fromkeys(columns)))
    import pyarrow.dataset as ds  # brings pandas: only for who reads

    wanted = pc.field(where[0]).isin(where[1].cast(pa.string()))
    scanner = ds.Scanner.from_batches(reader, columns=list(dict.fromkeys(columns)), filter=wanted)
    return scanner.to_table()


class _Undecodable(Exception):
    """A byte that is not of the encoding; only its offset is kept, as Python's error quotes it."""

    def __init__(self, offset: int) -> None:
        self.offset = offset


def _count_quotes(path: Path, encoding: str) -> int:
    """Count the double quotes in a file; raise _Undecodable at the first wrong byte."""
    decoder = codecs.getincrementaldecoder(encoding)()
    quotes = offset = 0
    with path.open("rb") as file:
        while True:
            block = file.read(BLOCK)
            pending = len(decoder.getstate()[0])
            try:
                quotes += decoder.decode(block, final=not block).count('"')
            except UnicodeDecodeError as error:
                raise _Undecodable(offset - pending + error.start) from None
            if not block:
                return quotes
            offset += len(block)
