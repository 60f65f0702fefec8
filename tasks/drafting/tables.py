"""Several tables about the same people: which is the roster, how they name people, and when.

What other tables hold becomes columns of the roster, one value a person, and is looked at as any
column is. A table of which this is not clear is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import SourceError, UsageError
from expectations.expressions.expressions import ColumnType
from expectations.policy.identifiers import Normal
from expectations.policy.locations import FhirExport, Location
from expectations.policy.many_rows import FromRows, Index, RowField, RowsTable
from expectations.policy.policy import PeopleSource
from expectations.policy.vocabulary import Identifiability
from tasks.drafting.column_types import is_text
from tasks.drafting.consent_tables import ConsentTable, has_events, read_consents
from tasks.drafting.deciding import name_columns
from tasks.drafting.examination import refuse_headless
from tasks.drafting.outcome import quoted
from tasks.drafting.profile import LEAST, Values, count_values
from tasks.drafting.row_kinds import SEVERAL, find_kinds, find_unit, is_mixed, list_shared
from tasks.drafting.signs import judge, read_name, split_name
from tasks.sources import Source
from tasks.sources.moments import read_moments
from tasks.sources.naming import canonical
from tasks.sources.people_tables import PeopleTables, find_units

ALIKE: Final[tuple[Normal, ...]] = ("strip", "casefold")
MOST_STRANGERS: Final = 0.5
"""The share of a table's people who may be on no roster before it is taken for another's table."""
NEARLY_ALL: Final = 0.95
"""Of whom a table has one row each, so that it is of people and not of what happened to them."""
YEAR: Final = 365
MOST_MADE: Final = 6
"""Columns that are proposed of one table."""
KNOWN: Final = frozenset(
    {"known", "issued", "recorded", "reported", "result", "resulted", "released", "created",
     "registered", "booked", "available", "coded"}
)  # fmt: skip
NUMBERED: Final = frozenset({"id", "no", "nr", "number", "key", "code", "uuid", "guid", "pk", "fk"})
"""Words for a number, which do not say whose it is."""
ENDS: Final = frozenset(
    {"end", "ended", "until", "discharge", "discharged", "left", "closed", "to"}
)
WITHOUT: Final = (
    "Its values are each in a unit of their own: name the table once for each quantity, with "
    "`where` and `unit`."
)
PERIODS: Final = (
    "it has one row a person; join it to the people in a view, or in their file, or name it under "
    "`followed_until` if it says until when people were observed"
)


class Found(NamedTuple):
    """One table of a folder or a database, with all that it holds."""

    name: str
    location: Location
    held: pa.Table
    person: str | None = None
    """The column that names people, where that is known."""
    where: str | None = None
    """Which rows of the location these are."""
    fields: Mapping[str, RowField] = MappingProxyType({})
    """Fields that are known, whatever stands in them."""
    asked: str = ""
    """What somebody must decide about it, besides."""


@dataclass(frozen=True)
class Linked:
    """A roster with further tables, what is made of their rows, and what was not clear."""

    people: PeopleSource
    made: Mapping[str, FromRows]
    asked: Mapping[str, str]
    """By table what somebody must decide about it."""
    left_out: Mapping[str, str]
    """By table why nothing is made of it."""
    consents: tuple[ConsentTable, ...]
    """The tables of consent events."""
    joined: HeldTable = field(repr=False)
    """The roster with what is made of the other tables, one row a person."""


@dataclass(frozen=True)
class HeldTable:
    """A table in memory, as a source."""

    held: pa.Table

    def columns(self) -> tuple[str, ...]:
        """Give its columns."""
        return tuple(self.held.column_names)

    def read(
        self, columns: Sequence[str], *, where: tuple[str, pa.Array] | None = None
    ) -> pa.Table:
        """Give some of them, of all rows."""
        assert where is None, "a draft reads everybody"
        return self.held.select(list(columns))


def read_table(name: str, location: Location, source: Source) -> Found:
    """Read a whole table; `SourceError` where it has no header."""
    refuse_headless(source.columns())
    return Found(name, location, source.read(source.columns()))


def link(tables: Sequence[Found]) -> Linked:
    """Find the roster among some tables, and what to make of the others.

    `UsageError` where no table names each of its people once.
    """
    named = name_columns([table.name for table in tables])
    tables = [table._replace(name=name) for table, name in zip(tables, named, strict=True)]
    keys = {table.name: [*_keys_of(table)] for table in tables}
    roster, person, columns = _find_roster(tables, keys)
    others = [table for table in tables if table is not roster]
    parts = {table.name: _describe(table, columns.get(table.name), roster) for table in others}
    rows = {name: part for name, part in parts.items() if isinstance(part, RowsOf)}
    lasting = _find_lasting(person, keys[roster.name])
    people = PeopleSource(
        location=roster.location,
        person=lasting or person.column,
        key=person.column if lasting else None,
        normalize=ALIKE if any(part.folded for part in rows.values()) else (),
        tables={name: part.table for name, part in rows.items()},
        index=_choose_index([*rows.values()]) if rows else None,
        zone="UTC" if any(part.zoned for part in rows.values()) else None,
    )
    index = people.index and pa.scalar(people.index.date).cast(pa.date32()).cast(pa.timestamp("us"))
    wanted = {name: take for part in rows.values() for name, take in _propose(part, index)}
    joined = _join(people, wanted)
    made = {name: take for name, take in wanted.items() if _is_kept(joined, name, take, people)}
    left_out = {name: part for name, part in parts.items() if isinstance(part, str)}
    for name in rows.keys() - {take.of for take in made.values()}:
        left_out[name] = "nothing can be made of it that differs between people"
    used = {name: table for name, table in people.tables.items() if name in rows.keys() - left_out}
    return Linked(
        people.model_copy(update={"tables": used}),
        made,
        {name: rows[name].questions for name in used},
        left_out,
        tuple(_find_consents(others, columns)),
        HeldTable(
            joined.drop_columns(
                [
                    *(name for name in wanted if name not in made),
                    *([people.key] if people.key else ()),
                ]
            )
        ),
    )


def _join(people: PeopleSource, made: Mapping[str, FromRows]) -> pa.Table:
    source = PeopleTables(people, made, Path.cwd())
    return source.read(source.columns())


def _is_kept(joined: pa.Table, name: str, take: FromRows, people: PeopleSource) -> bool:
    """Whether values are as they are called: counts of none or one would be taken for yes/no."""
    fields = people.tables[str(take.of)].fields
    able = take.type_of(fields)
    able |= {ColumnType.INTEGER} if ColumnType.NUMBER in able else set()
    return count_values(name, joined.column(name)).type in able


class Key(NamedTuple):
    """A column that could name people: its different names, as compared, and as they stand."""

    column: str
    names: pa.Array
    plain: pa.Array
    once: bool
    called: bool
    text: bool


def _keys_of(table: Found) -> Iterator[Key]:
    """Give the columns that could name people in any way."""
    for name in [table.person] if table.person else table.held.column_names:
        values = count_values(name, table.held.column(name))
        if values.type not in {ColumnType.TEXT, ColumnType.INTEGER} or len(values.counts) < LEAST:
            continue
        plain = canonical(pa.chunked_array([values.texts]), name)
        names = pc.unique(canonical(plain, name, ALIKE))
        called = bool(table.person) or any(sign.person for sign in read_name(name))
        seen = judge(values)
        if seen.free_text:
            continue
        once = len(names) == values.rows and (called or seen.person)
        yield Key(name, names, plain.combine_chunks(), once, called, values.type is ColumnType.TEXT)


def _find_roster(
    tables: Sequence[Found], keys: Mapping[str, Sequence[Key]]
) -> tuple[Found, Key, dict[str, Match]]:
    """Give the table whose people most others name, its key, and by which column they do."""
    best: tuple[tuple[float, ...], Found, Key, dict[str, Match]] | None = None
    for table in tables:
        for key in keys[table.name]:
            if not key.once or has_events(table.name, table.held):
                continue
            others = {other.name: _match(key, keys[other.name]) for other in tables
                      if other is not table}  # fmt: skip
            linked = {name: match for name, match in others.items() if match}
            named = sum(are_alike(key.column, match.key.column) for match in linked.values())
            covered = round(sum(match.known for match in linked.values()), 3)
            titled = are_alike(table.name, key.column)
            rank = (len(linked), named, covered, titled, key.called)
            if best is None or rank > best[0]:
                best = (rank, table, key, linked)
    if best is None:
        raise UsageError(
            "no table has a column that names each of its people once, in ten rows or more; give "
            "one row a person to the table of people, and name its column of identifiers so"
        )
    return best[1:]


def _find_lasting(person: Key, keys: Sequence[Key]) -> str | None:
    """Name the roster's own text for each person, where tables are linked by a whole number.

    A database may give such a number anew with every load.
    """
    lasting = (key.column for key in keys if key.once and key.text and key.called)
    return None if person.text else next(lasting, None)


class Match(NamedTuple):
    """By which column a table names people of the roster, and whether in another spelling."""

    key: Key
    folded: bool
    known: float
    """The share of its people who are on the roster."""


def _match(person: Key, keys: Sequence[Key]) -> Match | None:
    """Find the column that names the same people, the likeliest first; None in doubt."""
    able = []
    for key in keys:
        known = pc.sum(pc.is_in(key.names, person.names)).as_py() or 0
        alike = are_alike(key.column, person.column)
        # Small whole numbers are in many columns, whatever they count.
        told = alike or key.called or key.text
        if told and known >= (1 - MOST_STRANGERS) * len(key.names):
            able.append(((alike, key.called, known / len(key.names)), key))
    if not able:
        return None
    (_, _, share), key = max(able, key=lambda pair: pair[0])
    exact = pc.sum(pc.is_in(pc.unique(key.plain), person.plain)).as_py() or 0
    return Match(key, exact < round(share * len(key.names)), share)


def are_alike(one: str, other: str) -> bool:
    """Whether two columns are called alike, as `customer` and `customer_id` are."""
    words = (split_name(one)[0] - NUMBERED) & (split_name(other)[0] - NUMBERED)
    return bool(words) or one.casefold() == other.casefold()


@dataclass(frozen=True)
class RowsOf:
    """A table of rows as a policy names it, with what was read of it."""

    table: RowsTable
    name: str
    held: pa.Table
    """Its fields under the policy's names."""
    person: pa.ChunkedArray
    at: pa.ChunkedArray
    values: Mapping[str, Values]
    folded: bool
    zoned: bool
    asked: str

    @cached_property
    def kinds(self) -> tuple[str | None, list[str]]:
        """The field that says of what kind a row's amounts are, and the fields of amounts."""
        return find_kinds(self.values)

    @property
    def unit(self) -> str | None:
        """The field of their units."""
        return find_unit(self.values) if self.kinds[1] else None

    @cached_property
    def shared(self) -> list[str]:
        """The commonest kinds of rows."""
        kinds, _ = self.kinds
        return list_shared(canonical(self.held.column(kinds), kinds), self.person) if kinds else []

    @cached_property
    def mixed(self) -> frozenset[str]:
        """Of the commonest kinds those in several units; "" for all rows, where kinds are none."""
        kinds, _ = self.kinds
        each = self.shared if kinds else [""]
        return frozenset(kind for kind in each if is_mixed(self.held, self.unit, kinds, kind))

    @property
    def questions(self) -> str:
        """What to decide about it."""
        rows = "Its rows" if "" in self.mixed else f"Rows of {', '.join(sorted(self.mixed))}"
        return f"{self.asked} {rows} are {SEVERAL}" if self.mixed else self.asked


