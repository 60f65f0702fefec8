"""Whether the parts of a policy fit together: one plain function per rule, named as the rule.

Each rule looks at a well-formed policy and yields what is wrong and how to mend it. Nothing here
knows the source. A claim that would be false is refused here, before anything is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from expectations.coherence import (
    consent,
    many_rows,
    models,
    population,
    tables,
    treatments,
    value_rules,
    words,
)
from expectations.errors import Problem
from expectations.expressions.expressions import ColumnType, ExpressionError, parse
from expectations.policy.policy import Policy
from expectations.policy.retention import Retention
from expectations.policy.spans import length
from expectations.policy.treatments import TREATMENTS, Drop, Redact, Token
from expectations.policy.vocabulary import Article6, Article9, Identifiability, Use


def find_problems(policy: Policy) -> list[Problem]:
    """Give everything that does not fit together; an empty list means that the policy can run."""
    broken = [
        *derived_columns_say_how(policy),
        *expressions_parse(policy),
        *many_rows.find_faults_of_rows(policy),
    ]
    if broken:
        return broken
    return [problem for rule in RULES for problem in rule(policy)]


def derived_columns_say_how(policy: Policy) -> Iterator[Problem]:
    """A derived column has an expression, or else a function with what it reads and its type."""
    for name, derived in policy.derived.items():
        path, given = f"derived.{name}", (*derived.reads, derived.type)
        match derived.expression, derived.function:
            case None, None:
                fix = "add `expression:`, or `function:` with `reads:` and `type:`"
                yield Problem(path, "has neither an expression nor a function", fix)
            case str(), str():
                yield Problem(path, "has an expression and a function", "keep one of them")
            case str(), None if given != (None,):
                fix = "remove `reads` and `type`: the expression itself says both"
                yield Problem(
                    path, "has an expression, and also keys that only a function needs", fix
                )
            case None, str() if not derived.reads or derived.type is None:
                fix = "add `reads: [column, …]` and `type:`, what it gives for each row"
                yield Problem(path, "has a function without `reads` or `type`", fix)
        for column in dict.fromkeys(derived.reads):
            if column not in policy.columns:
                fix = "name it under columns; a function reads no derived column"
                yield Problem(f"{path}.reads", f"`{column}` is not a column here", fix)


def expressions_parse(policy: Policy) -> Iterator[Problem]:
    """Eligibility and derived columns are well-formed expressions over the named columns."""
    texts = {
        f"derived.{name}.expression": derived.expression
        for name, derived in policy.derived.items()
        if derived.expression is not None
    }
    for path, text in {"population.eligible": policy.population.eligible, **texts}.items():
        try:
            parsed = parse(text, policy.types)
        except ExpressionError as error:
            yield Problem(path, str(error), "correct the expression at the mark")
            continue
        if path == "population.eligible" and parsed.type is not ColumnType.BOOLEAN:
            yield Problem(path, "is not yes or no", "compare, or combine with and/or/not")


def names_are_declared_once(policy: Policy) -> Iterator[Problem]:
    """A derived column has its own name."""
    for name in policy.derived.keys() & policy.columns.keys():
        yield Problem(f"derived.{name}", "is the name of a column as well", "rename one of them")


def retention_is_said_once(policy: Policy) -> Iterator[Problem]:
    """Goods have their days; evidence of them, which says what left, is kept no shorter."""
    match policy.retention_days, policy.retention:
        case int(), Retention():
            yield Problem("retention_days", "is said by `retention` too", "keep one of them")
        case None, Retention(goods=goods, evidence=str() as evidence) if length(evidence) < length(
            goods
        ):
            what = f"ends before the goods that it is about ({goods})"
            yield Problem("retention.evidence", what, "give it as long, or longer")


def enough_people_can_approve(policy: Policy) -> Iterator[Problem]:
    """As many keys are named as must sign, each once; who started a run may be among them."""
    asked = policy.approvals
    if asked is None:
        return
    keys = len(set(asked.by))
    if keys < len(asked.by):
        yield Problem("approvals.by", "names a key twice", "name each key once")
    able = keys - (asked.not_by is not None)
    if able < asked.quorum:
        who = " besides whoever starts a run" if asked.not_by else ""
        yield Problem(
            "approvals.quorum",
            f"asks for {asked.quorum} signatures, and only {able} can sign{who}",
            "lower it, or name more keys in `by`",
        )


def what_is_left_to_approval_has_it(policy: Policy) -> Iterator[Problem]:
    """An inconclusive check waits for approval only where the policy asks for any."""
    asked = policy.approvals
    if policy.attacks is None or (asked is not None and "hand-over" in asked.of):
        return
    for name in type(policy.attacks).model_fields:
        part = getattr(policy.attacks, name)
        if getattr(part, "when_inconclusive", None) == "approve":
            yield Problem(
                f"attacks.{name}.when_inconclusive",
                "is `approve`, and the policy has no `approvals` of hand-over",
                "add `approvals`, or use `refuse` or `report`",
            )


def legal_basis_matches_the_basis_per_person(policy: Policy) -> Iterator[Problem]:
    """Consent is looked up per person exactly if consent is the legal basis."""
    by_consent = policy.legal_basis.article_6 is Article6.CONSENT
    per_person = policy.basis.by_consent
    if by_consent and not per_person:
        yield Problem(
            "basis.kind",
            "the legal basis is consent (Art. 6(1)(a)), but consent is not looked up per person",
            "use kind `consent` or `consent-column`, or name another legal basis",
        )
    if per_person and not by_consent:
        yield Problem(
            "legal_basis.article_6",
            "consent is looked up per person, but it is not the legal basis",
            "use eu-gdpr:A6-1-a, or the basis `opt-out` or `other-basis`",
        )
    if not by_consent and policy.legal_basis.assessment is None:
        yield Problem(
            "legal_basis.assessment",
            f"{policy.legal_basis.article_6} needs an assessment on file",
            "add `assessment:` with its reference",
        )


def special_categories_need_article_9(policy: Policy) -> Iterator[Problem]:
    """A special category is read only under a condition of Art. 9(2)."""
    special = [name for name, column in policy.treated.items() if column.category.special]
    if special and policy.legal_basis.article_9 is None:
        yield Problem(
            "legal_basis.article_9",
            f"is missing, but special categories (Art. 9 GDPR) are read: {', '.join(special)}",
            "add the condition of Art. 9(2) that applies, remove the columns, or correct a wrong "
            "`category`",
        )
    needs_consent = policy.legal_basis.article_9 is Article9.EXPLICIT_CONSENT
    if special and needs_consent and policy.legal_basis.article_6 is not Article6.CONSENT:
        yield Problem(
            "legal_basis.article_9",
            "rests on explicit consent, but Art. 6 does not rest on consent",
            "let both rest on consent, or name another condition",
        )


def treatments_fit_their_columns(policy: Policy) -> Iterator[Problem]:
    """A treatment can be applied to the column's type."""
    for name, column in policy.treated.items():
        kind, of = column.treatment.kind, policy.column_type(name)
        if of not in column.treatment.facts.fits:
            fits = ", ".join(sorted(k for k, form in TREATMENTS.items() if of in form.facts.fits))
            yield Problem(
                f"{policy.path_of(name)}.treatment.kind",
                f"`{kind}` does not fit a column of type {of}",
                f"use one of {fits}",
            )


