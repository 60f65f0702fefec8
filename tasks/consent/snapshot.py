"""What a policy's consent decision was, or would have been, at a past moment: reproduced.

A snapshot is taken from the ledger alone; no source is read. So it holds everybody of whom the
ledger knows something, on today's roster or not, before eligibility and before any age is asked
for; who was never asked is not in it. A run notes the same digest, and the head of the ledger on
which it was made, so that an auditor can compare.
"""

from __future__ import annotations

import hmac
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from expectations.disclosure import Count, Disclosure, Published
from expectations.errors import UsageError
from expectations.policy.policy import Policy
from ledgers.consent.events import from_micros, to_micros
from ledgers.consent.ledger import ConsentLedger, Head
from ledgers.evidence import JSON, Entry
from ledgers.home.keys import Keys
from tasks.consent.judgement import STANDING, Moment
from tasks.consent.meaning import GIFTS, PERMITTED, Standing
from tasks.consent.standing import READABLE, find_standings
from tasks.people.ingestion import TOKEN


@dataclass(frozen=True, slots=True)
class DecidedHistory:
    """Which history a decision was made on, and what it came to.

    Moments are UTC in ISO 8601; `events` and `link` are the ledger's head; `digest` is keyed.
    """

    valid_at: str
    known_at: str
    events: int
    link: str
    digest: str

    @property
    def moment(self) -> Moment:
        """The two moments as numbers."""
        return Moment(read_moment(self.valid_at), read_moment(self.known_at))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A decision over the whole ledger, with its published counts.

    `standings` has `permitted` and each reason that enough people have, so that one of few people
    cannot be told from one of none; `categories` one count for each category of the policy, of
    those who are permitted.
    """

    history: DecidedHistory
    people: Published
    standings: dict[str, Published]
    categories: dict[str, Published]


def take_snapshot(  # noqa: PLR0913, PLR0917 - two moments, and where to find what
    policy: Policy,
    ledger: ConsentLedger,
    keys: Keys,
    disclosure: Disclosure,
    moment: Moment,
    head: Head | None = None,
) -> Snapshot:
    """Decide over the whole ledger as of a moment; by `head` as the ledger stood then."""
    head = head or ledger.head()
    found = find_standings(policy, ledger.terms(), ledger.scan(upto=head.seq), moment)
    standing = found.column(STANDING).to_numpy()
    permitted = found.filter(pa.array(np.isin(standing, GIFTS)))
    by_label = {
        label: np.isin(standing, [one for one in Standing if one.label == label])
        for label in sorted({one.label for one in Standing})
    }
    covered = permitted.column(READABLE).to_numpy()
    by_category = {
        str(category): covered >> n & 1 == 1 for n, category in enumerate(policy.categories)
    }
    return Snapshot(
        describe_history(moment, head, found, keys.derive("digest")),
        disclosure.publish(Count(found.num_rows)),
        {
            label: published
            for label, published in publish_groups(by_label, disclosure).items()
            if published.about is not None or label == PERMITTED
        },
        publish_groups(by_category, disclosure),
    )


def publish_groups(groups: dict[str, np.ndarray], disclosure: Disclosure) -> dict[str, Published]:
    """Publish how many people each group has."""
    return {
        name: disclosure.publish(Count(int(np.count_nonzero(group))))
        for name, group in groups.items()
    }


def describe_history(moment: Moment, head: Head, everybody: pa.Table, key: bytes) -> DecidedHistory:
    """Name the history that a decision over the whole ledger was made on."""
    return DecidedHistory(
        write_moment(moment.valid_at),
        write_moment(moment.known_at),
        head.seq,
        head.link,
        digest_standings(everybody, key),
    )


def digest_standings(everybody: pa.Table, key: bytes) -> str:
    """Give a keyed digest of who is permitted, and for which categories; 64 hex digits."""
    permitted = everybody.filter(pa.array(np.isin(everybody.column(STANDING).to_numpy(), GIFTS)))
    high, low, categories = (
        permitted.column(name).to_numpy().astype(np.int64) for name in (*TOKEN, READABLE)
    )
    rows = np.column_stack([high, low, categories])[np.lexsort((low, high))]
    return hmac.digest(key, b"standings\0" + rows.astype("<i8").tobytes(), "sha256").hex()


def find_history(entries: list[Entry]) -> DecidedHistory:
    """Find which history a run's decision was made on; UsageError where it made none."""
    noted = [e.body for e in entries if (e.kind, e.name) == ("snapshot", "history")]
    if not noted or not isinstance(noted[0], dict):
        raise UsageError("that run ended before it decided on consent; name another")
    return DecidedHistory(**noted[0])  # type: ignore[arg-type]  # as `asdict` wrote it


def history_body(history: DecidedHistory) -> dict[str, JSON]:
    """Give what the evidence ledger keeps of a history."""
    return asdict(history)


def write_moment(micros: int) -> str:
    """Write microseconds since 1970 as UTC in ISO 8601."""
    return from_micros(micros).isoformat()


def read_moment(text: str) -> int:
    """Read a moment in ISO 8601 with its zone as microseconds since 1970."""
    return to_micros(datetime.fromisoformat(text))
