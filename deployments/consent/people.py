"""What `tutela consent` does about everybody: import, reproduce a decision, count, verify."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from deployments.consent.counts import (
    census_json,
    describe_census,
    describe_imports,
    describe_snapshot,
    imports_json,
    name_location,
    snapshot_json,
    write_day,
)
from deployments.consent.event import read_when
from deployments.request import event_sources
from deployments.terminal import Answer, wrap
from expectations.disclosure import Disclosure
from expectations.errors import Refusal, UsageError
from expectations.policy.legal_basis import ConsentLedger as ConsentBasis
from expectations.policy_file import read_policy
from ledgers.consent.events import to_micros
from ledgers.consent.tables import find_link
from ledgers.home.database import snapshot
from ledgers.signed_heads import Head, Heads
from ledgers.vault.digests import digest_in_run
from tasks.consent.census import take_census
from tasks.consent.decision import Moment
from tasks.consent.events import Setting, import_source
from tasks.consent.snapshot import DecidedHistory, find_history, take_snapshot
from tasks.handover.recorded_run import read_run

if TYPE_CHECKING:
    from ledgers.consent.ledger import ConsentLedger
    from ledgers.evidence import JSON

SAME: Final = "the same digest; it was made on this very decision."
DIFFERENT: Final = (
    "another digest. Was somebody erased since? That cannot be reproduced. Else compare the "
    "ledger with a backup: tutela consent verify."
)
AHEAD: Final = "--valid-at lies ahead: this is how it will be if nothing more is said."
CHANGED: Final = (
    "The policy's file has changed since that run; it was used as the run's record holds it."
)


def take_in(ledger: ConsentLedger, policy: str, given: str | None, like: int | None) -> Answer:
    """Take the events of a policy's sources, or of one file, into the ledger."""
    file = read_policy(policy)
    sources = event_sources(file, given, like)
    assert isinstance(file.policy.basis, ConsentBasis)
    setting = Setting(file.folder, file.policy.basis.notices, ledger.keys, datetime.now(UTC))
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
    rules, now, head = read_policy(policy).policy, datetime.now(UTC), ledger.head()
    # The ledger's clock never runs backwards, and so may be ahead of this one.
    latest = max(now, datetime.fromisoformat(head.at)) if head.seq else now
    valid = now if valid_at is None else read_when(valid_at, "--valid-at")
    known = latest if valid_at is None else min(valid, latest)
    known = known if known_at is None else read_when(known_at, "--known-at")
    if known > latest:
        raise UsageError("--known-at: it lies ahead, and nobody knows what will be recorded then")
    moment = Moment(to_micros(valid), to_micros(known))
    found = take_snapshot(rules, ledger, ledger.keys, rule_of(ledger), moment)
    lines = list(describe_snapshot(rules, found))
    return Answer(snapshot_json(rules, found), lines, [AHEAD] if valid > now else [])


def compare(ledger: ConsentLedger, policy: str, prefix: str) -> Answer:
    """Reproduce the decision that a run was made on, and say whether it comes to the same.

    The run's own policy is used, as its record holds it; the given one says which is meant. The
    digest is told as the run shows it.
    """
    file, run = read_policy(policy), read_run(ledger.home, ledger.keys, prefix)
    record, rules, run_id = run.record, run.file.policy, run.record.run_id
    if record.policy != file.policy.name:
        raise UsageError(f"run {run_id} is not of {file.policy.name} but of {record.policy}")
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
            f"event {noted.events}: the chain has another link there than the run saw, so the "
            "ledger was rewritten since; compare it with a backup",
        )


def count(ledger: ConsentLedger) -> Answer:
    """Count what the whole ledger holds."""
    found = take_census(ledger.scan(), ledger.terms(), rule_of(ledger))
    return Answer(census_json(found), list(describe_census(found)))


def verify(ledger: ConsentLedger) -> Answer:
    """Recompute the ledger; Refusal names the first event that is not as it was recorded."""
    head, signed = ledger.verify(), len(Heads(ledger.home, ledger.keys).read())
    lines = [
        "Whole: every event is as it was recorded, and none is missing.",
        f"  events  {head.seq:,}, those erased included",
        f"  heads   {signed:,} were signed, and each is met",
        f"  link    {head.link}",
        f"  added   {write_day(head.at)}",
        *wrap(
            "Keep the last number and link elsewhere too: the newest events cut off together with "
            "the heads that name them show only there, and in the record of each run."
        ),
    ]
    body: dict[str, JSON] = {"events": head.seq, "link": head.link, "at": head.at}
    return Answer(body | {"signed_heads": signed}, lines)


def rule_of(ledger: ConsentLedger) -> Disclosure:
    """Give the rule by which counts of people are published in the ledger's home."""
    key = ledger.keys.derive("disclosure")
    return Disclosure(key, ledger.home.settings.disclosure_threshold)
