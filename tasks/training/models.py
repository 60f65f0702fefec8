"""What a policy declares of its model, and building it: a kind of ours, or one's own.

A model is a pipeline of `DeclaredColumns`, `DeclaredEncoder` and one classifier or regressor, so
nothing in it but that has seen data. How features are encoded, the model's kind and what it costs
are said by the policy in public; no row is read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, assert_never

from expectations.errors import UsageError
from expectations.policy.outcome import Classes, Number, Outcome
from expectations.policy.policy import Policy
from expectations.policy.training import (
    MODEL_KINDS,
    PRIVATE_KINDS,
    ModelKind,
    PrivateKind,
    find_kind,
)
from expectations.policy.treatments import YES_NO, Clip, has_order, public_labels
from expectations.policy.vocabulary import Use
from expectations.privacy_loss import Mechanism
from tasks.anonymization.generalize import declare_hierarchy
from tasks.own_code.loading import NO_CODE, OwnCode, OwnCodeError, load_own

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

    from tasks.training.encoding import DeclaredEncoder, Style
    from tasks.training.private_model import PrivateModel

    Parameters = Mapping[str, object]

ANSWERS: Final = Classes(YES_NO)
WEIGHT_ARGUMENT: Final = "classifier__sample_weight"
"""How a pipeline's `fit` is handed the weights of its rows."""


