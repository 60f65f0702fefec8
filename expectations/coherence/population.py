"""Whether what a policy says of its population can hold: who is taken, and compared with whom.

One plain function per rule, as in `rules`, which asks them all. Groups, samples, caps and splits
come first, then the reference, its weights and the look at the excluded. Whether a column that is
used here says so is told in `rules`, with all other uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from expectations.coherence.models import RECORD_WISE
from expectations.errors import Problem, suggest
from expectations.expressions.expressions import ColumnType
from expectations.policy.policy import Policy
from expectations.policy.treatments import YES_NO, Redact, public_labels
from expectations.policy.vocabulary import MISSING, Article6, Identifiability, Use


def known_labels(policy: Policy, column: str) -> tuple[str, ...] | None:
    """Give the labels of the groups by a column, or None where they are words of the data."""
    kind = policy.column_type(column)
    if kind is ColumnType.BOOLEAN:
        return YES_NO
    return public_labels(policy.treated[column].treatment, kind)


def strata_are_groups(policy: Policy) -> Iterator[Problem]:
    """Strata use columns that put people into groups, and require something of the groups."""
    strata = policy.population.strata
    if strata is None:
        return
    for n, name in enumerate(strata.by):
        path = f"population.strata.by.{n}"
        if name in strata.by[:n]:
            yield Problem(path, "is named twice", "remove it here")
        elif name not in policy.treated:
            fix = suggest(name, policy.treated, "name it under columns")
            yield Problem(path, "is not a column of this policy", fix)
        else:
            yield from makes_groups(policy, name, path)
    if strata.smallest is None and strata.at_most is None and not strata.sample:
        fix = "add smallest, at_most or sample, or remove the strata"
        yield Problem("population.strata", "they require nothing of the groups", fix)


def makes_groups(policy: Policy, name: str, path: str) -> Iterator[Problem]:
    """Words and declared labels make groups; an identifier, free text and bare numbers do not."""
    column, kind = policy.treated[name], policy.column_type(name)
    if column.identifiability is Identifiability.IDENTIFIER:
        yield Problem(path, "is an identifier, so each person would be a group", "remove it")
    elif isinstance(column.treatment, Redact):
        yield Problem(path, "is free text, which makes no groups", "remove it")
    elif known_labels(policy, name) is None and kind is not ColumnType.TEXT:
        fix = "treat it by bin, or derive a text or yes/no column from it"
        yield Problem(path, f"a column of type {kind} makes no groups", fix)


def samples_name_declared_labels(policy: Policy) -> Iterator[Problem]:
    """Shares of groups are for labels that the one column can have, and in one place."""
    strata = policy.population.strata
    if strata is None or not strata.sample:
        return
    path = "population.strata.sample"
    if policy.population.sample < 1:
        fix = "remove population.sample, and give each group's share here"
        yield Problem(path, "two shares are given for the same people", fix)
    if len(strata.by) > 1:
        fix = "name one column, or derive one that combines them"
        yield Problem(path, f"it is by value, but there are {len(strata.by)} columns", fix)
    elif strata.by[0] in policy.treated:
        labels = known_labels(policy, strata.by[0])
        if labels is None:
            fix = "treat the column by categories, and name these"
            yield Problem(path, f"the policy declares no labels of `{strata.by[0]}`", fix)
        for label in sorted(strata.sample.keys() - set(labels or strata.sample)):
            fix = f"use one of {', '.join(labels or ())}"
            yield Problem(f"{path}.{label}", f"`{strata.by[0]}` can never hold it", fix)


def bounds_leave_room(policy: Policy) -> Iterator[Problem]:
    """The smallest number of people required is possible under the largest number taken."""
    people, strata = policy.population, policy.population.strata
    if people.at_most is not None and people.at_most < people.smallest:
        what = f"at most {people.at_most} are taken, but {people.smallest} are required"
        yield Problem("population.at_most", what, "raise it, or lower population.smallest")
    if strata is None or strata.smallest is None:
        return
    if strata.at_most is not None and strata.at_most < strata.smallest:
        what = f"at most {strata.at_most} are taken, but {strata.smallest} are required"
        yield Problem("population.strata.at_most", what, "raise it, or lower smallest")
    for label in sorted(label for label, share in strata.sample.items() if share == 0):
        what = f"nobody is taken, but {strata.smallest} are required"
        fix = "leave the group out by population.eligible, or give it a share"
        yield Problem(f"population.strata.sample.{label}", what, fix)


def splits_keep_people_together(policy: Policy) -> Iterator[Problem]:
    """A split uses a column whose values many people can share, and serves a model."""
    name, path = policy.population.split_by, "population.split_by"
    if name is None:
        return
    if policy.training is None:
        yield Problem(path, "nothing is trained, so nobody is split", "remove it")
    if name not in policy.treated:
        fix = suggest(name, policy.treated, "name it under columns")
        yield Problem(path, "is not a column of this policy", fix)
        return
    kind, treatment = policy.column_type(name), policy.treated[name].treatment
    if kind not in {ColumnType.TEXT, ColumnType.INTEGER} or isinstance(treatment, Redact):
        fix = "name a column of text or whole numbers, such as the household's"
        yield Problem(path, "its values cannot be shared by people", fix)


def quotas_stay_before_no_private_model(policy: Policy) -> Iterator[Problem]:
    """A cap takes one person because of others, so differential privacy cannot be claimed after it.

    A share does not, and a smallest number decides about the run and about no person.
    """
    promised = any(outlet.promise for outlet in policy.model_outlets.values())
    if not (promised or policy.private):
        return
    strata = policy.population.strata
    caps = {
        "population.at_most": policy.population.at_most,
        "population.strata.at_most": strata and strata.at_most,
    }
    for path in (path for path, cap in caps.items() if cap is not None):
        yield Problem(
            path,
            "a quota looks at other people, so one person changes who else is taken and the claim "
            "of differential privacy would be false",
            "take a share by `sample`, or remove the promise and train another model",
        )


def margins_are_of_labelled_columns(policy: Policy) -> Iterator[Problem]:
    """A margin is of a column that has declared labels after de-identification."""
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
        yield Problem(f"{path}.shares", f"`{word}` is not a label of the column's treatment", fix)
    if without := [label for label in labels if label not in shares]:
        what = f"has no share of {', '.join(without)}"
        yield Problem(f"{path}.shares", what, "give each label its share, 0 where nobody has it")


def weights_have_margins_to_meet(policy: Policy) -> Iterator[Problem]:
    """Weighting needs published margins to weight to."""
    reference = policy.population.reference
    if policy.population.weighting is None:
        return
    if reference is None or not reference.of_role("rake"):
        yield Problem(
            "population.weighting",
            "there is no margin to rake to",
            "add `reference:` with a margin whose role is rake, or remove the weighting",
        )
    elif reference.when_exceeded == "refuse" and not reference.of_role("hold-out"):
        yield Problem(
            "population.reference.when_exceeded",
            "cannot refuse: weights meet every margin, since none is held out",
            "hold a margin out (role: hold-out), or warn",
        )


def weights_serve_a_model(policy: Policy) -> Iterator[Problem]:
    """Weights are used to train and measure a model on record-wise rows."""
    path, training = "population.weighting", policy.training
    if policy.population.weighting is None:
        return
    if training is None:
        yield Problem(path, "no model is trained with the weights", "remove the weighting")
        return
    promised = any(outlet.promise for outlet in policy.model_outlets.values())
    if promised or training.private:
        yield Problem(
            path,
            "weights by raking depend on everybody, so one person changes other people's, and the "
            "claim of differential privacy would be false",
            "remove the weighting, or remove the promise and train another model",
        )
    if training.input != RECORD_WISE:
        what = f"the model is trained on the rows of `{training.input}`, which are not weighted"
        yield Problem(path, what, "train on record-wise, or remove the weighting")


def excluded_people_may_be_looked_at(policy: Policy) -> Iterator[Problem]:
    """People without consent are counted on another basis, and never by special categories."""
    population = policy.population
    excluded, reference = population.excluded_people, population.reference
    path = "population.excluded_people"
    if excluded is None:
        return
    if policy.legal_basis.article_6 is not Article6.CONSENT:
        what = "consent is not this policy's legal basis, so nobody is excluded for lack of it"
        yield Problem(path, what, "remove it")
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


SELECTION_RULES: Final[tuple[Callable[[Policy], Iterator[Problem]], ...]] = (
    strata_are_groups,
    samples_name_declared_labels,
    bounds_leave_room,
    splits_keep_people_together,
    quotas_stay_before_no_private_model,
)
RULES: Final[tuple[Callable[[Policy], Iterator[Problem]], ...]] = (
    *SELECTION_RULES,
    margins_are_of_labelled_columns,
    weights_have_margins_to_meet,
    weights_serve_a_model,
    excluded_people_may_be_looked_at,
)
