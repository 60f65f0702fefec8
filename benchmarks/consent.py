"""Who may be read, decided from a consent history, beside the same question by hand in DuckDB SQL.

Both sides read the same Parquet files in the ledger's own form: people (tokens), and events
(token, terms, moments), 1.5 to 2.5 events a person; by turns, each in a process of its own, on two
threads. The figures are medians. The *plain* question: whose latest answer to the purpose is a
gift that has not ended. The *full* one: three classes of categories with withdrawals of one alone,
renewals, objections, restrictions, a maximum age, and guardians for children, which no SQL by hand
stands beside; its time is held against the plain SQL. Making tokens of identifiers is measured
apart.

    python benchmarks/consent.py [--people N] [--events N] [--rounds N] [--json]
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.consent.meaning import Meaning

NOW = 1_750_000_000_000_000
DAY = 86_400_000_000
FREQUENCIES = (0.48, 0.08, 0.14, 0.14, 0.04, 0.04, 0.02, 0.02, 0.015, 0.005, 0.015, 0.005)
"""How often each of the twelve terms occurs; 0 to 2 are given, refused, withdrawn for all."""
BY_HAND = f"""
    select token_high, token_low from '{{people}}' semi join (
        select token_high, token_low from '{{events}}'
        where terms in (0, 1, 2) and valid_from <= {NOW} and recorded_at <= {NOW}
        qualify row_number() over (
            partition by token_high, token_low order by valid_from desc, recorded_at desc
        ) = 1 and terms = 0 and (valid_until is null or valid_until > {NOW})
    ) using (token_high, token_low)
"""  # noqa: S608  # numbers and paths of this file's own


def make_data(folder: Path, people: int, events: int) -> None:
    """Write people and events, a piece at a time; nobody of them is real."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(7)
    tokens = rng.integers(-(2**63), 2**63 - 1, (people, 2))
    names = dict(zip(("token_high", "token_low"), tokens.T, strict=True))
    own_from = NOW - rng.integers(-5 * 365, 60 * 365, people) * DAY
    ages = {"child_until": own_from, "own_from": own_from}
    pq.write_table(pa.table({**names, **ages}), folder / "people.parquet")
    writer = None
    for start in range(0, events, 5_000_000):
        count = min(5_000_000, events - start)
        whose = tokens[rng.integers(0, people, count)]
        begun = NOW - rng.integers(1, 1500 * DAY, count)
        ends = np.where(rng.random(count) < 0.7, 0, begun + rng.integers(1, 2000 * DAY, count))
        table = pa.table({
            "token_high": whose[:, 0],
            "token_low": whose[:, 1],
            "terms": rng.choice(12, count, p=FREQUENCIES).astype(np.int32),
            "valid_from": begun,
            "recorded_at": begun + rng.integers(0, 10 * DAY, count),
            "valid_until": pa.array(ends, mask=ends == 0),
        })  # fmt: skip
        writer = writer or pq.ParquetWriter(folder / "events.parquet", table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def plain_meaning() -> Meaning:
    """Give what the terms mean for a policy that asks the plain question."""
    from expectations.policy.vocabulary import Category
    from tasks.consent.meaning import Meaning, Standing

    answers = {Standing.BY_SELF: (0,), Standing.REFUSED: (1,), Standing.WITHDRAWN: (2,)}
    return Meaning(
        classes=((Category.HEALTH,),),
        answers=({int(code): numbers for code, numbers in answers.items()},),
        renewals=({},),
        objections={},
        restrictions={},
        asks_consent=True,
        on_partial="exclude",
        maximum_age_days=None,
    )


def full_meaning() -> Meaning:
    """Give what all the terms mean for a policy that uses every rule."""
    from expectations.policy.vocabulary import Category
    from tasks.consent.meaning import Meaning, Standing

    given, guardian, refused, withdrawn = (
        int(one)
        for one in (Standing.BY_SELF, Standing.BY_GUARDIAN, Standing.REFUSED, Standing.WITHDRAWN)
    )
    return Meaning(
        classes=((Category.AGE,), (Category.HEALTH,), (Category.ETHNIC_ORIGIN,)),
        answers=(
            {given: (0, 4), guardian: (3,), refused: (1,), withdrawn: (2,)},
            {given: (0,), guardian: (3,), refused: (1,), withdrawn: (2, 6)},
            {given: (0, 4), guardian: (3,), refused: (1,), withdrawn: (2, 7)},
        ),
        renewals=({given: (5,)}, {given: (5,)}, {given: (5,)}),
        objections={1: (8,), 0: (9,)},
        restrictions={1: (10,), 0: (11,)},
        asks_consent=True,
        on_partial="blank",
        maximum_age_days=1400,
    )


def ask(folder: Path, *, full: bool) -> int:
    """Decide by tutela; gives how many people of the roster may be read."""
    import numpy as np
    import pyarrow.compute as pc
    from pyarrow import parquet

    from tasks.consent.judgement import STANDING, TOKEN, Moment, find_places, settle
    from tasks.consent.meaning import GIFTS

    people = parquet.read_table(folder / "people.parquet")
    events = parquet.read_table(folder / "events.parquet")
    meaning = full_meaning() if full else plain_meaning()
    ages = people.filter(pc.field("own_from") > NOW - 1500 * DAY) if full else None
    found = settle(events, meaning, Moment(NOW, NOW), ages)
    asked, known = ([table.column(n).to_numpy() for n in TOKEN] for table in (people, found))
    place = find_places((known[0], known[1]), (asked[0], asked[1]))
    permitted = np.append(np.isin(found.column(STANDING).to_numpy(), GIFTS), [False])
    return int(permitted[place].sum())


def ask_by_hand(folder: Path) -> int:
    """Ask the plain question in SQL; gives how many people may be read."""
    import duckdb

    query = BY_HAND.format(people=folder / "people.parquet", events=folder / "events.parquet")
    with duckdb.connect(config={"temp_directory": ""}) as connection:
        return int(connection.sql(query).to_arrow_table().num_rows)


def make_tokens(_: Path, people: int) -> int:
    """Make the tokens of identifiers, as the roster's are made."""
    import pyarrow as pa

    from tasks.people.person_keys import key_people

    names = pa.chunked_array([pa.array([f"P-{n:09d}" for n in range(people)], pa.large_string())])
    start = time.perf_counter()
    key_people(names, b"k" * 32)
    print(json.dumps({"seconds": time.perf_counter() - start, "memory": 0, "answer": people}))
    return people


def measure(side: str, folder: Path, people: int) -> None:
    """Carry out one side in this process and print its figures."""
    for module in ("duckdb", "pandas", "pyarrow.dataset", "tasks.consent.judgement"):
        importlib.import_module(module)
    if side == "tokens":
        make_tokens(folder, people)
        return
    idle, start = peak(), time.perf_counter()
    answer = ask_by_hand(folder) if side == "by-hand" else ask(folder, full=side == "full")
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "memory": peak() - idle, "answer": answer}))


