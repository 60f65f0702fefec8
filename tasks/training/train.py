"""Training the policy's model on its training people, and measuring it on the others.

The encoding is declared by the policy; the trainer sees no test person. Where the rows come from
is decided by the flow; a private model refuses rows that are not record-wise, whatever the policy
says, by what the vault knows of their stage. Of weighted people every figure of quality is of the
people as they are weighted, and `auc_unweighted` of them as they are.

Test people of whom a class is too small to be told of are refused before anything is trained, and
a private model's charge is given back. The charge stands from before the rows that are trained on
are judged fit: to refuse them tells something of them, and so does how a run ends. No refusal, here
or before training, is under ε.

Put on record are the estimator's parameters and the noise that it drew: they are public, so they
may be told. Nothing that was learned is looked at for it, but what follows from parameters alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from expectations.checks import Check, refuse_failed
from expectations.errors import Refusal
from expectations.policy.outcome import Number
from expectations.policy.outlets import DifferentialPrivacy
from expectations.policy.policy import Policy
from expectations.policy.vocabulary import CheckVerdict, Use
from expectations.privacy_loss import compose
from ledgers.evidence import JSON
from ledgers.vault.stages import Trainable, Trained, Validated
from tasks.airlock.run import Desk
from tasks.airlock.step import Opened, step
from tasks.own_code.loading import NO_CODE, OwnCode
from tasks.people.outcomes import mark_known, read_outcomes
from tasks.people.population import TEST
from tasks.representation.raking import WEIGHT
from tasks.training.charge import commit
from tasks.training.forgotten import forget
from tasks.training.models import (
    WEIGHT_ARGUMENT,
    build_estimator,
    declare_encoding,
    declare_model,
    refuse_weights_that_go_nowhere,
)
from tasks.training.quality import parts_of, refuse_few
from tasks.training.utility import ask, audit_groups, note_utility

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin
    from sklearn.pipeline import Pipeline

    from expectations.privacy_loss import Mechanism
    from tasks.training.private_model import PrivateModel


class Rows(NamedTuple):
    """Features, outcomes and weights (if any) of some people, row by row.

    Outcomes are declared words, or numbers.
    """

    features: pd.DataFrame
    labels: pd.Series
    weights: NDArray[np.float64] | None = None


def name_columns(policy: Policy, there: Collection[str]) -> list[str]:
    """Name the columns that are trained on, split by and audited, of those that are there."""
    assert policy.target is not None
    names = [TEST, policy.target, *policy.used_as(Use.FEATURE), *policy.used_as(Use.AUDIT)]
    return [*dict.fromkeys(names), *({WEIGHT} & set(there))]


def split_rows(frame: pd.DataFrame, policy: Policy) -> tuple[Rows, Rows]:
    """Split de-identified rows into those of the training and of the test people."""
    assert policy.target is not None
    target = read_outcomes(frame[policy.target], policy.outcome)
    known = mark_known(target, policy.outcome)
    features = frame[list(policy.used_as(Use.FEATURE))]
    test = frame[TEST].to_numpy(dtype=bool)
    weights = frame[WEIGHT].to_numpy(dtype=float) if WEIGHT in frame else None
    train_rows, test_rows = (
        Rows(features[side], target[side], None if weights is None else weights[side])
        for side in (~test & known, test & known)
    )
    return train_rows, test_rows


def refuse_unfit_rows(rows: Rows, policy: Policy, own: Mapping[str, OwnCode] = NO_CODE) -> None:
    """Raise one `Refusal` that says all that keeps a model from being learned of these rows.

    No column is named that has one value: that would tell it of everybody. Decided by the exact
    rows, so that of a private model too the refusal is not covered by its ε.
    """
    features = len(build_estimator(declare_model(policy, own), declare_encoding(policy))[1]
                   .get_feature_names_out())  # fmt: skip
    constant = sum(has_one_value(rows.features[name]) for name in rows.features)
    faults = []
    if rows.labels.nunique() < 2:
        alike = "have one value" if isinstance(policy.outcome, Number) else "are of one class"
        faults.append(f"all training people {alike}; widen the population")
    if len(rows.labels) < features:
        faults.append(
            f"the model reads {features:,} features, more than there are training people; remove "
            "features or crosses, make them coarser, or widen the population"
        )
    if constant:
        faults.append(
            f"{constant} of {rows.features.shape[1]} features are the same for everybody whose "
            f"`{policy.target}` is known, and teach nothing; check the source, and remove them "
            "from the policy"
        )
    if faults:
        raise Refusal("training", "\n".join(faults))


def has_one_value(values: pd.Series) -> bool:
    """Say whether everybody has the same value, or nobody any."""
    there = values.notna()
    if not there.all():
        return not there.any()
    return bool((values == values.iloc[0]).all()) if len(values) else True


def fit_model(rows: Rows, policy: Policy, own: Mapping[str, OwnCode] = NO_CODE) -> Pipeline:
    """Train the policy's model on rows that are fit for it; `own` is its code, loaded before."""
    pipeline = build_estimator(declare_model(policy, own), declare_encoding(policy))
    if rows.weights is not None:
        refuse_weights_that_go_nowhere(pipeline)
        return pipeline.fit(rows.features, rows.labels, **{WEIGHT_ARGUMENT: rows.weights})
    if not hasattr(pipeline[-1], "fit_parts"):
        return pipeline.fit(rows.features, rows.labels)
    encoder = pipeline[:-1].fit(rows.features)
    parts = (encoder.transform(rows.features.iloc[part]) for part in parts_of(rows.features))
    pipeline[-1].fit_parts(parts, rows.labels)
    return pipeline


