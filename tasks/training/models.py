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
from typing import TYPE_CHECKING, Final

from expectations.errors import Refusal, UsageError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from sklearn.base import ClassifierMixin
    from sklearn.pipeline import Pipeline

    from tasks.training.encoding import DeclaredEncoder, Style

    Parameters = Mapping[str, object]
    Weights = NDArray[np.float64]

WEIGHT_ARGUMENT: Final = "classifier__sample_weight"
"""How a pipeline's `fit` is handed the weights of its rows."""


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
    Of weighted people it is made with the effective size of each class (Kish 1965).
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


def refuse_weights_that_go_nowhere(pipeline: Pipeline) -> None:
    """Raise UsageError if the pipeline's classifier takes no weights of its rows."""
    from sklearn.utils.validation import has_fit_parameter

    classifier = pipeline[-1]
    if not has_fit_parameter(classifier, "sample_weight"):
        raise UsageError(
            f"model '{type(classifier).__name__}': its `fit` takes no `sample_weight`, so that "
            "population.weighting would change nothing; train another model, or do not weight"
        )


def evaluate(
    pipeline: Pipeline,
    X: pd.DataFrame,  # noqa: N803  # sklearn's
    y: pd.Series,
    weights: Weights | None = None,
) -> Quality:
    """Measure a fitted binary pipeline on people it was not trained on.

    `y` holds the pipeline's own classes, the positive one last in `classes_`. With `weights` every
    figure is of the people as they are weighted. Raises Refusal when the people are all of one
    class, for which no AUC exists.
    """
    import numpy as np
    from sklearn.metrics import roc_auc_score

    scores = pipeline.predict_proba(X)[:, 1]
    positive = (y == pipeline.classes_[1]).to_numpy()
    if positive.all() or not positive.any():
        raise Refusal("evaluation", "the test people are all of one class; use a larger test share")
    held = np.ones(len(positive)) if weights is None else weights
    auc = float(roc_auc_score(positive, scores, sample_weight=weights))
    sizes = effective_size(held[positive]), effective_size(held[~positive])
    margin = 1.96 * _estimate_auc_error(auc, *sizes)
    return Quality(
        auc=auc,
        auc_low=max(auc - margin, 0.0),
        auc_high=min(auc + margin, 1.0),
        accuracy=float(np.average((scores > 0.5) == positive, weights=held)),
        brier=float(np.average((scores - positive) ** 2, weights=held)),
        base_rate=float(np.average(positive, weights=held)),
    )


def effective_size(weights: Weights) -> float:
    """Give the number of equally weighted people who would tell as much (Kish 1965)."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def evaluate_groups(  # noqa: PLR0913, PLR0917  # each is one column of the people
    pipeline: Pipeline,
    X: pd.DataFrame,  # noqa: N803  # sklearn's
    y: pd.Series,
    groups: pd.Series,
    minimum: int = 10,
    weights: Weights | None = None,
) -> tuple[GroupQuality, ...]:
    """Measure each group of at least `minimum` people; smaller groups are not shown.

    `groups` is aligned with `X` by position; people without a group form the group "missing".
    A shown group that is the rest of a hidden one still says something about the hidden one.
    With `weights` the figures are of the people as they are weighted; who is shown is not.
    """
    import pandas as pd

    table = pd.DataFrame(
        {
            "score": pipeline.predict_proba(X)[:, 1],
            "positive": (y == pipeline.classes_[1]).to_numpy(),
            "weight": 1.0 if weights is None else weights,
            "group": groups.astype(object).where(groups.notna(), "missing").to_numpy(),
        }
    )
    return tuple(
        _measure_group(str(name), people, minimum)
        for name, people in table.groupby("group")
        if len(people) >= minimum
    )


def _measure_group(name: str, people: pd.DataFrame, minimum: int) -> GroupQuality:
    """Measure one group from its scores, labels and weights."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    positive, weight = people["positive"].to_numpy(), people["weight"].to_numpy()
    auc = None
    if min(positive.sum(), (~positive).sum()) >= minimum:
        auc = float(roc_auc_score(positive, people["score"], sample_weight=weight))
    return GroupQuality(name, auc, float(np.average(people["score"] > 0.5, weights=weight)))


def _estimate_auc_error(auc: float, positives: float, negatives: float) -> float:
    """Give the standard error of an AUC (Hanley & McNeil 1982, equation 1)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    return sqrt(variance / (positives * negatives))
