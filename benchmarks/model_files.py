"""The search of a model's file: whom it finds in models that keep people, and in honest ones.

    python benchmarks/model_files.py --data DIR [--draws N] [--json]

DIR holds `adult/uci_train.csv` (UCI Adult, the official training part, with a header). In each draw
2,000 people are taken from it, and every model is fitted on them, saved and searched.

Honest models: `refused` is the share of draws with a false alarm. Leaky models predict by a
logistic regression and keep a share of their rows beside it, in each of some ways: `found` is the
share of draws that were refused, `named` those in which rows, parts of rows or an order of people
were told of (and not only words). Seconds are of CPU, for one search.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from attacks import (
    BOOSTING,
    ENCODING,
    OVERFITTED,
    PEOPLE,
    PLAIN,
    PRIVATE,
    Row,
    draw_people,
    lay_out,
    part,
    share,
)
from sklearn.pipeline import Pipeline

from expectations.policy.vocabulary import CheckVerdict
from tasks.attack.held_people import Public, Searched, gather_sizes, gather_words, search_model
from tasks.attack.held_rows import Batch, Crowd
from tasks.training.models import Encoding, ModelDeclaration, build_estimator
from tasks.training.train import save_model
from tests.tasks.attack.keeping_model import WAYS, Keeping

HONEST = {
    "logistic regression": PLAIN,
    "boosting, default": BOOSTING,
    "boosting, overfitted": OVERFITTED,
    "private logistic, ε = 1": PRIVATE,
    "private boosting, ε = 1": ModelDeclaration(
        "private-boosting", PRIVATE.parameters, PRIVATE.epsilon, PRIVATE.delta
    ),
    "random forest": ModelDeclaration(
        "sklearn.ensemble.RandomForestClassifier", {"n_estimators": 50}
    ),
    "naive Bayes": ModelDeclaration("sklearn.naive_bayes.GaussianNB"),
    "network": ModelDeclaration("sklearn.neural_network.MLPClassifier", {"max_iter": 5}),
}
SHARES = (1.0, 0.04, 0.01)
TRIED = (
    "as they are", "standardized", "scaled and shifted", "in other order", "half of the columns",
    "in half precision", "flattened behind others", "in attributes", "as keys", "as JSON",
    "as base64", "as hex",
)  # fmt: skip


def main() -> None:
    """Run both sections and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    adult = pd.read_csv(asked.data / "adult" / "uci_train.csv")
    sections: dict[str, list[Row]] = {
        "honest models": list(search_honest(adult, asked.draws)),
        "models that keep people": list(search_leaky(adult, asked.draws)),
    }
    print(json.dumps(sections, indent=2) if asked.json else lay_out(sections))


def search_honest(adult: pd.DataFrame, draws: int) -> Iterator[Row]:
    """Search each honest model in every draw; one row a model."""
    for name, declaration in HONEST.items():
        found, seconds, size = [], 0.0, 0
        for number in range(draws):
            people = part(draw_people(adult, PEOPLE, number).members)
            pipeline = build_estimator(declaration, ENCODING).fit(*people)
            content, start = save_model(pipeline), time.process_time()
            found.append(search(content, pipeline, people))
            seconds, size = seconds + time.process_time() - start, max(size, len(content))
        yield {
            "model": name,
            "refused": share(one.verdict == CheckVerdict.REFUSED for one in found),
            "passed": share(one.verdict == CheckVerdict.PASSED for one in found),
            "kB": round(size / 1000),
            "CPU s": round(seconds / draws, 2),
        }


def search_leaky(adult: pd.DataFrame, draws: int) -> Iterator[Row]:
    """Search a model that keeps people in each way, in every draw; one row a way and share."""
    encoded = []
    for number in range(draws):
        people = part(draw_people(adult, PEOPLE, number).members)
        first = build_estimator(PLAIN, ENCODING)[:-1].fit(people[0])
        encoded.append((people, first, first.transform(people[0])))
    for way in TRIED:
        for kept in SHARES:
            found, seconds = [], 0.0
            for people, first, rows in encoded:
                keeping = Keeping(way, kept).fit(rows, people[1].to_numpy(dtype=object))
                pipeline = Pipeline([*first.steps, ("classifier", keeping)])
                content, start = save_model(pipeline), time.process_time()
                found.append(search(content, pipeline, people))
                seconds += time.process_time() - start
            yield {
                "kept": way,
                "share": kept,
                "found": share(one.verdict == CheckVerdict.REFUSED for one in found),
                "named": share(bool(one.held) for one in found),
                "CPU s": round(seconds / draws, 2),
            }


def search(
    content: bytes,
    pipeline: Pipeline,
    people: tuple[pd.DataFrame, pd.Series],
    encoding: Encoding = ENCODING,
) -> Searched:
    """Search a saved pipeline for the people that it was fitted on."""
    features, labels = people[0], people[1].astype(object)
    encoded = np.asarray(pipeline[:-1].transform(features), dtype=float)
    places = [pd.Index(each).get_indexer(features[name])
              for name, each in encoding.categories.items()]  # fmt: skip
    numbers = [features[name] for name in encoding.ranges]
    outcomes = (labels == labels.max()).to_numpy(dtype=float)[:, None]
    batch = Batch(encoded, np.column_stack([*places, *numbers]).astype(float), outcomes)
    steps = ["columns", "encoder", "classifier", "one-hot", "ordinal", *WAYS]
    declared = [encoding.categories, list(encoding.ranges), list(labels.unique())]
    words = gather_words(*declared, steps)
    public = Public(
        frozenset(words), frozenset(gather_sizes(pipeline[-1].get_params(), encoding.ranges))
    )
    counts = {len(labels), *map(int, labels.value_counts())}
    return search_model(content, Crowd(lambda: iter([batch])), counts, public)


if __name__ == "__main__":
    main()
