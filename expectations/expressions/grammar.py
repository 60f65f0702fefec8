"""The grammar of record-wise expressions, and how its errors are shown.

Nothing is ever evaluated: the text goes through an LALR(1) grammar that has no attribute access,
no loops and no calls but of functions that `expressions` names. This module knows the form of an
expression, and neither the columns nor what it means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lark import Lark, Token, Tree
    from lark.exceptions import UnexpectedInput

LONGEST = 4000
"""The most characters of an expression."""

_GRAMMAR = r"""
?start: disjunction
?disjunction: conjunction | conjunction (_OR conjunction)+ -> or_
?conjunction: negation | negation (_AND negation)+ -> and_
?negation: predicate | _NOT negation -> not_
?predicate: sum
    | sum COMPARATOR sum -> binary
    | sum _BETWEEN sum _AND sum -> between
    | sum _IN "(" sum ("," sum)* ")" -> in_
    | sum _NOT _IN "(" sum ("," sum)* ")" -> not_in
    | sum _IS _MISSING -> missing
    | sum _IS _NOT _MISSING -> not_missing
?sum: product | sum (PLUS | MINUS) product -> binary
?product: unary | product SCALE unary -> binary
?unary: atom | _MINUS unary -> negative
?atom: NUMBER -> number | TEXT -> text | DATE -> date | TRUTH -> truth | NAME -> column
    | NAME "(" disjunction ("," disjunction)* ")" -> call
    | "(" disjunction ")"

COMPARATOR: "<=" | ">=" | "!=" | "=" | "<" | ">"
PLUS: "+"
MINUS: "-"
_MINUS: "-"
SCALE: "*" | "/"
_OR: /or\b/
_AND: /and\b/
_NOT.2: /not\b/
_BETWEEN: /between\b/
_IN: /in\b/
_IS: /is\b/
_MISSING: /missing\b/
TRUTH.2: /(true|false)\b/
DATE.2: /date\s*'[^']*'/
TEXT: /'([^']|'')*'/
NUMBER: /[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?/
NAME: /[^\W\d]\w*/
%ignore /\s+/
"""
_HINTS = {
    r"(?<==)=": "equality is one =",
    r"(?<=<)>": "inequality is !=",
    r"&|\|": "logic is written and, or",
    r"!": "negation is written not",
    r'"': "text stands in single quotes",
    r"'(?![^']*')": "a text must be closed by ', and a quote inside it doubled",
    r"\.": "a column is named alone, and a number starts with a digit",
    r"(?i:and|or|not|in|is|between|missing)\b": "operators are in small letters, between values",
    r"(?i:null|none)\b": "write 'is missing' or 'is not missing'",
}


class ExpressionError(ValueError):
    """An expression that is not in the grammar or does not fit the columns' types.

    `problems` holds each as its 0-based character and what is wrong; `position` is the first's.
    The message quotes the expression, which is the policy's own text.
    """

    def __init__(self, text: str, problems: Sequence[tuple[int, str]]) -> None:
        self.problems = tuple(sorted(problems))
        self.position = self.problems[0][0]
        super().__init__("\n".join(_point(text, *problem) for problem in self.problems))


def _point(text: str, position: int, what: str) -> str:
    """Give a problem with the line it stands on and a caret under its character."""
    start = text.rfind("\n", 0, position) + 1
    line = text[start:].split("\n", 1)[0]
    return f"{what}, at character {position + 1}\n  {line}\n  {' ' * (position - start)}^"


def read_tree(text: str) -> Tree[Token]:
    """Give the parse tree, each node knowing its place in the text, or raise ExpressionError."""
    from lark.exceptions import UnexpectedInput

    if len(text) > LONGEST:
        raise ExpressionError(text[:80], [(0, f"an expression has at most {LONGEST} characters")])
    try:
        return _grammar().parse(text)
    except UnexpectedInput as error:
        raise ExpressionError(text, [_syntax_problem(text, error)]) from None


@cache
def _grammar() -> Lark:
    from lark import Lark

    return Lark(_GRAMMAR, parser="lalr", propagate_positions=True)


def _syntax_problem(text: str, error: UnexpectedInput) -> tuple[int, str]:
    """Give the character at which the text left the grammar, and a hint for common slips."""
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return len(text.rstrip()), "it ends here, where a value or a bracket is still to come"
    position = error.pos_in_stream or 0
    hints = (hint for slip, hint in _HINTS.items() if re.compile(slip).match(text, position))
    hint = next(hints, "it needs an operator before it, or does not belong")
    return position, f"{str(token or text[position])!r} cannot stand here: {hint}"
