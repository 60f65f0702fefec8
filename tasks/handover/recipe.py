"""How the features of a model that leaves are made of a new person's rows, for its recipient.

`features.py` is Python that needs nothing else, `features.sql` the plan of the run over tables by
name. Both hold what the policy declares, and nothing that was read. They share no code: what one
gives, the other has to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final, assert_never

from expectations.expressions.expressions import ColumnType, parse
from expectations.expressions.tree import Column as Read
from expectations.expressions.tree import Expression, Literal, Node, Operation, Operator
from expectations.policy.many_rows import FromRows, RowsTable
from expectations.policy.policy import Policy
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
from expectations.policy.vocabulary import Use
from ledgers.evidence import Entry
from tasks.account.findings import Found
from tasks.sources.concept_sets import take_codes
from tasks.sources.recipe import INDEX_AT, MARK, Recipe

PYTHON, SQL = "features.py", "features.sql"
SCORING: Final = Path(__file__).with_name("scoring.py")
"""What every recipe in Python begins with, as it stands."""
EMPTY: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})
COMPUTED: Final = frozenset((Operator.ADD, Operator.SUBTRACT, Operator.MULTIPLY, Operator.DIVIDE))
COMPARED: Final = frozenset(
    (Operator.EQUAL, Operator.UNEQUAL, Operator.BELOW, Operator.AT_MOST, Operator.ABOVE,
     Operator.AT_LEAST)
)  # fmt: skip
NAMED: Final[Mapping[Operator, str]] = {
    Operator.AND: "both",
    Operator.OR: "either",
    Operator.NOT: "negate",
    Operator.COALESCE: "first_known",
    Operator.IF: "choose",
}


def find_recipe(policy: Policy, entries: Sequence[Entry]) -> dict[str, str]:
    """Write what goes along with the models of a run, of which these are the entries."""
    return write_recipe(policy, Found(entries).codes()) if policy.model_outlets else {}


def write_recipe(policy: Policy, codes: Mapping[str, Sequence[str]] = EMPTY) -> dict[str, str]:
    """Write the files by which a model's recipient makes its features, by name.

    `codes` are what the policy's concept sets stood for in the run.
    """
    source = take_codes(policy.source, codes)
    features = Features(policy.model_copy(update={"source": source}))
    sql = features.recipe.write() if features.made else None
    written = {PYTHON: features.write_python(SQL if sql else "")}
    return written | ({SQL: _comment("--", features.tell(PYTHON)) + sql} if sql else {})


@dataclass(frozen=True)
class Features:
    """What a policy's model reads, and what that is made of."""

    policy: Policy

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name the features that the model is given."""
        treated = self.policy.treated
        features = self.policy.used_as(Use.FEATURE)
        return tuple(n for n in features if not isinstance(treated[n].treatment, Drop))

    @cached_property
    def derived(self) -> dict[str, Expression]:
        """Give the expressions of features that are computed from columns."""
        found = {name: self.policy.derived.get(name) for name in self.names}
        return {
            name: parse(one.expression, self.policy.types)
            for name, one in found.items()
            if one is not None and one.expression is not None
        }

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Name the columns that features are, or are computed from, in the policy's order."""
        read = {column for one in self.derived.values() for column in one.columns}
        return tuple(n for n in self.policy.columns if n in {*self.names, *read})

    @cached_property
    def own(self) -> dict[str, tuple[str, ColumnType]]:
        """Give columns of the person's own row, and what own code makes: name there, and type."""
        columns = self.policy.columns
        own = [name for name in self.columns if columns[name].rows is None]
        coded = [name for name in self.names if name in self.policy.own_functions]
        types = {name: self.policy.column_type(name) for name in (*own, *coded)}
        called = {name: columns[name].source or name for name in own} | {n: n for n in coded}
        return {name: (called[name], kind) for name, kind in types.items()}

    @cached_property
    def made(self) -> dict[str, FromRows]:
        """Give what is made of rows."""
        found = {name: self.policy.columns[name].rows for name in self.columns}
        return {name: rows for name, rows in found.items() if rows is not None}

    @cached_property
    def recipe(self) -> Recipe:
        """Give what the plan is written of."""
        return Recipe(self.policy.source, self.made, self.own, self.policy.types)

    def write_python(self, other: str) -> str:
        """Write the module that makes features of one person's rows; `other` is the SQL's file."""
        scoring = SCORING.read_text(encoding="utf-8")
        return "\n".join([_comment("#", self.tell(other)) + scoring, "", *self.write_declared()])

    def tell(self, other: str) -> Iterator[str]:
        """Say what is made here, and what the recipient has to supply."""
        policy, source, person = self.policy, self.policy.source, self.policy.source.joined_by
        rows = "rows" if self.made else "a row"
        yield f"How the features of the model of the policy {policy.name} are made of {rows}."
        if other == PYTHON:
            yield f"It gives columns of DuckDB's tables; {PYTHON} (`treat`) makes features of them."
        elif other:
            yield f"{SQL} gives the same columns of whole tables; `treat` makes features of them."
        yield ""
        yield "Supply, under these names:"
        own = [f"{name} ({kind})" for name, kind in self.own.values()]
        index = [f"{INDEX_AT} (date or moment)"] if self.made else []
        yield f"  {self.recipe.people}: {', '.join([f'{person} (text)', *index, *own])}"
        for name in self.recipe.tables:
            yield from self.tell_table(name, source.tables[name])
        yield from self.tell_index()
        for name, function in self.policy.own_functions.items():
            if name in self.names:
                yield f"`{name}` is what own code makes, {function}: compute it, and supply it."
        yield f"The model knows people of whom it holds: {_line(policy.population.eligible)}"

    def tell_table(self, name: str, table: RowsTable) -> Iterator[str]:
        """Say what a table has to hold, and which rows of it count."""
        fields = self.recipe.read(name)
        columns = {table.person or self.policy.source.joined_by: "text", table.at: "date or moment"}
        if table.known:
            columns[table.known] = "date or moment"
        for field in fields:
            said = table.fields[field]
            columns.setdefault(said.source or field, str(said.type))
            if said.unit:
                columns.setdefault(said.unit.source, "text")
        yield f"  {name}: {', '.join(f'{column} ({kind})' for column, kind in columns.items())}"
        known = f", and was known then (`{table.known}`)" if table.known else ""
        yield f"    a row counts if it took place (`{table.at}`) before the person's moment{known}"
        if table.where:
            yield f"    and of all rows only those where {_line(table.where)}"
        if table.most:
            yield f"    of more than {table.most} such rows the latest; at one moment, any of them"

    def tell_index(self) -> Iterator[str]:
        """Say which moment a person's index is."""
        index = self.policy.source.index
        if index is None or not self.made:
            return
        where = f" where {_line(index.where)}" if index.where else ""
        said = index.date or (
            f"the column `{index.column}`"
            if index.column
            else f"the first row of `{index.first}`{where}"
        )
        yield f"The moment before which rows count is yours to say. It was {said} when the model"
        yield "was trained; at any other kind of moment it may be wrong."
        if dates := self.policy.source.dates:
            yield f"For training only rows from {dates.first} until {dates.last} were read."
        if dates := self.policy.source.dates:
            yield f"Then rows of the days from {dates.first} to {dates.last} were read."

    def write_declared(self) -> Iterator[str]:
        """Write what is declared, one name a line."""
        yield from ("", "CODES: Mapping[str, Sequence[str]] = {")
        for name, codes in self.recipe.codes.items():
            yield f"    {name!r}: {codes!r},"
        yield from ("}", "RECIPE = Recipe(", f"    zone={self.policy.source.zone!r},", "    own={")
        for name, (column, kind) in self.own.items():
            yield f"        {name!r}: Field({column!r}, {str(kind)!r}),"
        yield from ("    },", "    tables={")
        for name in self.recipe.tables:
            yield from self.write_table(name)
        yield from ("    },", "    made={")
        for name, take in self.made.items():
            yield f"        # {_line(take.said)}"
            yield f"        {name!r}: {self.write_take(name, take)},"
        yield from ("    },", "    derived={")
        for name, expression in self.derived.items():
            yield f"        # {_line(expression.text)}"
            yield f"        {name!r}: lambda row, today: {write_node(expression.root)},"
        yield from ("    },", "    treated={")
        for name in self.names:
            yield f"        {name!r}: {write_treatment(self.policy.treated[name].treatment)},"
        yield from ("    },", ")")
        yield "features, columns, treat = RECIPE.features, RECIPE.columns, RECIPE.treat\n"

    def write_table(self, name: str) -> Iterator[str]:
        """Write what is declared of a table."""
        table = self.policy.source.tables[name]
        where = f", where={self.write_where(name, table.where)}" if table.where else ""
        said = f"at={table.at!r}, known={table.known!r}, most={table.most}{where}, fields={{"
        yield f"        {name!r}: Table({said}"
        for field in self.recipe.read(name):
            one, unit = table.fields[field], ""
            if one.unit:
                out = one.unit.undeclared == "leave-out"
                unit = f", {one.unit.source!r}, {dict(one.unit.factors)!r}, {out}"
            yield f"            {field!r}: Field({one.source or field!r}, {str(one.type)!r}{unit}),"
        yield "        }),"

    def write_take(self, name: str, take: FromRows) -> str:
        """Write what a column takes of rows."""
        kind = str(self.policy.columns[name].type)
        more = [f"field={take.field!r}"] if take.field else []
        more += [f"days={take.days_before}"] if take.days_before else []
        if take.where:
            more.append(f"where={self.write_where(take.of or '', take.where)}")
        return f"Take({', '.join([repr(take.take), repr(take.of), repr(kind), *more])})"

    def write_where(self, table: str, text: str) -> str:
        """Write a condition on the rows of a table."""
        source = self.policy.source
        types = {n: field.type for n, field in source.tables[table].fields.items()}
        marked = {listed: (f"{MARK}{listed}",) for listed in source.codes}
        return f"lambda row, today: {write_node(parse(text, types, marked).root)}"


