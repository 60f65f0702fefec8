"""Training the policy's model on its training people, and measuring it on the others.

The encoding is declared by the policy; the trainer sees no test person. Where the rows come from
is decided by the flow; a private model refuses rows that are not record-wise, whatever the policy
says, by what the vault knows of their stage. Of weighted people every figure of quality is of the
people as they are weighted, and `auc_unweighted` of them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.checks import Check, refuse_failed
from expectations.disclosure import Count, Disclosure
from expectations.errors import Refusal
from expectations.outlets import DifferentialPrivacy
from expectations.policy import Policy
from expectations.treatments import YES_NO, Clip, has_order, public_labels
from expectations.vocabulary import MISSING, CheckVerdict, Use
from ledgers.evidence import JSON
from ledgers.stages import Trainable, Trained, Validated
from tasks.anonymization.generalize import declare_hierarchy
from tasks.ingestion import RECORD
from tasks.population import TEST
from tasks.representation.raking import WEIGHT
from tasks.run import Desk
from tasks.step import Opened, step
from tasks.training.models import (
    WEIGHT_ARGUMENT,
    Encoding,
    GroupQuality,
    ModelDeclaration,
    build_estimator,
    evaluate,
    evaluate_groups,
    refuse_weights_that_go_nowhere,
)

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

SHARES: Final = frozenset({"accuracy", "base_rate", "selection_rate"})
"""Figures that are shares of people."""


class Rows(NamedTuple):
    """Features, labels and weights (if any) of some people, row by row."""

    features: pd.DataFrame
    labels: pd.Series[str]
    weights: NDArray[np.float64] | None = None


def declare_encoding(policy: Policy) -> Encoding:
    """Gather what the policy says in public of its features: labels, their order, and ranges."""
    categories: dict[str, Sequence[str]] = {}
    ranges: dict[str, tuple[float, float]] = {}
    ordered: list[str] = []
    for name in policy.used_as(Use.FEATURE):
        treatment = policy.treated[name].treatment
        labels = public_labels(treatment, policy.column_type(name))
        if recoded := recoded_labels(policy, name):
            categories[name] = recoded
        elif labels is not None:
            categories[name] = labels
            ordered += [name] * has_order(treatment)
        elif isinstance(treatment, Clip):
            ranges[name] = (treatment.low, treatment.high)
    return Encoding(categories, ranges, ordered)


def recoded_labels(policy: Policy, column: str) -> Sequence[str] | None:
    """Give every label that recoding can leave in a column of the table that is trained on.

    Merged labels stand beside those that they span, so they have no order. None for a column that
    is not recoded.
    """
    assert policy.training is not None
    outlet = policy.table_outlets.get(policy.training.input)
    if outlet is None or column not in outlet.linkable:
        return None
    hierarchy = declare_hierarchy(policy, outlet, column)
    assert hierarchy is not None, "coherence lets no model learn from pinned values"
    return list(dict.fromkeys(label for level in hierarchy.labels for label in level))


def declare_model(policy: Policy) -> ModelDeclaration:
    """Give the model that the policy names, with the ε and δ that its outlet promises."""
    assert policy.training is not None
    promised = [outlet.promise for outlet in policy.model_outlets.values() if outlet.promise]
    if not promised:
        return ModelDeclaration(policy.training.model, policy.training.parameters)
    parameters = {**policy.training.parameters, "classes": list(YES_NO)}
    return ModelDeclaration(
        policy.training.model, parameters, promised[0].epsilon, promised[0].delta
    )


def split_rows(frame: pd.DataFrame, policy: Policy) -> tuple[Rows, Rows]:
    """Split de-identified rows into those of the training and of the test people."""
    assert policy.target is not None
    target = frame[policy.target].astype("str")
    known = target.isin(YES_NO)
    features = frame[list(policy.used_as(Use.FEATURE))]
    test = frame[TEST].to_numpy(dtype=bool)
    weights = frame[WEIGHT].to_numpy(dtype=float) if WEIGHT in frame else None
    train_rows, test_rows = (
        Rows(features[side], target[side], None if weights is None else weights[side])
        for side in (~test & known.to_numpy(), test & known.to_numpy())
    )
    return train_rows, test_rows


def fit_model(rows: Rows, policy: Policy) -> Pipeline:
    """Train the policy's model; Refusal when the training people are all of one class."""
    if rows.labels.nunique() < 2:
        raise Refusal("training", "the training people are all of one class; widen the population")
    pipeline = build_estimator(declare_model(policy), declare_encoding(policy))
    if rows.weights is None:
        return pipeline.fit(rows.features, rows.labels)
    refuse_weights_that_go_nowhere(pipeline)
    return pipeline.fit(rows.features, rows.labels, **{WEIGHT_ARGUMENT: rows.weights})


