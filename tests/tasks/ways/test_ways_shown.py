"""The ways out of a refusal are told in the terminal, drawn in the report, and published."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from deployments.cli import say_end
from deployments.run.screen import is_covered, ways_lines
from expectations.errors import Refusal
from ledgers.evidence import JSON
from tasks.account.published import Way, WaysOut
from tasks.account.summary import Summary, summarize, to_evidence_json
from tasks.pages.drawings import draw_ways
from tasks.pages.report import render_report
from tasks.ways.model_ways import say_cured
from tests.recorded_runs import make_entries, refused_run

NOTED: dict[str, JSON] = {
    "check": "membership", "outlet": "ward", "asked": "an AUC of at most 0.6",
    "reached": "an AUC of 0.753", "note": "2 other models were tried", "as_is": {"auc": 0.8},
    "ways": [
        {"change": "model: logistic-regression with a very long list of parameters: 1, 2, 3",
         "holds": True, "reached": "attack of at most 0.578",
         "cost": {"auc": 0.75, "membership_auc": 0.552}},
        {"change": "model: gradient-boosting", "holds": False, "reached": "AUC 0.7",
         "cost": {"auc": 0.9, "membership_auc": 0.7}},
        {"change": "ask <b>less</b>", "holds": None, "reached": "", "cost": {}},
    ],
}  # fmt: skip


@pytest.fixture
def summary() -> Summary:
    """A run that the membership check stopped, with ways out of it."""
    record, policy, entries = refused_run()
    return summarize(record, policy, [*entries, *make_entries(("ways", "membership: ward", NOTED))])


def test_the_ways_are_in_the_published_form(summary: Summary) -> None:
    """As they were noted; and there are none where none were."""
    found = json.loads(json.dumps(to_evidence_json(summary)))
    assert found["ways"] == [NOTED]
    assert found["version"] == 10
    assert summarize(*refused_run()).ways == ()


def test_the_terminal_shows_an_aligned_table(summary: Summary) -> None:
    """At most 80 wide, with a column for each cost that is known, however long a change is."""
    lines = list(ways_lines(summary))
    assert max(map(len, lines)) <= 80
    (head,) = (line for line in lines if line.startswith("change"))
    assert head.split() == ["change", "passes", "AUC", "attack", "reached"]
    (held,) = (line for line in lines if " yes " in line)
    for word, end in (("AUC", ".750"), ("attack", ".552")):
        assert head.index(word) + len(word) == held.index(end) + len(end)
    assert any("unknown" in line for line in lines)
    assert "refused model's AUC is .800" in " ".join(lines)


def test_a_reason_that_the_ways_tell_is_not_told_twice(summary: Summary) -> None:
    """A check of the data that has no ways keeps its own reason on the screen."""
    assert is_covered(summary)
    other = replace(summary.causes[0], name="values of bmi", outlet=None)
    assert not is_covered(replace(summary, causes=(*summary.causes, other)))
    assert not is_covered(replace(summary, ways=()))


def test_the_report_draws_what_each_way_keeps(summary: Summary) -> None:
    """In place of what to change in words; the policy's text is escaped."""
    page = render_report(summary)
    figure = page[page.index('class="waysout"') : page.index("</figure>")]
    assert figure.count("<li ") == 3
    assert 'width="50.0%"' in figure  # an AUC of .75 is half the way from chance to perfect
    assert figure.count('class="fill"') == 1
    assert "ask &lt;b&gt;less&lt;/b&gt;" in figure
    assert "membership remedy" not in page[: page.index("</figure>")]
    assert "membership remedy" in render_report(replace(summary, ways=()))


def test_a_refusal_outside_a_check_is_told_by_its_ways(summary: Summary) -> None:
    """Its reason stands there only where no ways do."""
    alone = replace(summary, causes=())
    assert 'class="reason"' not in render_report(alone)
    assert re.search(r'<dd class="reached">an AUC of 0\.753', render_report(alone))
    assert 'class="reason"' in render_report(replace(alone, ways=()))


def test_bars_are_of_detail_where_a_table_was_recoded() -> None:
    """From nothing to all; the tick stands at the rows as they are."""
    cost: dict[str, float | None] = {"granularity": 0.57, "suppressed_share": 0.005}
    found = WaysOut("k", "t", "", "", "", {"granularity": 0.8}, (Way("k: 5", True, "", cost),))
    drawn = draw_ways(found)
    assert (drawn.tick, drawn.bars[0].width) == (80.0, 57.0)
    assert drawn.bars[0].beside == "up to 0.5 % left out"
    assert (drawn.caption, drawn.tick_text) == ("granularity", ".80")


def test_words_stand_alone_where_no_cost_was_measured() -> None:
    """A budget's ways have no bar."""
    cost: dict[str, float | None] = {"lifetime_epsilon": 1.118, "runs": 1}
    found = WaysOut("b", None, "", "", "", {}, (Way("epsilon: 0.5", True, "fits", cost),))
    drawn = draw_ways(found)
    assert (drawn.title, drawn.bars[0].width) == ("", None)
    assert drawn.bars[0].beside == "lifetime ε 1.12; runs that fit: 1"


def test_every_check_that_stopped_a_run_is_named(summary: Summary) -> None:
    """On the report's banner and in the last line, from three on with commas."""
    (cause,) = summary.causes
    names = ("membership", "memorization", "audit")
    three = replace(summary, causes=tuple(replace(cause, name=name) for name in names))
    assert "The checks “membership”, “memorization” and “audit” stopped" in render_report(three)
    error = Refusal("membership", "")
    said = "refused by membership, memorization and audit"
    assert say_end(to_evidence_json(three), error) == said


def test_ways_of_a_model_say_which_of_several_checks_they_pass() -> None:
    """All of them; nothing is said where there is one."""
    name = "membership inference"
    both = f"refused: {name}: AUC 0.7\nrefused: memorization: 0.3"
    assert say_cured(Refusal(name, both)) == f"A yes passes {name} and memorization. "
    assert say_cured(Refusal(name, both.partition("\n")[0])) == ""