@dataclass(frozen=True, slots=True)
class ModelDeclaration:
    """What a policy says about its model: a kind, or where a scikit-learn estimator is found.

    `epsilon` and `delta` belong to the private kinds and to no other.
    """

    kind: str
    parameters: Parameters = field(default_factory=dict)
    epsilon: float | None = None
    delta: float | None = None
    outcome: Outcome = ANSWERS
    """What it predicts; a private kind is told so by its parameters."""
    own: OwnCode | None = None
    """The estimator of one's own, where it was loaded before; else what is installed is."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """The public declaration of the features: see `DeclaredEncoder` for each part."""

    categories: Mapping[str, Sequence[str]]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    ordered: Sequence[str] = ()
    crosses: Sequence[Sequence[str]] = ()


def build_estimator(declaration: ModelDeclaration, encoding: Encoding) -> Pipeline:
    """Build the unfitted pipeline (columns, encoder, predictor) that the declaration describes.

    The last step is called `classifier` whatever it predicts, as it always was.

    Raises UsageError for an unknown kind, a wrong parameter, or an epsilon that nothing keeps.
    """
    from sklearn.pipeline import Pipeline

    from tasks.training.served_model import DeclaredColumns

    private = declaration.kind in PRIVATE_KINDS
    given = declaration.epsilon is not None, declaration.delta is not None
    if given != (private, private):
        raise UsageError(
            f"model '{declaration.kind}': "
            + (
                "give both epsilon and delta"
                if private
                else "epsilon and delta are given, but this kind is not differentially private; "
                f"use one of {', '.join(PRIVATE_KINDS)}, or take them out"
            )
        )
    try:
        encoder = _build_encoder(encoding, _style_of(find_kind(declaration.kind)))
        predictor = _build_predictor(declaration, encoder)
    except TypeError:
        raise UsageError(
            f"model '{declaration.kind}': it does not take the parameters "
            f"{sorted(declaration.parameters.keys() - {'classes', 'target_range'})}; see "
            "docs/training.md, or the "
            "documentation of your own estimator, for those it takes"
        ) from None
    gate = DeclaredColumns([*encoder.categories, *encoder.ranges])
    return Pipeline([("columns", gate), ("encoder", encoder), ("classifier", predictor)])


def _build_encoder(encoding: Encoding, style: Style) -> DeclaredEncoder:
    from tasks.training.encoding import DeclaredEncoder

    # Plain containers, so that a saved model holds nothing but them.
    return DeclaredEncoder(
        categories={column: list(labels) for column, labels in encoding.categories.items()},
        ranges={column: (low, high) for column, (low, high) in encoding.ranges.items()},
        ordered=list(encoding.ordered),
        crosses=[list(cross) for cross in encoding.crosses],
        style=style,
    )


def _style_of(kind: ModelKind | None) -> Style:
    """Say how a kind reads a label: by its position, or by an indicator of its own."""
    match kind:
        case "gradient-boosting" | "private-boosting":
            return "ordinal"
        case (
            "logistic-regression"
            | "linear-regression"
            | "private-logistic-regression"
            | "private-linear-regression"
            | "private-network"
            | None
        ):
            return "one-hot"


def _build_predictor(declaration: ModelDeclaration, encoder: DeclaredEncoder) -> BaseEstimator:
    parameters, kind = declaration.parameters, find_kind(declaration.kind)
    match kind:
        case "logistic-regression":
            from sklearn.linear_model import LogisticRegression

            return LogisticRegression(**{"max_iter": 1000, **parameters})
        case "linear-regression":
            from sklearn.linear_model import Ridge

            return Ridge(**parameters)
        case "gradient-boosting":
            from sklearn.ensemble import (
                HistGradientBoostingClassifier,
                HistGradientBoostingRegressor,
            )

            if isinstance(declaration.outcome, Number):
                return HistGradientBoostingRegressor(**parameters)
            return HistGradientBoostingClassifier(**parameters)
        case (
            "private-logistic-regression"
            | "private-linear-regression"
            | "private-boosting"
            | "private-network"
        ):
            return _build_private(kind, declaration, encoder)
        case None:
            return _build_own(declaration)
        case _:
            assert_never(kind)


def _build_private(
    kind: PrivateKind, declaration: ModelDeclaration, encoder: DeclaredEncoder
) -> PrivateModel:
    """Build a private model, with what the encoder knows in public of its rows.

    What is promised, and what the encoder knows, stands whatever the parameters say. A network
    that could not be trained here is none: it would be charged, and then fail.
    """
    promised = {"epsilon": declaration.epsilon, "delta": declaration.delta}
    given: Parameters = {**declaration.parameters, **promised}
    match kind:
        case "private-logistic-regression":
            from tasks.training.private_logistic import PrivateLogisticRegression

            given = {**given, "row_bound": encoder.row_bound}
            return PrivateLogisticRegression(**given)  # type: ignore[arg-type]  # checked there
        case "private-linear-regression":
            from tasks.training.private_linear import PrivateLinearRegression

            given = {**given, "row_bound": encoder.row_bound}
            return PrivateLinearRegression(**given)  # type: ignore[arg-type]  # checked there
        case "private-boosting":
            from tasks.training.private_boosting import PrivateBoosting, PrivateBoostingRegressor

            number = isinstance(declaration.outcome, Number)
            boosting = PrivateBoostingRegressor if number else PrivateBoosting
            given = {**given, "features": encoder.declared_bins}
            return boosting(**given)  # type: ignore[arg-type]  # checked there
        case "private-network":
            from tasks.training.private_descent import require_torch
            from tasks.training.private_network import PrivateNetwork

            require_torch()
            return PrivateNetwork(**given)  # type: ignore[arg-type]  # checked there


def _build_own(declaration: ModelDeclaration) -> BaseEstimator:
    """Build an estimator that is not tutela's; the policy's author vouches for the code."""
    from sklearn.base import BaseEstimator, is_classifier, is_regressor

    path = declaration.kind
    known = f"known kinds: {', '.join(MODEL_KINDS)}"
    try:
        found = (declaration.own or load_own(path, Path())).value
    except OwnCodeError as error:
        raise UsageError(f"model '{path}': {error.what}; {error.fix}; {known}") from None
    if not (isinstance(found, type) and issubclass(found, BaseEstimator)):
        raise UsageError(
            f"model '{path}': neither a known kind nor a scikit-learn estimator like my_models.py:"
            f"Forest or package.Forest; {known}"
        )
    estimator = found(**declaration.parameters)
    if isinstance(declaration.outcome, Number):
        if not is_regressor(estimator):
            raise UsageError(f"model '{path}': the target is a number; give a regressor")
    elif not (is_classifier(estimator) and hasattr(estimator, "predict_proba")):
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
    assert policy.training is not None
    return Encoding(categories, ranges, ordered, policy.training.crosses)


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


def declare_model(policy: Policy, own: Mapping[str, OwnCode] = NO_CODE) -> ModelDeclaration:
    """Give the model that the policy names, with the ε and δ that its outlet promises.

    `own` is the policy's own code, loaded before.
    """
    assert policy.training is not None
    model, parameters = policy.training.model, policy.training.parameters
    outcome = policy.outcome
    promised = [outlet.promise for outlet in policy.model_outlets.values() if outlet.promise]
    if not promised:
        return ModelDeclaration(model, parameters, outcome=outcome, own=own.get(model))
    match outcome:
        case Classes(labels=labels):
            told: Parameters = {"classes": list(labels)}
        case Number(low=low, high=high):
            told = {"target_range": (low, high)}
    promise = promised[0]
    return ModelDeclaration(model, {**parameters, **told}, promise.epsilon, promise.delta, outcome)


def declare_loss(policy: Policy) -> tuple[Mechanism, ...]:
    """Give what the training of a private policy's model will draw, before anything is read."""
    estimator = build_estimator(declare_model(policy), declare_encoding(policy))
    drawn: tuple[Mechanism, ...] = estimator[-1].mechanisms()
    return drawn
