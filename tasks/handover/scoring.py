"""Make what a model reads of one person's rows; needs nothing but Python's standard library.

`features` gives one person's features as the model was trained on them, `columns` what they are
made of, and `treat` makes features of columns, which `features.sql` gives of whole tables.

Rows are dictionaries with the tables' own names of columns. A moment is a datetime, a date or text
as in ISO 8601; `None` is missing, and so is a blank that is not a text. Who has no moment, no row
before it or no value has `None`, which the model takes. A value that was not declared raises
`ValueError`, as it would have stopped the training.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Value = Any
Row = Mapping[str, Value]
Meets = Callable[[Row, date], Value]
HOW: Mapping[str, Callable[[Value, Value], Value]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt,
    ">=": operator.ge, "+": operator.add, "-": operator.sub, "*": operator.mul,
    "/": operator.truediv,
}  # fmt: skip
EXACT = 2**53 - 1
"""Up to this size a whole number is exact as a float."""
AT, ODD = "(at)", "(odd)"
"""What a row holds beside its fields."""
YES, NO = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")


@dataclass(frozen=True)
class Field:
    """A column of a table: its own name, its type, and how its numbers come to be in one unit."""

    name: str
    type: str
    unit: str | None = None
    factors: Mapping[str, float] = field(default_factory=dict)
    leave_out: bool = False


@dataclass(frozen=True)
class Table:
    """A table with many rows a person: when a row took place, and when it was known if later."""

    at: str
    known: str | None
    fields: Mapping[str, Field]
    most: int | None = None
    where: Meets | None = None


@dataclass(frozen=True)
class Take:
    """What a column takes of a table's rows before the person's moment."""

    take: str
    of: str | None
    type: str
    field: str | None = None
    days: int | None = None
    where: Meets | None = None


@dataclass(frozen=True)
class Recipe:
    """What was declared: every name and word of it is public."""

    own: Mapping[str, Field]
    tables: Mapping[str, Table]
    made: Mapping[str, Take]
    derived: Mapping[str, Meets]
    treated: Mapping[str, Callable[[Value], Value]]
    zone: str | None = None

    def features(
        self,
        person: Row,
        rows: Mapping[str, Sequence[Row]] | None = None,
        index: object = None,
        today: date | None = None,
    ) -> dict[str, Value]:
        """Give what the model reads of one person: their own row, and their rows by table.

        `index` is the person's moment: only what took place and was known before it counts.
        """
        return self.treat(self.columns(person, rows, index), today)

    def columns(
        self, person: Row, rows: Mapping[str, Sequence[Row]] | None = None, index: object = None
    ) -> dict[str, Value]:
        """Give the columns of one person, before they are treated."""
        moment = read_moment(index, self.zone)
        seen = {
            name: self._see(table, (rows or {}).get(name, ()), moment)
            for name, table in self.tables.items()
            if moment is not None
        }
        own = {name: read_field(one, person) for name, one in self.own.items()}
        made = {
            name: None if moment is None else make(take, seen.get(take.of or "", []), moment)
            for name, take in self.made.items()
        }
        return own | made

    def treat(self, columns: Row, today: date | None = None) -> dict[str, Value]:
        """Give the features that columns become; `today` is the day from which ages are counted."""
        day = today or date.today()  # noqa: DTZ011  # a day has no zone
        held = {**columns, **{name: make(columns, day) for name, make in self.derived.items()}}
        made = {}
        for name, become in self.treated.items():
            try:
                made[name] = None if held[name] is None else become(held[name])
            except KeyError:
                raise ValueError(f"{name}: it has a value that was not declared") from None
        return made

    def _see(self, table: Table, rows: Sequence[Row], index: datetime) -> list[dict[str, Value]]:
        """Read the rows that took place and were known before the index."""
        seen = []
        for row in rows:
            at = read_moment(row.get(table.at), self.zone)
            known = at if table.known is None else read_moment(row.get(table.known), self.zone)
            if at is not None and known is not None and at < index and known < index:
                values = {name: read_field(one, row) for name, one in table.fields.items()}
                if not meets(table.where, values):
                    continue
                odd = any(is_odd(one, row) for one in table.fields.values())
                seen.append({**values, AT: at, ODD: odd})
        if table.most is not None and len(seen) > table.most:
            names = sorted(table.fields)
            seen.sort(
                key=lambda row: [(row[n] is None, 0 if row[n] is None else row[n]) for n in names]
            )
            seen.sort(key=lambda row: row[AT], reverse=True)
            seen = seen[: table.most]
        return seen


def read_moment(value: object, zone: str | None = None) -> datetime | None:
    """Read a date, a moment or text as a moment on the calendar of the zone."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip()) if value.strip() else None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001
    if not isinstance(value, datetime):
        return None
    if value.tzinfo is None:
        return value
    if zone is None:
        raise ValueError("a moment has an offset, and no zone was declared; give moments without")
    return value.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


