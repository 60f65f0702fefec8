"""The search of the file that leaves, for the run's own people: what it is told of them.

Beside the step (`model`) the only module here that reads the policy's declarations and the saved
model: it hands the search plain numbers and words. The people are read a batch at a time, in the
order in which the model learned from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from expectations.checks import Check
from expectations.disclosure import Count
from expectations.policy.policy import Policy
from expectations.policy.treatments import YES_NO
from ledgers.vault.stages import Trainable
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened
from tasks.attack.held_people import Public, gather_sizes, gather_words, judge_search, search_model
from tasks.attack.held_rows import Batch, Crowd
from tasks.people.population import TEST
from tasks.training.models import declare_encoding
from tasks.training.train import Rows, name_columns, split_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

TOGETHER: Final = 50_000
"""People who are read at a time."""


def search_file(
    desk: Desk, content: bytes, pipeline: Pipeline, data: Opened[Trainable]
) -> Iterator[Check]:
    """Search a model's file for the people whom it learned from, and their words and numbers."""
    policy = desk.policy
    crowd = Crowd(lambda: read_people(policy, pipeline, data))
    found = search_model(
        content, crowd, count_people(policy, data), declare_public(policy, pipeline)
    )
    for outlet in policy.model_outlets:
        yield judge_search(
            found, lambda count: str(desk.run.disclosure.publish(Count(count))), outlet
        )


def read_people(policy: Policy, pipeline: Pipeline, data: Opened[Trainable]) -> Iterator[Batch]:
    """Read who was trained on, as the file's own steps before its classifier see them."""
    import pyarrow as pa

    waiting, rows = list[pa.RecordBatch](), 0
    dataset = data.dataset()
    columns = name_columns(policy, data.ref.schema)
    for batch in dataset.to_batches(columns=columns):
        waiting.append(batch)
        rows += len(batch)
        if rows >= TOGETHER:
            yield from give_batch(pa.Table.from_batches(waiting).to_pandas(), policy, pipeline)
            waiting, rows = [], 0
    if rows:
        yield from give_batch(pa.Table.from_batches(waiting).to_pandas(), policy, pipeline)


def give_batch(frame: pd.DataFrame, policy: Policy, pipeline: Pipeline) -> Iterator[Batch]:
    """Give the people of a frame who were trained on, if any were."""
    rows, _ = split_rows(frame, policy)
    if len(rows.labels):
        encoded = np.asarray(pipeline[:-1].transform(rows.features), dtype=np.float64)
        yield Batch(encoded, place_labels(rows.features, policy), list_beside(rows))


def place_labels(features: pd.DataFrame, policy: Policy) -> NDArray[np.float64]:
    """Give each feature as one number: its label's place among the declared, or itself."""
    labels = declare_encoding(policy).categories
    made = np.empty(features.shape)
    for place, name in enumerate(map(str, features)):
        values = features[name]
        if name in labels:
            number, distinct = pd.factorize(values)
            known = pd.Index(list(labels[name]), dtype=object)
            places = known.get_indexer(pd.Index(distinct).astype(object))
            made[:, place] = np.append(places, np.nan)[number]
        else:
            made[:, place] = pd.to_numeric(values, errors="coerce").astype(float)
    return made


def list_beside(rows: Rows) -> NDArray[np.float64]:
    """Give what a model learns from people beside their features: outcomes, and weights."""
    outcomes = (rows.labels == YES_NO[1]).to_numpy(dtype=np.float64)
    return np.column_stack([outcomes, *([] if rows.weights is None else [rows.weights])])


def count_people(policy: Policy, data: Opened[Trainable]) -> set[int]:
    """Count who was trained on, tested with, and both, in all and of each outcome."""
    assert policy.target is not None
    frame = data.frame([TEST, policy.target])
    sides = frame.groupby([frame[TEST], frame[policy.target].astype(str)]).size()
    of_sides, of_outcomes = sides.groupby(level=0).sum(), sides.groupby(level=1).sum()
    return {len(frame), *map(int, (*sides, *of_sides, *of_outcomes))}


def declare_public(policy: Policy, pipeline: Pipeline) -> Public:
    """Give the words and sizes that were known before anybody was read."""
    encoding = declare_encoding(policy)
    written = policy.model_dump(mode="json")
    steps = [name for name, _ in pipeline.steps]
    words = gather_words(written, encoding.categories, encoding.crosses, list(YES_NO), steps)
    sizes = gather_sizes(written["training"], pipeline[-1].get_params())
    return Public(frozenset(words), frozenset(sizes))
