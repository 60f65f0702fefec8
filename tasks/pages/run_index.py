"""The page of all runs, `index.html`: a card for each policy, and a row for each run.

It says what the rows of `tasks.account.overview` say, which is published, and knows nothing else.
Like the report it loads nothing and has no script; what it links to are files beside it, and the
pages of Prefect and MLflow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from typing import Final

from tasks.account.overview import RunRow, say_changes
from tasks.pages.report import environment

TEMPLATE: Final = "run_index.html.j2"
RECENT: Final = 30
"""The runs of a policy that its drawings show."""
SHOWN: Final = 500
"""The rows of a page: more would make it slow to open; `tutela runs` lists all."""
EDGE: Final = 12.0
"""Percent of a sparkline's height that stay free above and below."""


@dataclass(frozen=True, slots=True)
class Spark:
    """One figure over a policy's recent runs: line pieces in percent, its last value in words."""

    label: str
    lines: tuple[tuple[float, float, float, float], ...]
    last: tuple[float, float]
    text: str
    title: str


@dataclass(frozen=True, slots=True)
class PolicyCard:
    """A policy, its last run, and how its recent runs went, oldest first."""

    name: str
    last: RunRow
    good: RunRow | None
    """The last that passed."""
    recent: tuple[RunRow, ...]
    ended: str
    """How many of them ended how."""
    sparks: tuple[Spark, ...]


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A row, with the files beside the page that it leads to, and what changed."""

    row: RunRow
    report: str | None
    cards: tuple[str, ...]
    trend: str

    @property
    def shown(self) -> bool:
        """Whether Prefect and MLflow show it: until its goods are removed, its report with them."""
        return self.report is not None or self.row.verdict not in {"passed", "refused", "failed"}


def render_index(rows: Sequence[RunRow], reports: Collection[str], now: datetime) -> str:
    """Write the page of some runs, oldest first; `reports` are the names of the pages there are."""
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            cards=tuple(_list_policies(rows)),
            runs=tuple(_list_run(row, reports) for row in list(reversed(rows))[:SHOWN]),
            number=len(rows),
            now=now.isoformat(),
            ended=_count_ends(rows),
        )
    )


def _list_run(row: RunRow, reports: Collection[str]) -> ListedRun:
    page = f"{row.run}.html"
    cards = sorted(n for n in reports if n.startswith(f"{row.run}-") and n.endswith("-card.html"))
    return ListedRun(row, page if page in reports else None, tuple(cards), say_changes(row))


def _list_policies(rows: Sequence[RunRow]) -> Iterator[PolicyCard]:
    """Give a card for each policy, by name."""
    for name, found in groupby(sorted(rows, key=lambda row: row.policy), lambda row: row.policy):
        runs = tuple(found)
        recent = runs[-RECENT:]
        good = next((row for row in reversed(runs) if row.verdict == "passed"), None)
        sparks = tuple(spark for spark in _draw_sparks(recent) if spark)
        yield PolicyCard(name, runs[-1], good, recent, _count_ends(recent), sparks)


def _count_ends(rows: Sequence[RunRow]) -> str:
    """Say how many runs ended how, the most frequent first."""
    counted = Counter(row.verdict for row in rows).most_common()
    return ", ".join(f"{number:,} {verdict}" for verdict, number in counted)


def _draw_sparks(rows: Sequence[RunRow]) -> Iterator[Spark | None]:
    """Draw the people who were used, of those runs that came so far, and the model's AUC or R²."""
    people = [row.people for row in rows]
    used = [one.about if one and one.label == "selected" else None for one in people]
    yield draw_spark("people", used, "{:,.0f}")
    yield draw_spark("AUC", [row.auc for row in rows], "{:.2f}")
    yield draw_spark("R²", [row.r2 for row in rows], "{:.2f}")


def draw_spark(label: str, values: Sequence[float | None], form: str) -> Spark | None:
    """Draw a figure over runs, which may lack it; None where no two runs have it."""
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return None
    low, high = (end(value for _, value in known) for end in (min, max))
    points = [
        (
            round(2 + 96 * place / max(len(values) - 1, 1), 2),
            round(100 - EDGE - (100 - 2 * EDGE) * ((value - low) / (high - low)), 2)
            if high > low
            else 50.0,
        )
        for place, value in known
    ]
    said = [form.format(value) for value in (known[0][1], known[-1][1], low, high)]
    title = f"{label} from {said[0]} to {said[1]}, lowest {said[2]}, highest {said[3]}"
    lines = tuple((*one, *other) for one, other in pairwise(points))
    return Spark(label, lines, points[-1], said[1], title)
