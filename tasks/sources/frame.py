"""A table that is in memory already: a pandas DataFrame that a Python program hands over.

The frame waits in this process, as a requested path does: what goes into Prefect and on record is
a name that was drawn for it and means nothing elsewhere. It is read as the CSV file that pandas
writes of it: an empty text is missing, days are dates, a category is its value, a truth is `True`.
A number keeps all its digits, and where text is declared it is the shortest that names it: 12, not
12.0. Only the columns that are asked for are converted; the index is no column.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import Refusal, SourceError
from expectations.policy.locations import InMemory
from tasks.sources.naming import spell
from tasks.sources.source import check_header, pick_columns

if TYPE_CHECKING:
    import pandas as pd

PLACE: Final = "DataFrame"
_held: Final[dict[str, pd.DataFrame]] = {}


@contextmanager
def held(frame: pd.DataFrame) -> Iterator[InMemory]:
    """Hold a frame for the sources of this process, and give where it is, until the end."""
    name = secrets.token_hex(8)
    _held[name] = frame.copy(deep=False)
    try:
        yield InMemory(kind="in-memory", name=name)
    finally:
        del _held[name]


@dataclass(frozen=True)
class FrameSource:
    """A frame that this process holds; `Refusal` where it holds it no more."""

    location: InMemory

    @property
    def _frame(self) -> pd.DataFrame:
        try:
            return _held[self.location.name]
        except KeyError:
            # Nobody can be asked again whether they still may be read, and unknown means no.
            raise Refusal(
                "legal basis",
                "the people were in the memory of a program that ended or went on, so nobody knows "
                "whether they may still be read; run it again",
            ) from None

    def columns(self) -> tuple[str, ...]:
        """Give the columns' names; SourceError where one is no text, or is there twice."""
        names = list(self._frame.columns)
        odd = sum(not isinstance(name, str) for name in names)
        if odd:
            raise SourceError(
                f"{PLACE}: {odd} of its {len(names)} columns have a name that is not text; name "
                "them as the policy does: frame.columns = [...]"
            )
        return check_header(names, PLACE)

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns, of all rows or of those whose `where` column is among."""
        picked = pick_columns(columns, self.columns(), PLACE)
        frame = self._frame
        if where is not None:
            (person,) = pick_columns([where[0]], self.columns(), PLACE)
            named = spell(_as_column(frame[person]))
            wanted = pc.is_in(named, value_set=pc.cast(where[1], pa.large_string()))
            frame = frame[wanted.to_numpy(zero_copy_only=False)]
        return pa.table({name: _as_column(frame[name]) for name in picked})


def _as_column(values: pd.Series) -> pa.ChunkedArray:
    """Give a column as Arrow has it; SourceError, without a value, for a kind that it has not."""
    try:
        found = _convert(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        found = None
    if found is None:
        raise SourceError(
            f"{PLACE}: the column '{values.name}' ({values.dtype}) holds values of a kind that "
            "cannot be read; make it text, numbers or dates"
        )
    return found


def _convert(values: pd.Series) -> pa.ChunkedArray:
    array = _as_array(values)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_boolean(array.type):
        array = pc.if_else(array, "True", "False")
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array = pc.if_else(pc.equal(pc.binary_length(array), 0), None, array)
    return pa.chunked_array([_as_days(array)])


def _as_array(values: pd.Series) -> pa.Array:
    """Convert by pyarrow; moments in a zone, and a mixture of types, become text as in a file."""
    texts = getattr(values.dtype, "tz", None) is not None
    try:
        array = pa.nulls(0) if texts else pa.Array.from_pandas(values)
        # Among days pyarrow takes a whole number for one of them, counted from 1970.
        if values.dtype == object and pa.types.is_temporal(array.type):
            texts = any(isinstance(value, Integral) for value in values)
    except pa.ArrowException:
        texts = True
    if texts:
        array = pa.Array.from_pandas(values.map(str, na_action="ignore"))
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _as_days(array: pa.Array) -> pa.Array:
    """Give moments that are all midnight, without a time zone, as dates, which pandas has not."""
    if pa.types.is_timestamp(array.type) and array.type.tz is None:
        midnight = pc.equal(pc.floor_temporal(array, unit="day"), array)
        if pc.all(midnight, min_count=0).as_py():
            return pc.cast(array, pa.date32())
    return array
