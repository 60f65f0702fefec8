"""Builds the model that a policy declares, and measures how good it is.

A model is a pipeline of `DeclaredEncoder` and one classifier, so nothing in it but the classifier
has seen data. Quality is measured on people the model was not trained on; whether that is so is
the caller's to see to. The figures are measures of the model, not counts of people; differential
privacy of a model does not cover them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from math import sqrt
from typing import TYPE_CHECKING

from expectations.errors import Refusal, UsageError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import ClassifierMixin
    from sklearn.pipeline import Pipeline

    from tasks.training.encoding import DeclaredEncoder, Style

    Parameters = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ModelDeclaration:
    """What a policy says about its model: a kind, or the dotted path of a scikit-learn classifier.

    `epsilon` and `delta` belong to "private-logistic-regression" and to no other kind.
    """

    kind: str
    parameters: Parameters = field(default_factory=dict)
    epsilon: float | None = None
    delta: float | None = None


@dataclass(frozen=True, slots=True)
class Encoding:
    """The public declaration of the features: see `DeclaredEncoder` for each part."""

    categories: Mapping[str, Sequence[str]]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    ordered: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Quality:
    """AUC with its 95 % interval (Hanley & McNeil 1982), accuracy at 0.5, Brier score, base rate.

    The interval speaks of other test people, not of other training people or another noise draw.
    """

    auc: float
    auc_low: float
    auc_high: float
    accuracy: float
    brier: float
    base_rate: float


@dataclass(frozen=True, slots=True)
class GroupQuality:
    """One group's AUC (None where one class is under the minimum size) and selection rate.

    The selection rate is the share of the group that the model calls positive at 0.5.
    """

    group: str
    auc: float | None
    selection_rate: float


def build_estimator(declaration: ModelDeclaration, encoding: Encoding) -> Pipeline:
    """Build the unfitted pipeline (encoder, classifier) that the declaration describes.

    Raises UsageError for an unknown kind, a wrong parameter, or an epsilon that nothing keeps.
    """
    from sklearn.pipeline import Pipeline

    if declaration.kind != "private-logistic-regression" and (
        declaration.epsilon is not None or declaration.delta is not None
    ):
        raise UsageError(
            f"model '{declaration.kind}': epsilon and delta are given, but this kind is not "
            "differentially private; use private-logistic-regression, or take them out"
        )
    try:
        style, classifier = _build_classifier(declaration)
    except TypeError:
        raise UsageError(
            f"model '{declaration.kind}': it does not take the parameters "
            f"{sorted(declaration.parameters)}; see its documentation for those it takes"
        ) from None
    return Pipeline([("encoder", _build_encoder(encoding, style)), ("classifier", classifier)])


def _build_encoder(encoding: Encoding, style: Style) -> DeclaredEncoder:
    from tasks.training.encoding import DeclaredEncoder

    # Plain containers, so that a saved model holds nothing but them.
    return DeclaredEncoder(
        categories={column: list(labels) for column, labels in encoding.categories.items()},
        ranges={column: (low, high) for column, (low, high) in encoding.ranges.items()},
        ordered=list(encoding.ordered),
        style=style,
    )


def _build_classifier(declaration: ModelDeclaration) -> tuple[Style, ClassifierMixin]:
    match declaration.kind:
        case "logistic-regression":
            return "one-hot", _build_logistic_regression(declaration.parameters)
        case "gradient-boosting":
            return "ordinal", _build_gradient_boosting(declaration.parameters)
        case "private-logistic-regression":
            return "one-hot", _build_private_logistic_regression(declaration)
        case path:
            return "one-hot", _build_from_path(path, declaration.parameters)


def _build_logistic_regression(parameters: Parameters) -> ClassifierMixin:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(**{"max_iter": 1000, **parameters})


def _build_gradient_boosting(parameters: Parameters) -> ClassifierMixin:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**parameters)


def _build_private_logistic_regression(declaration: ModelDeclaration) -> ClassifierMixin:
    from tasks.training.private import PrivateLogisticRegression

    if declaration.epsilon is None or declaration.delta is None:
        raise UsageError(f"model '{declaration.kind}': give both epsilon and delta")
    return PrivateLogisticRegression(
        epsilon=declaration.epsilon,
        delta=declaration.delta,
        **declaration.parameters,  # type: ignore[arg-type]  # checked by the classifier itself
    )


def _build_from_path(path: str, parameters: Parameters) -> ClassifierMixin:
    """Import a classifier by its dotted path; the policy's author vouches for the code."""
    from sklearn.base import BaseEstimator, is_classifier

    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        found = None
    if not (isinstance(found, type) and issubclass(found, BaseEstimator)):
        raise UsageError(
            f"model '{path}': not a known kind nor the dotted path of a scikit-learn estimator; "
            "known kinds: logistic-regression, gradient-boosting, private-logistic-regression"
        )
    estimator = found(**parameters)
    if not (is_classifier(estimator) and hasattr(estimator, "predict_proba")):
        raise UsageError(f"model '{path}': give a classifier that has predict_proba")
    return estimator


def evaluate(pipeline: Pipeline, X: pd.DataFrame, y: pd.Series) -> Quality:  # noqa: N803  # sklearn's
    """Measure a fitted binary pipeline on people it was not trained on.

    `y` holds the pipeline's own classes, the positive one last in `classes_`. Raises Refusal when
    the people are all of one class, for which no AUC exists.
    """
    from sklearn.metrics import roc_auc_score

    scores = pipeline.predict_proba(X)[:, 1]
    positive = (y == pipeline.classes_[1]).to_numpy()
    if positive.all() or not positive.any():
        raise Refusal("evaluation", "the test people are all of one class; use a larger test share")
    auc = float(roc_auc_score(positive, scores))
    margin = 1.96 * _estimate_auc_error(auc, int(positive.sum()), int((~positive).sum()))
    return Quality(
        auc=auc,
        auc_low=max(auc - margin, 0.0),
        auc_high=min(auc + margin, 1.0),
        accuracy=float(((scores > 0.5) == positive).mean()),
        brier=float(((scores - positive) ** 2).mean()),
        base_rate=float(positive.mean()),
    )


def evaluate_groups(
    pipeline: Pipeline,
    X: pd.DataFrame,  # noqa: N803  # sklearn's
    y: pd.Series,
    groups: pd.Series,
    minimum: int = 10,
) -> tuple[GroupQuality, ...]:
    """Measure each group of at least `minimum` people; smaller groups are not shown.

    `groups` is aligned with `X` by position; people without a group form the group "missing".
    A shown group that is the rest of a hidden one still says something about the hidden one.
    """
    import pandas as pd
    from sklearn.metrics import roc_auc_score

    table = pd.DataFrame(
        {
            "score": pipeline.predict_proba(X)[:, 1],
            "positive": (y == pipeline.classes_[1]).to_numpy(),
            "group": groups.astype(object).where(groups.notna(), "missing").to_numpy(),
        }
    )
    shown = []
    for name, people in table.groupby("group"):
        if len(people) < minimum:
            continue
        smaller_class = min(people["positive"].sum(), (~people["positive"]).sum())
        auc = None
        if smaller_class >= minimum:
            auc = float(roc_auc_score(people["positive"], people["score"]))
        shown.append(GroupQuality(str(name), auc, float((people["score"] > 0.5).mean())))
    return tuple(shown)


def _estimate_auc_error(auc: float, positives: int, negatives: int) -> float:
    """Give the standard error of an AUC (Hanley & McNeil 1982, equation 1)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return sqrt(variance / (positives * negatives))
