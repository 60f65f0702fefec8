"""The ways out of a refusal as tables at the terminal: what to change, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from deployments.terminal import lay_out, wrap
from tasks.pages.way_words import COSTS, HOLDS

if TYPE_CHECKING:
    from tasks.account.published import Summary
    from tasks.account.published_ways import Way, WaysOut


def is_covered(summary: Summary) -> bool:
    """Whether the ways say why the run was refused, so that its reason need not."""
    told = {ways.check for ways in summary.ways}
    # What an outlet's checks came to stands with the outlet.
    rest = all(check.outlet or check.name in told for check in summary.causes)
    return summary.verdict == "refused" and summary.stopped_by in told and rest


def ways_lines(summary: Summary) -> Iterator[str]:
    """Give each refusal that ways were found out of, and them as a table."""
    for found in summary.ways:
        of = f" of {found.outlet}" if found.outlet and found.outlet not in found.check else ""
        yield ""
        yield from wrap(f"Ways out of “{found.check}{of}”")
        yield from wrap(f"asked    {found.asked}", "  ", " " * 11)
        yield from wrap(f"reached  {found.reached}", "  ", " " * 11)
        yield ""
        yield from table_lines(found)
        yield from wrap(f"{say_as_is(found)}{found.note}.")
        for cause in summary.causes:
            if cause.name == found.check:
                yield from wrap(f"In words: {cause.remedy}.")
        yield ""


def say_as_is(found: WaysOut) -> str:
    """Say what the figures are, and what they would be where nothing is changed, if it is known."""
    said = {
        "granularity": "Granularity is the detail kept; of the rows as they are {}. ",
        "auc": "AUC is of the model on test people, attack of those who look for its own; the "
        "refused model's AUC is {}. ",
    }
    return "".join(
        said[name].format(COSTS[name].write(value))
        for name, value in found.as_is.items()
        if value is not None
    )


def table_lines(found: WaysOut) -> list[str]:
    """Give the ways as an aligned table, with a column for each cost that is known of some way."""
    costs = [name for name in COSTS if any(way.cost.get(name) is not None for way in found.ways)]
    header = ["change", "holds", *(COSTS[name].head for name in costs), "reached"]
    rows = [
        [way.change, HOLDS[way.holds], *tell_costs(way, costs), way.reached] for way in found.ways
    ]
    return lay_out(header, rows, numbers=range(2, 2 + len(costs)))


def tell_costs(way: Way, costs: list[str]) -> Iterator[str]:
    """Write each cost of a way; nothing where it is not known."""
    for name in costs:
        value = way.cost.get(name)
        yield "" if value is None else COSTS[name].write(value)