def write_node(node: Node) -> str:
    """Write a node of an expression as a call of what the module begins with."""
    match node:
        case Literal(date() as day):
            return f"date({day.year}, {day.month}, {day.day})"
        case Literal(value):
            return repr(value)
        case Read(name):
            return f"row[{name!r}]"
        case Operation():
            return _write_operation(node)


def _write_operation(node: Operation) -> str:
    kind, operands = node.operator, node.operands
    match kind:
        case Operator.MISSING:
            return f"({write_node(operands[0])} is None)"
        case Operator.YEARS_SINCE | Operator.DAYS_SINCE:
            return f"{kind}({write_node(operands[0])}, today)"
        case Operator.IN:
            return _write_membership(*operands)
        case _ if kind in COMPUTED:
            one, other = map(_as_number, operands)
            made = f"compute({one}, {str(kind)!r}, {other})"
            return f"as_whole({made})" if node.type is ColumnType.INTEGER else made
        case _ if kind in COMPARED:
            alike = operands[0].type is operands[1].type
            one, other = map(write_node if alike else _as_number, operands)
            return f"compare({one}, {str(kind)!r}, {other})"
        case _:
            chosen = node.type is ColumnType.NUMBER
            written = [_as_number(o) if chosen else write_node(o) for o in operands]
            return f"{NAMED[kind]}({', '.join(written)})"


