"""What a person wants predicted (`--target`): a yes/no column, or an expression that gives one.

A column that they name is read although the draft would have left it to decide: they decided. What
names people, free text and special categories without a condition of Art. 9 stay out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from expectations.errors import UsageError, suggest
from expectations.expressions.expressions import ColumnType, ExpressionError, parse
from expectations.policy.legal_basis import LegalBasis
from expectations.policy.treatments import Keep
from expectations.policy.vocabulary import Category
from tasks.drafting.column_types import make_plain
from tasks.drafting.decisions import (
    Decided,
    Decision,
    Fate,
    Outcome,
    lacks_condition,
    reason_to_deny,
)
from tasks.drafting.profile import count_values, is_there
from tasks.drafting.writing_yaml import number

if TYPE_CHECKING:
    import pyarrow as pa

    from tasks.sources import Source

NAMES: Final = ("outcome", "predicted", "to_predict", "is_predicted")
SHOWN: Final = 12
"""Words of a column that are shown where one of them must be named."""
OTHER: Final = "name another column"
CONSTANT: Final = "has one value for everybody whose outcome is known"
NOTHING_LEFT: Final = (
    "--target: no other column is certain enough to predict it from; rename columns so that their "
    "names say what they hold, or write the policy by hand"
)
STAND_IN: Final = Category.BEHAVIORAL
"""The category of an outcome of which nothing tells a kind; the draft asks whether it is right."""


def find_outcome(wanted: str, columns: Sequence[Decision]) -> Outcome:
    """Say what `wanted` is: a column by the source's name or the policy's, else an expression.

    Raises `UsageError` that says how a column of words, numbers or dates becomes a yes or no.
    """
    for column in columns:
        if wanted in {column.found.profile.name, column.name}:
            refuse(column)
            if column.found.profile.type is not ColumnType.BOOLEAN:
                raise UsageError("\n".join(tell_how(column)))
            return Outcome(column.name)
    types = {column.name: column.found.profile.type for column in columns}
    try:
        made = parse(wanted, types)
    except ExpressionError as error:
        raise UsageError(explain_fault(wanted, columns, error)) from None
    if made.type is not ColumnType.BOOLEAN or not made.columns:
        raise UsageError(
            f"--target: `{wanted}` does not make a yes or no of a column; compare one, as in "
            '--target "visits >= 3"'
        )
    know_words(wanted, [column for column in columns if column.name in made.columns])
    return Outcome(next(name for name in NAMES if name not in types), wanted, made.columns)


def know_words(wanted: str, read: Sequence[Decision]) -> None:
    """Raise `UsageError` for a word that nobody has: after a slip of it, everybody would be a no.

    Only where one column of words is read, all of which may be told.
    """
    profile = read[0].found.profile
    if len(read) > 1 or profile.type is not ColumnType.TEXT or profile.rare or not profile.words:
        return
    for word in re.findall(r"'((?:[^']|'')*)'", wanted):
        if (plain := word.replace("''", "'")) not in profile.words:
            fix = suggest(plain, profile.words, f"it has {list_words(profile.words)}")
            raise UsageError(f"--target: nobody has `{plain}` in `{profile.name}`; {fix}")


def list_words(words: Sequence[str]) -> str:
    """List the words that most people have."""
    return ", ".join(words[:SHOWN]) + (", …" if len(words) > SHOWN else "")


def explain_fault(wanted: str, columns: Sequence[Decision], error: ExpressionError) -> str:
    """Name the column that was perhaps meant, or show where the expression is wrong."""
    if any(sign in wanted for sign in "=<>("):
        return f"--target is not an expression over the columns: {error}"
    names = [name for c in columns for name in (c.found.profile.name, c.name)]
    fix = suggest(wanted, names, "name one as the table does")
    return f"--target: no column is named `{wanted}`; {fix}"


def tell_how(column: Decision) -> Iterator[str]:
    """Say how a column that is no yes or no becomes one, with words that many people share."""
    profile, name = column.found.profile, column.name
    yield f"--target: a model predicts yes or no, and `{profile.name}` is of type {profile.type}."
    if profile.type is ColumnType.DATE:
        yield f'Say when it is yes, such as --target "days_since({name}) <= 365"'
    elif profile.type is ColumnType.TEXT and profile.words:
        yield "Say which of its words are yes:"
        yield f'  --target "{name} = {quoted(profile.words[0])}"'
        if len(profile.words) > 2:
            two = ", ".join(map(quoted, profile.words[:2]))
            yield f'  --target "{name} in ({two})"'
        yield f"Its words: {list_words(profile.words)}"
    elif not column.measures:
        yield "Its numbers name something and measure nothing, so say which of them are yes:"
        yield f'  --target "{name} in (NUMBER, NUMBER)"'
    elif profile.low is not None and profile.high is not None:
        inner = profile.edges or ((profile.low + profile.high) / 2,)
        yield f"It goes from {number(profile.low)} to {number(profile.high)}. Say from where on:"
        yield f'  --target "{name} >= {number(inner[len(inner) // 2])}"'
    else:
        yield f"Say which words are yes: --target \"{name} = 'word'\""


def quoted(word: str) -> str:
    """Write a word as an expression does."""
    return "'" + word.replace("'", "''") + "'"


def read_outcome(
    outcome: Outcome, columns: Sequence[Decision], basis: LegalBasis
) -> list[Decision]:
    """Put in force what the outcome is read from; `UsageError` for what must not be read."""
    named = outcome.reads or {outcome.name}
    return [take(column, outcome, basis) if column.name in named else column for column in columns]


def refuse(column: Decision) -> None:
    """Raise `UsageError` for what is read for no outcome, whoever asks."""
    name = column.found.profile.name
    if column.fate in {Fate.PERSON, Fate.ANSWER}:
        raise UsageError(f"--target: `{name}` {column.fate}, and cannot be predicted; {OTHER}")
    if why := reason_to_deny(column.found):
        raise UsageError(f"--target: `{name}` is never read: {why}; {OTHER}")


def take(column: Decision, outcome: Outcome, basis: LegalBasis) -> Decision:
    """Read one column for the outcome, under the type that the source's values have."""
    found, name = column.found, column.found.profile.name
    refuse(column)
    if lacks_condition(found.category, basis):
        raise UsageError(
            f"--target: `{name}` looks like a special category ({found.category}), which needs a "
            "second --legal-basis, a word of Art. 9; if it is not special, say its category: "
            f"--accept {name}=CATEGORY"
        )
    made = replace(column, fate=Fate.PROPOSED, why="", decide="", type=found.profile.type)
    made = replace(made, treatment=None if outcome.reads else Keep(kind="keep"))
    if found.category is None:
        return replace(
            made,
            found=replace(found, category=STAND_IN),
            why="it is unclear what kind of data it is",
            decide=f"whether {STAND_IN} is right; Health and others need a condition of Art. 9",
        )
    return made


