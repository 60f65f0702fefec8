"""The text of a drafted policy: YAML with comments that a person reads before they run it.

What is decided here is wording and order; which column is read was decided in `deciding`. Each
place where a person must decide is marked `DECIDE`. Of the data it holds what `Found` holds: no
value of fewer than ten rows, and no range that was not rounded outward.

Beside a model a table stands behind `#` unless one was wished for, so that nothing leaves that
nobody asked for. Beside a table it is said how a model is drafted: a person must name what it
predicts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from expectations.expressions.expressions import ColumnType
from expectations.policy.legal_basis import LegalBasis
from expectations.policy.locations import Location
from expectations.policy.treatments import Bin
from expectations.policy.vocabulary import Article6, Article9, Category, Identifiability
from tasks.drafting.deciding import first_of_table, repeats_people
from tasks.drafting.decisions import Answers, Decided, Decision, Fate
from tasks.drafting.writing_columns import (
    DECIDE,
    column_lines,
    derived_lines,
    leaving,
    notice_categories,
    tell_share,
)
from tasks.drafting.writing_tables import NOTICE, event_lines, table_lines
from tasks.drafting.writing_yaml import Value, comment, commented_out, entry, number, scalar

if TYPE_CHECKING:
    from tasks.drafting.tables import Linked

MISSING_STEPS: Final = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LARGE: Final = 2000
"""From so many rows on a table is asked for k = 10, and else for 5."""
OBJECTED: Final = (Article6.PUBLIC_TASK, Article6.LEGITIMATE_INTERESTS)
"""The bases against which people may object (Art. 21 GDPR)."""


@dataclass(frozen=True, slots=True)
class Draft:
    """All that a policy's text is made of."""

    name: str
    location: Location
    answers: Answers
    decided: Decided
    linked: Linked | None = None
    """Further tables, where there are any."""


def write_policy(draft: Draft) -> str:
    """Give the whole text of the policy; it passes check where a column is proposed."""
    parts = (
        head_lines(draft),
        source_lines(draft),
        population_lines(draft),
        column_lines(draft.decided),
        derived_lines(draft.decided),
        outlet_lines(draft.decided, draft.answers.recipient),
        retention_lines(),
    )
    blocks = ["\n".join(lines) for lines in map(list, parts) if lines]
    return "\n\n".join(blocks) + "\n"


def head_lines(draft: Draft) -> Iterator[str]:
    """Say what the file is, who answers for it, for what, and by which law."""
    decided, answers = draft.decided, draft.answers
    yield from comment(
        "Drafted by `tutela draft` from the data themselves. It read every row, before anybody's "
        "legal basis was looked at, and kept only this text, which "
        "names no value that fewer than 10 rows have (10 people, if a column shows that several "
        "rows are one person's). Whatever is in doubt is not read: it is "
        f"behind `#`, with what was seen and what to decide. Look for {DECIDE}, then "
        "let the controller read the whole file."
    )
    yield "tutela: 1"
    yield from entry("name", draft.name)
    yield from comment(f"{DECIDE}: say what this is for, in words that your people understand.")
    yield from entry("title", title(draft))
    yield from entry("controller", answers.controller.model_dump())
    yield from entry("purpose", str(answers.purpose))
    yield "legal_basis:"
    yield from basis_words(answers.legal_basis)
    if answers.legal_basis.article_9 is None and any_special(decided):
        yield from comment(
            "No condition of Art. 9(2) GDPR was given, so no column of a special category is read.",
            2,
        )


def title(draft: Draft) -> str:
    """Give a title that is true of any draft; a person writes a better one."""
    decided = draft.decided
    goal = f"Predict {decided.said}" if decided.target else "Share a table"
    return f"{goal}, from {draft.name} (draft)"


def basis_words(basis: LegalBasis) -> Iterator[str]:
    """Give the keys of the legal basis that were answered."""
    for key, value in basis.model_dump(mode="json", exclude_none=True).items():
        yield from entry(key, value, 2)


def any_special(decided: Decided) -> bool:
    """Whether some column looks like one of a special category."""
    return any(c.found.category and c.found.category.special for c in decided.columns)


