"""Setting a rehearsal up: a policy whose people and permissions are made up, in a folder to remove.

Only where the people, the events and the objections are is changed in the policy; all else is
carried out as it is written. Nothing of the places that it names is opened.

Permissions are made up in the words of the policy's basis. Most people may be read; where a basis
lets anybody be left out, the others refused, withdrew or were never asked, so that the filter has
somebody to keep out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Final, TypeAlias, assert_never, cast

import numpy as np
import pyarrow as pa

from expectations.coherence.consent import enumerates
from expectations.measures.recognition import find_enough
from expectations.policy.legal_basis import (
    Basis,
    ConsentColumn,
    ConsentLedger,
    EventField,
    Minors,
    Notice,
    OptOutList,
    OtherBasis,
)
from expectations.policy.plain_yaml import Plain, read_yaml
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import ConsentStatus, Indication
from expectations.policy_file import PolicyFile, parse_policy
from tasks.own_code.loading import NO_CODE, OwnCode
from tasks.rehearsal.crowd import Rows, Texts
from tasks.rehearsal.people import make_rows
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
FIELDS: Final = (
    *(EventField.PERSON, EventField.STATUS, EventField.AT, EventField.PURPOSE),
    *(EventField.NOTICE, EventField.NOTICE_VERSION, EventField.LANGUAGE),
    *(EventField.INDICATION, EventField.GUARDIAN),
)
SEED: Final = 27
"""Fixed: on the same day a policy is rehearsed with the same people."""
LEAST: Final = 600
LEAST_TO_TRAIN: Final = 2_000
"""People of a rehearsal at least, and of one that trains a model; more if attacks need them."""
PER_K: Final = 60
"""People for each one that k asks of a class, so that a table can have classes to choose from."""
SPARE: Final = 1.3
"""How many more people there are than the policy's smallest group asks for."""
AGAINST: Final = 0.15
"""How many people may not be read, for each one who may."""
NO_NOTICE: Final = (
    "the policy declares no notice under which a consent to its purpose counts: one was made up, "
    "and a real run would find nobody who consented under a declared one"
)


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
    match basis:
        case ConsentLedger() | ConsentColumn() | OptOutList():
            return True
        case OtherBasis():
            return False


def add_answers(crowd: Crowd, policy: Policy, draw: Draw) -> Rows:
    """Give the rows with the columns that the legal basis reads of everybody."""
    rows = dict(crowd.rows)
    match policy.basis:
        case ConsentColumn(column=column, granted=granted):
            words = [granted[n % len(granted)] for n in range(len(crowd.people))]
            answers = np.array(words, dtype=object)
            refused = [None, next(w for w in ("no", "refused", "declined") if w not in granted)]
            # Who may not be read stands last (`Crowd`); by turns no answer, and a no.
            for n, place in enumerate(range(len(answers) - crowd.against, len(answers))):
                answers[place] = refused[n % 2]
            rows[column] = answers
        case ConsentLedger(minors=Minors() as minors):
            if minors.column not in rows:
                rows[minors.column] = _ages(minors, len(crowd.people), draw)
            elif minors.age:
                rows[minors.column] = _in_whole_years(rows[minors.column])
        case ConsentLedger() | OptOutList() | OtherBasis():
            pass
        case _:
            assert_never(policy.basis)
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


@dataclass(frozen=True)
class Staged:
    """A policy set up for a rehearsal, and how many people were made up for it."""

    file: PolicyFile
    people: int
    notes: tuple[str, ...] = ()


def people_needed(policy: Policy) -> int:
    """Say how many people who may be read a policy's counts ask for."""
    population, k = policy.population, [outlet.k for outlet in policy.table_outlets.values()]
    strata = population.strata
    groups = strata.smallest * 10 if strata and strata.smallest else 0
    least = max(LEAST_TO_TRAIN, find_enough(population.test_share)) if policy.training else LEAST
    asked = SPARE * max(population.smallest, groups) / population.sample
    return round(max(least, asked, PER_K * max(k, default=0)))