def identifiers_never_pass(policy: Policy) -> Iterator[Problem]:
    """A column that names a person is dropped, masked or tokenized, and is not a feature."""
    for name, column in policy.treated.items():
        if column.identifiability is not Identifiability.IDENTIFIER:
            continue
        if not column.treatment.facts.identifiers:
            *others, last = (k for k, form in TREATMENTS.items() if form.facts.identifiers)
            yield Problem(
                f"{policy.path_of(name)}.treatment.kind",
                f"`{column.treatment.kind}` lets an identifier pass",
                f"use {', '.join(others)} or {last}; or do not name the column, and it is never "
                "read",
            )
        if Use.FEATURE in column.use or Use.TARGET in column.use:
            yield Problem(
                f"{policy.path_of(name)}.use",
                "an identifier is neither feature nor target",
                "remove that use",
            )


def the_persons_own_column_is_an_identifier(policy: Policy) -> Iterator[Problem]:
    """The column that names the person, if also read as a column, is an identifier."""
    for name, column in policy.columns.items():
        own = policy.source_name(name) == policy.source.person
        if own and column.identifiability is not Identifiability.IDENTIFIER:
            yield Problem(
                f"columns.{name}.identifiability",
                "it is the column that names the person (source.person)",
                "write identifier; or do not name the column, and it goes no further",
            )


