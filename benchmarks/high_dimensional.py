"""k-anonymity of tables with 16 and 24 quasi-identifiers, beside simpler ways to cluster.

    python benchmarks/high_dimensional.py [--small] [--json] [--quick]

The tables are made here, from a fixed seed: people of some kinds, whose values lie around their
kind's with noise, so that nearly all rows are unique. They are not the tables of the published
figures, which are shown for scale: of those, the table with 24 columns has 30,000 rows and keeps
0.917 untouched, the one with 16 columns 73,489 rows and 0.850.

Granularity is 1 - the mean share of a hierarchy's leaves under the released label, computed here
from the two tables alone; more is better. Each method runs once, on one core where the products
of matrices allow it (set OPENBLAS_NUM_THREADS=1); seconds are of the processor.

`tutela` is shown after several numbers of steps, each from the start: the first plan alone, as many
steps as are made unless others are asked for, and two rounds further on. `--quick` leaves those
out, and the other methods.

`seeds`: clusters of k, each from the row farthest from the last one's, taking whoever keeps most.
`blocks`: the same inside blocks of 2,000 rows that lie together by their sorted coarse labels.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.measures.measures import k_anonymity
from tasks.anonymization import k_anonymize
from tasks.anonymization.clusters import STEPS

K = 5
WIDE = [2, 4, 3, *[11] * 6, *[40] * 8, *[80] * 4, *[25] * 3]
LONG = [2, 2, 2, *[5] * 2, *[7] * 2, *[9] * 2, *[15] * 3, *[40] * 2, *[80] * 2]
PUBLISHED = {
    24: {"ARX, local": 0.451, "tree": 0.466, "blocks": 0.535, "seeds": 0.547, "aim": 0.56},
    16: {"ARX, local": 0.634, "tree": 0.553, "blocks": 0.584, "seeds": 0.588, "aim": 0.65},
}

CURVE = {24: (0, STEPS, 5, 82), 16: (0, STEPS, 5, 82)}
"""Steps by columns: the last two end a round; 82 take some 80 and 190 seconds with all rows."""

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """Leaf codes, shape (rows, columns), and per column the labels of its leaves by level."""

    codes: Codes
    levels: list[Codes]

    def frame(self) -> pd.DataFrame:
        """The rows as text."""
        columns = [f"c{number:02d}" for number in range(self.codes.shape[1])]
        return pd.DataFrame(self.codes, columns=columns).astype(str)

    def hierarchies(self) -> dict[str, pd.DataFrame]:
        """Leaf first, `*` last; a label names its level."""
        found = {}
        for number, levels in enumerate(self.levels):
            rows = {0: levels[0].astype(str)}
            for level in range(1, len(levels) - 1):
                rows[level] = np.array([f"{level}:{label}" for label in levels[level]])
            rows[len(levels) - 1] = np.full(levels.shape[1], "*")
            found[f"c{number:02d}"] = pd.DataFrame(rows)
        return found

    def kept(self) -> list[NDArray[np.float64]]:
        """What each label keeps, 1 - its share of the leaves, shape (levels, leaves)."""
        return [
            np.array([1 - np.bincount(row)[row] / levels.shape[1] for row in levels])
            for levels in self.levels
        ]


def make(rows: int, leaves: list[int], kinds: int, noise: float, seed: int) -> Table:
    """Draw people of some kinds, few of most, with values around those of their kind."""
    random = np.random.default_rng(seed)
    share = 1 / np.arange(1, kinds + 1)
    kind = random.choice(kinds, rows, p=share / share.sum())
    common = random.normal(size=(rows, 3))
    columns = []
    for count in leaves:
        centre, spread = random.beta(0.7, 0.7, kinds), random.gamma(1, noise, kinds)
        value = centre[kind] + spread[kind] * random.normal(size=rows)
        value += common @ random.normal(size=3) * 0.1
        columns.append((value.clip(0, 0.9999) * count).astype(np.int64))
    return Table(np.array(columns).T, [merge(count) for count in leaves])


def merge(leaves: int) -> Codes:
    """Labels of a scale's leaves: neighbours put together level by level, up to one."""
    steps = [] if leaves < 4 else [2] if leaves < 9 else [2, 2] if leaves < 13 else [2, 2, 3]
    steps = [3, 2, 3, 3] if leaves > 40 else steps
    rows = [np.arange(leaves)]
    for step in steps:
        rows.append(rows[-1] // step)
    return np.array([*rows, np.zeros(leaves, dtype=np.int64)])


def clusters(table: Table, block: int) -> float:
    """Granularity of greedy clusters to far seeds, inside blocks of about so many rows."""
    marks, worth = [], []
    for codes, levels, kept in zip(table.codes.T, table.levels, table.kept(), strict=True):
        for level in range(len(levels) - 1):
            marks.append(levels[level][codes])
            worth.append((kept[level] - kept[level + 1])[codes])
    ids = np.array(marks, dtype=np.int16).T.copy()
    gains = np.array(worth, dtype=np.float32).T.copy()
    total = sum(cluster_block(ids[part], gains[part]) for part in cut(table, block))
    return total / table.codes.size


def cut(table: Table, block: int) -> Iterator[Codes]:
    """Halve the rows along the column, by rank, in which they differ most, down to blocks."""
    scaled = np.array([c / len(r[0]) for c, r in zip(table.codes.T, table.levels, strict=True)]).T
    waiting = [np.arange(len(scaled))]
    while waiting:
        some = waiting.pop()
        if len(some) <= block:
            yield some
            continue
        widest = scaled[some].var(axis=0).argmax()
        order = some[np.argsort(scaled[some, widest], kind="stable")]
        waiting += [order[len(order) // 2 :], order[: len(order) // 2]]


def cluster_block(ids: NDArray[np.int16], gains: NDArray[np.float32]) -> float:
    """Sum of what clusters of k keep; the fewer than k who are over keep nothing."""
    alive, total, last = np.arange(len(ids)), 0.0, 0
    while len(alive) >= K:
        near = ((ids[alive] == ids[last]) * gains[last]).sum(axis=1)
        seed = int(near.argmin())
        last = int(alive[seed])
        same = ids[alive] == ids[last]
        worth = same * gains[last]
        score, box, members = worth.sum(axis=1), np.ones(ids.shape[1], dtype=bool), [seed]
        for _ in range(K - 1):
            score[members] = -1
            best = int(score.argmax())
            lost = box & ~same[best]
            box &= same[best]
            score -= worth[:, lost].sum(axis=1)
            members.append(best)
        total += K * float(gains[last][box].sum())
        alive = np.delete(alive, members)
    return total


def granularity(table: Table, released: pd.DataFrame) -> float:
    """Of a released table; a suppressed row keeps nothing."""
    total = 0.0
    for column, rows in table.hierarchies().items():
        share = pd.concat([rows[level].value_counts() for level in rows]) / len(rows)
        total += (1 - released[column].astype(str).map(share[~share.index.duplicated()])).sum()
    return total / table.codes.size


def run(wide: int, long: int, *, quick: bool) -> list[dict[str, float | str]]:
    """Measure each method on both tables."""
    results: list[dict[str, float | str]] = []
    for table in (make(wide, WIDE, 60, 0.10, 1), make(long, LONG, 120, 0.09, 2)):
        rows, columns = table.codes.shape
        frame, hierarchies = table.frame(), table.hierarchies()
        untouched = float(np.mean([1 - 1 / levels.shape[1] for levels in table.levels]))
        size: dict[str, float | str] = {"columns": columns, "rows": rows}
        size |= {"untouched": round(untouched, 3)}

        def release(steps: int) -> float:
            names = list(hierarchies)  # noqa: B023  # called at once
            made = k_anonymize(frame, names, K, hierarchies=hierarchies, steps=steps).frame  # noqa: B023
            if k_anonymity(made, names) < K:
                raise ValueError("a released class has fewer than k rows")
            return granularity(table, made)  # noqa: B023

        curve = CURVE[columns][:2] if quick else CURVE[columns]
        methods: dict[str, Callable[[], float]] = {
            f"tutela, {steps} steps": partial(release, steps) for steps in curve
        }
        if not quick:
            methods["blocks"] = partial(clusters, table, 2_000)
            methods["seeds"] = partial(clusters, table, rows)
        for name, method in methods.items():
            start = time.process_time()
            reached = method()
            taken = time.process_time() - start
            figures = {"granularity": round(reached, 4), "seconds": round(taken, 1)}
            elsewhere = PUBLISHED[columns].get(name, PUBLISHED[columns]["aim"])
            results.append({**size, "method": name, **figures, "published or aim": elsewhere})
    return results


def main() -> None:
    """Make the tables, run the methods and print them."""
    parser = argparse.ArgumentParser(description="k-anonymity of tables of many columns.")
    parser.add_argument("--small", action="store_true", help="a tenth of the rows")
    parser.add_argument("--quick", action="store_true", help="no long rounds, no other methods")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    rows = (3_000, 7_300) if given.small else (30_000, 73_000)
    results = run(*rows, quick=given.quick)
    report = {"k": K, "data": "generated by this file, fixed seeds", "results": results}
    report |= {"published, on other tables": {str(n): row for n, row in PUBLISHED.items()}}
    print(
        json.dumps(report, indent=2) if given.json else pd.DataFrame(results).to_string(index=False)
    )


if __name__ == "__main__":
    main()
