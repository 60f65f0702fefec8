"""The commands `tutela consent …`: what people said is taken in, told, reproduced and erased.

No command here finishes what earlier runs left: a run that waits to be registered would otherwise
be handed over by the very command that takes a person out of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deployments.completion import policies
from deployments.terminal import JsonOption, PolicyArgument, confirm, say, tell
from expectations.errors import UsageError

if TYPE_CHECKING:
    from expectations.policy.policy import Policy
    from ledgers.consent.ledger import ConsentLedger

consent_app = typer.Typer(
    help="Record and show who consented to what, as of any moment.",
    epilog="Example: tutela consent stats",
    no_args_is_help=True,
)

PersonArgument = Annotated[
    str,
    typer.Argument(
        metavar="PERSON",
        help="The identifier as the source spells it; - reads it from standard input, which keeps "
        "it out of the shell's history and the list of processes.",
    ),
]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="POLICY",
        help="A policy's file, or an example's name.",
        autocompletion=policies,
    ),
]
PurposeOption = Annotated[
    str | None,
    typer.Option("--purpose", metavar="PURPOSE", help="Such as dpv:ScientificResearch."),
]
CategoriesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--categories",
        metavar="CATEGORIES",
        help="Only these, separated by commas; without it, all.",
    ),
]


@consent_app.command("import", epilog="Example: tutela consent import diabetes")
def take_in(
    policy: PolicyArgument,
    given: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Import the events from here instead: a .csv, .tsv, .jsonl or .parquet file, or "
            "URL#table.",
        ),
    ] = None,
    like: Annotated[
        int | None,
        typer.Option(
            "--like",
            metavar="N",
            help="Read FILE like the policy's source N, counted from 1.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Import the events of a policy's sources; known events stay as they are.

    Each source is taken in whole or not at all. A run does the same before it decides.
    """
    from deployments.consent import people as consent_people
    from ledgers.consent.turn import turn

    ledger = opened_ledger()
    with turn(ledger, say_waiting):
        found = consent_people.take_in(ledger, policy, given, like)
    tell(found, as_json=as_json)