def _describe(table: Found, match: Match | None, roster: Found) -> RowsOf | str:
    """Say how a policy reads a table of rows; a sentence where it does not."""
    if has_events(table.name, table.held):
        return "it holds consent events, which belong under `basis.events` where consent decides"
    if match is None:
        return f"none of its columns names the people of `{roster.name}`"
    key, folded, _ = match
    if not table.person and key.once and len(key.names) > NEARLY_ALL * roster.held.num_rows:
        if len([*_find_times(table)]) > 1:
            return PERIODS
        return "it has one row a person; join it to the people in a view, or in their file"
    times = [*_find_times(table)]
    if not times:
        return "none of its columns says when a row took place, in a form such as 2024-01-31"
    at, known = _choose_times(times)
    fields = dict(zip(name_columns(table.held.column_names), table.held.column_names, strict=True))
    taken = {key.column, *(time.column for time in times)}
    values = {f: _count(table, source) for f, source in fields.items() if source not in taken}
    units = find_units(HeldTable(table.held))
    kept = {f: one for f, one in values.items() if one.name not in units and _is_field(one)}
    return RowsOf(
        RowsTable(
            location=table.location,
            person=key.column,
            at=at.column,
            known_at=known.column if known else None,
            where=table.where,
            fields={
                field: RowField.model_validate(
                    {"type": one.type, **({"from": one.name} if one.name != field else {})}
                )
                for field, one in kept.items()
            }
            | {**table.fields},
        ),
        table.name,
        pa.table({field: table.held.column(one.name) for field, one in kept.items()}),
        canonical(table.held.column(key.column), key.column, ALIKE),
        at.moments,
        kept,
        folded,
        any(time.zoned for time in times) or isinstance(table.location, FhirExport),
        f"{_ask(times, at, known)} {WITHOUT if units else ''}{table.asked}".strip(),
    )


