"""Which tuples lie near each tuple: those with which it would keep most.

Looking through the whole table takes time with the square of the tuples. So tuples are cut into
small blocks, several times in other directions, and each finds near ones in its blocks: what one
cut parts, another may leave together. From there on neighbours of neighbours are tried, which are
likely near as well (Dong, Moses and Li, "Efficient k-nearest neighbor graph construction for
generic similarity measures", 2011), and ranked by the labels that are truly shared.

Called by `tasks.anonymization.cluster_growth`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tasks.anonymization.marks import Flags, Floats, Marks
from tasks.anonymization.tuples import Codes

BLOCK = 1_000
"""Tuples among which near ones are looked for at first: 512 x 1,000 products fit a core's cache."""
CUTS = 3
"""Ways to cut: of two, one may be unlucky for a tuple at an edge of the other."""
FIRST = 12
"""Near ones that each cut gives: together about as many as are kept in the end."""
ROWS = 512
"""Tuples whose neighbours are looked for at once, so that their products stay in the cache."""
TRIED = 32
"""Neighbours of neighbours that are tried at once: about as many as there are neighbours."""
AXES = 12
"""Widest axes, along a random turn of which blocks are cut."""
TURN = 64
"""Steps of a turn's axis: places times steps times axes stay far below 2^24, and so exact."""


def find_neighbours(marks: Marks, points: Floats, most: int, passes: int) -> tuple[Codes, Flags]:
    """Give each tuple its nearest ones, nearest first, shape (tuples, most), and which there are.

    All are of its corner. After the cuts come some passes over neighbours of neighbours.
    """
    # The seeds are fixed: the same tuples give the same neighbours.
    random = np.random.default_rng(0)
    every = np.arange(len(points))
    if not len(every):
        return np.zeros((0, most), np.int64), np.zeros((0, most), np.bool_)
    corners = np.bincount(marks.corner)
    first = max(FIRST, -(-most // CUTS))
    near = []
    for cut in range(CUTS):
        found = np.repeat(every[:, None], first, axis=1)
        for part in split_corners(turn(points, random) if cut else points, marks.corner, BLOCK):
            whole = len(part) == corners[marks.corner[part[0]]]
            # A corner that is one block has been looked through by the first cut.
            asked = min(first, len(part) - 1)
            if asked < 1 or (whole and cut):
                continue
            for start in range(0, len(part), ROWS):
                rows = np.arange(start, min(start + ROWS, len(part)))
                found[part[rows], :asked] = part[_nearest(points[part], rows, asked)]
        near.append(found)
    best, there = _rank(marks, np.concatenate(near, axis=1), most)
    for _ in range(passes):
        some = random.integers(0, most, (2, len(every), TRIED))
        further = best[np.take_along_axis(best, some[0], axis=1), some[1]]
        best, there = _rank(marks, np.concatenate([best, further], axis=1), most)
    return best, there


def turn(points: Floats, random: np.random.Generator) -> Floats:
    """Turn the widest axes at random, in whole numbers."""
    axes = np.argsort(-points.var(axis=0, dtype=np.float64).round(3), kind="stable")[:AXES]
    turned = np.linalg.qr(random.normal(size=(len(axes), len(axes))))[0]
    return np.asarray(points[:, axes] @ np.rint(turned * TURN).astype(np.float32))


def split(points: Floats, size: int) -> list[Codes]:
    """Cut into parts of at most `size` that lie together: in halves along the widest axis."""
    found, waiting = [], [np.arange(len(points))]
    while waiting:
        some = waiting.pop()
        if len(some) <= size:
            found.append(some)
            continue
        parts = -(-len(some) // size)
        here = points[some]
        # Rounded, so that the noise of summing breaks no tie between axes.
        widest = here.var(axis=0, dtype=np.float64).round(3).argmax()
        order = np.argsort(here[:, widest], kind="stable")
        # A whole number of full parts on either side, so that few parts are small.
        cut = len(some) * (parts // 2) // parts
        waiting += [some[order[cut:]], some[order[:cut]]]
    return found


def split_corners(points: Floats, corner: Codes, size: int) -> Iterator[Codes]:
    """Cut each corner into parts of at most `size`; small corners are parts of their own."""
    order = np.argsort(corner, kind="stable")
    ends = np.flatnonzero(np.diff(corner[order])) + 1
    for here in np.split(order, ends):
        yield from (here[part] for part in split(points[here], size))


def _rank(marks: Marks, near: Codes, most: int) -> tuple[Codes, Flags]:
    """Keep the `most` that share most, each once, best first; itself stands for none."""
    best = np.empty((len(near), most), dtype=np.int64)
    # As short as they can be: moving labels about is what takes the time.
    ids = marks.id.astype(np.min_scalar_type(len(marks.worth)))
    for start in range(0, len(near), ROWS):
        rows = np.arange(start, min(start + ROWS, len(near)))
        some = np.sort(near[rows], axis=1)
        same = ids[some] == ids[rows][:, None, :]
        shared = np.matmul(same, marks.worth[marks.id[rows]][:, :, None])[:, :, 0]
        shared[:, 1:][some[:, 1:] == some[:, :-1]] = -1
        shared[some == rows[:, None]] = -1
        top = _largest(shared, most)
        value = np.take_along_axis(shared, top, axis=1)
        best[rows] = np.where(value < 0, rows[:, None], np.take_along_axis(some, top, axis=1))
    return best, best != np.arange(len(near))[:, None]


def _nearest(points: Floats, rows: Codes, most: int) -> Codes:
    """Find the points with the largest inner product with each of these rows, themselves not."""
    near = points[rows] @ points.T
    near[np.arange(len(rows)), rows] = NONE
    step = 16
    width = len(points) // step
    # Too narrow for a fold to leave anything out.
    if width <= 2 * most:
        return _largest(near, most)
    # The best lie in the best columns of a 16-high fold: far fewer to sort.
    fold = near[:, : width * step].reshape(len(rows), step, width)
    # Exact: a column that holds one of the best `most` is itself among the best `most`.
    best = _largest(fold.max(axis=1), most)
    among = (best[:, None, :] + np.arange(step)[:, None] * width).reshape(len(rows), -1)
    tail = np.broadcast_to(np.arange(width * step, len(points)), (len(rows), len(points) % step))
    among = np.concatenate([among, tail], axis=1)
    top = _largest(np.take_along_axis(near, among, axis=1), most)
    return np.take_along_axis(among, top, axis=1)


NONE = -float(1 << 30)
"""Less than any product: a tuple is not its own neighbour."""


def _largest(value: Floats, most: int) -> Codes:
    """Find the places of the largest whole numbers of each row, largest first."""
    width = value.shape[1]
    # The place breaks ties: which of equals a partition gives differs between processors.
    key = value.astype(np.int64) * width + np.arange(width)[::-1]
    top = np.sort(np.partition(key, width - most, axis=1)[:, width - most :], axis=1)[:, ::-1]
    return np.asarray(width - 1 - top % width)
