"""Which columns together single people out, and how many people hold what several rows hold.

Two rows are alike if they have the same values as they stand, missing ones too. Whoever knows a
value only roughly (an age, not a birth date) finds fewer people than is said here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.drafting.column_types import make_plain

FEW: Final = 5
"""Fewer people than this share what nearly singles each of them out."""
GAIN: Final = 0.1
"""The share of rows that a column must single out beyond the others to be named with them."""
Codes: TypeAlias = NDArray[np.int64]


def number_values(column: pa.ChunkedArray) -> Codes:
    """Number the different values of a column from 0; missing is one of them."""
    coded = pc.dictionary_encode(make_plain(column), null_encoding="encode").combine_chunks()
    return np.asarray(coded.indices.to_numpy(zero_copy_only=False), np.int64)


def cross(one: Codes, other: Codes) -> Codes:
    """Number the different pairs of two numberings from 0."""
    pairs = one * (int(other.max(initial=0)) + 1) + other
    return np.asarray(np.unique(pairs, return_inverse=True)[1], np.int64)


def first_of_each(people: Codes, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Give each person's different values once, so that counting values counts people."""
    pairs = cross(people, number_values(column))
    return column.take(pa.array(np.unique(pairs, return_index=True)[1]))


def share_alone(codes: Codes, people: Codes | None = None) -> float:
    """Give the share of rows whose code fewer than 5 people hold; a row is a person by default."""
    held = codes
    if people is not None:
        held = codes[np.unique(cross(people, codes), return_index=True)[1]]
    return float((np.bincount(held, minlength=len(codes))[codes] < FEW).mean())


def find_joint(
    columns: Iterable[tuple[str, Codes]], known: Collection[str], rows: int, people: Codes | None
) -> tuple[tuple[str, ...], float]:
    """Give the known columns with those others that single out many more rows, and the share.

    `columns` are numbered ones of `rows` rows; of the known ones one is held at a time. Greedy: at
    each turn the column that singles out most is added, until none adds a tenth of the rows. So a
    pair of columns of which neither tells much alone may be missed.
    """
    codes, left = np.zeros(rows, np.int64), {}
    for name, numbered in columns:
        if name in known:
            codes = cross(codes, numbered)
        else:
            left[name] = numbered
    reached, chosen = share_alone(codes, people) if known else 0.0, list(known)
    while left:
        gained = {name: share_alone(cross(codes, left[name]), people) for name in left}
        best = max(gained, key=gained.__getitem__)
        if gained[best] < reached + GAIN:
            break
        codes, reached = cross(codes, left.pop(best)), gained[best]
        chosen.append(best)
    return tuple(chosen), reached
