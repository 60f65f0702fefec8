"""The typed tree of a record-wise expression, and how it is said in words.

An expression reads one person's row and nothing else, so one person changes only their own
results. `expressions.parse` makes the tree and checks its types; `expression_meaning` carries it
out. This module knows neither the grammar nor any engine's ways.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeAlias

EXACT = 2**53 - 1
"""Up to this size a double that is an integer was not rounded to it (IEEE 754, binary64)."""


class ColumnType(StrEnum):
    """What a column holds, as a policy declares it."""

    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"
    BOOLEAN = "boolean"
    DATE = "date"


class Operator(StrEnum):
    """Everything an expression can do to values; the value is its spelling."""

    AND = "and"
    OR = "or"
    NOT = "not"
    EQUAL = "="
    UNEQUAL = "!="
    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="
    IN = "in"
    MISSING = "is missing"
    ADD = "+"
    SUBTRACT = "-"
    MULTIPLY = "*"
    DIVIDE = "/"
    COALESCE = "coalesce"
    IF = "if"
    YEARS_SINCE = "years_since"
    DAYS_SINCE = "days_since"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value written in the policy."""

    value: bool | float | str | date
    type: ColumnType


@dataclass(frozen=True, slots=True)
class Column:
    """The row's value of a declared column."""

    name: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator on its operands; of `in`, the first is sought among the rest, all literals."""

    operator: Operator
    operands: tuple[Node, ...]
    type: ColumnType


Node: TypeAlias = Literal | Column | Operation


def walk(node: Node) -> Iterator[Node]:
    """Go through a node and everything under it."""
    yield node
    if isinstance(node, Operation):
        for operand in node.operands:
            yield from walk(operand)


_WORDS = {
    Operator.NOT: "not {}",
    Operator.EQUAL: "{} is {}",
    Operator.UNEQUAL: "{} is not {}",
    Operator.BELOW: "{} is below {}",
    Operator.AT_MOST: "{} is at most {}",
    Operator.ABOVE: "{} is above {}",
    Operator.AT_LEAST: "{} is at least {}",
    Operator.MISSING: "{} is missing",
    Operator.ADD: "{} plus {}",
    Operator.SUBTRACT: "{} minus {}",
    Operator.MULTIPLY: "{} times {}",
    Operator.DIVIDE: "{} divided by {}",
    Operator.IF: "{1} if {0}, otherwise {2}",
    Operator.YEARS_SINCE: "whole years since {}",
    Operator.DAYS_SINCE: "days since {}",
}


def say(node: Node) -> str:
    """Say a node in plain words; it quotes the policy's literals."""
    match node:
        case Column(name):
            return name
        case Literal(bool() as truth):
            return str(truth).lower()
        case Literal(str() as text):
            return f"'{text}'"
        case Literal(value):
            return str(value)
        case Operation():
            return _say_operation(node)


def _say_operation(node: Operation) -> str:
    said = [_say_inside(operand) for operand in node.operands]
    match node:
        case Operation(Operator.NOT, (Operation(Operator.MISSING, (inner,)),)):
            return f"{_say_inside(inner)} is known"
        case Operation(Operator.AND | Operator.OR):
            return f" {node.operator} ".join(said)
        case Operation(Operator.COALESCE):
            return f"the first known of {', '.join(said)}"
        case Operation(Operator.IN):
            return f"{said[0]} is one of {', '.join(said[1:])}"
        case _:
            return _WORDS[node.operator].format(*said)


def _say_inside(node: Node) -> str:
    """Put whatever is made of several words in brackets, so that it reads one way only."""
    return f"({say(node)})" if isinstance(node, Operation) else say(node)
