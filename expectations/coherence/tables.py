"""Whether what a policy promises of its tables fits together.

One plain function per rule, as in `rules`, which asks them all; `find_warnings` is about what
may run and should give pause.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from typing import Final

from expectations.coherence.models import own_models_are_judged
from expectations.errors import Problem, suggest
from expectations.expressions.tree import ColumnType
from expectations.policy.formulas import is_formula
from expectations.policy.outlets import Generalized, Rare, TableOutlet, join
from expectations.policy.policy import Policy
from expectations.policy.privacy_models import describe_model
from expectations.policy.treatments import Noise, Token, Treatment, has_order, public_labels
from expectations.policy.vocabulary import Identifiability, Use

ONCE: Final = "group each label of the level below once"
STAYS_ALONE: Final = (
    "give the group a name of its own; a label that is to stay alone is left out of the level, and "
    "keeps its name"
)


def tables_release_treated_columns(policy: Policy) -> Iterator[Problem]:
    """A table releases columns that exist after de-identification, and no identifier."""
    for name, outlet in policy.table_outlets.items():
        for column in outlet.columns:
            path = f"outlets.{name}.columns.{column}"
            declared = policy.treated.get(column)
            if declared is None:
                fix = suggest(column, policy.treated, "name it under columns")
                yield Problem(path, "is not a column of this policy", fix)
            elif declared.identifiability is Identifiability.IDENTIFIER:
                yield from token_may_leave(outlet, path, column, declared.treatment)
            else:
                yield from generalization_fits(policy, outlet, path, column)
        for part in ("not_linkable", "sensitive"):
            for column in getattr(outlet, part).keys() - outlet.columns.keys():
                path = f"outlets.{name}.{part}.{column}"
                yield Problem(path, "is not released here", "remove it")
        if not outlet.linkable:
            yield Problem(f"outlets.{name}", "k covers no column", "leave one linkable")


def token_may_leave(
    outlet: TableOutlet, path: str, column: str, treatment: Treatment
) -> Iterator[Problem]:
    """An identifier leaves as a keyed token only, where the policy says why nobody can link it."""
    if not isinstance(treatment, Token):
        yield Problem(
            path, "is an identifier, which is never released", "remove it, or tokenize it"
        )
    elif column not in outlet.not_linkable:
        fix = "say under not_linkable why its recipient cannot find out whose it is, or remove it"
        yield Problem(path, "is a token; every value is unique, so k cannot hold", fix)


def groupings_fit_their_labels(policy: Policy) -> Iterator[Problem]:
    """A grouping puts labels of the level below together, each once, under a new name."""
    for name, outlet in policy.table_outlets.items():
        for column, how in outlet.columns.items():
            if not isinstance(how, Generalized) or column not in policy.treated:
                continue
            labels = public_labels(policy.treated[column].treatment, policy.column_type(column))
            taken = set(labels or ())
            below = set(taken)
            for n, level in enumerate(how.levels):
                path = f"outlets.{name}.columns.{column}.levels.{n}"
                members = [member for group in level.values() for member in group]
                yield from misfits(path, "is not a label of the level below", set(members) - below)
                twice = {member for member in members if members.count(member) > 1}
                yield from misfits(path, "is in two groups", twice)
                named = taken & level.keys()
                yield from misfits(path, "is the name of another label", named, STAYS_ALONE)
                below = (below - set(members)) | level.keys()
                taken |= level.keys()


def words_run_in_no_spreadsheet(policy: Policy) -> Iterator[Problem]:
    """No word that a table can hold begins as a formula does; texts of people are marked instead.

    Whoever opens the file in a spreadsheet would have it worked out, or run.
    """
    fix = "begin it, and what follows a comma or semicolon in it, with a letter: `from -5 to 0`"
    for name, outlet in policy.table_outlets.items():
        for column, how in outlet.columns.items():
            if column not in policy.treated:
                continue
            labels = public_labels(policy.treated[column].treatment, policy.column_type(column))
            words = [*(labels or ()), *name_coarser(how)]
            for word in filter(is_formula, dict.fromkeys(words)):
                yield Problem(
                    f"outlets.{name}.columns.{column}",
                    f"`{word}` would run as a formula in a spreadsheet",
                    fix,
                )


def name_coarser(how: object) -> tuple[str, ...]:
    """Name the labels that an outlet adds to those of a column."""
    match how:
        case Rare(label=label):
            return (label,)
        case Generalized(levels=levels):
            return tuple(group for level in levels for group in level)
        case _:
            return ()


def misfits(path: str, what: str, labels: Collection[str], fix: str = ONCE) -> Iterator[Problem]:
    """Word what is wrong with each label of a grouping; labels are the policy's own words."""
    for label in sorted(labels):
        yield Problem(path, f"`{label}` {what}", fix)


