"""What `tutela check` says of a policy without a person's data: what is read, done, promised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, assert_never

from deployments.screen import command, wrap
from expectations.outlets import ModelOutlet, claim, limits
from expectations.policy import Basis, ConsentColumn, ConsentLedger, OptOutList, OtherBasis, Policy
from expectations.policy_file import PolicyFile
from expectations.treatments import describe

if TYPE_CHECKING:
    from ledgers.evidence import JSON


def describe_plan(file: PolicyFile, there: tuple[str, ...], source: str | None = None) -> str:
    """Say in words what a run of the policy would do; `source` is where else to read people."""
    parts = (about_lines, read_lines, check_lines, told_lines)
    lines = [line for part in parts for line in (*part(file.policy, len(there)), "")]
    called = f"{command()} run {run_name(file)}{f' --source {source}' if source else ''}"
    return "\n".join([*lines, f"Nothing was read of a person. To run it: {called}"])


def about_lines(policy: Policy, _there: int) -> Iterator[str]:
    """Say what for, on what basis, and whose data it is."""
    articles = [policy.legal_basis.article_6, policy.legal_basis.article_9]
    yield from wrap(f"{policy.name}: {policy.title}")
    yield f"  purpose      {policy.purpose}"
    yield f"  legal basis  {', '.join(str(article) for article in articles if article)}"
    yield from wrap(describe_basis(policy.basis), " " * 15)
    yield f"  controller   {policy.controller.name}, {policy.controller.contact}"
    yield from wrap(policy.population.eligible, "  population   ", " " * 15)
    yield f"               at least {policy.population.smallest:,} people"
    yield f"  kept for     {policy.retention_days:,} days"


def describe_basis(basis: Basis) -> str:
    """Say how it is known of each person whether they may be read."""
    match basis:
        case ConsentLedger(events=places):
            return f"per person: the latest consent event, in {len(places)} place(s)"
        case ConsentColumn(column=column):
            return f"per person: a yes in the column {column}"
        case OptOutList():
            return "per person: everybody but who is on the opt-out list"
        case OtherBasis():
            return "for everybody in the source"
        case _:
            assert_never(basis)


def read_lines(policy: Policy, there: int) -> Iterator[str]:
    """Say which columns are read, and what becomes of each."""
    first = [policy.source.person]
    if isinstance(policy.basis, ConsentColumn):
        first.append(policy.basis.column)
    yield from wrap(f"Read of everybody: {', '.join(first)}.")
    yield from wrap(
        f"Read of the people with a legal basis: {len(policy.columns)} of the source's {there} "
        "columns; the rest of the list is derived."
        if policy.derived
        else f"Read of the people with a legal basis: {len(policy.columns)} of the source's "
        f"{there} columns."
    )
    width = max(map(len, policy.treated))
    for name, column in policy.treated.items():
        special = " (special category)" if column.category.special else ""
        yield f"  {name:<{width}}  {describe(column.treatment)}{special}"


def check_lines(policy: Policy, _there: int) -> Iterator[str]:
    """Say what is checked before anything leaves, beside what each outlet promises."""
    yield f"Checked: {len(policy.expectations)} rules about values"
    if policy.training and policy.attacks:
        limit = policy.attacks.membership.auc_at_most
        yield from wrap(
            f"         a {policy.training.model} model, attacked by membership inference; its AUC "
            f"may reach {limit:.2f}", hanging="         ",
        )  # fmt: skip


def told_lines(policy: Policy, _there: int) -> Iterator[str]:
    """Say what each recipient may be told."""
    for n, (name, outlet) in enumerate(policy.outlets.items()):
        if n:
            yield ""
        yield from wrap(f"{outlet.recipient} ({name}) may be told, if every check passes:")
        yield from wrap(claim(outlet), "  ")
        yield from wrap(f"Not covered: {limits(outlet)}", "  ")


def run_name(file: PolicyFile) -> str:
    """Give what names the policy on the command line."""
    from expectations.policy_file import PACKAGED

    return file.policy.name if file.folder == PACKAGED else str(file.path)


def plan_json(file: PolicyFile, there: tuple[str, ...]) -> dict[str, JSON]:
    """Give the plan as plain values."""
    policy = file.policy
    return {
        "policy": policy.name,
        "purpose": str(policy.purpose),
        "legal_basis": [
            str(a) for a in (policy.legal_basis.article_6, policy.legal_basis.article_9) if a
        ],
        "columns_there": len(there),
        "columns": columns_json(policy),
        "outlets": {
            name: {
                "kind": "model" if isinstance(outlet, ModelOutlet) else "table",
                "recipient": outlet.recipient,
                "claim": claim(outlet),
                "limits": limits(outlet),
            }
            for name, outlet in policy.outlets.items()
        },
    }


def columns_json(policy: Policy) -> dict[str, JSON]:
    """Give what becomes of each column."""
    return {
        name: {
            "category": str(column.category),
            "special": column.category.special,
            "use": [str(use) for use in column.use],
            "treatment": describe(column.treatment),
        }
        for name, column in policy.treated.items()
    }
