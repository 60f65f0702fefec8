"""The commands `tutela home …`: a second machine comes to share ledgers and keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.terminal import JsonOption, say, tell

home_app = typer.Typer(
    help="Let another machine share this home's ledgers and keys.",
    epilog="Example: tutela home invite second.invitation",
    no_args_is_help=True,
)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The invitation's file.")]


@home_app.command(epilog="Example: tutela home invite second.invitation")
def invite(file: FileArgument, as_json: JsonOption = False) -> None:
    """Write an invitation for one machine, and show its code once.

    The ledgers must be in Postgres. It can be used for a day, once. Carry file and code apart:
    whoever has both has this home's keys.
    """
    from deployments.home import screen

    answer, code = screen.invite(file)
    tell(answer, as_json=as_json)
    say(f"The code, which is kept nowhere: {code}")


@home_app.command(epilog="Example: tutela home join second.invitation")
def join(file: FileArgument, as_json: JsonOption = False) -> None:
    """Make a home here from another machine's invitation; asks for its code."""
    from deployments.home import screen

    tell(screen.join(file, read_code()), as_json=as_json)


def read_code() -> str:
    """Ask for the code at a terminal, and read a line of input elsewhere: it is in no list."""
    if typer.get_text_stream("stdin").isatty():
        code: str = typer.prompt("Code", hide_input=True, err=True)
        return code
    return typer.get_text_stream("stdin").readline()
