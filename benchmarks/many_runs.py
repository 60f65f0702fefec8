"""What stays behind when one process runs a policy again and again: memory, open files, threads.

    python benchmarks/many_runs.py [--policy NAME] [--runs N] [--first N] [--trace] [--json]

A fresh home, Prefect's server held open beside the runs. The first runs fill caches and are not
counted. Per run: growth of resident memory (the slope of a line through all runs, and the median
of the differences, since allocators grow in jumps), of open files, and of threads.

`--trace` adds what Python allocated and never gave back, in kB a run by the library whose line
allocated it, our own modules by file; runs are then three times as slow, and resident memory is
not to be compared. What native code allocates (Arrow, DuckDB, SQLite) is seen in resident memory
alone.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import tempfile
import threading
import tracemalloc
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
OWN: Final = ("tutela", "deployments", "flows", "tasks", "ledgers", "expectations")


class Left(NamedTuple):
    """What the process holds after a run."""

    mb: float
    files: int
    threads: int


def look() -> Left:
    """Collect what nobody holds, then count."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    held = pages * os.sysconf("SC_PAGESIZE") / 2**20
    return Left(held, sum(1 for _ in Path("/proc/self/fd").iterdir()), threading.active_count())


def run_many(policy: str, runs: int, first: int, *, trace: bool) -> dict[str, object]:
    """Run a policy in a fresh home, and give what stayed behind per run."""
    with tempfile.TemporaryDirectory() as place:
        os.environ["TUTELA_HOME"] = str(Path(place) / "home")
        from deployments.servers.prefect_process import share
        from deployments.servers.prefect_server import make_home

        shared = share(make_home(None))
        try:
            return follow(policy, runs, first, trace=trace)
        finally:
            os.close(shared)


def follow(policy: str, runs: int, first: int, *, trace: bool) -> dict[str, object]:
    """Run a policy, looking after each run."""
    from deployments.run.notebook import run_here

    seen = []
    before = None
    for number in range(first + runs):
        if trace and number == first:
            tracemalloc.start()
            gc.collect()
            before = tracemalloc.take_snapshot()
        run_here(policy, None, "all", progress=False)
        if number >= first:
            seen.append(look())
    found: dict[str, object] = {
        "runs": runs,
        "MB a run, slope": slope([one.mb for one in seen]),
        "MB a run, median": statistics.median(
            later.mb - earlier.mb for earlier, later in pairwise(seen)
        ),
        "MB after the first": round(seen[0].mb, 1),
        "MB after the last": round(seen[-1].mb, 1),
        "open files a run": slope([one.files for one in seen]),
        "threads a run": slope([one.threads for one in seen]),
    }
    if before is not None:
        after = tracemalloc.take_snapshot()
        tracemalloc.stop()
        found["kB a run by library"] = sum_by_library(before, after, runs)
    return found


def slope(values: list[float] | list[int]) -> float:
    """Give the growth a run by least squares."""
    return round(statistics.linear_regression(range(len(values)), values).slope, 4)


def sum_by_library(
    before: tracemalloc.Snapshot, after: tracemalloc.Snapshot, runs: int
) -> dict[str, float]:
    """Add up what was allocated in between and is still held, by whose line allocated it."""
    grown = Counter[str]()
    for difference in after.compare_to(before, "filename"):
        grown[name_owner(difference.traceback[0].filename)] += difference.size_diff
    kept = {name: round(size / 1024 / runs, 2) for name, size in grown.most_common()}
    return {name: size for name, size in kept.items() if abs(size) >= 0.05}  # less is noise


def name_owner(file: str) -> str:
    """Name a library, a module of the standard library, or a file of ours."""
    path = Path(file)
    if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in OWN:
        return str(path.relative_to(ROOT))
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1]
    return f"Python: {path.stem if path.stem != '__init__' else path.parent.name}"


def main() -> None:
    """Print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description="What stays behind when a policy runs often.")
    parser.add_argument("--policy", default="registry")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--first", type=int, default=5, help="runs before counting begins")
    parser.add_argument("--trace", action="store_true", help="say which library allocated it")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    found = run_many(given.policy, given.runs, given.first, trace=given.trace)
    if given.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        if not isinstance(value, dict):
            print(f"{name:<40}{value!s:>10}")
            continue
        print(name)
        for library, size in value.items():
            print(f"  {library:<38}{size:>10}")


if __name__ == "__main__":
    main()
