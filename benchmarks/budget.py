"""How long the budget ledger takes to charge a run, and what composing saves over adding.

    python benchmarks/budget.py [--people N …] [--runs N …] [--json]

On SQLite in a new home in the system's folder for temporary files. For each number of people, one
weekly run after the other is charged, each for all of them but some who come and go; told are the
CPU seconds of the next `reserve` after so many runs, the largest memory by then, and the file's
size. Then one ledger of mixed mechanisms is priced: by adding up the ε of each, by the Rényi filter
(which allows each to depend on what came before) and by privacy loss distributions.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from expectations.privacy_loss import (
    Bounded,
    Gaussian,
    Laplace,
    Mechanism,
    RenyiFilter,
    SampledGaussian,
    calibrate,
    compose,
)
from ledgers.budget.ledger import BudgetLedger, Ceiling, Charge
from ledgers.home.database import open_database
from ledgers.home.founding import create_home
from ledgers.home.home import Home
from ledgers.home.keys import Keys

DELTA = 1e-5
CEILING = Ceiling(20, DELTA, "fixed")
TURNOVER = 0.002
"""Which share of the people is new each week, in the place of others."""
MIXED: dict[str, tuple[Mechanism, ...]] = {
    "a year of weekly models, Gaussian": (Gaussian(26.0, 52),),
    "two networks, sampled": (SampledGaussian(1.3, 0.01, 1000),) * 2,
    "counts, Laplace": (Laplace(0.05, 12),),
    "other proofs": (Bounded(0.1, 1e-7),) * 5,
}


def make_ledger(folder: Path) -> BudgetLedger:
    """Make a home with an empty ledger."""
    home = create_home(folder / "home")
    return BudgetLedger(open_database(home), Keys.open(home))


def make_weeks(people: int, runs: int) -> Iterator[np.ndarray[tuple[int], np.dtype[np.uint64]]]:
    """Give the record keys of each week's people."""
    draw = np.random.default_rng(1)
    there = draw.integers(0, 2**64, people, np.uint64)
    for _ in range(runs):
        yield there
        gone = draw.integers(0, people, max(1, int(TURNOVER * people)))
        there = there.copy()
        there[gone] = draw.integers(0, 2**64, len(gone), np.uint64)


def time_reserve(people: int, marks: Sequence[int]) -> Iterator[dict[str, float]]:
    """Charge week after week, and tell of each of `marks` what the run after so many took."""
    noise = calibrate(draw_once, 0.5, DELTA)
    with tempfile.TemporaryDirectory() as folder:
        ledger = make_ledger(Path(folder))
        for past, there in enumerate(make_weeks(people, max(marks) + 1)):
            charge = Charge(
                f"run-{past}", "weekly", "dpv:ScientificResearch", "2026-01-01T00:00:00+00:00",
                draw_once(noise), "fixed", there,
            )  # fmt: skip
            begun, cpu = time.perf_counter(), time.process_time()
            ledger.reserve(charge, CEILING)
            if past in marks:
                yield {
                    "people": people,
                    "past_runs": past,
                    "cpu_seconds": time.process_time() - cpu,
                    "seconds": time.perf_counter() - begun,
                    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                    "file_mb": file_size(ledger.keys.home) / 1e6,
                }
        ledger.engine.dispose()


def file_size(home: Home) -> int:
    """Give the bytes of the database, its log included."""
    return sum(path.stat().st_size for path in home.root.glob("ledger.sqlite*"))


def draw_once(noise: float) -> tuple[Mechanism, ...]:
    """Draw Gaussian noise once."""
    return (Gaussian(noise),)


def price_mixed() -> dict[str, float]:
    """Price the mixed ledger in three ways; the filter for a ceiling that just lets it pass."""
    together = [one for part in MIXED.values() for one in part]
    found = {f"part: {name}": compose(part, DELTA) for name, part in MIXED.items()}
    # By hand, each mechanism would be priced at its share of δ; adding parts is more generous.
    found["adding the parts"] = sum(found.values())
    ceilings = np.arange(1, 20, 0.01)
    fits = (float(e) for e in ceilings if RenyiFilter(float(e), DELTA).spent(together) <= e)
    found["Rényi filter"] = next(fits)
    begun = time.process_time()
    found["privacy loss distributions"] = compose(reversed(together), DELTA)
    found["cpu_seconds"] = time.process_time() - begun
    return found


def main() -> None:
    """Measure, and print as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--people", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--runs", type=int, nargs="+", default=[0, 12, 52])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    mixed = price_mixed()
    rows = [row for people in given.people for row in time_reserve(people, given.runs)]
    if given.json:
        print(json.dumps({"reserve": rows, "mixed": mixed}, indent=2))
        return
    print(f"{'people':>10} {'past runs':>10} {'CPU s':>8} {'s':>8} {'peak MB':>8} {'file MB':>8}")
    for row in rows:
        print(
            f"{row['people']:>10,} {row['past_runs']:>10} {row['cpu_seconds']:>8.2f} "
            f"{row['seconds']:>8.2f} {row['peak_mb']:>8.0f} {row['file_mb']:>8.1f}"
        )
    print(f"\nOne mixed ledger at δ = {DELTA:g}")
    for name, value in mixed.items():
        print(f"  {name:<40} {value:.3f}")


if __name__ == "__main__":
    main()
