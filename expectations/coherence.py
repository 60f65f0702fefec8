"""Whether the parts of a policy fit together: one plain function per rule, named as the rule.

Each rule looks at a well-formed policy and yields what is wrong and how to mend it. Nothing here
knows the source. A claim that would be false is refused here, before anything is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from expectations.errors import Problem
from expectations.expressions import ColumnType, ExpressionError, parse
from expectations.outlets import TableOutlet
from expectations.policy import ConsentColumn, ConsentLedger, Policy
from expectations.treatments import FITS, Clip, Drop, Redact, Token, public_labels
from expectations.vocabulary import Article6, Article9, Identifiability, Use

Problems = Iterator[Problem]
PRIVATE: Final = "private-logistic-regression"


def find_problems(policy: Policy) -> list[Problem]:
    """Give everything that does not fit together; an empty list means that the policy can run."""
    broken = list(expressions_parse(policy))
    if broken:
        return broken
    return [problem for rule in RULES for problem in rule(policy)]


def expressions_parse(policy: Policy) -> Problems:
    """Eligibility and derived columns are well-formed expressions over the named columns."""
    types = {name: column.type for name, column in policy.columns.items()}
    texts = {f"derived.{name}.expression": d.expression for name, d in policy.derived.items()}
    for path, text in {"population.eligible": policy.population.eligible, **texts}.items():
        try:
            parsed = parse(text, types)
        except ExpressionError as error:
            yield Problem(path, str(error), "mend the expression at the mark")
            continue
        if path == "population.eligible" and parsed.type is not ColumnType.BOOLEAN:
            yield Problem(path, "does not say yes or no", "compare, or combine with and/or/not")


def names_are_declared_once(policy: Policy) -> Problems:
    """A derived column has a name of its own."""
    for name in policy.derived.keys() & policy.columns.keys():
        yield Problem(f"derived.{name}", "is the name of a column as well", "rename one of them")


def legal_basis_matches_the_basis_per_person(policy: Policy) -> Problems:
    """Consent is asked per person exactly where consent is the legal basis."""
    consent = policy.legal_basis.article_6 is Article6.CONSENT
    per_person = isinstance(policy.basis, ConsentLedger | ConsentColumn)
    if consent and not per_person:
        yield Problem(
            "basis.kind",
            "the legal basis is consent (Art. 6(1)(a)), but nobody's consent is looked up",
            "use kind `consent` or `consent-column`, or name another legal basis",
        )
    if per_person and not consent:
        yield Problem(
            "legal_basis.article_6",
            "consent is looked up per person, but the legal basis is another",
            "use eu-gdpr:A6-1-a, or the basis `opt-out` or `other-basis`",
        )
    if not consent and policy.legal_basis.assessment is None:
        yield Problem(
            "legal_basis.assessment",
            f"{policy.legal_basis.article_6} needs an assessment on file",
            "add `assessment:` with its reference",
        )


def special_categories_need_article_9(policy: Policy) -> Problems:
    """A special category is read only under a condition of Art. 9(2)."""
    special = [name for name, column in policy.treated.items() if column.category.special]
    if special and policy.legal_basis.article_9 is None:
        yield Problem(
            "legal_basis.article_9",
            f"is missing, but {', '.join(special)} are of special categories (Art. 9 GDPR)",
            "add the condition of Art. 9(2) that applies, or take the columns out",
        )
    needs_consent = policy.legal_basis.article_9 is Article9.EXPLICIT_CONSENT
    if special and needs_consent and policy.legal_basis.article_6 is not Article6.CONSENT:
        yield Problem(
            "legal_basis.article_9",
            "rests on explicit consent, but Art. 6 does not rest on consent",
            "let both rest on consent, or name another condition",
        )


def treatments_fit_their_columns(policy: Policy) -> Problems:
    """A treatment can be applied to the column's type."""
    for name, column in policy.treated.items():
        kind, of = column.treatment.kind, policy.column_type(name)
        if of not in FITS[kind]:
            fits = ", ".join(sorted(k for k, types in FITS.items() if of in types))
            yield Problem(
                f"{path_of(policy, name)}.treatment.kind",
                f"`{kind}` does not fit a column of type {of}",
                f"use one of {fits}",
            )


def identifiers_never_pass(policy: Policy) -> Problems:
    """What names a person is dropped, masked or tokenized, and is no feature."""
    for name, column in policy.treated.items():
        if column.identifiability is not Identifiability.IDENTIFIER:
            continue
        if column.treatment.kind not in {"drop", "mask", "token"}:
            yield Problem(
                f"{path_of(policy, name)}.treatment.kind",
                f"`{column.treatment.kind}` lets an identifier pass",
                "use drop, mask or token; or do not name the column, and it is never read",
            )
        if Use.FEATURE in column.use or Use.TARGET in column.use:
            yield Problem(
                f"{path_of(policy, name)}.use",
                "an identifier is neither feature nor target",
                "take that use out",
            )


