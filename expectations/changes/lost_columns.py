"""What goes with a column or a table that a policy no longer has, said where policies are compared.

A rule about a column that is not read any more protects nobody: that it is gone is no weaker
promise, and that one came with a new column no stronger. A table that became a model took its k
and its columns with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from expectations.changes.meanings import Direction
from expectations.policy.outlets import ModelOutlet, Outlet, TableOutlet
from expectations.policy.policy import Policy

ABOUT: Final = ("sensitive", "loss_ratio")
"""The parts of a table's outlet that promise something about a single column."""


def find_column(path: Sequence[str], rules: Mapping[str, str]) -> str | None:
    """Name the single column that a rule, or a part of an outlet, is about; None for all else.

    `rules` gives by the name of each rule the column that it is about.
    """
    match path:
        case ["expectations", rule, *_]:
            return rules.get(rule.partition(" #")[0])
        case ["outlets", _, part, column, *_] if part in ABOUT:
            return column
        case _:
            return None


def tell_unread(column: str | None, direction: Direction, old: Policy, new: Policy) -> str:
    """Say that a promise came or went with the column that it is about; "" where it did not."""
    if column is None:
        return ""
    if direction == "weaker" and column not in new.treated:
        return f" ({column} is no longer read)"
    if direction == "stronger" and column not in old.treated:
        return f" ({column} was not read before)"
    return ""


def say_other_kind(old: Outlet, new: Outlet) -> str:
    """Say what an outlet of another kind was and is; "" for one of the same kind."""
    if old.kind == new.kind:
        return ""
    return f"was {_say_outlet(old)}, is now {_say_outlet(new)}"


def _say_outlet(outlet: Outlet) -> str:
    match outlet:
        case ModelOutlet(promise=None):
            return "a model without differential privacy"
        case ModelOutlet(promise=promise):
            assert promise is not None
            return f"a model under ε = {promise.epsilon:g}, δ = {promise.delta:g}"
        case TableOutlet(k=k, max_suppressed=share, columns=columns):
            told = f"k = {k}, at most {100 * share:.3g} % left out"
            return f"a table of {', '.join(columns)} ({told})"
