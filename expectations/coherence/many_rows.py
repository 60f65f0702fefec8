"""Whether columns that are made of many rows fit their tables, and look at nothing after the index.

One plain function per rule, as in `rules`, which asks them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Final, TypeAlias

from expectations.errors import Problem, suggest
from expectations.expressions.expressions import ColumnType, ExpressionError, parse
from expectations.expressions.tree import Operation, Operator, walk
from expectations.policy.many_rows import (
    OF_NUMBERS,
    OF_VALUES,
    FollowUp,
    FromRows,
    RowsTable,
)
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Use

NOW: Final = frozenset((Operator.DAYS_SINCE, Operator.YEARS_SINCE))


def find_faults_of_rows(policy: Policy) -> Iterator[Problem]:
    """Everything that is wrong with tables and what is made of them; later rules rest on it."""
    yield from index_is_one_moment(policy)
    yield from follow_up_is_known(policy)
    yield from columns_are_made_of_their_table(policy)
    for name, table in policy.source.tables.items():
        if table.where:
            path = f"source.tables.{name}.where"
            yield from _condition_fits(table.where, table, policy.source.code_lists, path)


def index_is_one_moment(policy: Policy) -> Iterator[Problem]:
    """There is an index if anything is made of rows, said in one way, of this policy's tables."""
    source, index = policy.source, policy.source.index
    if index is None:
        if policy.made_of_rows:
            yield Problem(
                "source.index",
                "is missing, and columns are made of rows before it",
                "add `date:`, `column:` of the roster, or `first:` of a table",
            )
        return
    given = [index.date, index.column, index.first]
    if len(given) - given.count(None) != 1:
        yield Problem("source.index", "is said in no or in several ways", "keep one of them")
    yield from _day_is_real(index.date, "source.index.date")
    if index.where and index.first is None:
        fix = "remove it, or say `first:`"
        yield Problem("source.index.where", "is a condition over no table", fix)
    if index.first is not None:
        yield from _table_is_there(policy, index.first, "source.index.first")
    if index.where and index.first and index.first in source.tables:
        table = source.tables[index.first]
        yield from _condition_fits(index.where, table, source.code_lists, "source.index.where")


def dates_are_of_rows(policy: Policy) -> Iterator[Problem]:
    """The days of rows are in the calendar and in order, and there are tables of rows."""
    dates = policy.source.dates
    if dates is None:
        return
    yield from _day_is_real(dates.first, "source.dates.from")
    yield from _day_is_real(dates.last, "source.dates.until")
    if dates.last < dates.first:
        yield Problem("source.dates.until", "it is before `from`", "correct one of them")
    if not policy.source.tables:
        fix = "name tables under `source.tables`, or take it out"
        yield Problem("source.dates", "there is no table whose rows have a day", fix)


def follow_up_is_known(policy: Policy) -> Iterator[Problem]:
    """Where a window is after the index, it is said until when people were observed."""
    until = policy.source.followed_until
    if until is None:
        if any(rows.days_after for rows in policy.made_of_rows.values()):
            yield Problem(
                "source.followed_until",
                "is missing, and of who left before a window's end it is not known what would "
                "have come",
                "add `date:`, when the data end, `column:` of the roster, or `periods:`",
            )
        return
    given = [until.date, until.column, until.periods]
    if len(given) - given.count(None) != 1:
        yield Problem("source.followed_until", "is said in no or in two ways", "keep one of them")
    yield from _periods_are_rows_that_last(policy, until)
    yield from _day_is_real(until.date, "source.followed_until.date")
    index = policy.source.index
    if until.date and index and index.date and index.date > until.date:
        fix = "choose an earlier index, or correct `followed_until`"
        yield Problem("source.index.date", "is after the day on which the data end", fix)


def _periods_are_rows_that_last(policy: Policy, until: FollowUp) -> Iterator[Problem]:
    path, tables = "source.followed_until", policy.source.tables
    for part, table in (("periods", until.periods), ("closed_by", until.closed_by)):
        if table is not None:
            yield from _table_is_there(policy, table, f"{path}.{part}")
    if until.periods and until.periods in tables and tables[until.periods].until is None:
        fix = "say by `until:` when its rows end"
        yield Problem(f"{path}.periods", "names a table whose rows do not last", fix)
    if until.closed_by and not until.periods:
        fix = "remove it, or say `periods:`"
        yield Problem(f"{path}.closed_by", "closes no period", fix)