class _Codes(Values):
    """Values that are codes, also where all of them are digits."""

    @cached_property
    def type(self) -> ColumnType:
        """What they are to a policy."""
        return ColumnType.TEXT


def _count(table: Found, source: str) -> Values:
    """Count a column's values; what an export has as text are codes."""
    column = table.held.column(source)
    one = count_values(source, column)
    coded = isinstance(table.location, FhirExport) and is_text(column)
    return _Codes(one.name, one.rows, one.distinct, one.counts) if coded else one


def _find_consents(tables: Sequence[Found], columns: Mapping[str, Match]) -> Iterator[ConsentTable]:
    """Give the tables of consent events of which it is clear who answered, and when."""
    for table in tables:
        match = columns.get(table.name)
        times = {time.column: time.zoned for time in _find_times(table)}
        person = match.key.column if match else None
        if has_events(table.name, table.held) and (
            one := read_consents(table.name, table.location, table.held, person, times)
        ):
            yield one


class Time(NamedTuple):
    """A column of dates or moments."""

    column: str
    moments: pa.ChunkedArray
    zoned: bool


def _find_times(table: Found) -> Iterator[Time]:
    """Give the columns of which nearly all values are dates or moments."""
    for name in table.held.column_names:
        column = table.held.column(name)
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            continue
        for zone in (None, "UTC"):
            try:
                moments = read_moments(column, name, zone)
            except SourceError:
                continue
            if moments.null_count < 0.1 * len(moments):
                yield Time(name, moments, zone is not None)
            break


