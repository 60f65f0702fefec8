"""Reading people: first the roster, then the named columns of the permitted people, no more.

The roster is the identifier of everybody (and the column that a legal basis asks for); nothing
else is parsed until it is known who may be read. A column that the policy does not name is never
asked for, and neither is a person's value of a category that this person kept back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.disclosure import Count, roughly
from expectations.errors import PolicyError, Problem, SourceError, suggest
from expectations.expressions.expressions import ColumnType
from expectations.policy.legal_basis import (
    Basis,
    ConsentColumn,
    ConsentLedger,
    Minors,
    OptOutList,
    OtherBasis,
)
from expectations.policy.locations import FhirExport, Location
from expectations.policy.policy import Policy
from expectations.policy.treatments import Redact
from expectations.policy_file import PolicyFile, locate
from ledgers.vault.stages import Collected, Permitted, Roster
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.people.person_keys import key_people
from tasks.sources import Source, open_source
from tasks.sources.aggregates import conditions, fields
from tasks.sources.concept_sets import describe_concept_sets, find_faults_of_concepts
from tasks.sources.conversion import convert, fit
from tasks.sources.fhir.source import FhirSource
from tasks.sources.identity import (
    Identity,
    Strangers,
    count_strangers,
    find_changing_identifier,
    find_missing_names,
    identify,
)
from tasks.sources.naming import canonical, spell
from tasks.sources.people_tables import PeopleTables, find_missing_fields, find_mixed_units
from tasks.sources.table_rows import list_columns, list_read

PERSON: Final = "_person"
RECORD: Final = "_record"
DRAW: Final = "_draw"
SAMPLE: Final = "_sample"
TOKEN: Final = ("token_high", "token_low")
ANSWER: Final = "_answer"
BORN: Final = "_born"
AGE: Final = "_age"
KEY: Final = "_key"
"""By which further tables name a person, where that is not by the identifier."""
CATEGORIES: Final = "_categories"
"""Whose bit i is set where the i-th of `Policy.categories` may be read of the person."""
STRANGERS: Final = "people.strangers."
NAMELESS: Final = "rows.nameless."
NOTHING: Final = pa.nulls(0)
PLAIN: Final = Identity()
BASIS_TYPES: Final = {
    ANSWER: ColumnType.TEXT,
    BORN: ColumnType.DATE,
    AGE: ColumnType.INTEGER,
}


def make_roster(
    people: pa.ChunkedArray, key: bytes, column: str, identity: Identity = PLAIN
) -> pa.Table:
    """Key everybody named by `people`; SourceError where someone is missing or named twice.

    Who is named in two spellings that `identity` makes one is named twice.
    """
    names = identity.name(people, f"source: the column '{column}'")
    absent, repeated = names.null_count, count_repeated(names)
    # Where rows are alike as they are written, other spellings are not the reason.
    spelled = bool(repeated) and not identity.plain and count_repeated(spell(people)) < repeated
    after = ", by `source.normalize` or `source.same_person`" if spelled else ""
    doubled = f"it repeats another row's{after}"
    broken = [
        f"{text} in {roughly(number)} rows"
        for text, number in (("it is missing", absent), (doubled, repeated))
        if number
    ]
    if len(people) == 0:
        broken.append("there is no row")
    if broken:
        raise SourceError(
            f"source: the column '{column}' must name each person once, but "
            f"{' and '.join(broken)}; give one row per person, or name another column"
        )
    keys = key_people(names, key)
    numbers = {RECORD: keys.record, DRAW: keys.draw, SAMPLE: keys.sample}
    token = dict(zip(TOKEN, keys.token.T, strict=True))
    return pa.table({PERSON: spell(people), **numbers, **token})


def count_repeated(names: pa.ChunkedArray) -> int:
    """Say how many rows name somebody whom an earlier one names."""
    known = len(names) - names.null_count
    return int(known - pc.count_distinct(names, mode="only_valid").as_py())


def basis_columns(basis: Basis) -> dict[str, tuple[str, str]]:
    """Name what a basis asks of everybody beside the identifier, by its name on the roster.

    Each with its path under `basis` and the source's own name.
    """
    match basis:
        case ConsentColumn(column=answer):
            return {ANSWER: ("column", answer)}
        case ConsentLedger(minors=Minors(born=str(born))):
            return {BORN: ("minors.born", born)}
        case ConsentLedger(minors=Minors(age=str(age))):
            return {AGE: ("minors.age", age)}
        case ConsentLedger() | OptOutList() | OtherBasis():
            return {}


def find_missing(file: PolicyFile, there: Sequence[str]) -> list[Problem]:
    """Name the columns that the policy reads and its tables lack; `there` are the source's."""
    further = find_missing_fields(file.policy.source, file.folder)
    merged = find_missing_names(file.policy.source, file.folder)
    named = find_changing_identifier(file.policy.source, file.folder)
    units = find_mixed_units(file.policy.source, file.folder)
    found = [*missing_columns(file.policy, there), *further, *merged, *named, *units]
    return found or [*find_faults_of_concepts(file.policy.source, file.folder)]


