"""A run as a notebook shows it: one piece of HTML that loads nothing and holds no person's value.

It takes the page's own colours, so that it reads in a light and a dark notebook alike; only the
verdicts bring a ground of their own. Every text is escaped, also where it comes from a policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deployments.run.screen import say_verdict
from tasks.account.missing_people import say_hidden, split_hidden
from tasks.pages.way_words import HOLDS, say_costs
from tasks.pages.words import say_number_quality

if TYPE_CHECKING:
    from expectations.checks import Check
    from tasks.account.published import OutletSummary, Summary, Way

STYLE: Final = """
.tutela-run { font: 14px/1.5 system-ui, sans-serif; color: inherit; max-width: 60em;
  border: 1px solid rgb(128 128 128 / 40%); border-radius: 8px; padding: 14px 18px; }
.tutela-run h3 { margin: 0 0 4px; font-size: 17px; } .tutela-run h4 { margin: 16px 0 4px;
  font-size: 14px; } .tutela-run p { margin: 4px 0; }
.tutela-run .tutela-small { font-size: 12px; opacity: .8; }
.tutela-run .tutela-mark { display: inline-block; border-radius: 9px; padding: 0 9px; color: #fff;
  background: #80510a; font-size: 12px; font-weight: 600; line-height: 18px;
  white-space: nowrap; }
.tutela-run .tutela-passed { background: #146c43; }
.tutela-run .tutela-refused, .tutela-run .tutela-failed { background: #b3261e; }
.tutela-run table { border-collapse: collapse; margin: 4px 0; font-size: 13px; color: inherit; }
.tutela-run th, .tutela-run td { text-align: left; vertical-align: top; padding: 3px 14px 3px 0;
  border: 0; border-bottom: 1px solid rgb(128 128 128 / 30%); background: none; color: inherit;
  white-space: normal; overflow-wrap: break-word; }
.tutela-run tr { background: none; } .tutela-run summary { cursor: pointer; margin-top: 12px; }
.tutela-run code { font-size: 12px; background: none; color: inherit; overflow-wrap: anywhere; }
"""


def show_run(summary: Summary, report: Path | None) -> str:
    """Show one run: verdict, why, ways out, who receives what, people, checks."""
    parts = [
        *show_verdict(summary),
        *show_ways(summary),
        *(line for outlet in summary.outlets for line in show_outlet(outlet)),
        *show_people(summary),
        *show_checks(summary),
        *show_end(summary, report),
    ]
    return f'<style>{STYLE}</style><div class="tutela-run">{"".join(parts)}</div>'


def mark(word: str) -> str:
    """Show a verdict as a coloured word."""
    return f'<span class="tutela-mark tutela-{escape(word)}">{escape(word)}</span>'


def tell(text: str, *, small: bool = False) -> str:
    """Show a text as a paragraph for each of its lines."""
    kind = ' class="tutela-small"' if small else ""
    return "".join(f"<p{kind}>{escape(line)}</p>" for line in text.splitlines())


def tabulate(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Show rows of cells, which are HTML already, under a header of words."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    top = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f"<table>{top}<tbody>{body}</tbody></table>"


def show_verdict(summary: Summary) -> Iterator[str]:
    """Say how the run ended, and why."""
    yield f"<h3>{escape(summary.title)} {mark(summary.verdict)}</h3>"
    yield tell(say_verdict(summary))
    for cause in summary.causes:
        yield tell(f"{cause.name}: {cause.measured}; asked: {cause.asked}. To do: {cause.remedy}.")
    if summary.reason and not summary.causes:
        named = f"{summary.stopped_by}: " if summary.stopped_by else ""
        yield tell(f"{named}{summary.reason}")
    if summary.made_up:
        yield tell(f"Example data: {summary.made_up}.", small=True)


def show_ways(summary: Summary) -> Iterator[str]:
    """Show what was tried as ways out of a refusal, with what each costs."""
    for refusal in summary.ways:
        yield f"<h4>Ways out: {escape(refusal.check)}</h4>"
        yield tell(f"Asked: {refusal.asked}. Reached: {refusal.reached}.")
        if refusal.ways:
            header = ("Change", "Passes", "Reached", "What it costs")
            yield tabulate(header, map(show_way, refusal.ways))
        yield tell(refusal.note, small=True)


def show_way(way: Way) -> tuple[str, str, str, str]:
    """Give one way out as the cells of a row."""
    costs = ", ".join(say_costs(way.cost))
    change, reached, cost = map(escape, (way.change, way.reached, costs))
    return change, HOLDS[way.holds], reached, cost


def show_outlet(outlet: OutletSummary) -> Iterator[str]:
    """Say what one recipient gets, what that claims, and what it does not protect against."""
    yield f"<h4>{escape(outlet.recipient)} ({escape(outlet.kind)} {escape(outlet.name)})</h4>"
    yield tell(outlet.claim or "Nothing was handed over.")
    if outlet.claim:
        yield tell(f"Not protected against: {outlet.limits}", small=True)
    if outlet.released and outlet.suppressed:
        yield tell(f"{outlet.released.text} people in it, {outlet.suppressed.text} left out.")


def show_people(summary: Summary) -> Iterator[str]:
    """Show how many people there were, as far as that may be told."""
    told, hidden = split_hidden(summary.excluded)
    for title, figures in (("People", (*summary.people, *summary.split)), ("Left out", told)):
        if figures:
            rows = ((escape(figure.text), escape(figure.label)) for figure in figures)
            yield f"<h4>{title}</h4>{tabulate((), rows)}"
    if hidden:
        yield tell(f"Left out: {say_hidden(hidden)}.", small=True)
    if summary.people:
        yield tell("Counts are rounded, or hidden; parts need not add up.", small=True)


def show_checks(summary: Summary) -> Iterator[str]:
    """Show every check, folded away where all of them passed."""
    if not summary.checks:
        return
    passed = sum(check.verdict == "passed" for check in summary.checks)
    opened = "" if passed == len(summary.checks) else " open"
    table = tabulate(("", "Check", "Asked", "Measured"), map(show_check, summary.checks))
    told = f"{passed} of {len(summary.checks)} checks passed"
    yield f"<details{opened}><summary>{told}</summary>{table}</details>"
    if summary.quality:
        auc = f"On people the model was not trained on: AUC about {summary.quality.auc:.2f}."
        yield tell(auc)
    if summary.number_quality:
        found = say_number_quality(summary.number_quality)
        yield tell(f"{found[:1].upper()}{found[1:]}.")


def show_check(check: Check) -> tuple[str, str, str, str]:
    """Give one check as the cells of a row."""
    cells = (check.name, check.asked, check.measured)
    name, asked, measured = map(escape, cells)
    return mark(str(check.verdict)), name, asked, measured


def show_end(summary: Summary, report: Path | None) -> Iterator[str]:
    """Say which run this is, and where to read on."""
    place = f" Report: <code>{escape(str(report))}</code>" if report else ""
    yield f'<p class="tutela-small">Run <code>{escape(summary.run_id)}</code>.{place}</p>'
