"""Concept sets of OMOP as lists of codes: what is named, below it and mapped to it, looked up.

The vocabulary holds no data about people. As ATLAS does, what an excluded line brings in is taken
out at last, whatever else brings it in. That a concept is valid still is not asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from expectations.errors import Problem, SourceError
from expectations.policy.locations import Location
from expectations.policy.many_rows import CodeList, Concept, Vocabulary
from expectations.policy.policy import PeopleSource
from tasks.sources import open_source
from tasks.sources.naming import spell

if TYPE_CHECKING:
    from ledgers.evidence import JSON

ANCESTOR: Final = ("ancestor_concept_id", "descendant_concept_id")
RELATIONSHIP: Final = ("concept_id_2", "concept_id_1", "relationship_id")
MAPS_TO: Final = "Maps to"


@dataclass(frozen=True)
class ConceptTables:
    """The tables of a vocabulary, at a policy's folder; a missing one is refused where needed."""

    vocabulary: Vocabulary | None
    folder: Path

    def resolve(self, concepts: Iterable[Concept]) -> tuple[str, ...]:
        """Give the codes that a concept set stands for, in the order of their text.

        `SourceError` where a table is needed that the policy does not name.
        """
        found: dict[bool, set[str]] = {True: set(), False: set()}
        concepts = tuple(concepts)
        for excluded, mapped in product((False, True), repeat=2):
            told = [c for c in concepts if (c.excluded, c.mapped) == (excluded, mapped)]
            some = self._with_descendants(told)
            found[excluded] |= some | (self._mapped_to(some) if mapped and some else set())
        return tuple(sorted(found[False] - found[True]))

    def _with_descendants(self, concepts: Iterable[Concept]) -> set[str]:
        alone = {str(concept.id) for concept in concepts}
        above = [str(concept.id) for concept in concepts if concept.descendants]
        if not above:
            return alone
        location = self.vocabulary.ancestors if self.vocabulary else None
        return alone | self._look_up(location, "ancestors", "descendants", ANCESTOR, above)

    def _mapped_to(self, codes: set[str]) -> set[str]:
        location = self.vocabulary.relationships if self.vocabulary else None
        return self._look_up(location, "relationships", "mapped", RELATIONSHIP, sorted(codes))

    def _look_up(
        self,
        location: Location | None,
        part: str,
        asked: str,
        columns: tuple[str, ...],
        codes: list[str],
    ) -> set[str]:
        """Give what stands beside some codes in a table of the vocabulary."""
        by, wanted, *kind = columns
        path = f"source.vocabulary.{part}"
        if location is None:
            raise SourceError(
                f"the concept set asks for what is {'below' if by == ANCESTOR[0] else 'mapped to'} "
                f"a concept (`{asked}`), and the policy does not say where `concept_"
                f"{part.removesuffix('s')}` is; name it as `{path}`, or export the concept set "
                "with its included concepts alone"
            )
        table = open_source(location, self.folder)
        if absent := [name for name in columns if name not in table.columns()]:
            raise SourceError(
                f"{path}: the table has no column `{absent[0]}`; name OMOP's table, whose columns "
                f"are {', '.join(columns)}"
            )
        read = table.read([wanted, *kind], where=(by, pa.array(codes, pa.large_string())))
        if not kind and not read.num_rows:
            raise SourceError(
                f"`{path}` knows none of its concepts; is it the whole table, of the vocabulary by "
                "which the concept set was made?"
            )
        if kind:
            read = read.filter(pc.equal(spell(read.column(kind[0])), MAPS_TO))
        return {code for code in spell(read.column(wanted)).to_pylist() if code}


def resolve_concept_sets(source: PeopleSource, folder: Path) -> PeopleSource:
    """Give the source with the codes of each list of concepts; `SourceError` where that fails."""
    if not any(listed.concepts for listed in source.codes.values()):
        return source
    tables = ConceptTables(source.vocabulary, folder)
    codes = {name: _resolve(tables, name, one) for name, one in source.codes.items()}
    return source.model_copy(update={"codes": codes})


def _resolve(tables: ConceptTables, name: str, listed: CodeList) -> CodeList:
    if not listed.concepts:
        return listed
    try:
        codes = tables.resolve(listed.concepts)
    except SourceError as error:
        raise SourceError(f"source.codes.{name}: {error}") from None
    if not codes:
        raise SourceError(
            f"source.codes.{name}: the concept set stands for no concept; what it excludes takes "
            "out all that it names"
        )
    return listed.model_copy(update={"codes": codes})


def describe_concept_sets(source: PeopleSource) -> Iterator[tuple[str, Mapping[str, JSON]]]:
    """Give for the record which codes each concept set stood for: public words of a vocabulary."""
    for name, listed in source.codes.items():
        if listed.concepts:
            digest = hashlib.sha256("\n".join(listed.codes).encode()).hexdigest()
            yield name, {"codes": len(listed.codes), "sha256": digest, "listed": [*listed.codes]}


def take_codes(source: PeopleSource, found: Mapping[str, Sequence[str]]) -> PeopleSource:
    """Give a source with the codes that its concept sets stood for when a run resolved them."""
    codes = {
        name: listed.model_copy(update={"codes": tuple(found[name])}) if listed.concepts else listed
        for name, listed in source.codes.items()
    }
    return source.model_copy(update={"codes": codes})


def find_faults_of_concepts(source: PeopleSource, folder: Path) -> Iterator[Problem]:
    """Say which concept set stands for no codes, before anybody's data is read."""
    tables = ConceptTables(source.vocabulary, folder)
    for name, listed in source.codes.items():
        try:
            _resolve(tables, name, listed)
        except SourceError as error:
            place, _, said = str(error).partition(": ")
            what, _, fix = said.partition("; ")
            yield Problem(place, what, fix)