def source_lines(draft: Draft) -> Iterator[str]:
    """Say where the people are, who each is, and how it is known whom a run may read."""
    decided = draft.decided
    yield "source:"
    yield from entry("location", draft.location.model_dump(exclude_defaults=True), 2)
    yield from person_lines(decided)
    yield f"  person: {scalar(decided.person)}"
    if draft.linked:
        yield from table_lines(draft.linked, decided)
    yield "basis:"
    if draft.answers.legal_basis.article_6 is not Article6.CONSENT:
        yield from other_basis_lines(draft)
    elif decided.answer:
        yield from answer_lines(decided)
    else:
        yield from ledger_lines(draft)


def person_lines(decided: Decided) -> Iterator[str]:
    """Say what the column that names people is, and what must be true of it."""
    others = [f.profile.name for f in decided.examined.columns if f.person]
    also = [name for name in others if name != decided.person]
    yield from comment(
        "It names each person: no row lacks it and no two share it. The run reads it for "
        "everybody, to tell people apart, and never passes it on."
        + f" {', '.join(also)} could name them too."
        * bool(also),
        2,
    )
    person = decided.of(Fate.PERSON)[0].found
    if person.profile.type is ColumnType.INTEGER or person.category is Category.DEMOGRAPHIC:
        yield from comment(
            f"{DECIDE}: it may be only the row's number. Is each row one person, and does a person "
            "keep the number when the data change? If not, runs confuse people.",
            2,
        )
    if several := repeats_people(decided.examined):
        yield from comment(
            f"{DECIDE}: several rows share the same {', '.join(several)}. If those are of one "
            "person, make one row of them first: else runs count rows, and every promise is about "
            "rows.",
            2,
        )


def answer_lines(decided: Decided) -> Iterator[str]:
    """Rest on the column in which people answered."""
    answer = decided.answer
    assert answer is not None
    yield from comment(
        f"{DECIDE}: was each person asked for this purpose, and are these all the words that mean "
        "yes? Every other value, or none, means no. For people who did not say yes, a run reads "
        "only this column and the identifier, to leave them out.",
        2,
    )
    yield "  kind: consent-column"
    yield f"  column: {scalar(answer.profile.name)}"
    yield from entry("granted", answer.consent, 2)


def ledger_lines(draft: Draft) -> Iterator[str]:
    """Rest on the ledger of consents, since no column is known to hold the answers."""
    told = draft.linked is not None and bool(draft.linked.consents)
    yield from comment(
        f"{DECIDE}: "
        + ("each consent is looked up in the home's ledger, into which every run first takes the "
           "events below. " if told else
           "where are people's answers? No column clearly holds them, so each consent "
           "is looked up in the home's ledger, and nobody is read until consents are imported. ")
        + "Write under `notices` what people were really told when asked (the lines below "
        "are what this policy needs, not what your notice says)"
        + ("." if told else ", then import their answers: "
           "`tutela consent import`, from a file of person, status, at and notice."),
        2,
    )  # fmt: skip
    yield "  kind: consent"
    if draft.linked:
        explicit = draft.answers.legal_basis.article_9 is Article9.EXPLICIT_CONSENT
        yield from event_lines(draft.linked, explicit=explicit)
    yield "  notices:"
    yield f"    - id: {NOTICE}"
    yield from entry("purposes", [str(draft.answers.purpose)], 6)
    yield from entry("categories", notice_categories(draft.decided), 6)
    if told:
        return
    yield "  #"
    yield from answer_instead(draft.decided)


def answer_instead(decided: Decided) -> Iterator[str]:
    """Offer the yes/no columns, one of which may hold the answers after all."""
    able = [c.found.profile.name for c in decided.of(Fate.OPEN)
            if c.type is ColumnType.BOOLEAN and c.rows is None]  # fmt: skip
    yield from comment(
        "Or are the answers in a column of the data"
        + (f" ({', '.join(able[:5])})" if able else "")
        + "? Then remove the lines above, and `# ` from these.",
        2,
    )
    column = scalar(able[0]) if len(able) == 1 else "…"
    listed = ["  kind: consent-column", f"  column: {column}", '  granted: ["yes"]']
    yield from commented_out(listed, 2)


