"""Record-wise expressions of a policy: who is eligible, and what is derived from a row.

`parse` turns a policy's text into a type-checked `Expression`; what that means is said in `tree`.
This module knows the grammar and which operator takes which types, and no frame and no engine.
Nothing is ever evaluated: the text goes through an LALR(1) grammar that has no attribute access,
no loops and no calls but of the functions named here.

In rising precedence: `or`, `and`, `not`; then one of `= != < <= > >=`, `between a and b` (both
ends included), `in ('a', 'b')`, `in @list`, `not in`, `is missing`, `is not missing`; then `+ -`,
`* /`, unary `-`. Values: `6.5`, `'text'` (a quote inside is doubled), `true`, `false`,
`date '2020-01-31'`, a column's bare name. Functions: `coalesce(a, b, …)`, `if(condition, a, b)`,
`years_since(date)` and `days_since(date)`, both as of the run's day: who came in the last year is
`days_since(visit) between 0 and 365`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, TypeAlias, cast

from expectations.expressions.tree import (
    EXACT,
    Column,
    ColumnType,
    Expression,
    Literal,
    Node,
    Operation,
    Operator,
)

if TYPE_CHECKING:
    from lark import Lark, Token, Tree
    from lark.exceptions import UnexpectedInput

__all__ = ["ColumnType", "Expression", "ExpressionError", "parse"]
LONGEST = 4000
"""The most characters of an expression."""
_Places: TypeAlias = "Sequence[Tree[Token]]"

_DEEPEST = 32
_NUMERIC = frozenset({ColumnType.NUMBER, ColumnType.INTEGER})
_VALUES = frozenset({"number", "text", "truth", "date", "column"})
_FUNCTIONS = {
    "coalesce": (2, LONGEST),
    "if": (3, 3),
    "years_since": (1, 1),
    "days_since": (1, 1),
}
"""The fewest and the most values that each takes."""
_SPELLING = {
    "or_": "or",
    "and_": "and",
    "not_": "not",
    "in_": "in",
    "not_in": "in",
    "in_list": "in",
    "not_in_list": "in",
    "missing": "is missing",
    "not_missing": "is missing",
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


def parse(
    text: str, types: Mapping[str, ColumnType], lists: Mapping[str, Sequence[str]] | None = None
) -> Expression:
    """Read an expression over columns of the given types, or raise ExpressionError.

    `lists` are the texts that `@NAME` stands for behind `in`.
    """
    checker = _Checker(types, lists or {})
    root = checker.check(_read_tree(text))
    if root is None:
        raise ExpressionError(text, checker.problems)
    return Expression(text, root)


class _Checker:
    """Turns a parse tree into typed nodes, and goes on after a problem to find the others.

    A method gives None for what it could not understand, and says nothing of what contains it.
    """

    def __init__(self, types: Mapping[str, ColumnType], lists: Mapping[str, Sequence[str]]) -> None:
        self.types = types
        self.lists = lists
        self.problems: list[tuple[int, str]] = []
        self._depth = 0

    def check(self, tree: Tree[Token]) -> Node | None:
        """Give the typed node of a parse tree."""
        if self._depth >= _DEEPEST:
            return self._fault(tree, f"it is nested more than {_DEEPEST} deep")
        self._depth += 1
        node = self._value(tree) if tree.data in _VALUES else self._operation(tree)
        self._depth -= 1
        return node

    def _fault(self, at: Tree[Token], what: str) -> Node | None:
        """Note a problem, and give the nothing that stands for what has one."""
        self.problems.append((at.meta.start_pos, what))
        return None

    def _value(self, tree: Tree[Token]) -> Node | None:
        written = str(tree.children[0])
        match str(tree.data):
            case "number":
                return self._number(tree, written)
            case "text":
                return Literal(written[1:-1].replace("''", "'"), ColumnType.TEXT)
            case "truth":
                return Literal(written == "true", ColumnType.BOOLEAN)
            case "date":
                return self._date(tree, written.split("'")[1])
            case _:
                return self._column(tree, written)

    def _number(self, tree: Tree[Token], written: str) -> Node | None:
        if written.isdigit():
            if int(written) <= EXACT:
                return Literal(int(written), ColumnType.INTEGER)
            return self._fault(tree, "an integer beyond 2**53 - 1 cannot be represented exactly")
        if isfinite(float(written)):
            return Literal(float(written), ColumnType.NUMBER)
        return self._fault(tree, "the number is too large")

    def _date(self, tree: Tree[Token], written: str) -> Node | None:
        try:
            day = datetime.strptime(written, "%Y-%m-%d").date()  # noqa: DTZ007  # a day has no zone
        except ValueError:
            return self._fault(tree, "that day does not exist; write date '2020-01-31'")
        return Literal(day, ColumnType.DATE)

    def _column(self, tree: Tree[Token], name: str) -> Node | None:
        if name in self.types:
            return Column(name, self.types[name])
        return self._fault(tree, f"no column '{name}' is declared{_suggest(name, self.types)}")

    def _operation(self, tree: Tree[Token]) -> Node | None:
        kind, children = str(tree.data), list(tree.children)
        name = str(children.pop(0)) if kind == "call" else ""
        symbol = str(children.pop(1)) if kind == "binary" else ""
        listed = str(children.pop())[1:] if kind in {"in_list", "not_in_list"} else ""
        parts = [child for child in children if not isinstance(child, str)]
        nodes = [self.check(part) for part in parts]
        if listed:
            if listed not in self.lists:
                what = f"there is no list of codes '{listed}'{_suggest(listed, self.lists)}"
                return self._fault(tree, what)
            nodes += [Literal(code, ColumnType.TEXT) for code in self.lists[listed]]
            parts += [parts[0]] * len(self.lists[listed])
        if kind == "call" and not self._callable(tree, name, len(parts)):
            return None
        operands = tuple(node for node in nodes if node is not None)
        if len(operands) < len(nodes):
            return None
        return self._understood(name or symbol or kind, operands, parts)

    def _callable(self, tree: Tree[Token], name: str, given: int) -> bool:
        if name not in _FUNCTIONS:
            self._fault(tree, f"there is no function '{name}'{_suggest(name, _FUNCTIONS)}")
            return False
        least, most = _FUNCTIONS[name]
        if not least <= given <= most:
            wanted = least if least == most else f"at least {least}"
            self._fault(tree, f"{name} takes {wanted} value(s), and is given {given}")
            return False
        return True

    def _understood(self, kind: str, nodes: tuple[Node, ...], at: _Places) -> Node | None:
        """Type an operation, in terms of the operators that the tree has."""
        match kind:
            case "between":
                bounds = (Operator.AT_LEAST, Operator.AT_MOST)
                within = [
                    self._typed(bound, (nodes[0], nodes[i]), [at[0], at[i]])
                    for i, bound in enumerate(bounds, start=1)
                ]
                both = tuple(node for node in within if node is not None)
                return self._typed(Operator.AND, both, at) if len(both) == 2 else None
            case "not_in" | "not_in_list" | "not_missing":
                inner = self._typed(Operator(_SPELLING[kind]), nodes, at)
                return inner and Operation(Operator.NOT, (inner,), ColumnType.BOOLEAN)
            case "negative":
                return self._negative(nodes[0], at)
            case _:
                return self._typed(Operator(_SPELLING.get(kind, kind)), nodes, at)

    def _negative(self, node: Node, at: _Places) -> Node | None:
        if isinstance(node, Literal) and node.type in _NUMERIC:
            return Literal(-cast("float", node.value), node.type)
        zero = Literal(0, ColumnType.INTEGER)
        return self._typed(Operator.SUBTRACT, (zero, node), [at[0], at[0]])

    def _typed(self, kind: Operator, nodes: tuple[Node, ...], at: _Places) -> Node | None:
        """Give the operation with its type, if its operands have theirs."""
        found = len(self.problems)
        match kind:
            case Operator.AND | Operator.OR | Operator.NOT:
                self._require(nodes, at, {ColumnType.BOOLEAN}, kind)
                result: ColumnType | None = ColumnType.BOOLEAN
            case Operator.ADD | Operator.SUBTRACT | Operator.MULTIPLY | Operator.DIVIDE:
                self._require(nodes, at, _NUMERIC, kind)
                result = _common(nodes) if kind is not Operator.DIVIDE else ColumnType.NUMBER
            case Operator.YEARS_SINCE | Operator.DAYS_SINCE:
                self._require(nodes, at, {ColumnType.DATE}, kind)
                result = ColumnType.INTEGER
            case Operator.COALESCE:
                result = self._alike(nodes, at)
            case Operator.IF:
                self._require(nodes[:1], at, {ColumnType.BOOLEAN}, kind)
                result = self._alike(nodes[1:], at[1:])
            case Operator.MISSING:
                result = ColumnType.BOOLEAN
            case _:
                result = self._compared(kind, nodes, at)
        fits = result is not None and len(self.problems) == found
        return Operation(kind, nodes, result) if fits and result else None

    def _compared(self, kind: Operator, nodes: tuple[Node, ...], at: _Places) -> ColumnType:
        if kind is Operator.IN:
            for node, place in zip(nodes[1:], at[1:], strict=True):
                if not isinstance(node, Literal):
                    self._fault(place, "'in' looks among written values; join others with 'or'")
        elif kind not in {Operator.EQUAL, Operator.UNEQUAL}:
            self._require(nodes, at, set(ColumnType) - {ColumnType.BOOLEAN}, kind)
        self._alike(nodes, at)
        return ColumnType.BOOLEAN

    def _require(
        self, nodes: tuple[Node, ...], at: _Places, allowed: AbstractSet[ColumnType], kind: Operator
    ) -> None:
        for node, place in zip(nodes, at, strict=False):
            if node.type not in allowed:
                wanted = " or ".join(sorted(allowed))
                self._fault(place, f"'{kind}' takes {wanted}, and this is {node.type}")

    def _alike(self, nodes: tuple[Node, ...], at: _Places) -> ColumnType | None:
        """Give the one type of all nodes; point at the first that differs from the first."""
        common = _common(nodes)
        if common is None:
            odd = next(i for i in range(1, len(nodes)) if _common((nodes[0], nodes[i])) is None)
            first, other = nodes[0].type, nodes[odd].type
            hint = _quoting_hint(nodes[0], nodes[odd]) or _quoting_hint(nodes[odd], nodes[0])
            self._fault(at[odd], f"{other} does not go with {first}{hint}")
        return common


def _common(nodes: tuple[Node, ...]) -> ColumnType | None:
    types = {node.type for node in nodes}
    if len(types) == 1:
        return types.pop()
    return ColumnType.NUMBER if types <= _NUMERIC else None


def _quoting_hint(node: Node, literal: Node) -> str:
    """Say how a literal is written as the node's type, where quotes make the difference."""
    if not isinstance(literal, Literal):
        return ""
    match node.type, literal.type:
        case ColumnType.TEXT, ColumnType.NUMBER | ColumnType.INTEGER:
            return f"; as text it is '{literal.value}'"
        case ColumnType.NUMBER | ColumnType.INTEGER, ColumnType.TEXT:
            return "; write a number without quotes"
        case ColumnType.DATE, ColumnType.TEXT:
            return "; a day is written date '2020-01-31'"
        case _:
            return ""


