"""Whether what a policy promises of its models fits together: training, features, promises.

One plain function per rule, as in `rules`, which asks them all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final

from expectations.errors import Problem
from expectations.policy.outcome import MOST_CLASSES, Classes, Number, find_outcome
from expectations.policy.outlets import DifferentialPrivacy, TableOutlet
from expectations.policy.policy import Policy
from expectations.policy.training import (
    KINDS_OF_CLASSES,
    KINDS_OF_NUMBERS,
    KINDS_OF_TWO,
    PRIVATE_KINDS,
    Budget,
    Training,
    find_kind,
    keeps_rows,
)
from expectations.policy.treatments import Clip, Drop, public_labels
from expectations.policy.vocabulary import Use
from expectations.privacy_loss import Gaussian, Mechanism, RenyiFilter, calibrate, compose

RECORD_WISE: Final = "record-wise"
SETTLED: Final = ("epsilon", "delta", "classes", "target_range", "features", "edges", "row_bound")
"""Parameters of private models that are no policy's to give."""
PROMISE: Final = "promise: {kind: differential-privacy, epsilon: 1, delta: 1e-6}"
"""What a model outlet says to promise it, to be copied."""
MOST_CROSSED: Final = 2000
"""Features that one cross may make; each costs a private model noise."""


def models_have_what_they_need(policy: Policy) -> Iterator[Problem]:
    """A model outlet comes with training, attacks, one target and at least one feature."""
    if not policy.model_outlets:
        yield from nothing_serves_a_model(policy)
        return
    if policy.training is None:
        yield Problem("training", "is missing, but a model outlet needs it", "add `training:`")
    if policy.attacks is None:
        yield Problem("attacks", "is missing, but a model outlet needs it", "add `attacks:`")
    targets = policy.used_as(Use.TARGET)
    if len(targets) != 1:
        yield Problem("columns", f"{len(targets)} columns are targets", "name exactly one")
    if not policy.used_as(Use.FEATURE):
        yield Problem("columns", "no column is a feature", "add `feature` to a column's use")
    for name in targets:
        treatment = policy.treated[name].treatment
        if find_outcome(treatment, policy.column_type(name)) is None:
            yield Problem(
                f"{policy.path_of(name)}.use",
                f"`{treatment.kind}` leaves a target that is neither yes or no, nor one of 2 to "
                f"{MOST_CLASSES} declared words, nor a number within declared bounds",
                "keep a yes/no column, or treat it by bin, categories or clip",
            )


def models_predict_their_targets(policy: Policy) -> Iterator[Problem]:
    """A kind of ours predicts words, numbers, or both."""
    kind = find_kind(policy.training.model) if policy.training else None
    if kind is None or len(policy.used_as(Use.TARGET)) != 1:
        return
    column = policy.treated[policy.target or ""]
    outcome = find_outcome(column.treatment, policy.column_type(policy.target or ""))
    match outcome:
        case Number():
            fitting, what = KINDS_OF_NUMBERS, "a number"
        case Classes(labels=labels) if not outcome.binary:
            fitting, what = KINDS_OF_CLASSES, f"one of {len(labels)} words"
        case Classes():
            fitting, what = KINDS_OF_TWO, f"{outcome.labels[0]} or {outcome.labels[1]}"
        case None:
            return
    if kind not in fitting:
        yield Problem(
            "training.model",
            f"`{kind}` does not predict `{policy.target}`, which is {what}",
            f"train one of {', '.join(fitting)}",
        )


def nothing_serves_a_model(policy: Policy) -> Iterator[Problem]:
    """Without a model outlet nothing is trained, and no column is read for it."""
    for part in ("training", "attacks"):
        if getattr(policy, part) is not None:
            yield Problem(part, "no outlet receives a model", "add a model outlet, or drop it")
    for use in (Use.FEATURE, Use.TARGET, Use.AUDIT):
        for name in policy.used_as(use):
            path, fix = f"{policy.path_of(name)}.use", "remove that use, or the whole column"
            yield Problem(path, f"`{use}` is declared, but no outlet receives a model", fix)


def features_have_public_values(policy: Policy) -> Iterator[Problem]:
    """A model learns no category and no range: both come from the policy."""
    for name in policy.used_as(Use.FEATURE):
        treatment = policy.treated[name].treatment
        labelled = public_labels(treatment, policy.column_type(name)) is not None
        if not labelled and not isinstance(treatment, Clip | Drop):
            yield Problem(
                f"{policy.path_of(name)}.treatment.kind",
                f"`{treatment.kind}` leaves a feature without public bounds or categories, which "
                "the saved model would then hold",
                "use bin, clip or categories",
            )


