"""The steps of a run beside the same work written by hand in plain pandas, in one run.

A made-up table of people (1,000,000 x 20) and consent events (1,500,000), as Parquet files. Both
sides read whom they may, join, filter, tokenize, bin, validate by the same Great Expectations
suite, apply a k-anonymous recoding fitted on their histogram, check k, and write the table. Left
out on both sides: the server's start, training, imports. Ours runs twice: the first time it takes
the events into the consent ledger, `again` it finds them there. Each side runs in a process of its
own, by turns; the figures are medians. Memory is the peak above what the imports take.

    python benchmarks/pipeline.py [--people N] [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

POLICY = """
tutela: 1
name: made-up
title: A made-up table of people
controller: {name: Benchmark, contact: nobody@example.org}
purpose: dpv:ScientificResearch
legal_basis: {article_6: eu-gdpr:A6-1-a, article_9: eu-gdpr:A9-2-a}
source: {location: {kind: parquet, path: people.parquet}, person: person}
basis:
  kind: consent
  notices:
    - {id: study, purposes: [dpv:ScientificResearch, dpv:Marketing], categories: [dpv-pd:Age,
       dpv-pd:Demographic, dpv-pd:Health, dpv-pd:Identifying]}
  events:
    - {location: {kind: parquet, path: events.parquet},
       stated: {notice: study, indication: explicit}}
population: {eligible: "age >= 18 and n0 is not missing", smallest: 500, test_share: 0.2}
columns:
  token: {from: person, type: text, identifiability: identifier, category: dpv-pd:Identifying,
    use: [release], treatment: {kind: token}}
  age: {type: number, identifiability: quasi, category: dpv-pd:Age,
    use: [eligibility, release], treatment: {kind: bin, edges: [20, 30, 40, 50, 60, 70, 80],
    labels: [under 20, 20-29, 30-39, 40-49, 50-59, 60-69, 70-79, 80+]}}
COLUMNS
derived:
  target: {expression: n0 >= 50, identifiability: none, category: dpv-pd:Health, use: [target],
    treatment: {kind: keep}}
outlets:
  model: {kind: model, recipient: Benchmark}
  table:
    kind: table
    recipient: Benchmark
    k: 10
    max_suppressed: 0.02
    columns: {token: keep, age: generalize, c0: generalize, c1: generalize, c2: generalize,
      c3: generalize}
    not_linkable: {token: only who holds the key can tell whose it is}
expectations:
  - {rule: missing-at-most, column: age, share: 0}
  - {rule: between, column: n0, low: -1, high: 90}
  - {rule: missing-at-most, column: n1, share: 0.01}
  - {rule: share-between, column: c1, value: word 1, low: 0.1, high: 0.3}
  - {rule: missing-at-most, column: c0, share: 0.1}
training: {model: logistic-regression}
attacks: {membership: {}}
retention_days: 1
"""
CATEGORIES = 8
NUMBERS = 10
IMPORTS = (
    *("great_expectations", "narwhals", "pandas", "pyarrow.dataset"),
    *(
        "expectations.gx.suites",
        "expectations.gx.table_expectations",
        "expectations.expressions.expressions",
    ),
    *("ledgers.home.database", "ledgers.vault.vault", "tasks.anonymization.generalize"),
)
WORDS = [f"word {n}" for n in range(6)]


def policy_text() -> str:
    """Give the policy over the made-up table."""
    columns = [
        f"  c{n}: {{type: text, identifiability: quasi, category: dpv-pd:Demographic, "
        f"use: [feature{', release' if n < 4 else ''}], "
        f"treatment: {{kind: categories, values: [{', '.join(WORDS)}]}}}}"
        for n in range(CATEGORIES)
    ] + [
        f"  n{n}: {{type: number, identifiability: none, category: dpv-pd:Health, "
        f"use: [{'eligibility, derivation, ' if n == 0 else ''}feature], "
        f"treatment: {{kind: clip, low: 0, high: 100}}}}"
        for n in range(NUMBERS)
    ]
    return POLICY.replace("COLUMNS", "\n".join(columns))


def make_data(folder: Path, people: int) -> None:
    """Write people and consent events; nothing of them is real."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"person": [f"P-{n:09d}" for n in rng.permutation(people)]})
    frame["age"] = rng.integers(0, 95, people).astype(float)
    for n in range(CATEGORIES):
        frame[f"c{n}"] = np.array(WORDS)[rng.integers(0, len(WORDS), people)]
    for n in range(NUMBERS):
        frame[f"n{n}"] = rng.uniform(0, 90, people)
    frame.to_parquet(folder / "people.parquet", index=False)
    events = people * 3 // 2
    days = pd.Timestamp("2023-01-01", tz="UTC") + pd.to_timedelta(
        rng.integers(0, 1000, events), "D"
    )
    pd.DataFrame(
        {
            "person": frame["person"].to_numpy()[rng.integers(0, people, events)],
            "purpose": np.where(
                rng.random(events) < 0.8, "dpv:ScientificResearch", "dpv:Marketing"
            ),
            "status": np.array(["given", "refused", "withdrawn"])[
                rng.choice(3, events, p=[0.8, 0.1, 0.1])
            ],
            "at": days,
            "expires_at": days + pd.Timedelta(days=3650),
        }
    ).to_parquet(folder / "events.parquet", index=False)
    (folder / "policy.yaml").write_text(policy_text())