def count_unread(policy: Policy, there: Sequence[str]) -> int:
    """Count the columns of the people's table that nothing in the policy asks for."""
    return len({*there} - list_asked(policy))


def list_asked(policy: Policy) -> set[str]:
    """Name the columns that are asked of the people's table, with those that are made of rows."""
    source = policy.source
    moments = {one.column for one in (source.index, source.followed_until) if one and one.column}
    basis = {column for _, column in basis_columns(policy.basis).values()}
    return {source.person, source.joined_by, *moments, *basis,
            *map(policy.source_name, policy.columns)}  # fmt: skip


def list_asked_of_rows(policy: Policy, name: str) -> tuple[str, ...]:
    """Name the columns that are asked of a further table."""
    source, index = policy.source, policy.source.index
    table = source.tables[name]
    asked = {n: take for n, take in policy.made_of_rows.items() if take.of == name}
    met = [index.where] if index and index.first == name and index.where else []
    used = list_read(source, table, [*conditions(asked), *met], fields(asked))
    return list_columns(table.person or source.joined_by, table, used)


def missing_columns(policy: Policy, there: Sequence[str]) -> list[Problem]:
    """Name the columns that the policy reads and the source lacks."""
    wanted = {
        f"columns.{name}{'.from' if column.source else ''}": policy.source_name(name)
        for name, column in policy.columns.items()
    }
    wanted["source.person"] = policy.source.person
    wanted |= {f"basis.{path}": column for path, column in basis_columns(policy.basis).values()}
    problems = []
    for path, name in wanted.items():
        if name not in there:
            fix = suggest(name, there, f"name one of its {len(there)} columns")
            if len(there) == 1:
                fix = "its header is one column: is `separator` the file's own?"
            problems.append(Problem(path, f"the source has no column `{name}`", fix))
    return problems


def coverage(policy: Policy, columns: Collection[str]) -> int:
    """Give the categories of some columns as bits, which must all be set for them to be read.

    Free text needs those of the identifiers that are searched for in it too: who keeps these back
    could not have their own name taken out of their text.
    """
    treatments = [policy.columns[name].treatment for name in columns]
    known = [name for t in treatments if isinstance(t, Redact) for name in t.known]
    categories = {policy.columns[name].category for name in (*columns, *known)}
    places = policy.categories
    return sum(1 << places.index(category) for category in categories)


def covers(people: pa.Table, needed: int) -> NDArray[np.bool_]:
    """Tell of whom all the needed categories may be read; `needed` is what `coverage` gives."""
    held = people.column(CATEGORIES).to_numpy()
    covered: NDArray[np.bool_] = (held & np.uint32(needed)) == needed
    return covered


def plan_reads(policy: Policy, people: pa.Table) -> Iterator[tuple[list[str], pa.Table]]:
    """Say which columns are read of whom: each column once, of just those who cover it.

    First comes what is read of everybody, if only the identifier. Nothing is read of nobody.
    """
    sets = tuple(pc.unique(people.column(CATEGORIES)).to_pylist())
    together: dict[tuple[int, ...], list[str]] = {sets: []}
    for name in policy.columns:
        needed = coverage(policy, [name])
        covering = tuple(held for held in sets if held & needed == needed)
        together.setdefault(covering, []).append(name)
    yield together.pop(sets), people
    for covering, names in together.items():
        whose = pc.is_in(people.column(CATEGORIES), pa.array(covering, pa.uint32()))
        yield names, people.filter(whose)


