"""What is made of many rows: one value for each person, of that person's own rows around a moment.

One query for each table, of DuckDB. Values do not hang on the order of rows: sums are of whole
numbers, as which each row's double is taken to 25 decimal places, and of rows at the same moment
the smallest value counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import pyarrow as pa

from expectations.errors import SourceError
from expectations.policy.many_rows import FromRows

PERSON, AT, KNOWN, INDEX, UNTIL = "person", "at", "known", "index", "until"
"""The columns of rows, and those of people: a person is a place among them."""
OF_NOTHING: Final[Mapping[str, str]] = {
    "count": "0", "count-distinct": "0", "sum": "0", "any": "false",
}  # fmt: skip
"""What there is of no row in the window; of others it is missing."""
SECONDS: Final = f'date_diff(\'second\', "{INDEX}", "{AT}")::HUGEINT'
MEMORY: Final = "4GB"


def aggregate(
    rows: pa.Table, people: pa.Table, asked: Mapping[str, FromRows], place: str
) -> pa.Table:
    """Give what is asked of the rows, one line for each of the people, in their order.

    Rows hold `PERSON`, `AT` and `KNOWN`, each field under `of FIELD`, and under `meets CONDITION`
    whether a row does; people hold `PERSON`, `INDEX` and `UNTIL`. Who has no index has nothing, and
    who was not followed to the end of a window nothing of that. `SourceError` where a sum is too
    large.
    """
    import duckdb

    written = ", ".join(f"{_write(take)} AS {_quote(name)}" for name, take in asked.items())
    query = (
        f"SELECT {written} FROM people LEFT JOIN rows USING ({PERSON}) "  # noqa: S608  # quoted
        f'GROUP BY {PERSON}, "{INDEX}", "{UNTIL}" ORDER BY {PERSON}'
    )
    # Nothing of a person may reach the disk in clear.
    with duckdb.connect(config={"temp_directory": "", "memory_limit": MEMORY}) as engine:
        engine.register("people", people)
        engine.register("rows", rows)
        try:
            return engine.sql(query).to_arrow_table()
        except duckdb.Error as error:
            # Its text may quote a value.
            raise SourceError(
                f"{place}: its rows cannot be taken together ({type(error).__name__}): a sum is "
                f"too large, or more than {MEMORY} of memory would be needed"
            ) from None


def conditions(asked: Mapping[str, FromRows]) -> tuple[str, ...]:
    """Give the conditions that some columns need, once each."""
    return tuple(dict.fromkeys(take.where for take in asked.values() if take.where))


def fields(asked: Mapping[str, FromRows]) -> tuple[str, ...]:
    """Give the fields whose values some columns need, once each."""
    return tuple(dict.fromkeys(take.field for take in asked.values() if take.field))


def name_field(field: str) -> str:
    """Give the column of rows that holds a field."""
    return f"of {field}"


def name_condition(where: str) -> str:
    """Give the column of rows that says whether a condition is met."""
    return f"meets {where}"


def _write(take: FromRows) -> str:
    """Write what is taken as a query does, missing for who has no moment."""
    window = " AND ".join(_window(take))
    met = f"coalesce({_quote(name_condition(take.where))}, false)" if take.where else "true"
    value = _quote(name_field(take.field)) if take.field else "1"
    chosen = f"FILTER (WHERE {window} AND {met} AND {value} IS NOT NULL)"
    total, number = _sum(value, chosen), f"count(*) {chosen}"
    made = {
        "count": number,
        "count-distinct": f"count(DISTINCT {value}) {chosen}",
        "sum": total,
        "mean": f"{total} / {number}",
        "smallest": f"min({value}) {chosen}",
        "largest": f"max({value}) {chosen}",
        "first": f'first({value} ORDER BY "{AT}", {value}) {chosen}',
        "last": f'first({value} ORDER BY "{AT}" DESC, {value}) {chosen}',
        "any": f"{number} > 0",
        "all": f"bool_and({met}) FILTER (WHERE {window})",
        "days-since": f'date_diff(\'day\', max("{AT}") {chosen}, "{INDEX}")',
        "slope": _slope(value, chosen),
    }[take.take]
    if (nothing := OF_NOTHING.get(take.take)) is not None:
        made = f"coalesce({made}, {nothing})"
    days = take.days_after
    seen = f'"{UNTIL}" >= "{INDEX}" + INTERVAL {days} DAY' if days else f'"{INDEX}" IS NOT NULL'
    return f"CASE WHEN {seen} THEN {made} END"


def _sum(value: str, chosen: str) -> str:
    """Write an exact sum: of what is above 1e-10 in each double, and of what is below that."""
    high = f"{value}::DECIMAL(38, 10)"
    low = f"(({value} - {high}::DOUBLE) * 1e15)::DECIMAL(38, 10)"
    return f"(sum({high}) {chosen}::DOUBLE + coalesce(sum({low}) {chosen}::DOUBLE / 1e15, 0))"


def _slope(value: str, chosen: str) -> str:
    """Write the slope of a least-squares line, per day; missing where all moments are one."""
    number, x = f"count(*) {chosen}", f"sum({SECONDS}) {chosen}"
    spread = f"{number}::HUGEINT * sum({SECONDS} * {SECONDS}) {chosen} - {x} * {x}"
    together = _sum(f"({SECONDS}::DOUBLE * {value})", chosen)
    both = f"{number} * {together} - {x}::DOUBLE * {_sum(value, chosen)}"
    return f"86400 * ({both}) / nullif({spread}, 0)::DOUBLE"


def _window(take: FromRows) -> Iterator[str]:
    """Say which rows count: known before the index, or after it for what is to be predicted."""
    if take.days_after:
        yield f'"{AT}" > "{INDEX}"'
        yield f'"{AT}" <= "{INDEX}" + INTERVAL {take.days_after} DAY'
        return
    yield f'"{AT}" < "{INDEX}"'
    yield f'"{KNOWN}" < "{INDEX}"'
    if take.days_before:
        yield f'"{AT}" >= "{INDEX}" - INTERVAL {take.days_before} DAY'


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
