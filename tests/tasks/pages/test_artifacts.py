"""What Prefect's page tells of a run's privacy budget, from the published figures alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.account.published import Summary
from tasks.account.summary import summarize
from tasks.pages.artifacts import budget_lines, share_spent
from tests.recorded_runs import (
    GATHERED,
    PASSED,
    TRAINED,
    make_entries,
    make_policy,
    make_record,
    passed_run,
)


def spend(lifetime: float, **more: float) -> Summary:
    """Give a run after which the most-used person has spent so much of the ceiling of 10."""
    figures = {"lifetime_epsilon": lifetime, **more}
    notes = [("measure", f"privacy.{name}", value) for name, value in figures.items()]
    entries = make_entries(*GATHERED, *TRAINED, *notes, PASSED)
    return summarize(make_record("passed"), make_policy(), entries)


@pytest.mark.parametrize(
    ("lifetime", "share"),
    [(0.0, 0.0), (0.9993, 10.0), (3.3333, 33.3), (10.0, 100), (10.0004, 100)],
)
def test_the_bar_shows_how_much_of_the_ceiling_is_spent(lifetime: float, share: float) -> None:
    """In percent, and never beyond all of it, which Prefect would not draw."""
    assert share_spent(spend(lifetime)) == share


def test_where_nothing_is_counted_there_is_no_bar() -> None:
    """A run that charged nobody, or has no model or no ceiling, shows none."""
    assert share_spent(summarize(*passed_run())) is None
    assert share_spent(replace(spend(2.0), training=None)) is None
    training = spend(2.0).training
    assert training is not None
    unlimited = replace(training, lifetime_epsilon=None)
    assert share_spent(replace(spend(2.0), training=unlimited)) is None


def test_beside_the_bar_stands_what_is_spent_of_what_and_what_is_left() -> None:
    """And whose loss it is: the words hold for no other person."""
    (line,) = budget_lines(spend(2.5, runs_left=3))
    assert line.startswith("Lifetime ε of the most-used person")
    spent, _, left = line.partition("; ")
    assert spent.endswith("of at most 10")
    assert "2.5" in spent
    assert left.startswith("3 ")


def test_under_a_filter_the_ceiling_alone_is_promised() -> None:
    """Where choices were adaptive the figure by itself is no guarantee."""
    (line,) = budget_lines(spend(2.5, runs_left=3, filtered=1))
    assert "only 10 is guaranteed" in line
    assert "total over all runs so far (RDP) and not the cost of one" in line
