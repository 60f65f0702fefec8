"""Clusters of k people where tuples are nearly all unique: grown among neighbours, then traded.

What a cluster keeps is the sum of what its members have in common: per column the finest label
that all of them share. `Marks` lays this out so that what two tuples would keep together is an
inner product.

`grow` makes clusters of k people among near neighbours; it is greedy, so `improve` trades
afterwards. A trade is a swap of two tuples, the move of one that its cluster can spare, or the end
of a cluster whose members all find better ones. All trades inside a block are weighed at once, as
products of matrices; the best that touch different clusters are done.

Called by `tasks.anonymization.clusters`; knows no order of classes and no privacy model beyond k.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.anonymization.tuples import Codes, Tuples

NEIGHBOURS = 32
"""Tuples that a cluster is grown among, or twice k: more than it needs, as not all fit together."""
DIMENSIONS = 48
"""Axes of the projection: neighbours are looked for in so few numbers, not in all labels."""
SAMPLE = 8_000
WIDEST = 800
"""Tuples and labels that the projection is made from."""
BLOCK = 25_000
"""Tuples among which neighbours are looked for."""
ROWS = 512
"""Tuples whose neighbours are looked for at once: 512 x 25,000 products are 50 MB."""

Ids = NDArray[np.int32]
Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Marks:
    """The labels of each tuple below the coarsest, numbered over all columns and levels.

    `id` has the shape (tuples, marks), at least one mark; `worth` is what sharing the label of that
    number gains over sharing only the next coarser one: a share of the column's values, times its
    importance. Tuples of different `corner` can never be put together.
    """

    id: Ids
    worth: Floats
    people: Floats
    corner: Codes
    k: int

    @classmethod
    def of(cls, tuples: Tuples, corner: Codes, k: int) -> Marks:
        """Number the labels of all used levels."""
        # One mark that all share and that is worth nothing: there may be no other.
        ids, worth, offset = [np.zeros(tuples.codes.shape[1])], [np.zeros(1, np.float32)], 1
        importance = tuples.importance or (1.0,) * len(tuples.codes)
        columns = zip(tuples.codes, tuples.groups, tuples.levels(), importance, strict=True)
        for codes, groups, used, weight in columns:
            seen = np.unique(codes)
            sizes = [np.bincount(row[seen], minlength=row.max() + 1)[row] for row in groups]
            for low, high in itertools.pairwise(used):
                gained = np.zeros(int(groups[low].max()) + 1, dtype=np.float32)
                # Granularity: the share of the column's values that the coarser label would add.
                gained[groups[low]] = (sizes[high] - sizes[low]) * (weight / len(seen))
                ids.append(groups[low][codes] + offset)
                worth.append(gained.clip(0))
                offset += len(gained)
        id_ = np.array(ids, dtype=np.int32).T
        return cls(
            np.ascontiguousarray(id_),
            np.concatenate(worth),
            tuples.people.astype(np.float32),
            corner,
            k,
        )

    def where(self, members: Codes | Flags) -> Marks:
        """Keep some of the tuples."""
        people, corner = self.people[members], self.corner[members]
        return Marks(self.id[members], self.worth, people, corner, self.k)

    def kept(self, of: Codes) -> tuple[NDArray[np.float64], Codes]:
        """What each cluster's labels keep, and its people; clusters are numbered without gaps."""
        order = np.argsort(of, kind="stable")
        size = np.bincount(of)
        start = np.cumsum(size) - size
        ids = self.id[order]
        # All members share a label where the least and the greatest number are the same.
        low = np.minimum.reduceat(ids, start, axis=0)
        agree = low == np.maximum.reduceat(ids, start, axis=0)
        people = np.bincount(of, self.people).astype(np.int64)
        return (agree * self.worth[low]).sum(axis=1, dtype=np.float64).round(5), people


