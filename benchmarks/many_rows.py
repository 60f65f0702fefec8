"""Columns made of many rows a person, beside the same SQL by hand in DuckDB: time, memory, line.

Rows of events are drawn and written to Parquet files first, which is not timed. Twenty columns are
made of them, a count, sums, a mean, extremes, a last value, days since, over conditions and
windows before a date. All sides run by turns, each in a process of its own with its libraries
loaded. SQL by hand sums doubles as they come, and joins the people by the type that the files
have. *tutela* is the aggregation alone, *read* with the roster, *step* the steps of a run up to
the vault: the roster, who consented, the columns. Seconds are of CPU, memory is the process's peak
in MB, figures are medians. A tenth of the people and rows tells whether time grows with the rows.
Values are held against those by hand.

    python benchmarks/many_rows.py [--people N] [--rows N] [--rounds N] [--json]
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
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pyarrow as pa

PART: Final = 5_000_000
"""Rows of a file."""
INDEX: Final = "2024-06-30"
PLAIN: Final[tuple[tuple[str, str, str], ...]] = (
    ("{take: count, of: events}", "count(*) FILTER (WHERE {it})", "integer"),
    ("{take: count, of: events, where: \"ward = 'A'\"}",
     "count(*) FILTER (WHERE {it} AND ward = 'A')", "integer"),
    ("{take: count, of: events, days_before: 90}",
     "count(*) FILTER (WHERE {it} AND t >= i - INTERVAL 90 DAY)", "integer"),
    ("{take: mean, of: events, field: value}", "avg(value) FILTER (WHERE {it})", "number"),
    ("{take: sum, of: events, field: value, days_before: 365}",
     "coalesce(sum(value) FILTER (WHERE {it} AND t >= i - INTERVAL 365 DAY), 0)", "number"),
    ("{take: smallest, of: events, field: value}", "min(value) FILTER (WHERE {it})", "number"),
    ("{take: largest, of: events, field: value}", "max(value) FILTER (WHERE {it})", "number"),
    ("{take: last, of: events, field: value}", "arg_max(value, t) FILTER (WHERE {it})", "number"),
    ('{take: any, of: events, where: "code = 7"}',
     "coalesce(bool_or(code = 7) FILTER (WHERE {it}), false)", "boolean"),
    ("{take: days-since, of: events, where: \"ward = 'B'\"}",
     "date_diff('day', max(t) FILTER (WHERE {it} AND ward = 'B'), i)", "integer"),
)  # fmt: skip
HALF: Final = "code < 150"
SIDES: Final = ("by-hand", "tutela", "read", "step")
AXES: Final = "identifiability: none, category: dpv-pd:Health"
POLICY: Final = f"""\
tutela: 1
name: many-rows
title: Many rows
controller: {{name: Example, contact: privacy@example.org}}
purpose: dpv:ScientificResearch
legal_basis: {{article_6: "eu-gdpr:A6-1-a", article_9: "eu-gdpr:A9-2-a"}}
retention_days: 1
source:
  location: {{kind: parquet, path: people.parquet}}
  person: pid
  index: {{date: "{INDEX}"}}
  tables:
    events:
      location: {{kind: parquet, path: "events*.parquet"}}
      at: took_place
      fields: {{ward: {{type: text}}, value: {{type: number}}, code: {{type: integer}}}}
basis:
  kind: consent
  notices:
    - {{id: study, purposes: [dpv:ScientificResearch], categories: [dpv-pd:Age, dpv-pd:Health]}}
  events:
    - location: {{kind: parquet, path: consent.parquet}}
      stated: {{notice: study, indication: explicit}}
population: {{smallest: 10}}
columns:
  age: {{type: integer, identifiability: quasi, category: dpv-pd:Age, use: [release],
        treatment: {{kind: bin, edges: [40, 65], labels: [young, middle, old]}}}}
COLUMNS
outlets:
  table:
    kind: table
    recipient: Example
    k: 5
    max_suppressed: 0.05
    columns: {{age: generalize, KEPT}}
