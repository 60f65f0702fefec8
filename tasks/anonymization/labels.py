"""Public labels of values: declared words, and a level of a declared or built-in hierarchy.

What a value becomes depends on that value and on the policy alone. What has no label is counted
and stops the run; nothing is guessed from how a value looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import roughly
from expectations.policy.treatments import Level
from tasks.anonymization.built_in_levels import (
    OLDEST,
    ages_level,
    dates_level,
    postcodes_level,
)
from tasks.anonymization.hierarchies import label_of


class Undeclared(ValueError):
    """A column holds values that its treatment does not know; the text is their count."""


def name_words(
    values: pa.ChunkedArray,
    named: Mapping[str, str],
    words: Sequence[str],
    other: str | None = None,
) -> pa.Array:
    """Give each value's word, as `named` says, else `other`; `Undeclared` where that is None."""
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    encoded = pc.dictionary_encode(values).combine_chunks()
    if other is not None and other not in words:
        words = (*words, other)
    place: dict[str | None, int] = {word: n for n, word in enumerate(words)}
    spelled = [label_of(value) for value in encoded.dictionary.to_pylist()]
    codes = pa.array([place.get(named.get(each, other)) for each in spelled], pa.int32())
    indices = codes.take(encoded.indices)
    refuse_undeclared(indices.null_count - encoded.indices.null_count)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words))


def label_values(values: pa.ChunkedArray, treatment: Level) -> pa.Array:
    """Give each value's label at the level of its hierarchy; `Undeclared` when it has none.

    Built in are dates of the calendar, whole years of age from 0 to 150, and postcodes, which are
    not empty and hold no `*`.
    """
    level = treatment.level
    match treatment.of:
        case None:
            named = {row[0]: row[level] for row in treatment.rows}
            return name_words(values, named, tuple(dict.fromkeys(named.values())))
        case "dates":
            made = dates_level(values.to_pandas(), level)
        case "ages":
            years = values.cast(pa.float64()).to_numpy()
            fits = (years >= 0) & (years <= OLDEST) & (np.floor(years) == years)
            refuse_undeclared(int((~fits & ~np.isnan(years)).sum()))
            made = ages_level(values.to_pandas(), level)
        case "postcodes":
            codes = values.cast(pa.large_string())
            bad = pc.or_(pc.equal(codes, ""), pc.match_substring(codes, "*"))
            refuse_undeclared(pc.sum(bad).as_py() or 0)
            # One code that is longer than any level, so that the others do not decide what it is.
            longest = pa.array(["0" * (level + 1)], codes.type)
            column = pa.chunked_array([*codes.chunks, longest]).to_pandas()
            made = postcodes_level(column, level)[:-1]
    return pa.array(made, pa.large_string(), from_pandas=True)


def refuse_undeclared(unknown: int) -> None:
    """Raise `Undeclared` where values have no label, with their rough number."""
    if unknown:
        raise Undeclared(f"{roughly(unknown)} values are not among those declared")
