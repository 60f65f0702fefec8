"""What `tutela check` says of a policy without a person's data: what is read, done, promised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from expectations.outlets import ModelOutlet, claim, limits
from expectations.policy import Policy
from expectations.policy_file import PolicyFile
from expectations.treatments import describe

if TYPE_CHECKING:
    from ledgers.evidence import JSON


def describe_plan(file: PolicyFile, there: tuple[str, ...]) -> str:
    """Say in words what a run of the policy would do."""
    return "\n".join(plan_lines(file, there))


def plan_lines(file: PolicyFile, there: tuple[str, ...]) -> Iterator[str]:
    """Give the plan line by line, at most 80 wide where names allow."""
    policy = file.policy
    articles = [policy.legal_basis.article_6, policy.legal_basis.article_9]
    yield f"{policy.name}: {policy.title}"
    yield f"  purpose      {policy.purpose}"
    yield f"  legal basis  {', '.join(str(article) for article in articles if article)}"
    yield f"  who decides  {policy.controller.name}, {policy.controller.contact}"
    yield f"  population   {policy.population.eligible}"
    yield f"               at least {policy.population.smallest:,} people"
    yield ""
    yield f"Read are {len(policy.columns)} of the source's {len(there)} columns:"
    width = max(map(len, policy.treated))
    for name, column in policy.treated.items():
        special = " (special category)" if column.category.special else ""
        yield f"  {name:<{width}}  {describe(column.treatment)}{special}"
    for name, outlet in policy.outlets.items():
        yield ""
        yield f"{outlet.recipient} ({name}) may be told, if every check passes:"
        yield f"  {claim(outlet)}"
        yield f"  Not covered: {limits(outlet)}"
    yield ""
    yield f"Nothing was read of a person. To run it: tutela run {run_name(file)}"


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
