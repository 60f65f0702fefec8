"""The command `tutela draft`: a policy for a table, written from the table and a few answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.terminal import JsonOption, say, tell
from expectations.errors import ServiceError, TutelaError, UsageError

if TYPE_CHECKING:
    from expectations.policy.locations import Location
    from tasks.drafting.decisions import Answers, Decided, Wishes
    from tasks.drafting.examination import Examined

BasisOption = Annotated[
    list[str],
    typer.Option(
        "--legal-basis",
        metavar="WORD",
        help="A word of Art. 6 GDPR, such as eu-gdpr:A6-1-a; give one of Art. 9 too if health, "
        "origin or another special category is read.",
    ),
]

AcceptOption = Annotated[
    list[str],
    typer.Option(
        "--accept",
        metavar="COLUMN[=CATEGORY]",
        help="Read a column in doubt as proposed, or as this category: "
        "q17=dpv-pd:Behavioral, or q17,q18=dpv-pd:Behavioral. Repeat it for others.",
    ),
]


def draft(  # noqa: PLR0913, PLR0917  # one option per answer that no table gives
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="A .csv, .tsv or .parquet file of people, or URL#table."
        ),
    ],
    purpose: Annotated[
        str, typer.Option("--purpose", metavar="WORD", help="Such as dpv:ServiceOptimisation.")
    ] = "",
    legal_basis: BasisOption = [],  # noqa: B006  # typer reads it and nobody writes to it
    controller: Annotated[
        str, typer.Option("--controller", metavar="NAME", help="Who answers for the data.")
    ] = "",
    contact: Annotated[
        str, typer.Option("--contact", metavar="ADDRESS", help="Where people reach them.")
    ] = "",
    recipient: Annotated[
        str, typer.Option("--recipient", metavar="NAME", help="Who receives the result.")
    ] = "",
    assessment: Annotated[
        str,
        typer.Option(
            "--assessment", metavar="REF", help="The assessment that bases other than consent need."
        ),
    ] = "",
    safeguards: Annotated[
        str,
        typer.Option(
            "--safeguards", metavar="REF", help="The safeguards that Art. 9(2)(h), (i), (j) need."
        ),
    ] = "",
    target: Annotated[
        str,
        typer.Option(
            "--target",
            metavar="COLUMN",
            help="What a model predicts: a yes/no column, or an expression such as "
            '"visits >= 3". Without it, a clearly recognized outcome, or else a table is drafted.',
        ),
    ] = "",
    table: Annotated[
        bool,
        typer.Option(
            "--table",
            help="Release a table: beside the model of --target, or else without a model.",
        ),
    ] = False,
    accept: AcceptOption = [],  # noqa: B006  # typer reads it and nobody writes to it
    codebook: Annotated[
        str,
        typer.Option(
            "--codebook",
            metavar="FILE",
            help="Take words and bounds from a Table Schema (.json) or a REDCap data dictionary "
            "(.csv): what is public need not be confirmed as such.",
        ),
    ] = "",
    to: Annotated[
        str, typer.Option("--to", metavar="FILE", help="Write here; else beside the data.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Draft a policy for a table; leave out whatever is in doubt."""
    from deployments.draft.place import (
        find_declared,
        free_place,
        name_policy,
        open_data,
        seen_from,
        write_new,
    )
    from deployments.draft.questions import Given, complete, read_accepted
    from deployments.draft.screen import tell_draft
    from expectations.policy_file import parse_policy
    from tasks.drafting.decisions import Wishes
    from tasks.drafting.examination import examine
    from tasks.drafting.outcome import leave_constant
    from tasks.drafting.writing import Draft, write_policy

    location, source = open_data(data)
    declared = find_declared(codebook, source.columns()) if codebook else {}
    wishes = Wishes(target, table, read_accepted(accept), declared)
    place = free_place(location, to)
    given = Given(
        purpose, tuple(legal_basis), controller, contact, recipient, assessment, safeguards
    )
    answers = complete(given)
    say(f"Reading every row of {data} ...")
    with unquoted():
        decided = leave_constant(decide_all(examine(source), answers, location, wishes), source)
        named = seen_from(location, place.parent)
        made = Draft(name_policy(place.stem), named, answers, decided)
        text = write_policy(made)
        parse_policy(text, str(place), place.parent)
    write_new(place, text)
    tell(tell_draft(made, place, text), as_json=as_json)


@contextmanager
def unquoted() -> Iterator[None]:
    """Name the kind of an unforeseen error and no more: its text may quote a person.

    There may be no home yet, so that it is sealed nowhere.
    """
    try:
        yield
    except TutelaError:
        raise
    except Exception as error:  # noqa: BLE001  # what it quotes is not known here
        raise ServiceError(
            f"drafting broke on {type(error).__name__}; its text may quote people's data and is "
            "not shown; nothing was written. Write the policy by hand, and report this "
            "with a made-up table that breaks the same way"
        ) from None


def decide_all(examined: Examined, answers: Answers, location: Location, wishes: Wishes) -> Decided:
    """Decide of every column; `UsageError` where nobody is named, or nothing can be proposed."""
    from deployments.draft.screen import explain_few, explain_nameless, explain_nothing, fold
    from tasks.drafting.deciding import decide, person_column
    from tasks.drafting.decisions import Fate
    from tasks.drafting.profile import LEAST

    if examined.rows < LEAST:
        raise UsageError(explain_few(examined.rows))
    if person_column(examined) is None:
        raise UsageError(explain_nameless(examined, location))
    try:
        decided = decide(examined, answers.legal_basis, wishes)
    except UsageError as error:
        raise fold(error) from None
    if not decided.of(Fate.PROPOSED):
        raise UsageError(explain_nothing(decided))
    return decided
