"""The selection by consent alone, on two tables in memory: no home, no ledger, no run.

The same rules as in a run, on the same expressions. What only a ledger knows is missing: that
nothing was taken out of the events, and when each was first known; so this decides whom to look
at, and is no record of having asked.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import UsageError
from expectations.policy.legal_basis import ConsentLedger, EventSource
from expectations.policy.locations import CsvFile
from expectations.policy_file import PolicyFile, read_policy
from ledgers.consent.events import STANDING_EVENTS, Batch, to_micros
from ledgers.home.home import Home, Settings
from ledgers.home.keys import KEY_BYTES, Keys
from tasks.consent.event_fields import read_fields
from tasks.consent.events import Setting, make_batch
from tasks.consent.judgement import Moment
from tasks.consent.meaning import Standing
from tasks.consent.standing import find_ages, find_standings, place_on_roster
from tasks.people.ingestion import read_people
from tasks.sources.frame import held

if TYPE_CHECKING:
    import pandas as pd

    from expectations.policy.locations import InMemory
    from expectations.policy.policy import Policy


def consent_standings(
    policy: str | Path,
    people: pd.DataFrame,
    events: pd.DataFrame,
    *,
    at: datetime | None = None,
) -> pd.DataFrame:
    """Say of each person whether a policy may read them, as of a moment, and if not, why.

    `people` holds the policy's person column, one row each (and the column that its rule for
    minors asks for); nothing else of it is looked at. `events` holds consent events: columns and
    words as under the policy's first source of events, or by the names of `docs/consent.md`. `at`
    is a moment with a time zone; now, if not given.

    Gives a frame with the index of `people`: `standing` is `permitted` or the reason against it,
    `categories` what may be read of the person. Raises `UsageError` for a policy that does not
    rest on consent events, `SourceError` for events that are wrong; no message holds a value.

    >>> import pandas as pd, tutela
    >>> people = pd.DataFrame({"patient_number": [1, 2, 3], "Gender": ["Female", "Male", "Male"]})
    >>> events = pd.DataFrame({
    ...     "person": [1, 2, 2],
    ...     "status": ["given", "given", "withdrawn"],
    ...     "at": ["2025-01-02T09:00:00Z", "2025-01-02T09:00:00Z", "2025-03-04T09:00:00Z"],
    ...     "notice": "research", "notice_version": 2, "language": "en", "indication": "explicit",
    ... })
    >>> found = tutela.consent_standings("diabetes", people, events)
    >>> found["standing"].tolist()
    ['permitted', 'withdrawn', 'never asked']
    >>> allowed = people[found["standing"] == "permitted"]
    """
    import pandas as pd

    file, now = read_policy(str(policy)), datetime.now(UTC)
    when = at or now
    if when.tzinfo is None:
        raise UsageError("at: give a moment with a time zone, such as datetime.now(UTC)")
    # Whom a key names is asked within this call alone, so any key will do.
    keys = Keys(Home(Path(), Settings()), secrets.token_bytes(KEY_BYTES))
    with held(people) as place:
        roster = read_people(located(file, place), keys.derive("person"))
    given = read_events(file, events, keys, now)
    moment = Moment(to_micros(when), to_micros(max(now, when)))
    ages = find_ages(file.policy, roster, when)
    terms = dict(enumerate(given.terms))
    found = find_standings(file.policy, terms, lay_out(given, now), moment, ages)
    _, standing, masks = place_on_roster(found, roster)
    labels = [Standing(code).label for code in standing]
    covered = [
        read_mask(file.policy, mask) if Standing(code).permits else ()
        for code, mask in zip(standing, masks, strict=True)
    ]
    return pd.DataFrame({"standing": labels, "categories": covered}, index=people.index)


def located(file: PolicyFile, place: InMemory) -> PolicyFile:
    """Point a policy at people in memory."""
    source = file.policy.source.model_copy(update={"location": place})
    return replace(file, policy=file.policy.model_copy(update={"source": source}))


def read_events(file: PolicyFile, events: pd.DataFrame, keys: Keys, now: datetime) -> Batch:
    """Read events as the policy's first source of them is read; `SourceError` for wrong ones."""
    basis = file.policy.basis
    if not isinstance(basis, ConsentLedger):
        raise UsageError(
            f"{file.policy.name} rests on `{basis.kind}`, which asks for no consent events: "
            "use a policy whose basis is of kind `consent`"
        )
    with held(events) as place:
        unlike = EventSource(location=CsvFile(kind="csv", path="events"))
        like = basis.events[0] if basis.events and not basis.events[0].fhir else unlike
        source = like.model_copy(update={"location": place})
        fields = read_fields(source, "events", file.folder)
        setting = Setting(file.folder, basis.notices, keys, now, file.policy.source.normalize)
        return make_batch(fields, source, "events", setting)


def lay_out(batch: Batch, now: datetime) -> pa.Table:
    """Give events as a ledger's scan does; one that does not say when it was recorded, was now."""
    table = batch.table.select(STANDING_EVENTS.names)
    place = table.column_names.index("recorded_at")
    recorded = pc.fill_null(table.column("recorded_at"), to_micros(now))
    return table.set_column(place, "recorded_at", recorded).cast(STANDING_EVENTS)


def read_mask(policy: Policy, mask: int) -> tuple[str, ...]:
    """Name the categories of a bit mask."""
    return tuple(str(one) for n, one in enumerate(policy.categories) if int(mask) >> n & 1)