def models_keep_nobodys_rows(policy: Policy) -> Iterator[Problem]:
    """A model is handed over with all that it keeps, so none may be its people's rows."""
    if policy.training is not None and keeps_rows(policy.training.model):
        name = policy.training.model.rpartition(".")[2]
        yield Problem(
            "training.model",
            f"`{name}` keeps the rows of people that it was trained on, and whoever receives the "
            "model would receive them",
            f"train logistic-regression, gradient-boosting or one of {', '.join(PRIVATE_KINDS)}",
        )


def audits_compare_declared_groups(policy: Policy) -> Iterator[Problem]:
    """The policy declares the groups of an audit, since their names are recorded."""
    for name in policy.used_as(Use.AUDIT):
        treatment = policy.treated[name].treatment
        labelled = public_labels(treatment, policy.column_type(name)) is not None
        if not labelled and not isinstance(treatment, Drop):
            yield Problem(
                f"{policy.path_of(name)}.treatment.kind",
                f"`{treatment.kind}` leaves an audit without declared groups",
                "use bin or categories",
            )


def private_promises_are_kept(policy: Policy) -> Iterator[Problem]:
    """A promise of differential privacy needs a private model on record-wise rows."""
    if policy.training is None:
        return
    promises = {
        name: outlet.promise for name, outlet in policy.model_outlets.items() if outlet.promise
    }
    private = policy.private
    if private:
        yield from promises_are_not_overruled(policy.training)
    for name in promises:
        if not private:
            yield Problem(
                f"outlets.{name}.promise",
                f"differential privacy is promised, but `{policy.training.model}` is trained "
                "without it, so the claim would be false",
                f"train one of {', '.join(PRIVATE_KINDS)}, or remove the promise",
            )
    if private and not promises:
        yield Problem(
            "training.model",
            "a private model needs ε and δ, but no outlet promises them",
            f"add `{PROMISE}` to the model's outlet, with an ε of your choice and a δ below one in "
            "the number of people, or train another model",
        )
    if len(set(promises.values())) > 1:
        yield Problem(
            "outlets", "model outlets promise different ε or δ of one model", "promise the same"
        )


def promises_are_not_overruled(training: Training) -> Iterator[Problem]:
    """A private model's parameters leave alone what the promise and the encoding settle."""
    for name in SETTLED:
        if name in training.parameters:
            yield Problem(
                f"training.parameters.{name}",
                "is set elsewhere in the policy, and the promise rests on that",
                "remove it: ε and δ are the outlet's promise, the rest follows from the columns",
            )


def own_models_are_judged(policy: Policy) -> Iterator[Problem]:
    """A warning: of a class of one's own nobody else can say what an attack could not tell."""
    if policy.attacks is None or "training.model" not in policy.own_code:
        return
    for part in ("membership", "memorization", "search"):
        if getattr(policy.attacks, part).when_inconclusive == "report":
            yield Problem(
                f"attacks.{part}.when_inconclusive",
                "is `report`, and the model is your own class: one that keeps people's rows may "
                "leave where the attack cannot tell",
                "remove it, or look at what the class keeps",
            )


def budgets_hold_what_is_promised(policy: Policy) -> Iterator[Problem]:
    """Only promises of differential privacy count against a ceiling, and each needs one."""
    promises = {n: o.promise for n, o in policy.model_outlets.items() if o.promise}
    if policy.budget is None:
        if promises:
            yield Problem(
                "budget",
                "is missing, but a private model costs privacy, which never renews",
                "add `budget: {lifetime_epsilon: …, delta: …}`, the most that you will ever spend",
            )
        return
    if not promises and not policy.private:
        yield Problem(
            "budget",
            "no model outlet promises differential privacy, so nothing counts against it",
            "remove it, or promise differential privacy and train a private model",
        )
    for name, promise in promises.items():
        cost, ceiling = cost_alone(promise, policy.budget), policy.budget.lifetime_epsilon
        if cost > ceiling:
            yield Problem(
                f"outlets.{name}.promise.epsilon",
                f"is too much for the lifetime ceiling of {ceiling:g}: one run alone costs "
                f"{cost:.3f} at δ = {policy.budget.delta:g}, so no run could ever pass",
                f"lower it, or raise budget.lifetime_epsilon{say_fixed(promise, policy.budget)}",
            )


