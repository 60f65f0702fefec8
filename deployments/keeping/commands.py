"""The commands `tutela maintain | hold | backup | restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments.completion import run_ids
from deployments.terminal import JsonOption, say, tell
from expectations.errors import UsageError


def maintain(as_json: JsonOption = False) -> None:
    """Finish what was left; remove what its policy's days are over for.

    Made for each night. Each removal is recorded; what remains on servers elsewhere is said. Then
    all there is is verified, as by tutela verify.
    """
    from deployments.keeping import maintain as nightly
    from deployments.run.leftovers import finish_leftovers
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    home = Home.open()
    keys = Keys.open(home)
    for sentence in finish_leftovers(home, keys):
        say(sentence)
    done = nightly.verify_night(home, keys, nightly.maintain(home, keys))
    for sentence in nightly.announce_done(home, keys, done):
        say(sentence)
    tell(done, as_json=as_json)


def backup(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Where the backup goes.")
    ] = None,
    new_recovery_key: Annotated[
        Path | None,
        typer.Option(
            "--new-recovery-key", metavar="FILE", help="Make the key that opens backups, once."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the home into a sealed file, while runs go on."""
    from deployments.keeping import recovery
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    if (folder is None) == (new_recovery_key is None):
        raise UsageError("give DIR, or --new-recovery-key FILE once before")
    home = Home.open()
    if new_recovery_key is not None:
        tell(recovery.make_key(home, new_recovery_key), as_json=as_json)
    if folder is not None:
        tell(recovery.back_up(home, Keys.open(home), folder), as_json=as_json)


def restore(  # noqa: PLR0913, PLR0917  # what is restored, and what of the time since
    file: Annotated[
        Path | None, typer.Argument(metavar="[BACKUP]", help="The sealed file.")
    ] = None,
    recovery_key: Annotated[
        Path | None, typer.Option("--recovery-key", metavar="FILE", help="The key that opens it.")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option("--journal", metavar="FILE", help="Replay what was done since, from here."),
    ] = None,
    without_journal: Annotated[
        bool, typer.Option("--without-journal", help="There is none; go on all the same.")
    ] = False,
    because: Annotated[str, typer.Option("--because", metavar="TEXT", help="Why.")] = "",
    who: Annotated[str, typer.Option("--by", metavar="NAME", help="Who decided it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Build a home from a backup; it reads, until what was done since is replayed."""
    from deployments.keeping import recovery
    from ledgers.home.home import Home

    if (file is None) != (recovery_key is None) or (file, journal, without_journal) == (
        None, None, False,
    ):  # fmt: skip
        raise UsageError("give BACKUP with --recovery-key FILE, or --journal FILE")
    if without_journal and (journal is not None or not (because.strip() and who.strip())):
        raise UsageError("--without-journal needs --because and --by, which go on record")
    if file is not None and recovery_key is not None:
        answer = recovery.rebuild(file, recovery_key)
        if journal is None and not without_journal:
            tell(answer, as_json=as_json)
            return
        say("\n".join(answer.lines[:2]))
    home = Home.open()
    if journal is not None:
        tell(recovery.replay_journal(home, journal), as_json=as_json)
    else:
        tell(recovery.go_without(home, who, because), as_json=as_json)


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
