"""How a model's worth is drawn: its ROC curve, its calibration, and what comes of 1,000 people.

Pure: published figures in, places in percent out, as in `drawings.py`; the drawing itself is in
`drawn_quality.html.j2`. Where too few people were tested there is nothing to draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from expectations.disclosure import percent
from tasks.pages.drawings import Axis
from tasks.pages.words import say_risk

if TYPE_CHECKING:
    from tasks.account.measured import AtThreshold, Quality

CROWD: Final = 1_000
"""People of whom it is said how many are found, missed and falsely alarmed about."""
NAME: Final = (14.0, 5.0)
"""How wide and how high a point's name is at most, in percent of the picture."""
Place = tuple[float, float]
"""Percent from the left and from the top."""


@dataclass(frozen=True, slots=True)
class RocPoint:
    """One threshold on the curve; `name` is empty where it would cover another's."""

    x: float
    y: float
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Roc:
    """The curve and its band as SVG paths in a box of 100 by 100, and the points on it."""

    line: str
    band: str
    points: tuple[RocPoint, ...]


@dataclass(frozen=True, slots=True)
class Screened:
    """What comes of 1,000 people at one threshold, and where its bars end, in percent."""

    threshold: str
    found: int
    found_range: tuple[int, int]
    missed: int
    alarms: int
    alarms_range: tuple[int, int]
    found_end: float
    alarms_end: float

    @property
    def precision(self) -> float:
        """The share of those called positive who have the outcome."""
        return round(self.found / max(self.found + self.alarms, 1), 2)


@dataclass(frozen=True, slots=True)
class Screening:
    """What comes of 1,000 people: how many have the outcome, and each threshold."""

    have: int
    have_end: float
    rows: tuple[Screened, ...]


def draw_worth(quality: Quality | None) -> dict[str, object]:
    """Draw all of it, for a page."""
    return {
        "screening": draw_screening(quality),
        "roc": draw_roc(quality),
        "risk_axis": scale_risks(quality),
    }


def draw_roc(quality: Quality | None) -> Roc | None:
    """Draw the curve through the thresholds from nobody to everybody called positive."""
    rates = sorted(quality.thresholds if quality else (), key=lambda one: -one.threshold)
    if not rates:
        return None
    on = [_place(one.false_positive_rate, one.true_positive_rate) for one in rates]
    best = [_place(one.false_positive_low, one.true_positive_high) for one in rates]
    worst = [_place(one.false_positive_high, one.true_positive_low) for one in rates]
    first, last = _place(0, 0), _place(1, 1)
    return Roc(
        _path([first, *on, last]),
        _path([first, *best, last, *reversed(worst)]) + "Z",
        tuple(_name_points(rates, on)),
    )


def _place(across: float, up: float) -> Place:
    return round(100 * across, 2), round(100 * (1 - up), 2)


def _path(places: Sequence[Place]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in places)


def _name_points(rates: Sequence[AtThreshold], places: Sequence[Place]) -> Iterator[RocPoint]:
    named: list[Place] = []
    for one, place in zip(rates, places, strict=True):
        apart = all(abs(place[0] - x) >= NAME[0] or abs(place[1] - y) >= NAME[1] for x, y in named)
        named += [place] if apart else []
        risk = say_risk(one.threshold)
        found, alarms = percent(one.true_positive_rate), percent(one.false_positive_rate)
        text = f"above {risk}: {found} found, {alarms} false alarms"
        yield RocPoint(*place, risk if apart else "", text)


def draw_screening(quality: Quality | None) -> Screening | None:
    """Say of 1,000 people with the outcome as often as the test people what each threshold does."""
    if quality is None or quality.base_rate is None or not quality.thresholds:
        return None
    have = round(CROWD * quality.base_rate)
    others = CROWD - have
    most = have + max(round(others * one.false_positive_rate) for one in quality.thresholds)
    axis = Axis(0.0, float(most))
    return Screening(
        have,
        axis.place(have),
        tuple(_screen(one, have, others, axis) for one in quality.thresholds),
    )


def _screen(one: AtThreshold, have: int, others: int, axis: Axis) -> Screened:
    found, alarms = round(have * one.true_positive_rate), round(others * one.false_positive_rate)
    return Screened(
        say_risk(one.threshold),
        found,
        (round(have * one.true_positive_low), round(have * one.true_positive_high)),
        have - found,
        alarms,
        (round(others * one.false_positive_low), round(others * one.false_positive_high)),
        axis.place(found),
        axis.place(have + alarms),
    )


def scale_risks(quality: Quality | None) -> Axis:
    """From no risk to the highest that is drawn, in whole tens of percent.

    The last range reaches to certainty, mostly without people there, and may go beyond the axis.
    """
    ranges = quality.calibration if quality else ()
    ends = [one.observed_high for one in ranges] + [one.low for one in ranges]
    ends += [one.high for one in ranges[:-1]]
    return Axis(0.0, min(ceil(round(10 * max(ends, default=1.0), 9)) / 10, 1.0))
