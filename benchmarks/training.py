"""Private training: quality against ε on UCI Adult and on the example, and time.

    python benchmarks/training.py --data DIR [--runs N] [--json]

DIR holds `adult/uci_train.csv` and `adult/uci_test.csv`: UCI Adult, its official split, with a
header. δ = 1e-5. Accuracy and AUC are of the test part, the mean of N trainings (5); the
accuracy's own standard error is .0027. `seconds` are of CPU, the median training, with the
encoding. ε of infinity is scikit-learn's logistic regression and boosting, on the same encoding.
`quality against ε` shows the same AUCs, a row for each model; `best seen` are the reference
figures for others' libraries, of other bins than these.

Bins, bounds and labels are public (`adult.py`); others' models get the same (`rivals.py`). What was
chosen (bins, the trainers' own constants, parameters of others' models) was chosen on folds of the
training part; the test part is read for this table alone.

Models whose library is not installed are left out, and named at the end: torch and opacus come by
`make torch`. The example is NHANES by the policy `diabetes` (`example.py`). Classes and numbers:
`other_targets.py`, which runs alone too. Large: a million made-up people by 100 features in a
process of its own, for its peak memory.
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
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from adult import CLASSES, ROUND_EDGES, Split, declare_adult, read_adult
from example import measure_example
from other_targets import measure_targets
from rivals import DELTA, LOGISTIC, PERCEPTRON, build_interpret, build_opacus, number_bins
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score, roc_auc_score

from tasks.training.models import Encoding, ModelDeclaration, build_estimator
from tasks.training.private_logistic import PrivateLogisticRegression

Row = dict[str, "float | str"]

EPSILONS: Final = (0.5, 1.0, 3.0, 8.0)
REGRESSION, BOOSTING, NETWORK = (
    "private-logistic-regression",
    "private-boosting",
    "private-network",
)
OPEN: Final = ("logistic-regression", "gradient-boosting")
NETWORKS: Final[Mapping[float, Mapping[str, object]]] = {
    0.5: {"learning_rate": 4.0, "hidden_sizes": [4]},
    1.0: {"learning_rate": 8.0, "hidden_sizes": [6]},
    3.0: {"learning_rate": 16.0, "hidden_sizes": [6]},
    8.0: {"learning_rate": 16.0, "hidden_sizes": [12], "steps": 160},
}
"""Parameters of private networks at each ε, chosen by folds."""
BEST_SEEN: Final = {
    "best seen: accuracy": (0.8576, 0.8586, 0.8600, 0.8610, 0.8735),
    "best seen: AUC": (0.9079, 0.9099, 0.9111, 0.9138, 0.9273),
    "to reach: accuracy": (0.857, 0.858, 0.860, 0.861),
    "to reach: AUC": (0.9085, 0.9105, 0.9125, 0.9150),
}
LARGE: Final = (1_000_000, 100)


def main() -> None:
    """Run every case and print it."""
    parser = argparse.ArgumentParser(description="Private training: quality against ε, and time.")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR",
        help="holds adult/uci_train.csv and adult/uci_test.csv (archive.ics.uci.edu, data set 2)",
    )  # fmt: skip
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--large", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.large:
        print(json.dumps(train_large()))
        return
    if not (given.data / "adult" / "uci_test.csv").is_file():
        parser.error(f"{given.data} holds no adult/uci_train.csv and adult/uci_test.csv")
    adult = list(measure_adult(given.data / "adult", given.runs))
    results = {
        "UCI Adult": adult,
        "quality against ε (accuracy / AUC)": list(compare(adult)),
        "example diabetes (NHANES)": list(measure_example(declare_examples(), measure_once)),
        "classes and numbers": list(measure_targets(given.data / "adult", given.runs)),
        "large": [run_large(given.data)],
    }
    print(json.dumps(results, indent=2) if given.json else lay_out(results))


def lay_out(results: dict[str, list[Row]]) -> str:
    """Lay the tables out for a terminal, and say what is not in them."""
    tables = [
        f"{name}\n{pd.DataFrame(rows).to_string(index=False, na_rep='')}"
        for name, rows in results.items()
    ]
    absent = [library for library in ("interpret", "opacus") if not find_spec(library)]
    return "\n\n".join([*tables, f"not installed: {', '.join(absent) or 'nothing'}"])


def measure_adult(folder: Path, runs: int) -> Iterator[Row]:
    """Measure each model at each ε by the official split: ours, others', and those without DP."""
    split, encoding = read_adult(folder), declare_adult()
    for kind in [REGRESSION, BOOSTING] + [NETWORK] * bool(find_spec("opacus")):
        for epsilon in EPSILONS:
            parameters = {
                "classes": list(CLASSES),
                **(NETWORKS[epsilon] if kind == NETWORK else {}),
            }
            model = ModelDeclaration(kind, parameters, epsilon, DELTA)
            build = partial(build_estimator, model, encoding)
            yield {"model": kind, "epsilon": epsilon, **measure(build, split, runs)}
    naive = read_adult(folder, ROUND_EDGES)
    for kind in (REGRESSION, BOOSTING):
        for epsilon in EPSILONS:
            model = ModelDeclaration(kind, {"classes": list(CLASSES)}, epsilon, DELTA)
            build = partial(build_estimator, model, declare_adult(ROUND_EDGES))
            yield {
                "model": f"{kind}, round bins",
                "epsilon": epsilon,
                **measure(build, naive, runs),
            }
    yield from measure_others(split, runs)
    for kind in OPEN:
        build = partial(build_estimator, ModelDeclaration(kind), encoding)
        yield {"model": kind, "epsilon": math.inf, **measure(build, split, 1)}


