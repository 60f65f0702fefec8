"""The attacks on a released table, timed on Adult, beside Anonymeter's figures.

    python benchmarks/table_attacks.py --data DIR [--json]

DIR holds `adult/` with `adult.csv` (30,162 complete rows, `;` between fields) and
`adult_hierarchy_<column>.csv`: the `data` folder of the ARX project
(github.com/arx-deidentifier/arx).

Each attack is made 500 times on a copy of the rows and on k-anonymous tables over the eight
quasi-identifiers, with the salary class beside them; the time is that of the attack, its control
and its baseline together, in seconds of one core and as multiples of one pandas group-by of the
eight columns in the same run. Anonymeter's figures (github.com/statice/anonymeter, 500 attacks on
a copy) were measured elsewhere, on columns of its own choice, and stand as they are.

The last rows release one half of the people and attack the other half, who are not in the table:
their success, `held out`, is what the two ends of the control, `out of it`, are to enclose.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from expectations.policy.privacy_models import DistinctLDiversity
from tasks.anonymization import k_anonymize
from tasks.attack.downcoding import confirm, downcode, find_withheld
from tasks.attack.homogeneity import count_members, find_homogeneous
from tasks.attack.original_identifiers import search_identifiers
from tasks.attack.released import People, Release, read_release
from tasks.attack.risk import Risk
from tasks.attack.table_risks import (
    infer_secret,
    link_people,
    make_predicates,
    risk_of_inference,
    risk_of_linking,
    risk_of_singling_out,
    single_out,
)
from tasks.attack.token_dictionary import attack_tokens

T = TypeVar("T")
Row = dict[str, float | str]
Covered = dict[str, dict[str, list[str]]]

Q8 = [
    "sex", "age", "race", "marital-status", "education", "native-country", "workclass",
    "occupation",
]  # fmt: skip
GUESSED = "salary-class"
COLUMNS = [*Q8, GUESSED]
ATTACKS = 500
# Anonymeter, 500 attacks on a copy of the rows: its risk, and its seconds.
ANONYMETER = {"singling out": (0.996, "6 to 7"), "linking": (0.046, "3 to 8"),
              "inferring": (0.434, "2")}  # fmt: skip
HIDDEN = bytes(range(32))


def main() -> None:
    """Attack all tables and print what was found."""
    parser = argparse.ArgumentParser(description="Attacks on released tables of Adult, timed.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    folder = given.data / "adult"
    if not (folder / "adult.csv").is_file():
        parser.error(f"{folder} holds no adult.csv; get the data folder of the ARX project")
    with threadpool_limits(limits=1):
        results = run(folder)
    print(json.dumps(results, indent=2) if given.json else lay_out(results))


def run(folder: Path) -> list[Row]:
    """Attack a copy of the rows, and tables for k of 5 and 50."""
    adult = pd.read_csv(folder / "adult.csv", sep=";", dtype=str, keep_default_na=False)
    unit = measure(lambda: adult.groupby(Q8).size(), 5)[1]
    levels = {column: read_levels(folder, column) for column in Q8}
    coverage: Covered = {column: cover(table) for column, table in levels.items()}
    rows = attack_risks("a copy", *read_release(adult, adult, COLUMNS))
    for k in (5, 50):
        released = k_anonymize(adult, Q8, k, hierarchies=levels).frame
        (release, people), reading = measure(
            lambda: read_release(released, adult, COLUMNS, k=k, protected=Q8, coverage=coverage),  # noqa: B023  # called at once
            1,
        )
        rows.append({"table": f"k = {k}", "attack": "reading both tables", "seconds": reading})
        rows += attack_risks(f"k = {k}", release, people)
        rows += attack_classes(f"k = {k}", released, adult, k, coverage)
    rows += attack_models(adult, levels, coverage)
    rows += attack_identifiers(adult)
    rows += hold_out(adult, levels, coverage)
    return [{**row, "groupbys": round(float(row["seconds"]) / unit, 1)} for row in rows]


def attack_risks(table: str, release: Release, people: People) -> list[Row]:
    """Make the three attacks of Anonymeter."""
    attacks: dict[str, Callable[[], Risk]] = {
        "singling out": lambda: risk_of_singling_out(
            release, people, ATTACKS, columns=range(len(COLUMNS))
        ),
        "linking": lambda: risk_of_linking(release, people, ATTACKS),
        "inferring": lambda: risk_of_inference(release, people, ATTACKS, secret=GUESSED),
    }
    rows: list[Row] = []
    for name, attack in attacks.items():
        risk, seconds = measure(attack)
        row: Row = {"table": table, "attack": name, "seconds": seconds}
        row |= {"in it": round(risk.main.share, 3), "out of it": tell_ends(risk)}
        row |= {"risk": round(risk.value, 3), "low": round(risk.low, 3)}
        row |= {"high": round(risk.high, 3)}
        if table == "a copy":
            row |= dict(zip(("Anonymeter", "its seconds"), ANONYMETER[name], strict=True))
        rows.append(row)
    rows.append(
        {"table": table, "attack": "the three", "seconds": sum(float(r["seconds"]) for r in rows)}
    )
    return rows


def attack_classes(
    table: str, released: pd.DataFrame, adult: pd.DataFrame, k: int, coverage: Covered
) -> list[Row]:
    """Attack what k does not promise; the share of people it concerns stands as the risk."""
    release, people = read_release(released, adult, Q8, k=k, coverage=coverage)
    narrowed, seconds = measure(lambda: downcode(release, coverage), 1)
    true = confirm(narrowed, release, people, coverage)
    alike, quick = measure(lambda: find_homogeneous(released, Q8, GUESSED))
    return [
        {"table": table, "attack": "downcoding", "seconds": seconds, "risk": round(true.people, 3)},
        {"table": table, "attack": "homogeneity", "seconds": quick,
         "risk": round(float(alike.known.mean()), 3)},
    ]  # fmt: skip


def attack_models(
    adult: pd.DataFrame, levels: dict[str, pd.DataFrame], coverage: Covered
) -> list[Row]:
    """Attack a table that is 2-diverse in the salary class, and one of sets."""
    models = {GUESSED: [DistinctLDiversity(l=2)]}
    diverse = k_anonymize(adult, Q8, 5, hierarchies=levels, sensitive=models).frame
    rows = attack_classes("k = 5, l = 2", diverse, adult, 5, coverage)
    table = read_release(diverse, adult, Q8, k=5, coverage=coverage)
    withheld, seconds = measure(
        lambda: find_withheld(*table, adult[GUESSED], models[GUESSED], coverage), 1
    )
    rows.append({"table": "k = 5, l = 2", "attack": "minimality", "seconds": seconds,
                 "risk": round(float(withheld.certain.mean()), 3)})  # fmt: skip
    sets = k_anonymize(adult, Q8, 5, hierarchies=levels, output="sets").frame
    release, people = read_release(sets, adult, Q8, k=5)
    found, seconds = measure(lambda: count_members(release))
    alone = float(found.single[people.own[people.own >= 0]].mean())
    rows.append({"table": "k = 5, sets", "attack": "members of sets", "seconds": seconds,
                 "risk": round(alone, 3)})  # fmt: skip
    return rows


def hold_out(adult: pd.DataFrame, levels: dict[str, pd.DataFrame], coverage: Covered) -> list[Row]:
    """Release half of the people, and attack the others too."""
    half = adult.sample(frac=0.5, random_state=1)
    released = k_anonymize(half, Q8, 5, hierarchies=levels).frame
    table = read_release(released, half, COLUMNS, k=5, protected=Q8, coverage=coverage)
    others = table[0].recognize(adult.drop(half.index))
    predicates = make_predicates(table[0], range(len(COLUMNS)), ATTACKS)
    drawn = others.take(np.random.default_rng(1).permutation(others.count)[: 4 * ATTACKS])
    lists = [drawn.take(np.arange(n, n + 100)) for n in range(0, drawn.count, 100)]
    held = {
        "singling out": single_out(predicates, others),
        "linking": np.concatenate([link_people(table[0], one) for one in lists]),
        "inferring": infer_secret(table[0], drawn, GUESSED),
    }
    rows = attack_risks("k = 5, half", *table)
    return [
        row | {"held out": round(float(held[str(row["attack"])].mean()), 3)}
        for row in rows
        if row["attack"] in held
    ]


def tell_ends(risk: Risk) -> str:
    """Word the ends of a control."""
    return " to ".join(sorted({f"{one.share:.3f}" for one in risk.controls}))


def attack_identifiers(adult: pd.DataFrame) -> list[Row]:
    """Search made-up names in all cells, and undo their tokens; one is planted, and plain hashes.

    The share of rows found stands as the risk.
    """
    names = [f"Person {number:05d}" for number in range(len(adult))]
    notes = adult.assign(note="nothing in particular to report").astype(object)
    notes.loc[7, "note"] = f"seen with {names[7].upper()}"
    rows, seconds = measure(lambda: search_identifiers(notes, names))
    found: list[Row] = [
        {"table": "one name planted", "attack": "identifiers", "seconds": seconds,
         "risk": round(float(rows.mean()), 5)}
    ]  # fmt: skip
    digests = {
        "SHA-256": [hashlib.sha256(name.encode()).digest() for name in names],
        "HMAC-SHA-256": [hmac.digest(HIDDEN, name.encode(), "sha256") for name in names],
    }
    for table, made in digests.items():
        tokens = {digest.hex()[:32]: 1 for digest in made}
        attack, taken = measure(lambda: attack_tokens(tokens, names), 1)  # noqa: B023  # called at once
        found.append({"table": table, "attack": "tokens by dictionary", "seconds": taken,
                      "risk": attack.hashed / attack.rows})  # fmt: skip
    return found


def read_levels(folder: Path, column: str) -> pd.DataFrame:
    """Read a hierarchy in ARX's format."""
    path = folder / f"adult_hierarchy_{column}.csv"
    return pd.read_csv(path, sep=";", header=None, dtype=str, keep_default_na=False)


def cover(levels: pd.DataFrame) -> dict[str, list[str]]:
    """Give the values that each label of a hierarchy stands for."""
    long = pd.concat(
        pd.DataFrame({"label": levels[level], "value": levels[0]}) for level in levels.columns
    ).drop_duplicates()
    return {str(label): list(values) for label, values in long.groupby("label")["value"]}


def measure(action: Callable[[], T], times: int = 3) -> tuple[T, float]:
    """Give an action's result, and the median of its seconds of one core."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        result = action()
        taken.append(time.process_time() - start)
    return result, round(median(taken), 3)


def lay_out(results: list[Row]) -> str:
    """Lay the results out for a terminal."""
    return str(pd.DataFrame(results).to_string(index=False, na_rep=""))


if __name__ == "__main__":
    main()
