"""The command `tutela audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.completion import policies, run_ids
from deployments.terminal import JsonOption, say, tell


def audit(
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="Only runs begun since: a day (2026-01-31), a time with its zone, or a span such "
            "as '30 days'.",
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", metavar="NAME", help="Only of this policy.", autocompletion=policies
        ),
    ] = None,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--between",
            metavar="RUN RUN",
            help="Show what changed from one run to another instead.",
            autocompletion=run_ids,
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option("--page", metavar="FILE", help="Write the answer as a page, too."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Answer an auditor from the record: consent used, refusals, what left, and ε by purpose.

    It reads the record alone, which is checked as it is read; it starts and finishes nothing.
    """
    from deployments.audit import screen
    from deployments.moments import read_since
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    home = Home.open()
    keys = Keys.open(home)
    if between is not None:
        from deployments.audit.changes import describe_between

        tell(describe_between(home, keys, *between), as_json=as_json)
        return
    asked = None if since is None else read_since(since, "--since")
    found = screen.read_audit(home, keys, asked, policy)
    if page is not None:
        screen.write_page(page, found)
        say(f"the page is {page}")
    tell(screen.describe(found), as_json=as_json)