def save_model(pipeline: Pipeline) -> bytes:
    """Write a fitted pipeline by skops, which holds no code, without what it need not hold.

    What it never predicts with is taken out of the pipeline that is given.
    """
    import skops.io

    forget(pipeline)
    content: bytes = skops.io.dumps(pipeline)
    return content


def load_model(content: bytes) -> Pipeline:
    """Read what `save_model` wrote in this run."""
    import skops.io

    return skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))


@step("Train the model", gives=Trained)
def train(desk: Desk, data: Opened[Trainable]) -> bytes:
    """Train on the training people, measure on the test people, overall and by group."""
    policy = desk.policy
    declared = declare_model(policy)
    if declared.epsilon is not None and not issubclass(data.stage, Validated):
        raise Refusal(
            "record-wise rows", "a private model cannot be trained on recoded or weighted rows"
        )
    audited = list(policy.used_as(Use.AUDIT))
    frame = data.frame(name_columns(policy, data.ref.schema))
    training, testing = split_rows(frame, policy)
    groups = frame.loc[testing.features.index, audited]
    del frame
    refuse_few(testing.labels, policy.outcome, desk.run.disclosure)
    # Before anything is judged by the rows that are trained on: a refusal tells of them.
    if policy.private:
        commit(desk)
    refuse_unfit_rows(training, policy, desk.run.own)
    pipeline = fit_model(training, policy, desk.run.own)
    desk.note("training", "model", describe_training(pipeline[-1]))
    answers = ask(pipeline, testing, policy.outcome)
    note_utility(desk, answers)
    if declared.epsilon is not None:
        account(desk, pipeline[-1])
    audit_groups(desk, answers, groups)
    return save_model(pipeline)


def account(desk: Desk, classifier: PrivateModel) -> None:
    """Note the ε that what was drawn comes to, and hold it against what each outlet promises.

    At the δ of the promise, whatever δ the model was trained with; coherence lets all be the same.
    """
    checks, drawn = [], classifier.mechanisms()
    for name, outlet in desk.policy.model_outlets.items():
        if outlet.promise:
            desk.measure("privacy.epsilon", compose(drawn, outlet.promise.delta))
            desk.measure("privacy.delta", outlet.promise.delta)
            checks.append(judge_privacy(drawn, outlet.promise, name, classifier.supposes))
    for check in checks:
        desk.check(check)
    refuse_failed(checks)


def judge_privacy(
    drawn: Sequence[Mechanism], promise: DifferentialPrivacy, outlet: str, supposed: str = ""
) -> Check:
    """Compare the ε of what was drawn, at the promised δ, with the one promised.

    `supposed` is what the trainer's promise rests on and nobody has proved.
    """
    epsilon = compose(drawn, promise.delta)
    kept = epsilon <= promise.epsilon
    return Check(
        name="differential privacy",
        asked=f"ε of at most {promise.epsilon:g} at δ = {promise.delta:g}",
        measured=f"ε = {epsilon:.3f}, as the accountant computes it",
        verdict=CheckVerdict.PASSED if kept else CheckVerdict.REFUSED,
        power=f"an upper bound, computed and not measured; proved only if it holds {supposed}"
        if supposed
        else "an upper bound, proved and not measured: valid if the code does what it says",
        remedy="promise the ε that is spent, or report this as a fault",
        outlet=outlet,
    )


def describe_training(classifier: ClassifierMixin) -> dict[str, JSON]:
    """Give a classifier's parameters as words, and its mechanisms, if it has any, as plain values.

    Parameters that are themselves objects are named by their type.
    """
    mechanisms = classifier.mechanisms() if hasattr(classifier, "mechanisms") else ()
    return {
        "parameters": {
            name: _word(value) for name, value in classifier.get_params(deep=False).items()
        },
        "mechanisms": [{"kind": type(one).__name__, **asdict(one)} for one in mechanisms],
    }


def _word(value: object) -> str:
    """Write a plain value, or name what holds more."""
    if isinstance(value, float):
        return f"{value:g}"
    if value is None or isinstance(value, bool | int | str):
        return str(value)
    if isinstance(value, list | tuple) and all(isinstance(v, int | float | str) for v in value):
        return ", ".join(map(str, value))
    return f"a {type(value).__name__}"
