"""The commands `tutela maintain | hold | backup | restore`."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.completion import run_ids
from deployments.run.leftovers import finish_leftovers
from deployments.terminal import JsonOption, say, tell
from expectations.errors import UsageError


def maintain(as_json: JsonOption = False) -> None:
    """Finish what was left; remove what its policy's days are over for.

    Made for each night. Each removal is recorded; what remains on servers elsewhere is said.
    """
    from deployments.keeping import maintain as nightly
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    home = Home.open()
    keys = Keys.open(home)
    for sentence in finish_leftovers(home, keys):
        say(sentence)
    tell(nightly.maintain(home, keys), as_json=as_json)


def hold(  # noqa: PLR0913, PLR0917  # what is held, and why
    run_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]", help="A run's id, or its first characters.", autocompletion=run_ids
        ),
    ] = None,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why.")] = "",
    who: Annotated[str, typer.Option("--by", metavar="NAME", help="Who decided it.")] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="DATE", help="When it is looked at again.")
    ] = "",
    release: Annotated[bool, typer.Option("--release", help="End the hold.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Keep a run beyond its days; without RUN, list what is held."""
    from deployments.keeping import holds
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    given = {"--because": because, "--by": who, **({} if release else {"--until": until})}
    if run_id and (lacks := [name for name, text in given.items() if not text.strip()]):
        raise UsageError(f"give {' and '.join(lacks)}: a hold says who decided it, why, until when")
    home = Home.open()
    keys = Keys.open(home)
    if run_id is None:
        answer = holds.list_holds(home, keys)
    elif release:
        answer = holds.release(home, keys, run_id, who, because)
    else:
        answer = holds.hold(home, keys, run_id, who, because, until)
    tell(answer, as_json=as_json)
