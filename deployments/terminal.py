"""What all commands share at the terminal: how a result is printed, and options of one meaning.

Results go to standard output, everything else to standard error. Screens are written plain; a
terminal is shown verdicts in colour as they are printed, a pipe never.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TextIO, TypeAlias

import typer

from deployments.completion import policies
from expectations.errors import TutelaError

if TYPE_CHECKING:
    from ledgers.evidence import JSON

PolicyArgument = Annotated[
    str,
    typer.Argument(
        metavar="POLICY",
        help="A policy's file, or the name of an example.",
        autocompletion=policies,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the answer as one JSON object.")]


def show_version(asked: bool) -> None:
    """Print the version and exit, where that is asked."""
    if asked:
        typer.echo(f"tutela {version('tutela')}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option(
        "--version", callback=show_version, is_eager=True, help="Show the version and exit."
    ),
]

PIPE_CLOSED: Final = 128 + 13
"""The exit status of a program that is ended by a closed pipe, as shells tell it."""
WIDTH: Final = 80
"""How wide any screen may be."""
GAP: Final = "  "
NARROWEST: Final = 8
"""Columns of words are not folded below this width as long as another can give way."""
Colour: TypeAlias = Literal["green", "red", "yellow"]
CODES: Final[Mapping[Colour, str]] = {"green": "32", "red": "31", "yellow": "33"}
MEANT: Final[Mapping[str, Colour]] = {
    "passed": "green",
    "stronger": "green",
    "refused": "red",
    "failed": "red",
    "weaker": "red",
    "changed": "yellow",
    "warned": "yellow",
    "warning": "yellow",
    "inconclusive": "yellow",
    "pending": "yellow",
    "awaiting": "yellow",
    "yes": "green",
    "no": "red",
}
"""Which words of a screen are coloured, where they stand alone: in a column, or before a colon."""
_ALONE: Final = re.compile(rf"(?im)(^ *|  )({'|'.join(MEANT)})(?=:|  |$|\. )")


@dataclass(frozen=True, slots=True)
class Answer:
    """A command's result as plain values and in words, what is said beside it, and a refusal."""

    found: Mapping[str, JSON]
    lines: Sequence[str]
    notes: Sequence[str] = ()
    refused: TutelaError | None = None


def tell(found: Answer, *, as_json: bool) -> None:
    """Print an answer, say what is said beside it, and raise what was refused, if anything was."""
    answer(found.found, "\n".join(found.lines), as_json=as_json)
    for note in found.notes:
        say(note)
    if found.refused is not None:
        raise found.refused


def confirm(question: str) -> bool:
    """Ask the person at the terminal; anything but a yes is a no, and so is no answer."""
    # Not typer's own, which writes a blank to standard output.
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def answer(found: object, text: str, *, as_json: bool) -> None:
    """Print a result: for people, or as one JSON object; who closes the pipe ends the command."""
    shown = json.dumps(found, indent=2) if as_json else colour_words(text)
    try:
        typer.echo(shown, color=has_colour(sys.stdout))
    except BrokenPipeError:
        # Else the interpreter would try to write the rest when it ends, and say that it can't.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from None


def has_colour(stream: TextIO | None) -> bool:
    """Whether a stream is shown in colour: a terminal is, unless NO_COLOR says no.

    FORCE_COLOR says yes for a pipe too (no-color.org, force-color.org); NO_COLOR goes first.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: Colour) -> str:
    """Colour a text where standard output is shown in colour; else give it as it stands."""
    return f"\033[{CODES[colour]}m{text}\033[0m" if has_colour(sys.stdout) else text


def colour_words(text: str) -> str:
    """Colour the words of a screen that say how something ended."""
    return _ALONE.sub(lambda it: it[1] + paint(it[2], MEANT[it[2].lower()]), text)


def lay_out(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Collection[int] = (),
    indent: int = 0,
) -> list[str]:
    """Give a table as lines of at most 80 characters, its columns aligned.

    A cell too long for its column is folded inside it; the widest columns give way first, and
    `numbers` last: the indices of columns that stand to the right. An empty header is left out.
    All is moved to the right by `indent`.
    """
    table = [header, *rows] if header else list(rows)
    widths = column_widths(table, numbers, WIDTH - indent)
    return [" " * indent + line for row in table for line in row_lines(row, widths, numbers)]


def column_widths(table: Sequence[Sequence[str]], numbers: Collection[int], most: int) -> list[int]:
    """Give each column the width of its longest cell, and take from the widest what is over.

    A word is cut only where no column of text is wider than its longest word.
    """
    columns = list(zip(*table, strict=True))
    widths = [max(map(len, column)) for column in columns]
    longest = [max(len(word) for cell in column for word in cell.split(" ")) for column in columns]
    while sum(widths) + len(GAP) * (len(widths) - 1) > most:
        words = [n for n, width in enumerate(widths) if n not in numbers and width > NARROWEST]
        loose = [n for n in words if widths[n] > longest[n]]
        widest = max(loose or words or range(len(widths)), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def row_lines(row: Sequence[str], widths: Sequence[int], numbers: Collection[int]) -> Sequence[str]:
    """Give one row as lines, each cell folded to its column's width."""
    cells = [
        textwrap.wrap(cell, max(width, 1), break_on_hyphens=False) or [""]
        for cell, width in zip(row, widths, strict=True)
    ]
    return [
        GAP.join(
            f"{part:>{width}}" if n in numbers else f"{part:<{width}}"
            for n, (part, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in zip_longest(*cells, fillvalue="")
    ]


def say(sentence: str) -> None:
    """Tell the person at the terminal something that is not the result."""
    typer.echo(fold(sentence), err=True)


def fold(text: str) -> str:
    """Break lines at words where a terminal would break them anywhere; leave a pipe's as they are.

    A word that is longer than a line stays whole, and so does a line that is set in, so that paths
    and commands can be copied.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        return text
    return "\n".join(
        line
        if line.startswith("  ")
        else textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )


def wrap(text: str, indent: str = "", hanging: str | None = None) -> list[str]:
    """Break a text into lines of at most the screen's width."""
    return [
        line
        for part in text.splitlines()
        for line in textwrap.wrap(
            part,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent if hanging is None else hanging,
            break_on_hyphens=False,
        )
    ]


def command() -> str:
    """Give the command as the person at the terminal can type it."""
    called = Path(sys.argv[0])
    if called.name != "tutela" or shutil.which("tutela"):
        return "tutela"
    return os.path.relpath(called)
