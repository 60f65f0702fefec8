"""The commands `tutela keys …`: what keys make tokens and move dates, and how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deployments.terminal import JsonOption, confirm, tell

if TYPE_CHECKING:
    from ledgers.key_ledger import KeyLedger

keys_app = typer.Typer(
    help="Show, rotate and destroy the keys of tokens and moved dates.",
    epilog="Example: tutela keys list",
    no_args_is_help=True,
)

PurposeArgument = Annotated[
    str, typer.Argument(metavar="PURPOSE", help="Such as dpv:ScientificResearch.")
]


@keys_app.command("list", epilog="Example: tutela keys list")
def show(as_json: JsonOption = False) -> None:
    """List the keys: when each was made, and what became of it."""
    from deployments.keys import screen

    tell(screen.show(opened_keys()), as_json=as_json)


@keys_app.command(epilog="Example: tutela keys rotate dpv:ScientificResearch")
def rotate(purpose: PurposeArgument, as_json: JsonOption = False) -> None:
    """Begin a new key for a purpose; new tokens match no earlier ones."""
    from deployments.keys import screen

    tell(screen.rotate(opened_keys(), purpose), as_json=as_json)


@keys_app.command(epilog="Example: tutela keys destroy dpv:ScientificResearch --version 1")
def destroy(
    purpose: PurposeArgument,
    version: Annotated[
        int | None,
        typer.Option("--version", metavar="N", help="Only this version; without it, all."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Overwrite a purpose's key, so that its tokens cannot be made again or read back."""
    from deployments.keys import screen

    answer = screen.destroy(opened_keys(), purpose, version, lambda asked: yes or confirm(asked))
    tell(answer, as_json=as_json)


@keys_app.command(epilog="Example: tutela keys reveal dpv:ScientificResearch < tokens.txt")
def reveal(
    purpose: PurposeArgument,
    file: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="A .csv, .tsv or .parquet file; without it, one token per line of input.",
        ),
    ] = None,
    column: Annotated[
        str, typer.Option("--column", metavar="NAME", help="The file's column of tokens.")
    ] = "token",
    as_json: JsonOption = False,
) -> None:
    """Read reversible tokens back, in order; the output names people.

    Only for people who may see them under the purpose's legal basis. Every use is recorded.
    """
    from deployments.keys import screen

    tell(screen.reveal(opened_keys(), purpose, file, column), as_json=as_json)


def opened_keys() -> KeyLedger:
    """Open the home's key ledger."""
    from ledgers.home.database import open_database
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from ledgers.key_ledger import KeyLedger

    home = Home.open()
    return KeyLedger(open_database(home), Keys.open(home))
