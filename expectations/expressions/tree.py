"""The typed tree of a record-wise expression: said in words, and worked out on a frame.

An expression reads one person's row and nothing else, so one person changes only their own
results. `expressions.parse` makes the tree and checks its types; this module knows no grammar.

Meaning, equal on every engine:

- Logic is three-valued as in SQL (ISO/IEC 9075-2, 6.39 and 8.2): a comparison with a missing value
  is missing, `false and missing` is false, `true or missing` is true. `x is missing` is never
  missing; a missing condition of `if` takes the else branch.
- A number that is not finite is missing: NaN and infinity in the data, x / 0, overflow. (Engines
  disagree about NaN, and a condition must not decide about a person by that.)
- Arithmetic is done in IEEE 754 doubles. `+`, `-` and `*` of integers give an integer, or missing
  beyond ±(2**53 - 1), where doubles stop being exact; an integer beyond that, met by a number, is
  missing too. Two integers are compared exactly.
- Text is compared by code point, capitals and accents included, and '' is not missing.
- `years_since` and `days_since` count to the day of the run, and are negative for days after it.

Columns must have exactly these types, to which `Expression.check_frame` holds a frame: number
Float64, integer Int64, text String, boolean Boolean, date Date. A pandas frame must hold Arrow
types (`table.to_pandas(types_mapper=pandas.ArrowDtype)`): in pandas' own types a missing value
compares as false, so that `not (x = 'a')` would let in everybody of whom x is unknown.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    import narwhals as nw
    import pandas as pd


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


HELD = {
    ColumnType.NUMBER: "Float64",
    ColumnType.INTEGER: "Int64",
    ColumnType.TEXT: "String",
    ColumnType.BOOLEAN: "Boolean",
    ColumnType.DATE: "Date",
}
"""narwhals' name of the type in which a column must be held."""


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


@dataclass(frozen=True)
class Expression:
    """A type-checked record-wise expression: `text` as written, `root` as understood."""

    text: str
    root: Node

    @property
    def type(self) -> ColumnType:
        """What the expression gives for each row."""
        return self.root.type

    @property
    def columns(self) -> frozenset[str]:
        """The names of all columns that are read."""
        return frozenset(self._declared)

    @cached_property
    def _declared(self) -> dict[str, ColumnType]:
        return {node.name: node.type for node in walk(self.root) if isinstance(node, Column)}

    def to_narwhals(self, today: date) -> nw.Expr:
        """Give the expression for a frame that passes `check_frame`; `today` is the run's day."""
        return _Compiler(today, min(self.columns, default=None)).column(self.root)

    def check_frame(self, frame: nw.DataFrame[pd.DataFrame] | nw.LazyFrame[Any]) -> None:
        """Raise TypeError if a column that is read is absent or not held as this module needs."""
        held = {name: str(dtype) for name, dtype in frame.collect_schema().items()}
        if frame.implementation.is_pandas():
            native = cast("pd.DataFrame", frame.to_native()).dtypes
            held = {
                n: t if str(native[n]).endswith("[pyarrow]") else f"pandas {native[n]}"
                for n, t in held.items()
            }
        for name, declared in sorted(self._declared.items()):
            if held.get(name) != HELD[declared]:
                raise TypeError(
                    f"column '{name}' must be held as Arrow {HELD[declared]} to be read as "
                    f"{declared}, and is {held.get(name, 'absent')}; cast it when it is read"
                )

    def describe(self) -> str:
        """Say the expression in plain words, for reports; it quotes the policy's literals."""
        return say(self.root)


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


_Binary: TypeAlias = "Callable[[nw.Expr, nw.Expr], nw.Expr]"

_LOGIC: dict[Operator, _Binary] = {Operator.AND: operator.and_, Operator.OR: operator.or_}
_COMPARISON: dict[Operator, _Binary] = {
    Operator.EQUAL: operator.eq,
    Operator.UNEQUAL: operator.ne,
    Operator.BELOW: operator.lt,
    Operator.AT_MOST: operator.le,
    Operator.ABOVE: operator.gt,
    Operator.AT_LEAST: operator.ge,
}
_ARITHMETIC: dict[Operator, _Binary] = {
    Operator.ADD: operator.add,
    Operator.SUBTRACT: operator.sub,
    Operator.MULTIPLY: operator.mul,
    Operator.DIVIDE: operator.truediv,
}


