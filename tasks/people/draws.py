"""What a keyed draw decides of a person: in the sample or not, under a cap, on which side.

A draw is a uniform 64-bit number of each person's own, which nobody can tell without the home's
key. A sample and a split compare it with a public bound, so they are record-wise: a newcomer moves
nobody. A cap takes the lowest draws, and so looks at other people.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.policy.population import Population
from tasks.people.ingestion import DRAW, SAMPLE, canonical
from tasks.people.person_keys import key_people
from tasks.people.strata import Groups

Draws: TypeAlias = "NDArray[np.uint64]"
Marks: TypeAlias = "NDArray[np.bool_]"

TEST: Final = "_test"
GOLDEN: Final = 0x9E3779B97F4A7C15


def fall_below(draws: Draws, share: float) -> Marks:
    """Tell whose draw is among the lowest `share` of all numbers, from 0 to 1."""
    if share >= 1:
        return np.ones(len(draws), dtype=bool)
    below: Marks = draws < np.uint64(int(share * 2**64))
    return below


def redraw(draws: Draws, stream: int) -> Draws:
    """Give everybody another draw that tells nothing of the first, one for each stream from 1.

    The finalizer of SplitMix64 (Steele, Lea and Flood 2014), which keeps different draws different.
    """
    mixed = draws + np.uint64(stream * GOLDEN % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def keep_lowest(draws: Draws, groups: NDArray[np.intp], most: int) -> Marks:
    """Tell who has one of the `most` lowest draws of their group; `groups` gives each a number."""
    order = np.lexsort((draws, groups))
    sizes = np.bincount(groups)
    rank = np.arange(len(draws)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = np.zeros(len(draws), dtype=bool)
    kept[order] = rank < most
    return kept


def draw_sample(draws: Draws, groups: Groups | None, people: Population) -> Marks:
    """Tell who is in the sample: each by their own draw, and the share of all or of their group."""
    sampled, strata = fall_below(draws, people.sample), people.strata
    if groups is not None and strata is not None and strata.sample:
        for place, (label, *_) in enumerate(groups.values):
            share = 1.0 if label is None else strata.sample.get(label, 1.0)
            sampled &= (groups.places != place) | fall_below(draws, share)
    return sampled


def keep_under_caps(
    draws: Draws, groups: Groups | None, people: Population, sampled: Marks
) -> Marks:
    """Tell who of the sampled stays under the caps: of each group, then of all.

    Each cap goes by a draw of its own, lest it favour those whom the sample or another cap took
    the fewest of.
    """
    strata, places = people.strata, np.flatnonzero(sampled)
    if groups is not None and strata is not None and strata.at_most is not None:
        lowest = keep_lowest(redraw(draws[places], 1), groups.places[places], strata.at_most)
        places = places[lowest]
    if people.at_most is not None:
        one_group = np.zeros(len(places), dtype=np.intp)
        places = places[keep_lowest(redraw(draws[places], 2), one_group, people.at_most)]
    taken = np.zeros(len(draws), dtype=bool)
    taken[places] = True
    return taken


def draw_together(values: pa.ChunkedArray, own: Draws, column: str, key: bytes) -> Draws:
    """Give all people of one value the draw of that value; who lacks one keeps their own.

    Raises `SourceError` where the values of the policy's `column` cannot be spelled.
    """
    names = canonical(values, f"source: the column '{column}'")
    encoded = pc.dictionary_encode(names).combine_chunks()
    if len(encoded.dictionary) == 0:
        return own
    shared = key_people(encoded.dictionary, key).draw
    places = encoded.indices.fill_null(-1).to_numpy()
    return np.where(places < 0, own, shared[places])


def mark_test(table: pa.Table, people: Population, key: bytes) -> pa.Table:
    """Mark the policy's share of the people for testing by their own draw, or by a shared one.

    The draws have then done their work and go no further.
    """
    draws = table.column(DRAW).to_numpy()
    if people.split_by is not None:
        draws = draw_together(table.column(people.split_by), draws, people.split_by, key)
    marked = table.append_column(TEST, pa.array(fall_below(draws, people.test_share)))
    return marked.drop_columns([DRAW, SAMPLE])
