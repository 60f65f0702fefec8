"""What `tutela draft` answers: what it proposes and denies, why, and what to do next."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deployments.check.plan import count_open
from deployments.draft.place import shorten
from deployments.terminal import Answer, command, lay_out, wrap
from expectations.disclosure import roughly
from expectations.policy.treatments import describe
from expectations.policy.vocabulary import Article6
from tasks.drafting.decisions import Decided, Decision, Fate
from tasks.drafting.writing_outlets import such_as

if TYPE_CHECKING:
    from ledgers.evidence import JSON
    from tasks.drafting.writing import Draft

READ: Final = "Every row was read to write it; of the data nothing was kept but what the file says."
SHOWN: Final = 12
"""Rows of a table on the screen; the file and --json have all."""


def tell_draft(draft: Draft, place: Path, text: str) -> Answer:
    """Say what was drafted: for people in words, and as plain values."""
    shown = shorten(place)
    lines = [line for part in screen_parts(draft, shown, text) for line in (*part, "")]
    return Answer(as_json(draft.decided, shown, text), lines[:-1])


def screen_parts(draft: Draft, shown: str, text: str) -> Iterator[list[str]]:
    """Give the screen part by part."""
    decided = draft.decided
    many, outlet = len(decided.columns), outlet_words(decided)
    yield [
        *wrap(f"{shown}: {outlet}, for {roughly(decided.examined.rows)} rows. It passes check."),
        *wrap(READ),
    ]
    for fate, said in SAID.items():
        found = decided.of(fate)
        if found:
            yield [f"{len(found)} of {many} columns {said[len(found) > 1]}",
                   *column_rows(found, decided)]  # fmt: skip
    if needs_answers(draft):
        yield wrap(
            "Nobody is read until it is known who consented: settle the lines under `basis`, then "
            f"take people's answers in with {command()} consent import, from a file of person, "
            "status, at and notice."
        )
    yield [
        *wrap(f"{count_open(text)} places are marked DECIDE: read the file, and settle each."),
        *wrap(other_words(decided)),
        f"Next: {command()} check {shlex.quote(shown)}",
    ]


SAID: Final = {
    Fate.PERSON: ("names each person", "name each person"),
    Fate.ANSWER: ("says who consented", "say who consented"),
    Fate.PROPOSED: ("is proposed", "are proposed"),
    Fate.OPEN: ("waits for your decision, and is not read",
                "wait for your decision, and are not read"),
    Fate.DENIED: ("is never read", "are never read"),
}  # fmt: skip
"""Of one column, and of several."""


def needs_answers(draft: Draft) -> bool:
    """Whether the policy rests on consents that the ledger must be told first."""
    consent = draft.answers.legal_basis.article_6 is Article6.CONSENT
    return consent and draft.decided.answer is None


def outlet_words(decided: Decided) -> str:
    """Say what the draft lets out."""
    return f"a model that predicts {decided.said}" if decided.outcome else "a k-anonymous table"


def other_words(decided: Decided) -> str:
    """Say how the other kind of outlet is had."""
    if decided.outcome:
        return "A table as well, or instead? Its lines stand behind `#` under `outlets`."
    return f"A model instead? Say what it predicts: --target COLUMN{such_as(decided)}."


def column_rows(columns: list[Decision], decided: Decided) -> list[str]:
    """Lay out some columns, each with what becomes of it or why it is not read."""
    rows = [
        (f"  {c.found.profile.name or '(no name)'}", reason(c, decided)) for c in columns[:SHOWN]
    ]
    if len(columns) > SHOWN:
        rows.append((f"  and {len(columns) - SHOWN} more", "see the file"))
    return lay_out((), rows)


def reason(column: Decision, decided: Decided) -> str:
    """Say what becomes of a column, or why it is not read."""
    if column in decided.read_for_outcome:
        return "what is predicted is read from it"
    if column.fate is Fate.PROPOSED and column.treatment is not None:
        predicted = " and predicted" * (column.name == decided.target)
        return describe(column.treatment) + predicted
    return column.why


def as_json(decided: Decided, shown: str, text: str) -> dict[str, JSON]:
    """Give the answer as plain values."""
    counted = Counter(str(column.fate) for column in decided.columns)
    return {
        "policy": shown,
        "rows": roughly(decided.examined.rows),
        "outlet": "model" if decided.target else "table",
        "target": decided.target,
        "counts": dict(counted),
        "columns": {
            column.found.profile.name: {
                "name": column.name,
                "decision": str(column.fate),
                "why": reason(column, decided),
                "seen": list(column.found.seen),
            }
            for column in decided.columns
        },
        "decisions": count_open(text),
        "next": f"{command()} check {shlex.quote(shown)}",
    }