def columns_are_made_of_their_table(policy: Policy) -> Iterator[Problem]:
    """A column made of rows has one origin, a table and a field that are there, and their type."""
    for name, column in policy.columns.items():
        rows, path = column.rows, f"columns.{name}.rows"
        if rows is None:
            continue
        if column.source is not None:
            yield Problem(path, "stands beside `from`", "keep one of them")
        if rows.take == "index":
            if (rows.of, rows.field, rows.where, rows.days_before, rows.days_after) != (None,) * 5:
                yield Problem(path, "says more than `take: index`", "remove the rest")
        else:
            yield from _rows_fit(policy, rows, path)
        table = policy.source.tables.get(rows.of or "")
        fits = rows.type_of(table.fields if table else {})
        if fits and column.type not in fits:
            said = " or ".join(sorted(fits))
            fix = f"declare it as {said}"
            yield Problem(f"columns.{name}.type", f"`{rows.take}` gives no {column.type}", fix)


def _rows_fit(policy: Policy, rows: FromRows, path: str) -> Iterator[Problem]:
    if rows.days_before and rows.days_after:
        fix = "keep one of them"
        yield Problem(path, "has a window that reaches over the index", fix)
    if rows.of is None or rows.of not in policy.source.tables:
        yield from _table_is_there(policy, rows.of or "", f"{path}.of")
        return
    table = policy.source.tables[rows.of]
    yield from _field_fits(rows, table, path)
    if rows.where:
        yield from _condition_fits(rows.where, table, policy.source.code_lists, f"{path}.where")
    elif rows.take in {"any", "all"}:
        yield Problem(path, f"`{rows.take}` needs a condition", "add `where:`")


def _field_fits(rows: FromRows, table: RowsTable, path: str) -> Iterator[Problem]:
    if rows.take not in OF_VALUES:
        if rows.field is not None:
            fix = "remove `field`"
            yield Problem(f"{path}.field", f"`{rows.take}` is of rows, not of a field", fix)
        return
    if rows.field is None or rows.field not in table.fields:
        fix = suggest(rows.field or "", table.fields, "name one under the table's `fields`")
        yield Problem(f"{path}.field", "is no field of that table", fix)
        return
    held = table.fields[rows.field].type
    if rows.take in OF_NUMBERS and held not in {ColumnType.NUMBER, ColumnType.INTEGER}:
        fix = "name a field of numbers"
        yield Problem(f"{path}.field", f"there is no {rows.take} of values of type {held}", fix)
    ordered = {ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.DATE}
    if rows.take in {"smallest", "largest"} and held not in ordered:
        fix = "name a field of numbers or dates"
        yield Problem(f"{path}.field", f"values of type {held} have no {rows.take}", fix)


def _table_is_there(policy: Policy, name: str, path: str) -> Iterator[Problem]:
    if name not in policy.source.tables:
        fix = suggest(name, policy.source.tables, "name it under source.tables")
        yield Problem(path, "is no table of this policy", fix)


Lists: TypeAlias = Mapping[str, Sequence[str]]


def _condition_fits(text: str, table: RowsTable, codes: Lists, path: str) -> Iterator[Problem]:
    """A condition is yes or no over one row's own fields, whatever the day of the run."""
    try:
        parsed = parse(text, {name: field.type for name, field in table.fields.items()}, codes)
    except ExpressionError as error:
        yield Problem(path, str(error), "correct the expression at the mark")
        return
    if parsed.type is not ColumnType.BOOLEAN:
        yield Problem(path, "is not yes or no", "compare, or combine with and/or/not")
    if any(isinstance(node, Operation) and node.operator in NOW for node in walk(parsed.root)):
        yield Problem(
            path,
            "counts from the day of the run, so that a later run would take other rows",
            "use `days_before` or `days_after`, which count from the index",
        )


