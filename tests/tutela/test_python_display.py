"""What a notebook shows of a run: all that matters, escaped, from nowhere else."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tasks.account.published import Way, WaysOut
from tasks.account.summary import Summary, summarize
from tests.recorded_runs import MakeRun, failed_run, passed_run, refused_run
from tutela.display import show_run

EVIL = "<script>alert('x')</script>&\"'"


class Reader(HTMLParser):
    """Collects the tags, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that opens."""
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        """Note a tag that closes, which must be the last that was opened."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


def read(page: str) -> Reader:
    """Read a page whose tags must all be closed in order."""
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def recorded(make: MakeRun) -> Summary:
    """Sum up a recorded run."""
    record, policy, entries = make()
    return summarize(record, policy, entries)


@pytest.mark.parametrize("make", [passed_run, refused_run, failed_run])
def test_any_run_is_shown_whole(make: MakeRun) -> None:
    """Verdict, run, report, every recipient with their claim, and every check."""
    summary = recorded(make)
    text = read(show_run(summary, Path("/home/reports/r.html"))).text
    for said in (summary.title, summary.verdict, summary.run_id, "/home/reports/r.html"):
        assert said in text
    for outlet in summary.outlets:
        assert outlet.recipient in text
        assert (outlet.claim or "Nothing was handed over.") in text
        assert (outlet.limits in text) is bool(outlet.claim)
    for check in summary.checks:
        assert check.name in text
        assert check.measured in text


def test_a_refusal_says_why_and_the_ways_out() -> None:
    """What was asked and reached, and each way with whether it held and what it cost."""
    ways = (
        Way("partner: k: 5", True, "k = 5", {"granularity": 0.7123, "auc": None}),
        Way("age: coarser", None, "", {"suppressed_share": 0.05}),
    )
    out = WaysOut("k", "partner", "k of 10", "k = 7", "Measured on these people", {}, ways)
    summary = replace(recorded(refused_run), ways=(out,))
    text = read(show_run(summary, None)).text
    assert summary.causes
    for said in (summary.causes[0].remedy, "k of 10", "k = 7", "partner: k: 5", "yes", "unknown",
                 "granularity .71", "up to 5.0 % left out",
                 "Measured on these people"):  # fmt: skip
        assert said in text
    assert "auc" not in text


def test_whatever_a_policy_says_is_shown_as_text() -> None:
    """Titles, recipients, checks, reasons and ways may hold anything."""
    summary = recorded(passed_run)
    outlet = replace(summary.outlets[0], recipient=EVIL, claim=EVIL, limits=EVIL, name=EVIL)
    check = replace(summary.checks[0], name=EVIL, asked=EVIL, measured=EVIL, remedy=EVIL)
    figure = replace(summary.people[0], label=EVIL, text=EVIL)
    way = Way(EVIL, False, EVIL, {EVIL: 1.0})
    out = WaysOut(EVIL, EVIL, EVIL, EVIL, EVIL, {}, (way,))
    for causes in ((check,), ()):
        page = show_run(
            replace(
                summary, title=EVIL, reason=EVIL, stopped_by=EVIL, made_up=EVIL, run_id=EVIL,
                causes=causes, outlets=(outlet,), checks=(check,), people=(figure,),
                excluded=(figure, replace(figure, about=None)), ways=(out,),
            ),
            Path(EVIL),
        )  # fmt: skip
        reader = read(page)
        assert "script" not in reader.tags
        assert reader.text.count(EVIL) >= 20
        assert {name for name, _ in reader.attributes} <= {"class", "scope", "open"}


def test_it_loads_nothing_and_keeps_to_itself() -> None:
    """No address, no script, and no style that reaches the rest of a notebook."""
    page = show_run(recorded(passed_run), None)
    assert not re.search(r"https?:|src=|href=|url\(|@import|javascript", page)
    style = page.partition("<style>")[2].partition("</style>")[0]
    for rule in re.findall(r"([^{}]+)\{", style):
        assert all(part.strip().startswith(".tutela-run") for part in rule.split(","))


def test_text_takes_the_colour_of_the_notebook() -> None:
    """Light or dark: only a verdict brings a colour of its own, with a ground under it."""
    style = show_run(recorded(passed_run), None).partition("</style>")[0]
    rules = dict(re.findall(r"([^{}]+)\{([^}]*)\}", style))
    for chosen, said in rules.items():
        colours = re.findall(r"(?<![-\w])color: ([^;]+);?", said)
        assert set(colours) <= ({"#fff"} if "mark" in chosen else {"inherit"})
        if "#fff" in colours:
            assert "background: #" in said
