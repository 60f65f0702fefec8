"""Whether a policy's value rules fit the treatments of their columns, and can fail at all.

One plain function per rule of coherence, as in `rules`, which asks them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, assert_never

from expectations.errors import Problem, find_nearest
from expectations.policy.policy import (
    MissingAtMost,
    Policy,
    Rule,
    ShareBetween,
    ValuesBetween,
    ValuesIn,
)
from expectations.policy.treatments import Clip, public_labels


def rules_fit_their_columns(policy: Policy) -> Iterator[Problem]:
    """A value rule is about a column that exists after de-identification, and can pass."""
    for n, rule in enumerate(policy.expectations):
        path = f"expectations.{n}"
        if rule.column not in policy.leaving:
            yield lack_column(rule.column, f"{path}.column", policy)
            continue
        if isinstance(rule, ValuesBetween | ShareBetween) and rule.low > rule.high:
            yield Problem(f"{path}.low", "is above high", "swap them")
        treatment = policy.treated[rule.column].treatment
        labels = public_labels(treatment, policy.column_type(rule.column))
        numeric = labels is None and treatment.facts.bounds
        if isinstance(rule, ValuesBetween) and not numeric:
            fix = "use one-of or share-between, or clip the column"
            yield Problem(f"{path}.rule", f"`{treatment.kind}` leaves words, not numbers", fix)
        if isinstance(rule, ShareBetween) and labels is not None and rule.value not in labels:
            fix = f"use one of {', '.join(labels)}"
            yield Problem(f"{path}.value", f"`{rule.column}` can never hold it", fix)


def lack_column(name: str, path: str, policy: Policy) -> Problem:
    """Say that a rule's column is not there; of one spelt nearly so, that either may be wrong.

    Which of the two the source has is not known here.
    """
    if (near := find_nearest(name, policy.leaving)) is None:
        fix = f"use one of {', '.join(policy.leaving)}"
        return Problem(path, "does not exist after de-identification", fix)
    return Problem(
        path,
        f"`{name}` does not exist after de-identification, and `{policy.path_of(near)}` is spelt "
        "nearly so",
        f"first look which of the two the source has, then write `{name}` or `{near}` in both",
    )


def rules_can_fail(policy: Policy) -> Iterator[Problem]:
    """A value rule asks for something that the treatment does not already guarantee."""
    for n, rule in enumerate(policy.expectations):
        if rule.column in policy.leaving and always_holds(rule, policy):
            yield Problem(
                f"expectations.{n}",
                f"cannot fail, whatever the values of `{rule.column}` are",
                "ask for less than the treatment allows, or remove the rule",
            )


def always_holds(rule: Rule, policy: Policy) -> bool:
    """Whether a rule holds of every table that its column's treatment can leave."""
    treatment = policy.treated[rule.column].treatment
    match rule:
        case ValuesBetween(low=low, high=high):
            return isinstance(treatment, Clip) and low <= treatment.low and treatment.high <= high
        case ValuesIn(values=values):
            labels = public_labels(treatment, policy.column_type(rule.column))
            return labels is not None and set(labels) <= set(values)
        case MissingAtMost(share=share):
            return share >= 1
        case ShareBetween(low=low, high=high):
            return low <= 0 and high >= 1
        case _:
            assert_never(rule)


RULES: Final[tuple[Callable[[Policy], Iterator[Problem]], ...]] = (
    rules_can_fail,
    rules_fit_their_columns,
)
