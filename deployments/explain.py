"""The command `tutela explain`: what a refusal means, why it matters, what helps, with its source.

The texts are those of `expectations/explanations.yaml`; nothing here is said of a person, and a
home is opened only where a run is asked about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from deployments.completion import run_ids
from deployments.terminal import Answer, JsonOption, lay_out, tell
from expectations.errors import UsageError
from expectations.explanations import (
    RULES_OF_CHECK,
    Explanation,
    find_alike,
    find_explanation,
    read_explanations,
    rule_sentences,
    rules_that_say,
    say_how_to_explain,
)

if TYPE_CHECKING:
    from ledgers.evidence import JSON
    from tasks.account.published import Summary

PARTS: Final = {
    "means": "what it means",
    "matters": "why it matters",
    "measured": "how it is measured",
    "blind": "what it cannot show",
    "helps": "what usually helps",
    "source": "source",
}
"""The parts of an explanation, in the order in which they are told."""
NOTHING: Final = "Nothing stopped run {}. These checks did not pass:"


def complete_names(incomplete: str) -> list[str]:
    """Give the names that a shell completes: those of checks, and of runs where there is a home."""
    named = [name for name in read_explanations() if name.startswith(incomplete)]
    return named + (run_ids(incomplete) if incomplete[:1].isdigit() else [])


def explain(
    refusal: Annotated[
        str | None,
        typer.Argument(
            metavar="[REFUSAL]",
            help="A check's name, words of a message, or a run's id; without it, all checks are "
            "listed.",
            autocompletion=complete_names,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a refusal: what it means and what usually helps."""
    if refusal is None:
        tell(list_all(), as_json=as_json)
    elif refusal[:1].isdigit():
        tell(explain_run(refusal), as_json=as_json)
    else:
        tell(explain_name(refusal), as_json=as_json)


def list_all() -> Answer:
    """List every name that can be explained, by its group."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in read_explanations().values():
        groups.setdefault(one.group, []).append((one.name, one.means))
    known = read_explanations()
    for name, sentence in rule_sentences().items():
        if name not in known:
            groups.setdefault(RULES_OF_CHECK, []).append((name, sentence))
    lines: list[str] = []
    for group, rows in groups.items():
        lines += [group.capitalize(), *lay_out((), rows, indent=2), ""]
    found = {group: dict(rows) for group, rows in groups.items()}
    return Answer(cast("dict[str, JSON]", found), lines[:-1])


def explain_name(name: str) -> Answer:
    """Explain one check or rule; UsageError with suggestions where the name is not known."""
    found = find_explanation(name) or find_begun(name)
    if found is not None:
        return Answer(explanation_json(found), list(explanation_lines(found)))
    sentences = rule_sentences()
    asked = name.replace("_", " ").casefold()
    if asked not in sentences and len(rules := rules_that_say(name)) == 1:
        (asked,) = rules
        if (found := find_explanation(asked)) is not None:
            return Answer(explanation_json(found), list(explanation_lines(found)))
    if asked in sentences:
        plain: dict[str, JSON] = {"name": asked, "means": sentences[asked]}
        return Answer(plain, [f"{asked} ({RULES_OF_CHECK})", *rows(("means", sentences[asked]))])
    alike = ", ".join(find_alike(name))
    raise UsageError(
        f"there is no check named '{name}'"
        + (f"; did you mean: {alike}?" if alike else "; `tutela explain` lists all names")
    )


def find_begun(beginning: str) -> Explanation | None:
    """Give the one explanation whose name begins so; None for none or several."""
    begun = [
        one
        for name, one in read_explanations().items()
        if beginning.strip() and name.casefold().startswith(beginning.strip().casefold())
    ]
    return begun[0] if len(begun) == 1 else None


def explain_run(run: str) -> Answer:
    """Explain every check that stopped a run; of one that passed, name those that did not."""
    summary = summary_of(run)
    stopped = [check.name for check in summary.causes] or [summary.stopped_by or ""]
    found = {one.name: one for name in stopped if (one := find_explanation(name))}
    if summary.verdict == "refused" and found:
        lines = [f"Refused: run {summary.run_id} was stopped by {', '.join(stopped)}."]
        for one in found.values():
            lines += ["", *explanation_lines(one)]
    else:
        lines = list(open_lines(summary))
    plain = {
        "run": summary.run_id,
        "verdict": summary.verdict,
        "stopped_by": [*filter(None, stopped)],
        "explanations": [explanation_json(one) for one in found.values()],
    }
    return Answer(cast("dict[str, JSON]", plain), lines)


def open_lines(summary: Summary) -> Iterator[str]:
    """Tell which checks of a run that nothing refused did not pass, and how each is explained."""
    if summary.verdict in {"failed", "unfinished"}:
        yield f"No check stopped run {summary.run_id}: {summary.reason or summary.verdict}"
        return
    checks = [check for check in summary.checks if check.verdict != "passed"]
    if not checks:
        yield f"Nothing stopped run {summary.run_id}: every check passed."
        return
    yield NOTHING.format(summary.run_id)
    commands = dict.fromkeys((str(c.verdict), say_how_to_explain(c.name)) for c in checks)
    yield from lay_out((), [*commands], indent=2)
    powers = {c.name: c.power for c in checks if c.verdict == "inconclusive"}
    if powers:
        yield ""
        yield "Inconclusive: this data could neither pass nor fail them. Each could have found:"
        yield from lay_out((), [*powers.items()], indent=2)


def summary_of(run: str) -> Summary:
    """Sum up the run whose id begins so."""
    from ledgers.home.home import Home
    from ledgers.home.keys import Keys
    from tasks.handover.delivery import read_run

    home = Home.open()
    return read_run(home, Keys.open(home), run).summary()


def explanation_lines(one: Explanation) -> Iterator[str]:
    """Tell one explanation, each part beside its name."""
    yield f"{one.name} ({one.group})"
    yield ""
    yield from rows(*((part, getattr(one, part)) for part in PARTS))


def rows(*parts: tuple[str, str]) -> list[str]:
    """Give parts of an explanation as rows, each with its name before it."""
    return lay_out((), [(PARTS[part], text) for part, text in parts], indent=2)


def explanation_json(one: Explanation) -> dict[str, JSON]:
    """Give one explanation as plain values."""
    return cast("dict[str, JSON]", asdict(one))