def generalization_fits(
    policy: Policy, outlet: TableOutlet, path: str, column: str
) -> Iterator[Problem]:
    """Only a column with declared labels can be made coarser."""
    treatment = policy.treated[column].treatment
    how = outlet.columns[column]
    labels = public_labels(treatment, policy.column_type(column))
    if isinstance(how, Rare) and labels is not None and how.label in labels:
        yield Problem(
            path, f"`{how.label}` is a label of the column itself", "give rare labels another name"
        )
    if isinstance(treatment, Noise) and column in outlet.linkable:
        fix = "say under not_linkable why nobody can look it up, or use bin instead of noise"
        yield Problem(path, "is noise; nearly every value is unique, so k cannot hold", fix)
        return
    if how == "keep" or isinstance(how, Rare) or column not in outlet.linkable:
        return
    if labels is None:
        yield Problem(
            path,
            f"`generalize` needs declared labels, and `{treatment.kind}` gives none",
            "treat the column by bin, hierarchy or categories, or `keep` it as it stands",
        )


def sensitive_columns_are_protected_apart(policy: Policy) -> Iterator[Problem]:
    """A sensitive column is released unchanged, outside k, with models that it can meet."""
    for name, outlet in policy.table_outlets.items():
        for column, models in outlet.sensitive.items():
            path = f"outlets.{name}.sensitive.{column}"
            if not models:
                yield Problem(path, "names no model", "name one, such as t-closeness")
            if column in outlet.not_linkable:
                yield Problem(path, "is excused under not_linkable as well", "name it once")
            if outlet.columns.get(column, "keep") != "keep":
                yield Problem(
                    path,
                    "is made coarser as well, as if it were linkable",
                    "release it as `keep`, or remove it from sensitive so that k covers it",
                )
            declared = policy.treated.get(column)
            labels = declared and public_labels(declared.treatment, policy.column_type(column))
            for model in models:
                if getattr(model, "t", 0) == 1:
                    yield Problem(path, "asks for nothing: no class is farther than 1", "lower t")
                if labels and getattr(model, "l", 0) > len(labels):
                    yield Problem(
                        path, f"has {len(labels)} values, so {describe_model(model, column)} "
                        "cannot hold", "lower l",
                    )  # fmt: skip


def ordered_distances_have_an_order(policy: Policy) -> Iterator[Problem]:
    """An ordered distance is for numbers, dates and words that are declared in order."""
    for name, outlet in policy.table_outlets.items():
        for column, models in outlet.sensitive.items():
            declared, by_order = policy.treated.get(column), {"ordered"}
            if declared is None or not by_order & {getattr(m, "distance", "") for m in models}:
                continue
            kind = policy.column_type(column)
            words = public_labels(declared.treatment, kind) is not None or kind is ColumnType.TEXT
            if words and not has_order(declared.treatment):
                yield Problem(
                    f"outlets.{name}.sensitive.{column}",
                    "has no order along which a distance could be measured",
                    "declare its categories in order (`ordered: true`), or ask for distance: equal",
                )


def group_losses_are_of_declared_groups(policy: Policy) -> Iterator[Problem]:
    """A limit on the loss by group names a compared column with declared groups."""
    for name, outlet in policy.table_outlets.items():
        for column in outlet.loss_ratio:
            path = f"outlets.{name}.loss_ratio.{column}"
            declared = policy.treated.get(column)
            if declared is None or not (Use.AUDIT in declared.use or column in outlet.linkable):
                fix = "release it there, or add `audit` to its use"
                yield Problem(path, "is neither released as linkable nor an audit column", fix)
            elif public_labels(declared.treatment, policy.column_type(column)) is None:
                fix = "treat it by bin, hierarchy or categories"
                yield Problem(path, "has no declared groups", fix)