def stage(file: PolicyFile, folder: Path, own: Mapping[str, OwnCode] = NO_CODE) -> Staged:
    """Make up people and permissions of a policy in `folder`, and point the policy there.

    Its own code, loaded before, is called on rows that are made up, so that they can be chosen.
    Raises `PolicyError` where no eligible person could be made up.
    """
    import pyarrow.parquet as pq

    policy = file.policy
    permitted = people_needed(policy)
    against = round(AGAINST * permitted) if can_refuse(policy.basis) else 0
    crowd = make_crowd(policy, permitted, against, own)
    rows = add_answers(crowd, policy, np.random.default_rng(SEED))
    table = pa.table({name: pa.array(texts, pa.string()) for name, texts in rows.items()})
    pq.write_table(table, folder / "people.parquet")
    changes, notes = stage_basis(replace(crowd, rows=rows), policy, folder)
    source: dict[str, Plain] = {
        "location": place(folder / "people.parquet"),
        "person": policy.source.person,
    }
    pointed = point(take_rows_as_columns(file), {"source": source, "basis": changes})
    # Nothing is handed over, so that nobody is asked.
    alone = pointed.policy.model_copy(update={"approvals": None})
    pointed = replace(pointed, policy=alone)
    return Staged(pointed, permitted + against, notes)


def take_rows_as_columns(file: PolicyFile) -> PolicyFile:
    """Let a policy read from the roster what it makes of many rows, which are not made up.

    Nor are identifiers that were merged: nothing real is read.
    """
    policy = file.policy
    if not policy.made_of_rows and policy.source.same_person is None:
        return file
    _, plain = read_yaml(file.text, str(file.path))
    assert isinstance(plain, dict)
    source, columns = plain["source"], plain["columns"]
    assert isinstance(source, dict)
    assert isinstance(columns, dict)
    for part in source.keys() - {"location", "person", "normalize"}:
        del source[part]
    for name, column in columns.items():
        if isinstance(column, dict) and column.pop("rows", None) is not None:
            column["from"] = policy.source_name(name)
    return reread(file, plain)


def make_crowd(
    policy: Policy, permitted: int, against: int, own: Mapping[str, OwnCode] = NO_CODE
) -> Crowd:
    """Make up everybody, with a name in the column that names the person."""
    _, rows = make_rows(policy, permitted, SEED, against, own)
    count = permitted + against
    people = rows.get(policy.source.person)
    if people is None:
        people = np.array([f"M-{100_001 + n}" for n in range(count)], dtype=object)
    return Crowd({**rows, policy.source.person: people}, people, against)


def stage_basis(
    crowd: Crowd, policy: Policy, folder: Path
) -> tuple[dict[str, Plain], tuple[str, ...]]:
    """Write what a basis reads beside the people; give what changes in it, and what to tell."""
    import pyarrow.parquet as pq

    match policy.basis:
        case ConsentLedger() as basis:
            notice = choose_notice(policy) or make_notice(policy)
            declared = notice in basis.notices
            pq.write_table(make_events(crowd, notice, policy), folder / "events.parquet")
            changes: dict[str, Plain] = {"events": [{"location": place(folder / "events.parquet")}]}
            if declared:
                return changes, ()
            notices = [one.model_dump(mode="json") for one in (*basis.notices, notice)]
            return {**changes, "notices": cast("Plain", notices)}, (NO_NOTICE,)
        case OptOutList(person=column):
            listed = pa.table({column: pa.array(crowd.names[1], pa.string())})
            pq.write_table(listed, folder / "objections.parquet")
            return {"objections": place(folder / "objections.parquet")}, ()
        case ConsentColumn() | OtherBasis():
            return {}, ()


def place(path: Path) -> dict[str, Plain]:
    """Name a file as a policy does."""
    return {"kind": "parquet", "path": str(path)}


def point(file: PolicyFile, changes: dict[str, dict[str, Plain]]) -> PolicyFile:
    """Change some parts of a policy's text, and read it again from where it stands."""
    _, plain = read_yaml(file.text, str(file.path))
    assert isinstance(plain, dict)
    for part, changed in changes.items():
        before = plain[part]
        assert isinstance(before, dict)
        plain[part] = {**before, **changed}
    return reread(file, plain)


def reread(file: PolicyFile, plain: Plain) -> PolicyFile:
    """Read a policy again from changed values, where it stands."""
    text = json.dumps(plain, indent=1, ensure_ascii=False)  # JSON is YAML, quoted as it must be
    return replace(file, policy=parse_policy(text, str(file.path), file.folder), text=text)
