"""Who is who: in which spelling a policy compares identifiers, in every source alike.

And how a further table spells the people of the roster, of which nothing but identifiers is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import SourceError
from tasks.sources.naming import canonical, is_ascii, spell

if TYPE_CHECKING:
    from expectations.policy.identifiers import Normal
    from expectations.policy.policy import PeopleSource
    from tasks.sources import Source


@dataclass(frozen=True, slots=True)
class Identity:
    """What a policy says of identifiers: which spellings name the same person."""

    normal: tuple[Normal, ...] = ()

    @classmethod
    def of(cls, source: PeopleSource) -> Identity:
        """Take it from what a policy says of its people."""
        return cls(source.normalize)

    @property
    def plain(self) -> bool:
        """Whether each spelling is a person, but for Unicode's forms of one text."""
        return not self.normal

    def name(self, people: pa.ChunkedArray, place: str) -> pa.ChunkedArray:
        """Give the one name of each person that a column at `place` spells; see `canonical`."""
        return canonical(people, place, self.normal)


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
    spelled = read_names(table, column, place)
    theirs = identity.name(pa.chunked_array([spelled]), place)
    own = identity.name(pa.chunked_array([people]), "source")
    places = pc.index_in(theirs, own.combine_chunks()).combine_chunks()
    theirs = pc.is_valid(places)
    return spelled.filter(theirs), places.filter(theirs).cast(pa.int64())


def read_names(table: Source, column: str, place: str) -> pa.Array:
    """Give the identifiers that a table names, once each, as it spells them."""
    try:
        return pc.drop_null(pc.unique(spell(table.read([column]).column(column))))
    except pa.ArrowException:  # its text may quote a value
        raise SourceError(f"{place}: it must hold text or numbers; name another column") from None
