"""What all commands share at the terminal: how a result is printed, and options of one meaning.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from expectations.errors import TutelaError

if TYPE_CHECKING:
    from ledgers.evidence import JSON

PolicyArgument = Annotated[
    str, typer.Argument(metavar="POLICY", help="A policy's file, or the name of an example.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer as one JSON object.")]


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
    """Print a result: for people, or as one JSON object."""
    typer.echo(json.dumps(found, indent=2) if as_json else text)


def say(sentence: str) -> None:
    """Tell the person at the terminal something that is not the result."""
    typer.echo(sentence, err=True)
