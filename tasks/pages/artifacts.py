"""What Prefect's page of a run tells beside its graph: the story, who is missing, and the checks.

Prefect keeps artifacts for ever, so they hold published figures only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from expectations.disclosure import percent
from tasks.account.markdown import escape_markdown
from tasks.account.missing_people import (
    JUDGED,
    list_gaps,
    say_hidden,
    say_inclusion,
    say_missing,
    say_weighting,
    split_hidden,
)
from tasks.airlock.run import prefect_flow_run
from tasks.pages.drawings import arrange
from tasks.pages.words import say_lifetime, say_runs_left

if TYPE_CHECKING:
    from tasks.account.published import ColumnInclusion, ComparedColumn, Figure, Summary

BLOCKS: Final = 20
"""How many blocks a bar of text has for all."""


def publish_artifacts(summary: Summary) -> None:
    """Put the run's story, who is missing and the checks on its Prefect page; else do nothing."""
    if prefect_flow_run() is None:
        return
    from prefect.artifacts import (
        create_markdown_artifact,
        create_progress_artifact,
        create_table_artifact,
    )

    create_markdown_artifact(
        "\n".join(story_lines(summary)), key="story", description="What happened in this run"
    )
    if summary.representation or summary.inclusion:
        create_markdown_artifact(
            "\n".join(missing_lines(summary)),
            key="missing",
            description="Who is missing because of consent",
        )
    if (spent := share_spent(summary)) is not None:
        create_progress_artifact(spent, key="budget", description="\n".join(budget_lines(summary)))
    if summary.checks:
        create_table_artifact(
            list(check_rows(summary)), key="checks", description="Every promise, as measured"
        )


def check_rows(summary: Summary) -> Iterator[dict[str, str]]:
    """Tell every check as a row of a table, whose cells Prefect reads as Markdown too."""
    for check in summary.checks:
        told = {
            "check": check.name,
            "asked": check.asked,
            "measured": check.measured,
            "verdict": str(check.verdict),
            "could have detected": check.power,
        }
        yield {name: escape_markdown(text) for name, text in told.items()}


def share_spent(summary: Summary) -> float | None:
    """Give how much of the lifetime ceiling the most-used person has spent, in percent."""
    spent = summary.measures.get("privacy.lifetime_epsilon")
    training = summary.training
    if spent is None or training is None or training.lifetime_epsilon is None:
        return None
    return round(min(100 * spent / training.lifetime_epsilon, 100), 1)


def budget_lines(summary: Summary) -> Iterator[str]:
    """Tell what of the privacy budget is spent."""
    yield (
        "Lifetime ε of the most-used person, over all private models and advice of this home: "
        f"{say_lifetime(summary)}; {say_runs_left(summary)}"
    )


def story_lines(summary: Summary) -> Iterator[str]:
    """Tell a run in Markdown."""
    yield f"# {escape_markdown(summary.title)}: {summary.verdict}"
    if summary.reason:
        yield f"\n> {escape_markdown(summary.reason)}"
    for title, figures in (("Columns", summary.columns), ("People", summary.people)):
        if figures:
            yield f"\n| {title} | |\n|---|---:|"
            yield from figure_lines(figures)
    if summary.excluded:
        yield from left_out_lines(summary.excluded)
    if summary.history:
        yield (
            f"\nConsent as valid at {summary.history.valid_at}, as known at "
            f"{summary.history.known_at}: consent history `{summary.history.digest}`, reproduced "
            f"by `tutela consent snapshot {summary.policy} --run {summary.run_id}`"
        )
    yield "\nCounts of people are rounded to tens or hidden; parts need not add up."
    for outlet in summary.outlets:
        claim = escape_markdown(outlet.claim or "nothing left.")
        yield f"\n**{escape_markdown(outlet.recipient)}** ({outlet.name}): {claim}"
    for link in summary.links:
        yield f"\n{link.name}: " + (f"[{link.id}]({link.url})" if link.url else link.id)


def left_out_lines(excluded: Sequence[Figure]) -> Iterator[str]:
    """Tell why people were left out; hidden numbers in one line."""
    told, hidden = split_hidden(excluded)
    if told:
        yield "\n| Left out because | People |\n|---|---:|"
    yield from figure_lines(told)
    if hidden:
        yield f"\nAnd {escape_markdown(say_hidden(hidden))}."


def figure_lines(figures: Sequence[Figure]) -> Iterator[str]:
    """Tell figures as rows of a table."""
    yield from (
        f"| {escape_markdown(figure.label)} | {escape_markdown(figure.text)} |"
        for figure in figures
    )


def missing_lines(summary: Summary) -> Iterator[str]:
    """Tell in Markdown who is missing because of consent, with bars made of text."""
    yield "# Who is missing because of consent"
    if found := summary.representation:
        yield from (f"\n**{escape_markdown(sentence)}**" for sentence in say_missing(summary))
        yield from (f"\n{escape_markdown(sentence)}" for sentence in say_weighting(summary))
        yield f"\nThe reference population: {escape_markdown(found.source)}."
        off = {(gap.column, gap.row.label) for gap in list_gaps(summary)}
        for column in arrange(found):
            yield from column_lines(column, off, weighted=found.effective_sample_share is not None)
    for check in summary.checks:
        if check.name in JUDGED:
            name, measured = escape_markdown(check.name), escape_markdown(check.measured)
            yield f"\n**{name}** {check.verdict}: {measured}"
    for counted in summary.inclusion.columns if summary.inclusion else ():
        yield from inclusion_lines(counted)
    yield from (f"\n{escape_markdown(sentence)}" for sentence in say_inclusion(summary))


def column_lines(
    column: ComparedColumn, off: set[tuple[str, str]], *, weighted: bool
) -> Iterator[str]:
    """Draw one column: of 100 people expected in each group, how many are there."""
    untold = weighted and column.role == "hold-out"
    name = escape_markdown(column.column) + (" (held out from the weighting)" if untold else "")
    last = " weighted |" if weighted else ""
    yield f"\n| {name} | of 100 expected | | used | reference |{last}"
    yield f"|---|---|---:|---:|---:|{'---:|' if weighted else ''}"
    for row in column.labels:
        label = escape_markdown(row.label)
        if (column.column, row.label) in off:
            label = f"**{label}** ◀"
        there = "" if row.ratio is None else f"{100 * row.ratio:.0f}"
        meant = "–" if row.reference is None else percent(row.reference)
        used = f"{row.people} people" if row.share is None else percent(row.share)
        end = f" {'–' if row.weighted is None else percent(row.weighted)} |" if weighted else ""
        yield f"| {label} | {draw_bar(row.ratio)} | {there} | {used} | {meant} |{end}"


def inclusion_lines(column: ColumnInclusion) -> Iterator[str]:
    """Draw how many of each group's eligible people are there."""
    yield f"\n| {escape_markdown(column.column)} | of 100 eligible | | there | absent |"
    yield "|---|---|---:|---:|---:|"
    for rate in column.rates:
        told, drawn = "–" if rate.rate is None else percent(rate.rate), draw_bar(rate.rate)
        label = escape_markdown(rate.label)
        yield f"| {label} | {drawn} | {told} | {rate.included} | {rate.absent} |"


def draw_bar(ratio: float | None) -> str:
    """Draw a ratio in twentieths: there, missing, or beyond; twice as many at most."""
    if ratio is None:
        return ""
    there = min(round(BLOCKS * ratio), 2 * BLOCKS)
    beyond, missing = max(there - BLOCKS, 0), max(BLOCKS - there, 0)
    return f"`{'█' * (there - beyond)}{'░' * missing}{'▓' * beyond}`"
