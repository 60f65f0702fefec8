"""The command `tutela draft`: a policy for a table, written from the table and a few answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from deployments.terminal import JsonOption, say, tell
from expectations.errors import ServiceError, TutelaError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from expectations.policy.locations import Location
    from tasks.drafting.decisions import Answers, Decided, Wishes
    from tasks.drafting.tables import Linked
    from tasks.drafting.writing import Draft
    from tasks.sources import Source

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
        "q17=dpv-pd:Behavioral, or q17,q18=dpv-pd:Behavioral,age=dpv-pd:Age for several. Repeat it "
        "for others.",
    ),
]


def draft(  # noqa: PLR0913, PLR0917  # one option per answer that no table gives
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A .csv, .tsv or .parquet file of people, or URL#table; or a folder or a "
            "database's URL with several tables about them, or the folder of a FHIR export.",
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
        beside_tables,
        find_declared,
        free_place,
        open_data,
        open_tables,
        write_new,
    )
    from deployments.draft.questions import Given, complete, read_accepted
    from deployments.draft.screen import tell_draft
    from expectations.policy_file import parse_policy
    from tasks.drafting.decisions import Wishes
    from tasks.drafting.writing import write_policy

    accepted, tables = read_accepted(accept), open_tables(data)
    if tables is None:
        location, source = open_data(data)
        declared = find_declared(codebook, source.columns()) if codebook else {}
        place = free_place(location, to)
    else:
        place = free_place(beside_tables(data), to)
    given = Given(
        purpose, tuple(legal_basis), controller, contact, recipient, assessment, safeguards
    )
    answers = complete(given)
    say(f"Reading every row of {data} ...")
    with unquoted():
        linked = None if tables is None else link_tables(tables)
        if linked is not None:
            location, source = linked.people.location, linked.joined
            declared = find_declared(codebook, source.columns()) if codebook else {}
        wishes = Wishes(target, table, accepted, declared)
        decided = decide_all(source, answers, location, wishes, linked)
        made = draft_of(place, location, answers, decided, linked)
        text = write_policy(made)
        parse_policy(text, str(place), place.parent)
    write_new(place, text)
    tell(tell_draft(made, place, text), as_json=as_json)


def link_tables(tables: Sequence[tuple[str, Location, Source]]) -> Linked:
    """Read several tables, and find out how they belong together."""
    from tasks.drafting.exports import read_export, tell_left_out
    from tasks.drafting.tables import link, read_table
    from tasks.sources.fhir.source import FhirSource

    views = [(name, one) for name, _, one in tables if isinstance(one, FhirSource)]
    if views:
        return tell_left_out(link([*read_export(views)]), views)
    return link([read_table(*one) for one in tables])


def draft_of(
    place: Path, location: Location, answers: Answers, decided: Decided, linked: Linked | None
) -> Draft:
    """Put together what is written, with locations as a policy at `place` names them."""
    from deployments.draft.place import name_policy, seen_from
    from tasks.drafting.writing import Draft
    from tasks.drafting.writing_tables import moved

    def seen(one: Location) -> Location:
        return seen_from(one, place.parent)

    named = None if linked is None else moved(linked, seen)
    return Draft(name_policy(place.stem), seen(location), answers, decided, named)


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


def decide_all(
    source: Source, answers: Answers, location: Location, wishes: Wishes, linked: Linked | None
) -> Decided:
    """Decide of every column; `UsageError` where nobody is named, or nothing can be proposed."""
    from deployments.draft.screen import (
        explain_few,
        explain_nameless,
        explain_nothing,
        fold,
        tell_of_rows,
    )
    from tasks.drafting.deciding import decide, person_column
    from tasks.drafting.decisions import Fate
    from tasks.drafting.examination import examine
    from tasks.drafting.made_columns import know_person, tell_rows
    from tasks.drafting.outcome import leave_constant
    from tasks.drafting.profile import LEAST

    examined = examine(source)
    if linked is not None:
        examined = know_person(examined, linked)
    if examined.rows < LEAST:
        raise UsageError(explain_few(examined.rows))
    if person_column(examined) is None:
        raise UsageError(explain_nameless(examined, location))
    try:
        decided = decide(examined, answers.legal_basis, wishes)
    except UsageError as error:
        raise fold(error if linked is None else tell_of_rows(error)) from None
    if not decided.of(Fate.PROPOSED):
        raise UsageError(explain_nothing(decided))
    decided = leave_constant(decided, source)
    return decided if linked is None else tell_rows(decided, linked)