def other_basis_lines(draft: Draft) -> Iterator[str]:
    """Rest on another basis than consent, which covers everybody who did not object."""
    article = draft.answers.legal_basis.article_6
    asked = next((c for c in draft.decided.of(Fate.OPEN) if c.found.consent), None)
    if asked:
        yield from comment(
            f"{DECIDE}: `{asked.found.profile.name}` looks like people's answers. This basis "
            f"reads everybody, even people who said no: should the policy rest on consent?",
            2,
        )
    if article not in OBJECTED:
        yield "  kind: other-basis"
        return
    yield from comment(
        f"{DECIDE}: people may object (Art. 21 GDPR). If you keep a list of objections, use it: "
        "remove `# ` from the lines below, and remove `kind: other-basis`.",
        2,
    )
    yield "  kind: other-basis"
    listed = [
        "  kind: opt-out",
        "  objections: {kind: csv, path: objections.csv}",
        f"  person: {scalar(draft.decided.person)}",
    ]
    yield from commented_out(listed, 2)


def population_lines(draft: Draft) -> Iterator[str]:
    """Say whom the policy is about."""
    decided = draft.decided
    yield "population:"
    age = f"years_since({decided.born})" if decided.born else decided.age
    yield from comment(
        f"{DECIDE}: who is it about? Adults, to begin with." if age else
        f"{DECIDE}: who is it about? `true` is everybody; an expression over the columns below "
        "narrows it, such as `age >= 18`. Children need a reason, and often a parent's consent.",
        2,
    )  # fmt: skip
    if lost := decided.lost_birth_date:
        yield from comment(say_lost_age(lost), 2)
    yield f"  eligible: {f'{age} >= 18' if age else scalar('true')}"
    yield from comment("A run with fewer people than this is refused.", 2)
    yield f"  smallest: {smallest(draft)}"


def say_lost_age(column: str) -> str:
    """Say what is lost with birth dates that cannot be read, and how they can."""
    return (
        f"Without `{column}` no age is read, and children are not left out: write its dates as "
        "2024-01-31, and draft again."
    )


def smallest(draft: Draft) -> int:
    """Give half of the rows, or a tenth where consent decides, by one digit and at least ten."""
    consent = draft.answers.legal_basis.article_6 is Article6.CONSENT
    wanted = max(draft.decided.examined.rows // (10 if consent else 2), 10)
    step = int(10 ** (len(str(wanted)) - 1))
    return int(wanted // step * step)


def retention_lines() -> Iterator[str]:
    """Say for how long what is made may be kept."""
    yield from comment(f"{DECIDE}: how long may the run's results be kept?")
    yield "retention_days: 365"


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
    """Give the model's outlet, and a table: in force where one was wished for, else behind `#`."""
    yield from comment(
        f"{DECIDE}: the model predicts {decided.said}. Is that right, and is every feature known "
        "before it? One that follows from it (as a wage follows from having work) or holds it (as "
        "all savings hold those of one account) makes the model look better than it will be.",
        2,
    )
    yield f"  {name_outlet(recipient)}:"
    yield "    kind: model"
    yield from entry("recipient", recipient, 4)
    yield from comment(
        "This model promises nothing beyond the attacks that it must withstand. To promise "
        "differential privacy, remove `# ` from the next line and from `budget` below, and train "
        "private-logistic-regression; `check` then asks about the marks `from_data`.",
        4,
    )
    promised: dict[str, Value] = {"kind": "differential-privacy", "epsilon": 1,
                                  "delta": delta(decided)}  # fmt: skip
    yield from commented_out(list(entry("promise", promised, 4)), 4)
    if decided.table:
        yield from single_out(decided)
        yield from table_block(decided, f"{name_outlet(recipient)[:34]}-table", recipient)
        return
    yield "  #"
    yield from comment("A table as well? Remove `# ` from the lines below.", 2)
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
        if isinstance(column.treatment, Bin) and column.measures:
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
            f"{DECIDE}: k hides which row is whose, not what all rows of a class share. These "
            f"special categories are under k, since others may know them: {', '.join(known)}. "
            "Put what nobody else can know under `sensitive`, as `keep`.",
            4,
        )
    if apart:
        yield from comment(
            f"{DECIDE}: these are outside k, which does not hide what all rows of a class share. "
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
        "What must be true of the values after treatment; else the run is refused. The "
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
        "Membership inference must not reveal who was trained on: the AUC of the attack at the "
        "upper "
        "end of its interval, where 0.5 is guessing."
    )
    yield "attacks:"
    yield "  membership: {auc_at_most: 0.6}"