def declared_uses_are_real(policy: Policy) -> Problems:
    """A column is used for what its `use` says and nothing else."""
    users = {
        Use.DERIVATION: read_by_expressions(policy, derived=True),
        Use.ELIGIBILITY: read_by_expressions(policy, derived=False),
        Use.REDACTION: searched_for(policy),
    }
    for name, column in policy.treated.items():
        path = f"{path_of(policy, name)}.use"
        for use, names in users.items():
            if use in column.use and name not in names:
                fix = "take that use out; a column without any use need not be read"
                yield Problem(path, f"`{use}` is said, but nothing there uses it", fix)
            if name in names and use not in column.use:
                yield Problem(path, f"it is used for {use}, which is not said", f"add `{use}`")


def releases_are_declared(policy: Policy) -> Problems:
    """A column that only a table needs says so, and one for audit alone is never released."""
    released = {c for outlet in policy.table_outlets.values() for c in outlet.columns}
    for name, column in policy.treated.items():
        path = f"{path_of(policy, name)}.use"
        if Use.RELEASE in column.use and name not in released:
            yield Problem(path, "`release` is said, but no table releases it", "take it out")
        if name in released and set(column.use) == {Use.AUDIT}:
            yield Problem(path, "it is for audit only, but a table releases it", "add `release`")


def dropped_columns_end_there(policy: Policy) -> Problems:
    """A dropped column serves nothing that comes after it is dropped."""
    for name, column in policy.treated.items():
        stays = {Use.FEATURE, Use.TARGET, Use.AUDIT, Use.RELEASE} & set(column.use)
        if isinstance(column.treatment, Drop) and stays:
            yield Problem(
                f"{path_of(policy, name)}.treatment.kind",
                f"it is dropped, but is to serve as {', '.join(sorted(stays))}",
                "choose a treatment that keeps it, or take that use out",
            )


def searched_for(policy: Policy) -> frozenset[str]:
    """Name the columns whose values are searched for in free text."""
    treatments = [column.treatment for column in policy.treated.values()]
    return frozenset(k for t in treatments if isinstance(t, Redact) for k in t.known)


def read_by_expressions(policy: Policy, *, derived: bool) -> frozenset[str]:
    """Name the columns that derived columns, or eligibility, are computed from."""
    types = {name: column.type for name, column in policy.columns.items()}
    texts = (
        [column.expression for column in policy.derived.values()]
        if derived
        else [policy.population.eligible]
    )
    return frozenset(name for text in texts for name in parse(text, types).columns)


def tables_release_treated_columns(policy: Policy) -> Problems:
    """A table releases columns that are there after de-identification, and no identifier."""
    for name, outlet in policy.table_outlets.items():
        for column in outlet.columns:
            path = f"outlets.{name}.columns.{column}"
            declared = policy.treated.get(column)
            if declared is None:
                yield Problem(path, "is not a column of this policy", "name it under columns")
            elif declared.identifiability is Identifiability.IDENTIFIER:
                yield Problem(path, "is an identifier, which never leaves", "take it out")
            else:
                yield from generalization_fits(policy, outlet, path, column)
        for column in outlet.not_linkable.keys() - outlet.columns.keys():
            path = f"outlets.{name}.not_linkable.{column}"
            yield Problem(path, "is not released here", "take it out")
        if not outlet.linkable:
            yield Problem(f"outlets.{name}", "k holds over no column", "leave one linkable")


def generalization_fits(policy: Policy, outlet: TableOutlet, path: str, column: str) -> Problems:
    """Only a column with declared labels can be made coarser; text is kept outside k or not."""
    treatment = policy.treated[column].treatment
    if outlet.columns[column] == "keep" or column in outlet.not_linkable:
        return
    if public_labels(treatment, policy.column_type(column)) is None:
        yield Problem(
            path,
            f"`generalize` needs declared labels, and `{treatment.kind}` gives none",
            "treat the column by bin or categories, or `keep` it as it stands",
        )


def models_have_what_they_need(policy: Policy) -> Problems:
    """A model outlet comes with training, attacks, one target and at least one feature."""
    if not policy.model_outlets:
        for part in ("training", "attacks"):
            if getattr(policy, part) is not None:
                yield Problem(part, "no outlet receives a model", "add a model outlet, or drop it")
        return
    if policy.training is None:
        yield Problem("training", "is missing, but a model is to leave", "add `training:`")
    if policy.attacks is None:
        yield Problem("attacks", "is missing, but a model is to leave", "add `attacks:`")
    targets = policy.used_as(Use.TARGET)
    if len(targets) != 1:
        yield Problem("columns", f"{len(targets)} columns are targets", "name exactly one")
    if not policy.used_as(Use.FEATURE):
        yield Problem("columns", "no column is a feature", "add `feature` to a column's use")
    for name in targets:
        if policy.column_type(name) is not ColumnType.BOOLEAN:
            path = f"{path_of(policy, name)}.use"
            yield Problem(path, "a target is a yes/no column", "derive one by an expression")


