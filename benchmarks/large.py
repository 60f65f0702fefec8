"""A whole run over millions of people, step by step: seconds, CPU seconds and peak memory.

Two outlets, one at a time. `table`: six columns, made k-anonymous, attacked and handed over.
`private`: a differentially private model on 17 features, attacked and registered. The people are
made up and lie in one Parquet file of 20 columns, their consent among them, so that neither waits
for a ledger of events (see `pipeline.py` and `consent.py` for that). The run is the command line's
own, Prefect and MLflow included, in a process of its own; this one only watches it and all that it
starts, five times a second. Linux only.

    python benchmarks/large.py [--rows N] [--outlet table|private] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

POLICY = """
tutela: 1
name: large
title: A made-up table of many people
controller: {name: Benchmark, contact: nobody@example.org}
purpose: dpv:ScientificResearch
legal_basis: {article_6: eu-gdpr:A6-1-a, article_9: eu-gdpr:A9-2-a}
source: {location: {kind: parquet, path: people.parquet}, person: person}
basis: {kind: consent-column, column: consents, granted: ["yes"]}
population: {eligible: "age >= 18", smallest: 500, test_share: 0.2}
columns:
  age: {type: number, identifiability: quasi, category: dpv-pd:Age, use: [eligibility, USE],
    treatment: {kind: bin, edges: [20, 30, 40, 50, 60, 70, 80],
    labels: [under 20, 20-29, 30-39, 40-49, 50-59, 60-69, 70-79, 80+]}}
  sick: {type: boolean, identifiability: none, category: dpv-pd:Health, use: [TARGET],
    treatment: {kind: keep}}
COLUMNS
OUTLET
retention_days: 1
"""
OUTLETS = {
    "table": """
outlets:
  table:
    kind: table
    recipient: Benchmark
    k: 10
    max_suppressed: 0.02
    columns: {age: generalize, c0: generalize, c1: generalize, c2: generalize, c3: generalize,
      sick: generalize}
expectations:
  - {rule: missing-at-most, column: age, share: 0}
  - {rule: share-between, column: c1, value: word 1, low: 0.1, high: 0.4}
""",
    "private": """
outlets:
  model: {kind: model, recipient: Benchmark,
    promise: {kind: differential-privacy, epsilon: 1, delta: 1e-8}}
training: {model: private-logistic-regression}
budget: {lifetime_epsilon: 2, delta: 1e-8}
attacks: {membership: {}}
expectations:
  - {rule: missing-at-most, column: age, share: 0}
