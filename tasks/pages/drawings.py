"""What the report draws, scaled: funnels, axes, groups in their order, and ways out.

Pure: published figures in, places in percent out. The drawing itself is in `report.html.j2`.

The bar of a way out says how much it keeps: detail of a table from none to all, or a model's AUC
from chance to perfect; a tick stands where nothing is changed. A way that does not hold has no bar,
since it keeps nothing; where no cost was measured there are words alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Final

from tasks.account.published import Way, WaysOut
from tasks.pages.way_words import COSTS, say_costs
from tasks.pages.words import say_promise

if TYPE_CHECKING:
    from tasks.account.advised import Advice
    from tasks.account.measured import Audit, Quality
    from tasks.account.published import (
        ClassSize,
        ComparedColumn,
        Figure,
        LabelShares,
        OutletSummary,
        Promise,
        Representation,
        TradePoint,
    )


BREAK: Final = 62.0
"""Where, in percent of a funnel row's height, the bar ends and the slope to the next begins."""
THINNEST: Final = 1.5
"""The width, in percent, of a bar whose count is hidden or near none."""
RISKS_OF_SIZE: Final = {
    "prosecutor": "finding the person most at risk",
    "marketer": "finding an average person",
    "uniqueness": "people alone in their class",
}
CHANCE: Final = 0.5
"""The AUC of guessing."""
ROOM: Final = 1.25
"""How long a promise's bar is beside the larger of what was asked and reached."""
NEAREST: Final = 0.3
"""How far from 1 an axis of ratios reaches at least, so that small gaps look small."""
STATES: Final[Mapping[bool | None, str]] = {True: "passed", False: "refused", None: "inconclusive"}
SAID: Final[Mapping[bool | None, str]] = {True: "Passes", False: "Does not pass", None: "Unknown"}


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """One row of a funnel, drawn in a box of 100 by 100: the bar, and the slope to the next."""

    figure: Figure
    share: float | None
    bar: str
    slope: str


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from `low` to `high`; places on it are percent of its width."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Give where a value stands, kept within the axis."""
        share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)


@dataclass(frozen=True, slots=True)
class PromiseBar:
    """One promise in percent of its bar: where it was reached, what was asked, the kept side."""

    promise: Promise
    text: str
    reached: float
    asked: float
    within: tuple[float, float]


def draw_promise(promise: Promise) -> PromiseBar:
    """Scale a promise so that the larger of asked and reached leaves room beyond it.

    An AUC begins at chance, all else at nothing.
    """
    low = CHANCE if promise.symbol == "AUC" else 0.0
    longest = max(promise.asked, promise.reached, low) - low
    axis = Axis(low, low + (longest * ROOM or 1.0))
    asked = axis.place(promise.asked)
    within = (asked, 100.0) if promise.at_least else (0.0, asked)
    return PromiseBar(promise, say_promise(promise), axis.place(promise.reached), asked, within)


def draw_funnel(figures: Sequence[Figure]) -> tuple[FunnelRow, ...]:
    """Draw each figure as wide as its part of the largest; hidden ones at the thinnest."""
    if not figures:
        return ()
    first, largest = figures[0].about, max(figure.about or 0 for figure in figures) or 1
    widths = [max(100 * (figure.about or 0) / largest, THINNEST) for figure in figures]
    rows = zip(figures, widths, [*widths[1:], None], strict=True)
    return tuple(
        FunnelRow(
            figure,
            figure.about / first if figure.about is not None and first else None,
            _outline(width, width, 0, BREAK),
            "" if below is None else _outline(width, below, BREAK, 100),
        )
        for figure, width, below in rows
    )


def _outline(top: float, bottom: float, start: float, end: float) -> str:
    """Give an SVG path around a centred shape, `top` and `bottom` wide."""
    corners = [(50 - top / 2, start), (50 + top / 2, start)]
    corners += [(50 + bottom / 2, end), (50 - bottom / 2, end)]
    return "M" + "L".join(f"{x:.2f} {y:.0f}" for x, y in corners) + "Z"


def trim_sizes(classes: Sequence[ClassSize]) -> Sequence[ClassSize]:
    """Leave out the sizes above the largest class."""
    held = [place for place, size in enumerate(classes) if size.classes]
    return classes[: held[-1] + 1] if held else classes


def scale_auc(quality: Quality | None, audits: Sequence[Audit]) -> Axis:
    """From chance to perfect, or from 0 where some AUC is under chance."""
    found = [group.auc for audit in audits for group in audit.groups if group.auc is not None]
    if quality:
        found += [quality.auc, quality.auc if quality.auc_low is None else quality.auc_low]
        found += [one.auc_low for one in quality.classes if one.auc_low is not None]
    return Axis(0.0 if min(found, default=1.0) < 0.5 else 0.5, 1.0)


def scale_ratios(found: Representation) -> Axis:
    """From as far below 1 as above it, so that every ratio up to 2 has its place, and not nearer.

    A ratio is of a label's share to the reference's, which stands in the middle, at 1.
    """
    rows = [row for column in found.columns for row in column.labels]
    ratios = [row.ratio for row in rows if row.ratio is not None]
    ratios += [row.weighted / row.reference for row in rows if row.weighted and row.reference]
    farthest = max((abs(ratio - 1) for ratio in ratios), default=0.0)
    reach = min(max(ceil(11 * farthest) / 10, NEAREST), 1.0)
    return Axis(1 - reach, 1 + reach)