def _write_membership(sought: Node, *among: Node) -> str:
    values = [one.value for one in among if isinstance(one, Literal)]
    if len(values) == 1 and str(values[0]).startswith(MARK):
        return f"is_among({write_node(sought)}, CODES[{str(values[0]).removeprefix(MARK)!r}])"
    alike = all(one.type is sought.type for one in among)
    written = write_node(sought) if alike else _as_number(sought)
    return f"is_among({written}, [{', '.join(map(write_node, among))}])"


def _as_number(node: Node) -> str:
    """Write a node as a float, if it is a whole number."""
    if isinstance(node, Literal) and node.type is ColumnType.INTEGER:
        return repr(float(node.value))  # type: ignore[arg-type]  # a number, as its type says
    written = write_node(node)
    return f"as_number({written})" if node.type is ColumnType.INTEGER else written


def write_treatment(treatment: Treatment) -> str:
    """Write what becomes of a feature's value, in public labels or between public bounds."""
    match treatment:
        case Keep():
            return "as_word"
        case Bin(edges=edges, labels=labels):
            return f"put_into({[*edges]!r}, {[*labels]!r})"
        case Clip(low=low, high=high):
            return f"hold_between({low!r}, {high!r})"
        case Categories(values=words, rename=rename, other=other):
            named = {word: word for word in words} | {**rename}
            return f"name_each({named!r}, {other!r})" if other else f"name_each({named!r})"
        case Level(rows=rows, level=level):
            return f"name_each({ {row[0]: row[level] for row in rows}!r})"
        case Drop() | Mask() | Token() | Round() | Noise() | DateParts() | Shift() | Redact():
            raise AssertionError(treatment.kind)  # coherence lets no such feature pass
    assert_never(treatment)


def _comment(mark: str, lines: Iterable[str]) -> str:
    """Write lines as comments, whatever a name in them holds."""
    plain = ("".join(c if c.isprintable() else " " for c in line) for line in lines)
    return "".join(f"{mark} {line}".rstrip() + "\n" for line in plain)


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
