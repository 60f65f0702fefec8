"""The command `tutela verify`: what is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.completion import run_ids
from deployments.terminal import JsonOption, tell
from expectations.errors import UsageError


def verify(  # noqa: PLR0913, PLR0917  # what is typed
    run_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN|BUNDLE]",
            help="A run's id or its first characters, or a bundle.",
            autocompletion=run_ids,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", metavar="URI", help="The run of this model: models:/NAME/VERSION."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All runs and ledgers, as without RUN.")
    ] = False,
    anchor: Annotated[
        list[Path] | None,
        typer.Option(
            "--anchor", metavar="PLACE", help="Compare with checkpoints that were kept here."
        ),
    ] = None,
    signers: Annotated[
        Path | None,
        typer.Option(
            "--signers", metavar="FILE", help="Your own list of the first people's public keys."
        ),
    ] = None,
    receipt: Annotated[
        Path | None,
        typer.Option(
            "--receipt",
            metavar="FILE",
            help="Hold the package in the folder RUN against its receipt; needs no home.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", metavar="HEX", help="The public key of whoever sent the receipt or bundle."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check that the record, and all that shows it, is what was written.

    Reads alone. Exit 0: all as written; 1: something differs; 3: something could not be compared.
    """
    from deployments.verify import screen
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    if receipt is not None:
        if run_id is None or key is None:
            raise UsageError("give the package's folder and its sender's key: --key HEX")
        tell(screen.verify_receipt(Path(run_id), receipt, key), as_json=as_json)
        return
    if run_id is not None and (run_id.endswith(".zip") or Path(run_id).is_file()):
        tell(screen.verify_bundle(Path(run_id), key), as_json=as_json)
        return
    if sum(map(bool, (run_id, model, everything))) > 1:
        raise UsageError("give one of RUN, --model and --all")
    home = Home.open()
    places = [*map(Path, home.settings.anchors)] if anchor is None else anchor
    found = screen.verify(home, Keys.open(home), run_id, model, places, signers)
    tell(found, as_json=as_json)


def bundle(
    run_id: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run's id, or its first characters.", autocompletion=run_ids
        ),
    ],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write it here, not to RUN.zip.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write all that tells of a run into one file that anybody can check without this home."""
    from deployments.verify import screen
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    home = Home.open()
    tell(screen.write_bundle(home, Keys.open(home), run_id, to), as_json=as_json)