""",
}
CATEGORIES, NUMBERS = 8, 8
RELEASED = 4
WORDS: Final = [f"word {n}" for n in range(6)]
SHARES: Final = (0.5, 0.25, 0.12, 0.08, 0.04, 0.01)
"""Rare words make rare rows, which a recoding has work with."""
PIECE: Final = 1_000_000
TICK: Final = 0.2
CLOCK: Final = os.sysconf("SC_CLK_TCK")


def write_policy(outlet: str) -> str:
    """Give the policy of one outlet; it names the columns that the outlet needs."""
    table = outlet == "table"
    columns = [
        f"  c{n}: {{type: text, identifiability: quasi, category: dpv-pd:Demographic, "
        f"use: [{'release' if table else 'feature'}{', audit' if n == 0 and not table else ''}], "
        f"treatment: {{kind: categories, values: [{', '.join(WORDS)}]}}}}"
        for n in range(RELEASED if table else CATEGORIES)
    ] + [
        f"  n{n}: {{type: number, identifiability: none, category: dpv-pd:Health, "
        "use: [feature], treatment: {kind: clip, low: 0, high: 100}}"
        for n in range(0 if table else NUMBERS)
    ]
    return (
        POLICY.replace("USE", "release" if table else "feature")
        .replace("TARGET", "release" if table else "target")
        .replace("COLUMNS", "\n".join(columns))
        .replace("OUTLET", OUTLETS[outlet])
    )


def make_data(folder: Path, rows: int, outlet: str) -> None:
    """Write a policy and its people, a piece at a time; nobody of them is real."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "policy.yaml").write_text(write_policy(outlet))
    rng, writer = np.random.default_rng(7), None
    words = pa.array(WORDS)
    for start in range(0, rows, PIECE):
        count = min(PIECE, rows - start)
        age, first = rng.integers(0, 95, count), rng.uniform(0, 90, count)
        chance = 1 / (1 + np.exp(6 - first / 20 - age / 25))
        piece = {
            # An odd step through all numbers: each once, and in no order of the rows.
            "person": [f"P-{(n * 7_368_787) % rows:09d}" for n in range(start, start + count)],
            "consents": np.where(rng.random(count) < 0.95, "yes", "no"),
            "age": age.astype(float),
            "sick": rng.random(count) < chance,
        }
        piece |= {f"c{n}": words.take(pa.array(rng.choice(6, count, p=SHARES)))
                  for n in range(CATEGORIES)}  # fmt: skip
        piece |= {f"n{n}": rng.uniform(0, 90, count) if n else first for n in range(NUMBERS)}
        table = pa.table(piece)
        writer = writer or pq.ParquetWriter(folder / "people.parquet", table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def run_policy(folder: Path) -> dict[str, object]:
    """Run the policy as the command line does; give each step's beginning and end, by the clock."""
    os.environ["TUTELA_HOME"] = str(folder / "home")
    from deployments.request import checked_request
    from deployments.run.launch import carry_out
    from deployments.run.progress import Progress
    from deployments.servers.prefect_server import make_home
    from ledgers.home.keys import Keys
    from tasks.handover.delivery import read_run

    steps: list[tuple[str, float, float]] = []

    class Watched(Progress):
        def step(self, title: str, event: str, seconds: float) -> None:
            super().step(title, event, seconds)
            if event == "finished":
                steps.append((title, time.time() - seconds, time.time()))

    home = make_home(None)
    with Watched() as progress:
        file, _ = checked_request(str(folder / "policy.yaml"), None)
        ended = carry_out(home, file, None, "all", None, progress)
    found = read_run(home, Keys.open(home), ended.run_id).summary()
    return {"verdict": str(found.verdict), "steps": steps}


@dataclass(frozen=True, slots=True)
class Sample:
    """What a process and all that it started have used: CPU seconds so far, and MB now."""

    at: float
    cpu: float
    memory: float


def look_at(root: int) -> Sample:
    """Add up a process and its descendants, and the ended ones that were waited for."""
    cpu, parents = {}, {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields = place.read_text().rpartition(")")[2].split()
            parents[int(place.parent.name)] = int(fields[1])
            cpu[int(place.parent.name)] = sum(map(int, fields[11:15])) / CLOCK
    family = {root}
    while more := {one for one, parent in parents.items() if parent in family} - family:
        family |= more
    used = sum(cpu.get(one, 0.0) for one in family)
    return Sample(time.time(), used, sum(map(measure_memory, family)))


def measure_memory(process: int) -> float:
    """Give the MB of a process, of what it shares with others its part; 0 once it has ended."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def watch(command: list[str]) -> tuple[dict[str, object], list[Sample]]:
    """Run a command, and look at it until it ends; its last line is JSON."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        samples = [look_at(process.pid)]
        while process.poll() is None:
            time.sleep(TICK)
            samples.append(look_at(process.pid))
        said = process.stdout.read() if process.stdout else ""
    if process.returncode:
        sys.exit(process.returncode)
    # Once it has ended there is nothing left to look at.
    return json.loads(said.splitlines()[-1]), [one for one in samples if one.cpu]


def sum_up(steps: list[tuple[str, float, float]], samples: list[Sample]) -> list[dict[str, object]]:
    """Give each step's seconds, CPU seconds and peak; what lies between steps is a row of its own.

    The last row is the whole.
    """
    at, cpu = (np.array([getattr(one, name) for one in samples]) for name in ("at", "cpu"))
    memory = np.array([one.memory for one in samples])

    def measure(title: str, start: float, end: float) -> dict[str, object]:
        used = float(np.diff(np.interp([start, end], at, cpu))[0])
        within = memory[(at >= start - TICK) & (at <= end + TICK)]
        return {
            "step": title,
            "seconds": round(end - start, 1),
            "CPU seconds": round(used, 1),
            "peak MB": round(float(within.max(initial=0.0))),
        }

    rows = [measure(*step) for step in steps]
    whole = measure("whole run", samples[0].at, samples[-1].at)
    between = {"step": "between steps", "peak MB": ""} | {
        name: round(float(whole[name]) - sum(float(row[name]) for row in rows), 1)  # type: ignore[arg-type]
        for name in ("seconds", "CPU seconds")
    }
    return [*rows, between, whole]


def main() -> None:
    """Print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--outlet", choices=list(OUTLETS), default="table")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        print(json.dumps(run_policy(asked.run)))
        return
    with tempfile.TemporaryDirectory() as place:
        make_data(Path(place), asked.rows, asked.outlet)
        told, samples = watch([sys.executable, __file__, "--run", place])
    rows = sum_up(told["steps"], samples)  # type: ignore[arg-type]  # as `run_policy` gives them
    if asked.json:
        print(json.dumps({"rows": asked.rows, "outlet": asked.outlet, **told, "steps": rows}))
        return
    print(f"{asked.rows:,} rows, {asked.outlet}: {told['verdict']}")
    print(f"{'step':<40}{'seconds':>10}{'CPU s':>10}{'peak MB':>10}")
    for row in rows:
        print(f"{row['step']:<40}{row['seconds']:>10}{row['CPU seconds']:>10}{row['peak MB']:>10}")


if __name__ == "__main__":
    main()
