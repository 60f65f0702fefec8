"""Rows as a source holds them, in text, and what a policy's expressions make of them.

Made-up rows are drawn column by column from what is possible, and columns that a condition finds
wrong are drawn again, so that even a narrow eligibility is met by most rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.expressions.expressions import Expression, parse
from expectations.expressions.tree import Column, Node, Operation, Operator, walk
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Use
from tasks.rehearsal.values import Draw, Value, may_be_missing, possible_values
from tasks.sources.conversion import convert

Texts: TypeAlias = NDArray[np.object_]
Marks: TypeAlias = NDArray[np.bool_]
Rows: TypeAlias = dict[str, Texts]
"""The text of each column of the source that the policy reads, by the source's own name."""
ROUNDS = 60
"""How often what is wrong with a row is drawn again."""
FEW, SOME = 0.02, 0.08
"""The share of missing values: of any feature, and of a column whose missing values matter."""


@dataclass(frozen=True)
class Maker:
    """What rows are drawn from: the policy, chance, the day, and each column's possible texts."""

    policy: Policy
    draw: Draw
    today: date
    texts: Mapping[str, Texts]
    missing: Mapping[str, float]

    def rows(self, count: int, columns: Collection[str] | None = None) -> Rows:
        """Draw rows of some columns of the source, or of all."""
        return {name: self._column(name, count) for name in columns or self.texts}

    def _column(self, name: str, count: int) -> Texts:
        drawn = self.texts[name][self.draw.integers(0, len(self.texts[name]), count)]
        drawn[self.draw.random(count) < self.missing[name]] = None
        return drawn

    def held(self, rows: Rows) -> pa.Table:
        """Give rows in the declared types, under the policy's own names, as the flow reads them."""
        named = {
            name: pa.chunked_array([pa.array(rows[self.policy.source_name(name)], pa.string())])
            for name in self.policy.columns
        }
        return convert(pa.table(named), self.policy.types)

    def eligible(self, rows: Rows) -> Marks:
        """Tell which rows satisfy `population.eligible`."""
        root = parse(self.policy.population.eligible, self.policy.types).root
        return as_marks(evaluate_nodes(self.held(rows), {"eligible": root}, self.today)["eligible"])

    def mended(self, rows: Rows) -> tuple[Rows, Marks]:
        """Draw what keeps rows from being eligible again and again; tell which are in the end."""
        root = parse(self.policy.population.eligible, self.policy.types).root
        conditions = {str(n): node for n, node in enumerate(conjuncts(root))}
        for _ in range(ROUNDS):
            found = evaluate_nodes(self.held(rows), conditions, self.today)
            wrong = {n: ~as_marks(values) for n, values in found.items()}
            if not any(marks.any() for marks in wrong.values()):
                break
            for number, marks in wrong.items():
                self._draw_again(rows, conditions[number], marks)
        return rows, self.eligible(rows)

    def _draw_again(self, rows: Rows, condition: Node, marks: Marks) -> None:
        # All columns of the condition: which of them is wrong cannot be told from its outcome.
        read = {node.name for node in walk(condition) if isinstance(node, Column)}
        for name in sorted({self.policy.source_name(name) for name in read} & self.texts.keys()):
            rows[name][marks] = self._column(name, int(marks.sum()))


def make_maker(policy: Policy, draw: Draw, today: date, apart: Collection[str]) -> Maker:
    """Say what rows are drawn from; columns of the source that are `apart` have a stand-in."""
    possible: dict[str, list[Value]] = {}
    missing: dict[str, float] = {}
    for name in policy.columns:
        source = policy.source_name(name)
        possible.setdefault(source, []).extend(possible_values(policy, name, draw, today))
        missing[source] = max(missing.get(source, 0.0), missing_share(policy, name))
    texts = {
        source: np.array(["1"] if source in apart else list(map(spelled, values)), dtype=object)
        for source, values in possible.items()
    }
    return Maker(policy, draw, today, texts, {s: missing[s] * (s not in apart) for s in texts})


def missing_share(policy: Policy, name: str) -> float:
    """Say of how many made-up people a column's value is missing."""
    if may_be_missing(policy, name):
        return SOME
    return FEW * (Use.FEATURE in policy.columns[name].use and name not in policy.released)


def spelled(value: Value) -> str:
    """Write a value as a file would hold it."""
    match value:
        case bool():
            return "true" if value else "false"
        case date():
            return value.isoformat()
        case _:
            return str(value)


def conjuncts(node: Node) -> list[Node]:
    """Take a condition apart into those that must all hold."""
    if isinstance(node, Operation) and node.operator is Operator.AND:
        return [part for operand in node.operands for part in conjuncts(operand)]
    return [node]


def evaluate_nodes(
    table: pa.Table, nodes: Mapping[str, Node], today: date
) -> dict[str, pa.ChunkedArray]:
    """Compute typed nodes over rows that `Maker.held` gave, one array each."""
    import narwhals as nw
    import pandas as pd

    frame = nw.from_native(table.to_pandas(types_mapper=pd.ArrowDtype), eager_only=True)
    made = {name: Expression("", node).to_narwhals(today) for name, node in nodes.items()}
    found = frame.select(**made).to_arrow()
    return {name: found.column(name) for name in nodes}


def as_marks(values: pa.ChunkedArray) -> Marks:
    """Read truths as numpy does; unknown is false."""
    marks: Marks = pc.fill_null(values, fill_value=False).to_numpy().astype(bool)
    return marks


def pick_rows(rows: Rows, places: NDArray[np.intp] | Marks) -> Rows:
    """Give some of the rows."""
    return {name: texts[places] for name, texts in rows.items()}


def join_rows(parts: Sequence[Rows]) -> Rows:
    """Put rows one after the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