def read_field(one: Field, row: Row) -> Value:
    """Read a value in its declared type, and in one unit."""
    try:
        value = read_value(row.get(one.name), one.type)
    except (ArithmeticError, KeyError, TypeError, ValueError):
        raise ValueError(f"{one.name}: it has a value that is no {one.type}") from None
    if one.unit is None or value is None:
        return value
    factor = one.factors.get(read_value(row.get(one.unit), "text"))
    return None if factor is None else value * factor


def is_odd(one: Field, row: Row) -> bool:
    """Say whether a value is told in a unit without which nobody was to be counted."""
    if one.unit is None or one.leave_out or read_value(row.get(one.name), one.type) is None:
        return False
    return read_value(row.get(one.unit), "text") not in one.factors


def read_value(value: Value, kind: str) -> Value:
    """Read a value in its declared type; a blank, and a number that is none, is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if kind == "text":
        whole = isinstance(value, float) and value.is_integer()
        return str(int(value) if whole else value)
    if isinstance(value, str) and not value.strip():
        return None
    match kind:
        case "number":
            number = float(value) + 0.0
            if not math.isfinite(number):
                raise ValueError
            return number
        case "integer":
            if float(value) != int(float(value)):
                raise ValueError
            return int(value) if isinstance(value, int) else int(float(value))
        case "boolean":
            word = str(value).strip().lower()
            return {**dict.fromkeys(YES, True), **dict.fromkeys(NO, False)}[word]
    moment = read_moment(value)
    return None if moment is None else moment.date()


def make(take: Take, rows: Sequence[Row], index: datetime) -> Value:
    """Make one column of a person's rows before their index."""
    if take.take == "index":
        return index.date()
    if take.days is not None:
        rows = [row for row in rows if row[AT] >= index - timedelta(days=take.days)]
    if any(row[ODD] for row in rows):
        raise ValueError(f"{take.of}: it has a value in a unit that was not declared")
    if take.take == "all":
        return all(meets(take.where, row) for row in rows) if rows else None
    rows = [row for row in rows if meets(take.where, row)]
    if take.field is not None:
        rows = [row for row in rows if row[take.field] is not None]
    made = of_rows(take, rows, index)
    whole = isinstance(made, float) and take.type == "integer"
    return (
        int(made) if whole else float(made) if take.type == "number" and made is not None else made
    )


def meets(where: Meets | None, row: Row) -> bool:
    """Say whether a row meets a condition; where that is not known it does not."""
    return where is None or where(row, date.min) is True


def of_rows(take: Take, rows: Sequence[Row], index: datetime) -> Value:
    """Take one value of the rows that count."""
    held = take.field or AT
    values = [row[held] for row in rows]
    match take.take:
        case "count":
            return len(rows)
        case "count-distinct":
            return len(set(values))
        case "any":
            return bool(rows)
        case "sum":
            return add_up(values)
    if not rows:
        return None
    match take.take:
        case "mean":
            return add_up(values) / len(values)
        case "smallest":
            return min(values)
        case "largest":
            return max(values)
        case "days-since":
            return (index.date() - max(row[AT] for row in rows).date()).days
        case "slope":
            return find_slope([(seconds(row[AT], index), row[held]) for row in rows])
    moments = [row[AT] for row in rows]  # of several at one moment, the smallest counts
    end = min(moments) if take.take == "first" else max(moments)
    return min(row[held] for row in rows if row[AT] == end)


