"""What a run came to, on one screen in plain words, at most 80 columns wide.

The screen answers what a reader decides by: how the run ended, who receives what, each promise as
it was asked and reached, what deserves a look, and where the rest is. A refused run says what
failed and which ways lead on, with what each costs; advice says what each feature is worth. All of
it is read from the run's summary; nothing is measured here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from deployments.terminal import command, lay_out, wrap
from expectations.explanations import say_how_to_explain
from tasks.pages.way_words import COSTS, HOLDS

if TYPE_CHECKING:
    from ledgers.evidence import JSON, EvidenceLedger
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from tasks.account.advised import Advice, Trial
    from tasks.account.measured import Quality
    from tasks.account.published import Figure, OutletSummary, Summary, Way, WaysOut


WORDS: Final = {
    "refused": "Refused. Nothing was handed over.",
    "failed": "Failed. Something broke, and nothing was handed over.",
    "pending": "Pending. The handover is not done: MLflow must still record the run.",
    "awaiting": "Awaiting approval. Nothing was handed over yet.",
    "unfinished": "Unfinished. It goes on, or the next tutela command finishes it.",
}

ELSEWHERE: Final = "Another machine is at work on this run, or has its goods. Finish it there."
ALL: Final = 0.995
"""From which loss on a column of a released table tells nothing any more."""
MARGIN: Final = " " * 9
"""Under what stands beside a heading."""
REASONS: Final = 4
"""The most reasons that say why people were left out; the largest come first."""
LONGEST_NAME: Final = 16
"""Longer names of features would leave no room for two losses beside them."""


def describe_run(home: Home, keys: Keys, prefix: str) -> tuple[JSON, str]:
    """Give one run as plain values and as a screen."""
    from tasks.account.summary import to_evidence_json
    from tasks.handover.delivery import read_run
    from tasks.handover.written import refuse_changed_files

    run = read_run(home, keys, prefix)
    refuse_changed_files(run)
    summary = run.summary()
    report = home.reports / f"{summary.run_id}.html"
    found = to_evidence_json(summary) | {"report": str(report) if report.is_file() else None}
    lines = [*screen_lines(summary, home, run.mlflow_store)]
    if removed_on := find_removal(run.ledger, summary.run_id):
        gone = f"its tables, pages and models were removed on {removed_on}, as its policy says"
        lines += ["", *wrap(f"Note     {gone}", hanging=MARGIN)]
    if run.record.verdict in {None, "pending"} and run.ledger.elsewhere([run.record]):
        lines += ["", *wrap(f"Note     {ELSEWHERE}", hanging=MARGIN)]
    return cast("JSON", found), "\n".join(lines)


def find_removal(ledger: EvidenceLedger, run_id: str) -> str | None:
    """Give the day on which the goods of a run were removed, if they were."""
    from ledgers.retention import RetentionLedger, removed

    note = removed(RetentionLedger(ledger.engine, ledger.keys).notes(), "goods").get(run_id)
    return note.at[:10] if note else None


def screen_lines(summary: Summary, home: Home, store: str | None = None) -> Iterator[str]:
    """Say what a run came to, line by line: what decides first, where to read on last.

    `store` is where its model was registered, which may be a path: no page has it.
    """
    from tasks.pages import words

    yield from wrap(f"{summary.policy}: {summary.title}")
    yield from wrap(say_verdict(summary))
    if summary.undecided:
        yield from wrap(words.say_undecided(summary))
    if summary.made_up:
        yield from wrap(f"Example data: {summary.made_up}.")
    yield from failure_lines(summary)
    yield from ways_lines(summary)
    yield from wrap(words.say_kept_charge(summary))
    for outlet in summary.outlets:
        yield from outlet_lines(outlet, summary)
    yield from people_lines(summary)
    yield from look_lines(summary)
    if summary.advice:
        yield from advice_lines(summary.advice, home.reports / f"{summary.run_id}.patch")
    yield from place_lines(summary, home, store)


def place_lines(summary: Summary, home: Home, store: str | None) -> Iterator[str]:
    """Say where to read on."""
    from tasks.pages import words

    yield ""
    report = home.reports / f"{summary.run_id}.html"
    if summary.verdict != "unfinished" or report.exists():
        yield f"Report   {report}"
    for served in summary.outlets:
        if served.release:
            yield f"Table    {home.releases / served.release.place}"
        if served.kind == "model" and served.claim:
            yield from model_lines(summary, served, home, store)
    if summary.verdict == "pending":
        yield f"Next     start MLflow, then any tutela command completes it: {command()} report"
    if summary.verdict == "awaiting":
        yield f"Next     look and sign: {command()} approve {summary.run_id} --key FILE"
    if len(words.name_stopping(summary)) > 1:
        yield f"Why      {command()} explain {summary.run_id}"
    elif summary.stopped_by:
        yield f"Why      {say_how_to_explain(summary.stopped_by)}"
    elif any(check.verdict != "passed" for check in summary.checks):
        yield f"Why      {command()} explain {summary.run_id}"


def model_lines(
    summary: Summary, served: OutletSummary, home: Home, store: str | None
) -> Iterator[str]:
    """Say how a model that left is loaded, and where its card is; nothing before MLflow has it."""
    from tasks.pages.words import find_version, name_card, say_call

    if find_version(summary):
        yield f"Model    {say_call(summary, served, store)}"
        yield f"Card     {home.reports / name_card(summary, served)}"


def say_verdict(summary: Summary) -> str:
    """Say how a run ended; of one that passed, that no check failed, and what else there was."""
    from tasks.pages.words import UNFIT, say_open_checks

    if summary.advice and summary.verdict == "passed":
        return "Advice. Nothing was handed over."
    if summary.unfit:
        return f"{UNFIT} Nothing was handed over."
    if summary.verdict != "passed":
        return WORDS[summary.verdict]
    return f"Passed. {say_open_checks(summary.checks)}"


def failure_lines(summary: Summary) -> Iterator[str]:
    """Say what stopped a run and how to go on; what ways out tell already is not said twice."""
    if not summary.reason or is_covered(summary):
        return
    told = {ways.check for ways in summary.ways}
    causes = [cause for cause in summary.causes if cause.name not in told]
    if not causes:
        yield from wrap(summary.reason, "  ")
    for cause in causes:
        yield from wrap(f"{cause.verdict} {cause.name}: {cause.measured}", "  ", "    ")
        yield from wrap(f"asked: {cause.asked}", "    ", "      ")
        yield from wrap(f"to do: {cause.remedy}", "    ", "      ")


def outlet_lines(outlet: OutletSummary, summary: Summary) -> Iterator[str]:
    """Say what one recipient gets, and each promise as it was asked and reached.

    Of an outlet that nothing was made for, nothing: that nothing left is said already.
    """
    from tasks.pages.words import say_chance, say_number_quality, say_promise, say_runs_left

    promises = [one for one in summary.promises if one.outlet == outlet.name]
    if not (outlet.claim or promises):
        return
    yield ""
    yield from wrap(f"{outlet.recipient}: a {outlet.kind} ({outlet.name})")
    yield from wrap(outlet.claim or "Nothing was handed over.", "  ")
    rows = [(str(one.verdict), one.name, say_promise(one)) for one in promises]
    yield from lay_out((), rows, indent=2) if rows else ()
    if any(one.name == "privacy budget" and one.verdict == "passed" for one in promises):
        yield from wrap(f"Under the lifetime ceiling {say_runs_left(summary)}.", "  ", "    ")
    if outlet.kind == "model" and outlet.claim and summary.quality:
        yield from wrap(quality_line(summary.quality), "  ", "    ")
        yield from wrap(say_chance(summary.quality), "  ", "    ")
    if outlet.kind == "model" and outlet.claim and summary.number_quality:
        yield from wrap(say_number_quality(summary.number_quality), "  ", "    ")
    if outlet.released and outlet.suppressed:
        held = f"{outlet.released.text} people are in it; {outlet.suppressed.text} were left out"
        yield from wrap(held, "  ")
    lost = [column for column, loss in outlet.losses.items() if loss is not None and loss >= ALL]
    if outlet.released and lost:
        yield from wrap(f"All detail lost: {', '.join(lost)}", "  ")


def people_lines(summary: Summary) -> Iterator[str]:
    """Say whose data was used, who was left out and why, and what weights did about it."""
    from tasks.account.missing_people import say_hidden, say_weights, split_hidden

    if summary.people:
        yield ""
        told = "; ".join(f"{one.text} {one.label}" for one in summary.people)
        yield from wrap(f"People   {told}", hanging=MARGIN)
        known, hidden = split_hidden(summary.excluded)
        reasons = [f"{one.label} {one.text}" for one in known[:REASONS]]
        if more := len(known) - REASONS if len(known) > REASONS else 0:
            reasons.append(f"{more + len(hidden)} more reasons in the report")
        elif hidden:
            reasons.append(say_hidden(hidden))
        told = f"Left out {'; '.join(reasons)} " if reasons else MARGIN
        yield from wrap(f"{told}(counts are rounded and need not add up)", hanging=MARGIN)
        yield from wrap(say_blanked(summary.blanked), hanging=MARGIN)
        yield from wrap(say_strangers(summary.strangers), hanging=MARGIN)
        yield from wrap(say_nameless(summary.nameless), hanging=MARGIN)
    if said := say_weights(summary):
        yield from wrap(f"Weights  {said}", hanging=MARGIN)


def say_blanked(blanked: Sequence[Figure]) -> str:
    """Say how many people kept each category back; nothing where none could."""
    told = ", ".join(f"{figure.label.partition(':')[2]} {figure.text}" for figure in blanked)
    return f"Blanked  categories without consent: {told}" if told else ""


def say_strangers(strangers: Sequence[Figure]) -> str:
    """Say how many people other tables know who are not on the roster; nothing of a few."""
    told = ", ".join(f"{one.label} {one.text}" for one in strangers if one.about is not None)
    return f"Others   people who are not on the roster, and were not read: {told}" if told else ""


def say_nameless(nameless: Sequence[Figure]) -> str:
    """Say how many rows of other tables name nobody; nothing of a few."""
    told = ", ".join(f"{one.label} {one.text}" for one in nameless if one.about is not None)
    return f"Rows     that name no person, and were left out: {told}" if told else ""


def look_lines(summary: Summary) -> Iterator[str]:
    """Say what deserves a look: what warned, what could not be judged, and what waits for more."""
    from tasks.pages import words

    causes = summary.causes if summary.verdict == "refused" else ()
    checks = [check for check in summary.checks if check not in causes]
    warned, unclear = words.list_warned(checks), words.list_unclear(checks)
    waiting = words.list_waiting(checks)
    if warned or unclear or waiting:
        yield ""
    for each in warned:
        if each.group not in words.ATTACKS:
            yield from wrap(f"Warning  {words.say_warning(each, summary)}", hanging=MARGIN)
    gravest, others = words.pick_gravest(warned, summary)
    if gravest:
        told = f"{gravest.name}: {gravest.measured}."
        yield from wrap(f"Warning  {told}", hanging=MARGIN)
    if others:
        names = "; ".join(each.name for each in others)
        yield from wrap(f"Warning  {names} (figures in the report)", hanging=MARGIN)
    if unclear:
        names = "; ".join(each.name for each in unclear)
        yield from wrap(f"Unclear  {names}: undecided, not failed", hanging=MARGIN)
    for power, joined in waiting.items():
        yield from wrap(f"Not yet  {joined}: {power}", hanging=MARGIN)


def quality_line(quality: Quality) -> str:
    """Say how good the model is on people it was not trained on."""
    interval = (
        f" ({quality.auc_low:.2f} to {quality.auc_high:.2f})"
        if quality.auc_low is not None and quality.auc_high is not None
        else ""
    )
    mean = ", the mean of each class against the rest," if quality.classes else ""
    told = f"AUC about {quality.auc:.2f}{interval}{mean} on people it was not trained on"
    if quality.auc_unweighted is not None:
        told += f", weighted; without weights about {quality.auc_unweighted:.2f}"
    return told


def is_covered(summary: Summary) -> bool:
    """Whether the ways say why the run was refused, so that its reason need not."""
    told = {ways.check for ways in summary.ways}
    rest = all(check.name in told for check in summary.causes)
    return summary.verdict == "refused" and summary.stopped_by in told and rest


def ways_lines(summary: Summary) -> Iterator[str]:
    """Give each refusal that ways were found out of, and them as a table."""
    for found in summary.ways:
        of = f" of {found.outlet}" if found.outlet and found.outlet not in found.check else ""
        yield ""
        yield from wrap(f"Ways out of “{found.check}{of}”")
        yield from wrap(f"asked    {found.asked}", "  ", " " * 11)
        causes = [cause for cause in summary.causes if cause.name == found.check]
        reached = causes[0].measured if causes else found.reached
        yield from wrap(f"reached  {reached}", "  ", " " * 11)
        yield ""
        yield from table_lines(found)
        yield from wrap(f"{say_as_is(found)}{found.note}.")
        for cause in causes:
            yield from wrap(f"Or: {cause.remedy}.")
        yield ""


def say_as_is(found: WaysOut) -> str:
    """Say what the figures are, and what they would be where nothing is changed, if it is known."""
    said = {
        "granularity": "Granularity is the detail kept (the rows as they are: {}). ",
        "auc": "AUC is the model's on test people, attack the AUC of membership inference. The "
        "refused model's AUC is {}. ",
        "r2": "R² is the model's on test people, attack the AUC of membership inference. The "
        "refused model's R² is {}. ",
    }
    return "".join(
        said[name].format(COSTS[name].write(value))
        for name, value in found.as_is.items()
        if value is not None
    )


def table_lines(found: WaysOut) -> list[str]:
    """Give the ways as an aligned table, with a column for each cost that is known of some way."""
    costs = [name for name in COSTS if any(way.cost.get(name) is not None for way in found.ways)]
    header = ["change", "passes", *(COSTS[name].head for name in costs), "reached"]
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
    yield "         free: at most .005 of AUC is lost (upper end of the interval)"
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
            "tried on folds of the training people; these figures are not private, since the "
            "policy asks for no private model"
        )
    return (
        "tried on a made-up twin of the training people, which cost each of them ε = "
        f"{advice.epsilon:g}, charged to the budget for good. A filter counts all later runs of "
        "these people, since they may depend on this. What follows from the twin costs nothing "
        "more"
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
        yield "         read it, then in the policy's folder: patch -p1 < PATCH"
    else:
        yield "Patch    none: nothing could be left out without measurable loss"
    for one in advice.left_in:
        yield from wrap(f"Left in  {one.column}: {one.why}", hanging="         ")