def _choose_times(times: Sequence[Time]) -> tuple[Time, Time | None]:
    """Choose when rows took place: what is called neither an end nor when it was known."""
    called = {time.column: split_name(time.column)[0] for time in times}
    begun = [time for time in times if not called[time.column] & (KNOWN | ENDS)]
    at = (begun or [*times])[0]
    later = [
        time for time in times
        if time is not at
        and called[time.column] & KNOWN
        and pc.all(pc.greater_equal(time.moments, at.moments)).as_py()
    ]  # fmt: skip
    return at, later[0] if later else None


def _ask(times: Sequence[Time], at: Time, known: Time | None) -> str:
    """Say what to decide where a table has several times."""
    rest = [time.column for time in times if time is not at and time is not known]
    asked = "is a row known when it takes place" if known is None else f"is `{known.column}` when"
    asked += "? A result may be issued later" if known is None else " a row was known?"
    others = f" It also has {', '.join(rest)}." if rest else ""
    return f"Does `{at.column}` say when a row took place, and {asked}.{others}".replace("?.", "?")


def _is_field(values: Values) -> bool:
    """Whether a column varies, names nobody and holds no free text, so that it may be used."""
    found = judge(values)
    varied = len(values.counts) > 1 and values.type is not ColumnType.DATE
    numbered = values.type is ColumnType.INTEGER and "id" in split_name(values.name)[0]
    named = numbered or found.identifiability is Identifiability.IDENTIFIER
    return varied and not found.free_text and not named


