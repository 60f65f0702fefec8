"""Which values a made-up person may have in a column, read from the policy's public declarations.

What is declared is edges, words, bounds, hierarchies, and what expressions compare a column with.
Nothing here knows a source, and none of it says how real values are spread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np

from expectations.expressions.expressions import ColumnType, Expression, parse
from expectations.expressions.tree import Column, Literal, Operation, Operator, walk
from expectations.policy.policy import Policy, ValuesBetween, ValuesIn
from expectations.policy.treatments import (
    Bin,
    Categories,
    Clip,
    DateParts,
    Drop,
    Keep,
    Level,
    Mask,
    Noise,
    Redact,
    Round,
    Shift,
    Token,
    Treatment,
)

Value: TypeAlias = "bool | int | float | str | date"
Draw: TypeAlias = np.random.Generator
PER_LABEL: Final = 4
"""How many values stand for one interval, or one range."""
YEAR: Final = 365.25


def expressions_of(policy: Policy) -> list[Expression]:
    """Give what a policy computes of a row: who is eligible, and the derived columns."""
    texts = [column.expression for column in policy.derived.values()]
    return [parse(text, policy.types) for text in (policy.population.eligible, *texts) if text]


def possible_values(policy: Policy, name: str, draw: Draw, today: date) -> list[Value]:
    """Give the values that a column's declarations allow, each as likely as the others."""
    column = policy.columns[name]
    compared = list(_compared_with(policy, name))
    found = _declared(column.treatment, column.type, draw)
    if not found and column.type is ColumnType.TEXT:
        found = _words(compared)
    if not found:
        found = _spread(column.type, compared, draw, today)
    elif column.type in {ColumnType.NUMBER, ColumnType.INTEGER}:
        found = [*found, *_beside(compared, column.type)]
    return _within_rules(policy, name, found)


def may_be_missing(policy: Policy, name: str) -> bool:
    """Whether an expression or a published share speaks of the column's missing values."""
    asked = any(
        isinstance(node, Operation)
        and node.operator in {Operator.MISSING, Operator.COALESCE}
        and any(isinstance(one, Column) and one.name == name for one in walk(node))
        for expression in expressions_of(policy)
        for node in walk(expression.root)
    )
    reference = policy.population.reference
    margin = reference.margins.get(name) if reference else None
    return asked or (margin is not None and margin.shares.get("missing", 0) > 0)


def _compared_with(policy: Policy, name: str) -> Iterator[tuple[Value, Operator | None]]:
    """Give the literals that expressions hold beside a column, and by which function if any."""
    for expression in expressions_of(policy):
        for node in walk(expression.root):
            if not isinstance(node, Operation) or node.operator not in COMPARISONS:
                continue
            below = list(walk(node))
            if any(isinstance(one, Column) and one.name == name for one in below):
                called = [o.operator for o in below if isinstance(o, Operation)]
                since = next((o for o in called if o in SINCE), None)
                yield from ((o.value, since) for o in below if isinstance(o, Literal))


COMPARISONS: Final = frozenset(
    {
        *(Operator.EQUAL, Operator.UNEQUAL, Operator.BELOW, Operator.AT_MOST),
        *(Operator.ABOVE, Operator.AT_LEAST, Operator.IN),
    }
)
SINCE: Final = frozenset({Operator.YEARS_SINCE, Operator.DAYS_SINCE})


def _declared(treatment: Treatment, held: ColumnType, draw: Draw) -> list[Value]:
    """Give the values that a treatment declares; none where it declares no values."""
    match treatment:
        case Bin(edges=edges):
            whole = all(float(edge).is_integer() for edge in edges) and _in_steps(edges)
            return _typed(_in_intervals(edges, draw), ColumnType.INTEGER if whole else held)
        case Categories(values=words, rename=rename):
            renamed = {ours: theirs for theirs, ours in rename.items()}
            return [renamed.get(word, word) for word in words]
        case Level(rows=rows) if rows:
            return [row[0] for row in rows]
        case Level(of="ages"):
            return [int(age) for age in draw.integers(18, 90, 20)]
        case Level(of="postcodes"):
            return [f"{code}" for code in draw.integers(10_000, 99_999, 20)]
        case Clip(low=low, high=high) | Noise(low=low, high=high):
            return _typed(draw.uniform(low, high, 12), held)
        case Round(to=to):
            return _typed(to * np.arange(12), held)
        case Level() | Drop() | Keep() | Mask() | Token() | DateParts() | Shift() | Redact():
            return [True, False] if held is ColumnType.BOOLEAN else []


