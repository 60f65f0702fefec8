"""Who is who: in which spelling a policy compares identifiers, in every source alike.

And how a further table spells the people of the roster, of which nothing but identifiers is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import roughly
from expectations.errors import Problem, SourceError, suggest
from tasks.sources import open_source
from tasks.sources.fhir.source import FhirSource
from tasks.sources.naming import canonical, is_ascii, spell
from tasks.sources.parquet_files import ParquetSource
from tasks.sources.source import pick_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from expectations.policy.identifiers import Normal, SamePerson
    from expectations.policy.policy import PeopleSource
    from tasks.sources import Source

OTHER: Final = "other"
KEPT: Final = "kept"
BATCH: Final = 1 << 20
"""Rows of which the identifiers are held at a time."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a policy says of identifiers: which spellings, and which of them, are one person's.

    `merged` names in its column `other` an identifier, and in `kept` by which the person goes now.
    """

    normal: tuple[Normal, ...] = ()
    merged: pa.Table | None = None

    @property
    def plain(self) -> bool:
        """Whether each spelling is a person, but for Unicode's forms of one text."""
        return not self.normal and self.merged is None

    def name(self, people: pa.ChunkedArray, place: str) -> pa.ChunkedArray:
        """Give the one name of each person that a column at `place` spells; see `canonical`."""
        names = canonical(people, place, self.normal)
        if self.merged is None:
            return names
        return _rename(names, self.merged.column(OTHER).combine_chunks(), self.merged.column(KEPT))


def identify(source: PeopleSource, folder: Path) -> Identity:
    """Take it from what a policy says of its people; `SourceError` for merged in a circle."""
    said = source.same_person
    return Identity(
        source.normalize, _read_merged(said, folder, source.normalize) if said else None
    )


def _read_merged(said: SamePerson, folder: Path, normal: Sequence[Normal]) -> pa.Table:
    """Read merged identifiers, each with the last of those that it was merged into."""
    read = open_source(said.location, folder).read([said.other, said.kept])
    place = "source.same_person: the column"
    return resolve(pa.table({
        OTHER: canonical(read.column(said.other), f"{place} '{said.other}'", normal),
        KEPT: canonical(read.column(said.kept), f"{place} '{said.kept}'", normal),
    }))  # fmt: skip


def resolve(read: pa.Table) -> pa.Table:
    """Give each `other` once, with the `kept` at the end of its chain; SourceError if none is."""
    itself = pc.fill_null(pc.equal(read.column(OTHER), read.column(KEPT)), False)
    pairs = read.filter(pc.invert(itself)).group_by([OTHER, KEPT], use_threads=False).aggregate([])
    other, kept = pairs.column(OTHER).combine_chunks(), pairs.column(KEPT)
    absent = pc.sum(pc.or_(pc.is_null(other), pc.is_null(kept))).as_py() or 0
    for _ in range(pairs.num_rows.bit_length()):  # each step doubles what is left of a chain
        kept = _rename(kept, other, kept)
    wrong = {
        "name nobody on one side": absent,
        "are merged into several": 0 if absent else pairs.num_rows - len(pc.unique(other)),
        "are merged in a circle": 0 if absent else pc.sum(pc.is_in(kept, other)).as_py() or 0,
    }
    for what, number in wrong.items():
        if number:
            raise SourceError(
                f"source.same_person: {roughly(number)} rows {what}; say of each identifier that "
                "is used no more by which one the person is known now"
            )
    return pa.table({OTHER: other, KEPT: kept})


def _rename(names: pa.ChunkedArray, other: pa.Array, kept: pa.ChunkedArray) -> pa.ChunkedArray:
    """Give the name in `kept` for each that is in `other`."""
    places = pc.index_in(names, other)
    return pc.if_else(pc.is_valid(places), kept.take(places), names)


def find_missing_names(source: PeopleSource, folder: Path) -> Iterator[Problem]:
    """Name the columns that the table of merged identifiers lacks; reads its header alone."""
    if source.same_person is None:
        return
    there = open_source(source.same_person.location, folder).columns()
    for field in (OTHER, KEPT):
        column = getattr(source.same_person, field)
        if column not in there:
            fix = suggest(column, there, f"name one of its {len(there)} columns")
            place = f"source.same_person.{field}"
            yield Problem(place, f"the table has no column `{column}`", fix)


