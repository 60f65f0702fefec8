"""What a policy says in public of its model: how features are encoded, its kind, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from expectations.policy.policy import Policy
from expectations.policy.treatments import YES_NO, Clip, has_order, public_labels
from expectations.policy.vocabulary import Use
from expectations.privacy_loss import Mechanism
from tasks.anonymization.generalize import declare_hierarchy
from tasks.own_code.loading import NO_CODE, OwnCode
from tasks.training.models import Encoding, ModelDeclaration, build_estimator


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
    promised = [outlet.promise for outlet in policy.model_outlets.values() if outlet.promise]
    if not promised:
        return ModelDeclaration(model, parameters, own=own.get(model))
    declared = {**parameters, "classes": list(YES_NO)}
    return ModelDeclaration(model, declared, promised[0].epsilon, promised[0].delta)


def declare_loss(policy: Policy) -> tuple[Mechanism, ...]:
    """Give what the training of a private policy's model will draw, before anything is read."""
    estimator = build_estimator(declare_model(policy), declare_encoding(policy))
    drawn: tuple[Mechanism, ...] = estimator[-1].mechanisms()
    return drawn
