"""The step that keeps whom the legal basis covers, and what it leaves on record."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import assert_never

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from expectations.checks import Check
from expectations.disclosure import Count, Published
from expectations.errors import Refusal, carrying
from expectations.policy.legal_basis import ConsentColumn, ConsentLedger, OptOutList, OtherBasis
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import Article9, CheckVerdict
from ledgers.vault.stages import Permitted, Roster
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.consent.deliveries import find_deliveries, judge_deliveries, refuse_stale
from tasks.consent.events import import_events
from tasks.consent.judgement import STANDING
from tasks.consent.meaning import BARS, PERMITTED, Standing, is_open_to_objection
from tasks.consent.snapshot import describe_history, history_body
from tasks.consent.standing import Standings, asks_ledger, decide, find_strangers
from tasks.people.aliases import find_aliases
from tasks.people.ingestion import CATEGORIES, DRAW, PERSON, RECORD, SAMPLE, STRANGERS


@dataclass(frozen=True, slots=True)
class NobodyPermitted:
    """A legal basis that covers nobody: for each reason, the published count of those left out."""

    left_out: Mapping[str, Published]


def reasons(policy: Policy) -> tuple[str, ...]:
    """Name every reason for which a person can be left out, whether or not anybody is."""
    match policy.basis:
        case ConsentLedger():
            found = set(Standing) - set(rare_reasons(policy))
        case ConsentColumn():
            found = {Standing.NEVER_ASKED, Standing.RESTRICTED, *BARS}
        case OptOutList() | OtherBasis():
            found = {Standing.RESTRICTED, *BARS}
        case _:
            assert_never(policy.basis)
    if is_open_to_objection(policy) or isinstance(policy.basis, OptOutList):
        found |= {Standing.OBJECTED}
    return tuple(dict.fromkeys(one.label for one in sorted(found) if not one.permits))


def rare_reasons(policy: Policy) -> Iterator[Standing]:
    """Give the reasons that occur only under rules which a consent policy does not have."""
    assert isinstance(policy.basis, ConsentLedger)
    yield Standing.OBJECTED
    if policy.legal_basis.article_9 is not Article9.EXPLICIT_CONSENT:
        yield Standing.NOT_EXPLICIT
    if not policy.basis.minimum_versions:
        yield Standing.OLDER_NOTICE
    if policy.basis.minors is None:
        yield Standing.NEEDS_GUARDIAN


def count_standings(standing: NDArray[np.int8]) -> dict[str, Count]:
    """Count the people of each standing, by its label."""
    found: dict[str, Count] = {}
    for one in Standing:
        before = found.get(one.label, Count(0))
        found[one.label] = Count(before.exact + int((standing == one).sum()))
    return found


def digest_people(record: NDArray[np.uint64], key: bytes) -> str:
    """Give a keyed digest of a set of people, whatever their order; 64 hex digits."""
    return hmac.digest(key, np.sort(record).tobytes(), "sha256").hex()


def keep_permitted(roster: pa.Table, standings: Standings) -> pa.Table:
    """Give the people who may be read, each with the categories that may be."""
    marked = roster.select([PERSON, RECORD, DRAW, SAMPLE])
    marked = marked.append_column(CATEGORIES, pa.array(standings.categories))
    return marked.filter(pa.array(standings.permitted))


def note_snapshot(desk: Desk, kept: pa.Table, standings: Standings) -> None:
    """Note who is permitted, as a digest, and which history of consent that was decided on."""
    key = desk.key("digest")
    people = digest_people(kept.column(RECORD).to_numpy(), key)
    desk.note("snapshot", "consent", desk.show_digest(people), people)
    history = describe_history(standings.moment, standings.head, standings.everybody, key)
    shown = replace(history, digest=desk.show_digest(history.digest))
    desk.note("snapshot", "history", history_body(shown), history.digest)


def note_strangers(desk: Desk, roster: pa.Table, standings: Standings) -> None:
    """Count whom the ledger knows and the roster does not; warn of those who said no.

    Where few said no there is no warning, since it would tell that somebody did.
    """
    if not asks_ledger(desk.policy):
        return
    aliases = find_aliases(desk.run.file, roster, desk.key("person"))
    strangers = find_strangers(standings, roster, aliases)
    desk.count(f"{STRANGERS}consent events", Count(strangers.num_rows))
    said_no = np.isin(strangers.column(STANDING).to_numpy(), [*BARS, Standing.OBJECTED])
    number = desk.run.disclosure.publish(Count(int(said_no.sum())))
    if number.about is not None:
        desk.check(
            Check(
                "unmatched withdrawals",
                "everybody who said no to be on the roster",
                f"{number} people who withdrew, refused or objected are not on the roster",
                CheckVerdict.WARNED,
                f"{number.threshold} such people; fewer are not shown",
                "compare how consents and roster spell identifiers (`source.normalize`, "
                "`source.same_person`); nothing is to be done of people whom the source no longer "
                "holds, or never did",
            )
        )


@step("Filter by legal basis", gives=Permitted)
def filter_consent(desk: Desk, roster: Opened[Roster]) -> pa.Table:
    """Take in new events, if they still arrive; keep who has a legal basis as of now."""
    people, run = roster.table(), desk.run
    ledger = run.consent
    deliveries = find_deliveries(run.file)
    import_events(run.file, ledger, run.keys, run.now)
    for check in (fresh := judge_deliveries(deliveries, ledger.now())):
        desk.check(check)
    refuse_stale(fresh)
    standings = decide(run.file, people, ledger, ledger.now())
    counts = count_standings(standings.standing)
    shown = {
        name: desk.count(f"people.excluded.{name}", counts[name]) for name in reasons(desk.policy)
    }
    desk.count("people.permitted", counts[PERMITTED])
    note_strangers(desk, people, standings)
    kept = keep_permitted(people, standings)
    note_snapshot(desk, kept, standings)
    if kept.num_rows == 0:
        most = max(shown, key=lambda name: counts[name].exact)
        with carrying(NobodyPermitted(shown)):
            raise Refusal(
                "legal basis",
                f"nobody may be read for {desk.policy.purpose}; most were left out because: {most} "
                f"({shown[most]} people); check the purpose, and what people were asked",
            )
    return kept