def leave_constant(decided: Decided, source: Source) -> Decided:
    """Leave out what says the same of everybody whose outcome is known: it teaches a model nothing.

    A run would refuse it, and could not name it. `UsageError` where it was accepted, or where
    nothing is left to predict by.
    """
    if decided.outcome is None:
        return decided
    proposed, reads = decided.of(Fate.PROPOSED), decided.outcome.reads or {decided.outcome.name}
    table = source.read([column.found.profile.name for column in proposed])
    for column in proposed:
        if column.name in reads:
            table = table.filter(is_there(make_plain(table.column(column.found.profile.name))))
    features = [c for c in proposed if c.name not in reads and c.name != decided.born]
    constant = [c for c in features if is_constant(table.column(c.found.profile.name))]
    if len(constant) == len(features) and decided.born is None:
        raise UsageError(NOTHING_LEFT)
    for column in constant:
        if column.accepted:
            raise UsageError(f"--accept: `{column.found.profile.name}` {CONSTANT}; remove it")
    left = (replace(c, fate=Fate.DENIED, why=CONSTANT) if c in constant else c
            for c in decided.columns)  # fmt: skip
    age = None if decided.age in {column.name for column in constant} else decided.age
    return replace(decided, columns=tuple(left), age=age)


def is_constant(column: pa.ChunkedArray) -> bool:
    """Whether all rows have one value, or none has any."""
    counts = count_values("", column).counts
    return len(counts) == 0 or (len(counts) == 1 and counts.sum() == len(column))
