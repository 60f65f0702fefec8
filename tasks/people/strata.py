"""Groups of people by the values of some columns: who is in which, and which are too small.

The labels that a policy declares may be told; any other value is a word of the data, and its group
is called "a group by" its columns. It does not know what the groups are for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from expectations.coherence.population import known_labels
from expectations.disclosure import Count, Disclosure
from expectations.expressions.expressions import ColumnType
from expectations.policy.policy import Policy
from expectations.policy.treatments import YES_NO, Bin, Categories, Treatment, public_labels

SHOWN: Final = 20
"""The most small groups that an error lists."""


@dataclass(frozen=True, slots=True)
class Groups:
    """People by the values of the columns `by`: `places` gives each person's group in `values`.

    A group's values are in the order of `by`, None where they are missing. Of `declared` columns
    the values are labels of the policy.
    """

    by: tuple[str, ...]
    places: NDArray[np.intp]
    values: tuple[tuple[str | None, ...], ...]
    declared: bool

    def name(self, place: int) -> str:
        """Call a group by its labels where the policy declares them, else by its columns."""
        if not self.declared:
            return f"a group by {' and '.join(self.by)}"
        labels = zip(self.by, self.values[place], strict=True)
        return ", ".join(f"{name} {'missing' if v is None else v}" for name, v in labels)

    def sum_up(self, among: NDArray[np.bool_]) -> list[Count]:
        """Count the people of each group among some of them."""
        sizes = np.bincount(self.places[among], minlength=len(self.values))
        return [Count(size) for size in sizes.tolist()]


def group_people(table: pa.Table, policy: Policy) -> Groups | None:
    """Put people into the policy's strata; a missing value makes a group of its own.

    By one column with declared labels there is a group for each label, also where it is empty.
    None where the policy has no strata.
    """
    if policy.population.strata is None:
        return None
    by = policy.population.strata.by
    coded = [code_values(table.column(name), policy.treated[name].treatment) for name in by]
    places = np.zeros(table.num_rows, dtype=np.intp)
    for own, labels in coded:
        _, places = np.unique(places * (len(labels) + 1) + own, return_inverse=True)
    _, first = np.unique(places, return_index=True)
    values = tuple(
        tuple((*labels, None)[own[row]] for own, labels in coded) for row in first.tolist()
    )
    declared = all(known_labels(policy, name) is not None for name in by)
    absent = known_labels(policy, by[0]) if declared and len(by) == 1 else None
    empty = tuple((label,) for label in absent or () if (label,) not in values)
    return Groups(by, places, values + empty, declared)


def code_values(
    values: pa.ChunkedArray, treatment: Treatment
) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Give each value's place among the labels, and these; what has none stands after the last.

    A word that its treatment does not declare has none, and stops the run at de-identification.
    """
    if isinstance(treatment, Bin):
        numbers = values.cast(pa.float64()).to_numpy()
        bins = np.searchsorted(np.asarray(treatment.edges), numbers, side="right")
        return np.where(np.isnan(numbers), len(treatment.labels), bins), treatment.labels
    if pa.types.is_boolean(values.type):
        return values.cast(pa.int8()).fill_null(len(YES_NO)).to_numpy().astype(np.intp), YES_NO
    encoded = pc.dictionary_encode(values.cast(pa.large_string())).combine_chunks()
    words = encoded.dictionary.to_pylist()
    labels = tuple(words)
    if isinstance(treatment, Categories):
        labels = public_labels(treatment, ColumnType.TEXT) or ()
        named = {word: word for word in treatment.values} | {**treatment.rename}
        words = [named.get(word, treatment.other) for word in words]
    place = {label: n for n, label in enumerate(labels)}
    of_words = np.array([*(place.get(word, len(labels)) for word in words), len(labels)])
    return of_words[encoded.indices.fill_null(len(words)).to_numpy()], labels


def find_small_groups(
    groups: Groups, selected: Sequence[Count], policy: Policy, disclosure: Disclosure
) -> Iterator[str]:
    """Say it where groups of the selected are below the smallest that the policy asks of each."""
    strata = policy.population.strata
    assert strata is not None
    if strata.smallest is None:
        return
    small = list(list_small(groups, selected, strata.smallest, disclosure))
    if small:
        yield (
            f"some groups are left with less than the {strata.smallest:,} people that the policy "
            f"asks for in each: {'; '.join(small)}; ask more people, leave a group out by "
            "population.eligible, or lower population.strata.smallest with a reason"
        )


def list_small(
    groups: Groups, counts: Sequence[Count], smallest: int, disclosure: Disclosure
) -> Iterator[str]:
    """Name every group below `smallest`, with its published count; alike ones together."""
    found = [
        f"{groups.name(place)} ({disclosure.publish(count)} people)"
        for place, count in enumerate(counts)
        if count.exact < smallest
    ]
    told = sorted(Counter(found).items())
    for text, times in told[:SHOWN]:
        yield text if times == 1 else f"{times} times {text}"
    if len(told) > SHOWN:
        yield f"and {len(told) - SHOWN} more"