def say_fixed(promise: DifferentialPrivacy, budget: Budget) -> str:
    """Name the exact composition as a way out, where it would let such a run pass."""
    fixed = budget.model_copy(update={"composition": "fixed"})
    if cost_alone(promise, fixed) > budget.lifetime_epsilon:
        return ""
    return (
        "; or, if a run's parameters never depend on what an earlier run showed, write "
        "`composition: fixed` under budget, which would let it pass"
    )


def cost_alone(promise: DifferentialPrivacy, budget: Budget) -> float:
    """Give what one Gaussian mechanism that costs the promise comes to as the budget counts."""
    drawn = _gaussian(calibrate(_gaussian, promise.epsilon, promise.delta))
    if budget.composition == "adaptive":
        return RenyiFilter(budget.lifetime_epsilon, budget.delta).spent(drawn)
    # To three digits: noise that costs a promise exactly does not exceed a ceiling of the same.
    return round(compose(drawn, budget.delta), 3)


def _gaussian(noise: float) -> tuple[Mechanism, ...]:
    return (Gaussian(noise),)


def crosses_combine_labelled_features(policy: Policy) -> Iterator[Problem]:
    """A cross combines features with declared labels, each named once, and not too many."""
    features = policy.used_as(Use.FEATURE)
    for n, cross in enumerate(policy.training.crosses if policy.training else ()):
        labels = {
            name: public_labels(policy.treated[name].treatment, policy.column_type(name))
            for name in cross
            if name in features
        }
        unfit = [name for name in cross if not labels.get(name)]
        path = f"training.crosses.{n}"
        if unfit or len(set(cross)) < len(cross):
            named = f"{', '.join(unfit)} is not a feature with declared labels"
            what = named if unfit else "a column is named twice"
            yield Problem(path, what, "cross features that are binned or have declared words")
            continue
        size = math.prod(len(found or ()) + 1 for found in labels.values())
        if size > MOST_CROSSED:
            yield Problem(path, f"makes {size:,} features", f"stay under {MOST_CROSSED:,}")


def training_input_is_there(policy: Policy) -> Iterator[Problem]:
    """A model trains on record-wise rows, or on a table outlet that has the columns needed."""
    if RECORD_WISE in policy.outlets:
        path = f"outlets.{RECORD_WISE}"
        yield Problem(path, "is reserved for the de-identified rows", "give the outlet another")
    if policy.training is None or policy.training.input == RECORD_WISE:
        return
    name = policy.training.input
    if name not in policy.table_outlets:
        yield Problem(
            "training.input", "is not a table outlet of this policy",
            f"use record-wise or one of {', '.join(policy.table_outlets) or '(there is none)'}",
        )  # fmt: skip
        return
    if policy.private or any(o.promise for o in policy.model_outlets.values()):
        yield Problem(
            "training.input",
            f"the rows of `{name}` were made coarser by looking at everybody (local recoding), so "
            "one person changes other people's rows and the claim of differential privacy would "
            "be false",
            "train on record-wise, or remove the promise and train another model",
        )
    yield from table_serves_training(policy, name, policy.table_outlets[name])


def table_serves_training(policy: Policy, name: str, table: TableOutlet) -> Iterator[Problem]:
    """A table that a model is trained on holds its columns, and k is not held over its numbers."""
    features = policy.used_as(Use.FEATURE)
    needed = {*features, *policy.used_as(Use.TARGET), *policy.used_as(Use.AUDIT)}
    lacking = sorted(needed - table.columns.keys())
    if lacking:
        yield Problem(
            "training.input",
            f"`{name}` does not hold {', '.join(lacking)}",
            "release them there, or remove their use as feature or audit",
        )
    for column in table.linkable:
        if column in features and isinstance(policy.treated[column].treatment, Clip):
            yield Problem(
                f"outlets.{name}.columns.{column}",
                "k turns each number into its own label, from which a model cannot learn",
                "treat the column by bin, or train on record-wise",
            )


RULES: Final[tuple[Callable[[Policy], Iterator[Problem]], ...]] = (
    models_have_what_they_need,
    models_predict_their_targets,
    features_have_public_values,
    models_keep_nobodys_rows,
    audits_compare_declared_groups,
    private_promises_are_kept,
    budgets_hold_what_is_promised,
    crosses_combine_labelled_features,
    training_input_is_there,
)