def measure_others(split: Split, runs: int) -> Iterator[Row]:
    """Measure the private models of other libraries, where they are installed."""
    for epsilon in EPSILONS * bool(find_spec("opacus")):
        for name, (hidden, rate) in {"regression": LOGISTIC, "perceptron": PERCEPTRON}.items():
            found = measure(partial(build_opacus, epsilon, hidden, rate), split, runs)
            yield {"model": f"Opacus, {name}", "epsilon": epsilon, **found}
    for epsilon in EPSILONS * bool(find_spec("interpret")):
        found = measure(partial(build_interpret, epsilon), number_bins(split), runs)
        yield {"model": "interpret DP-EBM", "epsilon": epsilon, **found}


def measure(build: Callable[[], ClassifierMixin], split: Split, runs: int) -> Row:
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
    spread = {"auc deviation": round(statistics.stdev(auc), 4)} if runs > 1 else {}
    return {
        "accuracy": round(statistics.mean(accuracy), 4),
        "auc": round(statistics.mean(auc), 4),
        **spread,
        "seconds": round(statistics.median(seconds), 2),
    }


def measure_once(model: ModelDeclaration, encoding: Encoding, split: Split) -> Row:
    """Train once, as a policy would."""
    return measure(partial(build_estimator, model, encoding), split, 1)


def compare(rows: list[Row]) -> Iterator[Row]:
    """Set accuracy and AUC of each model beside each other by ε, and beside what was seen."""
    for model in dict.fromkeys(str(row["model"]) for row in rows):
        each = {row["epsilon"]: row for row in rows if row["model"] == model}
        cells = {f"ε = {e:g}": f"{r['accuracy']:.4f} / {r['auc']:.4f}" for e, r in each.items()}
        yield {"model": model, **cells}
    for name, figures in BEST_SEEN.items():
        steps = zip((*EPSILONS, math.inf), figures, strict=False)
        yield {"model": name, **{f"ε = {epsilon:g}": f"{figure:.4f}" for epsilon, figure in steps}}


def declare_examples() -> list[ModelDeclaration]:
    """Declare the models of the example: two private ones at each ε, and both without DP."""
    private = [
        ModelDeclaration(kind, {"classes": ["no", "yes"]}, epsilon, DELTA)
        for kind in (REGRESSION, BOOSTING)
        for epsilon in EPSILONS
    ]
    return private + [ModelDeclaration(kind) for kind in OPEN]


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
