"""k-anonymity on Adult: information lost and time taken, beside ARX's published figures.

    python benchmarks/anonymization.py --data DIR [--json]

DIR holds `adult/` with `adult.csv` (30,162 complete rows, `;` between fields) and
`adult_hierarchy_<column>.csv`: the `data` folder of the ARX project
(github.com/arx-deidentifier/arx); the rows come from the UCI repository's data set "Adult".

NCP is the share of a column's values that a released cell can stand for (values - 1, over values of
the data - 1), averaged over cells; a suppressed cell counts 1. It is computed here from the two
tables alone. Times are multiples of one pandas group-by of the eight columns in the same run, so
that machines compare; ARX's seconds are of another run and stand as they are.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from expectations.measures import k_anonymity
from tasks.anonymization import k_anonymize

Q5 = ["sex", "age", "race", "marital-status", "education"]
Q8 = [*Q5, "native-country", "workclass", "occupation"]
# ARX, local recoding, one core: NCP and seconds, measured elsewhere.
ARX = {
    ("Q5", 5): (0.0154, 0.26),
    ("Q5", 10): (0.0247, 0.33),
    ("Q8", 5): (0.0613, 4.6),
    ("Q8", 10): (0.0848, 3.4),
}


def main() -> None:
    """Run the four cases and print them."""
    parser = argparse.ArgumentParser(
        description="k-anonymity on Adult, beside ARX.",
        epilog="The data: folder data/ of github.com/arx-deidentifier/arx (put its adult* files "
        "into DIR/adult/); the rows alone also at UCI, data set 'Adult'.",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    folder = given.data / "adult"
    if not (folder / "adult.csv").is_file():
        parser.error(f"{folder} holds no adult.csv; {parser.epilog}")
    results = run(folder)
    print(json.dumps(results, indent=2) if given.json else table(results))


def run(folder: Path) -> list[dict[str, float | str]]:
    """Measure each case: what it lost, and its time in group-bys."""
    adult = pd.read_csv(folder / "adult.csv", sep=";", dtype=str, keep_default_na=False)
    paths = {column: folder / f"adult_hierarchy_{column}.csv" for column in Q8}
    unit = seconds(lambda: adult.groupby(Q8).size())
    results: list[dict[str, float | str]] = []
    for (name, k), (arx_ncp, arx_seconds) in ARX.items():
        columns = Q5 if name == "Q5" else Q8
        hierarchies = {column: paths[column] for column in columns}
        released = k_anonymize(adult, columns, k, hierarchies=hierarchies).frame
        taken = seconds(lambda: k_anonymize(adult, columns, k, hierarchies=hierarchies))  # noqa: B023  # called at once
        results.append(
            {
                "case": name,
                "k": k,
                "reached": k_anonymity(released, columns),
                "suppressed": len(adult) - len(released),
                "ncp": round(ncp(adult[columns], released, hierarchies), 5),
                "seconds": round(taken, 3),
                "groupbys": round(taken / unit, 1),
                "arx_ncp": arx_ncp,
                "arx_seconds": arx_seconds,
            }
        )
    return results


def ncp(original: pd.DataFrame, released: pd.DataFrame, hierarchies: dict[str, Path]) -> float:
    """Normalized certainty penalty over the data's values; refuses a label that is not true."""
    total = 0.0
    for column, path in hierarchies.items():
        levels = pd.read_csv(path, sep=";", header=None, dtype=str, keep_default_na=False)
        levels = levels[levels[0].isin(original[column].unique())]
        under = {
            label: set(levels.loc[(levels == label).any(axis=1), 0])
            for label in pd.unique(levels.to_numpy().ravel())
        }
        cells = pd.DataFrame({"label": released[column].astype(str), "value": original[column]})
        counts = cells.fillna("*").value_counts()
        for label, value, rows in counts.reset_index().itertuples(index=False):
            if value not in under[label]:
                raise ValueError(f"{column}: a released label does not cover its value")
            total += rows * (len(under[label]) - 1) / max(len(levels) - 1, 1)
    return total / original.size


def seconds(action: Callable[[], object]) -> float:
    """Time of the fastest of three runs."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def table(results: list[dict[str, float | str]]) -> str:
    """Lay the results out for a terminal."""
    return pd.DataFrame(results).to_string(index=False)


if __name__ == "__main__":
    main()