"""


def make_data(folder: Path, people: int, rows: int) -> None:
    """Write a roster and rows of events, a file at a time; nobody of them is real."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(19)
    roster = {"pid": np.arange(people).astype(str), "age": rng.integers(18, 90, people)}
    pq.write_table(pa.table(roster), folder / "people.parquet")
    wards = np.array(["A", "B", "C", "D"])
    for start in range(0, rows, PART):
        count = min(PART, rows - start)
        # In microseconds: of two rows at one moment the last is either, by hand.
        after = rng.integers(0, 730 * 86_400 * 10**6, count).astype("timedelta64[us]")
        table = pa.table({
            "pid": rng.integers(0, people, count),
            "took_place": np.datetime64("2023-01-01", "us") + after,
            "ward": wards[rng.integers(0, 4, count)],
            "value": rng.normal(50, 10, count).round(2),
            "code": rng.integers(0, 300, count),
        })  # fmt: skip
        pq.write_table(table, folder / f"events{start // PART:03d}.parquet")


def list_columns() -> dict[str, tuple[str, str, str]]:
    """Give twenty columns: what is taken, as the policy says it, as SQL does, and its type."""
    found = {}
    for number, (said, by_hand, kind) in enumerate(PLAIN):
        found[f"c{number}"] = (said, by_hand.replace("{it}", "w"), kind)
    for number, (said, by_hand, kind) in enumerate(PLAIN, len(PLAIN)):
        more = said.replace('where: "', f'where: "{HALF} and ')
        more = more if "where" in said else more.replace("}", f', where: "{HALF}"}}')
        found[f"c{number}"] = (more, by_hand.replace("{it}", f"w AND {HALF}"), kind)
    return found


def write_policy(folder: Path) -> None:
    """Write a policy whose columns are these, and consent of all its people."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = "".join(
        f"  {name}: {{rows: {said}, type: {kind}, {AXES}, treatment: {{kind: keep}}}}\n"
        for name, (said, _, kind) in list_columns().items()
    )
    text = POLICY.replace("COLUMNS\n", columns)
    text = text.replace("KEPT", ", ".join(f"{name}: keep" for name in list_columns()))
    (folder / "policy.yaml").write_text(text, encoding="utf-8")
    names = pq.read_table(folder / "people.parquet", columns=["pid"]).column("pid")
    same = {"purpose": "dpv:ScientificResearch", "status": "given"}
    told = {name: pa.array(np.repeat(word, len(names))) for name, word in same.items()}
    day = np.repeat(np.datetime64("2024-01-01", "us"), len(names))
    at = pa.array(day).cast(pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"person": names, **told, "at": at}), folder / "consent.parquet")


def run_by_hand(folder: Path) -> pa.Table:
    """Make the columns in SQL, of the people on the roster, in their order."""
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = pq.read_table(folder / "people.parquet", columns=["pid"]).column("pid")
    people = pa.table({"id": names.cast(pa.int64()), "i": pa.repeat(_moment(), len(names))})
    made = ", ".join(f"{text} AS {name}" for name, (_, text, _) in list_columns().items())
    with duckdb.connect(config={"temp_directory": ""}) as engine:
        engine.register("people", people)
        return engine.sql(
            f"WITH made AS (SELECT id, {made} FROM (SELECT *, took_place AS t, "  # noqa: S608  # our own words
            f"took_place < i AS w FROM '{folder}/events*.parquet' JOIN people ON pid = id) "
            "GROUP BY id, i) SELECT made.* EXCLUDE id FROM people LEFT JOIN made USING (id) "
            "ORDER BY id"
        ).to_arrow_table()


def _moment() -> pa.Scalar:
    import pyarrow as pa

    return pa.scalar(datetime.fromisoformat(INDEX), pa.timestamp("us"))


def run_tutela(folder: Path, *, roster: bool) -> pa.Table:
    """Make the columns by tutela; with or without reading the roster."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from expectations.policy_file import read_policy
    from tasks.sources.people_tables import PeopleTables, take_together
    from tasks.sources.table_rows import TableRows

    policy = read_policy(str(folder / "policy.yaml")).policy
    names = pq.read_table(folder / "people.parquet", columns=["pid"]).column("pid")
    people = names.combine_chunks()
    made = policy.made_of_rows
    if roster:
        return PeopleTables(policy.source, made, folder).read([*made], where=("pid", people))
    index = pa.repeat(_moment(), len(people))
    rows = TableRows("events", policy.source, folder, people, index)
    return take_together(rows, pa.nulls(len(people), index.type), made).select([*made])


