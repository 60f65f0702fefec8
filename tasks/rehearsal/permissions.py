"""Made-up permissions: who of the made-up people may be read, in the words of the policy's basis.

Most may be. The others, where a basis lets anybody be left out, refused, withdrew or were never
asked, so that the filter has somebody to keep out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa

from expectations.coherence.consent import enumerates
from expectations.policy.legal_basis import (
    Basis,
    ConsentColumn,
    ConsentLedger,
    EventField,
    Minors,
    Notice,
    OtherBasis,
)
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import ConsentStatus, Indication
from tasks.rehearsal.crowd import Rows, Texts
from tasks.rehearsal.values import YEAR, Draw

Event: TypeAlias = dict[str, str | None]
STORIES: Final = (
    (),
    (ConsentStatus.REFUSED,),
    (ConsentStatus.GIVEN, ConsentStatus.WITHDRAWN),
)
"""How it went with people who may not be read."""
DAYS: Final = 60
"""How long ago the made-up people answered, at most."""


@dataclass(frozen=True)
class Crowd:
    """Rows of the source with everybody's name, of whom the last `against` may not be read."""

    rows: Rows
    people: Texts
    against: int

    @property
    def names(self) -> tuple[Sequence[str], Sequence[str]]:
        """Name who may be read, and who may not."""
        split = len(self.people) - self.against
        return self.people[:split].tolist(), self.people[split:].tolist()


def can_refuse(basis: Basis) -> bool:
    """Whether a basis lets anybody be left out."""
    return not isinstance(basis, OtherBasis)


def add_answers(crowd: Crowd, policy: Policy, draw: Draw) -> Rows:
    """Give the rows with the columns that the legal basis reads of everybody."""
    basis, rows = policy.basis, dict(crowd.rows)
    if isinstance(basis, ConsentColumn):
        words = [basis.granted[n % len(basis.granted)] for n in range(len(crowd.people))]
        answers = np.array(words, dtype=object)
        refused = [None, next(w for w in ("no", "refused", "declined") if w not in basis.granted)]
        for n, place in enumerate(range(len(answers) - crowd.against, len(answers))):
            answers[place] = refused[n % 2]
        rows[basis.column] = answers
    elif isinstance(basis, ConsentLedger) and (minors := basis.minors):
        if minors.column not in rows:
            rows[minors.column] = _ages(minors, len(crowd.people), draw)
        elif minors.age:
            rows[minors.column] = _in_whole_years(rows[minors.column])
    return rows


def _in_whole_years(ages: Texts) -> Texts:
    """Write ages as the legal basis reads them."""
    years = [None if age is None else str(int(float(age))) for age in ages.tolist()]
    return np.array(years, dtype=object)


def _ages(minors: Minors, count: int, draw: Draw) -> Texts:
    """Draw ages, or birth dates, of whom one in ten is too young to consent alone."""
    young = draw.random(count) < 0.1
    low = minors.own_consent_from
    years = np.where(young, draw.uniform(0.5, low - 0.5, count), draw.uniform(low + 1, 85, count))
    if minors.age:
        return np.array([str(int(age)) for age in years], dtype=object)
    today = datetime.now(UTC).date()
    born = [today - timedelta(days=int(age * YEAR)) for age in years]
    return np.array([day.isoformat() for day in born], dtype=object)


def choose_notice(policy: Policy) -> Notice | None:
    """Give the declared notice under which a consent covers most of what the policy reads."""
    basis = policy.basis
    assert isinstance(basis, ConsentLedger)
    needed = set(policy.categories)
    fitting = [
        notice
        for notice in basis.notices
        if enumerates(notice.terms, policy.purpose)
        and notice.version >= basis.minimum_versions.get(notice.id, 0)
    ]
    return max(fitting, key=lambda n: (len(needed & set(n.categories)), n.version), default=None)


def make_notice(policy: Policy) -> Notice:
    """Make up a notice that enumerates the purpose and all that is read."""
    return Notice(id="made-up notice", purposes=(policy.purpose,), categories=policy.categories)


def make_events(crowd: Crowd, notice: Notice, policy: Policy) -> pa.Table:
    """Make up the consent events of everybody, as text, under our own names of the fields."""
    assert isinstance(policy.basis, ConsentLedger)
    guarded = _guarded(crowd.rows, policy.basis.minors)
    agreeing, others = crowd.names
    told = [*_tell(agreeing, cycle([(ConsentStatus.GIVEN,)])), *_tell(others, cycle(STORIES))]
    span = min(DAYS, policy.basis.maximum_age_days or DAYS)
    at = _moments(span)
    places = {person: place for place, person in enumerate(crowd.people.tolist())}
    rows = [
        {
            **_say(status, notice, policy),
            EventField.PERSON: person,
            EventField.AT: at[turn],
            EventField.GUARDIAN: f"guardian of {person}" if guarded[places[person]] else None,
        }
        for person, turn, status in told
    ]
    schema = pa.schema([(str(field), pa.string()) for field in FIELDS])
    return pa.Table.from_pylist([{str(f): row.get(f) for f in FIELDS} for row in rows], schema)


FIELDS: Final = (
    *(EventField.PERSON, EventField.STATUS, EventField.AT, EventField.PURPOSE),
    *(EventField.NOTICE, EventField.NOTICE_VERSION, EventField.LANGUAGE),
    *(EventField.INDICATION, EventField.GUARDIAN),
)


def _tell(
    people: Sequence[str], stories: Iterator[tuple[ConsentStatus, ...]]
) -> Iterator[tuple[str, int, ConsentStatus]]:
    """Give each person's events in their order."""
    for person, story in zip(people, stories, strict=False):
        yield from ((person, turn, status) for turn, status in enumerate(story))


def _moments(days: int) -> tuple[str, str]:
    """Say when people answered, and when some of them thought again."""
    now = datetime.now(UTC)
    first = now - timedelta(hours=12 * days)
    return first.isoformat(timespec="seconds"), (now - timedelta(hours=6 * days)).isoformat(
        timespec="seconds"
    )


def _say(status: ConsentStatus, notice: Notice, policy: Policy) -> dict[EventField, str | None]:
    """Say what somebody answered, and on which notice."""
    said: dict[EventField, str | None] = {
        EventField.STATUS: str(status),
        EventField.PURPOSE: str(policy.purpose),
    }
    if status is ConsentStatus.GIVEN:
        said[EventField.NOTICE] = notice.id
        said[EventField.NOTICE_VERSION] = str(notice.version)
        said[EventField.LANGUAGE] = notice.language
        said[EventField.INDICATION] = str(Indication.EXPLICIT)
    return said


def _guarded(rows: Rows, minors: Minors | None) -> list[bool]:
    """Tell for whom a guardian speaks: who is too young, or about to be old enough, or unknown."""
    if minors is None:
        return [False] * len(next(iter(rows.values())))
    return [_is_young(text, minors) for text in rows[minors.column].tolist()]


def _is_young(text: str | None, minors: Minors) -> bool:
    if text is None:
        return minors.unknown_age == "minor"
    if minors.age:
        return float(text) < minors.own_consent_from + 1
    days = (datetime.now(UTC).date() - date.fromisoformat(text)).days
    return days / YEAR < minors.own_consent_from + 1
