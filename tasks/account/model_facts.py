"""What a run found out about its model: its training, its quality, and how it treats groups.

Read from the evidence into the published forms; what was not noted is absent, not zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from expectations.policy.policy import Policy
from tasks.account.findings import Found, read
from tasks.account.published import Audit, Difference, GroupQuality, Quality, Training

DIFFERENCES: Final = ("demographic_parity", "equalized_odds")


def read_training(found: Found, policy: Policy) -> Training | None:
    """Give how the model is trained, by the policy and by what the run noted; None without one."""
    if policy.training is None:
        return None
    noted, budget = found.body("training", "model"), policy.budget
    return Training(
        kind=policy.training.model,
        input=policy.training.input,
        crosses=policy.training.crosses,
        parameters=read(dict[str, str], noted.get("parameters") or {}),
        mechanisms=read(tuple[dict[str, str | float], ...], noted.get("mechanisms") or ()),
        lifetime_epsilon=budget.lifetime_epsilon if budget else None,
        lifetime_delta=budget.delta if budget else None,
        composition=budget.composition if budget else None,
    )


def read_quality(found: Found) -> Quality | None:
    """Give how good the model is; None where no model was measured."""
    measures = found.measures("utility.")
    if measures.get("auc") is None:
        return None
    names = [form.name for form in fields(Quality)]
    return read(Quality, {name: measures.get(name) for name in names})


def read_audits(found: Found) -> tuple[Audit, ...]:
    """Give what is told of the groups of each audited column."""
    return tuple(
        Audit(
            column,
            read(tuple[GroupQuality, ...], body),
            tuple(_read_differences(found.measures("fairness."), column)),
        )
        for column, body in found.tables("utility.groups.").items()
    )


def _read_differences(measures: dict[str, float | None], column: str) -> Iterator[Difference]:
    for name in DIFFERENCES:
        places = (name, f"{name}_low", f"{name}_high")
        value, low, high = (measures.get(f"{place}.{column}") for place in places)
        if value is not None and low is not None and high is not None:
            yield Difference(name, value, low, high)
