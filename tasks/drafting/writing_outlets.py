"""Who receives what in a drafted policy: a model or a table, its checks, and the other in reserve.

Beside a model a table stands behind `#`, so that nothing leaves that nobody asked for. Beside a
table it is said how a model is drafted: a person must name what it predicts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from expectations.expressions.expressions import ColumnType
from expectations.policy.treatments import Bin
from expectations.policy.vocabulary import Identifiability
from tasks.drafting.deciding import first_of_table
from tasks.drafting.decisions import Decided, Decision, Fate
from tasks.drafting.writing_columns import DECIDE, leaving, tell_share
from tasks.drafting.writing_yaml import Value, comment, commented_out, entry, number

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
        yield from model_instead(decided)
    yield ""
    yield from expectation_lines(decided)
    if decided.target:
        yield ""
        yield from training_lines(decided)


def model_lines(decided: Decided, recipient: str) -> Iterator[str]:
    """Give the model's outlet, and a table behind `#`."""
    yield from comment(
        f"{DECIDE}: to be predicted is {decided.said}. Is that right, and is every feature known "
        "before it is? One that follows from it (as a wage follows from having work) or holds it "
        "(as all savings hold those of one account) makes the model look better than it will be.",
        2,
    )
    yield f"  {name_outlet(recipient)}:"
    yield "    kind: model"
    yield from entry("recipient", recipient, 4)
    yield from comment(
        "Nothing is promised of this model beyond the attacks that it must withstand. To promise "
        "differential privacy, take `# ` out of the next line and of `budget` below, and train "
        "private-logistic-regression; `check` then asks for the marks `from_data`.",
        4,
    )
    promised: dict[str, Value] = {"kind": "differential-privacy", "epsilon": 1,
                                  "delta": delta(decided)}  # fmt: skip
    yield from commented_out(list(entry("promise", promised, 4)), 4)
    yield "  #"
    yield from comment(
        "A table as well? Take `# ` out of the lines below, and add `release` to the use of each "
        "column that it names.",
        2,
    )
    yield from single_out(decided)
    yield from commented_out(list(table_block(decided, "table-recipient", "Somebody else")), 2)


def model_instead(decided: Decided) -> Iterator[str]:
    """Say how a model is drafted in place of the table; a person must name what it predicts."""
    yield "  #"
    yield from comment(
        "A model instead? Draft again, to another file, and name what it predicts: --target with a "
        f"yes/no column{such_as(decided)}, or with an expression over columns that is true or "
        f'false, such as --target "{compared(decided)}".',
        2,
    )


def compared(decided: Decided) -> str:
    """Compare a column of numbers with one of its rounded edges, as an example."""
    for column in decided.of(Fate.PROPOSED):
        if isinstance(column.treatment, Bin):
            edges = column.treatment.edges
            return f"{column.name} >= {number(edges[len(edges) // 2])}"
    return "visits >= 3"


def such_as(decided: Decided) -> str:
    """Name up to three yes/no columns that could be predicted, the likeliest outcome first."""
    able = [
        column.found for column in decided.of(Fate.OPEN, Fate.PROPOSED)
        if column.type is ColumnType.BOOLEAN
        and not column.found.consent
        and (column.fate is Fate.PROPOSED or not special(column))
        and (column.found.target or column.found.identifiability is Identifiability.NONE)
    ]  # fmt: skip
    named = [found.profile.name for found in sorted(able, key=lambda found: not found.target)]
    return f" ({', '.join(named[:3])})" if named else ""


def table_block(decided: Decided, name: str, recipient: str) -> Iterator[str]:
    """Give a table's outlet over the columns that leave, up to as many as k can bear."""
    k = 10 if decided.examined.rows >= LARGE else 5
    able = leaving(decided)
    first = first_of_table(list(able.values()))
    columns = {name: column for name, column in able.items() if column in first}
    apart = sensitive(columns)
    yield f"  {name}:"
    yield "    kind: table"
    yield from entry("recipient", recipient, 4)
    yield f"    k: {k}"
    yield "    max_suppressed: 0.05"
    yield "    columns:"
    for column, decision in columns.items():
        dated = decision.type is ColumnType.DATE and decision.name != decided.born
        how: Value = {"kind": "rare", "at_least": 4 * k} if dated else "generalize"
        yield from entry(column, "keep" if column in apart else how, 6)
    yield from apart_lines(columns, apart)


def apart_lines(columns: Mapping[str, Decision], apart: Sequence[str]) -> Iterator[str]:
    """Say of special categories what k does not hide, and ask something of those outside k."""
    if known := [name for name, c in columns.items() if special(c) and name not in apart]:
        yield from comment(
            f"{DECIDE}: k hides which row is whose, and not what all rows of a class share. Of "
            f"special categories, and left to k since others may know them: {', '.join(known)}. "
            "What nobody else can know stands better under `sensitive`, as `keep`.",
            4,
        )
    if apart:
        yield from comment(
            f"{DECIDE}: these stand outside k, which does not hide what all rows of a class share. "
            "Instead each class must hold two values of them. Is that enough?",
            4,
        )
        yield "    sensitive:"
        for column in apart:
            yield from entry(column, [{"kind": "distinct-l-diversity", "l": 2}], 6)


def special(column: Decision) -> bool:
    """Whether a column is of a special category."""
    return column.found.category is not None and column.found.category.special


def sensitive(columns: Mapping[str, Decision]) -> list[str]:
    """Name the special categories that nobody knows of others; one column at least is left to k."""
    apart = [
        name for name, column in columns.items()
        if special(column)
        and column.found.identifiability is Identifiability.NONE
    ]  # fmt: skip
    return apart if len(apart) < len(columns) else apart[1:]


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
        "shares come from the data, as `population.smallest` does, with room above what was seen."
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


def delta(decided: Decided) -> float:
    """Give a power of ten that is far below one in the number of people."""
    return float(f"1e-{max(5, len(str(decided.examined.rows)) + 1)}")


def training_lines(decided: Decided) -> Iterator[str]:
    """Give the plain model and the attack that it must withstand."""
    yield "training: {model: logistic-regression}"
    yield f"# budget: {{lifetime_epsilon: 5, delta: {number(10 * delta(decided))}}}"
    yield from comment(
        "Membership inference must not tell who was trained on: the AUC of the attack at the upper "
        "end of its interval, where 0.5 is guessing."
    )
    yield "attacks:"
    yield "  membership: {auc_at_most: 0.6}"
