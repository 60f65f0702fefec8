"""The search of the file that leaves, for the run's own people: what it is told of them.

The step says how the people are read that a model was trained on; here they become the numbers and
words that the search compares, a batch at a time, in the order in which the model learned from
them. Knows what the policy declares, and nothing of training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from expectations.checks import Check
from expectations.disclosure import Count
from expectations.policy.outcome import Classes, Number, Outcome
from expectations.policy.policy import Policy
from ledgers.vault.stages import Trainable
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened
from tasks.attack.held_people import (
    Public,
    Searched,
    gather_sizes,
    gather_words,
    judge_search,
    search_model,
)
from tasks.attack.held_rows import Batch, Crowd
from tasks.people.outcomes import mark_known, read_outcomes
from tasks.people.population import TEST

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    Rows: TypeAlias = tuple[pd.DataFrame, pd.Series, NDArray[np.float64] | None]
    """Features, outcomes and weights (if any) of some people."""

TOGETHER: Final = 50_000
"""People who are read at a time."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the people are read that a model was trained on.

    `columns` are theirs, `choose` gives those of a frame who were trained on, and `declared` is how
    their features and outcomes are.
    """

    columns: Sequence[str]
    choose: Callable[[pd.DataFrame], Rows]
    declared: Declared


class Declared(NamedTuple):
    """Each labelled feature's words, in the order of their declaration, and what is predicted."""

    labels: Mapping[str, Sequence[str]]
    outcome: Outcome


def search_file(
    desk: Desk, content: bytes, pipeline: Pipeline, data: Opened[Trainable], reading: Reading
) -> Iterator[Check]:
    """Search a model's file for the people whom it learned from, and their words and numbers."""
    policy = desk.policy
    crowd = Crowd(lambda: read_people(reading, pipeline, data))
    public = declare_public(policy, pipeline, reading.declared.labels)
    found = search_model(content, crowd, count_people(policy, data), public)
    for outlet in policy.model_outlets:
        yield judge_search(
            found, lambda count: str(desk.run.disclosure.publish(Count(count))), outlet
        )


def search_rows(
    content: bytes,
    pipeline: Pipeline,
    rows: Rows,
    policy: Policy,
    labels: Mapping[str, Sequence[str]],
) -> Searched:
    """Search a model's file for some people that it learned from, who are all in memory."""
    declared = Declared(labels, policy.outcome)
    crowd = Crowd(lambda: iter([make_batch(rows, pipeline, declared)]))
    counts = {len(rows[1])}
    if isinstance(policy.outcome, Classes):
        counts |= {*map(int, rows[1].value_counts())}
    return search_model(content, crowd, counts, declare_public(policy, pipeline, labels))


def read_people(reading: Reading, pipeline: Pipeline, data: Opened[Trainable]) -> Iterator[Batch]:
    """Read who was trained on, as the file's own steps before its classifier see them."""
    import pyarrow as pa

    waiting, count = list[pa.RecordBatch](), 0
    for batch in data.dataset().to_batches(columns=list(reading.columns)):
        waiting.append(batch)
        count += len(batch)
        if count >= TOGETHER:
            yield from give_batch(pa.Table.from_batches(waiting).to_pandas(), reading, pipeline)
            waiting, count = [], 0
    if count:
        yield from give_batch(pa.Table.from_batches(waiting).to_pandas(), reading, pipeline)


def give_batch(frame: pd.DataFrame, reading: Reading, pipeline: Pipeline) -> Iterator[Batch]:
    """Give the people of a frame who were trained on, if any were."""
    rows = reading.choose(frame)
    if len(rows[1]):
        yield make_batch(rows, pipeline, reading.declared)


def make_batch(rows: Rows, pipeline: Pipeline, declared: Declared) -> Batch:
    """Give people as the last step sees them, by their labels' places, and what goes beside."""
    features, outcomes, weights = rows
    encoded = np.asarray(pipeline[:-1].transform(features), dtype=np.float64)
    known = code_outcomes(outcomes, declared.outcome)
    beside = np.column_stack([known, *([] if weights is None else [weights])])
    return Batch(encoded, place_labels(features, declared.labels), beside)


def code_outcomes(outcomes: pd.Series, outcome: Outcome) -> NDArray[np.float64]:
    """Give outcomes as columns that a model may have kept: numbers, or words in each usual code.

    Words by their places as declared and as sorted, and each apart; of two the one that is looked
    for says all.
    """
    if isinstance(outcome, Number):
        numbers: NDArray[np.float64] = outcomes.to_numpy(dtype=np.float64)
        return numbers[:, None]
    words = outcomes.to_numpy(dtype=str)[:, None]
    marks: NDArray[np.float64] = (words == np.array(outcome.labels)).astype(np.float64)
    if outcome.binary:
        return marks[:, 1:]
    places = (marks @ np.argsort(np.argsort(order)) for order in
              (np.arange(len(outcome.labels)), outcome.labels))  # fmt: skip
    return np.column_stack([*places, marks])


def place_labels(
    features: pd.DataFrame, labels: Mapping[str, Sequence[str]]
) -> NDArray[np.float64]:
    """Give each feature as one number: its label's place among the declared, or itself."""
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


def count_people(policy: Policy, data: Opened[Trainable]) -> set[int]:
    """Count who was trained on, tested with, and both, in all and of each outcome."""
    assert policy.target is not None
    frame = data.frame([TEST, policy.target])
    if isinstance(policy.outcome, Number):
        known = mark_known(read_outcomes(frame[policy.target], policy.outcome), policy.outcome)
        kinds = pd.Series(known, index=frame.index)
    else:
        kinds = frame[policy.target].astype(str)
    sides = frame.groupby([frame[TEST], kinds]).size()
    of_sides, of_outcomes = sides.groupby(level=0).sum(), sides.groupby(level=1).sum()
    return {len(frame), *map(int, (*sides, *of_sides, *of_outcomes))}


def declare_public(
    policy: Policy, pipeline: Pipeline, labels: Mapping[str, Sequence[str]]
) -> Public:
    """Give the words and sizes that were known before anybody was read."""
    written = policy.model_dump(mode="json")
    steps = [name for name, _ in pipeline.steps]
    outcome = policy.outcome
    told = [*outcome.labels] if isinstance(outcome, Classes) else []
    words = gather_words(written, labels, told, steps)
    sizes = gather_sizes(written, pipeline[-1].get_params())
    return Public(frozenset(words), frozenset(sizes))
