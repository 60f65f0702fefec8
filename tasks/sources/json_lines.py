"""A file with one JSON object a line (RFC 8259), read by the keys that are asked for.

There is no header: the columns are the keys of all lines, and a key that a line lacks is missing
there. A string stays text, whatever it looks like; numbers and true or false are given in their
own types, in one text each where one key holds several kinds. A list of strings is given as a
list; anything else that is nested is refused.

Most files hold strings only and are read at once. Any other is read line by line, which is slower,
keeps every digit, and knows in which lines something is wrong.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj

from expectations.disclosure import roughly
from expectations.errors import SourceError
from expectations.policy.locations import JsonLines
from tasks.sources.naming import spell
from tasks.sources.source import explain_unreadable, name_places, pick_columns

BLOCK: Final = 1 << 22
"""Bytes parsed at a time."""

Value: TypeAlias = "str | int | float | list[str] | None"


class Pairs(list[tuple[str, Value]]):
    """The keys and values of one object in their order, repeated ones too; not a JSON list."""


@dataclass(frozen=True)
class JsonSource:
    """One file of JSON lines; a relative path starts at `folder`."""

    location: JsonLines
    folder: Path

    @property
    def _path(self) -> Path:
        return self.folder / self.location.path

    @property
    def _place(self) -> str:
        return self.location.path

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Give every key of every line, in the order in which they are met."""
        table = self._parse()
        if table is not None:
            return tuple(table.column_names)
        return tuple(dict.fromkeys(key for pairs in self._lines(()) for key, _ in pairs))

    def columns(self) -> tuple[str, ...]:
        """Give the names of all keys; SourceError if there is none, or a line is no object."""
        if not self._names:
            raise SourceError(
                f"{self._place}: the file is empty, so it says of no column that it is there; "
                "write one object a line"
            )
        return self._names

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give the named columns of all lines or of those whose `where` column is among.

        Raises SourceError for lines that are no object, name a key twice, or nest a value.
        """
        wanted = [*columns] if where is None else [*columns, where[0]]
        picked = pick_columns(wanted, self.columns(), self._place)
        table = self._parse(picked)
        if table is None:
            table = self._gather(picked)
        if where is not None:
            values = pc.drop_null(where[1].cast(pa.large_string()))
            table = table.filter(pc.is_in(spell(table.column(where[0])), values))
        return table.select(list(dict.fromkeys(columns)))

    def _parse(self, columns: Sequence[str] | None = None) -> pa.Table | None:
        """Read the named columns as text, or all in guessed types; None where that cannot be."""
        options = pj.ParseOptions()
        if columns is not None:
            # By default a string that looks like a time would become one and lose its zone.
            text = pa.schema([(name, pa.string()) for name in columns])
            options = pj.ParseOptions(explicit_schema=text, unexpected_field_behavior="ignore")
        try:
            table = pj.read_json(self._path, pj.ReadOptions(block_size=BLOCK), options)
            table.validate(full=True)
        except OSError as error:
            raise explain_unreadable(error, self._place, self._path) from None
        except (pa.ArrowException, UnicodeError):  # explained by the other reader
            return None
        return table

    def _gather(self, columns: Sequence[str]) -> pa.Table:
        """Read the named columns line by line."""
        rows = [dict(pairs) for pairs in self._lines(columns)]
        return pa.table({name: self._as_array(name, [row.get(name) for row in rows])
                         for name in columns})  # fmt: skip

    def _lines(self, columns: Sequence[str]) -> Iterator[Pairs]:
        """Give each line's object, and at the end one SourceError for all that are wrong."""
        kinds = (_NO_OBJECT, _TWICE, _NESTED)
        wrong: dict[str, list[int]] = {kind: [] for kind in kinds}
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    pairs = _read_line(line)
                    if pairs is not None:
                        yield pairs
                    found = None if line.isspace() else _find_fault(pairs, columns)
                    if found:
                        wrong[found].append(number)
        except OSError as error:
            raise explain_unreadable(error, self._place, self._path) from None
        faults = {kind: numbers for kind, numbers in wrong.items() if numbers}
        if faults:
            told = [f"  {roughly(len(numbers))} lines: {kind}" for kind, numbers in faults.items()]
            places = [f"{name_places('line', some)}: {kind}" for kind, some in faults.items()]
            raise SourceError(
                "\n".join([f"{self._place}: some lines are wrong", *told]), "\n".join(places)
            )

    def _as_array(self, name: str, values: list[Value]) -> pa.Array:
        """Give one column: of one type where its values share one, else each as text."""
        kinds = {type(value) for value in values if value is not None}
        if list in kinds:
            values = [[_spell(v)] if isinstance(v, str | int | float) else v for v in values]
        if list in kinds or len(kinds) < 2:
            with contextlib.suppress(OverflowError, UnicodeError):
                return pa.array(values)
        try:
            return pa.array([None if value is None else _spell(value) for value in values])
        except UnicodeError:
            raise SourceError(
                f"{self._place}: column '{name}' holds half a character (a lone surrogate); write "
                "it whole, as UTF-8"
            ) from None


_NO_OBJECT: Final = "no JSON object on one line; write one object a line, as UTF-8"
_TWICE: Final = "a key is there twice; write it once"
_NESTED: Final = "a column holds an object, or a list of other than strings; give each part a key"


def _read_line(line: bytes) -> Pairs | None:
    """Give the pairs of the object on a line; None where there is none."""
    try:
        read = json.loads(line.decode("utf-8-sig"), object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, Pairs) else None


def _find_fault(pairs: Pairs | None, columns: Sequence[str]) -> str | None:
    """Say what is wrong with a line, as far as the named columns go."""
    if pairs is None:
        return _NO_OBJECT
    if len({key for key, _ in pairs}) < len(pairs):
        return _TWICE
    lists = [value for key, value in pairs if isinstance(value, list) and key in columns]
    odd = any(isinstance(v, Pairs) or not all(isinstance(w, str) for w in v) for v in lists)
    return _NESTED if odd else None


def _spell(value: Value) -> str:
    """Give a value's text; of a number the shortest that names it."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return str(spell(pa.array([value]))[0])
    return json.dumps(value)
