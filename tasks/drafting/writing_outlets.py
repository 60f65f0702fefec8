"""Who receives what in a drafted policy: a model or a table, its checks, and the other in reserve.

One of the two is in force. The other stands behind `#`, so that nothing leaves that nobody asked
for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from expectations.expressions import ColumnType
from tasks.drafting.deciding import MOST_RELEASED, Decided, Fate
from tasks.drafting.writing_columns import DECIDE, leaving, tell_share
from tasks.drafting.writing_yaml import Value, comment, commented_out, entry

MISSING_STEPS: Final = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LARGE: Final = 2000
"""From so many rows on a table is asked for k = 10, and else for 5."""


def outlet_lines(decided: Decided, recipient: str) -> Iterator[str]:
    """Give outlets, rules about values, training and attacks."""
    yield "outlets:"
    if decided.target:
        yield from model_lines(decided, recipient)
    else:
        yield from single_out(decided)
        yield from table_block(decided, name_outlet(recipient), recipient)
        yield from model_instead(decided, recipient)
    yield ""
    yield from expectation_lines(decided)
    yield ""
    lines = list(training_lines())
    yield from lines if decided.target else commented_out(lines, 0)


def model_lines(decided: Decided, recipient: str) -> Iterator[str]:
    """Give the model's outlet, and a table behind `#`."""
    yield from comment(
        f"{DECIDE}: is `{decided.target}` what is to be predicted, and is every feature known "
        "before it is? One that follows from it (as a wage follows from having work) makes the "
        "model look better than it will be.",
        2,
    )
    yield from comment(
        "Nothing is promised of this model beyond the attacks that it must withstand. To promise "
        "differential privacy, train a private model (docs/policy.md, part `A model`).",
        2,
    )
    yield f"  {name_outlet(recipient)}:"
    yield "    kind: model"
    yield from entry("recipient", recipient, 4)
    yield "  #"
    yield from comment(
        "A table as well? Take `# ` out of the lines below, and add `release` to the use of each "
        "column that it names.",
        2,
    )
    yield from single_out(decided)
    yield from commented_out(list(table_block(decided, "table-recipient", "Somebody else")), 2)


def model_instead(decided: Decided, recipient: str) -> Iterator[str]:
    """Offer a model behind `#` in place of the table; a person must name what it predicts."""
    able = [c.name for c in decided.of(Fate.OPEN) if c.type is ColumnType.BOOLEAN]
    yield "  #"
    yield from comment(
        "A model instead? It predicts a yes/no column"
        + (f", here {' or '.join(able[:5])} if that is an outcome." if able else ": derive one.")
        + " Give that column the use `target`, and the others `feature` in place of `release`; "
        "take the table out, and `# ` out of these lines and of `training` and `attacks` below.",
        2,
    )
    lines = [f"  {name_outlet(recipient)}:", "    kind: model",
             *entry("recipient", recipient, 4)]  # fmt: skip
    yield from commented_out(lines, 2)


def table_block(decided: Decided, name: str, recipient: str) -> Iterator[str]:
    """Give a table's outlet over the columns that leave, up to as many as k can bear."""
    k = 10 if decided.examined.rows >= LARGE else 5
    yield f"  {name}:"
    yield "    kind: table"
    yield from entry("recipient", recipient, 4)
    yield f"    k: {k}"
    yield "    max_suppressed: 0.05"
    yield "    columns:"
    for column, decision in list(leaving(decided).items())[:MOST_RELEASED]:
        dated = decision.type is ColumnType.DATE and decision.name != decided.born
        how: Value = {"kind": "rare", "at_least": 4 * k} if dated else "generalize"
        yield from entry(column, how, 6)


def single_out(decided: Decided) -> Iterator[str]:
    """Say how far the quasi-identifiers together single people out."""
    names, share = decided.examined.joint
    if len(names) > 1:
        yield from comment(
            f"Why k: {', '.join(names)} together leave {tell_share(share)} of the people alone or "
            "with fewer than 4 others.",
            2,
        )


def name_outlet(recipient: str) -> str:
    """Name an outlet after its recipient."""
    name = re.sub(r"[^a-z0-9]+", "-", recipient.lower()).strip("-")[:40].strip("-")
    fits = re.fullmatch(r"[a-z][a-z0-9-]{1,38}[a-z0-9]", name) and name != "record-wise"
    return name if fits else "first-recipient"


def expectation_lines(decided: Decided) -> Iterator[str]:
    """Ask of the values what was seen of them, with some room."""
    yield from comment(
        "What must hold of the values after treatment; a run in which one does not is refused. The "
        "shares leave room above what was seen."
    )
    yield "expectations:"
    for column, decision in leaving(decided).items():
        seen = decision.found.profile.missing
        most = next((step for step in MISSING_STEPS if step > seen + 0.01), 0.95)
        yield f"  - {{rule: missing-at-most, column: {column}, share: {most:g}}}"
    if decided.target:
        yield (
            f'  - {{rule: share-between, column: {decided.target}, value: "yes", '
            "low: 0.01, high: 0.99}"
        )


def training_lines() -> Iterator[str]:
    """Give the plain model and the attack that it must withstand."""
    yield "training: {model: logistic-regression}"
    yield from comment(
        "Membership inference must not tell who was trained on: the AUC of the attack at the upper "
        "end of its interval, where 0.5 is guessing."
    )
    yield "attacks:"
    yield "  membership: {auc_at_most: 0.6}"
