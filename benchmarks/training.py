"""Private training: quality against ε on UCI Adult and on the example, and time.

    python benchmarks/training.py --data DIR [--runs N] [--json]

DIR holds `adult/uci_train.csv` and `adult/uci_test.csv`: UCI Adult, its official split, with a
header. δ = 1e-5. Accuracy and AUC are of the test part, the mean of N trainings (5); the
accuracy's own standard error is .0027. `seconds` are of CPU, the median training, with the
encoding. ε of infinity is scikit-learn's logistic regression and boosting, on the same encoding.

Bins, bounds and categories are public: labels as the census lists them; ages by five years, hours
as contracts have them, capital gains by hundreds and losses by fifties of dollars. What was chosen
(these, and the trainers' own constants) was chosen on folds of the training part; the test part
is read for this table alone.

Models of an extra that is not installed are left out, and named at the end. The example is NHANES
by the policy `diabetes`, all its adults: the mean AUC of 20 splits, three quarters for training.
Large: a million made-up people by 100 features in a process of its own, for its peak memory.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from representation import read_adults
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score, roc_auc_score

from expectations.policy_file import read_policy
from tasks.anonymization.deidentify import treat
from tasks.training.declared import declare_encoding
from tasks.training.models import Encoding, ModelDeclaration, build_estimator
from tasks.training.private_logistic import PrivateLogisticRegression

Row = dict[str, "float | str"]

DELTA: Final = 1e-5
EPSILONS: Final = (0.5, 1.0, 3.0, 8.0)
PRIVATE: Final = ("private-logistic-regression", "private-boosting", "private-network")
OPEN: Final = ("logistic-regression", "gradient-boosting")
EXTRAS: Final = {"private-boosting": "interpret", "private-network": "opacus"}
TARGET, CLASSES = "income", ("<=50K", ">50K")
EDGES: Final = {
    "age": list(range(20, 80, 5)),
    "hours-per-week": [20, 35, 40, 41, 50, 60],
    "capital-gain": [1, *range(100, 10_000, 100), 10_000, 12_000, 15_000, 20_000, 25_000, 50_000],
    "capital-loss": [1, *range(50, 3_050, 50)],
}
EDUCATION: Final = [
    "Preschool", "1st-4th", "5th-6th", "7th-8th", "9th", "10th", "11th", "12th", "HS-grad",
    "Some-college", "Assoc-voc", "Assoc-acdm", "Bachelors", "Masters", "Prof-school", "Doctorate",
]  # fmt: skip
LABELS: Final = (
    "workclass", "marital-status", "occupation", "relationship", "race", "sex", "native-country",
)  # fmt: skip
ORDERED: Final = ["age", "hours-per-week", "education"]
SPLITS: Final = 20
LARGE: Final = (1_000_000, 100)


class Split(NamedTuple):
    """Treated features and labels, to train with and to test with."""

    features: pd.DataFrame
    labels: pd.Series
    test_features: pd.DataFrame
    test_labels: pd.Series


def main() -> None:
    """Run every case and print it."""
    parser = argparse.ArgumentParser(description="Private training: quality against ε, and time.")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--large", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.large:
        print(json.dumps(train_large()))
        return
    if not (given.data / "adult" / "uci_test.csv").is_file():
        parser.error(f"{given.data} holds no adult/uci_train.csv and adult/uci_test.csv")
    results = {
        "UCI Adult": list(measure_adult(given.data / "adult", given.runs)),
        "example diabetes (NHANES)": list(measure_example()),
        "large": [run_large(given.data)],
    }
    if given.json:
        print(json.dumps(results, indent=2))
        return
    for name, rows in results.items():
        print(f"{name}\n{pd.DataFrame(rows).to_string(index=False, na_rep='')}\n")
    print("not installed:", ", ".join(sorted({*EXTRAS} - {*installed()})) or "nothing")


def installed() -> list[str]:
    """Give the private kinds whose libraries are there."""
    return [kind for kind in PRIVATE if find_spec(EXTRAS.get(kind, "sklearn"))]


def measure_adult(folder: Path, runs: int) -> Iterator[Row]:
    """Measure each model at each ε by the official split."""
    split, encoding = read_adult(folder)
    declared = {"classes": list(CLASSES)}
    for kind in installed():
        for epsilon in EPSILONS:
            model = ModelDeclaration(kind, declared, epsilon, DELTA)
            yield {"model": kind, "epsilon": epsilon, **measure(model, encoding, split, runs)}
    for epsilon in EPSILONS * bool(find_spec("interpret")):
        row = measure_by(partial(build_interpret, epsilon), number_bins(split), runs)
        yield {"model": "interpret DP-EBM", "epsilon": epsilon, **row}
    for kind in OPEN:
        found = measure(ModelDeclaration(kind), encoding, split, 1)
        yield {"model": kind, "epsilon": math.inf, **found}


def read_adult(folder: Path) -> tuple[Split, Encoding]:
    """Read both parts, and put numbers into public bins; the labels are the census's."""
    parts = [pd.read_csv(folder / f"uci_{part}.csv") for part in ("train", "test")]
    categories = {name: [str(n) for n in range(len(edges) + 1)] for name, edges in EDGES.items()}
    categories["education"] = EDUCATION
    # The files' own labels are the documented lists of the data set, read here to save the space.
    categories |= {name: sorted({*parts[0][name], *parts[1][name]}) for name in LABELS}
    tables = []
    for part in parts:
        binned = {
            name: np.searchsorted(edges, part[name], side="right").astype(str)
            for name, edges in EDGES.items()
        }
        tables.append(part.assign(**binned)[[*categories]].astype(object))
    labels = [part[TARGET].str.strip(" .") for part in parts]
    return Split(tables[0], labels[0], tables[1], labels[1]), Encoding(categories, {}, ORDERED)


