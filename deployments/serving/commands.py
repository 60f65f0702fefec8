"""The commands `tutela schedule`, `up`, `status` and `units`: what is typed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.approvals.commands import KeyOption, SshOption
from deployments.completion import policies
from deployments.terminal import JsonOption, answer, say, tell
from expectations.errors import UsageError

if TYPE_CHECKING:
    from deployments.serving.schedules import Change, Scope


def schedule(  # noqa: PLR0913, PLR0917 - the command's options
    policy: Annotated[
        str | None,
        typer.Argument(
            metavar="[POLICY]",
            help="The name of a policy in this home, or of an example.",
            autocompletion=policies,
        ),
    ] = None,
    cron: Annotated[
        str | None,
        typer.Option(
            "--cron", metavar="LINE", help="When: minute, hour, day, month, weekday, in quotes."
        ),
    ] = None,
    timezone: Annotated[
        str, typer.Option("--timezone", metavar="ZONE", help="Whose clock: such as Europe/Berlin.")
    ] = "UTC",
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="Release the tables; train no model.")
    ] = False,
    runs: Annotated[
        int | None,
        typer.Option(
            "--runs", metavar="N", min=1, help="Stop after N runs; required where a run spends ε."
        ),
    ] = None,
    pause: Annotated[bool, typer.Option("--pause", help="Start no run until --resume.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Start runs again.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the schedule.")] = False,
    key: KeyOption = None,
    ssh: SshOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a policy at set times; without POLICY, list all schedules."""
    from deployments.serving import screen
    from deployments.signing import Signer

    wanted: dict[Change, bool] = {"pause": pause, "resume": resume, "remove": remove}
    asked = [change for change, is_asked in wanted.items() if is_asked]
    if len(asked) + (cron is not None) > 1:
        raise UsageError("give one of --cron, --pause, --resume and --remove")
    if policy is None:
        if asked or cron or runs or tables_only:
            raise UsageError("name the policy: tutela schedule POLICY --cron …")
        tell(screen.tell_schedules(say), as_json=as_json)
    elif asked:
        tell(screen.change(policy, asked[0], say), as_json=as_json)
    elif cron is None:
        raise UsageError(f'say when: tutela schedule {policy} --cron "0 5 * * *"')
    else:
        scope: Scope = "tables" if tables_only else "all"
        made = screen.make(policy, scope, (cron, timezone), runs, Signer(key, ssh), say)
        tell(made, as_json=as_json)


def up() -> None:
    """Serve this home here until Ctrl-C: Prefect, MLflow's pages, and what is scheduled."""
    from deployments.serving.supervisor import serve_all
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    home = Home.open()
    # The worker would fail as well, but out of sight.
    Keys.open(home)
    serve_all(home, announce=say, show=lambda text: answer({}, text, as_json=False))


def status(as_json: JsonOption = False) -> None:
    """Show whether all that serves this home is well, and what comes next; exit 3 if not."""
    from deployments.serving.status import tell_status

    tell(tell_status(), as_json=as_json)


def units(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where the files are written; made if missing.")
    ],
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="NAME", help="The account that owns the home; else yours."),
    ] = None,
    login: Annotated[
        bool, typer.Option("--login", help="Have both servers ask for a password.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write what has systemd serve this home day and night."""
    from deployments.serving.units import write_units

    tell(write_units(folder, user, login=login), as_json=as_json)
