"""Trades between clusters: what `cluster_growth` made greedily is made better, a sweep at a time.

A trade is a swap of two tuples, the move of one that its cluster can spare, or the end of a cluster
whose members all find better ones. All trades inside a block are weighed at once, as products of
matrices; the best that touch different clusters are done. What is kept never falls.

Called by `tasks.anonymization.clusters`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.anonymization.marks import UNIT, Flags, Floats, Ids, Marks
from tasks.anonymization.neighbours import split, turn
from tasks.anonymization.tuples import Codes

ROUNDS = 8
"""Rounds of trades in a block: a later one seldom gains `LEAST`."""
TRADE_BLOCK = 700
"""Tuples whose trades are weighed together: twice as many take twice the time and find little."""
LEAST = 2e-4
"""Share of what a block keeps that a round has to gain for another one to follow."""
GAIN = UNIT / 1_000
"""A trade that gains less may be rounding, where a cluster has thousands of people."""


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
            if gained < LEAST * shared.kept.sum(dtype=np.float64):
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


def improve(marks: Marks, points: Floats, of: Codes, sweep: int) -> Codes:
    """Trade tuples between clusters, all numbered from 0; gives the better clusters' numbers.

    Each sweep cuts the clusters into other blocks, by a random turn of its own.
    """
    # The seed is the sweep's number: the same sweep of the same clusters does the same.
    turned = turn(points, np.random.default_rng(sweep))
    size = np.bincount(of)
    # Whole numbers again, so that sums do not depend on their order.
    centre = np.rint([np.bincount(of, column) / size for column in turned.T]).T
    new, before = np.empty_like(of), 0
    for members in _cut(centre.astype(np.float32), marks, of):
        block = Block(marks.where(members), of[members])
        block.trade()
        new[members] = block.of + before
        before += block.clusters
    return np.unique(new, return_inverse=True)[1]


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
