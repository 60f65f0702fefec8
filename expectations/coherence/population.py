"""Whether a policy's reference, weights and look at the excluded fit its columns and outlets.

One plain function per rule, as in `coherence`, which asks them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from expectations.coherence.models import RECORD_WISE
from expectations.errors import Problem, suggest
from expectations.policy.policy import Policy
from expectations.policy.treatments import public_labels
from expectations.policy.vocabulary import MISSING, Article6, Identifiability, Use


def margins_are_of_labelled_columns(policy: Policy) -> Iterator[Problem]:
    """A margin is of a column that is there, with declared labels, after de-identification."""
    reference = policy.population.reference
    for name, margin in reference.margins.items() if reference else ():
        path = f"population.reference.margins.{name}"
        column = policy.treated.get(name)
        if column is None:
            fix = suggest(name, policy.treated, "name it under columns")
            yield Problem(path, "is not a column of this policy", fix)
            continue
        labels = public_labels(column.treatment, policy.column_type(name))
        if column.identifiability is Identifiability.IDENTIFIER:
            yield Problem(path, "is an identifier, which has no shares", "compare another column")
        elif labels is None:
            what = f"`{column.treatment.kind}` leaves no declared labels that could have shares"
            yield Problem(path, what, "treat the column by bin or categories")
        else:
            yield from shares_name_the_labels(path, margin.shares, labels)


def shares_name_the_labels(
    path: str, shares: Mapping[str, float], labels: tuple[str, ...]
) -> Iterator[Problem]:
    """Every label of the treatment has a share, and no other word but `missing` does."""
    for word in sorted(shares.keys() - {*labels, MISSING}):
        fix = suggest(word, labels, f"use {', '.join(labels)}")
        yield Problem(f"{path}.shares", f"`{word}` is no label of the column's treatment", fix)
    if without := [label for label in labels if label not in shares]:
        what = f"gives no share of {', '.join(without)}"
        yield Problem(f"{path}.shares", what, "give each label its share, 0 where nobody has it")


def weights_have_margins_to_meet(policy: Policy) -> Iterator[Problem]:
    """Weighting is to published margins; without any there is nothing to weight to."""
    reference = policy.population.reference
    if policy.population.weighting is None:
        return
    if reference is None or not reference.of_role("rake"):
        yield Problem(
            "population.weighting",
            "there is no margin to rake to",
            "add `reference:` with a margin whose role is rake, or take the weighting out",
        )
    elif reference.when_exceeded == "refuse" and not reference.of_role("hold-out"):
        yield Problem(
            "population.reference.when_exceeded",
            "cannot refuse: every margin is given to the weighting, which then meets it",
            "keep a margin back (role: hold-out), or warn",
        )


def weights_serve_a_model(policy: Policy) -> Iterator[Problem]:
    """Weights go into the training and measuring of a model on record-wise rows."""
    path, training = "population.weighting", policy.training
    if policy.population.weighting is None:
        return
    if training is None:
        yield Problem(path, "no model is trained with the weights", "take the weighting out")
        return
    promised = any(outlet.promise for outlet in policy.model_outlets.values())
    if promised or training.private:
        yield Problem(
            path,
            "weights by raking depend on everybody, so one person changes other people's, and the "
            "claim of differential privacy would be false",
            "take the weighting out, or take the promise out and train another model",
        )
    if training.input != RECORD_WISE:
        what = f"the model is trained on the rows of `{training.input}`, which are not weighted"
        yield Problem(path, what, "train on record-wise, or take the weighting out")


def excluded_people_may_be_looked_at(policy: Policy) -> Iterator[Problem]:
    """Who did not consent is counted on another basis, and never by special categories."""
    population = policy.population
    excluded, reference = population.excluded_people, population.reference
    path = "population.excluded_people"
    if excluded is None:
        return
    if policy.legal_basis.article_6 is not Article6.CONSENT:
        what = "nobody is excluded for want of consent, which is not this policy's legal basis"
        yield Problem(path, what, "take it out")
    if excluded.article_6 is Article6.CONSENT:
        what = "rests on consent, which is what these people did not give"
        yield Problem(f"{path}.article_6", what, "name the basis that the assessment found")
    margins = reference.margins if reference else {}
    for n, name in enumerate(excluded.by):
        if name not in margins:
            what = f"the reference has no margin of `{name}`"
            yield Problem(f"{path}.by.{n}", what, "add one, or count by another column")
    part = part_for_excluded(policy).treated
    if special := [name for name, column in part.items() if column.category.special]:
        yield Problem(
            path,
            f"{', '.join(special)} would be read of people who did not consent, and are of special "
            "categories (Art. 9 GDPR)",
            "count by other columns, and let eligibility do without them",
        )


def part_for_excluded(policy: Policy) -> Policy:
    """Give the part of a policy that says who is eligible, and what the excluded are counted by."""
    excluded = policy.population.excluded_people
    counted = frozenset(excluded.by if excluded else ())
    reads = policy.read_for(counted)
    needed = counted | reads[Use.ELIGIBILITY] | reads[Use.DERIVATION]
    kept = {
        "columns": {n: c for n, c in policy.columns.items() if n in needed},
        "derived": {n: c for n, c in policy.derived.items() if n in needed},
    }
    return policy.model_copy(update=kept)


RULES: Final[tuple[Callable[[Policy], Iterator[Problem]], ...]] = (
    margins_are_of_labelled_columns,
    weights_have_margins_to_meet,
    weights_serve_a_model,
    excluded_people_may_be_looked_at,
)
