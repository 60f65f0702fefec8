"""All privacy measures on Adult and on a million rows: time taken, in seconds and in group-bys.

    python benchmarks/measures.py --data DIR [--json]

DIR holds `adult/adult.csv` (30,162 complete rows, `;` between fields): from the `data` folder of
the ARX project (github.com/arx-deidentifier/arx); the rows come from the UCI repository's data set
"Adult".

The classes are those of seven columns, the sensitive columns occupation and salary. All measures
are k, the risks of prosecutor and marketer, uniqueness, and of each sensitive column every l, t,
alpha, beta and delta. The million rows are Adult's, repeated, with ages drawn from 3,000 so that
there are many classes. Times are CPU seconds, the median of five; a group-by is pandas'
`groupby(...).size()` of eight columns on the same rows in the same run, so that machines compare.
With Great Expectations, a whole outlet is judged (k and a model of each kind), once it is imported.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from expectations.gx.table_promises import judge_table
from expectations.measures.measures import k_anonymity, measure
from expectations.policy.outlets import TableOutlet
from expectations.policy.privacy_models import (
    AlphaK,
    BetaLikeness,
    DeltaDisclosure,
    DistinctLDiversity,
    EntropyLDiversity,
    RecursiveLDiversity,
    TCloseness,
)

Q7 = ["sex", "age", "race", "marital-status", "education", "native-country", "workclass"]
SENSITIVE = ["occupation", "salary-class"]
MILLION = 1_000_000
MODELS = (
    DistinctLDiversity(l=2),
    EntropyLDiversity(l=2),
    RecursiveLDiversity(c=2, l=2),
    TCloseness(t=0.2),
    TCloseness(t=0.2, distance="ordered"),
    BetaLikeness(beta=1),
    DeltaDisclosure(delta=1),
    AlphaK(alpha=0.5),
)
OUTLET = TableOutlet(
    kind="table",
    recipient="benchmark",
    k=5,
    columns={**dict.fromkeys(Q7, "keep"), "occupation": "keep"},
    sensitive={"occupation": MODELS},
)

Row = dict[str, float | str]


def main() -> None:
    """Time the measures and print them."""
    parser = argparse.ArgumentParser(
        description="All privacy measures on Adult and on a million rows.",
        epilog="The data: adult.csv of the folder data/ of github.com/arx-deidentifier/arx (put it "
        "into DIR/adult/).",
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    path = given.data / "adult" / "adult.csv"
    if not path.is_file():
        parser.error(f"{path} is not there; {parser.epilog}")
    adult = pd.read_csv(path, sep=";", dtype=str, keep_default_na=False)
    tables = {"Adult": adult, "a million rows": enlarge(adult)}
    results = [row for name, frame in tables.items() for row in run(name, frame)]
    shown = {"cases": results}
    print(
        json.dumps(shown, indent=2) if given.json else pd.DataFrame(results).to_string(index=False)
    )


def enlarge(adult: pd.DataFrame) -> pd.DataFrame:
    """Repeat the rows to a million, with ages of a finer kind and a number of many values."""
    chance = np.random.default_rng(1)
    large = adult.iloc[np.arange(MILLION) % len(adult)].reset_index(drop=True)
    ages = chance.integers(0, 3000, MILLION).astype(str)
    return large.assign(age=pd.array(ages, dtype="str"), pay=chance.normal(size=MILLION))


def run(name: str, frame: pd.DataFrame) -> list[Row]:
    """Time k alone, all measures in several ways, and the check of an outlet."""
    unit = seconds(lambda: frame.groupby([*Q7, "occupation"]).size())
    cases: dict[str, Callable[[], object]] = {
        "k": lambda: k_anonymity(frame, Q7),
        "all measures, one sensitive column": lambda: measure(frame, Q7, SENSITIVE[:1]),
        "all measures, two sensitive columns": lambda: measure(frame, Q7, SENSITIVE),
        "k and eight models by GX": lambda: judge_table(frame, OUTLET, "benchmark"),
    }
    if "pay" in frame:
        cases["all measures, a number without repeats"] = lambda: measure(frame, Q7, ["pay"])
    found: list[Row] = []
    for case, action in cases.items():
        taken = seconds(action)
        found.append(
            {
                "table": name,
                "rows": len(frame),
                "case": case,
                "cpu_seconds": round(taken, 4),
                "groupbys": round(taken / unit, 2),
            }
        )
    return found


def seconds(action: Callable[[], object]) -> float:
    """CPU time: the median of five runs."""
    times = []
    for _ in range(5):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
