"""k-anonymity by local recoding of tables with too many vectors of levels to list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.anonymization.boxes import LEFT, Boxes, Codes
from tasks.anonymization.tuples import Classes, Tuples
from tasks.anonymization.requirement import Requirement

BLOCK = 1500
NEIGHBOURS = 24
SWEEPS = 6
DIMENSIONS = 12
import os, sys, time
BLOCK = int(os.environ.get("BLOCK", BLOCK)); SWEEPS = int(os.environ.get("SWEEPS", SWEEPS)); NEIGHBOURS=int(os.environ.get("NB",NEIGHBOURS))
ROUNDS=int(os.environ.get("ROUNDS",8))
T0=0.
def log(*a):
    if os.environ.get("V"): print(f"{time.process_time()-T0:6.1f}",*a)

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Marks:
    """id (tuples, F): number of the label; worth (ids,)"""
    id: NDArray[np.int32]
    worth: Floats
    people: Floats
    k: int

    @classmethod
    def of(cls, tuples: Tuples, k) -> "Marks":
        ids, worth, offset = [], [], 0
        weights = np.array(tuples.importance or [1.0] * len(tuples.codes))
        for codes, groups, used, weight in zip(tuples.codes, tuples.groups, tuples.levels(), weights, strict=True):
            seen = np.unique(codes)
            share = np.array([np.bincount(row[seen], minlength=row.max() + 1)[row] for row in groups]) / len(seen)
            for low, high in zip(used[:-1], used[1:]):
                size = int(groups[low].max()) + 1
                value = np.zeros(size, np.float32)
                value[groups[low]] = (share[high] - share[low]) * weight
                ids.append(groups[low][codes] + offset)
                worth.append(value)
                offset += size
        return cls(np.array(ids, dtype=np.int32).T.copy(), np.concatenate(worth), tuples.people.astype(np.float32), k)


def project(marks: Marks) -> Floats:
    n, F = marks.id.shape
    step = max(1, n // 8000)
    sample = marks.id[::step]
    count = np.bincount(sample.ravel(), minlength=len(marks.worth))
    p = count / len(sample)
    mass = marks.worth * p * (1 - p)
    top = np.sort(np.argsort(-mass, kind="stable")[:800])
    place = np.full(len(marks.worth), -1, np.int32)
    place[top] = np.arange(len(top))
    def hot(ids):
        col = place[ids]; ok = col >= 0
        row = np.repeat(np.arange(len(ids)), F)[ok.ravel()]
        return sparse.csr_matrix((np.sqrt(marks.worth)[ids][ok], (row, col[ok])), shape=(len(ids), len(top)))
    H = hot(sample)
    gram = (H.T @ H).toarray() / len(sample)
    mean = np.asarray(H.mean(axis=0)).ravel()
    value, vector = np.linalg.eigh(gram - np.outer(mean, mean))
    axes = vector[:, -DIMENSIONS:]
    sign = np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    return np.asarray(hot(marks.id) @ (axes * sign)).astype(np.float32)


def split(points: Floats, size: int, rng) -> list[Codes]:
    out, stack = [], [np.arange(len(points))]
    while stack:
        some = stack.pop()
        if len(some) <= size:
            out.append(some); continue
        sub = points[some]
        dim = sub.var(0).argmax()
        parts = -(-len(some) // size)
        cut = len(some) * (parts // 2) // parts
        if rng is not None:
            cut = int(len(some) * (0.5 + 0.1 * (rng.random() - .5)))
        order = np.argsort(sub[:, dim], kind="stable")
        stack += [some[order[cut:]], some[order[:cut]]]
    return out


def hots(ids, extra, weights, worth_len):
    """One-hot of ids that occur twice in a block"""


class Block:
    def __init__(self, marks, members):
        self.members = members
        self.id = marks.id[members]
        count = np.bincount(self.id.ravel(), minlength=len(marks.worth))
        self.often = np.flatnonzero((count > 1)&(marks.worth>0))
        self.place = np.full(len(marks.worth), len(self.often), np.int32)
        self.place[self.often] = np.arange(len(self.often))
        self.hot = self.dense(self.id, np.ones(self.id.shape, np.float32))

    def dense(self, ids, value):
        out = np.zeros((len(ids), len(self.often) + 1), np.float32)
        np.put_along_axis(out, self.place[ids], value, axis=1)
        return out[:, :-1]


def seed_clusters(marks: Marks, members: Codes):
    """Return list of index arrays in block + leftovers"""
    k = marks.k
    block = Block(marks, members)
    n = len(members)
    people = marks.people[members]
    sim = (block.hot * marks.worth[block.often]) @ block.hot.T
    np.fill_diagonal(sim, -1)
    found = []
    rest = np.arange(n)
    while len(rest) and people[rest].sum() >= k:
        m = min(max(NEIGHBOURS, 2 * k), len(rest) - 1)
        if m < 1:
            found.append(rest); rest = rest[:0]; break
        sub = sim[np.ix_(rest, rest)]
        near = np.argpartition(-sub, m - 1, axis=1)[:, :m]
        ids = block.id[rest]
        worth = marks.worth[ids]
        eq = ids[near] == ids[:, None, :]
        eqw = eq * worth[:, None, :]
        score = eqw.sum(2)
        box = worth.copy()
        full = people[rest].copy()
        chosen = np.zeros((len(rest), m), bool)
        row = np.arange(len(rest))
        while True:
            go = (full < k) & ~chosen.all(1)
            if not go.any(): break
            score[chosen] = -1
            best = score.argmax(1)
            r = row[go]; b = best[go]
            chosen[r, b] = True
            full[r] += people[rest][near[r, b]]
            box[r] *= eq[r, b]
            score = np.einsum('nmf,nf->nm', eq, box)
        saved = box.sum(1)
        saved[full < k] = -1
        order = np.argsort(-saved.round(5), kind="stable")
        free = np.ones(len(rest), bool)
        bound = None
        before = len(found)
        good = 0
        for s in order:
            if saved[s] < 0: break
            if not free[s]: continue
            group = np.append(near[s, chosen[s]], s)
            if free[group].all():
                free[group] = False
                found.append(rest[group])
        if len(found) == before:
            break
        rest = rest[free]
    return found, rest


def summary(ids, start):
    """Per cluster (sorted members): low, high, and counts"""
    low = np.minimum.reduceat(ids, start, axis=0)
    high = np.maximum.reduceat(ids, start, axis=0)
    return low, high


def sweep_block(marks: Marks, members: Codes, label: Codes, stats):
    """members sorted by cluster; label cluster numbers (global). Changes are returned."""
    k = marks.k
    block = Block(marks, members)
    people = marks.people[members]
    of = np.unique(label, return_inverse=True)[1]
    C0 = of.max() + 1
    hot, ids = block.hot, block.id
    n = len(ids)
    total = 0.
    for rnd in range(ROUNDS):
        order = np.argsort(of, kind="stable")
        counts = np.bincount(of, minlength=C0)
        live = np.flatnonzero(counts)
        start = np.cumsum(counts[live]) - counts[live]
        num = np.full(C0, -1); num[live] = np.arange(len(live))
        c = num[of]
        srt = ids[order]
        low, high = summary(srt, start)
        size = counts[live]
        pc = np.bincount(c, people, len(live)).astype(np.float32)
        agree = low == high
        sav = (agree * marks.worth[low]).sum(1)
        S = sav * pc
        cs = c[order]
        eqlow = srt == low[cs]; eqhigh = srt == high[cs]
        clow = np.add.reduceat(eqlow, start, axis=0, dtype=np.int16)
        chigh = np.add.reduceat(eqhigh, start, axis=0, dtype=np.int16)
        lone = (size - 1)[:, None]
        # without t
        tolow = ((clow == lone)[c]) & ~(ids == low[c])
        tohigh = ((chigh == lone)[c]) & ~(ids == high[c])
        without = agree[c] | tolow | tohigh
        lab = np.where(tohigh, high[c], low[c])
        without &= (size > 1)[c][:, None]
        v = without * marks.worth[lab]
        vs = v.sum(1)
        P = block.dense(lab, v) @ hot.T
        left = pc[c] - people
        gain = (left[:, None] + people) * P
        gain = gain + gain.T
        gain -= S[c][:, None]
        gain -= S[c]
        gain[c[:, None] == c] = -1
        ok = left[:, None] + people >= k
        ok &= ok.T
        ok &= (size > 1)[c][:, None]; ok &= (size > 1)[c]
        gain[~ok] = -1
        # joins
        J = hot @ block.dense(low, agree * marks.worth[low]).T
        J *= pc + people[:, None]
        J -= S
        J[np.arange(n), c] = -np.inf
        tgt = J.argmax(1)
        jbest = J[np.arange(n), tgt]
        leave = np.where((left >= k), left * vs - S[c], -np.inf)
        cand = []
        u = gain.argmax(1); g = gain[np.arange(n), u]
        for t in np.flatnonzero((g > 1e-3)): 
            if t < u[t] or u[u[t]] != t: cand.append((-float(g[t]), 0, int(t), int(u[t])))
        mv = jbest + leave
        for t in np.flatnonzero(mv > 1e-3): cand.append((-float(mv[t]), 1, int(t), int(tgt[t])))
        dis = np.bincount(c, jbest, len(live)) - S
        for a in np.flatnonzero(dis > 1e-3): cand.append((-float(dis[a]), 2, int(a), 0))
        if not cand: break
        cand.sort()
        touched = np.zeros(len(live), bool)
        done = 0.
        new = c.copy()
        nums = [0, 0, 0]
        for g, kind, t, w in cand:
            if kind == 0:
                a, b = c[t], c[w]
                if touched[a] or touched[b]: continue
                new[t], new[w] = b, a
                touched[a] = touched[b] = True
            elif kind == 1:
                a, b = c[t], w
                if touched[a] or touched[b]: continue
                new[t] = b
                touched[a] = touched[b] = True
            else:
                mem = order[start[t]:start[t] + size[t]]
                to = tgt[mem]
                if touched[t] or touched[to].any() or len(set(to.tolist())) < len(to): continue
                new[mem] = to
                touched[t] = True; touched[to] = True
            nums[kind] += 1
            done -= g
        stats += [done, *nums]
        total += done
        of = live[new]
        if done < 1e-4 * S.sum(): break
    return of, C0, total


def sweep(marks, of, points, rng):
    """One sweep over blocks of clusters"""
    C = of.max() + 1
    counts = np.bincount(of, minlength=C)
    centre = np.array([np.bincount(of, col, C) for col in points.T]).T / counts[:, None]
    q = np.linalg.qr(rng.normal(size=(points.shape[1],) * 2))[0] if rng is not None else np.eye(points.shape[1])
    blocks = split(centre @ q, max(2, BLOCK // max(1, int(len(of) / C))), rng)
    where = np.full(C, -1)
    for b, cl in enumerate(blocks): where[cl] = b
    order = np.argsort(of, kind="stable")
    blk = where[of[order]]
    out = np.empty_like(of)
    base = 0
    stats = np.zeros(4)
    for b in range(len(blocks)):
        mem = order[blk == b]
        new, size, tot = sweep_block(marks, mem, of[mem], stats)
        out[mem] = new + base
        base += size
    return np.unique(out, return_inverse=True)[1], stats


def value(marks, of):
    order = np.argsort(of, kind="stable")
    counts = np.bincount(of); start = np.cumsum(counts) - counts
    low, high = summary(marks.id[order], start)
    sav = ((low == high) * marks.worth[low]).sum(1)
    return sav, np.bincount(of, marks.people)


def build(marks: Marks) -> Codes:
    points = project(marks)
    log("projected")
    of = np.full(len(points), -1)
    c = 0
    lone = marks.people >= marks.k
    for block in split(points, BLOCK, None):
        found, rest = seed_clusters(marks, block)
        for g in found:
            of[block[g]] = c; c += 1
        if len(rest):
            if found:
                of[block[rest]] = c - 1
            else:
                of[block[rest]] = c; c += 1
    of = np.unique(of, return_inverse=True)[1]
    rng = np.random.default_rng(0)
    s, p = value(marks, of); N = marks.people.sum(); log("seeded", (s * p).sum() / N, len(p))
    for i in range(SWEEPS):
        of, stats = sweep(marks, of, points, rng)
        s, p = value(marks, of); log("sweep", i, (s * p).sum() / N, len(p), stats)
    return of


def first_fit(tuples: Tuples, vectors: Codes, rep: Codes) -> Codes:
    takes = []
    for codes, groups, level in zip(tuples.codes, tuples.groups, vectors.T):
        label = groups[level, codes[rep]]
        takes.append((groups[level] == label[:, None]).T)
    return Boxes.of(takes).first(tuples.codes)


def common_vectors(tuples: Tuples, of: Codes):
    order = np.argsort(of, kind="stable")
    counts = np.bincount(of); start = np.cumsum(counts) - counts
    out = np.zeros((len(counts), len(tuples.codes)), np.int64)
    for c, (codes, groups, used) in enumerate(zip(tuples.codes, tuples.groups, tuples.levels())):
        todo = np.ones(len(counts), bool)
        for level in range(len(groups)):
            x = groups[level][codes[order]]
            same = np.minimum.reduceat(x, start) == np.maximum.reduceat(x, start)
            out[todo & same, c] = level
            todo &= ~same
    return out, order[start]


def cluster(tuples: Tuples, requirement: Requirement) -> Classes:
    global T0
    T0 = time.process_time()
    marks = Marks.of(tuples, requirement.k)
    marks_now = marks; of = build(marks)
    classes = Classes(np.full(len(of), LEFT))
    rest = np.arange(len(of))
    for attempt in range(5):
        sav, people = value(marks_now, of)
        number = np.argsort(-sav.round(5), kind="stable")
        rank = np.empty_like(number); rank[number] = np.arange(len(number))
        of = rank[of]
        part = Tuples(tuples.codes[:, rest], tuples.people[rest], tuples.groups, tuples.importance)
        vectors, rep = common_vectors(part, of)
        alive = np.arange(len(vectors))
        while True:
            fit = first_fit(part, vectors[alive], rep[alive])
            has = fit >= 0
            p = np.bincount(fit[has], part.people[has], len(alive))
            good = p >= requirement.k
            log("fit", len(alive), (~good).sum(), (~has).sum(), "moved")
            if good.all(): break
            # drop the last failing first
            bad = np.flatnonzero(~good)
            drop = bad[len(bad) // 2:] if len(bad) > 50 else bad
            keep = np.ones(len(alive), bool); keep[drop] = False
            alive = alive[keep]
        base = len(classes.vectors)
        classes.of[rest[has]] = fit[has] + base
        classes.vectors.extend(map(tuple, vectors[alive].tolist()))
        rest = rest[~has]
        log("left", len(rest))
        if len(rest) < 2 * requirement.k: break
        marks_now = Marks(marks.id[rest], marks.worth, marks.people[rest], marks.k)
        of = build(marks_now)
    return classes
