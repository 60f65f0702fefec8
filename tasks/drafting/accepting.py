"""What a person accepts of a draft (`--accept`): columns that it would have left to them to decide.

A column that they name is read as the draft proposes, under the category that they give or that was
seen. What names people, free text, what no treatment was found for, and special categories without
a condition of Art. 9 stay out, whoever accepts them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from expectations.errors import UsageError, suggest
from expectations.policy.legal_basis import LegalBasis
from expectations.policy.vocabulary import Category
from tasks.drafting.decisions import Decision, Fate, lacks_condition

ACCEPTED: Final = "accepted with --accept"
"""What is written of such a column, beside what was seen."""


def accept(
    accepted: Mapping[str, Category | None], columns: Sequence[Decision], basis: LegalBasis
) -> list[Decision]:
    """Put in force what a person names, by the source's name or the policy's.

    Raises `UsageError` for a column that is not there, or that nobody can accept.
    """
    given = {find_column(name, columns): category for name, category in accepted.items()}
    return [
        take(column, given[column.name], basis) if column.name in given else column
        for column in columns
    ]


def find_column(name: str, columns: Sequence[Decision]) -> str:
    """Give the policy's name of a column."""
    for column in columns:
        if name in {column.found.profile.name, column.name}:
            return column.name
    names = [column.found.profile.name for column in columns]
    fix = suggest(name, names, "name one as the table does")
    raise UsageError(f"--accept: no column is named `{name}`; {fix}")


def take(column: Decision, given: Category | None, basis: LegalBasis) -> Decision:
    """Read one column under the category that was given, or else the one that was seen."""
    found, name = column.found, column.found.profile.name
    category = given or found.category
    if column.fate in {Fate.PERSON, Fate.ANSWER}:
        raise UsageError(f"--accept: `{name}` {column.fate} already, so remove it from --accept")
    if column.fate is Fate.DENIED:
        raise UsageError(f"--accept: `{name}` is never read: {column.why}; remove it")
    if category is None:
        raise UsageError(
            f"--accept: it is unclear what kind of data `{name}` is; give it, as in "
            f"--accept {name}={Category.BEHAVIORAL}, by one of {', '.join(Category)}"
        )
    if lacks_condition(category, basis):
        raise UsageError(
            f"--accept: `{name}` is of a special category ({category}), which needs a second "
            f"--legal-basis, a word of Art. 9; if it is not special, say its category: "
            f"--accept {name}=CATEGORY"
        )
    seen = (*found.seen, ACCEPTED)
    taken = replace(found, category=category, consent=(), doubtful=False, seen=seen)
    return replace(column, found=taken, fate=Fate.PROPOSED, why="", decide="", accepted=True)


def refuse_open(columns: Sequence[Decision]) -> None:
    """Raise `UsageError` for an accepted column that the outlet has no place for."""
    for column in columns:
        if column.accepted and column.fate is Fate.OPEN:
            name = column.found.profile.name
            raise UsageError(f"--accept: `{name}` cannot be read: {column.why}; remove it")