@dataclass(frozen=True, slots=True)
class _Compiler:
    """Nodes as narwhals expressions; literals take the engine's types from column `anchor`.

    pandas gives a bare literal its own type, in which a missing value would later compare as
    false; where a result could be made of literals alone, they are therefore grown on a column.
    """

    today: date
    anchor: str | None

    def of(self, node: Node) -> nw.Expr:
        """Give the meaning of a node; a literal's may be of length one."""
        import narwhals as nw

        if isinstance(node, Literal):
            return nw.lit(node.value, _dtype(node.type))
        if isinstance(node, Column):
            column = nw.col(node.name)
            is_number = node.type is ColumnType.NUMBER
            return nw.when(column.is_finite()).then(column) if is_number else column
        return self._operation(node)

    def column(self, node: Node) -> nw.Expr:
        """Give the meaning of a node, always a whole column of the engine's own type."""
        import narwhals as nw

        if not isinstance(node, Literal):
            return self.of(node)
        # An expression such as `true` reads no column, and takes the frame's first.
        anchor = nw.nth(0) if self.anchor is None else nw.col(self.anchor)
        nothing = nw.when(anchor.is_null() & ~anchor.is_null()).then(anchor)
        # By way of text, since not every engine casts, say, a date to a number.
        return nw.coalesce(nothing.cast(nw.String()).cast(_dtype(node.type)), self.of(node))

    def _operation(self, node: Operation) -> nw.Expr:
        kind, operands = node.operator, node.operands
        if kind in _LOGIC:
            return _fold(_LOGIC[kind], [self.column(operand) for operand in operands])
        if kind in _COMPARISON:
            return self._comparison(kind, *operands)
        if kind in _ARITHMETIC:
            return self._arithmetic(node)
        return self._function(node)

    def _comparison(self, kind: Operator, left: Node, right: Node) -> nw.Expr:
        if left.type is ColumnType.NUMBER and isinstance(right, Literal):
            right = Literal(float(cast("float", right.value)), ColumnType.NUMBER)
        if left.type is right.type:
            return _COMPARISON[kind](self.column(left), self.of(right))
        return _COMPARISON[kind](self._double(left), self._double(right))

    def _arithmetic(self, node: Operation) -> nw.Expr:
        """Compute a whole chain of arithmetic, then make missing what had no place in doubles.

        Masking each operation where it stands would compute every operand twice, and a sum of
        twenty columns a million times.
        """
        import narwhals as nw

        result = self._unmasked(node)
        holds = _fold(operator.and_, [result.is_finite(), *self._conditions(node)])
        masked = nw.when(holds).then(result)
        # Cast after the mask: a value out of range would stop the run, and be quoted.
        return masked.cast(nw.Int64()) if node.type is ColumnType.INTEGER else masked

    def _unmasked(self, node: Node) -> nw.Expr:
        if isinstance(node, Operation) and node.operator in _ARITHMETIC:
            return _ARITHMETIC[node.operator](*map(self._unmasked, node.operands))
        return self._double(node)

    def _conditions(self, node: Node) -> list[nw.Expr]:
        """Say what must hold inside a chain whose result is finite.

        Integers must have stayed exact, and a divisor finite: x / infinity is 0, and every other
        operation hands NaN and infinity on.
        """
        if not (isinstance(node, Operation) and node.operator in _ARITHMETIC):
            return []
        inner = [condition for part in node.operands for condition in self._conditions(part)]
        if node.type is ColumnType.INTEGER:
            return [*inner, self._unmasked(node).is_between(-EXACT, EXACT)]
        divisor = node.operands[1]
        if node.operator is Operator.DIVIDE and isinstance(divisor, Operation):
            return [*inner, self._unmasked(divisor).is_finite()]
        return inner

    def _function(self, node: Operation) -> nw.Expr:
        first, *rest = node.operands
        match node.operator:
            case Operator.NOT:
                return ~self.column(first)
            case Operator.MISSING:
                return self.column(first).is_null()
            case Operator.IN:
                return self._membership(first, rest)
            case Operator.YEARS_SINCE:
                return self._years_since(self.column(first))
            case Operator.DAYS_SINCE:
                return self.today.toordinal() - _day_number(self.column(first))
            case _:
                return self._selection(node)

    def _membership(self, sought: Node, among: list[Node]) -> nw.Expr:
        values = [item.value for item in among if isinstance(item, Literal)]
        if all(item.type is sought.type for item in among):
            return self.column(sought).is_in(values)
        return self._double(sought).is_in([float(cast("float", value)) for value in values])

    def _years_since(self, day: nw.Expr) -> nw.Expr:
        """Count birthdays; who was born on 29 February has theirs on 1 March in other years."""
        import narwhals as nw

        month_and_day = self.today.month * 100 + self.today.day
        had_birthday = day.dt.month() * 100 + day.dt.day() <= month_and_day
        return self.today.year - 1 - day.dt.year() + had_birthday.cast(nw.Int64())

    def _selection(self, node: Operation) -> nw.Expr:
        """Give `coalesce` and `if`, whose results must share one type in every engine."""
        import narwhals as nw

        number = node.type is ColumnType.NUMBER
        meaning = self._double if number else self.column
        if node.operator is Operator.COALESCE:
            return nw.coalesce(*map(meaning, node.operands))
        condition, then, otherwise = node.operands
        return nw.when(self.of(condition)).then(meaning(then)).otherwise(meaning(otherwise))

    def _double(self, node: Node) -> nw.Expr:
        import narwhals as nw

        column = self.column(node)
        if node.type is not ColumnType.INTEGER:
            return column
        if isinstance(node, Literal):
            return column.cast(nw.Float64())
        return nw.when(column.is_between(-EXACT, EXACT)).then(column).cast(nw.Float64())


def _day_number(day: nw.Expr) -> nw.Expr:
    """Number the days of the proleptic Gregorian calendar from 1 January of year 1.

    By year and day of the year, since engines disagree about what the difference of two dates is.
    """
    import narwhals as nw

    past = day.dt.year().cast(nw.Int64()) - 1
    leap_days = past // 4 - past // 100 + past // 400
    return 365 * past + leap_days + day.dt.ordinal_day().cast(nw.Int64())


def _dtype(declared: ColumnType) -> nw.dtypes.DType:
    import narwhals as nw

    return cast("nw.dtypes.DType", getattr(nw, HELD[declared])())


def _fold(join: _Binary, parts: Sequence[nw.Expr]) -> nw.Expr:
    """Join by halves, since engines nest their calls as deep as the expression is."""
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return join(_fold(join, parts[:half]), _fold(join, parts[half:]))
