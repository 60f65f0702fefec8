"""The tables of a drafted policy: the index, what is read of which, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tasks.drafting.decisions import Decided, Fate
from tasks.drafting.writing_columns import DECIDE
from tasks.drafting.writing_yaml import Value, comment, commented_out, entry, flow, scalar

NOTICE: Final = "notice"
"""What the notice of a draft is called."""

if TYPE_CHECKING:
    from collections.abc import Callable

    from expectations.policy.locations import Location
    from expectations.policy.many_rows import RowsTable
    from tasks.drafting.consent_tables import ConsentTable
    from tasks.drafting.tables import Linked


def table_lines(linked: Linked, decided: Decided) -> Iterator[str]:
    """Say how people are compared, when they are looked at, and what is read of each table."""
    people = linked.people
    used = {c.rows.of for c in decided.of(Fate.PROPOSED) if c.rows}
    if people.key:
        yield from comment(
            f"{DECIDE}: the tables name people by this number, which a database may give anew "
            "with every load; consent and budgets go by `person`. Does that last?",
            2,
        )
        key = entry("key", people.key, 2)
        yield from key if used else commented_out([*key], 2)
    if people.normalize:
        yield from comment(
            "The tables spell identifiers differently; blanks around them and capital letters no "
            "longer tell people apart, in any table.",
            2,
        )
        yield from entry("normalize", list(people.normalize), 2)
    if people.index is not None:
        yield from comment(
            f"{DECIDE}: columns look back from this day, near the end of the data. A day of each "
            "person's own is `{column: …}`, a date of this table. What comes after it is never "
            "read, unless a column says `days_after` (a target): see docs/tables.md.",
            2,
        )
        yield from entry("index", {"date": str(people.index.date)}, 2)
    if people.zone:
        yield from comment(f"{DECIDE}: on which calendar do days begin and end?", 2)
        yield from entry("zone", people.zone, 2)
    if used:
        yield "  tables:"
    for name in sorted(people.tables, key=lambda name: name not in used):
        if asked := linked.asked.get(name):
            yield from comment(f"{DECIDE}: {asked}" if name in used else asked, 4)
        lines = [*one_table(name, people.tables[name], people.joined_by)]
        if name in used:
            yield from lines
            continue
        yield from comment("Nothing is made of it until a column below that waits is read.", 4)
        yield from commented_out(lines, 4)
    for name, why in linked.left_out.items():
        yield from comment(f"Left out: `{name}`, since {why}.", 2)


def one_table(name: str, table: RowsTable, person: str) -> Iterator[str]:
    """Give one table's entry."""
    yield f"    {name}:"
    yield from entry("location", table.location.model_dump(exclude_defaults=True), 6)
    if table.person != person:
        yield f"      person: {scalar(str(table.person))}"
    yield f"      at: {scalar(table.at)}"
    if table.known_at:
        yield f"      known_at: {scalar(table.known_at)}"
    if table.where:
        yield f"      where: {scalar(table.where)}"
    if table.fields:
        yield "      fields:"
    for field, one in table.fields.items():
        said: dict[str, Value] = {"from": one.source} if one.source else {}
        said["type"] = str(one.type)
        if one.unit:
            said["unit"] = one.unit.model_dump(by_alias=True, exclude_defaults=True)
        yield from entry(field, said, 8)


def event_lines(linked: Linked, *, explicit: bool) -> Iterator[str]:
    """Say how to read the tables in which people's answers were found."""
    if linked.consents:
        yield from comment(f"{DECIDE}: are these people's answers, and all of them?", 2)
        yield "  events:"
    for table in linked.consents:
        yield from comment(" ".join(ask_consents(table, explicit=explicit)), 4)
        yield f"    - location: {flow(table.location.model_dump(exclude_defaults=True))}"
        if table.columns:
            yield from entry("columns", {str(f): name for f, name in table.columns.items()}, 6)
        if "notice" not in table.says:
            yield from entry("stated", {"notice": NOTICE}, 6)
        if not table.zoned:
            yield from entry("zone", linked.people.zone or "UTC", 6)


def ask_consents(table: ConsentTable, *, explicit: bool) -> Iterator[str]:
    """Say what to decide about a table of answers."""
    if "purpose" not in table.says:
        yield "Each yes counts for all that the notice lists."
    if table.others:
        yield (
            f"The table also has {', '.join(table.others)}: if that says for what people "
            "consented, map it under `columns` and `words` as `purpose`, or a yes to something "
            "else counts too."
        )
    if explicit and "indication" not in table.says:
        yield (
            "A yes does not count for special categories before its `indication` is explicit: if "
            "people said so in words or by signing, add `indication: explicit` under `stated`."
        )
    if not table.zoned:
        yield "Its times name no zone: on which calendar are they?"


def moved(linked: Linked, seen: Callable[[Location], Location]) -> Linked:
    """Give it with locations as a policy names them."""
    tables: Mapping[str, RowsTable] = {
        name: table.model_copy(update={"location": seen(table.location)})
        for name, table in linked.people.tables.items()
    }
    people = linked.people.model_copy(
        update={"location": seen(linked.people.location), "tables": tables}
    )
    return replace(
        linked, people=people, consents=tuple(table.seen_from(seen) for table in linked.consents)
    )
