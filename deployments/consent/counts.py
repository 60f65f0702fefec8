"""What `tutela consent` says of many people at once: imports, snapshots and the ledger's census."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from deployments.terminal import wrap
from expectations.disclosure import Published, roughly
from expectations.policy.legal_basis import ConsentLedger
from expectations.policy.locations import (
    CsvFile,
    ExampleData,
    JsonLines,
    Location,
    ParquetFiles,
    SqlQuery,
    SqlTable,
)
from expectations.policy.policy import Policy
from ledgers.home.home import without_login

if TYPE_CHECKING:
    from ledgers.evidence import JSON
    from tasks.consent.census import Census
    from tasks.consent.events import Imported
    from tasks.consent.snapshot import Snapshot

    Sources: TypeAlias = Sequence[tuple[str, Imported]]

ROUNDED: Final = "Counts are rounded to tens, or hidden; parts need not add up."


def name_location(location: Location) -> str:
    """Name where events are, without a login."""
    match location:
        case ExampleData(name=name):
            return f"example {name}"
        case CsvFile(path=path) | JsonLines(path=path) | ParquetFiles(path=path):
            return path
        case SqlTable(url=url, table=table):
            return f"{without_login(url)}#{table}"
        case SqlQuery(url=url):
            return f"a query to {without_login(url)}"
        case _:
            assert_never(location)


def describe_imports(imported: Sources, threshold: int) -> Iterator[str]:
    """Say of each source how many events it brought."""
    for name, one in imported:
        yield name
        if one.unchanged:
            yield "  nothing new: all of it was taken in before"
        else:
            yield f"  {roughly(one.new, threshold)} events taken in"
            yield f"  {roughly(one.repeated, threshold)} events were there already"


def imports_json(imported: Sources, threshold: int) -> dict[str, JSON]:
    """Give what each source brought as plain values; counts of events are worded."""
    return {
        "sources": [
            {
                "source": name,
                "unchanged": one.unchanged,
                "new": "none" if one.unchanged else roughly(one.new, threshold),
                "there_already": roughly(one.repeated, threshold),
            }
            for name, one in imported
        ]
    }


def describe_snapshot(policy: Policy, snapshot: Snapshot) -> Iterator[str]:
    """Tell a decision as of its two moments, and on which history it was made."""
    history = snapshot.history
    yield f"{policy.name}: whose data might be read"
    yield f"  valid at  {write_day(history.valid_at)}  by what held at that moment"
    yield f"  known at  {write_day(history.known_at)}  as far as it was recorded by then"
    yield f"  history   events 1 to {history.events:,} of the ledger, up to the link"
    yield f"            {history.link}"
    yield "  digest    of who might be read, and for which categories"
    yield f"            {history.digest}"
    yield ""
    yield f"People who had said something of its purpose: {snapshot.people}"
    yield from figures(snapshot.standings)
    if isinstance(policy.basis, ConsentLedger):
        yield "Of those permitted, the consent covers"
        yield from figures(snapshot.categories)
    else:
        yield from wrap(
            f"The policy rests on `{policy.basis.kind}`: those permitted are barred by nothing in "
            "the ledger, and its basis decides."
        )
    yield ROUNDED
    yield from wrap(
        "From the ledger alone: no source was read. So it is before eligibility, no age was asked "
        "for, and who never said anything is not in it."
    )


def figures(counts: Mapping[str, Published]) -> Iterator[str]:
    """Give labelled counts, the numbers aligned."""
    width = max((len(str(count)) for count in counts.values()), default=0)
    for label, count in counts.items():
        yield f"  {count!s:>{width}}  {label}"


def write_day(moment: str) -> str:
    """Write a moment in ISO 8601 as people read it: to the minute, in UTC."""
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def snapshot_json(policy: Policy, snapshot: Snapshot) -> dict[str, JSON]:
    """Give a snapshot as plain values; a count is None where it is hidden."""
    return {
        "policy": policy.name,
        **asdict(snapshot.history),
        "people": snapshot.people.about,
        "standings": {label: count.about for label, count in snapshot.standings.items()},
        "categories": {label: count.about for label, count in snapshot.categories.items()},
    }


def describe_census(census: Census) -> Iterator[str]:
    """Tell what the ledger holds, purpose by purpose."""
    yield f"{census.people} people, {census.events} events"
    if census.first:
        yield f"From {census.first} to {census.last}, the first and the last few people left aside."
    status = max((len(row.status) for row in census.rows), default=0)
    number = max((len(str(n)) for row in census.rows for n in (row.people, row.events)), default=0)
    purpose = ""
    for row in census.rows:
        if row.purpose != purpose:
            purpose = row.purpose
            yield ""
            yield purpose
        yield (
            f"  {row.status:<{status}}  {row.people!s:>{number}} people"
            f"  {row.events!s:>{number}} events"
        )
    yield ""
    yield ROUNDED
    yield "What too few people said is not shown."


def census_json(census: Census) -> dict[str, JSON]:
    """Give the census as plain values; a count is None where it is hidden."""
    rows: Sequence[JSON] = [
        {
            "purpose": row.purpose,
            "status": row.status,
            "people": row.people.about,
            "events": row.events.about,
        }
        for row in census.rows
    ]
    return {
        "people": census.people.about,
        "events": census.events.about,
        "first": census.first,
        "last": census.last,
        "said": list(rows),
    }
