"""Decoys: people who seem to leave with whoever leaves, and classes that grow together or wait.

Where one person leaves, their class shrinks (by k people, see `succession`), and were it the only
one that did, whoever knows who left would read the class, and with it the person's values. So with
each release after which somebody left, others are drawn by lot and treated as if they had left as
well: what becomes of their classes is what becomes of the leaver's, now and in every later release.
Of m decoys on average, a class that shrank is a known leaver's with a chance of (1 - e^-m) / m.
Newcomers wait until so many classes can grow at once.

A lot is drawn once for each earlier release, by its own content, each person by their own number:
so the same people are drawn again in every later run, whoever else comes or leaves, and nothing can
be averaged. Only the home can draw it. A decoy is left out of all later releases, also under later
plans, as somebody who left is; a class that came back would be known to have been a decoy's.

What this does not hide: that somebody left or came; the class of a person of whom it is known
already that it is one of few; who left, from somebody who knows everybody else of the classes that
shrank. Small tables have fewer decoys or none: see `count_decoys`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from tasks.anonymization.releases.succession import CountedRows, compare
from tasks.people.population import fall_below, redraw

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST: Final = 9
"""Decoys for one release, on average: a known leaver's class is then one of ten."""
SHARE: Final = 0.01
"""The part of the people who may be left out because of them, each time that somebody left."""


def count_decoys(people: int, k: int) -> float:
    """Say how many decoys are drawn on average from so many released people."""
    return min(MOST, SHARE * people / k)


def draw_decoys(
    record: NDArray[np.uint64], series: Sequence[Sequence[CountedRows]], k: int, secret: bytes
) -> list[NDArray[np.bool_]]:
    """Mark people of `record` who seem gone, once for each release after which somebody left.

    Each of `series` holds the tables of one plan in their order.
    """
    lots = dict.fromkeys(
        (before.to_bytes(), int(before.counts.sum()))
        for one in series
        for before, after in pairwise(one)
        if has_shrunk(before, after)
    )
    return [draw_lot(record, content, count_decoys(n, k) / n, secret) for content, n in lots]


def has_shrunk(before: CountedRows, after: CountedRows) -> bool:
    """Tell whether fewer people have some row of the earlier table."""
    return bool(compare(after, before).differences(after.counts)[1].any())


def draw_lot(
    record: NDArray[np.uint64], content: bytes, share: float, secret: bytes
) -> NDArray[np.bool_]:
    """Draw each person with the same chance, by their own number and a table's content."""
    stream = hmac.digest(secret, hashlib.sha256(content).digest(), "sha256")[:8]
    return fall_below(redraw(record, int.from_bytes(stream)), share)
