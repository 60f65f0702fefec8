"""What Prefect's page of a run tells beside its graph: the story, the checks, and the links.

Prefect keeps artifacts for ever, so they hold published figures only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasks.run import prefect_flow_run

if TYPE_CHECKING:
    from tasks.published import Summary


def publish_artifacts(summary: Summary) -> None:
    """Put the run's story and its checks on its Prefect page; outside a flow, do nothing."""
    if prefect_flow_run() is None:
        return
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    create_markdown_artifact(
        "\n".join(story_lines(summary)), key="story", description="What happened in this run"
    )
    if summary.checks:
        rows = [
            {
                "check": check.name,
                "asked": check.asked,
                "measured": check.measured,
                "verdict": str(check.verdict),
                "could have detected": check.power,
            }
            for check in summary.checks
        ]
        create_table_artifact(rows, key="checks", description="Every promise, as measured")


def story_lines(summary: Summary) -> Iterator[str]:
    """Tell a run in Markdown."""
    yield f"# {summary.title}: {summary.verdict}"
    if summary.reason:
        yield f"\n> {summary.reason}"
    for title, figures in (("Columns", summary.columns), ("People", summary.people)):
        if figures:
            yield f"\n| {title} | |\n|---|---:|"
            yield from (f"| {figure.label} | {figure.text} |" for figure in figures)
    if summary.excluded:
        yield "\n| Left out because | People |\n|---|---:|"
        yield from (f"| {figure.label} | {figure.text} |" for figure in summary.excluded)
    yield "\nCounts of people are published with a small keyed offset; parts need not add up."
    for outlet in summary.outlets:
        yield f"\n**{outlet.recipient}** ({outlet.name}): {outlet.claim or 'nothing left.'}"
    for link in summary.links:
        yield f"\n{link.name}: " + (f"[{link.id}]({link.url})" if link.url else link.id)
