"""The commands `tutela consent …`: what people said is taken in, told, reproduced and erased.

No command here finishes what earlier runs left: a run that waits to be registered would otherwise
be handed over by the very command that takes a person out of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deployments.completion import policies
from deployments.terminal import JsonOption, PolicyArgument, confirm, tell
from expectations.errors import UsageError

if TYPE_CHECKING:
    from expectations.policy.policy import Policy
    from ledgers.consent.ledger import ConsentLedger

consent_app = typer.Typer(
    help="What each person consented to, and whose data may be read, as of any moment.",
    epilog="Example: tutela consent stats",
    no_args_is_help=True,
)

PersonArgument = Annotated[
    str,
    typer.Argument(
        metavar="PERSON",
        help="The identifier as the source spells it; - reads it from standard input, so that it "
        "stands in no shell history and no list of processes.",
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
        "--categories", metavar="CATEGORIES", help="Only these, parted by commas; else all."
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
            help="Take the events from here instead: a .csv, .tsv, .jsonl or .parquet file, or "
            "URL#table.",
        ),
    ] = None,
    like: Annotated[
        int | None,
        typer.Option(
            "--like",
            metavar="N",
            help="Read FILE by the columns and words of the policy's source N, counted from 1.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take the events of a policy's sources into the ledger; what is there already stays.

    Each source is taken in whole or not at all. A run does the same before it decides.
    """
    from deployments.consent import people as consent_people

    tell(consent_people.take_in(opened_ledger(), policy, given, like), as_json=as_json)


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
        typer.Option("--notice-version", metavar="N", help="Its version; else the latest."),
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
        typer.Option("--at", metavar="WHEN", help="From when it holds; else from now on."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="When it ends of itself.")
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", metavar="WORDS", help="Such as 'paper form'.")
    ] = None,
    jurisdiction: Annotated[
        str | None, typer.Option("--jurisdiction", metavar="WORD", help="Under which law.")
    ] = None,
    guardian: Annotated[
        str | None,
        typer.Option(
            "--guardian", metavar="PERSON", help="Who answered for a child; - as with PERSON."
        ),
    ] = None,
    evidence: Annotated[
        str | None,
        typer.Option("--evidence", metavar="REFERENCE", help="Where the proof lies."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Record one event of one person: an answer, or a right that is exercised.

    WHEN is a day, which begins at midnight UTC (2026-01-31), or a time with its zone
    (2026-01-31T09:30+01:00).
    """
    from deployments.consent import person as consent_person
    from deployments.consent.event import Typed, read_identifier

    typed = Typed(
        read_identifier(person), status, purpose, tuple(categories or ()), notice, notice_version,
        language, indication, at, until, method, jurisdiction,
        None if guardian is None else read_identifier(guardian), evidence,
    )  # fmt: skip
    rules = read_rules(policy)
    tell(consent_person.record(opened_ledger(), typed, rules), as_json=as_json)


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

    if policy and purpose:
        raise UsageError("--policy and --purpose both say for what: name one of them")
    typed = Typed(read_identifier(person), "withdrawn", purpose, tuple(categories or ()))
    rules = read_rules(policy)
    tell(consent_person.withdraw(opened_ledger(), typed, rules), as_json=as_json)


@consent_app.command(epilog="Example: tutela consent show P-014440 --policy diabetes")
def show(person: PersonArgument, policy: PolicyOption = None, as_json: JsonOption = False) -> None:
    """Tell what the ledger holds of a person, and where they stand under a policy, and why."""
    from deployments.consent import person as consent_person
    from deployments.consent.event import read_identifier

    name, rules = read_identifier(person), read_rules(policy)
    tell(consent_person.show(opened_ledger(), name, rules), as_json=as_json)


@consent_app.command(epilog="Example: tutela consent erase P-014440")
def erase(
    person: PersonArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Destroy what the ledger holds of a person; the chain that proves the rest stays whole."""
    from deployments.consent import person as consent_person
    from deployments.consent.event import read_identifier

    name = read_identifier(person)
    found = consent_person.erase(opened_ledger(), name, lambda asked: yes or confirm(asked))
    tell(found, as_json=as_json)


@consent_app.command(epilog="Example: tutela consent snapshot diabetes --valid-at 2024-07-01")
def snapshot(
    policy: PolicyArgument,
    valid_at: Annotated[
        str | None,
        typer.Option(
            "--valid-at", metavar="WHEN", help="Whose consent held at that moment; else now."
        ),
    ] = None,
    known_at: Annotated[
        str | None,
        typer.Option(
            "--known-at",
            metavar="WHEN",
            help="By what had been recorded at that moment; else the same moment.",
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="By the moments, the policy and the ledger's head of that run; says whether the "
            "digest is the same.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Reproduce whose data a policy might read at a past moment; no source is read.

    WHEN is a day, which begins at midnight UTC (2026-01-31), or a time with its zone
    (2026-01-31T09:30+01:00).
    """
    from deployments.consent import people as consent_people

    if run_id is None:
        found = consent_people.reproduce(opened_ledger(), policy, valid_at, known_at)
    elif valid_at or known_at:
        raise UsageError("--run names its own moments: leave out --valid-at and --known-at")
    else:
        found = consent_people.compare(opened_ledger(), policy, run_id)
    tell(found, as_json=as_json)


@consent_app.command(epilog="Example: tutela consent stats")
def stats(as_json: JsonOption = False) -> None:
    """Tell how many people said what, for which purpose, in the whole ledger."""
    from deployments.consent import people as consent_people

    tell(consent_people.count(opened_ledger()), as_json=as_json)


@consent_app.command(epilog="Example: tutela consent verify")
def verify(as_json: JsonOption = False) -> None:
    """Recompute the ledger's chain, and say whether all events are as they were recorded."""
    from deployments.consent import people as consent_people

    tell(consent_people.verify(opened_ledger()), as_json=as_json)


def read_rules(policy: str | None) -> Policy | None:
    """Read the policy that is named, if one is."""
    from expectations.policy_file import read_policy

    return None if policy is None else read_policy(policy).policy


def opened_ledger() -> ConsentLedger:
    """Open the home's consent ledger."""
    from ledgers.consent.ledger import ConsentLedger
    from ledgers.home.database import open_database
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys

    home = Home.open()
    return ConsentLedger(open_database(home), home, Keys.open(home))