def read_columns(source: Source, policy: Policy, names: list[str], people: pa.Table) -> pa.Table:
    """Read some columns of some people under the policy's names, the identifier first.

    Of nobody nothing is asked for, and the columns are empty.
    """
    if people.num_rows == 0:
        return pa.table({PERSON: pa.array([], pa.large_string()), **dict.fromkeys(names, NOTHING)})
    person = policy.source.person
    wanted = list(dict.fromkeys([person, *map(policy.source_name, names)]))
    read = source.read(wanted, where=(person, people.column(PERSON)))
    columns = {name: read.column(policy.source_name(name)) for name in names}
    return pa.table({PERSON: spell(read.column(person)), **columns})


def collect_columns(
    source: Source, policy: Policy, people: pa.Table, identity: Identity = PLAIN
) -> pa.Table:
    """Read the named columns of the given people, under the policy's names and types.

    `people` holds `PERSON` and `CATEGORIES`. The person's identifier comes first, as `PERSON`;
    rows keep the source's order. What a person keeps back is missing, and was not asked for.
    Raises `SourceError` where values do not fit their types, or people came or went meanwhile.
    """
    types = {name: column.type for name, column in policy.columns.items()}
    # Handed on and held by nobody here, so that `convert` has no column twice.
    found = convert(read_named(source, policy, people), {PERSON: ColumnType.TEXT, **types})
    for name in () if identity.plain else types:
        if policy.source_name(name) == policy.source.person and types[name] is ColumnType.TEXT:
            # Or one person would leave as several tokens.
            place = found.column_names.index(name)
            named = identity.name(found.column(name), f"columns.{name}")
            found = found.set_column(place, name, named)
    return found


def read_named(source: Source, policy: Policy, people: pa.Table) -> pa.Table:
    """Read them in the source's own types; `SourceError` where people came or went meanwhile."""
    (names, everybody), *others = plan_reads(policy, people)
    read = read_columns(source, policy, names, everybody)
    columns = {PERSON: read.column(PERSON), **{name: read.column(name) for name in names}}
    for names, some in others:
        part = read_columns(source, policy, names, some)
        places = pc.index_in(read.column(PERSON), part.column(PERSON))
        if not some.num_rows == part.num_rows == len(places) - places.null_count:
            raise changed_meanwhile()
        columns |= {name: take_rows(part.column(name), places) for name in names}
    return pa.table(columns)


def take_rows(column: pa.ChunkedArray, places: pa.ChunkedArray) -> pa.ChunkedArray:
    """Take values by their places; a missing place gives a missing value."""
    if pa.types.is_string(column.type):  # pyarrow takes no more than 2 GiB of such text (25.0)
        column = column.cast(pa.large_string())
    return column.take(places)


def changed_meanwhile() -> SourceError:
    """Say that somebody came or went between two readings of the source."""
    return SourceError(
        "source: the people changed between the reading of the roster and of the columns; "
        "run again when nothing writes to it"
    )


def attach_keys(collected: pa.Table, permitted: pa.Table) -> pa.Table:
    """Put what is known of each person beside their row; SourceError if the source changed."""
    places = pc.index_in(collected.column(PERSON), permitted.column(PERSON))
    if not len(places) == permitted.num_rows == pc.count_distinct(places).as_py():
        raise changed_meanwhile()
    for name in (RECORD, DRAW, SAMPLE, CATEGORIES):
        collected = collected.append_column(name, permitted.column(name).take(places))
    return collected


def people_source(file: PolicyFile, lot: bytes = b"") -> Source:
    """Open the source of people that a policy names: one table, or several as one.

    `lot` is the key of draws among rows of one moment, for who reads columns made of them.
    """
    source, made = file.policy.source, file.policy.made_of_rows
    if made:
        return PeopleTables(source, made, file.folder, lot)
    return open_source(source.location, file.folder)


def read_people(file: PolicyFile, key: bytes) -> pa.Table:
    """Read and key everybody: the identifier, and what the basis asks for; nothing else.

    An answer, birth date or age that cannot be read is missing.
    """
    person, asked = file.policy.source.person, basis_columns(file.policy.basis)
    joined = file.policy.source.key
    wanted = [person, *([joined] if joined else []), *(column for _, column in asked.values())]
    read = people_source(file).read(list(dict.fromkeys(wanted)))
    roster = make_roster(
        read.column(person), key, person, identify(file.policy.source, file.folder)
    )
    if joined:
        roster = roster.append_column(KEY, spell_keys(read.column(joined), joined))
    for name, (_, column) in asked.items():
        roster = roster.append_column(name, fit(read.column(column), BASIS_TYPES[name]))
    return roster


