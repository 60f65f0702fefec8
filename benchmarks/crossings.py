"""Crossing a table of a million people with ten earlier ones: CPU seconds and memory.

Made-up people in classes of about 50, of whom 5 in 100 are not in each earlier table and 1 in 100
was in another class there. `judge`: every two and every three tables, person by person, as a table
is judged before it is recorded. `choose`: the same cells, as rows are chosen, and asked three
times. `remember`: who was in one table written and read. Nothing is searched or fitted.

    python benchmarks/crossings.py [--people N] [--earlier N] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import time
import zlib
from collections.abc import Callable

import numpy as np
import pandas as pd

from expectations.measures.crossings import PeopleInClasses, find_singled_out
from tasks.anonymization.releases.crossings import Crossings, EarlierClasses, number_signs
from tasks.anonymization.releases.held_people import HeldPeople

K, SIZE = 10, 50


def make_tables(people: int, earlier: int) -> tuple[HeldPeople, list[HeldPeople]]:
    """Make a table and earlier ones of nearly the same people in nearly the same classes."""
    draw = np.random.default_rng(1)
    numbers = np.unique(draw.integers(0, 2**63, people, dtype=np.uint64))
    classes = draw.integers(0, max(1, people // SIZE), len(numbers))
    tables = []
    for _ in range(earlier):
        stay = draw.random(len(numbers)) < 0.95
        moved = draw.random(len(numbers)) < 0.01
        of = np.where(moved, draw.permutation(classes), classes)
        tables.append(HeldPeople(numbers[stay], of[stay], K, frozenset({"r"})))
    return HeldPeople(numbers, classes, K, frozenset({"r"})), tables


def see(held: HeldPeople) -> PeopleInClasses:
    """Give a table as it is judged."""
    return PeopleInClasses(held.people, held.classes, held.k)


def choose(table: HeldPeople, tables: list[HeldPeople]) -> int:
    """Build all cells of the distinct rows, and ask three times who may leave."""
    earlier = [EarlierClasses(str(n), one.find(table.people), K) for n, one in enumerate(tables)]
    sign, first = number_signs([table.classes, *(one.classes for one in earlier)])
    kinds = [EarlierClasses(one.name, one.classes[first], K) for one in earlier]
    crossings = Crossings.among(table.classes[first], kinds, K, (pd.DataFrame(), {}))
    counts = np.bincount(sign)
    for _ in range(3):
        counts = np.where(crossings.allows(counts), counts, 0)
    return int(counts.sum())


def remember(table: HeldPeople) -> int:
    """Write and read who was in a table; give the bytes that are sealed."""
    content = zlib.compress(table.to_bytes())
    HeldPeople.from_bytes(zlib.decompress(content))
    return len(content)


def measure(work: Callable[[], object]) -> tuple[float, object]:
    """Give the CPU seconds that something took, and what it gave."""
    start = time.process_time()
    found = work()
    return round(time.process_time() - start, 1), found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--earlier", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    table, tables = make_tables(asked.people, asked.earlier)
    judged, singled = measure(lambda: find_singled_out(see(table), [see(one) for one in tables]))
    chosen, left = measure(lambda: choose(table, tables))
    remembered, size = measure(lambda: remember(table))
    found = {
        "people": len(table.people),
        "earlier": asked.earlier,
        "judge_cpu_seconds": judged,
        "singled_out": int(np.sum(singled)),
        "choose_cpu_seconds": chosen,
        "may_leave": left,
        "remember_cpu_seconds": remembered,
        "remembered_bytes": size,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    lines = (f"{name.replace('_', ' '):24} {value:>14,}" for name, value in found.items())
    print(json.dumps(found) if asked.json else "\n".join(lines))


if __name__ == "__main__":
    main()
