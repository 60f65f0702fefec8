"""The commands of approval: what is typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.completion import run_ids
from deployments.terminal import Answer, JsonOption, say, tell
from expectations.errors import UsageError

if TYPE_CHECKING:
    from ledgers.people.register import Change, Register

ASKED_DAYS = 30
"""How long a change of the enrolled keys can be signed."""
WhatArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN|FILE",
        help="A run that waits, a request's file or a policy's.",
        autocompletion=run_ids,
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="Sign with this private key (Ed25519)."),
]
SshOption = Annotated[
    Path | None,
    typer.Option(
        "--ssh", metavar="KEY.pub", help="Let ssh-keygen sign: an agent or a security key has it."
    ),
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, in one line; it is on record.")
]
PublicArgument = Annotated[Path, typer.Argument(metavar="KEY.pub", help="A public key's file.")]
ToOption = Annotated[
    Path, typer.Option("--to", metavar="FILE", help="Write the request here, to be signed.")
]

signers_app = typer.Typer(
    help="Keep the keys of people who approve.",
    epilog="Example: tutela signers list",
    no_args_is_help=True,
)


def approve(  # noqa: PLR0913, PLR0917  # what is typed
    what: WhatArgument,
    key: KeyOption = None,
    ssh: SshOption = None,
    reason: ReasonOption = "",
    export: Annotated[
        Path | None,
        typer.Option("--export", metavar="FILE", help="Write the request, and sign nothing."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run would hand over, or what changed in a policy's file, and sign that it may.

    Of a FILE it needs no home, and writes FILE.signed beside it.
    """
    _sign(what, key, ssh, "", reason, export, as_json=as_json)


def decline(
    what: WhatArgument,
    reason: ReasonOption,
    key: KeyOption = None,
    ssh: SshOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign that a run may hand over nothing; it ends as refused."""
    _sign(what, key, ssh, "decline", reason, None, as_json=as_json)


def _sign(  # noqa: PLR0913, PLR0917  # what is typed
    what: str, key: Path | None, ssh: Path | None, declined: str, reason: str,
    export: Path | None, *, as_json: bool,
) -> None:  # fmt: skip
    from deployments.approvals import screen
    from deployments.signing import Signer, read_file
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from ledgers.people.statement import Request

    file = Path(what)
    if file.suffix in {".yaml", ".yml"}:
        if declined:
            raise UsageError(
                "a policy that nobody approves is not run: there is nothing to decline"
            )
        tell(screen.approve_policy(what, Signer(key, ssh), reason, export), as_json=as_json)
        return
    if file.is_file():
        request = Request.read(read_file(file))
        say("\n".join(screen.say_request(request)))
        signed = Signer(key, ssh).answer(request, "decline" if declined else "approve", reason)
        to = file.with_name(f"{file.name}.signed")
        screen.write(to, signed.write())
        line = f"Send {to} back: tutela approvals --take {to.name}"
        tell(Answer({"signed": str(to), "request": request.digest}, [line]), as_json=as_json)
        return
    home = Home.open()
    keys = Keys.open(home)
    if export is not None:
        tell(screen.export(home, keys, what, export), as_json=as_json)
        return
    _, request = screen.open_request(home, keys, what)
    say("\n".join(screen.say_request(request)))
    signed = Signer(key, ssh).answer(request, "decline" if declined else "approve", reason)
    tell(screen.take(home, keys, signed), as_json=as_json)


def approvals(
    take: Annotated[
        list[Path] | None,
        typer.Option("--take", metavar="FILE", help="Take in a statement that somebody signed."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the runs that wait for people's approval; take in what they signed."""
    from deployments.approvals import screen
    from deployments.signing import read_file
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from ledgers.people.statement import Signed

    home = Home.open()
    keys = Keys.open(home)
    if not take:
        tell(screen.list_waiting(home, keys), as_json=as_json)
        return
    found = [screen.take(home, keys, Signed.read(read_file(path))) for path in take]
    lines = [line for one in found for line in one.lines]
    notes = [note for one in found for note in one.notes]
    tell(Answer({"taken": [dict(one.found) for one in found]}, lines, notes), as_json=as_json)


@signers_app.command("list", epilog="Example: tutela signers list")
def list_them(
    for_policy: Annotated[
        bool, typer.Option("--policy", help="Print the part of a policy that asks two of them.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List the enrolled keys, and what became of others."""
    from deployments.approvals import screen

    write = screen.write_asking if for_policy else screen.list_signers
    tell(write(_register()), as_json=as_json)


@signers_app.command(epilog="Example: tutela signers pin a.pub b.pub --recovery r.pub")
def pin(
    first: Annotated[
        list[Path], typer.Argument(metavar="KEY.pub…", help="The public keys of the first people.")
    ],
    recovery: Annotated[
        Path | None,
        typer.Option(
            "--recovery", metavar="KEY.pub", help="A key that is kept offline, for lost ones."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Enrol the first keys, once; later ones need the signatures of those enrolled."""
    from deployments.approvals import screen
    from deployments.signing import read_key

    keys = [read_key(path) for path in first]
    offline = read_key(recovery) if recovery else None
    _register().pin(keys, offline)
    tell(screen.say_pinned(keys, offline), as_json=as_json)


@signers_app.command(epilog="Example: tutela signers enrol c.pub --to c.request")
def enrol(key: PublicArgument, to: ToOption, as_json: JsonOption = False) -> None:
    """Ask the enrolled people to take in another key."""
    _ask("enrol", key, to, as_json=as_json)


@signers_app.command(epilog="Example: tutela signers retire c.pub --to c.request")
def retire(key: PublicArgument, to: ToOption, as_json: JsonOption = False) -> None:
    """Ask them to let a key go: it signs nothing more, what it signed stands."""
    _ask("retire", key, to, as_json=as_json)


@signers_app.command(epilog="Example: tutela signers lose c.pub --to c.request")
def lose(key: PublicArgument, to: ToOption, as_json: JsonOption = False) -> None:
    """Ask them to declare a key lost: what it signed of waiting runs counts no more."""
    _ask("lose", key, to, as_json=as_json)


@signers_app.command(epilog="Example: tutela signers take c.request.signed")
def take(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="The signed statements, one of each person."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Change the enrolled keys, as a majority of them or the recovery key signed."""
    from deployments.signing import read_file
    from ledgers.people.statement import Signed

    act = _register().change([Signed.read(read_file(path)) for path in files])
    line = f"{act.key.fingerprint} is {act.what}."
    tell(Answer({"key": act.key.fingerprint, "what": act.what}, [line]), as_json=as_json)


def _ask(change: Change, key: Path, to: Path, *, as_json: bool) -> None:
    from deployments.approvals import screen
    from deployments.signing import read_key

    until = datetime.now(UTC) + timedelta(days=ASKED_DAYS)
    request = _register().ask(change, read_key(key), until.isoformat())
    screen.write(to, request.content)
    line = f"Let the enrolled people sign {to}: tutela approve {to.name} --key FILE"
    tell(Answer({"request": str(to), "digest": request.digest}, [line]), as_json=as_json)


def _register() -> Register:
    from ledgers.home.database import open_database
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from ledgers.people.register import Register

    home = Home.open()
    keys = Keys.open(home)
    return Register(open_database(home), keys)