def spell_keys(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Give the keys by which further tables name people; each is one person's, or SourceError."""
    place = f"source.key: the column '{name}'"
    keys = canonical(column, place)
    repeated = len(keys) - pc.count_distinct(keys, mode="only_valid").as_py() - keys.null_count
    for number, what in ((keys.null_count, "is missing"), (repeated, "repeats another row's")):
        if number:
            raise SourceError(
                f"{place} {what} in {roughly(number)} rows, so that it does not say whose rows are "
                "whose; give each person one key, or name another column"
            )
    return keys


def find_strangers(file: PolicyFile, roster: pa.Table) -> Iterator[tuple[str, Strangers]]:
    """Count by further table whom it names and the roster does not, by identifiers alone."""
    source = file.policy.source
    identity = PLAIN if source.key else identify(source, file.folder)
    for name, table in source.tables.items():
        opened = open_source(table.location, file.folder)
        person = table.person or source.joined_by
        people = roster.column(KEY if source.key else PERSON)
        place = f"source.tables.{name}"
        yield name, count_strangers(opened, person, people, identity, place)


def find_elements(file: PolicyFile) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name which elements of which resources are read of each export, by its place."""
    source, policy = file.policy.source, file.policy
    places: dict[str, tuple[Location, Iterable[str]]] = {
        "source": (source.location, list_asked(policy))
    }
    for name, table in source.tables.items():
        if isinstance(table.location, FhirExport):
            asked = list_asked_of_rows(policy, name)
            places[f"source.tables.{name}"] = (table.location, asked)
    if (same := source.same_person) is not None:
        places["source.same_person"] = (same.location, (same.other, same.kept))
    for place, (location, columns) in places.items():
        if isinstance(location, FhirExport):
            yield place, FhirSource(location, file.folder).narrow(columns).elements


@step("Read the roster", gives=Roster)
def read_roster(desk: Desk) -> pa.Table:
    """Read everybody's identifier, and what the legal basis needs."""
    there = people_source(desk.run.file).columns()
    problems = find_missing(desk.run.file, there)
    if problems:
        raise PolicyError(desk.run.file.path.name, locate(desk.run.file, problems))
    roster = read_people(desk.run.file, desk.key("person"))
    desk.measure("columns.there", len(there))
    desk.measure("columns.named", len(desk.policy.columns))
    desk.measure("columns.unread", count_unread(desk.policy, there))
    desk.count("people.roster", Count(roster.num_rows))
    for name, elements in find_elements(desk.run.file):
        desk.note("elements", name, [*elements])
    for name, found in find_strangers(desk.run.file, roster):
        desk.count(f"{STRANGERS}{name}", Count(found.people))
        desk.count(f"{NAMELESS}{name}", Count(found.nameless))
    return roster


def count_blanked(desk: Desk, people: pa.Table) -> None:
    """Count who kept back each category, where the policy reads them without it."""
    basis = desk.policy.basis
    if isinstance(basis, ConsentLedger) and basis.on_partial == "blank":
        for place, category in enumerate(desk.policy.categories):
            blanked = people.filter(pa.array(~covers(people, 1 << place)))
            desk.count(f"people.blanked.{category}", Count(blanked.num_rows))


@step("Collect the named columns", gives=Collected)
def collect(desk: Desk, permitted: Opened[Permitted]) -> pa.Table:
    """Read the policy's columns, only for permitted people."""
    people = permitted.table()
    count_blanked(desk, people)
    source = people_source(desk.run.file, desk.key("rows"))
    identity = identify(desk.policy.source, desk.run.file.folder)
    collected = collect_columns(source, desk.policy, people, identity)
    if isinstance(source, PeopleTables):
        for name, number in source.told.items():
            desk.count(name, Count(number))
        for name, codes in describe_concept_sets(source.resolved):
            desk.note("table", f"codes.{name}", {**codes})
    return attach_keys(collected, people)
