"""What a run came to, on one screen in plain words, at most 80 columns wide.

Beside what was checked and released stand the ways out of a refusal, with what each costs, and what
advice on a policy's features comes to. All of it is read from the run's summary; nothing is
measured here.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from deployments.terminal import WIDTH, command, lay_out, wrap
from expectations.explanations import say_how_to_explain
from tasks.pages.way_words import COSTS, HOLDS

if TYPE_CHECKING:
    from expectations.checks import Check
    from ledgers.evidence import JSON
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from tasks.account.published import (
        Advice,
        Figure,
        OutletSummary,
        Quality,
        Summary,
        Trial,
        Way,
        WaysOut,
    )


WORDS: Final = {
    "passed": "Passed: every promise was checked and held.",
    "refused": "Refused: a check said no, so nothing left.",
    "failed": "Failed: it could not be carried through, so nothing left.",
    "pending": "Pending: all was decided, and MLflow has yet to take it.",
    "unfinished": "Unfinished: the run is under way.",
}

OTHERS: Final = ("warned", "inconclusive")
"""What else than passed a check may have come to in a run that goes on."""
ALL: Final = 0.995
"""From which loss on a column of a released table tells nothing any more."""
LONGEST_VERDICT: Final = len("inconclusive")
BESIDE: Final = " " * (LONGEST_VERDICT + 3)
"""Under what stands beside a verdict."""
LONGEST_NAME: Final = 16
"""Longer names of features would leave no room for two losses beside them."""


def describe_run(home: Home, keys: Keys, prefix: str) -> tuple[JSON, str]:
    """Give one run as plain values and as a screen."""
    from tasks.account.summary import to_evidence_json
    from tasks.handover.delivery import read_run

    summary = read_run(home, keys, prefix).summary()
    report = home.reports / f"{summary.run_id}.html"
    found = to_evidence_json(summary) | {"report": str(report) if report.is_file() else None}
    return cast("JSON", found), "\n".join(screen_lines(summary, home))


def list_runs(home: Home, keys: Keys) -> tuple[JSON, str]:
    """Give all runs, newest first."""
    from ledgers.evidence import EvidenceLedger
    from ledgers.home.database import open_database

    runs = EvidenceLedger(open_database(home), keys).runs()[::-1]
    rows = [
        (run.run_id, run.policy, run.started_at[:16], run.verdict or "under way") for run in runs
    ]
    lines = lay_out(("run", "policy", "began (UTC)", "ended"), rows) if rows else []
    found = [
        {"run": run.run_id, "policy": run.policy, "at": run.started_at, "verdict": run.verdict}
        for run in runs
    ]
    return cast("JSON", {"runs": found}), "\n".join(lines) or "no run yet: tutela run diabetes"


def screen_lines(summary: Summary, home: Home) -> Iterator[str]:
    """Tell a run line by line."""
    from tasks.pages.words import say_kept_charge

    yield f"{summary.policy}: {summary.title}"
    yield from wrap(say_verdict(summary))
    if summary.reason and not is_covered(summary):
        yield from wrap(summary.reason, "  ")
    yield from ways_lines(summary)
    yield from wrap(say_kept_charge(summary))
    if summary.made_up:
        yield from wrap(f"Example data: {summary.made_up}.")
    if summary.columns:
        yield ""
        told = "; ".join(f"{figure.text} {figure.label}" for figure in summary.columns)
        yield from wrap(f"Columns  {told}", hanging="         ")
    if summary.people:
        yield ""
        people = figure_lines("People", (*summary.people, *summary.split))
        yield from beside(people, left_out_lines(summary.excluded))
        yield "Counts of people are rounded to tens, or hidden; parts need not add up."
        yield from wrap(say_blanked(summary.blanked), hanging="         ")
    yield from missing_lines(summary)
    for outlet in summary.outlets:
        yield from outlet_lines(outlet)
    yield from check_lines(summary)
    if summary.quality:
        yield from wrap(quality_line(summary.quality), hanging="         ")
    if summary.advice:
        yield from advice_lines(summary.advice, home.reports / f"{summary.run_id}.patch")
    yield from place_lines(summary, home)


def place_lines(summary: Summary, home: Home) -> Iterator[str]:
    """Say where to read on."""
    yield ""
    yield f"Report   {home.reports / (summary.run_id + '.html')}"
    for served in summary.outlets:
        if served.release:
            yield f"Table    {home.releases / served.release.file}"
        if served.kind == "model" and served.claim:
            yield from model_lines(summary, served, home)
    yield f"Pages    {command()} mlflow    {command()} prefect"
    if summary.stopped_by:
        yield f"Why      {say_how_to_explain(summary.stopped_by)}"


def model_lines(summary: Summary, served: OutletSummary, home: Home) -> Iterator[str]:
    """Say where a model that left is, and how it is loaded; nothing before MLflow has it."""
    from tasks.pages.words import find_version, name_card, say_call

    if version := find_version(summary):
        yield f"Model    {summary.policy}.{served.name}, version {version} in MLflow; its card:"
        yield f"         {home.reports / name_card(summary, served)}"
        yield f"         {say_call(summary, served)}"


def say_verdict(summary: Summary) -> str:
    """Say how a run ended; of one that passed, which checks did not."""
    if summary.advice and summary.verdict == "passed":
        return "Advice: nothing was trained for anybody, and nothing left."
    counted = {word: sum(check.verdict == word for check in summary.checks) for word in OTHERS}
    others = ", ".join(f"{n} {word}" for word, n in counted.items() if n)
    if summary.verdict != "passed" or not others:
        return WORDS[summary.verdict]
    held = len(summary.checks) - sum(counted.values())
    return (
        f"Passed, as the policy allows it: {held} of {len(summary.checks)} checks held; {others}."
    )


def figure_lines(title: str, rows: Sequence[Figure]) -> list[str]:
    """Give labelled numbers under a title, the numbers aligned."""
    width = max((len(row.text) for row in rows), default=0)
    return [title, *(f"  {row.text:>{width}}  {row.label}" for row in rows)]


def left_out_lines(excluded: Sequence[Figure]) -> list[str]:
    """Give why people were left out; those whose number is hidden in one sentence."""
    from tasks.account.missing_people import say_hidden, split_hidden

    told, hidden = split_hidden(excluded)
    lines = figure_lines("Left out", told)
    if hidden:
        lines += textwrap.wrap(
            say_hidden(hidden), 38, initial_indent="  ", subsequent_indent="    "
        )
    return lines


def say_blanked(blanked: Sequence[Figure]) -> str:
    """Say how many people kept each category back; nothing where none could."""
    told = ", ".join(f"{figure.label.partition(':')[2]} {figure.text}" for figure in blanked)
    return f"Blanked  what people kept back: {told}" if told else ""


def missing_lines(summary: Summary) -> Iterator[str]:
    """Say whom the people lack most beside the population meant, and what weights do about it."""
    from tasks.account.missing_people import list_told, say_missing, say_weights

    for sentence in list(say_missing(summary))[:1]:
        others = len(list_told(summary)) - 1
        gaps = "is 1 gap more" if others == 1 else f"are {others} gaps more"
        more = f" There {gaps} than the policy allows." if others > 0 else ""
        yield ""
        yield from wrap(f"Missing  {sentence}{more}", hanging="         ")
    if said := say_weights(summary):
        yield from wrap(f"Weights  {said}", hanging="         ")


def beside(left: Sequence[str], right: Sequence[str]) -> Iterator[str]:
    """Put two blocks side by side where the screen is wide enough, else one after the other."""
    width = max(map(len, left)) + 4
    if width + max(map(len, right)) > WIDTH:
        yield from (*left, *right)
        return
    for one, other in zip_longest(left, right, fillvalue=""):
        yield f"{one:<{width}}{other}".rstrip()


def check_lines(summary: Summary) -> Iterator[str]:
    """Say how many of the checks that belong to no outlet held, and what the others found."""
    others = [check for check in summary.checks if check.outlet is None]
    if others:
        held = sum(check.verdict == "passed" for check in others)
        yield ""
        yield f"Checks   {held} of {len(others)} checks of the data held"
    for check in others:
        if check.verdict in {"warned", "inconclusive"}:
            yield from wrap(verdict_line(check), "  ", BESIDE)


def verdict_line(check: Check) -> str:
    """Say what a check came to and measured."""
    return f"{check.verdict:<{LONGEST_VERDICT}} {check.name}: {check.measured}"


def outlet_lines(outlet: OutletSummary) -> Iterator[str]:
    """Say what one recipient gets and what was asked and measured for it."""
    yield ""
    yield f"{outlet.recipient} ({outlet.name})"
    yield from wrap(outlet.claim or "Nothing left.", "  ")
    for check in outlet.checks:
        if check.verdict not in OTHERS or outlet.kind == "model":
            yield from wrap(verdict_line(check), "  ", BESIDE)
            if check.verdict != "passed" or outlet.kind == "model":
                yield from wrap(f"asked: {check.asked}", BESIDE)
    yield from open_lines(outlet)
    if outlet.released and outlet.suppressed:
        held = f"{outlet.released.text} people in it, {outlet.suppressed.text} left out"
        yield from wrap(held, BESIDE)
    lost = [column for column, loss in outlet.losses.items() if loss is not None and loss >= ALL]
    if outlet.released and lost:
        yield from wrap(f"Nothing left of: {', '.join(lost)}", "  ")


def open_lines(outlet: OutletSummary) -> Iterator[str]:
    """Name the checks of a table that warned or had no power; what each found is in the report."""
    for verdict in OTHERS if outlet.kind == "table" else ():
        names = [check.name for check in outlet.checks if check.verdict == verdict]
        if names:
            of = re.compile(rf" (of|in|from) {re.escape(outlet.name)}\b")
            told = f"{', '.join(of.sub('', name) for name in names)}: see the report"
            yield from wrap(f"{verdict:<{LONGEST_VERDICT}} {told}", "  ", BESIDE)


def quality_line(quality: Quality) -> str:
    """Say how good the model is on people it was not trained on."""
    interval = (
        f" (95 % interval {quality.auc_low:.3f} to {quality.auc_high:.3f})"
        if quality.auc_low is not None and quality.auc_high is not None
        else ""
    )
    rest = [
        f"{name} {value:.3f}"
        for name, value in (("accuracy", quality.accuracy), ("base rate", quality.base_rate))
        if value is not None
    ]
    if quality.auc_unweighted is not None:
        rest.append(f"all weighted; without weights the AUC is {quality.auc_unweighted:.3f}")
    return (
        f"Quality  on people the model was not trained on: AUC {quality.auc:.3f}{interval}, "
        + ", ".join(rest)
    )


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


def advice_lines(advice: Advice, patch: Path) -> Iterator[str]:
    """Tell what was tried on whom, what each feature is worth, and where the patch is."""
    yield ""
    yield from wrap(f"Advice   {say_whom(advice)}", hanging="         ")
    yield f"         AUC {advice.auc:.3f} with all {len(advice.path) + 1} features"
    yield "         free: at most .005 is lost, at the upper end of the interval"
    yield ""
    yield from trial_lines(advice)
    yield ""
    yield from patch_lines(advice, patch)


def trial_lines(advice: Advice) -> Iterator[str]:
    """Tell what each feature is worth; a long name has a line of its own."""
    width = min(max(len(trial.column) for trial in advice.trials), LONGEST_NAME)
    yield f"  {'feature':<{width}}  {'AUC lost if dropped':<31}if halved"
    halved = {trial.column: trial for trial in advice.trials if trial.change == "coarsen"}
    for trial in advice.trials:
        if trial.change == "drop":
            coarser = say_loss(halved[trial.column]) if trial.column in halved else ""
            beside = len(trial.column) <= width
            if not beside:
                yield f"  {trial.column}"
            name = trial.column if beside else ""
            yield f"  {name:<{width}}  {say_loss(trial):<31}{coarser}".rstrip()


def say_whom(advice: Advice) -> str:
    """Say whose rows were tried on, and what that cost."""
    if advice.epsilon is None:
        return (
            "tried on folds of the training people; these figures are not private, as no private "
            "model was asked for"
        )
    return (
        f"tried on a made-up twin of the training people, which cost each ε = {advice.epsilon:g}, "
        "charged to the budget for good; all later runs of these people are held by the filter, "
        "since they may depend on this. What follows from the twin costs nothing more"
    )


def say_loss(trial: Trial) -> str:
    """Give a loss with its interval and what it comes to."""
    mean, low, high = (
        f"{value:+.3f}".replace("-", "−").replace("0.", ".")
        for value in (trial.mean, trial.low, trial.high)
    )
    said = {"needed": " needed", "not needed": " free", "cannot tell": ""}
    return f"{mean} ({low} to {high}){said[trial.verdict]}"


def patch_lines(advice: Advice, patch: Path) -> Iterator[str]:
    """Say where the patch is and what it leaves to a person."""
    if advice.patch:
        yield f"Patch    {patch}"
        yield "         look at it, then in the policy's folder: patch -p1 < it"
    else:
        yield "Patch    none: nothing could be left out without measurable loss"
    if advice.by_hand:
        names = ", ".join(advice.by_hand)
        yield from wrap(
            f"By hand  {names}: could go too, but the rest of the policy still needs them",
            hanging="         ",
        )
