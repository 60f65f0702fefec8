"""Training the policy's model on its training people, and measuring it on the others.

The encoding is declared by the policy; the trainer sees no test person. Where the rows come from
is decided by the flow; a private model refuses rows that are not record-wise, whatever the policy
says, by what the vault knows of their stage. Of weighted people every figure of quality is of the
people as they are weighted, and `auc_unweighted` of them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.checks import Check, refuse_failed
from expectations.errors import Refusal
from expectations.outlets import DifferentialPrivacy
from expectations.policy import Policy
from expectations.treatments import YES_NO
from expectations.vocabulary import CheckVerdict, Use
from ledgers.evidence import JSON
from ledgers.stages import Trainable, Trained, Validated
from tasks.budget import commit
from tasks.population import TEST
from tasks.representation.raking import WEIGHT
from tasks.run import Desk
from tasks.step import Opened, step
from tasks.training.declared import declare_encoding, declare_model
from tasks.training.fairness import audit, score
from tasks.training.models import (
    WEIGHT_ARGUMENT,
    build_estimator,
    refuse_weights_that_go_nowhere,
)
from tasks.training.quality import evaluate
from tasks.training.training_facts import describe_training

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

SHARES: Final = frozenset({"accuracy", "base_rate"})
"""Figures that are shares of people."""


class Rows(NamedTuple):
    """Features, labels and weights (if any) of some people, row by row."""

    features: pd.DataFrame
    labels: pd.Series[str]
    weights: NDArray[np.float64] | None = None


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


def refuse_unfit_rows(rows: Rows, policy: Policy) -> None:
    """Raise one `Refusal` that says all that keeps a model from being learned of these rows.

    No column is named that has one value: that would tell it of everybody.
    """
    features = len(build_estimator(declare_model(policy), declare_encoding(policy))[1]
                   .get_feature_names_out())  # fmt: skip
    constant = int((rows.features.nunique(dropna=False) < 2).sum())
    faults = []
    if rows.labels.nunique() < 2:
        faults.append("the training people are all of one class; widen the population")
    if len(rows.labels) < features:
        faults.append(
            f"the model reads {features:,} features, which are more than there are people to train "
            "on; take features or crosses out, make them coarser, or widen the population"
        )
    if constant:
        faults.append(
            f"{constant} of {rows.features.shape[1]} features are the same for everybody and teach "
            "nothing; see them in the source, and take them out of the policy"
        )
    if faults:
        raise Refusal("training", "\n".join(faults))


def fit_model(rows: Rows, policy: Policy) -> Pipeline:
    """Train the policy's model on rows that are fit for it."""
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
    refuse_unfit_rows(training, policy)
    if policy.private:
        commit(desk)
    pipeline = fit_model(training, policy)
    desk.note("training", "model", describe_training(pipeline[-1]))
    quality = asdict(evaluate(pipeline, *testing))
    if testing.weights is not None:
        quality["auc_unweighted"] = evaluate(pipeline, *testing[:2]).auc
    for name, value in rounded(quality).items():
        desk.note("measure", f"utility.{name}", value)
    if declared.epsilon is not None:
        account(desk, float(pipeline[-1].epsilon_spent_), declared.delta)
    audit(desk, score(pipeline, *testing), frame.loc[testing.features.index])
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
