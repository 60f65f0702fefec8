"""What a source is: a table that is read by named columns, wherever it lies, and its header.

It knows names of columns and nothing of what stands in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from expectations.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa


SHOWN: Final = 5
"""Numbers of rows named for each thing that is wrong."""
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


def check_header(names: Sequence[str], place: str) -> tuple[str, ...]:
    """Give the names of a source's columns; raise SourceError if one stands there twice."""
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated:
        said = "s are" if len(repeated) > 1 else " is"
        raise SourceError(
            f"{place}: {len(repeated)} column name{said} there more than once, so a name does not "
            "say which is meant; rename them, or write a header if the first row is none"
        )
    return tuple(names)


def pick_columns(asked: Iterable[str], held: Sequence[str], place: str) -> list[str]:
    """Give the asked names once each, in their order; raise SourceError for what is not held."""
    picked = list(dict.fromkeys(asked))
    absent = [name for name in picked if name not in held]
    if absent:
        near = sorted({match for name in absent for match in get_close_matches(name, held, n=1)})
        hint = f"did you mean {_list(near)}?" if near else f"it has {len(held)} others"
        raise SourceError(f"{place}: no column {_list(absent)}; {hint}")
    return picked


def explain_unreadable(error: OSError, place: str, path: Path) -> SourceError:
    """Say why a file cannot be opened, without what the library says of its content."""
    if isinstance(error, FileNotFoundError):
        return SourceError(f"{place}: there is no file {path}; check the path")
    if isinstance(error, PermissionError):
        return SourceError(f"{place}: the file may not be read; give this user read permission")
    return SourceError(f"{place}: the file cannot be read ({type(error).__name__}); check the path")


def is_file(path: Path, place: str) -> bool:
    """Say whether a file is there; raise SourceError where this user may not even look."""
    try:
        return path.is_file()
    except OSError as error:
        raise explain_unreadable(error, place, path) from None


def name_places(what: str, numbers: Sequence[int | None]) -> str:
    """Name the first of some rows, lines or events, and how many there are; for a terminal."""
    first = ", ".join(map(str, numbers[:SHOWN])) + (", …" if len(numbers) > SHOWN else "")
    return f"{what} {first} ({len(numbers):,} in all)"


def _list(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