def _in_intervals(edges: Sequence[float], draw: Draw) -> list[float]:
    """Give values of every interval between rising edges; the open ends are as wide as the next."""
    width = edges[1] - edges[0] if len(edges) > 1 else max(abs(edges[0]) / 4, 1.0)
    last = edges[-1] - edges[-2] if len(edges) > 1 else width
    low = edges[0] - width
    ends = [max(low, 0.0) if edges[0] > 0 else low, *edges, edges[-1] + last]
    return [
        float(value)
        for a, b in pairwise(ends)
        for value in a + (b - a) * draw.uniform(0, 0.999, PER_LABEL)
    ]


def _in_steps(edges: Sequence[float]) -> bool:
    """Whether intervals are so wide that whole numbers fill them, as with ages."""
    return all(b - a >= PER_LABEL for a, b in pairwise(edges)) and abs(edges[0]) >= PER_LABEL


def _typed(values: Iterable[float], held: ColumnType) -> list[Value]:
    """Write numbers as the column holds them: whole, or with few digits."""
    if held is ColumnType.INTEGER:
        return [int(np.floor(value)) for value in values]
    return [float(np.floor(value * 1000) / 1000) for value in values]


def _words(compared: Sequence[tuple[Value, Operator | None]]) -> list[Value]:
    """Give the words that a text is compared with, and one that is none of them."""
    words = [value for value, _ in compared if isinstance(value, str)]
    return [*dict.fromkeys(words), "another word"]


def _spread(
    held: ColumnType, compared: Sequence[tuple[Value, Operator | None]], draw: Draw, today: date
) -> list[Value]:
    """Give values on both sides of what expressions compare with; else plausible ones."""
    if held is ColumnType.DATE:
        return _dates(compared, draw, today)
    numbers = [float(v) for v, _ in compared if isinstance(v, int | float)]
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 100.0)
    margin = max(high - low, 0.3 * abs(high), 1.0) if numbers else 0.0
    first = max(low - margin, 0.0) if low >= 0 else low - margin
    return _typed([*numbers, *draw.uniform(first, high + margin, 12)], held)


def _beside(compared: Sequence[tuple[Value, Operator | None]], held: ColumnType) -> list[Value]:
    """Give the numbers that expressions compare with, what is next to them, and between them."""
    numbers = sorted({float(v) for v, _ in compared if isinstance(v, int | float)})
    steps = [(n, 1.0 if n.is_integer() else 0.1 * abs(n)) for n in numbers]
    near = [n + sign * step for n, step in steps for sign in (-1, 0, 1)]
    low = 0.0 if numbers and numbers[0] >= 0 else -np.inf
    return _typed(
        [max(n, low) for n in [*near, *((a + b) / 2 for a, b in pairwise(numbers))]], held
    )


def _dates(
    compared: Sequence[tuple[Value, Operator | None]], draw: Draw, today: date
) -> list[Value]:
    """Give days around those that are compared with; else of the last ninety years."""
    days: list[float] = []
    for value, since in compared:
        if isinstance(value, date):
            days += [(today - value).days + step for step in (-900, -30, 0, 30, 900)]
        elif isinstance(value, int | float) and since is not None:
            unit = YEAR if since is Operator.YEARS_SINCE else 1.0
            days += [unit * value * part for part in (0.2, 0.5, 0.9, 1.1, 1.5, 2.5)]
    oldest = max(90 * YEAR, 1.2 * max(days, default=0.0))
    days += [*draw.uniform(0, 2 * YEAR, 4), *draw.uniform(0, oldest, 12)]
    earliest = (today - date(1900, 1, 1)).days
    return [today - timedelta(days=int(min(max(day, 0), earliest))) for day in days]


def _within_rules(policy: Policy, name: str, found: list[Value]) -> list[Value]:
    """Keep what the policy's value rules allow of a column that leaves as it stands."""
    treatment = policy.columns[name].treatment
    kept = found
    for rule in policy.expectations:
        if rule.column != name:
            continue
        if isinstance(rule, ValuesBetween) and not isinstance(treatment, Noise):
            kept = [v for v in kept if isinstance(v, int | float) and rule.low <= v <= rule.high]
        elif isinstance(rule, ValuesIn) and isinstance(treatment, Categories):
            words = {**treatment.rename}
            kept = [v for v in kept if words.get(str(v), v) in rule.values]
    return kept or found
