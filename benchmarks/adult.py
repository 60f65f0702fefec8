"""UCI Adult by its official split, in bins and labels that are public facts; none is read from it.

Labels are those that the data set's own documentation lists, "?" (unknown) among them. Ages are
binned by five years, hours as contracts have them, capital gains by hundreds and losses by fifties
of dollars. Bins were chosen on folds of the training part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from tasks.training.models import Encoding

TARGET, CLASSES = "income", ("<=50K", ">50K")
EDGES: Final = {
    "age": list(range(20, 80, 5)),
    "hours-per-week": [20, 35, 40, 41, 50, 60],
    "capital-gain": [1, *range(100, 10_000, 100), 10_000, 12_000, 15_000, 20_000, 25_000, 50_000],
    "capital-loss": [1, *range(50, 3_050, 50)],
}
ROUND_EDGES: Final = {
    "age": list(range(20, 90, 10)),
    "hours-per-week": list(range(10, 100, 10)),
    "capital-gain": [1, 5_000, 10_000, 20_000, 50_000],
    "capital-loss": [1, 1_000, 2_000, 3_000],
}
"""What somebody writes who has not looked at folds: round numbers, a few of each."""
EDUCATION: Final = (
    "Preschool 1st-4th 5th-6th 7th-8th 9th 10th 11th 12th HS-grad Some-college Assoc-voc "
    "Assoc-acdm Bachelors Masters Prof-school Doctorate"
)
LABELS: Final = {
    "workclass": "? Federal-gov Local-gov Never-worked Private Self-emp-inc Self-emp-not-inc "
    "State-gov Without-pay",
    "marital-status": "Divorced Married-AF-spouse Married-civ-spouse Married-spouse-absent "
    "Never-married Separated Widowed",
    "occupation": "? Adm-clerical Armed-Forces Craft-repair Exec-managerial Farming-fishing "
    "Handlers-cleaners Machine-op-inspct Other-service Priv-house-serv Prof-specialty "
    "Protective-serv Sales Tech-support Transport-moving",
    "relationship": "Husband Not-in-family Other-relative Own-child Unmarried Wife",
    "race": "Amer-Indian-Eskimo Asian-Pac-Islander Black Other White",
    "sex": "Female Male",
    "native-country": "? Cambodia Canada China Columbia Cuba Dominican-Republic Ecuador "
    "El-Salvador England France Germany Greece Guatemala Haiti Holand-Netherlands Honduras Hong "
    "Hungary India Iran Ireland Italy Jamaica Japan Laos Mexico Nicaragua "
    "Outlying-US(Guam-USVI-etc) Peru Philippines Poland Portugal Puerto-Rico Scotland South "
    "Taiwan Thailand Trinadad&Tobago United-States Vietnam Yugoslavia",
}
ORDERED: Final = ("age", "hours-per-week", "education")
"""Columns that a linear model reads as a rank; gains and losses jump too much for that."""


Edges = Mapping[str, Sequence[float]]


class Split(NamedTuple):
    """Features and labels, to train with and to test with."""

    features: pd.DataFrame
    labels: pd.Series
    test_features: pd.DataFrame
    test_labels: pd.Series


def declare_adult(edges: Edges = EDGES) -> Encoding:
    """Give every column that is used, with its labels: numbers have those of their bins."""
    categories = {name: [str(n) for n in range(len(of) + 1)] for name, of in edges.items()}
    categories["education"] = EDUCATION.split()
    categories |= {name: labels.split() for name, labels in LABELS.items()}
    return Encoding(categories, ordered=ORDERED)


def read_adult(folder: Path, edges: Edges = EDGES) -> Split:
    """Read `uci_train.csv` and `uci_test.csv`, and put numbers into their bins.

    A label that is not declared is refused where it is encoded.
    """
    parts = [pd.read_csv(folder / f"uci_{part}.csv") for part in ("train", "test")]
    train, test = (_bin_numbers(part, edges) for part in parts)
    labels = [part[TARGET].str.strip(" .") for part in parts]
    return Split(train, labels[0], test, labels[1])


def _bin_numbers(part: pd.DataFrame, edges: Edges) -> pd.DataFrame:
    binned = {
        name: np.searchsorted(of, part[name], side="right").astype(str)
        for name, of in edges.items()
    }
    return part.assign(**binned)[[*declare_adult().categories]].astype(object)
