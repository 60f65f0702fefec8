"""What `tutela draft` answers: what it proposes and denies, why, and what to do where it cannot.

It cannot where the table names nobody, or nothing is sure enough. What a column is taken for was
decided before, and no value of it is shown here.
"""

from __future__ import annotations

import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deployments.check.screen import say_open
from deployments.draft.place import shorten
from deployments.terminal import WIDTH, Answer, command, lay_out, wrap
from expectations.disclosure import roughly
from expectations.errors import UsageError
from expectations.expressions.expressions import ColumnType
from expectations.policy.locations import CsvFile, Location, ParquetFiles
from expectations.policy.treatments import describe
from expectations.policy.vocabulary import Article6, Identifiability
from expectations.policy_file import find_undecided
from tasks.drafting.decisions import Decided, Decision, Fate, lacks_condition
from tasks.drafting.examination import Examined
from tasks.drafting.writing import say_lost_age, such_as
from tasks.drafting.writing_columns import NAMED

if TYPE_CHECKING:
    from expectations.policy.legal_basis import LegalBasis
    from ledgers.evidence import JSON
    from tasks.drafting.signs import Found
    from tasks.drafting.writing import Draft


READ: Final = (
    "tutela read every row to write it, and kept nothing of the data except what the file says."
)
SHOWN: Final = 12
"""Rows of a table on the screen; the file and --json have all."""
OFFERED: Final = 40
"""Columns that the screen offers to accept."""
SAID: Final = {
    Fate.PERSON: ("names each person", "name each person"),
    Fate.ANSWER: ("says who consented", "say who consented"),
    Fate.PROPOSED: ("is proposed", "are proposed"),
    Fate.OPEN: ("waits for your decision, and is not read",
                "wait for your decision, and are not read"),
    Fate.DENIED: ("is never read", "are never read"),
}  # fmt: skip
"""Of one column, and of several."""
UNNAMED: Final = (
    "no column names each person",
    (
        "A run needs such a column to find each person's consent, to keep some people for "
        "testing, and to count what models cost each. If each row is one person, number the rows "
        "with the line below, keep the new file, and draft from that. If a person has several "
        "rows, merge them into one first: numbered rows would count as different people, and "
        "every promise would be about rows."
    ),
)
NAMELESS: Final = (
    "the column that could name each person has no name itself",
    (
        "This happens when a table is saved with its row numbers. Name the column with the "
        "line below, and draft from the new file:"
    ),
)


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
    if lines := list(accept_lines(decided, draft.answers.legal_basis)):
        yield lines
    if needs_answers(draft):
        yield wrap(
            "A run reads only people whose consent is recorded. Settle the lines under `basis`"
            + (
                "; each run takes in the answers that are named there."
                if draft.linked and draft.linked.consents
                else f", then import people's answers with {command()} consent import, from a "
                "file of person, status, at and notice."
            )
        )
    yield [
        *wrap(say_open(find_undecided(text))),
        *(wrap(say_lost_age(lost)) if (lost := decided.lost_birth_date) else ()),
        *wrap(other_words(decided)),
        f"Next: {command()} check {shlex.quote(shown)}",
    ]


def accept_lines(decided: Decided, basis: LegalBasis) -> Iterator[str]:
    """Say how columns that wait are read, by options that can be copied."""
    waiting = decided.of(Fate.OPEN)
    special = [c for c in waiting if lacks_condition(c.found.category, basis)]
    known = [c for c in waiting if c.found.category is not None and c not in special]
    unknown = [c for c in waiting if c.found.category is None]
    if known or unknown:
        word = ", with a category such as dpv-pd:Behavioral where none is known" * bool(unknown)
        yield from wrap(f"To read some of them, draft again and accept what you need{word}:")
    yield from accept_options(known, "")
    yield from accept_options(unknown, "=CATEGORY")
    if special:
        yield from wrap(
            "Special categories need a second --legal-basis, a word of Art. 9. If a column is not "
            "special, draft again and say its category:"
        )
    yield from accept_options(special, "=CATEGORY")


def accept_options(columns: Sequence[Decision], category: str) -> Iterator[str]:
    """Give the options that accept some columns, of very many the first."""
    lead = "  --accept "
    names = " ".join(column.name for column in columns[:OFFERED])
    for part in textwrap.wrap(names, WIDTH - len(lead) - len(category), break_long_words=False):
        yield f"{lead}{part.replace(' ', ',')}{category}"
    if len(columns) > OFFERED:
        yield f"  and {len(columns) - OFFERED} more: see the file"


def needs_answers(draft: Draft) -> bool:
    """Whether the policy rests on consents that the ledger must be told first."""
    consent = draft.answers.legal_basis.article_6 is Article6.CONSENT
    return consent and draft.decided.answer is None


def outlet_words(decided: Decided) -> str:
    """Say what the draft lets out."""
    model = [f"a model that predicts {decided.said}"] if decided.outcome else []
    return ", and ".join([*model, *["a k-anonymous table"] * decided.table])


