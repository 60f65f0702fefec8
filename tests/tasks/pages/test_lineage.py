"""The way of each column is drawn from source to recipient, and can be walked and read aloud."""

import re
from itertools import pairwise

from tasks.account.summary import summarize
from tasks.pages.lineage import draw_lineage
from tasks.pages.report import render_lineage
from tests.recorded_runs import make_entries, make_policy, make_record, passed_run


def test_a_way_leads_from_table_and_column_to_whoever_has_it() -> None:
    """A computed column begins at what it is computed of; what nobody gets stays here."""
    said = [way.said for way in draw_lineage(summarize(*passed_run())).ways]
    assert said == [
        "age: from people.AgeYears; put into 3 intervals; to ward: feature, partner: released",
        "sex: from people.sex; one of 2 declared words; stays here",
        "lab: from people.lab; used in the run, then dropped; stays here",
        "ill: from people.lab; kept as it is; to ward: target, partner: released",
    ]


def test_columns_that_nobody_read_are_counted_and_not_named() -> None:
    """A header can be a person's row, where a file has none."""
    notes = make_entries(("measure", "columns.unread", 190))
    drawn = draw_lineage(summarize(make_record(None), make_policy(), notes))
    assert drawn.never == "190 more columns of the people's table are never read."
    assert draw_lineage(summarize(*passed_run())).never == ""


def test_each_way_is_a_link_to_its_row_in_the_table() -> None:
    """So that it has its place among what a keyboard reaches, and a name that is read aloud."""
    page = render_lineage(summarize(*passed_run()))
    links = re.findall(r'<a class="way \w+" href="#(column-\w+)" aria-label="([^"]+)"', page)
    assert [name for name, _ in links] == re.findall(r'<tr id="(column-\w+)"', page)
    assert all(": from " in said for _, said in links)
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_thirty_columns_are_drawn_without_touching() -> None:
    """Boxes keep their distance, however many tables there are."""
    policy = make_policy()
    many = {f"c{i}": policy.columns["age"] for i in range(30)} | policy.columns
    drawn = draw_lineage(
        summarize(make_record(None), policy.model_copy(update={"columns": many}), [])
    )
    heights = [way.y for way in drawn.ways]
    assert min(b - a for a, b in pairwise(heights)) >= 34
    assert heights[-1] + 16 < drawn.height