def run_step(folder: Path) -> None:
    """Read the roster, decide who may be read, and collect: the steps of a run, with the vault."""
    import os

    from flows.opening import Request, open_run, request
    from ledgers.home.founding import create_home
    from tasks.consent.permission import filter_consent
    from tasks.people.ingestion import collect, read_roster

    os.environ["TUTELA_HOME"] = str(folder / f"home-{os.getpid()}")
    create_home(Path(os.environ["TUTELA_HOME"]))
    with open_run(request(Request(str(folder / "policy.yaml")))):
        collect(filter_consent(read_roster()))


def measure(side: str, folder: Path) -> None:
    """Carry out one side in this process and print its figures."""
    for module in ("duckdb", "pandas", "pyarrow.dataset", "narwhals", "lark", "flows.opening"):
        importlib.import_module(module)
    importlib.import_module("tasks.people.ingestion")
    idle, start = peak(), seconds()
    if side == "step":
        run_step(folder)
        found = None
    elif side == "by-hand":
        found = run_by_hand(folder)
    else:
        found = run_tutela(folder, roster=side == "read")
    figures = {"seconds": seconds() - start, "memory": peak(), "idle": idle}
    print(json.dumps({**figures, "answers": digest(found) if found else []}))


def digest(found: pa.Table) -> list[list[float]]:
    """Sum each column up in figures that no two different columns share by accident."""
    import numpy as np

    weights = np.random.default_rng(3).random(found.num_rows)
    sums = []
    for name in found.column_names:
        column = found.column(name)
        values = column.cast("double", safe=False).to_numpy()
        sums.append([float(np.nansum(values * weights)), float(column.null_count)])
    return sums


def seconds() -> float:
    """Give the CPU seconds that this process took, with all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> float:
    """Give the peak of this process's memory in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_side(side: str, folder: str, people: int, rows: int) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--folder", folder]
    command += ["--people", str(people), "--rows", str(rows)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    lines = done.stdout.splitlines()
    return dict(json.loads(lines[-1])) if lines else {}


def compare(people: int, rows: int, rounds: int, sides: tuple[str, ...]) -> dict[str, float]:
    """Run some sides by turns over so many rows; gives medians, and whether values are equal."""
    import numpy as np

    found: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        run_side("make", folder, people, rows)
        for _ in range(rounds):
            for side, figures in found.items():
                figures.append(run_side(side, folder, people, rows))
    answers = [one["answers"] for side in sides if side != "step" for one in found[side]]
    if not all(np.allclose(one, answers[0], rtol=1e-9, atol=0) for one in answers):
        raise SystemExit("the sides make different columns: one of them is wrong")
    figures = {
        f"{side}.{name}": round(statistics.median(one[name] for one in ours), 2)
        for side, ours in found.items()
        for name in ("seconds", "memory")
    }
    if "tutela" in sides:
        pairs = zip(found["tutela"], found["by-hand"], strict=True)
        ratios = [ours["seconds"] / theirs["seconds"] for ours, theirs in pairs]
        figures["ratio"] = round(statistics.median(ratios), 2)
    return figures


def main() -> None:
    """Print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=2_000_000)
    parser.add_argument("--rows", type=int, default=100_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=("make", *SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side == "make":
        make_data(asked.folder, asked.people, asked.rows)
        write_policy(asked.folder)
        return
    if asked.side:
        measure(asked.side, asked.folder)
        return
    all_rows = compare(asked.people, asked.rows, asked.rounds, SIDES)
    tenth = compare(asked.people // 10, asked.rows // 10, asked.rounds, ("by-hand", "tutela"))
    figures = {
        **all_rows,
        **{f"tenth.{name}": value for name, value in tenth.items()},
        "times as long as a tenth": round(all_rows["tutela.seconds"] / tenth["tutela.seconds"], 1),
    }
    if asked.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<30}{value:>14,.2f}")
    print("Values are equal to those by hand, sums to 9 digits.")


if __name__ == "__main__":
    main()