def add_up(values: Sequence[float]) -> float:
    """Add numbers as whole ones of 2**-63 each, so that no order of theirs matters."""
    if all(isinstance(value, int) for value in values):
        return float(sum(values))
    scaled = [divmod_to_zero(value) for value in values]
    return float(sum(high for high, _ in scaled)) / 2**20 + float(sum(w for _, w in scaled)) / 2**63


def divmod_to_zero(value: float) -> tuple[int, int]:
    """Split a number into whole ones of 2**-20 and, below these, of 2**-63."""
    parts, below = value.as_integer_ratio()
    high = abs(parts) * 2**20 // below * (-1 if value < 0 else 1)
    return high, round((parts * 2**20 - high * below) * 2**43 / below)


def seconds(at: datetime, index: datetime) -> int:
    """Count the seconds from the index to a moment, each of them whole."""
    return int((at.replace(microsecond=0) - index.replace(microsecond=0)).total_seconds())


def find_slope(points: Sequence[tuple[int, float]]) -> float | None:
    """Fit a line by least squares; its slope per day, None where all moments are one."""
    x = sum(second for second, _ in points)
    spread = len(points) * sum(second * second for second, _ in points) - x * x
    if not spread:
        return None
    together = add_up([second * float(value) for second, value in points])
    both = len(points) * together - x * add_up([value for _, value in points])
    return 86400 * both / spread


def both(*truths: bool | None) -> bool | None:
    """Say whether all are true; None where that hangs on what is not known."""
    return False if False in truths else None if None in truths else True


def either(*truths: bool | None) -> bool | None:
    """Say whether any is true; None where that hangs on what is not known."""
    return True if True in truths else None if None in truths else False


def negate(truth: bool | None) -> bool | None:
    """Turn yes and no around."""
    return None if truth is None else not truth


def compare(one: Value, how: str, other: Value) -> bool | None:
    """Compare two values of a type; None where one is missing."""
    return None if one is None or other is None else HOW[how](one, other)


def is_among(value: Value, values: Sequence[Value]) -> bool | None:
    """Say whether a value is one of some; None where it is missing."""
    return None if value is None else value in values


def as_number(value: Value) -> float | None:
    """Give a whole number as a float, if one holds it exactly."""
    return None if value is None or abs(value) > EXACT else float(value)


def compute(one: float | None, how: str, other: float | None) -> float | None:
    """Do a sum with floats; None where a value is missing, or the result is no finite number."""
    if one is None or other is None:
        return None
    try:
        result: float = HOW[how](one, other)
    except (ZeroDivisionError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def as_whole(value: float | None) -> int | None:
    """Give a float as the whole number that it is, if it is exact."""
    return None if value is None or abs(value) > EXACT else int(value)


def first_known(*values: Value) -> Value:
    """Give the first that is not missing."""
    return next((value for value in values if value is not None), None)


def choose(truth: bool | None, one: Value, other: Value) -> Value:
    """Give the one where something is true, the other where it is not, or not known to be."""
    return one if truth else other


def years_since(day: date | None, today: date) -> int | None:
    """Count birthdays."""
    if day is None:
        return None
    return today.year - day.year - ((today.month, today.day) < (day.month, day.day))


def days_since(day: date | None, today: date) -> int | None:
    """Count days."""
    return None if day is None else (today - day).days


def as_word(value: bool) -> str:
    """Say yes or no."""
    return "yes" if value else "no"


def put_into(edges: Sequence[float], labels: Sequence[str]) -> Callable[[float], str]:
    """Name the interval that holds a number, from its lower edge on."""
    return lambda value: labels[bisect_right(edges, value)]


def hold_between(low: float, high: float) -> Callable[[float], float]:
    """Move a number to the nearer of two bounds where it lies outside of them."""
    return lambda value: float(max(low, min(value, high)))


def name_each(named: Mapping[str, str], other: str | None = None) -> Callable[[object], str]:
    """Give each declared value its word, and all others one of their own if there is one."""

    def name(value: object) -> str:
        whole = isinstance(value, float) and value.is_integer()
        spelled = str(int(value) if whole else value)  # type: ignore[call-overload]
        return named[spelled] if other is None else named.get(spelled, other)

    return name