def declared_uses_are_real(policy: Policy) -> Iterator[Problem]:
    """A column is used only for what its `use` says, and for something."""
    users = {**policy.read_for(policy.treated.keys()), Use.RELEASE: policy.released}
    for name, column in policy.treated.items():
        path = f"{policy.path_of(name)}.use"
        if not column.use:
            fix = "add its `use`, name it in a table's `columns`, or remove it"
            yield Problem(policy.path_of(name), "is not used", fix)
        for use, names in users.items():
            if use in column.use and name not in names:
                fix = "remove that use; a column without any use need not be read"
                yield Problem(path, f"`{use}` is declared, but nothing uses it", fix)
            if name in names and use not in column.use:
                yield Problem(path, f"used for {use}, but `use` omits it", f"add `{use}`")


def dropped_columns_end_there(policy: Policy) -> Iterator[Problem]:
    """A dropped column is not used after it is dropped."""
    for name, column in policy.treated.items():
        stays = {Use.FEATURE, Use.TARGET, Use.AUDIT, Use.RELEASE} & set(column.use)
        if isinstance(column.treatment, Drop) and stays:
            yield Problem(
                f"{policy.path_of(name)}.treatment.kind",
                f"it is dropped, but `use` needs it as {', '.join(sorted(stays))}",
                "choose a treatment that keeps it, or remove that use",
            )


def known_identifiers_are_read(policy: Policy) -> Iterator[Problem]:
    """The identifiers searched for in free text are columns of the policy."""
    for name, column in policy.treated.items():
        if isinstance(column.treatment, Redact):
            for known in set(column.treatment.known) - policy.columns.keys():
                path = f"{policy.path_of(name)}.treatment.known"
                yield Problem(path, f"`{known}` is not a column here", "name it under columns")


def tokens_hide_many_values(policy: Policy) -> Iterator[Problem]:
    """A token is for identifiers: counting undoes it on few, repeated values."""
    for name, column in policy.treated.items():
        if (
            isinstance(column.treatment, Token)
            and column.identifiability is not Identifiability.IDENTIFIER
        ):
            yield Problem(
                f"{policy.path_of(name)}.treatment.kind",
                "a token on a column of repeated values is undone by counting",
                "use bin or categories, or mark the column an identifier",
            )


RULES: Final[tuple[Callable[[Policy], Iterator[Problem]], ...]] = (
    names_are_declared_once,
    retention_is_said_once,
    enough_people_can_approve,
    what_is_left_to_approval_has_it,
    legal_basis_matches_the_basis_per_person,
    special_categories_need_article_9,
    treatments_fit_their_columns,
    identifiers_never_pass,
    the_persons_own_column_is_an_identifier,
    declared_uses_are_real,
    dropped_columns_end_there,
    *many_rows.RULES,
    *tables.RULES,
    *treatments.RULES,
    *models.RULES,
    *value_rules.RULES,
    *words.RULES,
    known_identifiers_are_read,
    tokens_hide_many_values,
    *consent.RULES,
    *population.RULES,
)
