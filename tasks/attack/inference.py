"""Inference: a secret value guessed from the released rows that are nearest in all other columns.

Giomi et al. (2023), section 3.3. The guess is the value that most of the nearest rows vote for; a
row whose label covers several values splits its vote. A number counts as guessed only when it is
the same value: columns of many different numbers should be binned before they leave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tasks.attack.nearest import find_nearest
from tasks.attack.released import People, Release

if TYPE_CHECKING:
    from numpy.typing import NDArray


def infer_secret(release: Release, people: People, secret: str) -> NDArray[np.float64]:
    """Guess one column of each person; 1 for right, 1/n where n values are as likely, else 0."""
    (at,) = release.place([secret])
    others = [place for place in range(len(release.columns)) if place != at]
    near, size = find_nearest(release, people, others), people.count
    column = release.columns[at]
    label = release.rows[at, near.row]
    place, value = column.expand(label)
    votes = (near.weight / column.width[label])[place]
    width = len(column.known)
    total = np.bincount(near.person[place] * width + value, votes, size * width)
    return _guess(total.astype(np.float64).reshape(size, width), people.codes[at])


def guess_commonest(release: Release, people: People, secret: str) -> NDArray[np.float64]:
    """Guess the table's commonest value for everybody, as one can who looks at no row."""
    (at,) = release.place([secret])
    column = release.columns[at]
    place, value = column.expand(release.rows[at])
    votes = (release.people / column.width[release.rows[at]])[place]
    total = np.bincount(value, votes, len(column.known))
    return _guess(np.tile(total, (people.count, 1)), people.codes[at])


def _guess(votes: NDArray[np.float64], true: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compare the likeliest values with the true ones; a value unknown to the table is missed."""
    best = votes.max(axis=1)
    ties = votes >= best[:, None] * (1 - 1e-9)
    found = ties[np.arange(len(true)), true] & (best > 0) & (true >= 0)
    return np.asarray(found / np.maximum(ties.sum(axis=1), 1))
