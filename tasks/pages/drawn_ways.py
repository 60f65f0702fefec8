"""The ways out of a refusal, scaled for the picture in the report.

A bar says how much a way keeps: detail of a table from none to all, or a model's AUC from chance
to perfect; a tick stands where nothing is changed. A way that does not hold has no bar, since it
keeps nothing; where no cost was measured there are words alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tasks.account.published import Way, WaysOut
from tasks.pages.drawings import Axis
from tasks.pages.way_words import COSTS, say_costs

STATES: Final[Mapping[bool | None, str]] = {True: "passed", False: "refused", None: "inconclusive"}
SAID: Final[Mapping[bool | None, str]] = {True: "Holds", False: "Does not hold", None: "Unknown"}
KEPT: Final[Mapping[str, tuple[str, str, Axis]]] = {
    "granularity": ("Detail kept", "granularity", Axis(0.0, 1.0)),
    "auc": ("Quality kept", "AUC on the test people", Axis(0.5, 1.0)),
}
"""By the measure that a bar shows: its title, what it is called, and its scale."""


@dataclass(frozen=True, slots=True)
class WayBar:
    """One way: its icon, its bar in percent (None for none), and what stands at its end."""

    change: str
    state: str
    said: str
    reached: str
    width: float | None
    value: str
    beside: str


@dataclass(frozen=True, slots=True)
class DrawnWays:
    """One refusal's ways; `tick` in percent is where nothing is changed, None where not known."""

    found: WaysOut
    title: str
    caption: str
    tick: float | None
    tick_text: str
    bars: tuple[WayBar, ...]

    @property
    def holds(self) -> bool:
        """Whether some way holds."""
        return any(way.holds for way in self.found.ways)


def draw_ways(found: WaysOut) -> DrawnWays:
    """Scale the ways out of one refusal."""
    kept = next((name for name in KEPT if any(name in way.cost for way in found.ways)), None)
    title, caption, axis = KEPT[kept] if kept else ("", "", Axis(0.0, 1.0))
    whole = found.as_is.get(kept) if kept else None
    bars = tuple(_draw_way(way, kept, axis) for way in found.ways)
    tick = None if whole is None else axis.place(whole)
    return DrawnWays(found, title, caption, tick, say_number(kept, whole), bars)


def _draw_way(way: Way, kept: str | None, axis: Axis) -> WayBar:
    value = way.cost.get(kept) if kept else None
    shown = value is not None and way.holds is not False
    return WayBar(
        way.change,
        STATES[way.holds],
        SAID[way.holds],
        way.reached,
        axis.place(value) if value is not None and shown else None,
        say_number(kept, value),
        "; ".join(say_costs({**way.cost, kept: None} if kept else way.cost)),
    )


def say_number(kept: str | None, value: float | None) -> str:
    """Write the number that a bar shows; nothing where there is none."""
    return "" if kept is None or value is None else COSTS[kept].write(value)
