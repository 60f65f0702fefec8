"""The events of one source as an import takes them in, read without a ledger to take them into."""

from __future__ import annotations

from dataclasses import dataclass

from expectations.policy.legal_basis import EventSource
from ledgers.consent.events import Batch
from tasks.consent.event_fields import digest_fields
from tasks.consent.events import Setting, make_batch, read_source


@dataclass(frozen=True, slots=True)
class Read:
    """The events of one source, and the keyed digest of what was read and how."""

    batch: Batch
    digest: str


def read_batch(source: EventSource, place: str, setting: Setting) -> Read:
    """Read the events of one source; raises one `SourceError` for all that is wrong in them."""
    fields = read_source(source, place, setting)
    digest = digest_fields(fields, source, setting.notices, setting.keys.derive("digest"))
    return Read(make_batch(fields, source, place, setting), digest)
