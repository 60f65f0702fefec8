"""Reading people: first the roster, then the named columns of the permitted people, no more.

The roster is the identifier of everybody (and a declared consent column); nothing else is parsed
until it is known who may be read. A column that the policy does not name is never asked for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import Count, roughly
from expectations.errors import PolicyError, Problem, SourceError
from expectations.policy import ConsentColumn, Policy
from expectations.policy_file import PolicyFile, locate
from ledgers.stages import Collected, Permitted, Roster
from tasks.anonymization.tokens import key_people
from tasks.run import Desk
from tasks.sources import Source, open_source
from tasks.sources.conversion import convert
from tasks.sources.naming import spell
from tasks.step import Opened, step

PERSON: Final = "_person"
RECORD: Final = "_record"
DRAW: Final = "_draw"
ANSWER: Final = "_answer"


def canonical(people: pa.ChunkedArray, place: str) -> pa.ChunkedArray:
    """Give identifiers as they are compared: numbers in one spelling, Unicode NFC, blank missing.

    Raises `SourceError` where the column at `place` holds what cannot be spelled.
    """
    try:
        names = spell(people)
    except pa.ArrowException:  # its text may quote a value
        raise SourceError(f"{place}: it must hold text or numbers; name another column") from None
    if not pc.all(pc.string_is_ascii(names)).as_py():
        # Not by pyarrow, whose utf8_normalize decomposes whatever form it is asked for (25.0).
        composed = [name and unicodedata.normalize("NFC", name) for name in names.to_pylist()]
        names = pa.chunked_array([pa.array(composed, pa.large_string())])
    blank = pc.or_(pc.equal(names, ""), pc.utf8_is_space(names))
    return pc.if_else(blank, None, names)


def make_roster(people: pa.ChunkedArray, key: bytes, column: str) -> pa.Table:
    """Key everybody named by `people`; SourceError where someone is missing or named twice."""
    names = canonical(people, f"source: the column '{column}'")
    absent = names.null_count
    repeated = len(names) - absent - pc.count_distinct(names, mode="only_valid").as_py()
    broken = [
        f"{text} in {roughly(number)} rows"
        for text, number in (("it is missing", absent), ("it repeats another row's", repeated))
        if number
    ]
    if len(people) == 0:
        broken.append("there is no row")
    if broken:
        raise SourceError(
            f"source: the column '{column}' must name each person once, but "
            f"{' and '.join(broken)}; give one row per person, or name another column"
        )
    record, draw = key_people(names, key)
    return pa.table({PERSON: spell(people), RECORD: record, DRAW: draw})


def count_people(table: pa.Table) -> Count:
    """Count the people of a table that holds their record keys."""
    keys = table.column(RECORD).to_numpy()
    return Count(table.num_rows, int(np.sum(keys, dtype=np.uint64)))


def missing_columns(policy: Policy, there: Sequence[str]) -> list[Problem]:
    """Name the columns that the policy reads and the source lacks."""
    import difflib

    wanted = {
        f"columns.{name}{'.from' if column.source else ''}": policy.source_name(name)
        for name, column in policy.columns.items()
    }
    wanted["source.person"] = policy.source.person
    if isinstance(policy.basis, ConsentColumn):
        wanted["basis.column"] = policy.basis.column
    problems = []
    for path, name in wanted.items():
        if name not in there:
            near = difflib.get_close_matches(name, there, 1)
            fix = f"did you mean `{near[0]}`?" if near else f"name one of its {len(there)} columns"
            if len(there) == 1:
                fix = "its header is one column: is `separator` the file's own?"
            problems.append(Problem(path, f"the source has no column `{name}`", fix))
    return problems


def collect_columns(source: Source, policy: Policy, people: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Read the named columns of the given people, under the policy's names and types.

    The person's identifier comes first, as `PERSON`; rows keep the source's order.
    """
    person, named = policy.source.person, list(policy.columns)
    wanted = list(dict.fromkeys([person, *(policy.source_name(name) for name in named)]))
    read = source.read(wanted, where=(person, people))
    columns: Mapping[str, pa.ChunkedArray] = {
        name: read.column(policy.source_name(name)) for name in named
    }
    types = {name: column.type for name, column in policy.columns.items()}
    converted = convert(pa.table(columns), types)
    return converted.add_column(0, PERSON, spell(read.column(person)))


def attach_keys(collected: pa.Table, permitted: pa.Table) -> pa.Table:
    """Put each person's keys beside their row; SourceError if the source changed meanwhile."""
    places = pc.index_in(collected.column(PERSON), permitted.column(PERSON))
    if not len(places) == permitted.num_rows == pc.count_distinct(places).as_py():
        raise SourceError(
            "source: the people changed between the reading of the roster and of the columns; "
            "run again when nothing writes to it"
        )
    for name in (RECORD, DRAW):
        collected = collected.append_column(name, permitted.column(name).take(places))
    return collected


def people_source(file: PolicyFile) -> Source:
    """Open the source of people that a policy names."""
    return open_source(file.policy.source.location, file.folder)


def read_people(file: PolicyFile, key: bytes) -> pa.Table:
    """Read and key everybody: the identifier, and a declared consent column; nothing else."""
    policy = file.policy
    asked = [policy.source.person]
    if isinstance(policy.basis, ConsentColumn):
        asked.append(policy.basis.column)
    read = people_source(file).read(list(dict.fromkeys(asked)))
    roster = make_roster(read.column(policy.source.person), key, policy.source.person)
    if isinstance(policy.basis, ConsentColumn):
        roster = roster.append_column(ANSWER, spell(read.column(policy.basis.column)))
    return roster


@step("Read the roster", gives=Roster)
def read_roster(desk: Desk) -> pa.Table:
    """Read who is there: the identifier of everybody, and a declared consent column."""
    there = people_source(desk.run.file).columns()
    problems = missing_columns(desk.policy, there)
    if problems:
        raise PolicyError(desk.run.file.path.name, locate(desk.run.file, problems))
    roster = read_people(desk.run.file, desk.key("person"))
    desk.measure("columns.there", len(there))
    desk.measure("columns.named", len(desk.policy.columns))
    desk.count("people.roster", count_people(roster))
    return roster


@step("Collect the named columns", gives=Collected)
def collect(desk: Desk, permitted: Opened[Permitted]) -> pa.Table:
    """Read the columns that the policy names, of the people who may be read."""
    people = permitted.table()
    collected = collect_columns(people_source(desk.run.file), desk.policy, people.column(PERSON))
    return attach_keys(collected, people)