def project(marks: Marks) -> Floats:
    """Place tuples so that inner products come near to what two of them would keep together.

    The principal axes of the labels' one-hot code, found on a sample, shape (tuples, axes), the
    one that matters most first.
    """
    sample = marks.id[:: max(1, len(marks.id) // SAMPLE)]
    share = np.bincount(sample.ravel(), minlength=len(marks.worth)) / len(sample)
    widest = np.argsort(-marks.worth * share, kind="stable")[:WIDEST]
    coded = _one_hot(marks, sample, widest)
    # Not centred: the product itself is to be kept, not how it varies.
    _, axes = np.linalg.eigh((coded.T @ coded).astype(np.float64))
    axes = axes[:, ::-1][:, :DIMENSIONS]
    # An axis has no direction of its own: its largest entry decides.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    axes = axes.astype(np.float32)
    starts = range(0, len(marks.id), SAMPLE)
    blocks = [_one_hot(marks, marks.id[at : at + SAMPLE], widest) @ axes for at in starts]
    return np.concatenate(blocks)


def _one_hot(marks: Marks, ids: Ids, widest: Codes) -> Floats:
    """Roots of the worth of each tuple's labels, in a column for each of the widest."""
    place = np.full(len(marks.worth), len(widest), dtype=np.int32)
    place[widest] = np.arange(len(widest))
    coded = np.zeros((len(ids), len(widest) + 1), dtype=np.float32)
    # With roots, the product of two tuples is the worth of the labels that they share.
    np.put_along_axis(coded, place[ids], np.sqrt(marks.worth[ids]), axis=1)
    return coded[:, :-1]


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
        # A whole number of full parts on either side, so that few parts are small.
        order = np.argsort(here[:, here.var(axis=0).argmax()], kind="stable")
        cut = len(some) * (parts // 2) // parts
        waiting += [some[order[cut:]], some[order[:cut]]]
    return found


def _split_corners(points: Floats, corner: Codes, size: int) -> list[Codes]:
    """Cut each corner into parts of at most `size`; small corners are parts of their own."""
    order = np.argsort(corner, kind="stable")
    ends = np.flatnonzero(np.diff(corner[order], append=-1)) + 1
    corners = np.split(order, ends[:-1])
    return [here[part] for here in corners for part in split(points[here], size)]


def grow(marks: Marks, points: Floats) -> Codes:
    """Give each tuple the number of its cluster; every corner needs k people.

    From every tuple a cluster is grown among its neighbours, whoever leaves the most in common
    next. Those that keep most are taken, as far as they are disjoint; the rest grows again, and
    the few who are over join the cluster of a neighbour.
    """
    of = np.full(len(marks.id), -1)
    # k people who are all alike lose nothing, and need nobody.
    alone = np.flatnonzero(marks.people >= marks.k)
    of[alone] = np.arange(len(alone))
    rest = np.flatnonzero(of < 0)
    # Ends: the best offer of each pass is always taken, or there is none.
    while len(rest):
        kept, seed, member = _offer(marks, points, rest)
        taken = _take_disjoint(of, kept, seed, member)
        if not taken:
            break
        rest = rest[of[rest] < 0]
    # Too few for a cluster of their own, or too far from each other.
    for one in rest.tolist():
        (others,) = np.nonzero((marks.corner == marks.corner[one]) & (of >= 0))
        of[one] = of[others[(points[others] @ points[one]).argmax()]]
    return np.unique(of, return_inverse=True)[1]


def _take_disjoint(of: Codes, kept: Floats, seed: Codes, member: Codes) -> int:
    """Number the offers that keep most and share no tuple with a better one; say how many."""
    number = before = int(of.max(initial=-1)) + 1
    for at in np.argsort(-kept.round(5), kind="stable").tolist():
        if of[seed[at]] >= 0:
            continue
        group = member[at]
        group = group[group >= 0]
        if (of[group] < 0).all():
            of[group] = of[seed[at]] = number
            number += 1
    return number - before


def _offer(marks: Marks, points: Floats, rest: Codes) -> tuple[Floats, Codes, Codes]:
    """Grow a cluster from each of these tuples: what it keeps, its seed, the others (-1: none)."""
    kept, seeds, members = [], [], []
    for part in _split_corners(points[rest], marks.corner[rest], BLOCK):
        block = rest[part]
        most = min(max(NEIGHBOURS, 2 * marks.k), len(block) - 1)
        if marks.people[block].sum() < marks.k or most < 1:
            continue
        for start in range(0, len(block), ROWS):
            rows = np.arange(start, min(start + ROWS, len(block)))
            near = block[_nearest(points[block], rows, most)]
            found = _grow_boxes(marks, block[rows], near)
            full = found[0] >= 0
            kept.append(found[0][full])
            seeds.append(block[rows][full])
            members.append(np.where(found[1], near, -1)[full])
    if not kept:
        return np.zeros(0, np.float32), rest[:0], np.zeros((0, 1), np.int64)
    width = max(part.shape[1] for part in members)
    filled = [
        np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for part in members
    ]
    return np.concatenate(kept), np.concatenate(seeds), np.concatenate(filled)


def _nearest(points: Floats, rows: Codes, most: int) -> Codes:
    """Find the points with the largest inner product with each of these rows, themselves not."""
    near = points[rows] @ points.T
    near[np.arange(len(rows)), rows] = -np.inf
    step = 16
    width = len(points) // step
    # Too narrow for a fold to leave anything out.
    if width <= 2 * most:
        return np.argpartition(near, len(points) - most, axis=1)[:, -most:]
    # The best lie in the best columns of a 16-high fold: far fewer to sort.
    fold = near[:, : width * step].reshape(len(rows), step, width)
    # Exact: a column that holds one of the best `most` is itself among the best `most`.
    best = np.argpartition(fold.max(axis=1), width - most, axis=1)[:, -most:]
    among = (best[:, None, :] + np.arange(step)[:, None] * width).reshape(len(rows), -1)
    tail = np.broadcast_to(np.arange(width * step, len(points)), (len(rows), len(points) % step))
    among = np.concatenate([among, tail], axis=1)
    value = np.take_along_axis(near, among, axis=1)
    top = np.argpartition(value, value.shape[1] - most, axis=1)[:, -most:]
    return np.take_along_axis(among, top, axis=1)


def _grow_boxes(marks: Marks, seed: Codes, near: Codes) -> tuple[Floats, Flags]:
    """Take the neighbour that leaves most in common until there are k people.

    Returns what each box keeps, -1 for one that stays too small, and which neighbours are in it.
    """
    same = marks.id[near] == marks.id[seed][:, None, :]
    box = marks.worth[marks.id[seed]]
    people = marks.people[seed].copy()
    chosen = np.zeros(near.shape, dtype=bool)
    grows = people < marks.k
    while grows.any():
        # What the box would still have in common with each neighbour.
        score = np.matmul(same, box[:, :, None])[:, :, 0]
        score[chosen] = -1
        best = score.argmax(axis=1)[grows]
        row = np.flatnonzero(grows)
        chosen[row, best] = True
        people[row] += marks.people[near[row, best]]
        box[row] *= same[row, best]
        grows = (people < marks.k) & ~chosen.all(axis=1)
    return np.where(people >= marks.k, box.sum(axis=1), np.float32(-1)), chosen


SWEEPS = 3
ROUNDS = 8
TRADE_BLOCK = 1_500
"""Tuples whose trades are weighed together."""
AXES = 12
"""Widest axes, along a random turn of which blocks are cut: another one in every sweep."""
LEAST = 2e-4
"""Share of what a block keeps that a round has to gain for another one to follow."""
GAIN = 1e-3
"""A trade that gains less may be rounding, in single precision."""


@dataclass(frozen=True)
class Shared:
    """What the clusters of a block have in common, whole and without each single member.

    Per cluster (the first index) or per tuple; `label` and `worth` have the shape (_, marks).
    """

    size: Codes
    people: Floats
    label: Ids
    worth: Floats
    kept: Floats
    label_without: Ids
    worth_without: Floats

    @classmethod
    def of(cls, marks: Marks, of: Codes, clusters: int) -> Shared:
        """Find what each cluster's members share; a cluster without members shares nothing."""
        order = np.argsort(of, kind="stable")
        size = np.bincount(of, minlength=clusters)
        (live,) = np.nonzero(size)
        start = (np.cumsum(size) - size)[live]
        low = np.zeros((clusters, marks.id.shape[1]), dtype=np.int32)
        high, lows, highs = low.copy(), low.astype(np.int16), low.astype(np.int16)
        low[live] = np.minimum.reduceat(marks.id[order], start, axis=0)
        high[live] = np.maximum.reduceat(marks.id[order], start, axis=0)
        is_low, is_high = marks.id == low[of], marks.id == high[of]
        # 16 bits, to move half the memory: the counts of a cluster of more than 32,767 tuples wrap,
        # and all that costs is some of its trades.
        lows[live] = np.add.reduceat(is_low[order], start, axis=0, dtype=np.int16)
        highs[live] = np.add.reduceat(is_high[order], start, axis=0, dtype=np.int16)
        agree = (low == high) & (size > 0)[:, None]
        worth = agree * marks.worth[low]
        people = np.bincount(of, marks.people, clusters).astype(np.float32)
        # A member that alone differs from all others is what keeps them from agreeing.
        others = (size - 1)[:, None]
        to_low = (lows == others)[of] & ~is_low
        to_high = (highs == others)[of] & ~is_high
        label = np.where(to_high, high[of], low[of])
        agrees = (agree[of] | to_low | to_high) & (size > 1)[of][:, None]
        kept = worth.sum(axis=1) * people
        return cls(size, people, low, worth, kept, label, agrees * marks.worth[label])


class Block:
    """Clusters that lie together, and what each trade between them would gain.

    `swap[t, u]` is what the cluster of t gains if u takes the place of t; `join[t, c]` what is
    gained if t, having no cluster, joins c. Both are kept up to date where clusters change.
    """

    def __init__(self, marks: Marks, of: Codes) -> None:
        self.marks = marks
        self.of = np.unique(of, return_inverse=True)[1]
        self.clusters = int(self.of.max()) + 1
        count = np.bincount(marks.id.ravel(), minlength=len(marks.worth))
        often = np.flatnonzero((count > 1) & (marks.worth > 0))
        # What occurs once is shared with nobody: all of that goes into a last column, unused.
        self.place = np.full(len(marks.worth), len(often), dtype=np.int32)
        self.place[often] = np.arange(len(often))
        self.width = len(often)
        self.coded = self._spread(marks.id, np.ones(marks.id.shape, dtype=np.float32))
        self.swap = np.empty((len(self.of), len(self.of)), dtype=np.float32)
        self.join = np.empty((len(self.of), self.clusters), dtype=np.float32)

    def _spread(self, ids: Ids, worth: Floats) -> Floats:
        """Put values into the columns of their labels."""
        spread = np.zeros((len(ids), self.width + 1), dtype=np.float32)
        np.put_along_axis(spread, self.place[ids], worth, axis=1)
        return spread[:, : self.width]

    def trade(self) -> None:
        """Do the best trades, until what they gain is little."""
        changed = np.ones(self.clusters, dtype=bool)
        for _ in range(ROUNDS):
            shared = Shared.of(self.marks, self.of, self.clusters)
            self._weigh(shared, changed)
            changed, gained = self._settle(shared)
            if gained < LEAST * shared.kept.sum():
                return

    def _weigh(self, shared: Shared, changed: Flags) -> None:
        """Bring `swap` and `join` up to date for clusters that changed."""
        of, people, marks = self.of, self.marks.people, self.marks
        (rows,) = np.nonzero(changed[of])
        (columns,) = np.nonzero(changed)
        without = self._spread(shared.label_without[rows], shared.worth_without[rows])
        whole = self._spread(shared.label[columns], shared.worth[columns])
        (used,) = np.nonzero(without.any(axis=0) | whole.any(axis=0))
        coded = self.coded[:, used]
        # What t leaves behind in common, and u has as well, is kept by all people there afterwards.
        swap = without[:, used] @ coded.T
        after = (shared.people[of] - people)[rows, None] + people
        swap *= after
        swap -= shared.kept[of[rows], None]
        swap[after < marks.k] = -np.inf
        # Without its only tuple a cluster has nothing in common with anybody.
        swap[shared.size[of[rows]] == 1] = -np.inf
        self.swap[rows] = swap
        join = coded @ whole[:, used].T
        join *= shared.people[columns] + people[:, None]
        join -= shared.kept[columns]
        join[:, shared.size[columns] == 0] = -np.inf
        self.join[:, columns] = join
        self._forbid(shared, rows, columns)

    def _forbid(self, shared: Shared, rows: Codes, columns: Codes) -> None:
        """Rule out trades inside a cluster and between corners."""
        of, corner = self.of, self.marks.corner
        self.join[np.arange(len(of)), of] = -np.inf
        order = np.argsort(of, kind="stable")
        start = np.cumsum(shared.size) - shared.size
        # Member by member, as a table of tuples by tuples would be as large as `swap` itself.
        for step in range(int(shared.size.max())):
            some = rows[shared.size[of[rows]] > step]
            self.swap[some, order[start[of[some]] + step]] = -np.inf
        if (corner != corner[0]).any():
            of_cluster = np.zeros(self.clusters, dtype=np.int64)
            of_cluster[of] = corner
            self.swap[rows] = np.where(
                corner[rows, None] == corner, self.swap[rows], np.float32(-np.inf)
            )
            other = corner[:, None] != of_cluster[columns]
            self.join[:, columns] = np.where(other, np.float32(-np.inf), self.join[:, columns])

    def _settle(self, shared: Shared) -> tuple[Flags, float]:
        """Do the best trades that touch different clusters; say which changed and the gain."""
        of, new = self.of, self.of.copy()
        touched, gained = np.zeros(self.clusters, dtype=bool), 0.0
        for gain, tuples, to in self._offers(shared):
            clusters = {*of[tuples].tolist(), *to}
            # A gain holds only as long as its clusters are as they were weighed.
            if len(set(to)) == len(to) and not any(touched[c] for c in clusters):
                new[tuples] = to
                touched[list(clusters)] = True
                gained += gain
        self.of = new
        return touched, gained

    def _offers(self, shared: Shared) -> list[tuple[float, list[int], list[int]]]:
        """Trades worth doing, best first: gain, tuples, and the cluster that each goes to."""
        of, people, every = self.of, self.marks.people, np.arange(len(self.of))
        both = self.swap + self.swap.T
        partner = both.argmax(axis=1)
        gain = both[every, partner]
        # A swap is found from both its ends, and offered from one.
        once = (partner[partner] != every) | (every < partner)
        offers = [
            (float(gain[t]), [t, int(partner[t])], [int(of[partner[t]]), int(of[t])])
            for t in np.flatnonzero((gain > GAIN) & once).tolist()
        ]
        target = self.join.argmax(axis=1)
        best = self.join[every, target]
        left = shared.people[of] - people
        loss = shared.kept[of] - left * shared.worth_without.sum(axis=1)
        move = np.where((left >= self.marks.k) & (shared.size[of] > 1), best - loss, 0)
        offers += [
            (float(move[t]), [t], [int(target[t])]) for t in np.flatnonzero(move > GAIN).tolist()
        ]
        # A cluster ends where what its members gain elsewhere is more than it kept.
        end = np.bincount(of, best, self.clusters) - shared.kept
        for cluster in np.flatnonzero((end > GAIN) & (shared.size > 0)).tolist():
            members = np.flatnonzero(of == cluster)
            offers.append((float(end[cluster]), members.tolist(), target[members].tolist()))
        return sorted(offers, key=lambda offer: -offer[0])


def improve(marks: Marks, points: Floats, of: Codes) -> Codes:
    """Trade tuples between clusters, all numbered from 0; gives the better clusters' numbers."""
    # The seed is fixed: the same tuples give the same clusters.
    random = np.random.default_rng(0)
    axes = np.argsort(-points.var(axis=0), kind="stable")[:AXES]
    for _ in range(SWEEPS):
        turn = np.linalg.qr(random.normal(size=(len(axes), len(axes))))[0].astype(np.float32)
        size = np.bincount(of)
        centre = np.array([np.bincount(of, column) / size for column in points[:, axes].T]).T
        blocks = _cut(centre @ turn, marks, of)
        new = np.empty_like(of)
        before = 0
        for members in blocks:
            block = Block(marks.where(members), of[members])
            block.trade()
            new[members] = block.of + before
            before += block.clusters
        of = np.unique(new, return_inverse=True)[1]
    return of


def _cut(centre: Floats, marks: Marks, of: Codes) -> list[Codes]:
    """Cut the tuples into blocks of whole clusters; small corners share a block."""
    clusters = len(centre)
    corner = np.zeros(clusters, dtype=np.int64)
    corner[of] = marks.corner
    most = max(2, TRADE_BLOCK * clusters // len(of))
    order = np.argsort(corner, kind="stable")
    ends = np.flatnonzero(np.diff(corner[order])) + 1
    where, number, room = np.empty(clusters, dtype=np.int64), -1, 0
    for here in np.split(order, ends):
        for part in split(centre[here], most):
            # Blocks are filled up, since many corners are far smaller than one.
            if room < len(part):
                number, room = number + 1, most
            room -= len(part)
            where[here[part]] = number
    block = where[of]
    order = np.argsort(block, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(block[order])) + 1)
