"""Other names by which a home may know somebody of a roster: earlier spellings, merged identifiers.

What is on record under any of them counts for the person. Of another spelling the history of
consent is the person's own; of an identifier that was merged later it is judged apart, and the
stricter answer holds. Where a policy says nothing of identifiers nothing is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.policy_file import PolicyFile
from ledgers.home.keys import Keys
from tasks.people.ingestion import PERSON, RECORD, read_people
from tasks.people.person_keys import RELEASED_PEOPLE, PersonKeys, key_people, number_released
from tasks.sources.identity import KEPT, OTHER, identify
from tasks.sources.naming import canonical

NO_PAIRS: Final = np.zeros((0, 2), np.uint64)


@dataclass(frozen=True)
class Aliases:
    """Whose each other name is, by a place on the roster, and the home's numbers of that name."""

    place: NDArray[np.int64]
    keys: PersonKeys
    merged: NDArray[np.bool_]
    """Whether it was another identifier, and no other spelling of the same."""

    def records(self, roster: pa.Table) -> NDArray[np.uint64]:
        """Give pairs of record numbers: a person's own, and another of the same person."""
        own = roster.column(RECORD).to_numpy()
        return np.column_stack([own[self.place], self.keys.record]).astype(np.uint64)


def find_aliases(file: PolicyFile, roster: pa.Table, key: bytes) -> Aliases | None:
    """Find the other names of people on a roster; None where a policy knows of none."""
    identity = identify(file.policy.source, file.folder)
    if identity.plain:
        return None
    spelled = roster.column(PERSON)
    names, plain = identity.name(spelled, "roster"), canonical(spelled, "roster")
    places = pa.array(np.arange(roster.num_rows))
    other = [pa.table({"place": places, "name": plain, "merged": pa.repeat(False, len(places))})]
    if identity.merged is not None:
        of = pc.index_in(identity.merged.column(KEPT), names.combine_chunks()).cast(pa.int64())
        merged = pa.repeat(True, identity.merged.num_rows)
        other.insert(0, pa.table(
            {"place": of, "name": identity.merged.column(OTHER), "merged": merged}
        ))  # fmt: skip
    found = pa.concat_tables(other).filter(pc.is_valid(pc.field("place")))
    own = names.take(found.column("place"))
    found = found.filter(pc.not_equal(found.column("name"), own))
    first = found.group_by("name", use_threads=False).aggregate(
        [("place", "first"), ("merged", "first")]
    )
    return Aliases(
        first.column("place_first").to_numpy(),
        key_people(first.column("name"), key),
        first.column("merged_first").to_numpy(),
    )


def find_other_records(file: PolicyFile, key: bytes) -> NDArray[np.uint64]:
    """Give pairs of record numbers of one person, as the source stands now."""
    if identify(file.policy.source, file.folder).plain:
        return NO_PAIRS
    roster = read_people(file, key)
    found = find_aliases(file, roster, key)
    return NO_PAIRS if found is None else found.records(roster)


def find_merged_records(file: PolicyFile, key: bytes) -> NDArray[np.uint64]:
    """Give pairs of record numbers of one person by the table of merged identifiers alone.

    For who reads no source: the first is by which the person goes now.
    """
    merged = identify(file.policy.source, file.folder).merged
    if merged is None:
        return NO_PAIRS
    both = [key_people(merged.column(name), key).record for name in (KEPT, OTHER)]
    return np.column_stack(both).astype(np.uint64)


def find_other_numbers(file: PolicyFile, keys: Keys) -> NDArray[np.uint64]:
    """Give such pairs in the numbers by which the home remembers who was in a release."""
    pairs = find_other_records(file, keys.derive("person"))
    return number_released(pairs.ravel(), keys.derive(RELEASED_PEOPLE)).reshape(-1, 2)