def nothing_looks_ahead(policy: Policy) -> Iterator[Problem]:
    """What a model learns from was there before the person's index."""
    for name, column in policy.columns.items():
        if column.rows and column.rows.days_after and Use.FEATURE in column.use:
            yield Problem(
                f"columns.{name}.rows.days_after",
                "looks past the index, so that a model would learn from what it is to predict",
                "use `days_before`, or remove `feature` from its use",
            )
    later = {n for n, column in policy.columns.items() if column.rows and column.rows.days_after}
    for name in policy.derived.keys() & {*policy.used_as(Use.FEATURE)}:
        for read in sorted(policy.read_for([name])[Use.DERIVATION] & later):
            yield Problem(
                policy.path_of(name),
                f"is a feature, and `{read}` looks past the index, so that a model would learn "
                "from what it is to predict",
                "compute it of what was known before, or remove `feature` from its use",
            )


def windows_end_within_the_data(policy: Policy) -> Iterator[Problem]:
    """A window after an index of one day ends no later than the last day that the policy says."""
    source = policy.source
    index, until, dates = source.index, source.followed_until, source.dates
    if index is None or index.date is None:
        return
    said = {
        "source.followed_until.date": until.date if until else None,
        "source.dates.until": dates.last if dates else None,
    }
    last, place = min(
        ((day, place) for place, day in said.items() if day and not [*_day_is_real(day, place)]),
        default=("", ""),
    )
    for name, column in policy.columns.items():
        days = column.rows.days_after if column.rows else None
        if not (days and last):
            continue
        end = date.fromisoformat(index.date) + timedelta(days=days)
        if end > date.fromisoformat(last):
            yield Problem(
                f"columns.{name}.rows.days_after",
                f"ends on {end}, after {place} ({last}), so nobody is observed to its end",
                "use fewer days, or an earlier source.index.date",
            )


def tables_are_used(policy: Policy) -> Iterator[Problem]:
    """A table that nothing is made of need not be named."""
    index, until = policy.source.index, policy.source.followed_until
    used = {rows.of for rows in policy.made_of_rows.values()} | {index.first if index else None}
    used |= {until.periods, until.closed_by} if until else set()
    for name in policy.source.tables.keys() - used:
        fix = "remove it, or make a column of its rows"
        yield Problem(f"source.tables.{name}", "nothing is made of its rows", fix)


def units_are_of_numbers(policy: Policy) -> Iterator[Problem]:
    """What is multiplied by a unit's factor is a number."""
    for name, table in policy.source.tables.items():
        for field, said in table.fields.items():
            if said.unit and said.type is not ColumnType.NUMBER:
                path = f"source.tables.{name}.fields.{field}.unit"
                what = f"is of a field of type {said.type}"
                yield Problem(path, what, "declare the field as number, or remove its unit")


def key_is_of_tables(policy: Policy) -> Iterator[Problem]:
    """A key joins further tables to people whom something else identifies."""
    source = policy.source
    if source.key == source.person:
        fix = "remove it, or name as `person` what identifies people for good"
        yield Problem("source.key", "is the identifier itself", fix)
    elif source.key and not source.tables:
        yield Problem("source.key", "joins no table", "remove it, or name tables")


def vocabulary_is_used(policy: Policy) -> Iterator[Problem]:
    """A vocabulary is there for concept sets alone."""
    source = policy.source
    if source.vocabulary and not any(listed.concepts for listed in source.codes.values()):
        fix = "remove it, or name a `concept_set` under source.codes"
        yield Problem("source.vocabulary", "no list of codes is a concept set", fix)


def codes_are_used(policy: Policy) -> Iterator[Problem]:
    """A list of codes that no condition looks in need not be named."""
    index = policy.source.index
    said = [rows.where or "" for rows in policy.made_of_rows.values()]
    said += [table.where or "" for table in policy.source.tables.values()]
    said.append((index.where or "") if index else "")
    for name in policy.source.codes:
        if not any(re.search(rf"@{name}\b", text) for text in said):
            fix = f"remove it, or write `in @{name}` in a condition"
            yield Problem(f"source.codes.{name}", "no condition looks in it", fix)


def _day_is_real(text: str | None, path: str) -> Iterator[Problem]:
    try:
        date.fromisoformat(text or "2025-01-31")
    except ValueError:
        yield Problem(path, "is no day of the calendar", "write it as 2025-01-31")


RULES: Final[tuple[Callable[[Policy], Iterator[Problem]], ...]] = (
    dates_are_of_rows,
    nothing_looks_ahead,
    windows_end_within_the_data,
    tables_are_used,
    units_are_of_numbers,
    codes_are_used,
    key_is_of_tables,
    vocabulary_is_used,
)
