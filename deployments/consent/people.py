"""What `tutela consent` does and says about everybody: import, reproduce a decision, count, verify.

Counts of people are told as published; who they are is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from deployments.moments import read_when
from deployments.request import event_sources
from deployments.terminal import Answer, wrap
from expectations.disclosure import Disclosure, Published, roughly
from expectations.errors import Refusal, UsageError
from expectations.policy.legal_basis import ConsentLedger as ConsentBasis
from expectations.policy.locations import (
    CsvFile,
    ExampleData,
    FhirExport,
    JsonLines,
    Location,
    ParquetFiles,
    SqlQuery,
    SqlTable,
)
from expectations.policy.policy import Policy
from ledgers.consent.events import to_micros
from ledgers.consent.tables import find_link
from ledgers.home.database import snapshot
from ledgers.home.home import without_login
from ledgers.home.policies import read_named_policy
from ledgers.signed_heads import Head, Heads
from ledgers.vault.digests import digest_in_run
from tasks.consent.census import take_census
from tasks.consent.events import Setting, import_source
from tasks.consent.judgement import Moment
from tasks.consent.snapshot import DecidedHistory, find_history, take_snapshot
from tasks.handover.delivery import read_run

if TYPE_CHECKING:
    from ledgers.consent.ledger import ConsentLedger
    from ledgers.evidence import JSON
    from tasks.consent.census import Census
    from tasks.consent.events import Imported
    from tasks.consent.snapshot import Snapshot

    Sources: TypeAlias = Sequence[tuple[str, Imported]]

ROUNDED: Final = "Counts are rounded to tens, or hidden; parts need not add up."
SAME: Final = "the digest is the same: the run was made on this very decision."
DIFFERENT: Final = (
    "the digest differs. If somebody was erased since, or an earlier version with other rules made "
    "the run, it cannot be reproduced. Otherwise compare the ledger with a backup: tutela consent "
    "verify."
)
AHEAD: Final = "--valid-at is in the future: this is the answer if no event is added."
CHANGED: Final = (
    "The policy's file has changed since that run; the version that the run recorded was used."
)


def take_in(ledger: ConsentLedger, policy: str, given: str | None, like: int | None) -> Answer:
    """Take the events of a policy's sources, or of one file, into the ledger."""
    file = read_named_policy(policy)
    sources = event_sources(file, given, like)
    assert isinstance(file.policy.basis, ConsentBasis)
    setting = Setting(
        file.folder, file.policy.basis.notices, ledger.keys, ledger.now(),
        file.policy.source.normalize,
    )  # fmt: skip
    names = [name_location(source.location) for source in sources]
    places = names if given else [f"basis.events.{number}" for number in range(len(sources))]
    found = [
        (name, import_source(source, place, ledger, setting))
        for name, place, source in zip(names, places, sources, strict=True)
    ]
    threshold = ledger.home.settings.disclosure_threshold
    return Answer(imports_json(found, threshold), list(describe_imports(found, threshold)))


def reproduce(
    ledger: ConsentLedger, policy: str, valid_at: str | None, known_at: str | None
) -> Answer:
    """Reproduce a policy's decision valid at one moment as known at another."""
    rules, now, head = read_named_policy(policy).policy, ledger.now(), ledger.head()
    # The ledger's clock never runs backwards, and so may be ahead of this one.
    latest = max(now, datetime.fromisoformat(head.at)) if head.seq else now
    valid = now if valid_at is None else read_when(valid_at, "--valid-at")
    known = latest if valid_at is None else min(valid, latest)
    known = known if known_at is None else read_when(known_at, "--known-at")
    if known > latest:
        raise UsageError("--known-at: it is in the future; give a moment up to now")
    moment = Moment(to_micros(valid), to_micros(known))
    found = take_snapshot(rules, ledger, ledger.keys, rule_of(ledger), moment)
    lines = list(describe_snapshot(rules, found))
    return Answer(snapshot_json(rules, found), lines, [AHEAD] if valid > now else [])


