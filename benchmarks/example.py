"""The example's people for private training: all adults of the survey, and those who consent.

Quality is the mean over random splits, three quarters to train on, with one draw of noise each.
The consenting are the people whom a run of the policy `diabetes` trains on and tests on, derived by
its own steps in a home that is thrown away.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
from adult import Split
from representation import read_adults

from expectations.policy_file import read_policy
from flows.opening import open_run
from ledgers.home.founding import create_home
from ledgers.vault.stages import Deidentified
from tasks.airlock.step import open_at
from tasks.anonymization.deidentify import deidentify, treat
from tasks.consent.permission import filter_consent
from tasks.people.ingestion import collect, read_roster
from tasks.people.population import select_population
from tasks.training.models import Encoding, ModelDeclaration, declare_encoding

POLICY: Final = "diabetes"
SPLITS: Final = 20
Measured = dict[str, "float | str"]
Measure = Callable[[ModelDeclaration, Encoding, Split], Measured]


def measure_example(models: list[ModelDeclaration], measure: Measure) -> Iterator[Measured]:
    """Give each model's mean AUC and its standard error, of both sets of people."""
    policy = read_policy(POLICY).policy
    encoding, target = declare_encoding(policy), str(policy.target)
    for name, people in {"consenting": read_consenting(), "all adults": read_everybody()}.items():
        known = people[people[target].isin(["no", "yes"])]
        features = known[[*encoding.categories, *encoding.ranges]]
        for model in models:
            splits = split_often(features, known[target].astype(str))
            aucs = [float(measure(model, encoding, split)["auc"]) for split in splits]
            yield {
                "people": f"{name}, {len(known):,}",
                "model": model.kind,
                "epsilon": model.epsilon or math.inf,
                "auc": round(statistics.mean(aucs), 4),
                "standard error": round(statistics.stdev(aucs) / math.sqrt(SPLITS), 4),
            }


def split_often(features: pd.DataFrame, labels: pd.Series) -> Iterator[Split]:
    """Give the same splits to every model."""
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(features))
        train, test = np.split(order, [int(0.75 * len(order))])
        yield Split(
            features.iloc[train], labels.iloc[train], features.iloc[test], labels.iloc[test]
        )


def read_consenting() -> pd.DataFrame:
    """Give de-identified rows of everybody who may be read, by a run of the policy's steps."""
    with TemporaryDirectory() as folder, patch.dict(os.environ, TUTELA_HOME=folder):
        create_home(Path(folder))
        with open_run(POLICY) as run:
            permitted = filter_consent(read_roster())
            people = deidentify(select_population(collect(permitted)))
            return open_at(run.vault, people, Deidentified).frame()


def read_everybody() -> pd.DataFrame:
    """Give de-identified rows of all eligible adults, as if everybody had consented."""
    policy = read_policy(POLICY).policy
    encoding, adults = declare_encoding(policy), read_adults(policy)
    names = [*encoding.categories, *encoding.ranges, str(policy.target)]
    treated = {
        name: treat(adults.column(name), policy.treated[name].treatment, b"") for name in names
    }
    return pa.table(treated).to_pandas()
