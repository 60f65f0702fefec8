"""How fast the consent ledger appends, looks up, scans and verifies, hashing and disk included.

    python benchmarks/consent_ledger.py [--events N] [--history-among N] [--json]

On SQLite in a new home in the system's folder for temporary files. N events of N / 2 people are
appended to an empty ledger, scanned, verified, and appended once more, which adds nothing; then
it is filled up to `--history-among`, single histories are read, and N further events appended.
The targets are 400,000 events a second taken in and a million verified, each with a commitment of
its own, and a history among ten million in 20 ms.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from expectations.policy.consent_terms import NoticeTerms, Terms
from expectations.policy.vocabulary import Category, ConsentStatus, Purpose
from ledgers.consent.ledger import Batch, ConsentLedger
from ledgers.home.database import open_database
from ledgers.home.founding import create_home
from ledgers.home.keys import Keys

YEAR = 365 * 86_400 * 1_000_000
NOTICE = NoticeTerms("n", 1, "en", (Purpose.SCIENTIFIC_RESEARCH,), (Category.AGE, Category.HEALTH))
TERMS = tuple(
    Terms(status, Purpose.SCIENTIFIC_RESEARCH, notice=NOTICE)
    for status in (ConsentStatus.GIVEN, ConsentStatus.WITHDRAWN, ConsentStatus.RENEWED)
)


def make_batch(events: int, seed: int) -> Batch:
    """Make events of half as many people, of whom some have an end and none a guardian."""
    draw = np.random.default_rng(seed)
    people = draw.integers(-(2**63), 2**63 - 1, (1 + events // 2, 2))
    token = people[draw.integers(0, len(people), events)]
    start = draw.integers(45 * YEAR, 55 * YEAR, events)
    nothing = pa.nulls(events)
    columns = {
        "token_high": token[:, 0],
        "token_low": token[:, 1],
        "terms": draw.integers(0, len(TERMS), events).astype(np.int32),
        "valid_from": start,
        "recorded_at": nothing,
        "valid_until": pa.array(start + YEAR, mask=draw.random(events) < 0.8),
        "guardian_high": nothing,
        "guardian_low": nothing,
        "evidence": nothing,
    }
    return Batch(pa.table(columns), TERMS)


def seconds(action: Callable[[], object]) -> float:
    """Time one call."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def time_histories(ledger: ConsentLedger, batch: Batch) -> dict[str, float]:
    """Read single people's histories one after the other; milliseconds each."""
    columns = [batch.table.column(half).slice(0, 200) for half in ("token_high", "token_low")]
    tokens = list(zip(*(column.to_pylist() for column in columns), strict=True))
    ledger.history(tokens.pop())
    taken = [1e3 * seconds(partial(ledger.history, token)) for token in tokens]
    return {"history_ms_median": statistics.median(taken), "history_ms_worst": max(taken)}


def measure(ledger: ConsentLedger, events: int, among: int) -> dict[str, float]:
    """Append, scan, verify, fill up, look up."""
    first = make_batch(events, 0)
    ledger.append(make_batch(1, 7), "warm-up")
    found = {"append_empty_per_second": events / seconds(lambda: ledger.append(first, "first"))}
    found["scan_per_second"] = events / seconds(ledger.scan)
    found["verify_per_second"] = events / seconds(ledger.verify)
    found["repeat_per_second"] = events / seconds(lambda: ledger.append(first, "again"))
    found["memory_gb_to_here"] = peak()
    filled = 2 * events
    while filled < among:
        ledger.append(make_batch(size := min(2_000_000, among - filled), filled), "filling")
        filled += size
    found["append_filled_per_second"] = events / seconds(
        lambda: ledger.append(make_batch(events, 1), "second")
    )
    found["events"] = ledger.head().seq
    found |= time_histories(ledger, first)
    return {**found, "memory_gb": peak()}


def peak() -> float:
    """Give the most memory that the process has taken."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    """Measure in a home of its own, print."""
    parser = argparse.ArgumentParser(description="The consent ledger: speed and memory.")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--history-among", type=int, default=10_000_000)
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = create_home(Path(folder) / "home")
        engine = open_database(home)
        ledger = ConsentLedger(engine, home, Keys.open(home))
        report = measure(ledger, arguments.events, arguments.history_among)
        engine.dispose()
    if arguments.json:
        print(json.dumps(report, indent=1))
        return
    for name, figure in report.items():
        print(f"{name:26} {figure:,.2f}")


if __name__ == "__main__":
    main()
