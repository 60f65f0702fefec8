"""The page of all runs: a card a policy, a row a run, nothing loaded, nothing run."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from tasks.account.overview import RunRow
from tasks.pages.run_index import SHOWN, draw_spark, render_index
from tests.overview_rows import make_rows

NOW = datetime(2026, 1, 9, tzinfo=UTC)
REFUSED = {"verdict": "refused", "check": "k-anonymity", "reason": "k = 3\nand more"}


def render(rows: list[RunRow], *reports: str) -> str:
    """Write the page."""
    return render_index(rows, reports, NOW)


def test_each_run_has_one_row_and_each_policy_one_card() -> None:
    """Newest first; a refused one says by which check and the first line of why."""
    page = render(make_rows({}, REFUSED, {"policy": "other"}))
    assert page.count('<th scope="row">') == 3
    assert re.findall(r'<h2 id="policy-\d">.*</svg>(\w+)</h2>', page) == ["other", "visits"]
    assert page.index("2026-01-03 03:04") < page.index("2026-01-02 03:04")
    assert "<b>k-anonymity</b>" in page
    assert "k = 3" in page
    assert "and more" not in page
    assert "word …" in render(make_rows({**REFUSED, "reason": "word " * 200}))
    assert "Last passed 1 January 2026" in page


def test_a_row_leads_to_the_pages_that_there_are() -> None:
    """Report and cards that lie there, and what MLflow and Prefect show of the very run."""
    rows = make_rows({"prefect": "http://p/runs/flow-run/1", "mlflow": "http://m/#/experiments/1"})
    run = rows[0].run
    page = render(rows, f"{run}.html", f"{run}-ward-card.html", "another.html")
    for target in (
        f"reports/{run}.html",
        f"reports/{run}-ward-card.html",
        "http://p/runs/flow-run/1",
    ):
        assert f'href="{target}"' in page
    assert "another.html" not in page
    assert 'href="reports/' not in render(rows)
    assert "http://m/" not in render(rows), "its goods were removed, and MLflow's run with them"


def test_the_page_loads_and_runs_nothing_and_takes_no_markup_from_a_policy() -> None:
    """Its security policy forbids the rest, and text is text."""
    page = render(make_rows({**REFUSED, "reason": "<script>alert(1)</script>", "check": "<b>"}))
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r"(?:src|url)\s*[=(]", page)


def test_many_runs_are_cut_and_none_is_said() -> None:
    """The page stays quick to open; where nothing ran, it says how to begin."""
    page = render(make_rows(*[{}] * 28) * 20)
    assert page.count('<th scope="row">') == SHOWN
    assert f"The newest {SHOWN} of 560" in page
    assert "No run yet" in render([])


@pytest.mark.parametrize(
    ("values", "text", "ends"),
    [
        ([0.7, 0.9], "0.90", (88.0, 12.0)),
        ([0.7, None, 0.7], "0.70", (50.0, 50.0)),
        ([None, 0.7], None, None),
        ([], None, None),
    ],
)
def test_a_line_runs_from_the_lowest_to_the_highest(
    values: list[float | None], text: str | None, ends: tuple[float, float] | None
) -> None:
    """What is not known is left out, and one point is no line."""
    drawn = draw_spark("AUC", values, "{:.2f}")
    assert (drawn and drawn.text) == text
    assert (drawn and (drawn.lines[0][1], drawn.last[1])) == ends