@consent_app.command(
    epilog="Example: tutela consent record P-014440 --policy diabetes --status given "
    "--notice research --indication explicit"
)
def record(  # noqa: PLR0913, PLR0917 - one option per field of an event
    person: PersonArgument,
    status: Annotated[
        str,
        typer.Option("--status", metavar="STATUS", help="given, refused, withdrawn, objected, …"),
    ],
    policy: PolicyOption = None,
    purpose: PurposeOption = None,
    notice: Annotated[
        str | None,
        typer.Option("--notice", metavar="ID", help="What the person was shown."),
    ] = None,
    notice_version: Annotated[
        int | None,
        typer.Option("--notice-version", metavar="N", help="Its version; without it, the latest."),
    ] = None,
    language: Annotated[
        str | None, typer.Option("--language", metavar="WORD", help="Its language.")
    ] = None,
    categories: CategoriesOption = None,
    indication: Annotated[
        str | None,
        typer.Option("--indication", metavar="WORD", help="explicit, expressed or implied."),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="WHEN", help="From when it is valid; without it, from now on."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="When it expires.")
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", metavar="WORDS", help="Such as 'paper form'.")
    ] = None,
    jurisdiction: Annotated[
        str | None, typer.Option("--jurisdiction", metavar="WORD", help="The law that applies.")
    ] = None,
    guardian: Annotated[
        str | None,
        typer.Option(
            "--guardian", metavar="PERSON", help="Who answered for a child; - as with PERSON."
        ),
    ] = None,
    evidence: Annotated[
        str | None,
        typer.Option("--evidence", metavar="REFERENCE", help="Where the proof is kept."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Record one event of one person: an answer, or the exercise of a right.

    WHEN is a day in UTC (2026-01-31), or a time with its zone (2026-01-31T09:30+01:00). On a day
    without an hour a gift counts from its beginning, everything else from its end.
    """
    from deployments.consent import person as consent_person
    from deployments.consent.event import Typed, read_identifier
    from ledgers.consent.turn import turn

    typed = Typed(
        read_identifier(person), status, purpose, tuple(categories or ()), notice, notice_version,
        language, indication, at, until, method, jurisdiction,
        None if guardian is None else read_identifier(guardian), evidence,
    )  # fmt: skip
    rules, ledger = read_rules(policy), opened_ledger()
    with turn(ledger, say_waiting):
        found = consent_person.record(ledger, typed, rules)
    tell(found, as_json=as_json)


@consent_app.command(epilog="Example: tutela consent withdraw P-014440 --policy diabetes")
def withdraw(
    person: PersonArgument,
    policy: PolicyOption = None,
    purpose: PurposeOption = None,
    categories: CategoriesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Withdraw a person's consent from now on: to a policy's purpose, to another, or to all.

    For one that was received earlier, see tutela consent record --status withdrawn --at WHEN.
    """
    from deployments.consent import person as consent_person
    from deployments.consent.event import Typed, read_identifier
    from deployments.consent.handed_over import find_handed_over, list_open
    from ledgers.consent.turn import turn
    from ledgers.evidence import EvidenceLedger
    from ledgers.home.database import stamp

    if policy and purpose:
        raise UsageError("--policy and --purpose both say for what: give only one of them")
    typed = Typed(read_identifier(person), "withdrawn", purpose, tuple(categories or ()))
    rules, ledger = read_rules(policy), opened_ledger()
    evidence = EvidenceLedger(ledger.engine, ledger.keys)
    since, were_open = stamp(), list_open(evidence)
    with turn(ledger, say_waiting):
        before = find_handed_over(evidence, were_open, since)
        found = consent_person.withdraw(ledger, typed, rules, before)
    tell(found, as_json=as_json)


@consent_app.command(epilog="Example: tutela consent show P-014440 --policy diabetes")
def show(person: PersonArgument, policy: PolicyOption = None, as_json: JsonOption = False) -> None:
    """Show a person's events, and whether a policy may read them and why."""
    from deployments.consent import person as consent_person
    from deployments.consent.event import read_identifier

    name, rules = read_identifier(person), read_rules(policy)
    tell(consent_person.show(opened_ledger(), name, rules), as_json=as_json)


@consent_app.command(epilog="Example: tutela consent erase P-014440")
def erase(
    person: PersonArgument,
    policy: PolicyOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Erase a person's events; the chain that proves the others stays whole."""
    from deployments.consent import person as consent_person
    from deployments.consent.event import read_identifier

    name, rules = read_identifier(person), read_rules(policy)
    found = consent_person.erase(opened_ledger(), name, lambda asked: yes or confirm(asked), rules)
    tell(found, as_json=as_json)


@consent_app.command(epilog="Example: tutela consent snapshot diabetes --valid-at 2024-07-01")
def snapshot(
    policy: PolicyArgument,
    valid_at: Annotated[
        str | None,
        typer.Option(
            "--valid-at",
            metavar="WHEN",
            help="The moment at which consent must be valid; without it, now.",
        ),
    ] = None,
    known_at: Annotated[
        str | None,
        typer.Option(
            "--known-at",
            metavar="WHEN",
            help="Use only what had been recorded by then; without it, the same moment.",
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Reproduce that run's decision, and say whether its digest is the same.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Reproduce whom a policy could read at a past moment; reads no source.

    WHEN is a day, which begins at midnight UTC (2026-01-31), or a time with its zone
    (2026-01-31T09:30+01:00).
    """
    from deployments.consent import people as consent_people

    if run_id is None:
        found = consent_people.reproduce(opened_ledger(), policy, valid_at, known_at)
    elif valid_at or known_at:
        raise UsageError("--run has its own moments: leave out --valid-at and --known-at")
    else:
        found = consent_people.compare(opened_ledger(), policy, run_id)
    tell(found, as_json=as_json)


@consent_app.command(epilog="Example: tutela consent stats")
def stats(as_json: JsonOption = False) -> None:
    """Count how many people said what, for which purpose."""
    from deployments.consent import people as consent_people

    tell(consent_people.count(opened_ledger()), as_json=as_json)


@consent_app.command(epilog="Example: tutela consent verify")
def verify(as_json: JsonOption = False) -> None:
    """Check that all events are as they were recorded."""
    from deployments.consent import people as consent_people

    tell(consent_people.verify(opened_ledger()), as_json=as_json)


def say_waiting() -> None:
    """Say that a run is handing over, and that this command goes on afterwards."""
    say("waiting for a run that is handing over …")


def read_rules(policy: str | None) -> Policy | None:
    """Read the policy that is named, if one is."""
    from ledgers.home.policies import read_named_policy

    return None if policy is None else read_named_policy(policy).policy


def opened_ledger() -> ConsentLedger:
    """Open the home's consent ledger."""
    from ledgers.consent.ledger import ConsentLedger
    from ledgers.home.database import open_database
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    home = Home.open()
    return ConsentLedger(open_database(home), home, Keys.open(home))
