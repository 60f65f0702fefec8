"""What is made of many rows: one value for each person, of that person's own rows around a moment.

It writes one query for each table, for DuckDB. Values do not hang on the order of rows or on
threads: doubles are summed as whole numbers (each to 2**-63), and of rows at the same moment the
smallest value counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from expectations.expressions.expressions import ColumnType
from expectations.policy.many_rows import FromRows

PERSON, AT, KNOWN, INDEX, UNTIL = "_person", "_at", "_known", "_index", "_until"
"""Columns of rows and of people, beside fields, which begin with a letter. A person is a place."""
NUMBER: Final = "_number"
"""How many rows in any window a person has."""
OF_NOTHING: Final[Mapping[str, str]] = {
    "count": "0", "count-distinct": "0", "sum": "0", "any": "false",
}  # fmt: skip
"""What there is of no row in the window; of others it is missing."""
SECONDS: Final = f"date_diff('second', {INDEX}, {AT})"
_NUMBERS: Final = frozenset((ColumnType.NUMBER, ColumnType.INTEGER))
Window: TypeAlias = "tuple[int | None, int | None]"
"""Days before the index, and days after it."""


def window_of(take: FromRows) -> Window:
    """Give the window that a column looks at."""
    return take.days_before, take.days_after


@dataclass(frozen=True)
class Windows:
    """The windows of some columns: which rows are in any, and in which they are."""

    windows: frozenset[Window]
    known: bool
    """Whether the rows say when they were known, if that was not when they took place."""

    @property
    def kept(self) -> str:
        """Say which rows are in one of the windows."""
        before = [days for days, after in self.windows if not after]
        after = [days for _, days in self.windows if days]
        some = [days for days in before if days]
        widest = (max(some) if len(some) == len(before) and some else None, None)
        parts = [self._write(widest)] if before else []
        parts += [self._write((None, max(after)))] if after else []
        return " OR ".join(f"({part})" for part in parts)

    def within(self, window: Window) -> str | None:
        """Say which of these are in one window; nothing where all are."""
        if self.windows == {window}:
            return None
        if any(after for _, after in self.windows):
            return self._write(window)
        return self._since(window[0]) if window[0] else None

    def _write(self, window: Window) -> str:
        """Say which rows count: known before the index, or after it for what is to be predicted."""
        before, after = window
        if after:
            return f"{AT} > {INDEX} AND {AT} <= {INDEX} + INTERVAL {after} DAY"
        parts = [f"{AT} < {INDEX}"]
        parts += [f"{KNOWN} < {INDEX}"] if self.known else []
        parts += [self._since(before)] if before else []
        return " AND ".join(parts)

    def _since(self, days: int) -> str:
        return f"{AT} >= {INDEX} - INTERVAL {days} DAY"


@dataclass(frozen=True)
class Query:
    """The query of one table: `asked` by column, of rows with these types of fields.

    Rows hold `PERSON`, `INDEX`, `AT` and `KNOWN`, the fields by name, and for each condition the
    column that `met` names; people hold `PERSON`, `INDEX` and `UNTIL`. Where rows are not `known`
    apart from `AT` they need no `KNOWN`. Of each column in `odd` it is told whether any row in a
    window has it. `wide` is for values beyond
    2**43, and gives the same where there are none.
    """

    asked: Mapping[str, FromRows]
    types: Mapping[str, ColumnType]
    met: Mapping[str, str]
    known: bool = True
    odd: tuple[str, ...] = ()
    wide: bool = False
    _rows: dict[str, str] = field(default_factory=dict)
    _people: dict[str, str] = field(default_factory=dict)

    def write(self, rows: str, people: str) -> str:
        """Give one line for each of the people, in their order: the columns, and `NUMBER` behind.

        Who has no index has nothing; who was not followed to the end of a window nothing of that.
        """
        number = self._taken("count(*)")
        written = [f"{self._write(take)} AS {quote(name)}" for name, take in self.asked.items()]
        odd = [f"coalesce({self._taken(f'bool_or({name})')}, false) AS {name}" for name in self.odd]
        made = "".join(f",\n  {text} AS {name}" for text, name in self._rows.items())
        taken = "".join(f",\n  {text} AS {name}" for text, name in self._people.items())
        told = "".join(f",\n  {text}" for text in (*written, *odd))
        return (
            f"WITH kept AS (SELECT *{made}\nFROM {rows} WHERE {self._windows.kept}),\n"
            f"taken AS (SELECT {PERSON}{taken}\nFROM kept GROUP BY {PERSON})\n"
            f"SELECT {PERSON}{told},\n  coalesce({number}, 0) AS {NUMBER}\n"
            f"FROM {people} LEFT JOIN taken USING ({PERSON}) ORDER BY {PERSON}"
        )

    @property
    def _windows(self) -> Windows:
        return Windows(frozenset(map(window_of, self.asked.values())), self.known)

    def _row(self, text: str) -> str:
        """Name what is worked out of a row alone."""
        return self._rows.setdefault(text, f"_row{len(self._rows)}")

    def _taken(self, text: str) -> str:
        """Name what is taken of a person's rows together."""
        return self._people.setdefault(text, f"_taken{len(self._people)}")

    def _chosen(self, take: FromRows, *more: str) -> str:
        """Filter the rows in the window that meet the condition; nothing where all do."""
        within = self._windows.within(window_of(take))
        parts = [self._row(f"({within})")] if within else []
        if take.where and take.take not in {"any", "all"}:
            parts.append(self.met[take.where])
        parts += more
        return f" FILTER (WHERE {' AND '.join(parts)})" if parts else ""

    def _write(self, take: FromRows) -> str:
        """Write what is taken, missing for who has no moment."""
        made = self._make(take, self._chosen(take))
        if (nothing := OF_NOTHING.get(take.take)) is not None:
            made = f"coalesce({made}, {nothing})"
        days = take.days_after
        seen = f"{UNTIL} >= {INDEX} + INTERVAL {days} DAY" if days else f"{INDEX} IS NOT NULL"
        return f"CASE WHEN {seen} THEN {made} END"

    def _make(self, take: FromRows, chosen: str) -> str:
        value, taken = quote(take.field or ""), self._taken
        match take.take:
            case "count":
                return taken(f"count(*){chosen}")
            case "count-distinct":
                return taken(f"count(DISTINCT {value}){chosen}")
            case "sum":
                return self._sum(take, chosen)
            case "mean":
                return f"{self._sum(take, chosen)} / {taken(f'count({value}){chosen}')}"
            case "smallest" | "largest":
                kind = "min" if take.take == "smallest" else "max"
                return taken(f"{kind}({value}){chosen}")
            case "first" | "last":
                return self._end(take, chosen)
            case "any":
                met = self.met[take.where or ""]
                return taken(f"bool_or({met}){chosen}")
            case "all":
                met = self.met[take.where or ""]
                return taken(f"bool_and(coalesce({met}, false)){chosen}")
            case "days-since":
                return f"date_diff('day', {taken(f'max({AT}){chosen}')}, {INDEX})"
            case "slope":
                return self._slope(take)
        raise AssertionError(take.take)  # `index` is of no rows

    def _end(self, take: FromRows, chosen: str) -> str:
        """Take the value at the first or last moment, the smallest of several."""
        value, last = quote(take.field or ""), take.take == "last"
        kind = self.types[take.field or ""]
        if kind not in _NUMBERS:
            known = self._chosen(take, f"{value} IS NOT NULL")
            order = f"{AT}{' DESC' if last else ''}, {value}"
            return self._taken(f"first({value} ORDER BY {order}){known}")
        order = value
        if kind is ColumnType.NUMBER:  # its bits, in the order of its size
            bits = f"{value}::BIT::BIGINT"
            order = f"CASE WHEN {value} < 0 THEN xor({bits}, {2**63 - 1}) ELSE {bits} END"
        key = f"epoch_us({AT})::HUGEINT * {2**64} {'-' if last else '+'} ({order})"
        return self._taken(f"arg_{'max' if last else 'min'}({value}, {self._row(key)}){chosen}")

    def _sum(self, take: FromRows, chosen: str) -> str:
        value = quote(take.field or "")
        if self.types[take.field or ""] is ColumnType.INTEGER:
            return f"{self._taken(f'sum({value}){chosen}')}::DOUBLE"
        return self._exact(value, chosen, wide=self.wide)

    def _exact(self, value: str, chosen: str, *, wide: bool) -> str:
        """Write an exact sum of doubles: of what is above 2**-20 in each, and of what is below."""
        parts, rest = [], value
        if wide:
            above = f"trunc({value} / {2.0**42})"
            rest = f"({value} - {above} * {2.0**42})"
            parts.append(f"{self._whole(above, chosen)} * {2**62}")
        scaled = f"({rest} * {2.0**20})"
        parts.append(self._whole(f"trunc({scaled})", chosen))
        low = self._whole(f"({scaled} - trunc({scaled})) * {2.0**43}", chosen)
        return f"(({' + '.join(parts)})::DOUBLE / {2.0**20} + {low}::DOUBLE / {2.0**63})"

    def _whole(self, number: str, chosen: str) -> str:
        """Sum whole numbers below 2**63, which 128 bits hold."""
        return self._taken(f"sum({self._row(f'({number})::BIGINT')}){chosen}")

    def _slope(self, take: FromRows) -> str:
        """Write the slope of a least-squares line, per day; missing where all moments are one."""
        value = quote(take.field or "")
        chosen = self._chosen(take, f"{value} IS NOT NULL")
        number, x = (self._taken(f"{text}{chosen}") for text in ("count(*)", f"sum({SECONDS})"))
        squares = self._taken(f"sum({SECONDS}::HUGEINT * {SECONDS}){chosen}")
        together = self._exact(f"({SECONDS}::DOUBLE * {value})", chosen, wide=True)
        both = f"{number} * {together} - {x}::DOUBLE * {self._sum(take, chosen)}"
        spread = f"{number}::HUGEINT * {squares} - {x} * {x}"
        return f"86400 * ({both}) / nullif({spread}, 0)::DOUBLE"


def conditions(asked: Mapping[str, FromRows]) -> tuple[str, ...]:
    """Give the conditions that some columns need, once each."""
    return tuple(dict.fromkeys(take.where for take in asked.values() if take.where))


def fields(asked: Mapping[str, FromRows]) -> tuple[str, ...]:
    """Give the fields whose values some columns need, once each."""
    return tuple(dict.fromkeys(take.field for take in asked.values() if take.field))


def quote(name: str) -> str:
    """Write a name, or a text in the place of one, as SQL does."""
    return '"' + name.replace('"', '""') + '"'