def save_model(pipeline: Pipeline) -> bytes:
    """Write a fitted pipeline by skops, which holds no code."""
    import skops.io

    content: bytes = skops.io.dumps(pipeline)
    return content


def load_model(content: bytes) -> Pipeline:
    """Read what `save_model` wrote in this run."""
    import skops.io

    return skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))


def rounded(figures: Mapping[str, float | str | None]) -> dict[str, JSON]:
    """Round figures so far that no exact count of people follows from them.

    A share with all its digits tells of how many people it is a share (its denominator).
    """
    return {
        name: round(value, 2 if name in SHARES else 3) if isinstance(value, float) else value
        for name, value in figures.items()
    }


def describe_groups(
    frame: pd.DataFrame, groups: Sequence[GroupQuality], column: str, disclosure: Disclosure
) -> list[JSON]:
    """Give the model's quality by group, each with its published number of test people."""
    values = frame[column].astype(object).where(frame[column].notna(), MISSING)
    rows: list[JSON] = []
    for quality in groups:
        people = frame.loc[values == quality.group, RECORD].to_numpy(np.uint64)
        count = Count(len(people), int(people.sum(dtype=np.uint64)))
        rows.append(rounded(asdict(quality)) | {"people": str(disclosure.publish(count))})
    return rows


@step("Train the model", gives=Trained)
def train(desk: Desk, data: Opened[Trainable]) -> bytes:
    """Train on the training people, measure on the test people, overall and by group."""
    policy = desk.policy
    declared = declare_model(policy)
    if declared.epsilon is not None and not issubclass(data.stage, Validated):
        raise Refusal(
            "record-wise rows", "a private model cannot be trained on recoded or weighted rows"
        )
    frame = data.frame()
    training, testing = split_rows(frame, policy)
    pipeline = fit_model(training, policy)
    quality = asdict(evaluate(pipeline, *testing))
    if testing.weights is not None:
        quality["auc_unweighted"] = evaluate(pipeline, *testing[:2]).auc
    for name, value in rounded(quality).items():
        desk.note("measure", f"utility.{name}", value)
    if declared.epsilon is not None:
        account(desk, float(pipeline[-1].epsilon_spent_), declared.delta)
    audit(desk, pipeline, testing, frame.loc[testing.features.index])
    return save_model(pipeline)


def account(desk: Desk, epsilon: float, delta: float | None) -> None:
    """Note the ε that the accountant computed, and hold it against what each outlet promises."""
    desk.measure("privacy.epsilon", epsilon)
    desk.measure("privacy.delta", delta)
    checks = [
        judge_privacy(epsilon, outlet.promise, name)
        for name, outlet in desk.policy.model_outlets.items()
        if outlet.promise
    ]
    for check in checks:
        desk.check(check)
    refuse_failed(checks)


def judge_privacy(epsilon: float, promise: DifferentialPrivacy, outlet: str) -> Check:
    """Compare the ε that was computed with the one promised."""
    kept = epsilon <= promise.epsilon
    return Check(
        name="differential privacy",
        asked=f"ε of at most {promise.epsilon:g} at δ = {promise.delta:g}",
        measured=f"ε = {epsilon:.3f}, as the accountant computes it",
        verdict=CheckVerdict.PASSED if kept else CheckVerdict.REFUSED,
        power="an upper bound that is proved, not measured: it holds if the code does what it says",
        remedy="promise the ε that is spent, or report this as a fault",
        outlet=outlet,
    )


def audit(desk: Desk, pipeline: Pipeline, testing: Rows, tested: pd.DataFrame) -> None:
    """Note the model's quality for each group of the columns that are there to be audited by.

    A group under the disclosure threshold is not shown.
    """
    disclosure = desk.run.disclosure
    smallest = max(disclosure.threshold, desk.policy.population.smallest // 20)
    for column in desk.policy.used_as(Use.AUDIT):
        groups = evaluate_groups(pipeline, *testing[:2], tested[column], smallest, testing.weights)
        body = describe_groups(tested, groups, column, disclosure)
        desk.note("table", f"utility.groups.{column}", body)