def _choose_index(rows: Sequence[RowsOf]) -> Index:
    """Choose a day near the end of the data: the first of the month before the latest rows.

    Where a table has nothing before that, the day of the latest rows, or the one after.
    """
    moments = pc.drop_null(pa.chunked_array([c for part in rows for c in part.at.chunks]))
    (late,) = pc.quantile(pc.cast(moments, pa.int64()), 0.99).to_pylist()
    day = pa.scalar(int(late), pa.int64()).cast(pa.timestamp("us")).as_py().date()
    first = day.replace(day=1)
    earliest = max(pc.min(part.at).as_py().date() for part in rows)
    days = (first, day, max(day, earliest) + timedelta(days=1))
    return Index(date=next(one for one in days if one > earliest).isoformat())


def _propose(part: RowsOf, index: pa.Scalar) -> Iterator[tuple[str, FromRows]]:
    """Propose columns of a table: how many rows, and what their values come to."""
    before = part.at.filter(pc.less(part.at, index))
    ends = [
        (index.as_py() - one.as_py()).days for one in pc.min_max(before).values() if one.is_valid
    ]
    long = ends and ends[0] > 2 * YEAR and ends[1] < YEAR
    window = {"of": part.name, **({"days_before": YEAR} if long else {})}
    wanted = [] if part.table.where else [(f"{part.name}_count", {"take": "count"})]
    kinds, amounts = part.kinds
    for word in (word for word in part.shared if word not in part.mixed):
        (name,) = name_columns([f"{part.name}_mean_{amounts[0]}_{word}"])
        where = f"{kinds} = {quoted(word)}"
        wanted.append((name, {"take": "mean", "field": amounts[0], "where": where}))
    once = pc.count_distinct(part.person).as_py() == len(part.person)
    for name, values in part.values.items():
        if name not in {kinds, part.unit, *(amounts if kinds or part.mixed else ())}:
            wanted.append(_take(part.name, name, values, once=once))
    for name, take in wanted[:MOST_MADE]:
        yield name, FromRows.model_validate({**take, **window})


def _take(table: str, name: str, values: Values, *, once: bool) -> tuple[str, dict[str, str]]:
    """Propose what becomes of one field; of who has one row at most, it is that row's value."""
    if once and values.type is not ColumnType.BOOLEAN:
        return f"{table}_{name}", {"take": "last", "field": name}
    match values.type:
        case ColumnType.BOOLEAN:
            return f"{table}_any_{name}", {"take": "any", "where": name}
        case ColumnType.INTEGER | ColumnType.NUMBER:
            return f"{table}_mean_{name}", {"take": "mean", "field": name}
        case _:
            return f"{table}_distinct_{name}", {"take": "count-distinct", "field": name}
