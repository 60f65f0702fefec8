"""Other anonymizers on the same tables, each called as its documentation says.

Called by `anonymization.py` in an environment of their own (anonypy, ANJANA, pyCANON), which the
project's would not let them share. Prints one JSON object: by case NCP and CPU seconds. It imports
nothing of the project.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

Figures = dict[str, "float | None"]


def measure_anonypy(adult: pd.DataFrame, columns: list[str], k: int) -> Figures:
    """Mondrian of anonypy: sets of values, numeric ages as ranges."""
    import anonypy

    frame = adult[columns].astype("category").assign(salary=adult["salary-class"])
    frame["age"] = adult["age"].astype(int)
    start = time.process_time()
    rows = pd.DataFrame(anonypy.Preserver(frame, columns, "salary").anonymize_k_anonymity(k=k))
    taken = time.process_time() - start
    lost = 0.0
    for column in columns:
        values = adult[column].unique()
        for label, count in zip(rows[column].str[0], rows["count"], strict=True):
            lost += count * (spanned(str(label), values, column == "age") - 1) / (len(values) - 1)
    return {"ncp": lost / (len(adult) * len(columns)), "cpu": taken}


def spanned(label: str, values: Iterable[str], numeric: bool) -> int:
    """Count the values of the data that a set or a range stands for."""
    if not numeric:
        return label.count(",") + 1
    low, _, high = label.partition("-")
    return sum(int(low) <= int(value) <= int(high or low) for value in values)


def measure_anjana(
    adult: pd.DataFrame, columns: list[str], k: int, folder: Path, suppressed: float
) -> Figures:
    """One generalization for all rows by ANJANA, which may leave out a share of them."""
    from anjana.anonymity import k_anonymity

    hierarchies, leaves = {}, {}
    for column in columns:
        levels = pd.read_csv(
            folder / f"adult_hierarchy_{column}.csv", sep=";", header=None, dtype=str
        )
        hierarchies[column] = {level: levels[level].to_numpy() for level in levels}
        leaves[column] = levels[levels[0].isin(adult[column].unique())]
    start = time.process_time()
    released = k_anonymity(adult.copy(), [], columns, k, suppressed * 100, hierarchies)
    taken = time.process_time() - start
    lost = float(len(adult) - len(released)) * len(columns)
    for column, table in leaves.items():
        for label, count in released[column].value_counts().items():
            under = (table == label).any(axis=1).sum()
            lost += count * (max(under, 1) - 1) / max(len(table) - 1, 1)
    return {"ncp": lost / (len(adult) * len(columns)), "cpu": taken}


def measure_pycanon(adult: pd.DataFrame, columns: list[str]) -> dict[str, Figures]:
    """The checks of pyCANON, one after the other; occupation is what is sensitive."""
    from pycanon import anonymity

    checks = {
        "k": lambda: anonymity.k_anonymity(adult, columns),
        "l": lambda: anonymity.l_diversity(adult, columns, ["occupation"]),
        "t": lambda: anonymity.t_closeness(adult, columns, ["occupation"]),
        "beta": lambda: anonymity.basic_beta_likeness(adult, columns, ["occupation"]),
        "delta": lambda: anonymity.delta_disclosure(adult, columns, ["occupation"]),
    }
    found: dict[str, Figures] = {}
    for name, check in checks.items():
        start = time.process_time()
        value = float(check())
        found[name] = {"value": value, "cpu": time.process_time() - start}
    return found


def main() -> None:
    """Run every case on `DIR/adult.csv` and print what was found."""
    folder = Path(sys.argv[1])
    adult = pd.read_csv(folder / "adult.csv", sep=";", dtype=str, keep_default_na=False)
    five = ["sex", "age", "race", "marital-status", "education"]
    eight = [*five, "native-country", "workclass", "occupation"]
    warnings.simplefilter("ignore")
    with contextlib.redirect_stdout(io.StringIO()):
        found = {
            "anonypy": {
                "Q5": measure_anonypy(adult, five, 5),
                "Q8": measure_anonypy(adult, eight, 5),
            },
            "ANJANA, 5 % left out": {"Q8": measure_anjana(adult, eight, 5, folder, 0.05)},
            "pyCANON": measure_pycanon(adult, eight[:-1]),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
