"""Whether the words that expressions compare a column with are among those declared for it.

A word that no row has matches nothing, quietly: an outcome of it is nobody's. Declared words are
the policy's own and public, so the nearest one can be named; values are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from expectations.errors import Problem, find_nearest, suggest
from expectations.expressions.expressions import ColumnType, parse
from expectations.expressions.tree import Column, Literal, Node, Operation, Operator, walk
from expectations.policy.policy import Policy, ValuesIn
from expectations.policy.treatments import Categories, Keep

COMPARING: Final = frozenset((Operator.EQUAL, Operator.UNEQUAL, Operator.IN))


@dataclass(frozen=True, slots=True)
class Stray:
    """A word that a column or field is compared with, and may not be one that it has.

    `declared` says whether the policy declares the column's words at all; `nearest` is the declared
    one that was perhaps meant.
    """

    path: str
    column: str
    word: str
    declared: bool
    nearest: str | None


def list_compared(root: Node) -> Iterator[tuple[str, str]]:
    """Give each column of an expression with each word that it is compared with."""
    for node in walk(root):
        if isinstance(node, Operation) and node.operator in COMPARING:
            columns = [one.name for one in node.operands if isinstance(one, Column)]
            for one in node.operands:
                if isinstance(one, Literal) and one.type is ColumnType.TEXT:
                    yield from ((column, str(one.value)) for column in columns)


def list_words(policy: Policy, column: str) -> tuple[str, ...]:
    """Give the words that are declared for a column as it is read; none where none are."""
    if column not in policy.treated:
        return ()
    match policy.treated[column].treatment:
        case Categories(values=values, rename=rename):
            return (*values, *rename)
        case Keep():
            rules = (one for one in policy.expectations if isinstance(one, ValuesIn))
            return next((one.values for one in rules if one.column == column), ())
        case _:
            return ()


def is_closed(policy: Policy, column: str) -> bool:
    """Whether any other word than those declared for a column stops the run."""
    treatment = policy.treated[column].treatment
    return not isinstance(treatment, Categories) or treatment.other is None


def expressions_look_for_declared_words(policy: Policy) -> Iterator[Problem]:
    """A derived column looks for no word that would stop the run where it occurs."""
    for name, derived in policy.derived.items():
        if derived.expression is None:
            continue
        for stray in find_strays_of(policy, name):
            if stray.declared and is_closed(policy, stray.column):
                words = list_words(policy, stray.column)
                yield Problem(
                    stray.path,
                    f"compares `{stray.column}` with '{stray.word}', which is not among its "
                    "declared words, so no row meets it",
                    suggest(stray.word, words, f"use one of {', '.join(words)}"),
                )


def find_strays_of(policy: Policy, name: str) -> Iterator[Stray]:
    """Give the words of what makes a column that are not, or not known to be, its fields' own."""
    derived = policy.derived.get(name)
    if derived is not None:
        reads = derived.reads
        if derived.expression is not None:
            parsed = parse(derived.expression, policy.types)
            reads = tuple(sorted(parsed.columns))
            path = f"derived.{name}.expression"
            for column, word in dict.fromkeys(list_compared(parsed.root)):
                words = list_words(policy, column)
                if word not in words:
                    near = find_nearest(word, words)
                    yield Stray(path, column, word, bool(words), near)
        for read in reads:
            yield from find_strays_of(policy, read)
    elif name in policy.columns:
        yield from _find_in_rows(policy, name)


def _find_in_rows(policy: Policy, name: str) -> Iterator[Stray]:
    """Give the words of a column's `where`, whose fields have no declared words."""
    rows = policy.columns[name].rows
    table = policy.source.tables.get((rows and rows.of) or "")
    if rows is None or table is None or not rows.where:
        return
    types = {field: said.type for field, said in table.fields.items()}
    lists: Mapping[str, Sequence[str]] = dict.fromkeys(policy.source.code_lists, ())
    for field, word in dict.fromkeys(list_compared(parse(rows.where, types, lists).root)):
        yield Stray(f"columns.{name}.rows.where", field, word, False, None)


RULES: Final[tuple[Callable[[Policy], Iterator[Problem]], ...]] = (
    expressions_look_for_declared_words,
)