def run_tutela(folder: Path) -> dict[str, float]:
    """Run the steps in a new home, and again over the same events; seconds by step of the first."""
    from ledgers.home.founding import create_home

    os.environ["TUTELA_HOME"] = str(folder / f"home-{os.getpid()}")
    create_home(Path(os.environ["TUTELA_HOME"]))
    import_all()
    idle = peak()
    first = run_steps(folder)
    memory = peak() - idle
    return {**first, "memory": memory, "again": run_steps(folder)["total"]}


def run_steps(folder: Path) -> dict[str, float]:
    """Run the steps as a flow does, up to the table in the outbox; seconds by step."""
    from flows.opening import Request, open_run, request
    from tasks.anonymization.deidentify import deidentify
    from tasks.anonymization.generalize import generalize
    from tasks.consent.permission import filter_consent
    from tasks.handover.readiness import make_ready
    from tasks.people.ingestion import collect, read_roster
    from tasks.people.population import select_population
    from tasks.validation.validation import check_table, validate

    seconds: dict[str, float] = {}

    def observe(title: str, event: str, took: float) -> None:
        if event == "finished":
            seconds[title] = took

    start = time.perf_counter()
    with open_run(request(Request(str(folder / "policy.yaml"), observe=observe))):
        rows = validate(deidentify(select_population(collect(filter_consent(read_roster())))))
        make_ready(check_table(generalize(rows, "table"), "table"), "table")
        return {"total": time.perf_counter() - start, **seconds}


def run_by_hand(folder: Path) -> dict[str, float]:
    """Do the same work in plain pandas."""
    import_all()
    idle, start = peak(), time.perf_counter()
    by_hand(folder)
    return {"total": time.perf_counter() - start, "memory": peak() - idle}


def by_hand(folder: Path) -> None:
    """Read, join, filter, tokenize, bin, validate, recode, check, write."""
    import hmac

    import numpy as np
    import pandas as pd

    from expectations.gx.suites import build_suite, run_suite
    from expectations.policy_file import read_policy
    from tasks.anonymization.fitting import Asked, fit
    from tasks.anonymization.hierarchies import Hierarchy

    policy = read_policy(str(folder / "policy.yaml")).policy
    now = pd.Timestamp.now("UTC")
    events = pd.read_parquet(folder / "events.parquet")
    events = events[events["purpose"] == str(policy.purpose)]
    latest = events.sort_values("at", kind="stable").drop_duplicates("person", keep="last")
    given = (latest["status"] == "given") & (latest["expires_at"] > now)
    allowed = latest.loc[given, ["person"]]
    people = pd.read_parquet(folder / "people.parquet").merge(allowed, on="person")
    people = people[(people["age"] >= 18) & people["n0"].notna()]
    key = b"k" * 32
    people["target"] = np.where(people["n0"] >= 50, "yes", "no")
    people["token"] = [hmac.digest(key, p.encode(), "sha256").hex() for p in people["person"]]
    people = people.drop(columns="person")
    treated = policy.columns["age"].treatment
    edges = [-np.inf, *treated.edges, np.inf]
    people["age"] = pd.cut(people["age"], edges, right=False, labels=list(treated.labels))
    for n in range(CATEGORIES):
        people[f"c{n}"] = pd.Categorical(people[f"c{n}"], categories=WORDS)
    for n in range(NUMBERS):
        people[f"n{n}"] = people[f"n{n}"].clip(0, 100)
    assert all(c.verdict == "passed" for c in run_suite(people, build_suite(policy.expectations)))
    columns = ["age", "c0", "c1", "c2", "c3"]
    tuples = people.groupby(columns, observed=True).size().reset_index(name="_people")
    hierarchies = {
        name: Hierarchy.from_ordered(name, treated.labels) if name == "age"
        else Hierarchy.flat(name, WORDS)
        for name in columns
    }  # fmt: skip
    table = fit(tuples, hierarchies, Asked(10, 0.02)).apply(people)[["token", *columns]]
    assert table.groupby(columns, observed=True).size().min() >= 10
    table.sort_values(columns).to_csv(folder / f"by-hand-{os.getpid()}.csv", index=False)


def import_all() -> None:
    """Pay for the imports of both sides before the clock starts."""
    for module in IMPORTS:
        importlib.import_module(module)


def peak() -> float:
    """Give the peak of this process's memory in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(people: int, rounds: int) -> dict[str, float]:
    """Run both sides by turns and give medians and ratios."""
    sides: dict[str, list[dict[str, float]]] = {"tutela": [], "by-hand": []}
    with tempfile.TemporaryDirectory() as place:
        # In a process of its own, or each side's peak would begin at this one's.
        make = [sys.executable, __file__, "--side", "make", "--folder", place]
        subprocess.run([*make, "--people", str(people)], check=True)
        for _ in range(rounds):
            for side, found in sides.items():
                command = [sys.executable, __file__, "--side", side, "--folder", place]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found.append(json.loads(done.stdout.splitlines()[-1]))
    figures = {
        f"{side}.{name}": round(statistics.median(r[name] for r in found), 3)
        for side, found in sides.items()
        for name in found[0]
    }
    for name, by_hand in {"total": "total", "again": "total", "memory": "memory"}.items():
        figures[f"ratio.{name}"] = round(
            statistics.median(
                ours[name] / theirs[by_hand]
                for ours, theirs in zip(sides["tutela"], sides["by-hand"], strict=True)
            ),
            2,
        )
    return figures


def main() -> None:
    """Print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=["make", "tutela", "by-hand"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side == "make":
        make_data(asked.folder, asked.people)
        return
    if asked.side:
        side = run_tutela if asked.side == "tutela" else run_by_hand
        print(json.dumps(side(asked.folder)))
        return
    figures = compare(asked.people, asked.rounds)
    if asked.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<45}{value:>12,.2f}")


if __name__ == "__main__":
    main()