def measure(model: ModelDeclaration, encoding: Encoding, split: Split, runs: int) -> Row:
    """Train as a policy would, and test."""
    return measure_by(lambda: build_estimator(model, encoding), split, runs)


def measure_by(build: Callable[[], ClassifierMixin], split: Split, runs: int) -> Row:
    """Train `runs` times and give the mean of accuracy and AUC, and the median CPU seconds."""
    found = []
    for _ in range(runs):
        started = time.process_time()
        model = build().fit(split.features, split.labels)
        spent = time.process_time() - started
        scores = model.predict_proba(split.test_features)[:, 1]
        positive = split.test_labels == model.classes_[1]
        found.append(
            (accuracy_score(positive, scores > 0.5), roc_auc_score(positive, scores), spent)
        )
    accuracy, auc, seconds = zip(*found, strict=True)
    return {
        "accuracy": round(statistics.mean(accuracy), 4),
        "auc": round(statistics.mean(auc), 4),
        "seconds": round(statistics.median(seconds), 2),
    }


def number_bins(split: Split) -> Split:
    """Give ordered columns as the numbers of their bins, which interpret bounds in public."""
    places = {label: place for place, label in enumerate(EDUCATION)}
    numbered = [
        part.astype(dict.fromkeys(EDGES, int)).assign(education=part["education"].map(places))
        for part in (split.features, split.test_features)
    ]
    return Split(numbered[0], split.labels, numbered[1], split.test_labels)


def build_interpret(epsilon: float) -> ClassifierMixin:
    """Give interpret's DP-EBM as it comes, told the bounds of bins; it learns the labels."""
    from interpret.privacy import (  # type: ignore[import-untyped]  # no hints
        DPExplainableBoostingClassifier,
    )

    bounds = {name: (0, len(edges)) for name, edges in EDGES.items()}
    bounds["education"] = (0, len(EDUCATION) - 1)
    kinds = ["continuous"] * len(bounds) + ["nominal"] * len(LABELS)
    return DPExplainableBoostingClassifier(
        epsilon=epsilon, delta=DELTA, feature_types=kinds, privacy_bounds=bounds
    )


def measure_example() -> Iterator[Row]:
    """Measure private logistic regression on the example's adults, mean of splits and draws."""
    policy = read_policy("diabetes").policy
    adults, encoding = read_adults(policy), declare_encoding(policy)
    names = [*encoding.categories, *encoding.ranges, str(policy.target)]
    treated = {
        name: treat(adults.column(name), policy.treated[name].treatment, b"") for name in names
    }
    people = pa.table(treated).to_pandas()
    people = people[people[names[-1]].isin(["no", "yes"])].reset_index(drop=True)
    for epsilon in EPSILONS:
        model = ModelDeclaration(PRIVATE[0], {"classes": ["no", "yes"]}, epsilon, DELTA)
        yield {"epsilon": epsilon, **measure_splits(model, encoding, people)}
    yield {"epsilon": math.inf, **measure_splits(ModelDeclaration(OPEN[0]), encoding, people)}


def measure_splits(model: ModelDeclaration, encoding: Encoding, people: pd.DataFrame) -> Row:
    """Give the mean AUC of splits, one draw of noise each, and its standard error."""
    features, labels = people.iloc[:, :-1], people.iloc[:, -1].astype(str)
    aucs = []
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(people))
        train, test = np.split(order, [int(0.75 * len(order))])
        split = Split(
            features.iloc[train], labels.iloc[train], features.iloc[test], labels.iloc[test]
        )
        aucs.append(float(measure(model, encoding, split, 1)["auc"]))
    error = statistics.stdev(aucs) / math.sqrt(SPLITS)
    return {"auc": round(statistics.mean(aucs), 4), "standard error": round(error, 4)}


def run_large(folder: Path) -> Row:
    """Train on a million people in a process of its own."""
    command = [sys.executable, __file__, "--data", str(folder), "--large"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row: Row = json.loads(done.stdout)
    return row


def train_large() -> Row:
    """Train on made-up people; say the CPU seconds and this process's peak memory."""
    people, features = LARGE
    rng = np.random.default_rng(1)
    rows = rng.standard_normal(LARGE, dtype=np.float64)
    labels = (rows[:, :10].sum(1) + 2 * rng.standard_normal(people) > 0).astype(np.int64)
    started = time.process_time()
    model = PrivateLogisticRegression(epsilon=1.0, delta=DELTA).fit(rows, labels)
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    auc = float(roc_auc_score(labels[:50_000], model.decision_function(rows[:50_000])))
    return {
        "people": people,
        "features": features,
        "seconds": round(seconds, 1),
        "GiB at most": round(peak, 2),
        "auc": round(auc, 4),
    }


if __name__ == "__main__":
    main()