def find_changing_identifier(source: PeopleSource, folder: Path) -> Iterator[Problem]:
    """Refuse to know people by OMOP's `person_id`, which each load may give anew.

    Of the columns that say so, those of concepts, no other model of data has the like.
    """
    if source.person.casefold() != "person_id":
        return
    headers = (
        open_source(location, folder).columns()
        for location in (source.location, *(table.location for table in source.tables.values()))
    )
    if any(name.casefold().endswith("_concept_id") for there in headers for name in there):
        yield Problem(
            "source.person",
            "is OMOP's `person_id`, which may be somebody else's after the next load, and consent "
            "and budgets would go with it",
            "name an identifier that lasts, as `person: person_source_value`, and say `key: "
            "person_id`; if `person` has none, read the people by a query that joins one",
        )


def match_people(
    table: Source, column: str, people: pa.Array, identity: Identity, place: str
) -> tuple[pa.Array, pa.Array]:
    """Give the spellings by which a table names some people, and whose each is, by their place.

    `people` are spelled as the roster does. Where that could differ, the table's identifiers are
    read, of everybody, and nothing else of it.
    """
    if identity.plain and is_ascii(people):
        return people.cast(pa.large_string()), pa.array(range(len(people)), pa.int64())
    place = f"{place}: the column '{column}'"
    spelled = read_names(table, column, place).spelled
    theirs = identity.name(pa.chunked_array([spelled]), place)
    own = identity.name(pa.chunked_array([people]), "source")
    places = pc.index_in(theirs, own.combine_chunks()).combine_chunks()
    theirs = pc.is_valid(places)
    return spelled.filter(theirs), places.filter(theirs).cast(pa.int64())


class Strangers(NamedTuple):
    """Whom a table names beside the people of the roster, and how many rows name nobody."""

    people: int
    nameless: int


def count_strangers(
    table: Source, column: str, people: pa.ChunkedArray, identity: Identity, place: str
) -> Strangers:
    """Count who is named in a table and is none of the people, who are named as on the roster.

    Nothing but identifiers is read. `SourceError` where there are rows and none names anybody.
    """
    place = f"{place}: the column '{column}'"
    read = read_names(table, column, place)
    if read.missing and not len(read.spelled):
        where = f" (from {table.begin()} on)" if isinstance(table, FhirSource) else ""
        raise SourceError(f"{place}: no row names a person{where}; name another column or view")
    named = identity.name(pa.chunked_array([read.spelled]), place)
    own = identity.name(people, "source").combine_chunks()
    theirs = pc.drop_null(pc.unique(named))
    known = int(pc.sum(pc.is_in(theirs, own)).as_py() or 0)
    return Strangers(len(theirs) - known, read.missing)


def _read_distinct(table: Source, column: str) -> tuple[pa.Array | pa.ChunkedArray, int]:
    """Read the different values of a column, of Parquet files a batch at a time.

    And count the rows without one.
    """
    if isinstance(table, FhirSource):
        return table.read_distinct(column)
    if not isinstance(table, ParquetSource):
        held = table.read([column]).column(column)
        return pc.unique(held), held.null_count
    import pyarrow.dataset as ds  # brings pandas: only for who reads

    pick_columns([column], table.columns(), table.location.path)
    found, missing = pa.nulls(0), 0
    for batch in ds.dataset(table.files, format="parquet").to_batches(
        columns=[column], batch_size=BATCH
    ):
        values = batch.column(0)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        missing += values.null_count
        found = pc.unique(pa.concat_arrays([found.cast(values.type), values]))
    return found, missing


class Names(NamedTuple):
    """The identifiers that a table names, once each, and how many of its rows have none."""

    spelled: pa.Array
    missing: int


def read_names(table: Source, column: str, place: str) -> Names:
    """Give the identifiers that a table names, as it spells them."""
    try:
        values, missing = _read_distinct(table, column)
        return Names(pc.drop_null(pc.unique(spell(values))), missing)
    except pa.ArrowException:  # its text may quote a value
        raise SourceError(f"{place}: it must hold text or numbers; name another column") from None
