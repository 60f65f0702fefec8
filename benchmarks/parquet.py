"""Ten million rows from Parquet to Parquet, made k-anonymous: time taken and peak memory.

    python benchmarks/parquet.py --data DIR [--json]

DIR holds `adult/` with `adult.csv` and `adult_hierarchy_<column>.csv`: the `data` folder of the
ARX project (github.com/arx-deidentifier/arx). The rows are drawn from Adult's with replacement,
and one in twenty values is put in the place of another of its column, so that there are some
hundred times as many distinct rows as in Adult. The file is written to a temporary folder first,
which is not timed.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from tasks.anonymization.fitting import Asked
from tasks.anonymization.parquet import anonymize_parquet

Q8 = [
    "sex", "age", "race", "marital-status", "education", "native-country", "workclass",
    "occupation",
]  # fmt: skip
ROWS, K = 10_000_000, 5


def main() -> None:
    """Time one file and print it."""
    parser = argparse.ArgumentParser(description="Ten million rows from Parquet to Parquet.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    folder = given.data / "adult"
    if not (folder / "adult.csv").is_file():
        parser.error(f"{folder} holds no adult.csv: data/ of github.com/arx-deidentifier/arx")
    with tempfile.TemporaryDirectory() as place:
        found = run(folder, Path(place))
    print(json.dumps(found, indent=2) if given.json else pd.Series(found).to_string())


def run(folder: Path, place: Path) -> dict[str, float]:
    """Write a file, recode it, and count its classes with DuckDB."""
    source, target = place / "people.parquet", place / "released.parquet"
    draw_people(folder, source)
    before = peak()
    paths = {column: folder / f"adult_hierarchy_{column}.csv" for column in Q8}
    start = time.perf_counter()
    written = anonymize_parquet(source, target, Q8, Asked(K), paths)
    taken = time.perf_counter() - start
    names = ", ".join(f'"{column}"' for column in Q8)
    sizes = f"SELECT count(*) AS people FROM '{target}' GROUP BY {names}"  # noqa: S608  # of our own words
    found = duckdb.sql(f"SELECT min(people), count(*), sum(people) FROM ({sizes})").fetchall()[0]  # noqa: S608  # as above
    return {
        "rows": ROWS,
        "seconds": round(taken, 1),
        "peak GB": round(peak(), 2),
        "peak GB before": round(before, 2),
        "k reached": found[0],
        "classes": found[1],
        "rows written": int(found[2]),
        "ncp": round(written.measures.ncp, 5),
    }


def draw_people(folder: Path, source: Path) -> None:
    """Write ten million rows, a million at a time."""
    adult = pd.read_csv(folder / "adult.csv", sep=";", dtype=str, keep_default_na=False)
    chance = np.random.default_rng(1)
    for part in range(10):
        drawn = adult.iloc[chance.integers(len(adult), size=ROWS // 10)].reset_index(drop=True)
        for column in Q8:
            other = adult[column].to_numpy()[chance.integers(len(adult), size=len(drawn))]
            drawn[column] = drawn[column].where(chance.random(len(drawn)) > 0.05, other)
        drawn.to_parquet(source.with_name(f"part{part}.parquet"))
    parts = str(source.with_name("part*.parquet"))
    duckdb.read_parquet(parts).write_parquet(str(source))


def peak() -> float:
    """Peak memory of the process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