@dataclass(frozen=True, slots=True)
class Mark:
    """One point of a curve, placed in percent from the left and from the top.

    `text` says its value, `under` what it is the value at.
    """

    x: float
    y: float
    under: str
    text: str
    asked: bool


@dataclass(frozen=True, slots=True)
class Curve:
    """One figure as something else grows; what has no value there is not drawn."""

    title: str
    caption: str
    marks: tuple[Mark, ...]

    @property
    def lines(self) -> tuple[tuple[Mark, Mark], ...]:
        """Each mark with the next one."""
        return tuple(pairwise(self.marks))


def draw_tradeoff(points: Sequence[TradePoint], asked: int | None) -> tuple[Curve, ...]:
    """Draw what a table keeps at each k: detail, counts, and a model's AUC where there is one."""
    detail = [None if p.granularity is None else p.granularity for p in points]
    whole = next((value for value in detail if value), 1.0)
    kept = [None if value is None else value / whole for value in detail]
    under = ["as is" if p.k == 1 else str(p.k) for p in points]
    return tuple(
        Curve(title, caption, _mark(under, values, str(asked), form))
        for title, caption, values, form in (
            ("Detail kept", "of the rows as they are", kept, "{:.0%}"),
            ("Error of counts", "median, relative", [p.query_error for p in points], "{:.1%}"),
            ("AUC of a model", "learned from it", [p.auc for p in points], "{:.3f}"),
        )
        if any(value is not None for value in values)
    )


def draw_advice(advice: Advice) -> tuple[Curve, ...]:
    """Draw the AUC against how many columns are read, and against ε where it was measured."""
    path = [(len(advice.path) + 1, advice.auc), *((one.columns, one.auc) for one in advice.path)]
    columns, by_columns = [str(n) for n, _ in path], [auc for _, auc in path]
    epsilons = [f"{point.epsilon:g}" for point in advice.epsilons]
    return tuple(
        Curve(title, caption, _mark(under, values, asked, "{:.2f}"))
        for title, caption, under, values, asked in (
            ("AUC by columns", "the least needed dropped first", columns, by_columns, columns[0]),
            ("AUC by ε", "of a private model", epsilons, [p.auc for p in advice.epsilons], ""),
        )
        if values
    )


def _mark(
    under: Sequence[str], values: Sequence[float | None], asked: str, form: str
) -> tuple[Mark, ...]:
    """Place values between the least and the largest; a flat curve stands in the middle."""
    found = [value for value in values if value is not None]
    low, high = min(found), max(found)
    return tuple(
        Mark(
            round(8 + 84 * place / max(len(under) - 1, 1), 2),
            round(84 - 56 * (value - low) / (high - low), 2) if high > low else 56.0,
            label,
            form.format(value).replace("%", " %"),
            label == asked,
        )
        for place, (label, value) in enumerate(zip(under, values, strict=True))
        if value is not None
    )


def arrange(found: Representation) -> list[ComparedColumn]:
    """Put the columns with the largest gaps first, and those a weighting was not told of last.

    Labels keep an order of their own; else the rarest beside the reference come first. What the
    reference has no share of stands below.
    """
    weighted = found.effective_sample_share is not None
    columns = [replace(column, labels=tuple(_arrange_labels(column))) for column in found.columns]
    return sorted(
        columns,
        key=lambda one: (
            weighted and one.role == "hold-out",
            -max(abs(row.difference or 0) for row in one.labels),
        ),
    )


def _arrange_labels(column: ComparedColumn) -> list[LabelShares]:
    def place(row: LabelShares) -> tuple[bool, float]:
        rarity = 0.0 if row.ratio is None else row.ratio
        return row.reference is None, 0.0 if column.ordered else rarity

    return sorted(column.labels, key=place)


def list_risks(outlet: OutletSummary) -> tuple[tuple[str, float | None, str], ...]:
    """Name each risk of a table with its check's verdict: what was tried, then what sizes tell."""
    found = {
        name.removeprefix("risk."): value
        for name, value in outlet.measures.items()
        if name.startswith("risk.")
    }
    verdicts = {check.name: str(check.verdict) for check in outlet.checks}
    tried = {n: n.replace("_", " ", 1) for n in found if n not in RISKS_OF_SIZE}
    return (
        *(
            (told, found[n], verdicts.get(f"{told} from {outlet.name}", ""))
            for n, told in tried.items()
        ),
        *((words, found[name], "") for name, words in RISKS_OF_SIZE.items() if name in found),
    )


KEPT: Final[Mapping[str, tuple[str, str, Axis]]] = {
    "granularity": ("Detail kept", "granularity", Axis(0.0, 1.0)),
    "auc": ("Quality kept", "AUC on the test people", Axis(0.5, 1.0)),
    "r2": ("Quality kept", "R² on the test people", Axis(0.0, 1.0)),
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
