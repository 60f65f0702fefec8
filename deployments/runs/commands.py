"""The commands `tutela runs`, every run of the home in a row, and `tutela automations`."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.completion import policies
from deployments.terminal import JsonOption, answer, say


def runs(
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", metavar="NAME", help="Only of this policy.", autocompletion=policies
        ),
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(
            "--verdict",
            metavar="WORD",
            help="Only those that ended so: passed, refused, failed, pending, awaiting or "
            "unfinished.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="Only those begun since: a day (2026-01-31), a time with its zone, or a span "
            "such as '7 days'.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs, newest first: verdict, people as published, ε, k, AUC or R², and the trend.

    The trend is against the policy's last run that passed. It reads the record alone; what
    killed processes left is not finished.
    """
    from deployments.runs.screen import Chosen, list_runs
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    home = Home.open()
    found, text = list_runs(home, Keys.open(home), Chosen.read(policy, verdict, since))
    answer(found, text, as_json=as_json)


def automations(
    address: Annotated[
        str, typer.Argument(metavar="WEBHOOK", help="Where messages are posted to as JSON.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Let the home's Prefect server tell a webhook of runs that need somebody.

    Makes the notification block and the automations, or changes them.
    """
    from deployments.runs.prefect_automations import load
    from deployments.servers.prefect_server import ensure_server, set_environment
    from ledgers.home.home import Home

    home = Home.open()
    set_environment(home)
    ensure_server(home, progress=say)
    names = load(address)
    answer({"automations": names}, "\n".join(names), as_json=as_json)