def features_have_public_values(policy: Policy) -> Problems:
    """A model learns no category and no range: both come from the policy."""
    for name in policy.used_as(Use.FEATURE):
        treatment = policy.treated[name].treatment
        labelled = public_labels(treatment, policy.column_type(name)) is not None
        if not labelled and not isinstance(treatment, Clip | Drop):
            yield Problem(
                f"{path_of(policy, name)}.treatment.kind",
                f"`{treatment.kind}` leaves a feature without public bounds or categories, which "
                "the saved model would then hold",
                "use bin, clip or categories",
            )


def private_promises_are_kept(policy: Policy) -> Problems:
    """A promise of differential privacy needs a private model on record-wise rows, and agrees."""
    if policy.training is None:
        return
    promises = {
        name: outlet.promise for name, outlet in policy.model_outlets.items() if outlet.promise
    }
    private = policy.training.model == PRIVATE
    for name in promises:
        if not private:
            yield Problem(
                f"outlets.{name}.promise",
                f"differential privacy is promised, but `{policy.training.model}` is trained "
                "without it, so the claim would be false",
                f"train `{PRIVATE}`, or take the promise out",
            )
    if private and not promises:
        yield Problem(
            "training.model",
            "a private model needs ε and δ, and no outlet promises them",
            "add the promise to the model's outlet, or train another model",
        )
    if len(set(promises.values())) > 1:
        yield Problem(
            "outlets", "model outlets promise different ε or δ of one model", "promise the same"
        )


def training_input_is_there(policy: Policy) -> Problems:
    """The rows trained on are record-wise, or those of a table outlet that holds what is needed."""
    if policy.training is None or policy.training.input == "record-wise":
        return
    name = policy.training.input
    if name not in policy.table_outlets:
        yield Problem(
            "training.input", "is not a table outlet of this policy",
            f"use record-wise or one of {', '.join(policy.table_outlets) or '(there is none)'}",
        )  # fmt: skip
        return
    if policy.training.model == PRIVATE or any(o.promise for o in policy.model_outlets.values()):
        yield Problem(
            "training.input",
            f"the rows of `{name}` were made coarser by looking at everybody (local recoding), so "
            "one person changes other people's rows and the claim of differential privacy would "
            "be false",
            "train on record-wise, or take the promise out and train another model",
        )
    needed = {*policy.used_as(Use.FEATURE), *policy.used_as(Use.TARGET)}
    lacking = [c for c in sorted(needed) if c not in policy.table_outlets[name].columns]
    if lacking:
        yield Problem(
            "training.input", f"`{name}` does not hold {', '.join(lacking)}",
            "release them there, or take their use as feature out",
        )  # fmt: skip


def rules_speak_of_columns_that_stay(policy: Policy) -> Problems:
    """A value rule is about a column that is there after de-identification."""
    for n, rule in enumerate(policy.expectations):
        if rule.column not in policy.leaving:
            yield Problem(
                f"expectations.{n}.column",
                "is not there after de-identification",
                f"use one of {', '.join(policy.leaving)}",
            )


def known_identifiers_are_read(policy: Policy) -> Problems:
    """The identifiers searched for in free text are columns of the policy."""
    for name, column in policy.treated.items():
        if isinstance(column.treatment, Redact):
            for known in set(column.treatment.known) - policy.columns.keys():
                path = f"{path_of(policy, name)}.treatment.known"
                yield Problem(path, f"`{known}` is not a column here", "name it under columns")


def tokens_hide_many_values(policy: Policy) -> Problems:
    """A token is for identifiers: on few, repeated values counting undoes it."""
    for name, column in policy.treated.items():
        if (
            isinstance(column.treatment, Token)
            and column.identifiability is not Identifiability.IDENTIFIER
        ):
            yield Problem(
                f"{path_of(policy, name)}.treatment.kind",
                "a token on a column of repeated values is undone by counting",
                "use bin or categories, or mark the column an identifier",
            )


def path_of(policy: Policy, name: str) -> str:
    """Give the path of a column in the file."""
    return f"columns.{name}" if name in policy.columns else f"derived.{name}"


RULES: Final[tuple[Callable[[Policy], Problems], ...]] = (
    names_are_declared_once,
    legal_basis_matches_the_basis_per_person,
    special_categories_need_article_9,
    treatments_fit_their_columns,
    identifiers_never_pass,
    declared_uses_are_real,
    releases_are_declared,
    dropped_columns_end_there,
    tables_release_treated_columns,
    models_have_what_they_need,
    features_have_public_values,
    private_promises_are_kept,
    training_input_is_there,
    rules_speak_of_columns_that_stay,
    known_identifiers_are_read,
    tokens_hide_many_values,
)