def other_words(decided: Decided) -> str:
    """Say how the other kind of outlet is had."""
    if decided.outcome:
        return "" if decided.table else "For a table, draft again with --table."
    return f"For a model, say what it predicts: --target COLUMN{such_as(decided)}."


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
        return "the outcome is computed from it"
    if column.name == decided.born:
        return "only the age is used"
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
        "outlet": " and ".join(["model"] * bool(decided.target) + ["table"] * decided.table),
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
        "decisions": len(find_undecided(text)),
        "decide_on_lines": [*find_undecided(text)],
        "next": f"{command()} check {shlex.quote(shown)}",
    }


def explain_nameless(examined: Examined, location: Location) -> str:
    """Say why each person must be named, and give the line that adds a number to each row."""
    nameless = any(not found.profile.name.strip() and found.person for found in examined.columns)
    first, why = NAMELESS if nameless else UNNAMED
    if not nameless:
        first += "".join(f"; {reason}" for reason in nearly(examined))
    return "\n".join([*wrap(first), *wrap(why), *command_lines(location, nameless=nameless)])


def nearly(examined: Examined) -> Iterator[str]:
    """Say of up to three columns why they are no key, though they look or count like one."""
    reasons = {found.profile.name: why_no_key(found) for found in examined.columns}
    told = [f"`{name}` {why}" for name, why in reasons.items() if why]
    yield from told[:3] or ["none is complete and unique"]


def why_no_key(found: Found) -> str:
    """Say why a column that is called a key, or is different in every row, is none."""
    profile, named = found.profile, found.identifiability is Identifiability.IDENTIFIER
    if profile.distinct < profile.rows:
        return "repeats values, or some rows lack one" * named
    if profile.type in {ColumnType.NUMBER, ColumnType.DATE}:
        return "is unique, but holds decimals or dates, which name nobody"
    told = [said for said in found.seen if said.startswith(NAMED)]
    return "is unique, but does not look like a key" + (
        f": {told[0]}; call it `person` if it is one" if told else ""
    )


def explain_few(rows: int) -> str:
    """Say that a handful of rows tells nothing."""
    return "\n".join(
        wrap(
            f"the table has {rows} row{'s' * (rows > 1)}, and a draft needs at least 10: what "
            "fewer people have is not written into a policy; draft from more, or write it by hand"
        )
    )


def tell_of_rows(error: UsageError) -> UsageError:
    """Say of several tables, where a target was not understood, how one that lies ahead is had."""
    if not str(error).startswith(("--target: no column", "--target is not an expression")):
        return error
    return UsageError(
        f"{error}\nWhat happens after the index is made of rows, and no draft writes it: see "
        "docs/draft.md, An outcome after the index"
    )


def fold(error: UsageError) -> UsageError:
    """Break an error's lines to the screen, but for those that are set in, which are copied."""
    lines = str(error).splitlines()
    parts = [[line] if line.startswith(" ") else wrap(line) for line in lines]
    return UsageError("\n".join(line for part in parts for line in part))


def command_lines(location: Location, *, nameless: bool) -> Iterator[str]:
    """Give a command that can be copied: it writes a file beside the data."""
    match location:
        case CsvFile(path=full, separator=separator):
            path = shorten(Path(full))
            given = f", sep={separator!r}" if separator != "," else ""
            out = with_person(path)
            read = f"pd.read_csv({path!r}{given}, dtype=str, keep_default_na=False)"
            write = f"t.to_csv({out!r}{given}, index=False)"
        case ParquetFiles(path=full):
            path = shorten(Path(full))
            out = with_person(path)
            read, write = f"pd.read_parquet({path!r})", f"t.to_parquet({out!r})"
        case _:
            table = getattr(location, "table", "people")
            yield f"  CREATE TABLE {table}_with_person AS"
            yield "    SELECT row_number() OVER () AS person, t.* FROM"
            yield f"    {table} AS t"
            return
    change = (
        "t.columns = [c if not c.startswith('Unnamed') and c else 'person' for c in t.columns]"
        if nameless
        else "t.insert(0, 'person', range(1, len(t) + 1))"
    )
    yield f'  python -c "import pandas as pd; t = {read}; {change}; {write}"'


def with_person(path: str) -> str:
    """Name the new file beside the old one."""
    old = Path(path)
    return str(old.with_name(f"{old.stem.replace('*', 'all')}-with-person{old.suffix}"))


def explain_nothing(decided: Decided) -> str:
    """Say of each column why it is not proposed, and what would help."""
    rows = [
        (f"  {column.found.profile.name or '(no name)'}", column.why)
        for column in decided.of(Fate.OPEN, Fate.DENIED)
    ]
    help_ = (
        "Rename columns so that their names say what they hold (age, district, income). Special "
        "categories need a second --legal-basis, a word of Art. 9. Or write the policy by hand."
    )
    first = "no column is certain enough to be proposed, so no policy was written:"
    return "\n".join([first, *lay_out((), rows), *wrap(help_)])