def joined_tables_agree(policy: Policy) -> Iterator[Problem]:
    """Tables that one recipient can put together treat a column alike, and have one plan."""
    for name, outlet in policy.table_outlets.items():
        for other, one in policy.joined_with(name).items():
            if other >= name:
                continue
            fix = f"say it as `{other}` does, whose table the same recipient can put beside it"
            for column in outlet.columns.keys() & one.columns.keys():
                path = f"outlets.{name}.columns.{column}"
                if outlet.columns[column] != one.columns[column]:
                    yield Problem(path, f"is released in another way by `{other}`", fix)
                elif (column in outlet.linkable) != (column in one.linkable):
                    yield Problem(path, f"is under k in one of this and `{other}` only", fix)
            for part in ("output", "period"):
                if getattr(outlet, part) != getattr(one, part):
                    yield Problem(f"outlets.{name}.{part}", f"is another than `{other}` has", fix)


def find_warnings(policy: Policy) -> Iterator[Problem]:
    """What may run but costs more than its author may think."""
    yield from own_models_are_judged(policy)
    for name, outlet in policy.table_outlets.items():
        trained_on = policy.training is not None and policy.training.input == name
        models = outlet.sensitive.get(policy.target or "", ())
        if trained_on and models:
            yield Problem(
                f"outlets.{name}.sensitive.{policy.target}",
                "hides, class by class, what the model predicts, and so what it would learn",
                "ask for as little as will do, or train on the rows before they are generalized",
            )
        yield from special_under_k_alone(policy, name, outlet)
        yield from joined_under_one_plan(policy, name)


def special_under_k_alone(policy: Policy, name: str, outlet: TableOutlet) -> Iterator[Problem]:
    """Where the people of a class share a belief or an illness, k tells it of each of them."""
    special = [c for c in outlet.linkable if c in policy.treated and _is_special(policy, c)]
    if special:
        yield Problem(
            f"outlets.{name}",
            f"releases {', '.join(special)} (special categories, Art. 9 GDPR) under k alone, which "
            "does not hide what all the people of a class share",
            "name what must not be learned under `sensitive` of this outlet, released as `keep`, "
            "with l-diversity or t-closeness",
        )


def joined_under_one_plan(policy: Policy, name: str) -> Iterator[Problem]:
    """Where one recipient gets several tables, k holds over the columns of all of them."""
    names = list(policy.joined_with(name))
    if names[0] == name and len(names) > 1:
        joint = join([*policy.joined_with(name).values()])
        yield Problem(
            f"outlets.{name}",
            f"and {', '.join(names[1:])} go to who can put them together, so one plan is fitted: "
            f"{joint.k} people share each combination of {', '.join(joint.linkable)}"
            f"{say_combinations(policy, joint, names)}, which costs more detail than each table "
            "alone; the report of a run says how much",
            "release fewer columns, one table, or hand them to recipients who share nothing",
        )


def say_combinations(policy: Policy, joint: TableOutlet, names: Collection[str]) -> str:
    """Forecast how fine a joint plan would be beside each table's own; empty where none can tell.

    A column of numbers or of words that a policy does not list has no end of them.
    """
    tables = {f"`{name}`": policy.table_outlets[name] for name in names}
    found = {name: count_combinations(policy, one) for name, one in tables.items()}
    together = count_combinations(policy, joint)
    if together is None:
        return ""
    each = ", ".join(f"{name} {count:,}" for name, count in found.items())
    return f" (the policy's words make up to {together:,}; alone {each})"


def count_combinations(policy: Policy, outlet: TableOutlet) -> int | None:
    """Count the combinations of declared labels over which k holds; None where some are not."""
    labels = [
        public_labels(policy.treated[column].treatment, policy.column_type(column))
        for column in outlet.linkable
    ]
    return None if None in labels else math.prod(len(one) for one in labels if one)


def _is_special(policy: Policy, column: str) -> bool:
    return policy.treated[column].category.special


RULES: Final[tuple[Callable[[Policy], Iterator[Problem]], ...]] = (
    tables_release_treated_columns,
    groupings_fit_their_labels,
    words_run_in_no_spreadsheet,
    sensitive_columns_are_protected_apart,
    ordered_distances_have_an_order,
    group_losses_are_of_declared_groups,
    joined_tables_agree,
)