def compare(ledger: ConsentLedger, policy: str, prefix: str) -> Answer:
    """Reproduce the decision that a run was made on, and say whether it comes to the same.

    The run's own policy is used, as its record holds it; the given one says which is meant. The
    digest is told as the run shows it.
    """
    file, run = read_named_policy(policy), read_run(ledger.home, ledger.keys, prefix)
    record, rules, run_id = run.record, run.file.policy, run.record.run_id
    if record.policy != file.policy.name:
        raise UsageError(f"run {run_id} belongs to {record.policy}, not to {file.policy.name}")
    noted = find_history(run.entries)
    check_link(ledger, noted)
    head = Head(noted.events, noted.link, record.started_at)
    found = take_snapshot(rules, ledger, ledger.keys, rule_of(ledger), noted.moment, head)
    shown = digest_in_run(run_id, found.history.digest)
    found = replace(found, history=replace(found.history, digest=shown))
    same = shown == noted.digest
    changed = file.sha256 != record.facts["policy_sha256"]
    said = SAME if same else DIFFERENT
    body = snapshot_json(rules, found) | {"run": run_id, "same_digest": same}
    lines = [*describe_snapshot(rules, found), "", *wrap(f"Run {run_id}: {said}")]
    refused = None if same else Refusal("consent snapshot", f"run {run_id} noted another digest")
    return Answer(body, lines, [CHANGED] if changed else [], refused)


def check_link(ledger: ConsentLedger, noted: DecidedHistory) -> None:
    """Refuse a ledger in which another link stands at the number at which a run saw its own."""
    with snapshot(ledger.engine) as connection:
        link = find_link(connection, noted.events)
    if noted.events and (link is None or link.hex() != noted.link):
        raise Refusal(
            "consent ledger",
            f"event {noted.events}: its link in the chain is not the one that the run saw, so the "
            "ledger was rewritten since; compare it with a backup",
        )


def count(ledger: ConsentLedger) -> Answer:
    """Count what the whole ledger holds."""
    found = take_census(ledger.scan(), ledger.terms(), rule_of(ledger))
    return Answer(census_json(found), list(describe_census(found)))


def verify(ledger: ConsentLedger) -> Answer:
    """Recompute the ledger; Refusal names the first event that is not as it was recorded."""
    head, signed = ledger.verify(), len(Heads(ledger.engine, ledger.keys).read())
    lines = [
        "Whole: every event is as it was recorded, and none is missing.",
        f"  events  {head.seq:,}, including erased ones",
        f"  heads   {signed:,} were signed, and all match",
        f"  link    {head.link}",
        f"  added   {write_day(head.at)}",
        *wrap(
            "Keep the last number and link elsewhere too: if the newest events were cut off "
            "together with their signed heads, only that copy and the runs' records would show it."
        ),
    ]
    body: dict[str, JSON] = {"events": head.seq, "link": head.link, "at": head.at}
    return Answer(body | {"signed_heads": signed}, lines)


def rule_of(ledger: ConsentLedger) -> Disclosure:
    """Give the rule by which counts of people are published in the ledger's home."""
    key = ledger.keys.derive("disclosure")
    return Disclosure(key, ledger.home.settings.disclosure_threshold)


def name_location(location: Location) -> str:
    """Name where events are, without a login."""
    match location:
        case ExampleData(name=name):
            return f"example {name}"
        case CsvFile(path=path) | JsonLines(path=path) | ParquetFiles(path=path):
            return path
        case FhirExport(path=path, view=view):
            return f"{path} ({view})"
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
            yield "  nothing new: every event was imported before"
        else:
            yield f"  {roughly(one.new, threshold)} events imported"
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
    yield f"  valid at  {write_day(history.valid_at)}  consent valid at that moment"
    yield f"  known at  {write_day(history.known_at)}  events recorded by then"
    yield f"  history   events 1 to {history.events:,} of the ledger, up to the link"
    yield f"            {history.link}"
    yield "  digest    of who might be read, and for which categories"
    yield f"            {history.digest}"
    yield ""
    yield f"People who had answered about its purpose: {snapshot.people}"
    yield from figures(snapshot.standings)
    if isinstance(policy.basis, ConsentBasis):
        yield "Categories that permitted people's consent covers"
        yield from figures(snapshot.categories)
    else:
        yield from wrap(
            f"The policy rests on `{policy.basis.kind}`: the ledger bars none of the permitted "
            "people, and the basis decides."
        )
    yield ROUNDED
    yield from wrap(
        "From the ledger alone: no source was read, so eligibility and age are not applied, and "
        "people without any event are not counted."
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
        yield f"From {census.first} to {census.last}, without the first and last few people."
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
    yield "Answers of too few people are not shown."


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
