"""The data sets of a run as a view lists them: tables that it read, and what each step gave.

Pure, and names only: of a table its name without login or folder, of columns their names. Rows are
said where a count of these people is published anyway; the number of anything else is not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from expectations.policy.legal_basis import ConsentLedger, OptOutList
from expectations.policy.locations import InMemory, Location, name_location
from expectations.policy.policy import Policy
from ledgers.evidence import Entry
from tasks.account.findings import Found
from tasks.account.published import DataSet

ROWS: Final = {
    "roster": "people.roster",
    "permitted": "people.permitted",
    "charged": "people.permitted",
    "selected": "people.selected",
    "deidentified": "people.selected",
    "validated": "people.selected",
    "compared": "people.selected",
    "weighted": "people.selected",
}
"""Which published count is that of a stage's rows, one a person."""
OF_TABLES: Final = ("generalized", "checked", "approved")
"""The stages of an outlet's table, of which the people released are told."""
ROSTER: Final = "read_roster"
COLLECTED: Final = "collect"


@dataclass(frozen=True, slots=True)
class SourceRead:
    """A table that a run read: what it is for in the policy, where it is, and who read it."""

    role: str
    """`people`, the policy's name of a further table, `consent events` or `objections`."""
    location: str
    kind: str
    digest: str
    """Keyed, of this run: of what was made of the table first."""
    digest_of: str
    """The step that made it."""
    columns: tuple[str, ...]
    """The table's own names of the columns that the policy asks for."""
    rows: str | None


@dataclass(frozen=True, slots=True)
class StepData:
    """What a step gave: which data sets it was made of, and how many people it holds."""

    name: str
    stage: str
    digest: str
    columns: tuple[str, ...]
    parents: tuple[str, ...]
    rows: str | None


def list_sources(policy: Policy, entries: Sequence[Entry]) -> Iterator[SourceRead]:
    """Give the tables that were read, in the order of reading; none that was not reached."""
    found = Found(entries)
    roster, collected = found.body("dataset", ROSTER), found.body("dataset", COLLECTED)
    if roster:
        count = found.figure("people.roster", "")
        columns = (policy.source.person, *name_read(policy, None))
        rows = count.text if count else None
        yield _read("people", policy.source.location, roster["digest"], ROSTER, columns, rows)
    history = found.body("snapshot", "history")
    if history and isinstance(policy.basis, ConsentLedger):
        for one in policy.basis.events:
            digest, columns = history["digest"], tuple(one.columns.values())
            yield _read("consent events", one.location, digest, "filter_consent", columns, None)
    if (permitted := found.body("dataset", "filter_consent")) and isinstance(
        policy.basis, OptOutList
    ):
        columns, place = (policy.basis.person,), policy.basis.objections
        yield _read("objections", place, permitted["digest"], "filter_consent", columns, None)
    for name, table in policy.source.tables.items() if collected else ():
        columns = name_read(policy, name)
        yield _read(name, table.location, collected["digest"], COLLECTED, columns, None)


def _read(  # noqa: PLR0913, PLR0917 - each is a fact of the table
    role: str,
    location: Location | InMemory,
    digest: object,
    digest_of: str,
    columns: tuple[str, ...],
    rows: str | None,
) -> SourceRead:
    named = name_location(location)
    return SourceRead(role, named, location.kind, str(digest), digest_of, columns, rows)


def name_read(policy: Policy, table: str | None) -> tuple[str, ...]:
    """Name what is read of the people's table, or of a further one, by the table's own names."""
    if table is None:
        own = [c.source or name for name, c in policy.columns.items() if c.rows is None]
        return tuple(dict.fromkeys(own))
    further = policy.source.tables[table]
    fields = [field.source or name for name, field in further.fields.items()]
    moments = [one for one in (further.at, further.known_at, further.until) if one]
    return tuple(dict.fromkeys((further.person or policy.source.person, *moments, *fields)))


def list_steps(entries: Sequence[Entry]) -> Iterator[StepData]:
    """Give what each step gave, in order."""
    found = Found(entries)
    for name in found.bodies("dataset"):
        body = found.body("dataset", name)
        data = DataSet(
            name, str(body["stage"]), str(body["digest"]),
            _texts(body["columns"]), _texts(body.get("parents")),
        )  # fmt: skip
        rows = _count_rows(found, data)
        yield StepData(name, data.stage, data.digest, data.columns, data.parents, rows)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _count_rows(found: Found, data: DataSet) -> str | None:
    """Give the published count of a data set's people; None of what has no rows, or none told."""
    outlet = data.step.partition(".")[2]
    known = ROWS.get(data.stage)
    if data.stage in OF_TABLES and data.columns:
        known = f"people.{outlet}.released"
    figure = found.figure(known, "") if known else None
    return figure.text if figure else None
