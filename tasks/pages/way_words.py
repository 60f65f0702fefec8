"""How a way out of a refusal is told, wherever it is shown: whether it holds, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

HOLDS: Final[Mapping[bool | None, str]] = {True: "yes", False: "no", None: "unknown"}


@dataclass(frozen=True, slots=True)
class Cost:
    """One measure: the head of its column, its number as written, and both in a phrase."""

    head: str
    write: Callable[[float], str]
    phrase: str


COSTS: Final[Mapping[str, Cost]] = {
    "granularity": Cost("granularity", lambda value: f"{value:.2f}".removeprefix("0"),
                        "granularity {}"),
    "suppressed_share": Cost("left out", lambda value: f"{100 * value:.1f} %",
                             "up to {} left out"),
    "auc": Cost("AUC", lambda value: f"{value:.3f}".removeprefix("0"), "AUC {}"),
    "r2": Cost("R²", lambda value: f"{value:.3f}", "R² {}"),
    "membership_auc": Cost("attack", lambda value: f"{value:.3f}".removeprefix("0"), "attack {}"),
    "lifetime_epsilon": Cost("lifetime ε", lambda value: f"{value:.2f}", "lifetime ε {}"),
    "runs": Cost("runs", lambda value: f"{value:,.0f}", "runs that fit: {}"),
}  # fmt: skip
"""By measure, as `Way.cost` names it."""


def say_costs(costs: Mapping[str, float | None]) -> Iterator[str]:
    """Word each cost that is known."""
    for name, cost in COSTS.items():
        value = costs.get(name)
        if value is not None:
            yield cost.phrase.format(cost.write(value))