def _suggest(name: str, known: Iterable[str]) -> str:
    names = {candidate.casefold(): candidate for candidate in known}
    close = get_close_matches(name.casefold(), names, n=1)
    if close:
        return f"; did you mean '{names[close[0]]}'?"
    return f"; known are {', '.join(sorted(names.values()))}" if len(names) <= 10 else ""


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
    | sum _IN LIST -> in_list
    | sum _NOT _IN LIST -> not_in_list
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
LIST: /@[a-z][a-z0-9_]*/
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
    r'"': "write text in single quotes",
    r"'(?![^']*')": "a text must be closed by ', and a quote inside it doubled",
    r"\.": "a column is named alone, and a number starts with a digit",
    r"(?i:and|or|not|in|is|between|missing)\b": "operators are in small letters, between values",
    r"(?i:null|none)\b": "write 'is missing' or 'is not missing'",
}


def _read_tree(text: str) -> Tree[Token]:
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
        return len(text.rstrip()), "it ends here, but a value or a bracket must follow"
    position = error.pos_in_stream or 0
    hints = (hint for slip, hint in _HINTS.items() if re.compile(slip).match(text, position))
    hint = next(hints, "it needs an operator before it, or does not belong here")
    return position, f"{str(token or text[position])!r} cannot stand here: {hint}"


def _point(text: str, position: int, what: str) -> str:
    """Give a problem with the line it stands on and a caret under its character."""
    start = text.rfind("\n", 0, position) + 1
    line = text[start:].split("\n", 1)[0]
    return f"{what} (at character {position + 1})\n  {line}\n  {' ' * (position - start)}^"
