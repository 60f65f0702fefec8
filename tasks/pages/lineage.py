"""The way of each column, drawn: from a table of the source, through its treatment, to who has it.

Pure: a `Summary` in, places in a drawing of fixed width out; `lineage.html.j2` draws. Each way is
a link to its row in the table beside it, which says the same in words, so that it can be walked by
keyboard and is read aloud. Names only: no value and no count of people is known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tasks.account.published import ColumnFate, Summary

WIDTH: Final = 1000
ROW: Final = 38
TOP: Final = 34
LEFT: Final = 268
"""Where labels of sources end and ways begin; so on for the others."""
MIDDLE: Final = (392, 668)
RIGHT: Final = 786
LONGEST: Final = 36
"""The most characters of a label; the table beside it shows all of it."""
TREATED: Final = 44
STAYS: Final = "stays here"


@dataclass(frozen=True, slots=True)
class Node:
    """A label at its height."""

    text: str
    y: float
    kind: str


@dataclass(frozen=True, slots=True)
class Way:
    """One column's way: its box in the middle, the lines to it and from it, and all in words."""

    fate: ColumnFate
    text: str
    treated: str
    y: float
    kind: str
    lines: tuple[tuple[str, str], ...]
    """Each with the kind that colours it."""
    said: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """A whole drawing."""

    width: int
    height: float
    sources: tuple[Node, ...]
    ways: tuple[Way, ...]
    ends: tuple[Node, ...]
    never: str
    """What is said of columns that nobody read."""


def draw_lineage(summary: Summary) -> Lineage:
    """Place the ways of all columns; many of one table stand together."""
    fates = summary.fates
    origins = _group(one for fate in fates for one in fate.origins)
    ends = list(dict.fromkeys(end for fate in fates for end in list_ends(fate, summary)))
    ends.sort(key=lambda end: end == STAYS)
    rows = max(len(fates), len(origins), len(ends), 1)
    height = TOP + rows * ROW + 8
    places = dict(zip(origins, _spread(len(origins), rows), strict=True))
    until = dict(zip(ends, _spread(len(ends), rows), strict=True))
    ways = tuple(
        _draw_way(fate, y, places, until, summary)
        for fate, y in zip(fates, _spread(len(fates), rows), strict=True)
    )
    return Lineage(
        WIDTH, height, tuple(_label_sources(places)), ways,
        tuple(Node(_cut(end, 30), y, _kind(end, summary)) for end, y in until.items()),
        say_never(summary),
    )  # fmt: skip


def list_ends(fate: ColumnFate, summary: Summary) -> list[str]:
    """Name where a column ends: with a model as feature or target, in a table, or here."""
    kinds = {outlet.name: outlet.kind for outlet in summary.outlets}
    as_what = "target" if "target" in fate.uses else "feature"
    ends = [
        f"{name}: {as_what if kinds.get(name) == 'model' else 'released'}" for name in fate.outlets
    ]
    return ends or [STAYS]


def say_way(fate: ColumnFate, summary: Summary) -> str:
    """Say a column's way in words."""
    ends = list_ends(fate, summary)
    to = "stays here" if ends == [STAYS] else f"to {', '.join(ends)}"
    return f"{fate.name}: from {', '.join(fate.origins) or 'nothing'}; {fate.treatment}; {to}"


def say_never(summary: Summary) -> str:
    """Say how many columns of the people's table nobody read; their names are not on record."""
    unread = summary.measures.get("columns.unread")
    if unread is None:
        return ""
    more = f"{unread:,.0f} more column{'s' * (unread != 1)} of the people's table"
    verb = "is" if unread == 1 else "are"
    return f"{more} {verb} never read." if unread else "No other column is in the people's table."


def _group(origins: Iterator[str]) -> list[str]:
    """Give each origin once, those of one table together, in the order of the policy."""
    known = list(dict.fromkeys(origins))
    tables = list(dict.fromkeys(one.partition(".")[0] for one in known))
    return sorted(known, key=lambda one: tables.index(one.partition(".")[0]))


def _spread(number: int, rows: int) -> list[float]:
    """Give heights for so many labels, evenly over all rows."""
    return [TOP + (i + 0.5) * rows * ROW / number for i in range(number)]


def _label_sources(places: dict[str, float]) -> Iterator[Node]:
    several = len({one.partition(".")[0] for one in places}) > 1
    for one, y in places.items():
        _, _, column = one.partition(".")
        yield Node(_cut(one if several else column, LONGEST), y, "source")


def _draw_way(
    fate: ColumnFate,
    y: float,
    places: dict[str, float],
    until: dict[str, float],
    summary: Summary,
) -> Way:
    ends = list_ends(fate, summary)
    kind = _kind(ends[0], summary)
    lines = [(kind, _curve(LEFT, places[one], MIDDLE[0], y)) for one in fate.origins]
    lines += [(_kind(end, summary), _curve(MIDDLE[1], y, RIGHT, until[end])) for end in ends]
    treatment = f"computed, {fate.treatment}" if fate.expression else fate.treatment
    return Way(
        fate, _cut(fate.name, 32), _cut(treatment, TREATED), y, kind,
        tuple(lines), say_way(fate, summary),
    )  # fmt: skip


def _kind(end: str, summary: Summary) -> str:
    """Give the kind of the outlet where a way ends, by which it is coloured."""
    outlet = end.rpartition(":")[0]
    return next((one.kind for one in summary.outlets if one.name == outlet), "stays")


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    half = (x + to_x) / 2
    return f"M{x:g} {y:.1f}C{half:g} {y:.1f} {half:g} {to_y:.1f} {to_x:g} {to_y:.1f}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
