"""How the worth of a model of several classes, or of a number, is drawn.

Pure: published figures in, places in percent out, as in `quality_drawings`; the drawing itself is
in `drawn_measures.html.j2`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.pages.drawings import Axis

if TYPE_CHECKING:
    from tasks.account.measured import NumberQuality, Quality


@dataclass(frozen=True, slots=True)
class Cell:
    """The share of a class's people who are called something; None where it is not told."""

    label: str
    share: float | None
    own: bool


@dataclass(frozen=True, slots=True)
class ConfusionRow:
    """What the model takes the people of one class for."""

    label: str
    cells: tuple[Cell, ...]


def draw_measures(quality: Quality | None, number: NumberQuality | None) -> dict[str, object]:
    """Draw all of it, for a page."""
    rows = draw_confusion(quality) if quality else ()
    labels = [cell.label for cell in rows[0].cells] if rows else []
    return {"confused": rows, "called": labels, "errors_axis": scale_errors(number)}


def draw_confusion(quality: Quality) -> tuple[ConfusionRow, ...]:
    """Draw a row for each class that is told of; columns are all classes that are told of."""
    labels = [one.label for one in quality.classes]
    labels += [few for few in quality.few if any(
        each.label == few for one in quality.classes for each in one.confused)]  # fmt: skip
    return tuple(
        ConfusionRow(
            one.label,
            tuple(
                Cell(label, {one.label: one.found, **{c.label: c.share for c in one.confused}}
                     .get(label), own=label == one.label)
                for label in labels
            ),
        )
        for one in quality.classes
    )  # fmt: skip


def scale_errors(number: NumberQuality | None) -> Axis:
    """From as far too low as too high, so that no error being there stands in the middle."""
    if number is None:
        return Axis(-1.0, 1.0)
    ends = [abs(end) for one in number.ranges for end in (one.bias_low, one.bias_high)]
    ends += [abs(end) for audit in number.audits for one in audit.groups
             for end in (one.bias_low, one.bias_high)]  # fmt: skip
    reach = max(ends, default=0.0) or number.mae or 1.0
    return Axis(-reach, reach)