def peak() -> float:
    """Give the peak of this process's memory in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_side(side: str, folder: str, people: int, events: int = 0) -> dict[str, float]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--folder", folder]
    command += ["--people", str(people), "--events", str(events)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    return dict(json.loads(lines[-1])) if lines else {}


def compare(people: int, events: int, rounds: int) -> dict[str, float]:
    """Run the sides by turns and give medians and ratios."""
    found: dict[str, list[dict[str, float]]] = {
        "by-hand": [],
        "plain": [],
        "full": [],
        "tokens": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        run_side("make", folder, people, events)
        for _ in range(rounds):
            for side, figures in found.items():
                figures.append(run_side(side, folder, people))
    if len({one["answer"] for side in ("by-hand", "plain") for one in found[side]}) != 1:
        raise SystemExit("the two sides permit different people: one of them is wrong")
    figures = {
        f"{side}.{name}": round(statistics.median(one[name] for one in ours), 3)
        for side, ours in found.items()
        for name in ("seconds", "memory")
    }
    for side in ("plain", "full"):
        pairs = zip(found[side], found["by-hand"], strict=True)
        ratios = [ours["seconds"] / theirs["seconds"] for ours, theirs in pairs]
        figures[f"ratio.{side}"] = round(statistics.median(ratios), 2)
    return figures


def main() -> None:
    """Print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2_000_000)
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    sides = ("make", "by-hand", "plain", "full", "tokens")
    parser.add_argument("--side", choices=sides, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side == "make":
        make_data(asked.folder, asked.people, asked.events)
        return
    if asked.side:
        measure(asked.side, asked.folder, asked.people)
        return
    figures = compare(asked.people, asked.events, asked.rounds)
    if asked.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<30}{value:>14,.3f}")


if __name__ == "__main__":
    main()
